"""Encoder: where points of the unit cube stand once they are trials, without making a configuration of each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from autohpo.spaces import SearchSpace
from autohpo.surrogates.parzen_columns import Columns

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

MOST_KEPT = 4096
"""Combinations of deciding values whose masks are kept."""


class Encoder:
    """Where points stand once they are trials, and which of their columns are in force.

    A search tries thousands of points for each one that it suggests. To make configurations of all of them would take
    most of its time; here a configuration is made for each combination of the values that decide about others.

    Args:
        space: Whose unit cube it is.

    Attributes:
        columns: What the columns mean.

    Example:
        >>> from autohpo import ChoiceHP, RangeHP
        >>> space = SearchSpace([ChoiceHP("opti", ["sgd", "adam"], [[RangeHP("momentum", 0.0, 1.0)], []])])
        >>> points, mask = Encoder(space).of_points(np.array([[0.1, 0.7], [0.6, 0.7]]))
        >>> points.tolist(), mask.tolist()
        ([[0.25, 0.7], [0.75, 0.5]], [[True, True], [True, False]])
    """

    def __init__(self, space: SearchSpace) -> None:
        self._space = space
        self.columns = Columns(space.levels, space.edges)
        deciding = {name for one in space for name in space.deciders(one.name)}
        is_deciding = np.array([one.name in deciding for one in space for _ in range(one.width)], dtype=bool)
        self._deciding = np.flatnonzero(is_deciding)
        self._can_tell = all(space.edges[j] is not None for j in self._deciding)  # else only a configuration says it
        ends = np.cumsum([0, *(one.width for one in space)])
        self._odd = [  # a value may stand in several columns, or there are too many to list their cells
            (one, slice(int(a), int(b)))
            for one, (a, b) in zip(space, pairwise(ends), strict=True)
            if one.width and one.n_values is not None and one.edges is None
        ]
        self._masks: dict[bytes, BoolArray] = {}

    def of_points(self, points: FloatArray) -> tuple[FloatArray, BoolArray]:
        """``(n, d)`` where points of the unit cube will stand, and ``(n, d)`` which columns are in force."""
        if not self._can_tell:
            return self.of_hps(self._space.decode(points))
        coded = self.columns.snap(points.copy())
        for one, columns in self._odd:
            coded.points[:, columns] = one.encode(one.decode(coded.points[:, columns]))
        if not self._space.is_conditional:
            return coded.points, np.ones(points.shape, dtype=bool)
        mask = self._mask(coded.points, coded.codes[:, self._deciding])
        return np.where(mask, coded.points, 0.5), mask

    def of_hps(self, hps: Sequence[Mapping[str, Any]]) -> tuple[FloatArray, BoolArray]:
        """The same of configurations."""
        points = self._space.encode(hps)
        return points, self._space.mask(hps) if self._space.is_conditional else np.ones(points.shape, dtype=bool)

    def _mask(self, points: FloatArray, codes: NDArray[np.int64]) -> BoolArray:
        """``(n, d)`` which columns are in force: the same for all points whose deciding values are the same."""
        keys = [row.tobytes() for row in codes]
        fresh = {key: row for row, key in enumerate(keys) if key not in self._masks}
        if fresh:
            if len(self._masks) + len(fresh) > MOST_KEPT:
                self._masks, fresh = {}, {key: row for row, key in enumerate(keys)}
            masks = self._space.mask(self._space.decode(points[list(fresh.values())]))
            self._masks.update(zip(fresh, masks, strict=True))
        return np.array([self._masks[key] for key in keys], dtype=bool).reshape(points.shape)
