"""Checks of executors: what one attempt says from its start to its end, and how it is stopped and killed.

The objectives are nested functions: they travel to other processes with their code, so that nothing is imported there.
"""

from __future__ import annotations

import contextlib
import math
import os
import sys
import threading
import time
from collections.abc import Mapping
from typing import Any

from autohpo.execution.base import Event
from autohpo.outcome import perfs_of
from autohpo.testing.checks import CheckFailed, expect, expect_equal
from autohpo.testing.executor_case import ExecutorCase, ended_well
from autohpo.trial import Outcome, TrialState
from autohpo.trial_handle import TrialHandle

MAX_ERROR_CHARACTERS = 100_000
"""How long the text of an error may be: it goes into the log of every search."""


def outcome_of(event: Event) -> Outcome:
    """Return the outcome of an end."""
    if event.outcome is None:
        raise CheckFailed(f"wanted an event with an outcome, got {event}")
    return event.outcome


def starts_once_and_ends_once(case: ExecutorCase) -> None:
    """An attempt gives one started event and then one end, with its number, attempt and slot, and nothing after."""
    with case.session(lambda hp: hp["x"] + 0.5) as session:
        slot = session.submit(3, attempt=2)
        end = session.end_of(3, attempt=2)
        expect(ended_well(end), "a done event that is COMPLETE", end)
        expect(outcome_of(end).perf == 3.5, "the value that the objective returned, 3.5", outcome_of(end).perf)
        for _ in range(3):
            session.poll(0.02)
        expect_equal(["started", "done"], session.kinds(3), "events of the trial")
        keys = {(event.number, event.attempt, event.slot) for event in session.events}
        expect(keys == {(3, 2, slot)}, f"events of {(3, 2, slot)} alone: number, attempt, slot", keys)
        expect(session.events[0].outcome is None, "no outcome in a started event", session.events[0])


def passes_the_task_on(case: ExecutorCase) -> None:
    """The objective gets the configuration, fidelity, seed, number, attempt and folder that were submitted."""

    def f(hp: Mapping[str, Any], fidelity: float, trial: TrialHandle, seed: int) -> float:
        text = repr((hp, fidelity, seed, trial.number, trial.attempt, trial.seed))
        (trial.checkpoint_dir / "seen").write_text(text)
        return 1.0

    hp = {"a": (1, "b"), "c": None, "d": [True, {"e": 0.1}]}
    with case.session(f) as session:
        session.run(4, attempt=2, hp=hp, fidelity=2.5, seed=77)
        wanted, path = repr((hp, 2.5, 77, 4, 2, 77)), session.folder / "trial-4" / "seen"
        got = path.read_text() if path.exists() else "no file"
        expect(got == wanted, f"an objective that saw {wanted}", got)


def carries_the_outcome_whole(case: ExecutorCase) -> None:
    """Several objectives, constraints, metrics and the cost arrive as the objective returned them, to the last bit."""

    def f(hp: Mapping[str, Any]) -> Any:
        named = {"acc": 0.1 + 0.2, "ms": 12, "loss": 1e-17}
        return ({**named, "cost": 3.25} if hp["x"] == 0 else named), {"room": -0.1, "time": 2.5}

    with case.session(f, mode={"acc": "max", "ms": "min"}) as session:
        given = outcome_of(session.run(0))
        perfs, constraints = (0.1 + 0.2, 12.0), {"room": -0.1, "time": 2.5}
        wanted = Outcome(TrialState.COMPLETE, perfs, constraints, {"loss": 1e-17}, 3.25, has_own_cost=True)
        expect(given == wanted, wanted, given)
        cost = outcome_of(session.run(1)).cost
        expect(cost is not None and 0 <= cost < case.timeout_seconds, "the seconds that the objective took", cost)


def reports_in_order_and_before_the_end(case: ExecutorCase) -> None:
    """Each report reaches on_report once, with fidelity and value, in its order, while the attempt still runs."""

    def f(_: Mapping[str, Any], trial: TrialHandle) -> float:
        for k in range(5):
            trial.report(k / 4)
        trial.report(9.0, fidelity=50)
        return 0.25

    with case.session(f) as session:
        end = session.run(0, attempt=3)
        expect(outcome_of(end).perf == 0.25, "the value that the objective returned, 0.25", outcome_of(end))
        wanted = [*((k + 1.0, k / 4) for k in range(5)), (50.0, 9.0)]
        got = [(event.fidelity, event.perf) for event in session.reports]
        expect_equal(wanted, got, "reports as (fidelity, perf)")
        keys = {(event.kind, event.number, event.attempt) for event in session.reports}
        expect(keys == {("report", 0, 3)}, "reports of trial 0, attempt 3", keys)
        expect_equal(["started", "done"], session.kinds(0), "events besides reports")
        expect(session.journal[-1] is end, "the end after all reports", [event.kind for event in session.journal])


def stops_at_a_report_that_is_not_wanted(case: ExecutorCase) -> None:
    """Where on_report says False, trial.report returns False there or soon after, and the attempt ends as STOPPED."""

    def f(_: Mapping[str, Any], trial: TrialHandle) -> None:
        k = 0
        while trial.report(k):
            k += 1
            time.sleep(0.001)

    with case.session(f, lambda event: perfs_of(event.perf or 0.0)[0] < 5) as session:
        end = session.run(0)
        state = outcome_of(end).state
        expect((end.kind, state) == ("done", TrialState.STOPPED), "a done event that is STOPPED", (end.kind, state))
        last = session.reports[-1].perf
        expect(outcome_of(end).perf == last, f"the value that was reported last, {last}", outcome_of(end).perf)


def stops_when_asked(case: ExecutorCase) -> None:
    """stop() ends a generator at its next yield, with the value that it yielded last; its finally blocks run."""

    def f(_: Mapping[str, Any], trial: TrialHandle) -> Any:
        try:
            epoch = 0
            while True:
                epoch += 1
                yield epoch / 10
                time.sleep(0.001)
        finally:
            (trial.checkpoint_dir / "closed").touch()

    with case.session(f) as session:

        def stop(event: Event) -> bool:
            session.executor.stop(event.number)
            return True

        session.on_report = stop
        slot = session.submit(0)
        outcome = outcome_of(session.end_of(0))
        expect(outcome.state is TrialState.STOPPED, "STOPPED", outcome.state)
        last = session.reports[-1].perf
        expect(outcome.perf == last, f"the value that was yielded last, {last}", outcome.perf)
        expect((session.folder / "trial-0" / "closed").exists(), "a generator whose finally block ran", "none")
        expect(not session.executor.holds(slot, 0), "a slot that keeps no training that was stopped", "it holds it")


def kills_with_state_and_reason(case: ExecutorCase) -> None:
    """kill() ends a trial that would go on for ever with the state and the reason given, and its slot serves on."""

    def f(hp: Mapping[str, Any], trial: TrialHandle) -> float:
        while hp["x"] == 0:
            trial.report(1.0)
            time.sleep(0.001)
        return 7.0

    with case.session(f) as session:

        def kill(event: Event) -> bool:
            session.executor.kill(event.number, TrialState.TIMEOUT, "enough")
            return True

        session.on_report = kill
        end = session.run(0)
        _expect_killed(end, TrialState.TIMEOUT, "enough")
        expect(session.perf_of(1) == 7.0, "a slot that runs the next trial", session.events)
        expect_equal(["started", "killed"], session.kinds(0), "events of the trial that was killed")


def kills_what_has_only_just_been_submitted(case: ExecutorCase) -> None:
    """kill() ends a trial before its objective begins, too: a search that ends cannot wait for a start."""
    with case.session(lambda hp: hp["x"]) as session:
        session.submit(0)
        session.executor.kill(0, TrialState.CANCELLED, "at once")
        end = session.end_of(0)
        if end.kind != "done":  # it had come to its end just before
            _expect_killed(end, TrialState.CANCELLED, "at once")
        expect(session.perf_of(1) == 1.0, "a slot that runs the next trial", session.events)


def kills_what_never_reports(case: ExecutorCase) -> None:
    """kill() ends an objective that sleeps, computes or waits: no report is needed to end it."""

    def f(_: Mapping[str, Any]) -> float:
        time.sleep(3600)
        return 0.0

    with case.session(f) as session:
        session.submit(0)
        until = time.monotonic() + case.timeout_seconds
        while "started" not in session.kinds(0) and time.monotonic() < until:
            session.poll()
        session.executor.kill(0, TrialState.TIMEOUT, "too long")
        _expect_killed(session.end_of(0), TrialState.TIMEOUT, "too long")


def _expect_killed(end: Event, state: TrialState, reason: str) -> None:
    outcome = outcome_of(end)
    wanted, got = ("killed", state, reason), (end.kind, outcome.state, outcome.error)
    expect(got == wanted, f"an end that is {wanted}", got)


def leaves_others_alone(case: ExecutorCase) -> None:
    """stop() and kill() of a trial that is over, or was never there, do nothing, and nothing to the one that runs."""
    with case.session(lambda hp: hp["x"]) as session:
        session.run(0)
        session.submit(1)
        for number in (0, 99):
            session.executor.stop(number)
            session.executor.kill(number, TrialState.CANCELLED, "no")
        expect(ended_well(session.end_of(1)), "the running trial to end by itself", session.events)
        session.poll(0.02)
        expect_equal(["started", "done"], session.kinds(0), "events of the trial that was over")


def types_every_fault(case: ExecutorCase) -> None:
    """An objective that fails gives one failed event, with state and reason, whatever it does, and its slot serves on.

    The reason is valid Unicode and not huge, so that it can be stored. What is neither an Exception nor a SystemExit is
    meant for whoever runs the search, but where it is raised in another process: there it fails its trial.
    """

    class Unprintable(Exception):  # noqa: N818 - odd on purpose
        def __str__(self) -> str:
            raise RuntimeError

    def f(hp: Mapping[str, Any]) -> Any:
        kind = hp["x"]
        if kind == 0:
            sys.exit("bye")
        if kind < 5:
            raise (ValueError("lone \ud800"), KeyError("base"), Unprintable(), ValueError("x" * 10**6))[kind - 1]
        return {5: None, 6: math.nan, 7: "0.5"}.get(kind, 1.0)

    with case.session(f) as session:
        for number in range(8):
            end = session.run(number, hp={"x": number})
            state = TrialState.FAILED if number < 5 else TrialState.INVALID
            outcome = outcome_of(end)
            got = (end.kind, outcome.state, outcome.perfs)
            expect(got == ("failed", state, ()), f"a failed event that is {state}, without a value", got)
            expect(bool(outcome.error), "a reason", repr(outcome.error))
            n = len(outcome.error.encode())  # a lone surrogate raises here
            expect(n < MAX_ERROR_CHARACTERS, f"a reason of at most {MAX_ERROR_CHARACTERS} characters", n)
        expect(session.perf_of(8) == 1.0, "a slot that runs the next trial", session.events[-1])


def survives_the_death_of_a_process(case: ExecutorCase) -> None:
    """An objective that ends its process ends its own trial as CRASHED or LOST, and the next trial runs."""

    def f(hp: Mapping[str, Any]) -> float:
        if hp["x"] == 0:
            os._exit(3)
        return 1.0

    with case.session(f) as session:
        end = session.run(0)
        got = end.kind, outcome_of(end).state
        is_right = got[0] == "died" and got[1] in (TrialState.CRASHED, TrialState.LOST)
        expect(is_right, "a died event that is CRASHED or LOST", got)
        expect(session.perf_of(1) == 1.0, "a slot that runs the next trial", session.events[-1])


def lets_out_what_on_report_raises(case: ExecutorCase) -> None:
    """What on_report raises comes out of poll(), and not out of trial.report; the trial can still be killed."""

    def f(hp: Mapping[str, Any], trial: TrialHandle) -> float:
        for k in range(100 if hp["x"] == 0 else 1):
            try:
                trial.report(k)
            except BaseException:  # the worst that a user's code can do
                return -1.0
            time.sleep(0.002)
        return 1.0

    def on_report(event: Event) -> bool:
        if event.number == 0:
            raise LookupError("the store is gone")
        return True

    with case.session(f, on_report) as session:
        session.submit(0)
        try:
            end = session.end_of(0)
        except LookupError:
            session.executor.kill(0, TrialState.CANCELLED, "given up")
        else:
            raise CheckFailed(f"wanted a LookupError out of poll, got {end}")
        until = time.monotonic() + case.timeout_seconds
        while not session.ends(0) and time.monotonic() < until:
            with contextlib.suppress(LookupError):  # of a report that was on its way
                session.poll()
        kinds = session.kinds(0)
        expect(kinds in (["started", "killed"], ["started", "done"]), "events started, killed", kinds)
        expect(session.perf_of(1) == 1.0, "a slot that runs the next trial", session.events)


def ignores_threads_left_behind(case: ExecutorCase) -> None:
    """What a thread of an ended trial reports while another trial runs there counts for neither of them."""

    def f(hp: Mapping[str, Any], trial: TrialHandle) -> float:
        def late() -> None:
            until = time.monotonic() + 5
            while trial.report(999.0) and time.monotonic() < until:
                time.sleep(0.002)

        if hp["x"] == 0:
            threading.Thread(target=late, daemon=True).start()
            time.sleep(0.05)
            return 0.5
        for _ in range(20):
            trial.report(hp["x"])
            time.sleep(0.002)
        return 1.0

    with case.session(f) as session:
        slot = session.submit(0)
        session.end_of(0)
        n = len(session.reports)
        session.run(1, slot)
        stray = [event for event in session.reports[n:] if event.perf == 999.0]
        expect(not stray, "no report of the ended trial", stray[:1])
        expect(len(session.reports) == n + 20, f"{n + 20} reports", len(session.reports))
