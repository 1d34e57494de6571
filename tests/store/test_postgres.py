"""The PostgreSQL store: one driver, nothing lost, nothing twice, whatever happens to process, connection and server."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # pytest imports test files by their path alone

from postgres_server import Server
from postgres_shared import cut, kept, numbers, report, session_of

from autohpo import RangeHP, Result, build_hpo_from_name
from autohpo.errors import (
    NoRunError,
    RunBusyError,
    StoreCorruptError,
    StoreError,
    StoreOfflineError,
    StoreWarning,
)
from autohpo.store import LogEvent, PostgresStore
from autohpo.store.postgres_studies import remove_study
from autohpo.testing import STORE_CHECKS
from autohpo.testing.checks import Check
from autohpo.testing.store_case import StoreCase

Trials = Callable[..., list[LogEvent]]
Python = Callable[..., subprocess.Popen[str]]

WRITE = """
import sys
from autohpo.store import LogEvent, PostgresStore
store = PostgresStore(sys.argv[1])
store.open()
for i in range(int(sys.argv[2])):
    store.append([LogEvent("ask", i, 0, {"x": i}, 1.0), LogEvent("end", i, 1, {"perf": i / 7}, 2.0)], sync=i % 2 == 0)
    print(i, flush=True)
"""


@pytest.fixture
def driver(study: str, header: Mapping[str, object]) -> Iterator[PostgresStore]:
    """An open store that is patient for a short while."""
    store = PostgresStore(study, wait_seconds=0.3)
    store.open()
    store.begin(header)
    yield store
    store.close()


# The contract.


@pytest.mark.parametrize("check", STORE_CHECKS, ids=str)
def test_it_conforms(check: Check, server: Server, study: str) -> None:
    """Every check that SQLite passes, too."""

    def read(name: str) -> PostgresStore:
        return PostgresStore(f"{study}.{name}", read_only=True)

    def destroy(name: str) -> None:
        try:
            remove_study(f"{study}.{name}")
        except NoRunError:
            return

    case = StoreCase(lambda name: PostgresStore(f"{study}.{name}"), read, destroy)
    check.run(case)


def test_a_search_is_the_one_that_memory_and_sqlite_have(study: str) -> None:
    """And goes on under every form of the URL, which `Result.load` and warm starts read, too."""

    def search(store: str | None, n: int, **more: Any) -> list[Any]:
        hpo = build_hpo_from_name("tpe", [RangeHP("x", 0.0, 1.0)], lambda hps: hps["x"], max_evals=n, seed=0)
        hpo.optimize(store=store, progress=False, **more)
        return [(trial.number, dict(trial.hp), trial.perf) for trial in hpo.result]

    whole = search(None, 15)
    assert search(study, 4) == whole[:4]
    assert search(study.replace("postgresql:", "postgres:") + "?connect_timeout=20", 15) == whole
    loaded = Result.load(study)
    assert [(trial.number, dict(trial.hp), trial.perf) for trial in loaded] == whole
    assert loaded.files is not None
    assert loaded.files.parent == Path.cwd()
    warm = search(None, 20, warm_start=study)
    assert [perf for _, _, perf in warm[:15]] == [perf for _, _, perf in whole]


# The death of a driver, and two of them.


def test_what_was_appended_survives_the_kill_of_its_writer(server: Server, study: str, python: Python) -> None:
    """Synced or not; and the next driver has the study as soon as the session of the dead one is gone."""
    writer = python(WRITE, study, 100_000)
    assert writer.stdout is not None
    acknowledged = [int(writer.stdout.readline()) for _ in range(40)][-1]
    writer.kill()
    acknowledged = max([acknowledged, *map(int, writer.stdout.read().split())])
    writer.wait()
    store = PostgresStore(study)
    ends = time.monotonic() + 30
    while True:
        try:
            store.open()
            break
        except RunBusyError:
            assert time.monotonic() < ends
            time.sleep(0.01)
    events = list(store.events())
    store.close()
    assert len(events) in (2 * acknowledged + 2, 2 * acknowledged + 4)  # the one more was not told any more
    assert [event.trial for event in events[::2]] == list(range(len(events) // 2))


def test_a_second_driver_is_refused_with_the_name_of_the_first(
    server: Server, driver: PostgresStore, study: str, python: Python
) -> None:
    """In this process and in another one."""
    with pytest.raises(RunBusyError, match=rf"is in use by this very process \({os.getpid()}\)"):
        PostgresStore(study).open()
    code = WRITE.replace("store.open()", "try: store.open()\nexcept Exception as error: sys.exit(print(error))")
    other = python(code, study, 1)
    assert other.stdout is not None
    said = other.stdout.read()
    assert f"is in use by process {os.getpid()} on {os.uname().nodename}, since 20" in said
    driver.append([report(0)])
    assert numbers(driver) == [0]


@pytest.mark.parametrize("act", ["close", "append"])
def test_a_fork_does_not_take_the_connection_along(server: Server, driver: PostgresStore, act: str) -> None:
    """A child that an objective forks ends, and closes what it has: the driver goes on, in the same session."""
    driver.append([report(0)], sync=False)
    session = session_of(server, driver)
    child = os.fork()
    if not child:
        with contextlib.suppress(StoreError):
            driver.close() if act == "close" else driver.append([report(9)])
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    driver.append([report(1)])
    assert numbers(driver) == [0, 1]
    assert session_of(server, driver) == session


# The death of a connection, and of a server.


def test_a_connection_that_was_cut_is_made_again_without_a_word(server: Server, driver: PostgresStore) -> None:
    """Nothing is lost or twice, and the search need not know."""
    for i in range(6):
        driver.append([report(i)], sync=i % 2 == 0)
        cut(server, driver)
    assert numbers(driver) == list(range(6))


@pytest.mark.parametrize("is_sync", [True, False])
def test_a_commit_whose_answer_was_lost_is_not_made_twice(
    server: Server, driver: PostgresStore, monkeypatch: pytest.MonkeyPatch, is_sync: bool
) -> None:
    """The server has the events, and the driver has not heard of it."""
    link = driver._link
    honest = type(link).count
    lost: list[str] = []

    def count(self: Any, statement: str, values: Any = ()) -> int:
        n = honest(self, statement, values)
        if self is link and "INSERT" in statement and not lost:
            lost.append(statement)
            self.close()
            raise StoreOfflineError("store: the connection broke")
        return n

    driver.append([report(0)], sync=False)
    monkeypatch.setattr(type(link), "count", count)
    driver.append([report(1), report(2)], sync=is_sync)
    driver.append([report(3)])
    assert lost
    assert numbers(driver) == [0, 1, 2, 3]


def test_an_interrupt_between_a_commit_and_its_note_loses_nothing(
    driver: PostgresStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same events are appended once more, with younger ones, as a search does; they are there once."""
    link = driver._link
    honest = type(link).count

    def count(self: Any, statement: str, values: Any = ()) -> int:
        honest(self, statement, values)
        monkeypatch.setattr(type(link), "count", honest)
        raise KeyboardInterrupt

    monkeypatch.setattr(type(link), "count", count)
    with pytest.raises(KeyboardInterrupt):
        driver.append([report(0), report(1)])
    driver.append([report(0), report(1), report(2)])
    assert numbers(driver) == [0, 1, 2]


@pytest.mark.filterwarnings("ignore::autohpo.errors.StoreWarning")
def test_a_server_that_is_killed_gets_again_what_it_had_not_synced(server: Server, driver: PostgresStore) -> None:
    """An append that need not be synced survives the server, as long as the driver lives; the log has no hole."""
    driver._waiting._wait_seconds = 60.0
    driver.append([report(0)])
    server.restart(is_kill=True)
    n_all, n_left = 1, 1
    for _ in range(
        10
    ):  # the server writes what is not synced by itself, now and then: perhaps just before it is killed
        driver.append([report(n_all)])
        for i in range(n_all + 1, n_all + 8):
            driver.append([report(i)], sync=False)
        n_all += 8
        server.restart(is_kill=True)
        n_left = server.sql("SELECT count(*) FROM autohpo.events WHERE study = %s", [driver._study])[0][0]
        if n_left < n_all:
            break
    assert n_left < n_all  # else the test shows nothing
    driver.append([report(n_all)], sync=False)
    driver.append([])
    server.restart(is_kill=True)
    assert kept(driver._text) == list(range(n_all + 1))


def test_a_search_goes_on_when_its_server_was_restarted(server: Server, study: str) -> None:
    """It waits, says so once, and finds what it would have found."""

    def search(store: str | None, restarts: dict[int, bool]) -> list[Any]:
        calls: list[float] = []
        started: list[Any] = []

        def f(hps: dict[str, Any]) -> float:
            calls.append(hps["x"])
            if len(calls) in restarts:
                server.stop(is_kill=restarts[len(calls)])
                started.append(server.start_later(0.3))
            return hps["x"] ** 2

        hpo = build_hpo_from_name("random", [RangeHP("x", 0.0, 1.0)], f, max_evals=10, seed=0)
        hpo.optimize(store=store, progress=False)
        assert len(calls) == 10
        for one in started:
            one.result()
        return [(trial.number, trial.attempt, trial.perf) for trial in hpo.result]

    whole = search(None, {})
    with pytest.warns(StoreWarning, match="cannot be reached.*; waiting up to 300 s") as said:
        assert search(study, {3: False, 7: True}) == whole
    assert len(said) == 2
    assert [(trial.number, trial.attempt, trial.perf) for trial in Result.load(study)] == whole


def test_a_server_that_stays_away_is_an_error_that_says_what_is_not_saved(
    server: Server, driver: PostgresStore
) -> None:
    """A driver's pause is called meanwhile, and ends the wait where it returns False."""
    pauses: list[float] = []
    driver.append([report(0)])
    driver._waiting._wait_seconds = 60.0

    def pause(seconds: float) -> bool:
        pauses.append(seconds)
        return len(pauses) < 3

    driver.pause = pause  # type: ignore[method-assign]
    server.stop()
    try:
        with (
            pytest.warns(StoreWarning, match="cannot be reached"),
            pytest.raises(StoreOfflineError, match="1 event is not saved; everything before is"),
        ):
            driver.append([report(1)])
        with pytest.raises(StoreOfflineError, match="cannot be reached: connection"):
            PostgresStore(driver._text, read_only=True)
    finally:
        server.start()
    assert len(pauses) == 3
    assert kept(driver._text) == [0]


def test_a_reader_connects_again(server: Server, driver: PostgresStore, study: str) -> None:
    """A page that is open for days outlives a restart."""
    driver.append([report(0)])
    reader = PostgresStore(study, read_only=True)
    server.sql(
        "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity "
        "WHERE usename = %s AND pid <> pg_backend_pid() AND pid <> %s",
        ["tester", session_of(server, driver)],
    )
    assert numbers(reader) == [0]
    reader.close()


def test_events_of_somebody_else_in_the_place_of_ours_are_noticed(server: Server, driver: PostgresStore) -> None:
    """When the connection is made again, what is there is compared with what was written."""
    driver.append([report(0)], sync=False)
    server.sql("UPDATE autohpo.events SET time = 7 WHERE study = %s", [driver._study])
    cut(server, driver)
    with pytest.raises(StoreCorruptError, match="has other events than this search has written to it"):
        driver.append([report(1)])
    driver._log = None
