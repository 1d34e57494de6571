"""What the trainers of nodes and of graphs have in common: AutoGL's contract, and what it is made of."""

from __future__ import annotations

import copy
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from autohpo.errors import NoResultError, OptionError, shown
from autohpo.integrations.pyg.configuration import flat
from autohpo.integrations.pyg.configured import Configured
from autohpo.integrations.pyg.needs import need
from autohpo.integrations.pyg.networks import Network
from autohpo.integrations.pyg.objective import CHECKPOINT, EpochObjective
from autohpo.integrations.pyg.sparse import Tensor
from autohpo.integrations.pyg.training import Task, Training, load, measured, save

if TYPE_CHECKING:
    from typing_extensions import Self


@dataclass(frozen=True, eq=False)
class Trained:
    """What is left of a training: weights on the CPU, so that it can be sent anywhere.

    Attributes:
        weights: The weights of the best epoch.
        n_features: The number of features of a node.
        n_classes: The number of classes.
        score: The validation accuracy of these weights.
        best_epoch: The epoch of these weights, from 1.
        n_epochs: How many epochs were trained in all.
        probabilities: ``(n, n_classes)`` probabilities of the validation part.
    """

    weights: dict[str, Tensor]
    n_features: int
    n_classes: int
    score: float
    best_epoch: int
    n_epochs: int
    probabilities: Tensor


class Trainer(Configured):
    """Trains one of five models of PyTorch Geometric; see :class:`NodeTrainer` and :class:`GraphTrainer`."""

    def __init__(self, model: str | Sequence[str], device: str, hp: Mapping[str, Any]) -> None:
        super().__init__(model, device, hp)
        self._data: dict[Any, tuple[Any, Task]] = {}  # shared by duplicates: data are prepared once
        self.trained: Trained | None = None

    def objective(self, dataset: Any = None, *, checkpoint_every: int = 50) -> EpochObjective:
        """Return the training as an objective: a generator that yields the best validation accuracy so far.

        Args:
            dataset: The data; None where ``optimize(dataset=...)`` gives it.
            checkpoint_every: The number of epochs after which it saves itself; it always does before a pause, and in
                the end.

        Raises:
            OptionError: `checkpoint_every` is no integer of at least 1.
        """
        if not isinstance(checkpoint_every, int) or checkpoint_every < 1:
            raise OptionError(f"checkpoint_every: must be an integer of at least 1, got {shown(checkpoint_every)}")
        return EpochObjective(self, dataset, checkpoint_every)

    def duplicate_from_hyper_parameter(self, hp: Mapping[str, Any], model: Any = None, restricted: bool = True) -> Self:
        """Return a new trainer, not trained, with other hyper-parameters.

        Args:
            hp: What differs from this trainer's own: ``{"trainer": {"lr": ...}}``, ``{"trainer:lr": ...}`` or
                ``{"lr": ...}``.
            model: Not used; the name of a model is a hyper-parameter here.
            restricted: Not used; what is not given stays as it is.

        Raises:
            SpaceError: A name is unknown, or a value breaks its rule.
        """
        new = copy.copy(self)
        new.trained = None
        new._set(flat(hp))
        return new

    def train(
        self,
        dataset: Any,
        keep_valid_result: bool = True,
        checkpoint_dir: Path | None = None,
        seed: int = 0,
    ) -> None:
        """Train to the epoch ``max_epoch``, and keep the weights of the best one.

        Args:
            dataset: The data.
            keep_valid_result: Not used; they are always kept.
            checkpoint_dir: A folder; training goes on from what an earlier call left there.
            seed: What weights, dropout and the order of batches are drawn from; a checkpoint keeps its own.

        Raises:
            OptionError: The data are not what this trainer needs.
            CheckpointError: What lies in the folder cannot be read, or is that of another model.
            MissingExtraError: torch or torch_geometric is not installed.
        """
        training, device = self.begin(dataset, seed)
        path = None if checkpoint_dir is None else Path(checkpoint_dir) / CHECKPOINT
        if path is not None and path.exists():
            training.load(load(path, device))
        while not training.is_over:
            training.step()
        if path is not None:
            save(training.state(), path)
        training.restore()
        task = self._task(dataset)
        self.trained = Trained(
            {name: value.cpu() for name, value in training.network.module.state_dict().items()},
            task.n_features,
            task.n_classes,
            training.score,
            training.best_epoch,
            training.epoch,
            _probabilities(task, training.network, "valid"),
        )

    def begin(self, dataset: Any, seed: int) -> tuple[Training, Any]:
        """Return a training that has not begun, and the device that it runs on."""
        task = self._task(dataset)
        return Training(task, self.hp, seed), task.device

    def get_valid_score(self, return_major: bool = True) -> tuple[Any, Any]:
        """Return the validation accuracy of the best epoch, and that higher is better; lists of them if not major."""
        score = self._done().score
        return (score, True) if return_major else ([score], [True])

    def get_valid_predict_proba(self) -> Tensor:
        """Return the ``(n, n_classes)`` probabilities of the validation part."""
        return self._done().probabilities

    def predict_proba(self, dataset: Any, mask: str = "test") -> Tensor:
        """Return the ``(n, n_classes)`` probabilities of a part: "train", "valid" or "test"."""
        task, network = self._restored(dataset, mask)
        return _probabilities(task, network, mask)

    def evaluate(self, dataset: Any, mask: str = "test", feval: Any = None) -> Any:
        """Return the accuracy on a part of the data.

        Args:
            dataset: The data.
            mask: The part: "train", "valid" (also "val") or "test".
            feval: ``acc`` or ``logloss``, or a list of them; None is ``acc``.

        Raises:
            NoResultError: It was not trained.
            OptionError: There is no such part, or no such measure.
        """
        part = "valid" if mask == "val" else mask
        names = [feval or "acc"] if feval is None or isinstance(feval, str) else list(feval)
        if any(name not in ("acc", "logloss") for name in names):
            raise OptionError(f"feval: must be acc or logloss, got {shown(feval)}")
        found = dict(zip(("acc", "logloss"), measured(*self._restored(dataset, part), part), strict=True))
        values = [found[name] for name in names]
        return values[0] if feval is None or isinstance(feval, str) else values

    def to(self, device: Any) -> Self:
        """Train on another device from now on; return the trainer."""
        self.device = str(device)
        return self

    @property
    def model(self) -> Any:
        """The trained modules of PyTorch Geometric, a ``torch.nn.ModuleDict`` with the best epoch's weights."""
        done = self._done()
        network = Network(self.hp, done.n_features, done.n_classes, is_graph=self.task == "graph")
        network.module.load_state_dict(done.weights)
        return network.module.eval()

    # the parts

    @abstractmethod
    def _prepare(self, dataset: Any, device: Any) -> Task:
        """Return what is learned, on a device.

        Raises:
            OptionError: The data are not what this trainer needs.
        """

    def _task(self, dataset: Any) -> Task:
        """Return what is learned; data are prepared once, for all duplicates of a trainer."""
        torch = need("torch")
        need("torch_geometric")
        name = self.device
        if name == "auto":
            name = "cuda" if torch.cuda.is_available() else "cpu"  # asked in the slot that trains
        key = id(dataset), name
        if key not in self._data:
            self._data.clear()
            self._data[key] = dataset, self._prepare(dataset, torch.device(name))
        return self._data[key][1]

    def _done(self) -> Trained:
        if self.trained is None:
            raise NoResultError(f"{type(self).__name__} is not trained; call train(dataset) first")
        return self.trained

    def _restored(self, dataset: Any, part: str) -> tuple[Task, Network]:
        """What is learned, and the trained network on its device."""
        done, task = self._done(), self._task(dataset)
        if part not in ("train", "valid", "test") or not len(task.labels(part)):
            raise OptionError(f"mask: must be train, valid or test, and have something in it, got {shown(part)}")
        network = Network(self.hp, done.n_features, done.n_classes, is_graph=task.is_graph)
        network.module.load_state_dict(done.weights)
        network.module.to(task.device)
        return task, network

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "_data": {}}


def _probabilities(task: Task, network: Network, part: str) -> Tensor:
    torch = need("torch")
    network.module.eval()
    with torch.no_grad():
        return task.scores(network, part).softmax(1).cpu()
