"""An operating-system lock on a run: it dies with its holder, however that one ends. Its file counts what was kept."""

from __future__ import annotations

import contextlib
import json
import os
import re
import socket
import sys
import time
import zlib
from pathlib import Path
from typing import BinaryIO, NamedTuple
from weakref import WeakValueDictionary

from autohpo.errors import RunBusyError, StoreError

_HELD: WeakValueDictionary[Path, RunLock] = WeakValueDictionary()
"""The locks of this process: POSIX record locks never exclude their own process, so this does."""

HOLDER_BYTES = 1024
"""Where the count begins in the file; before it stands who holds the lock."""

_COUNT = rb"([0-9a-f]{8}) ([0-9]{16}) ([0-9]{16}) ([0-9a-f]{8})\n"


class Count(NamedTuple):
    """How many events a driver has committed: what the main file and its write-ahead log must hold together.

    Attributes:
        run: The checksum of the run's header; 0 before it has one.
        synced: How many events survive a power loss.
        committed: How many survive the death of the driver.
    """

    run: int
    synced: int
    committed: int


class RunLock:
    """A lock that keeps a second driver from a run.

    A POSIX record lock and not ``flock``: a child that the objective forks would inherit the latter, and keep the run
    locked after its driver's death. The file also holds the :class:`Count` of the last driver, which tells a missing
    write-ahead log from one that was never there.

    Args:
        path: The path of the lock file; it is made, and stays.
    """

    def __init__(self, path: Path) -> None:
        self._path = path.parent.resolve() / path.name
        self._file: BinaryIO | None = None
        self._process = 0  # that took it: a forked child has a copy of this object, but not the lock

    def acquire(self) -> None:
        """Take the lock.

        Raises:
            RunBusyError: Another driver has it; the text names its host, process and start.
            StoreError: The lock file cannot be written, or is a link: that might lead to somebody's file.
        """
        known = _HELD.get(self._path)
        if known is not None and known._process == os.getpid():
            raise RunBusyError(f"store: {self._path.stem} is in use by this very process ({os.getpid()})")
        try:
            handle = _open(self._path, os.O_RDWR | os.O_CREAT)  # open as long as the lock is held
        except OSError as error:
            why = "is a link, which is not followed" if self._path.is_symlink() else f"cannot be opened: {error}"
            raise StoreError(f"store: {self._path} {why}") from error
        try:
            _lock(handle)
        except OSError:
            holder = _holder(handle)
            handle.close()
            raise RunBusyError(
                f"store: {self._path.stem} is in use by {holder}; wait until it ends, or use another file"
            ) from None
        self._file, self._process = handle, os.getpid()
        _HELD[self._path] = self
        since = time.strftime("%Y-%m-%d %H:%M:%S")
        text = json.dumps({"host": socket.gethostname(), "process": os.getpid(), "since": since})
        count = _read_count(handle)
        with contextlib.suppress(OSError):  # the disk is full: the lock holds without a name, too
            handle.truncate(0)
            _write_at(handle, text.encode()[:HOLDER_BYTES], 0)
            if count is not None:
                self.note(count)

    def note(self, count: Count) -> None:
        """Note how much is kept. No error where that cannot be written: what is kept stays kept."""
        handle = self._file
        if handle is None or self._process != os.getpid():
            return
        head = b"%08x %016d %016d" % count
        with contextlib.suppress(OSError):
            _write_at(handle, b"%s %08x\n" % (head, zlib.crc32(head)), HOLDER_BYTES)

    def sync(self) -> None:
        """Make what was noted survive a power loss."""
        if self._file is not None:
            with contextlib.suppress(OSError):
                os.fsync(self._file.fileno())

    def count(self) -> Count | None:
        """Return what the last driver noted, if it did and its note is whole."""
        held = _HELD.get(self._path)
        if held is not None and held._process == os.getpid():
            return None if held._file is None else _read_count(held._file)  # to close another handle would unlock it
        try:
            with _open(self._path, os.O_RDONLY) as handle:
                return _read_count(handle)
        except OSError:
            return None

    def check_free(self) -> None:
        """Check that no driver has the lock, without taking it.

        Raises:
            RunBusyError: One has it.
        """
        held = _HELD.get(self._path)
        if held is not None and held._process == os.getpid():
            raise RunBusyError(f"store: {self._path.stem} is in use by this very process ({os.getpid()})")
        try:
            handle = _open(self._path, os.O_RDWR)
        except OSError:
            return  # there is no such file, or nobody may write here
        with handle:
            try:
                _lock(handle)
            except OSError:
                raise RunBusyError(f"store: {self._path.stem} is in use by {_holder(handle)}") from None

    def release(self) -> None:
        """Give the lock free. May be called twice."""
        if self._file is not None:
            self._file.close()  # which releases it
            self._file = None
            _HELD.pop(self._path, None)


def _open(path: Path, flags: int) -> BinaryIO:
    """Open a file without a buffer, and without following a link."""
    flags |= getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
    return os.fdopen(os.open(path, flags, 0o666), "rb" if not flags & os.O_RDWR else "r+b", buffering=0)


def _holder(handle: BinaryIO) -> str:
    """Return a sentence's end that says who holds the lock."""
    text = _read_at(handle, HOLDER_BYTES, 0).split(b"\0")[0].decode(errors="replace")
    try:
        said = json.loads(text)
        return f"process {said['process']} on {said['host']}, since {said['since']}"
    except (ValueError, KeyError, TypeError, RecursionError):
        return "a holder that left no name"


def _read_count(handle: BinaryIO) -> Count | None:
    """Return the count in a lock file, if there is one and it is whole."""
    found = re.fullmatch(_COUNT, _read_at(handle, 64, HOLDER_BYTES))
    if found is None or zlib.crc32(found[0][:-10]) != int(found[4], 16):
        return None
    return Count(int(found[1], 16), int(found[2]), int(found[3]))


if sys.platform == "win32":
    import msvcrt

    def _read_at(handle: BinaryIO, n_bytes: int, at: int) -> bytes:
        handle.seek(at)
        return handle.read(n_bytes)

    def _write_at(handle: BinaryIO, data: bytes, at: int) -> None:
        handle.seek(at)
        handle.write(data)

    def _lock(handle: BinaryIO) -> None:
        handle.seek(2**30)  # a byte far behind the text, so that the text stays readable
        msvcrt.locking(handle.fileno(), msvcrt.LK_NBLCK, 1)
        handle.seek(0)

else:
    import fcntl

    def _read_at(handle: BinaryIO, n_bytes: int, at: int) -> bytes:
        return os.pread(handle.fileno(), n_bytes, at)  # which moves nothing: other threads may read, too

    def _write_at(handle: BinaryIO, data: bytes, at: int) -> None:
        os.pwrite(handle.fileno(), data, at)

    def _lock(handle: BinaryIO) -> None:
        fcntl.lockf(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
