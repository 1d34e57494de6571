"""Checkpoints: when the write-ahead log is copied into the main file, so that a copy of that file alone has the run."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

EVERY_SECONDS = 0.8
"""How far apart checkpoints are. A commit is in the main file after twice as long at most."""


class Checkpoints:
    """Sees to it that what is committed is soon in the main file, without slowing a search of fast trials.

    A commit that comes long after the last checkpoint has one of its own, at once. The others share one: the next
    commit's, or, where none follows soon (a long trial runs), that of a thread, which ends when there is nothing to do.

    Args:
        checkpoint: Copies what is in the log now.
        lock: Lets one thread at a time use the store.
    """

    def __init__(self, checkpoint: Callable[[], None], lock: threading.RLock) -> None:
        self._checkpoint, self._lock = checkpoint, lock
        self._last = -EVERY_SECONDS
        self._is_due = False
        self._thread: threading.Thread | None = None
        self._closed = threading.Event()

    def committed(self) -> None:
        """Hear of a commit; the lock is held."""
        self._is_due = True
        if time.monotonic() - self._last >= EVERY_SECONDS:
            self.run()
        elif self._thread is None and not self._closed.is_set():
            self._thread = threading.Thread(target=self._follow, name="autohpo-checkpoint", daemon=True)
            self._thread.start()

    def run(self) -> None:
        """Make a checkpoint now; the lock is held."""
        self._checkpoint()
        self._last, self._is_due = time.monotonic(), False

    def close(self) -> None:
        """End the thread."""
        self._closed.set()

    def _follow(self) -> None:
        """Make the checkpoint that no later commit makes."""
        while not self._closed.wait(EVERY_SECONDS):
            with self._lock:
                if self._closed.is_set():
                    return
                if not self._is_due:
                    self._thread = None
                    return
                if time.monotonic() - self._last >= EVERY_SECONDS:
                    self.run()
