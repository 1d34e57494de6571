"""Descriptors above those of the standard streams: a program may be started with any of those closed."""

from __future__ import annotations

import os

LOWEST = 3


def above_standard(fd: int) -> int:
    """Return the descriptor, or where it has the number of a standard stream, a copy that has none.

    Whoever writes to standard error, or starts a process, would take the descriptor for the stream.
    """
    if fd >= LOWEST:
        return fd
    try:
        import fcntl
    except ImportError:  # Windows, where processes are given handles, which have numbers of their own
        return fd
    try:
        return fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, LOWEST)
    finally:
        os.close(fd)


def read_at(fd: int, n_bytes: int, at: int) -> bytes:
    """Return bytes from a place in a file; where the system can, the descriptor's own place stays as it is."""
    if hasattr(os, "pread"):
        return os.pread(fd, n_bytes, at)
    os.lseek(fd, at, os.SEEK_SET)  # Windows
    return os.read(fd, n_bytes)


def write_at(fd: int, data: bytes, at: int) -> None:
    """Write bytes to a place in a file; where the system can, the descriptor's own place stays as it is."""
    if hasattr(os, "pwrite"):
        os.pwrite(fd, data, at)
    else:  # Windows
        os.lseek(fd, at, os.SEEK_SET)
        os.write(fd, data)


def make_pipe() -> tuple[int, int]:
    """Return the reading and the writing end of a new pipe, which no child inherits."""
    read_fd, write_fd = os.pipe()
    try:
        read_fd = above_standard(read_fd)
        return read_fd, above_standard(write_fd)
    except BaseException:
        os.close(read_fd)
        raise
