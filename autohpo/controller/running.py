"""Running: the verbs of a controller: start, wait, stop, limits, and what was used of them."""

from __future__ import annotations

import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from datetime import datetime

from autohpo.controller.drive import Drive, Plan
from autohpo.controller.limits import Budget, Deadline, Used
from autohpo.controller.readings import Readings
from autohpo.controller.remote import Remote
from autohpo.controller.settings import MINUTE, Settings, minutes, timeout_seconds
from autohpo.errors import OptionError, shown


class Running(Readings, ABC):
    """The methods of a controller that start its search, wait for it and end it.

    Args:
        settings: The limits.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._deadline = Deadline(settings.optimization_time_limit, self._moved)
        self._lock = threading.RLock()
        self._drive: Drive | Remote | None = None
        self._report_minutes: float | None = 5.0

    _run_as_service: bool

    @abstractmethod
    def _plan(self) -> Plan:
        """Return what is run."""

    @abstractmethod
    def _limits(self) -> tuple[int | None, float | None]:
        """Return the most jobs, and the most iterations."""

    @abstractmethod
    def _begun(self) -> None:
        """Called once the search has begun."""

    # Start, wait, stop.

    def start(self, job_complete_callback: Callable[..., object] | None = None) -> bool:
        """Start the search in the background; return True at once, or False where it runs already.

        After its end it goes on from there, as far as its limits allow.

        Args:
            job_complete_callback: Called as ``f(job_id, objective_value, objective_iteration, job_parameters,
                top_performance_job_id)``, once for each job with a result, in the order of the log, from a thread of
                its own. Jobs that an earlier process completed are not told of. What it raises is logged.

        Raises:
            OptionError: The callback cannot be called.
        """
        if job_complete_callback is not None and not callable(job_complete_callback):
            raise OptionError(f"job_complete_callback: must be callable, got {shown(job_complete_callback)}")
        with self._lock:
            if self.is_running():
                return False
            before, self._drive = self._drive, self._new_drive(job_complete_callback)
            try:
                self._start(self._drive)
            except BaseException:
                if not self._drive.is_alive:
                    self._drive = before
                raise
            self._begun()
        return True

    def _start(self, drive: Drive | Remote) -> None:
        if isinstance(drive, Remote):
            drive.start()
            self._deadline.begin()
        else:
            self._deadline.begin()
            drive.start()

    def _started(self) -> Drive | Remote | None:
        """The search, once a start in another thread is done: what is asked of it meanwhile must not be lost."""
        with self._lock:
            return self._drive

    def _new_drive(self, callback: Callable[..., object] | None) -> Drive | Remote:
        """The search, in a thread of this process or in a process of its own."""
        plan = self._plan()
        if self._run_as_service and plan.launch is None:
            return Remote(str(plan.store), plan.most_iterations)
        return Drive(plan, callback, self._deadline, self._said, self._report_seconds)

    def start_locally(self, job_complete_callback: Callable[..., object] | None = None) -> bool:
        """Start the search with its jobs on this machine, which is where they run anyway; see :meth:`start`."""
        return self.start(job_complete_callback)

    def wait(self, timeout: float | None = None, wait_for_reporter: bool = True) -> bool:
        """Wait until the search has ended; return False where it has not after `timeout`, and stop nothing then.

        Before the start it returns True at once. Ctrl-C while the main thread waits here stops the search in order, and
        is raised again. A service goes on then.

        Args:
            timeout: The minutes to wait at most; 0 looks once, and None waits for the end, which a time limit of the
                search brings.
            wait_for_reporter: Whether to wait until the callback was called for every job, too.

        Raises:
            AutoHPOError: The search ended with an error: it is raised here, at each call.
        """
        seconds = timeout_seconds(timeout)
        drive = self._started()
        if drive is None:
            return True
        try:
            has_ended = _joined(drive, seconds, with_reporter=wait_for_reporter)
        except KeyboardInterrupt:
            if not isinstance(drive, Remote):
                self.stop()
            raise
        if has_ended and drive.error is not None:
            raise drive.error
        return has_ended

    def stop(self, timeout: float | None = None, wait_for_reporter: bool = True) -> None:
        """End the search in order, from any thread: running jobs are asked to end, and ended after a grace.

        A second call is harmless, and so is one before the start. What was found stays; jobs that were cancelled run
        again when the search goes on.

        Args:
            timeout: The minutes to wait for the end at most; 0 does not wait, and None waits for it.
            wait_for_reporter: Whether to wait until the callback was called for every job, too.
        """
        seconds = timeout_seconds(timeout)
        drive = self._started()
        if drive is not None:
            drive.stop()
            _joined(drive, seconds, with_reporter=wait_for_reporter)

    def _stop_soon(self) -> None:
        """End the search without waiting for it: for a strategy, in the driver's own thread."""
        drive = self._started()
        if drive is not None:
            drive.stop()

    def _abort(self, number: int) -> None:
        drive = self._started()
        if drive is not None:
            drive.abort(number)

    def is_active(self) -> bool:
        """Return whether the search is not over: also before its start, as ClearML has it."""
        return self._drive is None or self._drive.is_alive

    def is_running(self) -> bool:
        """Return whether the search runs."""
        return self._drive is not None and self._drive.is_alive

    # Limits.

    def set_time_limit(self, in_minutes: float | None = None, specific_time: datetime | None = None) -> None:
        """Set when the search must end, before its start or while it runs; without either there is no limit.

        Args:
            in_minutes: The minutes from now on.
            specific_time: The time, in place of these.

        Raises:
            OptionError: Both are given, or one is no time.
        """
        self._deadline.set(in_minutes, specific_time)

    def _moved(self, seconds: float | None) -> None:
        drive = self._started()
        if drive is not None:
            drive.limit_moved()

    def get_time_limit(self) -> datetime | None:
        """Return when the search must end, in local time; None where there is no limit, or it has not begun."""
        return self._deadline.time

    def reached_time_limit(self) -> bool:
        """Return whether the time is up; False without a limit."""
        return self._deadline.is_reached

    def elapsed(self) -> float:
        """Return the minutes since the start, up to the end; -1 before the start."""
        return self._deadline.elapsed_minutes

    @property
    def budget(self) -> Budget:
        """What the search may use and has used: jobs, iterations and minutes; before the start nothing is used."""
        n = sum(1 for trial in self._jobs.trials() if "known" not in trial.info)
        iterations, seconds = (0.0, 0.0) if self._drive is None else self._drive.used()
        limit, total = self._limits()
        return Budget(
            Used(limit, n), Used(total, iterations), Used(self._settings.compute_time_limit, seconds / MINUTE)
        )

    def set_report_period(self, report_period_minutes: float | None) -> None:
        """Set how often the log gets a line that says how the search stands; may be called while it runs.

        Args:
            report_period_minutes: The minutes between two lines; None writes none.

        Raises:
            OptionError: It is no positive number.
        """
        self._report_minutes = minutes("report_period_minutes", report_period_minutes)

    def _report_seconds(self) -> float | None:
        return None if self._report_minutes is None else self._report_minutes * MINUTE

    def _said(self) -> str:
        """A line that says how the search stands."""
        counts = ", ".join(f"{n} {status}" for status, n in sorted(self._counts().items())) or "none"
        top = self.get_top_experiments(1)
        best = ""
        if top and top[0].trial is not None:
            best = f"; best {self._jobs.metrics.each[0].name} {top[0].trial.perf:g} in job {top[0].id}"
        return f"controller: jobs: {counts}{best}; after {self.elapsed():.3g} minutes"


def _joined(drive: Drive | Remote, seconds: float | None, *, with_reporter: bool) -> bool:
    """Wait until a search has ended; return whether it has.

    Args:
        drive: The search.
        seconds: How long to wait at most, for the reporter too.
        with_reporter: Whether to wait until everybody was told, too.
    """
    until = None if seconds is None else time.monotonic() + seconds
    has_ended = drive.join(seconds)
    if has_ended and with_reporter:
        drive.join_reporter(None if until is None else max(0.0, until - time.monotonic()))
    return has_ended
