"""The PostgreSQL store: one driver, nothing lost, nothing twice, whatever happens to process, connection and server."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # pytest imports test files by their path alone

from postgres_server import Server

from autohpo import RangeHP, Result, build_hpo_from_name
from autohpo.errors import (
    MissingExtraError,
    NoRunError,
    RunBusyError,
    StoreCorruptError,
    StoreError,
    StoreFullError,
    StoreGoneError,
    StoreLockedError,
    StoreOfflineError,
    StoreWarning,
)
from autohpo.store import LogEvent, PostgresStore, open_store, postgres_log
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


def report(i: int) -> LogEvent:
    """An event."""
    return LogEvent("report", 0, 1, {"fidelity": i, "perf": 0.5}, 1.0 + i)


def numbers(store: PostgresStore) -> list[int]:
    """Which of the events of :func:`report` a store has."""
    return [event.data["fidelity"] for event in store.events()]


def kept(study: str) -> list[int]:
    """Which of the events of :func:`report` a study has, for one who only reads."""
    with closing(PostgresStore(study, read_only=True)) as store:
        return numbers(store)


@pytest.fixture
def driver(study: str, header: Mapping[str, object]) -> Iterator[PostgresStore]:
    """An open store that is patient for a short while."""
    store = PostgresStore(study, wait_seconds=0.3)
    store.open()
    store.begin(header)
    yield store
    store.close()


def session_of(server: Server, store: PostgresStore) -> int:
    """The session of the server that a driver has."""
    found = server.sql("SELECT backend FROM autohpo.drivers WHERE study = %s", [store._study])
    return int(found[0][0])


def cut(server: Server, store: PostgresStore) -> None:
    """End the session of a driver, and wait until it is gone."""
    session = session_of(server, store)
    server.sql("SELECT pg_terminate_backend(%s, 10000)", [session])


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


# Fencing.


def test_a_driver_that_was_cut_off_adds_nothing_to_what_its_successor_has_begun(
    server: Server, driver: PostgresStore, study: str
) -> None:
    """Whether the successor works on, or has ended."""
    driver.append([report(0)], sync=False)
    cut(server, driver)
    successor = PostgresStore(study)
    successor.open()
    with pytest.raises(RunBusyError, match=r"is in use by .*; wait until it ends"):
        driver.append([report(1)])
    successor.append([report(7)])
    successor.close()
    with pytest.raises(RunBusyError, match=r"was taken over by process .* while this process had no connection"):
        driver.append([report(1)])
    driver._log = None  # there is nothing that closing could save
    assert kept(study) == [0, 7]


def test_nothing_is_written_in_an_old_epoch_even_over_an_open_connection(
    server: Server, driver: PostgresStore, header: Mapping[str, object]
) -> None:
    """A pooler may lend another session, which has no lock: the epoch is checked in the very statement that writes."""
    driver.append([report(0)], sync=False)
    server.sql("UPDATE autohpo.drivers SET epoch = epoch + 1 WHERE study = %s", [driver._study])
    for act in (lambda: driver.append([report(1)]), lambda: driver.append([])):
        with pytest.raises(RunBusyError, match="was taken over"):
            act()
    server.sql("UPDATE autohpo.studies SET header = NULL WHERE id = %s", [driver._study])
    with pytest.raises(RunBusyError, match="was taken over"):
        driver.begin(header)
    driver._log = None
    assert kept(driver._text) == [0]


@pytest.mark.filterwarnings("ignore::autohpo.errors.StoreWarning")
def test_an_old_connection_that_the_server_still_has_is_ended(server: Server, driver: PostgresStore) -> None:
    """Where the network broke, the server may hold the lock for a session that nobody will ever use again."""
    driver._waiting._wait_seconds = 60.0
    driver.append([report(0)])
    old = driver._link._connection  # kept, so that it stays open
    driver._link._connection = None
    driver.append([report(1)])
    assert old is not None
    assert numbers(driver) == [0, 1]
    old.close()


# What may pass by itself.


def test_a_row_that_another_session_locks_is_waited_for(server: Server, driver: PostgresStore) -> None:
    """The wait can be interrupted, as it is made of short ones; one that is short is nobody's concern."""
    driver._waiting._wait_seconds = 60.0
    with server.session() as other, other.transaction():
        other.execute("SELECT * FROM autohpo.drivers WHERE study = %s FOR UPDATE", [driver._study])
        paused = threading.Event()

        def pause(seconds: float) -> bool:
            other.rollback() if other.autocommit is False else other.execute("ROLLBACK")
            paused.set()
            return True

        driver.pause = pause  # type: ignore[method-assign]
        driver.append([report(0)])
        assert paused.is_set()
        other.execute("BEGIN")
    assert numbers(driver) == [0]


def test_a_disk_that_is_full_is_waited_for(server: Server, driver: PostgresStore) -> None:
    """And what could not be written is there once, as soon as there is room."""
    driver._waiting._wait_seconds = 60.0
    server.sql("""
        CREATE FUNCTION no_room() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN RAISE EXCEPTION 'could not extend file: No space left on device' USING ERRCODE = '53100'; END $$
    """)
    server.sql("CREATE TRIGGER full_disk BEFORE INSERT ON autohpo.events EXECUTE FUNCTION no_room()")

    def pause(seconds: float) -> bool:
        server.sql("DROP FUNCTION no_room CASCADE")
        return True

    driver.pause = pause  # type: ignore[method-assign]
    with pytest.warns(StoreWarning, match="cannot grow: the disk of its server is full.*No space left"):
        driver.append([report(0)])
    assert numbers(driver) == [0]


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("53100", StoreFullError),
        ("58030", StoreFullError),
        ("55P03", StoreLockedError),
        ("57014", StoreLockedError),
        ("40P01", StoreLockedError),
        ("57P03", StoreOfflineError),
        ("53300", StoreOfflineError),
        ("25006", StoreOfflineError),
        ("42P01", StoreGoneError),
        ("XX001", StoreCorruptError),
        ("42501", StoreError),
        ("23514", StoreError),
        ("P0001", StoreError),
    ],
)
def test_every_error_of_the_server_is_one_of_ours(driver: PostgresStore, code: str, kind: type[StoreError]) -> None:
    """Told apart by its code, and never by its text, which has the language of the server."""
    statement = f"DO $$ BEGIN RAISE EXCEPTION 'nein' USING ERRCODE = '{code}'; END $$"
    with pytest.raises(StoreError, match="nein") as caught:
        driver._link.rows(statement)
    assert type(caught.value) is kind


@pytest.mark.filterwarnings("ignore::autohpo.errors.StoreWarning")
def test_a_study_that_is_removed_meanwhile_is_noticed(server: Server, driver: PostgresStore) -> None:
    """By hand, as a driver keeps others from it."""
    with pytest.raises(RunBusyError):
        remove_study(driver._text)
    server.sql("DELETE FROM autohpo.studies WHERE id = %s", [driver._study])
    with pytest.raises(StoreGoneError, match="was removed while the search wrote to it; after .* 1 event is not saved"):
        driver.append([report(0)])
    driver._log = None


# What is synced.


def test_an_append_with_sync_is_on_disk_and_so_is_all_before_it(server: Server, driver: PostgresStore) -> None:
    """One without is on its way there; an empty one syncs what is not synced yet, and else does nothing."""
    places = "SELECT pg_current_wal_insert_lsn() > pg_current_wal_flush_lsn(), pg_current_wal_insert_lsn()"

    def look() -> tuple[bool, str]:
        return driver._link.rows(places)[0]  # type: ignore[return-value]

    for act, is_pending in [
        (lambda: driver.append([report(0)]), False),
        (lambda: driver.append([report(1)], sync=False), True),
        (lambda: driver.append([report(2)], sync=True), False),
        (lambda: driver.append([report(3)], sync=False), True),
        (lambda: driver.append([], sync=False), True),
        (lambda: driver.append([], sync=True), False),
    ]:
        act()
        assert look()[0] is is_pending
    before = look()
    driver.append([])
    driver.append([], sync=False)
    assert look() == before
    driver.append([report(4)], sync=False)
    driver.close()
    assert server.sql(places)[0][0] is False


def test_a_server_that_syncs_nothing_by_default_syncs_what_it_must(server: Server, study: str) -> None:
    """A default of ``off`` is no answer to ``sync=True``; a stronger one, for a standby, is kept."""
    server.sql("ALTER ROLE tester SET synchronous_commit = off")
    try:
        store = PostgresStore(study)
        store.open()
        assert store._link.strong == "on"
        store.append([report(0)])
        pending = store._link.rows("SELECT pg_current_wal_insert_lsn() > pg_current_wal_flush_lsn()")
        assert pending == [(False,)]
        store.close()
        server.sql("ALTER ROLE tester SET synchronous_commit = remote_apply")
        with_standby = PostgresStore(study)
        with_standby.open()
        assert with_standby._link.strong == "remote_apply"
        with_standby.close()
    finally:
        server.sql("ALTER ROLE tester RESET synchronous_commit")


def test_what_is_kept_until_it_is_synced_has_a_limit(driver: PostgresStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody who never syncs does not fill the memory."""
    monkeypatch.setattr(postgres_log, "MOST_UNSYNCED", 5)
    for i in range(20):
        driver.append([report(i)], sync=False)
        assert driver._log is not None
        assert len(driver._log._unsynced) <= 5
    assert numbers(driver) == list(range(20))


# Many at once.


def test_eight_studies_of_one_database_run_side_by_side(server: Server, study: str) -> None:
    """Each in a thread with its own connection, the first of them while the tables are made."""
    server.sql("DROP SCHEMA autohpo CASCADE")
    failed: list[BaseException] = []

    def search(k: int) -> None:
        try:
            hpo = build_hpo_from_name("random", [RangeHP("x", 0.0, 1.0)], lambda hps: hps["x"], max_evals=12, seed=k)
            with warnings.catch_warnings():
                hpo.optimize(store=f"{study}-{k}", executor="serial", progress=False)
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=search, args=[k]) for k in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    for k in range(8):
        assert Result.load(f"{study}-{k}").counts() == {"COMPLETE": 12}


def test_psycopg_is_an_extra(study: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its absence is told with what to install, and nothing else needs it."""
    monkeypatch.setitem(sys.modules, "psycopg", None)
    store = open_store(study)
    with pytest.raises(MissingExtraError, match=r"psycopg is not installed: pip install 'autohpo\[postgres\]'"):
        store.open()
