"""Ranking: the results of a rung, the best first; of several objectives by Pareto front."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from autohpo.surrogates import pareto
from autohpo.trial import Trial

Scores = tuple[float, ...]
"""Every objective of a result, higher is better."""


def scores_of(trial: Trial) -> Scores:
    """Return the scores of a trial at the fidelity that it was given; empty where it failed, or was stopped before.

    Args:
        trial: A finished trial.
    """
    return () if trial.fidelity is not None and trial.reached < trial.fidelity else trial.scores


def ranked(results: Mapping[int, Scores]) -> list[int]:
    """Return the numbers of results, the best first; those without a score are left out.

    One objective is compared by its score. Of several, the results of a better Pareto front come first; in a front
    those with more room around them, so that few of them show the whole front. Of equals the one asked first.

    Args:
        results: The scores by the number of the trial.

    Source: Deb et al. 2002, IEEE TEC 6(2), section III-B (the crowded-comparison operator); asynchronous halving with
    it: Schmucker et al. 2021, arXiv 2106.12639.
    """
    found = [(number, scores) for number, scores in results.items() if scores]
    if not found or len(found[0][1]) == 1:
        return [number for _, number in sorted((-scores[0], number) for number, scores in found)]
    numbers, values = np.array([number for number, _ in found]), np.array([scores for _, scores in found])
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
        >>> for number, scores in enumerate([(0.2,), (0.7,), (0.5,)]):
        ...     ranking.add(number, scores)
        >>> ranking.best(2), ranking.rank(0)
        ([1, 2], 3)
    """

    def __init__(self) -> None:
        self._scores: dict[int, Scores] = {}
        self._sorted: list[tuple[float, int]] = []  # minus the score and the number, where there is one objective
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
            scores: Every objective, higher is better.
        """
        self._scores[number] = scores
        self._places = None
        if len(scores) == 1:
            insort(self._sorted, (-scores[0], number))

    def discard(self, number: int) -> None:
        """Leave out a result, if it is there."""
        scores = self._scores.pop(number, None)
        self._places = None
        if scores is not None and len(scores) == 1:
            del self._sorted[bisect_left(self._sorted, (-scores[0], number))]

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
        if len(scores) == 1:
            return 1 + bisect_left(self._sorted, (-scores[0], number))
        return 1 + self._order()[number]

    def best(self, n: int) -> Sequence[int]:
        """Return the numbers of the best n results, the best first."""
        if self._sorted:
            return [number for _, number in self._sorted[:n]]
        return list(self._order())[:n]

    def _order(self) -> dict[int, int]:
        """The place of each result, the best first."""
        if self._places is None:
            self._places = {number: place for place, number in enumerate(ranked(self._scores))}
        return self._places
