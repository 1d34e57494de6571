"""What a run of a million trials costs: an append to its store, a resume, and the driver's memory for each trial.

    python -m benchmarks.store_scale                            # 10^5 trials, 2 minutes
    python -m benchmarks.store_scale --trials 1e6               # 10 minutes
    python -m benchmarks.store_scale --trials 1e6 --reports 10  # with 10^7 reports
    python -m benchmarks.store_scale --only resume

The logs are made in bulk of the very events that a driver writes: random search over four parameters, three events a
trial, and reports where they are asked for. One JSON line is printed for each figure, with its goal where there is one.
Each is measured by a process of its own, with one thread; seconds are CPU seconds where the name says so. Memory is
what the process has afterwards beyond what it had before, divided by the trials. Optuna, where it is installed, is
measured in the same run, with fewer trials: its cost a trial is what counts.
"""

from __future__ import annotations

import os

os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", MKL_NUM_THREADS="1")  # numpy reads them when imported

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from autohpo import ChoiceHP, LogRangeHP, RangeHP, Result, Search, SearchSpace, Suggestion, build_hpo_from_name
from autohpo.replay import replay
from autohpo.store import LogEvent, RunState, SQLiteStore
from autohpo.store.run_state import suggestion_data

ROOT = Path(__file__).parents[1]
SPACE = SearchSpace(
    [
        LogRangeHP("lr", 1e-5, 1.0),
        RangeHP("dropout", 0.0, 0.9),
        RangeHP("layers", 1, 8),
        ChoiceHP("act", ["relu", "tanh", "gelu"]),
    ]
)
BATCH = 20_000  # trials a commit, where logs are made
N_APPENDS = 1_000
N_RIVAL = 2_000  # trials of the rival
N_LIVE = 40_000  # trials of a search that is run, with an objective that does nothing

Figures = dict[str, float]


def value(hps: dict[str, Any]) -> float:
    """The objective."""
    return -abs(float(hps["dropout"]) - 0.3)


def events(first: int, n: int, n_reports: int) -> Iterator[LogEvent]:
    """The events of n trials, as a driver with two workers writes them."""
    rng = np.random.default_rng(first)
    for number, hp in enumerate(SPACE.sample(rng, n), start=first):
        began, perf = 1.7e9 + number * 0.123456, value(hp)
        suggestion = Suggestion(hp, number=number, pid=number % 2, seed=int(rng.integers(2**31)))
        yield LogEvent("ask", number, 0, suggestion_data(suggestion, SPACE), began)
        yield LogEvent("start", number, 1, {"slot": number % 2}, began + 1e-4)
        for step in range(1, n_reports + 1):
            report = {"fidelity": float(step), "perf": perf * (1 + 0.5**step)}
            yield LogEvent("report", number, 1, report, began + 0.01 * step)
        end = {"state": "COMPLETE", "perf": perf, "fidelity": None, "error": "", "cost": 0.1 + number % 7 / 70}
        yield LogEvent("end", number, 1, end, began + 0.1)


def search_of(algorithm: str, n: int) -> Any:
    """An optimizer that has no more to suggest after n trials."""
    return build_hpo_from_name(algorithm, SPACE, value, max_evals=n, seed=0)


def make(path: Path, n: int, n_reports: int) -> Figures:
    """Make a store with n finished trials."""
    with Search(search_of("random", n), path):
        pass
    store = SQLiteStore(path)
    store.open()
    for first in range(0, n, BATCH):
        store.append(list(events(first, min(BATCH, n - first), n_reports)))
    store.close()
    return {"bytes on disk a trial": path.stat().st_size / n}


def resident_bytes() -> int:
    """The memory that this process has now."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def peak_bytes() -> int:
    """The most memory that this process has had."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))


def append(path: Path, n: int, n_reports: int) -> Figures:
    """Append to a store of n trials as a driver does: a suggestion and a start in FULL, an end in NORMAL."""
    store = SQLiteStore(path)
    store.open()
    seconds: dict[bool, list[float]] = {True: [], False: []}
    cpu: dict[bool, list[float]] = {True: [], False: []}
    for number in range(n, n + N_APPENDS):
        *begin, end = events(number, 1, n_reports)
        for sync, batch in ((True, begin), (False, [end])):
            began, began_cpu = time.perf_counter(), time.thread_time()
            store.append(batch, sync=sync)
            seconds[sync].append(time.perf_counter() - began)
            cpu[sync].append(time.thread_time() - began_cpu)
    store.close()
    return {
        f"append {'FULL' if sync else 'NORMAL'} {what} p{q} ms": 1e3 * float(np.percentile(times[sync], q))
        for sync in (True, False)
        for what, times in (("clock", seconds), ("CPU", cpu))
        for q in (50, 99)
    }


def resume(path: Path, n: int, _: int) -> Figures:
    """Go on with a run by the call that a user makes, with nothing left to run."""
    before, cpu, wall = resident_bytes(), time.process_time(), time.perf_counter()
    hpo = search_of("random", n)
    hpo.optimize(store=path, progress=False)
    found = {"resume CPU s": time.process_time() - cpu, "resume clock s": time.perf_counter() - wall}
    assert hpo.n_told == len(hpo.result.trials) == n
    return found | {
        "memory KB a trial, random": (resident_bytes() - before) / n / 1e3,
        "most memory KB a trial, random": (peak_bytes() - before) / n / 1e3,
    }


def memory(algorithm: str, path: Path, n: int) -> Figures:
    """What a driver holds of a run, and what the algorithm adds once it suggests."""
    store, hpo = SQLiteStore(path, read_only=True), search_of(algorithm, n + 2 * N_APPENDS)
    state = RunState(hpo.space, hpo.objectives)
    hpo.set_up()
    before = resident_bytes()
    replay(store, state, hpo, None)
    replayed = resident_bytes()
    for _ in range(3):
        hpo.tell(hpo.ask(), 0.0)
    added = resident_bytes() - replayed
    return {
        f"memory KB a trial, {algorithm} replayed": (replayed - before) / n / 1e3,
        f"caches KB a trial, {algorithm}": added / n / 1e3,
    }


def load(path: Path, n: int, _: int) -> Figures:
    """Read a run as a report does."""
    cpu = time.process_time()
    result = Result.load(path)
    loaded = time.process_time()
    best, top = result.best, result.top(10)
    assert len(result) >= n
    assert best.number == top[0].number
    return {"Result.load CPU s": loaded - cpu, "best and top(10) CPU s": time.process_time() - loaded}


def live(algorithm: str, store: Path | None, n: int) -> Figures:
    """Run a search with an objective that does nothing; memory beyond that of one with a quarter of the trials."""
    where = f"{algorithm}, {'in memory' if store is None else 'SQLite'}"
    counts, cpu = [], time.process_time()
    for m in (n // 4, n):
        search_of(algorithm, m).optimize(store=None if store is None else store.with_suffix(f".{m}"), progress=False)
        counts.append(resident_bytes())
    seconds = time.process_time() - cpu
    return {
        f"live memory KB a trial, {where}": (counts[1] - counts[0]) / (n - n // 4) / 1e3,
        f"live CPU ms a trial, {where}": seconds / (n + n // 4) * 1e3,
    }


def rival(kind: str, folder: Path, n: int) -> Figures:
    """The same of a study of optuna: what a trial costs to write and to read, and the memory to go on with it."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)

    def storage() -> Any:
        if kind == "SQLite":
            return f"sqlite:///{folder / 'optuna.db'}"
        storages: Any = optuna.storages
        return storages.JournalStorage(storages.journal.JournalFileBackend(str(folder / "optuna.log")))

    def objective(trial: Any) -> float:
        trial.suggest_float("lr", 1e-5, 1.0, log=True)
        trial.suggest_int("layers", 1, 8)
        trial.suggest_categorical("act", ["relu", "tanh", "gelu"])
        return -abs(float(trial.suggest_float("dropout", 0.0, 0.9)) - 0.3)

    study = optuna.create_study(study_name="s", storage=storage(), sampler=optuna.samplers.RandomSampler(seed=0))
    seconds = []
    for _ in range(n):
        began = time.perf_counter()
        study.optimize(objective, n_trials=1)
        seconds.append(time.perf_counter() - began)
    size = sum(path.stat().st_size for path in folder.iterdir())
    before, cpu = resident_bytes(), time.process_time()
    again = optuna.load_study(study_name="s", storage=storage())
    assert len(again.get_trials(deepcopy=False)) == n
    return {
        f"optuna {kind}: trial p50 ms": 1e3 * float(np.percentile(seconds, 50)),
        f"optuna {kind}: trial p99 ms": 1e3 * float(np.percentile(seconds, 99)),
        f"optuna {kind}: bytes on disk a trial": size / n,
        f"optuna {kind}: load CPU s for 10^6": (time.process_time() - cpu) / n * 1e6,
        f"optuna {kind}: memory KB a trial": (resident_bytes() - before) / n / 1e3,
    }


MEASURES: dict[str, Callable[[Path, int, int], Figures]] = {
    "make": make,
    "load": load,
    "resume": resume,
    "memory": lambda path, n, _: memory("random", path, n),
    "memory-tpe": lambda path, n, _: memory("tpe", path, n),
    "append": append,
    "live": lambda path, n, _: live("random", path.with_name("live.db"), min(n, N_LIVE)),
    "live-tpe": lambda path, n, _: live("tpe", path.with_name("tpe.db"), min(n, N_LIVE)),
    "live-memory": lambda _path, n, _: live("random", None, min(n, N_LIVE)),
    "optuna-journal": lambda path, n, _: rival("journal", path.parent, min(n, N_RIVAL)),
    "optuna-sqlite": lambda path, n, _: rival("SQLite", path.parent, min(n, N_RIVAL // 10)),
}
"""What is measured, by name; each in a process of its own."""

GOALS = {
    "append FULL clock p99 ms": 25.0,
    "append NORMAL clock p99 ms": 1.0,
    "resume clock s": 30.0,
    "memory KB a trial, random": 1.0,
    "memory KB a trial, random replayed": 1.0,
    "memory KB a trial, tpe replayed": 1.0,
    "live memory KB a trial, random, SQLite": 1.0,
    "live memory KB a trial, random, in memory": 1.0,
    "live CPU ms a trial, random, SQLite": 0.5,
}
"""At most, for a million trials."""


def measured(name: str, path: Path, n: int, n_reports: int) -> Figures:
    """The figures of one measure, from a process of its own."""
    command = [sys.executable, "-m", "benchmarks.store_scale", "--measure", name, "--path", str(path)]
    command += ["--trials", str(n), "--reports", str(n_reports)]
    with tempfile.TemporaryDirectory(prefix="rival-", dir=path.parent) as folder:
        if name.startswith(("optuna", "live")):
            command[command.index("--path") + 1] = str(Path(folder) / "run.db")
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode and "No module named 'optuna'" in done.stderr:
        return {f"{name}: not installed": 0.0}
    if done.returncode:
        raise RuntimeError(done.stderr)
    return json.loads(done.stdout.splitlines()[-1])  # type: ignore[no-any-return]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=lambda text: int(float(text)), default=100_000, help="trials in the log")
    parser.add_argument("--reports", type=int, default=0, help="reports of each trial (default: 0)")
    parser.add_argument("--only", default="", help="measures whose names begin with this: " + ", ".join(MEASURES))
    parser.add_argument("--folder", help="where the logs are put")
    parser.add_argument("--measure", choices=MEASURES, help=argparse.SUPPRESS)
    parser.add_argument("--path", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        print(json.dumps(MEASURES[options.measure](options.path, options.trials, options.reports)))
        return
    with tempfile.TemporaryDirectory(prefix="store-scale-", dir=options.folder) as folder:
        for name in MEASURES:
            if name != "make" and not name.startswith(options.only):
                continue
            for figure, found in measured(name, Path(folder) / "run.db", options.trials, options.reports).items():
                line: dict[str, Any] = {"figure": figure, "value": round(found, 4)}
                goal = GOALS.get(figure)
                if goal is not None:
                    line |= {"goal": goal, "is_met": found <= goal}
                print(json.dumps({**line, "trials": options.trials, "reports": options.reports}), flush=True)


if __name__ == "__main__":
    main()
