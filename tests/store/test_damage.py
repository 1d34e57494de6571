"""Damaged files: an error, or exactly what was written; never a wrong answer."""

from __future__ import annotations

import contextlib
import random
import shutil
import sqlite3
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from autohpo.errors import StoreCorruptError, StoreError
from autohpo.store import LogEvent, SQLiteStore

N_TRIALS = 60
N_DAMAGED = 40
SQLITE_HEADER_BYTES = 100
PAGE_BYTES = 4096
LEAF = 0x0D  # first byte of a page with rows; the number of rows follows in bytes 3 and 4


@dataclass(frozen=True)
class Original:
    """A run as it lay on disk when its driver was killed, and what it had."""

    folder: Path
    header: dict[str, object]
    events: list[LogEvent]

    def outcome(self, folder: Path, *, read_only: bool) -> str:
        """What a damaged copy gives: corrupt, refused, same, shorter (the last events are missing) or wrong."""
        store = None
        try:
            store = SQLiteStore(folder / "run.db", read_only=read_only)
            if not read_only:
                store.open()
            header, events = store.header, list(store.events())
        except StoreCorruptError:
            return "corrupt"
        except StoreError:
            return "refused"
        finally:
            if store is not None:
                store.close()
        if header == self.header and events == self.events:
            return "same"
        is_shorter = header in (self.header, None) and events == self.events[: len(events)]
        return "shorter" if is_shorter else "wrong"


@pytest.fixture(scope="module", params=["closed", "killed"])
def original(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Original:
    """A run that was closed in order, or killed with half of it in the write-ahead log."""
    folder = tmp_path_factory.mktemp("original")
    draw = random.Random(0)
    store = SQLiteStore(folder / "run.db")
    store.open()
    header = {"algorithm": "random", "options": {"seed": 3}, "space": [{"name": "lr", "low": 0.25}] * 5}
    store.begin(header)
    for i in range(N_TRIALS):
        error = "x" * 5000 if i % 7 == 0 else ""  # longer than a page
        store.append([LogEvent("ask", i, 0, {"hp": {"lr": draw.random()}, "seed": i}, 1.5 + i)])
        store.append([LogEvent("end", i, 1, {"state": "COMPLETE", "perf": draw.random(), "error": error}, 1.75 + i)])
        if i == N_TRIALS // 2:
            store._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    events = list(store.events())
    copy = tmp_path_factory.mktemp(request.param)
    if request.param == "killed":  # the files as they are while it runs
        shutil.copytree(folder, copy, dirs_exist_ok=True)
    store.close()
    if request.param == "closed":
        shutil.copytree(folder, copy, dirs_exist_ok=True)
    return Original(copy, header, events)


def flip(data: bytes, draw: random.Random) -> bytes:
    """One byte changed: a bit, all bits, or to zero."""
    at = draw.randrange(len(data))
    value = data[at] ^ draw.choice([1 << draw.randrange(8), 0xFF, data[at] or 1])
    return data[:at] + bytes([value]) + data[at + 1 :]


def cut(data: bytes, draw: random.Random) -> bytes:
    """The end missing; something is left."""
    return data[: draw.randrange(1, len(data))]


def blank(data: bytes, draw: random.Random) -> bytes:
    """A sector of zeros, as a broken disk gives back."""
    at = draw.randrange(len(data) // 512) * 512
    return data[:at] + bytes(512) + data[at + 512 :]


def damaged(original: Original, folder: Path, name: str, data: bytes, *, has_shared: bool = True) -> Path:
    """A copy of the run in which one file has other bytes."""
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(original.folder, folder)
    (folder / name).write_bytes(data)
    if not has_shared:  # the index of the log, which SQLite makes again
        (folder / "run.db-shm").unlink(missing_ok=True)
    return folder


@pytest.mark.parametrize("damage", [flip, cut, blank])
def test_a_damaged_database_is_refused_or_harmless(
    original: Original, tmp_path: Path, damage: Callable[[bytes, random.Random], bytes]
) -> None:
    """No byte changed or missing in the main file gives an answer that is not the whole one."""
    draw, whole = random.Random(1), (original.folder / "run.db").read_bytes()
    found = set()
    for i in range(N_DAMAGED):
        copy = damaged(original, tmp_path / "copy", "run.db", damage(whole, draw), has_shared=i % 2 == 0)
        found.add(original.outcome(copy, read_only=i % 3 == 0))
    assert "corrupt" in found
    assert found <= {"corrupt", "same"}


def test_every_byte_of_the_header_of_the_database_may_be_flipped(original: Original, tmp_path: Path) -> None:
    """There a flip may even make SQLite forget its write-ahead log, or take the file for an empty one."""
    whole = (original.folder / "run.db").read_bytes()
    for at in range(SQLITE_HEADER_BYTES + 8):  # and the header of the first page
        for value, read_only in [(0, True), (0, False), (whole[at] ^ 2, at % 2 == 0)]:
            data = whole[:at] + bytes([value]) + whole[at + 1 :]
            copy = damaged(original, tmp_path / "copy", "run.db", data)
            found = original.outcome(copy, read_only=read_only)
            assert found in ("corrupt", "refused", "same"), (at, value)


@pytest.mark.parametrize("original", ["closed"], indirect=True)
def test_a_page_that_says_it_has_a_row_less_is_found(original: Original, tmp_path: Path) -> None:
    """The places show a gap in the middle; at the end of the log only SQLite's own check of the pages does."""
    whole = (original.folder / "run.db").read_bytes()
    leaves = [at for at in range(PAGE_BYTES, len(whole), PAGE_BYTES) if whole[at] == LEAF]
    for at in leaves:
        n = int.from_bytes(whole[at + 3 : at + 5], "big")
        data = whole[: at + 3] + (n - 1).to_bytes(2, "big") + whole[at + 5 :]
        copy = damaged(original, tmp_path / "copy", "run.db", data)
        assert original.outcome(copy, read_only=True) == "corrupt", at
    assert len(leaves) > 2


def test_a_missing_and_a_moved_event_are_found(tmp_path: Path) -> None:
    """Whole rows, and whole checksums, are not enough."""
    for damage in ("DELETE FROM events WHERE seq = 2", "UPDATE events SET seq = 9 WHERE seq = 4"):
        store = SQLiteStore(tmp_path / "run.db")
        store.open()
        store.append([LogEvent("report", 0, 1, {"perf": i}, 1.0) for i in range(4)])
        store._db.execute(damage)
        with pytest.raises(StoreCorruptError, match="is not what was written"):
            list(store.events())
        store.close()
        (tmp_path / "run.db").unlink()


def test_a_changed_header_is_found(tmp_path: Path) -> None:
    """Else a run would be taken for another one."""
    store = SQLiteStore(tmp_path / "run.db")
    store.open()
    store.begin({"options": {"seed": 12345}})
    store.close()
    whole = (tmp_path / "run.db").read_bytes()
    assert whole.count(b"12345") == 1
    (tmp_path / "run.db").write_bytes(whole.replace(b"12345", b"12346"))
    store.open()
    with pytest.raises(StoreCorruptError, match="the header is not what was written"):
        store.begin({"options": {"seed": 12346}})
    store.close()


@pytest.mark.parametrize("damage", [flip, cut, blank])
@pytest.mark.parametrize("original", ["killed"], indirect=True)
def test_a_damaged_write_ahead_log_loses_its_end_at_most(
    original: Original, tmp_path: Path, damage: Callable[[bytes, random.Random], bytes]
) -> None:
    """Every commit before the damage is there, none after it, and none in part."""
    draw, whole = random.Random(2), (original.folder / "run.db-wal").read_bytes()
    for i in range(N_DAMAGED):
        copy = damaged(original, tmp_path / "copy", "run.db-wal", damage(whole, draw), has_shared=i % 2 == 0)
        assert original.outcome(copy, read_only=i % 3 == 0) in ("same", "shorter", "corrupt")


@pytest.fixture
def twenty(tmp_path: Path) -> tuple[Original, list[int]]:
    """A killed run of 20 commits that are all in its write-ahead log, and how long that was after each."""
    folder = tmp_path / "twenty"
    folder.mkdir()
    store = SQLiteStore(folder / "run.db")
    store.open()
    log, sizes = folder / "run.db-wal", []
    store._checkpoint = lambda: None  # type: ignore[method-assign]
    store._checkpoints = None
    for i in range(20):
        store.append([LogEvent("ask", i, 0, {"x": "y" * 100 * i}, 1.0)])
        sizes.append(log.stat().st_size)
    original = Original(tmp_path / "original", {}, list(store.events()))
    shutil.copytree(folder, original.folder)
    store.close()
    return original, sizes


def test_a_cut_behind_a_commit_keeps_that_commit(twenty: tuple[Original, list[int]], tmp_path: Path) -> None:
    """Where no lock file says how much there was, the commits that were whole before the cut are what there is."""
    original, sizes = twenty
    (original.folder / "run.db.lock").unlink()
    whole, draw = (original.folder / "run.db-wal").read_bytes(), random.Random(3)
    for at in [*sizes, *(draw.randrange(sizes[-1]) for _ in range(100))]:
        copy = damaged(original, tmp_path / "copy", "run.db-wal", whole[:at])
        kept = SQLiteStore(copy / "run.db", read_only=True) if at >= sizes[0] else None
        if kept is not None:
            assert list(kept.events()) == original.events[: sum(size <= at for size in sizes)]
            kept.close()


def test_a_cut_write_ahead_log_is_refused_and_nothing_is_changed(
    twenty: tuple[Original, list[int]], tmp_path: Path
) -> None:
    """The lock file counts what was synced: with less than that a driver and a reader raise, and say what is left."""
    original, sizes = twenty
    whole = (original.folder / "run.db-wal").read_bytes()
    for n in (0, 1, 7, 19):
        for data in (whole[: sizes[n] - 10], whole[: sizes[n - 1]] if n else b""):
            for read_only in (True, False):
                copy = damaged(original, tmp_path / "copy", "run.db-wal", data)
                with pytest.raises(StoreCorruptError, match=rf"has {n} of the 20 events .*run\.db-wal.*repair"):
                    SQLiteStore(copy / "run.db", read_only=read_only).open()
                assert (copy / "run.db-wal").read_bytes() == data
    (copy / "run.db-wal").unlink()
    with pytest.raises(StoreCorruptError, match=r"run\.db-wal, which held the others, is missing"):
        SQLiteStore(copy / "run.db").open()


@pytest.mark.parametrize("has_lock", [True, False])
def test_a_flipped_bit_in_the_write_ahead_log_is_refused_and_nothing_is_changed(
    twenty: tuple[Original, list[int]], tmp_path: Path, has_lock: bool
) -> None:
    """SQLite would drop every commit behind it, and write over them; whole pages behind it say that it is damage."""
    original, sizes = twenty
    if not has_lock:
        (original.folder / "run.db.lock").unlink()
    whole, draw = (original.folder / "run.db-wal").read_bytes(), random.Random(4)
    for i in range(60):
        at = draw.randrange(sizes[-2])  # behind that only one commit follows, which may be torn
        data = whole[:at] + bytes([whole[at] ^ 1 << draw.randrange(8)]) + whole[at + 1 :]
        copy = damaged(original, tmp_path / "copy", "run.db-wal", data, has_shared=i % 2 == 0)
        found = original.outcome(copy, read_only=i % 3 == 0)
        assert found == "corrupt" or (found == "same" and (at < 32 or at % 4120 < 32 + 24)), at
        assert found == "same" or (copy / "run.db-wal").read_bytes() == data


def test_a_file_without_its_write_ahead_log_is_not_taken_for_a_new_run(tmp_path: Path) -> None:
    """What a release that made no checkpoints left in it: nothing but the mark that there is such a log."""
    with contextlib.closing(sqlite3.connect(tmp_path / "run.db")) as db:
        db.execute("PRAGMA journal_mode = WAL")
    before = (tmp_path / "run.db").read_bytes()
    for read_only in (True, False):
        with pytest.raises(StoreCorruptError, match=r"empty shell: all of its run was in run\.db-wal"):
            SQLiteStore(tmp_path / "run.db", read_only=read_only).open()
    assert (tmp_path / "run.db").read_bytes() == before


def test_a_copy_of_the_file_alone_has_the_run_but_for_its_last_moments(tmp_path: Path) -> None:
    """Checkpoints are made soon after a commit, also where none follows."""
    store = SQLiteStore(tmp_path / "run.db")
    store.open()
    store.begin({"seed": 1})
    (tmp_path / "copies").mkdir()
    shutil.copy(tmp_path / "run.db", tmp_path / "copies" / "begun.db")
    for i in range(3):
        store.append([LogEvent("report", 0, 1, {"perf": i}, 1.0)])
    until = time.monotonic() + 2
    n = 0
    while n < 3:
        assert time.monotonic() < until
        time.sleep(0.02)
        copy = tmp_path / "copies" / f"{time.monotonic()}.db"
        shutil.copy(tmp_path / "run.db", copy)
        with contextlib.closing(SQLiteStore(copy, read_only=True)) as reader:
            n = len(list(reader.events()))
    store.close()
    with contextlib.closing(SQLiteStore(tmp_path / "copies" / "begun.db", read_only=True)) as reader:
        assert reader.header == {"seed": 1}


def test_a_lost_database_with_its_log_still_there_is_not_taken_for_a_new_run(tmp_path: Path) -> None:
    """SQLite would silently remove the log, and the results in it; and no advice tells the user to do that."""
    store = SQLiteStore(tmp_path / "run.db")
    store.open()
    store.append([LogEvent("ask", 0, 0, {}, 1.0)])
    killed = tmp_path / "killed"
    shutil.copytree(tmp_path, killed, ignore=lambda *_: ["killed"])
    store.close()
    for lose in (lambda: (killed / "run.db").write_bytes(b""), (killed / "run.db").unlink):
        lose()
        with pytest.raises(StoreCorruptError, match=r"run\.db-wal beside it has \d+ bytes of a run") as caught:
            SQLiteStore(killed / "run.db").open()
        assert "remove" not in str(caught.value)
        assert (killed / "run.db-wal").stat().st_size > 0


def test_a_changed_value_is_found_though_sqlite_gives_it_back(tmp_path: Path) -> None:
    """The case that SQLite's own checks let pass: one digit of a result in the file."""
    store = SQLiteStore(tmp_path / "run.db")
    store.open()
    store.append([LogEvent("end", 0, 1, {"perf": 0.123456789}, 1.0)])
    store.close()
    whole = (tmp_path / "run.db").read_bytes()
    assert whole.count(b"0.123456789") == 1
    (tmp_path / "run.db").write_bytes(whole.replace(b"0.123456789", b"0.923456789"))
    store.open()
    with pytest.raises(StoreCorruptError, match="event 1 is not what was written"):
        list(store.events())
    store.close()
