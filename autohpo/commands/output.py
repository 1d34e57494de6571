"""What a command printed, in a file: bounded, its head and its tail kept."""

from __future__ import annotations

import contextlib
import logging
import os
from pathlib import Path

HEAD_BYTES = 1 << 20
TAIL_BYTES = 1 << 20

_log = logging.getLogger("autohpo")


class TrialLog:
    """The file ``trial-<number>.log`` of a folder; it can be read while the command runs.

    A file that cannot be written does not end the trial: it is said once in the log of autohpo.

    Args:
        folder: The folder, which is made; None keeps nothing.
        number: The number of the trial.
        attempt: Which start of the trial this is: what later ones print is added.
    """

    def __init__(self, folder: str | None, number: int, attempt: int) -> None:
        self._fd = -1
        self._start = self._size = self._n_left_out = 0
        if folder is None:
            return
        path = Path(folder) / f"trial-{number}.log"
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | (os.O_TRUNC if attempt <= 1 else 0)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._fd = os.open(path, flags, 0o666)
            self._start = self._size = os.lseek(self._fd, 0, os.SEEK_END)
        except OSError as fault:
            self._give_up(path, fault)

    def write(self, data: bytes) -> None:
        """Add what was printed."""
        if self._fd < 0:
            return
        try:
            rest = memoryview(data)
            while rest:
                n = os.pwrite(self._fd, rest, self._size)
                self._size += n
                rest = rest[n:]
            if self._size - self._start > HEAD_BYTES + 2 * TAIL_BYTES:
                self._shorten()
        except OSError as fault:
            self._give_up("the log of a trial", fault)

    def _shorten(self) -> None:
        """Put a note in place of the middle."""
        at = self._start + HEAD_BYTES
        tail = os.pread(self._fd, TAIL_BYTES, self._size - TAIL_BYTES)
        self._n_left_out += self._size - at - len(tail)
        text = f"\n... at least {self._n_left_out} bytes left out ...\n".encode() + tail
        os.pwrite(self._fd, text, at)
        self._size = at + len(text)
        os.ftruncate(self._fd, self._size)

    def _give_up(self, what: object, fault: OSError) -> None:
        _log.warning("output_dir: %s cannot be written: %s", what, fault)
        self.close()

    def close(self) -> None:
        """Close the file. May be called twice."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            with contextlib.suppress(OSError):
                os.close(fd)
