"""Retold: the base of views of a whole history in which trials end at other times, or with other results."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence

from autohpo.history import Cursor, History, ReadOnly
from autohpo.trial import Running, Trial
from autohpo.views import PartView


class Retold(PartView):
    """The history as a sampler without fidelities may see it.

    A subclass reads what is new in ``_read``, by way of ``self._cursor``, and says what is open and what is closed. It
    calls ``self._restart()`` at the end of its ``__init__``, and where a step is a reset.

    Args:
        history: The whole history.
    """

    def __init__(self, history: History) -> None:
        super().__init__(history)
        self._cursor = Cursor(history)
        self._revision = -1

    def _restart(self) -> None:
        """Forget what was read."""
        self._revision += 1
        self._open: dict[int, Running] = {}
        self._closed: list[Trial] = []

    @abstractmethod
    def _read(self) -> None:
        """Take what is new in the history."""

    @property
    def revision(self) -> int:  # type: ignore[override]
        """How often the history has lost a trial, so that everything was read anew."""
        self._read()
        return self._revision

    @property
    def trials(self) -> Sequence[Trial]:
        """The trials that have ended here, in the order of that."""
        self._read()
        return ReadOnly(self._closed)

    @property
    def running(self) -> Sequence[Running]:
        """The trials without an end here."""
        self._read()
        return list(self._open.values())
