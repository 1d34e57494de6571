"""Real trainings by scikit-learn on the data sets it ships: a fraction of a second each, cross-validated.

Every split and every model has a fixed seed, so a configuration has one value.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from suite.space import Space, choice, real, whole
from suite.task import Task, reference

Data = tuple[NDArray[np.float64], NDArray[Any]]
Make = Callable[[dict[str, Any]], Any]

N_DIGITS = 300  # of the 1,797 handwritten digits: several times faster, and harder


def _training(name: str, space: Space, data: Data, make: Make, scoring: str, worst: float, folds: int = 5) -> Task:
    """A task whose value is a cross-validated score; a training that fails counts as `worst`."""
    from sklearn.model_selection import cross_val_score
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    def evaluate(hp: Mapping[str, Any]) -> float:
        pipeline = make_pipeline(StandardScaler(), make(dict(hp)))
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")  # of trainings that did not converge: bad configurations are part of it
            scores = cross_val_score(pipeline, *data, cv=folds, scoring=scoring, error_score=worst)
        return max(float(np.nan_to_num(scores, nan=worst).mean()), worst)

    known = reference()[name]
    return Task(name, "training", space, evaluate, known["best"], known["median"], is_exact=False)


def _loaded(loader: str, held_out: bool = False) -> Data:
    """A data set of scikit-learn; `held_out` leaves a fifth away, as the published tasks of this kind do."""
    from sklearn import datasets
    from sklearn.model_selection import train_test_split

    rows, target = getattr(datasets, f"load_{loader}")(return_X_y=True)
    if held_out:
        rows, _, target, _ = train_test_split(rows, target, test_size=0.2, random_state=0)
    return rows, target


def svm_breast(name: str) -> Task:
    """A support vector machine on breast cancer: accuracy."""
    from sklearn.svm import SVC

    parameters = (
        real("C", 1e-3, 1e3, log=True),
        choice("kernel", ["rbf", "poly", "sigmoid"]),
        real("gamma", 1e-5, 1e1, log=True),
        choice("shrinking", [True, False]),
        whole("degree", 2, 5).under("kernel", "poly"),
        real("coef0", 0, 1).under("kernel", "poly", "sigmoid"),
    )
    data = _loaded("breast_cancer", held_out=True)
    make = lambda hp: SVC(random_state=0, max_iter=20_000, **hp)  # noqa: E731
    return _training(name, Space(parameters), data, make, "accuracy", 0.0)


def mlp_wine(name: str) -> Task:
    """A small network on wines: log loss after 50 epochs. Half a second each."""
    from sklearn.neural_network import MLPClassifier

    parameters = (
        whole("hidden", 8, 200, log=True),
        whole("depth", 1, 3),
        real("alpha", 1e-6, 1e1, log=True),
        whole("batch_size", 8, 256, log=True),
        real("learning_rate_init", 1e-5, 1e-1, log=True),
        choice("activation", ["relu", "tanh", "logistic"]),
        real("beta_1", 0.5, 0.99),
    )

    def make(hp: dict[str, Any]) -> Any:
        layers = (hp.pop("hidden"),) * hp.pop("depth")
        return MLPClassifier(layers, max_iter=50, random_state=0, tol=0, n_iter_no_change=1000, **hp)

    return _training(name, Space(parameters), _loaded("wine", held_out=True), make, "neg_log_loss", -20.0)


def svr_diabetes(name: str) -> Task:
    """Support vector regression of diabetes: R2."""
    from sklearn.svm import SVR

    parameters = (
        choice("kernel", ["rbf", "poly", "sigmoid", "linear"]),
        real("C", 1e-2, 1e4, log=True),
        real("epsilon", 1e-2, 1e2, log=True),
        real("gamma", 1e-5, 1e1, log=True).under("kernel", "rbf", "poly", "sigmoid"),
        whole("degree", 2, 5).under("kernel", "poly"),
        real("coef0", -1, 1).under("kernel", "poly", "sigmoid"),
    )
    make = lambda hp: SVR(max_iter=2_000, **hp)  # noqa: E731
    return _training(name, Space(parameters), _loaded("diabetes"), make, "r2", -1.0, folds=3)


def trees_digits(name: str) -> Task:
    """Ten extremely random trees on digits: accuracy."""
    from sklearn.ensemble import ExtraTreesClassifier

    parameters = (
        whole("max_depth", 1, 30, log=True),
        real("max_features", 0.01, 1.0, log=True),
        whole("min_samples_split", 2, 64, log=True),
        whole("min_samples_leaf", 1, 32, log=True),
        choice("criterion", ["gini", "entropy"]),
        choice("bootstrap", [True, False]),
        real("ccp_alpha", 1e-6, 1e-1, log=True),
    )
    rows, target = _loaded("digits")
    make = lambda hp: ExtraTreesClassifier(10, random_state=0, **hp)  # noqa: E731
    return _training(name, Space(parameters), (rows[:N_DIGITS], target[:N_DIGITS]), make, "accuracy", 0.0, folds=3)


def neighbours_digits(name: str) -> Task:
    """Nearest neighbours on the first principal components of digits: log loss."""
    from sklearn.decomposition import PCA
    from sklearn.neighbors import KNeighborsClassifier
    from sklearn.pipeline import make_pipeline

    parameters = (
        whole("n_components", 1, 60),
        choice("whiten", [True, False]),
        whole("n_neighbors", 1, 100, log=True),
        choice("weights", ["uniform", "distance"]),
        choice("metric", ["minkowski", "cosine", "canberra"]),
        real("p", 1, 5).under("metric", "minkowski"),
    )

    def make(hp: dict[str, Any]) -> Any:
        components = PCA(hp.pop("n_components"), whiten=hp.pop("whiten"), random_state=0)
        return make_pipeline(components, KNeighborsClassifier(**hp))

    rows, target = _loaded("digits")
    data = (rows[:N_DIGITS], target[:N_DIGITS])
    return _training(name, Space(parameters), data, make, "neg_log_loss", -10.0, folds=3)


def linear_digits(name: str) -> Task:
    """A linear model trained by stochastic gradients on digits: accuracy."""
    from sklearn.linear_model import SGDClassifier

    parameters = (
        choice("loss", ["hinge", "log_loss", "modified_huber", "perceptron"]),
        choice("penalty", ["l2", "l1", "elasticnet"]),
        real("alpha", 1e-6, 1e1, log=True),
        choice("learning_rate", ["constant", "invscaling", "optimal"]),
        whole("max_iter", 1, 30, log=True),
        real("l1_ratio", 0, 1).under("penalty", "elasticnet"),
        real("eta0", 1e-5, 1e1, log=True).under("learning_rate", "constant", "invscaling"),
        real("power_t", 0.05, 1).under("learning_rate", "invscaling"),
    )
    rows, target = _loaded("digits")
    make = lambda hp: SGDClassifier(random_state=0, tol=None, **hp)  # noqa: E731
    data = (rows[:N_DIGITS], target[:N_DIGITS])
    return _training(name, Space(parameters), data, make, "accuracy", 0.0, folds=3)
