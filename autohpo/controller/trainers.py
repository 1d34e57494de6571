"""Trainers as base jobs: duplicate, train, score; the score is the metric."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from autohpo.controller.metrics import Metrics
from autohpo.errors import OptionError
from autohpo.trainer import TrainerObjective, check_trainer
from autohpo.trial_handle import TrialHandle


def is_trainer(job: object) -> bool:
    """Return whether a base job is a trainer with AutoGL's contract."""
    return hasattr(job, "duplicate_from_hyper_parameter") and not isinstance(job, type)


def trainer_job(trainer: Any, metrics: Metrics, *, has_fidelity: bool) -> Callable[..., Any]:
    """Return a trainer as a job that returns its validation score.

    Args:
        trainer: An object with AutoGL's ``duplicate_from_hyper_parameter``, ``train`` and ``get_valid_score``.
        metrics: The objective; a score that says which way it is better must agree with its sign.
        has_fidelity: Whether one of its hyper-parameters is the fidelity.

    Raises:
        OptionError: A method is missing, or there are several objectives.
    """
    check_trainer(trainer)
    if len(metrics.each) > 1:
        raise OptionError("objective_metric_title: must name one metric where base_task_id is a trainer, got a list")
    goes_on = has_fidelity and TrainerObjective(trainer, None, "").is_continued
    return ContinuedTrainerJob(trainer, metrics) if goes_on else TrainerJob(trainer, metrics)


class TrainerJob:
    """A trainer as a job.

    Args:
        trainer: The trainer.
        metrics: The one objective.
    """

    is_continued = False

    def __init__(self, trainer: Any, metrics: Metrics) -> None:
        self.trainer, self.metrics = trainer, metrics

    def __call__(self, hps: dict[str, Any], dataset: Any = None) -> float:
        """Return the validation score of the trainer, trained with a configuration."""
        return self._score(hps, dataset, None)

    def _score(self, hps: dict[str, Any], dataset: Any, trial: TrialHandle | None) -> float:
        trained, perf = TrainerObjective(self.trainer, dataset, "").train(hps, trial)
        score = trained.get_valid_score()
        way = self.metrics.each[0].way
        if not isinstance(score, tuple):
            return perf  # it does not say which way it is better: the sign does
        if (way == "max") is not bool(score[1]):
            which = "higher" if score[1] else "lower"
            raise OptionError(f"objective_metric_sign: is {way!r}, but {which} is better by the trainer's own word")
        return perf if score[1] else -perf


class ContinuedTrainerJob(TrainerJob):
    """A trainer as a job that goes on from its checkpoints when it gets more fidelity."""

    is_continued = True

    def __call__(self, hps: dict[str, Any], trial: TrialHandle, dataset: Any = None) -> float:  # type: ignore[override]
        """Return the validation score of the trainer, trained from what it has saved."""
        return self._score(hps, dataset, trial)
