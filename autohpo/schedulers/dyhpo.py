"""DyHPO: in each step the trial, paused or new, goes on whose next rung has the largest improvement for its price."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from autohpo.errors import NotReady, OptimizationComplete, OptionError
from autohpo.history import History
from autohpo.schedulers.base import Decision, Promote, Scheduler, Start
from autohpo.schedulers.judge import FloatArray, Judge, Judgement
from autohpo.schedulers.ranking import Ranking, scores_of
from autohpo.schedulers.schedule import SLACK
from autohpo.surrogates.acquisition import log_ei
from autohpo.trial import Trial, whole

_MOST_RUNGS = 10_000


def small_steps(
    min_fidelity: float, max_fidelity: float, increment: float = 2.0, factor: float | None = None
) -> tuple[float, ...]:
    """Return rungs with small steps between them, rising; the last is the full fidelity.

    Args:
        min_fidelity: The lowest rung.
        max_fidelity: The highest one.
        increment: The distance between two rungs.
        factor: The factor between two rungs, above 1, in place of a distance. Where both ends are integers the rungs
            are, too.

    Raises:
        OptionError: A bound, the increment or the factor breaks a rule.

    Example:
        >>> small_steps(1, 9), small_steps(1, 9, factor=1.5)
        ((1, 3, 5, 7, 9), (1, 2, 3, 5, 8, 9))
    """
    low, high = whole(min_fidelity), whole(max_fidelity)
    rules = [
        ("min_fidelity", 0 < low < math.inf, "positive and finite", low),
        ("max_fidelity", low <= high < math.inf, f"finite and at least min_fidelity, {low}", high),
        ("rung_increment", 0 < increment < math.inf, "positive and finite", increment),
        ("rung_factor", factor is None or 1 < factor < math.inf, "above 1, or None", factor),
    ]
    for name, is_kept, rule, got in rules:
        if not is_kept:
            raise OptionError(f"{name}: must be {rule}, got {got}")
    n = (high - low) / increment if factor is None else math.log(high / low) / math.log(factor)
    if n > _MOST_RUNGS:
        name = "rung_increment" if factor is None else "rung_factor"
        got = increment if factor is None else factor
        raise OptionError(f"{name}: must make at most {_MOST_RUNGS} rungs from {low} to {high}, got {got}")
    steps = range(math.ceil(n - SLACK))
    rungs = [low + increment * k if factor is None else low * factor**k for k in steps]
    if factor is not None and isinstance(low, int) and isinstance(high, int):
        rungs = [round(rung) for rung in rungs]
    return (*sorted({whole(rung) for rung in rungs if rung < high}), high)


class DyHPO(Scheduler):
    """Compares all paused trials, each at its next rung, with new configurations at the lowest one.

    The one with the largest expected improvement for what the step trains goes on by one rung. So nobody has to be
    among the best third of a rung to go on. With probability `probability_sh` the rule of asynchronous halving decides
    instead: the best result of a rung goes on, if it is among those that do, or else a new configuration starts. That
    is a hedge against a model that errs. The rule is also followed as long as there are too few results for a model.

    Where the limits of the search are about to end it before any trial was trained in full, the one of which the model
    expects most there goes on, right to the full fidelity.

    Args:
        rungs: The fidelities, rising; the last is the full one.
        judge: The model that is asked; see :class:`autohpo.schedulers.judge.Judge`.
        probability_sh: How often the rule of asynchronous halving decides.

    Raises:
        OptionError: `probability_sh` is no probability.

    Source: Wistuba et al. 2022, NeurIPS 35, arXiv 2202.09774, Algorithm 1; the share of asynchronous halving,
        Li et al. 2020, MLSys 2, Algorithm 2, is Syne Tune's, where the model decides on new configurations in any case.
        Steps are equal there, so that no price counts.

    Example:
        >>> DyHPO(small_steps(1, 9), judge=lambda *args: None).schedule
        (1, 3, 5, 7, 9)
    """

    def __init__(self, rungs: Sequence[float], judge: Judge, probability_sh: float = 0.25) -> None:
        if not 0 <= probability_sh <= 1:
            raise OptionError(f"probability_sh: must be from 0 to 1, got {probability_sh}")
        self.schedule: Sequence[float] = tuple(rungs)
        self._judge, self._probability_sh = judge, probability_sh
        self._restart()

    def _restart(self) -> None:
        self._results = [Ranking() for _ in self.schedule]
        self._waiting = [Ranking() for _ in self.schedule]  # those of them that nobody has promoted
        self._levels: dict[int, int] = {}  # the rung of each result
        self._promoted: set[int] = set()
        self._n_in_full = 0  # trainings to the full fidelity, running or with a result

    def next(
        self, seen: History, rng: np.random.Generator, *, can_start: bool = True, n_left: float = math.inf
    ) -> Decision:
        """Return the promotion, or the new configuration, with the largest expected improvement for its price.

        Args:
            seen: The history of the search.
            rng: The generator of the draw between model and rule, and of all that the model draws.
            can_start: Whether a new configuration can be had.
            n_left: How many suggestions the budget leaves, this one included.

        Raises:
            NotReady: Nothing can start, and every trial that may be promoted runs.
            OptimizationComplete: Nothing can start, and every trial was trained in full, or has failed.
        """
        self._follow(seen)
        paused = self._paused()
        if self._is_last_chance(paused, n_left):
            return self._to_the_end(seen, rng, paused)
        halved = self._halved()
        if rng.random() < self._probability_sh and (halved is not None or can_start):
            return halved or Start(self.schedule[0], {"rung": 0})
        judged = None
        if paused or can_start:
            above = [self.schedule[self._levels[number] + 1] for number in paused]
            judged = self._judge(seen, rng, paused, above, self.schedule[0] if can_start else None)
        chosen = None if judged is None else self._best_of(judged, paused, can_start=can_start)
        if chosen is not None or halved is not None:
            return chosen or halved  # type: ignore[return-value]
        if can_start:
            return Start(self.schedule[0], {"rung": 0})
        if paused:
            return self._promote(self._highest(paused), "nothing new is left")
        if seen.running:
            raise NotReady("no trial can be promoted before a running one has ended")
        raise OptimizationComplete("no configuration is left, and no trial can be promoted")

    def resumable(self, seen: History) -> frozenset[int]:
        """Return the paused trials: every one may still be promoted."""
        self._follow(seen)
        return frozenset(self._paused())

    def why(self, seen: History, trial: int) -> str:
        """Return the rank of a trial at its rung; the empty string where it has no result there."""
        self._follow(seen)
        level = self._levels.get(trial)
        return "" if level is None else self._rank(trial, level)

    def _follow(self, seen: History) -> None:
        """Catches up with the history."""
        step = self.news(seen)
        if step.is_reset:
            self._restart()
        for item in step.asked:
            self._n_in_full += item.fidelity is None or item.fidelity >= self.schedule[-1]
            if item.resume is not None:
                self._promoted.add(item.resume)
                if item.resume in self._levels:
                    self._waiting[self._levels[item.resume]].discard(item.resume)
        for trial in step.told:
            scores, level = scores_of(trial), self._level(trial)
            if not scores and (trial.fidelity is None or trial.fidelity >= self.schedule[-1]):
                self._n_in_full -= 1
            if not scores or level is None:
                continue
            self._levels[trial.number] = level
            self._results[level].add(trial.number, scores)
            if trial.number not in self._promoted:
                self._waiting[level].add(trial.number, scores)

    def _level(self, trial: Trial) -> int | None:
        """The rung of a trial, by its notes; None for a trial of another schedule."""
        level = trial.info.get("rung")
        if type(level) is not int or not 0 <= level < len(self.schedule):
            return None
        return level if trial.fidelity == self.schedule[level] else None

    def _paused(self) -> list[int]:
        """The trials that may be promoted, in rising order."""
        return sorted(number for waiting in self._waiting[:-1] for number in waiting)

    def _best_of(self, judged: Judgement, paused: list[int], *, can_start: bool) -> Decision | None:
        """What has the largest expected improvement for its price, of equals the paused; None if none was judged."""
        prices = np.log([self._price(number) for number in paused])
        values: FloatArray = log_ei(judged.means, judged.deviations, judged.best)[0] - prices
        first = int(np.argmax(values)) if paused else None
        value, new = -math.inf if first is None else float(values[first]), judged.new
        if new is not None and can_start:
            mean, deviation, best = (np.array([x]) for x in (new.mean, new.deviation, new.best))
            of_new = float(log_ei(mean, deviation, best)[0][0]) - math.log(self.schedule[0])
            if first is None or of_new > value:
                worth = f"expected improvement {math.exp(of_new):.3g} a unit"
                why = f"a new configuration, {worth}: before {len(paused)} paused"
                return Start(self.schedule[0], {"rung": 0, "why": why}, new.hp)
        if first is None:
            return None
        rivals = f"first of {len(paused)} paused"
        return self._promote(paused[first], f"expected improvement {math.exp(value):.3g} a unit, {rivals}")

    def _price(self, number: int) -> float:
        """What the next step of a paused trial trains."""
        level = self._levels[number]
        return self.schedule[level + 1] - (self.schedule[level] if self.limits.is_continued else 0.0)

    def _halved(self) -> Promote | None:
        """The promotion of asynchronous halving: the best that waits at the highest rung that has one good enough."""
        for level in reversed(range(len(self.schedule) - 1)):
            results, waiting = self._results[level], self._waiting[level]
            n_going_on = int(len(results) * self.schedule[level] / self.schedule[level + 1] + SLACK)
            if len(waiting) and n_going_on and results.rank(waiting.best(1)[0]) <= n_going_on:
                return self._promote(waiting.best(1)[0], f"the best {n_going_on} go on")
        return None

    def _highest(self, paused: list[int]) -> int:
        """The best of the highest rung at which some trial waits."""
        level = max(self._levels[number] for number in paused)
        return self._waiting[level].best(1)[0]

    def _is_last_chance(self, paused: list[int], n_left: float) -> bool:
        """Whether the limits leave no more than one training to the end, and there was none."""
        if self._n_in_full or not paused or not self.limits.is_any:
            return False
        full = self.schedule[-1]
        is_continued = self.limits.is_continued
        lowest = min(self.schedule[self._levels[number]] for number in paused)
        to_the_end = 1 - lowest / full if is_continued else 1.0
        steps = zip((0.0, *self.schedule), self.schedule, strict=False)
        step = max((b - a if is_continued else b) / full for a, b in steps)
        return n_left <= 1 or self.limits.cost_left < to_the_end + step

    def _to_the_end(self, seen: History, rng: np.random.Generator, paused: list[int]) -> Promote:
        """The promotion to the full fidelity of the trial of which most is expected there."""
        full = self.schedule[-1]
        judged = self._judge(seen, rng, paused, [full] * len(paused), None)
        chosen = self._highest(paused) if judged is None else paused[int(np.argmax(judged.means))]
        return self._promote(chosen, "nothing was trained in full, and the budget ends", is_to_the_end=True)

    def _rank(self, number: int, level: int) -> str:
        results = self._results[level]
        return f"rank {results.rank(number)} of {len(results)} at fidelity {self.schedule[level]:g}"

    def _promote(self, number: int, why: str, *, is_to_the_end: bool = False) -> Promote:
        level = self._levels[number]
        above = len(self.schedule) - 1 if is_to_the_end else level + 1
        text = f"{self._rank(number, level)}, {why}: promoted to {self.schedule[above]:g}"
        return Promote(number, self.schedule[above], {"rung": above, "why": text})
