"""Hyperband's brackets: their sizes and fidelities, and successive halving over them as a fold of the history."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar, Literal

from autohpo.algorithms.base import BaseHPOptimizer
from autohpo.errors import NotReady, OptimizationComplete, OptionError
from autohpo.trial import Suggestion, Trial

Sampler = Callable[[float], Suggestion]
"""A new configuration for a fidelity; raises OptimizationComplete when there is none left, for ever."""

_SLACK = 1e-9  # powers and quotients of floats miss a whole number by far less; real sizes by far more


@dataclass(frozen=True)
class Plan:
    """One bracket: how many configurations run at which fidelity, rung by rung.

    Attributes:
        sizes: Configurations in each rung.
        fidelities: Of each rung, rising; the last is the full one.
    """

    sizes: tuple[int, ...]
    fidelities: tuple[float, ...]

    @property
    def cost(self) -> float:
        """Full evaluations it costs where every rung starts from scratch."""
        return sum(n * r for n, r in zip(self.sizes, self.fidelities, strict=True)) / self.fidelities[-1]

    @property
    def resumed_cost(self) -> float:
        """Full evaluations it costs where a promoted trial continues its training."""
        steps = [b - a for a, b in zip((0.0, *self.fidelities), self.fidelities, strict=False)]
        return sum(n * r for n, r in zip(self.sizes, steps, strict=True)) / self.fidelities[-1]


@dataclass(frozen=True)
class Schedule:
    """The brackets that Hyperband opens in turn; printed, it is a table of them.

    Every rung has `eta` times the fidelity of the one below and about 1 / `eta` of its configurations.

    Args:
        min_fidelity: Lower bound of the lowest rung, which is the lowest ``max_fidelity / eta^k`` above it.
        max_fidelity: Of the last rung of every bracket.
        eta: Factor between rungs.
        bracket_sizes: How many configurations bracket s of S, with s rungs above the first, starts with:
            "ceil" is ``ceil(S / (s+1) * eta^s)``, as in Algorithm 1 of the paper; "floor" is
            ``floor(S / (s+1)) * eta^s``, as in its Table 1 and in HpBandSter.

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

    def __post_init__(self) -> None:
        if not 0 < self.min_fidelity < math.inf:
            raise OptionError(f"min_fidelity: must be positive and finite, got {self.min_fidelity}")
        if not self.min_fidelity <= self.max_fidelity < math.inf:
            raise OptionError(f"max_fidelity: must be at least min_fidelity, and finite, got {self.max_fidelity}")
        if not 2 <= self.eta < math.inf:
            raise OptionError(f"eta: must be at least 2, and finite, got {self.eta}")

    @cached_property
    def fidelities(self) -> tuple[float, ...]:
        """Every rung's fidelity, rising."""
        n_rungs, lowest = 1, self.min_fidelity * (1 - _SLACK)
        while self.max_fidelity / self.eta**n_rungs >= lowest:  # a floor of a logarithm would lose a rung: ln 243 / ln 3
            n_rungs += 1
        rungs = [self.max_fidelity / self.eta**k for k in reversed(range(n_rungs))]
        return (max(rungs[0], self.min_fidelity), *rungs[1:])

    @cached_property
    def brackets(self) -> tuple[Plan, ...]:
        """One round of brackets, that with the most rungs first; the next round is the same."""
        n = len(self.fidelities)
        return tuple(Plan(self._sizes(n, n - first), self.fidelities[first:]) for first in range(n))

    def _sizes(self, n_brackets: int, n_rungs: int) -> tuple[int, ...]:
        """Configurations in each rung of the bracket with `n_rungs` rungs."""
        width = self.eta ** (n_rungs - 1)
        if self.bracket_sizes == "ceil":
            start = math.ceil(n_brackets * width / n_rungs - _SLACK)
        else:
            start = int(n_brackets // n_rungs * width + _SLACK)
        return tuple(max(1, int(start / self.eta**k + _SLACK)) for k in range(n_rungs))

    def bracket(self, index: int) -> Plan:
        """The bracket opened as number `index`, from 0."""
        return self.brackets[index % len(self.brackets)]

    def cost(self, n: int) -> float:
        """Full evaluations that the first n brackets cost, each rung from scratch."""
        return sum(self.bracket(i).cost for i in range(n))

    def __str__(self) -> str:
        heads = [f"@{r:.6g}" for r in self.fidelities]
        width = max(5, *(len(head) + 2 for head in heads))
        totals = [sum(b.sizes[k - first] for first, b in enumerate(self.brackets) if k >= first) for k in range(len(heads))]
        rows: list[tuple[object, Sequence[object], float, float]] = [
            (i, [""] * i + list(b.sizes), b.cost, b.resumed_cost) for i, b in enumerate(self.brackets)
        ]
        rows.append(("all", totals, sum(b.cost for b in self.brackets), sum(b.resumed_cost for b in self.brackets)))
        lines = [f"{'bracket':>7}" + "".join(f"{head:>{width}}" for head in heads) + "     cost  resumed"]
        for name, sizes, cost, resumed in rows:
            lines.append(f"{name:>7}" + "".join(f"{size:>{width}}" for size in sizes) + f"{cost:9.2f}{resumed:9.2f}")
        return "\n".join(["configurations at each fidelity; cost in full evaluations, from scratch and resumed", *lines])


@dataclass
class _Rung:
    """What happened in one rung of one bracket."""

    size: int
    fidelity: float
    running: set[int] = field(default_factory=set)
    perfs: dict[int, float] = field(default_factory=dict)  # -inf where the trial failed
    hps: dict[int, Mapping[str, Any]] = field(default_factory=dict)
    resumed: set[int] = field(default_factory=set)  # trials of the rung below that were continued here
    queue: list[int] = field(default_factory=list)  # trials of the rung below that were chosen to be, best first

    @property
    def waiting(self) -> list[int]:
        """The chosen that nobody has asked for yet, best first."""
        return [number for number in self.queue if number not in self.resumed]

    @property
    def n_free(self) -> int:
        """Slots left for new configurations."""
        return self.size - len(self.running) - len(self.perfs) - len(self.waiting)

    def best(self, n: int) -> list[int]:
        """The n best finished trials, failed ones never; of equals the one asked first."""
        ranked = sorted((-perf, number) for number, perf in self.perfs.items() if perf > -math.inf)
        return [number for _, number in ranked[:n]]


class _Bracket:
    """One opened bracket. All rungs below `level` are decided, those above are empty."""

    def __init__(self, plan: Plan, eta: float) -> None:
        self.rungs = [_Rung(n, r) for n, r in zip(plan.sizes, plan.fidelities, strict=True)]
        self.level, self._eta = 0, eta

    @property
    def rung(self) -> _Rung:
        """The one being filled."""
        return self.rungs[self.level]

    @property
    def is_over(self) -> bool:
        """Whether nothing will ever happen in it again."""
        return self.level == len(self.rungs)

    def decide(self, is_exhausted: bool = False) -> None:
        """Goes up as far as every trial has ended; empty slots are waited for, unless nothing is left to fill them."""
        while not (self.is_over or self.rung.running or self.rung.waiting):
            if self.rung.n_free > 0 and not is_exhausted:
                return
            done, self.level = self.rung, self.level + 1
            if not self.is_over:
                n = self.rung.size
                if done.n_free > 0:  # fewer than planned, so fewer go on: the best 1 / eta of them
                    n = min(n, max(1, int(len(done.perfs) / self._eta + _SLACK)))
                self.rung.queue = done.best(n)

    def resumable(self) -> list[int]:
        """Finished trials that were chosen to go on, or may still be."""
        above = self.rungs[self.level + 1 : self.level + 2]
        return self.rung.waiting + [number for rung in above for number in self.rung.best(rung.size)]


class Brackets:
    """Synchronous successive halving over the brackets of a schedule, with any sampler.

    A rung is decided when all its trials have ended: the best go on, each continuing its own training. Where fewer
    have survived than the next rung holds, new configurations start there. What it knows follows from the trials and
    their notes alone, in whatever order they ended.

    Args:
        schedule: The brackets.
        num_iterations: How many to open at most; None opens another whenever all others wait.

    Source: Li et al. 2018, JMLR 18(185), Algorithm 1; parallel as in Falkner et al. 2018, ICML, section 4.2.
    """

    def __init__(self, schedule: Schedule, num_iterations: int | None) -> None:
        self.schedule, self.num_iterations = schedule, num_iterations
        self._open: dict[int, _Bracket] = {}
        self._n_opened = 0
        self._n_followed = 0

    def follow(self, trials: Sequence[Trial], running: Iterable[Suggestion]) -> None:
        """Catches up with the history.

        Args:
            trials: All that ended, in the order told; those seen before are skipped.
            running: All suggestions without a result.
        """
        for trial in trials[self._n_followed :]:
            rung = self._entered(trial)
            if rung is not None:
                rung.running.discard(trial.number)
                rung.perfs[trial.number] = -math.inf if trial.perf is None else trial.perf
                rung.hps[trial.number] = trial.hp
        self._n_followed = len(trials)
        for suggestion in running:
            self._entered(suggestion)
        self._decide()

    def suggest(self, sample: Sampler) -> Suggestion:
        """The next promotion of the oldest bracket that has one; else a new configuration for the oldest free slot.

        Raises:
            OptimizationComplete: Every bracket is over, or nothing is left to fill one with.
            NotReady: Everything left waits for running trials.
        """
        promotion = self._promotion()
        if promotion is not None:
            return promotion
        try:
            index, level, fidelity = self._free_slot()
            suggestion = sample(fidelity)
        except OptimizationComplete:
            self._decide(is_exhausted=True)
            promotion = self._promotion()
            if promotion is not None:
                return promotion
            if self._open:
                raise NotReady("every bracket waits for running trials") from None
            raise
        suggestion.fidelity = fidelity
        suggestion.info = {"bracket": index, "rung": level, **suggestion.info}
        return suggestion

    @property
    def resumable(self) -> frozenset[int]:
        """Numbers of finished trials that may still be continued."""
        return frozenset(number for bracket in self._open.values() for number in bracket.resumable())

    def _promotion(self) -> Suggestion | None:
        """The best trial that is to go on, of the oldest bracket that has one."""
        for index, bracket in self._open.items():
            for number in bracket.rung.waiting:
                hp = bracket.rungs[bracket.level - 1].hps[number]
                info = {"bracket": index, "rung": bracket.level}
                return Suggestion(hp, fidelity=bracket.rung.fidelity, resume=number, info=info)
        return None

    def _free_slot(self) -> tuple[int, int, float]:
        """Bracket, rung and fidelity of the next new configuration; nothing is opened before it is running."""
        for index, bracket in self._open.items():
            if bracket.rung.n_free > 0:
                return index, bracket.level, bracket.rung.fidelity
        if self.num_iterations is not None and self._n_opened >= self.num_iterations:
            raise OptimizationComplete(f"num_iterations: all {self.num_iterations} brackets were run")
        return self._n_opened, 0, self.schedule.bracket(self._n_opened).fidelities[0]

    def _entered(self, item: Trial | Suggestion) -> _Rung | None:
        """The rung that a trial belongs to, which now knows it; None for one of another algorithm or schedule."""
        index, level = item.info.get("bracket"), item.info.get("rung")
        if type(index) is not int or type(level) is not int or not 0 <= index <= item.number:
            return None
        plan = self.schedule.bracket(index)
        if not 0 <= level < len(plan.sizes) or item.fidelity != plan.fidelities[level]:
            return None
        while self._n_opened <= index:
            self._open[self._n_opened] = _Bracket(self.schedule.bracket(self._n_opened), self.schedule.eta)
            self._n_opened += 1
        bracket = self._open.get(index)
        if bracket is None:  # over, so this is no trial of ours
            return None
        rung = bracket.rungs[level]
        rung.running.add(item.number)
        if item.resume is not None:
            rung.resumed.add(item.resume)
        return rung

    def _decide(self, is_exhausted: bool = False) -> None:
        """Decides every rung that can be, and forgets the brackets that are over."""
        for bracket in self._open.values():
            bracket.decide(is_exhausted)
        self._open = {index: bracket for index, bracket in self._open.items() if not bracket.is_over}


@dataclass(eq=False, kw_only=True)
class BracketSearch(BaseHPOptimizer):
    """What every algorithm over brackets has; a subclass says where new configurations come from.

    Args:
        min_fidelity: Least that a trial gets; the lowest rung is the lowest ``max_fidelity / eta^k`` above it.
        max_fidelity: What a full evaluation gets.
        eta: Factor between the fidelities of two rungs; 1 / `eta` of the trials go on. At least 2.
        num_iterations: Brackets to open at most; None goes on as long as it is asked.
        bracket_sizes: "ceil" sizes brackets as in the paper's Algorithm 1, "floor" as in its Table 1 and HpBandSter.
    """

    is_multi_fidelity: ClassVar[bool] = True
    option_aliases: ClassVar[Mapping[str, str]] = {
        "min_budget": "min_fidelity",
        "max_budget": "max_fidelity",
        "n_iterations": "num_iterations",
    }

    min_fidelity: float = 1.0
    max_fidelity: float = 81.0
    eta: float = 3.0
    num_iterations: int | None = None
    bracket_sizes: Literal["ceil", "floor"] = "ceil"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.num_iterations is not None and self.num_iterations < 1:
            raise OptionError(f"num_iterations: must be at least 1, got {self.num_iterations}")
        self._schedule = Schedule(self.min_fidelity, self.max_fidelity, self.eta, self.bracket_sizes)
        self._brackets = Brackets(self._schedule, self.num_iterations)
        self._has_warned = False

    @property
    def is_finite(self) -> bool:
        """Whether it ends by itself."""
        return self.num_iterations is not None

    @property
    def resumable(self) -> frozenset[int]:
        """Numbers of finished trials that may still be promoted."""
        self._brackets.follow(self.trials, self.running)
        return self._brackets.resumable

    def fidelity_schedule(self) -> Schedule:
        """The brackets, their sizes, fidelities and cost; print it to read them as a table."""
        return self._schedule

    def _suggest(self, sample: Sampler) -> Suggestion:
        """The next promotion, or a new configuration of `sample` in the next free slot."""
        if self.has_fidelity:
            self._brackets.follow(self.trials, self.running)
            return self._brackets.suggest(sample)
        if not self._has_warned:
            self._has_warned = True
            message = "the objective takes no fidelity, so every trial is a full evaluation"
            warnings.warn(f"{type(self).__name__}: {message}", UserWarning, stacklevel=2)
        if self.num_iterations is not None and self.number >= int(self._schedule.cost(self.num_iterations) + _SLACK):
            raise OptimizationComplete(f"num_iterations: what {self.num_iterations} brackets cost was spent")
        suggestion = sample(self.max_fidelity)
        suggestion.fidelity = None
        return suggestion
