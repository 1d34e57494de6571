"""An operating-system lock on a run: it dies with its holder, however that one ends."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import sys
import time
from pathlib import Path
from typing import BinaryIO
from weakref import WeakValueDictionary

from autohpo.errors import RunBusyError, StoreError

_HELD: WeakValueDictionary[Path, RunLock] = WeakValueDictionary()
"""The locks of this process: POSIX record locks never exclude their own process, so this does."""


class RunLock:
    """A lock that keeps a second driver from a run.

    A POSIX record lock and not ``flock``: a child that the objective forks would inherit the latter, and keep the run
    locked after its driver's death.

    Args:
        path: The path of the lock file; it is made, and stays.
    """

    def __init__(self, path: Path) -> None:
        self._path = path.resolve()
        self._file: BinaryIO | None = None
        self._process = 0  # that took it: a forked child has a copy of this object, but not the lock

    def acquire(self) -> None:
        """Take the lock.

        Raises:
            RunBusyError: Another driver has it; the text names its host, process and start.
            StoreError: The lock file cannot be written.
        """
        known = _HELD.get(self._path)
        if known is not None and known._process == os.getpid():
            raise RunBusyError(f"store: {self._path.stem} is in use by this very process ({os.getpid()})")
        try:
            handle = self._path.open("a+b", buffering=0)  # open as long as the lock is held
        except OSError as error:
            raise StoreError(f"store: {self._path} cannot be opened: {error}") from error
        try:
            _lock(handle)
        except OSError:
            handle.seek(0)
            holder = handle.read().decode(errors="replace") or "a holder that left no name"
            handle.close()
            raise RunBusyError(f"store: {self._path.stem} is in use by {holder}") from None
        self._file, self._process = handle, os.getpid()
        _HELD[self._path] = self
        since = time.strftime("%Y-%m-%d %H:%M:%S")
        holder = json.dumps({"host": socket.gethostname(), "process": os.getpid(), "since": since})
        with contextlib.suppress(OSError):  # the disk is full: the lock holds without a name, too
            handle.truncate(0)
            handle.write(holder.encode())

    def release(self) -> None:
        """Give the lock free. May be called twice."""
        if self._file is not None:
            self._file.close()  # which releases it
            self._file = None
            _HELD.pop(self._path, None)


if sys.platform == "win32":
    import msvcrt

    def _lock(handle: BinaryIO) -> None:
        handle.seek(2**30)  # a byte far behind the text, so that the text stays readable
        msvcrt.locking(handle.fileno(), msvcrt.LK_NBLCK, 1)
        handle.seek(0)

else:
    import fcntl

    def _lock(handle: BinaryIO) -> None:
        fcntl.lockf(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
