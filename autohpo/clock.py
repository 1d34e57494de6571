"""The clock of the log: Unix seconds that never jump."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial


def steady_clock() -> Callable[[], float]:
    """Return a clock that shows Unix seconds, and goes on evenly where somebody sets that of the system.

    So no trial takes an hour less than nothing. Time that the machine is suspended counts where the system can tell.
    """
    elapsed: Callable[[], float] = time.monotonic
    if hasattr(time, "CLOCK_BOOTTIME"):
        elapsed = partial(time.clock_gettime, time.CLOCK_BOOTTIME)
    begin = time.time() - elapsed()
    return lambda: begin + elapsed()
