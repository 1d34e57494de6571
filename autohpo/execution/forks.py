"""Forks: no warning of Python's about threads where all threads but the one that forks are ours."""

from __future__ import annotations

import contextlib
import os
import threading
import warnings
from typing import Any, cast

OURS = "autohpo-"
"""What the names of our threads begin with: they hold no locks that a forked child would wait for."""


class ForkFilter:
    """A filter of warnings for objectives that fork, from Python 3.12 on.

    Python warns where a process with several threads forks. Without a search there would be one thread, and so no
    warning; where there are others than ours, it is given as ever.

    Attributes:
        pattern: What it matches, as of a regular expression: scikit-learn copies all filters to its threads by that.
    """

    pattern = r"This process \(pid=\d+\) is multi-threaded"

    def __init__(self) -> None:
        self._entry = "ignore", self, DeprecationWarning, None, 0

    def install(self) -> None:
        """Put the filter before all others."""
        _filters().insert(0, self._entry)

    def remove(self) -> None:
        """Take it out; no effect where it is not there any more."""
        with contextlib.suppress(ValueError):
            _filters().remove(self._entry)

    def match(self, text: str) -> bool:
        """Return whether a warning is that one, and only about our threads; asked at the moment of the warning.

        Args:
            text: The text of the warning.
        """
        if not (text.startswith("This process (pid=") and "multi-threaded" in text):
            return False
        n_ours = sum(thread.name.startswith(OURS) for thread in threading.enumerate())
        return bool(n_ours) and _n_threads() == n_ours + 1


def _filters() -> list[Any]:
    return cast("list[Any]", warnings.filters)


def _n_threads() -> int:
    """The threads of this process, also those of compiled libraries where that can be seen."""
    try:
        return len(os.listdir("/proc/self/task"))  # noqa: PTH208 - names are enough
    except OSError:
        return threading.active_count()
