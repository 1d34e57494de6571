"""How rows are carried out: scenarios at their size, suites of tests, and programs that print counts."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from counts import Counts, total
from planted import VARIABLE
from program import POINTS, training_of
from rooms import Room
from scenarios import fail_at, kill_driver, kill_workers, leave_children, start_twice, take_over
from searches import HERE, ROOT, Search

SIX = ("random", "tpe", "bayes", "bohb", "asha", "pbt")
"""The algorithms of the campaign of kills."""

FIVE = ("random", "tpe", "bohb", "asha", "pbt")
"""The algorithms whose drivers are killed at every named point."""

ONCE = ("before_open", "after_open", "after_header", "before_close", "after_close")
"""Points that a search comes to only once; to all others it comes again and again."""

SHORT_POINTS = ("after_ask", "inside_commit", "after_commit", "after_submit", "before_tell")
LIMIT_SECONDS = 7200

Form = Callable[[Room], Counts]
ENVIRONMENT = {"OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join([str(ROOT), str(HERE)])}


def kills(workers: int, schedule: str = "asynchronous") -> Form:
    """Return the form that kills drivers: in all n times, shared among the algorithms."""

    def run(room: Room) -> Counts:
        names = room.algorithms or (SIX if room.is_long else ("random",))
        every = []
        for name in names:
            shape, n = training_of(name), -(-room.n // len(names))
            size = 70 if room.is_long else 40 if workers == 1 else 30
            search = Search(
                room.below(name).folder,
                name,
                "stubborn" if workers > 1 and shape == "plain" and schedule == "asynchronous" else shape,
                max_evals=size,
                workers=workers,
                pause=0.01,
                plant=room.plant,
                schedule=schedule,
            )
            every.append(kill_driver(search, n, 0.45 if workers == 1 else 1.2))
        return total(every)

    return run


def points(room: Room) -> Counts:
    """Kill drivers at named points of their loop."""
    if not room.is_long:
        search = Search(room.folder, "hyperband", "epochs", max_evals=15, pause=0.0, plant=room.plant)
        return fail_at(search, SHORT_POINTS[: room.n], [11])
    every = []
    for name in room.algorithms or FIVE:
        shape = "saved" if training_of(name) == "saved" else "epochs"
        search = Search(room.below(name).folder, name, shape, max_evals=15, pause=0.0, plant=room.plant)
        often = [point for point in POINTS if point not in ONCE]
        every += [fail_at(search, POINTS, [1]), fail_at(search, often, [11])]
    return total(every)


def worker_kills(room: Room) -> Counts:
    """Kill workers in the midst of trials."""
    search = Search(room.folder, "random", "marked", 5 * room.n, 4, pause=0.1, plant=room.plant)
    return kill_workers(search, room.n)


def orphans(room: Room) -> Counts:
    """Kill drivers whose workers have children, some in C code that holds the interpreter."""
    search = Search(room.folder, "random", "parental", max_evals=20, workers=4, pause=600.0, plant=room.plant)
    return leave_children(search, room.n)


def two_drivers(room: Room) -> Counts:
    """Start a second driver; and take over from one that was killed."""
    every = []
    for i in range(room.n):
        search = Search(room.below(str(i)).folder, max_evals=10, pause=0.01, plant=room.plant)
        every += [start_twice(search), take_over(search)]
    return total(every)


def suite(*paths: str, only: str = "") -> Form:
    """Return the form that runs tests; a file that is not there is no test."""

    def run(room: Room) -> Counts:
        there = [path for path in paths if (ROOT / path).exists()]
        more = ["-k", only] if only else []
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-p", "planted", "-p", "no:cacheprovider", *there, *more],
            cwd=ROOT,
            env={**os.environ, **ENVIRONMENT, VARIABLE: room.plant},
            capture_output=True,
            text=True,
            check=False,
            timeout=LIMIT_SECONDS,
        )
        last = (done.stdout.strip().splitlines() or [""])[-1]
        found = {word: int(n) for n, word in re.findall(r"(\d+) (passed|failed|error|skipped)", last)}
        failed = found.get("failed", 0) + found.get("error", 0)
        is_odd = done.returncode not in (0, 1) and not failed
        said = [line for line in done.stdout.splitlines() if line.startswith(("FAILED", "ERROR"))][:5]
        return {"tests": found.get("passed", 0), "failed": failed + is_odd, **({"which": said} if said else {})}

    return run


def script(path: str, *short: str, long: tuple[str, ...], unit: str) -> Form:
    """Return the form that runs a program which prints JSON lines of counts, and ends with 1 where one is a fault."""

    def run(room: Room) -> Counts:
        if not is_there(path):
            return {unit: 0, "failed": 1, "which": f"{path} is not there"}
        broken = [str(HERE / "planted.py"), room.plant] if room.plant else []
        words = long if room.is_long else short
        done = subprocess.run(
            [sys.executable, *broken, str(ROOT / path), *words],
            cwd=ROOT,
            env={**os.environ, **ENVIRONMENT},
            capture_output=True,
            text=True,
            check=False,
            timeout=LIMIT_SECONDS,
        )
        lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
        found = total([numbers(line) for line in lines if line.get("kind") in (None, "all")])
        said = {} if not done.returncode else {"which": (done.stderr or done.stdout)[-400:]}
        return {unit: found.get(unit, 0), **found, "failed": int(done.returncode != 0), **said}

    return run


def numbers(line: Mapping[str, object]) -> Counts:
    """Return the numbers of a line of counts."""
    found: Counts = {}
    for name, value in line.items():
        if isinstance(value, (int, float)):
            found[name] = value
        elif isinstance(value, (list, dict)):
            found[name] = len(value)
    return found


def is_there(path: str | Path) -> bool:
    """Whether a file of the repository is there."""
    return (ROOT / path).exists()
