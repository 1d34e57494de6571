"""Listener: what hears of a search as its log grows."""

from __future__ import annotations

from typing import Protocol

from autohpo.trial import Suggestion, Trial


class Listener(Protocol):
    """The contract of what hears of suggestions and results, in the order of the log."""

    def suggested(self, suggestion: Suggestion) -> None:
        """Hear of a suggestion."""

    def ended(self, trial: Trial, best: Trial | None) -> None:
        """Hear of a trial with a result, after which `best` is the best one."""
