"""The validator at the door: rows with whole checksums that autohpo never writes are damage, named by their number."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from autohpo import ChoiceHP, RangeHP, Result, build_hpo_from_name
from autohpo.errors import StoreCorruptError
from autohpo.report.html import write_html_from_store
from autohpo.store import LogEvent
from autohpo.store.batches import are_usual
from autohpo.store.checked import MAX_DEPTH, BadValueError, check_data, is_shallow, parse_json
from autohpo.store.rows import crc_of

SPACE = [RangeHP("x", 0.0, 1.0), RangeHP("n", 1, 8), ChoiceHP("act", ["relu", "tanh"])]
ASK = {"hp": {"x": 0.5, "n": 3, "act": 1}, "fidelity": None, "resume": None, "pid": 0, "seed": 7, "info": {}}
END = {"state": "COMPLETE", "perf": 0.5, "fidelity": None, "error": ""}


def build(n: int) -> Any:
    """An optimizer."""
    return build_hpo_from_name("random", SPACE, lambda hp: hp["x"], max_evals=n, seed=0)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A store of five trials: the third is asked in event 7, started in 8, and ends in 9."""
    build(5).optimize(store=tmp_path / "run.db", progress=False)
    return tmp_path / "run.db"


def change(path: Path, seq: int, **columns: Any) -> None:
    """Write other columns into a row, with a checksum that holds."""
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        for name, value in columns.items():
            db.execute(f"UPDATE events SET {name} = ? WHERE seq = ?", (value, seq))
        row = db.execute("SELECT * FROM events WHERE seq = ?", (seq,)).fetchone()
        db.execute("UPDATE events SET crc = ? WHERE seq = ?", (crc_of(*row[:-1]), seq))


def change_data(path: Path, seq: int, **values: Any) -> None:
    """Write other values into the data of a row, with a checksum that holds."""
    with closing(sqlite3.connect(path)) as db:
        data = json.loads(db.execute("SELECT data FROM events WHERE seq = ?", (seq,)).fetchone()[0])
    change(path, seq, data=json.dumps({**data, **values}))


def expect_refused(path: Path, why: str) -> None:
    """Pass a store that nobody takes, neither to go on, nor to look at, nor to begin with."""
    for use in (
        lambda: build(8).optimize(store=path, progress=False),
        lambda: Result.load(path),
        lambda: write_html_from_store(path, path.with_suffix(".html")),
        lambda: build(3).optimize(warm_start=path, progress=False),
    ):
        with pytest.raises(StoreCorruptError, match=why) as caught:
            use()
        assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    ("seq", "values", "why"),
    [
        (7, {"hp": []}, "event 7 .*hp and info must be dicts"),
        (7, {"hp": {"x": 9.0, "n": 3, "act": 1}}, "event 7 .*x: must be a value of"),
        (7, {"hp": {"x": 0.5, "n": "3", "act": 1}}, "event 7 .*hp must be a configuration"),
        (7, {"hp": {"x": 0.5, "n": 3, "act": 9}}, "event 7 .*hp must be a configuration"),
        (7, {"hp": {"x": 0.5, "n": 3}}, "event 7 .*act"),
        (7, {"seed": 10**30}, "event 7 .*seed must be integers of a usual size"),
        (7, {"resume": 2}, "event 7 .*continues trial 2, which was never asked"),
        (7, {"info": {"a": [[[[1e308 * 10]]]]}}, "event 7 .*finite"),
        (8, {"slot": None}, "event 8 .*slot must be an integer"),
        (9, {"state": "GREAT"}, "event 9 .*state must be how a trial ends"),
        (9, {"state": "FAILED"}, "event 9 .*a trial that is FAILED has no perf"),
        (9, {"perf": "0.5"}, "event 9 .*perf must be finite"),
        (9, {"perf": 10**400}, "event 9 .*"),
        (9, {"perf": [0.5, 0.5]}, "event 9 .*it has 2 results of 1 objectives"),
        (9, {"constraints": {"a": None}}, "event 9 .*constraints must be a dict of numbers"),
        (9, {"cost": "free"}, "event 9 .*cost must be a number"),
    ],
    ids=str,
)
def test_data_that_autohpo_never_writes_is_damage(path: Path, seq: int, values: dict[str, Any], why: str) -> None:
    """Whatever is done with the store: an error of one kind, with the row."""
    change_data(path, seq, **values)
    expect_refused(path, why)


@pytest.mark.parametrize(
    ("seq", "columns", "why"),
    [
        (7, {"data": "NaN"}, "event 7 .*numbers must be finite"),
        (7, {"data": "{}, {}"}, "event 7 .*data must be JSON"),
        (7, {"data": "[" * 100_000}, "event 7 .*deep"),
        (7, {"data": '{"a": ' + "9" * 9000 + "}"}, "event 7 .*"),
        (7, {"data": b"{}"}, "event 7 .*data must be a text, got bytes"),
        (7, {"kind": "party"}, "event 7 .*kind 'party'"),
        (7, {"trial": -2}, "event 7 .*trial -2"),
        (7, {"trial": 2**62}, "event 7 .*the next trial is 2"),
        (8, {"attempt": 4}, "event 8 .*the next attempt is 1"),
        (8, {"trial": 4}, "event 8 .*the trial was never asked"),
        (9, {"kind": "report"}, "event 9 .*fidelity must be a number"),
        (9, {"attempt": 2}, "event 9 .*attempt 1 is the last that was started"),
    ],
    ids=str,
)
def test_rows_that_make_no_sense_or_contradict_each_other_are_damage(
    path: Path, seq: int, columns: dict[str, Any], why: str
) -> None:
    """The order of events is checked, too: nothing ends that was not asked."""
    change(path, seq, **columns)
    expect_refused(path, why)


@pytest.mark.parametrize(
    ("header", "why"),
    [
        ([], "it must be a dict"),
        ({"options": {"seed": -1, "mode": "max"}}, "seed must be an integer"),
        ({"options": [], "space": {}}, "options must be a dict"),
        ({"options": {"seed": 0}, "space": {}}, "its header has no mode"),
        ({"options": {"seed": 0, "mode": "up"}, "space": {}}, "its header has no mode"),
        ({"options": {"seed": 0, "mode": "max"}, "space": 3}, "its header has no space"),
    ],
    ids=str,
)
def test_a_header_that_autohpo_never_writes_is_damage(path: Path, header: Any, why: str) -> None:
    """A reader says what is wrong with it; a driver also where it is that of another run."""
    text = json.dumps(header)
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("UPDATE header SET data = ?, crc = ?", (text, crc_of(text)))
    with pytest.raises(StoreCorruptError, match=why):
        Result.load(path)


def test_what_autohpo_writes_passes() -> None:
    """Every kind, with all it may say."""
    for kind, data in [
        ("ask", ASK),
        ("ask", {**ASK, "fidelity": 3.0, "resume": 0, "fork": 0, "info": {"rung": 1, "deep": [[{"a": 1.5}]]}}),
        ("start", {"slot": 3}),
        ("report", {"fidelity": 1, "perf": -0.5}),
        ("end", END),
        ("end", {**END, "perf": [0.5, 1], "constraints": {"a": -1.0}, "metrics": {"b": 2}, "cost": 1.5, "why": "x"}),
        ("end", {"state": "CRASHED", "perf": None, "fidelity": None, "error": "killed"}),
        ("late", END),
        ("interrupt", {"state": "LOST", "error": "the driver died"}),
    ]:
        assert check_data(kind, data) == "", (kind, data)
    assert LogEvent("ask", 0, 0, ASK).data is ASK


ODD = [None, True, 0, -1, 0.5, -0.5, 2**63, 10**400, float("nan"), float("inf"), "", "x", "FAILED", "STOPPED", [], {}]


def test_a_batch_of_events_passes_only_where_each_of_them_does() -> None:
    """Each value of each kind is replaced by odd ones, or missing, beside an event that is as usual."""
    usual = {"ask": ASK, "start": {"slot": 3}, "report": {"fidelity": 1, "perf": -0.5}, "end": {**END, "cost": 1.5}}
    usual |= {"late": END, "interrupt": {"state": "LOST", "error": "the driver died"}}
    n_passed = 0
    for kind, data in usual.items():
        first = LogEvent(kind, 0, 1, data)  # type: ignore[arg-type]
        assert are_usual([first, first])
        changed = [{**data, name: odd} for name in [*data, "fork", "metrics"] for odd in ODD]
        changed += [{key: value for key, value in data.items() if key != name} for name in data]
        for other in [*changed, [], None]:
            is_fine = are_usual([first, LogEvent(kind, 1, 1, other)])  # type: ignore[arg-type]
            assert not is_fine or check_data(kind, other) == "", (kind, other)
            n_passed += is_fine
    assert n_passed > 30
    assert not are_usual([LogEvent("party", 0)])  # type: ignore[arg-type]


def test_depth_is_counted() -> None:
    """Up to the limit it is shallow."""
    deep: Any = 1
    for _ in range(MAX_DEPTH - 1):
        deep = [deep]
    assert is_shallow(deep)
    assert not is_shallow([[deep]])
    with pytest.raises(BadValueError, match="finite"):
        parse_json('{"a": Infinity}')
