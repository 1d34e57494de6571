"""What the serial executor alone promises."""

from __future__ import annotations

import os
import sys

import pytest

from autohpo.execution.base import Event
from autohpo.execution.serial import SerialExecutor
from autohpo.objective import Objective
from autohpo.trial import Task, TrialState


def test_the_start_is_told_before_the_objective_runs():
    """The first poll only says started, so that it can be logged first."""
    calls = []
    executor = SerialExecutor()
    executor.open(Objective.of(lambda hp: calls.append(hp) or 1.0), lambda event: True)
    executor.submit(0, Task(0, 1, {}))
    assert [event.kind for event in executor.poll(0.0)] == ["started"]
    assert calls == []
    assert [event.kind for event in executor.poll(0.0)] == ["done"]
    assert calls == [{}]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.parametrize("shape", ["returns", "raises", "exits", "yields", "reports"])
def test_a_forked_child_that_leaves_the_objective_ends(shape, capfd):
    """It would be a second driver of the same search: what it returns, raises or reports is nobody's result."""
    told, codes = [], []

    def f(hp, trial):
        child = os.fork()
        if child == 0:
            if shape == "raises":
                raise ValueError("from the child")
            if shape == "exits":
                sys.exit(7)
            if shape == "reports":
                os._exit(int(trial.report(99.0)))
            return 77.0
        codes.append(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
        return 1.0

    def steps(hp, trial):
        yield f(hp, trial)

    executor = SerialExecutor()
    executor.open(Objective.of(steps if shape == "yields" else f), lambda event: told.append(event.perf) or True)
    executor.submit(0, Task(0, 1, {}))
    executor.poll(0.0)
    (end,) = executor.poll(0.0)
    assert (end.kind, end.outcome.perf) == ("done", 1.0)
    assert told == ([1.0] if shape == "yields" else [])
    assert codes == [{"raises": 1, "exits": 7}.get(shape, 0)]
    assert ("ValueError: from the child" in capfd.readouterr().err) is (shape == "raises")


def test_an_interrupt_leaves_the_task_submitted():
    """After Ctrl-C the next poll runs the task again, and kill ends it."""
    calls = []

    def f(hp):
        calls.append(hp)
        if len(calls) < 3:
            raise KeyboardInterrupt
        return 1.0

    executor = SerialExecutor()
    executor.open(Objective.of(f), lambda event: True)
    executor.submit(0, Task(0, 1, {}))
    executor.poll(0.0)
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            executor.poll(0.0)
    assert [event.kind for event in executor.poll(0.0)] == ["done"]
    calls.clear()
    executor.submit(0, Task(1, 1, {}))
    executor.poll(0.0)
    with pytest.raises(KeyboardInterrupt):
        executor.poll(0.0)
    executor.kill(1, TrialState.CANCELLED, "interrupted")
    assert [event.outcome.error for event in executor.poll(0.0)] == ["interrupted"]


def test_a_killed_objective_that_catches_everything_hears_it_at_each_report():
    """on_report is asked no more, and the end is the kill, whatever is returned."""
    asked = []

    def f(hp, trial):
        for _ in range(5):
            try:
                trial.report(1.0)
            except BaseException:  # the worst a user's code can do
                continue
        return 5.0

    def on_report(event: Event) -> bool:
        asked.append(event)
        executor.kill(0, TrialState.TIMEOUT, "late")
        return True

    executor = SerialExecutor()
    executor.open(Objective.of(f), on_report)
    executor.submit(0, Task(0, 1, {}))
    (end,) = executor.poll(0.0)[1:] or executor.poll(0.0)
    assert (end.kind, end.outcome.state) == ("killed", TrialState.TIMEOUT)
    assert len(asked) == 1
