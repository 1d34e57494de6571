"""What a store still has when its process is killed, or when the power fails, between any two of its system calls."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # pytest imports test files by their path alone

from power import Call, Disk, loses, record

from autohpo.errors import StoreCorruptError
from autohpo.store import LogEvent, SQLiteStore

Python = Callable[..., subprocess.Popen[str]]
N_CRASHES = 100

pytestmark = pytest.mark.filterwarnings("ignore:store. the (last|end) .*:autohpo.errors.StoreWarning")

WRITE = """
import os, random, sys
from autohpo.store import LogEvent, SQLiteStore

def say(text):
    os.write(1, text.encode())  # one call each

draw, n = random.Random(7), 0
for opening in range(3):  # a run that is resumed twice
    store = SQLiteStore(sys.argv[1])
    store.open()
    store._db.execute("PRAGMA wal_autocheckpoint = 12")  # so that the log begins anew now and then
    store.begin({"seed": 1})
    for step in range(25):
        sync, size = draw.random() < 0.4, draw.randrange(3)
        events = [LogEvent("report", 0, 1, {"perf": i, "note": "x" * draw.randrange(900)}, 1.0) for i in range(size)]
        store.append(events, sync=sync)
        n += size
        say(f"synced {n}" if sync else f"written {n}")
    reader = SQLiteStore(sys.argv[1], read_only=True) if opening == 1 else None  # whose presence keeps the log as it is
    store.append([LogEvent("report", 0, 1, {}, 1.0)], sync=False)
    n += 1
    store.close()
    say(f"synced {n}")
    if reader is not None:
        reader.close()
"""
WRITE_UNSYNCED = """
import sys
from autohpo.store import LogEvent, SQLiteStore
store = SQLiteStore(sys.argv[1])
store.open()
for i in range(10**6):
    store.append([LogEvent("ask", i, 0, {"x": i}, 1.0)], sync=False)
    print(i, flush=True)
"""


@pytest.fixture(scope="module")
def calls(tmp_path_factory: pytest.TempPathFactory) -> list[Call]:
    """The system calls of a run with appends of both kinds, checkpoints and two ends."""
    folder = tmp_path_factory.mktemp("recorded").resolve()
    calls = record(WRITE, folder, folder / "run.db")
    if calls is None:
        pytest.skip("needs strace, and the right to use it")
    return calls


def owed(calls: Sequence[Call], words: Sequence[str]) -> int:
    """How many events the program was told are safe, in one of these words."""
    said = [call.name.split() for call in calls if call.kind == "say"]
    return max((int(n) for word, n in said if word in words), default=0)


def events_of(files: dict[str, bytes], folder: Path) -> list[int]:
    """The events that a driver finds in these files, by what they hold."""
    folder.mkdir()
    for name, data in files.items():
        (folder / name).write_bytes(data)
    store = SQLiteStore(folder / "run.db")
    store.open()
    try:
        return [event.seq for event in store.events()]
    finally:
        store.close()


def crashes(calls: Sequence[Call], tmp_path: Path, *, by_power: bool) -> list[tuple[int, list[int]]]:
    """For many moments: how many events were owed, and those that are there after a crash."""
    draw, found = random.Random(1), []
    words = ["synced"] if by_power else ["synced", "written"]
    moments = sorted(draw.sample(range(len(calls) + 1), N_CRASHES))
    disk = Disk()
    for at, call in enumerate(calls):
        if at in moments:
            files = disk.image(loses(draw) if by_power else lambda call: call)
            found.append((owed(calls[:at], words), events_of(files, tmp_path / f"{by_power}-{at}")))
        disk.take(call)
    return found


def test_a_power_loss_takes_nothing_that_was_synced(calls: list[Call], tmp_path: Path) -> None:
    """After it the log is a beginning of the whole one, with all that an append with sync, or a close, has promised."""
    for n_owed, places in crashes(calls, tmp_path, by_power=True):
        assert places == list(range(1, len(places) + 1))
        assert len(places) >= n_owed


def test_a_kill_takes_nothing_that_was_appended(calls: list[Call], tmp_path: Path) -> None:
    """What the process has handed to the system stays there, synced or not."""
    for n_owed, places in crashes(calls, tmp_path, by_power=False):
        assert places == list(range(1, len(places) + 1))
        assert len(places) >= n_owed


def test_a_disk_that_never_syncs_loses_what_was_owed(calls: list[Call], tmp_path: Path) -> None:
    """The simulation can show a loss: here the same program has a disk that lies about its syncs."""
    lying = [call for call in calls if call.kind != "sync"]
    n_lost = 0
    try:
        for n_owed, places in crashes(lying, tmp_path, by_power=True):
            n_lost += len(places) < n_owed
    except StoreCorruptError:
        n_lost += 1
    assert n_lost > 0


def test_an_empty_append_with_sync_syncs_what_was_appended_before(calls: list[Call]) -> None:
    """The recorded run holds that case, and a sync of the write-ahead log lies between the two answers."""
    said = [(at, call.name.split()) for at, call in enumerate(calls) if call.kind == "say"]
    found, n_synced = 0, "0"
    for (first, (word, n)), (then, (next_word, next_n)) in pairwise(said):
        n_synced = n if word == "synced" else n_synced
        if n == next_n != n_synced and next_word == "synced":
            assert any(call.kind == "sync" and call.name == "run.db-wal" for call in calls[first:then])
            found += 1
    assert found >= 2


def test_what_was_appended_without_sync_survives_the_kill_of_its_writer(tmp_path: Path, python: Python) -> None:
    """A real kill -9, a hundred appends later."""
    writer = python(WRITE_UNSYNCED, tmp_path / "run.db")
    assert writer.stdout is not None
    while int(writer.stdout.readline()) < 100:
        pass
    os.kill(writer.pid, signal.SIGKILL)
    acknowledged = 101 + len(writer.communicate()[0].split())
    store = SQLiteStore(tmp_path / "run.db")
    store.open()
    kept: list[LogEvent] = list(store.events())
    store.close()
    assert [event.trial for event in kept] == list(range(len(kept)))
    assert len(kept) in (acknowledged, acknowledged + 1)
