"""Checks of executors: their slots, the trainings that are paused there, and how they are opened and closed."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from autohpo.errors import OptionError
from autohpo.objective import Objective
from autohpo.testing.checks import expect, expect_equal, expect_error
from autohpo.testing.executor_case import ExecutorCase, ExecutorSession, ended_well
from autohpo.trial import Task
from autohpo.trial_handle import TrialHandle

MAX_IDLE_SECONDS = 5.0
"""How long a poll of hundredths of a second may take where nothing runs."""


def training() -> Callable[..., Any]:
    """Return an endless training, which writes a line when it begins and when it is closed.

    It is a nested function, which travels to other processes with its code: there, nothing of this file is imported.
    """

    def f(_: Mapping[str, Any], trial: TrialHandle) -> Any:
        log = trial.checkpoint_dir / "log"
        with log.open("a") as file:
            file.write("begun\n")
        try:
            epoch = 0
            while True:
                epoch += 1
                yield epoch / 10
        finally:
            with log.open("a") as file:
                file.write("closed\n")

    return f


def lines_of(session: ExecutorSession, root: int) -> list[str]:
    """Return what the training of a chain has written."""
    path = session.folder / f"trial-{root}" / "log"
    return path.read_text().split() if path.exists() else []


def fidelities_of(session: ExecutorSession, number: int) -> list[float | None]:
    """Return the fidelities that a trial has reported."""
    return [event.fidelity for event in session.reports if event.number == number]


def has_slots(case: ExecutorCase) -> None:
    """slots() names each slot once, as integers that change only in poll(), and capacity() is how many run at once."""
    with case.session(lambda hp: hp["x"]) as session:
        slots = session.slots()
        is_right = all(type(slot) is int and slot >= 0 for slot in slots) and len({*slots}) == len(slots)
        expect(is_right, "different integers of at least 0", slots)
        expect_equal(slots, list(session.executor.slots()), "slots, asked for again")
        n = session.executor.capacity()
        expect(type(n) is int and 1 <= n <= len(slots), f"a capacity from 1 to {len(slots)}", n)
        session.submit(0, slots[-1])
        expect_equal(slots, list(session.executor.slots()), "slots after a submit")
        end = session.end_of(0)
        expect(ended_well(end) and end.slot == slots[-1], f"an end in slot {slots[-1]}", end)


def says_where_the_objective_runs(case: ExecutorCase) -> None:
    """is_inline is True where the objective runs in the thread that polls, and nowhere else: signals depend on it."""

    def f(_: Mapping[str, Any]) -> Any:
        return {"perf": 0.0, "process": os.getpid(), "thread": threading.get_ident() % 2**50}

    with case.session(f) as session:
        outcome = session.run(0).outcome
        found = {} if outcome is None else dict(outcome.metrics)
        here = {"process": os.getpid(), "thread": threading.get_ident() % 2**50}
        is_inline = session.executor.is_inline
        expect(is_inline == (found == here), f"is_inline to be {found == here}", is_inline)


def runs_in_all_slots(case: ExecutorCase) -> None:
    """Every slot takes a task while the others have one, and each end names its own slot."""
    with case.session(lambda hp: hp["x"]) as session:
        slots = session.slots(2)[: session.executor.capacity()]
        for number, slot in enumerate(slots):
            session.submit(number, slot)
        ends = [session.end_of(number) for number in range(len(slots))]
        expect_equal(slots, [end.slot for end in ends], "slots of the ends")
        perfs = [None if end.outcome is None else end.outcome.perf for end in ends]
        expect_equal([float(number) for number in range(len(slots))], perfs, "values")


def runs_side_by_side(case: ExecutorCase) -> None:
    """Two tasks in two slots run at the same time: each sees a file that the other one writes."""

    def f(hp: Mapping[str, Any], trial: TrialHandle) -> float:
        folder = trial.checkpoint_dir.parent
        (folder / f"here-{trial.number}").touch()
        other, until = folder / f"here-{1 - trial.number}", time.monotonic() + hp["wait"]
        while not other.exists():
            if time.monotonic() > until:
                return 0.0
            time.sleep(0.005)
        return 1.0

    with case.session(f) as session:
        for number, slot in enumerate(session.slots(2)[:2]):
            session.submit(number, slot, hp={"wait": case.timeout_seconds / 2})
        perfs = [end.outcome.perf if end.outcome else None for end in map(session.end_of, range(2))]
        expect_equal([1.0, 1.0], perfs, "1.0 where a trial saw the other one")


def refuses_a_busy_or_unknown_slot(case: ExecutorCase) -> None:
    """submit() to a slot that runs a task, or is not there, raises OptionError and harms no trial."""
    with case.session(lambda hp: hp["x"]) as session:
        slot = session.submit(0)
        expect_error(OptionError, lambda: session.submit(1, slot), "a slot that is not free")
        unknown = max(session.slots()) + 1000
        expect_error(OptionError, lambda: session.submit(1, unknown), "a slot that is not there")
        expect(ended_well(session.end_of(0)), "the trial that runs to end by itself", session.events)
        expect_equal([], session.kinds(1), "events of a task that was refused")


def continues_a_paused_training(case: ExecutorCase) -> None:
    """A generator that has had its fidelity is kept in its slot, and the next task of its chain goes on from there."""
    with case.session(training()) as session:
        slot = session.submit(0, fidelity=3.0)
        end = session.end_of(0)
        expect(ended_well(end) and fidelities_of(session, 0) == [1, 2, 3], "reports at 1, 2, 3", session.reports)
        expect(session.executor.holds(slot, 0), "a slot that holds the paused training", "holds() is False")
        expect(not session.executor.holds(slot, 7), "a slot that holds no other training", "holds() is True")
        session.run(1, slot, fidelity=1.0)  # another chain in between
        perf = session.perf_of(2, slot, root=0, hp={"x": 0.0}, fidelity=5.0)
        expect(perf == 0.5, "the value at fidelity 5, 0.5", perf)
        expect_equal([4, 5], fidelities_of(session, 2), "fidelities of the reports that continue the training")
        expect_equal(["begun"], lines_of(session, 0), "lines of the training")


def starts_again_in_another_slot(case: ExecutorCase) -> None:
    """A task of a chain whose training is paused in one slot begins anew in another one, which does not hold it."""
    with case.session(training()) as session:
        first, second = session.slots(2)[:2]
        session.run(0, first, fidelity=2.0)
        expect(not session.executor.holds(second, 0), "another slot that does not hold the training", "holds() is True")
        session.run(1, second, root=0, hp={"x": 0.0}, fidelity=3.0)
        expect_equal([1, 2, 3], fidelities_of(session, 1), "fidelities of the reports that begin anew")


def drops_a_paused_training(case: ExecutorCase) -> None:
    """drop() closes the generator, so that its finally blocks run; a later task of that chain begins anew."""
    with case.session(training()) as session:
        slot = session.submit(0, fidelity=2.0)
        session.end_of(0)
        session.executor.drop(0)
        session.executor.drop(99)
        expect(not session.executor.holds(slot, 0), "a slot that does not hold what was dropped", "holds() is True")
        session.run(1, slot, root=0, hp={"x": 0.0}, fidelity=1.0)
        expect_equal([1], fidelities_of(session, 1), "fidelities of the reports after the drop")
        expect_equal(["begun", "closed", "begun"], lines_of(session, 0), "lines of the training")


def survives_a_training_that_cannot_be_closed(case: ExecutorCase) -> None:
    """An objective whose finally block raises can be dropped, and its slot serves on."""

    def f(hp: Mapping[str, Any]) -> Any:
        try:
            while True:
                yield hp["x"]
        finally:
            raise RuntimeError("will not close")

    with case.session(f) as session:
        slot = session.submit(0, fidelity=1.0)
        session.end_of(0)
        session.executor.drop(0)
        end = session.run(1, slot, fidelity=1.0)
        expect(ended_well(end), "a slot that runs the next trial", end)


def returns_nothing_where_nothing_runs(case: ExecutorCase) -> None:
    """poll() without a task returns no event, soon after its timeout: a search looks at its time limit in between."""
    with case.session(lambda _: 0.0) as session:
        session.slots()
        began = time.monotonic()
        events = session.executor.poll(0.01)
        seconds = time.monotonic() - began
        expect(events == [], "no events", events)
        expect(seconds < MAX_IDLE_SECONDS, f"less than {MAX_IDLE_SECONDS} s", f"{seconds:.1f} s")


def opens_once(case: ExecutorCase) -> None:
    """open() a second time raises OptionError: an executor belongs to one search."""
    with case.session(lambda hp: hp["x"]) as session:
        objective = Objective.of(lambda _: 0.0)
        expect_error(OptionError, lambda: session.executor.open(objective, session.take_report), "a second open()")
        expect(session.perf_of(1) == 1.0, "the first objective to go on", session.events)


def closes_in_order(case: ExecutorCase) -> None:
    """close() runs the finally blocks of paused generators, may be called twice, and then nothing can be submitted."""
    with case.session(training()) as session:
        slot = session.submit(0, fidelity=1.0)
        session.end_of(0)
        session.executor.close()
        session.executor.close()
        expect_equal(["begun", "closed"], lines_of(session, 0), "lines of the training")
        task = Task(1, 1, {"x": 1.0}, root=1, checkpoint_dir=str(session.folder / "trial-1"))
        expect_error(OptionError, lambda: session.executor.submit(slot, task), "a submit() after close()")


def closes_while_a_task_runs(case: ExecutorCase) -> None:
    """close() ends what runs at once: a search that was interrupted must not wait for its objective."""

    def f(hp: Mapping[str, Any], trial: TrialHandle) -> float:
        until = time.monotonic() + hp["seconds"]
        while not Path(hp["end"]).exists() and time.monotonic() < until:
            time.sleep(0.01)
        (trial.checkpoint_dir / "ended").touch()
        return 0.0

    with case.session(f) as session:
        session.submit(0, hp={"end": str(session.folder / "end"), "seconds": 2 * case.timeout_seconds})
        if not session.executor.is_inline:
            for _ in range(3):
                session.poll(0.05)
        began = time.monotonic()
        session.executor.close()
        seconds = time.monotonic() - began
        expect(seconds < case.timeout_seconds, f"a close() of less than {case.timeout_seconds:g} s", f"{seconds:.1f} s")
        (session.folder / "end").touch()
        time.sleep(0.1)
        has_ended = (session.folder / "trial-0" / "ended").exists()
        expect(not has_ended, "an objective that was ended", "one that runs on")
