"""CatBoost: boosting in steps of ten rounds is a generator, so BOHB pauses and continues it."""

from collections.abc import Iterator
from typing import Any

import catboost
from sklearn.datasets import load_breast_cancer
from sklearn.model_selection import train_test_split

from autohpo import LogRangeHP, RangeHP, build_hpo_from_name
from autohpo.integrations.catboost import boost

x, y = load_breast_cancer(return_X_y=True)
x_train, x_valid, y_train, y_valid = train_test_split(x, y, test_size=0.3, random_state=0)
train_pool, valid_pool = catboost.Pool(x_train, y_train), catboost.Pool(x_valid, y_valid)
FIXED = {"loss_function": "Logloss", "custom_metric": ["AUC"], "thread_count": 1, "random_seed": 0}


def train(hps: dict[str, Any]) -> Iterator[Any]:
    """Boost 270 rounds, ten at a time; the search stops earlier what is not promising."""
    yield from boost({**FIXED, **hps}, train_pool, valid_pool, n_rounds=270, every=10, metric="AUC")


if __name__ == "__main__":
    space = [LogRangeHP("learning_rate", 0.01, 1.0), RangeHP("depth", 1, 6)]
    hpo = build_hpo_from_name("bohb", space, train, max_fidelity=27, max_evals=20, seed=0)
    best_hp, best_auc = hpo.optimize(progress=False)
    print("best", best_hp, "AUC", round(best_auc, 4))
