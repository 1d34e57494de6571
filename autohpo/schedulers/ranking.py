"""Ranking: the results of a rung, the best first; of several objectives by Pareto front."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from autohpo.surrogates import pareto
from autohpo.trial import Trial

Scores = tuple[float, ...]
"""What a result is ranked by: minus what it misses its constraints by, and every objective; higher is better."""


def scores_of(trial: Trial) -> Scores:
    """Return what a trial is ranked by at the fidelity that it was given; empty where it failed, or was stopped before.

    Args:
        trial: A finished trial.
    """
    is_short = trial.fidelity is not None and trial.reached < trial.fidelity
    return () if is_short or not trial.scores else (-trial.violation, *trial.scores)


def ranked(results: Mapping[int, Scores]) -> list[int]:
    """Return the numbers of results, the best first; those without a score are left out.

    Those that meet their constraints come before those that do not, and of the latter those that miss them least. One
    objective is compared by its score. Of several, the results of a better Pareto front come first; in a front those
    with more room around them, so that few of them show the whole front. Of equals the one asked first.

    Args:
        results: The scores by the number of the trial.

    Source: Deb et al. 2002, IEEE TEC 6(2), section III-B (the crowded-comparison operator); asynchronous halving with
    it: Schmucker et al. 2021, arXiv 2106.12639.
    """
    found = sorted((-scores[0], -scores[1], number) for number, scores in results.items() if scores)
    if all(len(scores) <= 2 for scores in results.values()):
        return [number for _, _, number in found]
    good = [number for violation, _, number in found if not violation]
    others = sorted((violation, number) for violation, _, number in found if violation)
    return [*_by_front({number: results[number][1:] for number in good}), *(number for _, number in others)]


def _by_front(results: Mapping[int, tuple[float, ...]]) -> list[int]:
    """The numbers of results with several objectives, the best first."""
    if not results:
        return []
    numbers, values = np.array(list(results)), np.array(list(results.values()))
    fronts, room = pareto.ranks(values), np.empty(len(values))
    for front in range(int(fronts.max()) + 1):
        places = np.flatnonzero(fronts == front)
        room[places] = pareto.crowding(values[places])
    order = np.lexsort((numbers, -room, fronts))
    return [int(number) for number in numbers[order]]


class Ranking:
    """Results with their ranks, kept up to date.

    With one objective a result costs a search in a sorted list; with several the order is made anew when it is asked
    for.

    Example:
        >>> ranking = Ranking()
        >>> for number, score in enumerate([0.2, 0.7, 0.5]):
        ...     ranking.add(number, (0.0, score))
        >>> ranking.best(2), ranking.rank(0)
        ([1, 2], 3)
    """

    def __init__(self) -> None:
        self._scores: dict[int, Scores] = {}
        self._sorted: list[tuple[float, float, int]] = []  # minus the scores, number: of one objective
        self._places: dict[int, int] | None = None  # by number, the best first, where there are several

    def __len__(self) -> int:
        return len(self._scores)

    def __iter__(self) -> Iterator[int]:
        return iter(self._scores)

    def __contains__(self, number: int) -> bool:
        return number in self._scores

    @property
    def has_fronts(self) -> bool:
        """Whether the results have several objectives."""
        return len(self._scores) > len(self._sorted)

    def add(self, number: int, scores: Scores) -> None:
        """Take a result.

        Args:
            number: The number of the trial.
            scores: What it is ranked by.
        """
        self._scores[number] = scores
        self._places = None
        if len(scores) == 2:
            insort(self._sorted, (-scores[0], -scores[1], number))

    def discard(self, number: int) -> None:
        """Leave out a result, if it is there."""
        scores = self._scores.pop(number, None)
        self._places = None
        if scores is not None and len(scores) == 2:
            del self._sorted[bisect_left(self._sorted, (-scores[0], -scores[1], number))]

    def copy(self) -> Ranking:
        """Return a ranking of the same results, which may take others."""
        made = Ranking()
        made._scores, made._sorted = self._scores.copy(), self._sorted.copy()
        return made

    def rank(self, number: int) -> int:
        """Return the rank of a result, from 1.

        Raises:
            KeyError: It is not there.
        """
        scores = self._scores[number]
        if len(scores) == 2:
            return 1 + bisect_left(self._sorted, (-scores[0], -scores[1], number))
        return 1 + self._order()[number]

    def scores(self, number: int) -> Scores:
        """Return what a result is ranked by.

        Raises:
            KeyError: It is not there.
        """
        return self._scores[number]

    def best(self, n: int) -> Sequence[int]:
        """Return the numbers of the best n results, the best first."""
        if self._sorted:
            return [number for _, _, number in self._sorted[:n]]
        return list(self._order())[:n]

    def _order(self) -> dict[int, int]:
        """The place of each result, the best first."""
        if self._places is None:
            self._places = {number: place for place, number in enumerate(ranked(self._scores))}
        return self._places
