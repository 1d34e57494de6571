"""The lock of a run: who is refused, who is told what, and what ends it."""

from __future__ import annotations

import gc
import json
import os
import re
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from autohpo.errors import RunBusyError, StoreError
from autohpo.store.lock import Count, RunLock

Python = Callable[..., subprocess.Popen[str]]

HOLD = """
import sys, time
from pathlib import Path
from autohpo.store.lock import RunLock
lock = RunLock(Path(sys.argv[1]))
lock.acquire()
print("held", flush=True)
time.sleep(60)
"""
HOLD_AND_FORK = """
import os, sys, time
from pathlib import Path
from autohpo.errors import RunBusyError
from autohpo.store.lock import RunLock
lock = RunLock(Path(sys.argv[1]))
lock.acquire()
child = os.fork()
if child == 0:
    if sys.argv[2] == "releases":
        lock.release()  # is not the child's to give
    own = RunLock(Path(sys.argv[1]))
    while True:
        try:
            own.acquire()
            break
        except RunBusyError:
            time.sleep(0.02)
    Path(sys.argv[1] + ".child").touch()
    time.sleep(60)
print(child, flush=True)
time.sleep(60)
"""


def test_another_process_is_refused_and_told_who_holds_it(tmp_path: Path, python: Python) -> None:
    """The text has host, process and start of the holder."""
    path = tmp_path / "run.db.lock"
    holder = python(HOLD, path)
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    with pytest.raises(RunBusyError) as caught:
        RunLock(path).acquire()
    said = re.fullmatch(r"store: .* is in use by process (\d+) on (\S+), since (\S+ \S+); wait .*", str(caught.value))
    assert said is not None
    assert (said[2], int(said[1])) == (socket.gethostname(), holder.pid)
    started = time.mktime(time.strptime(said[3], "%Y-%m-%d %H:%M:%S"))
    assert -2 < time.time() - started < 60
    with pytest.raises(RunBusyError):  # being refused does not break it
        RunLock(path).acquire()


def test_a_killed_holder_leaves_it_free_at_once(tmp_path: Path, python: Python) -> None:
    """The system gives it free: no age of a file to wait for."""
    path = tmp_path / "run.db.lock"
    holder = python(HOLD, path)
    assert holder.stdout is not None
    holder.stdout.readline()
    holder.kill()
    holder.wait()
    began = time.monotonic()
    lock = RunLock(path)
    lock.acquire()
    assert time.monotonic() - began < 1
    lock.release()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize("child", ["keeps", "releases"])
def test_a_forked_child_neither_frees_nor_holds_it(tmp_path: Path, python: Python, child: str) -> None:
    """Objectives fork (data loaders do): the copy of the lock is none, and a lock of the child's own is."""
    path = tmp_path / "run.db.lock"
    holder = python(HOLD_AND_FORK, path, child)
    assert holder.stdout is not None
    pid = int(holder.stdout.readline())
    try:
        time.sleep(0.3)  # for the child to try
        with pytest.raises(RunBusyError, match=str(holder.pid)):
            RunLock(path).acquire()
        holder.kill()
        holder.wait()
        until = time.monotonic() + 10
        while not path.with_name("run.db.lock.child").exists():
            assert time.monotonic() < until
            time.sleep(0.02)
        with pytest.raises(RunBusyError, match=str(pid)):
            RunLock(path).acquire()
    finally:
        os.kill(pid, signal.SIGKILL)


def test_the_same_process_is_refused_too_until_it_gives_it_free(tmp_path: Path) -> None:
    """Under another name of the folder as well."""
    path = tmp_path / "run.db.lock"
    lock = RunLock(path)
    lock.acquire()
    link = tmp_path / "link"
    link.symlink_to(tmp_path)
    for name in (path, tmp_path / "." / "run.db.lock", link / "run.db.lock"):
        with pytest.raises(RunBusyError, match="this very process"):
            RunLock(name).acquire()
    lock.release()
    lock.release()
    again = RunLock(path)
    again.acquire()
    again.release()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # of the file left open
def test_a_lock_that_nobody_has_any_more_is_free(tmp_path: Path) -> None:
    """A store that was dropped without being closed does not bar its own process for ever."""
    RunLock(tmp_path / "run.db.lock").acquire()
    gc.collect()
    lock = RunLock(tmp_path / "run.db.lock")
    lock.acquire()
    lock.release()


def test_a_lock_file_that_cannot_be_made_is_a_store_error(tmp_path: Path) -> None:
    """Its path is in the text; here a folder stands where the file should be."""
    (tmp_path / "run.db.lock").mkdir()
    with pytest.raises(StoreError, match=r"run\.db\.lock cannot be opened"):
        RunLock(tmp_path / "run.db.lock").acquire()


def test_what_an_earlier_holder_wrote_is_replaced(tmp_path: Path) -> None:
    """A longer name of an earlier holder leaves no rest behind."""
    path = tmp_path / "run.db.lock"
    path.write_text(json.dumps({"host": "x" * 1000}))
    lock = RunLock(path)
    lock.acquire()
    assert path.stat().st_size < 200
    lock.release()
    assert json.loads(path.read_text())["process"] == os.getpid()


def test_a_lock_file_that_is_a_link_is_not_followed(tmp_path: Path) -> None:
    """A folder from elsewhere may hold one that leads to a file of the user's, which taking the lock would empty."""
    (tmp_path / "thesis.txt").write_text("x" * 100)
    (tmp_path / "run.db.lock").symlink_to(tmp_path / "thesis.txt")
    with pytest.raises(StoreError, match=r"run\.db\.lock is a link, which is not followed"):
        RunLock(tmp_path / "run.db.lock").acquire()
    assert (tmp_path / "thesis.txt").read_text() == "x" * 100


def test_a_count_survives_the_next_holder_and_a_torn_one_is_none(tmp_path: Path) -> None:
    """It tells a missing write-ahead log from one that never was; half of it tells nothing."""
    path, count = tmp_path / "run.db.lock", Count(0xC0FFEE, 12, 15)
    assert RunLock(path).count() is None
    lock = RunLock(path)
    lock.acquire()
    lock.note(count)
    assert lock.count() == RunLock(path).count() == count
    lock.release()
    lock.acquire()
    assert lock.count() == count
    with pytest.raises(RunBusyError):  # to read the count has not given the lock free
        RunLock(path).check_free()
    lock.release()
    RunLock(path).check_free()
    path.write_bytes(path.read_bytes()[:-3])
    assert RunLock(path).count() is None
