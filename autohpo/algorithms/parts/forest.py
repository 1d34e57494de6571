"""Forest: randomised regression trees grown on trials, and what they predict for other configurations."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from autohpo.algorithms.parts.arrays import BoolArray, FloatArray, IntArray
from autohpo.surrogates.embedding import MOST_LEVELS
from autohpo.surrogates.parzen_columns import Columns

Features = NDArray[np.float32]  # the only type that scikit-learn's trees take without a copy

INACTIVE = -1.0
"""The feature of an inactive column: outside the unit interval, so that one split tells it from all its values."""


class TreeCoding:
    """Turns points of the unit cube into what trees split on.

    An ordered column is one feature. One of categories is a feature for each of them, 1 or 0, so that one split sets
    one apart from all others. Where a column is inactive, they are -1 and 0. Of very many categories those that no row
    has need no feature, as no split could be made by it: see :meth:`showing`.

    Args:
        columns: What the columns mean.
        shown: The categories that have a feature, by column; a column that is missing here has one for each.
    """

    def __init__(self, columns: Columns, shown: Mapping[int, IntArray] | None = None) -> None:
        self._columns = columns
        self._ordered = np.flatnonzero(columns.levels == 0)
        several = np.flatnonzero(columns.levels > 1)  # one of one tells nothing
        self._large = np.flatnonzero(columns.levels > MOST_LEVELS)
        given = shown or {}
        values = [given[j] if j in given else np.arange(columns.levels[j]) for j in several.tolist()]
        self._owner = np.repeat(several, [len(part) for part in values])
        self._value = np.concatenate([np.zeros(0, np.int64), *values])

    @property
    def is_large(self) -> bool:
        """Whether there are so many categories that only those of the rows should have features."""
        return len(self._large) > 0

    def showing(self, points: FloatArray) -> TreeCoding:
        """Return the coding for trees that are grown on ``(n, d)`` points."""
        codes = self._columns.codes(points)
        return TreeCoding(self._columns, {j: np.unique(codes[:, j]) for j in self._large.tolist()})

    def features(self, points: FloatArray, mask: BoolArray) -> Features:
        """``(n, F)`` features.

        Args:
            points: ``(n, d)`` points where configurations lie.
            mask: ``(n, d)`` which columns are active.
        """
        ordered = np.where(mask, points, INACTIVE)[:, self._ordered]
        is_value = (self._columns.codes(points)[:, self._owner] == self._value) & mask[:, self._owner]
        return np.concatenate([ordered, is_value], axis=1).astype(np.float32)


@dataclass(frozen=True)
class Forest:
    """Regression trees, each grown on rows of its own and split at places of its own.

    Attributes:
        trees: The trees, of scikit-learn.

    Source: Geurts, Ernst & Wehenkel 2006, Machine Learning 63 (splits at random places, the best of one for each
        feature); Breiman 2001, Machine Learning 45 (rows drawn with replacement).
    """

    trees: tuple[Any, ...]

    @classmethod
    def grow(
        cls, features: Features, values: FloatArray, rng: np.random.Generator, *, n_trees: int, max_rows: int
    ) -> Forest:
        """Return trees grown down to single rows, each on n rows drawn with replacement, but at most `max_rows`.

        Args:
            features: ``(n, F)`` features of the rows.
            values: ``(n,)`` what is to be predicted.
            rng: The generator of the rows, and of the seeds of the trees.
            n_trees: The number of trees.
            max_rows: The number of rows that bounds the time.
        """
        from sklearn.tree import ExtraTreeRegressor  # here, because it takes half a second to load

        n, trees = len(values), []
        for seed in rng.integers(2**31, size=n_trees):
            rows = rng.integers(n, size=min(n, max_rows))
            tree = ExtraTreeRegressor(max_features=None, random_state=int(seed))
            trees.append(tree.fit(features[rows], values[rows], check_input=False))
        return cls(tuple(trees))

    def predict(self, features: Features) -> tuple[FloatArray, FloatArray]:
        """``(n,)`` means and ``(n,)`` variances: what the trees differ by, and what rows of one leaf differ by.

        Source: Hutter et al. 2014, Artificial Intelligence 206, section 4.3.2: the law of total variance.
        """
        inner = [tree.tree_ for tree in self.trees]  # its own `predict` checks the input for longer than it computes
        leaves = [tree.apply(features) for tree in inner]
        means = np.array([tree.value[leaf, 0, 0] for tree, leaf in zip(inner, leaves, strict=True)])
        within = np.array([tree.impurity[leaf] for tree, leaf in zip(inner, leaves, strict=True)])
        return means.mean(axis=0), means.var(axis=0) + within.mean(axis=0)
