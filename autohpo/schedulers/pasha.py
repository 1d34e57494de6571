"""PASHA: asynchronous halving whose highest rung is raised only while the order of trials still changes there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from autohpo.history import History
from autohpo.schedulers.asha import AsyncPromotion
from autohpo.schedulers.base import Limits, TrainingPlan
from autohpo.schedulers.ranking import Ranking

_START = 1  # the place of the first top rung: two rungs are there to be compared


class ProgressivePromotion(AsyncPromotion):
    """Promotes as asynchronous halving does, but to a top rung, which is raised where the two highest orders disagree.

    Each time that a result comes in at the top rung, the trials there are ordered by their results at it, and by those
    at the rung below. Where each has a place below whose trial differs from it by no more than epsilon, the order is
    stable: more training would not change who is best. Else the top is raised by a rung.

    Epsilon is the noise in that comparison: of all pairs of trials at the top rung whose order flipped and flipped back
    on their way the 90th percentile of the difference at the top. Both must have reports, or results of rungs, at three
    fidelities in common; at which ones does not matter. Without such a pair it is 0.

    Args:
        rungs: The fidelities, rising; the last is the full one.
        eta: The best 1 / eta of the results at a rung go on; None is the share of :class:`Rungs`.
        n_brackets: How many of the lowest rungs new configurations may start at.
        percentile: Which percentile of the differences epsilon is.

    Source: Bohdal et al. 2023, ICLR, PASHA, Algorithm 1 and section 4.2.

    Example:
        >>> ProgressivePromotion([1.0, 3.0, 9.0], eta=3).top
        3.0
    """

    def __init__(
        self, rungs: Sequence[float], eta: float | None = None, n_brackets: int = 1, percentile: float = 90.0
    ) -> None:
        self._percentile = percentile
        self._seen: History | None = None
        super().__init__(rungs, eta, n_brackets)

    def _restart(self) -> None:
        super()._restart()
        self._level = min(_START, len(self.schedule) - 1)
        self._start_top()

    def _start_top(self) -> None:
        """Begin to look at another top rung."""
        self._curves: dict[int, Mapping[float, float]] = {}  # of the trials there
        self._differences: list[float] = []  # of the pairs whose order flipped and flipped back

    @property
    def top(self) -> float:
        """The fidelity that trials are trained to at most, as yet."""
        return self.schedule[self._level]

    @property
    def epsilon(self) -> float:
        """The difference up to which two results are taken for equal."""
        return float(np.percentile(self._differences, self._percentile)) if self._differences else 0.0

    @property
    def _top(self) -> int:
        return self._level

    @property
    def _notes(self) -> dict[str, str]:
        if self._level == len(self.schedule) - 1:
            return {}
        below = self.schedule[self._level - 1]
        return {"rule": f"nobody gets more than {self.top:g} while the order there is that at {below:g}"}

    def _lowest_start(self) -> int:
        """The lowest rung: nobody need come to the full fidelity."""
        return 0

    def training_plan(self, limits: Limits) -> TrainingPlan | None:
        """Return nothing: what a search trains depends on its results."""
        return None

    def why(self, seen: History, trial: int) -> str:
        """Return the rank of a trial at its rung, and how many of the rung go on, or that it is the top."""
        usual = super().why(seen, trial)
        level = self._places.get(trial)
        if level is None or level < self._level or level == len(self.schedule) - 1:
            return usual
        below = self.schedule[level - 1]
        return f"{self._where(trial, level)}: nobody goes on, the order is that at {below:g} up to {self.epsilon:.3g}"

    def _follow(self, seen: History) -> None:
        self._seen = seen
        super()._follow(seen)

    def _added(self, number: int, level: int) -> None:
        """Looks at the order where a result has come in at the top rung; the top may be raised by more than a rung."""
        if level != self._level or level == len(self.schedule) - 1:
            return
        self._compare(number)
        while self._level < len(self.schedule) - 1 and not self._is_stable():
            self._level += 1
            self._start_top()
            for other in self._rungs[self._level].results:
                self._compare(other)

    def _compare(self, number: int) -> None:
        """Adds the differences of a trial at the top rung to those that were there before it."""
        curve = self._curve(number)
        for other in self._curves.values():
            difference = flipped_back(curve, other)
            if difference is not None:
                self._differences.append(difference)
        self._curves[number] = curve

    def _curve(self, number: int) -> dict[float, float]:
        """The scores of a training until the top rung, by fidelity: its results at rungs, and its reports."""
        found: dict[float, float] = {}
        trial = None if self._seen is None else self._seen.get(number)
        while trial is not None and self._seen is not None:
            found = {**dict(trial.curve), **({trial.reached: trial.score} if trial.score is not None else {}), **found}
            trial = None if trial.resume is None else self._seen.get(trial.resume)
        return {fidelity: score for fidelity, score in found.items() if fidelity <= self.top}

    def _is_stable(self) -> bool:
        """Whether the order at the top rung is that at the rung below, but for differences of epsilon."""
        top, below = self._rungs[self._level].results, self._rungs[self._level - 1].results
        order = [number for number in top.best(len(top)) if self._before(number, below) is not None]
        before = Ranking()
        for number in order:
            earlier = self._before(number, below)
            if earlier is not None:
                before.add(number, below.scores(earlier))
        places = before.best(len(before))
        return all(_is_like(before, number, places[place], self.epsilon) for place, number in enumerate(order))

    def _before(self, number: int, below: Ranking) -> int | None:
        """The trial that one at the top rung continued, if it has a result at the rung below."""
        trial = None if self._seen is None else self._seen.get(number)
        return trial.resume if trial is not None and trial.resume is not None and trial.resume in below else None


def _is_like(ranking: Ranking, number: int, other: int, epsilon: float) -> bool:
    """Whether two results differ by no more than epsilon, and miss their constraints by as much."""
    mine, others = ranking.scores(number), ranking.scores(other)
    return mine[0] == others[0] and abs(mine[1] - others[1]) <= epsilon


def flipped_back(curve: Mapping[float, float], other: Mapping[float, float]) -> float | None:
    """Return how far two curves are apart at the end where their order flipped and flipped back; else None.

    That is, where the one that is better at the last fidelity that both have was worse at some earlier one, and better
    at one before that.

    Args:
        curve: The scores of one by fidelity.
        other: Those of the other one.

    Source: Bohdal et al. 2023, ICLR, section 4.2.
    """
    common = sorted(curve.keys() & other.keys())
    if len(common) < 3:
        return None
    gaps = np.array([curve[fidelity] - other[fidelity] for fidelity in common])
    signs = np.sign(gaps) * np.sign(gaps[-1])  # 1 where the order is that at the end
    worse = np.flatnonzero(signs[:-1] < 0)
    if not len(worse) or not (signs[: worse[-1]] > 0).any():
        return None
    return float(abs(gaps[-1]))
