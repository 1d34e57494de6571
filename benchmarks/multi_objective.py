"""How good fronts are: hypervolume after 200 evaluations, ours beside Optuna's NSGA-II and TPE, in one run.

    python benchmarks/multi_objective.py                                 # all problems, 5 seeds
    python benchmarks/multi_objective.py --optimizers nsga2,optuna-nsga2 --problems zdt1 --seeds 3
    python benchmarks/multi_objective.py --option nsga2.population_size=10

ZDT1 to ZDT3 have 30 variables, DTLZ2 has 12 and 3 objectives, as their papers say; `cora` is the table of
NAS-Bench-Graph: validation error (share) and latency (ms) of 26,206 graph networks. All objectives are minimised.

The hypervolume is moocore's, as a share of what the true front covers. It needs a reference point, and says different
things with different ones, so there are two. The *far* one lies a tenth beyond the worst value that an objective takes
anywhere: it tells how far a search has come. The *near* one lies a tenth of the true front's range beyond the front's
own worst value: only what is close to the front counts.
"""

from __future__ import annotations

import os

os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", MKL_NUM_THREADS="1")  # numpy reads them when imported

import argparse
import json
import math
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import moocore
import numpy as np
from numpy.typing import NDArray

from autohpo import ChoiceHP, RangeHP, SearchSpace, build_hpo_from_name

FloatArray = NDArray[np.float64]
Objectives = tuple[float, ...]

DATA = Path(__file__).parent / "data" / "nas_bench_graph"
RIVALS = ("optuna-nsga2", "optuna-tpe")
OURS = ("random", "nsga2", "mocmaes", "motpe", "ehvi")
BUDGET = 200


@dataclass(frozen=True)
class Problem:
    """Several objectives, all to be minimised.

    Attributes:
        evaluate: The objectives of a configuration.
        front: ``(n, m)`` the true Pareto front, densely sampled where it is continuous.
        worst: ``(m,)`` the largest value of each objective anywhere.
    """

    name: str
    space: SearchSpace
    evaluate: Callable[[Mapping[str, Any]], Objectives]
    front: FloatArray
    worst: FloatArray

    @property
    def references(self) -> dict[str, FloatArray]:
        """The reference points by name; all objectives are at least 0."""
        low, high = self.front.min(axis=0), self.front.max(axis=0)
        return {"far": 1.1 * self.worst, "near": high + 0.1 * (high - low)}

    def shares(self, values: Sequence[Objectives]) -> dict[str, float]:
        """Hypervolume by name of the reference point, as a share of the true front's."""
        return {
            name: moocore.hypervolume(np.array(values), ref=ref) / moocore.hypervolume(self.front, ref=ref)
            for name, ref in self.references.items()
        }


def _floats(n: int) -> SearchSpace:
    return SearchSpace([RangeHP(f"x{k}", 0.0, 1.0) for k in range(n)])


def zdt(kind: int, n: int = 30) -> Problem:
    """ZDT1, 2 or 3 with n variables.

    Source: Zitzler, Deb and Thiele 2000, Evolutionary Computation 8(2), equations 7 to 9.
    """

    def shape(first: Any, g: Any) -> Any:
        ratio = first / g
        if kind == 1:
            return 1 - np.sqrt(ratio)
        if kind == 2:
            return 1 - ratio**2
        return 1 - np.sqrt(ratio) - ratio * np.sin(10 * np.pi * first)

    def evaluate(hp: Mapping[str, Any]) -> Objectives:
        first = hp["x0"]
        g = 1 + 9 * math.fsum(hp[f"x{k}"] for k in range(1, n)) / (n - 1)
        return first, float(g * shape(first, g))

    first = np.linspace(0.0, 1.0, 20_001)
    front = np.stack([first, shape(first, 1.0)], axis=1)
    front = front[moocore.is_nondominated(front)]  # that of ZDT3 has gaps
    return Problem(f"zdt{kind}", _floats(n), evaluate, front, np.array([1.0, 10.0]))


def dtlz2(n: int = 12) -> Problem:
    """DTLZ2 with n variables and 3 objectives: the front is an eighth of the unit sphere.

    Source: Deb, Thiele, Laumanns and Zitzler 2002, CEC, 825-830, section VI-B.
    """
    m = 3

    def evaluate(hp: Mapping[str, Any]) -> Objectives:
        angles = [hp[f"x{k}"] * math.pi / 2 for k in range(m - 1)]
        radius = 1 + math.fsum((hp[f"x{k}"] - 0.5) ** 2 for k in range(m - 1, n))
        values = []
        for k in range(m):
            value = radius * math.prod(math.cos(angle) for angle in angles[: m - 1 - k])
            values.append(value * math.sin(angles[m - 1 - k]) if k else value)
        return tuple(values)

    steps = np.linspace(0.0, 1.0, 101)
    a, b = (grid.ravel() for grid in np.meshgrid(steps, steps))
    rest = {f"x{k}": 0.5 for k in range(m - 1, n)}
    front = np.array([evaluate({"x0": x, "x1": y} | rest) for x, y in zip(a, b, strict=True)])
    return Problem("dtlz2", _floats(n), evaluate, front, np.full(m, 1 + 0.25 * (n - m + 1)))


def cora() -> Problem:
    """Graph networks on Cora: validation error and latency; what is only skips cannot run, and is as bad as the worst.

    Source: Qin et al. 2022, NeurIPS 35, Datasets and Benchmarks (NAS-Bench-Graph).
    """
    space = json.loads((DATA / "space.json").read_text(encoding="utf-8"))
    with np.load(DATA / "cora.npz") as file:
        values = np.stack([1.0 - file["valid"].astype(float), 1e3 * file["latency"].astype(float)], axis=1)
    with np.load(DATA / "index.npz") as file:
        places = file["index"]
    worst = values.max(axis=0)
    values = np.vstack([values, worst])  # its last row is where a place of -1 points
    links = {"".join(map(str, link)): place for place, link in enumerate(space["links"])}
    operations = {name: place for place, name in enumerate(space["ops"])}
    choices = [ChoiceHP("link", list(links)), *(ChoiceHP(f"op{k}", list(operations)) for k in range(4))]

    def evaluate(hp: Mapping[str, Any]) -> Objectives:
        row = values[places[(links[hp["link"]], *(operations[hp[f"op{k}"]] for k in range(4)))]]
        return float(row[0]), float(row[1])

    return Problem("cora", SearchSpace(choices), evaluate, values[moocore.is_nondominated(values)], worst)


PROBLEMS: Mapping[str, Callable[[], Problem]] = {
    "zdt1": lambda: zdt(1),
    "zdt2": lambda: zdt(2),
    "zdt3": lambda: zdt(3),
    "dtlz2": dtlz2,
    "cora": cora,
}


def run_ours(name: str, problem: Problem, seed: int, n: int, options: Mapping[str, Any]) -> list[Objectives]:
    """What an algorithm of autohpo finds in n evaluations."""
    hpo = build_hpo_from_name(name, problem.space, seed=seed, mode=["min"] * problem.front.shape[1], **options)
    found = []
    for _ in range(n):
        suggestion = hpo.ask()
        found.append(problem.evaluate(suggestion))
        hpo.tell(suggestion, found[-1])
    return found


def run_optuna(name: str, problem: Problem, seed: int, n: int) -> list[Objectives]:
    """What a sampler of Optuna finds in n evaluations; with its own defaults."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    spread, samplers = optuna.distributions, optuna.samplers
    space: dict[str, Any] = {
        one.name: spread.CategoricalDistribution(one.choices)
        if isinstance(one, ChoiceHP)
        else spread.FloatDistribution(0, 1)
        for one in problem.space
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # experimental features
        sampler = samplers.NSGAIISampler(seed=seed) if name == "optuna-nsga2" else samplers.TPESampler(seed=seed)
        study = optuna.create_study(sampler=sampler, directions=["minimize"] * problem.front.shape[1])
        found = []
        for _ in range(n):
            trial = study.ask(space)
            found.append(problem.evaluate(trial.params))
            study.tell(trial, found[-1])
    return found


def race(
    name: str, problem: Problem, seeds: int, n: int, options: Mapping[str, Any]
) -> tuple[dict[str, list[float]], float]:
    """Shares of each seed by name of the reference point, and CPU seconds of a search."""
    shares: dict[str, list[float]] = {reference: [] for reference in problem.references}
    start = time.process_time()
    for seed in range(seeds):
        rivals = name in RIVALS
        found = run_optuna(name, problem, seed, n) if rivals else run_ours(name, problem, seed, n, options)
        for reference, share in problem.shares(found).items():
            shares[reference].append(share)
    return shares, (time.process_time() - start) / seeds


def main(argv: Sequence[str] | None = None) -> None:
    """Runs all pairs and prints a table as Markdown for each reference point."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--optimizers", default=",".join([*RIVALS, *OURS]))
    parser.add_argument("--problems", default=",".join(PROBLEMS))
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--evaluations", type=int, default=BUDGET)
    parser.add_argument("--option", action="append", default=[], metavar="ALGORITHM.NAME=JSON")
    arguments = parser.parse_args(argv)
    problems = [PROBLEMS[name]() for name in arguments.problems.split(",")]
    options: dict[str, dict[str, Any]] = {}
    for text in arguments.option:
        key, value = text.split("=", 1)
        algorithm, name = key.split(".", 1)
        options.setdefault(algorithm, {})[name] = json.loads(value)
    print(f"{arguments.evaluations} evaluations; mean (lowest) of {arguments.seeds} seeds")
    for problem in problems:
        points = [f"{name} reference {reference.round(4)}" for name, reference in problem.references.items()]
        print(f"{problem.name}: {', '.join(points)}")
    rows: dict[str, dict[str, list[str]]] = {}
    for name in arguments.optimizers.split(","):
        for problem in problems:
            shares, seconds = race(name, problem, arguments.seeds, arguments.evaluations, options.get(name, {}))
            for reference, values in shares.items():
                cell = f"{np.mean(values):.3f} ({min(values):.3f})"
                rows.setdefault(f"share, {reference} reference", {}).setdefault(name, []).append(cell)
            rows.setdefault("CPU seconds of a search", {}).setdefault(name, []).append(f"{seconds:.2f}")
            print(f"  {name} {problem.name}: done", flush=True)
    for title, table in rows.items():
        print(f"\n| {title} | " + " | ".join(problem.name for problem in problems) + " |")
        print("|---" * (1 + len(problems)) + "|")
        for name, cells in table.items():
            print(f"| {name} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
