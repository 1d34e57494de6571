"""Checkpoint folders: which of them are needed no more."""

from __future__ import annotations

from bisect import insort

from autohpo.algorithms.base import BaseHPOptimizer
from autohpo.objectives import precedence
from autohpo.search import Search
from autohpo.trial import Trial


class Checkpoints:
    """Removes the folders of trainings that will not go on, but for the best.

    Whether a folder is needed follows from the log and from the algorithm's ``resumable``. So a search that was killed
    in between removes at its next start what is left over.

    Args:
        search: The search.
        keep: Which folders stay: "live" keeps those of trainings that may go on and of the best, and everything where
            the algorithm never lets trainings go on; "best", in the end, the best's alone; "all" everything.
        n_best: How many count as the best, where there is one objective.
    """

    def __init__(self, search: Search, keep: str, n_best: int = 1) -> None:
        self._search, self._keep, self._n_best = search, keep, n_best
        self._keeps_all = keep == "all" or (keep == "live" and not _lets_go(search.hpo))
        self._there: set[int] = set()  # roots of chains that have a folder
        self._due: set[int] = set()  # those of them to be removed next time
        self._best: list[tuple[tuple[bool, float, float], int]] = []  # precedence and root, the best last

    def begin(self, resumable: frozenset[int]) -> None:
        """Remove what an earlier driver left over; to be called before anything is started.

        Args:
            resumable: The trials that may still be promoted or forked.
        """
        if not self._keeps_all and self._search.state.n_asked:
            self._best.clear()
            for trial in self._search.state.trials():
                self._rank(trial)
            self._sweep(resumable)

    def ended(self, number: int, resumable: frozenset[int]) -> None:
        """Take the end of a trial, and remove what is needed no more.

        That is done at the next end: the worker of a training that was let go may be writing its last words.

        Args:
            number: The number of the trial.
            resumable: The trials that may still be promoted or forked.
        """
        if self._keeps_all or number < 0:
            return
        state = self._search.state
        if number not in state.running:
            self._rank(state[number])
        root = state.chain(number).root
        if root not in self._there and self._search.place.has(root):
            self._there.add(root)
        if not self._there:
            return
        best = self._best_roots()
        over = {root for root in self._there if root not in best and self._is_over(root, resumable)}
        for gone in over & self._due:
            self._there.discard(gone)
            self._search.place.remove(gone)
        self._due = over

    def finish(self, resumable: frozenset[int], *, is_whole: bool) -> None:
        """Remove what is needed no more, once nothing runs.

        Args:
            resumable: The trials that may still be promoted or forked.
            is_whole: Whether the search came to its own end.
        """
        if not self._keeps_all and (self._there or self._search.place.is_there):
            self._sweep(frozenset() if self._keep == "best" and is_whole else resumable)
        self._search.place.close()

    def _sweep(self, resumable: frozenset[int]) -> None:
        """Go through the folders of all trainings."""
        best = self._best_roots()
        for root in self._search.place.roots(self._search.state.n_asked):
            if root not in best and self._is_over(root, resumable):
                self._there.discard(root)
                self._search.place.remove(root)

    def _is_over(self, root: int, resumable: frozenset[int]) -> bool:
        leaf = self._search.state.chain(root).leaf
        return leaf not in resumable and leaf not in self._search.state.running

    def _rank(self, trial: Trial) -> None:
        """Take a result into account, where more than one may turn out to be the best."""
        if trial.scores and (self._n_best > 1 or self._search.hpo.noise):
            insort(self._best, (precedence(trial), self._search.state.chain(trial.number).root))
            if not self._search.hpo.noise:
                del self._best[: -self._n_best]

    def _best_roots(self) -> set[int]:
        state = self._search.state
        best = {state.chain(trial.number).root for trial in state.front.trials}
        if self._best:  # with noise, whoever was trained as long may have the best mean in the end
            top = self._best[-1][0][:2]
            best |= {root for rank, root in self._best if not self._search.hpo.noise or rank[:2] == top}
        return best


def _lets_go(hpo: BaseHPOptimizer) -> bool:
    """Whether an algorithm has trainings go on, and lets go of others."""
    has_levels = hpo.has_fidelity and getattr(hpo, "max_fidelity", 1.0) is not None
    return has_levels and type(hpo).resumable is not BaseHPOptimizer.resumable
