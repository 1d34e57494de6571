"""Run, Datum and Job: what is known of one evaluation, and of the evaluations of one configuration."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

__all__ = ["ConfigId", "Datum", "Job", "Run"]

ConfigId = tuple[int, int, int]
"""The iteration, the stage where the configuration was drawn, and its place among those of that stage."""


@dataclass
class Run:
    """One evaluation of a configuration.

    Attributes:
        config_id: The id of the configuration.
        budget: The budget of the evaluation.
        loss: The loss; None where the evaluation crashed.
        info: What ``compute`` returned beside the loss.
        time_stamps: Seconds since the begin of the search when it was submitted, started and finished.
        error_logs: The traceback, or what else is known of a crash; None where there was none.

    Example:
        >>> run = Run((0, 0, 0), 9.0, 0.25, None, {"submitted": 0.0, "started": 0.0, "finished": 1.5}, None)
        >>> run["loss"]
        0.25
    """

    config_id: ConfigId
    budget: float
    loss: float | None
    info: Any
    time_stamps: Mapping[str, float]
    error_logs: str | None

    def __getitem__(self, key: str) -> Any:
        """Return an attribute by its name.

        Raises:
            KeyError: There is none.
        """
        if key not in vars(self):
            raise KeyError(key)
        return getattr(self, key)


@dataclass
class Datum:
    """A configuration and its evaluations, by budget.

    Attributes:
        config: The configuration.
        config_info: A dict that says whether a model picked it, as ``model_based_pick``.
        results: Loss and info of each evaluation; None where it crashed.
        time_stamps: When each was submitted, started and finished.
        exceptions: The error of each; None where there was none.
        status: How the configuration stands.
        budget: The budget of its last evaluation.
    """

    config: dict[str, Any]
    config_info: Any
    results: dict[float, Any] = field(default_factory=dict)
    time_stamps: dict[float, dict[str, float]] = field(default_factory=dict)
    exceptions: dict[float, str | None] = field(default_factory=dict)
    status: str = "QUEUED"
    budget: float = 0

    def add(self, budget: float, result: Any, time_stamps: Mapping[str, float], exception: str | None) -> None:
        """Take an evaluation; one at the same budget replaces the earlier one.

        Args:
            budget: The budget.
            result: A dict of loss and info; None after a crash.
            time_stamps: When it was submitted, started and finished.
            exception: The error, if there was one.
        """
        self.results[budget], self.time_stamps[budget] = result, dict(time_stamps)
        self.exceptions[budget] = exception
        self.status, self.budget = "CRASHED" if result is None else "COMPLETED", budget


@dataclass
class Job:
    """An evaluation as a result logger gets it.

    Attributes:
        id: The id of the configuration.
        kwargs: The arguments of ``compute``: config, budget and working_directory.
        timestamps: Unix seconds when it was submitted, started and finished.
        result: A dict of loss and info; None where the evaluation crashed.
        exception: The error of a crash.
        worker_name: The worker that ran it.
    """

    id: ConfigId
    kwargs: dict[str, Any]
    timestamps: dict[str, float] = field(default_factory=dict)
    result: dict[str, Any] | None = None
    exception: str | None = None
    worker_name: str | None = None
