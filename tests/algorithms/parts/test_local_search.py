"""The local search: its neighbours, and where its walks end."""

from __future__ import annotations

import numpy as np

from autohpo.algorithms.parts.local_search import local_search, neighbours

LEVELS = np.array([0, 3, 0])


def test_neighbours_differ_in_one_column_and_stay_in_the_cube():
    """Four for each column of each point; also of points in the corners."""
    points = np.array([[0.0, 0.5, 1.0], [0.5, 0.1, 0.5]])
    near = neighbours(points, LEVELS, np.random.default_rng(0), 0.2)
    assert near.shape == (2, 12, 3)
    differs = near != points[:, None]
    assert (differs.sum(axis=2) == 1).all()
    assert (differs.sum(axis=1) == 4).all()
    assert ((near >= 0) & (near <= 1)).all()


def test_ordered_columns_are_stepped_and_categories_drawn_anew():
    """Steps have the deviation asked for, .05 within 5 standard errors, sd / sqrt(2 n); categories are uniform."""
    points = np.full((1000, 3), 0.5)
    near = neighbours(points, LEVELS, np.random.default_rng(0), 0.05).reshape(1000, 3, 4, 3)
    steps, drawn = near[:, 0, :, 0].ravel() - 0.5, near[:, 1, :, 1].ravel()
    assert abs(steps.std() - 0.05) < 5 * 0.05 / 8000**0.5
    assert abs(drawn.var() - 1 / 12) < 5 * (1 / 180 / 4000) ** 0.5  # the variance of a squared uniform deviate is 1/180


def test_walks_end_near_the_top_and_scores_belong_to_their_points():
    """Of a bowl with its top at .3 and one category; and every point that is returned has its own score."""

    def score(points):
        return -((points[:, [0, 2]] - 0.3) ** 2).sum(axis=1) - (points[:, 1] < 2 / 3)

    rng = np.random.default_rng(0)
    starts = rng.random((10, 3))
    kept = starts.copy()
    points, values = local_search(score, starts, LEVELS, rng)
    assert (starts == kept).all()
    assert (values == score(points)).all()
    assert values.max() > -(0.05**2)
    assert values.max() >= score(starts).max()


def test_a_walk_that_finds_nothing_better_ends_at_once():
    """On a plain: the start, and one neighbour of each."""
    points, _ = local_search(lambda p: np.zeros(len(p)), np.full((5, 3), 0.5), LEVELS, np.random.default_rng(0))
    assert len(points) == 10
