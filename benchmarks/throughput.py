"""What the loop costs: trials a second, and CPU time a trial, with an objective that does nothing.

    python benchmarks/throughput.py                    # stores in the system's folder for temporary files
    python benchmarks/throughput.py --folder /data     # on another disk
    python benchmarks/throughput.py --beside ../other --only autohpo    # our rows, with another checkout in turns

Random search over 10 parameters; beside it optuna's, where it is installed. Every run is a process of its own, and all
take turns, so that a busy machine slows them alike; medians are printed. What a run costs to begin is left out: a cost
is the difference of a long and a short run. A store's speed is mostly that of the disk: each of our trials is forced to
it once, before it runs, and written once more, when it has ended. The row *bare* does that and nothing else, with
Python's own sqlite3.
"""

from __future__ import annotations

import os

os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", MKL_NUM_THREADS="1")  # numpy reads them when imported

import argparse
import contextlib
import json
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from autohpo import RangeHP, build_hpo_from_name

ROOT = Path(__file__).parents[1]
NAMES = [f"x{i}" for i in range(10)]
SHORT = 10  # times shorter is the short run

Run = Callable[[int, Path], None]
"""Runs n trials, with its files in an empty folder."""


def nothing(hps: dict[str, Any]) -> float:
    """The objective; the configuration is used, so that nobody can skip making it."""
    return float(hps["x0"])


def ours(workers: int, has_store: bool) -> Run:
    """A search of ours."""

    def run(n: int, folder: Path) -> None:
        space = [RangeHP(name, 0.0, 1.0) for name in NAMES]
        hpo = build_hpo_from_name("random", space, nothing, max_evals=n, seed=0)
        hpo.optimize(num_workers=workers, store=folder / "run.db" if has_store else None, progress=False)

    return run


def bare(n: int, folder: Path) -> None:
    """A durable commit and one that is only written for each trial, of rows like ours."""
    with contextlib.closing(sqlite3.connect(folder / "bare.db", isolation_level=None)) as db:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = FULL")
        db.execute("CREATE TABLE events (seq INTEGER PRIMARY KEY, data TEXT)")
        for _ in range(n):
            for sync, rows in (("FULL", [("x" * 400,), ("x" * 20,)]), ("NORMAL", [("x" * 80,)])):
                db.execute(f"PRAGMA synchronous = {sync}")
                db.execute("BEGIN IMMEDIATE")
                db.executemany("INSERT INTO events (data) VALUES (?)", rows)
                db.execute("COMMIT")


def optunas(kind: str) -> Run:
    """A study of optuna."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)

    def objective(trial: Any) -> float:
        return nothing({name: trial.suggest_float(name, 0.0, 1.0) for name in NAMES})

    def run(n: int, folder: Path) -> None:
        storage: Any = None
        if kind == "SQLite":
            storage = f"sqlite:///{folder / 'optuna.db'}"
        elif kind == "journal":
            journal = optuna.storages.journal
            storage = optuna.storages.JournalStorage(journal.JournalFileBackend(str(folder / "optuna.log")))
        study = optuna.create_study(storage=storage, sampler=optuna.samplers.RandomSampler(seed=0))
        study.optimize(objective, n_trials=n)

    return run


@dataclass(frozen=True)
class Row:
    """One way to run trials.

    Attributes:
        name: As printed.
        own: The row of ours that it is compared with.
        n: Trials a run.
        make: Gives the run; raises ImportError where it is not installed.
    """

    name: str
    own: str
    n: int
    make: Callable[[], Run]


MEMORY, STORE = "autohpo, memory", "autohpo, SQLite"
ROWS = (
    Row(MEMORY, MEMORY, 3000, lambda: ours(1, has_store=False)),
    Row("optuna, memory", MEMORY, 1000, lambda: optunas("memory")),
    Row("autohpo, memory, 2 workers", MEMORY, 3000, lambda: ours(2, has_store=False)),
    Row(STORE, STORE, 1500, lambda: ours(1, has_store=True)),
    Row("autohpo, SQLite, 2 workers", STORE, 1500, lambda: ours(2, has_store=True)),
    Row("bare sqlite3", STORE, 1500, lambda: bare),
    Row("optuna, SQLite", STORE, 60, lambda: optunas("SQLite")),
    Row("optuna, journal file", STORE, 200, lambda: optunas("journal")),
)


@dataclass(frozen=True)
class Cost:
    """Of a trial, in seconds: on the clock, and of this process's CPU, the kernel's work for it included."""

    wall: float
    cpu: float


def run_once(run: Run, n: int, folder: str | None) -> Cost:
    """What n trials cost, all together."""
    with tempfile.TemporaryDirectory(prefix="throughput-", dir=folder) as place:
        wall, cpu = time.perf_counter(), time.process_time()
        run(n, Path(place))
        return Cost(time.perf_counter() - wall, time.process_time() - cpu)


def measure(row: Row, folder: str | None) -> Cost | None:
    """What a trial of a row costs, in this process; None where what it needs is not installed."""
    try:
        run = row.make()
    except ImportError:
        return None
    n = row.n // SHORT
    run_once(run, n, folder)  # imports what it needs
    short, long = run_once(run, n, folder), run_once(run, row.n, folder)
    return Cost((long.wall - short.wall) / (row.n - n), (long.cpu - short.cpu) / (row.n - n))


def measure_with(package: Path, row: Row, folder: str | None) -> Cost | None:
    """What a trial of a row costs with the package of a checkout, in a process of its own."""
    environment = {**os.environ, "PYTHONPATH": str(package)}
    command = [sys.executable, __file__, "--row", row.name, *(["--folder", folder] if folder else [])]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr)
    found = json.loads(done.stdout)
    return None if found is None else Cost(*found)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5, help="runs of each (default: 5)")
    parser.add_argument("--folder", help="where the stores are put")
    parser.add_argument("--beside", type=Path, nargs="*", default=[], help="other checkouts, to be compared")
    parser.add_argument("--only", default="", help="rows whose names hold this")
    parser.add_argument("--row", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.row:
        cost = measure(next(row for row in ROWS if row.name == options.row), options.folder)
        print(json.dumps(None if cost is None else [cost.wall, cost.cpu]))
        return
    rows = [row for row in ROWS if options.only in row.name]
    packages = [*(path.resolve() for path in options.beside), ROOT]
    costs: dict[tuple[str, Path], list[Cost | None]] = {}
    for _ in range(options.rounds):
        for row in rows:
            for package in packages:
                costs.setdefault((row.name, package), []).append(measure_with(package, row, options.folder))
    print_table(rows, packages, costs)


def print_table(rows: list[Row], packages: list[Path], costs: dict[tuple[str, Path], list[Cost | None]]) -> None:
    """Medians of each row and checkout, with ratios to our own row of the same kind."""
    found = {
        key: Cost(median(c.wall for c in every if c), median(c.cpu for c in every if c))
        for key, every in costs.items()
        if all(every)
    }
    print(f"{'':28s}{'checkout':>12s}{'trials/s':>10s}{'ratio':>8s}{'CPU ms':>10s}{'ratio':>8s}")
    for row in rows:
        for package in packages:
            it = found.get((row.name, package))
            own = found.get((row.own, ROOT), it)
            if it is None or own is None:
                print(f"{row.name:28s}{package.name:>12s}  not installed")
                continue
            speed = f"{1 / it.wall:10.0f}{own.wall / it.wall:8.2f}"
            print(f"{row.name:28s}{package.name:>12s}{speed}{it.cpu * 1e3:10.3f}{it.cpu / own.cpu:8.2f}")
    print("\nCPU ms a trial is that of the driver's process, with the kernel's work for it. Ratios are to the row of")
    print("ours of the same kind: trials/s above 1 and CPU below 1 beat it.")


if __name__ == "__main__":
    main()
