"""A run followed as Optuna's trials: new events are read, and only the trials that they are about are made anew."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

from autohpo.errors import NoRunError
from autohpo.integrations.optuna.kept import KeptStudy
from autohpo.integrations.optuna.trials import Converter, points_of
from autohpo.objectives import Objectives
from autohpo.store import LogEvent, RunState, Store
from autohpo.store.collecting import collector_paused
from autohpo.store.described import mode_of, readable_space
from autohpo.trial import Trial, TrialState


class Followed:
    """The trials of a run as Optuna's, up to date with its log; any thread may ask.

    The trial of a number is never changed: where there is more to say of it, another takes its place. Confirming
    trials, which have numbers below 0, are left out.

    Args:
        store: The store with the run.
        has_records: Whether each trial has a system attribute with all of ours.
        levels: The number of levels that numbers are rounded to; None rounds none.

    Attributes:
        header: The header of the run.
        objectives: The objectives of the run.
        kept: What the run keeps of a study that it was imported from.

    Raises:
        NoRunError: The store holds no run yet.
        StoreCorruptError: It is damaged.
    """

    def __init__(self, store: Store, *, has_records: bool = False, levels: int | None = None) -> None:
        header = store.header
        self.where = str(getattr(store, "path", "the log"))
        if header is None:
            raise NoRunError(f"store: {self.where} holds no run yet")
        self.header = header
        self.objectives = Objectives.of(mode_of(header, self.where))
        self.kept = KeptStudy(header)
        space = readable_space(header, self.where)
        self._store, self._has_records = store, has_records
        self._state = RunState(space, self.objectives, self.where)
        self._converter = Converter(space, self.kept, levels)
        self._lock = threading.RLock()
        self._seq = 0
        self._asked: list[float] = []
        self._trials: list[Any] = []
        self._top = [0.0, 0.0]  # the most training of a complete trial, and of those that meet their constraints

    @property
    def steps_per_unit(self) -> int:
        """How many steps a fidelity of 1 is."""
        return self._converter.steps.per_unit

    def trials(self) -> list[Any]:
        """Return the trials as the log has them now, a new list of trials that nobody may change.

        Raises:
            StoreError: The store cannot be read.
        """
        with self._lock, collector_paused():
            changed, is_all = set[int](), False
            for event in self._state.checked(self._new_events()):
                is_all = self._take(event, changed) or is_all
            n = len(self._asked)
            self._trials += [None] * (n - len(self._trials))
            for number in range(n) if is_all else sorted(changed):
                self._trials[number] = self._frozen(self._state[number])
            return self._trials.copy()

    def _new_events(self) -> Iterator[LogEvent]:
        """Yield the events behind those that are known, up to a gap that a writer of this process is about to fill."""
        seq = self._seq
        for event in self._store.events(seq):
            if event.seq > seq + 1:
                return
            if event.seq == seq + 1:
                seq = event.seq
                yield event

    def _take(self, event: LogEvent, changed: set[int]) -> bool:
        """Take an event; return whether it changes what other trials are in Optuna."""
        ended = self._state.apply(event)
        self._seq = event.seq
        number = event.trial
        if number < 0:
            return False
        changed.add(number)
        if event.kind == "ask":
            self._asked.append(event.time)
        is_all = False
        if event.kind == "report":
            is_all = self._converter.steps.see(event.data["fidelity"])
        if ended is not None:
            for fidelity, _ in () if ended.reports else points_of(ended):
                is_all = self._converter.steps.see(fidelity) or is_all
            is_all = self._rises(ended) or is_all
        return is_all

    def _rises(self, trial: Trial) -> bool:
        """Take the training of a trial into account; return whether the most has changed."""
        if trial.state is not TrialState.COMPLETE:
            return False
        before = self._top_now()
        self._top[0] = max(self._top[0], trial.reached)
        if not trial.violation:
            self._top[1] = max(self._top[1], trial.reached)
        return before not in (0.0, self._top_now())

    def _top_now(self) -> float:
        return self._top[1] or self._top[0]

    def _frozen(self, trial: Trial) -> Any:
        return self._converter.frozen(
            trial,
            is_running=trial.number in self._state.running,
            top=self._top_now(),
            asked=self._asked[trial.number],
            has_record=self._has_records,
        )
