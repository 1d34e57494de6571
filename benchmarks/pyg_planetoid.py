"""Tuning a graph network of PyTorch Geometric on Cora or CiteSeer: is what a search returns better than the default?

    python benchmarks/pyg_planetoid.py run ROOT                      # Cora, gcn, bohb and random, 10 searches each
    python benchmarks/pyg_planetoid.py run ROOT --dataset CiteSeer
    python benchmarks/pyg_planetoid.py report                        # the table, as Markdown

ROOT is where PyTorch Geometric keeps Planetoid (``ROOT/Cora/raw``); it is downloaded where it is missing. Each search
trains what 30 full trainings of 200 epochs cost, the model's well-known configuration first and in full, and is
confirmed with the default among the contenders. It sees the 500 validation nodes of the public split; the test nodes
are looked at here alone, with seeds that neither search nor confirming have seen, the same for all. ``run`` goes on
where the file of results ends: a line is a search.
"""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = "1"  # read when torch is imported

import argparse
import json
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from autohpo import Confirm, build_hpo_from_name
from autohpo.confirm import half_width
from autohpo.integrations.pyg import NodeTrainer

BUDGET, EPOCHS, LEAST = 30, 200, 67  # of graph networks on Cora, 20 epochs say little about 200
CONFIRM = Confirm(k=3, seeds=5)
FRESH = range(10_000, 10_010)
"""Seeds of the final report."""

RESULTS = Path(__file__).parent / "results" / "pyg-planetoid.jsonl"
OPTIONS: Mapping[str, Mapping[str, Any]] = {name: {"max_evals": BUDGET} for name in ("bayes", "random", "tpe")}
STAGED = {"budget": BUDGET, "min_fidelity": LEAST, "max_fidelity": EPOCHS}


class Bench:
    """A data set and a model; it remembers what the default was worth."""

    def __init__(self, root: str, name: str, model: str) -> None:
        import torch
        from torch_geometric.datasets import Planetoid

        torch.set_num_threads(1)
        self.name, self.model = name, model
        self.trainer = NodeTrainer(model, max_epoch=EPOCHS)
        self.dataset = Planetoid(root, name)
        self._known: dict[str, list[list[float]]] = {}

    def worth(self, hp: Mapping[str, Any]) -> list[list[float]]:
        """The validation and the test accuracies of a configuration, for each fresh seed."""
        key = json.dumps(hp, sort_keys=True)
        if key not in self._known:
            self._known[key] = [list(pair) for pair in zip(*self._worth(hp), strict=True)]
        return self._known[key]

    def _worth(self, hp: Mapping[str, Any]) -> Iterator[tuple[float, float]]:
        for seed in FRESH:
            trained = self.trainer.duplicate_from_hyper_parameter(hp)
            trained.train(self.dataset, seed=seed)
            yield trained.get_valid_score()[0], trained.evaluate(self.dataset, "test")

    def search(self, algorithm: str, seed: int) -> dict[str, Any]:
        """Run a search with confirming; return what the report needs."""
        began = time.process_time()
        options = {"points": [self.trainer.default_point], "seed": seed, **OPTIONS.get(algorithm, STAGED)}
        hpo = build_hpo_from_name(algorithm, self.trainer.space, self.trainer.objective(self.dataset), **options)
        hpo.optimize(confirm=CONFIRM, progress=False)
        result = hpo.result
        assert result is not None
        reached = {None: 0.0} | {trial.number: trial.reports[-1][0] for trial in result.trials}
        n_epochs = sum(reached[trial.number] - reached[trial.resume] for trial in result.trials)
        chosen, alone = dict(result.best.hp), dict(result.top(1)[0].hp)
        seconds = time.process_time() - began
        return {
            "dataset": self.name,
            "model": self.model,
            "algorithm": algorithm,
            "seed": seed,
            "n_trials": len(result.trials),
            "n_epochs": n_epochs,
            "cpu_seconds": round(seconds, 1),
            "kept_default": bool(result.winner is not None and result.winner.is_default),
            "optimism": None if result.winner is None else result.winner.optimism,
            "chosen": chosen,
            "alone": alone,
            "best_in_search": result.top(1)[0].perf,
            "worth": {
                "chosen": self.worth(chosen),
                "alone": self.worth(alone),
                "default": self.worth(self.trainer.default),
            },
        }


def run(given: argparse.Namespace) -> None:
    """Run the searches that the file has not yet."""
    path = Path(given.out)
    bench = Bench(given.root, given.dataset, given.model)
    for seed in range(given.searches):
        for algorithm in given.algorithms:
            wanted = {"dataset": given.dataset, "model": given.model, "algorithm": algorithm, "seed": seed}
            lines = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
            if any(wanted.items() <= line.items() for line in lines):
                continue
            found = bench.search(algorithm, seed)
            with path.open("a") as file:
                file.write(json.dumps(found) + "\n")
            shown = {who: [round(float(np.mean(part)), 4) for part in worth] for who, worth in found["worth"].items()}
            print(f"{algorithm} {seed}: {shown}, {found['n_epochs']} epochs, {found['cpu_seconds']} s", flush=True)


def report(given: argparse.Namespace) -> None:
    """Print the table: means over searches of means over fresh seeds, with 95 % intervals over searches."""
    lines = [json.loads(line) for line in Path(given.out).read_text().splitlines()]
    heads = ("searches", "answer", "test", "test, less the default's", "validation, less the default's", "default kept")
    print(f"| data, model, algorithm | {' | '.join(heads)} |")
    print("|---|--:|---|--:|--:|--:|--:|")
    shown: set[tuple[str, str]] = set()
    for group in dict.fromkeys((x["dataset"], x["model"], x["algorithm"]) for x in lines):
        runs = [x for x in lines if (x["dataset"], x["model"], x["algorithm"]) == group]
        first = np.array(runs[0]["worth"]["default"])
        for who, label in (("alone", "of the search alone"), ("chosen", "confirmed")):
            worth = np.array([[x["worth"][who], x["worth"]["default"]] for x in runs]).mean(axis=3)
            gains = worth[:, 0] - worth[:, 1]
            is_default = sum(x["kept_default"] for x in runs) if who == "chosen" else ""
            cells = [f"{worth[:, 0, 1].mean():.4f}", _text(gains[:, 1]), _text(gains[:, 0]), str(is_default)]
            print(f"| {', '.join(group)} | {len(runs)} | {label} | {' | '.join(cells)} |")
        if group[:2] in shown:
            continue
        shown.add(group[:2])
        error = first[1].std(ddof=1) / np.sqrt(len(FRESH))
        cells = f"{first[1].mean():.4f} (standard error {error:.4f}) | | validation {first[0].mean():.4f} | "
        print(f"| {', '.join(group[:2])} | | the untuned default | {cells}|")


def _text(values: np.ndarray[Any, Any]) -> str:
    if len(values) < 2:
        return f"{values.mean():+.4f}"
    half = half_width(values)
    return f"{values.mean():+.4f} [{values.mean() - half:+.4f}, {values.mean() + half:+.4f}]"


def main() -> None:
    """Run or report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(required=True)
    running = commands.add_parser("run")
    running.add_argument("root", help="where Planetoid's data are, or go")
    running.add_argument("--dataset", default="Cora", choices=["Cora", "CiteSeer", "PubMed"])
    running.add_argument("--model", default="gcn")
    running.add_argument("--searches", type=int, default=10)
    running.add_argument("--algorithms", nargs="+", default=["bohb", "random"])
    running.set_defaults(do=run)
    reporting = commands.add_parser("report")
    reporting.set_defaults(do=report)
    for command in (running, reporting):
        command.add_argument("--out", default=str(RESULTS))
    given = parser.parse_args()
    given.do(given)


if __name__ == "__main__":
    main()
