"""Odometer: how far an attempt came, in a file that outlives the process that trains."""

from __future__ import annotations

import functools
import os
import struct
import zlib
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from autohpo.errors import AutoHPOError
from autohpo.trial import Task

_BOOT = Path("/proc/sys/kernel/random/boot_id")
_MAGIC = b"odo1"
_FIELDS = struct.Struct("<4s36sqqddddB")  # magic, boot, number, attempt, most, trained, step, first, marks
_CHECK = struct.Struct("<I")
_BEGUN, _OVER, _CLOSED = 1, 2, 4


@functools.cache
def boot_id() -> bytes:
    """Return what tells this run of the machine from all others; empty where the system does not say."""
    with suppress(OSError):
        found = _BOOT.read_bytes().strip()
        return found if len(found) == 36 and hasattr(os, "pwrite") else b""
    return b""


@dataclass
class Reading:
    """What an odometer shows.

    Attributes:
        number: The number of the trial.
        attempt: The attempt at the trial.
        most: The training that the attempt may do.
        trained: The training up to its last report.
        step: The largest distance of two reports; 0 where there were no two.
        first: The training up to its first report, as it is or will be; 0 where that is not known.
        is_begun: Whether the objective was called.
        is_over: Whether the last report ended the training.
        is_closed: Whether the attempt may not begin any more: a later driver has counted it.
        boot: The run of the machine that wrote it.
    """

    number: int
    attempt: int
    most: float = 0.0
    trained: float = 0.0
    step: float = 0.0
    first: float = 0.0
    is_begun: bool = False
    is_over: bool = False
    is_closed: bool = False
    boot: bytes = b""

    def pack(self) -> bytes:
        """Return it as the bytes of a file."""
        marks = self.is_begun * _BEGUN + self.is_over * _OVER + self.is_closed * _CLOSED
        numbers = self.most, self.trained, self.step, self.first
        fields = _FIELDS.pack(_MAGIC, self.boot, self.number, self.attempt, *numbers, marks)
        return fields + _CHECK.pack(zlib.crc32(fields))

    @classmethod
    def unpack(cls, data: bytes) -> Reading | None:
        """Return what bytes say; None where they are torn, of anything else, or of before the machine was started."""
        if len(data) != _FIELDS.size + _CHECK.size:
            return None
        fields, check = data[: _FIELDS.size], data[_FIELDS.size :]
        magic, boot, number, attempt, most, trained, step, first, marks = _FIELDS.unpack(fields)
        if magic != _MAGIC or check != _CHECK.pack(zlib.crc32(fields)) or boot != boot_id():
            return None
        begun, over, closed = (bool(marks & one) for one in (_BEGUN, _OVER, _CLOSED))
        return cls(number, attempt, most, trained, step, first, begun, over, closed, boot)

    def used(self, first: float = 0.0) -> float | None:
        """Return the training that the attempt has begun, at most; None where it may be all that it was given.

        Args:
            first: The training up to a first report, as other attempts did it; 0 where none is known.
        """
        if not self.is_begun:
            return 0.0
        if self.is_over:
            return self.trained
        if self.trained <= 0:
            step = self.first or first
            return min(self.most, step) if step else None
        return max(self.trained, min(self.most, self.trained + (self.step or self.trained)))


class Odometer:
    """What counts in the process that trains; without a file it does nothing.

    Each report is one write into the page cache of the system, which the death of the process leaves alone. The file
    is locked while the attempt runs, so that nobody reads it for the last time too early. Where it cannot be written it
    is removed: what is not known counts as all.

    Args:
        task: The attempt; its driver has made the file.
    """

    def __init__(self, task: Task) -> None:
        self._path, self._file = task.odometer, -1
        self._shown = Reading(task.number, task.attempt, task.most or 0.0, boot=boot_id() if task.odometer else b"")

    def begin(self, *, is_generator: bool) -> None:
        """Note that the objective is called now.

        Args:
            is_generator: Whether each step of its training is one, and is reported.

        Raises:
            AutoHPOError: A later driver has counted this attempt as one that never began.
        """
        if not self._path:
            return
        with suppress(FileNotFoundError):
            try:
                self._open()
            except OSError:
                self._give_up()
        if self._file >= 0:
            self._shown.is_begun, self._shown.first = True, float(is_generator)
            self._write()

    def _open(self) -> None:
        import fcntl

        self._file = os.open(self._path, os.O_RDWR | os.O_CLOEXEC)
        fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        self._place = os.fstat(self._file)
        found = Reading.unpack(os.pread(self._file, 1024, 0))
        if found is not None and found.is_closed:
            self.close()
            raise AutoHPOError(f"odometer: trial {self._shown.number} was given up before it began; see {self._path}")
        if found is None or found.is_begun or found.number != self._shown.number:
            self._give_up()  # it runs for the second time: nobody knows how often

    def note(self, trained: float) -> None:
        """Note a report.

        Args:
            trained: What the attempt has trained until now.
        """
        if self._file < 0:
            return
        shown = self._shown
        if shown.trained > 0:
            shown.step = max(shown.step, trained - shown.trained)
        elif trained > 0:
            shown.first = trained
        shown.trained = max(shown.trained, trained)
        self._write()

    @property
    def is_over(self) -> bool:
        """Whether no training follows the last report; that is noted when it is set."""
        return self._shown.is_over

    @is_over.setter
    def is_over(self, is_over: bool) -> None:
        if is_over and self._file >= 0:
            self._shown.is_over = True
            self._write()

    def _write(self) -> None:
        try:
            if self._is_mine():
                os.pwrite(self._file, self._shown.pack(), 0)
            else:
                self._give_up()
        except OSError:
            self._give_up()

    def _is_mine(self) -> bool:
        """Whether the descriptor is still that of the file: an objective may close what is not its own."""
        return os.path.samestat(os.fstat(self._file), self._place)

    def _give_up(self) -> None:
        """Leave nothing that could mislead.

        Raises:
            AutoHPOError: The file can be neither written nor removed, so the training must not go on.
        """
        self.close()
        try:
            Path(self._path).unlink(missing_ok=True)
        except OSError as fault:
            raise AutoHPOError(f"odometer: {self._path} can be neither written nor removed: {fault}") from fault

    def close(self) -> None:
        """Let go of the file; may be called twice."""
        fd, self._file = self._file, -1
        if fd >= 0:
            with suppress(OSError):
                if os.path.samestat(os.fstat(fd), self._place):  # an objective may close what is not its own
                    os.close(fd)
