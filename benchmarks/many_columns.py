"""Searches of 500 trials in 20 and 40 dimensions: best values and CPU time, of our own algorithms.

    python benchmarks/many_columns.py run --optimizers random,tpe,cmaes,turbo --seeds 3 --out many.json
    python benchmarks/many_columns.py report --out many.json           # the table, as Markdown

BBOB functions on [-5, 5]^d, and one with whole numbers and choices among its columns. Regret is 0 at the optimum, and 1
at the median of random configurations.
"""

from __future__ import annotations

import os

os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", MKL_NUM_THREADS="1")  # numpy reads them when imported

import argparse
import json
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))

from suite.coco import _problem, optimum

from autohpo import ChoiceHP, HPSpace, RangeHP, SearchSpace, build_hpo_from_name

CHECKPOINTS = (100, 250, 500)
Evaluate = Callable[[Mapping[str, Any]], float]


def bbob(function: int, dimension: int) -> tuple[list[HPSpace], Evaluate, float]:
    """A BBOB function to maximise: its space, its values and its best value."""
    problem = _problem("bbob", function, dimension, 1)
    return [RangeHP(f"x{k}", -5.0, 5.0) for k in range(dimension)], problem, -optimum(function, 1)


def mixed(dimension: int) -> tuple[list[HPSpace], Evaluate, float]:
    """A bowl in which a third of the columns are real, a third whole, and a third choices of four."""
    goal = np.random.default_rng(dimension).random(dimension)
    kinds: list[HPSpace] = [
        (RangeHP(f"x{k}", 0.0, 1.0), RangeHP(f"x{k}", 0, 20), ChoiceHP(f"x{k}", [0, 1, 2, 3]))[k % 3]
        for k in range(dimension)
    ]

    def value(hp: Mapping[str, Any]) -> float:
        miss = 0.0
        for k in range(dimension):
            x = hp[f"x{k}"]
            if k % 3 == 2:
                miss += 0.2 * (x != int(4 * goal[k]))
            else:
                aim = goal[k] if k % 3 == 0 else round(20 * goal[k]) / 20
                miss += ((x if k % 3 == 0 else x / 20) - aim) ** 2
        return -miss

    return kinds, value, 0.0


TASKS: dict[str, Callable[[], tuple[list[HPSpace], Evaluate, float]]] = {
    "rosenbrock 20": lambda: bbob(8, 20),
    "rastrigin 20": lambda: bbob(15, 20),
    "mixed bowl 30": lambda: mixed(30),
    "ellipsoid 40": lambda: bbob(2, 40),
    "schaffers 40": lambda: bbob(17, 40),
}


def race(name: str, task: str, seed: int) -> dict[str, Any]:
    """Regret at the checkpoints, and CPU milliseconds for an ask."""
    space, evaluate, best = TASKS[task]()
    draws = SearchSpace(space).sample(np.random.default_rng(99), 1000)
    middle = float(np.median([evaluate(hp) for hp in draws]))
    hpo = build_hpo_from_name(name, space, seed=seed)
    found, regrets, spent = -np.inf, [], 0.0
    for n in range(1, CHECKPOINTS[-1] + 1):
        start = time.process_time()
        suggestion = hpo.ask()
        spent += time.process_time() - start
        value = evaluate(suggestion)
        start = time.process_time()
        hpo.tell(suggestion, value)
        spent += time.process_time() - start
        found = max(found, value)
        if n in CHECKPOINTS:
            regrets.append((best - found) / (best - middle))
    return {"regrets": regrets, "milliseconds": 1e3 * spent / CHECKPOINTS[-1]}


def run(arguments: argparse.Namespace) -> None:
    """Runs what is missing in the file."""
    kept = json.loads(arguments.out.read_text()) if arguments.out.exists() else {}
    for seed in range(arguments.seeds):
        for task in TASKS:
            for name in arguments.optimizers.split(","):
                key = f"{name}/{task}/{seed}"
                if key not in kept:
                    kept[key] = race(name, task, seed)
                    arguments.out.write_text(json.dumps(kept))
                    regrets = " ".join(f"{value:.4f}" for value in kept[key]["regrets"])
                    print(f"{key}: regret {regrets}, {kept[key]['milliseconds']:.1f} ms", flush=True)


def report(arguments: argparse.Namespace) -> None:
    """Prints mean regrets over the seeds, after 100, 250 and 500 trials."""
    kept = json.loads(arguments.out.read_text())
    names = list(dict.fromkeys(key.split("/")[0] for key in kept))
    print("| task | " + " | ".join(names) + " |\n|---|" + "--:|" * len(names))
    runs = {tuple(key.split("/")): one for key, one in kept.items()}
    for task in TASKS:
        cells = []
        for name in names:
            regrets = [one["regrets"] for key, one in runs.items() if key[:2] == (name, task)]
            cells.append(" / ".join(f"{value:.3f}" for value in np.mean(regrets, axis=0)))
        print(f"| {task} | " + " | ".join(cells) + " |")
    times = [np.mean([one["milliseconds"] for key, one in runs.items() if key[0] == name]) for name in names]
    print("| CPU ms | " + " | ".join(f"{value:.1f}" for value in times) + " |")


def main() -> None:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=["run", "report"])
    parser.add_argument("--optimizers", default="random,tpe,cmaes,turbo")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "many_columns.json")
    arguments = parser.parse_args()
    {"run": run, "report": report}[arguments.command](arguments)


if __name__ == "__main__":
    main()
