"""Reporter: how a script or a function for Syne Tune tells the tuner how good its training is so far.

A script prints each report as a tagged line, and waits for the answer if the process that started it gave it a pipe for
answers. So nothing is trained beyond the report at which the search ends the script. In a function the report goes to
the trial directly.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from autohpo.integrations.syne_tune.constants import (
    ST_METRIC_TAG,
    ST_WORKER_ITER,
    ST_WORKER_TIME,
    ST_WORKER_TIMESTAMP,
)

__all__ = ["ANSWERS", "Reporter", "Stopped", "parsed", "reports_go_to"]

ANSWERS = "AUTOHPO_SYNE_TUNE_ANSWERS"
"""The environment variable with the pipe of answers: its descriptor, device and inode."""

_sinks: list[Callable[[dict[str, Any]], bool]] = []  # where the reports of a function go that runs in this process


class Stopped(BaseException):
    """The search ends the training of this function; no `except Exception` of the function's catches it."""


@dataclass
class Reporter:
    """A callable that reports numbers: ``report(epoch=3, loss=0.2)``.

    Args:
        add_time: Whether the seconds since it was made are reported, too.
        add_cost: Not used: there is no price list.

    Example:
        >>> report = Reporter(add_time=False)
        >>> with reports_go_to(lambda result: print(result["epoch"], result["loss"]) or True):
        ...     report(epoch=1, loss=0.5)
        1 0.5
    """

    add_time: bool = True
    add_cost: bool = True

    def __post_init__(self) -> None:
        self._began = time.perf_counter()
        self._n = 0

    def __call__(self, **metrics: Any) -> None:
        """Report values by name: the metric that is optimized, the resource, and any others.

        Args:
            metrics: The values; JSON types, or scalars of numpy.

        Raises:
            ValueError: A name begins with "st_", a value is None, or JSON cannot hold it.
        """
        for name, value in metrics.items():
            if name.startswith("st_"):
                raise ValueError(f"{name}: must not begin with 'st_', which is kept for the tuner")
            if value is None:
                raise ValueError(f"{name}: must be a value, got None")
        result = {name: _plain(value) for name, value in metrics.items()}
        result[ST_WORKER_TIMESTAMP] = time.time()
        if self.add_time:
            result[ST_WORKER_TIME] = time.perf_counter() - self._began
        result[ST_WORKER_ITER] = self._n
        self._n += 1
        if _sinks:
            if not _sinks[-1](result):
                raise Stopped
            return
        try:
            text = json.dumps(result)
        except TypeError as error:
            raise ValueError(f"report: must be of values that JSON can hold: {error}") from None
        print(f"[{ST_METRIC_TAG}]: {text}", flush=True)
        _await_answer()


@contextmanager
def reports_go_to(sink: Callable[[dict[str, Any]], bool]) -> Iterator[None]:
    """Hand the reports of this process to a function while the context is open.

    Args:
        sink: A function that takes what is reported; where it returns False, the reporter raises :class:`Stopped`.
    """
    _sinks.append(sink)
    try:
        yield
    finally:
        _sinks.remove(sink)


def parsed(line: str) -> dict[str, Any] | None:
    """Return the report that a printed line is; None where it is none.

    Example:
        >>> parsed('[tune-metric]: {"epoch": 1}'), parsed("epoch 1")
        ({'epoch': 1}, None)
    """
    _, tag, text = line.partition(f"[{ST_METRIC_TAG}]: ")
    if not tag:
        return None
    try:
        found = json.loads(text)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def _plain(value: Any) -> Any:
    """A scalar of numpy or torch as Python's own."""
    return value.item() if callable(getattr(value, "item", None)) else value


def _await_answer() -> None:
    """Wait until the report was taken; where the script has no pipe for answers, as when run by hand, go on."""
    given = os.environ.get(ANSWERS)
    if given is None:
        return
    fd, *identity = map(int, given.split(":"))
    try:
        found = os.fstat(fd)
        if [found.st_dev, found.st_ino] != identity:  # a process of the script's own, in which the number is another's
            return
        if not os.read(fd, 1):
            sys.exit("the tuner is gone")
    except OSError:
        return
