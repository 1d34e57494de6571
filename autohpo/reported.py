"""What the reports of an attempt come to: its result, where they say that, and the metrics along the way."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from autohpo.objectives import Objectives
from autohpo.outcome import Outcome, Perf, TrialState, perfs_of
from autohpo.trial import Task

Keep = Literal["last", "best"]
"""Which of its reports is the result of a trial that reports or yields: the last, or the best."""


@dataclass
class Tally:
    """The last, the least and the largest value of each metric that was reported.

    Example:
        >>> tally = Tally()
        >>> tally.count({"loss": 3.0})
        >>> tally.count({"loss": 2.0})
        >>> tally.merged({"size": 7.0})
        {'size': 7.0, 'loss': 2.0, 'loss.min': 2.0, 'loss.max': 3.0}
    """

    values: dict[str, tuple[float, float, float]] = field(default_factory=dict)

    def count(self, metrics: Mapping[str, float]) -> None:
        """Take the metrics of a report."""
        for name, value in metrics.items():
            _, least, largest = self.values.get(name, (value, value, value))
            self.values[name] = value, min(value, least), max(value, largest)

    def merged(self, returned: Mapping[str, float]) -> Mapping[str, float]:
        """Return the metrics of the trial, as ``loss``, ``loss.min`` and ``loss.max``.

        Args:
            returned: What the objective returned beside its result: the last value of each; ``loss.min`` and
                ``loss.max`` count, too.
        """
        if not self.values:
            return returned
        self.count({name: value for name, value in returned.items() if name in self.values})
        found = dict(returned)
        for name, (last, least, largest) in self.values.items():
            least = min(least, returned.get(f"{name}.min", least))
            largest = max(largest, returned.get(f"{name}.max", largest))
            found |= {name: last, f"{name}.min": least, f"{name}.max": largest}
        return found


@dataclass
class ReportLog:
    """The reports of a training, as far as they count.

    Attributes:
        reports: ``(fidelity, perf)`` in the order reported, of all attempts that a paused generator went through.
        tally: The metrics of the reports.
        is_over: Whether a report of this attempt was answered with False: it should end there.
        n_ignored: How many reports of this attempt came after that.
    """

    reports: list[tuple[float, Perf]] = field(default_factory=list)
    tally: Tally = field(default_factory=Tally)
    is_over: bool = False
    n_ignored: int = 0


@dataclass(frozen=True)
class ReportRules:
    """How the result of an attempt follows from what it returned and what it reported.

    Attributes:
        objectives: What results mean.
        keep: Which of the reports is the result.
    """

    objectives: Objectives
    keep: Keep = "last"

    def measured(self, result: object, task: Task, log: ReportLog) -> Outcome:
        """Return the outcome of what an objective returned; of its reports, where these say more.

        What it reported when it was told to end is its result: at a rung, trials are compared by that. Only without
        such an answer the number that it returns counts.

        Args:
            result: What it returned.
            task: What it was given.
            log: What it reported.

        Raises:
            InvalidPerfError: It is no result.
        """
        if not log.reports:
            return self.objectives.measure(result)
        _, reported = log.reports[-1]
        is_more = isinstance(result, (Mapping, tuple, list))  # constraints, metrics, a cost
        outcome = self.objectives.measure(reported if result is None or (log.n_ignored and not is_more) else result)
        perfs = perfs_of(reported) if log.is_over else outcome.perfs
        if self.keep == "best":
            perfs = (self._best(task, log.reports, outcome.perfs[0] if not log.n_ignored else perfs_of(reported)[0]),)
        if log.n_ignored or (self.keep == "last" and not _are_close(perfs, outcome.perfs)):
            outcome = replace(outcome, advice=_advice(task, log, outcome.perfs))
        return replace(outcome, perfs=perfs, metrics=log.tally.merged(outcome.metrics))

    def last(self, state: TrialState, task: Task, log: ReportLog) -> Outcome:
        """Return the outcome of a generator: what it yielded last, or the best of that.

        Args:
            state: How it ended.
            task: What it was given.
            log: What it yielded; at least once.
        """
        reached, perf = log.reports[-1]
        perfs = perfs_of(perf)
        if self.keep == "best":
            perfs = (self._best(task, log.reports, perfs[0]),)
        return Outcome(state, perfs, metrics=log.tally.merged({}), reached=reached)

    def _best(self, task: Task, reports: Sequence[tuple[float, Perf]], perf: float) -> float:
        """The best of a result, of the reports before it, and of the trial that it continues; of one objective."""
        sign = self.objectives.signs[0]
        earlier = [] if task.resumed_perf is None else [task.resumed_perf]
        return max([perf, *earlier, *(perfs_of(reported)[0] for _, reported in reports)], key=lambda one: sign * one)


def _are_close(some: Sequence[float], others: Sequence[float]) -> bool:
    """Whether values are equal but for rounding."""
    return all(math.isclose(a, b, rel_tol=1e-6, abs_tol=1e-12) for a, b in zip(some, others, strict=True))


def _text(perfs: Sequence[float]) -> str:
    return ", ".join(f"{perf:g}" for perf in perfs)


def _advice(task: Task, log: ReportLog, perfs: Sequence[float]) -> str:
    """What to tell the author of an objective that does not end when told to, or then returns another number."""
    fidelity, reported = log.reports[-1]
    last = _text(perfs_of(reported))
    if log.n_ignored:
        return (
            f"f: trial {task.number} went on training after trial.report had returned False at fidelity {fidelity:g}; "
            "its result is what it reported there, and the rest of its training is wasted; end the training where "
            "report returns False: `if not trial.report(...): break`"
        )
    return (
        f"f: trial {task.number} returned {_text(perfs)}, and had reported {last} when it was told to end, at fidelity "
        f"{fidelity:g}; the report is its result: return nothing or the same number, or give optimize(keep='best') for "
        "the best of the reports"
    )
