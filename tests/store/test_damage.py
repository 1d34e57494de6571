"""Damaged files: an error, or exactly what was written; never a wrong answer."""

from __future__ import annotations

import random
import shutil
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


def test_a_cut_behind_a_commit_keeps_that_commit(tmp_path: Path) -> None:
    """Whatever is torn off a write-ahead log, the commits that were whole before the cut are kept."""
    store = SQLiteStore(tmp_path / "run.db")
    store.open()
    log, sizes = tmp_path / "run.db-wal", []
    for i in range(20):
        store.append([LogEvent("ask", i, 0, {"x": "y" * 100 * i}, 1.0)])
        sizes.append(log.stat().st_size)
    events = list(store.events())
    original = Original(tmp_path / "original", {}, events)
    shutil.copytree(tmp_path, original.folder)
    store.close()
    whole, draw = (original.folder / "run.db-wal").read_bytes(), random.Random(3)
    for at in [*sizes, *(draw.randrange(sizes[-1]) for _ in range(100))]:
        copy = damaged(original, tmp_path / "copy", "run.db-wal", whole[:at])
        kept = SQLiteStore(copy / "run.db", read_only=True) if at >= sizes[0] else None
        if kept is not None:
            assert list(kept.events()) == events[: sum(size <= at for size in sizes)]
            kept.close()


def test_a_lost_database_with_its_log_still_there_is_not_taken_for_a_new_run(tmp_path: Path) -> None:
    """SQLite would silently remove the log, and the results in it."""
    store = SQLiteStore(tmp_path / "run.db")
    store.open()
    store.append([LogEvent("ask", 0, 0, {}, 1.0)])
    killed = tmp_path / "killed"
    shutil.copytree(tmp_path, killed, ignore=lambda *_: ["killed"])
    store.close()
    for lose in (lambda: (killed / "run.db").write_bytes(b""), (killed / "run.db").unlink):
        lose()
        with pytest.raises(StoreCorruptError, match=r"to begin anew remove run\.db\*"):
            SQLiteStore(killed / "run.db").open()
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
