"""The SQLite store: what it promises about its file, other processes, readers and a full disk."""

from __future__ import annotations

import ast
import contextlib
import os
import re
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

import autohpo.store
from autohpo.errors import RunBusyError, StoreCorruptError, StoreError
from autohpo.store import LogEvent, SQLiteStore
from autohpo.store.sqlite import APPLICATION_ID
from autohpo.store.waiting import Waiting

Trials = Callable[..., list[LogEvent]]
Python = Callable[..., subprocess.Popen[str]]

WRITE = """
import sys
from autohpo.store import LogEvent, SQLiteStore
store = SQLiteStore(sys.argv[1])
store.open()
for i in range(int(sys.argv[2])):
    store.append([LogEvent("ask", i, 0, {"x": i}, 1.0), LogEvent("end", i, 1, {"perf": i / 7}, 2.0)])
    print(i, flush=True)
"""
LOCK = """
import sqlite3, sys, time
db = sqlite3.connect(sys.argv[1], isolation_level=None)
db.execute("BEGIN IMMEDIATE")
print("locked", flush=True)
time.sleep(float(sys.argv[2]))
db.execute("COMMIT")
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the run is kept."""
    return tmp_path / "run.db"


@pytest.fixture
def run(path: Path, header: Mapping[str, object], trial_events: Trials) -> Iterator[SQLiteStore]:
    """An open store with a header and two trials."""
    store = SQLiteStore(path)
    store.open()
    store.begin(header)
    store.append(trial_events(0))
    store.append(trial_events(1))
    yield store
    store.close()


# What is kept.


def test_a_closed_store_opens_again_with_all_it_had(run: SQLiteStore, header: Mapping[str, object]) -> None:
    """Header and events are the same, and the places go on."""
    before = list(run.events())
    run.close()
    run.close()
    run.open()
    assert run.header == header
    assert list(run.events()) == before
    run.append([LogEvent("ask", 2, 0, {}, 1.0)])
    assert [event.seq for event in run.events(after=8)] == [9]


def test_a_store_that_is_not_open_says_so(path: Path) -> None:
    """Before open, and after close."""
    with pytest.raises(StoreError, match="is not open"):
        SQLiteStore(path).append([])


def test_a_header_passes_as_it_reads_after_being_saved(run: SQLiteStore, header: dict[str, object]) -> None:
    """A tuple is a list in JSON."""
    run.close()
    run.open()
    run.begin({**header, "space": tuple(header["space"])})  # type: ignore[arg-type]


@pytest.mark.parametrize("bad", [{1, 2}, float("nan"), float("inf"), b"x"], ids=repr)
def test_only_json_is_kept_and_nothing_of_what_came_with_other_things(run: SQLiteStore, bad: object) -> None:
    """No pickle ever: what JSON cannot carry is refused, and the text says so."""
    before = list(run.events())
    with pytest.raises(StoreError, match="JSON"):
        run.append([LogEvent("ask", 2, 0, {}, 1.0), LogEvent("end", 2, 1, {"perf": bad}, 1.0)])
    assert list(run.events()) == before


def test_no_module_of_the_store_can_run_code_that_a_file_holds() -> None:
    """None imports a module that unpickles or names a function that evaluates text."""
    forbidden = {"pickle", "cloudpickle", "dill", "marshal", "shelve", "joblib", "yaml"}
    calls = {"eval", "exec", "compile", "__import__", "load_extension", "enable_load_extension"}
    modules = list(Path(autohpo.store.__file__).parent.glob("*.py"))
    assert len(modules) >= 5
    for module in modules:
        for node in ast.walk(ast.parse(module.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import | ast.ImportFrom) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not forbidden & {name.split(".")[0] for name in names}, module
            called = getattr(node, "id", None) or getattr(node, "attr", None)
            assert called not in calls, module


# That it is kept for good.


@pytest.mark.parametrize("is_new", [True, False])
def test_every_commit_is_synchronous_in_a_write_ahead_log(run: SQLiteStore, is_new: bool) -> None:
    """SQLite's own answer, for a new file and for one opened again: 2 is FULL."""
    if not is_new:
        run.close()
        run.open()
    assert run._db.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert run._db.execute("PRAGMA synchronous").fetchone() == (2,)


def test_every_append_is_forced_to_disk(path: Path, python: Python, tmp_path: Path) -> None:
    """The system sees a sync of the write-ahead log for each of 20 appends."""
    if shutil.which("strace") is None:
        pytest.skip("needs strace")
    trace = tmp_path / "trace"
    strace = ["strace", "-f", "-y", "-e", "trace=fsync,fdatasync", "-o", str(trace)]
    environment = dict(os.environ, PYTHONPATH=str(Path(autohpo.__file__).parents[1]))
    done = subprocess.run([*strace, sys.executable, "-c", WRITE, str(path), "20"], env=environment, check=False)
    if done.returncode:
        pytest.skip("this system does not let strace look")
    synced = re.findall(r"f(?:data)?sync\(\d+<[^>]*run\.db-wal>\)\s+= 0", trace.read_text())
    assert len(synced) >= 20


def test_what_was_appended_survives_the_kill_of_its_writer(path: Path, python: Python) -> None:
    """Every append that returned is there, whole; one more may be: it was killed before it could say so."""
    writer = python(WRITE, path, 10**6)
    assert writer.stdout is not None
    while int(writer.stdout.readline()) < 50:
        pass
    writer.kill()
    acknowledged = 51 + len(writer.communicate()[0].split())
    store = SQLiteStore(path)
    store.open()
    events = list(store.events())
    store.close()
    assert len(events) in (2 * acknowledged, 2 * acknowledged + 2)
    assert [(e.kind, e.trial) for e in events] == [(k, i) for i in range(len(events) // 2) for k in ("ask", "end")]


# Others who want the same file.


def test_another_driver_is_refused_in_this_process_and_in_another(run: SQLiteStore, path: Path, python: Python) -> None:
    """And the store of the first one goes on as if nothing had been."""
    with pytest.raises(RunBusyError):
        SQLiteStore(path).open()
    other = python("import sys; from autohpo.store import SQLiteStore\nSQLiteStore(sys.argv[1]).open()", path)
    assert other.wait(30) != 0
    run.append([LogEvent("ask", 2, 0, {}, 1.0)])
    assert len(list(run.events())) == 9


def test_a_driver_takes_over_from_a_killed_one_with_all_it_had(path: Path, python: Python) -> None:
    """The lock and the file are free at once."""
    writer = python(WRITE, path, 10**6)
    assert writer.stdout is not None
    writer.stdout.readline()
    with pytest.raises(RunBusyError, match=str(writer.pid)):
        SQLiteStore(path).open()
    writer.kill()
    writer.wait()
    began = time.monotonic()
    store = SQLiteStore(path)
    store.open()
    assert time.monotonic() - began < 1
    assert len(list(store.events())) >= 2
    store.close()


def test_an_append_waits_while_another_process_locks_the_file(run: SQLiteStore, path: Path, python: Python) -> None:
    """A backup, for instance, takes a while: no error, and the append is there afterwards."""
    other = python(LOCK, path, 3.0)
    assert other.stdout is not None
    other.stdout.readline()
    began = time.monotonic()
    run.append([LogEvent("ask", 2, 0, {}, 1.0)])
    assert time.monotonic() - began > 2  # it did have to wait
    assert len(list(run.events())) == 9


def test_readers_and_the_writer_never_wait_for_each_other(run: SQLiteStore, path: Path, trial_events: Trials) -> None:
    """A reader in the middle of its reading sees one state, whatever is written meanwhile; a new read sees it all."""
    reader = SQLiteStore(path, read_only=True)
    reading = reader.events()
    first = next(reading)
    began = time.monotonic()
    run.append(trial_events(2))
    run._db.execute("BEGIN IMMEDIATE")  # the writer is in the middle of its writing
    assert [first, *reading] == list(run.events())[:8]
    assert len(list(reader.events())) == 12
    assert reader.header == run.header
    run._db.execute("COMMIT")
    assert time.monotonic() - began < 5  # the busy timeout is sixty
    reader.close()


def test_a_reader_needs_no_lock_and_writes_nothing(run: SQLiteStore, path: Path) -> None:
    """It sees what another process has just written, and its own attempts to write are refused."""
    reader = SQLiteStore(path, read_only=True)
    run.append([LogEvent("ask", 2, 0, {}, 1.0)])
    assert len(list(reader.events())) == 9
    with pytest.raises(StoreError, match="readonly"):
        reader.append([LogEvent("ask", 3, 0, {}, 1.0)])
    with pytest.raises(StoreError, match="to read only"):
        reader.open()
    reader.close()
    run.close()
    before = path.read_bytes(), (path.parent / "run.db.lock").read_bytes()
    reader = SQLiteStore(path, read_only=True)
    assert len(list(reader.events())) == 9
    reader.close()
    assert (path.read_bytes(), (path.parent / "run.db.lock").read_bytes()) == before


def test_a_reader_leaves_no_files(run: SQLiteStore, path: Path, trial_events: Trials) -> None:
    """Neither of a store at rest, nor where a driver came and went while it read; and the file stays as it is."""
    run.close()
    before = {one.name: (one.read_bytes(), one.stat().st_mtime_ns) for one in path.parent.iterdir()}
    reader = SQLiteStore(path, read_only=True)
    assert len(list(reader.events())) == 8
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        reader._db.execute("DELETE FROM events")
    reader.close()
    assert {one.name: (one.read_bytes(), one.stat().st_mtime_ns) for one in path.parent.iterdir()} == before
    reader = SQLiteStore(path, read_only=True)
    run.open()
    run.append(trial_events(2))
    run.close()
    assert len(list(reader.events())) == 12
    reader.close()
    assert {one.name for one in path.parent.iterdir()} == set(before)
    with contextlib.closing(SQLiteStore(path, read_only=True)) as again:
        assert len(list(again.events())) == 12


def test_a_reader_leaves_the_log_of_a_killed_driver_as_it_is(path: Path, python: Python) -> None:
    """What is not in the main file yet stays in the write-ahead log: it says what a power loss may have taken."""
    driver = python(WRITE + "import os\nos.kill(os.getpid(), 9)", path, 3)
    driver.wait()
    kept = {ending: Path(f"{path}{ending}").read_bytes() for ending in ("", "-wal")}
    assert kept["-wal"]
    with contextlib.closing(SQLiteStore(path, read_only=True)) as reader:
        assert len(list(reader.events())) == 6
    assert {ending: Path(f"{path}{ending}").read_bytes() for ending in ("", "-wal")} == kept


def test_any_thread_may_read_and_write(run: SQLiteStore, path: Path) -> None:
    """A web server reads in another thread than the one that opened the store."""
    reader = SQLiteStore(path, read_only=True)
    found: list[object] = []

    def work() -> None:
        run.append([LogEvent("ask", 2, 0, {}, 1.0)])
        found.extend([len(list(reader.events())), reader.header == run.header])

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    reader.close()
    assert found == [9, True]


# Files that are something else, or cannot be written.


def test_a_file_that_is_no_database_is_refused_and_left_alone(path: Path) -> None:
    """Also a short one: SQLite itself takes that for an empty database."""
    for content in (b"lr,perf\n0.1,0.5\n" * 100, b"x", b"SQLite format 3\0"):
        path.write_bytes(content)
        with pytest.raises(StoreCorruptError, match=r"run\.db"):
            SQLiteStore(path).open()
        with pytest.raises(StoreError):
            SQLiteStore(path, read_only=True)
        assert path.read_bytes() == content


def test_a_database_of_another_program_is_refused_and_left_alone(path: Path) -> None:
    """Its tables and its journal mode are as before."""
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.execute("CREATE TABLE events (x)")
    before = path.read_bytes()
    for read_only in (True, False):
        with pytest.raises(StoreCorruptError, match="not one of autohpo"):
            SQLiteStore(path, read_only=read_only).open()
    assert path.read_bytes() == before


def test_an_empty_file_and_a_half_made_one_are_new(path: Path) -> None:
    """The second is left by a kill between the first page and the tables."""
    path.touch()
    for prepare in ("SELECT 1", "PRAGMA user_version = 0"):
        with contextlib.closing(sqlite3.connect(path)) as db:
            db.execute(prepare)
        with pytest.raises(StoreError, match="holds no run yet") as caught:
            SQLiteStore(path, read_only=True)
        assert not isinstance(caught.value, StoreCorruptError)  # a reader may come while a driver makes it
        store = SQLiteStore(path)
        store.open()
        assert store.header is None
        assert store._db.execute("PRAGMA application_id").fetchone() == (APPLICATION_ID,)
        store.close()
        path.unlink()


def test_a_file_that_a_kill_left_before_its_first_page_was_whole_is_new(path: Path, python: Python) -> None:
    """SQLite's rollback journal is there only then: a reader cannot undo it, a driver does."""
    code = "import os, sqlite3, sys\ndb = sqlite3.connect(sys.argv[1], isolation_level=None)\n"
    code += "db.execute('PRAGMA cache_size = 1')\ndb.execute('PRAGMA cache_spill = 1')\ndb.execute('BEGIN IMMEDIATE')\n"
    code += "[db.execute(f'CREATE TABLE t{i} (x)') for i in range(200)]\nos.kill(os.getpid(), 9)"
    python(code, path).wait()
    assert path.with_name("run.db-journal").stat().st_size > 0
    with pytest.raises(StoreError, match="holds no run yet"):
        SQLiteStore(path, read_only=True)
    store = SQLiteStore(path)
    store.open()
    assert store.header is None
    store.close()


def test_a_missing_folder_and_a_missing_file_are_named(tmp_path: Path) -> None:
    """A reader makes no file; a writer makes no folder."""
    with pytest.raises(StoreError, match="folder .*nowhere does not exist"):
        SQLiteStore(tmp_path / "nowhere" / "run.db")
    with pytest.raises(StoreError, match=r"run\.db does not exist"):
        SQLiteStore(tmp_path / "run.db", read_only=True)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_in_place_of_the_file_is_refused(path: Path) -> None:
    """With the path in the text."""
    path.mkdir()
    with pytest.raises(StoreError, match=r"run\.db"):
        SQLiteStore(path).open()


@pytest.fixture
def archive(trial_events: Trials, header: Mapping[str, object]) -> Iterator[Path]:
    """A finished run in a folder that may not be written."""
    with tempfile.TemporaryDirectory() as folder:  # tmp_path lies below a folder that other users cannot enter
        path = Path(folder) / "run.db"
        store = SQLiteStore(path)
        store.open()
        store.begin(header)
        store.append(trial_events(0))
        store.close()
        path.chmod(0o444)
        Path(folder).chmod(0o555)
        user = os.geteuid()
        if user == 0:
            os.seteuid(65534)  # nobody: to root every folder may be written
        yield path
        os.seteuid(user)
        Path(folder).chmod(0o755)


def test_a_run_in_a_read_only_folder_can_be_read_and_not_continued(archive: Path, header: Mapping[str, object]) -> None:
    """Reading makes no file; a driver gets an error of ours with the path."""
    before = sorted(archive.parent.iterdir())
    reader = SQLiteStore(archive, read_only=True)
    assert reader.header == header
    assert len(list(reader.events())) == 4
    reader.close()
    with pytest.raises(StoreError, match=r"run\.db"):
        SQLiteStore(archive).open()
    with pytest.raises(StoreError, match=r"new\.db"):
        SQLiteStore(archive.with_name("new.db")).open()
    assert sorted(archive.parent.iterdir()) == before


def test_a_killed_run_on_a_read_only_medium_is_read_from_a_copy(
    archive: Path, trial_events: Trials, header: Mapping[str, object]
) -> None:
    """SQLite cannot make its shared memory there; and the copy goes when the store is closed."""
    user = os.geteuid()
    os.seteuid(os.getuid())
    archive.parent.chmod(0o755)
    archive.chmod(0o644)
    live = archive.with_name("live.db")
    store = SQLiteStore(live)
    store.open()
    store.begin(header)
    store._checkpoint = lambda: None  # type: ignore[method-assign]
    store._checkpoints = None
    store.append(trial_events(0))
    for ending in ("", "-wal", ".lock"):
        shutil.copy(f"{live}{ending}", f"{archive}{ending}")
        Path(f"{archive}{ending}").chmod(0o444)
    store.close()
    archive.parent.chmod(0o555)
    if os.getuid() == 0:
        os.seteuid(user)
    reader = SQLiteStore(archive, read_only=True)
    assert reader._copy is not None
    assert len(list(reader.events())) == 4
    folder = reader._copy
    reader.close()
    assert not folder.exists()


def test_a_store_with_two_names_is_not_written(run: SQLiteStore, path: Path) -> None:
    """SQLite keeps the write-ahead log by the name of the file, and each name would have a lock of its own."""
    run.close()
    path.with_name("other.db").hardlink_to(path)
    for name in ("run.db", "other.db"):
        with pytest.raises(StoreError, match="has 2 hard links"):
            SQLiteStore(path.with_name(name)).open()
    with contextlib.closing(SQLiteStore(path, read_only=True)) as reader:
        assert len(list(reader.events())) == 8
    path.with_name("other.db").unlink()
    run.open()


def fill(store: SQLiteStore, trials: Trials, n: int) -> int:
    """How many of n appends of one trial each were taken before the disk was full."""
    for number in range(n):
        try:
            store.append(trials(number, perf=number / 7))
        except StoreError as error:
            assert "full" in str(error) or "I/O" in str(error)  # noqa: PT017 - what comes before it matters
            return number
    return n


def test_a_full_disk_loses_nothing_and_the_run_goes_on_when_there_is_room(tmp_path: Path, trial_events: Trials) -> None:
    """On a file system of 256 KB: what was appended is there, what was refused is not, not even in part."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(disk)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("needs the right to mount a small file system")
    try:
        ballast = disk / "ballast"
        ballast.write_bytes(b"x" * 65536)
        store = SQLiteStore(disk / "run.db", wait_seconds=0)
        store.open()
        n = fill(store, trial_events, 10**5)
        assert 0 < n < 10**5
        assert [(e.trial, e.kind) for e in store.events()] == [(i, e.kind) for i in range(n) for e in trial_events(i)]
        ballast.unlink()
        for number in range(n, n + 3):
            store.append(trial_events(number))
        store.close()
        store.open()
        assert len(list(store.events())) == 4 * (n + 3)
        store.close()
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_a_full_database_loses_nothing(run: SQLiteStore, trial_events: Trials) -> None:
    """The same fault where nothing may be mounted: SQLite's own limit on the size of the file."""
    run._waiting = Waiting(run.path, 0)
    run._db.execute("PRAGMA max_page_count = 12")
    n = fill(run, lambda number, perf: trial_events(number + 2, perf), 1000)
    assert 0 < n < 1000
    run._db.execute("PRAGMA max_page_count = 100000")
    run.append(trial_events(n + 2))
    assert [event.seq for event in run.events()] == list(range(1, 4 * (n + 3) + 1))


def test_a_link_leads_to_the_same_lock(tmp_path):
    """One run is one file, whatever name it is opened by."""
    (tmp_path / "link.db").symlink_to(tmp_path / "run.db")
    store = SQLiteStore(tmp_path / "run.db")
    store.open()
    try:
        with pytest.raises(RunBusyError):
            SQLiteStore(tmp_path / "link.db").open()
    finally:
        store.close()


@pytest.mark.parametrize("path", ["", ".", "/"])
def test_a_path_that_names_no_file_is_refused(path):
    """Before anything is made."""
    with pytest.raises(StoreError, match="path of a file"):
        SQLiteStore(path)
