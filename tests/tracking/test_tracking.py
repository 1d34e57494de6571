"""Trackers: what they are told, in which order, and that nothing they do is felt by the search."""

from __future__ import annotations

import itertools
import json
import logging
import sys
import threading
import time
import tracemalloc
from pathlib import Path

import pytest

from autohpo import open_store
from autohpo.tracking.changes import next_step

sys.path.insert(0, str(Path(__file__).parent))  # pytest imports test files by their path alone

from tracking_shared import Broken, Notes, search


def test_a_tracker_is_told_the_whole_log_in_its_order(tmp_path):
    """Once each, with the trial as it then stands; the log itself is the oracle."""
    notes = Notes()
    search().optimize(store=tmp_path / "run.db", progress=False, trackers=[notes])
    log = open_store(tmp_path / "run.db", read_only=True)
    assert [change.event for change in notes.changes] == list(log.events())
    log.close()
    reports = [change for change in notes.changes if change.event.kind == "report"]
    assert [change.step for change in reports] == [1, 2, 3] * 5
    for change in reports:
        x = change.trial.hp["x"]
        assert change.values == {"perf": x * change.step, "loss": -change.step}
    ends = [change for change in notes.changes if change.event.kind == "end"]
    assert [change.n_ended for change in ends] == [1, 2, 3, 4, 5]
    assert [change.best.perf for change in ends] == [max(c.trial.perf for c in ends[: i + 1]) for i in range(5)]
    new = {"cost", "seconds", "loss.min", "loss.max"}  # the last report has said the rest
    assert all(set(change.values) == new for change in ends)
    ((result, error),) = notes.finished
    assert error == ""
    assert result.best.perf == max(change.trial.perf for change in ends)


def test_a_run_has_the_settings_that_make_it_this_run():
    """Algorithm, seed, budget, versions, and a line for each parameter."""
    notes = Notes()
    search(name="tpe").optimize(progress=False, trackers=[notes], name="mine")
    settings = notes.started[0].settings
    assert (settings["algorithm"], settings["seed"], settings["max_evals"]) == ("tpe", 0, 5)
    assert settings["space.x"] == "RangeHP(low=0.0, high=1.0)"
    assert notes.started[0].name == "mine"
    assert "version.autohpo" in settings
    json.dumps(settings)


def test_a_tracker_works_in_a_thread_of_its_own():
    """Not in that of the search, and in one alone."""
    notes = Notes()
    search().optimize(progress=False, trackers=[notes])
    assert len(notes.threads) == 1
    assert threading.current_thread() not in notes.threads


def test_changes_come_in_batches():
    """A tracker is called far less often than there are events, and never with more than some hundreds."""
    notes = Notes()
    search(max_evals=300).optimize(progress=False, trackers=[notes])
    assert sum(notes.batches) == 300 * 6
    assert max(notes.batches) <= 200


def test_the_search_is_the_same_with_a_tracker_and_without():
    """Also with one that raises whatever it is asked."""
    alone = search(name="tpe", max_evals=30)
    alone.optimize(progress=False)
    for tracker in (Notes(), Broken()):
        hpo = search(name="tpe", max_evals=30)
        if isinstance(tracker, Broken):
            with pytest.warns(UserWarning, match="no such service"):
                hpo.optimize(progress=False, trackers=[tracker])
        else:
            hpo.optimize(progress=False, trackers=[tracker])
        assert [(t.hp, t.perf) for t in hpo.result] == [(t.hp, t.perf) for t in alone.result]


def test_an_error_is_logged_once_and_shown_at_the_end(caplog):
    """However often the tracker was called."""
    tracker = Broken()
    with (
        caplog.at_level(logging.WARNING, "autohpo"),
        pytest.warns(UserWarning, match="tracker notes: Connection") as seen,
    ):
        search().optimize(progress=False, trackers=[tracker])
    assert tracker.n_calls == 5
    assert len([record for record in caplog.records if "no such service" in record.getMessage()]) == 1
    assert len(seen) == 1
    assert "the search is not affected" in str(seen[0].message)


class Shaky(Notes):
    """A tracker whose service is away now and then."""

    n_failed = 0

    def take(self, changes):
        """Raise at each first call."""
        self.n_failed += 1
        if self.n_failed % 2:
            raise TimeoutError("away")
        super().take(changes)


def test_a_batch_comes_again_where_the_tracker_raised():
    """Nothing is lost, nothing comes twice, and nothing is said at the end."""
    tracker = Shaky()
    hpo = search()
    hpo.optimize(progress=False, trackers=[tracker])  # warnings are errors
    assert [change.event.seq for change in tracker.changes] == list(range(1, 5 * 6 + 1))
    assert len(tracker.finished) == 1


class Hanging(Notes):
    """A tracker that never answers."""

    wait_seconds = 0.3

    def __init__(self):
        super().__init__("hanging")
        self.free = threading.Event()

    def take(self, changes):
        """Wait."""
        self.free.wait(60)


def test_a_tracker_that_hangs_ends_nothing_and_is_left_behind():
    """The search ends with its result, others are told everything, and the wait is bounded."""
    hanging, notes, hpo = Hanging(), Notes(), search()
    began = time.monotonic()
    try:
        with pytest.warns(UserWarning, match=r"tracker hanging: did not answer within 0\.3 s; it got to event 0"):
            hpo.optimize(progress=False, trackers=[hanging, notes])
    finally:
        hanging.free.set()
    assert time.monotonic() - began < 30  # it would have been 60
    assert len(hpo.result) == 5
    assert len(notes.changes) == 30


class Slow(Notes):
    """A tracker that takes longer than it is waited for, but gets on; it begins when the last trial has."""

    wait_seconds = 1.5

    def __init__(self):
        super().__init__("slow")
        self.is_last = threading.Event()

    def take(self, changes):
        """Take a while."""
        self.is_last.wait(60)
        time.sleep(0.25)
        super().take(changes)


def test_a_slow_tracker_is_waited_for_as_long_as_it_gets_on():
    """Longer than `wait_seconds` in all: 12 batches of 0.25 s."""
    slow, n_calls = Slow(), itertools.count(1)

    def f(hps):
        if next(n_calls) == 800:
            slow.is_last.set()
        return hps["x"]

    search(f, max_evals=800).optimize(progress=False, trackers=[slow])
    assert len(slow.changes) == 2400


def test_a_tracker_that_hangs_costs_no_memory():
    """The log is the buffer: nothing waits for a tracker anywhere else."""
    grown = []
    for n in (100, 600):
        hanging = Hanging()
        hanging.wait_seconds = 0.05
        tracemalloc.start()
        with pytest.warns(UserWarning, match="did not answer"):
            search(f=lambda hps: hps["x"], max_evals=n).optimize(progress=False, trackers=[hanging])
        snapshot = tracemalloc.take_snapshot()
        tracemalloc.stop()
        here = tracemalloc.Filter(inclusive=True, filename_pattern="*/autohpo/tracking/*")
        grown.append(sum(stat.size for stat in snapshot.filter_traces([here]).statistics("filename")))
        hanging.free.set()
    assert grown[1] < grown[0] + 30_000  # 1,500 events more would be half a megabyte


def test_failures_restarts_and_several_objectives_are_told():
    """States and errors with the trial, each objective by its name, constraints by theirs."""

    def f(hps):
        if hps["x"] > 0.5:
            raise ValueError("too large")
        return {"acc": hps["x"], "latency": 2.0, "loss": 3.0}, {"memory": -1.0}

    notes = Notes()
    mode = {"acc": "max", "latency": "min"}
    search(f, "nsga2", mode, max_evals=12).optimize(progress=False, trackers=[notes], continue_on_error=True)
    ends = [change for change in notes.changes if change.event.kind == "end"]
    failed = [change for change in ends if change.trial.state.value == "FAILED"]
    assert failed
    assert all("too large" in change.trial.error for change in failed)
    good = next(change for change in ends if change.trial.perfs)
    assert {k: v for k, v in good.values.items() if k not in ("cost", "seconds")} == {
        "acc": good.trial.hp["x"],
        "latency": 2.0,
        "loss": 3.0,
        "constraint.memory": -1.0,
    }


def test_promoted_trainings_go_on_at_their_fidelity():
    """A trial that resumes another one begins where that ended."""
    notes = Notes()
    search(name="hyperband", min_fidelity=1, max_fidelity=3, max_evals=20).optimize(progress=False, trackers=[notes])
    ends = [change for change in notes.changes if change.event.kind == "end"]
    resumed = [change for change in ends if change.trial.resume is not None]
    assert resumed
    assert all(change.step == change.trial.fidelity for change in ends)
    steps = {change.trial.number: [] for change in ends}
    for change in notes.changes:
        if change.event.kind == "report":
            steps[change.trial.number].append(change.step)
    assert all(steps[change.trial.number] == [2, 3] for change in resumed if change.step == 3)


@pytest.mark.parametrize(
    ("fidelities", "steps"),
    [([1, 2, 3], [1, 2, 3]), ([0.5, 1, 2, 4], [0, 1, 2, 4]), ([0.25, 0.5, 1], [0, 1, 2]), ([5, 5.5, 6], [5, 6, 7])],
)
def test_a_step_is_the_fidelity_or_the_next_integer(fidelities, steps):
    """They grow, and two reports never share one."""
    found, step = [], -1
    for fidelity in fidelities:
        step = next_step(step, fidelity)
        found.append(step)
    assert found == steps


def test_a_second_call_goes_on_where_the_first_ended():
    """In memory as in a file: no event is told twice, and the run keeps its id."""
    notes, hpo = Notes(), search(f=lambda hps: hps["x"])
    hpo.optimize(progress=False, trackers=[notes])
    hpo.max_evals = 8
    hpo.optimize(progress=False, trackers=[notes])
    assert [change.event.seq for change in notes.changes] == list(range(1, 25))
    assert notes.started[0].id == notes.started[1].id
    assert notes.started[1].kept == {"times": 1}
