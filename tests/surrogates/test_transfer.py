"""The process over configurations and data sets, against the plain formulas of a Gaussian process."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.optimize import approx_fprime

from autohpo.surrogates.kernels import Embedding
from autohpo.surrogates.parzen_columns import Columns
from autohpo.surrogates.transfer import LEVEL_VARIANCE, Observations, TransferForecast, TransferModel

DISTANCES = np.array([[0.0, 1.0, 0.5], [1.0, 0.0, 1.5], [0.5, 1.5, 0.0]])
LINE = Embedding(Columns(np.array([0, 0]), [None, None]), np.array([False, False]))
THETA = np.log([0.3, 0.7, 1.4, 0.6, 0.02, 0.3])  # lengths, scale, decay, noise on the large and on the small


def seen(n, seed=0):
    """Some results on three data sets, and their points."""
    rng = np.random.default_rng(seed)
    points = rng.random((n, 2))
    mask = np.ones((n, 2), dtype=bool)
    return points, Observations(LINE.coordinates(points, mask), rng.integers(3, size=n), rng.standard_normal(n))


def plain_covariance(a, b, task_a, task_b):
    """Entry by entry: Matern-5/2 of the distance in lengths, times the decay between data sets, plus the levels."""
    found = np.empty((len(a), len(b)))
    lengths, scale, decay = np.exp(THETA[:2]), math.exp(THETA[2]), math.exp(THETA[3])
    for i in range(len(a)):
        for j in range(len(b)):
            r = math.sqrt(5) * math.dist(a[i] / lengths, b[j] / lengths)
            near = math.exp(-decay * DISTANCES[task_a[i], task_b[j]])
            found[i, j] = scale * (1 + r + r * r / 3) * math.exp(-r) * near + 1.0
            found[i, j] += LEVEL_VARIANCE if task_a[i] == task_b[j] else 0.0
    return found


def test_forecasts_equal_the_plain_formula():
    """Rasmussen & Williams 2006, eq. 2.25 and 2.26, with an inverse; to 1e-9, rounding times the condition of 100."""
    points, data = seen(25)
    new = np.random.default_rng(1).random((6, 2))
    noise = np.where(data.tasks == 0, 0.02, 0.3)
    inverse = np.linalg.inv(plain_covariance(points, points, data.tasks, data.tasks) + np.diag(noise))
    process = TransferForecast(TransferModel(LINE, DISTANCES), THETA, data)
    for task in range(3):
        where = np.full(6, task)
        across = plain_covariance(new, points, where, data.tasks)
        prior = plain_covariance(new, new, where, where)
        means, deviations = process(new, np.ones((6, 2), dtype=bool), task)
        np.testing.assert_allclose(means, across @ inverse @ data.values, atol=1e-9)
        np.testing.assert_allclose(deviations**2, np.diag(prior - across @ inverse @ across.T), atol=1e-9)


def test_the_objective_is_the_density_and_its_gradient_fits():
    """Differences of two objectives are those of log densities by scipy; the gradient is that of differences.

    Differences of 1e-6 leave 1e-4 of a gradient of some ten.
    """
    from scipy.stats import multivariate_normal

    points, data = seen(20)
    model = TransferModel(LINE, DISTANCES)
    covariance = plain_covariance(points, points, data.tasks, data.tasks)
    covariance += np.diag(np.where(data.tasks == 0, 0.02, 0.3))
    log_density = multivariate_normal(np.zeros(20), covariance).logpdf(data.values)
    value, gradient = model.objective(THETA, data)
    mean, deviation = model._centre
    prior = 0.5 * (((THETA - mean) / deviation) ** 2).sum()
    constant = len(data) / 2 * math.log(2 * math.pi)  # which the objective leaves out
    assert value - prior + constant == pytest.approx(-log_density, rel=1e-10)
    np.testing.assert_allclose(gradient, approx_fprime(THETA, lambda t: model.objective(t, data)[0], 1e-6), atol=1e-3)


def test_the_fit_is_better_than_its_start():
    """And no small step from it is better."""
    points, data = seen(40)
    waves = np.sin(6 * points[:, 0]) + 0.1 * data.values  # of noise alone the fit would end at its bounds
    data = Observations(data.coordinates, data.tasks, waves)
    model = TransferModel(LINE, DISTANCES)
    found = model.fit(data)
    best = model.objective(found, data)[0]
    assert best < model.objective(model._centre[0], data)[0]
    for k in range(len(found)):
        for step in (-0.1, 0.1):
            moved = found.copy()
            moved[k] += step
            assert model.objective(moved, data)[0] > best - 1e-2


def test_a_small_data_set_tells_where_the_large_one_is_good():
    """Thirty results on a small one of another level, three on the large one: its best place is forecast."""
    rng = np.random.default_rng(0)
    x = np.concatenate([rng.random(30), [0.1, 0.5, 0.9]])
    points = np.stack([x, rng.random(33)], axis=1)
    tasks = np.array([1] * 30 + [0] * 3)
    values = -4 * (x - 0.7) ** 2 + np.where(tasks == 1, 0.0, 3.0)
    mask = np.ones((33, 2), dtype=bool)
    model = TransferModel(LINE, DISTANCES)
    data = Observations(LINE.coordinates(points, mask), tasks, values)
    line = np.stack([np.linspace(0, 1, 101), np.full(101, 0.5)], axis=1)
    means, deviations = TransferForecast(model, model.fit(data), data)(line, np.ones((101, 2), dtype=bool), 0)
    assert abs(means.argmax() / 100 - 0.7) < 0.08
    assert abs(means.max() - 3.0) < 3 * deviations[means.argmax()]


def test_gains_are_differences_of_two_results():
    """Mean and variance of f(x) - f(b), from the joint posterior of all points by the plain formula; to 1e-9."""
    points, data = seen(25)
    new = np.random.default_rng(1).random((6, 2))
    noise = np.where(data.tasks == 0, 0.02, 0.3)
    inverse = np.linalg.inv(plain_covariance(points, points, data.tasks, data.tasks) + np.diag(noise))
    process, mask = TransferForecast(TransferModel(LINE, DISTANCES), THETA, data), np.ones((6, 2), dtype=bool)
    for task in range(3):
        where = np.full(6, task)
        across = plain_covariance(new, points, where, data.tasks)
        joint = plain_covariance(new, new, where, where) - across @ inverse @ across.T
        differ = np.eye(6) - np.eye(6)[2]  # of each and the third
        gains, deviations = process.beyond(new, mask, task, (new[[2]], mask[[2]]))
        np.testing.assert_allclose(gains, differ @ across @ inverse @ data.values, atol=1e-9)
        np.testing.assert_allclose(deviations**2, np.diag(differ @ joint @ differ.T), atol=1e-9)
