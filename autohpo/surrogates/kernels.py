"""Distances and kernels for Gaussian processes: where points of the unit cube lie as a kernel sees them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from autohpo.surrogates.parzen_columns import Columns

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]

_SQRT5 = math.sqrt(5.0)


def matern52(squared: FloatArray) -> tuple[FloatArray, FloatArray]:
    """The Matern-5/2 kernel of squared distances, and its derivative by them; both are finite at 0.

    With r the distance: (1 + sqrt5 r + 5 r^2 / 3) exp(-sqrt5 r), and -(5 / 6) (1 + sqrt5 r) exp(-sqrt5 r).
    """
    scaled = _SQRT5 * np.sqrt(squared)
    decay = np.exp(-scaled)
    slope = (scaled + 1.0) * decay
    value = squared * decay
    value *= 5.0 / 3.0
    value += slope
    slope *= -5.0 / 6.0
    return value, slope


def squared_distances(left: FloatArray, right: FloatArray) -> FloatArray:
    """``(m, n)`` squared Euclidean distances between ``(m, F)`` and ``(n, F)`` rows, never below 0."""
    squared: FloatArray = left @ (-2.0 * right.T)
    squared += np.einsum("ij,ij->i", left, left)[:, None]
    squared += np.einsum("ij,ij->i", right, right)
    np.maximum(squared, 0.0, out=squared)  # rounding may leave -1e-16 times the squared norms
    return squared


@dataclass(frozen=True, eq=False)
class Embedding:
    """Turns points of the unit cube into coordinates between which Euclidean distances mean something.

    An ordered column that is always in force is its own coordinate. One that is not becomes the angle, in radians, of
    a point on the unit circle, with the centre for points where it is not in force: these are 1 away from all that
    have it, and 0 from each other. A column of L categories becomes L coordinates, so that any two categories are 1
    apart, and points where it is not in force sqrt(1/2) from all.

    Attributes:
        columns: What the columns mean.
        optional: ``(d,)`` whether a column is not always in force.

    Source: Swersky et al. 2013, arXiv 1409.4011, the circle, of which they learn the radius as well.
    """

    columns: Columns
    optional: BoolArray

    @cached_property
    def plain(self) -> IntArray:
        """Ordered columns that are always in force; their coordinates come first."""
        return np.flatnonzero((self.columns.levels == 0) & ~self.optional)

    @cached_property
    def arcs(self) -> IntArray:
        """Ordered columns that are not; two coordinates each, the cosines of all before the sines of all."""
        return np.flatnonzero((self.columns.levels == 0) & self.optional)

    @cached_property
    def categories(self) -> IntArray:
        """Columns of categories; their coordinates come last."""
        return self.columns.categories

    @cached_property
    def owner(self) -> IntArray:
        """``(F,)`` the column of each coordinate."""
        counts = self.columns.levels[self.categories]
        return np.concatenate([self.plain, self.arcs, self.arcs, np.repeat(self.categories, counts)])

    @cached_property
    def is_category(self) -> BoolArray:
        """``(F,)`` whether a coordinate belongs to a category."""
        return self.columns.levels[self.owner] > 0

    def coordinates(self, points: FloatArray, mask: BoolArray) -> FloatArray:
        """``(n, F)`` coordinates.

        Args:
            points: ``(n, d)`` in the unit cube.
            mask: ``(n, d)`` which columns are in force.
        """
        angles, active = points[:, self.arcs], mask[:, self.arcs]
        parts = [points[:, self.plain], np.cos(angles) * active, np.sin(angles) * active]
        if len(self.categories):
            codes = self.columns.codes(points)
            for j in self.categories:
                hot = codes[:, [j]] == np.arange(self.columns.levels[j])
                parts.append((hot & mask[:, [j]]) * math.sqrt(0.5))
        return np.concatenate(parts, axis=1)

    def pull_back(self, points: FloatArray, mask: BoolArray, gradient: FloatArray) -> FloatArray:
        """``(n, d)`` a gradient by the points, from ``(n, F)`` one by the coordinates; 0 for categories."""
        pulled = np.zeros_like(points)
        n_plain, n_arcs = len(self.plain), len(self.arcs)
        pulled[:, self.plain] = gradient[:, :n_plain]
        if n_arcs:
            angles, active = points[:, self.arcs], mask[:, self.arcs]
            by_cosine = gradient[:, n_plain : n_plain + n_arcs]
            by_sine = gradient[:, n_plain + n_arcs : n_plain + 2 * n_arcs]
            pulled[:, self.arcs] = active * (by_sine * np.cos(angles) - by_cosine * np.sin(angles))
        return pulled
