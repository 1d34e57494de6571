"""Metered: an executor around another one that holds limits of iterations and of time for every algorithm."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from autohpo.controller.account import HELD_BACK, SLACK, Account, Past
from autohpo.controller.odometers import Odometers
from autohpo.errors import OptionError, shown
from autohpo.execution.around import Around
from autohpo.execution.base import Event, Executor, OnReport
from autohpo.objective import Objective
from autohpo.store.base import LogEvent
from autohpo.trial import Outcome, Task, TrialState

__all__ = ["Metered"]


class Metered(Around):
    """An executor that starts nothing which its limits do not pay for, whatever the algorithm suggests.

    What an attempt may train is set aside before it starts: its fidelity, less what a paused training has behind it.
    What does not fit waits while others run, as they may need less than was set aside; if it still does not fit then,
    it comes back as CANCELLED, and the search ends in order: :attr:`closing` says why. An attempt that has ended counts
    with what it trained: up to its last report and, where it did not end at that, one step more; with all that was set
    aside if it reported nothing or was lost. Earlier drivers of the same store are counted from its log.

    Attempts that run on this machine note each report in a file of the store's folder, which outlives them: where their
    driver dies, they count likewise, and with nothing if they had not begun. One that had not reported yet counts with
    one step of a generator, or with the first step of other attempts where these report. All that was set aside counts
    where nothing is known: the file is gone, the machine was started again, or nothing ever reports.

    An attempt ends at the report that reaches what it may train, in its own process. A function that goes on after
    ``trial.report`` returned False cannot be stopped: what it reports from then on is ignored, it does not count, and
    the search warns of it once.

    Args:
        inner: The executor that does the work.
        max_iterations_per_job: What a trial without a fidelity gets, and what no fidelity is above.
        total_iterations: The iterations of all attempts together, also lost, failed and repeated ones.
        compute_time_limit: The seconds of all attempts together, running ones included. Then those end as CANCELLED:
            at their next report, or when the grace of the search is over.
        clock: Seconds that never jump.

    Raises:
        OptionError: A limit is no positive finite number, `total_iterations` stands alone, or `compute_time_limit`
            is given for trials that run in the driver's own process.

    Example:
        >>> from autohpo import RangeHP, build_hpo_from_name
        >>> from autohpo.execution.serial import SerialExecutor
        >>> def f(hps):
        ...     while True:
        ...         yield hps["x"]
        >>> metered = Metered(SerialExecutor(), max_iterations_per_job=9, total_iterations=30)
        >>> hpo = build_hpo_from_name("random", [RangeHP("x", 0.0, 1.0)], f, max_evals=100, seed=0)
        >>> best = hpo.optimize(executor=metered, progress=False)
        >>> metered.used["iterations"], hpo.result.counts()
        ({'limit': 30.0, 'used': 27.0}, {'COMPLETE': 3, 'CANCELLED': 1})
    """

    def __init__(
        self,
        inner: Executor,
        *,
        max_iterations_per_job: float | None = None,
        total_iterations: float | None = None,
        compute_time_limit: float | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._most = _limit("max_iterations_per_job", max_iterations_per_job)
        self._total = _limit("total_iterations", total_iterations)
        self._seconds = _limit("compute_time_limit", compute_time_limit)
        if self._total is not None and self._most is None:
            raise OptionError("total_iterations: needs max_iterations_per_job, which a trial without a fidelity gets")
        if self._seconds is not None and inner.is_inline:
            raise OptionError(
                f"compute_time_limit: {type(inner).__name__} runs trials in the driver's own process, where none that "
                "does not report can be ended; take LocalExecutor"
            )
        super().__init__(inner)
        self._clock = clock
        self._account = Account(math.inf if self._total is None else self._total)
        self._waiting: dict[int, Task] = {}  # by slot: what is not paid for yet
        self._events: list[Event] = []  # ends of what was never started
        self._odometers = Odometers(None)
        self._trained: dict[tuple[int, int], float] = {}  # of what has no end in the log
        self._recalled: set[tuple[int, int]] = set()  # what earlier drivers left without an end
        self._closing = ""

    # What was used.

    @property
    def used(self) -> dict[str, dict[str, float | None]]:
        """The limits, and what was used of them until now: iterations, and seconds; from any thread."""
        return {
            "iterations": {"limit": self._total, "used": self._account.used()},
            "compute_time": {"limit": self._seconds, "used": self._account.used_seconds(self._clock())},
        }

    @property
    def closing(self) -> str:
        """Why nothing more starts; empty while there is something left."""
        if not self._closing and self._seconds is not None:
            used = self._account.used_seconds(self._clock())
            if used >= self._seconds:
                self._closing = (
                    f"compute_time_limit: all trials together have run for {used:.3g} s of {self._seconds:g} s; raise "
                    "it to go on"
                )
        return self._closing

    def _has_used_up(self, needed: float) -> str:
        """The text for a budget of iterations that does not pay for what comes next."""
        account = self._account
        left = max(account.left, 0.0)
        wants = f", and the next trial may need {needed:g}" if left > SLACK else ""
        return f"iterations: {account.iterations:.9g} of {account.total:g} are used{wants}; raise the total to go on"

    def recall(self, log: Iterable[LogEvent], files: Path | None) -> None:
        """Count what earlier drivers have used; where that is all, :attr:`closing` says so at once."""
        self._odometers = Odometers(files if self.inner.runs_here else None)
        past = Past(self._most, self._account.total).follow(log, self._odometers.read())
        self._account.take(past)
        self._trained, self._recalled = past.left, {*past.left}
        if self._account.left <= SLACK:
            self._closing = self._has_used_up(0.0)

    def trained(self, number: int, attempt: int) -> float | None:
        """Return what an attempt has trained that has no end: one of an earlier driver's, or one that was closed."""
        return self._trained.get((number, attempt))

    def logged(self, events: Sequence[LogEvent]) -> None:
        """Remove the odometers of attempts whose end is in the log; those of earlier drivers go when all is over.

        Until then they say how a first report looks, and that what did not begin must not begin any more.
        """
        for event in events:
            key = event.trial, event.attempt
            if event.kind in ("end", "interrupt"):
                self._trained.pop(key, None)
                if key not in self._recalled:
                    self._odometers.remove(*key)

    # The contract.

    def open(self, objective: Objective, on_report: OnReport) -> None:
        """Get ready to run tasks of one objective.

        Raises:
            OptionError: The objective cannot be carried to where it would run.
        """

        def heard(event: Event) -> bool:
            attempt = self._account.running.get((event.number, event.attempt))
            if attempt is not None and event.fidelity is not None:
                attempt.reported(event.fidelity)
            return on_report(event)

        self.inner.open(objective, heard)

    def capacity(self) -> int:
        """Return how many tasks may run at once now: no more than there are while one waits to be paid for."""
        most = self.inner.capacity()
        return min(most, len(self._account.running) + len(self._waiting)) if self._waiting else most

    def submit(self, slot: int, task: Task) -> None:
        """Start a task in a slot that is free, or hold it back.

        Raises:
            OptionError: The slot is not free, the task cannot be carried there, or its fidelity is above the limit.
        """
        if slot in self._waiting:
            raise OptionError(f"slot: must be free, but {slot} waits to run trial {self._waiting[slot].number}")
        if self._most is not None:
            if task.fidelity is None:
                task = replace(task, fidelity=int(self._most) if self._most.is_integer() else self._most)
            elif task.fidelity > self._most + SLACK:
                raise OptionError(
                    f"max_iterations_per_job: is {self._most:g}, but trial {task.number} was suggested with a fidelity "
                    f"of {task.fidelity:g}; raise it, or lower the max_fidelity of the algorithm"
                )
        if task.fidelity is not None:
            task = replace(task, odometer=self._odometers.new(task))
        if self.closing or not self._start(slot, task):
            self._waiting[slot] = task

    def _start(self, slot: int, task: Task) -> bool:
        """Start a task; return False where what is left does not pay for it."""
        is_held = self.inner.holds(slot, task.root)
        attempt = self._account.start(task, is_held=is_held, now=self._clock())
        if attempt is None:
            return False
        try:
            self.inner.submit(slot, task if task.fidelity is None else replace(task, most=attempt.most))
        except BaseException:
            del self._account.running[task.number, task.attempt]
            raise
        return True

    def poll(self, timeout_seconds: float) -> list[Event]:
        """Return the events since the last call."""
        self._settle()
        events = [self._ended(event) for event in self.inner.poll(0.0 if self._events else timeout_seconds)]
        self._settle()
        refused, self._events = self._events, []
        return events + refused

    def _ended(self, event: Event) -> Event:
        """Take an event that is no report; an end says from here on what was trained."""
        attempt = self._account.running.get((event.number, event.attempt))
        if attempt is None:
            return event
        if event.outcome is None:
            attempt.is_begun = True
            return event
        trained = self._account.end(event, self._clock())
        if attempt.task.fidelity is not None:
            event = replace(event, outcome=replace(event.outcome, trained=trained))
        return event

    def _settle(self) -> None:
        """Start what waits and can be paid for now; give it back where that will never be."""
        if not self._waiting:
            return
        for slot, task in [*self._waiting.items()]:
            if slot not in self.inner.slots():
                self._give_back(slot, TrialState.CANCELLED, "its slot went")
            elif not self.closing and self._start(slot, task):
                del self._waiting[slot]
        if self._waiting and not self.closing and not self._account.running:
            first = next(iter(self._waiting.values()))
            self._closing = self._has_used_up(self._account.needs(first, is_held=False)[0][0])
        for slot in [*self._waiting] if self.closing else ():
            self._give_back(slot, TrialState.CANCELLED, self.closing)

    def _give_back(self, slot: int, state: TrialState, reason: str) -> None:
        """Let a task that waits come back without having been started."""
        task = self._waiting.pop(slot)
        outcome = Outcome(state, error=HELD_BACK + reason, trained=0.0)
        self._events.append(Event("killed", task.number, task.attempt, slot, outcome))

    def _is_waiting(self, number: int) -> int | None:
        return next((slot for slot, task in self._waiting.items() if task.number == number), None)

    def stop(self, number: int) -> None:
        """Ask a running trial to end at its next report; one that waits comes back at once."""
        slot = self._is_waiting(number)
        if slot is None:
            self.inner.stop(number)
        else:
            self._give_back(slot, TrialState.CANCELLED, "the search ended before")

    def kill(self, number: int, state: TrialState, reason: str) -> None:
        """End a running trial at once."""
        slot = self._is_waiting(number)
        if slot is None:
            self.inner.kill(number, state, reason)
        else:
            self._give_back(slot, state, reason)

    def close(self) -> None:
        """End every slot and whatever runs there."""
        self._trained |= {(task.number, task.attempt): 0.0 for task in self._waiting.values()}
        self._waiting.clear()
        self.inner.close()
        shown = self._odometers.read() if self._account.running else {}
        self._trained |= self._account.give_up(self._clock(), shown)
        self._odometers.clear(keep={*self._trained})


def _limit(name: str, value: float | None) -> float | None:
    """Return a limit as a float.

    Raises:
        OptionError: It is no positive finite number.
    """
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < math.inf:
        raise OptionError(f"{name}: must be a positive finite number, got {shown(value)}")
    return float(value)
