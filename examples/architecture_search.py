"""Architecture search where the best answer is known: the table of NAS-Bench-Graph for the Cora citation graph.

    python examples/architecture_search.py                             # 12 seeds of five algorithms: some minutes
    python examples/architecture_search.py --seeds 3 --max-evals 60 --algorithms random,tpe
    python examples/architecture_search.py --svg regret.svg            # draws it, too

The table (Qin et al. 2022, Apache-2.0) has 26,206 graph neural networks, each trained three times. So an evaluation
costs nothing, and the regret is exact: how far the best network found is from the best one that there is. The table
lies in this repository; elsewhere, `pip install nas_bench_graph numpy` brings it.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from autohpo import ChoiceHP, build_hpo_from_name

DATA = Path(__file__).parents[1] / "benchmarks" / "data" / "nas_bench_graph"
OPERATIONS = ("gat", "gcn", "gin", "cheb", "sage", "arma", "graph", "fc", "skip")
LINKS = (  # what the four layers read, 0 being the graph: every other way is one of these with the layers renumbered
    *((0, 0, 0, 0), (0, 0, 0, 1), (0, 0, 1, 1), (0, 0, 1, 2), (0, 0, 1, 3)),
    *((0, 1, 1, 1), (0, 1, 1, 2), (0, 1, 2, 2), (0, 1, 2, 3)),
)
SPACE = [
    ChoiceHP("in1", [0, 1]),
    ChoiceHP("in2", [0, 1, 2]),
    ChoiceHP("in3", [0, 1, 2, 3]),
    *(ChoiceHP(f"op{k}", list(OPERATIONS)) for k in range(4)),
]
COLORS = {
    "random": "#767676",
    "regularized_evolution": "#b35900",
    "tpe": "#0b6fb8",
    "bayes": "#2e7d32",
    "smac": "#a0307c",
}

Hps = dict[str, Any]
Look = Callable[[Hps], tuple[int, float, float] | None]
FloatArray = NDArray[np.float64]


def canonical(hp: Hps) -> tuple[tuple[int, ...], tuple[str, ...]]:
    """Return an architecture's links, one of the nine, and its operations, with the layers renumbered to match."""
    reads = (0, hp["in1"], hp["in2"], hp["in3"])
    for order in permutations(range(4)):
        place = {0: 0} | {old + 1: new + 1 for new, old in enumerate(order)}
        link = tuple(place[reads[old]] for old in order)
        if link in LINKS:
            return link, tuple(hp[f"op{old}"] for old in order)
    raise ValueError(f"links: must be a tree of four layers, got {reads}")


def read_repository() -> tuple[Look, float]:
    """Return a function from configurations to (architecture, validation, test accuracy), and the best validation."""
    with np.load(DATA / "index.npz") as index, np.load(DATA / "cora.npz") as values:
        places, valid, test = index["index"], values["valid"], values["test"]

    def look(hp: Hps) -> tuple[int, float, float] | None:
        link, operations = canonical(hp)
        place = int(places[(LINKS.index(link), *map(OPERATIONS.index, operations))])
        return None if place < 0 else (place, float(valid[place]), float(test[place]))

    return look, float(valid.max())


def read_package() -> tuple[Look, float]:
    """Return the same, by the package of the benchmark's authors."""
    try:
        from nas_bench_graph import Arch, light_read
    except ImportError:
        raise SystemExit("the table is not here: pip install nas_bench_graph numpy") from None
    table = light_read("cora")

    def look(hp: Hps) -> tuple[int, float, float] | None:
        link, operations = canonical(hp)
        name = Arch(list(link), list(operations)).valid_hash()
        return (name, table[name]["valid_perf"], table[name]["perf"]) if name in table else None

    return look, max(entry["valid_perf"] for entry in table.values())


@dataclass
class Objective:
    """Trains an architecture, had it not been trained before: many configurations are the same network.

    Attributes:
        look: What "training" is here.
        trained: Validation and test accuracy by architecture: what a real search would keep in a file.
    """

    look: Look
    trained: dict[int, tuple[float, float]] = field(default_factory=dict)

    def __call__(self, hps: Hps) -> float:
        """Return the validation accuracy.

        Raises:
            ValueError: All layers are skipped, so there is nothing to train: a failed trial, and the search goes on.
        """
        found = self.look(hps)
        if found is None:
            raise ValueError("all four operations are skips: there is no network")
        architecture, valid, test = found
        self.trained.setdefault(architecture, (valid, test))
        return self.trained[architecture][0]


def search(name: str, seed: int, max_evals: int, look: Look) -> tuple[list[float], float, int]:
    """Return the best accuracy after each trial, the chosen network's test accuracy, and how many were trained."""
    objective = Objective(look)
    hpo = build_hpo_from_name(name, SPACE, objective, max_evals=max_evals, seed=seed)
    best_hp, _ = hpo.optimize(progress=False, continue_on_error=True)
    perfs = [-np.inf if trial.perf is None else trial.perf for trial in hpo.result]
    curve = np.maximum.accumulate(perfs)
    network = look(best_hp)
    test = network[2] if network is not None else 0.0
    return [*curve, *[curve[-1]] * (max_evals - len(curve))], test, len(objective.trained)


def draw(curves: dict[str, FloatArray], path: Path) -> None:
    """Write a picture: the median regret of each algorithm after each trial, and between which quartiles it lies.

    Args:
        curves: ``(seeds, trials)`` regret, by the algorithm.
        path: Where the SVG goes.
    """
    width, height, left, right, top, bottom = 760, 430, 70, 190, 46, 52
    n_trials = max(curve.shape[1] for curve in curves.values())
    most = 0.03  # what is above it, in the first few trials, is drawn at the upper edge

    def x(trial: float) -> float:
        return left + (width - left - right) * trial / n_trials

    def y(regret: float) -> float:
        return float(height - bottom - (height - top - bottom) * min(regret, most) / most)

    def line(values: Sequence[float]) -> list[str]:
        return [f"{x(trial):.1f},{y(value):.1f}" for trial, value in enumerate(values, 1)]

    title = "NAS-Bench-Graph, Cora: median regret, and between which quartiles it lies"
    parts = [f'<text x="{left}" y="24" font-weight="bold">{title}</text>']
    for regret, label in ((0.0, "0"), (0.005, ".005"), (0.01, ".01"), (0.02, ".02"), (0.03, ".03")):
        parts.append(f'<path d="M{left} {y(regret):.1f}H{width - right}" stroke="#ddd"/>')
        parts.append(f'<text x="{left - 8}" y="{y(regret) + 4:.1f}" text-anchor="end">{label}</text>')
    for trial in np.linspace(0, n_trials, 5).astype(int):
        parts.append(f'<path d="M{x(trial):.1f} {height - bottom}v5" stroke="#666"/>')
        parts.append(f'<text x="{x(trial):.1f}" y="{height - bottom + 20}" text-anchor="middle">{trial}</text>')
    parts.append(f'<text x="{(left + width - right) / 2}" y="{height - 10}" text-anchor="middle">trials</text>')
    label = "validation accuracy: best there is, minus best found"
    parts.append(f'<text transform="translate(18 {height / 2}) rotate(-90)" text-anchor="middle">{label}</text>')
    ends = []
    for name, curve in curves.items():
        low, middle, high = np.quantile(curve, [0.25, 0.5, 0.75], axis=0)
        color = COLORS.get(name, "#333")
        parts.append(f'<polygon points="{" ".join(line(low) + line(high)[::-1])}" fill="{color}" opacity="0.13"/>')
        parts.append(f'<polyline points="{" ".join(line(middle))}" fill="none" stroke="{color}" stroke-width="2"/>')
        ends.append((y(middle[-1]), name, color))
    free = 0.0
    for place, name, color in sorted(ends):
        free = max(place, free + 16)
        parts.append(f'<text x="{width - right + 8}" y="{free + 4:.1f}" fill="{color}">{name}</text>')
    box = f'viewBox="0 0 {width} {height}"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" {box} font-family="sans-serif" font-size="13"'
    background = f'<rect width="{width}" height="{height}" fill="#fff"/>'
    path.write_text("\n".join([f"{head}>", background, *parts, "</svg>"]) + "\n", encoding="utf-8")


def main() -> None:
    """Search with every algorithm and seed, and print what was found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--algorithms", default=",".join(COLORS), help="names, with commas between them")
    parser.add_argument("--seeds", type=int, default=12)
    parser.add_argument("--max-evals", type=int, default=200)
    parser.add_argument("--svg", type=Path, help="where to draw the regret")
    given = parser.parse_args()

    look, optimum = read_repository() if (DATA / "index.npz").is_file() else read_package()
    curves: dict[str, FloatArray] = {}
    print(f"{'algorithm':<24}{'regret: median [quartiles]':<30}{'found':>6}{'test':>8}{'trained':>9}")
    for name in given.algorithms.split(","):
        runs = [search(name, seed, given.max_evals, look) for seed in range(given.seeds)]
        curves[name] = np.maximum(optimum - np.array([curve for curve, _, _ in runs]), 0.0)
        last = curves[name][:, -1]
        low, middle, high = np.quantile(last, [0.25, 0.5, 0.75])
        test, trained = np.mean([run[1] for run in runs]), np.mean([run[2] for run in runs])
        regret = f"{middle:.4f} [{low:.4f}, {high:.4f}]"
        print(f"{name:<24}{regret:<30}{(last < 1e-6).mean():>6.0%}{test:>8.4f}{trained:>9.1f}", flush=True)
    if given.svg is not None:
        draw(curves, given.svg)


if __name__ == "__main__":
    main()
