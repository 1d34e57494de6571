"""What one driver carries: its CPU for each trial, how busy it keeps many workers, and the reports of 24 of them.

    python -m benchmarks.load                      # all of it, 3 minutes on a quiet machine
    python -m benchmarks.load --only busy          # a simulated clock, which a busy machine does not disturb much

One JSON line is printed for each figure, with its goal where there is one.

*overhead*: CPU of the driver and of its workers for each trial, from the difference of a long and a short run, with an
objective that returns one of its parameters. In it: a suggestion of `random`, its check, its JSON and checksum, two
commits to SQLite and the kernel's work for them, the task to the worker over a pipe and the result back, the fold of
the log, and the objective itself. Not in it: starting the workers.

*busy*: simulated workers, each of which needs one second for any trial, on a clock that moves on by the CPU time that
the driver takes between two looks at them, and by nothing else. How long the disk takes is not in it. The share of
workers that are busy is said until the last suggestion was handed out; what comes then is how the search ends.

*writers*: 24 processes on this machine, each of 600 trials with ten reports, all through one driver into one file. What
is in the file is counted afterwards.
"""

from __future__ import annotations

import os

os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", MKL_NUM_THREADS="1")  # numpy reads them when imported

import argparse
import heapq
import json
import resource
import tempfile
import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from autohpo import ChoiceHP, LogRangeHP, RangeHP, Result, TrialState, build_hpo_from_name
from autohpo.execution.base import Event, Executor, OnReport
from autohpo.objective import Objective
from autohpo.store import open_store
from autohpo.trial import Outcome, Task

SPACE = [
    LogRangeHP("lr", 1e-5, 1.0),
    RangeHP("dropout", 0.0, 0.9),
    RangeHP("layers", 1, 8),
    ChoiceHP("act", ["relu", "tanh", "gelu"]),
]
SECONDS = 1.0  # that a simulated trial takes
N_WRITERS, N_TRIALS, N_REPORTS = 24, 600, 10

Figures = dict[str, Any]


def nothing(hps: dict[str, Any]) -> float:
    """The objective that does nothing."""
    return float(hps["dropout"])


def worth(hps: dict[str, Any], fidelity: float) -> float:
    """The objective of simulated workers; whoever trains more sees more."""
    return -abs(float(hps["dropout"]) - 0.3) - 1 / (1 + fidelity)


def reporting(hps: dict[str, Any], trial: Any) -> float:
    """Report ten times."""
    for step in range(1, N_REPORTS + 1):
        trial.report(step / N_REPORTS * float(hps["dropout"]), step)
    return float(hps["dropout"])


class Simulated(Executor):
    """Workers without processes, on a clock of their own.

    Args:
        n: How many workers there are.

    Attributes:
        now: Seconds of the simulated clock.
        starts: When each trial began.
        cpu: CPU seconds that the driver has taken.
    """

    def __init__(self, n: int) -> None:
        self._slots = list(range(n))
        self._running: list[tuple[float, int, int, Outcome]] = []  # end, number, slot
        self._attempts: dict[int, int] = {}
        self.now = self.cpu = 0.0
        self.starts: list[float] = []
        self._looked = time.process_time()

    def _charge(self) -> None:
        """Let the clock move on by what the driver has taken since the last look."""
        now = time.process_time()
        self.now, self.cpu, self._looked = self.now + now - self._looked, self.cpu + now - self._looked, now

    def open(self, objective: Objective, on_report: OnReport) -> None:
        """Begin at once."""
        self._f = objective.f
        self._looked = time.process_time()

    def slots(self) -> Sequence[int]:
        """Return all workers."""
        return self._slots

    def submit(self, slot: int, task: Task) -> None:
        """Begin a trial, which ends a second later."""
        self._charge()
        perf = worth(task.hp, 81.0 if task.fidelity is None else task.fidelity)
        self._attempts[task.number] = task.attempt
        outcome = Outcome(TrialState.COMPLETE, (perf,), cost=SECONDS)
        heapq.heappush(self._running, (self.now + SECONDS, task.number, slot, outcome))
        self.starts.append(self.now)

    def poll(self, timeout_seconds: float) -> list[Event]:
        """Return what has ended; where nothing has, wait for the next end without waiting."""
        self._charge()
        if not self._running:
            return []
        self.now = max(self.now, self._running[0][0])
        found = []
        while self._running and self._running[0][0] <= self.now:
            _, number, slot, outcome = heapq.heappop(self._running)
            found.append(Event("done", number, self._attempts.pop(number), slot, outcome))
        self._looked = time.process_time()
        return found

    def stop(self, number: int) -> None:
        """Nothing reports, so nothing ends early."""

    def kill(self, number: int, state: TrialState, reason: str) -> None:
        """Nothing has limits here."""

    def holds(self, slot: int, root: int) -> bool:
        """Return False: nothing is paused."""
        return False

    def drop(self, root: int) -> None:
        """Nothing is paused."""

    def close(self) -> None:
        """End nothing."""


def busy(algorithm: str, n_workers: int, n_trials: int, folder: Path) -> Figures:
    """How busy simulated workers are, until the last suggestion was handed out."""
    options: dict[str, Any] = {"max_fidelity": 27} if algorithm == "bohb" else {}
    f = worth if algorithm == "bohb" else nothing
    hpo = build_hpo_from_name(algorithm, SPACE, f, max_evals=n_trials, seed=0, **options)
    workers = Simulated(n_workers)
    hpo.optimize(executor=workers, store=folder / f"{algorithm}-{n_workers}.db", progress=False)
    assert hpo.n_told == n_trials
    last = workers.starts[-1]
    where = f"{n_workers} workers, {algorithm}"
    return {
        f"busy share, {where}": sum(min(SECONDS, last - start) for start in workers.starts) / (n_workers * last),
        f"busy share with the end, {where}": n_trials * SECONDS / (n_workers * workers.now),
        f"driver CPU ms a trial, {where}": workers.cpu / n_trials * 1e3,
        f"driver CPU share of a core, {where}": workers.cpu / workers.now,
    }


def cpu_seconds() -> float:
    """CPU seconds of this process and of all that have ended below it."""
    uses = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(use.ru_utime + use.ru_stime for use in uses)


def overhead(n_workers: int, n: int, folder: Path, *, has_store: bool) -> Figures:
    """CPU ms of driver and workers for each trial that does nothing."""

    def run(n: int, path: Path) -> float:
        hpo = build_hpo_from_name("random", SPACE, nothing, max_evals=n, seed=0)
        before = cpu_seconds()
        hpo.optimize(num_workers=n_workers, executor="local", store=path if has_store else None, progress=False)
        return cpu_seconds() - before

    name = f"{n_workers} local slots, {'SQLite' if has_store else 'in memory'}"
    run(n // 10, folder / "warm.db")
    short, long = run(n // 10, folder / "short.db"), run(n, folder / "long.db")
    for path in folder.iterdir():
        if path.is_file():
            path.unlink()
    return {f"overhead CPU ms a trial, {name}": (long - short) / (n - n // 10) * 1e3}


def writers(folder: Path) -> Figures:
    """24 processes that report, through one driver into one file."""
    path = folder / "writers.db"
    hpo = build_hpo_from_name("random", SPACE, reporting, max_evals=N_TRIALS, seed=0)
    began = time.perf_counter()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        hpo.optimize(num_workers=N_WRITERS, store=path, progress=False)
    seconds = time.perf_counter() - began
    result = Result.load(path)
    store = open_store(path, read_only=True)
    n_reports = sum(event.kind == "report" for event in store.events())
    store.close()
    n_slots = len({trial.pid for trial in result})
    return {
        f"trials complete of {N_TRIALS}": result.counts().get("COMPLETE", 0),
        f"reports in the file of {N_TRIALS * N_REPORTS}": n_reports,
        "lock errors and other warnings": len(caught),
        "slots that were used": n_slots,
        f"trials a second, {N_WRITERS} writers, their start included": N_TRIALS / seconds,
    }


MEASURES: dict[str, Callable[[Path], Figures]] = {
    "overhead-sqlite": lambda folder: overhead(2, 3000, folder, has_store=True),
    "overhead-memory": lambda folder: overhead(2, 3000, folder, has_store=False),
    "busy-64-tpe": lambda folder: busy("tpe", 64, 4000, folder),
    "busy-64-bohb": lambda folder: busy("bohb", 64, 4000, folder),
    "busy-200-random": lambda folder: busy("random", 200, 4000, folder),
    "busy-200-tpe": lambda folder: busy("tpe", 200, 4000, folder),
    "writers": writers,
}


def goal_of(figure: str) -> tuple[float, bool] | None:
    """The goal of a figure, and whether it is the least that it must be."""
    if figure.startswith("overhead"):
        return 0.5, False
    if figure.startswith("busy share, 64"):
        return 0.97, True
    if figure.startswith("trials a second"):
        return 20.0, True
    if figure.startswith("trials complete"):
        return N_TRIALS, True
    if figure.startswith("reports in the file"):
        return N_TRIALS * N_REPORTS, True
    return (0, False) if figure.startswith("lock errors") else None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="measures whose names begin with this: " + ", ".join(MEASURES))
    parser.add_argument("--folder", help="where the stores are put")
    options = parser.parse_args()
    for name, measure in MEASURES.items():
        if not name.startswith(options.only):
            continue
        with tempfile.TemporaryDirectory(prefix="load-", dir=options.folder) as folder:
            for figure, found in measure(Path(folder)).items():
                line: Figures = {"figure": figure, "value": round(found, 4)}
                goal = goal_of(figure)
                if goal is not None:
                    line |= {"goal": goal[0], "is_met": found >= goal[0] if goal[1] else found <= goal[0]}
                print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()
