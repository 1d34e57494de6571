"""Hyperband: synchronous successive halving over the brackets of a schedule."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from autohpo.errors import NotReady, OptimizationComplete, OptionError
from autohpo.history import History, Step
from autohpo.schedulers.base import Decision, Limits, Promote, Scheduler, Start, TrainingPlan
from autohpo.schedulers.chains import fidelity_of
from autohpo.schedulers.fitting import fitting, training_plan
from autohpo.schedulers.ranking import Scores, ranked, scores_of
from autohpo.schedulers.rungs import Rungs
from autohpo.schedulers.schedule import Plan, Schedule
from autohpo.trial import Running, Trial

_BLIND_SHARE = 1 / 6  # of all new configurations: so many may be drawn before the first result


@dataclass
class _Rung:
    """What happened in one rung of one bracket."""

    size: int
    fidelity: float
    running: set[int] = field(default_factory=set)
    ended: dict[int, Scores] = field(default_factory=dict)  # empty for those that failed
    resumed: set[int] = field(default_factory=set)  # trials of the rung below that go on here, or did
    waiting: dict[int, str] = field(default_factory=dict)  # those chosen that nobody has asked for, best first, and why

    @property
    def n_free(self) -> int:
        """Slots left for new configurations."""
        return self.size - len(self.running) - len(self.ended) - len(self.waiting)

    def best(self, n: int) -> list[int]:
        """The n best trials that ended, failed ones never; of equals the one asked first."""
        return ranked(self.ended)[:n]

    def enter(self, item: Trial | Running) -> None:
        """Takes a trial that was asked for."""
        self.running.add(item.number)
        if item.resume is not None:
            self.resumed.add(item.resume)
            self.waiting.pop(item.resume, None)

    def end(self, trial: Trial) -> None:
        """Takes the end of a trial."""
        self.running.discard(trial.number)
        self.ended[trial.number] = scores_of(trial)


class _Bracket:
    """One opened bracket. All rungs below `level` are decided, those above are empty."""

    promotes: bool = True  # whether the best of a rung go on; else the next one is filled by new configurations

    def __init__(self, plan: Plan, rungs: Rungs) -> None:
        self.plan = plan
        self.rungs = [_Rung(n, r) for n, r in zip(plan.sizes, plan.fidelities, strict=True)]
        self.level, self._shares = 0, rungs
        self._first = len(rungs.fidelities) - len(plan.sizes)  # the place of its first rung among all

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

    def promotion_cost(self, is_continued: bool) -> float:
        """What these will cost, in full evaluations."""
        costs = self.plan.costs(is_continued and self.promotes)
        return sum(
            rung.size * cost for rung, cost in zip(self.rungs[self.level + 1 :], costs[self.level + 1 :], strict=True)
        )

    def decide(self, is_exhausted: bool = False) -> None:
        """Goes up as far as all trials have ended; waits for free slots, unless nothing is left to fill them."""
        while not (self.is_over or self.rung.running or self.rung.waiting):
            if self.rung.n_free > 0 and not is_exhausted:
                return
            done, self.level = self.rung, self.level + 1
            if self.promotes and not self.is_over:
                self._choose(done, self.rung)

    def _choose(self, done: _Rung, above: _Rung) -> None:
        """Lets the best of a rung go on in the next one."""
        n, n_ended = above.size, len(done.ended)
        if done.n_free > 0:  # fewer than planned, so fewer go on: the best 1 / eta of them
            n = min(n, max(1, self._shares.n_going_on(n_ended, self._first + self.level - 1)))
        for rank, number in enumerate(done.best(n), 1):
            if number not in above.resumed:
                where = f"in its bracket at fidelity {done.fidelity:g}"
                above.waiting[number] = f"rank {rank} of {n_ended} {where}: promoted to {above.fidelity:g}"

    def resumable(self) -> list[int]:
        """Finished trials that were chosen to go on, or may still be."""
        above = self.rungs[self.level + 1 : self.level + 2] if self.promotes else []
        return [*self.rung.waiting, *(number for rung in above for number in self.rung.best(rung.size))]


class Hyperband(Scheduler):
    """Synchronous successive halving over the brackets of a schedule.

    A rung is decided when all its trials have ended: the best go on, each continuing its own training. Where fewer have
    survived than the next rung holds, new configurations start there. Another bracket opens as soon as all open ones
    wait, so that no worker idles. What it knows follows from the trials and their notes alone, in whatever order they
    ended.

    Where the first bracket is more than the limits allow, and wherever there is a budget, each bracket is one that fits
    into what is left when it is opened: the one of the schedule, else a smaller one with as many rungs, or with fewer,
    see :func:`autohpo.schedulers.fitting.fitting`. Such a bracket has its sizes in its notes, so that it stays what it
    was.

    Args:
        schedule: The brackets.
        num_iterations: How many to open at most; None opens another whenever all others wait.
        n_first: How many results the sampler's first model needs, where workers should wait for it: then no more than a
            sixth of a limited number of configurations is drawn blindly while results are on their way.
        max_evals: How many suggestions there will be at most, where that is limited.

    Raises:
        OptionError: `num_iterations` is below 1.

    Source: Li et al. 2018, JMLR 18(185), Algorithm 1; parallel as in Falkner et al. 2018, ICML, section 4.2.

    Example:
        >>> print(Hyperband(Schedule(1, 9, 3)).schedule.brackets[0])
        Plan(sizes=(9, 3, 1), fidelities=(1, 3, 9))
    """

    def __init__(
        self,
        schedule: Schedule,
        num_iterations: int | None = None,
        *,
        n_first: int | None = None,
        max_evals: int | None = None,
    ) -> None:
        if num_iterations is not None and num_iterations < 1:
            raise OptionError(f"num_iterations: must be at least 1, got {num_iterations}")
        self.schedule: Schedule = schedule
        self.num_iterations = num_iterations
        self.n_round = schedule.n_trials
        self.cost = math.inf if num_iterations is None else schedule.cost(num_iterations)
        self._first_results: _FirstResults | None = None
        n_new = _most_new(schedule, num_iterations, max_evals)
        if n_first is not None and len(schedule.fidelities) >= 3 and n_new < math.inf:
            self._first_results = _FirstResults(schedule, n_first, n_new)
        self._restart()

    def _restart(self) -> None:
        self._open: dict[int, _Bracket] = {}
        self._entered: dict[int, _Rung] = {}  # where trials run
        self._n_opened = 0
        self._is_fitted = False  # whether the first bracket was not that of the schedule

    def next(
        self, seen: History, rng: np.random.Generator, *, can_start: bool = True, n_left: float = math.inf
    ) -> Decision:
        """Return the next promotion of the oldest bracket that has one; else a new configuration for a free slot.

        No bracket is opened with suggestions that the open ones need for their promotions: a small budget would all go
        into short trainings.

        Args:
            seen: The history of the search.
            rng: Not used: nothing is random.
            can_start: Whether a new configuration can be had.
            n_left: How many suggestions the budget leaves, this one included.

        Raises:
            NotReady: Everything left waits for running trials.
            OptimizationComplete: Every bracket is over, or nothing is left to fill one with.
        """
        self._follow(seen)
        promotion = self._promotion()
        if promotion is not None:
            return promotion
        if can_start:
            start = self._start(seen, n_left)
            if start is not None:
                return start
        self._decide(is_exhausted=True)
        promotion = self._promotion()
        if promotion is not None:
            return promotion
        if self._open:
            raise NotReady("every bracket waits for running trials")
        if can_start and self.num_iterations is not None and self._n_opened >= self.num_iterations:
            raise OptimizationComplete(f"num_iterations: all {self.num_iterations} brackets were run")
        if can_start:
            raise OptimizationComplete("budget: what is left trains no configuration in full; raise it to go on")
        raise OptimizationComplete("no configuration is left to start with")

    def resumable(self, seen: History) -> frozenset[int]:
        """Return the finished trials that may still be promoted."""
        self._follow(seen)
        return frozenset(number for bracket in self._open.values() for number in bracket.resumable())

    def why(self, seen: History, trial: int) -> str:
        """Return the rank of a trial in its rung, and how many of the rung go on."""
        found = seen.get(trial)
        place = None if found is None else self._place(found)
        if found is None or place is None or not scores_of(found):
            return ""
        index, level = place
        plan = self._plan(found) or self.schedule.bracket(index)
        rivals = [one for one in seen.trials if self._place(one) == place]
        place_there = ranked({one.number: scores_of(one) for one in rivals}).index(trial)
        rank = f"rank {1 + place_there} of {len(rivals)} in its bracket at fidelity {plan.fidelities[level]:g}"
        return f"{rank}: the best {plan.sizes[level + 1]} go on" if level + 1 < len(plan.sizes) else rank

    def _follow(self, seen: History) -> None:
        """Catches up with the history."""
        step = self.news(seen)
        if step.is_reset:
            self._restart()
        for item in step.asked:
            rung = self._rung(item)
            if rung is not None:
                rung.enter(item)
                self._entered[item.number] = rung
        for trial in step.told:
            rung = self._entered.pop(trial.number, None)
            if rung is not None:
                rung.end(trial)
        if self._first_results is not None:
            self._first_results.follow(step)
        self._decide()

    def _place(self, item: Trial | Running) -> tuple[int, int] | None:
        """Bracket and rung of a trial, by its notes; None for a trial of another schedule."""
        index, level = item.info.get("bracket"), item.info.get("rung")
        if type(index) is not int or type(level) is not int or not 0 <= index <= item.number:
            return None
        plan = self._plan(item)
        if plan is None or not 0 <= level < len(plan.sizes) or item.fidelity != plan.fidelities[level]:
            return None
        return index, level

    def _plan(self, item: Trial | Running) -> Plan | None:
        """The bracket that a trial belongs to, by its notes."""
        return self.schedule.plan_of(item.info["bracket"], item.info.get("sizes"))

    def _rung(self, item: Trial | Running) -> _Rung | None:
        """The rung that a trial belongs to, in a bracket that is open now; None where that is over, or of others."""
        place = self._place(item)
        if place is None:
            return None
        index, level = place
        while self._n_opened <= index:
            plan = self._plan(item) if self._n_opened == index else None
            self._open[self._n_opened] = _Bracket(plan or self.schedule.bracket(self._n_opened), self.schedule.rungs)
            self._open[self._n_opened].promotes = self._promotes(self._n_opened)
            self._is_fitted |= index == 0 and "sizes" in item.info
            self._n_opened += 1
        bracket = self._open.get(index)
        return None if bracket is None else bracket.rungs[level]

    def _promotion(self) -> Promote | None:
        """The best trial that is to go on, of the oldest bracket that has one."""
        for bracket in self._open.values():
            for number, why in bracket.rung.waiting.items():
                return Promote(number, bracket.rung.fidelity, {"rung": bracket.level, "why": why})
        return None

    def _start(self, seen: History, n_left: float) -> Start | None:
        """The place of the next new configuration; None where all brackets are open, and none has room.

        Raises:
            NotReady: What is left of the budget belongs to the open brackets, or a first model is near.
        """
        index, level = next(((i, b.level) for i, b in self._open.items() if b.rung.n_free > 0), (self._n_opened, 0))
        if index == self._n_opened:
            if self.num_iterations is not None and index >= self.num_iterations:
                return None
            if self._open and n_left <= sum(bracket.n_promotions for bracket in self._open.values()):
                raise NotReady("what is left of max_evals is for trials that wait to be promoted")
        plan = self._open[index].plan if index in self._open else self._next_plan(index)
        if plan is None:
            return None
        if self._first_results is not None:
            self._first_results.wait(seen)
        sizes = {} if plan == self.schedule.bracket(index) else {"sizes": list(plan.sizes)}
        return Start(plan.fidelities[level], {"bracket": index, "rung": level, **sizes})

    def _next_plan(self, index: int) -> Plan | None:
        """The next bracket to open; None where none would come to its end, and another one did."""
        limits = self.limits
        n_left = limits.n_left - sum(bracket.n_promotions for bracket in self._open.values())
        cost_left = limits.cost_left
        if cost_left < math.inf:
            cost_left -= sum(bracket.promotion_cost(limits.is_continued) for bracket in self._open.values())
        is_continued = limits.is_continued and self._promotes(index)
        left = limits._replace(n_left=n_left, cost_left=cost_left, is_continued=is_continued)
        return fitting(self.schedule, index, left, is_fitted=self._is_fitted)

    def _promotes(self, index: int) -> bool:
        """Whether the best of a rung go on in a bracket."""
        return True

    def training_plan(self, limits: Limits) -> TrainingPlan | None:
        """Return what a search with these limits trains where no trial fails."""
        return training_plan(self.schedule, self.num_iterations, limits)

    def _decide(self, is_exhausted: bool = False) -> None:
        """Decides every rung that can be, and forgets the brackets that are over."""
        for index, bracket in list(self._open.items()):
            bracket.decide(is_exhausted)
            if bracket.is_over:
                del self._open[index]


class _FirstResults:
    """Keeps many workers from drawing most of a limited number of configurations blindly.

    It costs them one evaluation at the lowest fidelity, so it needs a schedule in which that is short: of three rungs
    and eta 3, it is a thirteenth of the first bracket's time.
    """

    def __init__(self, schedule: Schedule, n_first: int, n_new: float) -> None:
        self._lowest, self._full = schedule.fidelities[0], schedule.max_fidelity
        self._n_first, self._limit = n_first, _BLIND_SHARE * n_new
        self._n_drawn = 0
        self._n_results: dict[float, int] = {}

    def follow(self, step: Step) -> None:
        """Counts what is new in the history."""
        if step.is_reset:
            self._n_drawn, self._n_results = 0, {}
        self._n_drawn += sum(_is_drawn(item) for item in step.asked)
        for trial in step.told:
            if trial.score is not None:
                fidelity = fidelity_of(trial, self._full)
                self._n_results[fidelity] = self._n_results.get(fidelity, 0) + 1

    def wait(self, seen: History) -> None:
        """Does nothing unless enough was drawn, and what runs at the lowest fidelity will do for a first model.

        Raises:
            NotReady: It will.
        """
        if self._n_drawn < self._limit or max(self._n_results.values(), default=0) >= self._n_first:
            return
        n_coming = sum(running.fidelity == self._lowest for running in seen.running)
        if self._n_results.get(self._lowest, 0) + n_coming >= self._n_first:
            raise NotReady(f"the first model waits for {n_coming} trials at fidelity {self._lowest:g}")


def _is_drawn(item: Trial | Running) -> bool:
    """Whether a trial is a new configuration of the sampler's, and not a point of the user's."""
    return item.resume is None and not item.info.keys() & {"point", "point_in_full", "known"}


def _most_new(schedule: Schedule, num_iterations: int | None, max_evals: int | None) -> float:
    """How many new configurations there will be at most; infinite where neither limit is given."""
    limits = [math.inf]
    if num_iterations is not None:
        limits.append(schedule.n_new(num_iterations))
    if max_evals is not None:
        share = schedule.n_new(len(schedule.brackets)) / sum(sum(bracket.sizes) for bracket in schedule.brackets)
        limits.append(max_evals * share)  # a promotion is a suggestion too
    return min(limits)
