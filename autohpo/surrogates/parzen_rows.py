"""A Parzen estimator over very many points that grows by a point at a time, at a cost that hardly grows with it."""

from __future__ import annotations

import math

import numpy as np

from autohpo.surrogates.arrays import BoolArray, FloatArray, IntArray
from autohpo.surrogates.parzen import (
    LOG_SQRT_2PI,
    gaussian_mass,
    laplace_bandwidths,
    log_cell_densities,
    log_mixture,
)
from autohpo.surrogates.parzen_columns import NARROWEST, Columns, Encoded

LONGEST_TABLE = 12
"""The most values of an ordered column that get a table; of more, a cell is hardly wider than a kernel."""
LONGEST_ONE_HOT = 64
"""The most categories that get a feature each; of more, codes are compared."""
STEADY_DIGITS = 4
"""Binary digits of the number of points that the bandwidths follow: they change by 1 % where it does by 6 to 12 %."""


class GrowingParzen:
    """The density of ``ParzenEstimator`` for equal weights, with bandwidths that follow from the number of points.

    Ordered columns have the bandwidth ``factor n^(-1/(d + 4))``, categories that of Laplace's rule, n being the number
    of points in which the column is active, rounded down to four binary digits: so they hold for a while, and so does
    what is kept. A log kernel is a scalar product of what depends on the point and what depends on the query;
    all kernels of all queries are one matrix product.

    It departs from ``ParzenEstimator`` in one point: ordered columns of more than 12 values count as real ones, as a
    cell is hardly wider than a kernel.

    Args:
        columns: What the columns of a point mean.
        is_partial: ``(d,)`` which columns may be inactive in a point, or in a query; None where all are active always.
        factor: The factor of the bandwidths of ordered columns.

    Example:
        >>> columns = Columns(np.array([0, 2]), [None, None])
        >>> rows = GrowingParzen(columns)
        >>> rows.extend(columns.encoded(np.array([[0.2, 0.25], [0.3, 0.75]])))
        >>> near, far = rows.log_density(columns.encoded(np.array([[0.25, 0.25], [0.9, 0.75]])))
        >>> bool(near > far)
        True
    """

    def __init__(self, columns: Columns, is_partial: BoolArray | None = None, factor: float = 0.2) -> None:
        d = len(columns.levels)
        self.columns, self.factor = columns, factor
        self._is_partial = np.zeros(d, dtype=bool) if is_partial is None else is_partial
        self._is_any_partial = bool(self._is_partial.any())
        sizes = [0 if edges is None else len(edges) - 1 for edges in columns.edges]
        is_ordered = columns.levels == 0
        one_hot = [j for j in range(d) if 0 < sizes[j] <= (LONGEST_TABLE if is_ordered[j] else LONGEST_ONE_HOT)]
        self._one_hot = np.array(one_hot, dtype=np.int64)
        rest = np.delete(np.arange(d), self._one_hot)
        self._smooth, self._matched = rest[is_ordered[rest]], rest[~is_ordered[rest]]
        # Columns without a table add a constant to a log kernel; those that may be inactive only where they are active.
        self._is_apart = self._is_partial[np.concatenate([self._smooth, self._matched])]
        self._apart = np.concatenate([self._smooth, self._matched])[self._is_apart]
        self._n_apart_smooth = int(self._is_partial[self._smooth].sum())
        # The features of a point: x - .5 | a 1 at the code of its value | 1 where active | constants.
        self._starts = len(self._smooth) + np.cumsum([0, *(sizes[j] for j in one_hot)])
        self._first_active = int(self._starts[-1])
        self._first_constant = self._first_active + len(self._apart)
        self._features = np.empty((self._first_constant + 1 + self._n_apart_smooth, 0))
        self._points, self._codes = np.empty((0, d)), np.empty((0, d), dtype=np.int64)
        self._active = np.empty((0, d), dtype=bool)
        self._counts = np.zeros(d, dtype=np.int64)
        self._n, self._steady = 0, np.full(d, -1)

    def __len__(self) -> int:
        return self._n

    def __getitem__(self, rows: list[int] | IntArray) -> Encoded:
        active = self._active[rows] if self._is_any_partial else None
        return Encoded(self._points[rows], self._codes[rows], active)

    @property
    def bandwidths(self) -> FloatArray:
        """The ``(d,)`` bandwidths of the kernels, as they are now."""
        counts = steady(self._counts)
        widths = np.maximum(self.factor * np.maximum(counts, 1) ** (-1 / (len(counts) + 4)), NARROWEST)
        return np.where(self.columns.levels > 0, laplace_bandwidths(self.columns, counts), widths)

    def extend(self, new: Encoded) -> None:
        """Add points, at a cost that does not depend on how many there are."""
        n = self._n + len(new)
        if n > len(self._points):  # to twice the size: all the copies together cost no more than two
            self._grow(max(2 * len(self._points), n, 64))
        rows = slice(self._n, n)
        active = np.ones(new.points.shape, dtype=bool) if new.active is None else new.active
        self._points[rows], self._codes[rows], self._active[rows] = new.points, new.codes, active
        features, smooth = self._features[:, rows], self._smooth
        features[: self._first_active] = 0.0
        features[: len(smooth)] = ((new.points[:, smooth] - 0.5) * active[:, smooth]).T
        places = self._starts[:-1] + new.codes[:, self._one_hot]
        features[places, np.arange(len(new))[:, None]] = active[:, self._one_hot]
        features[self._first_active : self._first_constant] = active[:, self._apart].T
        self._counts += active.sum(axis=0)
        self._n = n
        self._set_constants(rows)

    def _grow(self, size: int) -> None:
        for name in ("_points", "_codes", "_active"):
            kept = getattr(self, name)
            setattr(self, name, np.empty((size, kept.shape[1]), dtype=kept.dtype))
            getattr(self, name)[: self._n] = kept[: self._n]
        features, self._features = self._features, np.empty((len(self._features), size))
        self._features[:, : self._n] = features[:, : self._n]

    def _set_constants(self, rows: slice) -> None:
        """What log kernels hold wherever they are asked for: of new rows, or of all where the bandwidths changed."""
        counts = steady(self._counts)
        if (counts != self._steady).any():
            self._steady, rows = counts, slice(0, self._n)
            self._set_tables()
        smooth, h = self._smooth, self._h[self._smooth]
        x = self._points[rows][:, smooth]
        steps = (x - 0.5) / h
        constants = -0.5 * steps * steps - np.log(h * gaussian_mass(x, h)) - LOG_SQRT_2PI
        block = self._features[self._first_constant :, rows]
        if not self._n_apart_smooth:
            block[0] = constants.sum(axis=1)
            return
        is_apart = self._is_partial[smooth]
        block[0] = constants[:, ~is_apart].sum(axis=1)
        block[1:] = (constants * self._active[rows][:, smooth])[:, is_apart].T

    def _set_tables(self) -> None:
        """For each one-hot column ``(V, V)``: row c has the log kernel at value c of a point at each value."""
        self._h = self.bandwidths
        self._tables = []
        for j in self._one_hot:
            edges, h = np.asarray(self.columns.edges[j]), self._h[j]
            low, high = edges[:-1, None], edges[1:, None]
            if self.columns.levels[j]:
                self._tables.append(np.log(h + np.eye(len(low)) * ((1.0 - h) / (high - low))))
            else:
                x = (edges[:-1] + edges[1:]) / 2
                self._tables.append(log_cell_densities(edges, x, float(h), gaussian_mass(x, h)))

    def log_density(self, queries: Encoded, without: list[int] | None = None, prior_weight: float = 1.0) -> FloatArray:
        """``(m,)`` log density at m points.

        Args:
            queries: The points.
            without: Rows that are left out.
            prior_weight: The weight of the uniform density; a point has 1.
        """
        if not self._n:
            return np.zeros(len(queries))
        factors, offsets = self._factors(queries)
        logs = factors @ self._features[:, : self._n]
        for j in self._matched:
            self._add_matches(logs, queries, j)
        n = self._n
        if without:
            logs[:, without] = -np.inf
            n -= len(without)
        return log_mixture(logs, math.log(prior_weight) - offsets) + (offsets - math.log(n + prior_weight))

    def _add_matches(self, logs: FloatArray, queries: Encoded, column: int) -> None:
        """Add what log kernels have more where a category is the same; that it is left stands in the factors."""
        codes, h = queries.codes[:, column], self._h[column]
        low, high = self.columns.cells(codes[:, None], np.array([column]))
        gains = np.log1p((1.0 - h) / (h * (high - low)))
        if queries.active is not None:
            gains *= queries.active[:, [column]]
        is_same = codes[:, None] == self._codes[: self._n, column]
        if self._is_partial[column]:
            is_same &= self._active[: self._n, column]
        logs += is_same * gains

    def _factors(self, queries: Encoded) -> tuple[FloatArray, FloatArray]:
        """``(m, F)`` what the features are multiplied with, and ``(m,)`` what is added to every log kernel."""
        smooth, h, active, m = self._smooth, self._h, queries.active, len(queries)
        steps = (queries.points[:, smooth] - 0.5) / h[smooth]
        linear = steps / h[smooth]
        constants = -0.5 * steps * steps
        if len(self._matched):
            constants = np.concatenate([constants, np.tile(np.log(h[self._matched]), (m, 1))], axis=1)
        tables = [table[queries.codes[:, j]] for j, table in zip(self._one_hot, self._tables, strict=True)]
        ones = np.ones((m, 1))
        if active is None:
            if not len(self._apart):
                return np.concatenate([linear, *tables, ones], axis=1), constants.sum(axis=1)
            active = np.ones(queries.points.shape, dtype=bool)
        linear = linear * active[:, smooth]
        tables = [table * active[:, [j]] for j, table in zip(self._one_hot, tables, strict=True)]
        theirs = active[:, self._apart]
        parts = [linear, *tables, constants[:, self._is_apart] * theirs, ones, theirs[:, : self._n_apart_smooth]]
        return np.concatenate(parts, axis=1), constants[:, ~self._is_apart].sum(axis=1)


def steady(counts: IntArray) -> IntArray:
    """Return the counts rounded down to four binary digits."""
    shifts = np.maximum(np.frexp(counts)[1].astype(np.int64) - STEADY_DIGITS, 0)
    return counts >> shifts << shifts
