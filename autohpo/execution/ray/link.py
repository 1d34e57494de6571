"""The two ends of the way between driver and actor: what was sent is kept until the other end has said it came.

A call of Ray may be lost, or its answer, where a connection breaks for a moment. So messages are numbered both ways.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Sequence
from typing import Any, NamedTuple

from autohpo.execution.hosts.engine import Link

__all__ = ["RayLink", "Said", "Unheard"]


class Said(NamedTuple):
    """What an actor answers when it has something to say; calls of Ray carry its parts, which are plain values.

    Attributes:
        first: The number of the first message.
        messages: The messages that the driver has not heard yet.
        n_heard: How many messages of the driver have come to it.
        why_ended: Why its host has come to an end, and has no more to say than this; None while it runs.
    """

    first: int
    messages: Sequence[bytes]
    n_heard: int
    why_ended: str | None = None


class Unheard:
    """Messages that were sent, and of which nobody has said yet that they came; may be used from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._messages: list[bytes] = []
        self._first = 0

    def add(self, message: bytes) -> int:
        """Take a message, and return its number."""
        with self._lock:
            self._messages.append(message)
            return self._first + len(self._messages) - 1

    def heard(self, n_heard: int) -> None:
        """Forget what has come.

        Args:
            n_heard: How many messages have come in all.
        """
        with self._lock:
            n_new = n_heard - self._first
            if n_new > 0:
                del self._messages[:n_new]
                self._first = n_heard

    def rest(self) -> tuple[int, list[bytes]]:
        """Return what is left: the number of its first message, and the messages."""
        with self._lock:
            return self._first, list(self._messages)


class RayLink(Link):
    """The end in the actor: its methods of a link are called by the host's thread, the others by calls of Ray.

    Args:
        lease_seconds: How long the driver may be silent before this host is no longer wanted.
    """

    def __init__(self, lease_seconds: float) -> None:
        self._lease = lease_seconds
        self._parent = os.getppid()  # the daemon of Ray on this machine
        self._changed = threading.Condition()
        self._inbox: list[bytes] = []
        self._n_heard = 0
        self._outbox = Unheard()
        self._why_ended: str | None = None
        self._heard_at = time.monotonic()

    # The host's thread.

    def receive(self, timeout_seconds: float) -> list[bytes]:
        """Return the messages that came since the last call; wait for one, but no longer than that."""
        with self._changed:
            if not self._inbox and timeout_seconds > 0:
                self._changed.wait_for(lambda: self._inbox, timeout_seconds)
            found, self._inbox = self._inbox, []
            return found

    def send(self, message: bytes) -> None:
        """Keep a message until the driver has it."""
        with self._changed:
            self._outbox.add(message)
            self._changed.notify_all()

    def is_wanted(self) -> bool:
        """Return whether the driver was heard within the time of a lease, and Ray itself still runs here."""
        return time.monotonic() - self._heard_at < self._lease and os.getppid() == self._parent

    def end(self, why: str) -> None:
        """Say that the host has come to its end."""
        with self._changed:
            self._why_ended = why
            self._changed.notify_all()

    # Calls of the driver.

    def deliver(self, first: int, messages: Sequence[bytes]) -> None:
        """Take messages of the driver; none at all are a sign of life.

        Args:
            first: The number of the first one.
            messages: The messages.
        """
        with self._changed:
            self._heard_at = time.monotonic()
            n_known = self._n_heard - first
            if n_known < 0:
                return  # some were lost on the way: the driver sends all of them again
            fresh = messages[n_known:]
            self._inbox += fresh
            self._n_heard += len(fresh)
            self._changed.notify_all()

    def collect(self, n_heard: int) -> list[Any]:
        """Wait until the host has something to say that the driver has not heard; return the parts of a :class:`Said`.

        Args:
            n_heard: How many messages the driver has heard.
        """
        with self._changed:
            self._heard_at = time.monotonic()
            self._outbox.heard(n_heard)
            self._changed.wait_for(lambda: self._outbox.rest()[1] or self._why_ended is not None)
            return [*self._outbox.rest(), self._n_heard, self._why_ended]
