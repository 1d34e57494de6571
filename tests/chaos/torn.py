"""Torn files: the store of a live run is cut and flipped, opened, and repaired, and compared with what was written.

    python tests/chaos/torn.py                      # 2,000 cuts and 2,000 flips
    python tests/chaos/torn.py --cuts 100 --flips 100 --seed 3

A search runs in a process of its own, is stopped in the middle, and its files are copied: the database, the
write-ahead log with commits that were synced and others that were not, and the lock file. Whatever append returned is
written down there with the length of the log at that moment, so that it is known of each place in the log which results
were acknowledged before it.

- A cut of the log at any place: what was acknowledged before the place is there, at once or after ``repair``.
- A byte of any of the three files that is another one: what was written, or an error, or a warning; never another
  answer without a word. ``repair`` finds every event whose bytes are whole, and none that was never written.

Prints a JSON line of counts for each; those in :data:`MUST_BE_ZERO` are faults.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from autohpo.errors import AutoHPOError, StoreCorruptError
from autohpo.store import LogEvent, SQLiteStore, repair

ROOT = Path(__file__).parents[2]
FILES = ("run.db", "run.db-wal", "run.db.lock")
PAGE_BYTES = 4096
MUST_BE_ZERO = ("lost", "silent", "untyped", "missed", "invented", "changed")

LIVE = """
import json, os, random, sys, time
from autohpo import LogRangeHP, RangeHP, build_hpo_from_name
from autohpo.store import SQLiteStore

append, n = SQLiteStore.append, [0, 0]


def noted(store, events, *, sync=True):
    append(store, events, sync=sync)
    n[0] += len(events)
    n[1] += 1
    if n[1] == 40:  # from here on nothing more of the log goes into the database
        with store._mutex:
            store._checkpoint()
        if store._checkpoints is not None:
            store._checkpoints.close()
        store._checkpoints = None
    ack.write(json.dumps([n[0], sync, os.stat(sys.argv[1] + "-wal").st_size, n[1] > 40]) + "\\n")
    if n[1] == int(sys.argv[3]):
        print("now", flush=True)
        time.sleep(600)


SQLiteStore.append = noted
ack = open(sys.argv[2], "w", buffering=1)
draw = random.Random(0)


def f(hps, trial):
    for epoch in range(1, 4):
        trial.report(hps["x"] * epoch, epoch)
    if trial.number % 7 == 0:
        raise ValueError("x" * draw.choice([10, 300, 6000, 15000]))
    return hps["x"]


hpo = build_hpo_from_name("random", [LogRangeHP("lr", 1e-4, 1.0), RangeHP("x", 0.0, 1.0)], f, max_evals=10**6, seed=0)
hpo.optimize(store=sys.argv[1], progress=False, continue_on_error=True)
"""
"""The search, which is stopped right after an append."""


@dataclass(frozen=True)
class Live:
    """The files of a run that was killed, and what it had written.

    Attributes:
        folder: Where the files are, none of which may be changed.
        events: What was appended.
        acknowledged: For each append that returned, once the log was all there was: how many events there were then,
            whether it was synced, and how long the log was.
        places: Where the text of each event lies whole: file, first byte, and the byte after it.
    """

    folder: Path
    events: Sequence[LogEvent]
    acknowledged: Sequence[tuple[int, bool, int]]
    places: dict[int, list[tuple[str, int, int]]]


def live(folder: Path, n_appends: int = 240) -> Live:
    """Run a search until it has appended so often, kill it, and take its files."""
    path = folder / "live" / "run.db"
    path.parent.mkdir(parents=True)
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    words = [sys.executable, "-c", LIVE, str(path), str(folder / "acknowledged"), str(n_appends)]
    driver = subprocess.Popen(words, stdout=subprocess.PIPE, text=True, env=environment)
    assert driver.stdout is not None
    with driver.stdout:
        said = driver.stdout.readline()
    driver.send_signal(signal.SIGSTOP)
    shutil.copytree(path.parent, folder / "killed")
    driver.kill()
    driver.wait()
    if said != "now\n":
        raise AssertionError("the search did not come so far")
    shutil.copytree(folder / "killed", folder / "read")
    with closing(SQLiteStore(folder / "read" / "run.db", read_only=True)) as store:
        events = list(store.events())
    lines = [json.loads(line) for line in (folder / "acknowledged").read_text().splitlines()]
    acknowledged = [(n, sync, size) for n, sync, size, is_last in lines if is_last]
    if events[-1].seq != acknowledged[-1][0]:
        raise AssertionError(f"{acknowledged[-1][0]} events were acknowledged, {len(events)} are there")
    return Live(folder / "killed", events, acknowledged, _places(folder / "killed", events))


def _places(folder: Path, events: Sequence[LogEvent]) -> dict[int, list[tuple[str, int, int]]]:
    """Where the text of each event lies that fits into a page and is like no other one."""
    texts = {event.seq: json.dumps(dict(event.data)).encode() for event in events}
    counted = Counter(texts.values())
    found: dict[int, list[tuple[str, int, int]]] = {}
    for name, first, step in (("run.db", 0, PAGE_BYTES), ("run.db-wal", 32 + 24, PAGE_BYTES + 24)):
        data = (folder / name).read_bytes()
        for place, text in texts.items():
            at = data.find(text) if len(text) < 3000 and counted[text] == 1 else -1
            while at >= 0:
                page = first + (at - first) // step * step
                if at >= first and at + len(text) <= page + PAGE_BYTES:
                    found.setdefault(place, []).append((name, at - 24, at + len(text) + 6))  # with its head and sum
                at = data.find(text, at + 1)
    return found


class Room:
    """Where a damaged copy is opened.

    Args:
        run: The run.
        folder: An empty folder.
    """

    def __init__(self, run: Live, folder: Path) -> None:
        self._run, self._folder = run, folder / "copy"
        self._whole = {name: (run.folder / name).read_bytes() for name in FILES}

    def make(self, name: str, data: bytes) -> Path:
        """Copy the files, of which one has other bytes; return the path of the database."""
        shutil.rmtree(self._folder, ignore_errors=True)
        self._folder.mkdir()
        for file, whole in self._whole.items():
            (self._folder / file).write_bytes(data if file == name else whole)
        return self._folder / "run.db"

    def whole(self, name: str) -> bytes:
        """The bytes of a file as they were."""
        return self._whole[name]


def opened(path: Path, *, is_reader: bool) -> tuple[str, list[LogEvent]]:
    """Return how a store opens, and its events: told, said (with a warning), or corrupt, refused, untyped."""
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        try:
            store = SQLiteStore(path, read_only=is_reader)
            with closing(store):
                if not is_reader:
                    store.open()
                events = list(store.events())
        except StoreCorruptError:
            return "corrupt", []
        except AutoHPOError:
            return "refused", []
        except Exception as error:
            print(f"untyped: {type(error).__name__}: {error}", file=sys.stderr)
            return "untyped", []
    return ("said" if said else "told"), events


def repaired(path: Path) -> tuple[int, list[LogEvent]]:
    """Return how many events repair finds, and those it writes; none where nothing can be read."""
    to = path.with_name("repaired.db")
    try:
        n_found = repair(path, to).n_found
    except AutoHPOError:
        return 0, []
    with closing(SQLiteStore(to, read_only=True)) as store:
        return n_found, list(store.events()) if store.header is not None else []


def _content(event: LogEvent) -> tuple[Any, ...]:
    return event.kind, event.time, json.dumps(dict(event.data), sort_keys=True)


def cuts(run: Live, folder: Path, n: int, seed: int = 0, open_as: Callable[..., Any] = opened) -> Counter[str]:
    """Cut the write-ahead log at random places, and count what is lost."""
    room, draw = Room(run, folder), random.Random(seed)
    data, counts = room.whole("run.db-wal"), Counter({"cuts": n, **dict.fromkeys(("lost", "silent", "untyped"), 0)})
    before = run.acknowledged[0][0]
    for i in range(n):
        at = draw.randrange(32, len(data)) if i % 4 else draw.choice(run.acknowledged)[2] + draw.randrange(-3, 4)
        path = room.make("run.db-wal", data[: max(at, 0)])
        has_lock = i % 3 != 2
        if not has_lock:  # of a copy, say, or of a folder that was tidied: then nobody knows how much there was
            (path.parent / "run.db.lock").unlink()
        owed = max([seen for seen, _, size in run.acknowledged if size <= at], default=0)
        how, events = open_as(path, is_reader=i % 2 == 0)
        counts[how + " without lock file" * (not has_lock)] += 1
        counts["after_full_commit"] += any(sync and size <= at for _, sync, size in run.acknowledged)
        if how in ("told", "said"):
            is_prefix = events == list(run.events[: len(events)])
            counts["lost"] += not is_prefix or len(events) < owed
            counts["silent"] += how == "told" and len(events) < owed
        elif how in ("corrupt", "refused"):
            room.make("run.db-wal", data[: max(at, 0)])
            _, saved = repaired(path)
            known = Counter(map(_content, saved))
            missing = sum((Counter(map(_content, run.events[:owed])) - known).values())
            counts["lost"] += missing > 0
    counts["events_in_database"] = before
    return counts


def flips(run: Live, folder: Path, n: int, seed: int = 0, open_as: Callable[..., Any] = opened) -> Counter[str]:
    """Change random bytes of the files, one in each copy, and count wrong answers and what repair misses."""
    room, draw, counts = Room(run, folder), random.Random(seed), Counter({"flips": n})
    counts.update(dict.fromkeys(MUST_BE_ZERO, 0))
    truth = {_content(event) for event in run.events}
    for i in range(n):
        name = FILES[i % 5 // 2]
        data = bytearray(room.whole(name))
        at = draw.randrange(len(data))
        data[at] ^= draw.randrange(1, 256)
        path = room.make(name, bytes(data))
        how, events = open_as(path, is_reader=i % 2 == 0)
        counts[f"{name.removeprefix('run.') or name}: {how}"] += 1
        counts["untyped"] += how == "untyped"
        counts["silent"] += how == "told" and events != list(run.events)
        counts["invented"] += any(_content(event) not in truth for event in events)
        if how in ("corrupt", "refused"):
            now = {file: (path.parent / file).read_bytes() for file in ("run.db", "run.db-wal")}
            was = {file: bytes(data) if file == name else room.whole(file) for file in now}
            counts["changed"] += now != was
        if i % 4 == 0 or how in ("corrupt", "refused"):
            path = room.make(name, bytes(data))
            n_found, saved = repaired(path)
            counts["repairs"] += 1
            intact = [
                place
                for place, spans in run.places.items()
                if any(file != name or not a <= at < b for file, a, b in spans)
            ]
            found = {_content(event) for event in saved}
            counts["missed"] += n_found < len(intact)
            counts["invented"] += bool(found - truth)
    return counts


def main() -> int:
    """Cut and flip, and print the counts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cuts", type=int, default=2000)
    parser.add_argument("--flips", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    logging.getLogger("autohpo").setLevel(logging.ERROR)
    with tempfile.TemporaryDirectory() as name:
        run = live(Path(name))
        found = [
            cuts(run, Path(name), arguments.cuts, arguments.seed),
            flips(run, Path(name), arguments.flips, arguments.seed),
        ]
    for counts in found:
        print(json.dumps({"row": "R11", **counts}), flush=True)
    return int(any(counts[bad] for counts in found for bad in MUST_BE_ZERO))


if __name__ == "__main__":
    sys.exit(main())
