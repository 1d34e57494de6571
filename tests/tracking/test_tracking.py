"""Trackers: what they are told, in which order, and that nothing they do is felt by the search."""

from __future__ import annotations

import itertools
import json
import logging
import os
import signal
import subprocess
import sys
import threading
import time
import tracemalloc
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from autohpo import OptionError, RangeHP, build_hpo_from_name, open_store
from autohpo.errors import NoRunError, TrackerError
from autohpo.tracking import Tracker, track
from autohpo.tracking.changes import next_step
from autohpo.tracking.place import Place, Places

SPACE = [RangeHP("x", 0.0, 1.0)]


@dataclass
class Notes:
    """A tracker that keeps all that it is told, in lists."""

    key: str = "notes"
    started: list = field(default_factory=list)
    changes: list = field(default_factory=list)
    batches: list = field(default_factory=list)
    finished: list = field(default_factory=list)
    threads: set = field(default_factory=set)

    def start(self, run):
        """Keep the run."""
        self.started.append(run)
        self.threads.add(threading.current_thread())
        return {"times": run.kept.get("times", 0) + 1}

    def take(self, changes):
        """Keep the changes."""
        self.threads.add(threading.current_thread())
        self.batches.append(len(changes))
        self.changes += changes

    def finish(self, result, error):
        """Keep the end."""
        self.finished.append((result, error))


def epochs(hps):
    """Three reports."""
    for step in range(1, 4):
        yield {"perf": hps["x"] * step, "loss": -float(step)}


def search(f=epochs, name="random", mode="max", **options):
    """An optimizer of five trials."""
    return build_hpo_from_name(name, SPACE, f, **{"max_evals": 5, "seed": 0, "mode": mode, **options})


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


@dataclass
class Broken(Notes):
    """A tracker whose service is not there."""

    n_calls: int = 0

    def start(self, run):
        """Raise."""
        self.n_calls += 1
        raise ConnectionError("no such service")


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    """Let trackers be told, and told again, at once."""
    monkeypatch.setattr("autohpo.tracking.following.FLUSH_SECONDS", 0.02)
    monkeypatch.setattr("autohpo.tracking.follower.FLUSH_SECONDS", 0.02)


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


PROGRAM = """
import json, os, sys, time
from autohpo import RangeHP, build_hpo_from_name

class Lines:
    key = "lines"

    def start(self, run):
        self.say(["begin", run.id])

    def take(self, changes):
        for change in changes:
            self.say([change.event.kind, change.trial.number, change.step, change.event.seq])

    def finish(self, result, error):
        self.say(["finish", error])

    def say(self, words):
        with open("lines.jsonl", "a") as file:
            file.write(json.dumps(words) + "\\n")

def f(hps):
    for step in range(1, 4):
        time.sleep(0.02)
        yield hps["x"] * step

import autohpo.tracking.follower
autohpo.tracking.follower.FLUSH_SECONDS = 0.05
hpo = build_hpo_from_name("random", [RangeHP("x", 0.0, 1.0)], f, max_evals=40, seed=0)
hpo.optimize(store="run.db", progress=False, trackers=[Lines()])
"""


def test_a_killed_driver_goes_on_without_telling_an_ended_trial_twice(tmp_path):
    """kill -9 once the tracker has some trials; the same command then tells the rest, and the log is complete."""
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    command = [sys.executable, "-c", PROGRAM]
    lines = tmp_path / "lines.jsonl"
    first = subprocess.Popen(command, cwd=tmp_path, env=environment)
    until = time.monotonic() + 60
    while time.monotonic() < until and (not lines.exists() or lines.read_text().count('"end"') < 12):
        time.sleep(0.01)
    os.kill(first.pid, signal.SIGKILL)
    first.wait()
    before = [json.loads(line) for line in lines.read_text().splitlines()]
    (place,) = (tmp_path / "run.db.files" / "trackers").glob("lines-*.json")
    seq = json.loads(place.read_text())["seq"]
    assert 0 < seq <= before[-1][3]
    subprocess.run(command, cwd=tmp_path, env=environment, check=True)
    said = [json.loads(line) for line in lines.read_text().splitlines()]
    ids = {words[1] for words in said if words[0] == "begin"}
    assert len(ids) == 1
    log = open_store(tmp_path / "run.db", read_only=True)
    seqs = {event.seq for event in log.events()}
    log.close()
    assert {words[3] for words in said if words[0] not in ("begin", "finish")} == seqs
    ended = {words[1] for words in before if words[0] == "end" and words[3] <= seq}
    again = {words[1] for words in said[len(before) + 1 : -1]}
    assert ended
    assert again == set(range(40)) - ended


def test_trials_that_had_not_ended_are_told_again_from_their_beginning(tmp_path):
    """So that a tracker can make up what it knew of them."""
    notes = Notes()
    path = tmp_path / "run.db"
    search().optimize(store=path, progress=False, trackers=[notes])
    log = open_store(path, read_only=True)
    places = Places(log)
    middle = next(change.event.seq for change in notes.changes if change.trial.number == 2 and change.step == 2)
    places.save("notes", Place(notes.started[0].id, middle, {}))
    log.close()
    again = Notes()
    track(path, again)
    assert [(c.event.kind, c.trial.number) for c in again.changes[:4]] == [
        ("ask", 2),
        ("start", 2),
        ("report", 2),
        ("report", 2),
    ]
    numbers = [change.trial.number for change in again.changes]
    assert numbers == sorted(numbers)
    assert [change.event for change in again.changes] == [c.event for c in notes.changes if c.trial.number >= 2]


def test_a_stored_run_can_be_tracked_afterwards(tmp_path):
    """What the driver would have told, told later; a second time there is nothing new."""
    live, later = Notes(), Notes("later")
    path = tmp_path / "run.db"
    search().optimize(store=path, progress=False, trackers=[live])
    track(str(path), later)
    assert [change.event for change in later.changes] == [change.event for change in live.changes]
    assert [c.values for c in later.changes] == [c.values for c in live.changes]
    track(path, later)
    assert len(later.changes) == 30
    assert len(later.finished) == 2


def test_another_process_can_follow_a_search(tmp_path):
    """A tracker that the driver does not have is told while it runs, and everything in the end."""
    path, notes = tmp_path / "run.db", Notes()
    code = PROGRAM.replace(", trackers=[Lines()]", "")
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    driver = subprocess.Popen([sys.executable, "-c", code], cwd=tmp_path, env=environment)
    until = time.monotonic() + 60
    while time.monotonic() < until:
        try:
            track(path, notes, follow=True)
            break
        except NoRunError:  # it has not begun yet
            time.sleep(0.02)
    assert driver.wait(60) == 0
    assert len(notes.batches) > 1
    assert sorted(c.trial.number for c in notes.changes if c.event.kind == "end") == list(range(40))


def test_tracking_a_stored_run_says_what_went_wrong(tmp_path):
    """There the tracker is all there is to do, so its error is one."""
    path = tmp_path / "run.db"
    search().optimize(store=path, progress=False)
    with pytest.raises(TrackerError, match="tracker notes: ConnectionError: no such service"):
        track(path, Broken())
    with pytest.raises(NoRunError):
        track(tmp_path / "none.db", Notes())


def test_a_broken_place_is_named(tmp_path):
    """It is not overwritten: the user decides."""
    path = tmp_path / "run.db"
    search().optimize(store=path, progress=False, trackers=[Notes()])
    (place,) = (tmp_path / "run.db.files" / "trackers").glob("notes-*.json")
    place.write_text("{}")
    with pytest.raises(TrackerError, match="is no place of a tracker; remove it"):
        track(path, Notes())


def test_an_interrupted_search_tells_its_trackers_why():
    """They learn what ended it, and the signal goes on to the caller."""

    def f(hps):
        if hps["x"] > 0.6:
            signal.raise_signal(signal.SIGINT)
        return hps["x"]

    notes = Notes()
    with pytest.raises(KeyboardInterrupt):
        search(f, max_evals=100).optimize(progress=False, trackers=[notes])
    assert notes.finished[0][1].startswith("KeyboardInterrupt")


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ("mlflow", "trackers: must be a list of trackers, got str 'mlflow'"),
        (3, "trackers: must be a list"),
        (Notes(), r"put it into a list"),
        ([Notes], r"must be objects, got the class Notes; write Notes\(\.\.\.\)"),
        ([object()], "has start, take and finish, got object .* without start"),
        ([Notes(), Notes()], "each must have a key of its own, got notes 2 times"),
    ],
)
def test_what_is_no_list_of_trackers_is_refused(given, text):
    """Before anything starts."""
    with pytest.raises(OptionError, match=text):
        search().optimize(progress=False, trackers=given)


class Raising(Notes):
    """A tracker whose attribute raises."""

    @property
    def wait_seconds(self):
        """Raise, as a property that asks a service may."""
        raise RuntimeError("no answer")


@pytest.mark.parametrize("given", ["3", -1, float("nan"), True, None])
def test_a_tracker_says_how_long_it_is_waited_for_as_a_number(given):
    """Else it is an error before the search, and not another wait than the one that was meant, after it."""
    tracker = Notes()
    tracker.wait_seconds = given
    with pytest.raises(OptionError, match=r"wait_seconds of Notes must be a number of seconds, at least 0, got "):
        search().optimize(progress=False, trackers=[tracker])
    assert not tracker.started


def test_a_tracker_whose_attributes_raise_is_an_error_before_the_search():
    """After it, the error would take the place of the result."""
    with pytest.raises(OptionError, match="must not raise, got RuntimeError.'no answer'."):
        search().optimize(progress=False, trackers=[Raising()])


def test_the_contract_is_three_methods():
    """A class needs no base of ours."""
    assert isinstance(Notes(), Tracker)
    assert not isinstance(object(), Tracker)


def test_a_tracker_that_recalls_is_told_the_earlier_ends_again(tmp_path):
    """Each ended trial once, in the order of the log, before what is new; the first time there are none."""

    @dataclass
    class Recalling(Notes):
        recalled: list = field(default_factory=list)

        def recall(self, changes):
            assert self.started
            assert not self.changes
            assert len(changes) <= 200
            self.recalled += changes

    def search(n, tracker):
        hpo = build_hpo_from_name("random", SPACE, epochs, max_evals=n, seed=0)
        hpo.optimize(store=tmp_path / "run.db", progress=False, trackers=[tracker])
        return hpo.result

    first, second = Recalling(), Recalling()
    search(230, first)
    result = search(232, second)
    assert first.recalled == []
    assert [change.trial.number for change in second.recalled] == list(range(230))
    assert {change.event.kind for change in second.recalled} == {"end"}
    assert [change.n_ended for change in second.recalled] == list(range(1, 231))
    assert [change.best.perf for change in second.recalled] == list(
        itertools.accumulate((trial.perf for trial in list(result)[:230]), max)
    )
    assert {change.trial.number for change in second.changes} == {230, 231}
