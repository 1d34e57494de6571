"""The embedding of points: the distances that it makes, its warp, and gradients pulled back through both."""

from __future__ import annotations

import math

import numpy as np
import pytest

from autohpo.surrogates.embedding import Embedding
from autohpo.surrogates.parzen_columns import Columns

# A range, a range that is not always active, three categories with cells of their own, two that are optional.
COLUMNS = Columns(np.array([0, 0, 3, 2]), [None, None, np.array([0, 0.5, 0.7, 1]), None])
OPTIONAL = np.array([False, True, False, True])
MIXED = Embedding(COLUMNS, OPTIONAL)
WARPED = Embedding(COLUMNS, OPTIONAL, np.array([0, 1]))
THETA = np.log([0.7, 1.6, 1.3, 0.5])


def distances(points, mask):
    """``(n, n)`` distances of points as MIXED embeds them, pair by pair."""
    coordinates = MIXED.coordinates(np.array(points), np.array(mask, dtype=bool))
    return np.array([[math.dist(a, b) for b in coordinates] for a in coordinates])


def some_points(n=6, seed=1):
    """Random points, some of whose optional columns are inactive."""
    rng = np.random.default_rng(seed)
    points, mask = 0.1 + 0.8 * rng.random((n, 4)), rng.random((n, 4)) < 0.7
    mask[:, [0, 2]] = True
    return points, mask, rng.standard_normal((n, len(MIXED.owner)))


def test_any_two_categories_are_one_apart():
    """Whatever the cells are: .2, .6 and .9 lie in the three cells of the third column."""
    points = [[0.5, 0.5, unit, 0.2] for unit in (0.2, 0.6, 0.9)]
    np.testing.assert_allclose(distances(points, np.ones((3, 4))), 1 - np.eye(3), atol=1e-7)


def test_ranges_that_are_always_active_keep_their_distances():
    """The first column alone differs."""
    assert distances([[0.2, 0.5, 0.2, 0.2], [0.9, 0.5, 0.2, 0.2]], np.ones((2, 4)))[0, 1] == pytest.approx(0.7)


def test_ranges_that_are_not_always_active_lie_on_a_circle():
    """A chord between angles in radians; the centre is 1 from all, and 0 from itself whatever the column holds."""
    points = [[0.5, 0.1, 0.2, 0.2], [0.5, 0.8, 0.2, 0.2], [0.5, 0.5, 0.2, 0.2], [0.5, 0.3, 0.2, 0.2]]
    mask = np.ones((4, 4))
    mask[2:, 1] = 0
    found = distances(points, mask)
    assert found[0, 1] == pytest.approx(2 * math.sin(0.35))
    np.testing.assert_allclose(found[:2, 2:], 1.0)
    assert found[2, 3] == pytest.approx(0.0, abs=1e-7)


def test_categories_that_are_inactive_lie_at_the_same_distance_from_all():
    """At sqrt(1/2) from both categories of the last column, and at 0 from each other."""
    points = [[0.5, 0.5, 0.2, 0.2], [0.5, 0.5, 0.2, 0.7], [0.5, 0.5, 0.2, 0.2], [0.5, 0.5, 0.2, 0.7]]
    mask = np.ones((4, 4))
    mask[2:, 3] = 0
    found = distances(points, mask)
    np.testing.assert_allclose(found[:2, 2:], math.sqrt(0.5))
    assert found[2, 3] == pytest.approx(0.0, abs=1e-7)


@pytest.mark.parametrize(("embedding", "theta"), [(MIXED, None), (WARPED, THETA)])
def test_gradients_are_pulled_back_to_the_points(embedding, theta):
    """Against central differences of a random linear function of the coordinates; none for categories."""
    points, mask, weights = some_points()
    pulled = embedding.by_points(embedding.place(points, mask, theta), weights)
    for j in (0, 1):
        step = 1e-5 * np.eye(4)[j]
        ends = [embedding.place(points + sign * step, mask, theta).coordinates for sign in (1, -1)]
        np.testing.assert_allclose(pulled[:, j], (weights * (ends[0] - ends[1])).sum(axis=1) / 2e-5, atol=1e-8)
    assert not pulled[:, 2:].any()
    assert not pulled[~mask[:, 1], 1].any()


def test_gradients_by_the_warp_are_those_of_its_coordinates():
    """Central differences of a random linear function of the coordinates, for each logarithm of an exponent."""
    points, mask, weights = some_points()
    gradient = WARPED.by_parameters(WARPED.place(points, mask, THETA), weights)
    for k in range(4):
        step = 1e-5 * np.eye(4)[k]
        ends = [WARPED.place(points, mask, THETA + sign * step).coordinates for sign in (1, -1)]
        assert gradient[k] == pytest.approx((weights * (ends[0] - ends[1])).sum() / 2e-5, abs=1e-8)
    assert len(WARPED.priors) == 4


def test_exponents_of_one_leave_the_points():
    """But for the 1e-7 by which the warp keeps away from the ends."""
    points, mask, _ = some_points()
    np.testing.assert_allclose(
        WARPED.place(points, mask, np.zeros(4)).coordinates, MIXED.coordinates(points, mask), atol=1e-6
    )


def test_further_columns_are_coordinates_as_they_are():
    """A task and a fidelity follow those of the unit cube, and so do their gradients."""
    points, mask, weights = some_points()
    further = np.random.default_rng(2).random((6, 2))
    embedded = MIXED.place(np.hstack([points, further]), mask)
    np.testing.assert_array_equal(embedded.coordinates, np.hstack([MIXED.coordinates(points, mask), further]))
    pulled = MIXED.by_points(embedded, np.hstack([weights, further]))
    np.testing.assert_array_equal(pulled[:, 4:], further)
    np.testing.assert_array_equal(pulled[:, :4], MIXED.by_points(MIXED.place(points, mask), weights))
