"""The columns of the unit cube as models see them, and points encoded for Parzen estimators."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from autohpo.surrogates.arrays import BoolArray, FloatArray, IntArray

NARROWEST = 1e-4
"""The smallest bandwidth of ordered columns: (x - .5)^2 / h^2 <= 2.5e7 keeps 9 decimal digits in a double."""


@dataclass(frozen=True, eq=False)
class Columns:
    """The meaning of the columns of the unit cube: the reals of [0, 1], ordered values, or categories.

    Attributes:
        levels: ``(d,)`` 0 for an ordered column, L >= 1 for L categories.
        edges: None or the ``(V + 1,)`` ends of the values' cells, rising from 0 to 1, for each column. A value is the
            middle of its cell. Categories without edges have cells of one length.

    Raises:
        ValueError: A shape, a negative level, or edges that do not rise from 0 to 1 or do not fit the levels.

    Example:
        >>> columns = Columns(np.array([0, 2]), [None, None])
        >>> columns.snap(np.array([[0.75, 0.3]])).points
        array([[0.75, 0.25]])
    """

    levels: IntArray
    edges: Sequence[FloatArray | None]

    def __post_init__(self) -> None:
        if len(self.edges) != len(self.levels):
            raise ValueError(f"edges: must have one item for each of {len(self.levels)} columns, got {len(self.edges)}")
        full: list[FloatArray | None] = []
        for column, (n_levels, edges) in enumerate(zip(self.levels, self.edges, strict=True)):
            if n_levels < 0:
                raise ValueError(f"levels: column {column} must be 0 or more, got {n_levels}")
            if edges is None and n_levels:
                edges = np.arange(n_levels + 1) / n_levels
            if edges is not None:
                edges = np.asarray(edges, dtype=float)
                is_rising = len(edges) > 1 and edges[0] == 0 and edges[-1] == 1 and (np.diff(edges) > 0).all()
                if not is_rising or (n_levels and len(edges) != n_levels + 1):
                    raise ValueError(f"edges: column {column} must rise from 0 to 1 around its values, got {edges}")
            full.append(edges)
        object.__setattr__(self, "edges", full)

    @cached_property
    def reals(self) -> IntArray:
        """The columns that take any real of [0, 1]."""
        return np.array([j for j, e in enumerate(self.edges) if e is None], dtype=np.int64)

    @cached_property
    def ordinals(self) -> IntArray:
        """The columns of ordered values."""
        return np.array([j for j, e in enumerate(self.edges) if e is not None and not self.levels[j]], dtype=np.int64)

    @cached_property
    def ordered(self) -> IntArray:
        """The columns of reals and of ordered values, the reals first."""
        return np.concatenate([self.reals, self.ordinals])

    @cached_property
    def categories(self) -> IntArray:
        """The columns of values in no order."""
        return np.flatnonzero(self.levels > 0)

    @cached_property
    def _celled(self) -> IntArray:
        return np.concatenate([self.ordinals, self.categories])

    @cached_property
    def _even(self) -> tuple[IntArray, FloatArray]:
        """Columns whose cells have one length, and how many cells they have."""
        even = [j for j, e in enumerate(self.edges) if e is not None and np.ptp(np.diff(e)) < 1e-12]
        return np.array(even, dtype=np.int64), np.array([len(self._cells(j)) - 1.0 for j in even])

    @cached_property
    def _uneven(self) -> list[int]:
        return [j for j, e in enumerate(self.edges) if e is not None and j not in set(self._even[0].tolist())]

    def _cells(self, column: int) -> FloatArray:
        edges = self.edges[column]
        assert edges is not None  # for the type checker: asked for columns that have them
        return edges

    @cached_property
    def _ends(self) -> tuple[FloatArray, IntArray]:
        """The edges of all columns one after the other, and where each column begins."""
        parts = [np.zeros(1) if e is None else e for e in self.edges]
        starts = np.cumsum([0, *map(len, parts)])[:-1]
        return np.concatenate(parts) if parts else np.zeros(0), starts.astype(np.int64)

    def cells(self, codes: IntArray, columns: IntArray) -> tuple[FloatArray, FloatArray]:
        """Return the lower and the upper ends of the cells of ``(..., k)`` codes of values in k columns."""
        ends, starts = self._ends
        places = codes + starts[columns]
        return ends[places], ends[places + 1]

    def codes(self, points: FloatArray) -> IntArray:
        """``(n, d)`` codes of the values of ``(n, d)`` points: the number of each cell; 0 in columns of reals."""
        codes = np.zeros(points.shape, dtype=np.int64)
        even, counts = self._even
        codes[:, even] = np.minimum(points[:, even] * counts, counts - 1)  # cut to integers
        for j in self._uneven:
            codes[:, j] = np.searchsorted(self._cells(j)[1:-1], points[:, j], side="right")
        return codes

    def snap(self, points: FloatArray) -> Encoded:
        """Return points moved to the middles of the cells that they lie in; `points` are overwritten."""
        codes, celled = self.codes(points), self._celled
        low, high = self.cells(codes[:, celled], celled)
        points[:, celled] = (low + high) / 2
        return Encoded(points, codes)

    def encoded(self, points: FloatArray, active: BoolArray | None = None) -> Encoded:
        """Return points that are the middles of cells, with what estimators need of them.

        Raises:
            ValueError: `points` are not of shape ``(n, d)``, or not in the unit cube.
        """
        if points.ndim != 2 or points.shape[1] != len(self.levels):
            raise ValueError(f"points: must have shape (n, {len(self.levels)}), got {points.shape}")
        is_inside = (points >= 0.0) & (points <= 1.0)  # False for NaN
        if not is_inside.all():
            raise ValueError(f"points: must lie in the unit cube, got {points[~is_inside][0]}")
        return Encoded(points, self.codes(points), active)

    def check_bandwidths(self, h: FloatArray) -> None:
        """Raise an error unless ``(d,)`` bandwidths are at least 1e-4 in ordered columns, in [1e-9, 1] for categories.

        Raises:
            ValueError: A bandwidth is out of bounds, or the shape is wrong.
        """
        levels = self.levels
        if h.shape != levels.shape or not ((h >= np.where(levels, 1e-9, NARROWEST)) & ((h <= 1) | (levels == 0))).all():
            raise ValueError(f"bandwidths: must be at least {NARROWEST}, for categories in [1e-9, 1], got {h}")


@dataclass(frozen=True, eq=False)
class Encoded:
    """Points, the codes of their values, and which of their columns are active.

    Attributes:
        points: ``(n, d)`` points in the unit cube.
        codes: ``(n, d)`` codes of the values; 0 in columns of reals.
        active: ``(n, d)`` which columns are active in which point; None where all are.
    """

    points: FloatArray
    codes: IntArray
    active: BoolArray | None = None

    def __len__(self) -> int:
        return len(self.points)

    def __getitem__(self, rows: Any) -> Encoded:
        return Encoded(self.points[rows], self.codes[rows], None if self.active is None else self.active[rows])
