"""An operating-system lock on a run: it dies with its holder, however that one ends."""

from __future__ import annotations

import json
import os
import socket
import sys
import time
from pathlib import Path
from typing import IO

from autohpo.errors import RunBusyError

_HELD: set[Path] = set()
"""Locks of this process: POSIX record locks never exclude their own process, so this does."""


class RunLock:
    """Excludes a second driver from a run.

    A POSIX record lock and not ``flock``: a child that the objective forks would inherit the latter, and keep the run
    locked after its driver's death.

    Args:
        path: Of the lock file; it is made, and stays.
    """

    def __init__(self, path: Path) -> None:
        self._path = path.resolve()
        self._file: IO[str] | None = None

    def acquire(self) -> None:
        """Takes the lock.

        Raises:
            RunBusyError: Another driver has it; the text names its host, process and start.
        """
        if self._path in _HELD:
            raise RunBusyError(f"store: {self._path.stem} is in use by this very process ({os.getpid()})")
        handle = self._path.open("a+", encoding="utf-8")  # open as long as the lock is held
        try:
            _lock(handle)
        except OSError:
            handle.seek(0)
            holder = handle.read().strip() or "a holder that left no name"
            handle.close()
            raise RunBusyError(f"store: {self._path.stem} is in use by {holder}") from None
        handle.seek(0)
        handle.truncate()
        since = time.strftime("%Y-%m-%d %H:%M:%S")
        handle.write(json.dumps({"host": socket.gethostname(), "process": os.getpid(), "since": since}))
        handle.flush()
        self._file = handle
        _HELD.add(self._path)

    def release(self) -> None:
        """Gives the lock free. May be called twice."""
        if self._file is not None:
            self._file.close()  # which releases it
            self._file = None
            _HELD.discard(self._path)


if sys.platform == "win32":
    import msvcrt

    def _lock(handle: IO[str]) -> None:
        handle.seek(2**30)  # a byte far behind the text, so that the text stays readable
        msvcrt.locking(handle.fileno(), msvcrt.LK_NBLCK, 1)
        handle.seek(0)

else:
    import fcntl

    def _lock(handle: IO[str]) -> None:
        fcntl.lockf(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
