"""What BOHB's densities need of a space: columns that are not in force, and choices that are not equally likely."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from autohpo.spaces import SearchSpace
from autohpo.surrogates.kde import MixedKDE

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]


@dataclass(frozen=True)
class Model:
    """Where good configurations lie, and where bad ones.

    Attributes:
        good: Density of the good ones.
        bad: Density of the bad ones.
    """

    good: MixedKDE
    bad: MixedKDE

    def log_ratio(self, points: FloatArray, mask: BoolArray | None = None) -> FloatArray:
        """``(m,)`` log of good over bad density at ``(m, d)`` points of the unit cube.

        Expected improvement grows with it: Bergstra et al. 2011, NeurIPS, section 4.1. Points are judged by the columns
        in force alone: the densities of those, whatever the others are.

        Args:
            points: ``(m, d)`` in the unit cube, choices in cells of equal length.
            mask: ``(m, d)`` which columns are in force; None where all are.
        """
        if mask is None or bool(mask.all()):
            return self.good.log_density(points) - self.bad.log_density(points)
        ratios = np.zeros(len(points))  # a point without a column is like any other
        for columns in np.unique(mask, axis=0):
            if columns.any():
                rows = (mask == columns).all(axis=1)
                queries = points[np.ix_(rows, columns)]
                good, bad = (_on(kde, columns).log_density(queries) for kde in (self.good, self.bad))
                ratios[rows] = good - bad
        return ratios


def _on(kde: MixedKDE, columns: BoolArray) -> MixedKDE:
    """The density of some of the columns: of a product of kernels, the other factors integrate to 1."""
    return MixedKDE(kde.points[:, columns], kde.levels[columns], kde.bandwidths[columns])


def imputed(points: FloatArray, mask: BoolArray) -> FloatArray:
    """``(n, d)`` points in which columns that are not in force hold what they are where they are in force.

    They take turns at the values that the other points have there, or at even steps where none has one: a value that
    stands for nothing must say nothing. Falkner et al. 2018 draw them at random.

    Args:
        points: ``(n, d)`` in the unit cube.
        mask: ``(n, d)`` which columns are in force.
    """
    filled = points.copy()
    for column in np.flatnonzero(~mask.all(axis=0)):
        is_off = ~mask[:, column]
        n = int(is_off.sum())
        known = points[~is_off, column]
        filled[is_off, column] = np.resize(known, n) if len(known) else (np.arange(n) + 0.5) / n
    return filled


class EvenCells:
    """Choices in cells of equal length, as the kernels take them, and back to those that a prior has stretched.

    Args:
        space: The space, whose choices may have weights.
    """

    def __init__(self, space: SearchSpace) -> None:
        self._edges = {
            column: edges
            for column, (levels, edges) in enumerate(zip(space.levels, space.edges, strict=True))
            if levels and edges is not None and not np.allclose(np.diff(edges), 1 / levels, rtol=0, atol=1e-12)
        }

    def evened(self, points: FloatArray) -> FloatArray:
        """``(n, d)`` points with every choice in the middle of one of as many equal cells."""
        moved = points.copy() if self._edges else points
        for column, edges in self._edges.items():
            cells = np.searchsorted(edges[1:-1], points[:, column], side="right")
            moved[:, column] = (cells + 0.5) / (len(edges) - 1)
        return moved

    def stretched(self, points: FloatArray) -> FloatArray:
        """``(n, d)`` points with every choice in the middle of its own cell in the unit cube of the space."""
        moved = points.copy() if self._edges else points
        for column, edges in self._edges.items():
            n = len(edges) - 1
            cells = np.minimum((points[:, column] * n).astype(np.int64), n - 1)
            moved[:, column] = (edges[cells] + edges[cells + 1]) / 2
        return moved
