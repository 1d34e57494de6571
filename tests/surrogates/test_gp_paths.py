"""Functions drawn from a Gaussian process, against its predictions."""

from __future__ import annotations

import numpy as np

from autohpo.surrogates.embedding import Embedding
from autohpo.surrogates.gp import Data, mixed_process
from autohpo.surrogates.gp_paths import draw_path
from autohpo.surrogates.matern import N_WAVES
from autohpo.surrogates.parzen_columns import Columns

PROCESS = mixed_process(Embedding(Columns(np.array([0, 3, 0]), [None, None, None]), np.array([False, False, True])))
N_PATHS = 2000


def after(noise, n_pending=0):
    """A process after 12 results and a pending point or two, the results, and points to look at."""
    rng = np.random.default_rng(0)
    points, mask = rng.random((20, 3)), np.ones((20, 3), dtype=bool)
    mask[::3, 2] = False
    points = np.where(mask, points, 0.5)
    theta = np.log([0.4, 1.0, 0.8, 1.3, noise, 0.5])
    data = Data(points[:12], mask[:12], rng.standard_normal(12))
    pending = points[12 : 12 + n_pending], mask[12 : 12 + n_pending]
    return PROCESS.posterior(theta, data, pending), data, (points[14:], mask[14:])


def test_paths_have_the_mean_and_the_deviation_of_the_prediction():
    """Over 2,000 draws: means within 5 standard errors, deviations within 5 (1 / sqrt(2 N), 1.6 %) and the waves' 4 %.

    The waves change the prior's variance at a point by sqrt(2 / 512) / sqrt(N) of it at most, as each path has its own.
    """
    for n_pending in (0, 2):
        posterior, _, where = after(0.05, n_pending)
        rng = np.random.default_rng(1)
        values = np.array([draw_path(posterior, rng)(*where) for _ in range(N_PATHS)])
        means, deviations = posterior.predict(*where)
        assert (np.abs(values.mean(axis=0) - means) < 5 * deviations / N_PATHS**0.5).all()
        np.testing.assert_allclose(values.std(axis=0), deviations, rtol=5 / (2 * N_PATHS) ** 0.5 + 0.04)


def test_paths_are_smooth_together():
    """The correlation of two points is that of the joint draw, within 5 standard errors and the waves' 4 %."""
    posterior, _, (points, mask) = after(0.05)
    pair = np.stack([points[0], points[0] + [0.05, 0.0, 0.0]]), mask[[0, 0]]
    rng = np.random.default_rng(2)
    drawn = np.array([draw_path(posterior, rng)(*pair) for _ in range(N_PATHS)])
    joint = np.array([posterior.sample(*pair, rng) for _ in range(N_PATHS)])
    difference = (drawn[:, 0] - drawn[:, 1]).std() / (joint[:, 0] - joint[:, 1]).std()
    assert abs(difference - 1) < 5 * (2 / (2 * N_PATHS)) ** 0.5 + 0.04


def test_paths_pass_near_results_without_noise():
    """Results with a noise variance of 1e-6 are met within 10 deviations of it, 1e-2."""
    posterior, data, _ = after(1e-6)
    for seed in range(5):
        values = draw_path(posterior, np.random.default_rng(seed))(data.points, data.mask)
        assert np.abs(values - data.targets).max() < 1e-2


def test_a_path_is_a_function():
    """The same points have the same values, whatever else is asked for; another generator gives another path."""
    posterior, _, (points, mask) = after(0.05)
    path = draw_path(posterior, np.random.default_rng(3))
    np.testing.assert_allclose(path(points, mask)[:2], path(points[:2], mask[:2]), rtol=0, atol=1e-9)
    other = draw_path(posterior, np.random.default_rng(4))
    assert (other(points, mask) != path(points, mask)).any()
    assert N_WAVES >= 256  # what the tolerances above are derived for


def test_main_effects_of_choices_vary_from_path_to_path():
    """With nothing but main effects left, the variance of a path at a choice is that of the prediction, within 16 %."""
    points, mask = np.full((3, 3), 0.5), np.ones((3, 3), dtype=bool)
    points[:, 1] = [1 / 6, 0.5, 5 / 6]
    theta = PROCESS.start
    theta[3:6] = np.log([1e-3, 0.05, 2.0])
    posterior = PROCESS.posterior(theta, Data(points[:1], mask[:1], np.zeros(1)))
    rng = np.random.default_rng(5)
    values = np.array([draw_path(posterior, rng)(points, mask) for _ in range(N_PATHS)])
    deviations = posterior.predict(points, mask)[1]
    assert deviations[1] > 0.5
    np.testing.assert_allclose(values.std(axis=0)[1:], deviations[1:], rtol=5 / (2 * N_PATHS) ** 0.5 + 0.04)
