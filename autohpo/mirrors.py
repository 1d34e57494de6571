"""A checkpoint folder of this machine that stands for one under a URL."""

from __future__ import annotations

import contextlib
import os
import warnings
from pathlib import Path

from autohpo.errors import CheckpointError
from autohpo.folders import remove_folder, temporary_folder
from autohpo.shared_storage import SharedFolder, is_url, key_of
from autohpo.trial import Task

__all__ = ["Mirror", "mirror_of"]

_Seen = tuple[int, int, int]  # bytes, time of the last change, inode


def mirror_of(task: Task, known: Mirror | None = None) -> Mirror | None:
    """Return what stands for the checkpoint folder of a task; None where that is a folder of this machine itself.

    Args:
        task: The task.
        known: What stood for it in an earlier task of the same training, which was paused here.
    """
    if not is_url(task.checkpoint_dir):
        return None
    if known is not None and known.url == task.checkpoint_dir:
        known.begin(task)
        return known
    return Mirror(task)


class Mirror:
    """A copy of a checkpoint folder that is kept under a URL: brought here once, and saved there when it has changed.

    Args:
        task: The attempt.

    Attributes:
        url: The URL of the folder.
    """

    def __init__(self, task: Task) -> None:
        self.url = task.checkpoint_dir
        self._place: Path | None = None
        self._shared: SharedFolder | None = None
        self._saved: dict[str, _Seen] = {}
        self._objects: dict[str, str] = {}
        self.begin(task)

    def begin(self, task: Task) -> None:
        """Go on with another attempt, whose states come after those of all before it."""
        self._number, self._key, self._n = task.number, key_of(task.number, task.attempt), 0

    @property
    def folder(self) -> Path:
        """The folder on this machine, with what is kept under the URL.

        Raises:
            CheckpointError: That cannot be read.
        """
        if self._place is None:
            self._shared = SharedFolder(self.url)
            place = temporary_folder()
            try:
                inside = place / "checkpoint"
                inside.mkdir()
                self._shared.fetch(inside)
            except BaseException:
                remove_folder(place)
                raise
            self._place = place
            self._saved = _look(inside)
        return self._place / "checkpoint"

    def save(self) -> None:
        """Save what has changed since the last time; nothing is done where nothing has.

        Raises:
            CheckpointError: The storage does not take it.
        """
        if self._place is None or self._shared is None:  # the objective has not asked for it
            return
        inside = self._place / "checkpoint"
        there = _look(inside)
        if there == self._saved:
            return
        if not self._n:
            self._objects.clear()  # those of earlier attempts are not this one's
        objects = {}
        self._n += 1
        for k, (file, seen) in enumerate(there.items()):
            if file in self._objects and self._saved.get(file) == seen:
                objects[file] = self._objects[file]
            else:
                objects[file] = f"objects/{self._key}-{self._n:08d}-{k:06d}"
                self._shared.put(inside / file, objects[file])
        self._shared.put_state(self._key, self._n, objects)
        self._saved, self._objects = there, objects

    def end(self, *, keeps_folder: bool) -> None:
        """Save what the attempt has left; remove the copy.

        What cannot be saved is said in a warning: the attempt has its result, and whoever goes on from it begins with
        an earlier state.

        Args:
            keeps_folder: Whether the training is only paused, and goes on here.
        """
        try:
            self.save()
        except CheckpointError as fault:
            text = f"what trial {self._number} has left could not be saved: {fault}"
            with contextlib.suppress(RuntimeWarning):  # also where warnings are errors
                warnings.warn(text, RuntimeWarning, stacklevel=2)
        finally:
            if not keeps_folder and self._place is not None:
                remove_folder(self._place)
                self._place = None


def _look(folder: Path) -> dict[str, _Seen]:
    """Return what tells whether each file has changed, by its path in the folder."""
    found: dict[str, _Seen] = {}
    for place, _, names in os.walk(folder):
        for name in names:
            path = Path(place) / name
            if path.is_file():
                state = path.stat()
                relative = path.relative_to(folder).as_posix()
                found[relative] = state.st_size, state.st_mtime_ns, state.st_ino
    return dict(sorted(found.items()))
