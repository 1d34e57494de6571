"""Folders: those of checkpoints, and temporary ones, of which the next process removes what a killed one leaves."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from pathlib import Path

from autohpo.errors import AutoHPOError

PREFIX = "autohpo-"
LOCK = "lock"
"""The file in each folder that its process holds locked: the system unlocks it, whatever ends the process."""

_locks: dict[Path, tuple[int, int]] = {}  # process and descriptor, by folder
_has_cleaned = False


def checkpoint_dir(files: Path, root: int) -> Path:
    """Return the checkpoint folder of a chain, by the number of its first trial."""
    return files / f"trial-{root}"


def temporary_folder() -> Path:
    """Make a temporary folder, readable for this user alone; :func:`remove_folder` removes it.

    Raises:
        AutoHPOError: The system lets none be made; the text says where, and why.
    """
    clean_leftovers()
    place = os.environ.get("TMPDIR", "the folder for temporary files")
    try:
        place = tempfile.gettempdir()
        folder = Path(tempfile.mkdtemp(prefix=PREFIX))
        _lock(folder)
    except OSError as fault:
        hint = "set TMPDIR to a folder with room"
        raise AutoHPOError(f"a temporary folder cannot be made in {place}: {fault}; {hint}") from fault
    return folder


def _lock(folder: Path) -> None:
    try:
        import fcntl
    except ImportError:  # Windows: what a killed process leaves there stays
        return
    with contextlib.suppress(BlockingIOError):
        fresh = folder / f"{LOCK}.new"
        fd = os.open(fresh, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        fresh.rename(folder / LOCK)  # so nobody ever finds it without its lock
        _locks[folder] = os.getpid(), fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 3)  # a standard stream may be closed
        os.close(fd)


def remove_folder(folder: Path) -> None:
    """Remove a temporary folder of this process; nothing happens in a process that was forked from its owner's."""
    owner, fd = _locks.pop(folder, (os.getpid(), -1))
    if owner == os.getpid():
        shutil.rmtree(folder, ignore_errors=True)
    if fd >= 0:
        with contextlib.suppress(OSError):
            os.close(fd)


def clean_leftovers() -> None:
    """Remove the temporary folders of processes of this user that were killed; once in the life of this process."""
    global _has_cleaned  # noqa: PLW0603 - what it says is true of the process
    if _has_cleaned:
        return
    _has_cleaned = True
    with contextlib.suppress(OSError, ImportError):
        import fcntl

        for entry in os.scandir(tempfile.gettempdir()):
            if entry.name.startswith(PREFIX) and entry.is_dir(follow_symlinks=False):
                with contextlib.suppress(OSError):
                    if entry.stat(follow_symlinks=False).st_uid == os.getuid():
                        _remove_if_left(Path(entry.path), fcntl)


def _remove_if_left(folder: Path, fcntl: object) -> None:
    """Remove a folder whose lock nobody holds; one without a lock is not ours to judge."""
    fd = os.open(folder / LOCK, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)  # type: ignore[attr-defined]
        shutil.rmtree(folder, ignore_errors=True)
    finally:
        os.close(fd)
