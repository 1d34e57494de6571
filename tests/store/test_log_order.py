"""The order of commits, starts, results and waiting in a search: what is in the log, and synced, before what."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import pytest

from autohpo import BaseHPOptimizer, NotReady, RangeHP, SearchSpace, TrialState
from autohpo.execution.base import Event
from autohpo.execution.serial import SerialExecutor
from autohpo.store import LogEvent, MemoryStore
from autohpo.trial import Outcome, Task

SPACE = SearchSpace([RangeHP("x", 0.0, 1.0)])
N_TRIALS = 12

Step = tuple[str, Any]


class RecordingStore(MemoryStore):
    """Notes every append, and what is not synced yet."""

    def __init__(self, steps: list[Step]) -> None:
        super().__init__()
        self.steps = steps

    def append(self, events: Sequence[LogEvent], *, sync: bool = True) -> None:
        super().append(events, sync=sync)
        self.steps.append(("append", ([(event.kind, event.trial) for event in events], sync)))


class RecordingExecutor(SerialExecutor):
    """Two slots, the older of which ends at each wait; notes what is started, and when the driver waits."""

    def __init__(self, steps: list[Step]) -> None:
        super().__init__()
        self.steps = steps
        self.tasks: list[tuple[int, Task]] = []

    def slots(self) -> Sequence[int]:
        return (0, 1)

    def submit(self, slot: int, task: Task) -> None:
        self.steps.append(("submit", task.number))
        self.tasks.append((slot, task))

    def poll(self, timeout_seconds: float) -> list[Event]:
        self.steps.append(("wait", None))
        slot, task = self.tasks.pop(0)
        return [Event("done", task.number, task.attempt, slot, Outcome(TrialState.COMPLETE, (task.hp["x"],)))]


class RecordingOptimizer(BaseHPOptimizer):
    """Notes the results that it learns of; every third suggestion waits until nothing runs."""

    steps: list[Step]

    def _get_suggestion(self, pid: int) -> dict[str, Any]:
        if self.number % 3 == 2 and self.running:
            raise NotReady
        return {"x": self.number / N_TRIALS}

    def _update_trials(self, pid: int, hp: Any, perf: Any) -> None:
        self.steps.append(("learn", hp.number))


@pytest.fixture
def steps() -> list[Step]:
    """What happened in a search, in its order."""
    steps: list[Step] = []
    hpo = RecordingOptimizer(SPACE, lambda hps: hps["x"], max_evals=N_TRIALS, seed=0)
    hpo.steps = steps
    hpo.optimize(store=RecordingStore(steps), executor=RecordingExecutor(steps), progress=False)
    return steps


def test_a_trial_is_synced_before_it_starts_and_a_result_is_in_the_log_before_it_is_learnt(steps: list[Step]) -> None:
    """Nobody acts on what a crash could take back."""
    kept: set[tuple[str, int]] = set()
    synced: set[tuple[str, int]] = set()
    n_learnt = 0
    for what, detail in steps:
        if what == "append":
            kept.update(detail[0])
            synced = set(kept) if detail[1] else synced
        elif what == "submit":
            assert {("ask", detail), ("start", detail)} <= synced
        elif what == "learn":
            assert ("end", detail) in kept
            n_learnt += 1
    assert n_learnt == N_TRIALS


def test_the_driver_never_waits_with_something_that_is_not_synced(steps: list[Step]) -> None:
    """A result is synced with the start of the next trial, or where there is none before the wait."""
    is_synced, n_late = True, 0
    for what, detail in steps:
        if what == "append":
            is_synced = detail[1]
            n_late += any(kind == "end" for kind, _ in detail[0]) and not is_synced
        elif what == "wait":
            assert is_synced
    assert n_late == N_TRIALS
    assert is_synced


def test_a_trial_costs_one_sync_where_another_follows_it(steps: list[Step]) -> None:
    """The start of a trial syncs the result before it."""
    places = [at for at, (what, _) in enumerate(steps) if what in ("submit", "wait")]
    for before, after in pairwise(places):
        between = [detail[1] for what, detail in steps[before:after] if what == "append"]
        assert sum(between) <= 1
