"""Following: what a controller does in the driver's thread while the search runs."""

from __future__ import annotations

import logging
import shutil
import threading
import time
from collections.abc import Callable
from pathlib import Path

from autohpo.algorithms.base import BaseHPOptimizer
from autohpo.algorithms.session import session_of
from autohpo.controller.experiments import top_trials
from autohpo.controller.jobs import Jobs
from autohpo.controller.reporter import Completed, Reporter
from autohpo.controller.scalars import objective_iteration
from autohpo.controller.strategy import SearchStrategy, called
from autohpo.execution.base import Event, Executor
from autohpo.execution.watch import AttemptListener
from autohpo.folders import checkpoint_dir
from autohpo.front import Front
from autohpo.trial import Task, Trial, TrialState

_log = logging.getLogger("autohpo")


class Following(AttemptListener):
    """Listens to the executor of a search: tells of completed jobs, ends jobs and the search where it was asked to.

    Args:
        hpo: The optimizer.
        jobs: The jobs.
        reporter: What is told of completed jobs.
        strategy: The strategy that looks after jobs, if there is one.
        left_seconds: Returns the seconds that are left of the time limit; None without one.
        grace_seconds: How long a job may take to end that was asked to.
        keep: How many of the best jobs keep their checkpoints; None keeps all.

    Attributes:
        is_closing: Whether the search was asked to end.
        files: The folder of the run's checkpoints; None before it is known.
    """

    def __init__(
        self,
        hpo: BaseHPOptimizer,
        jobs: Jobs,
        reporter: Reporter,
        *,
        strategy: SearchStrategy | None,
        left_seconds: Callable[[], float | None],
        grace_seconds: float,
        keep: int | None,
    ) -> None:
        self._hpo, self._jobs, self._reporter, self._strategy = hpo, jobs, reporter, strategy
        self._history = session_of(hpo).history  # an algorithm may keep an attribute of that name
        self._left_seconds, self._grace, self._keep = left_seconds, grace_seconds, keep
        self.is_closing = False
        self._is_told = False  # of the stop
        self._has_limit, self._limit_lock = threading.Event(), threading.Lock()  # a new one is to be handed on
        self._executor: Executor | None = None
        self._front = Front()
        self._seen = 0
        self._running: dict[int, Task] = {}
        self._aborts: dict[int, float] = {}  # when a job that was asked to end is killed, by number
        self.files: Path | None = None

    # From any thread.

    def stop(self) -> None:
        """End the search in order."""
        self.is_closing = True
        self._hpo.stop()

    def limit_moved(self) -> None:
        """Take note that the time limit was moved."""
        self._has_limit.set()
        self._hand_on_limit()

    def abort(self, number: int) -> None:
        """End a job at its next report, or after the grace without one."""
        self._aborts.setdefault(number, 0.0)

    # In the driver's thread.

    def opened(self, executor: Executor) -> None:
        """Begin: whatever has ended by now was told of by an earlier process."""
        self._executor = executor
        for trial in self._new():
            self._front.add(trial)
        if self._strategy is not None:
            called(self._strategy.start)

    def started(self, task: Task) -> None:
        """Take the start of an attempt."""
        self._running[task.number] = task
        self._jobs.started[task.number] = time.time()

    def ended(self, event: Event) -> None:
        """Take the end of an attempt."""
        self._running.pop(event.number, None)
        self._aborts.pop(event.number, None)

    def looked(self) -> None:
        """Do what is due, each time that the driver has looked for events."""
        self._hand_on_limit()
        if self.is_closing and not self._is_told:
            self._is_told = True
            self._hpo.stop()  # again: the first call may have come before there was a driver
        self.tell()
        self._end_jobs()
        if self._strategy is not None and not self.is_closing:
            self._strategy._watch([one.number for one in self._history.running])
            if not called(self._strategy.process_step):
                self.stop()

    def tell(self) -> None:
        """Tell of the jobs that were completed since the last call, and drop the checkpoints of those that are out."""
        if self._executor is None:  # the search never began: nothing is new
            return
        new = self._new()
        for trial in new:
            self._front.add(trial)
            if trial.perf is None or "known" in trial.info or self._front.best is None:
                continue
            mine, top = self._jobs.id_of(trial.number), self._jobs.id_of(self._front.best.number)
            iteration = objective_iteration(trial, self._jobs.metrics)
            self._reporter.completed(Completed(mine, trial.perf, iteration, dict(trial.hp), top))
        if new and self._keep:
            self._drop(self._keep)

    def _new(self) -> list[Trial]:
        told = self._history.trials
        new = [told[place] for place in range(self._seen, len(told))]
        self._seen += len(new)
        return new

    def _hand_on_limit(self) -> None:
        with self._limit_lock:  # else an earlier limit could be handed on after a later one
            if self._has_limit.is_set() and session_of(self._hpo).limit(self._left_seconds()):
                self._has_limit.clear()

    def _end_jobs(self) -> None:
        executor, now = self._executor, time.monotonic()
        if executor is None:
            return
        for number, at in list(self._aborts.items()):
            if number not in self._running:
                self._aborts.pop(number, None)
            elif not at:
                self._aborts[number] = now + self._grace
                executor.stop(number)
            elif now >= at:
                executor.kill(number, TrialState.FAILED, "the job was aborted, and reported nothing before it ended")

    def _drop(self, k: int) -> None:
        """Remove the checkpoints of trainings that have ended outside the best; the log keeps them all."""
        if self.files is None or not self.files.is_dir():
            return
        history, hpo = self._history, self._hpo
        way = self._jobs.metrics.each[0].way
        kept = {history.root(trial.number) for trial in top_trials(history.trials, k, way)}
        running = {history.root(one.number) for one in history.running}
        alive = running | {history.root(number) for number in hpo.resumable}
        for root in {history.root(trial.number) for trial in history.trials} - kept - alive:
            folder = checkpoint_dir(self.files, root)
            if folder.is_dir():
                shutil.rmtree(folder, ignore_errors=True)
