"""Time until HPOSearchCV has the final score of scikit-learn's random search and of its halving, at equal budgets.

Three data sets that scikit-learn ships, three of its estimators, every search with the same folds and one process:

    python benchmarks/sklearn_search.py --seeds 10 --out sklearn_search.json

A search is traced by its scorer, which notes the CPU time at each fold. What counts is the best mean score of rows at
the full fidelity. The budget is a number of full evaluations (configurations in all folds): RandomizedSearchCV
evaluates so many, HalvingRandomSearchCV starts with as many candidates as bring its three rungs to the same sum,
OptunaSearchCV and HPOSearchCV without a fidelity evaluate so many, and HPOSearchCV with one trains as much. The times
have all that a search does, and no refit. A seed that does not reach the score counts as infinitely long in the
medians.
"""

from __future__ import annotations

import argparse
import json
import time
import warnings
from pathlib import Path

import numpy as np
import scipy.stats as st
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits
from sklearn.ensemble import GradientBoostingRegressor, HistGradientBoostingClassifier
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.model_selection import HalvingRandomSearchCV, KFold, RandomizedSearchCV, StratifiedKFold
from sklearn.neural_network import MLPClassifier

from autohpo.integrations.sklearn import HPOSearchCV

N_FOLDS = 3
LOW, HIGH, ETA, N_RUNGS = 3, 27, 3, 3
SHOWN = ("random search", "halving", "optuna", "ours, full", "ours, continued")


def digits():
    """1,797 images of 64 pixels; a neural network, whose epochs are the fidelity."""
    x, y = load_digits(return_X_y=True)
    space = {
        "hidden_layer_sizes": st.randint(4, 49),
        "alpha": st.loguniform(1e-6, 1.0),
        "learning_rate_init": st.loguniform(1e-4, 1e-1),
        "beta_1": st.uniform(0.5, 0.49),
    }
    network = MLPClassifier(max_iter=HIGH, n_iter_no_change=HIGH, random_state=0)
    return x / 16, y, network, space, "max_iter", "epochs"


def breast_cancer():
    """569 tumours with 30 features; boosted trees, whose rounds are the fidelity."""
    x, y = load_breast_cancer(return_X_y=True)
    space = {
        "learning_rate": st.loguniform(1e-2, 1.0),
        "max_leaf_nodes": st.randint(2, 33),
        "min_samples_leaf": st.randint(2, 60),
        "l2_regularization": st.loguniform(1e-6, 1e2),
    }
    trees = HistGradientBoostingClassifier(max_iter=HIGH, early_stopping=False, random_state=0)
    return x, y, trees, space, "max_iter", "max_iter"


def diabetes():
    """442 patients with 10 features; gradient boosting, whose trees are the fidelity."""
    x, y = load_diabetes(return_X_y=True)
    space = {
        "learning_rate": st.loguniform(1e-2, 1.0),
        "max_depth": st.randint(1, 7),
        "subsample": st.uniform(0.3, 0.7),
        "min_samples_leaf": st.randint(1, 40),
    }
    trees = GradientBoostingRegressor(n_estimators=HIGH, random_state=0)
    return x, y, trees, space, "n_estimators", "n_estimators"


DATA = {"digits": digits, "breast_cancer": breast_cancer, "diabetes": diabetes}


class Trace:
    """A scorer that notes when it was called: the times and the scores of a search, fold by fold."""

    def __init__(self):
        self.rows = []

    def __call__(self, estimator, x, y):
        """Return the estimator's own score."""
        score = estimator.score(x, y)
        self.rows.append((time.process_time(), time.perf_counter(), score))
        return score


def searches(estimator, space, parameter, fidelity, budget, seed):
    """Yield the name of each search, and a function that makes it from a scorer and folds."""
    common = {"refit": False, "n_jobs": 1}
    n_candidates = round(budget * HIGH / (LOW * N_RUNGS))
    yield (
        "random search",
        lambda s, cv: RandomizedSearchCV(
            estimator, space, n_iter=budget, scoring=s, cv=cv, random_state=seed, **common
        ),
    )
    yield (
        "halving",
        lambda s, cv: HalvingRandomSearchCV(
            estimator,
            space,
            n_candidates=n_candidates,
            resource=parameter,
            min_resources=LOW,
            max_resources=HIGH,
            factor=ETA,
            scoring=s,
            cv=cv,
            random_state=seed,
            **common,
        ),
    )
    yield (
        "ours, full",
        lambda s, cv: HPOSearchCV(estimator, space, n_trials=budget, scoring=s, cv=cv, random_state=seed, **common),
    )
    yield (
        "ours, continued",
        lambda s, cv: HPOSearchCV(
            estimator,
            space,
            fidelity=fidelity,
            min_fidelity=LOW,
            max_fidelity=HIGH,
            budget=budget,
            scoring=s,
            cv=cv,
            random_state=seed,
            **common,
        ),
    )
    try:
        import optuna
        from optuna.distributions import FloatDistribution, IntDistribution
        from optuna_integration.sklearn import OptunaSearchCV
    except ImportError:
        return
    optuna.logging.set_verbosity(optuna.logging.ERROR)

    def theirs(distribution):
        low, high = distribution.support()
        is_log = distribution.dist.name == "loguniform"
        if distribution.dist.name == "randint":
            return IntDistribution(int(low), int(high))
        return FloatDistribution(float(low), float(high), log=is_log)

    converted = {name: theirs(distribution) for name, distribution in space.items()}
    yield (
        "optuna",
        lambda s, cv: OptunaSearchCV(
            estimator, converted, n_trials=budget, scoring=s, cv=cv, random_state=seed, **common
        ),
    )


def run(data, seed, budget):
    """Return, for each search, the time and the score of every row at the full fidelity, and its total time."""
    x, y, estimator, space, parameter, fidelity = DATA[data]()
    kind = KFold if data == "diabetes" else StratifiedKFold
    folds = list(kind(N_FOLDS, shuffle=True, random_state=seed).split(x, y))
    found = {}
    for name, make in searches(estimator, space, parameter, fidelity, budget, seed):
        trace = Trace()
        began, wall = time.process_time(), time.perf_counter()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            search = make(trace, folds)
            search.fit(x, y)
        total, total_wall = time.process_time() - began, time.perf_counter() - wall
        means = np.reshape([score for _, _, score in trace.rows], (-1, N_FOLDS)).mean(axis=1)
        times = [trace.rows[k][0] - began for k in range(N_FOLDS - 1, len(trace.rows), N_FOLDS)]
        walls = [trace.rows[k][1] - wall for k in range(N_FOLDS - 1, len(trace.rows), N_FOLDS)]
        table = getattr(search, "cv_results_", {})
        got = table.get("fidelity", table.get("n_resources", np.full(len(means), HIGH)))
        full = np.flatnonzero(np.asarray(got) == HIGH)
        found[name] = {
            "cpu": total,
            "wall": total_wall,
            "rows": len(means),
            "full": [(times[i], walls[i], float(means[i])) for i in full],
        }
    return found


def reached(trace, score, place):
    """Return the seconds until a search has a score; infinite where it never has. Place 0 is CPU time, 1 wall time."""
    return next((row[place] for row in trace["full"] if row[2] >= score), np.inf)


def interval(values):
    """Return the median, and the ends of a 95 % bootstrap interval of it."""
    values = np.asarray(values)
    draws = np.random.default_rng(0).integers(0, len(values), (4000, len(values)))
    medians = np.sort(np.median(np.sort(values[draws], axis=1), axis=1))
    return np.median(values), medians[100], medians[-101]


def report(results, budget):
    """Print how long each search takes to a rival's final score, as a share of the rival's whole time."""
    for data, runs in results.items():
        print(f"\n{data}: {len(runs)} seeds, {budget} full evaluations of {N_FOLDS} folds")
        for name in SHOWN:
            if name in runs[0]:
                best = [max((row[2] for row in one[name]["full"]), default=np.nan) for one in runs]
                cpu = np.median([one[name]["cpu"] for one in runs])
                rows = np.median([one[name]["rows"] for one in runs])
                print(
                    f"  {name:16} best {np.mean(best):.4f} +- {np.std(best) / len(runs) ** 0.5:.4f}"
                    f"  rows {rows:.0f}  CPU {cpu:.2f} s"
                )
        for rival in ("random search", "halving"):
            for place, unit in ((0, "CPU"), (1, "wall")):
                for name in SHOWN:
                    if name not in runs[0]:
                        continue
                    ratios, n = [], 0
                    for one in runs:
                        target = max((row[2] for row in one[rival]["full"]), default=-np.inf)
                        taken = reached(one[name], target, place)
                        ratios.append(taken / one[rival]["cpu" if place == 0 else "wall"])
                        n += np.isfinite(taken)
                    mid, low, high = interval(ratios)
                    print(
                        f"  {unit:4} to the score of {rival:14} {name:16} {mid:5.2f} [{low:.2f}, {high:.2f}]"
                        f" of its whole time; {n} of {len(runs)} get there"
                    )


def main():
    """Run the searches, keep what they did, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--budget", type=int, default=10)
    parser.add_argument("--data", nargs="*", default=list(DATA))
    parser.add_argument("--out", default="")
    parser.add_argument("--read", nargs="*", default=[], help="files of earlier runs, which are only reported")
    options = parser.parse_args()
    results = {}
    for path in options.read:
        results |= json.loads(Path(path).read_text())
    for data in options.data if not options.read else []:
        results[data] = []
        for seed in range(options.seeds):
            results[data].append(run(data, seed, options.budget))
            if options.out:
                Path(options.out).write_text(json.dumps(results))
    report(results, options.budget)


if __name__ == "__main__":
    main()
