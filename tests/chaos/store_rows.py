"""What a store may meet: a full disk, another program that locks it, readers. Each returns counts."""

from __future__ import annotations

import contextlib
import json
import os
import random
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from counts import Counts, total
from oracles import canonical
from rooms import Room
from searches import HANG_SECONDS, ROOT, Search

from autohpo.errors import StoreError
from autohpo.store import LogEvent, SQLiteStore

DISK_BYTES = 5_000_000
READERS, READ_SECONDS = 4, 0.1


@contextlib.contextmanager
def small_disk(folder: Path) -> Iterator[Path | None]:
    """A file system of 5 MB; None where nothing may be mounted."""
    disk = folder / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", str(disk)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode:
        yield None
        return
    try:
        yield disk
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=False)


def full_disk(room: Room) -> Counts:
    """The disk fills up in the midst of a search: it waits, and goes on when there is room; nothing is lost.

    Every other time there is no room for longer than it waits: it ends, says what is not saved, and the same command
    finishes it once there is.
    """
    return total([_fill(room.below(str(i)), gives_up=i % 2 == 1) for i in range(room.n)])


def _fill(room: Room, *, gives_up: bool) -> Counts:
    draw = random.Random(str(room.folder))
    with small_disk(room.folder) as disk:
        seconds = 0.3 if gives_up else None
        search = Search(room.folder, max_evals=60, pause=0.005, plant=room.plant, wait_seconds=seconds, disk=disk)
        expected = search.undisturbed()
        driver = search.start()
        search.wait_for("end", draw.randrange(2, 20), driver)
        ballast = (disk or room.folder) / "ballast"
        with _no_room(driver.pid, search, ballast, has_disk=disk is not None):
            if gives_up:
                driver.wait(HANG_SECONDS)
            else:
                _wait_for(lambda: "cannot grow" in search.errors() or driver.poll() is not None)
        code = driver.wait(HANG_SECONDS)
        said = search.errors()
        counts: Counts = {
            "fills": 1,
            "mounted": int(disk is not None),
            "exits": int((code != 0) != gives_up),
            "silent": int("cannot grow" not in said or (gives_up and "StoreFullError" not in said)),
            "lost": search.n_lost(),
        }
        if gives_up:
            search.finish()
        checked = search.check()
        lost = counts["lost"] + checked.pop("lost")
        return {**counts, **checked, "lost": lost, "different": int(canonical(search.events()) != expected)}


@contextlib.contextmanager
def _no_room(pid: int, search: Search, ballast: Path, *, has_disk: bool) -> Iterator[None]:
    """Leave no room on the disk for a while; without a disk, let the driver write no longer files than there are."""
    import resource

    if has_disk:
        with contextlib.suppress(OSError), ballast.open("wb", buffering=0) as file:
            while file.write(b"x" * 4096):
                pass
    else:
        size = search.store.with_name("run.db-wal").stat().st_size
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
    try:
        yield
    finally:
        if has_disk:
            ballast.unlink()
        else:
            with contextlib.suppress(ProcessLookupError):
                resource.prlimit(pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))


def _wait_for(condition: object, seconds: float = 30.0) -> None:
    until = time.monotonic() + seconds
    while not condition() and time.monotonic() < until:  # type: ignore[operator]
        time.sleep(0.01)


def locked_store(room: Room) -> Counts:
    """Another program holds the file for some seconds: the search waits, warns once, and loses nothing."""
    search = Search(room.folder, max_evals=40, pause=0.01, plant=room.plant, quiet_seconds=5.0 if room.is_long else 0.2)
    expected = search.undisturbed()
    driver = search.start()
    search.wait_for("end", 5, driver)
    with contextlib.closing(sqlite3.connect(search.store, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with contextlib.suppress(subprocess.TimeoutExpired):
            driver.wait(room.n)
        other.rollback()
    code = driver.wait(HANG_SECONDS)
    said = search.errors().count("is locked by another process")
    return {
        "seconds": room.n,
        "errors": int(code != 0),
        "silent": int(said == 0),
        "warned": said,
        **search.check(),
        "different": int(canonical(search.events()) != expected),
    }


READER = """
import json, sys, time
from autohpo.store import SQLiteStore, RunState
path, period, until = sys.argv[1], float(sys.argv[2]), time.time() + float(sys.argv[3])
n = n_errors = last = 0
while time.time() < until:
    began = time.monotonic()
    try:
        store = SQLiteStore(path, read_only=True)
        found = sum(1 for _ in store.events())
        store.close()
        n_errors += found < last
        last = found
    except Exception as error:
        n_errors += 1
        print(type(error).__name__, error, file=sys.stderr)
    n += 1
    time.sleep(max(0.0, period - time.monotonic() + began))
print(json.dumps([n, n_errors]))
"""


def readers(room: Room) -> Counts:
    """Four programs read the store ten times a second each, while a driver appends; then it appends alone."""
    path = room.folder / "run.db"
    store = SQLiteStore(path)
    store.open()
    store.begin({"algorithm": "random"})
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", READER, str(path), str(READ_SECONDS), str(room.n)]
    with (room.folder / "errors").open("w") as errors:
        found = [
            subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True, env=environment)
            for _ in range(READERS)
        ]
        taken, n_errors = _append_until(store, lambda: all(one.poll() is not None for one in found), 0)
    said = [json.loads(one.communicate()[0]) for one in found]
    alone, more = _append_until(store, iter([False] * min(len(taken), 3000) + [True]).__next__, len(taken))
    store.close()
    p99, p99_alone = (1000 * sorted(times)[int(0.99 * len(times))] for times in (taken, alone))
    return {
        "seconds": room.n,
        "reads": sum(n for n, _ in said),
        "appends": len(taken) + len(alone),
        "errors": n_errors + more + sum(n for _, n in said),
        "append_p99_ms": round(p99, 2),
        "alone_p99_ms": round(p99_alone, 2),
    }


def _append_until(store: SQLiteStore, is_over: object, first: int) -> tuple[list[float], int]:
    """Append trials of four events, fifty a second; return how long each took, and how many were refused."""
    taken, n_errors, number = [], 0, first
    while not is_over():  # type: ignore[operator]
        number += 1
        ask = {"hp": {"x": 0.5}, "fidelity": None, "resume": None, "pid": 0, "seed": number, "info": {}}
        end = {"state": "COMPLETE", "perf": 0.5, "fidelity": None, "error": ""}
        began = time.perf_counter()
        try:
            store.append([LogEvent("ask", number, 0, ask, 1.0), LogEvent("start", number, 1, {"slot": 0}, 1.0)])
            store.append([LogEvent("end", number, 1, end, 1.0)], sync=False)
        except StoreError:
            n_errors += 1
        taken.append(time.perf_counter() - began)
        time.sleep(0.02)
    return taken, n_errors
