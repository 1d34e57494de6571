"""Choosing the winner: is what a search returns better than the untuned default, with and without confirming?

    python benchmarks/confirm.py run gcn --out gcn.jsonl                       # needs PyTorch
    python benchmarks/confirm.py run gnn_cora --tasks FOLDER --out cora.jsonl  # the folder of tasks.py
    python benchmarks/confirm.py report gcn.jsonl cora.jsonl                   # the table, as Markdown
    python benchmarks/confirm.py rule                                          # why one standard error

Ten searches of 30 full trainings, the default among them as the first point. The objective is the accuracy on the 500
validation nodes of Cora's public split; test nodes are looked at in the report alone. ``run`` goes on where its file
ends. Each line of the file is a search: all its trials and repeats with both accuracies.
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

from autohpo import ChoiceHP, HPSpace, LogRangeHP, RangeHP, build_hpo_from_name
from autohpo.confirm import half_width, standard_error

N_SEARCHES, N_TRIALS, K, SEEDS = 10, 30, 3, 5

Train = Callable[[Mapping[str, Any], int], tuple[float, float]]

GCN_DEFAULT = {
    "conv": "gcn",
    "layers": 2,
    "hidden": 16,
    "act": "relu",
    "dropout": 0.5,
    "lr": 1e-2,
    "weight_decay": 5e-4,
}


def task_gcn(_: str | None) -> tuple[list[HPSpace], Mapping[str, Any], Train]:
    """A graph convolutional network in PyTorch."""
    import torch

    sys.path.insert(0, str(Path(__file__).parent))
    from gcn_torch import DEFAULT, space, train_gcn

    torch.set_num_threads(1)
    return space(), DEFAULT, train_gcn


def task_gnn_cora(folder: str | None) -> tuple[list[HPSpace], Mapping[str, Any], Train]:
    """Four kinds of graph networks in numpy, of the shared tasks."""
    if folder is None:
        raise SystemExit("gnn_cora: give --tasks, the folder with tasks.py")
    sys.path.insert(0, folder)
    from tasks import make  # type: ignore[import-not-found]

    task = make("gnn_cora")
    space: list[HPSpace] = []
    for name, kind, low, high, is_log in task.space:
        if name in task.conditions:
            continue
        space.append(ChoiceHP(name, high) if kind == "cat" else (LogRangeHP if is_log else RangeHP)(name, low, high))
    only = [LogRangeHP("alpha", 0.01, 0.9), LogRangeHP("K", 1, 20)]
    space[0] = ChoiceHP("conv", ["gcn", "sage", "appnp", "mlp"], children={"appnp": only})

    def train(hps: Mapping[str, Any], seed: int) -> tuple[float, float]:
        _, validation, test = task.curve(hps, 200, seed)[-1]
        return validation, test

    return space, GCN_DEFAULT, train


TASKS = {"gcn": task_gcn, "gnn_cora": task_gnn_cora}


def search(
    name: str, task: tuple[list[HPSpace], Mapping[str, Any], Train], seed: int, algorithm: str
) -> dict[str, Any]:
    """Run one search with confirming, and return what the report needs."""
    space, default, train = task
    tests: dict[int, float] = {}

    def objective(hps: dict[str, Any], trial: Any, seed: int) -> float:
        validation, tests[trial.number] = train(hps, seed)
        return validation

    began = time.process_time()
    hpo = build_hpo_from_name(algorithm, space, objective, max_evals=N_TRIALS, seed=seed, points=[dict(default)])
    hpo.optimize(confirm={"k": K, "seeds": SEEDS}, progress=False)
    result = hpo.result
    assert result is not None
    rows = [[t.number, t.info.get("confirms"), t.perf, tests.get(t.number)] for t in (*result.trials, *result.repeats)]
    searched = result.top(1)[0].number
    return {
        "task": name,
        "algorithm": algorithm,
        "seed": seed,
        "searched": searched,
        "chosen": result.best.number,
        "best": dict(result.best.hp),
        "seconds": time.process_time() - began,
        "trials": rows,
    }


def run(given: argparse.Namespace) -> None:
    """Run the searches that the file has not yet."""
    task = TASKS[given.task](given.tasks)
    path = Path(given.out)
    done = {json.loads(line)["seed"] for line in path.read_text().splitlines()} if path.exists() else set()
    for seed in sorted(set(range(given.searches)) - done):
        found = search(given.task, task, seed, given.algorithm)
        with path.open("a") as file:
            file.write(json.dumps(found) + "\n")
        print(
            f"search {seed}: chose {found['chosen']}, search alone {found['searched']}, {found['seconds']:.0f} s",
            flush=True,
        )


def report(given: argparse.Namespace) -> None:
    """Print the table."""
    heads = ("test, less the default's", "validation, less the default's", "optimism", "default kept")
    print(f"| task | searches | answer | {' | '.join(heads)} |")
    print("|---|--:|---|--:|--:|--:|--:|")
    for path in given.files:
        runs = [json.loads(line) for line in Path(path).read_text().splitlines()]
        optimism = [_perf(run, run["searched"]) - _mean(run, run["searched"], 2) for run in runs]
        for who, label in (("searched", "of the search alone"), ("chosen", f"confirm={K}")):
            test, validation = ([_gain(run, run[who], column) for run in runs] for column in (3, 2))
            n_kept = sum(run[who] == 0 for run in runs)
            cells = [runs[0]["task"], str(len(runs)), label, _text(test), _text(validation)]
            cells += [_text(optimism) if who == "searched" else "", str(n_kept)]
            print(f"| {' | '.join(cells)} |")


def _mean(run: Mapping[str, Any], number: int, column: int) -> float:
    return float(np.mean([row[column] for row in run["trials"] if row[1] == number and row[0] < 0]))


def _perf(run: Mapping[str, Any], number: int) -> float:
    return next(float(row[2]) for row in run["trials"] if row[0] == number)


def _gain(run: Mapping[str, Any], number: int, column: int) -> float:
    """The mean over the confirming seeds, less that of the default over the same seeds."""
    return _mean(run, number, column) - _mean(run, 0, column)


def _text(values: list[float]) -> str:
    half = half_width(values)
    return f"{np.mean(values):+.4f} [{np.mean(values) - half:+.4f}, {np.mean(values) + half:+.4f}]"


def rule(_: argparse.Namespace) -> None:
    """Print what rules of choice gain or lose, in standard errors of a difference, with normal noise."""
    from scipy import stats

    rng, n_repeats = np.random.default_rng(0), 20_000
    print("| what the three gain in truth | any higher mean | one standard error | t test at 5 %, Bonferroni |")
    print("|---|--:|--:|--:|")
    for truth in ((-0.5,) * 3, (-1.0,) * 3, (-2.0,) * 3, (1.0, 0.0, 0.0), (2.0, 0.0, 0.0), (3.0, 0.0, 0.0)):
        results = rng.normal(size=(n_repeats, 1 + K, SEEDS)) * np.sqrt(SEEDS / 2)  # so that the error is 1
        results[:, 1:] += np.array(truth)[:, None]
        differences = results[:, 1:] - results[:, :1]
        gains, own = differences.mean(axis=2), differences.std(axis=2, ddof=1) / np.sqrt(SEEDS)
        pooled = np.array([standard_error(list(table)) for table in results])[:, None]
        t = stats.t.ppf(1 - 0.05 / K, SEEDS - 1)
        cells = []
        for threshold in (np.zeros_like(own), np.maximum(own, pooled), t * own):
            passing = np.where(gains > threshold, gains, -np.inf)
            best = passing.argmax(axis=1)
            cells.append(np.where(passing.max(axis=1) > -np.inf, np.array(truth)[best], 0.0).mean())
        print(
            f"| {', '.join(f'{value:+g}' for value in truth)} | " + " | ".join(f"{cell:+.2f}" for cell in cells) + " |"
        )


def main() -> None:
    """Run or report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(required=True)
    running = commands.add_parser("run")
    running.add_argument("task", choices=TASKS)
    running.add_argument("--tasks", help="the folder with tasks.py, for gnn_cora")
    running.add_argument("--out", required=True)
    running.add_argument("--searches", type=int, default=N_SEARCHES)
    running.add_argument("--algorithm", default="bayes")
    running.set_defaults(do=run)
    reporting = commands.add_parser("report")
    reporting.add_argument("files", nargs="+")
    reporting.set_defaults(do=report)
    commands.add_parser("rule").set_defaults(do=rule)
    given = parser.parse_args()
    given.do(given)


if __name__ == "__main__":
    main()
