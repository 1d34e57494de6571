"""Searches whose store cannot be written for a while: they hold what runs, start nothing, and lose nothing."""

from __future__ import annotations

import errno
import subprocess
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from autohpo import RangeHP, Result, build_hpo_from_name
from autohpo.errors import StoreFullError, StoreGoneError, StoreWarning
from autohpo.execution import starting
from autohpo.store import SQLiteStore, waiting
from autohpo.store import sqlite as sqlite_store

SPACE = [RangeHP("x", 0.0, 1.0)]


def search(f: Any, store: Any, n: int, **options: Any) -> Any:
    """Run a search, and return its optimizer."""
    hpo = build_hpo_from_name("random", SPACE, f, max_evals=n, seed=0)
    hpo.optimize(store=store, progress=False, **options)
    return hpo


def value(hp: dict[str, float], trial: Any) -> float:
    """An objective that takes a moment and leaves a long name, so that the file grows."""
    time.sleep(0.005)
    return hp["x"]


@pytest.mark.parametrize("num_workers", [1, 2])
def test_a_search_whose_disk_is_full_for_a_while_goes_on_and_loses_nothing(tmp_path: Path, num_workers: int) -> None:
    """It is the search that it would have been: the same trials, each once."""
    store, times = SQLiteStore(tmp_path / "run.db", wait_seconds=20), []
    append = store.append

    def fill(*arguments: Any, **options: Any) -> None:
        times.append(time.monotonic())
        if len(times) == 30:
            store._db.execute("PRAGMA max_page_count = 1")  # SQLite makes it the pages there are
            threading.Timer(1.0, store._db.execute, ["PRAGMA max_page_count = 10000"]).start()
        append(*arguments, **options)

    store.append = fill  # type: ignore[method-assign]
    with pytest.warns(StoreWarning, match="its disk is full"):
        hpo = search(value, store, 60, num_workers=num_workers)
    kept = Result.load(tmp_path / "run.db")
    assert [t.number for t in kept if t.perf is not None] == list(range(60))
    assert [t.perf for t in kept] == [t.perf for t in hpo.result]


@pytest.mark.filterwarnings("ignore::autohpo.errors.StoreWarning")
def test_a_search_whose_disk_stays_full_ends_with_what_it_found_and_can_be_resumed(tmp_path: Path) -> None:
    """The results that are not saved are in the error and in the optimizer's result."""
    store = SQLiteStore(tmp_path / "run.db", wait_seconds=0.2)
    calls = []

    def fill(hp: dict[str, float]) -> float:
        calls.append(hp)
        if len(calls) == 6:
            store._db.execute("PRAGMA max_page_count = 1")
        return hp["x"]

    hpo = build_hpo_from_name("random", SPACE, fill, max_evals=200, seed=0)
    with pytest.raises(StoreFullError, match="not saved"):
        hpo.optimize(store=store, progress=False)
    kept = Result.load(tmp_path / "run.db")
    assert 5 <= len(kept) <= len(hpo.result) < 200
    again = search(lambda hp: hp["x"], tmp_path / "run.db", 20 + len(kept))
    assert len(again.result) == 20 + len(kept)


@pytest.mark.filterwarnings("ignore::autohpo.errors.StoreWarning")
def test_a_search_whose_store_is_removed_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It does not go on into the void."""
    monkeypatch.setattr(waiting, "GONE_SECONDS", 0.2)
    monkeypatch.setattr(sqlite_store, "LOOK_SECONDS", 0.05)

    def f(hp: dict[str, float], trial: Any) -> float:
        if trial.number == 3:
            (tmp_path / "run.db").unlink()
        time.sleep(0.02)
        return hp["x"]

    with pytest.raises(StoreGoneError, match=r"run\.db was removed or moved"):
        search(f, tmp_path / "run.db", 100)


def test_a_worker_that_the_system_lets_not_start_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """It says so once; a command that does not exist is no such case."""
    n_tries = []
    start = subprocess.Popen

    def refuse(*arguments: Any, **options: Any) -> Any:
        n_tries.append(1)
        if len(n_tries) < 3:
            raise BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")
        return start(*arguments, **options)

    monkeypatch.setattr(starting, "FIRST_PAUSE_SECONDS", 0.01)
    monkeypatch.setattr(starting.subprocess, "Popen", refuse)
    with pytest.warns(RuntimeWarning, match="the system lets no process start") as said:
        assert starting.start_process(["true"]).wait() == 0
    assert len(said) == 1
    with pytest.raises(FileNotFoundError):
        starting.start_process(["/nowhere/true"])
