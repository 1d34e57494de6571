"""Gaussian processes against scipy's normal density, scikit-learn's regressor and finite differences."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
from scipy import linalg, optimize, stats
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import ConstantKernel, Matern, WhiteKernel

from autohpo.surrogates.effects import Level, Noise, TaskSimilarity
from autohpo.surrogates.embedding import WARP, Embedding
from autohpo.surrogates.gp import EFFECTS, LENGTH, NOISE, SCALE, Data, GaussianProcess, mixed_process
from autohpo.surrogates.kernels import Product, Sum
from autohpo.surrogates.matern import Matern52
from autohpo.surrogates.parzen_columns import Columns
from autohpo.surrogates.priors import Prior

# Two ranges, one that is not always active, three categories; the first and the third are warped.
MIXED = mixed_process(
    Embedding(Columns(np.array([0, 0, 0, 3]), [None] * 4), np.array([False, False, True, False]), np.array([0, 2]))
)
LINE = Embedding(Columns(np.array([0, 0, 0]), [None] * 3), np.zeros(3, bool))
PLAIN = mixed_process(LINE)


def mixed_data(n=25, seed=0):
    """Random results of random points of MIXED."""
    rng = np.random.default_rng(seed)
    mask = np.ones((n, 4), bool)
    mask[::3, 2] = False
    return Data(rng.random((n, 4)), mask, rng.standard_normal(n))


def some_theta(process, seed=1):
    """Parameters near the start, none of them like another."""
    start = process.start + 0.3 * np.random.default_rng(seed).standard_normal(len(process.start))
    start[:3] += 1.5
    return start


def covariance_of(theta, points, mask):
    """``(n, n)`` prior covariance of MIXED, written out: scikit-learn's Matern of coordinates, and main effects."""
    v = np.exp(theta)
    coordinates = MIXED.embedding.place(points, mask, theta[7:]).coordinates
    matern = v[4] * Matern(v[:4][MIXED.embedding.owner], nu=2.5)(coordinates)
    return matern + v[6] * 2.0 * coordinates[:, -3:] @ coordinates[:, -3:].T  # the only choice has all of the variance


def plain_loss(theta, data):
    """Minus the log density of the results at the best mean, and of the parameters, from scipy's densities alone."""
    covariance = covariance_of(theta, data.points, data.mask) + np.exp(theta[5]) * np.eye(len(data.targets))

    def misfit(mean):
        return 0.5 * mean**2 - stats.multivariate_normal.logpdf(data.targets - mean, cov=covariance)

    best = optimize.minimize_scalar(misfit, tol=1e-12).fun
    rules = [SCALE, NOISE, EFFECTS] + [WARP] * 4
    prior = sum(stats.norm.logpdf(x, rule.mean, rule.sd) for x, rule in zip(theta[4:], rules, strict=True))
    prior += stats.lognorm.logpdf(np.exp(theta[:4]), LENGTH.sd, scale=np.exp(LENGTH.mean + np.log(4) / 2)).sum()
    return best - prior


def test_the_loss_is_minus_the_log_posterior_density():
    """Up to a constant: differences between vectors; a mean that is off by 1e-6 costs 1e-12."""
    data, vectors = mixed_data(), [some_theta(MIXED, seed) for seed in range(3)]
    ours = [MIXED.loss(vector, data)[0] for vector in vectors]
    np.testing.assert_allclose(np.diff(ours), np.diff([plain_loss(vector, data) for vector in vectors]), atol=1e-6)


@pytest.mark.parametrize("precision", [1.0, 0.01, np.inf])
def test_the_gradient_of_the_loss_is_that_of_its_values(precision):
    """Central differences of step 1e-5 err by 1e-10 / 6 of the third derivative, which is some 1e5 here."""
    process = dataclasses.replace(MIXED, mean_precision=precision)
    data, theta = mixed_data(), some_theta(MIXED)
    gradient = process.loss(theta, data)[1]
    steps = 1e-5 * np.eye(len(theta))
    wanted = [(process.loss(theta + s, data)[0] - process.loss(theta - s, data)[0]) / 2e-5 for s in steps]
    np.testing.assert_allclose(gradient, wanted, rtol=1e-6, atol=1e-4)


def test_the_start_has_the_highest_prior_density():
    """Every step away from it raises the loss of no results at all."""
    empty = Data(np.empty((0, 4)), np.empty((0, 4), bool), np.empty(0))
    value = MIXED.loss(MIXED.start, empty)[0]
    for step in 0.1 * np.vstack([np.eye(len(MIXED.start)), -np.eye(len(MIXED.start))]):
        assert MIXED.loss(MIXED.start + step, empty)[0] > value


def test_a_fit_ends_where_the_gradient_vanishes():
    """In the parameters that are inside their bounds; L-BFGS-B stops when a step gains 1e-7 of the loss."""
    rng = np.random.default_rng(3)
    points = rng.random((40, 3))
    data = Data(points, np.ones((40, 3), bool), stats.zscore(np.sin(6 * points[:, 0]) + 0.1 * rng.standard_normal(40)))
    vector = PLAIN.fit(data, [PLAIN.start], 100)
    assert abs(PLAIN.loss(vector, data)[1]).max() < 0.1
    assert PLAIN.loss(vector, data)[0] < PLAIN.loss(PLAIN.start, data)[0] - 5


def test_a_fit_finds_which_column_matters():
    """Results follow from the first column alone, with noise of a hundredth of their variance."""
    rng = np.random.default_rng(4)
    points = rng.random((60, 3))
    data = Data(points, np.ones((60, 3), bool), stats.zscore(np.sin(6 * points[:, 0])) + 0.1 * rng.standard_normal(60))
    vector = PLAIN.fit(data, [PLAIN.start], 100)
    lengths = np.exp(vector[:3])
    assert lengths[0] * 3 < lengths[1:].min()
    assert 0.003 < np.exp(vector[4]) < 0.03


def test_the_better_of_two_starts_wins():
    """One start has the noise explain everything."""
    data = mixed_data(20, 5)
    noisy = MIXED.start.copy()
    noisy[5] = 0.0
    tries = [noisy], [MIXED.start], [noisy, MIXED.start]
    losses = [MIXED.loss(MIXED.fit(data, starts, 2), data)[0] for starts in tries]
    assert losses[2] == min(losses[:2])


def test_a_singular_covariance_is_no_fit():
    """Equal points at the least noise and a scale of 50 are singular in doubles, or nearly; no exception either way."""
    data = Data(np.full((30, 3), 0.5), np.ones((30, 3), bool), np.zeros(30))
    vector = PLAIN.start.copy()
    vector[3:5] = np.log([50.0, 1e-30])
    value, gradient = PLAIN.loss(vector, data)
    assert value > 1e3
    assert np.isfinite(gradient).all()


def test_predictions_are_those_of_scikit_learn():
    """With a mean that is 0 for sure, on ranges alone: means and deviations without noise."""
    rng = np.random.default_rng(6)
    theta = some_theta(PLAIN)
    v = np.exp(theta)
    data = Data(rng.random((20, 3)), np.ones((20, 3), bool), rng.standard_normal(20))
    queries, mask = rng.random((9, 3)), np.ones((9, 3), bool)
    kernel = ConstantKernel(v[3]) * Matern(v[:3], nu=2.5) + WhiteKernel(v[4])
    theirs = GaussianProcessRegressor(kernel, alpha=0, optimizer=None).fit(data.points, data.targets)
    means, deviations = theirs.predict(queries, return_std=True)
    found = PLAIN.posterior(theta, data, mean_precision=np.inf).predict(queries, mask)
    np.testing.assert_allclose(found[0], means, atol=1e-7)
    np.testing.assert_allclose(found[1] ** 2, deviations**2 - v[4], atol=1e-7)


def test_predictions_of_a_mixed_space_are_those_of_the_plain_formulas():
    """Of joint covariances of all points: conditional means and covariances, at the best mean (eq. 2.41)."""
    data, theta, rng = mixed_data(), some_theta(MIXED), np.random.default_rng(7)
    queries, active = rng.random((6, 4)), rng.random((6, 4)) < 0.8
    active[:, [0, 1, 3]] = True
    joint = covariance_of(theta, np.vstack([data.points, queries]), np.vstack([data.mask, active]))
    inverse = np.linalg.inv(joint[:25, :25] + np.exp(theta[5]) * np.eye(25))
    mean = inverse.sum(axis=0) @ data.targets / (inverse.sum() + 2.5)
    posterior = MIXED.posterior(theta, data, mean_precision=2.5)
    assert posterior.mean == pytest.approx(mean, abs=1e-9)
    means, deviations = posterior.predict(queries, active)
    np.testing.assert_allclose(means, mean + joint[25:, :25] @ inverse @ (data.targets - mean), atol=1e-8)
    left = joint[25:, 25:] - joint[25:, :25] @ inverse @ joint[:25, 25:]
    np.testing.assert_allclose(deviations**2, np.diag(left), atol=1e-8)
    gains, deviations = posterior.gain_over(queries[[2]], active[[2]])(queries, active)
    np.testing.assert_allclose(gains, means - means[2], atol=1e-8)
    apart = np.eye(6) - np.eye(6)[2]  # of each and the third
    np.testing.assert_allclose(deviations**2, np.diag(apart @ left @ apart.T), atol=1e-8)
    assert deviations[2] > 0  # so that logarithms of it are finite


def test_length_scales_are_those_of_ordered_columns():
    """Those of the columns of the space; 1 for the choice."""
    theta = some_theta(MIXED)
    np.testing.assert_allclose(MIXED.posterior(theta, mixed_data()).lengths, [*np.exp(theta[:3]), 1.0])
    bare = GaussianProcess(LINE, Sum((Level(1.0), Noise([NOISE]))))
    data = Data(np.random.default_rng(0).random((5, 3)), np.ones((5, 3), bool), np.arange(5.0))
    np.testing.assert_array_equal(bare.posterior(bare.start, data).lengths, np.ones(3))


def test_pending_points_leave_means_and_lower_deviations():
    """As data whose results are what was predicted, of the plain formula with those data added."""
    data, theta, rng = mixed_data(), some_theta(MIXED), np.random.default_rng(7)
    points, mask = rng.random((3, 4)), np.ones((3, 4), bool)
    queries, active = np.concatenate([points, rng.random((5, 4))]), np.ones((8, 4), bool)
    before = MIXED.posterior(theta, data, mean_precision=1e12)
    told = Data(
        np.concatenate([data.points, points]),
        np.concatenate([data.mask, mask]),
        np.concatenate([data.targets, before.predict(points, mask)[0]]),
    )
    means, deviations = MIXED.posterior(theta, data, (points, mask), 1e12).predict(queries, active)
    wanted = MIXED.posterior(theta, told, mean_precision=1e12).predict(queries, active)
    np.testing.assert_allclose(means, wanted[0], atol=1e-8)
    np.testing.assert_allclose(deviations, wanted[1], atol=1e-8)
    assert (deviations[:3] < 0.7 * before.predict(points, mask)[1]).all()


def test_gradients_of_predictions_are_those_of_their_values():
    """Of a random linear function of means and deviations, by the ordered columns; 0 where a column is inactive."""
    theta, rng = some_theta(MIXED), np.random.default_rng(8)
    pending = rng.random((2, 4)), np.ones((2, 4), bool)
    posterior = MIXED.posterior(theta, mixed_data(), pending)
    points, mask = 0.1 + 0.8 * rng.random((6, 4)), np.ones((6, 4), bool)
    mask[0, 2] = False
    by_mean, by_deviation = rng.standard_normal((2, 6))
    means, deviations, pull_back = posterior.predict_with_gradient(points, mask)
    np.testing.assert_array_equal(np.stack([means, deviations]), np.stack(posterior.predict(points, mask)))
    gradient = pull_back(by_mean, by_deviation)
    for j in range(3):
        step = np.zeros(4)
        step[j] = 1e-5
        ends = [posterior.predict(points + sign * step, mask) for sign in (1, -1)]
        wanted = (by_mean * (ends[0][0] - ends[1][0]) + by_deviation * (ends[0][1] - ends[1][1])) / 2e-5
        np.testing.assert_allclose(gradient[:, j], wanted, atol=1e-6)
    assert gradient[0, 2] == 0


def test_equal_points_are_predicted_without_a_warning():
    """Fifty equal points with different results: their noise keeps the covariance regular."""
    rng = np.random.default_rng(9)
    data = Data(np.full((50, 3), 0.5), np.ones((50, 3), bool), stats.zscore(rng.standard_normal(50)))
    theta = PLAIN.start.copy()
    theta[4] = np.log(1e-300)  # none at all: the diagonal is raised until it is regular
    means, deviations = PLAIN.posterior(theta, data).predict(data.points[:1], data.mask[:1])
    assert abs(means[0]) < 1e-3
    assert 0 < deviations[0] < 1


def test_drawn_functions_have_the_predicted_means_and_deviations():
    """Of 2,000 draws at four points, two of them equal; within 5 standard errors."""
    posterior = MIXED.posterior(some_theta(MIXED), mixed_data())
    rng = np.random.default_rng(10)
    points, mask = rng.random((4, 4)), np.ones((4, 4), bool)
    points[3] = points[0]
    draws = np.array([posterior.sample(points, mask, rng) for _ in range(2000)])
    means, deviations = posterior.predict(points, mask)
    np.testing.assert_array_less(abs(draws.mean(axis=0) - means), 5 * deviations / np.sqrt(2000))
    np.testing.assert_allclose(draws.std(axis=0), deviations, rtol=5 / np.sqrt(2 * 2000))
    np.testing.assert_allclose(draws[:, 0], draws[:, 3], atol=1e-5)


# Configurations and tasks: the fourth column is the number of a task.

DISTANCES = np.array([[0.0, 1.0, 0.5], [1.0, 0.0, 1.5], [0.5, 1.5, 0.0]])
WIDE = Prior(0.0, 1.0, 1e-3, 50.0)
TASKS = GaussianProcess(
    LINE,
    Sum(
        (
            Product((Matern52(LINE.owner, [WIDE] * 3, WIDE), TaskSimilarity(3, DISTANCES, WIDE))),
            Noise([Prior(-4.0, 1.0, 1e-4, 1.0)] * 2, column=3, groups=(0, 1, 1)),
            Level(1.0),
            Level(0.25, 3),
        )
    ),
    mean_precision=np.inf,
)


def task_data(n, seed=0):
    """Random results of random points on three tasks."""
    rng = np.random.default_rng(seed)
    points = np.column_stack([rng.random((n, 3)), rng.integers(3, size=n)])
    return Data(points, np.ones((n, 3), bool), rng.standard_normal(n))


def test_a_process_over_tasks_is_that_of_the_plain_formula():
    """The density of results by scipy, up to a constant, and predictions from the joint covariance of all points."""
    data, theta = task_data(25), np.log([0.3, 0.7, 0.5, 1.4, 0.6, 0.02, 0.3])
    v = np.exp(theta)
    new = np.vstack([data.points, task_data(6, 1).points])
    alike = np.exp(-v[4] * DISTANCES[np.ix_(new[:, 3].astype(int), new[:, 3].astype(int))])
    joint = v[3] * Matern(v[:3], nu=2.5)(new[:, :3]) * alike + 1.0 + 0.25 * (new[:, [3]] == new[:, 3])
    noisy = joint[:25, :25] + np.diag(np.where(data.points[:, 3] == 0, v[5], v[6]))
    density = stats.multivariate_normal(np.zeros(25), noisy).logpdf(data.targets)
    constant = 25 / 2 * np.log(2 * np.pi)  # which the loss leaves out
    value, gradient = TASKS.loss(theta, data)
    assert value - TASKS.priors.loss(theta)[0] + constant == pytest.approx(-density, rel=1e-10)
    np.testing.assert_allclose(
        gradient, optimize.approx_fprime(theta, lambda t: TASKS.loss(t, data)[0], 1e-6), atol=1e-3
    )
    weights = linalg.solve(noisy, joint[:25, 25:], assume_a="pos")
    means, deviations = TASKS.posterior(theta, data).predict(new[25:], np.ones((6, 3), bool))
    np.testing.assert_allclose(means, weights.T @ data.targets, atol=1e-9)
    np.testing.assert_allclose(deviations**2, np.diag(joint[25:, 25:] - weights.T @ joint[:25, 25:]), atol=1e-9)


def test_a_small_task_tells_where_the_large_one_is_good():
    """Thirty results on a small one of another level, three on the large one: its best place is predicted."""
    rng = np.random.default_rng(0)
    x = np.concatenate([rng.random(30), [0.1, 0.5, 0.9]])
    tasks = np.array([1] * 30 + [0] * 3)
    points = np.column_stack([x, rng.random((33, 2)), tasks])
    data = Data(points, np.ones((33, 3), bool), -4 * (x - 0.7) ** 2 + np.where(tasks == 1, 0.0, 3.0))
    line = np.column_stack([np.linspace(0, 1, 101), np.full((101, 2), 0.5), np.zeros(101)])
    theta = TASKS.fit(data, [TASKS.start], 40)
    assert TASKS.loss(theta, data)[0] < TASKS.loss(TASKS.start, data)[0]
    means, deviations = TASKS.posterior(theta, data).predict(line, np.ones((101, 3), bool))
    assert abs(means.argmax() / 100 - 0.7) < 0.08
    assert abs(means.max() - 3.0) < 3 * deviations[means.argmax()]


def test_a_process_is_described_with_its_fitted_values():
    """The kernel's parts in JSON types, and the values of their parameters."""
    described = json.loads(json.dumps(PLAIN.describe(PLAIN.start), allow_nan=False))
    assert [part["kind"] for part in described["parts"]] == ["Matern52", "Noise", "MainEffects"]
    assert described["parts"][1]["values"] == pytest.approx([np.exp(-7.0)])
    assert "values" not in PLAIN.describe()["parts"][0]
