"""Ending: when a search ends before its budget does, by a signal or its time limit, and what happens then."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from types import FrameType

from autohpo.execution.base import Executor
from autohpo.trial import TrialState


class Ending:
    """Watches the clock and signals.

    The first signal ends the search in order, the second one at once. While an objective runs in this very thread, a
    signal interrupts it there.

    Args:
        executor: What is stopped and killed.
        time_limit: Seconds for the search, if limited.
        grace_seconds: How long running trials may take to end.

    Attributes:
        reason: Why the search ends early; the empty string while it goes on.
        signal: The signal that ends it, if one does.
        began: When the search began, by the monotonic clock.
    """

    def __init__(self, executor: Executor, time_limit: float | None, grace_seconds: float) -> None:
        self._executor, self._time_limit, self._grace = executor, time_limit, grace_seconds
        self.reason = ""
        self.signal: int | None = None
        self.began = time.monotonic()
        self._kills_at = float("inf")
        self._is_in_user_code = False

    @property
    def is_urgent(self) -> bool:
        """Whether a second signal asks for an end at once."""
        return self.signal is not None and self._kills_at <= 0

    def check(self, running: Iterable[int]) -> None:
        """Begin the end where a signal came or time is up; kill what still runs when its grace is over.

        Args:
            running: The numbers of the trials that run.
        """
        if not self.reason:
            limit = self._time_limit
            if self.signal is not None:
                self.begin("the search was interrupted", running)
            elif limit is not None and time.monotonic() - self.began >= limit:
                self.begin(f"the search reached its time limit of {limit:g} s", running)
        elif time.monotonic() >= self._kills_at:
            for number in list(running):
                self._executor.kill(number, TrialState.CANCELLED, self.reason)

    def begin(self, why: str, running: Iterable[int]) -> None:
        """Ask every running trial to end at its next report."""
        self.reason = why
        self._kills_at = min(self._kills_at, time.monotonic() + self._grace)
        for number in list(running):
            self._executor.stop(number)

    @contextmanager
    def signals(self) -> Iterator[None]:
        """Take SIGINT and SIGTERM while the search runs; only the main thread may, elsewhere they stay as they are."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        kept = {s: signal.signal(s, self._on_signal) for s in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for signum, handler in kept.items():
                signal.signal(signum, handler)

    def _on_signal(self, signum: int, _frame: FrameType | None) -> None:
        if self.signal is not None:
            self._kills_at = 0.0
        self.signal = self.signal or signum
        if self._is_in_user_code and self._executor.is_inline:  # the objective runs in this very thread
            raise KeyboardInterrupt

    def enter_user_code(self) -> None:
        """Let signals interrupt an objective that runs in this thread; one that came before does so now."""
        self._is_in_user_code = True
        if self.signal is not None and self._executor.is_inline:
            raise KeyboardInterrupt

    def leave_user_code(self) -> None:
        """Let signals be noted, and no more."""
        self._is_in_user_code = False

    @contextmanager
    def user_code(self) -> Iterator[None]:
        """Let a signal interrupt what is done in here, as a second one must end what does not end by itself."""
        self._is_in_user_code = True
        try:
            yield
        finally:
            self._is_in_user_code = False
