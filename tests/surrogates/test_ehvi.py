"""Expected hypervolume improvement against its definition: by boxes, by sampling, and by finite differences."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from autohpo.surrogates import pareto
from autohpo.surrogates.ehvi import ExpectedImprovement, free_boxes, most_values


def some_front(m, n=12, seed=0):
    """An ``(k, m)`` front in the unit cube, with a few equal coordinates."""
    values = np.random.default_rng(seed).integers(1, 8, (n, m)) / 8
    values = np.unique(values, axis=0)
    return values[pareto.front(values)]


@pytest.mark.parametrize("m", [1, 2, 3, 4])
def test_the_boxes_part_what_the_front_leaves_free(m):
    """Each of many points above the reference is in one box if no value covers it, and else in none."""
    front, reference = some_front(m), np.zeros(m)
    lower, upper = free_boxes(front, reference)
    points = np.random.default_rng(1).random((2000, m)) * 1.3
    inside = ((points[:, None] > lower) & (points[:, None] < upper)).all(axis=2).sum(axis=1)
    is_covered = (front[None] >= points[:, None]).all(axis=2).any(axis=1)
    np.testing.assert_array_equal(inside, np.where(is_covered, 0, 1))


def test_an_empty_front_leaves_all_above_the_reference():
    """One box without an upper end."""
    lower, upper = free_boxes(np.empty((0, 3)), np.array([1.0, 2.0, 3.0]))
    np.testing.assert_array_equal(lower, [[1.0, 2.0, 3.0]])
    assert np.isinf(upper).all()


@pytest.mark.parametrize("m", [2, 3, 4])
def test_there_are_no_more_boxes_than_said(m):
    """`most_values` keeps the number near its bound for fronts without equal coordinates."""
    angles = np.random.default_rng(0).random((most_values(m, 300), m)) + 0.05
    front = angles / np.linalg.norm(angles, axis=1, keepdims=True)
    assert len(free_boxes(front, np.zeros(m))[0]) <= 2 * 300


@pytest.mark.parametrize("m", [1, 2, 3])
def test_it_is_the_mean_improvement_of_draws(m):
    """4,000 draws of each candidate; within 5 standard errors of the mean: five candidates, one in a million."""
    front, reference = some_front(m), np.zeros(m)
    rng = np.random.default_rng(2)
    means, sds = 0.4 + 0.6 * rng.random((5, m)), 0.2 + 0.2 * rng.random((5, m))
    values = np.exp(ExpectedImprovement.over(front, reference).log(means, sds)[0])
    covered = pareto.hypervolume(front, reference)
    for value, mean, sd in zip(values, means, sds, strict=True):
        drawn = mean + sd * rng.standard_normal((4000, m))
        gains = [pareto.hypervolume(np.vstack([front, one]), reference) - covered for one in drawn]
        assert abs(value - np.mean(gains)) < 5 * np.std(gains) / np.sqrt(4000)


def test_with_one_objective_it_is_expected_improvement():
    """The closed form, by scipy's normal distribution."""
    means, sds = np.array([[0.2], [0.9], [1.5]]), np.array([[0.1], [0.3], [0.2]])
    z = (means - 0.8) / sds
    wanted = sds * (z * stats.norm.cdf(z) + stats.norm.pdf(z))
    found = ExpectedImprovement.over(np.array([[0.8], [0.3]]), np.array([0.0])).log(means, sds)[0]
    np.testing.assert_allclose(np.exp(found), wanted[:, 0], rtol=1e-9)


@pytest.mark.parametrize("m", [1, 2, 3, 4])
def test_its_gradient_is_that_of_finite_differences(m):
    """Central ones: their error is about (1e-6)^2 and rounding of 1e-16 / 1e-6."""
    improvement = ExpectedImprovement.over(some_front(m), np.zeros(m))
    rng, step = np.random.default_rng(3), 1e-6
    means, sds = rng.random((6, m)), 0.1 + 0.2 * rng.random((6, m))
    _, by_means, by_sds = improvement.log(means, sds)
    for j in range(m):
        shift = step * np.eye(m)[j]
        ends = [improvement.log(means + s * shift, sds)[0] for s in (1, -1)]
        np.testing.assert_allclose(by_means[:, j], (ends[0] - ends[1]) / (2 * step), rtol=1e-5, atol=1e-6)
        ends = [improvement.log(means, sds + s * shift)[0] for s in (1, -1)]
        np.testing.assert_allclose(by_sds[:, j], (ends[0] - ends[1]) / (2 * step), rtol=1e-5, atol=1e-6)


def test_far_below_the_front_it_still_has_a_slope():
    """Where the improvement itself is 0 in doubles, its logarithm is finite and rises with every mean."""
    improvement = ExpectedImprovement.over(some_front(2), np.zeros(2))
    with np.errstate(all="raise", under="ignore"):
        value, by_means, by_sds = improvement.log(np.full((1, 2), -50.0), np.full((1, 2), 0.1))
    assert value[0] < -1e5
    assert np.isfinite(value).all()
    assert (by_means > 0).all()
    assert np.isfinite(by_sds).all()


def test_values_below_the_reference_do_not_count():
    """A front that nowhere rises above it is an empty one."""
    means, sds = np.array([[0.5, 0.5]]), np.array([[0.1, 0.1]])
    none = ExpectedImprovement.over(np.array([[5.0, -1.0], [0.0, 0.7]]), np.zeros(2)).log(means, sds)[0]
    empty = ExpectedImprovement.over(np.empty((0, 2)), np.zeros(2)).log(means, sds)[0]
    np.testing.assert_array_equal(none, empty)
