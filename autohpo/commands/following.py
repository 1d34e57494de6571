"""A file that a program writes its results into: read in the end, and followed before."""

from __future__ import annotations

import contextlib
import json
import os
import time
from pathlib import Path
from typing import Any, BinaryIO

MAX_FILE_BYTES = 64 << 20
"""How much of the end of a file of results is read."""

_PIECE = 1 << 20
_TICK_SECONDS = 0.02  # above the resolution of a file's time, which is that of the system's clock
_N_COMPARED = 256  # bytes that tell whether a file only grew


class ResultFile:
    """A file that a command writes; what stood in it before the command began does not count.

    A chain of resumed trainings may share it, so what is followed begins where the file ended before, unless it was
    written anew.

    Args:
        path: The file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._before = _signature(path)
        if self._before is not None and abs(time.time() - self._before[2] / 1e9) < _TICK_SECONDS:
            time.sleep(_TICK_SECONDS)  # else a file that is written at once would have the same time
        self._at, self._seen = 0, b""  # where the next line begins, and what stands before it
        if self._before is not None:
            self._at = self._before[1]
            with contextlib.suppress(OSError), path.open("rb") as file:
                self._seen = self._behind(file)

    @property
    def is_document(self) -> bool:
        """Whether it holds one JSON document, which is read in the end, by the ending of its name."""
        return self.path.suffix.lower() == ".json"

    @property
    def is_written(self) -> bool:
        """Whether it is there, and another one than before the command began."""
        now = _signature(self.path)
        return now is not None and now != self._before

    def new(self) -> bytes:
        """Return what was added since the last call, at most a megabyte of it."""
        try:
            with self.path.open("rb") as file:
                if self._behind(file) != self._seen:  # it was written anew
                    self._at = 0
                    file.seek(0)
                data = file.read(_PIECE)
                if data:
                    self._at += len(data)
                    self._seen = self._behind(file)
                return data
        except OSError:  # it is not there yet
            return b""

    def _behind(self, file: BinaryIO) -> bytes:
        """Return the last bytes before the place where the next line begins; the file stands there then."""
        file.seek(max(0, self._at - _N_COMPARED))
        return file.read(min(self._at, _N_COMPARED))

    def document(self) -> Any:
        """Return the JSON document in the file; None where it holds none."""
        try:
            return json.loads(self.tail())
        except (ValueError, RecursionError):
            return None

    def tail(self) -> bytes:
        """Return the end of the file; nothing where it cannot be read."""
        try:
            with self.path.open("rb") as file:
                file.seek(max(0, os.fstat(file.fileno()).st_size - MAX_FILE_BYTES))
                return file.read(MAX_FILE_BYTES)
        except OSError:
            return b""


def _signature(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns
