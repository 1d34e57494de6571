"""Gaussian processes against scipy's normal density, scikit-learn's regressor and finite differences."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import optimize, stats
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import ConstantKernel, Matern, WhiteKernel

from autohpo.surrogates.gp import Data, Model
from autohpo.surrogates.gp_forecast import Forecaster
from autohpo.surrogates.kernels import Embedding, matern52, squared_distances
from autohpo.surrogates.parzen_columns import Columns

# Two ranges, one that is not always in force, three categories; the first and the third are warped.
MIXED = Model(
    Embedding(Columns(np.array([0, 0, 0, 3]), [None] * 4), np.array([False, False, True, False])), np.array([0, 2])
)
PLAIN = Model(Embedding(Columns(np.array([0, 0, 0]), [None] * 3), np.zeros(3, bool)), np.empty(0, np.int64))
NONE_RUNNING = (np.empty((0, 4)), np.empty((0, 4), bool))


def mixed_data(n=25, seed=0):
    """Random results of random points of MIXED."""
    rng = np.random.default_rng(seed)
    mask = np.ones((n, 4), bool)
    mask[::3, 2] = False
    return Data(rng.random((n, 4)), mask, rng.standard_normal(n))


def some_vector(model, seed=1):
    """Parameters near the start, none of them like another."""
    start = model.start + 0.3 * np.random.default_rng(seed).standard_normal(len(model.start))
    start[:3] += 1.5
    return start


def covariance_of(model, vector, points, mask):
    """``(n, n)`` prior covariance, written out."""
    parameters = model.parameters(vector)
    placed = model.place(points, mask, parameters)
    kernel = matern52(squared_distances(placed.scaled, placed.scaled))[0]
    return parameters.scale * kernel + (placed.coordinates * parameters.effects) @ placed.coordinates.T


def plain_loss(model, vector, data):
    """Minus the log density of the results at the best mean, and of the parameters, from scipy's normal alone."""
    d, p = data.points.shape[1], model.priors
    covariance = covariance_of(model, vector, data.points, data.mask)
    covariance += model.parameters(vector).noise * np.eye(len(data.targets))

    def misfit(mean):
        return 0.5 * p.mean_precision * mean**2 - stats.multivariate_normal.logpdf(data.targets - mean, cov=covariance)

    best = optimize.minimize_scalar(misfit, tol=1e-12).fun
    rules = [p.scale, p.noise, p.effects] + [p.warp] * (2 * len(model.warped))
    prior = sum(stats.norm.logpdf(x, rule.mean, rule.sd) for x, rule in zip(vector[d:], rules, strict=True))
    mean = p.length.mean + np.log(d) / 2
    prior += stats.lognorm.logpdf(np.exp(vector[:d]), p.length.sd, scale=np.exp(mean)).sum()
    return best - prior


def test_the_loss_is_minus_the_log_posterior_density():
    """Up to a constant: differences between vectors; a mean that is off by 1e-6 costs 1e-12."""
    data, vectors = mixed_data(), [some_vector(MIXED, seed) for seed in range(3)]
    ours = [MIXED.loss(vector, data)[0] for vector in vectors]
    plain = [plain_loss(MIXED, vector, data) for vector in vectors]
    np.testing.assert_allclose(np.diff(ours), np.diff(plain), atol=1e-8)


def test_the_gradient_of_the_loss_is_that_of_its_values():
    """Central differences of step 1e-5 err by 1e-10 / 6 of the third derivative, which is some 1e5 here."""
    data, vector = mixed_data(), some_vector(MIXED)
    gradient = MIXED.loss(vector, data)[1]
    steps = 1e-5 * np.eye(len(vector))
    wanted = [(MIXED.loss(vector + s, data)[0] - MIXED.loss(vector - s, data)[0]) / 2e-5 for s in steps]
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
    assert 0.003 < PLAIN.parameters(vector).noise < 0.03


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


def test_forecasts_are_those_of_scikit_learn():
    """With a mean that is 0 for sure, on ranges alone: means and deviations without noise."""
    rng = np.random.default_rng(6)
    vector = some_vector(PLAIN)
    p = PLAIN.parameters(vector)
    data = Data(rng.random((20, 3)), np.ones((20, 3), bool), rng.standard_normal(20))
    queries, mask = rng.random((9, 3)), np.ones((9, 3), bool)
    kernel = ConstantKernel(p.scale) * Matern(1 / p.inverse_lengths, nu=2.5) + WhiteKernel(p.noise)
    theirs = GaussianProcessRegressor(kernel, alpha=0, optimizer=None).fit(data.points, data.targets)
    means, deviations = theirs.predict(queries, return_std=True)
    ours = Forecaster.after(PLAIN, vector, data, (np.empty((0, 3)), np.empty((0, 3), bool)), 1e12)
    found = ours.forecast(queries, mask)
    np.testing.assert_allclose(found[0], means, atol=1e-7)
    np.testing.assert_allclose(found[1] ** 2, deviations**2 - p.noise, atol=1e-7)


def test_far_from_all_results_the_forecast_is_the_mean():
    """The generalised least-squares mean with its prior, of the plain formula; length-scales are a hundredth."""
    data = mixed_data()
    vector = some_vector(MIXED)
    vector[:4] = np.log(0.02)
    inverse = np.linalg.inv(
        covariance_of(MIXED, vector, data.points, data.mask) + MIXED.parameters(vector).noise * np.eye(25)
    )
    wanted = inverse.sum(axis=0) @ data.targets / (inverse.sum() + 2.5)
    assert Forecaster.after(MIXED, vector, data, NONE_RUNNING, 2.5).mean == pytest.approx(wanted, abs=1e-9)


def test_running_points_leave_means_and_lower_deviations():
    """As data whose results are what was forecast, of the plain formula with those data added."""
    data, vector, rng = mixed_data(), some_vector(MIXED), np.random.default_rng(7)
    points, mask = rng.random((3, 4)), np.ones((3, 4), bool)
    queries, active = np.concatenate([points, rng.random((5, 4))]), np.ones((8, 4), bool)
    before = Forecaster.after(MIXED, vector, data, NONE_RUNNING, 1e12)
    told = Data(
        np.concatenate([data.points, points]),
        np.concatenate([data.mask, mask]),
        np.concatenate([data.targets, before.forecast(points, mask)[0]]),
    )
    means, deviations = Forecaster.after(MIXED, vector, data, (points, mask), 1e12).forecast(queries, active)
    wanted = Forecaster.after(MIXED, vector, told, NONE_RUNNING, 1e12).forecast(queries, active)
    np.testing.assert_allclose(means, wanted[0], atol=1e-8)
    np.testing.assert_allclose(deviations, wanted[1], atol=1e-8)
    assert (deviations[:3] < 0.7 * before.forecast(points, mask)[1]).all()


def test_gradients_of_forecasts_are_those_of_their_values():
    """Of a random linear function of means and deviations, by the ordered columns; 0 where not in force."""
    vector, rng = some_vector(MIXED), np.random.default_rng(8)
    forecaster = Forecaster.after(MIXED, vector, mixed_data(), NONE_RUNNING, 1.0)
    points, mask = 0.1 + 0.8 * rng.random((6, 4)), np.ones((6, 4), bool)
    mask[0, 2] = False
    by_mean, by_deviation = rng.standard_normal((2, 6))
    means, deviations, pull_back = forecaster.forecast_with_gradient(points, mask)
    np.testing.assert_array_equal(np.stack([means, deviations]), np.stack(forecaster.forecast(points, mask)))
    gradient = pull_back(by_mean, by_deviation)
    for j in range(3):
        step = np.zeros(4)
        step[j] = 1e-5
        ends = [forecaster.forecast(points + sign * step, mask) for sign in (1, -1)]
        wanted = (by_mean * (ends[0][0] - ends[1][0]) + by_deviation * (ends[0][1] - ends[1][1])) / 2e-5
        np.testing.assert_allclose(gradient[:, j], wanted, atol=1e-6)
    assert gradient[0, 2] == 0


def test_equal_points_forecast_without_a_warning():
    """Fifty equal points with different results: their noise keeps the covariance regular."""
    rng = np.random.default_rng(9)
    data = Data(np.full((50, 3), 0.5), np.ones((50, 3), bool), stats.zscore(rng.standard_normal(50)))
    vector = PLAIN.start.copy()
    vector[4] = np.log(1e-300)  # none at all: the diagonal is raised until it is regular
    forecaster = Forecaster.after(PLAIN, vector, data, (np.empty((0, 3)), np.empty((0, 3), bool)), 1.0)
    means, deviations = forecaster.forecast(data.points[:1], data.mask[:1])
    assert abs(means[0]) < 1e-3
    assert 0 < deviations[0] < 1


def test_drawn_functions_have_the_forecast_means_and_deviations():
    """Of 2,000 draws at four points, two of them equal; within 5 standard errors."""
    forecaster = Forecaster.after(MIXED, some_vector(MIXED), mixed_data(), NONE_RUNNING, 1.0)
    rng = np.random.default_rng(10)
    points, mask = rng.random((4, 4)), np.ones((4, 4), bool)
    points[3] = points[0]
    draws = np.array([forecaster.sample(points, mask, rng) for _ in range(2000)])
    means, deviations = forecaster.forecast(points, mask)
    np.testing.assert_array_less(abs(draws.mean(axis=0) - means), 5 * deviations / np.sqrt(2000))
    np.testing.assert_allclose(draws.std(axis=0), deviations, rtol=5 / np.sqrt(2 * 2000))
    np.testing.assert_allclose(draws[:, 0], draws[:, 3], atol=1e-5)
