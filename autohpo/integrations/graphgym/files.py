"""Files of GraphGym as text."""

from __future__ import annotations

import os
from pathlib import Path

from autohpo.errors import PathError, shown

MOST_BYTES = 2**20
"""The most bytes of a grid or a configuration."""

PathLike = str | os.PathLike[str]


def text_of(path: PathLike) -> str:
    """Return the text of a file.

    Raises:
        PathError: It cannot be read, or is too large.
    """
    name = os.fspath(path) if isinstance(path, (str, os.PathLike)) else shown(path)
    try:
        with Path(path).open("rb") as file:
            data = file.read(MOST_BYTES + 1)
        text = data.decode("utf-8-sig")
    except (OSError, ValueError, TypeError) as error:
        raise PathError(f"{name}: cannot be read: {error}") from error
    if len(data) > MOST_BYTES:
        raise PathError(f"{name}: must be at most {MOST_BYTES} bytes, got more")
    return text
