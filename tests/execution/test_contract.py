"""What every executor promises, tried on each of them."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from autohpo.errors import OptionError
from autohpo.execution.base import Event
from autohpo.trial import TrialState


def counting(path: Path) -> Callable[[dict[str, Any]], Iterator[float]]:
    """A generator objective that writes a line for each epoch it trains, and one when it is closed."""

    def f(hp: dict[str, Any]) -> Iterator[float]:
        try:
            for epoch in itertools.count(1):
                with path.open("a") as file:
                    file.write(f"{hp['x']:g}:{epoch}\n")
                yield epoch / 10
        finally:
            with path.open("a") as file:
                file.write(f"{hp['x']:g}:closed\n")

    return f


def test_a_result_comes_after_the_start_and_only_once(drive):
    """A plain objective gives started, then done with its value, and then nothing."""
    driver = drive(lambda hp: hp["x"] + 0.5)
    end = driver.run(3)
    assert (end.kind, end.outcome.state, end.outcome.perf) == ("done", TrialState.COMPLETE, 3.5)
    driver.events += driver.executor.poll(0.05)
    assert driver.kinds(3) == ["started", "done"]
    assert {(event.number, event.attempt, event.slot) for event in driver.events} == {(3, 1, 0)}


def test_the_objective_gets_what_it_names(drive, tmp_path):
    """Fidelity, seed, number, attempt and folder arrive as they were submitted."""

    def f(hp, fidelity, trial, seed):
        (trial.checkpoint_dir / "seen").write_text(f"{hp} {fidelity} {trial.number} {trial.attempt} {seed}")
        return 1.0

    driver = drive(f)
    driver.run(4, attempt=2, hp={"a": (1, "b")}, fidelity=2.5, seed=77, checkpoint_dir=str(tmp_path / "chain"))
    assert (tmp_path / "chain" / "seen").read_text() == "{'a': (1, 'b')} 2.5 4 2 77"


def test_reports_come_in_order_and_before_the_end(drive):
    """Each report reaches on_report with fidelity and value, while the trial still runs."""
    seen = []

    def f(hp, trial):
        for k in range(5):
            trial.report(k / 4)
        trial.report(9.0, fidelity=50)
        return 0.25

    driver = drive(f, lambda event: seen.append(driver.kinds(0)) is None)
    assert driver.run(0).outcome.perf == 0.25
    assert [(r.fidelity, r.perf) for r in driver.reports] == [*((k + 1, k / 4) for k in range(5)), (50, 9.0)]
    assert all("done" not in kinds for kinds in seen)
    assert len(seen) == 6


def test_a_refused_report_stops_the_trial(drive):
    """After on_report said False, the trial ends at that report or the next one that hears of it."""

    def f(hp, trial):
        import time

        k = 0
        while trial.report(k):
            k += 1
            time.sleep(0.001)

    driver = drive(f, lambda event: event.perf < 5)
    end = driver.run(0)
    assert (end.kind, end.outcome.state) == ("done", TrialState.STOPPED)
    assert end.outcome.perf == driver.reports[-1].perf >= 5


def test_stop_ends_a_generator_with_its_last_value(drive, tmp_path):
    """stop() ends a generator at a yield; its finally block runs."""
    path = tmp_path / "epochs"
    driver = drive(counting(path), lambda event: driver.executor.stop(0) is None)
    end = driver.run(0)
    assert end.outcome.state is TrialState.STOPPED
    assert end.outcome.perf == driver.reports[-1].perf
    assert path.read_text().splitlines()[-1] == "0:closed"
    assert not driver.executor.holds(0, 0)


def test_kill_during_a_report_ends_the_trial_with_the_given_state(drive):
    """kill() ends a trial that would go on for ever; state and reason are those given; the slot serves on."""

    def f(hp, trial):
        import time

        while hp["x"] == 0:
            trial.report(1.0)
            time.sleep(0.001)
        return 7.0

    def on_report(event: Event) -> bool:
        driver.executor.kill(event.number, TrialState.CANCELLED, "enough")
        return True

    driver = drive(f, on_report)
    end = driver.run(0)
    assert (end.kind, end.outcome.state, end.outcome.error) == ("killed", TrialState.CANCELLED, "enough")
    assert driver.run(1).outcome.perf == 7.0
    assert driver.kinds(0) == ["started", "killed"]


def test_kill_before_the_start_ends_the_trial(drive):
    """A trial that was only just submitted can be killed."""
    driver = drive(lambda hp: hp["x"])
    driver.submit(0)
    driver.executor.kill(0, TrialState.CANCELLED, "at once")
    end = driver.end_of(0)
    assert (end.kind, end.outcome.error) == ("killed", "at once")
    assert driver.run(1).outcome.perf == 1.0


def test_stop_and_kill_of_others_do_nothing(drive):
    """A number that does not run is nobody's, also that of a trial that is over."""
    driver = drive(lambda hp: hp["x"])
    driver.run(0)
    driver.submit(1)
    for number in (0, 99):
        driver.executor.stop(number)
        driver.executor.kill(number, TrialState.CANCELLED, "no")
    assert driver.end_of(1).kind == "done"
    assert driver.kinds(0) == ["started", "done"]


def faults() -> list[tuple[Callable[..., Any], TrialState, str]]:
    """Objectives that fail, with state and text; nested, so that workers need not import this file."""

    def exits(hp):
        import sys

        sys.exit("bye")

    def odd(hp):
        class Odd(Exception):
            def __init__(self, one, two):
                super().__init__()

            def __str__(self):
                raise RuntimeError("no text")

        raise Odd(1, 2)

    def recurses(hp):
        def g(n):
            return g(n + 1) + 1

        return g(0)

    def raises(fault):
        def f(hp):
            raise fault

        return f

    return [
        (exits, TrialState.FAILED, "SystemExit: bye"),
        (odd, TrialState.FAILED, "Odd"),
        (recurses, TrialState.FAILED, "RecursionError"),
        (raises(BaseException("base of all")), TrialState.FAILED, "base of all"),
        (raises(ValueError("lone \ud800 surrogate")), TrialState.FAILED, "surrogate"),
        (lambda hp: 1 / 0, TrialState.FAILED, "ZeroDivisionError"),
        (lambda hp: None, TrialState.INVALID, "one number, got None"),
        (lambda hp: math.nan, TrialState.INVALID, "finite"),
        (lambda hp: (x for x in ()), TrialState.INVALID, "yielded nothing"),
        (lambda hp: lambda: 0, TrialState.INVALID, "one number, got function"),
    ]


@pytest.mark.parametrize(("f", "state", "text"), faults(), ids=lambda value: value if isinstance(value, str) else "")
def test_a_fault_of_the_objective_is_a_failed_event_with_its_reason(drive, f, state, text):
    """Whatever an objective raises or returns is one typed outcome with the reason, and the slot serves on."""
    driver = drive(lambda hp: f(hp) if hp["x"] == 0 else hp["x"])
    end = driver.run(0)
    assert (end.kind, end.outcome.state, end.outcome.perf) == ("failed", state, None)
    assert text in end.outcome.error
    end.outcome.error.encode()  # a store must be able to write it
    assert driver.run(1).outcome.perf == 1.0


def test_a_huge_error_text_is_cut(drive):
    """Of a message of 50 MB the head and the tail are kept, under 20,000 characters."""

    def f(hp):
        raise ValueError("begin" + "x" * 50_000_000 + "end")

    error = drive(f).run(0).outcome.error
    assert len(error) < 20_000
    assert "begin" in error
    assert error.rstrip().endswith("end")


def test_a_paused_training_goes_on_where_it_stood(drive, tmp_path):
    """A chain of two rungs trains each epoch once; the slot says that it holds the training in between."""
    path = tmp_path / "epochs"
    driver = drive(counting(path))
    assert driver.run(0, fidelity=3.0).outcome.perf == 0.3
    assert driver.executor.holds(0, 0)
    driver.run(1, fidelity=1.0)  # another chain in between
    assert driver.run(2, fidelity=5.0, root=0, hp={"x": 0.0}).outcome.perf == 0.5
    assert path.read_text().split() == ["0:1", "0:2", "0:3", "1:1", "0:4", "0:5"]
    assert [r.fidelity for r in driver.reports if r.number == 2] == [4, 5]


def test_a_dropped_training_is_closed_and_starts_again(drive, tmp_path):
    """drop() runs the finally blocks of the generator; a later task of the chain begins at the first epoch."""
    path = tmp_path / "epochs"
    driver = drive(counting(path))
    driver.run(0, fidelity=2.0)
    driver.executor.drop(0)
    assert not driver.executor.holds(0, 0)
    driver.run(1, root=0, hp={"x": 0.0}, fidelity=1.0)
    assert path.read_text().split() == ["0:1", "0:2", "0:closed", "0:1"]


def test_a_training_that_cannot_be_closed_harms_no_trial(drive):
    """An objective whose finally block raises can be dropped, and the slot serves on."""

    def f(hp):
        try:
            while True:
                yield hp["x"]
        finally:
            raise RuntimeError("will not close")

    driver = drive(f)
    driver.run(0, fidelity=1.0)
    driver.executor.drop(0)
    assert driver.run(1, fidelity=1.0).outcome.perf == 1.0


def test_close_ends_paused_trainings(drive, tmp_path):
    """The finally blocks of paused generators run when the executor is closed."""
    path = tmp_path / "epochs"
    driver = drive(counting(path))
    driver.run(0, fidelity=1.0)
    driver.executor.close()
    assert path.read_text().split() == ["0:1", "0:closed"]


def test_a_busy_or_unknown_slot_is_refused(drive):
    """Submitting to a slot that is not free, or not there, names the rule; the running trial is not harmed."""
    driver = drive(lambda hp: hp["x"])
    driver.submit(0)
    with pytest.raises(OptionError, match="must be free, but 0 runs trial 0"):
        driver.submit(1)
    with pytest.raises(OptionError, match="got 1"):
        driver.submit(1, slot=1)
    assert driver.end_of(0).outcome.perf == 0.0


def test_a_thread_left_behind_reports_for_no_other_trial(drive):
    """What a thread of trial 0 says while trial 1 runs is ignored, and the thread is told to end."""

    def f(hp, trial):
        import threading
        import time

        def late():
            while trial.report(999.0):
                time.sleep(0.002)
            f.is_over = True

        if hp["x"] == 0:
            f.is_over = False
            threading.Thread(target=late, daemon=True).start()
            time.sleep(0.05)
            return 0.5
        for _ in range(30):
            trial.report(hp["x"])
            time.sleep(0.002)
        return float(f.is_over)

    driver = drive(f)
    driver.run(0)
    assert driver.run(1).outcome.perf == 1.0
    assert [r.number for r in driver.reports if r.perf == 999.0].count(0) > 1
    assert {(r.number, r.attempt) for r in driver.reports if r.perf != 999.0} == {(1, 1)}
    assert all(r.number == 0 for r in driver.reports if r.perf == 999.0)


def test_what_on_report_raises_comes_out_of_poll_and_not_out_of_the_objective(drive):
    """A fault of the driver passes the objective, which catches everything; the trial can still be killed."""

    def f(hp, trial):
        import time

        for k in range(100 if hp["x"] == 0 else 1):
            try:
                trial.report(k)
            except BaseException:
                return -1.0
            time.sleep(0.01)
        return 1.0

    def on_report(event: Event) -> bool:
        if event.number == 0:
            raise LookupError("the store is gone")
        return True

    driver = drive(f, on_report)
    driver.submit(0)
    with pytest.raises(LookupError, match="the store is gone"):
        driver.end_of(0)
    driver.executor.kill(0, TrialState.CANCELLED, "given up")
    while "killed" not in driver.kinds(0):
        try:
            driver.events += driver.executor.poll(0.1)
        except LookupError:
            continue
    assert driver.kinds(0) == ["started", "killed"]
    assert driver.run(1).outcome.perf == 1.0


def test_a_closed_executor_refuses_work(drive):
    """close() may come twice, and then nothing can be submitted."""
    driver = drive(lambda hp: hp["x"])
    driver.executor.close()
    driver.executor.close()
    with pytest.raises(OptionError, match="must be open"):
        driver.submit(0)


def test_poll_without_work_returns_nothing(drive):
    """With nothing submitted there is no event."""
    assert drive(lambda hp: 0.0).executor.poll(0.01) == []
