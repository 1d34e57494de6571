"""Descriptors above those of the standard streams: a program may be started with any of those closed."""

from __future__ import annotations

import os

LOWEST = 3


def above_standard(fd: int) -> int:
    """Return the descriptor, or where it has the number of a standard stream, a copy that has none.

    Whoever writes to standard error, or starts a process, would take the descriptor for the stream.
    """
    if fd >= LOWEST or os.name != "posix":
        return fd
    import fcntl  # there is none on Windows

    try:
        return fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, LOWEST)
    finally:
        os.close(fd)


def make_pipe() -> tuple[int, int]:
    """Return the reading and the writing end of a new pipe, which no child inherits."""
    read_fd, write_fd = os.pipe()
    try:
        read_fd = above_standard(read_fd)
        return read_fd, above_standard(write_fd)
    except BaseException:
        os.close(read_fd)
        raise
