"""Reference values: the best that a long search finds, and the median of random configurations."""

from __future__ import annotations

import json

import numpy as np

from suite.catalogue import make_task, names_of
from suite.space import Configuration, Parameter, Space
from suite.task import DATA, Task, reference

N_RANDOM = 1000
"""Random configurations for the median: its error is then 4 % of their spread (1.25 / sqrt(1000))."""
UNKNOWN = {"best": -np.inf, "median": np.nan}


def write_reference(wanted: str, n_evaluations: int) -> None:
    """Adds the tasks to the file; a best value is only ever replaced by a better one.

    Args:
        wanted: As in `names_of`.
        n_evaluations: For each task whose best value is not exact.
    """
    known = reference()
    for name in names_of(wanted):
        is_new = name not in known
        known.setdefault(name, dict(UNKNOWN))  # some tasks need an entry to be made
        task = make_task(name)
        if task.family in ("table", "noisy table"):
            known.pop(name)  # the table itself says both
            continue
        if is_new:
            known[name]["median"] = _median(task)
        known[name]["best"] = task.best if task.is_exact else max(known[name]["best"], _search(task, n_evaluations))
        print(f"{name}: {known[name]}", flush=True)
        text = json.dumps(dict(sorted(known.items())), indent=1)
        (DATA / "reference.json").write_text(text + "\n", encoding="utf-8")


def _median(task: Task) -> float:
    rng = np.random.default_rng(0)
    return float(np.median([task.evaluate(task.space.sample(rng)) for _ in range(N_RANDOM)]))


def _search(task: Task, n_evaluations: int) -> float:
    """The best of a local search from the best of random configurations, in four parts that begin anew."""
    rng, best = np.random.default_rng(1), -np.inf
    for _ in range(4):
        starts = [task.space.sample(rng) for _ in range(n_evaluations // 16)]
        values = [task.evaluate(hp) for hp in starts]
        at, value = starts[int(np.argmax(values))], max(values)
        for _ in range(n_evaluations // 4 - len(starts)):
            there = _neighbour(task.space, at, rng)
            found = task.evaluate(there)
            if found >= value:
                at, value = there, found
        best = max(best, value)
    return float(best)


def _neighbour(space: Space, at: Configuration, rng: np.random.Generator) -> Configuration:
    """Some parameters drawn anew or moved a little, on every scale from a millionth of the range up."""
    moved: Configuration = {}
    share = 1.5 / len(space.parameters)
    for p in space.parameters:
        if not space.is_active(p, moved):
            continue
        if p.name not in at or rng.random() < share:
            moved[p.name] = p.draw(rng) if p.is_list or p.name not in at else _moved(p, at[p.name], rng)
        else:
            moved[p.name] = at[p.name]
    return moved


def _moved(p: Parameter, value: float, rng: np.random.Generator) -> float:
    """A number near by: a normal step in the unit interval, or one to a neighbour where values are whole."""
    if p.kind == "whole" and rng.random() < 0.5:
        return int(min(max(value + rng.choice([-1, 1]), p.low), p.high))
    margin = 0.5 if p.kind == "whole" else 0.0
    low, high = p.low - margin, p.high + margin
    unit = np.log(value / low) / np.log(high / low) if p.is_log else (value - low) / (high - low)
    return p.at(float(np.clip(unit + rng.normal(0, 10 ** rng.uniform(-6, -0.3)), 0, 1)))
