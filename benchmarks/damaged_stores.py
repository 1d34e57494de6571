"""What damage to a store's files costs: silent losses, and events that salvage misses, both of which must be none.

    python benchmarks/damaged_stores.py                     # 1,000 damaged logs, 1,000 damaged files, 20 copies
    python benchmarks/damaged_stores.py --damages 200 --copies 5

A search is killed while its write-ahead log holds a part of it. Copies of its files are cut, or some of their bits are
flipped, in the log or in the main file, with the lock file beside them and without. Each is opened by a reader and by a
driver; what opens without a word and has fewer events than were written is a silent loss. Then salvage has to find
every event of which no byte was touched: an oracle knows where the bytes of each lie. At last, copies of the main file
alone are taken while a search runs, at random moments: they must open with all but the last 2 s, or raise.
"""

from __future__ import annotations

import argparse
import json
import logging
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import warnings
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from autohpo import AutoHPOError
from autohpo.errors import StoreCorruptError, StoreError
from autohpo.store import LogEvent, SQLiteStore
from autohpo.store.pages import search

N_TRIALS = 120
PAGE, FRAME_HEADER, WAL_HEADER = 4096, 24, 32
SEARCH = """
import sys, time
from autohpo import RangeHP, build_hpo_from_name
def f(hps, trial):
    time.sleep(.01 if trial.number % 40 else .9)
    return hps["x"]
hpo = build_hpo_from_name("random", [RangeHP("x", 0.0, 1.0)], f, max_evals=10**6, seed=0)
hpo.optimize(store=sys.argv[1], progress=False)
"""


def make(folder: Path) -> list[LogEvent]:
    """Leave a killed run in a folder, half of it in the write-ahead log; return its events."""
    store = SQLiteStore(folder / "live" / "run.db")
    store.open()
    store.begin({"algorithm": "random", "options": {"seed": 3, "mode": "max"}, "space": [{"name": "lr"}] * 40})
    draw = random.Random(0)
    for i in range(N_TRIALS):
        if i == N_TRIALS // 2:
            with store._mutex:
                store._checkpoint()
            if store._checkpoints is not None:
                store._checkpoints.close()
            store._checkpoints = None  # no more of the log goes into the main file
        ask = {"hp": {"lr": draw.random()}, "fidelity": None, "resume": None, "pid": 0, "seed": i, "info": {}}
        error = "x" * draw.choice([0, 0, 0, 300, 6000, 15_000])
        end = {"state": "COMPLETE", "perf": draw.random(), "fidelity": None, "error": error}
        store.append([LogEvent("ask", i, 0, ask, 1.5 + i), LogEvent("start", i, 1, {"slot": 0}, 1.6 + i)])
        store.append([LogEvent("end", i, 1, end, 2.0 + i)], sync=i % 3 == 0)
    store.append([])
    events = list(store.events())
    shutil.copytree(folder / "live", folder / "killed")
    store.close()
    return events


def damaged(data: bytes, draw: random.Random) -> tuple[bytes, set[int], int]:
    """Return bytes that are cut or in which bits are flipped, the places of those, and where the cut is."""
    if draw.random() < 0.3:
        at = draw.randrange(1, len(data))
        return data[:at], set(), at
    changed, places = bytearray(data), set()
    for _ in range(draw.choice([1, 1, 1, 2, 5, 20])):
        at = draw.randrange(len(data))
        changed[at] ^= 1 << draw.randrange(8)
        places.add(at)
    return bytes(changed), places, len(data)


def outcome(folder: Path, events: list[LogEvent], *, read_only: bool) -> str:
    """Return what opening gives: whole, said, corrupt, refused, or SILENT."""
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        try:
            store = SQLiteStore(folder / "run.db", read_only=read_only)
            with closing(store):
                if not read_only:
                    store.open()
                found = list(store.events()) if store.header is not None else []
        except StoreCorruptError:
            return "corrupt"
        except StoreError:
            return "refused"
    return "whole" if found == events else "said" if said else "SILENT"


def cells_of(data: bytes, offsets: list[tuple[int, int]], texts: dict[int, bytes]) -> dict[int, list[tuple[int, int]]]:
    """Return for each event where its text lies in a file, wherever it lies as a whole.

    Args:
        data: The bytes of a file.
        offsets: The pages in it: where each begins in the file, and its length.
        texts: The JSON of each event that fits into a page, by its place in the log.
    """
    found: dict[int, list[tuple[int, int]]] = defaultdict(list)
    for start, length in offsets:
        page = data[start : start + length]
        for place, text in texts.items():
            at = page.find(text)
            while at >= 0:
                found[place].append((start + at - 24, start + at + len(text) + 6))  # with head and sum
                at = page.find(text, at + 1)
    return found


def missed(folder: Path, name: str, places: set[int], cut: int) -> int:
    """Return how many events salvage does not find of which a whole copy of bytes is untouched."""
    rows = search(folder / "run.db").rows
    n = 0
    for place, ranges in ALL_CELLS.items():
        ok = any(file != name or (b <= cut and not any(a <= at < b for at in places)) for file, a, b in ranges)
        n += ok and place not in rows
    return n


ALL_CELLS: dict[int, list[tuple[str, int, int]]] = defaultdict(list)


def locate(folder: Path, events: list[LogEvent]) -> None:
    """Note where the bytes of each event lie that needs one page only."""
    texts = {e.seq: json.dumps(dict(e.data)).encode() for e in events}
    texts = {place: text for place, text in texts.items() if len(text) < 3000}
    counted = Counter(texts.values())
    texts = {place: text for place, text in texts.items() if counted[text] == 1}
    for name in ("run.db", "run.db-wal"):
        data = (folder / name).read_bytes()
        step, first = (PAGE, 0) if name == "run.db" else (PAGE + FRAME_HEADER, WAL_HEADER)
        starts = range(first, len(data), step)
        offsets = [(s + (0 if name == "run.db" else FRAME_HEADER), PAGE) for s in starts]
        for place, ranges in cells_of(data, offsets, texts).items():
            ALL_CELLS[place] += [(name, a, b) for a, b in ranges]


def damage_all(folder: Path, events: list[LogEvent], n: int) -> Iterator[dict[str, object]]:
    """Damage the log and the main file n times each, and yield what came of it."""
    killed = folder / "killed"
    whole = {name: (killed / name).read_bytes() for name in ("run.db", "run.db-wal")}
    locate(killed, events)
    for name in ("run.db-wal", "run.db"):
        counts: Counter[str] = Counter()
        n_missed = n_found = 0
        for i in range(n):
            draw, copy = random.Random(f"{name}-{i}"), folder / "copy"
            data, places, cut = damaged(whole[name], draw)
            for read_only in (True, False):
                shutil.rmtree(copy, ignore_errors=True)
                shutil.copytree(killed, copy)
                (copy / name).write_bytes(data)
                if i % 2:
                    (copy / "run.db-shm").unlink()
                if i % 4 == 3:
                    (copy / "run.db.lock").unlink()
                if read_only:
                    n_missed += missed(copy, name, places, cut)
                    n_found += len(search(copy / "run.db").rows)
                before = {p.name: p.read_bytes() for p in copy.iterdir() if p.name in whole}
                found = outcome(copy, events, read_only=read_only)
                counts[found + (" without lock file" if i % 4 == 3 else "")] += 1
                if found in ("corrupt", "refused"):
                    after = {p.name: p.read_bytes() for p in copy.iterdir() if p.name in whole}
                    counts["CHANGED"] += before != after
        yield {"damaged": name, "n": n, "opened": dict(counts), "events_found": n_found / n, "salvage_missed": n_missed}


def copy_running(folder: Path, n: int) -> dict[str, object]:
    """Copy the main file of a running search at random moments, and count what each copy lacks."""
    counts: Counter[str] = Counter()
    worst = 0.0
    draw = random.Random(0)
    process = subprocess.Popen([sys.executable, "-c", SEARCH, str(folder / "run.db")])
    try:
        while not (folder / "run.db.lock").exists():
            time.sleep(0.01)
        time.sleep(2.5)
        copies: list[tuple[Path, float]] = []
        for i in range(n):
            time.sleep(draw.uniform(0.05, 0.7))
            began = time.time()
            shutil.copy(folder / "run.db", folder / f"copy-{i}.db")
            copies.append((folder / f"copy-{i}.db", began))
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    with closing(SQLiteStore(folder / "run.db", read_only=True)) as store:
        events = list(store.events())
    for path, began in copies:
        try:
            with closing(SQLiteStore(path, read_only=True)) as store:
                found = list(store.events())
        except AutoHPOError as error:
            counts[type(error).__name__] += 1
            continue
        owed = [event for event in events if event.time < began]
        first = next((event.time for event in owed[len(found) :]), began)
        worst = max(worst, began - first)
        counts["opened" if found == events[: len(found)] else "WRONG"] += 1
    return {"copies": n, **counts, "worst_seconds_missing": round(worst, 2)}


def main() -> None:
    """Run all, and print a line of counts for each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--damages", type=int, default=1000)
    parser.add_argument("--copies", type=int, default=20)
    arguments = parser.parse_args()
    logging.getLogger("autohpo").setLevel(logging.ERROR)
    with tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as name:
        folder = Path(name)
        (folder / "live").mkdir()
        events = make(folder)
        for counts in damage_all(folder, events, arguments.damages):
            print(json.dumps(counts), flush=True)
    with tempfile.TemporaryDirectory() as name:
        print(json.dumps(copy_running(Path(name), arguments.copies)), flush=True)


if __name__ == "__main__":
    main()
