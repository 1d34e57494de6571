"""Hyperband's schedule: sizes, fidelities and cost of its brackets, as pure arithmetic."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

from autohpo.schedulers.limits import Limits, TrainingPlan
from autohpo.schedulers.rungs import SLACK, Rungs, rungs_of

__all__ = ["SLACK", "Plan", "PlannedRungs", "Schedule", "with_training_plan"]


@dataclass(frozen=True)
class Plan:
    """One bracket: how many configurations run at which fidelity, rung by rung.

    Attributes:
        sizes: The number of configurations in each rung.
        fidelities: The fidelity of each rung, rising; the last is the full one.
    """

    sizes: tuple[int, ...]
    fidelities: tuple[float, ...]

    @property
    def cost(self) -> float:
        """What it costs, in full evaluations, where every rung starts from scratch."""
        return sum(n * r for n, r in zip(self.sizes, self.fidelities, strict=True)) / self.fidelities[-1]

    def costs(self, is_continued: bool) -> tuple[float, ...]:
        """Return what a trial costs in each rung, in full evaluations.

        Args:
            is_continued: Whether a promoted trial continues its training.
        """
        before = (0.0, *self.fidelities) if is_continued else (0.0,) * len(self.fidelities)
        return tuple((r - b) / self.fidelities[-1] for b, r in zip(before, self.fidelities, strict=False))

    def fits(self, limits: Limits) -> bool:
        """Return whether it comes to its end with what limits leave."""
        cost = self.resumed_cost if limits.is_continued else self.cost
        return self.n <= limits.n_left and cost <= limits.cost_left + SLACK

    @property
    def n(self) -> int:
        """How many trainings it has; a promotion counts as one."""
        return sum(self.sizes)

    @property
    def resumed_cost(self) -> float:
        """What it costs, in full evaluations, where a promoted trial continues its training."""
        steps = [b - a for a, b in zip((0.0, *self.fidelities), self.fidelities, strict=False)]
        return sum(n * r for n, r in zip(self.sizes, steps, strict=True)) / self.fidelities[-1]


@dataclass(frozen=True)
class Schedule:
    """The brackets that Hyperband opens in turn; printed, it is a table of them.

    Every rung has `eta` times the fidelity of the one below and about 1 / `eta` of its configurations; where rungs are
    a list, or have an increment, there are as many fewer as the fidelity is higher.

    Args:
        min_fidelity: Lower bound of the lowest rung, which is the lowest ``max_fidelity / eta^k`` above it.
        max_fidelity: The fidelity of the last rung of every bracket.
        eta: Factor between rungs.
        bracket_sizes: How many configurations bracket s of S, with s rungs above the first, starts with:
            "ceil" is ``ceil(S / (s+1) * eta^s)``, as in Algorithm 1 of the paper; "floor" is
            ``floor(S / (s+1)) * eta^s``, as in its Table 1 and in HpBandSter.
        training_plan: What a search with these brackets will train, where it has a limit; printed with them.
        levels: The rungs as a list; see :func:`autohpo.schedulers.rungs.rungs_of`, as for the two below.
        increment: The distance between two rungs.
        is_whole: Whether rungs are rounded to integers; None is where both ends are integers.

    Raises:
        OptionError: A bound or the factor breaks a rule.

    Source: Li et al. 2018, JMLR 18(185), Algorithm 1.

    Example:
        >>> print(Schedule(1, 9, 3))
        configurations at each fidelity; cost in full evaluations, from scratch and resumed
        bracket   @1   @3   @9     cost  resumed
              0    9    3    1     3.00     2.33
              1         5    1     2.67     2.33
              2              3     3.00     3.00
            all    9    8    5     8.67     7.67
    """

    min_fidelity: float
    max_fidelity: float
    eta: float = 3.0
    bracket_sizes: Literal["ceil", "floor"] = "ceil"
    training_plan: TrainingPlan | None = None
    levels: tuple[float, ...] | None = None
    increment: float | None = None
    is_whole: bool | None = None

    def __post_init__(self) -> None:
        self.rungs  # noqa: B018 - made at once, so that what breaks a rule is refused here

    @cached_property
    def rungs(self) -> Rungs:
        """The rungs of the bracket that has all of them."""
        return rungs_of(
            self.min_fidelity,
            self.max_fidelity,
            self.eta,
            levels=self.levels,
            increment=self.increment,
            is_whole=self.is_whole,
        )

    @property
    def fidelities(self) -> tuple[float, ...]:
        """Every rung's fidelity, rising; an int where it is whole."""
        return self.rungs.fidelities

    @cached_property
    def brackets(self) -> tuple[Plan, ...]:
        """One round of brackets, that with the most rungs first; the next round is the same."""
        n = len(self.fidelities)
        return tuple(Plan(self._sizes(n, n - first), self.fidelities[first:]) for first in range(n))

    def _sizes(self, n_brackets: int, n_rungs: int) -> tuple[int, ...]:
        """Configurations in each rung of the bracket with `n_rungs` rungs."""
        width = self.rungs.widths[-n_rungs]  # eta^(n_rungs - 1)
        if self.bracket_sizes == "ceil":
            start = math.ceil(n_brackets * width / n_rungs - SLACK)  # Algorithm 1, line 2: n, with B / R = s_max + 1
        else:
            start = int(n_brackets // n_rungs * width + SLACK)
        return self._shrunk(start, n_rungs)

    def _shrunk(self, start: int, n_rungs: int) -> tuple[int, ...]:
        """How many of a number of configurations come to each of the last `n_rungs` rungs."""
        widths = self.rungs.widths[-n_rungs:]
        return tuple(max(1, int(start / (widths[0] / width) + SLACK)) for width in widths)  # line 5: n_i

    @cached_property
    def smaller(self) -> tuple[tuple[Plan, ...], ...]:
        """The brackets that may be run in place of each one where that is too large, the largest first.

        It is the smallest bracket of these rungs in which 1 / `eta` of every rung goes on, and one of 1 / `eta` of its
        size, in which the only one that is left goes on at the end; at last one full evaluation alone.
        """
        return tuple(self._smaller(bracket) for bracket in self.brackets)

    def _smaller(self, bracket: Plan) -> tuple[Plan, ...]:
        n_rungs = len(bracket.sizes)
        widths = self.rungs.widths[-n_rungs:]
        starts = [math.ceil(width - SLACK) for width in widths[: 2 if n_rungs > 2 else 1]]
        return tuple(Plan(self._shrunk(start, n_rungs), bracket.fidelities) for start in starts)

    def plan_of(self, index: int, sizes: object = None) -> Plan | None:
        """Return the bracket that was opened as number `index`; None where its notes are of another schedule.

        Args:
            index: The number of the bracket, from 0.
            sizes: The sizes of its rungs, where it was not the one of the schedule.
        """
        if sizes is None:
            return self.bracket(index)
        is_plan = isinstance(sizes, list) and 0 < len(sizes) <= len(self.fidelities)
        if not is_plan or not all(type(n) is int and n > 0 for n in sizes):  # type: ignore[attr-defined]
            return None
        return Plan(tuple(sizes), self.fidelities[-len(sizes) :])  # type: ignore[arg-type]

    @property
    def n_trials(self) -> int:
        """How many trainings one round of brackets has; a promotion counts as one."""
        return sum(bracket.n for bracket in self.brackets)

    def bracket(self, index: int) -> Plan:
        """Return the bracket that is opened as number `index`, from 0."""
        return self.brackets[index % len(self.brackets)]

    def bracket_within(self, index: int, limits: Limits) -> Plan:
        """Return the bracket that is wanted as number `index`; here it is the same with all limits.

        Args:
            index: The number of the bracket, from 0.
            limits: What the search may spend, and what is left of it.
        """
        return self.bracket(index)

    def cost(self, n: int) -> float:
        """Return what the first n brackets cost, in full evaluations, each rung from scratch."""
        return sum(times * bracket.cost for times, bracket in self._counted(n))

    def n_new(self, n: int) -> int:
        """Return how many configurations the first n brackets start with."""
        return sum(times * bracket.sizes[0] for times, bracket in self._counted(n))

    def _counted(self, n: int) -> Iterator[tuple[int, Plan]]:
        """How often each bracket is among the first n."""
        rounds, rest = divmod(n, len(self.brackets))
        return ((rounds + (i < rest), bracket) for i, bracket in enumerate(self.brackets))

    def __str__(self) -> str:
        heads = [f"@{fidelity:.6g}" for fidelity in self.fidelities]
        width = max(5, *(len(head) + 2 for head in heads))
        padded = [(0,) * i + bracket.sizes for i, bracket in enumerate(self.brackets)]
        rows: list[tuple[object, Sequence[int], float, float]] = [
            (i, padded[i], bracket.cost, bracket.resumed_cost) for i, bracket in enumerate(self.brackets)
        ]
        totals = [sum(column) for column in zip(*padded, strict=True)]
        resumed_cost = sum(bracket.resumed_cost for bracket in self.brackets)
        rows.append(("all", totals, self.cost(len(self.brackets)), resumed_cost))
        lines = [
            "configurations at each fidelity; cost in full evaluations, from scratch and resumed",
            "bracket" + "".join(f"{head:>{width}}" for head in heads) + "     cost  resumed",
        ]
        for name, sizes, cost, resumed in rows:
            cells = "".join(f"{size or '':>{width}}" for size in sizes)
            lines.append(f"{name:>7}{cells}{cost:9.2f}{resumed:9.2f}")
        if self.training_plan is not None:
            planned = dict(self.training_plan.n_at)
            cells = "".join(f"{planned.get(fidelity) or '':>{width}}" for fidelity in self.fidelities)
            lines += [f" search{cells}", f"this search: {self.training_plan}"]
        return "\n".join(lines)


class PlannedRungs(tuple[float, ...]):  # noqa: SLOT001 - it has a plan beside
    """The fidelities of a search, rising; printed, with what it will train.

    Attributes:
        training_plan: What the search will train, where that can be said.
    """

    training_plan: TrainingPlan | None = None

    def __str__(self) -> str:
        return super().__str__() + ("" if self.training_plan is None else f"\nthis search: {self.training_plan}")


def with_training_plan(schedule: object, training_plan: TrainingPlan | None) -> object:
    """Return a schedule that says what a search will train: brackets or rungs; any other one as it is."""
    if training_plan is None:
        return schedule
    if isinstance(schedule, Schedule):
        return replace(schedule, training_plan=training_plan)
    if isinstance(schedule, tuple):
        rungs = PlannedRungs(schedule)
        rungs.training_plan = training_plan
        return rungs
    return schedule
