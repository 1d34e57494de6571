"""Lock files on Windows: one byte far behind the text is locked, so that everybody can read the text.

This was never run on Windows; tests have another ``msvcrt``.
"""

from __future__ import annotations

import time
from types import ModuleType
from typing import BinaryIO

PLACE = 2**30
"""The byte that is locked; the file need not be as long."""

N_TRIES, PAUSE_SECONDS = 5, 0.02
"""How often a lock is tried: whoever only looks has it for a moment."""


def _msvcrt() -> ModuleType:
    import msvcrt  # there is one on Windows only

    return msvcrt


def read_at(handle: BinaryIO, n_bytes: int, at: int) -> bytes:
    """Return bytes from a place in a file."""
    handle.seek(at)
    return handle.read(n_bytes)


def write_at(handle: BinaryIO, data: bytes, at: int) -> None:
    """Write bytes to a place in a file."""
    handle.seek(at)
    handle.write(data)


def lock(handle: BinaryIO) -> None:
    """Lock a file for this open handle of it, until that is closed.

    Raises:
        OSError: Another handle has it locked.
    """
    for n in range(N_TRIES):
        try:
            _set(handle, is_locked=True)
        except OSError:  # noqa: PERF203 - tried a few times
            if n == N_TRIES - 1:
                raise
            time.sleep(PAUSE_SECONDS)
        else:
            return


def locked_by(handle: BinaryIO) -> int | None:
    """Return 0 if somebody has a file locked, whose process is not known, and None if nobody has.

    The system tells so by locking it, so it is unlocked at once again.
    """
    try:
        _set(handle, is_locked=True)
    except OSError:
        return 0
    _set(handle, is_locked=False)
    return None


def _set(handle: BinaryIO, *, is_locked: bool) -> None:
    system = _msvcrt()
    handle.seek(PLACE)
    try:
        system.locking(handle.fileno(), system.LK_NBLCK if is_locked else system.LK_UNLCK, 1)
    finally:
        handle.seek(0)
