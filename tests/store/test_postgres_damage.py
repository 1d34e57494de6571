"""Studies in PostgreSQL that are damaged, newer, not allowed, or elsewhere: typed errors, and what can be saved."""

from __future__ import annotations

import logging
import socket
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from itertools import islice
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # pytest imports test files by their path alone

from postgres_server import PASSWORD, Server

from autohpo import RangeHP, Result, build_hpo_from_name
from autohpo.errors import NoRunError, StoreCorruptError, StoreError, StoreOfflineError, StoreWarning
from autohpo.store import LogEvent, PostgresStore, copy_run, open_store
from autohpo.store.postgres_salvage import repair_study
from autohpo.store.postgres_studies import look, remove_study, reserve_study, studies_of


def search(store: str | Path, n: int = 6) -> Result:
    """A search of some trials."""
    hpo = build_hpo_from_name("tpe", [RangeHP("x", 0.0, 1.0)], lambda hps: hps["x"], max_evals=n, seed=0)
    hpo.optimize(store=store, progress=False)
    assert hpo.result is not None
    return hpo.result


@pytest.fixture
def number(server: Server, study: str) -> int:
    """The number of a study with a run in it."""
    search(study)
    found = look(study)
    assert found is not None
    return found.number


DAMAGE = {
    "a changed value": "UPDATE autohpo.events SET data = replace(data, '0.', '1.') WHERE study = %s AND seq = 3",
    "a changed number": "UPDATE autohpo.events SET trial = 999 WHERE study = %s AND seq = 5",
    "a changed time": "UPDATE autohpo.events SET time = time + 1 WHERE study = %s AND seq = 5",
    "no JSON": "UPDATE autohpo.events SET data = 'x' WHERE study = %s AND seq = 4",
    "a hole": "DELETE FROM autohpo.events WHERE study = %s AND seq = 7",
    "no beginning": "DELETE FROM autohpo.events WHERE study = %s AND seq = 1",
    "no end": "DELETE FROM autohpo.events WHERE study = %s AND seq > 12",
    "more than was counted": "UPDATE autohpo.drivers SET n_events = n_events - 1 WHERE study = %s",
    "a changed header": "UPDATE autohpo.studies SET header = replace(header, 'tpe', 'random') WHERE id = %s",
    "no header": "UPDATE autohpo.studies SET header = 'x' WHERE id = %s",
    "another folder": "UPDATE autohpo.studies SET files = '/etc' WHERE id = %s",
}


@pytest.mark.parametrize("what", DAMAGE)
def test_whatever_is_changed_by_hand_is_noticed(server: Server, study: str, number: int, what: str) -> None:
    """By a driver and, but for rows that nobody has counted yet, by a reader."""
    server.sql(DAMAGE[what], [number])
    with pytest.raises(StoreCorruptError, match=rf"{server.place('study-')}\d+ is damaged: "):
        search(study, 9)
    if what != "more than was counted":
        with pytest.raises(StoreCorruptError, match="is damaged: "):
            Result.load(study)
    assert look(study) is not None
    assert look(study).holder is None  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("what", "n_lost", "has_header"),
    [("a changed value", 1, True), ("a hole", 1, True), ("no end", 6, True), ("a changed header", 0, False)],
)
def test_what_is_whole_of_a_damaged_study_is_saved(
    server: Server, study: str, number: int, tmp_path: Path, what: str, n_lost: int, has_header: bool
) -> None:
    """Into a file, with which the search can go on."""
    server.sql(DAMAGE[what], [number])
    made = repair_study(study, tmp_path / "saved.db")
    assert (made.n_lost, made.has_header, made.n_found) == (n_lost, has_header, 18 - n_lost)
    assert PASSWORD not in str(made)
    result = search(tmp_path / "saved.db", 9)
    assert len(result) == 9
    with pytest.raises(StoreError, match="exists already"):
        repair_study(study, tmp_path / "saved.db")
    with pytest.raises(NoRunError, match="does not exist"):
        repair_study(f"{study}-none", tmp_path / "none.db")


def test_a_server_that_lost_what_it_had_confirmed_is_not_written(server: Server, study: str) -> None:
    """An older copy of the database has come in its place: the search must not go on as if nothing had happened."""
    search(study)
    with closing(PostgresStore(study)) as store:
        store.open()
        server.sql("DELETE FROM autohpo.events WHERE study = %s AND seq > 9", [store._study])
        server.sql("UPDATE autohpo.drivers SET n_events = 9 WHERE study = %s", [store._study])
        with pytest.raises(StoreCorruptError, match="has 9 of the 18 events that its server had confirmed"):
            store.append([LogEvent("report", 0, 1, {"fidelity": 1.0, "perf": 0.5}, 1.0)])
        store._log = None


# Releases and rights.


def test_a_newer_release_is_named_and_nothing_changed(server: Server, study: str, number: int) -> None:
    """Both its tables and its rows."""
    with restored(server, number):
        server.sql("UPDATE autohpo.studies SET format = 99 WHERE id = %s", [number])
        for act in (lambda: Result.load(study), lambda: search(study)):
            with pytest.raises(
                StoreError, match="has format 99, of a newer autohpo; this one, .* reads formats up to 2"
            ):
                act()
        server.sql("UPDATE autohpo.about SET format = 99")
        for act in (lambda: Result.load(study), lambda: search(study), lambda: studies_of(study)):
            with pytest.raises(StoreError, match="has tables of format 99, of a newer autohpo"):
                act()
    assert len(Result.load(study)) == 6


@contextmanager
def restored(server: Server, number: int) -> Iterator[None]:
    """Gives a study and the tables the formats back that they had."""
    try:
        yield
    finally:
        server.sql("UPDATE autohpo.about SET format = 1")
        server.sql("UPDATE autohpo.studies SET format = 2 WHERE id = %s", [number])


@pytest.fixture
def reader(server: Server) -> Iterator[Callable[[str], str]]:
    """A user who may read, and no more: gives their URL of a study."""
    server.sql(f"CREATE ROLE reader LOGIN PASSWORD '{PASSWORD}'")
    server.sql("GRANT USAGE ON SCHEMA autohpo TO reader")
    server.sql("GRANT SELECT ON ALL TABLES IN SCHEMA autohpo TO reader")
    yield lambda url: url.replace("//tester:", "//reader:")
    server.sql("DROP OWNED BY reader")
    server.sql("DROP ROLE reader")


def test_who_may_only_read_reads_and_is_told_what_is_missing(
    server: Server, study: str, number: int, reader: Callable[[str], str]
) -> None:
    """A driver that has it shows as one, too."""
    url = reader(study)
    assert len(Result.load(url)) == 6
    assert [one.n_asked for one in studies_of(url) if one.name == study.rpartition("/")[2]] == [6]
    with closing(PostgresStore(study)) as store:
        store.open()
        found = look(url)
        assert found is not None
        assert found.holder == store.driver
    with pytest.raises(StoreError, match="permission denied .*; docs/postgresql.md says which rights a user needs"):
        search(url, 9)
    with pytest.raises(StoreError, match="permission denied"):
        remove_study(url)


def test_a_database_without_tables_holds_no_study(server: Server, study: str) -> None:
    """Nothing is made there by who only looks."""
    server.sql("CREATE DATABASE bare", database="postgres")
    try:
        url = server.url("run", database="bare")
        for act in (lambda: Result.load(url), lambda: remove_study(url)):
            with pytest.raises(NoRunError, match="bare/run does not exist"):
                act()
        assert studies_of(url) == []
        assert look(url) is None
        assert server.sql("SELECT to_regnamespace('autohpo')", database="bare") == [(None,)]
        reserve_study(url)
        with closing(open_store(url, read_only=True)) as store:
            assert store.header is None
        with pytest.raises(NoRunError, match="bare/run holds no run yet"):
            Result.load(url)
    finally:
        server.sql("DROP DATABASE bare WITH (FORCE)", database="postgres")


# The folder of the files.


def test_checkpoints_are_in_one_folder_wherever_the_search_goes_on(
    server: Server, study: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That of the working directory when the study began; a study of the same name that comes later has another one."""
    search(study)
    folder = Result.load(study).files
    assert folder is not None
    name = study.rpartition("/")[2]
    assert (folder.parent, folder.name[:-15]) == (tmp_path, name)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert search(study, 9).files == folder
    assert open_store(study).files == folder
    remove_study(study)
    later = search(study).files
    assert later is not None
    assert later.parent == tmp_path / "elsewhere"
    assert later.name != folder.name


def test_a_folder_that_several_hosts_share_may_be_named(
    server: Server, study: str, tmp_path: Path, number: int
) -> None:
    """Then or later; the name in it stays."""
    first = open_store(study).files
    shared = tmp_path / "shared"
    assert search(f"{study}?files={shared}", 7).files == shared / first.name
    assert open_store(study).files == shared / first.name
    fresh = open_store(f"{study}-new?files={shared}")
    folder = fresh.files
    assert folder.parent == shared
    fresh.open()
    assert fresh.files == folder
    fresh.close()


def test_a_host_without_the_folder_is_told_where_it_is(server: Server, study: str, number: int, tmp_path: Path) -> None:
    """Its search begins trainings anew that the other host had begun."""
    place = tmp_path / "gone" / open_store(study).files.name
    server.sql("UPDATE autohpo.studies SET files = %s, host = 'far' WHERE id = %s", [str(place), number])
    with pytest.warns(StoreWarning, match=r"the checkpoints and logs of .* are in .*/gone/.* on far; here they begin"):
        search(study, 7)
    assert len(Result.load(study)) == 7  # who only reads is told nothing
    server.sql("UPDATE autohpo.studies SET host = %s WHERE id = %s", [socket.gethostname(), number])
    search(study, 8)


# Copies.


def test_a_copy_is_whole_or_refused(server: Server, study: str, number: int, tmp_path: Path) -> None:
    """Between any two kinds of store, with all events and the header."""
    with (
        closing(open_store(study, read_only=True)) as source,
        closing(open_store(tmp_path / "run.db")) as target,
        closing(open_store(f"{study}-again")) as back,
    ):
        target.open()
        assert copy_run(source, target) == 18
        back.open()
        assert copy_run(target, back) == 18
        assert list(back.events()) == list(target.events()) == list(source.events())
        assert back.header == target.header == source.header
        with pytest.raises(StoreError, match="must be new, but holds a run already"):
            copy_run(source, back)
        server.sql(DAMAGE["a changed value"], [number])
        with closing(open_store(f"{study}-third")) as third:
            third.open()
            with pytest.raises(StoreCorruptError, match="event 3 is not what was written"):
                copy_run(source, third)
    whole = search("memory:", 12)
    for store in (tmp_path / "run.db", f"{study}-again"):
        assert [trial.perf for trial in search(store, 12)] == [trial.perf for trial in whole]


def test_a_copy_that_does_not_come_back_as_it_was_written_is_told(
    study: str, number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is read again, and compared event by event."""
    with (
        closing(open_store(study, read_only=True)) as source,
        closing(open_store(tmp_path / "run.db")) as target,
    ):
        target.open()
        honest = target.events
        monkeypatch.setattr(target, "events", lambda after=0: islice(honest(after), 17))
        with pytest.raises(StoreCorruptError, match="does not give back what was written: 17 of 18 events"):
            copy_run(source, target)


# Secrets.


def test_a_server_that_says_the_password_is_not_quoted(study: str) -> None:
    """Neither in the error, nor in the one that it comes from."""
    with closing(PostgresStore(study)) as store:
        store.open()
        with pytest.raises(StoreError, match="got the password \\*\\*\\*, and not") as caught:
            store._link.rows(f"DO $$ BEGIN RAISE EXCEPTION 'got the password {PASSWORD}, and not another'; END $$")
    assert PASSWORD not in "".join(traceback.format_exception(caught.value))


def test_no_password_is_in_any_text(
    server: Server, study: str, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    """Errors, logs, warnings, names of objects, and all that is kept in the database and in the folder of the files."""
    caplog.set_level(logging.DEBUG)
    texts: list[str] = []
    wrong = study.replace("//tester:", "//nobody:")
    dead = study.replace(f":{server.port}/", ":1/")
    for url in (wrong, dead, f"{study}?sslmode=x", study.replace("/lab/", "/none/")):
        for act in (lambda: search(url), lambda: Result.load(url), lambda: studies_of(url)):  # noqa: B023
            with pytest.raises(StoreError) as caught:
                act()
            texts += [str(caught.value), "".join(traceback.format_exception(caught.value))]
            assert isinstance(caught.value, StoreOfflineError)
    search(study)
    search(study, 9)
    store = open_store(study)
    store.open()
    texts += [repr(store), str(store), str(store.path), repr(vars(store)["_url"]), repr(store.header)]
    with pytest.raises(StoreError) as caught:
        search(study, 12)
    texts.append(str(caught.value))
    store.close()
    for table in ("studies", "drivers", "events"):
        texts.append(str(server.sql(f"SELECT * FROM autohpo.{table}")))
    texts += [path.read_text(errors="replace") for path in store.files.rglob("*") if path.is_file()]
    texts += [caplog.text, *capfd.readouterr()]
    assert len(texts) > 20
    for text in texts:
        assert PASSWORD not in text
        assert "canary" not in text
