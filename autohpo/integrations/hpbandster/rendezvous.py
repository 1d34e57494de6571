"""Where optimizers and workers of several processes of this machine find each other: a folder of this user alone.

Who lives is known by locked files: the system unlocks them, whatever ends a process.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import os
import stat
import tempfile
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from autohpo.errors import OptionError, PathError

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

__all__ = [
    "Held",
    "Hub",
    "NoRunError",
    "NoWorkersError",
    "can_meet",
    "claimed",
    "folder_of",
    "has_hub",
    "is_held",
    "leave",
    "lives",
    "made_in",
]

Made = TypeVar("Made")

_count = itertools.count()


class NoRunError(OptionError, RuntimeError):
    """A worker found no optimizer and no name server of its run on this machine."""


class NoWorkersError(OptionError, RuntimeError):
    """An optimizer found no worker of its run, or too few; the text says how to start some."""


def can_meet() -> bool:
    """Return whether processes of this system can find each other: Linux and macOS have what it takes."""
    return fcntl is not None


def folder_of(run_id: object) -> Path:
    """Return the folder of a run, which is made; only this user can look into it.

    Args:
        run_id: The id of the run.

    Raises:
        PathError: It cannot be made, or is another user's.
    """
    root = Path(tempfile.gettempdir()) / f"hpbandster-of-autohpo-{os.getuid()}"
    name = hashlib.sha256(str(run_id).encode("utf-8", "backslashreplace")).hexdigest()[:24]
    try:
        for folder in (root, root / name):
            folder.mkdir(mode=0o700, exist_ok=True)
        found = root.lstat()
    except OSError as error:
        raise PathError(f"TMPDIR: {root} must be a folder that can be made: {error}") from None
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
        raise PathError(f"TMPDIR: {root} must be a folder of this user alone; remove it")
    return root / name


class Held:
    """A file that this process holds locked until it ends or lets go.

    Args:
        path: The path; nobody finds the file there without its lock.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        fresh = path.with_name(f"{path.name}.{os.getpid()}.new")
        fd = os.open(fresh, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        fcntl.flock(fd, fcntl.LOCK_SH)
        fresh.rename(path)
        self.close = weakref.finalize(self, _let_go, fd, path, os.getpid())


def _let_go(fd: int, path: Path, owner: int) -> None:
    if os.getpid() == owner:
        with contextlib.suppress(OSError):
            path.unlink()
    os.close(fd)


def claimed(path: Path) -> Callable[[], object] | None:
    """Lock a file that is there for this process alone, and return what unlocks it; None where another one has it.

    Args:
        path: The path.
    """
    try:
        fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(fd)
        return None
    return lambda: os.close(fd)


def is_held(path: Path) -> bool:
    """Return whether some process holds a file locked.

    Args:
        path: The path; without a file there nobody does.
    """
    let_go = claimed(path)
    if let_go is None:
        return path.exists()
    let_go()
    return False


def lives(path: Path, lock: Path) -> bool:
    """Return whether the process that made a file or a folder still runs.

    Its number alone may be another process's by now, and its lock alone may have been left to a process that it forked.

    Args:
        path: The file or folder, whose name has the process's number after its first "-".
        lock: The file that the process holds locked.
    """
    if not is_held(lock):
        return False
    try:
        os.kill(int(path.name.split("-")[1]), 0)
    except ProcessLookupError:
        return False
    except (OSError, ValueError, IndexError):
        pass
    return True


class Hub:
    """What an optimizer or a name server shows to workers of other processes while it lives.

    Args:
        run_id: The id of the run.
    """

    def __init__(self, run_id: object) -> None:
        name = f"hub-{os.getpid()}-{next(_count)}"
        held = made_in(run_id, lambda folder: Held(folder / name)) if can_meet() else None
        self._leave = weakref.finalize(self, _leave_hub, held)

    def close(self) -> None:
        """Show nothing any more. May be called twice."""
        self._leave()


def _leave_hub(held: Held | None) -> None:
    if held is not None:
        held.close()
        leave(held.path.parent)


def made_in(run_id: object, make: Callable[[Path], Made]) -> Made:
    """Return what is made in the folder of a run, also where the last one there is removing the folder.

    Args:
        run_id: The id of the run.
        make: Makes it in the folder.
    """
    for _ in range(10):
        with contextlib.suppress(FileNotFoundError):
            return make(folder_of(run_id))
    return make(folder_of(run_id))


def leave(folder: Path) -> None:
    """Remove the folder of a run where nobody uses it any more.

    Args:
        folder: The folder.
    """
    with contextlib.suppress(OSError):  # another one still does
        folder.rmdir()
        folder.parent.rmdir()


def has_hub(folder: Path) -> bool:
    """Return whether an optimizer or a name server of a run lives; what a killed one left is removed.

    Args:
        folder: The folder of the run.
    """
    found = False
    for path in folder.glob("hub-*"):
        if lives(path, path):
            found = True
        elif not path.name.endswith(".new"):
            path.unlink(missing_ok=True)
    return found
