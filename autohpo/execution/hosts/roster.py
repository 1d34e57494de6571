"""The hosts of a search as its driver sees them, and when the engine is asked for more."""

from __future__ import annotations

import logging
import time
import warnings
from dataclasses import dataclass, field

from autohpo.errors import AutoHPOError
from autohpo.execution.hosts.engine import Engine
from autohpo.trial import Outcome

__all__ = ["Host", "Roster"]

_log = logging.getLogger("autohpo")

PATIENCE_SECONDS = 30.0  # until a user is told that no worker has come
MAX_FAILED_STARTS = 3
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 1.0, 30.0  # before another host is asked for, after some were lost at once


@dataclass(eq=False)
class Host:
    """A host as its driver sees it.

    Attributes:
        number: The number of its slot, which is never used again.
        asked: When the engine was asked for it.
        heard: When it last said something, by the monotonic clock.
        is_ready: Whether it has said hello.
        where: The machine it runs on.
        attempt: Number and attempt of the trial that it runs.
        held: The roots of the trainings that are paused there.
        verdict: What its attempt was to be killed with, and until when it must have been.
    """

    number: int
    asked: float
    heard: float = 0.0
    is_ready: bool = False
    where: str = ""
    attempt: tuple[int, int] | None = None
    held: set[int] = field(default_factory=set)
    verdict: tuple[float, Outcome] | None = None


class Roster:
    """The hosts that were asked for: as many as there are to be slots, and a new one for each that is lost.

    Where hosts are lost before they are ready, the next are asked for later and later. Where that happens to the first
    ones, something is wrong that waiting will not fix.

    Args:
        engine: What runs the hosts.
        n_slots: How many there are to be.

    Attributes:
        hosts: The hosts that were asked for and are not lost, by number.
        has_had_some: Whether any has ever said hello.
    """

    def __init__(self, engine: Engine, n_slots: int) -> None:
        self.hosts: dict[int, Host] = {}
        self._engine, self._n_slots = engine, n_slots
        self._n_asked = self._n_failed = 0
        self._began = self._may_ask_at = 0.0
        self.has_had_some = self._has_warned = False

    def ask(self, now: float) -> None:
        """Ask the engine for the hosts that are missing; warn once where none has come for long.

        Args:
            now: The time, by the monotonic clock.
        """
        self._began = self._began or now
        if now >= self._may_ask_at:
            while len(self.hosts) < self._n_slots:
                number, self._n_asked = self._n_asked, self._n_asked + 1
                self.hosts[number] = Host(number, now)
                self._engine.start(number)
        if not self.has_had_some and not self._has_warned and now - self._began > PATIENCE_SECONDS:
            self._has_warned = True
            seconds = now - self._began
            text = f"executor: after {seconds:.0f} s no worker has started; waiting for {self._engine.waits_for}"
            _log.warning(text)
            warnings.warn(text, RuntimeWarning, stacklevel=2)

    def welcome(self, host: Host, where: str) -> None:
        """Take the hello of a host.

        Args:
            host: The host.
            where: The machine it runs on.
        """
        host.is_ready, host.where = True, where
        self.has_had_some, self._n_failed = True, 0

    def start_failed(self, why: str) -> None:
        """Take note that a host was lost before it was ready.

        Raises:
            AutoHPOError: It was one of the first ones, which all were.
        """
        self._n_failed += 1
        if self._n_failed >= MAX_FAILED_STARTS and not self.has_had_some:
            raise AutoHPOError(f"executor: {self._n_failed} workers of {self._engine.name} could not start: {why}")
        pause = min(FIRST_PAUSE_SECONDS * 2 ** (self._n_failed - 1), LONGEST_PAUSE_SECONDS)
        self._may_ask_at = time.monotonic() + pause
