"""What a study and its trials raise, under the names that define-by-run users know."""

from __future__ import annotations

from autohpo.errors import NoResultError, StoreError

__all__ = ["DuplicatedStudyError", "NoTrialError", "TrialPruned"]


class TrialPruned(Exception):  # noqa: N818 - what happened, raised by users
    """A trial ends here, and what it reported last is its value: ``raise TrialPruned()`` where it should be pruned."""


class DuplicatedStudyError(StoreError):
    """The storage holds a study already, and ``load_if_exists`` was not given."""


class NoTrialError(NoResultError, ValueError):
    """The best trial was asked for, and none is complete."""
