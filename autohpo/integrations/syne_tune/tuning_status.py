"""TuningStatus: how a search of a tuner stands, as stopping criteria see it."""

from __future__ import annotations

import math
import time
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from autohpo.integrations.syne_tune.backend.trial_status import Status
from autohpo.integrations.syne_tune.constants import ST_WORKER_COST, ST_WORKER_TIME

__all__ = ["MetricsStatistics", "TuningStatus"]

FINISHED = frozenset({Status.completed, Status.stopped, Status.stopping, Status.failed})
"""How trials stand that will not go on."""


@dataclass
class MetricsStatistics:
    """The least, the largest, the sum and the last of each number that was reported.

    Attributes:
        count: How many reports there were.
        min_metrics: The least of each number.
        max_metrics: The largest of each number.
        sum_metrics: The sum of each number.
        last_metrics: The last report.
    """

    count: int = 0
    min_metrics: dict[str, float] = field(default_factory=dict)
    max_metrics: dict[str, float] = field(default_factory=dict)
    sum_metrics: dict[str, float] = field(default_factory=dict)
    last_metrics: Mapping[str, Any] = field(default_factory=dict)

    @property
    def metric_names(self) -> list[str]:
        """The names of all numbers."""
        return list(self.min_metrics)

    def add(self, metrics: Mapping[str, Any]) -> None:
        """Take a report."""
        self.count += 1
        self.last_metrics = dict(metrics)
        for name, value in metrics.items():
            if isinstance(value, (int, float)):
                self.min_metrics[name] = min(self.min_metrics.get(name, math.inf), value)
                self.max_metrics[name] = max(self.max_metrics.get(name, -math.inf), value)
                self.sum_metrics[name] = self.sum_metrics.get(name, 0.0) + value


class TuningStatus:
    """How a search stands.

    Args:
        metric_names: The names of the metrics.

    Attributes:
        last_trial_status_seen: How each trial stands, by its number.
        overall_metric_statistics: What all trials reported.
        trial_metric_statistics: What each trial reported, by its number.
    """

    def __init__(self, metric_names: Sequence[str]) -> None:
        self.metric_names = list(metric_names)
        self.last_trial_status_seen: dict[int, str] = {}
        self.overall_metric_statistics = MetricsStatistics()
        self.trial_metric_statistics: defaultdict[int, MetricsStatistics] = defaultdict(MetricsStatistics)
        self._began = time.perf_counter()

    def add(self, trial_id: int, result: Mapping[str, Any]) -> None:
        """Take a report of a trial."""
        self.overall_metric_statistics.add(result)
        self.trial_metric_statistics[trial_id].add(result)

    @property
    def num_trials_started(self) -> int:
        """How many trials were started; one that is resumed counts once."""
        return len(self.last_trial_status_seen)

    @property
    def num_trials_completed(self) -> int:
        """How many trials were trained in full."""
        return self._n({Status.completed})

    @property
    def num_trials_failed(self) -> int:
        """How many trials failed."""
        return self._n({Status.failed})

    @property
    def num_trials_running(self) -> int:
        """How many trials run."""
        return self._n({Status.in_progress})

    @property
    def num_trials_finished(self) -> int:
        """How many trials will not go on: completed, stopped or failed."""
        return self._n(FINISHED)

    @property
    def wallclock_time(self) -> float:
        """The seconds since the search began."""
        return time.perf_counter() - self._began

    @property
    def user_time(self) -> float:
        """The seconds that trials trained, by their own reports."""
        return self._sum_of_largest(ST_WORKER_TIME)

    @property
    def cost(self) -> float:
        """What trials cost, by their own reports."""
        return self._sum_of_largest(ST_WORKER_COST)

    def _n(self, kinds: frozenset[str] | set[str]) -> int:
        return sum(status in kinds for status in self.last_trial_status_seen.values())

    def _sum_of_largest(self, name: str) -> float:
        return sum(one.max_metrics.get(name, 0.0) for one in self.trial_metric_statistics.values())

    def __str__(self) -> str:
        counts = Counter(self.last_trial_status_seen.values())
        parts = [f"{n} {status}" for status, n in sorted(counts.items())]
        return f"{self.num_trials_started} trials ({', '.join(parts) or 'none'}), {self.wallclock_time:.0f} s"
