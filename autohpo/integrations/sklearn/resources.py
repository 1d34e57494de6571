"""Resources: what a configuration gets more of at a higher fidelity, and whether its training can be continued."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from autohpo.errors import OptionError, shown
from autohpo.spaces.index import plain

Split = tuple[NDArray[np.int64], NDArray[np.int64]]
Kind = Literal["folds", "n_samples", "epochs", "total", "added", "anew"]

ROUNDS = 27
"""How many times the lowest fidelity goes into the highest one by default: four rungs with a factor of 3."""
PER_CLASS = 30
"""How many examples for each class the smallest part of a training set has by default."""


@dataclass(frozen=True)
class Resource:
    """What there is more of at a higher fidelity.

    Attributes:
        name: "folds", "n_samples", "epochs", or the name of a parameter of the estimator.
        kind: What it is. Of a parameter: whether a fitted estimator is continued to a "total", by what is "added", or
            is trained "anew".
        low: The lowest fidelity.
        high: The highest one, a full evaluation.
        switch: The name of the parameter that makes a fitted estimator go on, where there is one.
    """

    name: str
    kind: Kind
    low: float = 1
    high: float = math.nan
    switch: str = ""

    @property
    def is_held(self) -> bool:
        """Whether fitted estimators are held, so that they can be continued."""
        return self.kind in ("epochs", "total", "added")

    @property
    def is_continued(self) -> bool:
        """Whether a promoted configuration costs only what is added."""
        return self.is_held or self.kind == "folds"

    @property
    def is_parameter(self) -> bool:
        """Whether it is a parameter of the estimator."""
        return self.kind in ("total", "added", "anew")

    def within(self, low: Any, high: Any, usual: Any, most: int | None = None, least: int = 1) -> Resource:
        """Return the same with its ends.

        Args:
            low: The lowest fidelity that the user wants; None takes a 27th of the highest one.
            high: The highest one, likewise.
            usual: The highest one where the user gives none.
            most: How much there is, if that is limited; then fidelities are integers.
            least: How low the lowest fidelity is at least where the user gives none.

        Raises:
            OptionError: An end is out of bounds, or there is no default for it.
        """
        top: Any = plain(usual if high is None else high)
        if not _is_number(top) or top <= 0 or (most is not None and top > most):
            rule = "must be a number above 0" if most is None else f"must be an integer from 1 to {most}"
            remedy = f"; the estimator has no default for {self.name!r}" if high is None else ""
            raise OptionError(f"max_fidelity: {rule}, got {shown(top)}{remedy}")
        bottom: Any = plain(low)
        if low is None:
            bottom = top / ROUNDS if isinstance(top, float) else min(top, max(round(top / ROUNDS), least))
        if not _is_number(bottom) or not 0 < bottom <= top:
            raise OptionError(f"min_fidelity: must be above 0 and at most max_fidelity, {top}, got {shown(bottom)}")
        if self.kind != "anew" and not (isinstance(top, int) and isinstance(bottom, int)):
            rule = "must be integers where fidelity is"
            raise OptionError(f"min_fidelity, max_fidelity: {rule} {self.name!r}, got {bottom}, {top}")
        return replace(self, low=bottom, high=top)

    def for_folds(self, low: Any, high: Any, splits: list[Split], y: Any) -> Resource:
        """Return the same with its ends, where it is the number of folds or of training examples; else itself.

        Args:
            low: The lowest fidelity that the user wants; None takes a default.
            high: The highest one, likewise.
            splits: The folds.
            y: The target.

        Raises:
            OptionError: An end is out of bounds.
        """
        if self.kind == "folds":
            return self.within(low, high, len(splits), len(splits))
        if self.kind == "n_samples":
            n = min(len(train) for train, _ in splits)
            return self.within(low, high, n, n, PER_CLASS * (len(np.unique(y)) if _has_classes(y) else 1))
        return self


def resource_of(name: Any, estimator: Any, resume: Any, searched: set[str]) -> Resource:
    """Return the resource of a name, without its ends.

    Args:
        name: "folds", "n_samples", "epochs", or the name of a parameter; a parameter of that name comes first.
        estimator: The estimator.
        resume: "auto", or "total", "added" or False, which the user knows better.
        searched: The names of the parameters that are searched.

    Raises:
        OptionError: There is no such resource, it is searched as well, or `resume` is nothing that it may be.
    """
    parameters = estimator.get_params()
    if resume not in ("auto", "total", "added", False) or isinstance(resume, int) is not (resume is False):
        raise OptionError(f"resume: must be 'auto', 'total', 'added' or False, got {shown(resume)}")
    if not isinstance(name, str) or name in searched:
        rule = "must be a name, and not that of a parameter that is searched"
        raise OptionError(f"fidelity: {rule}, got {shown(name)}")
    if name in parameters:
        return _parameter(name, estimator, resume, searched)
    if name == "epochs" and not hasattr(estimator, "partial_fit"):
        rule = "'epochs' needs an estimator with partial_fit"
        raise OptionError(f"fidelity: {rule}, got {type(estimator).__name__}")
    if name in ("folds", "n_samples", "epochs"):
        return Resource(name, name)  # type: ignore[arg-type]
    rule = f"must be 'folds', 'n_samples', 'epochs', or a parameter of {type(estimator).__name__}"
    raise OptionError(f"fidelity: {rule}, got {shown(name)}")


def _parameter(name: str, estimator: Any, resume: Any, searched: set[str]) -> Resource:
    path, _, last = name.rpartition("__")
    switch = f"{path}__warm_start" if path else "warm_start"
    owner = _owner(estimator, path)
    can_go_on = owner is not None and switch in estimator.get_params() and switch not in searched
    if resume in ("total", "added") and not can_go_on:
        rule = f"{name!r} must belong to an estimator with warm_start that nothing around it clones"
        raise OptionError(f"resume: {rule}, got {shown(resume)}")
    kind = (_usual(owner, last) if resume == "auto" else resume or "anew") if can_go_on else "anew"
    return Resource(name, kind, switch=switch if kind != "anew" else "")


def _owner(estimator: Any, path: str) -> Any:
    """Return the estimator that a parameter belongs to; None where something around it clones it when it is fitted."""
    from sklearn.pipeline import Pipeline

    for step in path.split("__") if path else ():
        if not isinstance(estimator, Pipeline) or step != estimator.steps[-1][0]:
            return None
        estimator = estimator.steps[-1][1]
    return estimator


def _usual(owner: Any, parameter: str) -> Kind:
    """Return what a parameter counts in scikit-learn's own classes, with ``warm_start``: all rounds, or more of them.

    Of a class that is not derived from one of these nobody knows, so it is trained anew.
    """
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

    modules = {base.__module__ for base in type(owner).__mro__}
    if not any(module.startswith("sklearn.") and module != "sklearn.base" for module in modules):
        return "anew"
    if parameter == "n_estimators":
        return "total"
    if parameter == "max_iter":
        is_total = isinstance(owner, (HistGradientBoostingClassifier, HistGradientBoostingRegressor))
        return "total" if is_total else "added"
    return "anew"


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _has_classes(y: Any) -> bool:
    from sklearn.utils.multiclass import type_of_target

    return y is not None and type_of_target(y) in ("binary", "multiclass")


class Parts:
    """Parts of the training sets of fixed folds, drawn once: each holds the smaller ones, and its share of each class.

    Args:
        splits: The folds.
        y: The target.
        seed: A number for the draw.
    """

    def __init__(self, splits: list[Split], y: Any, seed: int) -> None:
        self._splits = splits
        self._y = np.asarray(y) if _has_classes(y) else None
        self._least = min(len(train) for train, _ in splits)
        self._orders = [self._order(train, np.random.default_rng((seed, k))) for k, (train, _) in enumerate(splits)]

    def _order(self, train: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
        """Return the training examples so that the first of them, however many, are a fair part of them."""
        drawn = rng.permutation(train)
        if self._y is None:
            return drawn
        classes = self._y[drawn]
        place = np.empty(len(drawn))
        for label in np.unique(classes):
            members = np.flatnonzero(classes == label)
            place[members] = (np.arange(len(members)) + rng.random()) / len(members)
        return drawn[np.argsort(place, kind="stable")]

    def of(self, n: int) -> list[Split]:
        """Return the folds with n training examples each, in the order that they have there, and all test examples."""
        found = []
        for (train, test), order in zip(self._splits, self._orders, strict=True):
            chosen = np.isin(train, order[:n]) if n < self._least else slice(None)  # one fold may have one more
            found.append((train[chosen], test))
        return found
