"""XGBoost: boosting is a generator, so BOHB pauses and continues it: no callback, and no round boosted twice."""

from collections.abc import Iterator
from typing import Any

import xgboost
from sklearn.datasets import load_breast_cancer
from sklearn.model_selection import train_test_split

from autohpo import LogRangeHP, RangeHP, build_hpo_from_name
from autohpo.integrations.xgboost import boost

x, y = load_breast_cancer(return_X_y=True)
x_train, x_valid, y_train, y_valid = train_test_split(x, y, test_size=0.3, random_state=0)
dtrain, dvalid = xgboost.DMatrix(x_train, y_train), xgboost.DMatrix(x_valid, y_valid)


def train(hps: dict[str, Any]) -> Iterator[Any]:
    """Boost 81 rounds; the search stops earlier what is not promising."""
    yield from boost(
        {"objective": "binary:logistic", "eval_metric": "auc", "nthread": 1, **hps}, dtrain, dvalid, n_rounds=81
    )


if __name__ == "__main__":
    space = [LogRangeHP("eta", 0.01, 1.0), RangeHP("max_depth", 1, 8), RangeHP("subsample", 0.3, 1.0)]
    hpo = build_hpo_from_name("bohb", space, train, max_fidelity=81, max_evals=40, seed=0)
    best_hp, best_auc = hpo.optimize(progress=False)
    print("best", best_hp, "AUC", round(best_auc, 4))
