"""What is wrong after searches on an engine that loses, doubles, delays and reorders, and whose slots come and go.

    python benchmarks/fake_engine.py                                  # 20 seeds of 10,000 trials for each algorithm
    python benchmarks/fake_engine.py --trials 1000 --seeds 3 --algorithms random

Prints a JSON line for each search and a table at the end. The objective's value says which attempt it comes from, so
that a value of an attempt that does not count would be seen. The exit status is 1 where any state is wrong.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections import Counter

os.environ["OMP_NUM_THREADS"] = "1"

from autohpo import BaseHPOptimizer, ChoiceHP, RangeHP, build_hpo_from_name
from autohpo.testing import EVERY_FAULT, FakeEngine, wrong_states

SPACE = [RangeHP("x", 0.0, 1.0), RangeHP("n", 1, 8), ChoiceHP("kind", ["a", "b", "c"])]
WHOLE = ("random", "tpe")
"""Algorithms that are tried with an objective that is trained in full; all others get one that trains in steps."""


def value(hps, trial) -> float:
    """The worth of a configuration, a little better in each further attempt."""
    return -((hps["x"] - 0.3) ** 2) - 0.1 * abs(hps["n"] - 3) - 0.1 * (hps["kind"] != "b") + trial.attempt / 1024


def reporting(hps, trial):
    """Report twice, and return the value, or what it is worth where the search stops it."""
    worth = value(hps, trial)
    for share in (0.5, 0.8):
        if not trial.report(share * worth):
            break
    return worth


def training(hps, trial):
    """Yield a value after each epoch, for as long as anybody wants one."""
    epoch = 0
    while True:
        epoch += 1
        yield value(hps, trial) - 1 / epoch


def search(algorithm: str, n_trials: int, seed: int) -> tuple[BaseHPOptimizer, FakeEngine]:
    """Run one search, and return its optimizer and the engine."""
    f = reporting if algorithm in WHOLE else training
    hpo = build_hpo_from_name(algorithm, SPACE, f, max_evals=n_trials, seed=seed)
    engine = FakeEngine(seed, 4, EVERY_FAULT)
    hpo.optimize(executor=engine, progress=False)
    return hpo, engine


def counts(algorithm: str, n_trials: int, seed: int) -> dict[str, object]:
    """Run one search, and count what happened in it and what is wrong after it."""
    began = time.process_time()
    hpo, engine = search(algorithm, n_trials, seed)
    seconds = time.process_time() - began
    log = Counter(event.kind for event in hpo.run_store.events())
    wrong = wrong_states(hpo, engine.delivered)
    n_silent = log["report"] - sum(event.kind == "report" for event in engine.delivered)
    print(*wrong[:10], sep="\n", end="\n" * bool(wrong), file=sys.stderr)
    return {
        "algorithm": algorithm,
        "seed": seed,
        "trials": len(hpo.result),
        "attempts": log["start"],
        "lost": sum(event.kind == "died" for event in engine.delivered),
        "lost_for_good": hpo.result.counts().get("CRASHED", 0),
        "late_ends": log["late"],
        "reports": log["report"],
        "reports_ignored": -n_silent,
        "wrong": len(wrong),
        "cpu_seconds": round(seconds, 2),
    }


def main() -> None:
    """Run the searches that the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=10_000)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--algorithms", nargs="+", default=["random", "tpe", "bohb"])
    options = parser.parse_args()
    sums: dict[str, Counter] = {}
    for algorithm in options.algorithms:
        sums[algorithm] = Counter()
        for seed in range(options.seeds):
            row = counts(algorithm, options.trials, seed)
            print(json.dumps(row), flush=True)
            sums[algorithm].update({name: n for name, n in row.items() if name not in ("algorithm", "seed")})
    names = list(next(iter(sums.values())))
    print("\n| | " + " | ".join(names) + " |\n|---" + "|--:" * len(names) + "|")
    for algorithm, total in sums.items():
        print(f"| `{algorithm}` | " + " | ".join(f"{total[name]:,.0f}" for name in names) + " |")
    sys.exit(any(total["wrong"] for total in sums.values()))


if __name__ == "__main__":
    main()
