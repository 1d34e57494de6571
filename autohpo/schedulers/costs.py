"""Costs: how many of the best results at a rung had their share of what all results there have cost."""

from __future__ import annotations

from autohpo.history import History
from autohpo.schedulers.ranking import Ranking
from autohpo.schedulers.rungs import SLACK


class RungCosts:
    """What trainings have cost until a rung; kept until it is forgotten with the history that it is of.

    Example:
        Costs of 1, 1 and 10, the best first, are 12; a third of that pays for the first two.
    """

    def __init__(self) -> None:
        self._chains: dict[tuple[int, bool], float | None] = {}
        self._found: dict[int, tuple[int, bool, int]] = {}  # by level, with what they were found for

    def n_going_on(self, seen: History, level: int, results: Ranking, share: float, is_continued: bool) -> int:
        """Return how many of the best results have cost no more together than a share of what all have cost.

        Where the cost of some result is not known, all of them count alike, so that it is a share of their number.

        Args:
            seen: The history of the search.
            level: The place of the rung.
            results: The results there.
            share: The share of the cost.
            is_continued: Whether a promoted trial continued its training, so that what it cost before counts, too.
        """
        n = len(results)
        known = self._found.get(level)
        if known is None or known[:2] != (n, is_continued):
            found = [self._cost(seen, number, is_continued) for number in results.best(n)]
            costs = [1.0 if cost is None else cost for cost in found]
            if None in found or not sum(costs) > 0:
                costs = [1.0] * n
            known = self._found[level] = n, is_continued, _n_within(costs, share)
        return known[2]

    def _cost(self, seen: History, number: int, is_continued: bool) -> float | None:
        """What a training has cost until the end of a trial; None where that is not known."""
        key = number, is_continued
        if key not in self._chains:
            trial = seen[number]
            before = 0.0 if trial.resume is None or not is_continued else self._cost(seen, trial.resume, is_continued)
            self._chains[key] = None if before is None or trial.cost is None else before + trial.cost
        return self._chains[key]


def _n_within(costs: list[float], share: float) -> int:
    """How many of the first costs are together no more than a share of all."""
    limit, spent, n = sum(costs) * share * (1 + SLACK), 0.0, 0
    for cost in costs:
        spent += cost
        if spent > limit:
            break
        n += 1
    return n
