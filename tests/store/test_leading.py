"""The leading trials of a log: always those that the whole log has, and never from rows that are damaged."""

from __future__ import annotations

import math
import random
import sqlite3

import pytest

from autohpo import ChoiceHP, RangeHP, Result, build_hpo_from_name
from autohpo.errors import NoResultError, StoreCorruptError
from autohpo.objectives import Objectives
from autohpo.quick import load_leading
from autohpo.spaces import SearchSpace
from autohpo.spaces.tagged import to_json
from autohpo.store import LogEvent, SQLiteStore
from autohpo.store.leading import events_of, read_leading

SPACE = SearchSpace([RangeHP("x", 0.0, 1.0), ChoiceHP("c", ["a", "b", '}, "fidelity": 3'])])
MODES = ["max", "min", {"acc": "max", "size": "min"}, ["min", "max", "max"]]


class RandomLog:
    """Events as a search may write them, in any order that makes sense.

    Args:
        seed: The seed.
        mode: The objectives.
    """

    def __init__(self, seed, mode):
        self.rng, self.n = random.Random(seed), Objectives.of(mode).n
        self.events, self.running, self.ended = [], {}, []
        self.levels = self.rng.choice([(None,), (None,), (1.0, 3.0, 9.0), (1.0, 9.0, None)])
        self.has_constraints, self.is_reporting = self.rng.random() < 0.4, self.rng.random() < 0.5
        self.asked = 0

    def add(self, kind, trial, attempt, data):
        self.events.append(LogEvent(kind, trial, attempt, data, 1e9 + len(self.events) / 7))

    def perf(self):
        """Of few values, so that some are equal."""
        values = [self.rng.randint(-4, 4) / 2 for _ in range(self.n)]
        return values[0] if self.n == 1 else values

    def ask(self):
        hp, fidelity, more = {"x": self.rng.random(), "c": self.rng.randrange(3)}, self.rng.choice(self.levels), {}
        source = self.rng.choice(self.ended) if self.ended and self.rng.random() < 0.4 else None
        info = {"fidelity": 3, "hp": {}} if self.rng.random() < 0.1 else {}
        if source is not None and self.rng.random() < 0.2:
            more = {"fork": source[0]}
            source = None
        elif source is not None:
            hp = source[1]
        if source is None and self.rng.random() < 0.1:
            info = {"known": True}
        number, self.asked = self.asked, self.asked + 1
        resume = None if source is None else source[0]
        data = {"hp": hp, "fidelity": fidelity, "resume": resume, "pid": 0, "seed": number, "info": info, **more}
        self.add("ask", number, 0, data)
        self.running[number] = (hp, 0, fidelity)
        if "known" in info:
            self.end(number, "COMPLETE")

    def go_on(self, number):
        hp, attempt, fidelity = self.running[number]
        if not attempt or self.rng.random() < 0.1:
            if attempt:
                self.add("interrupt", number, attempt, {"state": self.rng.choice(["LOST", "CANCELLED"]), "error": ""})
            self.add("start", number, attempt + 1, {"slot": 0})
            self.running[number] = (hp, attempt + 1, fidelity)
        elif self.is_reporting and self.rng.random() < 0.5:
            self.add("report", number, attempt, {"fidelity": self.rng.randint(1, 9), "perf": self.perf()})
        else:
            self.end(number, self.rng.choice(["COMPLETE"] * 5 + ["STOPPED", "FAILED"]))

    def end(self, number, state):
        hp, attempt, _ = self.running.pop(number)
        data = {"state": state, "perf": None, "fidelity": None, "error": ""}
        if state == "FAILED":
            data["error"] = 'Traceback:\n  it\'s "bad" \\ ü'
        else:
            data["perf"] = self.perf()
            self.ended.append((number, hp))
        if state == "STOPPED" and (not self.is_reporting or self.rng.random() < 0.9):
            data["fidelity"] = float(self.rng.randint(1, 9))
        if state != "FAILED" and self.has_constraints and self.rng.random() < 0.7:
            data["constraints"] = {"a": self.rng.randint(-1, 1), "b": float(self.rng.randint(-1, 1))}
        self.add("end", number, attempt, data)
        if self.rng.random() < 0.1:
            self.add("late", number, attempt, {**data})

    def confirm(self, best):
        """Train some of the trials anew, the best among them."""
        chosen = list(dict.fromkeys([best, *(number for number, _ in self.ended[:2])]))
        hps, number = dict(self.ended), 0
        for repeat in range(3):
            for confirmed in chosen:
                number -= 1
                info = {"confirms": confirmed, "repeat": repeat} | ({"default": True} if confirmed == 0 else {})
                data = {"hp": hps[confirmed], "fidelity": None, "resume": None, "pid": 0, "seed": repeat, "info": info}
                self.add("ask", number, 0, data)
                self.running[number] = (hps[confirmed], 1, None)
                self.add("start", number, 1, {"slot": 0})
                state = "FAILED" if self.rng.random() < 0.05 else "COMPLETE"
                perf = None if state == "FAILED" else self.rng.random()
                self.add("end", number, 1, {"state": state, "perf": perf, "fidelity": None, "error": ""})


def written(path, events, mode):
    """A store with these events."""
    store = SQLiteStore(path)
    store.open()
    header = {
        "algorithm": "random",
        "options": {"seed": 0, "mode": to_json(mode)},
        "space": SPACE.to_dict(),
        "name": "r",
    }
    store.begin(header)
    store.append(events, sync=False)
    store.close()


@pytest.mark.parametrize("mode", MODES, ids=str)
def test_they_are_those_of_the_whole_log(tmp_path, mode):
    """Whatever happened: objectives, constraints, fidelities, resumed and forked trials, failures, confirmed ones."""
    n_quick = 0
    for seed in range(30):
        log = RandomLog(seed, mode)
        for _ in range(log.rng.choice([3, 40, 200])):
            if log.running and log.rng.random() < 0.75:
                log.go_on(log.rng.choice(sorted(log.running)))
            else:
                log.ask()
        path = tmp_path / f"{seed}.db"
        written(path, log.events, mode)
        whole = Result.load(path)
        if log.ended and log.n == 1 and seed % 2:
            path = tmp_path / f"{seed}-confirmed.db"
            log.confirm(whole.best.number)
            written(path, log.events, mode)
            whole = Result.load(path)
        k = log.rng.choice([1, 2, 7])
        quick = load_leading(path, k)
        if not log.ended:
            with pytest.raises(NoResultError) as first:
                whole.best
            with pytest.raises(NoResultError, match=str(first.value)[:20]):
                quick.best
            continue
        assert quick.best == whole.best
        assert quick.pareto == whole.pareto
        assert quick.top(k) == whole.top(k)
        assert (quick.confirmed, quick.winner) == (whole.confirmed, whole.winner)
        assert (quick.chosen, quick.name, quick.algorithm) == (whole.chosen, whole.name, whole.algorithm)
        store = SQLiteStore(path, read_only=True)
        n_quick += read_leading(store, SPACE, Objectives.of(mode), k) is not None
        store.close()
    assert n_quick >= 15  # else it is the whole log that was compared with itself


@pytest.mark.parametrize("name", ["hyperband", "asha", "median_stopping", "random"])
def test_they_are_those_of_a_real_run(tmp_path, name):
    """With promotions, stopped trials and reports."""

    def f(hps, trial):
        for epoch in range(1, 10):
            yield hps["x"] - 1 / epoch

    path = tmp_path / "run.db"
    more = {} if name == "random" else {"min_fidelity": 1, "max_fidelity": 9}
    more = {} if name == "median_stopping" else more
    hpo = build_hpo_from_name(name, [RangeHP("x", 0.0, 1.0)], f, max_evals=40, seed=0, **more)
    hpo.optimize(store=path, progress=False, **({"confirm": 2} if name == "random" else {}))
    quick, whole = load_leading(path, 5), Result.load(path)
    assert (quick.best, quick.top(5), quick.confirmed) == (whole.best, whole.top(5), whole.confirmed)
    assert len(quick) < len(whole)


@pytest.fixture
def path(tmp_path):
    """A store with a hundred trials."""
    events = []
    for number in range(100):
        data = {"hp": {"x": number / 100, "c": 0}, "fidelity": None, "resume": None, "pid": 0, "seed": 1, "info": {}}
        end = {"state": "COMPLETE", "perf": number / 100, "fidelity": None, "error": ""}
        events += [
            LogEvent("ask", number, 0, data),
            LogEvent("start", number, 1, {"slot": 0}),
            LogEvent("end", number, 1, end),
        ]
    written(tmp_path / "run.db", events, "max")
    return tmp_path / "run.db"


def change(path, statement):
    """Change a file behind the back of its store."""
    with sqlite3.connect(path) as db:
        db.execute(statement)
    db.close()


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE events SET data = replace(data, '0.5', '0.6') WHERE kind = 'ask' AND trial = 50",
        "UPDATE events SET data = replace(data, '0.5', '0.6') WHERE kind = 'end' AND trial = 50",
        "UPDATE events SET trial = 101 WHERE kind = 'end' AND trial = 99",
        "DELETE FROM events WHERE kind = 'start' AND trial = 7",
        "DELETE FROM events WHERE kind = 'end' AND trial = 99",
        "UPDATE events SET data = '{}' WHERE kind = 'start' AND trial = 99",
    ],
)
def test_damage_is_found_in_all_that_the_answer_rests_on(path, statement):
    """Suggestions, ends, all of the best trial, and whether anything is missing."""
    assert load_leading(path).best.number == 99
    change(path, statement)
    with pytest.raises(StoreCorruptError, match="damaged|is missing"):
        load_leading(path)


def test_other_rows_are_left_to_the_check(path):
    """What a trial that is not the best reported, or where it ran, changes nothing."""
    change(path, "UPDATE events SET data = '{}' WHERE kind = 'start' AND trial = 7")
    assert load_leading(path).best.number == 99
    with pytest.raises(StoreCorruptError):
        Result.load(path)


def test_very_many_are_read_from_the_whole_log(path):
    """Then nothing is gained by picking them out."""
    assert load_leading(path, 5_000).trials == Result.load(path).trials


def test_a_space_of_ones_own_is_taken(path):
    """Where only the program knows the values."""
    things = SearchSpace([RangeHP("x", 0.0, 1.0), ChoiceHP("c", [math.sin, math.cos, math.tan])])
    assert load_leading(path, space=things).best.hp["c"] is math.sin


def test_events_of_trials_are_those_of_the_log(path):
    """In their order; also where so many are wanted that the log is read as a whole."""
    store = SQLiteStore(path, read_only=True)
    assert events_of(store, [5, 3]) == [event for event in store.events() if event.trial in (3, 5)]
    assert events_of(store, range(5_000)) == list(store.events())
    store.close()
