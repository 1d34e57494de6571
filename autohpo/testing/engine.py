"""FakeEngine: an executor on a simulated clock that misbehaves as remote engines do, in the same way for each seed."""

from __future__ import annotations

import heapq
import random
from collections import defaultdict, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from autohpo.errors import OptionError
from autohpo.execution.base import Event, EventKind, Executor, OnReport
from autohpo.objective import Evaluator, Objective
from autohpo.testing.faults import Faults
from autohpo.trial import Outcome, Task, TrialState

MAX_DELAYED = 20
"""How many reports of an attempt may come late: an endless training waits for the answer to one of them."""

# Mean times on the simulated clock: until a start, of an attempt, until a silent loss is noticed, without any slot.
START_SECONDS, RUN_SECONDS, NOTICE_SECONDS, OUTAGE_SECONDS = 0.05, 1.0, 20.0, 5.0


class _Unwind(BaseException):
    """Leaves the objective from inside a report."""


@dataclass(eq=False)
class _Host:
    """What stands behind a slot: a process with its paused trainings, and the attempt that it runs."""

    evaluator: Evaluator
    attempt: _Attempt | None = None


@dataclass(eq=False)
class _Attempt:
    """A task on its way through the engine.

    `dies_after` counts reports; 0 is before the start, None never. What is dead is not heard of any more; what is
    lost, but not dead, runs on.
    """

    task: Task
    slot: int
    host: _Host
    dies_after: int | None
    is_delayed: bool
    unsent: deque[tuple[float, float, Mapping[str, float] | None]] = field(default_factory=deque)
    n_reports: int = 0
    reported_at: float = 0.0
    is_running: bool = False
    is_stopping: bool = False
    is_lost: bool = False
    is_dead: bool = False
    verdict: Outcome | None = None
    fault: BaseException | None = None

    def event(
        self,
        kind: EventKind,
        outcome: Outcome | None = None,
        fidelity: float | None = None,
        perf: float | None = None,
        metrics: Mapping[str, float] | None = None,
    ) -> Event:
        return Event(kind, self.task.number, self.task.attempt, self.slot, outcome, fidelity, perf, metrics)


@dataclass(eq=False)
class FakeEngine(Executor):
    """An engine without processes and without waiting, to try a search, or a driver of your own, against.

    Objectives run inside :meth:`poll`, which then jumps ahead on a simulated clock to whatever happens next. With
    equal arguments and equal calls everything happens alike. What it tells is true, but for its timing: an outcome is
    what the objective returned, and an attempt of which it says that it was lost was lost, or has lost its connection.

    Attributes:
        seed: The seed of all that happens.
        n_slots: How many slots there are in the beginning; with ``churn`` there are between none and twice as many.
        faults: How often it misbehaves.
        now: Seconds of the simulated clock.
        delivered: Every event that was delivered, reports included, in order.

    Example:
        >>> from autohpo import RangeHP, build_hpo_from_name
        >>> from autohpo.testing import EVERY_FAULT
        >>> hpo = build_hpo_from_name("random", [RangeHP("x", 0.0, 1.0)], lambda hps: hps["x"], max_evals=50, seed=0)
        >>> best_hp, best_perf = hpo.optimize(executor=FakeEngine(0, 4, EVERY_FAULT), progress=False)
        >>> len(hpo.result), best_perf == best_hp["x"]
        (50, True)
    """

    is_inline = True
    runs_here = True

    seed: int = 0
    n_slots: int = 4
    faults: Faults = field(default_factory=Faults)

    def __post_init__(self) -> None:
        if self.n_slots < 1:
            raise OptionError(f"n_slots: must be at least 1, got {self.n_slots}")
        self.now = 0.0
        self.delivered: list[Event] = []
        self._rng = random.Random(self.seed)
        self._objective: Objective | None = None
        self._hosts: dict[int, _Host] = {}
        self._n_numbers = self.n_slots  # slot numbers used so far
        self._agenda: list[tuple[float, int, Callable[[], None]]] = []
        self._n_planned = 0
        self._current: dict[int, _Attempt] = {}  # the newest attempt of each trial
        self._ready: list[Event] = []
        self._has_changed = False  # the slots, in this poll
        self._limit: int | None = None  # of the tasks that may run at once
        self._is_closed = False

    # The contract.

    def open(self, objective: Objective, on_report: OnReport) -> None:
        """Get ready to run tasks of one objective.

        Raises:
            OptionError: This was called before.
        """
        if self._objective is not None:
            raise OptionError("open: an executor is opened once")
        self._objective, self._on_report = objective, on_report
        self._hosts = {slot: self._new_host() for slot in range(self.n_slots)}
        if self.faults.churn:
            self._plan(1 / self.faults.churn, self._change_slots)

    def slots(self) -> Sequence[int]:
        """Return the numbers of the slots there are now."""
        return range(self.n_slots) if self._objective is None else tuple(self._hosts)

    def capacity(self) -> int:
        """Return how many tasks may run at once now."""
        n = len(self.slots())
        return n if self._limit is None else min(n, self._limit)

    def submit(self, slot: int, task: Task) -> None:
        """Start a task in a slot that is free.

        Raises:
            OptionError: The engine is not open, there is no such slot, or it is not free.
        """
        self._check_open()
        host = self._hosts.get(slot)
        if host is None:
            raise OptionError(f"slot: must be one of {[*self._hosts]}, got {slot}")
        if host.attempt is not None:
            raise OptionError(f"slot: must be free, but {slot} runs trial {host.attempt.task.number}")
        dies_after = self._rng.randrange(4) if self._happens(self.faults.lost) else None
        attempt = _Attempt(task, slot, host, dies_after, self._happens(self.faults.delayed))
        host.attempt = self._current[task.number] = attempt
        self._plan(START_SECONDS, lambda: self._start(attempt))

    def poll(self, timeout_seconds: float) -> list[Event]:
        """Return the next events, after whatever time of the simulated clock; none where nothing will happen."""
        self._check_open()
        self._has_changed = False
        while self._agenda and not self._ready and not self._has_changed:
            self._take_next()
        if self._happens(self.faults.disordered):
            until = self.now + self._rng.expovariate(2.0)
            while self._agenda and self._agenda[0][0] <= until:
                self._take_next()
            self._ready = self._shuffled(self._ready)
        if not self._agenda:
            self.now += timeout_seconds
        events, self._ready = self._ready, []
        self.delivered += events
        return events

    def stop(self, number: int) -> None:
        """Ask a running trial to end at its next report; no effect on one that is not running."""
        if number in self._current:
            self._current[number].is_stopping = True

    def kill(self, number: int, state: TrialState, reason: str) -> None:
        """End a running trial at once; no effect on one that is not running, nor on one whose slot has gone."""
        attempt = self._current.get(number)
        if attempt is None or attempt.is_lost or attempt.verdict is not None:
            return
        attempt.verdict = Outcome(state, error=reason)
        if not attempt.is_running:
            self._finish_killed(attempt)

    def holds(self, slot: int, root: int) -> bool:
        """Return whether a slot still has the paused training of a chain."""
        return slot in self._hosts and self._hosts[slot].evaluator.holds(root)

    def drop(self, root: int) -> None:
        """Let go of the paused training of a chain that will not be continued."""
        for host in self._hosts.values():
            host.evaluator.drop(root)

    def close(self) -> None:
        """End every slot and whatever runs there."""
        self._is_closed = True
        self._agenda.clear()
        for host in self._hosts.values():
            host.evaluator.close()

    def _check_open(self) -> None:
        if self._objective is None or self._is_closed:
            raise OptionError("executor: must be open")

    # The clock.

    def _happens(self, chance: float) -> bool:
        return self._rng.random() < chance

    def _plan(self, mean_seconds: float, action: Callable[[], None], earliest: float = 0.0) -> float:
        """Do something later, after a time that is drawn, and return when."""
        time = max(self.now, earliest) + self._rng.expovariate(1 / mean_seconds)
        self._n_planned += 1
        heapq.heappush(self._agenda, (time, self._n_planned, action))
        return time

    def _take_next(self) -> None:
        time, _, action = heapq.heappop(self._agenda)
        self.now = max(self.now, time)
        action()

    def _shuffled(self, events: list[Event]) -> list[Event]:
        """Return events in a random order; those of one trial keep theirs."""
        queues: dict[int, deque[Event]] = defaultdict(deque)
        for event in events:
            queues[event.number].append(event)
        order = [event.number for event in events]
        self._rng.shuffle(order)
        return [queues[number].popleft() for number in order]

    # An attempt, from its start to its end.

    def _start(self, attempt: _Attempt) -> None:
        if attempt.is_dead:
            return
        if attempt.dies_after == 0:
            self._lose(attempt)
        if not attempt.is_dead:
            self._ready.append(attempt.event("started"))
            self._plan(START_SECONDS, lambda: self._run(attempt))

    def _run(self, attempt: _Attempt) -> None:
        """Run the objective, and plan the end that it comes to."""
        if attempt.is_dead:
            return
        attempt.is_running, is_over = True, False
        try:
            try:
                outcome = attempt.host.evaluator.run(attempt.task, lambda *said: self._report(attempt, *said))
            except _Unwind:
                outcome = Outcome(TrialState.CANCELLED)  # the verdict, or the fault, says more
            if attempt.fault is not None:
                raise attempt.fault
            is_over = True
        finally:
            attempt.is_running, attempt.fault = False, None
            if not is_over:  # the objective was interrupted: it is run again, unless it is killed
                self._plan(START_SECONDS, lambda: self._run(attempt))
        if attempt.verdict is not None and not attempt.is_lost:
            self._finish_killed(attempt)
        elif not attempt.is_dead:
            kind: EventKind = "done" if outcome.state.has_perf else "failed"
            lost_at = 0.0
            if attempt.dies_after and not attempt.is_lost:
                lost_at = self._plan(RUN_SECONDS / 2, lambda: self._lose(attempt))
            self._plan(RUN_SECONDS, lambda: self._end(attempt, kind, outcome), lost_at)

    def _report(
        self, attempt: _Attempt, fidelity: float, perf: float, metrics: Mapping[str, float] | None = None
    ) -> bool:
        """Hand a report on, at once or later; leave the objective if its process dies here."""
        if not attempt.is_running:  # a thread that an ended attempt left behind
            return False
        attempt.n_reports += 1
        if attempt.n_reports == attempt.dies_after:
            self._lose(attempt)
        if attempt.is_dead or attempt.verdict is not None or attempt.fault is not None:
            raise _Unwind
        attempt.unsent.append((fidelity, perf, metrics))
        if attempt.is_delayed and attempt.n_reports <= MAX_DELAYED:
            attempt.reported_at = self._plan(RUN_SECONDS / 2, lambda: self._tell(attempt), attempt.reported_at)
            return not attempt.is_stopping
        try:
            while attempt.unsent:
                self._tell(attempt)
        except BaseException as fault:  # must not pass for a fault of the objective
            attempt.fault = fault
            raise _Unwind from None
        if attempt.verdict is not None:
            raise _Unwind
        return not attempt.is_stopping

    def _tell(self, attempt: _Attempt) -> None:
        """Deliver the oldest report that was not delivered yet."""
        if attempt.unsent:
            fidelity, perf, metrics = attempt.unsent.popleft()
            event = attempt.event("report", fidelity=fidelity, perf=perf, metrics=metrics)
            self.delivered.append(event)
            if not self._on_report(event):
                attempt.is_stopping = True

    def _finish_killed(self, attempt: _Attempt) -> None:
        verdict, attempt.is_dead = attempt.verdict, True
        self._plan(START_SECONDS, lambda: self._deliver(attempt, "killed", verdict))

    def _end(self, attempt: _Attempt, kind: EventKind, outcome: Outcome) -> None:
        if not attempt.is_dead:
            self._deliver(attempt, kind, outcome)

    def _deliver(self, attempt: _Attempt, kind: EventKind, outcome: Outcome | None) -> None:
        """Deliver an end, which frees the slot; perhaps again, later."""
        if attempt.host.attempt is attempt:
            attempt.host.attempt = None
        if self._current.get(attempt.task.number) is attempt:
            del self._current[attempt.task.number]
        self._ready.append(attempt.event(kind, outcome))
        if self._happens(self.faults.doubled):
            self._plan(RUN_SECONDS, lambda: self._ready.append(attempt.event(kind, outcome)))

    # Losses.

    def _lose(self, attempt: _Attempt) -> None:
        """Lose the process behind an attempt, or the connection to it; somebody will notice."""
        if attempt.is_lost or attempt.is_dead or attempt.host.attempt is not attempt:
            return
        attempt.is_lost, attempt.is_dead = True, not self._happens(self.faults.undead)
        if self._hosts.get(attempt.slot) is attempt.host:
            self._hosts[attempt.slot] = self._new_host()  # the slot goes on with a process that knows nothing
        wait = NOTICE_SECONDS if self._happens(self.faults.unnoticed) else START_SECONDS
        gone = Outcome(TrialState.LOST, error=f"slot {attempt.slot} was lost")
        self._plan(wait, lambda: self._deliver(attempt, "died", gone))

    def _new_host(self) -> _Host:
        assert self._objective is not None  # the engine is open
        return _Host(Evaluator(self._objective))

    def _change_slots(self) -> None:
        """Let slots come or go, and plan the next change."""
        self._has_changed = True
        if not self._hosts:  # an outage is over
            for _ in range(self._rng.randint(1, 2 * self.n_slots)):
                self._add_slot()
        elif self._happens(self.faults.outage):
            for slot in [*self._hosts]:
                self._remove_slot(slot)
        elif len(self._hosts) < 2 * self.n_slots and self._happens(0.5):
            self._add_slot()
        else:
            self._remove_slot(self._rng.choice([*self._hosts]))
        self._limit = self._rng.randint(0, len(self._hosts)) if self._happens(self.faults.throttled) else None
        self._plan(1 / self.faults.churn if self._hosts else OUTAGE_SECONDS, self._change_slots)

    def _add_slot(self) -> None:
        gone = [number for number in range(self._n_numbers) if number not in self._hosts]
        if gone and self._happens(self.faults.reused):
            number = self._rng.choice(gone)
        else:
            number, self._n_numbers = self._n_numbers, self._n_numbers + 1
        self._hosts[number] = self._new_host()

    def _remove_slot(self, slot: int) -> None:
        host = self._hosts.pop(slot)
        if host.attempt is not None:
            self._lose(host.attempt)
