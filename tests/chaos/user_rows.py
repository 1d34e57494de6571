"""What users bring along: results of every kind, objectives that fail, clocks that jump, algorithms of their own."""

from __future__ import annotations

import math
import os
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise
from typing import Any

import numpy as np
from counts import Counts, total
from rooms import Room
from searches import HERE, ROOT

from autohpo import BaseHPOptimizer, RangeHP, TrialState, available_hpos, build_hpo_from_name
from autohpo.algorithms.registry import get_hpo
from autohpo.errors import AutoHPOError, FailuresError, FirstTrialError

SPACE = [RangeHP("x", 0.0, 1.0), RangeHP("n", 1, 8)]
GOOD, BAD = TrialState.COMPLETE, TrialState.INVALID

RESULTS: tuple[tuple[Any, TrialState], ...] = (
    (0.5, GOOD),
    (3, GOOD),
    (True, GOOD),
    (Fraction(1, 3), GOOD),
    (Decimal("0.25"), GOOD),
    (np.float32(0.5), GOOD),
    (np.int64(2), GOOD),
    (np.array(0.5), GOOD),
    (math.nan, BAD),
    (math.inf, BAD),
    (-math.inf, BAD),
    (np.float64("inf"), BAD),
    (Decimal("sNaN"), BAD),
    (10**400, BAD),
    (None, BAD),
    ("0.5", BAD),
    (1 + 2j, BAD),
    ([1.0], BAD),
    (np.array([0.5]), BAD),
    (object(), BAD),
)
"""The table of docs/objectives.md: what an objective may return or report, and the state that its trial ends in."""


def odd_results(room: Room) -> Counts:
    """Every kind of result, returned and reported, to every algorithm: states follow the table, models see numbers."""
    every = []
    for name in room.algorithms or tuple(one for one in available_hpos() if ":" not in one):
        every += [_odd_results(name, reports=reports) for reports in (False, True)]
    return total(every)


def _odd_results(name: str, *, reports: bool) -> Counts:
    def f(hps: dict[str, Any], trial: Any) -> Any:
        result = RESULTS[trial.number % len(RESULTS)][0]
        if reports and not trial.report(result):
            return None
        return result

    def saving(hps: dict[str, Any], trial: Any) -> Any:
        (trial.checkpoint_dir / "any").touch()
        return f(hps, trial)

    cls = get_hpo(name)
    hpo = cls(SPACE, saving if cls.needs_checkpoints else f, max_evals=2 * len(RESULTS), seed=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        hpo.optimize(progress=False, continue_on_error=True, max_consecutive_failures=None)
    assert hpo.result is not None
    wrong = infinite = 0
    for trial in hpo.result:
        wanted = RESULTS[trial.number % len(RESULTS)][1]
        wrong += trial.state is not wanted and not (trial.state is TrialState.STOPPED and wanted is GOOD)
    finished = [t for t in hpo.trials if t.score is not None]
    infinite += sum(not math.isfinite(t.score) for t in finished) + (not math.isfinite(hpo.result.best.perf))
    curves = [perf for t in hpo.trials for _, perf in t.curve]
    infinite += sum(not math.isfinite(perf) for perf in curves)
    return {"results": len(hpo.result), "wrong": wrong, "infinite": infinite}


def failures(room: Room) -> Counts:
    """The first failure ends a search unless it may go on; twenty in a row end it; a success sets the count to zero."""

    def outcome(fails: Callable[[int], bool], n: int = 60, **how: Any) -> tuple[str, int]:
        def f(hps: dict[str, Any], trial: Any) -> float:
            if fails(trial.number):
                raise ValueError("on purpose")
            return 1.0

        hpo = build_hpo_from_name("random", SPACE, f, max_evals=n, seed=0)
        try:
            hpo.optimize(progress=False, **how)
        except AutoHPOError as error:
            return type(error).__name__, len(hpo.result or ())
        return "", len(hpo.result or ())

    first, many = FirstTrialError.__name__, FailuresError.__name__
    cases = [
        (outcome(lambda n: True), (first, 1)),
        (outcome(lambda n: True, continue_on_error=True), (many, 20)),
        (outcome(lambda n: n == 0, continue_on_error=True), ("", 60)),
        (outcome(lambda n: n > 0), (many, 21)),
        (outcome(lambda n: n % 20 != 0), ("", 60)),
        (outcome(lambda n: n > 0, max_consecutive_failures=3), (many, 4)),
        (outcome(lambda n: n > 0, max_consecutive_failures=None), ("", 60)),
    ]
    return {"cases": len(cases), "wrong": sum(found != wanted for found, wanted in cases)}


def seeded(hps: dict[str, Any], seed: int, trial: Any) -> float:
    """Return a value of three generators: that of the trial's seed, Python's and numpy's own."""
    import json
    import random

    import numpy as np

    drawn = [seed, random.random(), float(np.random.rand())]  # noqa: NPY002 - the one that all share
    (trial.checkpoint_dir / "drawn").write_text(json.dumps(drawn))
    return random.random()


def trial_seeds(room: Room) -> Counts:
    """Trials of four workers have random numbers of their own, and the same ones when the search is run again."""
    import json

    runs = []
    for i in range(2):
        hpo = build_hpo_from_name("random", SPACE, seeded, max_evals=room.n, seed=3)
        hpo.optimize(num_workers=4, store=room.folder / f"{i}.db", progress=False, keep_checkpoints="all")
        assert hpo.result is not None
        assert hpo.result.files is not None
        files = [hpo.result.files / f"trial-{t.number}" / "drawn" for t in hpo.result]
        runs.append([json.loads(path.read_text()) for path in files])
    kinds = list(zip(*runs[0], strict=True))
    return {
        "trials": len(runs[0]),
        "equal_seeds": sum(len(kind) - len(set(kind)) for kind in kinds),
        "different": sum(a != b for a, b in zip(*runs, strict=True)),
    }


@contextmanager
def jumping_clock(seconds: float = 3600.0, period: float = 0.3) -> Iterator[None]:
    """Let the clock of the system jump forth and back by an hour, three times a second."""
    real, begun = time.time, time.perf_counter()
    time.time = lambda: real() + seconds * (int((time.perf_counter() - begun) / period) % 3 - 1)
    try:
        yield
    finally:
        time.time = real


def clock_jumps(room: Room) -> Counts:
    """The clock jumps by an hour, forth and back: no trial is ended, the search is not, and times in the log ascend."""

    def f(hps: dict[str, Any]) -> float:
        import time

        real, begun = time.time, time.perf_counter()
        time.time = lambda: real() + 3600 * (int((time.perf_counter() - begun) / 0.05) % 3 - 1)
        time.sleep(0.2)
        time.time = real
        return 1.0

    hpo = build_hpo_from_name("random", SPACE, f, max_evals=room.n, seed=0)
    with jumping_clock():
        try:
            hpo.optimize(num_workers=2, trial_time_limit=30.0, time_limit=120.0, progress=False)
        except AutoHPOError:
            assert hpo.result is not None
        except ValueError:  # a wait for less than nothing
            return {"jumps": 0, "killed": room.n}
    assert hpo.result is not None
    times = [event.time for event in hpo.run_store.events()]
    return {
        "trials": len(hpo.result),
        "killed": room.n - sum(t.state is GOOD for t in hpo.result),
        "different": sum(b < a for a, b in pairwise(times)),
        "wrong": sum(not 0 <= (t.ended or 0.0) - (t.started or 0.0) < 30 for t in hpo.result),
    }


class Own(BaseHPOptimizer):
    """Random search that fails in a way of its own, in its fourth suggestion or after its fourth result."""

    how = ""

    def _get_suggestion(self, pid: int) -> Any:
        if self.number == 3 and self.how not in ("update", "report"):
            return self.fail_now()
        return self.space.sample(self.rng, 1)[0]

    def _update_trials(self, pid: int, hp: Any, perf: float) -> None:
        if self.how == "update" and len(self.trials) == 3:
            raise ZeroDivisionError("on purpose")

    def _on_report(self, hp: Any, fidelity: float, perf: float) -> bool:
        if self.how == "report" and len(self.trials) == 3:
            raise ZeroDivisionError("on purpose")
        return True

    def fail_now(self) -> Any:
        """Do what it does."""
        if self.how == "raise":
            raise ZeroDivisionError("on purpose")
        if self.how == "hang":
            time.sleep(60)
        return {"outside": {"x": 7.0, "n": 3}, "strange": {"y": 0.5}, "missing": {"x": 0.5}, "none": None}.get(self.how)


def plug_ins(room: Room) -> Counts:
    """An algorithm raises, hangs, or suggests what is no configuration: a typed error names it, with all results."""
    every = []

    def f(hps: dict[str, Any], trial: Any) -> float:
        trial.report(1.0)
        return 1.0

    for how in ("raise", "update", "report", "outside", "strange", "missing", "none", "hang"):
        hpo = Own(SPACE, f, max_evals=8, seed=0)
        hpo.how = how
        began, error = time.monotonic(), None
        try:
            hpo.optimize(progress=False, time_limit=2.0 if how == "hang" else None, grace_seconds=0.2)
        except Exception as fault:
            error = fault
        is_named = how == "hang" or "Own" in str(error)
        is_typed = error is None if how == "hang" else isinstance(error, AutoHPOError)
        every.append(
            {
                "plug_ins": 1,
                "untyped": int(not is_typed),
                "unnamed": int(not is_named),
                "late": int(time.monotonic() - began > 4.0 + room.lateness),
                "missing": int(hpo.result is None or hpo.result.counts().get("COMPLETE") != 3),
            }
        )
    return total(every)


KINDS = """
class Box:
    def __init__(self, x):
        self.x = x

class Callable_:
    scale = 2.0
    def __call__(self, hps):
        return Box(hps["x"]).x * self.scale

def function(hps):
    return Box(hps["x"]).x * 2.0

def closure(scale):
    def f(hps):
        return function(hps) / 2.0 * scale
    return f

objectives = [function, lambda hps: hps["x"] * 2.0, closure(2.0), Callable_()]
"""

USE = """
from autohpo import RangeHP, build_hpo_from_name
for f in objectives:
    hpo = build_hpo_from_name("random", [RangeHP("x", 0.0, 1.0)], f, max_evals=2, seed=0)
    hpo.optimize(num_workers=2, progress=False)
    print(all(t.perf == 2.0 * t.hp["x"] for t in hpo.result) and len(hpo.result))
"""

CELLS = """
import sys, types, linecache
main = sys.modules["__main__"]
for n, cell in enumerate([{kinds!r}, {use!r}]):  # as a notebook does
    name = f"/tmp/ipykernel_1/{{n}}.py"
    linecache.cache[name] = (len(cell), None, cell.splitlines(keepends=True), name)
    exec(compile(cell, name, "exec"), main.__dict__)
"""


def unguarded(room: Room) -> Counts:
    """Functions, lambdas, closures and objects from a script without a guard, -c, stdin and the cells of a notebook."""
    code = KINDS + USE
    (room.folder / "script.py").write_text(code)
    (room.folder / "cells.py").write_text(CELLS.format(kinds=KINDS, use=USE))
    ways: dict[str, list[str]] = {"script": ["script.py"], "cells": ["cells.py"], "stdin": ["-"]}
    if not room.plant:
        ways |= {"-c": ["-c", code], "-m": ["-m", "script"]}
    if not room.is_long and not room.plant:  # the others are those of tests/execution/test_scripts.py
        ways = {name: ways[name] for name in ("cells", "stdin")}
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    wrong, which = 0, []
    for name, words in ways.items():
        if room.plant and name == "stdin":
            continue
        broken = [str(HERE / "planted.py"), room.plant] if room.plant else []
        done = subprocess.run(
            [sys.executable, *broken, *words],
            cwd=room.folder,
            input=code,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        if done.stdout.split() != ["2"] * 4:
            wrong += 1
            which.append((name, done.stdout[-100:], done.stderr[-300:]))
    return {"ways": len(ways) * 4, "wrong": wrong, "which": which}
