"""Trials as programs for Syne Tune see them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any

__all__ = ["Status", "Trial", "TrialResult"]


class Status:
    """How a trial stands."""

    completed = "Completed"
    in_progress = "InProgress"
    failed = "Failed"
    paused = "Paused"
    stopped = "Stopped"
    stopping = "Stopping"


@dataclass
class Trial:
    """A configuration that is trained, in one piece or in several.

    Attributes:
        trial_id: The number of the trial, from 0.
        config: The configuration, constants included.
        creation_time: The time at which it was made.
    """

    trial_id: int
    config: Mapping[str, Any]
    creation_time: datetime = field(default_factory=lambda: datetime.now(tz=timezone.utc))

    def add_results(
        self, metrics: Sequence[Mapping[str, Any]], status: str, training_end_time: datetime | None
    ) -> TrialResult:
        """Return the trial with its results.

        Args:
            metrics: What it reported.
            status: How it stands.
            training_end_time: When it ended.
        """
        return TrialResult(self.trial_id, self.config, self.creation_time, metrics, status, training_end_time)


@dataclass
class TrialResult(Trial):
    """A trial with what it reported.

    Attributes:
        metrics: The reports in their order.
        status: How it stands.
        training_end_time: When it ended; None where it runs.
    """

    metrics: Sequence[Mapping[str, Any]] = ()
    status: str = Status.in_progress
    training_end_time: datetime | None = None

    @property
    def seconds(self) -> float:
        """The seconds from when it was made to its end, or to now."""
        return (
            (self.training_end_time or datetime.now(tz=self.creation_time.tzinfo)) - self.creation_time
        ).total_seconds()
