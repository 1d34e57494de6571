"""What each trial printed, in a file of its own: written when it ends, read whenever somebody asks."""

from __future__ import annotations

import contextlib
import logging
import os
import stat
from collections import deque
from pathlib import Path

logger = logging.getLogger(__name__)

FOLDER = "trials"
"""The folder of the outputs, beside the logs of the slots."""

MOST_BYTES = 256_000_000
"""What the outputs of a folder may have together: then those that ended first are removed."""

_MOST_READ = 4 << 20  # more than any has: the file may be somebody else's
_READ_FLAGS = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)


def output_name(number: int, attempt: int) -> str:
    """Return the name of the file for what an attempt at a trial printed."""
    return f"{number}-{attempt}.txt"


class Outputs:
    """The folder that the slots of an executor keep the outputs of their trials in, bounded as a whole.

    Args:
        logs: The folder of the slots' logs.
        most_bytes: What all of them may have together.
    """

    def __init__(self, logs: Path, most_bytes: int = MOST_BYTES) -> None:
        self._folder, self._most_bytes = logs / FOLDER, most_bytes
        self._kept: deque[tuple[Path, int]] | None = None  # with their sizes, oldest first
        self._n_bytes = 0
        self._has_said = False

    def keep(self, number: int, attempt: int, text: bytes) -> None:
        """Keep what an attempt printed, if it did; where that cannot be written the search goes on without it."""
        if not text:
            return
        path = self._folder / output_name(number, attempt)
        try:
            kept = self._known()
            self._folder.mkdir(parents=True, exist_ok=True)
            with contextlib.suppress(FileNotFoundError):
                path.unlink()  # a link in its place is removed, and not followed
            fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o600)
            with open(fd, "wb") as file:
                file.write(text)
        except OSError as fault:
            if not self._has_said:
                logger.warning("the output of trial %d cannot be kept in %s: %s", number, self._folder, fault)
            self._has_said = True
            with contextlib.suppress(OSError):
                path.unlink()  # half of it
            return
        kept.append((path, len(text)))
        self._n_bytes += len(text)
        while self._n_bytes > self._most_bytes and len(kept) > 1:
            oldest, n = kept.popleft()
            self._n_bytes -= n
            with contextlib.suppress(OSError):
                oldest.unlink()

    def _known(self) -> deque[tuple[Path, int]]:
        """The files that are there; looked at once, as earlier runs may have left some."""
        if self._kept is None:
            found = []
            with contextlib.suppress(FileNotFoundError):
                for entry in os.scandir(self._folder):
                    facts = entry.stat(follow_symlinks=False)
                    if stat.S_ISREG(facts.st_mode):
                        found.append((facts.st_mtime, Path(entry.path), facts.st_size))
            self._kept = deque((path, n) for _, path, n in sorted(found))
            self._n_bytes = sum(n for _, n in self._kept)
        return self._kept


def read_output(logs: Path, number: int, attempt: int) -> str:
    """Return what an attempt printed; the empty string where nothing is kept of it.

    Args:
        logs: The folder of the slots' logs; with hosts it has a folder for each of them.
        number: The number of the trial.
        attempt: Which start of the trial.
    """
    name = output_name(number, attempt)
    for folder in (logs, *sorted(logs.glob("host-*"))):
        text = _read(folder / FOLDER / name)
        if text is not None:
            return text.decode(errors="replace")
    return ""


def _read(path: Path) -> bytes | None:
    """The bytes of a regular file; None where there is none: a run folder from elsewhere may have anything there."""
    try:
        fd = os.open(path, _READ_FLAGS)
    except OSError:
        return None
    with open(fd, "rb") as file:
        return file.read(_MOST_READ) if stat.S_ISREG(os.fstat(fd).st_mode) else None
