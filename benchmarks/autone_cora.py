"""AutoNE on the Cora graph: what it costs, in full trainings, to reach what random search finds with 50.

    python benchmarks/autone_cora.py run --seeds 5 --out cora.json     # continues where the file ends
    python benchmarks/autone_cora.py report --out cora.json            # the table, as Markdown

A trial trains APPNP for 60 epochs from a fixed seed, so that a configuration has one value: its accuracy on the 500
validation nodes, or on those of them that lie in the sub-graph. A trial on a sub-graph costs the share of a full one
that is measured first, as CPU time of the same random configurations on each graph in turn: so what else runs on the
machine makes no difference. Asks do not count.
"""

from __future__ import annotations

import os

os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", MKL_NUM_THREADS="1")  # numpy reads them when imported

import argparse
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from autohpo import SearchSpace, build_hpo_from_name
from autohpo.algorithms.autone import induced_edges, sample_nodes, subgraph_signatures
from autohpo.demo.cora import APPNP, Cora, cora_space, load_cora

EPOCHS = 60
N_RANDOM = 50
MOST_FULL = 25
N_TIMED = 14
SHARES = (0.15, 0.25)


@dataclass
class Graphs:
    """Cora and its sub-graphs: of each share one, which holds all nodes that are trained on."""

    whole: Cora
    parts: dict[float, Cora] = field(default_factory=dict)

    @cached_property
    def edges(self) -> np.ndarray:
        """``(2, m)`` edges, each in one direction."""
        pairs = self.whole.adjacency.tocoo()
        is_one_way = pairs.row < pairs.col
        return np.stack([pairs.row[is_one_way], pairs.col[is_one_way]]).astype(np.int64)

    def part(self, share: float) -> Cora:
        """The sub-graph of a share of the nodes, with the labels that lie in it."""
        from scipy.sparse import csr_matrix

        whole = self.whole
        nodes = sample_nodes(self.edges, whole.n_nodes, share, keep=whole.train)
        rows, columns = induced_edges(self.edges, nodes, whole.n_nodes)
        loops = np.arange(len(nodes))
        rows, columns = np.concatenate([rows, columns, loops]), np.concatenate([columns, rows, loops])
        degrees = np.bincount(rows)
        weights = (1 / np.sqrt(degrees[rows] * degrees[columns])).astype(np.float32)
        places = np.full(whole.n_nodes, -1)
        places[nodes] = loops
        split = {name: places[getattr(whole, name)] for name in ("train", "validation", "test")}
        return replace(
            whole,
            features=whole.features[nodes],
            adjacency=csr_matrix((weights, (rows, columns)), shape=(len(nodes), len(nodes))),
            labels=whole.labels[nodes],
            **{name: found[found >= 0] for name, found in split.items()},
        )

    def signatures(self) -> list[list[float]]:
        """What the optimizer wants to know of the graphs."""
        return subgraph_signatures(self.edges, self.whole.n_nodes, SHARES, keep=self.whole.train)


def measured(hp: Mapping[str, Any], graphs: Graphs, share: float) -> tuple[float, float]:
    """The accuracy of a configuration, and the CPU seconds it took."""
    start = time.process_time()
    if share not in graphs.parts:
        graphs.parts[share] = graphs.whole if share == 1 else graphs.part(share)
    data = graphs.parts[share]
    model = APPNP(hp, data, seed=0)
    with np.errstate(all="ignore"):  # a learning rate of 1 may end in infinities, and then in the accuracy of chance
        for _ in range(EPOCHS):
            model.train_epoch()
        accuracy = model.accuracy(data.validation)
    return accuracy, time.process_time() - start


def search(name: str, seed: int, n_full: int, graphs: Graphs, options: Mapping[str, Any]) -> list[list[float]]:
    """``[share, accuracy, seconds]`` of each trial, up to a number of full trainings; asks in the fourth column."""
    hpo = build_hpo_from_name(name, cora_space(), seed=seed, **options)
    rows: list[list[float]] = []
    while sum(row[0] == 1 for row in rows) < n_full:
        start = time.process_time()
        suggestion = hpo.ask()
        asked = time.process_time() - start
        share = 1.0 if suggestion.fidelity is None else suggestion.fidelity
        accuracy, seconds = measured(suggestion, graphs, share)
        hpo.tell(suggestion, accuracy)
        rows.append([share, accuracy, seconds, asked])
    return rows


def relative_costs(graphs: Graphs) -> dict[str, float]:
    """What a training on each sub-graph costs, in full trainings of the same configuration."""
    hps = SearchSpace(cora_space()).sample(np.random.default_rng(0), N_TIMED)
    seconds = [[measured(hp, graphs, share)[1] for share in (1.0, *SHARES)] for hp in hps]
    means = np.mean(seconds[2:], axis=0)  # the first ones load libraries and make the sub-graphs
    return {str(share): float(mean / means[0]) for share, mean in zip(SHARES, means[1:], strict=True)}


def trace(rows: list[list[float]], costs: Mapping[str, float]) -> tuple[np.ndarray, np.ndarray]:
    """What was spent after each full training, in full trainings, and the best accuracy of these so far."""
    spent = np.cumsum([costs.get(str(row[0]), 1.0) for row in rows])
    is_full = np.array([row[0] == 1 for row in rows])
    return spent[is_full], np.maximum.accumulate([row[1] for row in rows if row[0] == 1])


def run(arguments: argparse.Namespace) -> None:
    """Runs what is missing in the file."""
    path, graphs = arguments.out, Graphs(load_cora())
    kept: dict[str, dict[str, Any]] = json.loads(path.read_text()) if path.exists() else {}
    costs = kept.setdefault("costs", {}) or relative_costs(graphs)
    kept["costs"] = costs
    wanted: dict[str, tuple[str, int, dict[str, Any]]] = {
        "random": ("random", N_RANDOM, {}),
        "tpe": ("tpe", MOST_FULL, {}),
        "autone": ("autone", MOST_FULL, {"shares": SHARES, "signatures": graphs.signatures()}),
    }
    for seed in range(arguments.seeds):
        for label, (name, n_full, options) in wanted.items():
            if str(seed) in kept.setdefault(label, {}):
                continue
            kept[label][str(seed)] = search(name, seed, n_full, graphs, options)
            path.write_text(json.dumps(kept))
            spent, best = trace(kept[label][str(seed)], costs)
            print(f"{label} {seed}: best {best[-1]:.4f} after {len(best)} full, {spent[-1]:.1f} in all", flush=True)


def report(arguments: argparse.Namespace) -> None:
    """Prints for each seed what random search found, and what it cost the others to find as much."""
    kept = json.loads(arguments.out.read_text())
    cost_of = kept.pop("costs")
    names = [name for name in kept if name != "random"]
    print("| seed | random's best of 50 | " + " | ".join(f"{name}: cost, best at 25" for name in names) + " |")
    print("|--:|" + "--:|" * (len(names) + 1))
    costs: dict[str, list[float]] = {name: [] for name in names}
    for seed, rows in kept["random"].items():
        if not all(seed in kept[name] for name in names):
            continue
        goal, cells = trace(rows, cost_of)[1][N_RANDOM - 1], list[str]()
        for name in names:
            spent, best = trace(kept[name][seed], cost_of)
            costs[name].append(float(spent[best >= goal][0]) if best[-1] >= goal else float("inf"))
            cells.append(f"{costs[name][-1]:.1f}, {best[spent <= 25][-1]:.4f}")
        print(f"| {seed} | {goal:.4f} | " + " | ".join(cells) + " |")
    for name in names:
        n = sum(cost <= 25 for cost in costs[name])
        print(f"{name}: median {np.median(costs[name]):.1f}; within 25: {n} of {len(costs[name])}")
        asks = [row[3] for one in kept[name].values() for row in one]
        print(f"{name}: {1e3 * np.mean(asks):.1f} ms CPU for an ask")
    print("costs of a trial:", ", ".join(f"{cost:.2f} on {share}" for share, cost in cost_of.items()))


def main() -> None:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=["run", "report"])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "autone_cora.json")
    arguments = parser.parse_args()
    {"run": run, "report": report}[arguments.command](arguments)


if __name__ == "__main__":
    main()
