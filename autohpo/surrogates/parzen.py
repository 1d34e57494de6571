"""Parzen estimators: a uniform prior and one product kernel for each point, over ranges, short grids and categories.

The parts stand apart so that a caller who adds a point at a time can keep what does not change: `features` depends
on a point alone, `constants` on a point and the bandwidths.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

NARROWEST = 1e-4
"""Smallest bandwidth of ranges and grids: (x - .5)^2 / h^2 <= 2.5e7 keeps 9 digits behind the point in a double."""

_LOG_SQRT_2PI = 0.5 * math.log(2.0 * math.pi)
_NO_MASS = 1e-300  # stands for 0 in a table of logs: a feature of 0 times -inf would be NaN


@dataclass(frozen=True, eq=False)
class Columns:
    """What the columns of the unit cube mean: the reals of [0, 1], the ordered values of a grid, or categories.

    Attributes:
        levels: ``(d,)`` 0 for an ordered column, L >= 1 for L categories coded (i + .5) / L.
        grids: For each column None, or the sorted values in [0, 1] that an ordered column can take. A value stands
            for the cell that reaches halfway to its neighbours, the outermost to 0 and to 1.

    Raises:
        ValueError: A shape, a negative level, or a grid that is not sorted, not in [0, 1], or for categories.

    Example:
        >>> columns = Columns(np.array([0, 2]), [None, None])
        >>> columns.features(np.array([[0.75, 0.25]]))
        array([[0.25, 1.  , 0.  ]])
    """

    levels: IntArray
    grids: Sequence[FloatArray | None]

    def __post_init__(self) -> None:
        if len(self.grids) != len(self.levels):
            raise ValueError(f"grids: must have one item for each of {len(self.levels)} columns, got {len(self.grids)}")
        for column, (n_levels, grid) in enumerate(zip(self.levels, self.grids, strict=True)):
            if n_levels < 0 or (n_levels and grid is not None):
                raise ValueError(f"levels: column {column} must be 0 with a grid, else 0 or more, got {n_levels}")
            if grid is not None and not (len(grid) and grid[0] >= 0 and grid[-1] <= 1 and (np.diff(grid) > 0).all()):
                raise ValueError(f"grids: column {column} must hold rising values of [0, 1], got {grid}")

    @cached_property
    def ranges(self) -> IntArray:
        """``(r,)`` columns that take any real of [0, 1]."""
        return np.array([j for j, grid in enumerate(self.grids) if grid is None and not self.levels[j]], dtype=np.int64)

    @cached_property
    def tabled(self) -> list[int]:
        """The other columns: few values, so that their kernels are tables."""
        return [j for j in range(len(self.levels)) if j not in set(self.ranges.tolist())]

    @cached_property
    def values(self) -> list[FloatArray]:
        """``(V,)`` values of each tabled column."""
        given = [(self.grids[j], self.levels[j]) for j in self.tabled]
        return [(np.arange(n) + 0.5) / n if grid is None else np.asarray(grid, float) for grid, n in given]

    @cached_property
    def edges(self) -> list[FloatArray]:
        """``(V + 1,)`` ends of the cells of each tabled column."""
        return [np.concatenate([[0.0], (v[1:] + v[:-1]) / 2, [1.0]]) for v in self.values]

    @cached_property
    def log_cells(self) -> list[FloatArray]:
        """``(V,)`` log probability of each tabled column's values under the uniform density."""
        return [np.log(np.diff(edges)) for edges in self.edges]

    @cached_property
    def starts(self) -> list[int]:
        """Where the features of each tabled column begin; one item more, the number of features."""
        return [int(end) for end in np.cumsum([len(self.ranges), *map(len, self.values)])]

    def codes(self, points: FloatArray) -> list[IntArray]:
        """For each tabled column the ``(n,)`` places of the values of ``(n, d)`` points."""
        columns = zip(self.tabled, self.edges, strict=True)
        return [np.searchsorted(edges[1:-1], points[:, j], side="right") for j, edges in columns]

    def features(self, points: FloatArray) -> FloatArray:
        """``(n, F)`` what kernels are linear in: x - .5 of the ranges, a 1 at the place of every other value.

        Raises:
            ValueError: The points have another width, or lie outside the cube.
        """
        if points.ndim != 2 or points.shape[1] != len(self.levels):
            raise ValueError(f"points: must have shape (n, {len(self.levels)}), got {points.shape}")
        if not ((points >= 0.0) & (points <= 1.0)).all():  # also where one is NaN
            raise ValueError("points: must lie in the unit cube")
        features = np.zeros((len(points), self.starts[-1]))
        features[:, : len(self.ranges)] = points[:, self.ranges] - 0.5
        rows = np.arange(len(points))
        for start, codes in zip(self.starts, self.codes(points), strict=False):
            features[rows, start + codes] = 1.0
        return features


@dataclass(frozen=True, eq=False)
class Kernels:
    """Product kernels of one width: truncated Gaussians, and Aitchison-Aitken kernels for categories.

    A range has the density of a Gaussian around the point's value, cut at 0 and 1 and normalised there; a grid
    has that density's mass in each cell; a category keeps 1 - h and spreads h evenly over its other levels.

    Attributes:
        columns: What they are over.
        bandwidths: ``(d,)`` standard deviation of the Gaussian, at least 1e-4; for L categories the chance of
            leaving one, above 0 and at most (L-1)/L, beyond which others would be likelier than itself.

    Raises:
        ValueError: A bandwidth is outside these bounds.

    Source: Aitchison and Aitken 1976, Biometrika 63(3); Watanabe 2023, arXiv 2304.11127, sections 3.3 and 3.4.
    """

    columns: Columns
    bandwidths: FloatArray

    def __post_init__(self) -> None:
        levels, h = self.columns.levels, self.bandwidths
        most = np.where(levels > 0, (levels - 1) / np.maximum(levels, 1) + 1e-12, np.inf)  # 1e-12: rounding
        legal = (h >= np.where(levels > 0, 0.0, NARROWEST)) & (h <= most) & ((h > 0) | (levels == 1))
        if h.shape != levels.shape or not legal.all():
            raise ValueError(f"bandwidths: must be at least {NARROWEST}, for L levels in (0, (L-1)/L], got {h}")

    @cached_property
    def tables(self) -> list[FloatArray]:
        """For each tabled column ``(V, V)``: row k is the probability of each value from a point at value k."""
        columns = zip(self.columns.tabled, self.columns.values, self.columns.edges, strict=True)
        return [self._table(j, values, edges) for j, values, edges in columns]

    def _table(self, column: int, values: FloatArray, edges: FloatArray) -> FloatArray:
        from scipy.special import ndtr  # here, because importing autohpo must stay light

        h, n = float(self.bandwidths[column]), len(values)
        if self.columns.levels[column]:
            return np.where(np.eye(n, dtype=bool), 1.0 - h, h / max(n - 1, 1))
        steps = (edges - values[:, None]) / h
        is_above = steps[:, :-1] > 0  # there the mirrored tail: near 1 a cdf has no digits left
        low, high = np.where(is_above, -steps[:, 1:], steps[:, :-1]), np.where(is_above, -steps[:, :-1], steps[:, 1:])
        mass = ndtr(high) - ndtr(low)
        table: FloatArray = mass / mass.sum(axis=1, keepdims=True)
        return table

    @cached_property
    def _log_tables(self) -> list[FloatArray]:
        """The logs of the tables, transposed: row c is what value c has from a point at each value."""
        return [np.log(np.maximum(table, _NO_MASS)).T for table in self.tables]

    def constants(self, points: FloatArray) -> FloatArray:
        """``(n,)`` what the log kernels of ``(n, d)`` points hold wherever they are asked for."""
        from scipy.special import ndtr

        x, h = points[:, self.columns.ranges], self.bandwidths[self.columns.ranges]
        mass = ndtr((1.0 - x) / h) - ndtr(-x / h)
        constants: FloatArray = -(0.5 * ((x - 0.5) / h) ** 2 + np.log(h * mass) + _LOG_SQRT_2PI).sum(axis=1)
        return constants

    def log_kernels(
        self, queries: FloatArray, codes: list[IntArray], features: FloatArray, constants: FloatArray
    ) -> FloatArray:
        """``(m, n)`` log density at ``(m, d)`` queries, whose codes are known, of the kernel of each point.

        With the square expanded, all columns of all pairs are one matrix product with what was kept of the points.
        """
        x, h = queries[:, self.columns.ranges] - 0.5, self.bandwidths[self.columns.ranges]
        blocks = [table[c] for table, c in zip(self._log_tables, codes, strict=True)]
        exponents: FloatArray = np.concatenate([x / h**2, *blocks], axis=1) @ features.T
        exponents += constants
        exponents -= 0.5 * ((x / h) ** 2).sum(axis=1)[:, None]
        return exponents


@dataclass(frozen=True, eq=False)
class ParzenEstimator:
    """A weighted mixture of the uniform density and one product kernel for each point.

    Its density is that of the ranges times the probability of the tabled columns' values; it is positive everywhere.

    Attributes:
        kernels: Their columns and widths.
        points: ``(n, d)`` points in the unit cube; n may be 0.
        weights: ``(n,)`` of the points, 0 or more; only their ratio to each other and to `prior_weight` counts.
        prior_weight: Of the uniform density, above 0.
        features: ``(n, F)`` ``columns.features(points)``, where the caller has kept it.
        constants: ``(n,)`` ``kernels.constants(points)``, where the caller has kept it.

    Raises:
        ValueError: A shape, a negative weight, or no prior weight.

    Source: Bergstra et al. 2011, NeurIPS 24, section 4; product kernels: Falkner et al. 2018, ICML.

    Example:
        >>> kernels = Kernels(Columns(np.array([0, 2]), [None, None]), np.array([0.1, 0.2]))
        >>> estimator = ParzenEstimator(kernels, np.array([[0.2, 0.25]]), np.ones(1))
        >>> near, far = estimator.log_density(np.array([[0.25, 0.25], [0.9, 0.75]]))
        >>> bool(near > far)
        True
        >>> estimator.sample(5, np.random.default_rng(0)).shape
        (5, 2)
    """

    kernels: Kernels
    points: FloatArray
    weights: FloatArray
    prior_weight: float = 1.0
    features: FloatArray | None = None
    constants: FloatArray | None = None

    def __post_init__(self) -> None:
        if self.weights.shape != (len(self.points),) or not (self.weights >= 0).all():
            raise ValueError(f"weights: must be {len(self.points)} numbers >= 0, got {self.weights!r:.80}")
        if not self.prior_weight > 0:
            raise ValueError(f"prior_weight: must be above 0, got {self.prior_weight}")
        if self.features is None:
            object.__setattr__(self, "features", self.kernels.columns.features(self.points))
        if self.constants is None:
            object.__setattr__(self, "constants", self.kernels.constants(self.points))

    def log_density(self, queries: ArrayLike) -> FloatArray:
        """``(m,)`` log density at ``(m, d)`` points in the unit cube; always finite."""
        queries = np.asarray(queries, dtype=float)
        columns, features, constants = self.kernels.columns, self.features, self.constants
        assert features is not None  # for the type checker; __post_init__ sets both
        assert constants is not None
        log_prior = np.full(len(queries), math.log(self.prior_weight))
        codes = columns.codes(queries)
        for log_cells, places in zip(columns.log_cells, codes, strict=True):
            log_prior += log_cells[places]
        with np.errstate(divide="ignore"):  # a weight of 0 leaves its point out: exp(-inf) is 0
            constants = constants + np.log(self.weights)
        exponents = self.kernels.log_kernels(queries, codes, features, constants)
        peaks = np.maximum(exponents.max(axis=1, initial=-np.inf), log_prior)
        exponents -= peaks[:, None]
        total = np.exp(exponents, out=exponents).sum(axis=1) + np.exp(log_prior - peaks)
        log_densities: FloatArray = peaks + np.log(total) - math.log(self.weights.sum() + self.prior_weight)
        return log_densities

    def sample(self, n: int, rng: np.random.Generator) -> FloatArray:
        """Draws ``(n, d)`` points; a tabled column has exactly one of its values."""
        from scipy.special import ndtr, ndtri

        columns, n_points = self.kernels.columns, len(self.points)
        uniforms = rng.random((n, 1 + len(columns.levels)))
        ends = np.cumsum(np.append(self.weights, self.prior_weight))
        rows = np.searchsorted(ends[:-1], uniforms[:, 0] * ends[-1], side="right")
        draws = uniforms[:, 1:]  # as they are, they follow the prior; the kernels bend those that are a point's
        is_bent = (rows < n_points)[:, None]
        centres = self.points[np.minimum(rows, n_points - 1)] if n_points else draws
        x, z, h = centres[:, columns.ranges], draws[:, columns.ranges], self.kernels.bandwidths[columns.ranges]
        below = ndtr(-x / h)
        bent = np.clip(x + h * ndtri(below + z * (ndtr((1.0 - x) / h) - below)), 0.0, 1.0)
        codes, own_codes = columns.codes(draws), columns.codes(centres)
        draws[:, columns.ranges] = np.where(is_bent, bent, z)
        for place, j in enumerate(columns.tabled):
            ends = np.cumsum(self.kernels.tables[place], axis=1)[:, :-1]  # the last is 1, but for rounding
            moved = (ends[own_codes[place]] <= draws[:, j : j + 1]).sum(axis=1)
            draws[:, j] = columns.values[place][np.where(is_bent[:, 0], moved, codes[place])]
        return draws


def spread_bandwidths(
    columns: Columns, points: FloatArray, weights: FloatArray, factor: float = 1.06, floor: float = 0.01
) -> FloatArray:
    """``(d,)`` bandwidths that follow the spread of ``(n, d)`` points, n >= 1, in each column.

    Ordered columns: ``factor std n^(-1/(d + 4))``, at least `floor`. The variance is that of n weighted points and
    one more of the uniform density's, 1/12: so few points, or equal ones, do not stand for certainty.
    Categories: as in `even_bandwidths`.

    Source: Silverman 1986, section 4.3.2 (the exponent and 1.06).
    """
    n, d = points.shape
    shares = weights / weights.sum()
    variances = shares @ (points - shares @ points) ** 2
    deviations = np.sqrt((n * variances + 1 / 12) / (n + 1))
    widths = np.maximum(factor * deviations * n ** (-1 / (d + 4)), floor)
    return np.where(columns.levels > 0, _leaving(columns, n), widths)


def even_bandwidths(columns: Columns, n: int, factor: float = 0.2) -> FloatArray:
    """``(d,)`` bandwidths that follow from the number of points, n >= 1, alone.

    Ordered columns: ``factor n^(-1/(d + 4))``. Categories: ``(L - 1)/(n + L)``, with which the mixture gives n points
    of one level the posterior mean after one earlier observation of each level (Laplace's rule).
    """
    d = len(columns.levels)
    widths = max(factor * n ** (-1 / (d + 4)), NARROWEST)
    return np.where(columns.levels > 0, _leaving(columns, n), widths)


def _leaving(columns: Columns, n: int) -> FloatArray:
    """``(d,)`` chance of leaving a level under Laplace's rule; in ordered columns of no meaning."""
    leaving: FloatArray = (columns.levels - 1) / (n + columns.levels)
    return leaving
