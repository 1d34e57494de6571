"""GPUs of hosts: those of one process are shared out among the hosts that run in its threads."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from autohpo.errors import AutoHPOError
from autohpo.execution.devices import VISIBLE

__all__ = ["Devices"]

_MOST = 1 + 1e-9  # hosts that share a device take a part of it each, and floats do not add up to exactly 1


class Devices:
    """The GPUs that this process may use, and how much of each its hosts have taken."""

    _lock = threading.Lock()
    _used: dict[str, float] = {}  # noqa: RUF012 - the process has one set of devices

    @classmethod
    @contextmanager
    def taken(cls, n_gpus: float) -> Iterator[tuple[str, ...]]:
        """Take some GPUs, and give them back in the end.

        Args:
            n_gpus: How many; below 1 a part of one, which others may share. With 0 none is taken, and what the engine
                has set is left alone.

        Returns:
            What ``CUDA_VISIBLE_DEVICES`` is to say for one slot; nothing with 0.

        Raises:
            AutoHPOError: There are not as many that are free.
        """
        if not n_gpus:
            yield ()
            return
        part = min(1.0, n_gpus)
        with cls._lock:
            there = _visible()
            free = [name for name in there if cls._used.get(name, 0.0) + part <= _MOST]
            free.sort(key=lambda name: -cls._used.get(name, 0.0))  # fill one that is shared before the next
            chosen = free[: max(1, int(n_gpus))]
            if len(chosen) < n_gpus:
                raise AutoHPOError(
                    f"gpus: each worker needs {n_gpus:g}, but of the {len(there)} GPUs that this process of the engine "
                    f"sees {len(free)} are free; start its workers with {VISIBLE}, or lower gpus"
                )
            for name in chosen:
                cls._used[name] = cls._used.get(name, 0.0) + part
        try:
            yield (",".join(chosen),)
        finally:
            with cls._lock:
                for name in chosen:
                    cls._used[name] -= part


def _visible() -> list[str]:
    """The devices that this process may use: those of the variable, else those that the system has."""
    shown = os.environ.get(VISIBLE)
    if shown is not None:
        return [name.strip() for name in shown.split(",") if name.strip()]
    found = (path.name.removeprefix("nvidia") for path in Path("/dev").glob("nvidia[0-9]*"))
    return sorted(filter(str.isdigit, found), key=int)
