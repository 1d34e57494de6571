"""TunerCallback: what is told how a search of a tuner goes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from autohpo.integrations.syne_tune.backend.trial_status import Trial

if TYPE_CHECKING:
    from autohpo.integrations.syne_tune.tuner import Tuner

__all__ = ["TunerCallback"]


class TunerCallback:
    """A callback of a tuner; override what you need."""

    def on_tuning_start(self, tuner: Tuner) -> None:
        """Called before the search begins."""

    def on_tuning_end(self) -> None:
        """Called when the search has ended."""

    def on_loop_start(self) -> None:
        """Called before the tuner looks what has happened."""

    def on_loop_end(self) -> None:
        """Called when the tuner has looked what has happened."""

    def on_start_trial(self, trial: Trial) -> None:
        """Called when a new trial starts."""

    def on_resume_trial(self, trial: Trial) -> None:
        """Called when a paused trial goes on."""

    def on_trial_result(self, trial: Trial, status: str, result: Mapping[str, Any], decision: str) -> None:
        """Called at each report.

        Args:
            trial: The trial.
            status: How it stands.
            result: What it reported.
            decision: What becomes of it: CONTINUE, PAUSE or STOP.
        """

    def on_trial_complete(self, trial: Trial, result: Mapping[str, Any]) -> None:
        """Called when a trial was trained in full.

        Args:
            trial: The trial.
            result: What it reported last.
        """
