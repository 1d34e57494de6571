"""Episodes of ``benchmarks/fuzz.py`` that call what stands around an algorithm, with odd arguments.

Each function is one kind of episode: the options of ``optimize``, a Search, a Result, warm starts, confirming and
stopping, and paths. An error of ours ends a call, and the episode goes on with the next one: ``typed``.
"""

from __future__ import annotations

import collections
import math
import random
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from autohpo import Confirm, Outcome, Point, Result, Search, TrialState, available_hpos, build_hpo_from_name, open_store
from autohpo.algorithms.options import option_names
from autohpo.algorithms.registry import get_hpo
from autohpo.errors import AutoHPOError
from autohpo.report.html import write_html_from_store
from autohpo.store import check, repair
from autohpo.tables import read_csv

TYPED: collections.Counter[str] = collections.Counter()
"""How many calls raised each class of ours, over all episodes of this process."""

MODES: list[Any] = ["max", "min", {"a": "max", "b": "min"}, ["max", "max"], {"a": "min"}]

Value = Callable[[], object]


def typed(call: Callable[..., Any], *args: Any, **named: Any) -> Any:
    """Return what a call returns, or None where it raises an error of ours."""
    try:
        return call(*args, **named)
    except AutoHPOError as error:
        TYPED[type(error).__name__] += 1
        str(error)
        return None


def folder() -> Path:
    """Return a new folder."""
    return Path(tempfile.mkdtemp(prefix="fuzz-run-", dir="."))


def odd_paths(rng: random.Random, value: Value) -> list[object]:
    """Return paths that are none, or lead to something else than a store."""
    here = folder()
    (here / "text.db").write_text("this is no store" * 50)
    (here / "empty.db").touch()
    (here / "circle.db").symlink_to(here / "circle.db")
    paths: list[object] = ["", ".", "..", "/", "\0", "a\0b", "\ud800.db", "\udcff.db", "x" * 300, "x/" * 3000, "~/x.db"]
    paths += [b"run.db", b"\xff.db", 7, None, here, here / "text.db", here / "empty.db", here / "circle.db"]
    paths += [
        "/dev/null",
        "/proc/self/mem",
        "/dev/full",
        "/proc/1/x.db",
        here / "text.db" / "x.db",
        "sqlite://x",
        "sqlite:///",
    ]
    paths += [
        "postgres://h/x",
        "memory:",
        "memory:x",
        "http://x",
        ":memory:",
        "file:x",
        "a:b",
        "run.db?x=1",
        "\n",
        " ",
        "é.db",
    ]
    paths += [
        Path("x\ud800"),
        Path("\0"),
        here / ("y" * 260),
        "con",
        "-",
        "--help",
        "%s",
        "{}",
        "run.db-wal",
        value(),
        value(),
    ]
    paths += [here / ("z" * n) for n in (236, 244, 248, 252)]
    return rng.sample(paths, 5)


def objective(rng: random.Random, value: Value, mode: Any) -> Callable[..., Any]:
    """Return an objective of some shape for a mode, whose results are now and then odd."""
    n = 1 if isinstance(mode, str) else len(mode)

    def good() -> Any:
        if n == 1 and isinstance(mode, str):
            return rng.choice([rng.random(), {"perf": rng.random(), "loss": rng.random()}, {"perf": 0.5, "cost": 1.5}])
        if isinstance(mode, dict):
            return {**{name: rng.random() for name in mode}, "more": rng.random()}
        return rng.choice(
            [[rng.random() for _ in range(n)], ([rng.random() for _ in range(n)], {"c": rng.uniform(-1, 1)})]
        )

    def result() -> Any:
        odd = [value(), {"perf": value()}, (good(), value()), (good(), {"m": value()}), {"a": value(), "b": 1.0}]
        return good() if rng.random() < 0.85 else rng.choice(odd)

    def metrics() -> Any:
        return rng.choice([None, {"loss": rng.random()}, {"loss": value()}, value()])

    def plain(_hps: Any) -> Any:
        return result()

    def reporting(_hps: Any, trial: Any) -> Any:
        for step in range(3):
            where = {"fidelity": rng.choice([step + 1, value()])} if rng.random() < 0.2 else {}
            if not typed(trial.report, result(), metrics=metrics(), **where):
                break
        return result()

    def steps(_hps: Any) -> Any:
        for _ in range(rng.randint(0, 4)):
            yield rng.choice([result(), (result(), metrics())])

    def saving(_hps: Any, trial: Any) -> Any:
        for step in range(3):
            (Path(trial.checkpoint_dir) / "state").write_text(str(step))
            yield result()

    def budgeted(_hps: Any, fidelity: Any = None) -> Any:
        return result() if fidelity is None else good()

    def raising(_hps: Any) -> Any:
        if rng.random() < 0.3:
            raise rng.choice(
                [ValueError("odd\ud800"), MemoryError(), StopIteration(1), KeyError(value()), AssertionError()]
            )
        return result()

    return rng.choice([plain, plain, reporting, reporting, steps, steps, saving, budgeted, raising])


def points(rng: random.Random, value: Value, space: Any) -> list[object]:
    """Return points of which some are good."""
    found: list[object] = []
    for _ in range(rng.randint(1, 4)):
        hps = typed(space.sample, np.random.default_rng(rng.randrange(99)), 1)
        hp: Any = hps[0] if hps else {}
        hp = rng.choice([hp, hp, hp, {name: rng.choice([kept, value()]) for name, kept in hp.items()}, value()])
        result = rng.choice([None, None, rng.random(), rng.random(), value(), {"perf": value()}])
        fidelity = rng.choice([None, None, "full", "full", 1, 2, 3, 9, value()])
        found.append(
            rng.choice([hp, (hp, result), (hp, result, fidelity), Point(hp, result, fidelity), Point(hp, result)])
        )
    return found


def built(
    rng: random.Random, value: Value, space: Any, number: int, f: Any = None, mode: Any = "max", **more: Any
) -> Any:
    """Return an optimizer of some algorithm; fidelities where it has them."""
    name = rng.choice([one for one in available_hpos() if ":" not in one])
    if not isinstance(mode, str) and len(mode) > 1 and rng.random() < 0.8:
        name = rng.choice(["random", "nsga2", "motpe", "tpe", "ehvi", "mocmaes", "quasi_random", "grid"])
    known = option_names(get_hpo(name))
    options: dict[str, Any] = {"max_evals": 8, "seed": number, **more}
    if "max_fidelity" in known:
        options |= {"max_fidelity": rng.choice([3, 9, 4])} if rng.random() < 0.9 else {}
        options |= {"budget": rng.choice([9, 20, value()])} if rng.random() < 0.2 and "budget" in known else {}
    if rng.random() < 0.05:
        options[rng.choice(known)] = value()
    if isinstance(options["max_evals"], (int, np.integer)) and options["max_evals"] > 8:
        options["max_evals"] = 8  # a million trials take their time
    return build_hpo_from_name(name, space, f, **{"mode": mode, **options})


RUN_OPTIONS: dict[str, list[Any]] = {
    "confirm": [1, 2, {"k": 1, "seeds": 2}, Confirm(1, 2), {"k": 2}, {"seeds": 1}, {"x": 1}],
    "default_first": [True, False],
    "gpus": [1, [0], {0: 2}, ["GPU-1"], [0, 0], {"a": 1}],
    "max_suspended": [0, 1, 5],
    "keep_checkpoints": ["live", "best", "all"],
    "max_consecutive_failures": [1, 3, None],
    "keep": ["last", "best"],
    "patience": [1, 3],
    "target": [0.5, 2.0],
    "min_improvement": [0.1],
    "retries": [{"FAILED": 1}, {"INVALID": 1}, {"COMPLETE": 1}, {"FAILED": -1}],
    "warm_start": [(), [], None],
    "fidelity": ["x", "p0", "trainer:max_epoch", ""],
    "name": ["run", "é\ud800", "a\0b", ""],
    "ask_ahead": [True],
    "time_limit": [5.0],
    "grace_seconds": [0, 1.0],
    "memory_limit": ["4GB", "x"],
    "trial_time_limit": [30.0],
    "executor": ["serial", "local"],
    "num_workers": [1],
    "progress": ["none", "plain", "rich", "auto"],
    "n_trials": [5],
}
SLOW = ("gpus", "memory_limit", "trial_time_limit", "executor")
"""Options for which a worker process is started: in one episode of a hundred."""


def run_options(rng: random.Random, value: Value) -> dict[str, object]:
    """Return options of ``optimize``, good ones and odd ones."""
    names = [name for name in RUN_OPTIONS if rng.random() < 0.1 and name not in SLOW]
    found = {name: rng.choice(RUN_OPTIONS[name]) if rng.random() < 0.75 else value() for name in names}
    for name in SLOW:
        if rng.random() < 0.04:
            found[name] = value()
    if rng.random() < 0.01:
        name = rng.choice(SLOW)
        found |= {name: rng.choice(RUN_OPTIONS[name]), "num_workers": rng.choice([1, 2])}
    if isinstance(found.get("num_workers"), int) and found["num_workers"] > 2:
        del found["num_workers"]
    return found


def optimized(rng: random.Random, value: Value, space: Any, number: int) -> None:
    """Run ``optimize`` with options, twice; look at the result."""
    mode = rng.choice(MODES)
    more: dict[str, Any] = {"points": points(rng, value, space)} if rng.random() < 0.3 else {}
    hpo = built(rng, value, space, number, objective(rng, value, mode), mode, **more)
    if rng.random() < 0.3:
        more = {"store": rng.choice(["run.db", str(folder() / "run.db"), *odd_paths(rng, value)])}
        more["store"] = str(folder() / "run.db") if more["store"] == "run.db" else more["store"]
    else:
        more = {}
    for _ in range(2):
        options = {"progress": False, "continue_on_error": rng.random() < 0.9, **more, **run_options(rng, value)}
        typed(hpo.optimize, **options)
    counts = [rng.choice([1, 2, value()]) for _ in range(rng.randint(0, 2))]
    if not any(isinstance(n, (int, np.integer)) and n > 9 for n in counts):  # a million seeds take their time
        typed(hpo.confirm, *counts)
    hpo.stop()
    result = getattr(hpo, "result", None)
    if result is not None:
        looked_at(rng, value, result)


def looked_at(rng: random.Random, value: Value, result: Result) -> None:
    """Call every method of a result, with odd arguments too."""
    repr(result), result._repr_html_(), result.pareto, result.counts(), result.curves(), result.to_records()
    best = typed(lambda: result.best)
    assert best is None or math.isfinite(best.perf)
    result.winner, list(result), len(result)
    for number in (value(), -1, len(result), 0, value()):
        typed(result.why, number)
        typed(result.checkpoint_dir, number)
        typed(result.top, number)
        typed(result.along, rng.choice([number, "a", ""]))
        typed(result.hypervolume, rng.choice([number, [number] * len(result.objectives.signs), [2.0, -2.0]]))
    there = folder() / "trials.csv"
    result.to_csv(there)
    read_csv(there)
    for path in odd_paths(rng, value)[:2]:
        if not isinstance(path, str) or not path.startswith("/"):
            typed(result.to_csv, path)
    typed(result.to_pandas)


def searched(rng: random.Random, value: Value, space: Any, number: int) -> None:
    """Ask and tell with a Search, or without one."""
    mode = rng.choice(MODES)
    path = folder() / "run.db"
    for _ in range(rng.randint(1, 2)):
        hpo = built(rng, value, space, number, None, mode)
        store = rng.choice([path, path, None, rng.choice(odd_paths(rng, value))])
        if rng.random() < 0.4:
            asked(rng, value, hpo, hpo, mode)
            continue
        search = typed(
            Search, hpo, store, **({"name": rng.choice(["a", "\ud800", value()])} if rng.random() < 0.2 else {})
        )
        if search is None:
            continue
        try:
            search.open()
            asked(rng, value, search, hpo, mode)
            str(search.state.best)
        except AutoHPOError as error:
            TYPED[type(error).__name__] += 1
        finally:
            typed(search.close)
    if path.exists():
        result = typed(Result.load, path)
        if result is not None:
            looked_at(rng, value, result)
        typed(write_html_from_store, path, path.with_suffix(".html"))


def asked(rng: random.Random, value: Value, door: Any, hpo: Any, mode: Any) -> None:
    """Ask, tell, report and fail with odd arguments."""
    f = objective(rng, value, mode)
    n = 1 if isinstance(mode, str) else len(mode)
    good = 0.5 if isinstance(mode, str) else [0.5] * n if isinstance(mode, list) else dict.fromkeys(mode, 0.5)
    for _ in range(8):
        suggestion = typed(door.ask, *([value()] if rng.random() < 0.1 else []))
        if suggestion is None:
            continue
        other = suggestion if rng.random() < 0.7 else rng.choice([value(), suggestion.number, dict(suggestion), -1, 99])
        if rng.random() < 0.1 and suggestion:
            suggestion[rng.choice([*suggestion, "new"])] = value()
        for _ in range(rng.randint(0, 3)):
            odd = rng.choice([value(), good, (good, {"m": value()})])
            typed(door.report, other, rng.choice([1, 2, 3, value()]), odd)
        action = rng.random()
        if action < 0.15:
            typed(door.fail, other, value(), *([value()] if rng.random() < 0.3 else []))
        elif action < 0.25:
            typed(door.fail, other, "reason", rng.choice(list(TrialState)))
        elif action < 0.45:
            more = {k: value() for k in ("constraints", "cost", "is_stopped") if rng.random() < 0.3}
            typed(door.tell, other, rng.choice([value(), good]), **more)
        elif action < 0.5:
            batch = [(suggestion, good), (other, value()), value()]
            typed(hpo.tell, rng.choice([batch, batch[0], {1: 2}, value()]))
        elif action < 0.55 and door is hpo:
            typed(hpo.restart, other)
            typed(hpo.adopt, other)
        elif action < 0.65:
            typed(door.tell, suggestion, f({}) if f.__code__.co_argcount == 1 and f.__name__ == "plain" else good)
        if rng.random() < 0.9:
            typed(door.tell, suggestion, good)
    best = typed(hpo.best)
    assert best is None or isinstance(best[0], dict)


def warmed(rng: random.Random, value: Value, space: Any, number: int) -> None:
    """Start a search with the results of another one, whose trials may be odd."""
    mode = rng.choice(MODES)
    first = built(rng, value, space, number, objective(rng, value, mode), mode)
    path = folder() / "run.db"
    typed(first.optimize, progress=False, continue_on_error=True, store=path)
    result = getattr(first, "result", None)
    if result is None:
        return
    trials = list(result.trials)
    for _ in range(rng.randint(0, 3)):
        at = rng.randrange(len(trials)) if trials else 0
        if not trials:
            break
        change = rng.choice(["hp", "perfs", "fidelity", "drop", "constraints", "reached"])
        trial = trials[at]
        if change == "hp":
            trials[at] = replace(trial, hp={name: rng.choice([kept, value()]) for name, kept in trial.hp.items()})
        elif change == "fidelity":
            trials[at] = replace(trial, fidelity=rng.choice([None, 1, 2, 3, 1e300]))
        elif change == "drop":
            del trials[at]
        else:
            outcome = replace(trial.outcome, **{"perfs": {"perfs": (0.1,) * len(trial.perfs)}}.get(change, {}))
            trials[at] = replace(trial, outcome=outcome)
    odd = replace(result, trials=trials)
    space2 = (
        space
        if rng.random() < 0.6
        else type(space)([*space.parameters][: rng.randint(1, 3)] if not space.constraints else space.parameters)
    )
    second = built(
        rng, value, space2, number + 1, objective(rng, value, mode), rng.choice([mode, mode, rng.choice(MODES)])
    )
    sources: Any = rng.choice(
        [odd, [odd], [result, odd], path, [path, odd], str(path), rng.choice(odd_paths(rng, value)), value(), [value()]]
    )
    if sources is not None:
        typed(second.optimize, progress=False, continue_on_error=True, warm_start=sources)
    found = getattr(second, "result", None)
    if found is not None:
        looked_at(rng, value, found)
    looked_at(rng, value, odd) if rng.random() < 0.3 else None


def opened(rng: random.Random, value: Value, space: Any, number: int) -> None:  # noqa: ARG001 - as the others
    """Open, read, check and repair what is no store."""
    for path in odd_paths(rng, value):
        if isinstance(path, str) and path in ("/dev/full", "/proc/1/x.db"):
            continue
        typed(Result.load, path)
        typed(check, path)
        typed(write_html_from_store, path, folder() / "page.html")
        typed(repair, path, *([folder() / "new.db"] if rng.random() < 0.7 else []))
        if rng.random() < 0.3:
            typed(repair, folder() / "none.db", path)
        store = typed(open_store, path, read_only=rng.random() < 0.5)
        if store is not None:
            typed(store.open)
            store.close()
    typed(Point, value(), value(), value())
    typed(Outcome, rng.choice([TrialState.FAILED, TrialState.COMPLETE]), (0.5,))
    typed(Confirm, value(), value())
    typed(Confirm.of, value())


KINDS = [optimized, optimized, searched, searched, warmed, opened]
