"""Waiting: what a store does where it cannot write now, but perhaps soon: a full disk, a lock, a server away."""

from __future__ import annotations

import contextlib
import logging
import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

from autohpo.errors import (
    OptionError,
    StoreError,
    StoreFullError,
    StoreGoneError,
    StoreLockedError,
    StoreOfflineError,
    StoreWarning,
    short,
)
from autohpo.store.base import LogEvent

WAIT_SECONDS = 60.0
"""How long a store waits for room on its disk, or for another process that has locked its file."""

GONE_SECONDS = 10.0
"""How long it waits for a file that was removed or moved to come back."""

QUIET_SECONDS = 5.0
"""How long it waits for another process before it says so: a backup takes a moment."""

FIRST_PAUSE_SECONDS = 0.02
LONGEST_PAUSE_SECONDS = 0.5
N_NAMED = 5

PASSING = (StoreFullError, StoreGoneError, StoreLockedError, StoreOfflineError)
"""What may pass by itself."""

_log = logging.getLogger("autohpo")


class Waiting:
    """Tries again and again to write what is held, and gives up after a time.

    Args:
        path: The path of the store, or its URL without secrets.
        wait_seconds: How long to wait for room, or for another process.

    Attributes:
        has_given_up: Whether it did not get better in that time; then nothing is waited for any more.

    Raises:
        OptionError: The time is no number of seconds.
    """

    def __init__(self, path: Path | str, wait_seconds: float) -> None:
        if isinstance(wait_seconds, bool) or not isinstance(wait_seconds, (int, float)) or not wait_seconds >= 0:
            raise OptionError(f"wait_seconds: must be a number of seconds, at least 0, got {short(wait_seconds)}")
        self._path, self._wait_seconds = path, wait_seconds
        self.has_given_up = False
        self._said = ""  # when it gave up

    def retry(
        self,
        step: Callable[[], None],
        error: StoreError,
        pause: Callable[[float], object],
        held: Sequence[LogEvent] = (),
    ) -> None:
        """Try a step again until it succeeds.

        Args:
            step: What writes.
            error: Why it could not.
            pause: Waits for some seconds; where it returns False the waiting ends.
            held: What is to be written.

        Raises:
            StoreFullError: There is no room for too long.
            StoreGoneError: The file does not come back.
            StoreLockedError: Another process does not let go of the file.
            StoreOfflineError: The server is away for too long.
        """
        began, pause_seconds, is_said = time.monotonic(), FIRST_PAUSE_SECONDS, False
        while not self.has_given_up:
            waited = time.monotonic() - began
            limit = min(self._wait_seconds, GONE_SECONDS) if isinstance(error, StoreGoneError) else self._wait_seconds
            if waited >= limit:
                self.has_given_up = True
                break
            if not is_said and (waited >= QUIET_SECONDS or not isinstance(error, StoreLockedError)):
                is_said = True
                _warn(f"{error}; waiting up to {limit:g} s, and nothing new is started meanwhile")
            if pause(min(pause_seconds, limit - waited)) is False:
                self.has_given_up = True
                break
            pause_seconds = min(pause_seconds * 1.5, LONGEST_PAUSE_SECONDS)
            try:
                step()
            except PASSING as again:
                error = again
            else:
                if is_said:
                    _log.info("store: %s can be written again", self._path)
                return
        self._said = (
            self._said
            or f"{error}; after {time.monotonic() - began:.0f} s of waiting {_described(held)}{self._rest(error)}"
        )
        raise type(error)(self._said) from error

    @staticmethod
    def _rest(error: StoreError) -> str:
        """Return what is said of the events that were written before."""
        return "" if isinstance(error, StoreGoneError) else "; everything before is"


def _warn(text: str) -> None:
    """Warn, and go on even where warnings are errors: a search waits here with results in its hands."""
    _log.warning(text)
    with contextlib.suppress(StoreWarning):
        warnings.warn(text, StoreWarning, stacklevel=6)


def _described(held: Sequence[LogEvent]) -> str:
    """Return what is not saved, as the end of a sentence."""
    ends = [event for event in held if event.kind == "end"]
    named = [f"trial {e.trial} ({e.data.get('state')}, perf {e.data.get('perf')})" for e in ends[:N_NAMED]]
    if len(ends) > N_NAMED:
        named.append(f"{len(ends) - N_NAMED} more")
    results = f", among them the end of {', '.join(named)}" if named else ""
    return f"{len(held)} event{'s are' if len(held) != 1 else ' is'} not saved{results}"
