"""Holding: what a driver does while its store cannot be written."""

from __future__ import annotations

import time
from collections.abc import Iterable

from autohpo.ending import Ending
from autohpo.execution.base import Event, Executor
from autohpo.search import Search

MOST_HELD = 100_000
"""How many events are held at most; trials that report more wait for their answers then."""

SLICE_SECONDS = 0.1  # how late a signal is noticed at most


class Holding:
    """Lets what runs go on to its end while the store is full, locked or gone, and holds what it says, in order.

    The driver itself stands still in its attempt to save, so nothing new is asked for or started. This is what it does
    between two tries: see ``Store.pause``.

    Args:
        search: The search whose store it is.
        executor: Where trials run.
        ending: Knows of signals.
        grace_seconds: How long the store may still take once a signal has come.

    Attributes:
        is_in_report: Whether the executor is waiting for the answer to a report, and cannot be asked for more.
    """

    def __init__(self, search: Search, executor: Executor, ending: Ending, grace_seconds: float) -> None:
        self._search, self._executor, self._ending, self._grace = search, executor, ending, grace_seconds
        self._events: list[Event] = []
        self._signalled: float | None = None  # when a signal was seen here first
        self.is_in_report = False

    def pause(self, seconds: float) -> bool:
        """Wait, and listen to what runs meanwhile; False where the user does not want to wait any longer."""
        until = time.monotonic() + seconds
        while True:
            left = until - time.monotonic()
            if self._is_impatient():
                return False
            if left <= 0:
                return True
            left = min(left, SLICE_SECONDS)
            is_full = len(self._events) + self._search.n_unsaved >= MOST_HELD
            if self._executor.is_inline or self.is_in_report or is_full:
                time.sleep(left)
            else:
                self._events += self._executor.poll(left)

    def taken(self, events: Iterable[Event]) -> list[Event]:
        """Return what was held, and the events that came after it."""
        held, self._events = self._events, []
        return [*held, *events]

    def _is_impatient(self) -> bool:
        """Whether a second signal has come, or the grace after a first one is over."""
        if self._ending.signal is None:
            return False
        now = time.monotonic()
        self._signalled = now if self._signalled is None else self._signalled
        return self._ending.is_urgent or now - self._signalled > self._grace
