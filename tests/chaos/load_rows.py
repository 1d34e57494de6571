"""Many workers, long runs, late results: what a search must stand for hours. Each returns counts."""

from __future__ import annotations

import contextlib
import gc
import os
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from counts import Counts, total
from rooms import Room
from searches import misnumbered

from autohpo import RangeHP, build_hpo_from_name
from autohpo.store import open_store
from autohpo.testing import EVERY_FAULT, FakeEngine, wrong_states

SPACE = [RangeHP("x", 0.0, 1.0), RangeHP("n", 1, 8)]
PAGE_MB = os.sysconf("SC_PAGE_SIZE") / 1e6


def nothing(hps: dict[str, Any]) -> float:
    """Return a parameter."""
    return float(hps["x"])


def reporting(hps: dict[str, Any], trial: Any) -> float:
    """Report twice."""
    for share in (2, 3):
        trial.report(hps["x"] / share)
    return float(hps["x"])


def crowd(room: Room) -> Counts:
    """Many workers at once, 25 trials each, with reports: every trial ends once, and no lock is in the way."""
    n_workers = 24 if room.is_long else 8
    hpo = build_hpo_from_name("random", SPACE, reporting, max_evals=room.n, seed=0)
    began = time.monotonic()
    hpo.optimize(num_workers=n_workers, store=room.folder / "run.db", progress=False)
    seconds = time.monotonic() - began
    assert hpo.result is not None
    with contextlib.closing(open_store(room.folder / "run.db", read_only=True)) as store:
        events = list(store.events())
    ends = Counter(event.trial for event in events if event.kind == "end")
    n_reports = sum(event.kind == "report" for event in events)
    return {
        "trials": len(hpo.result),
        "workers": n_workers,
        "missing": room.n - sum(t.state.has_perf for t in hpo.result),
        "lost": 3 * room.n - n_reports - len(ends),
        "twice": sum(n > 1 for n in ends.values()),
        "attempts": misnumbered(events),
        "trials_per_s": round(len(hpo.result) / seconds, 1),
    }


def late_results(room: Room) -> Counts:
    """Attempts that were given up come back with a result: it is kept in the log, and changes nothing."""
    every: list[Counts] = []
    seed = 0
    while sum(counts["late_ends"] for counts in every) < room.n and seed < 200:
        hpo = build_hpo_from_name("random", SPACE, _marked, max_evals=200, seed=seed)
        engine = FakeEngine(seed, 4, EVERY_FAULT)
        hpo.optimize(executor=engine, progress=False)
        log = Counter(event.kind for event in hpo.run_store.events())
        late = _late_ends(engine)
        every.append(
            {
                "late_ends": late,
                "unstored": late - log["late"],
                "wrong": len(wrong_states(hpo, engine.delivered)),
                "missing": 200 - len(hpo.result or ()),
            }
        )
        seed += 1
    return total([*every, frozen_workers(room)])


def _marked(hps: dict[str, Any], trial: Any) -> float:
    """Return a value that tells which attempt it comes from."""
    trial.report(hps["x"] + trial.attempt / 1024)
    return float(hps["x"] + trial.attempt / 1024)


def _late_ends(engine: FakeEngine) -> int:
    """Return how many ends were delivered of attempts that had ended before."""
    seen: set[tuple[int, int]] = set()
    n = 0
    for event in engine.delivered:
        if event.outcome is not None:
            n += (event.number, event.attempt) in seen
            seen.add((event.number, event.attempt))
    return n


def frozen_workers(room: Room) -> Counts:
    """A worker is stopped with SIGSTOP in the midst of its trial, and goes on later: its trial ends well."""

    def f(hps: dict[str, Any], trial: Any) -> float:
        import os
        import signal
        import subprocess
        import time

        if trial.number % 3 == 0:
            wake = f"sleep 0.4; kill -CONT {os.getpid()}"
            subprocess.Popen(["sh", "-c", wake], start_new_session=True)
            os.kill(os.getpid(), signal.SIGSTOP)
            time.sleep(0.01)
        return float(trial.number)

    n = 12
    hpo = build_hpo_from_name("random", SPACE, f, max_evals=n, seed=0)
    hpo.optimize(num_workers=3, progress=False)
    assert hpo.result is not None
    right = sum(t.state.has_perf and t.perf == t.number and t.attempt == 1 for t in hpo.result)
    return {"frozen": n // 3, "bystanders": n - right}


def holdings() -> dict[str, int]:
    """Return what this process has: files, threads, child processes, temporary folders, shared memory."""
    me = Path("/proc/self")
    children = [path.read_text().split() for path in me.glob("task/*/children")]
    return {
        "files": len(list((me / "fd").iterdir())),
        "threads": threading.active_count(),
        "processes": sum(map(len, children)),
        "folders": len(list(Path(tempfile.gettempdir()).iterdir())),
        "shared": (me / "maps").read_text().count("/dev/shm/"),
    }


def rss_mb(pid: int) -> float:
    """Return the memory of a process."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE_MB
    except (OSError, IndexError):
        return 0.0


@contextmanager
def sampled(look: Callable[[], Any], seconds: float = 0.2) -> Iterator[list[Any]]:
    """Look again and again while something runs."""
    found: list[Any] = []
    is_over = threading.Event()

    def watch() -> None:
        while not is_over.wait(seconds):
            found.append(look())

    thread = threading.Thread(target=watch)
    thread.start()
    yield found
    is_over.set()
    thread.join()


def long_run(room: Room) -> Counts:
    """Trials that do nothing, four workers: in the end this process has what it had, and no worker has grown."""
    (room.folder / "tmp").mkdir()
    tempfile.tempdir = str(room.folder / "tmp")  # what other programs leave does not count
    try:
        return _long_run(room)
    finally:
        tempfile.tempdir = None


def _long_run(room: Room) -> Counts:
    build_hpo_from_name("random", SPACE, nothing, max_evals=50, seed=0).optimize(num_workers=4, progress=False)
    gc.collect()
    before = holdings()
    hpo = build_hpo_from_name("random", SPACE, nothing, max_evals=room.n, seed=0)

    def look() -> tuple[int, int, int, float, dict[int, float]]:
        children = [p for path in Path("/proc/self").glob("task/*/children") for p in path.read_text().split()]
        now = holdings()
        return (
            hpo.n_asked,
            now["files"],
            now["threads"],
            rss_mb(os.getpid()),
            {int(p): rss_mb(int(p)) for p in children},
        )

    with sampled(look) as found:
        hpo.optimize(num_workers=4, store=room.folder / "run.db", progress=False)
    assert hpo.result is not None
    n_done, states = len(hpo.result), hpo.result.counts()
    gc.collect()
    after = holdings()
    running = [one for one in found if room.n * 0.1 < one[0] < room.n * 0.98]
    first, last = (running[0], running[-1]) if running else (found[0], found[-1])
    grown = [last[4][pid] - rss for pid, rss in first[4].items() if pid in last[4]]
    leaked = {name: max(0, after[name] - n) for name, n in before.items()}  # fewer: garbage of before was collected
    leaked["threads while it ran"] = max(0, last[2] - first[2])
    leaked["files while it ran"] = max(0, last[1] - first[1])
    return {
        "trials": n_done,
        "missing": room.n - states.get("COMPLETE", 0),
        "leaked": sum(leaked.values()),
        "which": [f"{name}: {n}" for name, n in leaked.items() if n],
        "worker_drift_mb": round(max(grown, default=0.0), 1),
        "driver_kb_per_trial": round(1000 * (last[3] - first[3]) / max(1, last[0] - first[0]), 2),
    }
