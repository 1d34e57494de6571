"""Asked: a trial between ask and tell, which runs in the user's own loop."""

from __future__ import annotations

from autohpo.define_by_run.objective import PARAMS
from autohpo.define_by_run.trial import Trial
from autohpo.search import Search
from autohpo.trial import Suggestion

__all__ = ["Asked"]


class Asked(Trial):
    """A trial that reports to a search in this process.

    Args:
        suggestion: What the search suggested.
        search: The search.
        most: The resource of a full training; None where nothing is trained in part.
    """

    def __init__(self, suggestion: Suggestion, search: Search, most: float | None) -> None:
        super().__init__(suggestion.number, suggestion.seed, suggestion[PARAMS], _Reports(search, suggestion), most)


class _Reports:
    """What it reports through."""

    def __init__(self, search: Search, suggestion: Suggestion) -> None:
        self._search, self._number, self.fidelity = search, suggestion.number, suggestion.fidelity

    def report(self, perf: object, fidelity: float | None = None) -> bool:
        return self._search.report(self._number, fidelity or 0, perf)
