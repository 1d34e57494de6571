"""Lock files on Linux and macOS: record locks, and reading and writing that leave the place in a file alone."""

from __future__ import annotations

import fcntl
import os
import struct
import sys
from typing import BinaryIO

# How the system's struct flock is laid out, and where it has type and process; elsewhere a lock is tried.
_FLOCKS = {"linux": ("@hhqqi4x", 0, 4), "darwin": ("@qqihh", 3, 2)}
_FLOCK = _FLOCKS.get(sys.platform) if sys.maxsize > 2**32 else None


def read_at(handle: BinaryIO, n_bytes: int, at: int) -> bytes:
    """Return bytes from a place in a file."""
    return os.pread(handle.fileno(), n_bytes, at)  # which moves nothing: other threads may read, too


def write_at(handle: BinaryIO, data: bytes, at: int) -> None:
    """Write bytes to a place in a file."""
    os.pwrite(handle.fileno(), data, at)


def lock(handle: BinaryIO) -> None:
    """Lock a file for this process, until it is closed.

    Raises:
        OSError: Another process has it locked.
    """
    fcntl.lockf(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)


def locked_by(handle: BinaryIO) -> int | None:
    """Return the process that has a file locked, 0 if it is unknown, None if nobody has: nothing is locked here."""
    if _FLOCK is None:
        try:
            lock(handle)  # which closing it releases
        except OSError:
            return 0
        return None
    layout, kind, process = _FLOCK
    asked = [0] * 5
    asked[kind] = fcntl.F_WRLCK  # from the start of the file, to its end: all other fields are 0
    try:
        said = struct.unpack(layout, fcntl.fcntl(handle.fileno(), fcntl.F_GETLK, struct.pack(layout, *asked)))
    except OSError:  # a file system without locks: nobody can have one
        return None
    return None if said[kind] == fcntl.F_UNLCK else max(0, int(said[process]))
