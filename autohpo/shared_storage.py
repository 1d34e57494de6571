"""Checkpoint folders under a URL: each is a sequence of whole states, of which the last one counts.

A state is a list of files and the objects that hold them. It is written last, so that one that was not finished is not
seen. Each attempt writes objects of its own, and never touches those of another one: an attempt that was given up, but
still writes, does no harm. Storage that can put, list, read and remove objects is enough: nothing is renamed.
"""

from __future__ import annotations

import contextlib
import json
import re
import time
import zlib
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar

from autohpo.errors import CheckpointError, MissingExtraError, OptionError, shown

__all__ = ["SharedFolder", "file_system", "is_url"]

T = TypeVar("T")

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")  # a drive of Windows has one letter
_STATE = re.compile(r"state-(\d{12}-\d{6})-(\d{8})\.json")
_N_TRIES, _PAUSE_SECONDS = 4, 0.5  # with storage that does not answer now
_FORK = "0" * 12 + "-" + "0" * 6  # before every attempt


def is_url(place: str) -> bool:
    """Return whether a string is the URL of a storage, and not a path."""
    return _URL.match(place) is not None


def file_system(url: str) -> tuple[Any, str]:
    """Return the file system of a URL, as fsspec knows it, and the path there.

    Raises:
        MissingExtraError: fsspec is not installed, or what it needs for this kind of storage.
        OptionError: The URL is of no kind that is known, or has a password in it.
    """
    try:
        import fsspec
    except ImportError as fault:
        raise MissingExtraError('checkpoints: a URL needs fsspec, pip install "autohpo[remote]"') from fault
    scheme, _, rest = url.partition("://")
    if "@" in rest.partition("/")[0]:
        raise OptionError(
            f"checkpoints: must have no user or password in it, but {scheme}://... has; fsspec reads them from its "
            "configuration (https://filesystem-spec.readthedocs.io) or the environment, on every machine"
        )
    try:
        found, path = fsspec.core.url_to_fs(url)
    except ImportError as fault:
        raise MissingExtraError(f"checkpoints: {scheme}:// needs another package: {fault}") from fault
    except Exception as fault:  # each kind of storage has errors of its own
        raise OptionError(f"checkpoints: must be a URL that fsspec knows, got {shown(url)}: {fault}") from fault
    return found, path.rstrip("/")


class SharedFolder:
    """The checkpoint folder of one chain, under a URL.

    Args:
        url: The URL of the folder.

    Raises:
        MissingExtraError: fsspec is not installed, or what it needs for this kind of storage.
        OptionError: The URL is of no kind that is known.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self._fs, self._path = file_system(url)

    def state(self) -> dict[str, str]:
        """Return the object of each file of the last whole state; empty where there is none.

        Raises:
            CheckpointError: The storage does not answer.
        """
        for name in sorted(self._states(), reverse=True):
            with contextlib.suppress(FileNotFoundError, ValueError, KeyError, TypeError, AttributeError):
                found = json.loads(self._try(partial(self._fs.cat_file, f"{self._path}/{name}")))
                files = found["files"]
                if zlib.crc32(json.dumps(files).encode()) == found["crc"]:
                    return {str(_inside(file)): str(object_name) for file, object_name in files.items()}
        return {}

    def fetch(self, folder: Path) -> dict[str, str]:
        """Bring the last whole state into a folder, which must be empty; return the object of each file.

        Raises:
            CheckpointError: The storage does not answer.
        """
        for _ in range(_N_TRIES):
            files = self.state()
            try:
                for file, name in files.items():
                    target = folder / file
                    target.parent.mkdir(parents=True, exist_ok=True)
                    self._try(partial(self._fs.get_file, f"{self._path}/{name}", str(target)))
            except FileNotFoundError:  # a newer state has come meanwhile, and the objects of this one are gone
                continue
            else:
                return files
        raise CheckpointError(f"checkpoints: {self.url} changes faster than it can be read")

    def put(self, source: Path, name: str) -> None:
        """Save a file as an object.

        Raises:
            CheckpointError: The storage does not take it.
        """
        self._try(lambda: self._fs.makedirs(f"{self._path}/objects", exist_ok=True))
        self._try(lambda: self._fs.put_file(str(source), f"{self._path}/{name}"))

    def put_state(self, key: str, number: int, files: Mapping[str, str]) -> None:
        """Save a state, and remove what of the same attempt it has made needless.

        Args:
            key: The key of the attempt; see :func:`key_of`.
            number: The number of the state, above all earlier ones of the attempt.
            files: The object of each file.

        Raises:
            CheckpointError: The storage does not take it.
        """
        name = f"state-{key}-{number:08d}.json"
        data = json.dumps({"files": dict(files), "crc": zlib.crc32(json.dumps(dict(files)).encode())}).encode()
        self._try(lambda: self._fs.makedirs(self._path, exist_ok=True))
        self._try(lambda: self._fs.pipe_file(f"{self._path}/{name}", data))
        with contextlib.suppress(CheckpointError):  # the next state, or the end of the training, removes it
            self._clean(key, name, set(files.values()))

    def _clean(self, key: str, state: str, needed: set[str]) -> None:
        """Remove earlier states of an attempt, and of attempts before it: what those still write is seen by nobody."""
        for name in self._states():
            if name < state:
                self._remove(name)
        for path in self._list(f"{self._path}/objects"):
            name = f"objects/{PurePosixPath(path).name}"
            if name not in needed and name.startswith("objects/") and name[8 : 8 + len(key)] <= key:
                self._remove(name)

    def copy_from(self, other: SharedFolder) -> bool:
        """Begin this folder as a copy of another one's last state; return whether there was one.

        Raises:
            CheckpointError: The storage does not answer.
        """
        for _ in range(_N_TRIES):
            files = other.state()
            try:
                copied = {}
                self._try(lambda: self._fs.makedirs(f"{self._path}/objects", exist_ok=True))
                for n, (file, name) in enumerate(files.items()):
                    copied[file] = f"objects/{_FORK}-{n:08d}"
                    source, target = f"{other._path}/{name}", f"{self._path}/{copied[file]}"
                    self._try(partial(self._fs.cp_file, source, target))
            except FileNotFoundError:
                continue
            if copied:
                self.put_state(_FORK, 1, copied)
            return bool(copied)
        raise CheckpointError(f"checkpoints: {other.url} changes faster than it can be copied")

    def remove(self) -> None:
        """Remove the folder with all its states.

        Raises:
            CheckpointError: The storage does not answer.
        """
        with contextlib.suppress(FileNotFoundError):
            self._try(lambda: self._fs.rm(self._path, recursive=True))

    def entries(self) -> list[str]:
        """Return the paths of what is in the folder.

        Raises:
            CheckpointError: The storage does not answer.
        """
        return self._list(self._path)

    def _states(self) -> Iterator[str]:
        for path in self._list(self._path):
            name = PurePosixPath(path).name
            if _STATE.fullmatch(name):
                yield name

    def _list(self, path: str) -> list[str]:
        def listed() -> list[str]:
            self._fs.invalidate_cache(path)
            return [str(entry) for entry in self._fs.ls(path, detail=False)]

        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            return self._try(listed)
        return []

    def _remove(self, name: str) -> None:
        with contextlib.suppress(FileNotFoundError):
            self._try(lambda: self._fs.rm_file(f"{self._path}/{name}"))

    def _try(self, step: Callable[[], T]) -> T:
        """Do something with the storage, some times where it fails.

        Raises:
            FileNotFoundError: There is no such object.
            CheckpointError: It fails.
        """
        pause = _PAUSE_SECONDS
        for n in range(1, _N_TRIES + 1):
            try:
                return step()
            except FileNotFoundError:
                raise
            except Exception as fault:  # each kind of storage has errors of its own
                if n == _N_TRIES:
                    text = f"checkpoints: {self.url} cannot be used: {type(fault).__name__}: {fault}"
                    raise CheckpointError(text) from fault
            time.sleep(pause)
            pause *= 2
        raise AssertionError("unreachable")


def key_of(number: int, attempt: int) -> str:
    """Return the key of an attempt: later trials of a chain, and later attempts of a trial, come later."""
    return f"{max(0, number) + 1:012d}-{attempt:06d}"


def _inside(file: str) -> PurePosixPath:
    """Return the relative path of a file.

    Raises:
        ValueError: It leads out of the folder.
    """
    path = PurePosixPath(file)
    if path.is_absolute() or ".." in path.parts or not path.parts or "\\" in file or ":" in path.parts[0]:
        raise ValueError(file)
    return path
