"""Torn and flipped files: some of what ``torn.py`` does at length."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torn

from autohpo.errors import StoreCorruptError
from autohpo.store import LogEvent, SQLiteStore, repair


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> torn.Live:
    """A run that was killed."""
    return torn.live(tmp_path_factory.mktemp("live"), 120)


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    logging.getLogger("autohpo").setLevel(logging.ERROR)
    yield
    logging.getLogger("autohpo").setLevel(logging.NOTSET)


def faults(counts: Any) -> dict[str, int]:
    """The counts that must be zero and are not."""
    return {name: counts[name] for name in torn.MUST_BE_ZERO if counts[name]}


def test_a_cut_log_loses_nothing_that_was_acknowledged_before_the_cut(run: torn.Live, tmp_path: Path) -> None:
    """Whether it still opens, or repair is needed."""
    counts = torn.cuts(run, tmp_path, 60)
    assert faults(counts) == {}, counts
    assert counts["after_full_commit"] > 30
    assert counts["corrupt"] > 10


def test_a_flipped_byte_is_found_or_harmless_and_repair_saves_the_rest(run: torn.Live, tmp_path: Path) -> None:
    """In the database, in its log, and in the lock file."""
    counts = torn.flips(run, tmp_path, 60)
    assert faults(counts) == {}, counts
    assert counts["repairs"] > 10


def test_a_store_that_loses_an_event_is_found(run: torn.Live, tmp_path: Path) -> None:
    """The checks can fail: one that opens without its last events, or with a wrong one, is a fault."""

    def forgets(path: Path, *, is_reader: bool) -> tuple[str, list[LogEvent]]:
        return "told", list(run.events[:10])

    def invents(path: Path, *, is_reader: bool) -> tuple[str, list[LogEvent]]:
        return "told", [run.events[0]._replace(data={"hp": {}})]

    assert {"lost", "silent"} <= set(faults(torn.cuts(run, tmp_path, 8, open_as=forgets)))
    assert {"silent", "invented"} <= set(faults(torn.flips(run, tmp_path, 5, open_as=invents)))


def test_repair_keeps_held_and_late_ends_apart(tmp_path: Path) -> None:
    """An end that waits for its turn stays one, and one of an attempt that was given up does not become one."""
    from autohpo import RangeHP, SearchSpace
    from autohpo.objectives import Objectives
    from autohpo.store import RunState

    path, space = tmp_path / "run.db", [RangeHP("x", 0.0, 1.0)]
    ask = {"hp": {"x": 0.5}, "fidelity": None, "resume": None, "pid": 0, "seed": 1, "info": {}}
    end = {"state": "COMPLETE", "perf": 0.25, "fidelity": None, "error": ""}
    gone = {"state": "LOST", "error": ""}
    events = [LogEvent("ask", i, 0, ask, 1.0) for i in range(2)]
    events += [LogEvent("start", 0, 1, {"slot": 0}, 2.0), LogEvent("interrupt", 0, 1, gone, 3.0)]
    events += [LogEvent("start", 0, 2, {"slot": 0}, 4.0), LogEvent("late", 0, 1, end, 5.0)]
    events += [LogEvent("start", 1, 1, {"slot": 1}, 6.0), LogEvent("late", 1, 1, end, 7.0)]
    with contextlib.closing(SQLiteStore(path)) as store:
        store.open()
        header = {"algorithm": "random", "options": {"seed": 0, "mode": "max"}, "space": SearchSpace(space).to_dict()}
        store.begin({**header, "schedule": "deterministic"})
        store.append(events)
    assert repair(path, tmp_path / "saved.db").n_written == len(events)
    for kept in (path, tmp_path / "saved.db"):
        with contextlib.closing(SQLiteStore(kept, read_only=True)) as store:
            state = RunState(SearchSpace(space), Objectives.of("max")).follow(store.events())
        assert (state.attempts[0].held, state.n_late) == (None, 1)
        assert state.attempts[1].held is not None


def test_the_header_of_a_damaged_store_is_not_guessed(run: torn.Live, tmp_path: Path) -> None:
    """A byte of its text that differs is damage, not another run."""
    room = torn.Room(run, tmp_path)
    data = room.whole("run.db")
    at = data.index(b'"algorithm"')
    path = room.make("run.db", data[:at] + b'"ALGORITHM"' + data[at + 11 :])
    with contextlib.closing(SQLiteStore(path)) as store, pytest.raises(StoreCorruptError):
        store.open()
        store.begin({})
