"""SobolStart: evenly spread points with which a search begins, before there is a model."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from autohpo.algorithms.parts.arrays import FloatArray


class SobolStart:
    """The first points of a search: a scrambled Sobol sequence, which follows from the seed alone.

    It is made when the first point is asked for, as scipy.stats takes half a second to load.

    Args:
        n_columns: The width of the unit cube.
        seed: The seed of the scrambling.
        n: How many points there are at least: a power of two.

    Source: Sobol' 1967; Owen 1998 (scrambling); both in scipy.stats.qmc.

    Example:
        >>> start = SobolStart(2, seed=0, n=3)
        >>> [start.point(number).shape for number in (0, 3, 4)]
        [(1, 2), (1, 2), (0, 2)]
    """

    def __init__(self, n_columns: int, seed: int | Sequence[int] | None, n: int) -> None:
        self._n_columns, self._seed, self._n = n_columns, seed, 1 << (n - 1).bit_length()
        self._points: FloatArray | None = None

    def point(self, number: int) -> FloatArray:
        """``(1, d)`` the point of that place, from 0; ``(0, d)`` once they are used up."""
        if self._points is None:
            from scipy.stats import qmc

            self._points = qmc.Sobol(self._n_columns, rng=np.random.default_rng(self._seed)).random(self._n)
        points: FloatArray = self._points[number : number + 1]
        return points
