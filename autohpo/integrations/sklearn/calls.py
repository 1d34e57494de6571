"""Calls: has scikit-learn fit candidates on folds, and returns what was measured."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from sklearn.base import is_classifier
from sklearn.exceptions import FitFailedWarning
from sklearn.model_selection import check_cv

from autohpo.integrations.sklearn.resources import Split
from autohpo.integrations.sklearn.rows import Out, failed_fold


class Folds:
    """A splitter of scikit-learn's that has the same folds whenever it is asked.

    Args:
        splits: The folds.
    """

    def __init__(self, splits: list[Split]) -> None:
        self.splits = splits

    def split(self, X: Any, y: Any = None, groups: Any = None, **params: Any) -> list[Split]:
        """Return the folds."""
        return self.splits

    def get_n_splits(self, X: Any = None, y: Any = None, groups: Any = None, **params: Any) -> int:
        """Return how many there are."""
        return len(self.splits)


class FirstFolds(Folds):
    """The folds of the user's ``cv``, drawn when a search first asks how many there are.

    Args:
        cv: What the user gave.
        estimator: The estimator, which may be a classifier.
        one_by_one: Whether each call of the search will have one fold alone.

    Attributes:
        splits: The folds; empty until they are drawn.
        y: The target.
    """

    def __init__(self, cv: Any, estimator: Any, *, one_by_one: bool) -> None:
        super().__init__([])
        self._cv, self._estimator, self._is_one_by_one = cv, estimator, one_by_one
        self.y: Any = None

    @property
    def get_metadata_routing(self) -> Any:
        """The method of the user's ``cv``, if it has one."""
        return self._cv.get_metadata_routing

    def get_n_splits(self, X: Any = None, y: Any = None, groups: Any = None, **params: Any) -> int:
        """Return how many folds a call of the search will have."""
        if not self.splits:
            cv = check_cv(self._cv, y, classifier=is_classifier(self._estimator))
            given = params if groups is None else {"groups": groups, **params}
            self.splits = [(np.asarray(train), np.asarray(test)) for train, test in cv.split(X, y, **given)]
            self.y = y
        return 1 if self._is_one_by_one else len(self.splits)


class Calls:
    """Has scikit-learn fit candidates on folds.

    Args:
        search: The search that runs.
        outs: Everything that was measured in this search, kept up to date by the search.
        evaluate_candidates: scikit-learn's function.
        callback_ctx: The context of its callbacks, from 1.9 on.

    Attributes:
        last_error: The last error of a call in which no fit succeeded.
    """

    def __init__(self, search: Any, outs: list[Out], evaluate_candidates: Any, callback_ctx: Any) -> None:
        self._search, self._outs, self._evaluate_candidates = search, outs, evaluate_candidates
        self._context = None
        if callback_ctx is not None:
            self._context = callback_ctx.subcontext(task_name="search", max_subtasks=None)
            self._context.call_on_fit_task_begin(estimator=search)
        self.last_error: ValueError | None = None

    def evaluate(self, candidates: list[dict[str, Any]], splits: list[Split]) -> list[Out]:
        """Return what was measured, the folds of the first candidate first.

        Args:
            candidates: The parameters of each.
            splits: The folds.

        Raises:
            ValueError: A fit failed, where ``error_score`` is "raise", or a scorer returned no number.
        """
        n_before, n = len(self._outs), len(candidates) * len(splits)
        context, more = None, {}
        if self._context is not None:
            context = self._context.subcontext(task_name="batch", max_subtasks=n, sequential_subtasks=False)
            more["callback_ctx"] = context.call_on_fit_task_begin(estimator=self._search)
        try:
            self._evaluate_candidates(candidates, cv=Folds(splits), **more)
        except ValueError as error:
            if self._search.error_score == "raise" or "fits failed" not in str(error):
                raise
            self.last_error = error
            warnings.warn(str(error).strip(), FitFailedWarning, stacklevel=2)
        if context is not None:
            context.call_on_fit_task_end(estimator=self._search)
        return self._outs[n_before:] or [failed_fold(str(self.last_error).strip()) for _ in range(n)]

    def close(self) -> None:
        """Say that the search has ended."""
        if self._context is not None:
            self._context.call_on_fit_task_end(estimator=self._search)
