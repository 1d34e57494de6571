"""A file that a program writes its results into: read in the end, and followed before."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

MAX_FILE_BYTES = 64 << 20
"""How much of the end of a file of results is read."""

_PIECE = 1 << 20


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
        self._inode, self._at = (0, 0) if self._before is None else self._before[:2]

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
                found = os.fstat(file.fileno())
                if found.st_ino != self._inode or found.st_size < self._at:
                    self._inode, self._at = found.st_ino, 0
                if found.st_size == self._at:
                    return b""
                file.seek(self._at)
                data = file.read(_PIECE)
        except OSError:  # it is not there yet
            return b""
        self._at += len(data)
        return data

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
