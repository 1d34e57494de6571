"""A trainer's training as a generator: one yield after each epoch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from autohpo.errors import OptionError
from autohpo.integrations.pyg.configuration import flat
from autohpo.integrations.pyg.training import load, save
from autohpo.trial_handle import TrialHandle

if TYPE_CHECKING:
    from autohpo.integrations.pyg.trainer import Trainer

CHECKPOINT = "training.pt"
"""The file of a training in its checkpoint folder."""


@dataclass(eq=False)
class EpochObjective:
    """A trainer's training as an objective: yields the best validation accuracy so far, after each epoch.

    An algorithm with fidelities pauses it after some epochs, and continues it when it is promoted. It saves itself
    before each pause, so it goes on in another process as well, bit for bit on a CPU. A paused model leaves the GPU.

    Args:
        trainer: The trainer; its own hyper-parameters are those that the configuration does not have.
        dataset: The data; None where ``optimize(dataset=...)`` gives it.
        checkpoint_every: The number of epochs after which it saves itself, too.
    """

    trainer: Trainer
    dataset: Any = None
    checkpoint_every: int = 50

    def __call__(
        self, hps: Mapping[str, Any], trial: TrialHandle, dataset: Any = None
    ) -> Iterator[tuple[float, dict[str, float]]]:
        """Train, and yield ``(accuracy, metrics)``; the metrics are those of the last epoch.

        Raises:
            OptionError: There is no data.
        """
        data = self.dataset if dataset is None else dataset
        if data is None:
            raise OptionError("dataset: give trainer.objective(dataset), or optimize(dataset=...)")
        hp = flat(hps)
        if trial.fidelity is not None and hp.get("max_epoch") == trial.fidelity:
            del hp["max_epoch"]  # optimize(fidelity="max_epoch"): it pauses there, to go on later
        trainer = self.trainer.duplicate_from_hyper_parameter(hp)
        training, device = trainer.begin(data, trial.seed)
        path = trial.checkpoint_dir / CHECKPOINT
        if path.exists():  # promoted, or started again after a crash
            training.load(load(path, device))
            trial.resume_at(training.epoch - 1)
            yield training.score, training.metrics
        while not training.is_over:
            training.step()
            is_paused = trial.fidelity is not None and training.epoch >= trial.fidelity
            if is_paused or training.is_over or training.epoch % self.checkpoint_every == 0:
                save(training.state(), path)
            if is_paused:
                training.move("cpu")
            yield training.score, training.metrics
            if is_paused:
                training.move(device)
