"""What a long run costs to go on with: a resume, the driver's memory, and an append, with up to a million trials.

    python benchmarks/resume.py                          # 10^4 and 10^5 trials
    python benchmarks/resume.py --trials 1000000
    python benchmarks/resume.py --beside ../other        # another checkout too, on its own copy of the same log

The logs are made in bulk of the very events that a driver writes: random search over ten mixed parameters, three events
a trial. Each is resumed by a process of its own, with the call that a user makes: ``optimize`` with as many trials as
there are, so that nothing is left to run. CPU seconds are printed, and the clock's beside them.
"""

from __future__ import annotations

import os

os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", MKL_NUM_THREADS="1")  # numpy reads them when imported

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from autohpo import ChoiceHP, LogRangeHP, OrdinalHP, RangeHP, SearchSpace, Suggestion, build_hpo_from_name
from autohpo.store import LogEvent, SQLiteStore

try:
    from autohpo.store.run_state import suggestion_data
except ImportError:  # a checkout of release 0.1
    from autohpo.store.fold import suggestion_data

ROOT = Path(__file__).parents[1]
SPACE = SearchSpace(
    [
        *(RangeHP(f"x{i}", 0.0, 1.0) for i in range(4)),
        *(LogRangeHP(f"lr{i}", 1e-5, 1.0) for i in range(2)),
        *(RangeHP(f"n{i}", 1, 64) for i in range(2)),
        ChoiceHP("act", ["relu", "tanh", None]),
        OrdinalHP("width", [16, 32, 64, 128]),
    ]
)
BATCH = 20_000  # trials a commit, where logs are made
N_APPENDS = 300


def value(hps: dict[str, Any]) -> float:
    """The objective; it is only called where a log is begun."""
    return -sum((hps[f"x{i}"] - 0.3) ** 2 for i in range(4))


def trials(first: int, n: int) -> Iterator[LogEvent]:
    """The events of n trials, as a driver with two workers writes them."""
    rng = np.random.default_rng(first)
    for number, hp in enumerate(SPACE.sample(rng, n), start=first):
        time_ = 1.7e9 + number * 0.123456
        suggestion = Suggestion(hp, number=number, pid=number % 2, seed=int(rng.integers(2**31)))
        yield LogEvent("ask", number, 0, suggestion_data(suggestion, SPACE), time_)
        yield LogEvent("start", number, 1, {"slot": number % 2}, time_ + 1e-4)
        end = {"state": "COMPLETE", "perf": value(hp), "fidelity": None, "error": "", "cost": 0.1 + number % 7 / 70}
        yield LogEvent("end", number, 1, end, time_ + 0.1)


def make_log(path: Path, n: int) -> None:
    """Make a store with n finished trials."""
    resume(path, 2)
    store = SQLiteStore(path)
    store.open()
    for first in range(2, n, BATCH):
        store.append(list(trials(first, min(BATCH, n - first))))
    store.close()


def resume(path: Path, n: int) -> Any:
    """Go on with a run up to n trials."""
    hpo = build_hpo_from_name("random", SPACE, value, max_evals=n, seed=0)
    hpo.optimize(store=path, progress=False)
    return hpo


def resident_bytes() -> int:
    """The memory that this process has now."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def measure(path: Path, n: int) -> dict[str, float]:
    """Resume a log of n trials in this very process, and append to it."""
    bytes_before, cpu, wall = resident_bytes(), time.process_time(), time.perf_counter()
    hpo = resume(path, n)
    found = {"cpu": time.process_time() - cpu, "wall": time.perf_counter() - wall}
    found["bytes"] = (resident_bytes() - bytes_before) / n
    assert hpo.n_told == len(hpo.result.trials) == n
    store = SQLiteStore(path)
    store.open()
    seconds = []
    for number in range(n, n + N_APPENDS):
        events = list(trials(number, 1))
        began = time.perf_counter()
        store.append(events)
        seconds.append(time.perf_counter() - began)
    store.close()
    found["p50"], found["p99"] = (float(np.quantile(seconds, q)) for q in (0.5, 0.99))
    return found


def call(package: Path, *arguments: object) -> str:
    """Run this script with the package of a checkout, in a process of its own, and return what it printed."""
    environment = {**os.environ, "PYTHONPATH": str(package.resolve())}
    command = [sys.executable, __file__, *map(str, arguments)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr)
    return done.stdout


def measure_with(package: Path, log: Path, n: int) -> dict[str, float]:
    """Resume a copy of a log with the package of a checkout."""
    with tempfile.TemporaryDirectory(prefix="resume-", dir=log.parent) as folder:
        path = shutil.copy(log, Path(folder) / "run.db")
        return json.loads(call(package, "--measure", path, "--trials", n))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, nargs="+", default=[10**4, 10**5], help="trials in the logs")
    parser.add_argument("--beside", type=Path, nargs="*", default=[], help="other checkouts, to be compared")
    parser.add_argument("--folder", help="where the logs are put")
    parser.add_argument("--rounds", type=int, default=1, help="runs of each, which take turns (default: 1)")
    parser.add_argument("--measure", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--make", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.make:
        make_log(options.make, options.trials[0])
        return
    if options.measure:
        print(json.dumps(measure(options.measure, options.trials[0])))
        return
    header = ("trials", "log B", "resume CPU s", "clock s", "KB a trial", "append p50 ms", "p99 ms")
    print(f"{'':24s}" + "".join(f"{text:>14s}" for text in header))
    packages = [*options.beside, ROOT]
    for n in options.trials:
        with tempfile.TemporaryDirectory(prefix="resume-", dir=options.folder) as folder:
            log = Path(folder) / "log.db"
            call(packages[0], "--make", log, "--trials", n)  # the oldest: all of them read what it writes
            for _ in range(options.rounds):
                for package in packages:
                    it = measure_with(package.resolve(), log, n)
                    row = (it["cpu"], it["wall"], it["bytes"] / 1e3, it["p50"] * 1e3, it["p99"] * 1e3)
                    text = f"{n:14d}{log.stat().st_size / n:14.0f}" + "".join(f"{value:14.2f}" for value in row)
                    print(f"{package.resolve().name:24s}{text}", flush=True)


if __name__ == "__main__":
    main()
