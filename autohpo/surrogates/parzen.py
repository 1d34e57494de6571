"""Parzen estimators: a uniform prior and one product kernel for each point, over ranges, cells and categories.

Densities are those of the unit cube: a column of few values has the density that is flat in each value's cell, so the
prior is 1 everywhere, whatever a user believes of the parameters. A column may be inactive in a point, as its parameter
is there: then the point says nothing of it, and its kernel there is the prior.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from autohpo.surrogates.arrays import BoolArray, FloatArray, IntArray
from autohpo.surrogates.parzen_columns import Columns, Encoded

LOG_SQRT_2PI = 0.5 * math.log(2.0 * math.pi)
MOST_PSEUDO_COUNTS = 10
"""Observations that the prior of a category counts for at most."""
_LARGEST_LOG = 500.0
NO_MASS = 1e-300
"""The number in the place of 0 where a logarithm is taken."""


@dataclass(frozen=True, eq=False)
class ParzenEstimator:
    """A weighted mixture of the uniform density and one product kernel for each point; exact, for few points.

    The density at x is ``(w_0 + sum_i w_i prod_j k_j(x_j | x_ij, h_j)) / sum w``; the prior is the term w_0. The kernel
    k_j of a real column is a Gaussian around the point's value, cut at 0 and 1 and normalised there; that of an ordered
    column of values is the mean of that Gaussian in each cell; a category stays as it is with probability 1 - h and
    else follows the prior, so that for L even levels it is left with probability h (L - 1)/L.

    Attributes:
        columns: The meaning of the columns.
        centres: The n points; n may be 0.
        weights: ``(n,)`` weights of the points, 0 or more; only their ratio to each other and to `prior_weight` counts.
        bandwidths: ``(d,)`` standard deviations, at least 1e-4; of categories the chance h of following the prior.
        prior_weight: The weight w_0 of the uniform density, above 0.

    Raises:
        ValueError: A shape, a negative weight, no prior weight, or a bandwidth outside its bounds.

    Source: Bergstra et al. 2011, NeurIPS 24, section 4; product kernels: Falkner et al. 2018, ICML, and Watanabe 2023,
    arXiv 2304.11127, section 3; categories: Aitchison and Aitken 1976, Biometrika 63(3), with the prior in the place of
    equal chances.

    Example:
        >>> columns = Columns(np.array([0, 2]), [None, None])
        >>> centres = columns.encoded(np.array([[0.2, 0.25]]))
        >>> estimator = ParzenEstimator(columns, centres, np.ones(1), np.array([0.1, 0.4]))
        >>> near, far = estimator.log_density(columns.encoded(np.array([[0.25, 0.25], [0.9, 0.75]])))
        >>> bool(near > far)
        True
        >>> estimator.sample(5, np.random.default_rng(0)).points.shape
        (5, 2)
    """

    columns: Columns
    centres: Encoded
    weights: FloatArray
    bandwidths: FloatArray
    prior_weight: float = 1.0

    def __post_init__(self) -> None:
        if self.weights.shape != (len(self.centres),) or not (self.weights >= 0).all():
            raise ValueError(f"weights: must be {len(self.centres)} numbers >= 0, got {self.weights!r:.80}")
        if not self.prior_weight > 0:
            raise ValueError(f"prior_weight: must be above 0, got {self.prior_weight}")
        self.columns.check_bandwidths(self.bandwidths)

    # What does not depend on the queries is kept: the same estimator is asked again while good trials stay the same.

    @cached_property
    def _own(self) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
        """Of the ordered columns: ``(n, o)`` values, masses below 0 and within [0, 1]; ``(o,)`` widths."""
        from scipy.special import ndtr  # here, because importing autohpo must stay light

        kind = self.columns.ordered
        x, h = self.centres.points[:, kind], self.bandwidths[kind]
        below = ndtr(-x / h)
        return x, below, ndtr((1.0 - x) / h) - below, h

    @cached_property
    def _real_parts(self) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Of the real columns: ``(r,)`` widths; ``(n, r)`` values from the middle in widths, and log constants."""
        kind = self.columns.reals
        h = self.bandwidths[kind]
        steps = (self.centres.points[:, kind] - 0.5) / h
        mass = self._own[2][:, : len(kind)]
        return h, steps, -0.5 * steps * steps - np.log(h * mass) - LOG_SQRT_2PI

    @cached_property
    def _log_weights(self) -> tuple[FloatArray, float, float]:
        """``(n,)`` of the points, of the uniform density, and of all together."""
        with np.errstate(divide="ignore"):  # a weight of 0 leaves its point out: exp(-inf) is 0
            total = math.log(self.weights.sum() + self.prior_weight)
            return np.log(self.weights), math.log(self.prior_weight), total

    def log_density(self, queries: Encoded) -> FloatArray:
        """``(m,)`` log density at m points; always finite."""
        log_weights, log_prior, log_total = self._log_weights
        logs = self._log_kernels(queries)
        logs += log_weights
        return log_mixture(logs, np.full(len(queries), log_prior)) - log_total

    def _log_kernels(self, queries: Encoded) -> FloatArray:
        """``(m, n)`` log kernel of each point at each query."""
        columns, both = self.columns, shared(queries, self.centres)
        if both is None:
            product = self._log_reals(queries)
            for part in self._log_ordinals(queries):
                product += part
            if len(columns.categories):
                product += self._log_categories(queries).sum(axis=2)
            return product
        h, steps, constants = self._real_parts
        asked = (queries.points[:, columns.reals] - 0.5) / h
        parts = [asked[:, None] * steps - 0.5 * (asked * asked)[:, None] + constants, self._log_categories(queries)]
        kinds = [columns.reals, columns.categories]
        logs: FloatArray = np.zeros(both.shape[:2])
        for kind, part in zip(kinds, parts, strict=True):
            logs += np.where(both[:, :, kind], part, 0.0).sum(axis=2)
        for j, part in zip(columns.ordinals, self._log_ordinals(queries), strict=True):
            logs += np.where(both[:, :, j], part, 0.0)
        return logs

    def _log_reals(self, queries: Encoded) -> FloatArray:
        """``(m, n)`` log kernels of all real columns: with the square expanded, a product of matrices."""
        h, steps, constants = self._real_parts
        asked = (queries.points[:, self.columns.reals] - 0.5) / h
        logs: FloatArray = asked @ steps.T
        logs -= 0.5 * (asked * asked).sum(axis=1)[:, None]
        logs += constants.sum(axis=1)
        return logs

    @cached_property
    def _log_tables(self) -> list[FloatArray]:
        """``(V, n)`` for each column of ordered values: the log kernel of each point at each value."""
        n_reals, tables = len(self.columns.reals), list[FloatArray]()
        x, _, mass, h = self._own
        for place, j in enumerate(self.columns.ordinals, start=n_reals):
            edges = np.asarray(self.columns.edges[j])
            tables.append(log_cell_densities(edges, x[:, place], h[place], mass[:, place]))
        return tables

    def _log_ordinals(self, queries: Encoded) -> list[FloatArray]:
        """``(m, n)`` log kernels of each column of ordered values."""
        kinds = zip(self.columns.ordinals, self._log_tables, strict=True)
        return [table[queries.codes[:, j]] for j, table in kinds]

    def _log_categories(self, queries: Encoded) -> FloatArray:
        """``(m, n, c)`` log kernels of the categories."""
        kind = self.columns.categories
        codes, h = queries.codes[:, None, kind], self.bandwidths[kind]
        low, high = self.columns.cells(codes, kind)
        stays = np.log(h + (1.0 - h) / (high - low))
        return np.where(codes == self.centres.codes[:, kind], stays, np.log(h))

    def sample(self, n: int, rng: np.random.Generator) -> Encoded:
        """Draw n points; in a column of values each is the middle of a cell. All columns count as active."""
        from scipy.special import ndtri

        columns, centres, n_points = self.columns, self.centres, len(self.centres)
        uniforms = rng.random((n, 1 + len(columns.levels)))
        ends = np.cumsum(np.append(self.weights, self.prior_weight))
        rows = np.searchsorted(ends[:-1], uniforms[:, 0] * ends[-1], side="right")
        draws = uniforms[:, 1:]  # as they are, they follow the prior; the kernels bend those that are a point's
        if not n_points:
            return columns.snap(draws)
        is_bent = (rows < n_points)[:, None]
        rows = np.minimum(rows, n_points - 1)
        if centres.active is not None:
            is_bent = is_bent & centres.active[rows]
        bent, kind = centres.points[rows], columns.categories
        h, z = self.bandwidths[kind], draws[:, kind]
        bent[:, kind] = np.where(z < h, np.minimum(z / h, 1.0), bent[:, kind])  # z / h is uniform again
        x, below, mass, h = self._own
        z = x[rows] + h * ndtri(below[rows] + draws[:, columns.ordered] * mass[rows])
        bent[:, columns.ordered] = np.minimum(np.maximum(z, 0.0), 1.0)
        return columns.snap(np.where(is_bent, bent, draws))


def log_mixture(logs: FloatArray, log_priors: FloatArray) -> FloatArray:
    """``(m,)`` log sum of ``(m, n)`` log kernels with their weights, which are overwritten, and ``(m,)`` log priors."""
    peaks: FloatArray = np.maximum(logs.max(axis=1, initial=-np.inf), log_priors)
    if peaks.max() < _LARGEST_LOG and log_priors.min() > -_LARGEST_LOG:  # then exp neither overflows nor vanishes
        found: FloatArray = np.log(np.exp(logs, out=logs).sum(axis=1) + np.exp(log_priors))
        return found
    logs -= peaks[:, None]
    peaks += np.log(np.exp(logs, out=logs).sum(axis=1) + np.exp(log_priors - peaks))
    return peaks


def gaussian_mass(x: FloatArray, h: FloatArray) -> FloatArray:
    """Return the share of Gaussians around x, of width h, that lies in [0, 1]."""
    from scipy.special import ndtr  # here, because importing autohpo must stay light

    mass: FloatArray = ndtr((1.0 - x) / h) - ndtr(-x / h)
    return mass


def log_cell_densities(edges: FloatArray, x: FloatArray, h: float, mass: FloatArray) -> FloatArray:
    """``(V, n)`` log mean density in V cells of Gaussians cut at 0 and 1.

    Far above its centre a Gaussian's mass has no digits left: it is then wrong by 1e-16, beside a uniform density.

    Args:
        edges: ``(V + 1,)`` ends of the cells.
        x: ``(n,)`` centres.
        h: The width of the Gaussians.
        mass: ``(n,)`` the share of each Gaussian that lies in [0, 1].
    """
    from scipy.special import ndtr

    shares = np.diff(ndtr((edges[:, None] - x) / h), axis=0)
    logs: FloatArray = np.log(np.maximum(shares / (mass * np.diff(edges)[:, None]), NO_MASS))
    return logs


def shared(queries: Encoded, points: Encoded) -> BoolArray | None:
    """``(m, n, d)`` which columns are active both in a query and in a point; None where all are."""
    theirs, ours = queries.active, points.active
    if theirs is None and ours is None:
        return None
    theirs = np.ones(queries.points.shape, dtype=bool) if theirs is None else theirs
    ours = np.ones(points.points.shape, dtype=bool) if ours is None else ours
    both: BoolArray = theirs[:, None, :] & ours
    return both


def closeness(columns: Columns, bandwidths: FloatArray, queries: Encoded, points: Encoded) -> FloatArray:
    """``(m, n)`` how near n points are to m queries: 1 where they are the same, 0 far away.

    It is the product kernel of the bandwidths, relative to its height at the point itself; columns that are inactive in
    one of the two do not tell them apart.
    """
    ordered, kind = columns.ordered, columns.categories
    logs = np.zeros((len(queries), len(points), len(bandwidths)))
    steps = (queries.points[:, None, ordered] - points.points[:, ordered]) / bandwidths[ordered]
    logs[:, :, ordered] = -0.5 * steps * steps
    low, high = columns.cells(points.codes[:, kind], kind)
    h, is_same = bandwidths[kind], queries.codes[:, None, kind] == points.codes[:, kind]
    logs[:, :, kind] = np.where(is_same, 0.0, np.log(h / (h + (1.0 - h) / (high - low))))
    both = shared(queries, points)
    near: FloatArray = np.exp((logs if both is None else np.where(both, logs, 0.0)).sum(axis=2))
    return near


def spread_bandwidths(
    columns: Columns, centres: Encoded, weights: FloatArray, factor: float = 1.06, floor: float = 0.01
) -> FloatArray:
    """``(d,)`` bandwidths that follow the spread of n >= 1 points with ``(n,)`` weights in each column.

    Ordered columns: ``factor std n^(-1/(d + 4))``, at least `floor`. The variance is that of n weighted points and
    one more of the uniform density's, 1/12: so few points, or equal ones, do not mean certainty.
    Categories: ``L/(n + L)``, with which the mixture gives n points of one level the posterior mean with a pseudo-count
    of one for each level (Laplace's rule); for L > 10 as if L were 10. n counts the points in which the column is
    active.

    Source: Silverman 1986, section 3.4.2 (the factor 1.06) and section 4.3.2 (the exponent in d dimensions).
    """
    points, active = centres.points, centres.active
    n, d = points.shape
    counts: IntArray | int = n
    shares = (weights / weights.sum())[:, None]
    if active is not None:
        counts, shares = active.sum(axis=0), weights[:, None] * active
        shares = shares / np.maximum(shares.sum(axis=0), NO_MASS)
    offsets = points - (shares * points).sum(axis=0)
    variances = (shares * offsets * offsets).sum(axis=0)
    deviations = np.sqrt((counts * variances + 1 / 12) / (counts + 1))
    widths = np.maximum(factor * deviations * np.maximum(counts, 1) ** (-1 / (d + 4)), floor)
    return np.where(columns.levels > 0, laplace_bandwidths(columns, counts), widths)


def laplace_bandwidths(columns: Columns, counts: IntArray | int) -> FloatArray:
    """``(d,)`` chances of following the prior under Laplace's rule; of no use in ordered columns.

    With L levels n points count against a pseudo-count of one for each, as far as 10: many levels are never all seen.
    """
    pseudo_counts = np.minimum(np.maximum(columns.levels, 1), MOST_PSEUDO_COUNTS)
    widths: FloatArray = pseudo_counts / (counts + pseudo_counts)
    return widths
