"""A training: one epoch after the other, the best weights so far, and all that is needed to go on later."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Protocol

import numpy as np

from autohpo.errors import CheckpointError
from autohpo.integrations.pyg.needs import need
from autohpo.integrations.pyg.networks import Network
from autohpo.integrations.pyg.sparse import Tensor


class Task(Protocol):
    """What is learned: a data set on a device.

    Attributes:
        device: Where it is.
        n_features: The number of features of a node.
        n_classes: The number of classes.
        is_graph: Whether graphs are classified, not nodes.
    """

    device: Any
    n_features: int
    n_classes: int
    is_graph: bool

    def train_epoch(self, network: Network, optimizer: Any, batch_size: int | None) -> float:
        """Train on all of the training part once; return the loss."""

    def scores(self, network: Network, part: str) -> Tensor:
        """Return the ``(n, n_classes)`` scores of a part."""

    def labels(self, part: str) -> Tensor:
        """Return the ``(n,)`` classes of a part."""


class Training:
    """A training that can stop after any epoch, and go on as if it had not.

    What is random in an epoch is drawn from the seed and the number of the epoch alone. So nothing depends on what else
    is trained in between, and no state of a generator is to be kept.

    Args:
        task: What is learned.
        hp: A whole configuration.
        seed: What weights, dropout and the order of batches are drawn from.

    Attributes:
        epoch: How many epochs were trained.
        score: The best validation accuracy so far, that of the weights which `restore` brings back; NaN before.
        metrics: What the last epoch measured: ``accuracy`` and ``loss`` on the validation part, and ``train_loss``.
    """

    def __init__(self, task: Task, hp: Mapping[str, Any], seed: int) -> None:
        self._task, self._hp, self._seed = task, dict(hp), int(seed)
        with self._seeded(0):
            self.network = Network(self._hp, task.n_features, task.n_classes, is_graph=task.is_graph)
        self.network.module.to(task.device)
        self._optimizer = need("torch").optim.Adam(self.network.groups(), lr=self._hp["lr"])
        self.epoch = 0
        self.metrics: dict[str, float] = {}
        self._best = -math.inf, -math.inf, 0  # accuracy, minus loss, epoch
        self._best_weights: dict[str, Tensor] = {}
        self._has_diverged = False

    @property
    def score(self) -> float:
        """The best validation accuracy so far."""
        return self._best[0] if self._best_weights else math.nan

    @property
    def best_epoch(self) -> int:
        """The epoch of the best validation accuracy, from 1; of several that with the least loss."""
        return self._best[2]

    @property
    def is_over(self) -> bool:
        """Whether it has all its epochs, diverged, or was not better for as many epochs as it may be."""
        patience = self._hp["patience"]
        is_spent = patience is not None and self.epoch - self.best_epoch >= patience
        return self.epoch >= self._hp["max_epoch"] or is_spent or self._has_diverged

    def step(self) -> None:
        """Train for one epoch, and look at the validation part."""
        module = self.network.module
        module.train()
        with self._seeded(self.epoch + 1):
            train_loss = self._task.train_epoch(self.network, self._optimizer, self._hp.get("batch_size"))
        self.epoch += 1
        accuracy, loss = measured(self._task, self.network, "valid")
        self.metrics = {"accuracy": accuracy, "loss": loss, "train_loss": train_loss}
        if not all(math.isfinite(value) for value in self.metrics.values()):
            self.metrics, self._has_diverged = {}, True
        elif (accuracy, -loss) > self._best[:2]:
            self._best = accuracy, -loss, self.epoch
            self._best_weights = {name: value.clone() for name, value in module.state_dict().items()}

    def restore(self) -> None:
        """Bring the best weights back; the training cannot go on then."""
        if self._best_weights:
            self.network.module.load_state_dict(self._best_weights)

    def state(self) -> dict[str, Any]:
        """Return all that is needed to go on."""
        return {
            "epoch": self.epoch,
            "seed": self._seed,
            "best": self._best,
            "has_diverged": self._has_diverged,
            "weights": self.network.module.state_dict(),
            "best_weights": self._best_weights,
            "optimizer": self._optimizer.state_dict(),
        }

    def load(self, state: Mapping[str, Any]) -> None:
        """Go on from a state; the learning rate and the weight decay are those of this configuration.

        Raises:
            CheckpointError: It is that of another model.
        """
        try:
            self.network.module.load_state_dict(state["weights"])
            self._optimizer.load_state_dict(state["optimizer"])
        except (KeyError, RuntimeError, ValueError) as error:
            raise CheckpointError(f"checkpoint: must be that of the same model and widths; {error}") from error
        for group, own in zip(self._optimizer.param_groups, self.network.groups(), strict=True):
            group.update(lr=self._hp["lr"], weight_decay=own["weight_decay"])
        self.epoch, self._seed, self._has_diverged = state["epoch"], state["seed"], state["has_diverged"]
        self._best, self._best_weights = tuple(state["best"]), dict(state["best_weights"])

    def move(self, device: Any) -> None:
        """Move everything that it holds to a device; it can go on where its task is."""
        self.network.module.to(device)
        for held in self._optimizer.state.values():
            held |= {name: value.to(device) for name, value in held.items() if name != "step"}
        self._best_weights = {name: value.to(device) for name, value in self._best_weights.items()}

    @contextmanager
    def _seeded(self, epoch: int) -> Iterator[None]:
        """Seed torch for one epoch, and leave its generators as they were."""
        torch = need("torch")
        device, devices = torch.device(self._task.device), []
        if device.type == "cuda":
            devices = [torch.cuda.current_device() if device.index is None else device.index]
        with torch.random.fork_rng(devices=devices):
            torch.manual_seed(int(np.random.SeedSequence((self._seed, epoch)).generate_state(1, np.uint64)[0] >> 1))
            yield


def measured(task: Task, network: Network, part: str) -> tuple[float, float]:
    """Return accuracy and mean cross-entropy of a part, without dropout."""
    torch = need("torch")
    network.module.eval()
    with torch.no_grad():
        scores, labels = task.scores(network, part), task.labels(part)
        n_right = int((scores.argmax(1) == labels).sum())
        return n_right / len(labels), float(torch.nn.functional.cross_entropy(scores, labels))


def save(state: Mapping[str, Any], path: Any) -> None:
    """Write a state to a file, whole or not at all."""
    part = path.with_suffix(".part")
    need("torch").save(dict(state), part)
    part.replace(path)


def load(path: Any, device: Any) -> dict[str, Any]:
    """Return the state in a file.

    Raises:
        CheckpointError: It cannot be read.
    """
    try:
        return dict(need("torch").load(path, map_location=device, weights_only=True))
    except Exception as error:  # a damaged file may raise anything
        raise CheckpointError(f"checkpoint: {path} cannot be read; {type(error).__name__}: {error}") from error
