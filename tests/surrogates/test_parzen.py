"""Parzen estimators against scipy's truncated normal, quadrature and closed forms."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from numpy.polynomial.legendre import leggauss
from scipy import special, stats

from autohpo.surrogates.parzen import ParzenEstimator, closeness, laplace_bandwidths, spread_bandwidths
from autohpo.surrogates.parzen_columns import Columns

EDGES = np.array([0.0, 0.1, 0.275, 0.6, 1.0])  # of an ordered column: cells of four lengths
MIDDLES = (EDGES[1:] + EDGES[:-1]) / 2
SHARES = np.array([0.5, 0.2, 0.3])  # of three categories, as a user's prior has them
LEVELS = np.array([0.25, 0.6, 0.85])  # the middles of their cells
MIXED = Columns(np.array([0, 3, 0, 0]), [None, np.array([0, 0.5, 0.7, 1]), EDGES, None])
WIDTHS = np.array([0.1, 0.45, 0.07, 0.25])


def mixed_points(n, seed=0):
    """``(n, 4)`` points of the columns of MIXED; the ends of the ranges among them."""
    rng = np.random.default_rng(seed)
    points = rng.random((n, 4))
    points[0, 0], points[-1, 0] = 0.0, 1.0
    points[:, 1] = LEVELS[rng.integers(3, size=n)]
    points[:, 2] = MIDDLES[rng.integers(4, size=n)]
    return points


def some_active(n, seed=5):
    """``(n, 4)`` a mask that spares no kind of column."""
    return np.random.default_rng(seed).random((n, 4)) < 0.6


def truncated(centre, h):
    """Scipy's Gaussian cut at 0 and 1."""
    return stats.truncnorm(-centre / h, (1 - centre) / h, loc=centre, scale=h)


def log_kernels(queries, x):
    """``(m, 4)`` log kernels of a point x, as densities of the unit cube."""
    ordinal = truncated(x[2], WIDTHS[2])
    cells = abs(MIDDLES - queries[:, 2:3]).argmin(axis=1)
    shares = SHARES[abs(LEVELS - queries[:, 1:2]).argmin(axis=1)]
    stays = WIDTHS[1] + (1 - WIDTHS[1]) / shares * (abs(queries[:, 1] - x[1]) < 1e-9)
    means = (ordinal.cdf(EDGES[cells + 1]) - ordinal.cdf(EDGES[cells])) / np.diff(EDGES)[cells]
    ranges = [truncated(x[j], WIDTHS[j]).logpdf(queries[:, j]) for j in (0, 3)]
    return np.column_stack([ranges[0], np.log(stays), np.log(means), ranges[1]])


def plain_log_density(queries, points, weights, prior_weight, query_active=None, active=None):
    """The mixture over the columns of MIXED, kernel by kernel; a column without meaning has the prior's density, 1."""
    theirs = np.ones(queries.shape, bool) if query_active is None else query_active
    ours = np.ones(points.shape, bool) if active is None else active
    terms = [np.full(len(queries), np.log(prior_weight))]
    for x, our, weight in zip(points, ours, weights, strict=True):
        terms.append(np.log(weight) + (log_kernels(queries, x) * (theirs & our)).sum(axis=1))
    return special.logsumexp(terms, axis=0) - np.log(np.sum(weights) + prior_weight)


def estimator(points, weights, prior_weight=1.0, columns=MIXED, widths=WIDTHS, active=None):
    """The estimator under test."""
    centres = columns.encoded(np.asarray(points, float), active)
    return ParzenEstimator(columns, centres, np.asarray(weights, float), np.asarray(widths, float), prior_weight)


def density(parzen, queries, active=None):
    """Its log density at points."""
    return parzen.log_density(parzen.columns.encoded(np.asarray(queries, float), active))


@pytest.mark.parametrize("active", [None, some_active(12)])
@pytest.mark.parametrize("query_active", [None, some_active(40)])
def test_density_equals_the_mixture_built_from_scipy(active, query_active):
    """Absolute 1e-10: the exponents stay below 100, and differences of cdfs keep 12 digits at these widths."""
    points, queries = mixed_points(12), mixed_points(40, seed=1)
    weights = np.linspace(0.2, 1.0, 12)
    found = density(estimator(points, weights, 0.7, active=active), queries, query_active)
    expected = plain_log_density(queries, points, weights, 0.7, query_active, active)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-10)


def test_density_integrates_to_one():
    """Gauss-Legendre with 60 nodes an axis, right to 1e-12 for a Gaussian of width .1; a cell counts by its length."""
    nodes, masses = leggauss(60)
    nodes, masses = (nodes + 1) / 2, masses / 2
    cells = list(product(range(60), range(3), range(4), range(60)))
    queries = np.array([[nodes[a], LEVELS[b], MIDDLES[c], nodes[d]] for a, b, c, d in cells])
    lengths = np.diff(EDGES)
    volumes = np.array([masses[a] * SHARES[b] * lengths[c] * masses[d] for a, b, c, d in cells])
    found = np.exp(density(estimator(mixed_points(7), np.ones(7), 0.5), queries))
    assert volumes @ found == pytest.approx(1.0, abs=1e-9)


def test_density_without_points_is_that_of_the_prior():
    """One everywhere in the unit cube."""
    assert density(estimator(np.empty((0, 4)), np.empty(0)), [[0.3, 0.6, 0.8, 0.9]]).tolist() == [0.0]


@pytest.mark.parametrize("h", [1e-4, 1e-3, 1e3])
def test_density_is_finite_and_right_at_extreme_widths_in_many_columns(h):
    """300 ranges: densities near exp(+-2500) a point. Rounding of a square is 2.5e7 EPS at h = 1e-4, times 300."""
    columns = Columns(np.zeros(300, dtype=np.int64), [None] * 300)
    points = np.random.default_rng(0).random((3, 300))
    queries = np.vstack([points[0], np.clip(points[0] + h, 0, 1), 1 - points[0]])
    found = density(estimator(points, np.ones(3), 1.0, columns, np.full(300, h)), queries)
    z, x = queries[:, None], points[None]
    kernels = stats.truncnorm.logpdf(z, -x / h, (1 - x) / h, loc=x, scale=h).sum(axis=2)
    expected = special.logsumexp(np.column_stack([kernels, np.zeros(3)]), axis=1) - np.log(4)
    assert np.isfinite(found).all()
    np.testing.assert_allclose(found, expected, rtol=0, atol=300 * (0.5 / h**2 + 1) * 4 * np.finfo(float).eps + 1e-9)


@pytest.mark.parametrize(("point", "far"), [(0.25, 0.75), (0.75, 0.25)])
def test_a_cell_far_from_its_points_has_no_mass_and_no_nan(point, far):
    """A cell 50 widths away: its kernel's mass is below the smallest double, so the prior's share is left."""
    columns = Columns(np.array([0]), [np.array([0.0, 0.5, 1.0])])
    found = density(estimator([[point]], [1.0], 1.0, columns, [0.005]), [[far], [point]])
    np.testing.assert_allclose(np.exp(found), [0.5, 1.5], rtol=1e-12)


def test_a_level_nobody_sampled_has_the_mass_of_the_kernels_tails():
    """Trap of estimators that count seen levels: L is every level there is. Left with .4, to 3 others evenly."""
    columns = Columns(np.array([4]), [None])
    found = np.exp(density(estimator(np.full((5, 1), 0.125), np.ones(5), 1.0, columns, [0.4]), [[0.125], [0.875]]))
    np.testing.assert_allclose(found / 4, [(5 * 0.7 + 0.25) / 6, (5 * 0.1 + 0.25) / 6], rtol=1e-14)


def test_points_are_moved_to_the_middles_of_their_cells():
    """0 is of the first category and cell, 1 of the last; an inner end belongs to the upper cell."""
    coded = MIXED.snap(np.array([[0.0, 0.0, 0.0, 0.0], [1.0, 1.0, 1.0, 1.0], [0.5, 0.5, 0.6, 0.5]]))
    np.testing.assert_allclose(coded.points, [[0, 0.25, 0.05, 0], [1, 0.85, 0.8, 1], [0.5, 0.6, 0.8, 0.5]], rtol=1e-15)
    assert coded.codes.tolist() == [[0, 0, 0, 0], [0, 2, 3, 0], [0, 1, 3, 0]]
    even = Columns(np.array([5]), [None])
    np.testing.assert_allclose(even.snap(np.array([[0.0], [0.2], [0.999], [1.0]])).points[:, 0], [0.1, 0.3, 0.9, 0.9])


def test_a_weight_of_zero_leaves_a_point_out():
    """The same as an estimator without the point."""
    points, queries = mixed_points(6), mixed_points(20, seed=1)
    found = density(estimator(points, [1, 0, 2, 0, 1, 1]), queries)
    expected = density(estimator(points[[0, 2, 4, 5]], [1, 2, 1, 1]), queries)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-13)


def test_draws_follow_the_density():
    """20,000 draws with a fixed seed: Kolmogorov-Smirnov in the ranges, chi square in the cells, level 1e-3.

    Two points know nothing of two of the columns: there they draw from the prior.
    """
    points, weights = mixed_points(5), np.array([1.0, 2.0, 0.0, 1.0, 3.0])
    active = np.ones((5, 4), dtype=bool)
    active[3:, [0, 1]] = active[[0, 4], 2] = False
    draws = estimator(points, weights, 2.0, active=active).sample(20_000, np.random.default_rng(3)).points
    shares = np.append(weights, 2.0) / 9.0
    for j in (0, 3):
        parts = [truncated(x[j], WIDTHS[j]) if a[j] else stats.uniform() for x, a in zip(points, active, strict=True)]
        parts.append(stats.uniform())
        cdf = lambda z, parts=parts: sum(s * part.cdf(z) for s, part in zip(shares, parts, strict=True))
        assert stats.kstest(draws[:, j], cdf).pvalue > 1e-3
    level = np.where(abs(LEVELS - points[:, 1:2]) < 1e-9, 0.55, 0) + 0.45 * SHARES
    cell = np.array([np.diff(truncated(x, WIDTHS[2]).cdf(EDGES)) for x in points[:, 2]])
    for j, values, own, prior in ((1, LEVELS, level, SHARES), (2, MIDDLES, cell, np.diff(EDGES))):
        probabilities = np.vstack([np.where(active[:, [j]], own, prior), prior])
        counts = (abs(draws[:, [j]] - values) < 1e-12).sum(axis=0)
        assert counts.sum() == 20_000  # exactly the values, nothing between
        assert stats.chisquare(counts, 20_000 * shares @ probabilities).pvalue > 1e-3


def test_draws_keep_together_what_is_together():
    """Two far points: a draw takes all its columns from one of them."""
    columns = Columns(np.array([0, 0]), [None, None])
    parzen = estimator([[0.1, 0.1], [0.9, 0.9]], [1.0, 1.0], 1e-9, columns, [0.01, 0.01])
    draws = parzen.sample(500, np.random.default_rng(0)).points
    assert (abs(draws[:, 0] - draws[:, 1]) < 0.2).all()
    assert 0.4 < (draws[:, 0] < 0.5).mean() < 0.6  # 4 standard deviations of a fair coin are .09


def test_draws_without_points_follow_the_prior():
    """The uniform numbers themselves, in the middles of their cells."""
    drawn = estimator(np.empty((0, 4)), np.empty(0)).sample(9, np.random.default_rng(4)).points
    uniforms = np.random.default_rng(4).random((9, 5))[:, 1:]
    np.testing.assert_array_equal(drawn, MIXED.snap(uniforms).points)


@pytest.mark.parametrize("active", [None, some_active(7)])
def test_closeness_is_the_kernel_relative_to_its_height(active):
    """Scipy's normal density over that at its mean; a category's kernel over that of staying; 1 at the point itself."""
    points, queries = mixed_points(7), np.vstack([mixed_points(9, seed=1), mixed_points(7)])
    found = closeness(MIXED, WIDTHS, MIXED.encoded(queries), MIXED.encoded(points, active))
    expected = np.ones((16, 7))
    for j in range(4):
        z, x = queries[:, [j]], points[:, j]
        own = stats.norm.pdf(z, x, WIDTHS[j]) / stats.norm.pdf(0, 0, WIDTHS[j])
        if j == 1:
            shares = SHARES[abs(LEVELS - x[:, None]).argmin(axis=1)]
            own = np.where(abs(z - x) < 1e-9, 1.0, 0.45 / (0.45 + 0.55 / shares))
        expected *= own if active is None else np.where(active[:, j], own, 1.0)
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    assert np.diag(found[9:]).tolist() == [1.0] * 7


def test_category_bandwidths_are_laplaces_rule():
    """16 points of one of 3 even levels, after one of each: 17/19; it is kept with 1 - h 2/3. 5000 count as 10."""
    columns = Columns(np.array([3]), [None])
    assert laplace_bandwidths(Columns(np.array([5000]), [None]), 30).tolist() == [0.25]
    stays = 1 - laplace_bandwidths(columns, np.array([16]))[0] * 2 / 3
    assert stays == pytest.approx(17 / 19, rel=1e-14)


@pytest.mark.parametrize("active", [None, some_active(16)])
def test_spread_bandwidths_are_silvermans_with_one_uniform_point_more(active):
    """Numpy's weighted covariance of the points that know the column as the oracle of the variance."""
    points, weights = mixed_points(16), np.linspace(1, 0.1, 16)
    expected = []
    for j in range(4):
        known = np.ones(16, bool) if active is None else active[:, j]
        n, variance = known.sum(), np.cov(points[known, j], aweights=weights[known], ddof=0)
        expected.append(1.06 * np.sqrt((n * variance + 1 / 12) / (n + 1)) * n ** (-1 / 8))
    expected[1] = 3 / (3 + (16 if active is None else active[:, 1].sum()))
    found = spread_bandwidths(MIXED, MIXED.encoded(points, active), weights)
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_a_column_that_no_point_knows_has_the_width_of_the_prior():
    """The uniform density's standard deviation, sqrt(1/12), and no NaN; a category follows the prior."""
    active = np.ones((4, 4), dtype=bool)
    active[:, [0, 1]] = False
    found = spread_bandwidths(MIXED, MIXED.encoded(mixed_points(4), active), np.ones(4))
    np.testing.assert_allclose(found[:2], [1.06 * np.sqrt(1 / 12), 1.0], rtol=1e-12)


def test_spread_bandwidths_of_equal_points_shrink_to_the_floor_and_no_further():
    """10,000 equal points: 1.06 sqrt(1/12/10001) 10000^(-1/5) = 4.9e-4 lies below the floor of .01."""
    columns = Columns(np.array([0]), [None])
    few, many = (spread_bandwidths(columns, columns.encoded(np.full((n, 1), 0.3)), np.ones(n))[0] for n in (1, 10_000))
    assert few == pytest.approx(1.06 * np.sqrt(1 / 24), rel=1e-12)
    assert many == 0.01


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: Columns(np.array([0]), []), "edges: must have one item for each of 1"),
        (lambda: Columns(np.array([-1]), [None]), "levels: column 0"),
        (lambda: Columns(np.array([2]), [np.array([0.0, 1.0])]), "edges: column 0 must rise"),
        (lambda: Columns(np.array([0]), [np.array([0.0, 0.5, 0.5, 1.0])]), "edges: column 0 must rise"),
        (lambda: Columns(np.array([0]), [np.array([0.1, 1.0])]), "edges: column 0 must rise"),
        (lambda: Columns(np.array([0]), [np.array([0.0])]), "edges: column 0 must rise"),
        (lambda: MIXED.encoded(np.full((1, 3), 0.5)), "points: must have shape"),
        (lambda: MIXED.encoded(np.full((1, 4), np.nan)), "points: must lie in the unit cube"),
        (lambda: MIXED.encoded(np.full((1, 4), 1.01)), "points: must lie in the unit cube"),
        (lambda: estimator(mixed_points(2), [1, 1], widths=[0.1, 1.1, 0.1, 0.1]), "bandwidths: must be"),
        (lambda: estimator(mixed_points(2), [1, 1], widths=[0.1, 0.0, 0.1, 0.1]), "bandwidths: must be"),
        (lambda: estimator(mixed_points(2), [1, 1], widths=[0.1, 0.3, 1e-5, 0.1]), "bandwidths: must be"),
        (lambda: estimator(mixed_points(2), [1, 1], widths=[np.nan, 0.3, 0.1, 0.1]), "bandwidths: must be"),
        (lambda: estimator(mixed_points(2), [1, 1], widths=[0.1, 0.1]), "bandwidths: must be"),
        (lambda: estimator(mixed_points(2), [1.0]), "weights: must be 2 numbers"),
        (lambda: estimator(mixed_points(2), [1.0, -1.0]), "weights: must be 2 numbers"),
        (lambda: estimator(mixed_points(2), [1.0, np.nan]), "weights: must be 2 numbers"),
        (lambda: estimator(mixed_points(2), [1.0, 1.0], 0.0), "prior_weight: must be above 0"),
    ],
)
def test_wrong_arguments_are_named(make, text):
    """Argument, rule, value."""
    with pytest.raises(ValueError, match=f"^{text}"):
        make()
