"""Kernel density estimates over ranges and categories in the unit cube, and their bandwidths."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike

from autohpo.surrogates.arrays import FloatArray, IntArray

LOG_SQRT_2PI = 0.5 * math.log(2.0 * math.pi)
"""The log of the square root of 2 pi, by which a Gaussian is divided."""

_NARROWEST, _WIDEST = 1e-150, 1e150  # bandwidths of ranges: h^2 and 1 / h^2 are still ordinary doubles
_WIDEST_DRAWN = 1e4  # a Gaussian this wide is uniform on [0, 1] to 5e-9, and its cdf there has 12 digits left
_BLOCK = 2**14  # pairs of a point and a data row handled at once: 128 KiB, which stay in the cache
_SMALLEST_UNIFORM = 2.0**-54  # half a step of Generator.random; the inverse normal cdf sends 0 to -inf


@dataclass(frozen=True, eq=False)
class MixedKDE:
    """Product-kernel density over the unit cube: Gaussian in ranges, Aitchison-Aitken in categories.

    The density at x is ``1/n sum_i prod_j k_j(x_j, X_ij)``. A range has a Gaussian of width h around X_ij,
    cut at 0 and 1 and normalised there; a category keeps 1 - h on the level of X_ij and spreads h evenly over
    its other L - 1. L counts all levels there are, not those seen: an unseen level has a proper density.

    Example:
        >>> kde = MixedKDE(np.array([[0.2, 0.25], [0.3, 0.75]]), np.array([0, 2]), np.array([0.1, 0.2]))
        >>> near, far = kde.log_density(np.array([[0.25, 0.25], [0.9, 0.25]]))
        >>> bool(near > far)
        True
        >>> kde.sample(5, np.random.default_rng(0)).shape
        (5, 2)

    Attributes:
        points: ``(n, d)`` data in the unit cube; kept as a read-only copy.
        levels: ``(d,)`` 0 for a range; L >= 1 for an unordered category of L levels, coded (i + .5) / L.
        bandwidths: ``(d,)`` standard deviation of the Gaussian; chance of leaving the level, at most (L-1)/L.
        truncated: normalise the Gaussians on [0, 1]; False leaves them whole, as statsmodels does.

    Raises:
        ValueError: a shape, a value outside the cube, a NaN, or a bandwidth without a proper density.

    Source: Aitchison and Aitken 1976, Biometrika 63(3); Falkner et al. 2018, ICML (BOHB), section 4.
    """

    points: FloatArray
    levels: IntArray
    bandwidths: FloatArray
    truncated: bool = True

    def __post_init__(self) -> None:
        """Check the data and keep copies that nobody can change under the cached constants."""
        points, levels = _checked_data(self.points, self.levels)
        bandwidths = _checked_bandwidths(self.bandwidths, levels)
        for name, values in (("points", points), ("levels", levels), ("bandwidths", bandwidths)):
            values.setflags(write=False)
            object.__setattr__(self, name, values)

    def log_density(self, points: ArrayLike) -> FloatArray:
        """Return the ``(m,)`` natural log of the density at ``(m, d)`` points.

        It is -inf only where the density is 0: outside [0, 1] in a truncated range, or at a level that h = 0
        rules out. Points so far off that the density itself underflows keep their order.

        Raises:
            ValueError: the shape is wrong, a value is not finite, or a category's value lies outside [0, 1].
        """
        points = _checked_queries(points, self.levels)
        log_densities = np.empty(len(points))
        step = max(1, _BLOCK // len(self.points))
        for start in range(0, len(points), step):
            log_densities[start : start + step] = self._log_density(points[start : start + step])
        return log_densities

    def sample(self, n: int, rng: np.random.Generator, bandwidth_factor: float = 1.0) -> FloatArray:
        """Draw ``(n, d)`` points: a data row each, every column moved by its kernel.

        Ranges are always drawn inside [0, 1], also when ``truncated`` is False; categories come back at their
        cell centres. With ``truncated`` and a factor of 1 the draws follow exactly the density.

        Args:
            n: number of draws.
            rng: the only source of randomness.
            bandwidth_factor: multiplies the bandwidth of ranges, and of ranges only, to look further afield.

        Raises:
            ValueError: n is not a positive integer, or the factor not a number within [1e-150, 1e150].
        """
        if not isinstance(n, (int, np.integer)) or isinstance(n, bool) or n < 1:
            raise ValueError(f"n: must be an integer >= 1, got {n!r}")
        if not _NARROWEST <= bandwidth_factor <= _WIDEST:
            rule = f"in [{_NARROWEST}, {_WIDEST}]"
            raise ValueError(f"bandwidth_factor: must be {rule}, got {bandwidth_factor}")
        ranges, categories = self._columns
        rows = rng.integers(len(self.points), size=n)
        draws = np.empty((n, len(self.levels)))
        scales = np.minimum(bandwidth_factor * self.bandwidths[ranges], _WIDEST_DRAWN)
        draws[:, ranges] = _truncated_normal(self.points[rows][:, ranges], scales, rng)
        levels, leave = self.levels[categories], self.bandwidths[categories]
        own = self.codes[rows][:, categories]
        jumps = 1 + (rng.random(own.shape) * (levels - 1)).astype(np.int64)  # to each other level alike
        jumps[rng.random(own.shape) >= leave] = 0
        draws[:, categories] = ((own + jumps) % levels + 0.5) / levels
        return draws

    def _log_density(self, points: FloatArray) -> FloatArray:
        """Log density at ``(m, d)`` checked points, by an ``(m, n)`` array of exponents."""
        from scipy.spatial.distance import cdist  # here, because importing autohpo must stay light

        ranges, categories = self._columns
        x = points[:, ranges]
        # cdist subtracts before it scales: an expanded square loses its digits once h is far below 1
        exponents = cdist(x, self.points[:, ranges], "sqeuclidean", w=0.5 / self.bandwidths[ranges] ** 2)
        np.subtract(self._log_constants, exponents, out=exponents)
        codes = _codes(points[:, categories], self.levels[categories])
        for column, (own, stay, leave) in zip(codes.T, self._log_kernels, strict=True):
            exponents += np.where(column[:, None] == own, stay, leave)
        if self.truncated:
            exponents[((x < 0.0) | (x > 1.0)).any(axis=1)] = -np.inf
        return _log_sum_exp(exponents)

    @cached_property
    def _columns(self) -> tuple[IntArray, IntArray]:
        """The column numbers of the ranges and of the categories."""
        return np.flatnonzero(self.levels == 0), np.flatnonzero(self.levels)

    @cached_property
    def codes(self) -> IntArray:
        """``(n, d)`` level of each value of the data, 0 in ranges."""
        return _codes(self.points, self.levels)

    @cached_property
    def _log_constants(self) -> FloatArray:
        """``(n,)`` what a row adds to its exponent wherever the query is: its weight 1/n and its normalisers.

        Rows of unequal weight would differ here, and in the draw of rows in `sample`.
        """
        ranges, _ = self._columns
        h = self.bandwidths[ranges]
        log_norms = np.full((len(self.points), len(ranges)), np.log(h) + LOG_SQRT_2PI)
        if self.truncated:
            log_norms += np.log(normal_mass(self.points[:, ranges], h))
        constants: FloatArray = -math.log(len(self.points)) - log_norms.sum(axis=1)
        return constants

    @cached_property
    def _log_kernels(self) -> list[tuple[IntArray, float, float]]:
        """Per category the ``(n,)`` levels of the data, and the log kernel at the same level, and at any other."""
        found = []
        for column in self._columns[1]:
            n_levels, h = int(self.levels[column]), float(self.bandwidths[column])
            stay = math.log1p(-h)  # 1 - h, Aitchison and Aitken 1976
            leave = math.log(h) - math.log(n_levels - 1) if h > 0 else -math.inf  # h / (L - 1)
            found.append((self.codes[:, column].copy(), stay, leave))
        return found


def normal_reference(points: ArrayLike, levels: ArrayLike, min_bandwidth: float = 0.0) -> FloatArray:
    """Return the ``(d,)`` rule-of-thumb bandwidths of ``(n, d)`` data: one number per column, no search.

    Ranges: ``1.06 std n^(-1/(4 + d))``, as statsmodels has it.

    Categories: averaged over the data, the kernel turns the shares f = c/n of the levels into
    ``(1 - w) f + w/L`` with ``w = h L/(L - 1)``: it shrinks them towards equal shares. Two classic choices
    of w follow from the counts c alone, in whatever order the levels stand, and the wider is taken:

    * variance of the shares over their mean squared distance from 1/L, both estimated without bias, at most
      1: ``L (n^2 - sum c^2) / ((n - 1) (L sum c^2 - n^2))``, the w of least expected squared error.
    * ``L/(n + L)``, which makes the shares the posterior mean with a pseudo-count of one for each level
      (Laplace's rule). It keeps an unseen level within reach, however well the data agree.

    It departs from statsmodels, whose standard deviation of codes depends on their order and grows with L.

    Args:
        points: ``(n, d)`` data in the unit cube, at least one row.
        levels: ``(d,)`` 0 for a range, L >= 1 for a category, as in `MixedKDE`.
        min_bandwidth: floor of every bandwidth; a category stays at (L-1)/L or less all the same. Without it,
            a range whose data are all equal gets 0, for which `MixedKDE` raises an error.

    Raises:
        ValueError: a shape, a value outside the cube, a NaN, or a negative floor.

    Source: Silverman 1986, section 3.4; Hausser and Strimmer 2009, JMLR 10, for the least expected error.
    """
    points, levels = _checked_data(points, levels)
    n, d = points.shape
    bandwidths = 1.06 * points.std(axis=0) * n ** (-1.0 / (4 + d))  # Silverman 1986, eq. 3.28, with d columns
    codes = _codes(points, levels)
    for column in np.flatnonzero(levels):
        n_levels = int(levels[column])
        # integers, so that the sum is exact and no order of the levels can change a digit
        squares = sum(count * count for count in np.bincount(codes[:, column]).tolist())
        variance, distance = n_levels * (n * n - squares), max(n - 1, 1) * (n_levels * squares - n * n)
        best = 1.0 if distance <= variance else variance / distance  # w of least expected squared error
        shrinkage = max(best, n_levels / (n + n_levels))  # w of Laplace's rule
        bandwidths[column] = shrinkage * (n_levels - 1) / n_levels  # h = w (L - 1) / L
    return _within_bounds(bandwidths, levels, min_bandwidth)


def cv_ml_bandwidths(points: ArrayLike, levels: ArrayLike, min_bandwidth: float = 0.0) -> FloatArray:
    """Return the ``(d,)`` bandwidths under which each point of the data is likeliest, given all the others.

    The search is that of statsmodels (``KDEMultivariate``, ``bw="cv_ml"``), with its plain Gaussians and
    its L, the levels seen; its result is brought within bounds. It takes seconds for tens of points. A column
    whose data are all equal is left out and gets the lowest bandwidth, where its likelihood is highest.

    Args:
        points: ``(n, d)`` data in the unit cube, more rows than columns that vary.
        levels: ``(d,)`` 0 for a range, L >= 1 for a category, as in `MixedKDE`.
        min_bandwidth: floor of every bandwidth; a category stays at (L-1)/L or less all the same.

    Raises:
        ValueError: as in `normal_reference`; too few rows; a category seen at two levels, at one of them only
            once (statsmodels divides by 0 there); a search that ends at no finite bandwidth.

    Source: Li and Racine 2003, J. Multivariate Analysis 86, section 2.
    """
    points, levels = _checked_data(points, levels)
    codes = _codes(points, levels)
    data = np.where(levels > 0, (codes + 0.5) / np.maximum(levels, 1), points)  # equal levels, equal values
    varying = np.flatnonzero((data != data[0]).any(axis=0))
    if len(data) <= len(varying):
        rule = f"more rows than the {len(varying)} columns that vary"
        raise ValueError(f"points: must have {rule}, got {len(data)} rows")
    for column in varying[levels[varying] > 0]:
        counts = np.unique(codes[:, column], return_counts=True)[1]
        if len(counts) == 2 and counts.min() == 1:
            rule = f"each of the two levels seen in column {column} at least twice"
            raise ValueError(f"points: must have {rule}, got counts {counts.tolist()}")
    bandwidths = np.zeros(len(levels))
    if len(varying):
        bandwidths[varying] = _search_cv_ml(data[:, varying], levels[varying])
    return _within_bounds(bandwidths, levels, min_bandwidth)


def _search_cv_ml(data: FloatArray, levels: IntArray) -> FloatArray:
    """The ``(d,)`` bandwidths that statsmodels finds; every column must vary."""
    from statsmodels.nonparametric.kernel_density import KDEMultivariate  # slow to import, and seldom needed

    kinds = "".join("u" if n_levels else "c" for n_levels in levels)
    with warnings.catch_warnings(), np.errstate(all="ignore"):  # its search steps over negative bandwidths
        warnings.simplefilter("ignore", FutureWarning)  # about a generator that this search does not use
        bandwidths = np.asarray(KDEMultivariate(data, kinds, bw="cv_ml").bw, dtype=float)
    if not np.isfinite(bandwidths).all():
        raise ValueError(f"points: cv_ml must end at finite bandwidths, got {bandwidths.tolist()}")
    return bandwidths


def _within_bounds(bandwidths: FloatArray, levels: IntArray, min_bandwidth: float) -> FloatArray:
    """Bandwidths at least as wide as the floor, and those of categories at most (L-1)/L."""
    if not 0.0 <= min_bandwidth <= _WIDEST:
        raise ValueError(f"min_bandwidth: must be in [0, {_WIDEST}], got {min_bandwidth}")
    return np.minimum(np.maximum(bandwidths, min_bandwidth), _largest_bandwidths(levels))


def _largest_bandwidths(levels: IntArray) -> FloatArray:
    """``(d,)`` (L-1)/L for categories, beyond which the kernel prefers other levels; 1e150 for ranges."""
    return np.where(levels > 0, (levels - 1) / np.maximum(levels, 1), _WIDEST)


def _codes(points: FloatArray, levels: IntArray) -> IntArray:
    """``(m, d)`` level of each value, 0 in ranges; the value 1 belongs to the last level."""
    codes = np.zeros(points.shape, dtype=np.int64)
    categories = np.flatnonzero(levels)
    if len(categories):
        counts = levels[categories]
        codes[:, categories] = np.minimum(np.floor(points[:, categories] * counts), counts - 1)
    return codes


def normal_mass(centres: FloatArray, scales: FloatArray) -> FloatArray:
    """Return the mass within [0, 1] of Gaussians centred in [0, 1]; a sum of two parts >= 0, so nothing cancels."""
    from scipy.special import erf

    widths = math.sqrt(2.0) * scales
    mass: FloatArray = 0.5 * (erf(centres / widths) + erf((1.0 - centres) / widths))
    return mass


def _truncated_normal(centres: FloatArray, scales: FloatArray, rng: np.random.Generator) -> FloatArray:
    """One draw within [0, 1] from each Gaussian centred in [0, 1], by the inverse cdf.

    The upper half is drawn by its tail: near 1 a cdf has no digits left to tell two values apart.
    """
    from scipy.special import ndtr, ndtri

    uniforms = np.maximum(rng.random(centres.shape), _SMALLEST_UNIFORM)
    mass = normal_mass(centres, scales)
    below = ndtr(-centres / scales) + uniforms * mass
    above = ndtr((centres - 1.0) / scales) + (1.0 - uniforms) * mass
    steps = np.where(below < above, ndtri(below), -ndtri(above))
    drawn: FloatArray = np.clip(centres + scales * steps, 0.0, 1.0)  # a draw at an end may leave by a rounding
    return drawn


def _log_sum_exp(exponents: FloatArray) -> FloatArray:
    """Log of the sum of exp along axis 1, overwriting its input; -inf where every term is."""
    peaks = exponents.max(axis=1)
    peaks[peaks == -np.inf] = 0.0  # -inf - -inf is NaN
    exponents -= peaks[:, None]
    with np.errstate(divide="ignore"):  # log 0 is the -inf wanted
        log_sums: FloatArray = peaks + np.log(np.exp(exponents, out=exponents).sum(axis=1))
    return log_sums


def _checked_data(points: ArrayLike, levels: ArrayLike) -> tuple[FloatArray, IntArray]:
    """Copies of the data and of its levels, or an error."""
    points = np.array(points, dtype=float)
    levels = np.array(levels)
    if points.ndim != 2 or 0 in points.shape:
        raise ValueError(f"points: must have shape (n, d) with n, d >= 1, got shape {points.shape}")
    if levels.shape != (points.shape[1],):
        raise ValueError(f"levels: must have shape {(points.shape[1],)}, got shape {levels.shape}")
    if levels.dtype.kind not in "iu" or (levels < 0).any():
        raise ValueError(f"levels: must be integers, 0 or more, got {levels.tolist()}")
    legal = (points >= 0.0) & (points <= 1.0)  # False for NaN
    if not legal.all():
        row, column = np.argwhere(~legal)[0]
        place = f"at row {row}, column {column}"
        raise ValueError(f"points: must lie in the unit cube, got {points[row, column]} {place}")
    return points, levels.astype(np.int64)


def _checked_bandwidths(bandwidths: ArrayLike, levels: IntArray) -> FloatArray:
    """A copy of bandwidths that give every column a proper density, or an error."""
    bandwidths = np.array(bandwidths, dtype=float)
    if bandwidths.shape != levels.shape:
        raise ValueError(f"bandwidths: must have shape {levels.shape}, got shape {bandwidths.shape}")
    lowest, highest = np.where(levels > 0, 0.0, _NARROWEST), _largest_bandwidths(levels)
    legal = (bandwidths >= lowest) & (bandwidths <= highest)  # False for NaN
    if not legal.all():
        column = np.flatnonzero(~legal)[0]
        rule = f"in [{lowest[column]}, {highest[column]}] in column {column}"
        raise ValueError(f"bandwidths: must be {rule}, got {bandwidths[column]}")
    return bandwidths


def _checked_queries(points: ArrayLike, levels: IntArray) -> FloatArray:
    """``(m, d)`` points whose density can be asked for, or an error."""
    points = np.asarray(points, dtype=float)
    if points.ndim != 2 or points.shape[1] != len(levels):
        raise ValueError(f"points: must have shape (m, {len(levels)}), got shape {points.shape}")
    legal = np.isfinite(points) & ((levels == 0) | ((points >= 0.0) & (points <= 1.0)))
    if not legal.all():
        row, column = np.argwhere(~legal)[0]
        rule = "be finite" if levels[column] == 0 else "lie in [0, 1]"
        raise ValueError(f"points: must {rule} in column {column}, got {points[row, column]} at row {row}")
    return points
