"""What the reports of an attempt come to: its result, where they say that, and the metrics along the way."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from autohpo.objectives import Objectives
from autohpo.outcome import Outcome, TrialState
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
            returned: What the objective returned beside its result: the last value of each.
        """
        if not self.values:
            return returned
        self.count({name: value for name, value in returned.items() if name in self.values})
        found = dict(returned)
        for name, (last, least, largest) in self.values.items():
            found |= {name: last, f"{name}.min": least, f"{name}.max": largest}
        return found


@dataclass(frozen=True)
class ReportRules:
    """How the result of an attempt follows from what it returned and what it reported.

    Attributes:
        objectives: What results mean.
        keep: Which of the reports is the result.
    """

    objectives: Objectives
    keep: Keep = "last"

    def measured(
        self, result: object, task: Task, reports: Sequence[tuple[float, float]], tally: Tally, n_ignored: int
    ) -> Outcome:
        """Return the outcome of what an objective returned; of its reports, where it returned nothing.

        Where it went on after it was told to end, what it reported last before that is its result.

        Args:
            result: What it returned.
            task: What it was given.
            reports: Its reports as ``(fidelity, perf)``.
            tally: Their metrics.
            n_ignored: How many more it made after it was told to end.

        Raises:
            InvalidPerfError: It is no result.
        """
        if not reports:
            return self.objectives.measure(result)
        reached, reported = reports[-1]
        if result is None or (n_ignored and not isinstance(result, (Mapping, tuple, list))):
            result = reported
        outcome = self.objectives.measure(result)
        if n_ignored:
            outcome = replace(outcome, perfs=(reported,), advice=_advice(task, reached))
        if self.keep == "best":
            outcome = replace(outcome, perfs=(self._best(task, reports, outcome.perfs[0]),))
        return replace(outcome, metrics=tally.merged(outcome.metrics))

    def last(
        self, state: TrialState, task: Task, reports: Sequence[tuple[float, float]], tally: Tally
    ) -> Outcome:
        """Return the outcome of a generator: what it yielded last, or the best of that.

        Args:
            state: How it ended.
            task: What it was given.
            reports: What it yielded, as ``(fidelity, perf)``; at least one.
            tally: The metrics of that.
        """
        reached, perf = reports[-1]
        if self.keep == "best":
            perf = self._best(task, reports, perf)
        return Outcome(state, (perf,), metrics=tally.merged({}), reached=reached)

    def _best(self, task: Task, reports: Sequence[tuple[float, float]], perf: float) -> float:
        """The best of a result, of the reports before it, and of the trial that this one continues."""
        sign = self.objectives.signs[0]
        earlier = [] if task.resumed_perf is None else [task.resumed_perf]
        return max([perf, *earlier, *(reported for _, reported in reports)], key=lambda one: sign * one)


def _advice(task: Task, reached: float) -> str:
    """What to tell the author of an objective that goes on when told to end."""
    return (
        f"f: trial {task.number} went on training after trial.report had returned False at fidelity {reached:g}; its "
        "result is what it reported there, and the rest of its training is wasted; end the training where report "
        "returns False: `if not trial.report(...): break`"
    )
