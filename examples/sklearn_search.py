"""Boosted trees on a data set of scikit-learn's: the rounds are the fidelity, and promoted trees grow on.

python examples/sklearn_search.py --budget 20
"""

from __future__ import annotations

import argparse

import scipy.stats as st
from sklearn.datasets import load_breast_cancer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.model_selection import train_test_split

from autohpo import HPOSearchCV


def main(budget: float = 20.0, rounds: int = 81) -> None:
    """Search, and print what was trained and how good the best is on examples that no fold had.

    Args:
        budget: What the search may train, in full evaluations.
        rounds: The boosting rounds of a full evaluation.
    """
    x, y = load_breast_cancer(return_X_y=True)
    x_train, x_test, y_train, y_test = train_test_split(x, y, test_size=0.3, stratify=y, random_state=0)
    space = {
        "learning_rate": st.loguniform(1e-2, 1.0),
        "max_leaf_nodes": st.randint(2, 33),
        "min_samples_leaf": st.randint(2, 60),
        "l2_regularization": st.loguniform(1e-6, 1e2),
    }
    search = HPOSearchCV(
        HistGradientBoostingClassifier(early_stopping=False, random_state=0),
        space,
        fidelity="max_iter",
        max_fidelity=rounds,
        budget=budget,
        scoring=["accuracy", "neg_log_loss"],
        refit="neg_log_loss",
        cv=3,
        random_state=0,
    )
    search.fit(x_train, y_train)
    table = search.cv_results_
    full = int((table["fidelity"] == rounds).sum())
    print(f"{len(table['params'])} trials, {full} of them with all {rounds} rounds")
    print(f"best: {search.best_params_}")
    print(f"cross-validated accuracy {table['mean_test_accuracy'][search.best_index_]:.3f}")
    print(f"test accuracy {search.best_estimator_.score(x_test, y_test):.3f}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--budget", type=float, default=20.0)
    parser.add_argument("--rounds", type=int, default=81)
    options = parser.parse_args()
    main(options.budget, options.rounds)
