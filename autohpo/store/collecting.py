"""Python's search for cyclic garbage, and where it is paused."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def collector_paused() -> Iterator[None]:
    """Pause Python's search for cyclic garbage while a log is read: it would look at every trial again and again.

    A log makes no cycles, and without this half of the time to read a long one is spent there.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
