"""What our Sampler in a study of Optuna costs a trial, beside the algorithm itself, and beside Optuna's own.

Usage: python benchmarks/optuna_sampler.py [N]

Prints CPU milliseconds a trial: of the algorithm alone (ask and tell), of a study that it samples for, of a study with
Optuna's RandomSampler, and the difference that the adapter makes: study - (Optuna's loop + algorithm).
"""

from __future__ import annotations

import sys
import time

import optuna

from autohpo import ChoiceHP, LogRangeHP, RangeHP, build_hpo_from_name
from autohpo.integrations.optuna import Sampler

SPACE = [
    *(RangeHP(f"x{i}", 0.0, 1.0) for i in range(4)),
    LogRangeHP("lr", 1e-5, 1e-1),
    RangeHP("k", 1, 64),
    ChoiceHP("c", ["a", "b", "c"]),
]


def f(hp):
    """Return a bowl with a choice."""
    return sum((hp[f"x{i}"] - 0.3) ** 2 for i in range(4)) + hp["k"] / 64 + (hp["c"] == "a") + hp["lr"]


def objective(trial):
    """Ask for the same space."""
    hp = {f"x{i}": trial.suggest_float(f"x{i}", 0, 1) for i in range(4)}
    hp["lr"] = trial.suggest_float("lr", 1e-5, 1e-1, log=True)
    hp["k"] = trial.suggest_int("k", 1, 64)
    hp["c"] = trial.suggest_categorical("c", ["a", "b", "c"])
    return f(hp)


def alone(name, n):
    """CPU ms a trial of the algorithm alone."""
    hpo = build_hpo_from_name(name, SPACE, seed=0, mode="min")
    began = time.process_time()
    for _ in range(n):
        hp = hpo.ask()
        hpo.tell(hp, f(hp))
    return (time.process_time() - began) / n * 1e3


def study(sampler, n):
    """CPU ms a trial of a study."""
    made = optuna.create_study(sampler=sampler)
    began = time.process_time()
    made.optimize(objective, n_trials=n)
    return (time.process_time() - began) / n * 1e3


def main():
    """Print a row for each algorithm."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    n = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    study(Sampler("random", seed=0), 20)  # imports
    loop = study(optuna.samplers.RandomSampler(seed=0), n)
    theirs = study(optuna.samplers.TPESampler(seed=0), n)
    print(f"n={n}; Optuna's loop with RandomSampler {loop:.3f} ms a trial, with TPESampler {theirs:.3f}")
    print(f"{'algorithm':<22}{'alone':>8}{'study':>8}{'adapter':>9}")
    for name in ("random", "quasi_random", "tpe", "cmaes", "nsga2"):
        for space, label in ((SPACE, "space="), (None, "inferred")):
            own, whole = alone(name, n), study(Sampler(name, space=space, seed=0), n)
            print(f"{name + ' ' + label:<22}{own:>8.3f}{whole:>8.3f}{whole - own - loop:>9.3f}")


if __name__ == "__main__":
    main()
