"""Successive halving over Hyperband's brackets, as a fold of the history, with any sampler."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

from autohpo.algorithms.base import BaseHPOptimizer
from autohpo.algorithms.parts.seen import SeenSet
from autohpo.errors import NotReady, OptimizationComplete, OptionError
from autohpo.schedulers.schedule import SLACK, Plan, Schedule
from autohpo.trial import Suggestion, Trial

Sampler = Callable[[float], Suggestion]
"""A new configuration for a fidelity; raises OptimizationComplete when there is none left, for ever.

The suggestion's own fidelity stays None: the schedule sets it, or leaves it where the objective takes none.
"""


@dataclass
class _Rung:
    """What happened in one rung of one bracket."""

    size: int
    fidelity: float
    running: set[int] = field(default_factory=set)
    ended: dict[int, Trial] = field(default_factory=dict)
    queue: list[Trial] = field(default_factory=list)  # of the rung below, chosen to go on here, best first
    resumed: set[int] = field(default_factory=set)  # those of them that did

    @property
    def waiting(self) -> list[Trial]:
        """The chosen that nobody has asked for yet, best first."""
        return [trial for trial in self.queue if trial.number not in self.resumed]

    @property
    def n_free(self) -> int:
        """Slots left for new configurations."""
        return self.size - len(self.running) - len(self.ended) - len(self.waiting)

    def best(self, n: int) -> list[Trial]:
        """The n best trials that ended, failed ones never; of equals the one asked first."""
        ranked = sorted((-t.score, number) for number, t in self.ended.items() if t.score is not None)
        return [self.ended[number] for _, number in ranked[:n]]


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

    @property
    def n_promotions(self) -> int:
        """How many trials the rungs above the one being filled will take."""
        return sum(rung.size for rung in self.rungs[self.level + 1 :])

    def decide(self, is_exhausted: bool = False) -> None:
        """Goes up as far as all trials have ended; waits for free slots, unless nothing is left to fill them."""
        while not (self.is_over or self.rung.running or self.rung.waiting):
            if self.rung.n_free > 0 and not is_exhausted:
                return
            done, self.level = self.rung, self.level + 1
            if not self.is_over:
                n = self.rung.size
                if done.n_free > 0:  # fewer than planned, so fewer go on: the best 1 / eta of them
                    n = min(n, max(1, int(len(done.ended) / self._eta + SLACK)))
                self.rung.queue = done.best(n)

    def resumable(self) -> list[int]:
        """Finished trials that were chosen to go on, or may still be."""
        above = self.rungs[self.level + 1 : self.level + 2]
        hopeful = [trial for rung in above for trial in self.rung.best(rung.size)]
        return [trial.number for trial in self.rung.waiting + hopeful]


class Brackets:
    """Synchronous successive halving over the brackets of a schedule, with any sampler.

    A rung is decided when all its trials have ended: the best go on, each continuing its own training. Where
    fewer have survived than the next rung holds, new configurations start there. What it knows follows from
    the trials and their notes alone, in whatever order they ended.

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
                rung.ended[trial.number] = trial
        self._n_followed = len(trials)
        for suggestion in running:
            self._entered(suggestion)
        self._decide()

    def suggest(self, sample: Sampler, n_left: float = math.inf) -> Suggestion:
        """The next promotion of the oldest bracket that has one; else a new configuration for a free slot.

        Asking takes no slot: a suggestion counts once it is followed. No bracket is opened with suggestions that the
        open ones need for their promotions: a small budget would all go into short trainings.

        Args:
            sample: Draws a new configuration.
            n_left: Suggestions that may still be made, this one included.

        Raises:
            OptimizationComplete: Every bracket is over, or nothing is left to fill one with.
            NotReady: Everything left waits for running trials.
        """
        promotion = self._promotion()
        if promotion is not None:
            return promotion
        try:
            index, level, fidelity = self._free_slot(n_left)
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
        for bracket in self._open.values():
            for trial in bracket.rung.waiting:
                info = {**trial.info, "rung": bracket.level}
                return Suggestion(trial.hp, fidelity=bracket.rung.fidelity, resume=trial.number, info=info)
        return None

    def _free_slot(self, n_left: float) -> tuple[int, int, float]:
        """Bracket, rung and fidelity of the next new configuration.

        Raises:
            NotReady: What is left of the budget belongs to the open brackets.
            OptimizationComplete: All brackets are open, and none has room.
        """
        for index, bracket in self._open.items():
            if bracket.rung.n_free > 0:
                return index, bracket.level, bracket.rung.fidelity
        if self.num_iterations is not None and self._n_opened >= self.num_iterations:
            raise OptimizationComplete(f"num_iterations: all {self.num_iterations} brackets were run")
        if self._open and n_left <= sum(bracket.n_promotions for bracket in self._open.values()):
            raise NotReady("what is left of max_evals is for trials that wait to be promoted")
        return self._n_opened, 0, self.schedule.bracket(self._n_opened).fidelities[0]

    def _entered(self, item: Trial | Suggestion) -> _Rung | None:
        """The rung that a trial belongs to, which now knows it; None for a trial of another schedule."""
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

    Its options are told where users read of them, in Hyperband.
    """

    is_multi_fidelity: ClassVar[bool] = True
    option_aliases: ClassVar[Mapping[str, str]] = {
        "min_budget": "min_fidelity",
        "max_budget": "max_fidelity",
        "n_iterations": "num_iterations",
    }
    budget_options: ClassVar[frozenset[str]] = frozenset({"max_evals", "num_iterations"})
    supports: ClassVar[frozenset[str]] = frozenset({"constraints"})

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
        self._seen = SeenSet(self.history)
        self._has_warned = False

    @property
    def is_finite(self) -> bool:
        """Whether it ends by itself: after `num_iterations`, or with a space that can be counted."""
        return self.num_iterations is not None or self._seen.is_finite

    @property
    def resumable(self) -> frozenset[int]:
        """Numbers of finished trials that may still be promoted."""
        self._brackets.follow(self.trials, self.running)
        return self._brackets.resumable

    def fidelity_schedule(self) -> Schedule:
        """The brackets, their sizes, fidelities and cost; print it to read them as a table."""
        return self._schedule

    def _suggest_point(self, pid: int, hp: dict[str, Any]) -> Suggestion:
        """A user's point enters the next free slot, as any other configuration."""
        return self._suggest(lambda _: Suggestion(hp))

    def _suggest(self, sample: Sampler) -> Suggestion:
        """The next promotion, or a new configuration of `sample` in the next free slot."""
        if self.has_fidelity:
            self._brackets.follow(self.trials, self.running)
            return self._brackets.suggest(sample, self.n_left)
        if not self._has_warned:
            self._has_warned = True
            message = "the objective takes no fidelity, so every trial is a full evaluation"
            warnings.warn(f"{type(self).__name__}: {message}", UserWarning, stacklevel=2)
        n = self.num_iterations
        if n is not None and self.number >= int(self._schedule.cost(n) + SLACK):
            raise OptimizationComplete(f"num_iterations: what {n} brackets cost went into full evaluations")
        return sample(self.max_fidelity)
