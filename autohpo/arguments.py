"""Checks of arguments that results and files are asked with."""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from autohpo.errors import OptionError, PathError, short, shown


def is_index(value: object, n: float) -> bool:
    """Return whether a value is an integer, of Python or of numpy, from 0 to below n."""
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool) and bool(0 <= value < n)


def checked_index(name: str, value: Any, n: float = math.inf) -> int:
    """Return an integer from 0 to below n.

    Raises:
        OptionError: It is none.
    """
    if not is_index(value, n):
        rule = "an integer of at least 0" if n == math.inf else f"that of a trial, below {n}"
        raise OptionError(f"{name}: must be {rule}, got {shown(value)}")
    return int(value)


def checked_numbers(name: str, values: Any, n: int) -> list[float]:
    """Return n finite numbers as plain floats.

    Raises:
        OptionError: They are no list of so many, or one is none.
    """
    is_list = (
        isinstance(values, (Sequence, np.ndarray)) and np.ndim(values) == 1 and not isinstance(values, (str, bytes))
    )
    if not is_list or len(values) != n:
        got = len(values) if is_list else short(values)
        raise OptionError(f"{name}: must have one value for each objective ({n}), got {got}")
    for value in values:
        is_number = isinstance(value, (int, float, np.number)) and not isinstance(value, (bool, complex))
        if not is_number or not abs(value) <= sys.float_info.max:
            raise OptionError(f"{name}: values must be finite numbers, got {shown(value)}")
    return [float(value) for value in values]


def checked_file(path: str | os.PathLike[str]) -> Path:
    """Return the path of a file that is to be read or written.

    Raises:
        PathError: It is no path.
    """
    text = os.fspath(path) if isinstance(path, (str, os.PathLike)) else None
    if not isinstance(text, str) or not text or "\0" in text:
        raise PathError(f"path: must be the path of a file, got {shown(path)}")
    return Path(text)


@contextmanager
def path_errors(path: object) -> Iterator[None]:
    """Raise what the operating system says of a file as an error of ours.

    Raises:
        PathError: The file cannot be opened, read or written.
    """
    try:
        yield
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise PathError(f"path: must be that of a file that can be used, got {shown(str(path))}: {reason}") from error
