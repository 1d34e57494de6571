"""Limits: when a search must end, set before it starts or while it runs; and what was used of each limit."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from autohpo.controller.settings import MINUTE, MOST_MINUTES, minutes
from autohpo.errors import OptionError, shown


class Deadline:
    """The time limit of a search: an absolute time, which may be set, moved and lifted at any time, from any thread.

    Args:
        limit_minutes: The minutes that the search may take from its start; None sets no limit.
        moved: Called with the seconds that are left when the limit is moved; None where it is lifted.
    """

    def __init__(self, limit_minutes: float | None, moved: Callable[[float | None], None]) -> None:
        self._minutes, self._moved = limit_minutes, moved
        self._lock = threading.Lock()
        self._began: float | None = None  # by the monotonic clock
        self._ended: float | None = None
        self._at: float | None = None

    def begin(self) -> None:
        """Begin the search: a limit in minutes counts from now on."""
        with self._lock:
            self._began, self._ended = time.monotonic(), None
            if self._minutes is not None:
                self._at, self._minutes = self._began + self._minutes * MINUTE, None

    def end(self) -> None:
        """End the search: its time stands still."""
        with self._lock:
            self._ended = time.monotonic()

    def set(self, in_minutes: float | None, specific_time: datetime | None) -> None:
        """Set when the search must end; without either, there is no limit any more.

        Args:
            in_minutes: The minutes from now on.
            specific_time: The time, in place of these; without a time zone it is local time.

        Raises:
            OptionError: Both are given, or one is no time.
        """
        if in_minutes is not None and specific_time is not None:
            raise OptionError("set_time_limit: takes in_minutes or specific_time, not both")
        left = minutes("in_minutes", in_minutes)
        seconds = None if left is None else left * MINUTE
        if specific_time is not None:
            if not isinstance(specific_time, datetime):
                raise OptionError(f"specific_time: must be a datetime, got {shown(specific_time)}")
            seconds = max(0.0, (specific_time - datetime.now(specific_time.tzinfo)).total_seconds())
            if seconds > MOST_MINUTES * MINUTE:
                raise OptionError(f"specific_time: must be at most {MOST_MINUTES:g} minutes away, got {specific_time}")
        with self._lock:
            self._minutes, self._at = None, None if seconds is None else time.monotonic() + seconds
        self._moved(seconds)

    @property
    def left_seconds(self) -> float | None:
        """The seconds that are left; None without a limit."""
        at = self._at
        return None if at is None else at - time.monotonic()

    @property
    def time(self) -> datetime | None:
        """When the search must end, in local time; None without a limit, and before a limit in minutes has begun."""
        left = self.left_seconds
        return None if left is None else datetime.now() + timedelta(seconds=left)  # noqa: DTZ005 - as ClearML says it

    @property
    def is_reached(self) -> bool:
        """Whether the time is up."""
        left = self.left_seconds
        return left is not None and left <= 0

    @property
    def elapsed_minutes(self) -> float:
        """The minutes since the search began, up to its end; -1 before it."""
        if self._began is None:
            return -1.0
        return ((time.monotonic() if self._ended is None else self._ended) - self._began) / MINUTE


@dataclass(frozen=True)
class Used:
    """A limit and what was used of it, in the same unit.

    Attributes:
        limit: The limit; None without one.
        used: What was used.
    """

    limit: float | None
    used: float


@dataclass(frozen=True)
class Budget:
    """What a search may use and has used.

    Attributes:
        jobs: Created jobs; without a limit where an algorithm gives jobs parts of the iterations, which are limited.
        iterations: Iterations of all jobs together.
        compute_time: Minutes that all jobs took together.

    Example:
        >>> Budget(Used(10, 3), Used(300, 45.0), Used(None, 1.5)).to_dict()["jobs"]
        {'limit': 10, 'used': 3}
    """

    jobs: Used
    iterations: Used
    compute_time: Used

    def to_dict(self) -> dict[str, dict[str, Any]]:
        """Return ``{part: {"limit": ..., "used": ...}}``."""
        return {name: dict(vars(part)) for name, part in vars(self).items()}
