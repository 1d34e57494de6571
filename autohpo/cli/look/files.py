"""Files that a command writes: never over another one unless told so, and never half of one."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from autohpo.arguments import checked_file, path_errors
from autohpo.cli.arguments import UsageError


def check_free(place: Path, *, is_forced: bool) -> None:
    """Check that a file may be written.

    Raises:
        UsageError: It is there already, or is a folder, a device or a pipe, which no file may take the place of.
    """
    if place.exists() and not place.is_file():
        raise UsageError(f"to: must be the path of a file, got {place}, which is a folder, a device or a pipe")
    if not is_forced and (place.exists() or place.is_symlink()):
        raise UsageError(f"to: {place} is there already; name a new file, or give --force to overwrite it")


@contextlib.contextmanager
def written(place: Path, *, newline: str | None = None) -> Iterator[TextIO]:
    """Open a text file that takes its place as soon as it is whole; where an error is raised, nothing is left.

    Args:
        place: The path of the file.
        newline: How lines end, as the argument of ``open``.

    Raises:
        PathError: It cannot be written.
    """
    place = checked_file(place)
    with path_errors(place):
        handle, name = tempfile.mkstemp(prefix=f".{place.name}.", dir=place.parent)
        made = Path(name)
        try:
            with os.fdopen(handle, "w", encoding="utf-8", newline=newline, errors="backslashreplace") as file:
                yield file
            made.chmod(0o666 & ~_umask())
            made.replace(place)
        finally:
            made.unlink(missing_ok=True)


def _umask() -> int:
    mask = os.umask(0o022)
    os.umask(mask)
    return mask
