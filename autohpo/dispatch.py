"""Dispatch: which trial is started in which slot, and which attempt is tried again."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from autohpo.checkpoints import Checkpoints
from autohpo.errors import OptionError
from autohpo.execution.base import Executor
from autohpo.run_options import MAX_SUSPENDED
from autohpo.search import Search
from autohpo.store import RunState
from autohpo.suspended import Suspended
from autohpo.trial import Outcome, Suggestion, Task, Trial, TrialState

DRIVER_DIED = "the driver died"
"""How an end is explained that the next driver has written."""


@dataclass(frozen=True)
class Placed:
    """A trial that is to be started in a slot, in the log already.

    Attributes:
        slot: The slot.
        task: What it gets.
    """

    slot: int
    task: Task


class Dispatch:
    """Gives free slots their trials: those parked for a slot, then interrupted ones, then new ones.

    A paused training lives in the slot that ran it, so whoever continues it waits for that slot. Slots may come and go
    at any time.

    Args:
        search: The log and what follows from it.
        executor: The slots.
        retries: How often a trial that ends in a state is started again, by state.
        max_suspended: How many paused trainings are held at most.
        checkpoints: The folders of the trainings.

    Attributes:
        busy: Number and attempt of the trial in each slot that runs one.
        again: Trials to be started again, in their order.
        first: The trial that was started first, by this driver.
        has_begun: Whether its worker has taken it.
        finish: Notes the end of a trial; returns it where the optimizer is to be told.
    """

    def __init__(
        self,
        search: Search,
        executor: Executor,
        retries: Mapping[TrialState, int],
        max_suspended: int = MAX_SUSPENDED,
        checkpoints: Checkpoints | None = None,
    ) -> None:
        self._search, self._executor, self._retries = search, executor, retries
        search.on_saved = executor.logged
        self._suspended = Suspended(search, executor, max_suspended)
        self.checkpoints = Checkpoints(search, "live") if checkpoints is None else checkpoints
        self.busy: dict[int, tuple[int, int]] = {}
        self.again: deque[int] = deque()
        self.first: int | None = None
        self.has_begun = False
        self.finish: Callable[[int, int, Outcome], Trial | None] = search.note_end
        self._parked: dict[int, deque[int]] = {}  # wait for one slot
        self._last: deque[int] = deque()  # may be what ended earlier drivers, and would end this one
        self._forgettable: set[int] = set()  # roots of chains whose training may still be kept somewhere

    @property
    def running(self) -> list[int]:
        """The numbers of the trials that run."""
        return [number for number, _ in self.busy.values()]

    @property
    def n_waiting(self) -> int:
        """How many trials wait for a slot: interrupted ones, and those that only one slot can continue."""
        return len(self.again) + len(self._last) + sum(map(len, self._parked.values()))

    def free(self) -> list[int]:
        """Return the slots that may be given a trial now."""
        slots = self._executor.slots()
        free = [slot for slot in slots if slot not in self.busy]
        return free if len(slots) - len(free) < self._executor.capacity() else []

    def recover(self, is_wanted: Callable[[int], bool] = lambda number: number >= 0) -> None:
        """Take over what an earlier driver left: what ran when it died is lost, and is tried again, in the old order.

        A trial that was lost too often ends as CRASHED: it may be what ended its drivers. One that has its last attempt
        waits for all others, if the objective runs in the driver's own process.

        Args:
            is_wanted: Whether a trial is to go on, by its number; by default those of the search itself.
        """
        state, died_at = self._search.state, self._search.state.at
        suspects = on_last_attempt(state, self._retries) if self._executor.is_inline else []
        for number in sorted(filter(is_wanted, state.running), key=lambda number: (number < 0, abs(number))):
            attempts = state.attempts[number]
            if attempts.is_running and attempts.n:
                trained = self._executor.trained(number, attempts.n)
                cost = max(0.0, died_at - (attempts.started or died_at))  # as far as the log knows
                outcome = Outcome(TrialState.LOST, error=DRIVER_DIED, trained=trained)
                if self.is_over(number, outcome):
                    self._end_lost(number, attempts.n, trained, cost)
                    continue
                spent = {"trained": trained, "cost": cost}
                self._search.interrupt(number, attempts.n, TrialState.LOST, outcome.error, **spent)
            (self._last if number in suspects else self.again).append(number)
        self._search.save()
        for number in [*self.again, *self._last]:
            self.prepare(number)
        self.checkpoints.begin(self._search.hpo.resumable)

    def _end_lost(self, number: int, attempt: int, trained: float | None, cost: float) -> None:
        n = 1 + self._retries.get(TrialState.LOST, 0)
        why = "" if trained is None else DRIVER_DIED
        outcome = Outcome(TrialState.CRASHED, cost=cost, error=lost_error(n), why=why, trained=trained)
        trial = self.finish(number, attempt, outcome)
        self._search.save()
        if trial is not None:
            self._search.told(trial)

    def is_over(self, number: int, outcome: Outcome) -> bool:
        """Whether the end of an attempt is the end of its trial, and not the begin of another attempt."""
        state = outcome.state
        if state is TrialState.CANCELLED:
            return False
        return self._search.state.attempts[number].n_of(state) >= self._retries.get(state, 0)

    def next(self, free: Sequence[int], ask: Callable[[int], Suggestion | None]) -> Placed | None:
        """Return what to start next, noted in the log but not saved yet; None where there is nothing now.

        Args:
            free: The slots that are free; at least one.
            ask: Returns a new suggestion for a slot, or None.
        """
        found = self._choose(free, ask)
        if found is None:
            return None
        slot, number = found
        state = self._search.state
        suggestion, chain = state.running[number].suggestion, state.chain(number)
        attempt = self._search.start(number, slot)
        self.busy[slot] = number, attempt
        self.first = number if self.first is None else self.first
        task = Task(
            number=number,
            attempt=attempt,
            hp=dict(suggestion),
            seed=chain.seed,
            fidelity=suggestion.fidelity,
            root=chain.root,
            checkpoint_dir=self._search.place.folder(chain.root),
            is_fork=chain.fork is not None,
            resumed_perf=None if suggestion.resume is None else state[suggestion.resume].perf,
            slot=slot,
        )
        return Placed(slot, task)

    def _choose(self, free: Sequence[int], ask: Callable[[int], Suggestion | None]) -> tuple[int, int] | None:
        self._unpark()
        for slot in free:
            if self._parked.get(slot):
                return slot, self._parked[slot].popleft()
        while True:
            if self.again:
                number = self.again.popleft()
            elif sum(map(len, self._parked.values())) >= self._executor.capacity():
                return None  # enough trials wait for their slots
            else:
                suggestion = ask(free[0])
                if suggestion is None and not self._last:
                    return None
                number = self._last.popleft() if suggestion is None else suggestion.number
            home = self._home(number)
            if home is None or home in free:
                return (free[0] if home is None else home), number
            self._parked.setdefault(home, deque()).append(number)

    def _unpark(self) -> None:
        """Let go of slots that are no more: who waited for one may go anywhere."""
        if not self._parked:
            return
        slots = set(self._executor.slots())
        for slot in [slot for slot in self._parked if slot not in slots]:
            self.again.extendleft(reversed(self._parked.pop(slot)))

    def _home(self, number: int) -> int | None:
        """Return the slot that holds the paused training this trial continues, if any."""
        state = self._search.state
        if state.running[number].resume is None:  # it begins a chain
            return None
        root = state.chain(number).root
        return next((slot for slot in self._executor.slots() if self._executor.holds(slot, root)), None)

    def prepare(self, number: int) -> None:
        """Copy the checkpoint that a fork starts from, once, before anything else can change it.

        Raises:
            OptionError: There is none to copy.
        """
        suggestion = self._search.state.running[number].suggestion
        if suggestion.fork is None:
            return
        if not self._search.place.copy(self._search.state.chain(suggestion.fork).root, number):
            raise OptionError(
                f"fork: trial {number} starts from trial {suggestion.fork}, which left no checkpoint; "
                "the objective must save its state in trial.checkpoint_dir before each report or yield"
            )

    def ended(self, slot: int, number: int, attempt: int) -> None:
        """Free the slot of an attempt; that of another attempt stays as it is."""
        if self.busy.get(slot) == (number, attempt):
            del self.busy[slot]

    def let_go(self, number: int, resumable: frozenset[int]) -> None:
        """End the paused trainings that the algorithm will not continue, after a trial has ended."""
        state = self._search.state
        if state.running.get(number) is None:
            self._forgettable.add(state.chain(number).root)
        for root in [root for root in self._forgettable if self._is_over(root, resumable)]:
            self._forgettable.discard(root)
            self._executor.drop(root)
        self._suspended.ended(number)
        self.checkpoints.ended(number, resumable)

    def _is_over(self, root: int, resumable: frozenset[int]) -> bool:
        leaf = self._search.state.chain(root).leaf
        return leaf not in resumable and leaf not in self._search.state.running


def on_last_attempt(state: RunState, retries: Mapping[TrialState, int]) -> list[int]:
    """Return the trials that were lost with their drivers as often as they may be: those may be the cause."""
    most = retries.get(TrialState.LOST, 0)
    lost = {n: a.n_of(TrialState.LOST) + (a.is_running and a.n > 0) for n, a in state.attempts.items()}
    return [number for number, n in lost.items() if n and n == most]


def lost_error(n: int) -> str:
    """Return the text for a trial that was lost too often."""
    return (
        f"lost {n} times: the process or machine that ran it died each time; if the objective ends its own process, "
        "num_workers=2 or a memory_limit protects the search"
    )
