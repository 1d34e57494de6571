"""Makes two noisy tables of real trainings: every configuration of a grid, several times with other seeds and splits.

    PYTHONPATH=benchmarks python -m suite.tabulate     # ten minutes

A value is the score of one model on one held-out part of a small data set, so two repeats differ by more than two good
configurations: what an optimizer is told is to be doubted, as with real trainings.
"""

from __future__ import annotations

import itertools
import json
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from suite.space import Parameter, choice, ordinal
from suite.task import DATA

N_REPEATS = 5
N_DIGITS = 500
TREES = (10, 20, 40, 80)

Scores = Callable[[Mapping[str, Any], int], NDArray[np.float64] | float]


@dataclass(frozen=True)
class Plan:
    """A table to be made.

    Attributes:
        parameters: The axes; the last may be one that a single training gives whole.
        scores: Of a configuration and a repeat: one number, or one for each value of the last axis.
    """

    parameters: tuple[Parameter, ...]
    scores: Scores
    is_last_whole: bool


def boosting_diabetes() -> Plan:
    """Boosted trees on diabetes: R2. One training says what fewer trees would have reached."""
    from sklearn.datasets import load_diabetes
    from sklearn.ensemble import GradientBoostingRegressor
    from sklearn.metrics import r2_score
    from sklearn.model_selection import train_test_split

    rows, target = load_diabetes(return_X_y=True)

    def scores(hp: Mapping[str, Any], repeat: int) -> NDArray[np.float64]:
        x, x_out, y, y_out = train_test_split(rows, target, test_size=0.33, random_state=repeat)
        model = GradientBoostingRegressor(n_estimators=TREES[-1], random_state=repeat, **hp).fit(x, y)
        staged = list(model.staged_predict(x_out))
        return np.array([max(r2_score(y_out, staged[n - 1]), -1.0) for n in TREES])

    parameters = (
        ordinal("learning_rate", [0.005, 0.02, 0.05, 0.1, 0.3, 1.0]),
        ordinal("max_depth", [1, 2, 3, 5]),
        ordinal("subsample", [0.3, 0.6, 1.0]),
        ordinal("min_samples_leaf", [1, 5, 20]),
        choice("loss", ["squared_error", "absolute_error", "huber"]),
        ordinal("n_estimators", TREES),
    )
    return Plan(parameters, scores, is_last_whole=True)


def mlp_digits() -> Plan:
    """A small network on digits, 10 epochs: accuracy."""
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split
    from sklearn.neural_network import MLPClassifier

    rows, target = load_digits(return_X_y=True)
    rows, target = rows[:N_DIGITS] / 16, target[:N_DIGITS]

    def scores(hp: Mapping[str, Any], repeat: int) -> float:
        x, x_out, y, y_out = train_test_split(rows, target, test_size=0.4, random_state=repeat)
        given = {**hp, "hidden_layer_sizes": (hp["hidden_layer_sizes"],)}
        model = MLPClassifier(max_iter=10, tol=0, random_state=repeat, **given)
        return float(model.fit(x, y).score(x_out, y_out))

    parameters = (
        ordinal("hidden_layer_sizes", [8, 16, 32, 64, 128]),
        ordinal("learning_rate_init", [1e-4, 5e-4, 2e-3, 1e-2, 5e-2, 2e-1]),
        ordinal("alpha", [1e-5, 1e-3, 1e-1, 1.0]),
        ordinal("batch_size", [16, 32, 64, 128]),
        choice("activation", ["relu", "tanh", "logistic"]),
    )
    return Plan(parameters, scores, is_last_whole=False)


def values_of(plan: Plan, n_repeats: int) -> NDArray[np.float32]:
    """``(*axes, n_repeats)`` the scores of all trainings of a plan."""
    shape = tuple(len(p.values) for p in plan.parameters)
    walked = plan.parameters[:-1] if plan.is_last_whole else plan.parameters
    values = np.empty((*shape, n_repeats), dtype=np.float32)
    for places in itertools.product(*(range(len(p.values)) for p in walked)):
        hp = {p.name: p.values[place] for p, place in zip(walked, places, strict=True)}
        for repeat in range(n_repeats):
            values[places][..., repeat] = plan.scores(hp, repeat)
    return values


def main() -> None:
    """Makes both tables."""
    warnings.simplefilter("ignore")  # of trainings that did not converge
    folder = DATA / "tabulated"
    folder.mkdir(exist_ok=True)
    for make in (boosting_diabetes, mlp_digits):
        plan = make()
        space = [{"name": p.name, "kind": p.kind, "values": p.values} for p in plan.parameters]
        values = values_of(plan, N_REPEATS)
        np.savez_compressed(folder / f"{make.__name__}.npz", values=values, space=np.array(json.dumps(space)))
        best = values.mean(axis=-1).max()
        print(f"{make.__name__}: {values[..., 0].size} configurations, best mean {best:.4f}", flush=True)


if __name__ == "__main__":
    main()
