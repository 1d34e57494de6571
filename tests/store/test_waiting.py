"""Stores that cannot be written for a while: they wait, say so once, and give up with an error of their own kind."""

from __future__ import annotations

import sqlite3
import subprocess
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from autohpo.errors import OptionError, StoreFullError, StoreGoneError, StoreLockedError, StoreWarning
from autohpo.store import LogEvent, SQLiteStore, waiting
from autohpo.store import sqlite as sqlite_store

Python = Callable[..., subprocess.Popen[str]]


def report(i: int) -> LogEvent:
    """An event."""
    return LogEvent("report", 0, 1, {"fidelity": i, "perf": 0.5, "note": "x" * 3000}, 1.0)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SQLiteStore]:
    """An open store that is patient for a short while."""
    store = SQLiteStore(tmp_path / "run.db", wait_seconds=0.3)
    store.open()
    store.begin({"seed": 1})
    yield store
    store.close()


def append_all(store: SQLiteStore, n: int) -> None:
    """Append events."""
    for i in range(n):
        store.append([report(i)])


def fill(store: SQLiteStore) -> int:
    """Leave the file no room to grow, and append until that shows."""
    store._db.execute("PRAGMA max_page_count = 1")  # SQLite makes it the pages there are
    for i in range(100):
        try:
            store.append([report(i)])
        except StoreFullError:
            return i
    raise AssertionError("there was always room")


def test_a_store_that_gets_room_again_goes_on_and_says_once_that_it_waits(store: SQLiteStore) -> None:
    """Nothing is lost, and the event that had to wait is there once."""
    store._waiting = waiting.Waiting(store.path, 10)
    store._db.execute("PRAGMA max_page_count = 1")
    pauses: list[float] = []

    def pause(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 3:
            store._db.execute("PRAGMA max_page_count = 10000")

    store.pause = pause  # type: ignore[method-assign]
    with pytest.warns(StoreWarning, match="cannot grow: its disk is full.*; waiting up to 10 s") as said:
        append_all(store, 10)
    assert len(said) == 1
    assert pauses == sorted(pauses)
    assert [event.data["fidelity"] for event in store.events()] == list(range(10))


@pytest.mark.filterwarnings("ignore::autohpo.errors.StoreWarning")
def test_a_disk_that_stays_full_is_an_error_that_says_what_is_not_saved(store: SQLiteStore) -> None:
    """It comes after the wait, names the results that are held, and after it nothing waits any more."""
    n = fill(store)
    end = LogEvent("end", 7, 1, {"state": "COMPLETE", "perf": 0.25, "error": "x" * 3000}, 1.0)
    began = time.monotonic()
    with pytest.raises(StoreFullError, match="1 event is not saved; everything before is"):
        store.append([end])
    assert time.monotonic() - began < 0.2  # it has waited before
    assert len(list(store.events())) == n


@pytest.mark.filterwarnings("ignore::autohpo.errors.StoreWarning")
def test_the_results_that_are_held_are_named(store: SQLiteStore) -> None:
    """A user may write them down."""
    store._db.execute("PRAGMA max_page_count = 1")
    ends = [LogEvent("end", i, 1, {"state": "COMPLETE", "perf": i / 4, "error": "x" * 3000}, 1.0) for i in range(9)]
    with pytest.raises(
        StoreFullError, match=r"9 events are not saved, .* trial 0 \(COMPLETE, perf 0\.0\), .* 4 more; "
    ):
        store.append(ends)


def test_a_pause_that_says_no_ends_the_wait(store: SQLiteStore) -> None:
    """A driver's does where the user presses Ctrl-C twice."""
    store._waiting = waiting.Waiting(store.path, 60)
    store.pause = lambda seconds: False  # type: ignore[method-assign]
    with closing(sqlite3.connect(store.path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        began = time.monotonic()
        with pytest.raises(StoreLockedError, match="is locked by another process, such as a backup"):
            store.append([report(0)])
        assert time.monotonic() - began < 2
        other.execute("ROLLBACK")


def test_a_file_that_another_process_locks_for_long_is_said_once_and_then_waited_for(
    store: SQLiteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A short lock is nobody's concern."""
    monkeypatch.setattr(waiting, "QUIET_SECONDS", 0.4)
    store._waiting = waiting.Waiting(store.path, 20)
    for seconds, n_said in [(0.05, 0), (0.9, 1)]:
        other = sqlite3.connect(store.path, isolation_level=None, check_same_thread=False)
        other.execute("BEGIN IMMEDIATE")
        timer = threading.Timer(seconds, other.execute, ["COMMIT"])
        timer.start()
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            store.append([report(0)])
        timer.join()
        other.close()
        assert len(said) == n_said
    assert len(list(store.events())) == 2


@pytest.mark.filterwarnings("ignore::autohpo.errors.StoreWarning")
@pytest.mark.parametrize("what", ["removed", "replaced"])
def test_a_file_that_goes_away_is_noticed(store: SQLiteStore, monkeypatch: pytest.MonkeyPatch, what: str) -> None:
    """The open file still takes what is written, but nobody would ever find that again."""
    monkeypatch.setattr(sqlite_store, "LOOK_SECONDS", 0.0)
    store.append([report(0)])
    store.path.rename(store.path.with_name("moved.db"))
    if what == "replaced":
        store.path.write_bytes(b"")
    with pytest.raises(StoreGoneError, match=what):
        store.append([report(1)])


def test_a_file_that_comes_back_is_taken_again(store: SQLiteStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """It was moved by mistake."""
    monkeypatch.setattr(sqlite_store, "LOOK_SECONDS", 0.0)
    store._waiting = waiting.Waiting(store.path, 20)
    moved = store.path.with_name("moved.db")
    store.path.rename(moved)
    store.pause = lambda seconds: moved.rename(store.path)  # type: ignore[method-assign]
    with pytest.warns(StoreWarning, match="was removed or moved while the search wrote to it"):
        store.append([report(0)])
    assert len(list(store.events())) == 1


@pytest.mark.parametrize("seconds", [-1, float("nan"), True, None, "60"])
def test_a_time_to_wait_is_a_number_of_seconds(tmp_path: Path, seconds: object) -> None:
    """Said when the store is made, and not when its disk is full."""
    with pytest.raises(OptionError, match="wait_seconds: must be a number of seconds"):
        SQLiteStore(tmp_path / "run.db", wait_seconds=seconds)  # type: ignore[arg-type]
