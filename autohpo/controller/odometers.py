"""Odometers: the files in which attempts note how far they came, as the driver makes, reads and removes them."""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path

from autohpo.odometer import Reading, boot_id
from autohpo.trial import Task

FOLDER = "odometers"

WAIT_SECONDS = 5.0
"""How long the workers of a dead driver may take to end, all together: the system ends them a second after it."""


class Odometers:
    """The odometers of a search; none where its files do not last, or the system does not tell one boot from another.

    A file that cannot be written, or is gone, is no fault: what is not known counts as all.

    Args:
        files: The folder of the run's files; None where it goes with this process.
    """

    def __init__(self, files: Path | None) -> None:
        self._folder = None if files is None or not boot_id() else Path(os.path.abspath(files)) / FOLDER  # noqa: PTH100

    def new(self, task: Task) -> str:
        """Make the odometer of an attempt that is not begun, and return its path; empty where it has none."""
        if self._folder is None:
            return ""
        path = self._path(task.number, task.attempt)
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            path.write_bytes(Reading(task.number, task.attempt, boot=boot_id()).pack())
        except OSError:
            with contextlib.suppress(OSError):
                path.unlink()
            return ""
        return str(path)

    def _path(self, number: int, attempt: int) -> Path:
        assert self._folder is not None  # there are odometers
        return self._folder / f"{number}-{attempt}"

    def read(self) -> dict[tuple[int, int], Reading]:
        """Return what the odometers show, once nobody writes them; what has not begun will not begin any more."""
        found: dict[tuple[int, int], Reading] = {}
        until = time.monotonic() + WAIT_SECONDS
        for path in self._all():
            with contextlib.suppress(OSError):
                shown = _closed(path, until)
                if shown is not None and path.name == f"{shown.number}-{shown.attempt}":
                    found[shown.number, shown.attempt] = shown
        return found

    def _all(self) -> list[Path]:
        with contextlib.suppress(OSError):
            return [] if self._folder is None else [*self._folder.iterdir()]
        return []

    def remove(self, number: int, attempt: int) -> None:
        """Remove the odometer of an attempt whose end is in the log."""
        if self._folder is not None:
            with contextlib.suppress(OSError):
                self._path(number, attempt).unlink()

    def clear(self, keep: set[tuple[int, int]]) -> None:
        """Remove all odometers, but for those of some attempts."""
        names = {f"{number}-{attempt}" for number, attempt in keep}
        for path in self._all():
            if path.name not in names:
                with contextlib.suppress(OSError):
                    path.unlink()
        if self._folder is not None:
            with contextlib.suppress(OSError):  # it is not empty
                self._folder.rmdir()


def _closed(path: Path, until: float) -> Reading | None:
    """Return what an odometer shows when its process has ended; None where that is not known.

    Raises:
        OSError: It cannot be read.
    """
    import fcntl

    fd = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        while True:
            try:
                fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except OSError:
                if time.monotonic() >= until:
                    return None
                time.sleep(0.01)
        shown = Reading.unpack(os.pread(fd, 1024, 0))
        if shown is not None and not shown.is_begun and not shown.is_closed:
            shown.is_closed = True
            os.pwrite(fd, shown.pack(), 0)
        return shown
    finally:
        os.close(fd)
