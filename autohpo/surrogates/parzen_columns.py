"""The columns of the unit cube as Parzen estimators see them, and points coded for them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]

NARROWEST = 1e-4
"""Smallest bandwidth of ordered columns: (x - .5)^2 / h^2 <= 2.5e7 keeps 9 digits behind the point in a double."""


@dataclass(frozen=True, eq=False)
class Columns:
    """What the columns of the unit cube mean: the reals of [0, 1], ordered values, or categories.

    Attributes:
        levels: ``(d,)`` 0 for an ordered column, L >= 1 for L categories.
        edges: For each column None, or the ``(V + 1,)`` ends of its values' cells, rising from 0 to 1. A value stands
            in the middle of its cell. Categories without edges have cells of one length.

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
        """Columns that take any real of [0, 1]."""
        return np.array([j for j, e in enumerate(self.edges) if e is None], dtype=np.int64)

    @cached_property
    def ordinals(self) -> IntArray:
        """Columns of ordered values."""
        return np.array([j for j, e in enumerate(self.edges) if e is not None and not self.levels[j]], dtype=np.int64)

    @cached_property
    def ordered(self) -> IntArray:
        """Columns of both these kinds, the reals first."""
        return np.concatenate([self.reals, self.ordinals])

    @cached_property
    def categories(self) -> IntArray:
        """Columns of values in no order."""
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
        """The lower and the upper ends of ``(..., k)`` places of values in k columns."""
        ends, starts = self._ends
        places = codes + starts[columns]
        return ends[places], ends[places + 1]

    def codes(self, points: FloatArray) -> IntArray:
        """``(n, d)`` places of the values of ``(n, d)`` points; 0 in columns of reals."""
        codes = np.zeros(points.shape, dtype=np.int64)
        even, counts = self._even
        codes[:, even] = np.minimum(points[:, even] * counts, counts - 1)  # cut to whole numbers
        for j in self._uneven:
            codes[:, j] = np.searchsorted(self._cells(j)[1:-1], points[:, j], side="right")
        return codes

    def snap(self, points: FloatArray) -> Coded:
        """The points moved to the middles of the cells they lie in; `points` are overwritten."""
        codes, celled = self.codes(points), self._celled
        low, high = self.cells(codes[:, celled], celled)
        points[:, celled] = (low + high) / 2
        return Coded(points, codes)

    def coded(self, points: FloatArray, active: BoolArray | None = None) -> Coded:
        """Points that stand in the middles of cells, with what estimators need of them.

        Raises:
            ValueError: They are not of shape ``(n, d)``, or not in the unit cube.
        """
        if points.ndim != 2 or points.shape[1] != len(self.levels):
            raise ValueError(f"points: must have shape (n, {len(self.levels)}), got {points.shape}")
        if not ((points >= 0.0) & (points <= 1.0)).all():  # also where one is NaN
            raise ValueError("points: must lie in the unit cube")
        return Coded(points, self.codes(points), active)

    def check_bandwidths(self, h: FloatArray) -> None:
        """Passes ``(d,)`` bandwidths: at least 1e-4 in ordered columns, in (0, 1] for categories.

        Raises:
            ValueError: They are not.
        """
        levels = self.levels
        if h.shape != levels.shape or not ((h >= np.where(levels, 1e-9, NARROWEST)) & ((h <= 1) | (levels == 0))).all():
            raise ValueError(f"bandwidths: must be at least {NARROWEST}, for categories in [1e-9, 1], got {h}")


@dataclass(frozen=True, eq=False)
class Coded:
    """Points, what values they stand for, and which of their columns have a meaning.

    Attributes:
        points: ``(n, d)`` points in the unit cube.
        codes: ``(n, d)`` places of their values; 0 in columns of reals.
        active: ``(n, d)`` which columns have a meaning for which point; None where all have.
    """

    points: FloatArray
    codes: IntArray
    active: BoolArray | None = None

    def __len__(self) -> int:
        return len(self.points)

    def __getitem__(self, rows: Any) -> Coded:
        return Coded(self.points[rows], self.codes[rows], None if self.active is None else self.active[rows])
