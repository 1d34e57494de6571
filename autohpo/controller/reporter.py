"""Reporter: the thread that calls the callback, job by job, and says now and then how the search stands."""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

_log = logging.getLogger("autohpo")

LEAST_PERIOD_SECONDS = 0.01
"""The reporter does not look more often than that: a period near 0 must not keep a core busy."""

Callback = Callable[[str, float, int, dict[str, Any], str], object]
"""Called as ``callback(job_id, objective_value, objective_iteration, job_parameters, top_performance_job_id)``."""


@dataclass(frozen=True)
class Completed:
    """A job that was completed, as the callback is told of it.

    Attributes:
        job_id: The id of the job.
        value: The value of its objective; of several the first.
        iteration: The iteration of that value; 0 where it reported none.
        parameters: The parameters of the job.
        top_id: The id of the best job until then.
    """

    job_id: str
    value: float
    iteration: int
    parameters: Mapping[str, Any]
    top_id: str


class Reporter:
    """A thread that calls a callback once per completed job, in order; what that raises is logged.

    It is not the driver's thread: a slow callback holds up no job.

    Args:
        callback: The callback; None calls nobody.
        said: Returns a line that says how the search stands.
        period_seconds: The seconds between two such lines in the log; may change.
    """

    def __init__(
        self, callback: Callback | None, said: Callable[[], str], period_seconds: Callable[[], float | None]
    ) -> None:
        self._callback, self._said, self._period = callback, said, period_seconds
        self._queue: queue.SimpleQueue[Completed | None] = queue.SimpleQueue()
        self._has_ended = threading.Event()  # Thread.join takes Ctrl-C for the thread's end
        self._thread = threading.Thread(target=self._run, name="autohpo-reporter", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    @property
    def is_here(self) -> bool:
        """Whether this is called from the reporter's own thread: from a callback."""
        return threading.current_thread() is self._thread

    def completed(self, job: Completed) -> None:
        """Tell of a completed job."""
        self._queue.put(job)

    def close(self) -> None:
        """End once everybody was told; returns at once."""
        self._queue.put(None)

    def join(self, timeout_seconds: float | None) -> bool:
        """Wait until everybody was told; return whether that is so. No effect from a callback."""
        if self.is_here:
            return False
        return self._has_ended.wait(timeout_seconds)

    def _run(self) -> None:
        try:
            self._report()
        finally:
            self._has_ended.set()

    def _report(self) -> None:
        last = time.monotonic()  # of the last line; when the next one is due depends on a period that may change
        while True:
            try:
                job = self._queue.get(timeout=self._pause(last))
            except queue.Empty:
                job = None
            else:
                if job is None:
                    return
                self._tell(job)
            period = self._period()
            if period is not None and time.monotonic() >= last + period:
                self._say()
                last = time.monotonic()

    def _pause(self, last: float) -> float:
        """The seconds until the next line; looked at again each second, as the period may change."""
        period = self._period()
        return 1.0 if period is None else min(1.0, max(LEAST_PERIOD_SECONDS, last + period - time.monotonic()))

    def _tell(self, job: Completed) -> None:
        if self._callback is None:
            return
        try:
            self._callback(job.job_id, job.value, job.iteration, dict(job.parameters), job.top_id)
        except BaseException:  # it may raise anything, sys.exit() too, and the search goes on
            _log.exception("job_complete_callback: raised for job %s", job.job_id)

    def _say(self) -> None:
        try:
            _log.info("%s", self._said())
        except Exception:
            _log.exception("the report of the controller could not be made")
