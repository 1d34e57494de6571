"""What the tests of HPOSearchCV's fidelities share: data, a forest that counts its trees, a search that promotes."""

from __future__ import annotations

import numpy as np
import scipy.stats as st
from sklearn.datasets import make_classification
from sklearn.ensemble import RandomForestClassifier

from autohpo.integrations.sklearn import HPOSearchCV

X, Y = make_classification(180, 6, n_informative=4, random_state=0)
WEIGHTS = np.random.default_rng(0).uniform(0.1, 2, 180)
DEPTHS = {"max_depth": st.randint(1, 40)}


class Forest(RandomForestClassifier):
    """Counts the trees that are grown in this process."""

    n_grown = 0

    def fit(self, X, y, sample_weight=None):
        """Grow the trees that are missing."""
        before = len(getattr(self, "estimators_", ())) if self.warm_start else 0
        super().fit(X, y, sample_weight)
        Forest.n_grown += len(self.estimators_) - before
        return self


def bracket(estimator, space, fidelity, **options):
    """A search that promotes: 12 trials of an asynchronous halving."""
    given = {"algorithm": "asha", "n_trials": 14, "max_fidelity": 9, "cv": 2, "random_state": 0, **options}
    return HPOSearchCV(estimator, space, fidelity=fidelity, **given)


def added(search):
    """What each trial added to the one that it continues."""
    table = search.cv_results_
    before = dict(zip(table["trial"], table["fidelity"], strict=True)) | {-1: 0}
    return [f - before[r] for f, r in zip(table["fidelity"], table["resumed"], strict=True)]
