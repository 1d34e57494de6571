"""The log of a slot: what its workers print, bounded, whatever they print and wherever its folder comes from."""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import stat
from pathlib import Path

from autohpo.errors import AutoHPOError
from autohpo.execution.descriptors import above_standard, read_at, write_at

logger = logging.getLogger(__name__)

ERROR_BYTES = 2048  # of the end of a log, in the error of a crash
MAX_IDLE_BYTES = 4 << 20  # at the start of a trial
MAX_TRIAL_BYTES = 16 << 20  # while it runs
KEPT_BYTES = 1 << 20  # of the head and of the tail, where a log is cut

# A run folder from elsewhere may hold a link: nothing behind it is to be written to, or emptied. And to open a named
# pipe must not wait for its other end.
_FLAGS = os.O_CREAT
for _name in ("O_CLOEXEC", "O_NOFOLLOW", "O_NONBLOCK", "O_BINARY"):  # no system has all of them
    _FLAGS |= getattr(os, _name, 0)


class SlotLog:
    """A log file that a worker appends to, and that the driver shortens in the middle.

    A trial's output begins at some byte. Where it grows too long, its first and its last megabyte stay.

    Args:
        path: The file.
        spare: The file in a folder of the driver's own, where `path` cannot be written: a log must not end a search.

    Raises:
        AutoHPOError: `path` is a link, or no regular file.
    """

    def __init__(self, path: Path, spare: Path) -> None:
        self.path = path
        self._n_left_out = 0
        self._mark = (0, 0)  # where the last cut was, and how long its note is
        try:
            path.parent.mkdir(parents=True, exist_ok=True)  # somebody may have removed it
            self._open(path)
        except OSError as fault:
            logger.warning("the log %s cannot be written, so %s is taken: %s", path, spare, fault)
            self.path = spare
            try:
                self._open(spare)
            except OSError as second:
                raise AutoHPOError(f"log: {spare} cannot be written: {second}") from second

    def _open(self, path: Path) -> None:
        try:
            self._fd = os.open(path, os.O_RDWR | _FLAGS, 0o600)
        except OSError as fault:
            if fault.errno in (errno.ELOOP, errno.EMLINK):
                raise _not_regular(path) from fault
            raise
        self._fd = above_standard(self._fd)
        if not stat.S_ISREG(os.fstat(self._fd).st_mode):
            os.close(self._fd)
            raise _not_regular(path)

    def writer(self) -> int:
        """Return a descriptor that appends, for the worker; the caller closes it."""
        fd = os.open(self.path, os.O_WRONLY | os.O_APPEND | _FLAGS, 0o600)
        os.set_blocking(fd, True)
        return fd

    def close(self) -> None:
        """Close the file. May be called twice."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)

    @property
    def size(self) -> int:
        """The bytes in the log."""
        return 0 if self._fd < 0 else os.fstat(self._fd).st_size

    def begin_trial(self) -> int:
        """Return the byte where the output of a new trial begins; of a long log, only the tail stays before it."""
        size = self.size
        if size > MAX_IDLE_BYTES:
            self._n_left_out = 0
            self._replace(0, size - KEPT_BYTES, size)
        self._n_left_out, self._mark = 0, (0, 0)
        return self.size

    def shorten(self, start: int) -> None:
        """Shorten the output of a trial that began at byte `start`, where it is too long."""
        size = self.size
        if size - start > MAX_TRIAL_BYTES:
            self._replace(start + KEPT_BYTES, size - KEPT_BYTES, size)

    def _replace(self, first: int, last: int, size: int) -> None:
        """Put a note in place of the bytes from `first` to `last`; what is printed at this very moment may be lost."""
        with contextlib.suppress(OSError):  # the disk is full: it is not the log's fault
            place, n_note = self._mark
            self._n_left_out += last - first - (n_note if place == first else 0)
            note = f"\n... {self._n_left_out} bytes left out ...\n".encode()
            self._mark = first, len(note)
            rest = note + read_at(self._fd, size - last, last)
            write_at(self._fd, rest, first)
            os.ftruncate(self._fd, first + len(rest))

    def output(self, start: int) -> bytes:
        """Return the output of a trial that began at byte `start`; of a long one, its head and its tail with a note."""
        size, (place, n_note) = self.size, self._mark
        if self._n_left_out:  # a note stands in it already
            head, rest = place, place + n_note
        elif size - start > 2 * KEPT_BYTES:
            head = rest = start + KEPT_BYTES
        else:
            return read_at(self._fd, size - start, start) if size > start else b""
        tail = max(rest, size - KEPT_BYTES)
        note = f"\n... {self._n_left_out + tail - rest} bytes left out ...\n".encode()
        return read_at(self._fd, head - start, start) + note + read_at(self._fd, size - tail, tail)

    def tail(self, start: int) -> str:
        """Return the last lines of the log from the byte `start` on."""
        if self._fd < 0:
            return ""
        place = max(start, self.size - ERROR_BYTES)
        return read_at(self._fd, ERROR_BYTES, place).decode(errors="replace").strip()


def _not_regular(path: Path) -> AutoHPOError:
    return AutoHPOError(f"log: {path} must be a regular file, and no link: workers write to it; remove it")
