"""Where the checkpoint folders of a run are: beside its store, in a folder that machines share, or under a URL."""

from __future__ import annotations

import logging
import os
import re
import shutil
from abc import ABC, abstractmethod
from collections.abc import Iterator
from concurrent import futures
from pathlib import Path, PurePosixPath

from autohpo.errors import CheckpointError, OptionError, shown
from autohpo.folders import checkpoint_dir
from autohpo.shared_storage import SharedFolder, file_system, is_url

__all__ = ["LocalPlace", "Place", "SharedPlace", "place_of"]

_log = logging.getLogger("autohpo")

_NAME = re.compile(r"trial-(\d+)(\.partial|\.removed)?")


class Place(ABC):
    """Where each chain of a run has its checkpoint folder."""

    @abstractmethod
    def folder(self, root: int) -> str:
        """Return the path or URL of the folder of a chain, by the number of its first trial."""

    @property
    def is_there(self) -> bool:
        """Whether there may be any folder."""
        return True

    @abstractmethod
    def has(self, root: int) -> bool:
        """Return whether there may be a folder of a chain."""

    @abstractmethod
    def copy(self, source: int, target: int) -> bool:
        """Begin the folder of a chain as a copy of another one's, if it is not there yet; False if that has nothing."""

    @abstractmethod
    def remove(self, root: int) -> None:
        """Remove the folder of a chain, if there is one; what cannot be removed now is when the search goes on."""

    @abstractmethod
    def roots(self, n_asked: int) -> Iterator[int]:
        """Return the chains that have a folder, and remove what no trial has left.

        Args:
            n_asked: The number of trials; a folder of a later one belongs to a log that lost its end.
        """

    def close(self) -> None:  # noqa: B027 - most have nothing to wait for
        """Wait for what is being removed."""


def place_of(given: str | os.PathLike[str]) -> Place:
    """Return the place that a path or a URL names.

    Raises:
        OptionError: It is neither, or no folder can be made there.
        MissingExtraError: It is a URL, and fsspec is not installed, or what that needs for this kind of storage.
    """
    if not isinstance(given, (str, os.PathLike)) or not str(given).strip() or "\0" in str(given):
        raise OptionError(f"checkpoints: must be the path of a folder or a URL, got {shown(given)}")
    text = os.fspath(given)
    if is_url(text):
        return SharedPlace(text)
    path = Path(text).resolve()
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as fault:
        raise OptionError(f"checkpoints: must be a folder that can be made, got {shown(text)}: {fault}") from fault
    return LocalPlace(path)


class LocalPlace(Place):
    """Folders on a disk, or on storage that is mounted on every machine.

    Args:
        path: The folder of all of them; it need not be there yet.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def is_there(self) -> bool:
        """Whether the folder of all of them is there."""
        return self.path.is_dir()

    def folder(self, root: int) -> str:
        """Return the path of the folder of a chain."""
        return str(checkpoint_dir(self.path, root))

    def has(self, root: int) -> bool:
        """Return whether there is a folder of a chain."""
        return checkpoint_dir(self.path, root).is_dir()

    def copy(self, source: int, target: int) -> bool:
        """Begin the folder of a chain as a copy of another one's: whole or not at all."""
        there, wanted = checkpoint_dir(self.path, source), checkpoint_dir(self.path, target)
        if wanted.exists():
            return True
        if not there.is_dir() or not any(there.iterdir()):
            return False
        partial = wanted.with_name(wanted.name + ".partial")
        shutil.rmtree(partial, ignore_errors=True)
        shutil.copytree(there, partial)
        partial.rename(wanted)
        return True

    def remove(self, root: int) -> None:
        """Remove the folder of a chain."""
        _remove(checkpoint_dir(self.path, root))

    def roots(self, n_asked: int) -> Iterator[int]:
        """Return the chains that have a folder; what else is there is left alone."""
        for folder in list(self.path.iterdir()) if self.path.is_dir() else ():
            found = _NAME.fullmatch(folder.name)
            if found is None:
                continue
            if found[2] or int(found[1]) >= n_asked:
                _remove(folder)  # half a copy, half removed, or of a log that lost its end
            else:
                yield int(found[1])


class SharedPlace(Place):
    """Folders under a URL. They are removed by a thread of its own: storage may be far away.

    Args:
        url: The URL of the folder of all of them.

    Raises:
        OptionError: The URL is of no kind that is known.
        MissingExtraError: fsspec is not installed, or what it needs for this kind of storage.
    """

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")
        self._fs, self._path = file_system(self.url)
        self._remover: futures.ThreadPoolExecutor | None = None
        self._being_removed: list[futures.Future[None]] = []

    def folder(self, root: int) -> str:
        """Return the URL of the folder of a chain."""
        return f"{self.url}/trial-{root}"

    def has(self, root: int) -> bool:
        """Return True: to ask would take longer than to remove nothing."""
        return True

    def copy(self, source: int, target: int) -> bool:
        """Begin the folder of a chain as a copy of another one's last state."""
        wanted = SharedFolder(self.folder(target))
        return bool(wanted.state()) or wanted.copy_from(SharedFolder(self.folder(source)))

    def remove(self, root: int) -> None:
        """Have the folder of a chain removed."""
        self._remover = self._remover or futures.ThreadPoolExecutor(1, "autohpo-checkpoints")
        self._being_removed = [future for future in self._being_removed if not future.done()]
        self._being_removed.append(self._remover.submit(self._remove, root))

    def _remove(self, root: int) -> None:
        try:
            SharedFolder(self.folder(root)).remove()
        except CheckpointError as fault:  # it is tried again when the search goes on
            _log.debug("%s", fault)

    def roots(self, n_asked: int) -> Iterator[int]:
        """Return the chains that have a folder."""
        for path in SharedFolder(self.url).entries():
            found = _NAME.fullmatch(PurePosixPath(path).name)
            if found is not None and int(found[1]) < n_asked:
                yield int(found[1])
            elif found is not None:
                self.remove(int(found[1]))

    def close(self) -> None:
        """Wait for what is being removed."""
        futures.wait(self._being_removed)
        if self._remover is not None:
            self._remover.shutdown()
            self._remover = None


def _remove(folder: Path) -> None:
    """Remove a folder; under another name first, so that nobody finds half of it."""
    gone = folder if folder.name.endswith(".removed") else folder.with_name(f"{folder.name}.removed")
    try:
        if folder.is_symlink():
            folder.unlink()
            return
        if folder.exists():
            folder.rename(gone)
            shutil.rmtree(gone)
    except OSError as fault:  # it is tried again when the search goes on
        _log.debug("the checkpoints %s cannot be removed: %s", folder, fault)
