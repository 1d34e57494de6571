"""Parzen estimators against scipy's truncated normal, quadrature and closed forms."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from numpy.polynomial.legendre import leggauss
from scipy import special, stats

from autohpo.surrogates.parzen import Columns, Kernels, ParzenEstimator, even_bandwidths, spread_bandwidths

GRID = np.array([0.05, 0.15, 0.4, 0.8])  # uneven: cells end at 0, .1, .275, .6, 1
EDGES = np.array([0.0, 0.1, 0.275, 0.6, 1.0])
MIXED = Columns(np.array([0, 3, 0, 0]), [None, None, GRID, None])  # range, category, grid, range
WIDTHS = np.array([0.1, 0.3, 0.07, 0.25])


def mixed_points(n, seed=0):
    """``(n, 4)`` points of the columns of MIXED; the ends of the ranges among them."""
    rng = np.random.default_rng(seed)
    points = rng.random((n, 4))
    points[0, 0], points[-1, 0] = 0.0, 1.0
    points[:, 1] = (rng.integers(3, size=n) + 0.5) / 3
    points[:, 2] = GRID[rng.integers(4, size=n)]
    return points


def truncated(centre, h):
    """Scipy's Gaussian cut at 0 and 1."""
    return stats.truncnorm(-centre / h, (1 - centre) / h, loc=centre, scale=h)


def plain_log_density(queries, points, weights, prior_weight, widths=WIDTHS):
    """The mixture over the columns of MIXED, kernel by kernel, with scipy's distributions."""
    logs = []
    for z in queries:
        cell = int(np.argmin(abs(GRID - z[2])))
        terms = [np.log(prior_weight) - np.log(3) + np.log(EDGES[cell + 1] - EDGES[cell])]
        for x, weight in zip(points, weights, strict=True):
            same = round(3 * z[1] - 0.5) == round(3 * x[1] - 0.5)
            grid = truncated(x[2], widths[2])
            terms.append(
                np.log(weight)
                + truncated(x[0], widths[0]).logpdf(z[0])
                + np.log(1 - widths[1] if same else widths[1] / 2)
                + np.log(grid.cdf(EDGES[cell + 1]) - grid.cdf(EDGES[cell]))
                + truncated(x[3], widths[3]).logpdf(z[3])
            )
        logs.append(special.logsumexp(terms) - np.log(np.sum(weights) + prior_weight))
    return np.array(logs)


def estimator(points, weights, prior_weight=1.0, columns=MIXED, widths=WIDTHS):
    """The estimator under test."""
    return ParzenEstimator(Kernels(columns, np.asarray(widths)), points, np.asarray(weights, float), prior_weight)


def test_density_equals_the_mixture_built_from_scipy():
    """Absolute 1e-10: the exponents stay below 100, and scipy's cdf differences keep 12 digits at these widths."""
    points, queries = mixed_points(12), mixed_points(40, seed=1)
    weights = np.linspace(0.2, 1.0, 12)
    found = estimator(points, weights, 0.7).log_density(queries)
    np.testing.assert_allclose(found, plain_log_density(queries, points, weights, 0.7), rtol=0, atol=1e-10)


def test_density_integrates_to_one():
    """Gauss-Legendre with 60 nodes an axis; a Gaussian of width .1 is then right to 1e-12."""
    nodes, masses = leggauss(60)
    nodes, masses = (nodes + 1) / 2, masses / 2
    cells = list(product(range(60), (np.arange(3) + 0.5) / 3, GRID, range(60)))
    queries = np.array([[nodes[a], c, g, nodes[b]] for a, c, g, b in cells])
    weights = np.array([masses[a] * masses[b] for a, _, _, b in cells])
    density = np.exp(estimator(mixed_points(7), np.ones(7), 0.5).log_density(queries))
    assert weights @ density == pytest.approx(1.0, abs=1e-9)


def test_density_without_points_is_uniform():
    """One over the number of categories, times the length of the grid's cell."""
    found = estimator(np.empty((0, 4)), np.empty(0)).log_density([[0.3, 0.5, 0.8, 0.9]])
    assert found[0] == pytest.approx(np.log(1 / 3 * 0.4), abs=1e-14)


@pytest.mark.parametrize("h", [1e-4, 1e-3, 1e3])
def test_density_is_finite_and_right_at_extreme_widths_in_many_columns(h):
    """300 ranges: densities near exp(+-2500) a point. Rounding of a square is 2.5e7 EPS at h = 1e-4, times 300."""
    columns = Columns(np.zeros(300, dtype=np.int64), [None] * 300)
    points = np.random.default_rng(0).random((3, 300))
    queries = np.vstack([points[0], np.clip(points[0] + h, 0, 1), 1 - points[0]])
    found = estimator(points, np.ones(3), 1.0, columns, np.full(300, h)).log_density(queries)
    z, x = queries[:, None], points[None]
    kernels = stats.truncnorm.logpdf(z, -x / h, (1 - x) / h, loc=x, scale=h).sum(axis=2)
    expected = special.logsumexp(np.column_stack([kernels, np.zeros(3)]), axis=1) - np.log(4)
    assert np.isfinite(found).all()
    np.testing.assert_allclose(found, expected, rtol=0, atol=300 * (0.5 / h**2 + 1) * 4 * np.finfo(float).eps + 1e-9)


def test_a_grid_far_from_its_points_has_no_mass_and_no_nan():
    """A cell 70 widths away: its kernel's mass is below the smallest double, so the prior's share is left."""
    columns = Columns(np.array([0]), [np.array([0.1, 0.9])])
    found = estimator(np.array([[0.1]]), [1.0], 1.0, columns, [0.005]).log_density([[0.9], [0.1]])
    np.testing.assert_allclose(np.exp(found), [0.25, 0.75], rtol=1e-12)


def test_a_level_nobody_sampled_has_the_mass_of_the_kernels_tails():
    """Trap of estimators that count seen levels: L is every level there is."""
    columns = Columns(np.array([4]), [None])
    density = np.exp(estimator(np.full((5, 1), 0.125), np.ones(5), 1.0, columns, [0.3]).log_density([[0.125], [0.875]]))
    np.testing.assert_allclose(density, [(5 * 0.7 + 0.25) / 6, (5 * 0.1 + 0.25) / 6], rtol=1e-14)


def test_the_ends_of_the_interval_belong_to_the_outermost_values():
    """0 is of the first category and cell, 1 of the last."""
    features = MIXED.features(np.array([[0.0, 0.0, 0.0, 0.0], [1.0, 1.0, 1.0, 1.0], [0.5, 0.5, 0.65, 0.5]]))
    assert features.tolist() == [
        [-0.5, -0.5, 1, 0, 0, 1, 0, 0, 0],
        [0.5, 0.5, 0, 0, 1, 0, 0, 0, 1],
        [0.0, 0.0, 0, 1, 0, 0, 0, 0, 1],
    ]


def test_a_weight_of_zero_leaves_a_point_out():
    """The same as an estimator without the point."""
    points, queries = mixed_points(6), mixed_points(20, seed=1)
    found = estimator(points, [1, 0, 2, 0, 1, 1]).log_density(queries)
    expected = estimator(points[[0, 2, 4, 5]], [1, 2, 1, 1]).log_density(queries)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-13)


def test_what_the_caller_kept_changes_nothing():
    """Features and constants that were computed row by row give the very same floats."""
    points, queries = mixed_points(9), mixed_points(20, seed=1)
    kernels = Kernels(MIXED, WIDTHS)
    features = np.vstack([MIXED.features(row[None]) for row in points])
    constants = np.concatenate([kernels.constants(row[None]) for row in points])
    kept = ParzenEstimator(kernels, points, np.ones(9), 1.0, features, constants)
    np.testing.assert_array_equal(kept.log_density(queries), estimator(points, np.ones(9)).log_density(queries))


def test_draws_follow_the_density():
    """20,000 draws with a fixed seed: Kolmogorov-Smirnov in the ranges, chi square in the tables, level 1e-3."""
    points, weights = mixed_points(5), np.array([1.0, 2.0, 0.0, 1.0, 3.0])
    draws = estimator(points, weights, 2.0).sample(20_000, np.random.default_rng(3))
    shares = np.append(weights, 2.0) / 9.0
    for column in (0, 3):
        parts = [truncated(x, WIDTHS[column]) for x in points[:, column]] + [stats.uniform()]
        cdf = lambda z, parts=parts: sum(s * part.cdf(z) for s, part in zip(shares, parts, strict=True))
        assert stats.kstest(draws[:, column], cdf).pvalue > 1e-3
    level = np.append(np.where((np.arange(3) + 0.5) / 3 == points[:, 1:2], 0.7, 0.15), [[1 / 3] * 3], axis=0)
    cell = [np.diff(truncated(x, WIDTHS[2]).cdf(EDGES)) for x in points[:, 2]] + [np.diff(EDGES)]
    for column, values, probabilities in ((1, (np.arange(3) + 0.5) / 3, level), (2, GRID, np.array(cell))):
        counts = (draws[:, column : column + 1] == values).sum(axis=0)
        assert counts.sum() == 20_000  # exactly the values, nothing between
        assert stats.chisquare(counts, 20_000 * shares @ probabilities).pvalue > 1e-3


def test_draws_keep_together_what_is_together():
    """Two far points: a draw takes all its columns from one of them."""
    points = np.array([[0.1, 0.1], [0.9, 0.9]])
    columns = Columns(np.array([0, 0]), [None, None])
    draws = estimator(points, [1.0, 1.0], 1e-9, columns, [0.01, 0.01]).sample(500, np.random.default_rng(0))
    assert (abs(draws[:, 0] - draws[:, 1]) < 0.2).all()
    assert 0.4 < (draws[:, 0] < 0.5).mean() < 0.6  # 4 standard deviations of a fair coin are .09


def test_even_bandwidths_follow_from_the_number_alone():
    """The formulas; 16 points in 4 columns: 16^(-1/8) = 2^(-1/2)."""
    expected = [0.2 * 2**-0.5, 2 / 19, 0.2 * 2**-0.5, 0.2 * 2**-0.5]
    np.testing.assert_allclose(even_bandwidths(MIXED, 16), expected, rtol=1e-14)


def test_spread_bandwidths_are_silvermans_with_one_uniform_point_more():
    """Numpy's weighted covariance as the oracle of the variance."""
    points, weights = mixed_points(16), np.linspace(1, 0.1, 16)
    variances = np.diag(np.cov(points.T, aweights=weights, ddof=0))
    expected = 1.06 * np.sqrt((16 * variances + 1 / 12) / 17) * 2**-0.5
    expected[1] = 2 / 19
    np.testing.assert_allclose(spread_bandwidths(MIXED, points, weights), expected, rtol=1e-12)


def test_spread_bandwidths_of_equal_points_shrink_to_the_floor_and_no_further():
    """10,000 equal points: 1.06 sqrt(1/12/10001) 10000^(-1/5) = 4.9e-4 lies below the floor of .01."""
    columns = Columns(np.array([0]), [None])
    few, many = (spread_bandwidths(columns, np.full((n, 1), 0.3), np.ones(n))[0] for n in (1, 10_000))
    assert few == pytest.approx(1.06 * np.sqrt(1 / 24), rel=1e-12)
    assert many == 0.01


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: Columns(np.array([0]), []), "grids: must have one item for each of 1"),
        (lambda: Columns(np.array([2]), [np.array([0.5])]), "levels: column 0"),
        (lambda: Columns(np.array([0]), [np.array([0.5, 0.5])]), "grids: column 0 must hold rising"),
        (lambda: Columns(np.array([0]), [np.array([-0.1, 0.5])]), "grids: column 0 must hold rising"),
        (lambda: Columns(np.array([0]), [np.array([])]), "grids: column 0 must hold rising"),
        (lambda: Kernels(MIXED, np.array([0.1, 0.7, 0.1, 0.1])), "bandwidths: must be"),
        (lambda: Kernels(MIXED, np.array([0.1, 0.0, 0.1, 0.1])), "bandwidths: must be"),
        (lambda: Kernels(MIXED, np.array([0.1, 0.3, 1e-5, 0.1])), "bandwidths: must be"),
        (lambda: Kernels(MIXED, np.array([np.nan, 0.3, 0.1, 0.1])), "bandwidths: must be"),
        (lambda: MIXED.features(np.full((1, 3), 0.5)), "points: must have shape"),
        (lambda: MIXED.features(np.full((1, 4), np.nan)), "points: must lie in the unit cube"),
        (lambda: MIXED.features(np.full((1, 4), 1.01)), "points: must lie in the unit cube"),
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
