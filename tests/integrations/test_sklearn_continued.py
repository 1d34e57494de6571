"""HPOSearchCV with a fidelity in the company of weights, callbacks, stores and failures."""

from __future__ import annotations

import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import scipy.stats as st
import sklearn
from sklearn.base import clone
from sklearn.datasets import make_regression
from sklearn.ensemble import (
    GradientBoostingRegressor,
    RandomForestClassifier,
)
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression, SGDRegressor
from sklearn.metrics import get_scorer

from autohpo.integrations.sklearn import HPOSearchCV

sys.path.insert(0, str(Path(__file__).parent))  # pytest imports test files by their path alone

from sklearn_shared import DEPTHS, WEIGHTS, Forest, X, Y, added, bracket


def test_weights_metrics_and_routing_go_with_a_continued_training():
    """Weighted warm starts give the scores of weighted trainings from nothing; routed metadata as well."""
    forest = RandomForestClassifier(random_state=0)
    options = {"scoring": ["accuracy", "roc_auc"], "refit": "roc_auc", "n_trials": 8}
    plain = bracket(forest, DEPTHS, "n_estimators", **options, resume=False).fit(X, Y, sample_weight=WEIGHTS)
    ours = bracket(forest, DEPTHS, "n_estimators", **options).fit(X, Y, sample_weight=WEIGHTS)
    without = bracket(forest, DEPTHS, "n_estimators", **options).fit(X, Y)
    with sklearn.config_context(enable_metadata_routing=True):
        asked = clone(forest).set_fit_request(sample_weight=True)
        scorer = get_scorer("roc_auc").set_score_request(sample_weight=False)
        routed = bracket(asked, DEPTHS, "n_estimators", **{**options, "scoring": scorer, "refit": True})
        again = clone(routed).set_params(resume=False).fit(X, Y, sample_weight=WEIGHTS)
        routed.fit(X, Y, sample_weight=WEIGHTS)
        assert routed.cv_results_["fidelity"].max() == 9
        for name in ("mean_test_score", "split1_test_score"):
            by_params = {str(p): v for p, v in zip(again.cv_results_["params"], again.cv_results_[name], strict=True)}
            for params, value in zip(routed.cv_results_["params"], routed.cv_results_[name], strict=True):
                assert by_params.get(str(params), value) == value
    by_params = dict(zip(map(str, plain.cv_results_["params"]), plain.cv_results_["mean_test_roc_auc"], strict=True))
    common = [
        (str(p), v) for p, v in zip(ours.cv_results_["params"], ours.cv_results_["mean_test_roc_auc"], strict=True)
    ]
    assert sum(key in by_params for key, _ in common) >= 5
    assert all(by_params.get(key, value) == pytest.approx(value) for key, value in common)
    assert not np.allclose(ours.cv_results_["mean_test_roc_auc"], without.cv_results_["mean_test_roc_auc"])


@pytest.mark.skipif(not hasattr(HPOSearchCV, "set_callbacks"), reason="callbacks came with scikit-learn 1.9")
@pytest.mark.parametrize("fidelity", ["max_iter", "folds"])
def test_callbacks_reach_a_continued_estimator(fidelity):
    """One that is handed on sees each fit of the estimator, and estimators keep none of it."""
    seen = []

    class Watcher:
        """Notes who fits, below whom."""

        max_propagation_depth = None

        def setup(self, estimator, context):
            """Note nothing."""

        def teardown(self, estimator, context):
            """Note nothing."""

        def on_fit_task_begin(self, estimator, context):
            """Note who fits."""
            seen.append((type(estimator).__name__, context.task_name))

        def on_fit_task_end(self, estimator, context):
            """Note nothing."""

    search = bracket(LogisticRegression(), {"C": st.loguniform(0.01, 1)}, fidelity, cv=3, max_fidelity=3)
    search.set_callbacks(Watcher())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        search.fit(X, Y)
    n_fits = sum(added(search)) if fidelity == "folds" else 3 * len(search.cv_results_["params"])
    assert seen.count(("LogisticRegression", "fit")) == n_fits + 1
    assert seen.count(("HPOSearchCV", "search")) == 1
    assert not {"_skl_callbacks", "_parent_callback_ctx"} & set(vars(search.best_estimator_))


def test_regressors_and_their_own_score():
    """Without scoring the estimator's score counts, inside and after the search."""
    data, target = make_regression(90, 4, noise=5, random_state=0)
    for estimator, fidelity in (
        (GradientBoostingRegressor(random_state=0), "n_estimators"),
        (SGDRegressor(), "epochs"),
    ):
        space = (
            {"alpha": st.loguniform(1e-5, 0.1)} if fidelity == "epochs" else {"learning_rate": st.loguniform(0.01, 1)}
        )
        search = bracket(estimator, space, fidelity).fit(data, target)
        assert search.score(data, target) == search.best_estimator_.score(data, target)
        assert search.best_score_ > 0.5


def test_a_search_with_fidelities_goes_on_in_its_store(tmp_path):
    """What was held is gone with the process, so a promoted one trains anew there, with the same scores."""
    forest, options = Forest(random_state=0), {"algorithm": "asha"}
    whole = bracket(forest, DEPTHS, "n_estimators", **options).fit(X, Y)
    stopping = bracket(forest, DEPTHS, "n_estimators", **options, store=tmp_path / "run.db")
    scored = []

    def until_the_tenth(estimator, X, y):
        scored.append(estimator)
        if len(scored) == 2 * 10:
            raise KeyboardInterrupt
        return estimator.score(X, y)

    stopping.set_params(scoring=until_the_tenth)
    with pytest.raises(KeyboardInterrupt):
        stopping.fit(X, Y)
    again = stopping.fit(X, Y)
    for name in ("params", "fidelity", "resumed", "split1_test_score", "mean_test_score"):
        assert np.array_equal(again.cv_results_[name], whole.cv_results_[name]), name
    assert len(scored) == 2 * (len(again.cv_results_["params"]) + 1)  # the tenth was fitted twice


def test_a_continued_training_may_fail():
    """A fold that raises at a higher fidelity is a failed trial, and the search goes on."""
    search = bracket(Breaking(random_state=0), {"max_depth": st.randint(1, 9)}, "n_estimators", cv=2)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        table = search.fit(X, Y).cv_results_
    failed = np.isnan(table["mean_test_score"])
    assert failed.tolist() == [
        f >= 3 and p["max_depth"] > 4 for f, p in zip(table["fidelity"], table["params"], strict=True)
    ]
    assert search.result_.counts()["FAILED"] == failed.sum()


class Breaking(RandomForestClassifier):
    """Fails for deep trees once there are three."""

    def fit(self, X, y, sample_weight=None):
        """Fail, or not."""
        if self.n_estimators >= 3 and self.max_depth > 4:
            raise RuntimeError("too many")
        return super().fit(X, y, sample_weight)
