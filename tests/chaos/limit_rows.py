"""What workers may meet: crashes of every kind, limits of memory and time, floods of output. Each returns counts."""

from __future__ import annotations

import re
import resource
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import crashes
from counts import Counts, total
from hogs import HOGS
from rooms import Room

from autohpo import BaseHPOptimizer, ChoiceHP, RangeHP, TrialState, build_hpo_from_name
from autohpo.errors import AutoHPOError
from autohpo.execution.logs import MAX_TRIAL_BYTES

LIMIT_BYTES = 300_000_000
KILL_SECONDS = 2.0  # from the moment that a process has too much
TIME_LIMIT, GRACE = 0.7, 0.5
LATE_SECONDS = 0.5


def search(f: Callable[..., Any], names: list[str], time_limit: float = 60.0, **how: Any) -> BaseHPOptimizer:
    """Return an optimizer that has tried each name once; whatever fails ends nothing."""
    hpo = build_hpo_from_name("grid", [ChoiceHP("kind", names)], f)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        how = {"continue_on_error": True, "max_consecutive_failures": None, "grace_seconds": 1.0, **how}
        try:
            hpo.optimize(time_limit=time_limit, progress=False, **how)
        except AutoHPOError:
            if hpo.result is None:
                raise
    return hpo


def crash_matrix(room: Room) -> Counts:
    """Every way to fail, each in a trial of its own with a healthy neighbour: typed, with a reason, and no hang."""
    states = crashes.cases(is_long=room.is_long)
    hpo = search(crashes.running(), ["good", *states, "good again"], num_workers=2)
    assert hpo.result is not None
    found = {t.hp["kind"]: t for t in hpo.result}
    hung = [n for n in states if n not in found or found[n].state in (TrialState.CANCELLED, TrialState.RUNNING)]
    untyped = [n for n in states if n not in hung and (found[n].state not in states[n] or not found[n].error.strip())]
    values = crashes.loaded_values()
    hung += [f"load {how}" for how, state in values.items() if state is None]
    untyped += [f"load {how}" for how, state in values.items() if state and state not in crashes.ENDS[how]]
    counts: Counts = {
        "cases": len(states) + len(values),
        "hangs": len(hung),
        "untyped": len(untyped),
        "bystanders": sum(n not in found or found[n].state is not TrialState.COMPLETE for n in ("good", "good again")),
        "which": [*hung, *((n, str(found[n].state)) for n in untyped if n in found)],
    }
    refused = crashes.refused(is_long=room.is_long)
    return total([counts, {"cases": len(refused), "untyped": refused.count(None)}])


def memory_hogs(room: Room) -> Counts:
    """A process that takes too much, bit by bit, at once, and in a child: ended at the limit, told as MEMORY, once."""
    before = _peak_of_driver()
    every: list[Counts] = []
    for shape in HOGS:
        hpo = search(HOGS[shape](room.hog_bytes), ["hog", "good"], num_workers=1, memory_limit=LIMIT_BYTES)
        assert hpo.result is not None
        trials = {t.hp["kind"]: t for t in hpo.result}
        hog = trials["hog"]
        held = re.search(r"held (\d+) MB", hog.error)
        peak = 1e6 * float(held[1]) if held else 0.0
        seconds = (hog.ended or 0.0) - hog.started if hog.started else 0.0
        is_over = shape == "ramp" and peak > 1.2 * LIMIT_BYTES
        every.append(
            {
                "hogs": 1,
                "untyped": int(hog.state is not TrialState.MEMORY),
                "late": int(seconds > KILL_SECONDS + HOGS[shape].seconds(room.hog_bytes)),
                "over": int(is_over),
                "twice": int(hog.attempt != 1),
                "bystanders": int(trials["good"].state is not TrialState.COMPLETE),
                f"{shape}_peak_share": round(peak / LIMIT_BYTES, 2),
                f"{shape}_s": round(seconds, 2),
            }
        )
    return total([*every, {"driver_growth_mb": round(_peak_of_driver() - before, 1)}])


def _peak_of_driver() -> float:
    """The most MB of memory that this process has held so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def hung_objectives(room: Room) -> Counts:
    """Objectives that hang in every way end at the limit of a trial; and a search ends at its own, within its grace."""
    every: list[Counts] = []
    hangs = ["sleep", "c_loop", "ignores"]
    for _ in range(max(1, room.n // len(hangs))):
        hpo = search(crashes.hangs(room.folder), [*hangs, "good"], num_workers=2, trial_time_limit=TIME_LIMIT)
        assert hpo.result is not None
        trials = {t.hp["kind"]: t for t in hpo.result}
        took = {name: (trials[name].ended or 0.0) - float((room.folder / name).read_text()) for name in hangs}
        every.append(
            {
                "hung": len(hangs),
                "untyped": sum(trials[name].state is not TrialState.TIMEOUT for name in hangs),
                "late": sum(seconds > TIME_LIMIT + LATE_SECONDS + room.lateness for seconds in took.values()),
                "killed": sum(seconds < TIME_LIMIT - 0.1 for seconds in took.values()),
                "bystanders": int(trials["good"].state is not TrialState.COMPLETE),
                "kill_max_s": round(max(took.values()), 2),
            }
        )
    for executor in ("serial", "local"):
        began = time.monotonic()
        search(crashes.hangs(room.folder), ["sleep"], TIME_LIMIT, executor=executor, grace_seconds=GRACE)
        seconds = time.monotonic() - began
        every.append({"hung": 1, "late": int(seconds > TIME_LIMIT + GRACE + 1.0 + room.lateness)})
        every[-1]["total_max_s"] = round(seconds, 2)
    return total(every)


@contextmanager
def largest(path: Path, seconds: float = 0.02) -> Iterator[list[int]]:
    """Watch the size of a file; the list has the largest one in the end."""
    found, is_over = [0], threading.Event()

    def watch() -> None:
        while not is_over.wait(seconds):
            if path.exists():
                found[0] = max(found[0], path.stat().st_size)

    thread = threading.Thread(target=watch)
    thread.start()
    yield found
    is_over.set()
    thread.join()


def prints(n_bytes: int, path: str) -> Callable[..., float]:
    """Return an objective that prints, and says what processor time that took; "alone" prints to a file of its own."""

    def f(hps: dict[str, Any]) -> float:
        import time

        line = "x" * 999_999
        with open(path, "w", buffering=1) as own:
            began = time.process_time()
            for _ in range(n_bytes // 1_000_000):
                print(line, file=None if hps["kind"] == "through" else own)
            return time.process_time() - began

    return f


def flood(room: Room) -> Counts:
    """A trial prints 1 GB: its log stays within its cap, and it takes no longer than to a file of its own."""
    hpo = build_hpo_from_name("grid", [ChoiceHP("kind", ["alone", "through"]), RangeHP("again", 1, 3)], None)
    hpo.f = prints(room.n * 1_000_000, str(room.folder / "own"))
    log = room.folder / "run.db.files" / "logs" / "slot-0.log"
    with largest(log) as found:
        hpo.optimize(executor="local", store=room.folder / "run.db", progress=False)
    assert hpo.result is not None
    alone, through = ([t.perf for t in hpo.result if t.hp["kind"] == kind] for kind in ("alone", "through"))
    left = log.stat().st_size
    return {
        "mb": room.n,
        "wrong": sum(t.state is not TrialState.COMPLETE for t in hpo.result),
        "over": int(left > MAX_TRIAL_BYTES),
        "largest_log_mb": round(found[0] / 1e6, 1),
        "log_left_mb": round(left / 1e6, 1),
        "slowed_percent": round(100 * (min(through) / max(min(alone), 1e-9) - 1), 1),
    }
