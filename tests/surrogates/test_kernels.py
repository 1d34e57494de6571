"""Kernels against scikit-learn's Matern and finite differences, and the distances that an embedding promises."""

from __future__ import annotations

import math

import numpy as np
import pytest
from sklearn.gaussian_process.kernels import Matern

from autohpo.surrogates.kernels import Embedding, matern52, squared_distances
from autohpo.surrogates.parzen_columns import Columns

# A range, a range that is not always in force, three categories with cells of their own, two that are optional.
MIXED = Embedding(
    Columns(np.array([0, 0, 3, 2]), [None, None, np.array([0, 0.5, 0.7, 1]), None]),
    np.array([False, True, False, True]),
)


def distances(points, mask):
    """``(n, n)`` of points as MIXED embeds them."""
    coordinates = MIXED.coordinates(np.array(points), np.array(mask, dtype=bool))
    return np.sqrt(squared_distances(coordinates, coordinates))


def test_the_matern_kernel_is_that_of_scikit_learn():
    """Also at distance 0; both sides round a few times at values near 1."""
    rng = np.random.default_rng(0)
    left, right = rng.random((7, 3)), rng.random((5, 3)) * 2
    right[0] = left[0]
    value, _ = matern52(squared_distances(left, right))
    np.testing.assert_allclose(value, Matern(nu=2.5)(left, right), rtol=1e-7)  # a distance of 0 comes out as 1e-8


def test_the_slope_of_the_matern_kernel_is_its_derivative_by_the_squared_distance():
    """Central differences of step h err by h^2 and by 1e-16 / h: 1e-10 at h = 1e-5; at 0 the slope is -5/6."""
    squared = np.array([0.01, 0.3, 1.0, 7.0])
    h = 1e-5
    differences = (matern52(squared + h)[0] - matern52(squared - h)[0]) / (2 * h)
    np.testing.assert_allclose(matern52(squared)[1], differences, atol=1e-7)
    assert matern52(np.zeros(1))[1][0] == pytest.approx(-5 / 6, abs=1e-15)


def test_squared_distances_are_never_below_zero():
    """Equal rows far from 0, where the expanded square rounds to either side."""
    rows = np.random.default_rng(0).random((50, 3)) * 1e4
    assert (squared_distances(rows, rows) >= 0).all()


def test_any_two_categories_are_one_apart():
    """Whatever the cells are: .2, .6 and .9 lie in the three cells of the third column."""
    points = [[0.5, 0.5, unit, 0.2] for unit in (0.2, 0.6, 0.9)]
    np.testing.assert_allclose(distances(points, np.ones((3, 4))), 1 - np.eye(3), atol=1e-7)


def test_ranges_that_are_always_in_force_keep_their_distances():
    """The first column alone differs."""
    assert distances([[0.2, 0.5, 0.2, 0.2], [0.9, 0.5, 0.2, 0.2]], np.ones((2, 4)))[0, 1] == pytest.approx(0.7)


def test_ranges_that_are_not_always_in_force_lie_on_a_circle():
    """A chord between angles in radians; the centre is 1 from all, and 0 from itself whatever the column holds."""
    points = [[0.5, 0.1, 0.2, 0.2], [0.5, 0.8, 0.2, 0.2], [0.5, 0.5, 0.2, 0.2], [0.5, 0.3, 0.2, 0.2]]
    mask = np.ones((4, 4))
    mask[2:, 1] = 0
    found = distances(points, mask)
    assert found[0, 1] == pytest.approx(2 * math.sin(0.35))
    np.testing.assert_allclose(found[:2, 2:], 1.0)
    assert found[2, 3] == pytest.approx(0.0, abs=1e-7)


def test_categories_out_of_force_lie_at_the_same_distance_from_all():
    """At sqrt(1/2) from both categories of the last column, and at 0 from each other."""
    points = [[0.5, 0.5, 0.2, 0.2], [0.5, 0.5, 0.2, 0.7], [0.5, 0.5, 0.2, 0.2], [0.5, 0.5, 0.2, 0.7]]
    mask = np.ones((4, 4))
    mask[2:, 3] = 0
    found = distances(points, mask)
    np.testing.assert_allclose(found[:2, 2:], math.sqrt(0.5))
    assert found[2, 3] == pytest.approx(0.0, abs=1e-7)


def test_gradients_are_pulled_back_through_the_embedding():
    """Against central differences of a random linear function of the coordinates; none for categories."""
    rng = np.random.default_rng(1)
    points, mask = rng.random((6, 4)), rng.random((6, 4)) < 0.7
    mask[:, [0, 2]] = True
    weights = rng.standard_normal((6, len(MIXED.owner)))
    pulled = MIXED.pull_back(points, mask, weights)
    for j in (0, 1):
        step = np.zeros(4)
        step[j] = 1e-5
        change = MIXED.coordinates(points + step, mask) - MIXED.coordinates(points - step, mask)
        np.testing.assert_allclose(pulled[:, j], (weights * change).sum(axis=1) / 2e-5, atol=1e-9)
    assert not pulled[:, 2:].any()
    assert not pulled[~mask[:, 1], 1].any()
