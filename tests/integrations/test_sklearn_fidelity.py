"""Fidelities of HPOSearchCV: folds, examples, epochs and parameters; what is continued is not trained twice."""

from __future__ import annotations

import sys
import threading
import warnings
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import scipy.stats as st
from joblib import parallel_config
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.ensemble import (
    AdaBoostClassifier,
    BaggingClassifier,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
)
from sklearn.linear_model import SGDClassifier
from sklearn.model_selection import KFold, StratifiedKFold, cross_validate
from sklearn.naive_bayes import GaussianNB
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier

from autohpo import OptionError, available_hpos
from autohpo.algorithms.options import option_names
from autohpo.algorithms.registry import get_hpo
from autohpo.integrations.sklearn import HPOSearchCV
from autohpo.integrations.sklearn.resources import Resource

sys.path.insert(0, str(Path(__file__).parent))  # pytest imports test files by their path alone

from sklearn_shared import DEPTHS, Forest, X, Y, added, bracket


class Boosting(HistGradientBoostingClassifier):
    """Counts the rounds, of which a fitted estimator keeps all."""

    n_grown = 0

    def fit(self, X, y, sample_weight=None):
        """Add the rounds that are missing."""
        before = self.n_iter_ if self.warm_start and hasattr(self, "_predictors") else 0
        super().fit(X, y, sample_weight)
        Boosting.n_grown += self.n_iter_ - before
        return self


class Descent(SGDClassifier):
    """Counts the passes over the data, of ``fit`` and of ``partial_fit``."""

    n_grown = 0

    def fit(self, X, y, **more):
        """Make max_iter passes, as tol is None."""
        super().fit(X, y, **more)
        Descent.n_grown += self.n_iter_
        return self

    def partial_fit(self, X, y, classes=None, sample_weight=None):
        """Make one pass."""
        super().partial_fit(X, y, classes, sample_weight)
        Descent.n_grown += 1
        return self


COUNTED = [
    pytest.param(Forest(random_state=0), DEPTHS, "n_estimators", id="forest"),
    pytest.param(
        Boosting(random_state=0, early_stopping=False),
        {"learning_rate": st.loguniform(0.01, 1)},
        "max_iter",
        id="boosting",
    ),
    pytest.param(Descent(tol=None, random_state=0), {"alpha": st.loguniform(1e-5, 1)}, "max_iter", id="descent"),
    pytest.param(Descent(random_state=0), {"alpha": st.loguniform(1e-5, 1)}, "epochs", id="epochs"),
]


@pytest.mark.parametrize(("estimator", "space", "fidelity"), COUNTED)
def test_a_promoted_configuration_trains_only_what_is_added(estimator, space, fidelity):
    """Trees, rounds or passes that were counted in ``fit`` are those that the table adds, and those of the refit."""
    kind = type(estimator)
    kind.n_grown = 0
    search = bracket(estimator, space, fidelity).fit(X, Y)
    assert (search.cv_results_["resumed"] >= 0).sum() >= 3
    assert kind.n_grown == 2 * sum(added(search)) + 9
    assert search.cv_results_["fidelity"][search.best_index_] == 9
    assert type(search.best_estimator_) is kind
    assert search.best_estimator_.warm_start is False


@pytest.mark.parametrize(("estimator", "space", "fidelity"), COUNTED[:1] + COUNTED[3:])
def test_in_a_pipeline_or_without_resuming_it_is_as_told(estimator, space, fidelity):
    """The last step of a pipeline goes on, too; with resume=False every rung is trained from nothing."""
    kind = type(estimator)
    if fidelity != "epochs":
        kind.n_grown = 0
        name = kind.__name__.lower()
        pipe = make_pipeline(StandardScaler(), estimator)
        search = bracket(pipe, {f"{name}__{key}": value for key, value in space.items()}, f"{name}__{fidelity}").fit(
            X, Y
        )
        assert kind.n_grown == 2 * sum(added(search)) + 9
        kind.n_grown = 0
        search = bracket(estimator, space, fidelity, resume=False).fit(X, Y)
        assert kind.n_grown == 2 * sum(search.cv_results_["fidelity"]) + 9
        assert kind.n_grown > 2 * sum(added(search)) + 9


@pytest.mark.parametrize(("estimator", "space", "fidelity"), COUNTED[:2])
def test_a_continued_training_scores_as_one_from_nothing(estimator, space, fidelity):
    """Ensembles with a random state: every row has the scores of cross-validation with its parameters."""
    search = bracket(estimator, space, fidelity, return_train_score=True).fit(X, Y)
    table = search.cv_results_
    for i, params in enumerate(table["params"]):
        own = cross_validate(
            clone(estimator).set_params(**params), X, Y, cv=StratifiedKFold(2), return_train_score=True
        )
        for k in range(2):
            assert table[f"split{k}_test_score"][i] == pytest.approx(own["test_score"][k])
            assert table[f"split{k}_train_score"][i] == pytest.approx(own["train_score"][k])


def test_epochs_are_the_passes_that_partial_fit_makes():
    """Each row has the scores of as many calls, in one go; the best estimator had all of them."""
    search = bracket(MLPClassifier(8, random_state=0), {"alpha": st.loguniform(1e-4, 1)}, "epochs")
    search.fit(X, Y)
    table = search.cv_results_
    assert set(table["fidelity"]) == {1, 3, 9}
    for i, params in enumerate(table["params"]):
        scores = []
        for train, test in StratifiedKFold(2).split(X, Y):
            model = MLPClassifier(8, random_state=0, **params)
            for _ in range(table["fidelity"][i]):
                model.partial_fit(X[train], Y[train], classes=[0, 1])
            scores.append(model.score(X[test], Y[test]))
        assert table["mean_test_score"][i] == pytest.approx(np.mean(scores))
    assert search.best_estimator_.t_ == 9 * len(X)
    assert "epochs" not in search.best_params_


class Marked(RandomForestClassifier):
    """Remembers how many trees its last ``fit`` has grown."""

    def fit(self, X, y, sample_weight=None):
        """Grow the trees that are missing."""
        before = len(getattr(self, "estimators_", ())) if self.warm_start else 0
        super().fit(X, y, sample_weight)
        self.n_new_ = len(self.estimators_) - before
        return self


def score_and_trees(estimator, X, y):
    """Return the accuracy, and how many trees were grown for it."""
    return {"accuracy": estimator.score(X, y), "n_new": estimator.n_new_}


def test_processes_hand_their_models_on():
    """With loky the fitted estimators come back through files: table and count are those of one thread."""
    options = {"batch_size": 2, "scoring": score_and_trees, "refit": "accuracy", "n_trials": 10}
    here = bracket(Marked(random_state=0), DEPTHS, "n_estimators", **options).fit(X, Y)
    assert here.cv_results_["mean_test_n_new"].tolist() == added(here)
    for backend in ("threading", "loky"):
        with parallel_config(backend, n_jobs=2):
            there = bracket(Marked(random_state=0), DEPTHS, "n_estimators", **options).fit(X, Y)
        for name in ("params", "mean_test_accuracy", "mean_test_n_new", "resumed"):
            assert np.array_equal(there.cv_results_[name], here.cv_results_[name]), (backend, name)


class Counted(DecisionTreeClassifier):
    """Notes what it is fitted on, under a lock: threads may fit."""

    fits: ClassVar[list[set[tuple[float, ...]]]] = []
    lock = threading.Lock()

    def fit(self, X, y, sample_weight=None):
        """Note the examples, and fit."""
        with Counted.lock:
            Counted.fits.append({tuple(row) for row in X.tolist()})
        return super().fit(X, y, sample_weight)


def test_folds_are_added_and_never_fitted_twice():
    """Each row has the first so many folds; its mean and deviation are theirs; the rest is nan, and costs nothing."""
    Counted.fits.clear()
    options = {"cv": KFold(9, shuffle=True, random_state=1), "max_fidelity": None, "return_train_score": True}
    search = bracket(Counted(random_state=0), DEPTHS, "folds", **options).fit(X, Y)
    table = search.cv_results_
    assert set(table["fidelity"]) == {1, 3, 9}
    assert len(Counted.fits) == sum(added(search)) + 1
    for i, params in enumerate(table["params"]):
        n = table["fidelity"][i]
        for part in ("test", "train"):
            scores = np.array([table[f"split{k}_{part}_score"][i] for k in range(9)])
            own = cross_validate(
                DecisionTreeClassifier(random_state=0, **params), X, Y, cv=options["cv"], return_train_score=True
            )[f"{part}_score"]
            np.testing.assert_allclose(scores[:n], own[:n])
            assert np.isnan(scores[n:]).all()
            assert table[f"mean_{part}_score"][i] == pytest.approx(own[:n].mean())
            assert table[f"std_{part}_score"][i] == pytest.approx(own[:n].std())
    assert search.n_splits_ == 9
    assert table["rank_test_score"][np.argmax(table["mean_test_score"])] == 1


@pytest.mark.parametrize("cv", [3, KFold(4)])
def test_parts_of_the_training_set_are_nested_fair_and_tested_on_all(cv):
    """A fidelity is the number of examples; each class has its share of them, to within one."""
    y = (np.arange(180) % 6 == 0).astype(int)  # a sixth
    Counted.fits.clear()
    search = bracket(
        Counted(random_state=0), DEPTHS, "n_samples", max_fidelity=None, min_fidelity=12, cv=cv, algorithm="hyperband"
    ).fit(X, y)
    table = search.cv_results_
    label = {tuple(row): one for row, one in zip(X.tolist(), y, strict=True)}
    n_splits = search.n_splits_
    whole = 180 - 180 // n_splits
    assert table["fidelity"].max() == whole
    sizes = sorted(len(part) for part in Counted.fits[:-1])
    assert sizes == sorted(np.repeat(table["fidelity"], n_splits).tolist())
    for part in Counted.fits:
        assert abs(sum(label[row] for row in part) - len(part) / 6) <= 1
    for small in Counted.fits:  # of each fold, the smaller part is in the larger one
        for size in {len(part) for part in Counted.fits if len(part) > len(small)}:
            assert any(small < part for part in Counted.fits if len(part) == size)
    full = int(np.flatnonzero(table["fidelity"] == whole)[0])
    own = cross_validate(DecisionTreeClassifier(random_state=0, **table["params"][full]), X, y, cv=cv)
    assert table["mean_test_score"][full] == pytest.approx(own["test_score"].mean())
    assert len(Counted.fits[-1]) == 180  # the refit


def test_the_best_is_among_those_with_the_most():
    """A lucky low fidelity never wins, and a function that refits sees the rows at the top alone, ranked."""
    seen = {}

    def choose(table):
        seen.update(table)
        return int(np.argmax(table["rank_test_score"]))  # the worst of them

    def lucky_when_small(estimator, X, y):
        return 9.0 / estimator.n_estimators + estimator.max_depth / 100

    space = {"max_depth": st.randint(1, 99)}
    search = bracket(RandomForestClassifier(), space, "n_estimators", scoring=lucky_when_small, n_trials=30)
    table = search.fit(X, Y).cv_results_
    top = np.flatnonzero(table["fidelity"] == 9)
    assert len(top) >= 2
    assert search.best_index_ == top[np.argmax(table["mean_test_score"][top])]
    assert search.best_score_ < table["mean_test_score"].max()
    assert search.best_params_["n_estimators"] == search.best_estimator_.n_estimators == 9
    worst = clone(search).set_params(refit=choose).fit(X, Y)
    assert set(seen["fidelity"]) == {9}
    assert min(seen["rank_test_score"]) == 1
    assert worst.best_index_ == top[np.argmin(table["mean_test_score"][top])]


def test_a_search_that_never_reaches_the_top_says_so():
    """The best is then that of the highest fidelity there is."""
    search = bracket(
        RandomForestClassifier(random_state=0), DEPTHS, "n_estimators", n_trials=None, time_limit=1e-9, cv=2
    )
    with pytest.warns(UserWarning, match="no configuration was evaluated at max_fidelity, 9; the best is that of 1"):
        search.fit(X, Y)
    assert search.best_params_["n_estimators"] == 1


WITH_FIDELITIES = [
    name
    for name in available_hpos()
    if "min_fidelity" in option_names(get_hpo(name)) and not get_hpo(name).needs_checkpoints
]


@pytest.mark.parametrize("name", WITH_FIDELITIES)
def test_every_algorithm_with_fidelities_promotes(name):
    """The budget is kept, and each promoted row continues one of the same configuration with less."""
    search = HPOSearchCV(
        GaussianNB(),
        {"var_smoothing": st.loguniform(1e-9, 1)},
        algorithm=name,
        fidelity="folds",
        cv=9,
        budget=5,
        random_state=1,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        table = search.fit(X, Y).cv_results_
    assert sum(added(search)) / 9 <= 5 + 1e-9
    for i in np.flatnonzero(table["resumed"] >= 0):
        earlier = list(table["trial"]).index(table["resumed"][i])
        assert table["fidelity"][earlier] < table["fidelity"][i]
        assert table["params"][earlier] == table["params"][i]
    assert {"auto", "hyperband", "bohb", "asha", "mobster", "dehb"} <= set(WITH_FIDELITIES)


def test_what_cannot_be_continued_is_trained_anew():
    """No warm_start, a class that nobody knows, or something that clones it: the parameter is simply set."""
    kinds = [
        (AdaBoostClassifier(random_state=0), {"learning_rate": st.loguniform(0.1, 1)}, "n_estimators"),
        (BaggingClassifier(RandomForestClassifier(), n_estimators=2, random_state=0), {}, "estimator__n_estimators"),
        (DecisionTreeClassifier(random_state=0), {"min_samples_leaf": st.randint(1, 20)}, "max_depth"),
    ]
    for estimator, space, fidelity in kinds:
        search = bracket(
            estimator, space or {"max_samples": st.uniform(0.3, 0.6)}, fidelity, cv=2, n_trials=10, max_fidelity=9
        )
        table = search.fit(X, Y).cv_results_
        i = search.best_index_
        assert table["fidelity"][i] == table["params"][i][fidelity] == 9
        if type(estimator) is AdaBoostClassifier:
            own = cross_validate(clone(estimator).set_params(**table["params"][i]), X, Y, cv=2)
            assert table["mean_test_score"][i] == pytest.approx(own["test_score"].mean())


class Foreign(ClassifierMixin, BaseEstimator):
    """A class of its own, with warm_start: ``steps`` are added by each call of ``fit``."""

    def __init__(self, steps=1, lr=0.1, warm_start=False):
        self.steps, self.lr, self.warm_start = steps, lr, warm_start

    def fit(self, X, y):
        """Count."""
        before = self.done_ if self.warm_start and hasattr(self, "done_") else 0
        self.done_, self.classes_ = before + self.steps, np.unique(y)
        return self

    def score(self, X, y):
        """Return how much was done."""
        return self.done_


@pytest.mark.parametrize(("resume", "worth"), [("added", "fidelity"), ("auto", "fidelity"), (False, "fidelity")])
def test_a_foreign_estimator_goes_on_if_the_user_says_how(resume, worth):
    """Its steps in all are those of the fidelity, whether they are added or trained anew."""
    search = bracket(Foreign(), {"lr": st.loguniform(1e-3, 1)}, "steps", resume=resume).fit(X, Y)
    assert search.cv_results_["mean_test_score"].tolist() == search.cv_results_[worth].tolist()
    assert (search.cv_results_["resumed"] >= 0).any()


@pytest.mark.parametrize(
    ("n", "n_classes", "ends"), [(8100, 2, (200, 5400)), (8100, 10, (300, 5400)), (90, 3, (60, 60))]
)
def test_the_ends_of_the_examples_have_defaults(n, n_classes, ends):
    """All of a training set, from a 27th of it, but from no fewer than 30 for each class."""
    y = np.arange(n) % n_classes
    splits = list(StratifiedKFold(3).split(np.zeros((n, 1)), y))
    found = Resource("n_samples", "n_samples").for_folds(None, None, splits, y)
    assert (found.low, found.high) == ends


def test_the_ends_of_a_parameter_have_defaults():
    """The estimator's own value, from a 27th of it; integers stay integers, floats floats."""
    forest = RandomForestClassifier(54, random_state=0)
    search = bracket(forest, DEPTHS, "n_estimators", max_fidelity=None, n_trials=None, time_limit=1e-9)
    with pytest.warns(UserWarning, match="max_fidelity, 54"):
        assert search.fit(X, Y).cv_results_["fidelity"].tolist() == [2]
    share = BaggingClassifier(DecisionTreeClassifier(), 2, random_state=0)
    search = bracket(share, {"max_features": st.uniform(0.3, 0.6)}, "max_samples", max_fidelity=0.9, min_fidelity=0.3)
    assert set(search.fit(X, Y).cv_results_["fidelity"]) == {0.3, 0.9}
    assert search.best_params_["max_samples"] == 0.9


@pytest.mark.parametrize(
    ("estimator", "options", "text"),
    [
        (
            RandomForestClassifier(),
            {"fidelity": "n_trees"},
            "fidelity: must be 'folds', 'n_samples', 'epochs', or a para",
        ),
        (RandomForestClassifier(), {"fidelity": 3}, "fidelity: must be a name"),
        (
            RandomForestClassifier(),
            {"fidelity": "max_depth"},
            "fidelity: must be a name, and not that of a parameter that",
        ),
        (RandomForestClassifier(), {"fidelity": "epochs"}, "fidelity: 'epochs' needs an estimator with partial_fit"),
        (RandomForestClassifier(), {"fidelity": "max_leaf_nodes", "max_fidelity": None}, "max_fidelity: .* no default"),
        (RandomForestClassifier(), {"min_fidelity": 99}, "min_fidelity: must be above 0 and at most max_fidelity, 9"),
        (RandomForestClassifier(), {"min_fidelity": 0}, "min_fidelity: must be above 0"),
        (RandomForestClassifier(), {"min_fidelity": 0.5}, "min_fidelity, max_fidelity: must be integers"),
        (
            RandomForestClassifier(),
            {"fidelity": "folds", "max_fidelity": 7},
            "max_fidelity: must be an integer from 1 to 2",
        ),
        (RandomForestClassifier(), {"fidelity": "n_samples", "max_fidelity": 700}, "must be an integer from 1 to 90"),
        (RandomForestClassifier(), {"algorithm": "tpe"}, "algorithm: must be one with fidelities"),
        (RandomForestClassifier(), {"resume": "yes"}, "resume: must be 'auto', 'total', 'added' or False"),
        (RandomForestClassifier(), {"resume": 0}, "resume: must be 'auto', 'total', 'added' or False"),
        (DecisionTreeClassifier(), {"fidelity": "max_leaf_nodes", "resume": "total"}, "resume: .* warm_start"),
    ],
)
def test_a_wrong_fidelity_is_an_error_of_fit(estimator, options, text):
    """The text names argument, rule and value."""
    with pytest.raises(OptionError, match=text):
        bracket(estimator, DEPTHS, "n_estimators").set_params(**options).fit(X, Y)
