"""Salvage: every whole event of a damaged store, in a new one that a search can go on with; the old one as it was."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from autohpo import RangeHP, Result, build_hpo_from_name
from autohpo.errors import RunBusyError, StoreCorruptError, StoreError
from autohpo.store import LogEvent, SQLiteStore, check, repair
from autohpo.store.pages import search

Trials = Callable[..., list[LogEvent]]
PAGE = 4096


def run(path: Path, n: int, name: str = "random") -> Any:
    """Run or go on with a search, and return its result."""

    def f(hp: dict[str, float], trial: Any) -> float:
        trial.report(hp["x"], 1)
        return hp["x"]

    hpo = build_hpo_from_name(name, [RangeHP("x", 0.0, 1.0)], f, max_evals=n, seed=0)
    hpo.optimize(store=path, progress=False)
    return hpo.result


def events_of(path: Path) -> list[LogEvent]:
    """The events of a store."""
    with closing(SQLiteStore(path, read_only=True)) as store:
        return list(store.events())


@pytest.fixture
def long(tmp_path: Path, trial_events: Trials) -> tuple[Path, list[LogEvent]]:
    """A closed store with values of every size, some on pages of their own, and its events."""
    draw, path = random.Random(0), tmp_path / "run.db"
    store = SQLiteStore(path)
    store.open()
    store.begin({"algorithm": "random", "options": {"seed": 1}, "note": "x" * 9000})
    for i in range(40):
        events = trial_events(i, perf=draw.choice([draw.random(), float(i)]))
        error = "x" * draw.choice([0, 900, 4000, 4040, 4090, 8200, 30_000])
        events[-1] = events[-1]._replace(data={**events[-1].data, "error": error, "state": "COMPLETE"}, time=float(i))
        store.append(events)
    events = list(store.events())
    store.close()
    return path, events


def test_a_whole_store_is_taken_over_as_it_is(long: tuple[Path, list[LogEvent]]) -> None:
    """All events, in their order, and the header; the report says that nothing is lost."""
    path, events = long
    before = path.read_bytes()
    report = repair(path)
    assert (report.n_found, report.n_lost, report.n_written, dict(report.dropped)) == (len(events), 0, len(events), {})
    assert report.to == path.with_name("run.repaired.db")
    assert events_of(report.to) == events
    with closing(SQLiteStore(report.to, read_only=True)) as new, closing(SQLiteStore(path, read_only=True)) as old:
        assert new.header == old.header
    assert path.read_bytes() == before
    with pytest.raises(StoreError, match=r"run\.repaired\.db exists already"):
        repair(path)


def test_every_row_is_found_without_the_pages_that_lead_to_it(long: tuple[Path, list[LogEvent]]) -> None:
    """Also where the first page, which knows the tables, and the heads of all others are gone."""
    path, events = long
    data = bytearray(path.read_bytes())
    data[:100] = bytes(100)
    leaves = [at for at in range(PAGE, len(data), PAGE) if data[at] == 0x0D]
    for at in leaves:
        data[at : at + 8] = b"\xff" * 8
    path.write_bytes(data)
    with pytest.raises(StoreCorruptError, match="autohpo repair"):
        SQLiteStore(path).open()
    found = search(path)
    assert list(found.rows) == [event.seq for event in events]
    assert len(found.headers) >= 1
    assert not check(path).is_whole


def test_what_is_found_is_what_was_not_touched(long: tuple[Path, list[LogEvent]]) -> None:
    """An oracle: rows of one page whose text is as it was written, at the place where it was written."""
    path, events = long
    whole, draw = path.read_bytes(), random.Random(1)
    texts = {e.seq: f'"seed": {e.trial}, "info"'.encode() for e in events if e.kind == "ask"}
    places = {seq: whole.index(text) for seq, text in texts.items()}
    for _ in range(10):
        data, at = bytearray(whole), draw.randrange(PAGE, len(whole), PAGE)
        data[at : at + PAGE] = bytes(PAGE)
        path.write_bytes(data)
        expected = {seq for seq, place in places.items() if not at <= place < at + PAGE}
        assert {seq for seq in search(path).rows if seq in texts} == expected


def test_events_behind_damage_in_the_write_ahead_log_are_found(tmp_path: Path, trial_events: Trials) -> None:
    """SQLite sees the two before it alone; and the main file may be missing altogether."""
    store = SQLiteStore(tmp_path / "run.db")
    store.open()
    store.begin({"algorithm": "random", "options": {"seed": 1}})
    assert store._checkpoints is not None
    store._checkpoints.close()
    store._checkpoints = None
    for i in range(30):
        store.append(trial_events(i))
    events = list(store.events())
    wal = bytearray((tmp_path / "run.db-wal").read_bytes())
    store.close()
    wal[len(wal) // 4] ^= 1
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "run.db-wal").write_bytes(wal)
    report = repair(tmp_path / "b" / "run.db")
    assert len(events) - 4 <= report.n_found <= len(events)


def test_a_search_goes_on_with_what_was_salvaged(tmp_path: Path) -> None:
    """Trials whose suggestion is lost are gone with all that belongs to them, and the others have moved up."""
    path = tmp_path / "run.db"
    perfs = [trial.perf for trial in run(path, 20)]
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("UPDATE events SET data = '{}' WHERE kind = 'ask' AND trial = 3")
        db.execute("UPDATE events SET data = '{}' WHERE kind = 'end' AND trial = 5")
        db.execute("UPDATE events SET data = '{}' WHERE kind = 'start' AND trial = 7")
    report = repair(path)
    assert (report.n_found, report.n_lost, len(report.lost)) == (80 - 3, 3, 3)
    assert dict(report.dropped) == {"the suggestion of its trial is lost": 3}
    assert report.is_renumbered
    kept = Result.load(report.to)
    assert [t.number for t in kept] == list(range(19))
    assert [t.perf for t in kept] == [None if i == 5 else perfs[i] for i in range(20) if i != 3]
    result = run(report.to, 25)
    assert [t.number for t in result if t.perf is not None] == list(range(25))
    assert check(report.to).is_whole
    text = str(report)
    assert "77 events" in text
    assert "3 are lost" in text


def test_a_store_whose_header_is_lost_takes_that_of_the_next_search(tmp_path: Path) -> None:
    """The user has to know what it was."""
    path = tmp_path / "run.db"
    run(path, 8)
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("UPDATE header SET crc = 7")
    report = repair(path, tmp_path / "new.db")
    assert not report.has_header
    assert "what kind of run it was is lost" in str(report)
    assert len(run(report.to, 10)) == 10


def test_what_cannot_be_salvaged_is_said(tmp_path: Path) -> None:
    """No file, nothing in it, or a driver that has it."""
    with pytest.raises(StoreError, match="does not exist"):
        repair(tmp_path / "run.db")
    for use in (repair, check):
        with pytest.raises(StoreError, match="is a folder"):
            use(tmp_path)
        with pytest.raises(StoreError, match="path: must be the path of a file, got 3"):
            use(3)  # type: ignore[operator]
    (tmp_path / "text.db").write_text("lr,perf\n" * 1000)
    with pytest.raises(StoreError, match="no event of a run can be read"):
        repair(tmp_path / "text.db")
    store = SQLiteStore(tmp_path / "run.db")
    store.open()
    for use in (repair, check):
        with pytest.raises(RunBusyError):
            use(tmp_path / "run.db")
    store.close()
    assert sorted(path.suffix for path in tmp_path.iterdir()) == [".db", ".db", ".lock"]


def test_a_look_at_a_store_says_whether_it_is_whole(tmp_path: Path) -> None:
    """And what is wrong, where SQLite, a checksum or the order of events says so; nothing is changed."""
    path = tmp_path / "run.db"
    run(path, 8)
    found = check(path)
    assert (found.is_whole, found.n_events, found.n_found) == (True, 32, 32)
    assert str(found) == f"{path} is whole: 32 events"
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("UPDATE events SET attempt = 3 WHERE seq = 8")
    before = path.read_bytes()
    found = check(path)
    assert (found.is_whole, found.n_found) == (False, 31)
    assert "event 8 is not what was written" in found.problems[0]
    assert path.read_bytes() == before
