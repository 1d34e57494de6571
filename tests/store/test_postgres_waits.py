"""The PostgreSQL store: who may write, what is waited for, what is synced, and many at once."""

from __future__ import annotations

import subprocess
import sys
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # pytest imports test files by their path alone

from postgres_server import Server
from postgres_shared import cut, kept, numbers, report

from autohpo import RangeHP, Result, build_hpo_from_name
from autohpo.errors import (
    MissingExtraError,
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

Trials = Callable[..., list[LogEvent]]
Python = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def driver(study: str, header: Mapping[str, object]) -> Iterator[PostgresStore]:
    """An open store that is patient for a short while."""
    store = PostgresStore(study, wait_seconds=0.3)
    store.open()
    store.begin(header)
    yield store
    store.close()


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
