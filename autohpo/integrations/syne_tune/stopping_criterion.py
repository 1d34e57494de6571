"""StoppingCriterion: when a tuner ends its search."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from autohpo.integrations.syne_tune.tuning_status import TuningStatus

__all__ = ["StoppingCriterion"]

_log = logging.getLogger("autohpo")


@dataclass
class StoppingCriterion:
    """A callable that says whether a search is over: once any of its limits is passed.

    Attributes:
        max_wallclock_time: The seconds that the search may take.
        max_num_evaluations: How many reports there may be.
        max_num_trials_started: How many trials may be started; one that is resumed counts once.
        max_num_trials_completed: How many trials may be trained in full.
        max_cost: What the trials may cost by their own reports, as "st_worker_cost".
        max_num_trials_finished: How many trials may have ended for good.
        min_metric_value: The least value of each metric that may be reported without an end.
        max_metric_value: The largest value of each metric that may be reported without an end.

    Example:
        >>> status = TuningStatus(["loss"])
        >>> status.add(0, {"loss": 0.5})
        >>> StoppingCriterion(min_metric_value={"loss": 0.5})(status)
        False
        >>> status.add(0, {"loss": 0.4})
        >>> StoppingCriterion(min_metric_value={"loss": 0.5})(status)
        True
    """

    max_wallclock_time: float | None = None
    max_num_evaluations: int | None = None
    max_num_trials_started: int | None = None
    max_num_trials_completed: int | None = None
    max_cost: float | None = None
    max_num_trials_finished: int | None = None
    min_metric_value: Mapping[str, float] | None = None
    max_metric_value: Mapping[str, float] | None = None

    def __call__(self, status: TuningStatus) -> bool:
        """Return whether a limit is passed."""
        for name, value, limit in self._compared(status):
            if value > limit:
                _log.info("the search ends: %s is %g, above the limit %g", name, value, limit)
                return True
        seen = status.overall_metric_statistics
        for name, least in (self.min_metric_value or {}).items():
            if seen.min_metrics.get(name, least) < least:
                _log.info("the search ends: %s is %g, below the limit %g", name, seen.min_metrics[name], least)
                return True
        return False

    def _compared(self, status: TuningStatus) -> Iterator[tuple[str, float, float]]:
        """Each number that has a limit, by name, and the limit."""
        seen = status.overall_metric_statistics
        pairs = (
            ("wallclock_time", status.wallclock_time, self.max_wallclock_time),
            ("num_trials_started", status.num_trials_started, self.max_num_trials_started),
            ("num_trials_completed", status.num_trials_completed, self.max_num_trials_completed),
            ("num_trials_finished", status.num_trials_finished, self.max_num_trials_finished),
            ("num_evaluations", seen.count, self.max_num_evaluations),
            ("cost", status.cost, self.max_cost),
        )
        yield from ((name, value, limit) for name, value, limit in pairs if limit is not None)
        for name, limit in (self.max_metric_value or {}).items():
            yield name, seen.max_metrics.get(name, limit), limit
