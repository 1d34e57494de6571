"""An operating-system lock on a run: it dies with its holder, however that one ends. Its file counts what was kept."""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
import socket
import sys
import threading
import time
import zlib
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple
from weakref import WeakValueDictionary

from autohpo.errors import RunBusyError, StoreError

if sys.platform == "win32":
    from autohpo.store.windows_files import lock as _lock
    from autohpo.store.windows_files import locked_by as _locked_by
    from autohpo.store.windows_files import read_at as _read_at
    from autohpo.store.windows_files import write_at as _write_at
else:
    from autohpo.store.posix_files import lock as _lock
    from autohpo.store.posix_files import locked_by as _locked_by
    from autohpo.store.posix_files import read_at as _read_at
    from autohpo.store.posix_files import write_at as _write_at

_HELD: WeakValueDictionary[Path, RunLock] = WeakValueDictionary()
"""The locks of this process: POSIX record locks never exclude their own process, so this does."""

MOST_PROGRAM = 100
"""The most characters of a program's name that a lock file keeps: all that it says has to fit before the count."""

_GUARD = threading.RLock()
"""Held while a lock file is open for a look: closing it would take the lock from a thread that got it meanwhile."""

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


class Holder(NamedTuple):
    """A process that has a run open: its driver, or whoever asks and tells there.

    Attributes:
        host: The name of its host; empty where it left none.
        process: The number of the process there; 0 where it is not known.
        since: When it took the run, in its host's local time.
        program: The script or command that it runs, if it said so.
        id: A random string that no other holder has; empty for those of older releases.
    """

    host: str
    process: int
    since: str
    program: str = ""
    id: str = ""

    def __str__(self) -> str:
        return (
            f"process {self.process} on {self.host}, since {self.since}" if self.host else "a holder that left no name"
        )

    @property
    def is_here(self) -> bool:
        """Whether it is a process of this very machine."""
        return self.process > 0 and self.host == socket.gethostname()

    @classmethod
    def of_this_process(cls) -> Holder:
        """Return this process as a holder from now on."""
        program = sys.argv[0] if sys.argv and isinstance(sys.argv[0], str) else ""
        since = time.strftime("%Y-%m-%d %H:%M:%S")
        return cls(socket.gethostname(), os.getpid(), since, program[-MOST_PROGRAM:], secrets.token_hex(8))

    def to_json(self) -> str:
        """Return the holder as it stands in its lock file."""
        return json.dumps(self._asdict())

    @classmethod
    def from_json(cls, text: str) -> Holder | None:
        """Return the holder that a lock file names; None where it names none."""
        try:
            said: Any = json.loads(text)
            found = cls(*(said[name] for name in cls._fields[:3]), *(said.get(name, "") for name in cls._fields[3:]))
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            return None
        is_text = all(isinstance(value, str) for name, value in found._asdict().items() if name != "process")
        return found if is_text and type(found.process) is int else None


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
        self._holder: Holder | None = None

    def acquire(self) -> None:
        """Take the lock.

        Raises:
            RunBusyError: Another driver has it; the text names its host, process and start.
            StoreError: The lock file cannot be written, or is a link: that might lead to somebody's file.
        """
        with _GUARD:
            self._acquire()

    def _acquire(self) -> None:
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
        self._holder = Holder.of_this_process()
        text = self._holder.to_json()
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
        with _GUARD:
            held = _HELD.get(self._path)
            if held is not None and held._process == os.getpid():
                return None if held._file is None else _read_count(held._file)  # closing another handle would unlock it
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
        holder = holder_of(self._path)
        if holder is not None:
            who = f"this very process ({os.getpid()})" if holder.is_here and holder.process == os.getpid() else holder
            raise RunBusyError(f"store: {self._path.stem} is in use by {who}")

    def release(self) -> None:
        """Give the lock free. May be called twice."""
        if self._file is not None:
            self._file.close()  # which releases it
            self._file = None
            _HELD.pop(self._path, None)


def holder_of(path: Path) -> Holder | None:
    """Return who has a lock now, without taking it; None where nobody does.

    Args:
        path: The path of the lock file; there need not be one.
    """
    path = path.parent.resolve() / path.name
    with _GUARD:
        held = _HELD.get(path)
        if held is not None and held._process == os.getpid():
            return held._holder
        try:
            handle = _open(path, os.O_RDWR)
        except PermissionError:
            try:
                handle = _open(path, os.O_RDONLY)
            except OSError:
                return None
        except OSError:
            return None  # there is no such file
        with handle:
            process = _locked_by(handle)
            return None if process is None else _holder(handle, process)


def last_holder(path: Path) -> Holder | None:
    """Return who had a lock last, or has it; None where its file does not say.

    Args:
        path: The path of the lock file.
    """
    path = path.parent.resolve() / path.name
    with _GUARD:
        held = _HELD.get(path)
        if held is not None and held._process == os.getpid():
            return held._holder
        try:
            with _open(path, os.O_RDONLY) as handle:
                return _named(handle)
        except OSError:
            return None


def _open(path: Path, flags: int) -> BinaryIO:
    """Open a file without a buffer, and without following a link."""
    flags |= getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
    return os.fdopen(os.open(path, flags, 0o666), "rb" if not flags & os.O_RDWR else "r+b", buffering=0)


def _holder(handle: BinaryIO, process: int = 0) -> Holder:
    """Return who a lock file that is locked names.

    Args:
        handle: The file.
        process: The process that the system says has it; 0 where it does not.
    """
    named = _named(handle)
    is_of_another = named is not None and process > 0 and named.is_here and named.process != process
    return Holder("", process, "") if named is None or is_of_another else named  # it has not written its name yet


def _named(handle: BinaryIO) -> Holder | None:
    return Holder.from_json(_read_at(handle, HOLDER_BYTES, 0).split(b"\0")[0].decode(errors="replace"))


def _read_count(handle: BinaryIO) -> Count | None:
    """Return the count in a lock file, if there is one and it is whole."""
    found = re.fullmatch(_COUNT, _read_at(handle, 64, HOLDER_BYTES))
    if found is None or zlib.crc32(found[0][:-10]) != int(found[4], 16):
        return None
    return Count(int(found[1], 16), int(found[2]), int(found[3]))
