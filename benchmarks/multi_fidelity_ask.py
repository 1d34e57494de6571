"""CPU time of a suggestion of the multi-fidelity Gaussian process, for every model and kernel.

    python benchmarks/multi_fidelity_ask.py [--observations 50 200 500] [--suggestions 30] [--only mobster log-resource]

A history of asynchronous halving with random configurations (8 reals, rungs 1, 3, 9, 27, 81, four workers) is told to
an optimizer, which then makes suggestions that are told in turn. The mean and the largest CPU time of those that ask
the model is what the table has, in milliseconds; fits of parameters are among them.
"""

from __future__ import annotations

import argparse
import time
from typing import Any

import numpy as np

from autohpo import RangeHP, build_hpo_from_name
from autohpo.algorithms.base import BaseHPOptimizer
from autohpo.surrogates.multi_fidelity import KERNELS
from autohpo.trial import Suggestion

D, R, WORKERS = 8, 81, 4
SPACE = [RangeHP(f"x{i}", 0.0, 1.0) for i in range(D)]
CASES: list[tuple[str, str, dict[str, Any]]] = [
    *(("mobster", kernel, {"gp_resource_kernel": kernel}) for kernel in KERNELS),
    ("mobster", "gp_independent", {"model": "gp_independent"}),
    ("mobster", "gp_issm", {"model": "gp_issm"}),
    ("mobster", "gp_expdecay", {"model": "gp_expdecay"}),
    ("hypertune", "4 brackets", {"brackets": 4}),
    ("dyhpo", "dyhpo", {}),
]


def result(hp: Suggestion, rng: np.random.Generator) -> float:
    """A bowl that training approaches at a rate of its own, with some noise."""
    x = np.array([hp[f"x{i}"] for i in range(D)])
    bowl = float(((x - 0.4) ** 2) @ np.linspace(1.0, 3.0, D))
    return bowl + (0.5 + x[0]) / float(hp.fidelity or R) ** 0.5 + 0.02 * rng.standard_normal()


def filled(hpo: BaseHPOptimizer, n: int, rng: np.random.Generator) -> list[Suggestion]:
    """Tell an optimizer n results of asynchronous halving, and return what runs then."""
    options = {"min_fidelity": 1, "max_fidelity": R, "seed": 0, "mode": "min"}
    other = build_hpo_from_name("asha", SPACE, **options)
    running: list[Suggestion] = []
    for _ in range(n):
        while len(running) < WORKERS:
            made = other.ask()
            hpo.adopt(made)
            running.append(made)
        done = running.pop(int(rng.integers(len(running))))
        perf = result(done, rng)
        other.tell(done, perf)
        hpo.tell(done, perf)
    return running


def measure(name: str, options: dict[str, Any], n: int, n_suggestions: int) -> tuple[float, float]:
    """Mean and maximum of the CPU milliseconds of suggestions of the model after n results."""
    rng = np.random.default_rng(0)
    given = {"max_fidelity": R, "seed": 0, "mode": "min", "random_fraction": 0.0, "points_to_evaluate": []}
    hpo = build_hpo_from_name(name, SPACE, **given, **options)
    running, times = filled(hpo, n, rng), []
    is_warm = False  # the first suggestion of the model repeats the fits of the history, as after a crash
    while len(times) < n_suggestions:
        before = time.process_time()
        made = hpo.ask()
        spent = time.process_time() - before
        if is_warm and made.resume is None:
            times.append(1000.0 * spent)
        is_warm |= made.resume is None
        running.append(made)
        done = running.pop(0)
        hpo.tell(done, result(done, rng))
    return float(np.mean(times)), max(times)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--observations", type=int, nargs="+", default=[50, 200, 500])
    parser.add_argument("--suggestions", type=int, default=30)
    parser.add_argument("--only", nargs="*", default=[], help="names of algorithms, models or kernels")
    args = parser.parse_args()
    print(f"{'algorithm':10} {'model':20}" + "".join(f"{n:>7} mean {'max':>6}" for n in args.observations))
    for name, label, options in CASES:
        if args.only and not {name, label} & set(args.only):
            continue
        cells = [measure(name, options, n, args.suggestions) for n in args.observations]
        print(f"{name:10} {label:20}" + "".join(f"{mean:12.1f} {most:6.0f}" for mean, most in cells), flush=True)


if __name__ == "__main__":
    main()
