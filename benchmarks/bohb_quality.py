"""How good BOHB's suggestions are, and how busy its workers: beside Hyperband, random search, HpBandSter, blackboxopt.

    python benchmarks/bohb_quality.py            # 30 seeds, sequential: median and quartiles after N full evaluations
    python benchmarks/bohb_quality.py --rivals   # blackboxopt's own BOHB too, where it is installed (minutes)
    python benchmarks/bohb_quality.py --workers  # utilisation and share of model-based draws, 1 to 64 workers

Costs are in full evaluations, every rung from scratch, so that rows compare with those published. The two tasks are
for acceptance only: nothing was tuned on them. p is that of a two-sided rank test against the first of our rows.
"""

from __future__ import annotations

import argparse
import heapq
import math
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.stats import mannwhitneyu

from autohpo import ChoiceHP, RangeHP, build_hpo_from_name
from autohpo.errors import NotReady, OptimizationComplete
from autohpo.spaces import HPSpace

BUDGETS = (5, 10, 20, 40)

# Medians and quartiles of vectorised re-implementations, 30 seeds; checked against the real code by rank tests.
PUBLISHED = {
    "H6": {
        "HpBandSter": "-1.651 [-2.105,-1.320]  -1.966 [-2.332,-1.612]  -2.617 [-2.800,-2.051]  -2.804 [-2.966,-2.514]",
        "blackboxopt": "-1.212 [-1.663,-1.019]  -1.704 [-2.029,-1.294]  -2.169 [-2.424,-2.022]  -2.449 [-2.670,-2.232]",
    },
    "CO": {
        "HpBandSter": " 0.179 [ 0.160, 0.219]   0.161 [ 0.130, 0.181]   0.152 [ 0.125, 0.167]   0.107 [ 0.085, 0.126]",
        "blackboxopt": " 0.239 [ 0.205, 0.265]   0.210 [ 0.173, 0.227]   0.190 [ 0.171, 0.208]   0.144 [ 0.113, 0.168]",
    },
}

_HARTMANN_ALPHA = np.array([1.0, 1.2, 3.0, 3.2])
_HARTMANN_A = np.array(
    [[10, 3, 17, 3.5, 1.7, 8], [0.05, 10, 17, 0.1, 8, 14], [3, 3.5, 1.7, 10, 17, 8], [17, 8, 0.05, 10, 0.1, 14]]
)
_HARTMANN_P = 1e-4 * np.array(
    [
        [1312, 1696, 5569, 124, 8283, 5886],
        [2329, 4135, 8307, 3736, 1004, 9991],
        [2348, 1451, 3522, 2883, 3047, 6650],
        [4047, 8828, 8732, 5743, 1091, 381],
    ]
)


@dataclass(frozen=True)
class Task:
    """A function to minimise at a fidelity, and its noise-free value at full fidelity."""

    space: list[HPSpace]
    fidelities: tuple[float, float]
    loss: Callable[[Mapping[str, Any], float, np.random.Generator], float]
    true_loss: Callable[[Mapping[str, Any]], float]


def _hartmann6(hp: Mapping[str, Any], fidelity: float) -> float:
    """Hartmann-6 of lower humps at lower fidelity, without noise; -3.3224 at best."""
    x = np.array([hp[f"x{i}"] for i in range(6)])
    alpha = _HARTMANN_ALPHA - 0.1 * (1 - fidelity / 27)
    return -float(alpha @ np.exp(-(_HARTMANN_A * (x - _HARTMANN_P) ** 2).sum(axis=1)))


def _counting_ones(hp: Mapping[str, Any], fidelity: float, rng: np.random.Generator) -> float:
    """Falkner et al. 2018, section 5.1, scaled to [0, 1]: 8 bits, and 8 chances estimated from `fidelity` draws."""
    ones = sum(rng.binomial(round(fidelity), hp[f"p{i}"]) / round(fidelity) for i in range(8))
    return 1 - (sum(hp[f"b{i}"] for i in range(8)) + ones) / 16


def _true_counting_ones(hp: Mapping[str, Any]) -> float:
    return 1 - sum(hp.values()) / 16


TASKS = {
    "H6": Task(
        [RangeHP(f"x{i}", 0.0, 1.0) for i in range(6)],
        (1, 27),
        lambda hp, fidelity, _: _hartmann6(hp, fidelity),
        lambda hp: _hartmann6(hp, 27),
    ),
    "CO": Task(
        [ChoiceHP(f"b{i}", [0, 1]) for i in range(8)] + [RangeHP(f"p{i}", 0.0, 1.0) for i in range(8)],
        (9, 729),
        _counting_ones,
        _true_counting_ones,
    ),
}

ROWS: dict[str, tuple[str, dict[str, Any]]] = {
    "autohpo bohb": ("bohb", {}),
    "autohpo bohb, kde": ("bohb", {"sampler": "kde"}),
    "autohpo bohb, tpe": ("bohb", {"sampler": "tpe"}),
    "autohpo bohb, kde, floor": ("bohb", {"sampler": "kde", "bracket_sizes": "floor"}),
    "autohpo hyperband": ("hyperband", {}),
    "autohpo random": ("random", {}),
}
RIVALS: dict[str, dict[str, Any]] = {
    "blackboxopt live": {},
    "blackboxopt live, d+1": {"min_samples_in_model": True},
}

Evaluations = Iterator[tuple[dict[str, Any], float, float]]
"""Configuration, fidelity and loss of one evaluation after the other."""


def ours(task: Task, name: str, options: Mapping[str, Any], seed: int) -> Evaluations:
    """Evaluations that one of our algorithms asks for, one at a time."""
    low, high = task.fidelities
    rungs = {} if name == "random" else {"min_fidelity": low, "max_fidelity": high}
    hpo = build_hpo_from_name(name, task.space, mode="min", seed=seed, **rungs, **options)
    rng = np.random.default_rng((seed, 1))
    while True:
        suggestion = hpo.ask()
        fidelity = high if suggestion.fidelity is None else suggestion.fidelity
        loss = task.loss(suggestion, fidelity, rng)
        hpo.tell(suggestion, loss)
        yield dict(suggestion), fidelity, loss


def blackboxopt(task: Task, options: Mapping[str, Any], seed: int) -> Evaluations:
    """Evaluations that blackboxopt's BOHB asks for, one at a time."""
    import parameterspace as ps
    from blackboxopt import Objective
    from blackboxopt.optimizers.bohb import BOHB

    space = ps.ParameterSpace()
    for hp in task.space:
        if isinstance(hp, ChoiceHP):
            space.add(ps.CategoricalParameter(name=hp.name, values=hp.choices))
        else:
            space.add(ps.ContinuousParameter(name=hp.name, bounds=(hp.low, hp.high)))
    given = {"min_samples_in_model": len(task.space) + 1} if options else {}
    low, high = task.fidelities
    optimizer = BOHB(space, Objective("loss", greater_is_better=False), low, high, 1000, seed=seed, **given)
    rng = np.random.default_rng((seed, 1))
    while True:
        specification = optimizer.generate_evaluation_specification()
        fidelity = specification.settings["fidelity"]
        loss = task.loss(specification.configuration, fidelity, rng)
        optimizer.report(specification.create_evaluation(objectives={"loss": loss}))
        yield dict(specification.configuration), fidelity, loss


def incumbents(task: Task, evaluations: Evaluations) -> list[float]:
    """True loss of the incumbent (lowest loss at the largest fidelity so far) after each of the budgets."""
    found, spent, best, best_key = [], 0.0, math.nan, (0.0, math.inf)
    for hp, fidelity, loss in evaluations:
        spent += fidelity / task.fidelities[1]
        while spent > BUDGETS[len(found)] + 1e-9:
            found.append(best)
            if len(found) == len(BUDGETS):
                return found
        if (-fidelity, loss) < (-best_key[0], best_key[1]):
            best_key, best = (fidelity, loss), task.true_loss(hp)
    return found


def run_one(job: tuple[str, str, int]) -> list[float]:
    """The incumbents of one task, row and seed."""
    task_name, row, seed = job
    task = TASKS[task_name]
    if row in ROWS:
        return incumbents(task, ours(task, *ROWS[row], seed))
    return incumbents(task, blackboxopt(task, RIVALS[row], seed))


def print_quality(n_seeds: int, rows: list[str], jobs: int) -> None:
    """The table of medians and quartiles."""
    with ProcessPoolExecutor(jobs) as pool:
        for task_name in TASKS:
            print(f"\n{task_name}: true loss of the incumbent, median [quartiles] of {n_seeds} seeds")
            print(f"  after N ={'':<17}" + "".join(f"{n:<24}" for n in BUDGETS) + "p at each N")
            for row, text in PUBLISHED[task_name].items():
                print(f"  {row + ' (published)':<26}{text}")
            first = None
            for row in rows:
                losses = np.array(list(pool.map(run_one, [(task_name, row, seed) for seed in range(n_seeds)])))
                first = losses if first is None else first
                low, median, high = np.quantile(losses, [0.25, 0.5, 0.75], axis=0)
                cells = [f"{m:6.3f} [{a:6.3f},{b:6.3f}]" for a, m, b in zip(low, median, high, strict=True)]
                p = " ".join(f"{value:.0e}" for value in mannwhitneyu(losses, first).pvalue)
                print(f"  {row:<26}{'  '.join(cells)}  {'' if losses is first else p}", flush=True)


def simulate(seed: int, n_workers: int, n_brackets: int = 8) -> tuple[float, float, float]:
    """Utilisation, share of model-based draws and duration of H6 where an evaluation lasts as long as its fidelity."""
    task = TASKS["H6"]
    options = {"sampler": "kde", "min_fidelity": 1, "max_fidelity": 27, "num_iterations": n_brackets}
    hpo = build_hpo_from_name("bohb", task.space, mode="min", seed=seed, **options)
    now, busy, by_model, running = 0.0, 0.0, [], []
    while True:
        try:
            while len(running) < n_workers:
                suggestion = hpo.ask()
                busy += suggestion.fidelity
                heapq.heappush(running, (now + suggestion.fidelity, suggestion.number, suggestion))
                if suggestion.resume is None:
                    by_model.append(suggestion.info["model"])
        except NotReady:
            pass
        except OptimizationComplete:
            if not running:
                return busy / (n_workers * now), float(np.mean(by_model)), now
        now, _, suggestion = heapq.heappop(running)
        hpo.tell(suggestion, _hartmann6(suggestion, suggestion.fidelity))


def print_workers(n_seeds: int) -> None:
    """The table of utilisation and model share."""
    published = {1: ("1.00", ".55-.62"), 4: (".95-.96", ".55-.60"), 16: (".76", ".46-.51"), 64: (".31", ".10-.15")}
    print(f"H6, 8 brackets, fidelity 1 to 27: means of {n_seeds} seeds (lowest to highest); HpBandSter as published")
    print("workers   utilisation  HpBandSter   share of draws by the model  HpBandSter   duration")
    for n_workers, (utilisation, share) in published.items():
        runs = np.array([simulate(seed, n_workers) for seed in range(n_seeds)])
        used, model, duration = runs.mean(axis=0)
        spread = f"{model:.2f} ({runs[:, 1].min():.2f} to {runs[:, 1].max():.2f})"
        print(f"{n_workers:7}{used:14.3f}{utilisation:>12}{spread:>31}{share:>12}{duration:11.1f}")


def main() -> None:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=30)
    parser.add_argument("--jobs", type=int, default=2, help="processes; set OMP_NUM_THREADS=1 with more than one")
    parser.add_argument("--rivals", action="store_true", help="run blackboxopt too")
    parser.add_argument("--workers", action="store_true", help="the table of workers in place of that of quality")
    arguments = parser.parse_args()
    if arguments.workers:
        print_workers(arguments.seeds)
    else:
        print_quality(arguments.seeds, [*ROWS, *(RIVALS if arguments.rivals else ())], arguments.jobs)


if __name__ == "__main__":
    main()
