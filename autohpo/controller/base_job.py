"""The base job: a function, a trainer or a command line, as the objective of the controller's optimizer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from autohpo.commands import CommandObjective
from autohpo.controller.command_jobs import command_job
from autohpo.controller.measured import Measured
from autohpo.controller.metrics import Metrics
from autohpo.controller.trainers import is_trainer, trainer_job
from autohpo.errors import OptionError, short
from autohpo.objective import Objective
from autohpo.spaces import SearchSpace


def base_job(
    given: Any, metrics: Metrics, space: SearchSpace, fidelity: str | None, *, has_dataset: bool
) -> tuple[Callable[..., Any], str]:
    """Return a base job as an objective, and its name.

    Args:
        given: A function, a trainer, a command line as a string, or a :class:`CommandObjective`.
        metrics: The objectives.
        space: The parameters.
        fidelity: The hyper-parameter that is the fidelity, if one is.
        has_dataset: Whether jobs are given a dataset.

    Raises:
        OptionError: It is none of these, or cannot be given the parameters.
    """
    if isinstance(given, (str, CommandObjective)):
        job = command_job(given, metrics)
        job.check(space, fidelity)
        text = job.command if isinstance(job.command, str) else " ".join(job.command)
        return Measured(job, metrics), text
    if is_trainer(given):
        found = trainer_job(given, metrics, has_fidelity=fidelity is not None)
        return Measured(found, metrics), type(given).__name__
    if not callable(given) or isinstance(given, type):
        raise OptionError(
            "base_task_id: must be a function of the parameters, a command line with {name} for each parameter, or a "
            f"trainer with AutoGL's contract, got {short(given)}"
        )
    f = Measured(given, metrics)
    Objective.of(f, object() if has_dataset else None, metrics.mode)  # raises where it asks for what nobody offers
    return f, getattr(given, "__name__", type(given).__name__)
