"""What the loop costs: trials a second, and CPU time a trial, with an objective that does nothing.

    python benchmarks/throughput.py                    # stores in the system's folder for temporary files
    python benchmarks/throughput.py --folder /data     # on another disk

Random search over 10 parameters; beside it optuna's, where it is installed. Runs of all take turns, so that a busy
machine slows them alike; medians are printed. A store's speed is mostly that of the disk: each of our trials is forced
to it twice, before it runs and after. The row *bare* does that and nothing else, with Python's own sqlite3.
"""

from __future__ import annotations

import os

os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", MKL_NUM_THREADS="1")  # numpy reads them when imported

import argparse
import contextlib
import sqlite3
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from autohpo import RangeHP, build_hpo_from_name

NAMES = [f"x{i}" for i in range(10)]

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
    """Two durable commits a trial, of rows like ours."""
    with contextlib.closing(sqlite3.connect(folder / "bare.db", isolation_level=None)) as db:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = FULL")
        db.execute("CREATE TABLE events (seq INTEGER PRIMARY KEY, data TEXT)")
        for _ in range(n):
            for rows in ([("x" * 400,), ("x" * 20,)], [("x" * 80,)]):
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
    Row(MEMORY, MEMORY, 2000, lambda: ours(1, has_store=False)),
    Row("optuna, memory", MEMORY, 1000, lambda: optunas("memory")),
    Row("autohpo, memory, 2 workers", MEMORY, 1000, lambda: ours(2, has_store=False)),
    Row(STORE, STORE, 300, lambda: ours(1, has_store=True)),
    Row("autohpo, SQLite, 2 workers", STORE, 300, lambda: ours(2, has_store=True)),
    Row("bare sqlite3, 2 commits", STORE, 300, lambda: bare),
    Row("optuna, SQLite", STORE, 60, lambda: optunas("SQLite")),
    Row("optuna, journal file", STORE, 200, lambda: optunas("journal")),
)


@dataclass(frozen=True)
class Cost:
    """Of a trial, in seconds: on the clock, and of this process's CPU, the kernel's work for it included."""

    wall: float
    cpu: float


def cost(run: Run, n: int, folder: Path) -> Cost:
    """What n trials cost, each."""
    wall, cpu = time.perf_counter(), time.process_time()
    run(n, folder)
    return Cost((time.perf_counter() - wall) / n, (time.process_time() - cpu) / n)


def made(row: Row) -> Run | str:
    """How to run a row, or why it cannot be."""
    try:
        return row.make()
    except ImportError as error:
        return f"not installed ({error})"


def measure(runs: dict[str, Run], rounds: int, folder: str | None) -> dict[str, Cost]:
    """Median costs by row."""
    costs: dict[str, list[Cost]] = {name: [] for name in runs}
    for _ in range(rounds + 1):
        for row in ROWS:
            if row.name in runs:
                with tempfile.TemporaryDirectory(prefix="throughput-", dir=folder) as place:
                    costs[row.name].append(cost(runs[row.name], row.n, Path(place)))
    warm = {name: every[1:] for name, every in costs.items()}  # the first imports what it needs
    return {name: Cost(median(c.wall for c in every), median(c.cpu for c in every)) for name, every in warm.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5, help="runs of each (default: 5)")
    parser.add_argument("--folder", help="where the stores are put")
    options = parser.parse_args()
    ways = {row.name: made(row) for row in ROWS}
    runs = {name: way for name, way in ways.items() if not isinstance(way, str)}
    found = measure(runs, options.rounds, options.folder)
    print(f"{'':28s}{'trials/s':>10s}{'ratio':>8s}{'CPU ms':>10s}{'ratio':>8s}")
    for row in ROWS:
        if row.name not in found:
            print(f"{row.name:28s}  {ways[row.name]}")
            continue
        it, own = found[row.name], found[row.own]
        speed = f"{1 / it.wall:10.0f}{own.wall / it.wall:8.2f}"
        print(f"{row.name:28s}{speed}{it.cpu * 1e3:10.3f}{it.cpu / own.cpu:8.2f}")
    print("\nCPU ms a trial is that of the driver's process, with the kernel's work for it. Ratios are to the row of")
    print("ours of the same kind: trials/s above 1 and CPU below 1 beat it.")


if __name__ == "__main__":
    main()
