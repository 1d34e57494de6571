"""Memory that paused trainings hold: it is never charged to another trial."""

from __future__ import annotations

import sys
import time

import pytest

from autohpo import RangeHP, build_hpo_from_name
from autohpo.execution.memory import WorkerMemory
from autohpo.trial import TrialState

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")

MB = 1_000_000


def holder():
    """A training that holds as many MB as it is told, from its second step on; nested, so that it goes by value."""

    def f(hp):
        import time

        for step in range(100):
            if step == 1:
                held = [b"x" * int(hp["mb"] * 1_000_000)]
                for _ in range(int(hp.get("more", 0))):
                    held.append(b"x" * 10_000_000)
                    time.sleep(0.05)
                time.sleep(hp.get("seconds", 0))
            yield float(step)

    return f


def pause(driver, number, mb, fidelity=2.0):
    """Runs a training until it is paused."""
    return driver.run(number, fidelity=fidelity, hp={"mb": mb})


def test_paused_trainings_make_room_before_a_trial_begins(drive_local):
    """The worker knows what a trial takes; those least likely to go on are let go, and nothing is killed."""
    driver = drive_local(holder(), memory_limit=250 * MB)
    pid = None
    for number in range(12):
        assert pause(driver, number, 40).kind == "done"
        pid = pid or driver.executor._slots[0].process.pid
        driver.executor.rank([*range(1, number + 1), 0])  # the first is the one to keep
    assert driver.executor._slots[0].process.pid == pid
    held = [root for root in range(12) if driver.executor.holds(0, root)]
    assert held[0] == 0
    assert held[1:] == list(range(12 - len(held) + 1, 12))
    assert 2 <= len(held) <= 5


def test_paused_trainings_make_room_while_a_trial_runs(drive_local):
    """A trial that grows into their room goes on; they are let go one after the other."""
    driver = drive_local(holder(), memory_limit=250 * MB)
    for number in range(3):
        pause(driver, number, 40)
    pid = driver.executor._slots[0].process.pid
    driver.executor._slots[0].memory.growth = 0  # as if no trial had shown yet what it takes
    end = driver.run(9, fidelity=2.0, hp={"mb": 10, "more": 14})
    assert (end.kind, driver.executor._slots[0].process.pid) == ("done", pid)
    assert not any(driver.executor.holds(0, root) for root in range(2))


def test_a_trial_that_fits_alone_never_ends_for_memory(drive_local, monkeypatch):
    """Where a worker must be killed with others' trainings in it, the trial is run again, in a worker of its own."""
    driver = drive_local(holder(), memory_limit=250 * MB)
    for number in range(3):
        pause(driver, number, 40)
    driver.executor._slots[0].memory.growth = 0
    with monkeypatch.context() as slow:  # as if the paused trainings could not be let go in time
        slow.setattr(WorkerMemory, "is_due", lambda *_: False)
        slow.setattr(WorkerMemory, "is_patient", lambda *_: False)
        end = driver.run(9, fidelity=2.0, hp={"mb": 200, "seconds": 5})
    assert (end.kind, end.outcome.state) == ("killed", TrialState.CANCELLED)
    assert "run again in a worker of its own" in end.outcome.error
    pause(driver, 10, 100)  # somebody else is first in the new worker
    driver.submit(9, attempt=2, fidelity=2.0, hp={"mb": 200, "seconds": 1}, root=9)
    driver.events.clear()
    assert driver.end_of(9).kind == "done"
    assert not driver.executor.holds(0, 10)


def test_a_trial_that_does_not_fit_ends_for_memory(drive_local):
    """At once where its own share is seen to be above the limit, else when it is run alone; the next worker is well."""
    driver = drive_local(holder(), memory_limit=250 * MB)
    pause(driver, 0, 40)
    states = []
    while states in ([], [TrialState.CANCELLED]):
        driver.events.clear()
        end = driver.run(9, attempt=1 + len(states), fidelity=2.0, hp={"mb": 600, "seconds": 5})
        states.append(end.outcome.state)
    assert states[-1] is TrialState.MEMORY
    assert pause(driver, 10, 100).kind == "done"


def test_no_trial_of_a_search_pays_for_paused_ones():
    """Generators of 60 MB under a limit of 250 MB, in two workers: all are COMPLETE, and all at their fidelity."""

    def f(hp):
        held = b"x" * 60_000_000
        for step in range(1, 10):
            yield step * hp["x"] + 0 * len(held)

    hpo = build_hpo_from_name("bohb", [RangeHP("x", 0.0, 1.0)], f, seed=0, num_iterations=1, max_fidelity=9)
    hpo.optimize(progress=False, num_workers=2, memory_limit="250MB")
    assert hpo.result.counts() == {"COMPLETE": 13}
    for trial in hpo.result:
        assert trial.perf == pytest.approx(trial.fidelity * trial.hp["x"])


def test_the_least_likely_go_first_and_no_more_than_needed():
    """Of 100 bytes, 90 may be used: 95 + 20 want 25 back, which the first two in the ranking have."""
    memory = WorkerMemory(100, paused={1: 10, 2: 20, 3: 30, 4: 5}, ranking=[3, 9, 1, 2])
    assert memory.to_let_go(95, 20) == [3]
    assert memory.to_let_go(100, 21) == [3, 1]
    assert memory.to_let_go(1000) == [3, 1, 2, 4]  # who was not ranked yet has just been paused
    assert memory.to_let_go(90) == []
    memory.dropped(3)
    assert memory.to_let_go(95, 20) == []  # that one is on its way out
    memory.began()
    assert memory.to_let_go(95, 20) == [1, 2]
    assert WorkerMemory(None, paused={1: 10}).to_let_go(10**9) == []


def test_patience_has_an_end():
    """Above the limit a worker lives on for a moment where trainings have just been let go, and not far above it."""
    memory, now = WorkerMemory(100), time.monotonic()
    assert not memory.is_patient(101, now)
    memory.relieved(now)
    assert memory.is_patient(101, now + 0.1)
    assert not memory.is_patient(130, now + 0.1)
    assert not memory.is_patient(101, now + 0.3)
