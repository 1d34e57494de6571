"""Median stopping: any sampler, whose hopeless trials are stopped: those behind the median of the others."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from autohpo.algorithms.options import option_names
from autohpo.algorithms.registry import get_hpo, register_hpo
from autohpo.algorithms.scheduled import Scheduled
from autohpo.history import HistoryView
from autohpo.schedulers.median import MedianStopping
from autohpo.schedulers.stopped import StoppedTrials


@register_hpo("median_stopping")
@dataclass(eq=False, kw_only=True)
class MedianStoppingSearch(Scheduled):
    """Runs every trial in full, and stops it at a report where its best value is below the median of the others.

    The objective must report. A sampler sees a trial that was stopped as one with a bad result: its last value, no
    better than the median of the full results; see :class:`autohpo.schedulers.stopped.StoppedTrials`.

    Source: Golovin et al. 2017, KDD, Google Vizier, section 3.2.1. The means of all others that came as far are
    compared with, and not those of completed trials alone.

    Args:
        max_fidelity: What a full evaluation gets, and every trial that is not stopped.
        grace_period: The fidelity before which no trial is stopped.
        min_trials: How many others must have come as far before one is stopped.
        sampler: Where new configurations come from; see :class:`autohpo.algorithms.scheduled.Scheduled`.

    Raises:
        OptionError: An option breaks a rule.

    Example:
        >>> from autohpo import RangeHP
        >>> hpo = MedianStoppingSearch([RangeHP("x", 0.0, 1.0)], max_fidelity=9, min_trials=3, seed=0)
        >>> running = [hpo.ask() for _ in range(4)]
        >>> [hpo.report(suggestion, 1, perf) for suggestion, perf in zip(running, (0.3, 0.5, 0.7, 0.4))]
        [True, True, True, False]
    """

    supports: ClassVar[frozenset[str]] = frozenset({"constraints"})
    option_aliases: ClassVar[Mapping[str, str]] = {"max_budget": "max_fidelity", "max_t": "max_fidelity"}

    grace_period: float = 1.0
    min_trials: int = 5

    @property
    def min_fidelity(self) -> float:
        """The least that a trial is given: everything."""
        return self.max_fidelity

    @property
    def needs_reports(self) -> bool:
        """Whether all that it saves is saved at reports: it is."""
        return True

    def _make_scheduler(self) -> MedianStopping:
        return MedianStopping(self.max_fidelity, self.grace_period, self.min_trials)

    def _level(self) -> float | None:
        """Every result is one in full here, but for a sampler that learns from curves: it sees everything."""
        reads_curves = "searcher_data" in option_names(get_hpo(self._sampler_name))
        return None if reads_curves or not self.has_fidelity else self.max_fidelity

    def _view_of(self, level: float | None) -> HistoryView:
        return self.history if level is None else StoppedTrials(self.history, level)
