"""The search that is killed: a script that always does the same, and goes on where it was ended.

Called as ``program.py '{"store": ..., ...}'``, with what :meth:`scenarios.Search.options` returns. Nothing in autohpo
knows of this: what is to happen at some point of its loop is wrapped around its methods here.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import inspect
import json
import math
import os
import random
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from planted import plant

from autohpo import BaseHPOptimizer, ChoiceHP, LogRangeHP, RangeHP, Suggestion
from autohpo.algorithms.asha import ASHA
from autohpo.algorithms.median_stopping import MedianStoppingSearch
from autohpo.algorithms.pasha import PASHA
from autohpo.algorithms.random import RandomSearch
from autohpo.algorithms.registry import get_hpo
from autohpo.algorithms.successive_halving import SuccessiveHalving
from autohpo.errors import StoreWarning
from autohpo.execution.serial import SerialExecutor
from autohpo.search import Search
from autohpo.store import LogEvent, SQLiteStore, waiting

SPACE = [
    LogRangeHP("lr", 1e-4, 1.0),
    RangeHP("hops", 1, 8),
    RangeHP("dropout", 0.0, 0.9),
    ChoiceHP("act", ["relu", None]),
]
EPOCHS = 9


class MedianRule(BaseHPOptimizer):
    """Random search that ends a trial whose report is below the median of what finished trials reported there.

    What the manual shows as a stopping rule of one's own: nothing is kept but the history.
    """

    def _get_suggestion(self, pid: int) -> dict[str, Any]:
        return self.space.sample(self.rng, 1)[0]

    def _on_report(self, hp: Suggestion, fidelity: float, perf: float) -> bool:
        curves = [dict(trial.curve) for trial in self.trials]
        there = [curve[fidelity] for curve in curves if fidelity in curve]
        return len(there) < 3 or perf >= np.median(there)


@dataclass(eq=False, kw_only=True)
class StoppingASHA(ASHA):
    """Asynchronous halving that stops a trial at a rung, in place of promoting a paused one."""

    type: str = "stopping"


@dataclass(eq=False, kw_only=True)
class HopelessRandom(RandomSearch):
    """Random search that ends trials with hardly a chance."""

    stop_hopeless: bool | float = 0.2


@dataclass(eq=False, kw_only=True)
class HopelessASHA(ASHA):
    """Asynchronous halving that ends trials with hardly a chance, and gives up paused ones."""

    stop_hopeless: bool | float = 0.4


@dataclass(eq=False, kw_only=True)
class MedianBayes(MedianStoppingSearch):
    """A Gaussian process whose hopeless trials are stopped."""

    sampler: str = "bayes"


@dataclass(eq=False, kw_only=True)
class ProgressiveTPE(PASHA):
    """A top rung that rises, filled by a model."""

    sampler: str = "tpe"


@dataclass(eq=False, kw_only=True)
class HalvingKDE(SuccessiveHalving):
    """One bracket, filled by a model that tells fidelities apart."""

    sampler: str = "kde"


OWN: dict[str, type[BaseHPOptimizer]] = {
    "median_rule": MedianRule,
    "asha_stopping": StoppingASHA,
    "hopeless_random": HopelessRandom,
    "hopeless_asha": HopelessASHA,
    "median_bayes": MedianBayes,
    "pasha_tpe": ProgressiveTPE,
    "halving_kde": HalvingKDE,
}
"""Algorithms of this program, which are not registered, so that no other test finds them."""


def algorithm_of(name: str) -> type[BaseHPOptimizer]:
    """The class of an own or a registered algorithm."""
    return OWN[name] if name in OWN else get_hpo(name)


POINTS: dict[str, tuple[type, str, str]] = {
    "before_open": (SQLiteStore, "open", "before"),
    "after_open": (SQLiteStore, "open", "after"),
    "after_header": (SQLiteStore, "begin", "after"),
    "before_ask": (BaseHPOptimizer, "ask", "before"),
    "after_ask": (BaseHPOptimizer, "ask", "after"),
    "before_commit": (SQLiteStore, "append", "before"),
    "inside_commit": (SQLiteStore, "_transaction", "inside"),
    "after_commit": (SQLiteStore, "append", "after"),
    "before_submit": (SerialExecutor, "submit", "before"),
    "after_submit": (SerialExecutor, "submit", "after"),
    "before_report": (Search, "take_report", "before"),
    "after_report": (Search, "take_report", "after"),
    "before_tell": (Search, "told", "before"),
    "after_tell": (Search, "told", "after"),
    "before_close": (SerialExecutor, "close", "before"),
    "after_close": (SQLiteStore, "close", "after"),
}
"""Where a driver can be made to kill itself: class, method, and before or after it (or before its COMMIT)."""


def value(hps: dict[str, Any]) -> float:
    """What a full training of a configuration gives."""
    bonus = 0.1 if hps["act"] == "relu" else 0.0
    return bonus - (math.log10(hps["lr"]) + 2) ** 2 - 0.1 * (hps["hops"] - 3) ** 2 - hps["dropout"]


def plain(hps: dict[str, Any], *, pause: float) -> float:
    """An objective that returns its result."""
    time.sleep(pause)
    return value(hps)


def epochs(hps: dict[str, Any], seed: int, *, pause: float) -> Iterator[float]:
    """An objective that yields after each epoch; its noise follows from the seed, so a training can be repeated."""
    noise = random.Random(seed)
    for epoch in range(1, EPOCHS + 1):
        time.sleep(pause)
        yield value(hps) * (1 + 2.0**-epoch) + noise.gauss(0, 0.01)


def later(values: list[float], hps: dict[str, Any], seed: int) -> float:
    """The next value of a training that has come as far as `values`, with a configuration that may be a new one."""
    noise = random.Random(f"{seed}-{len(values)}")
    return (values[-1] / 2 if values else 0.0) + value(hps) + noise.gauss(0, 0.01)


def saved(hps: dict[str, Any], trial: Any, *, pause: float) -> Iterator[float]:
    """An objective that saves each epoch before it yields it, and begins with what is saved: its own, or a copy."""
    path = trial.checkpoint_dir / "values"
    values = json.loads(path.read_text()) if path.exists() else []
    yield from list(values)
    while len(values) < EPOCHS:
        time.sleep(pause)
        values.append(later(values, hps, trial.seed))
        path.with_suffix(".new").write_text(json.dumps(values))
        path.with_suffix(".new").replace(path)
        yield values[-1]


def marked(hps: dict[str, Any], trial: Any, *, pause: float, folder: str) -> float:
    """Says in a file which trial this process runs, as long as it does."""
    mark = Path(folder) / f"runs-{os.getpid()}"
    mark.write_text(f"{trial.number}")
    time.sleep(pause)
    mark.unlink()
    return value(hps)


def held(hps: dict[str, Any], trial: Any, *, pause: float, folder: str) -> float:
    """From trial 3 on it ends when there is a file that says so."""
    while trial.number >= 3 and not (Path(folder) / "release").exists():
        time.sleep(pause)
    return value(hps)


def stubborn(hps: dict[str, Any], *, pause: float) -> float:
    """Starts a child of its own now and then, and takes no notice of being asked to end."""
    if hps["hops"] <= 2:
        subprocess.Popen(["sleep", "600"])
    time.sleep(pause)
    return value(hps)


def parental(hps: dict[str, Any], *, pause: float, folder: str) -> float:
    """Starts a child, and sleeps like it: in Python, or in C with the interpreter held."""
    child = subprocess.Popen(["sleep", "600"])
    (Path(folder) / f"child-{child.pid}").touch()
    (ctypes.PyDLL(None).sleep if hps["hops"] % 2 else time.sleep)(int(pause))
    return value(hps)


def deadly(hps: dict[str, Any], trial: Any, *, pause: float) -> float:
    """Ends its own process in trial 3, whenever that is tried."""
    if trial.number == 3:
        kill_myself()
    time.sleep(pause)
    return value(hps)


SHAPES: dict[str, Callable[..., Any]] = {
    f.__name__: f for f in (plain, epochs, saved, marked, held, stubborn, parental, deadly)
}
"""The objectives by name."""


def training_of(algorithm: str) -> str:
    """The objective that an algorithm makes the most of."""
    cls = algorithm_of(algorithm)
    return "saved" if cls.needs_checkpoints else "epochs" if cls.is_multi_fidelity else "plain"


def kill_myself() -> None:
    """What the fault of a power supply is to a process."""
    os.kill(os.getpid(), signal.SIGKILL)


def arm(point: str, k: int) -> None:
    """Makes the process kill itself when it comes to `point` for the k-th time."""
    owner, name, moment = POINTS[point]
    original, n_left = getattr(owner, name), [k]

    def comes() -> None:
        n_left[0] -= 1
        if not n_left[0]:
            kill_myself()

    @functools.wraps(original)
    def wrapped(*args: Any, **options: Any) -> Any:
        if moment == "before":
            comes()
        result = original(*args, **options)
        if moment == "after":
            comes()
        return result

    @contextlib.contextmanager
    def transaction(store: SQLiteStore, **options: Any) -> Iterator[Any]:
        with original(store, **options) as db:
            yield db
            comes()  # everything is inserted, nothing committed

    setattr(owner, name, transaction if moment == "inside" else wrapped)


def acknowledge(path: str, kinds: Sequence[str] = ("end",)) -> None:
    """Writes a line for every result whose append returned; what is written here must never be lost."""
    original = SQLiteStore.append
    file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    def append(store: SQLiteStore, events: list[LogEvent], *, sync: bool = True) -> None:
        original(store, events, sync=sync)
        for event in events:
            if event.kind in kinds:
                os.write(file, f"{event.trial} {event.data['perf']!r}\n".encode())

    SQLiteStore.append = append  # type: ignore[method-assign,assignment]


def store_of(options: dict[str, Any]) -> Any:
    """The store, which may have a patience of its own."""
    seconds = options["wait_seconds"]
    return options["store"] if seconds is None else SQLiteStore(options["store"], wait_seconds=seconds)


def run(options: dict[str, Any], begin: Callable[[], None] = lambda: None) -> None:
    """Runs the search, from wherever it is to its end; calls `begin` when it is about to."""
    shape = SHAPES[options["shape"]]
    settings = {name: options[name] for name in ("pause", "folder") if name in inspect.signature(shape).parameters}
    f = functools.partial(shape, **settings)
    cls = algorithm_of(options["algorithm"])
    extra: dict[str, Any] = {"max_fidelity": EPOCHS} if cls.is_multi_fidelity else {}
    if cls.needs_checkpoints:
        extra["population_size"] = math.ceil(options["max_evals"] / 3)  # each is trained in three steps
    hpo = cls(SPACE, f, max_evals=options["max_evals"], seed=0, **extra)
    begin()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # hyperband says that a plain function takes no fidelity
        warnings.simplefilter("default", StoreWarning)
        hpo.optimize(
            store=store_of(options),
            num_workers=options["workers"],
            progress=False,
            schedule=options["schedule"],
            retries={"LOST": options["max_lost"]},
            confirm={"k": options["confirm"], "seeds": 4} if options["confirm"] else None,
        )
    found = [[t.number, t.attempt, t.state.value, t.perf if t.state.has_perf else None] for t in hpo.result.trials]
    Path(options["folder"], "result").write_text(json.dumps(found))


def main(options: dict[str, Any]) -> None:
    """Runs the search with what is to happen to it."""
    plant(options["plant"])
    if options["quiet_seconds"] is not None:
        waiting.QUIET_SECONDS = options["quiet_seconds"]
    acknowledge(options["acknowledged"], ("end", "late") if options["schedule"] == "deterministic" else ("end",))
    if options["failpoint"]:
        point, k = options["failpoint"].split(":")
        arm(point, int(k))
    run(options, lambda: print("go", flush=True))


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
