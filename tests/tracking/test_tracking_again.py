"""Trackers of runs that were killed, that are stored, or that another process drives; and what is no tracker."""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from autohpo import OptionError, build_hpo_from_name, open_store
from autohpo.errors import NoRunError, TrackerError
from autohpo.tracking import Tracker, track
from autohpo.tracking.place import Place, Places

sys.path.insert(0, str(Path(__file__).parent))  # pytest imports test files by their path alone

from tracking_shared import SPACE, Broken, Notes, epochs, search

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
