"""The serial executor: one slot, in the driver's own process."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from functools import partial
from typing import NoReturn

from autohpo.errors import OptionError
from autohpo.execution.base import Event, EventKind, Executor, OnReport
from autohpo.objective import Evaluator, Objective
from autohpo.trial import Outcome, Perf, Task, TrialState


class _Unwind(BaseException):
    """Leaves the objective from inside a report."""


class SerialExecutor(Executor):
    """An executor with one slot, which runs its task inside :meth:`poll`.

    Nothing protects the driver from the objective: it can end the process, and no limit holds. A KeyboardInterrupt,
    and whatever else is neither an Exception nor a SystemExit, comes out of :meth:`poll`, and leaves the task
    submitted: the next poll runs it again from its start, :meth:`kill` ends it.
    """

    is_inline = True
    runs_here = True

    def __init__(self) -> None:
        self._evaluator: Evaluator | None = None
        self._task: Task | None = None
        self._events: list[Event] = []
        self._lock = threading.Lock()  # held while a report is handed on, and to end the task that it belongs to
        self._forget()

    def _forget(self) -> None:
        """Keep nothing of the last run."""
        self._is_running = self._is_stopping = False
        self._verdict: Outcome | None = None
        self._fault: BaseException | None = None

    def open(self, objective: Objective, on_report: OnReport) -> None:
        """Get ready to run tasks of one objective.

        Raises:
            OptionError: This was called before.
        """
        if self._evaluator is not None:
            raise OptionError("open: an executor is opened once")
        self._evaluator = Evaluator(objective)
        self._on_report = on_report

    def _opened(self) -> Evaluator:
        if self._evaluator is None:
            raise OptionError("executor: must be open")
        return self._evaluator

    def slots(self) -> Sequence[int]:
        """Return the one slot there is."""
        return (0,)

    def submit(self, slot: int, task: Task) -> None:
        """Take the task that the next polls start and run."""
        self._opened()
        if slot != 0:
            raise OptionError(f"slot: must be 0, got {slot}")
        if self._task is not None:
            raise OptionError(f"slot: must be free, but 0 runs trial {self._task.number}")
        self._task = task
        self._events.append(Event("started", task.number, task.attempt, 0))

    def poll(self, timeout_seconds: float) -> list[Event]:
        """Run the submitted task, if there is one; before that, one poll only says that it started.

        So the start can be logged before the driver's life is in the hands of the objective.
        """
        evaluator = self._opened()
        if not self._events and self._task is not None:
            self._run(evaluator, self._task)
        events, self._events = self._events, []
        return events

    def _run(self, evaluator: Evaluator, task: Task) -> None:
        self._is_running = True
        try:
            try:
                outcome = evaluator.run(task, partial(self._report, task))
            except _Unwind:
                outcome = Outcome(TrialState.CANCELLED)  # the verdict, or the fault, says more
            if self._fault is not None:
                raise self._fault
            if self._verdict is not None:
                self._end("killed", self._verdict)
            else:
                kind: EventKind = "done" if outcome.state.has_perf else "failed"
                self._end(kind, outcome)
        finally:
            self._forget()

    def _end(self, kind: EventKind, outcome: Outcome) -> None:
        with self._lock:
            task, self._task = self._task, None
        if task is not None:
            self._events.append(Event(kind, task.number, task.attempt, 0, outcome))

    def _report(self, task: Task, fidelity: float, perf: Perf, metrics: Mapping[str, float] | None = None) -> bool:
        """Hand a report on; leave the objective if the trial is killed, or if handing it on fails."""
        with self._lock:
            if self._task is not task:  # a thread that an ended attempt left behind
                return False
            if self._fault is not None or self._verdict is not None:  # the objective caught it, and went on
                self._unwind()
            try:
                event = Event("report", task.number, task.attempt, 0, None, fidelity, perf, metrics)
                is_wanted = self._on_report(event)
            except BaseException as fault:  # must not pass for a fault of the objective
                self._fault = fault
                self._unwind()
            if self._verdict is not None:
                self._unwind()
            return is_wanted and not self._is_stopping

    def _unwind(self) -> NoReturn:
        raise _Unwind

    def stop(self, number: int) -> None:
        """Ask a running trial to end at its next report; no effect on one that is not running."""
        if self._task is not None and self._task.number == number:
            self._is_stopping = True

    def kill(self, number: int, state: TrialState, reason: str) -> None:
        """End a trial that was not run yet, or, called while it reports, that trial at this report."""
        if self._task is None or self._task.number != number:
            return
        outcome = Outcome(state, error=reason)
        if self._is_running:
            self._verdict = outcome
        else:
            self._end("killed", outcome)

    def holds(self, slot: int, root: int) -> bool:
        """Return whether the slot still has the paused training of a chain."""
        return slot == 0 and self._opened().holds(root)

    def drop(self, root: int) -> None:
        """Let go of the paused training of a chain that will not be continued."""
        self._opened().drop(root)

    def close(self) -> None:
        """End the paused trainings, also where an interrupt ends one that does not end by itself."""
        evaluator, self._task, self._evaluator = self._evaluator, None, None
        interrupt: KeyboardInterrupt | None = None
        while evaluator is not None:
            try:
                evaluator.close()
                evaluator = None
            except KeyboardInterrupt as came:  # noqa: PERF203 - the next one is closed: else it would hold up whoever drops it
                interrupt = came
        if interrupt is not None:
            raise interrupt
