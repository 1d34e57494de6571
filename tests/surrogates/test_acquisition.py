"""Acquisition functions against quadrature, scipy's normal distribution and finite differences."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
from scipy import integrate, special, stats

from autohpo.surrogates.acquisition import log_ei, log_h, log_mean_ei, log_pi, mean_ucb, ucb

FUNCTIONS = {"ei": partial(log_ei, best=0.4), "pi": partial(log_pi, best=0.4), "ucb": partial(ucb, kappa=1.7)}


def log_h_by_quadrature(z):
    """The log of the integral of Phi(z - s) over s >= 0, with Phi(z) taken out so that nothing is too small."""
    width = 40.0 / max(1.0, abs(z))
    end = width + max(z, 0) * 3

    def ratio(s):
        return np.exp(special.log_ndtr(z - s) - special.log_ndtr(z))

    total, _ = integrate.quad(ratio, 0, end, epsabs=0, epsrel=1e-10, limit=200)
    return special.log_ndtr(z) + np.log(total)


@pytest.mark.parametrize("z", [3.0, 0.0, -0.999, -1.001, -5.0, -40.0, -300.0, -999.0, -1001.0, -4e3])
def test_log_h_is_right_where_h_is_zero_in_doubles(z):
    """On both sides of each seam; quadrature keeps 10 digits of the factor that it finds."""
    assert log_h(np.array([z]))[0][0] == pytest.approx(log_h_by_quadrature(z), rel=1e-12, abs=1e-9)


def test_log_h_is_finite_however_far_the_candidate_lies():
    """Its slope is -z + O(1 / z) there."""
    z = np.array([-1e8, -1e12])
    value, slope = log_h(z)
    np.testing.assert_allclose(value, -0.5 * z * z, rtol=1e-6)
    np.testing.assert_allclose(slope, -z, rtol=1e-6)


def test_expected_improvement_is_that_of_the_textbook():
    """Where it is not small; s h((m - best) / s)."""
    mean, sd = np.array([0.1, 0.5, 2.0]), np.array([0.3, 1.0, 0.2])
    z = (mean - 0.4) / sd
    wanted = sd * (stats.norm.pdf(z) + z * stats.norm.cdf(z))
    np.testing.assert_allclose(np.exp(log_ei(mean, sd, 0.4)[0]), wanted, rtol=1e-12)


def test_probability_of_improvement_is_the_normal_tail():
    """The log of it, also 30 deviations out."""
    mean, sd = np.array([0.1, -8.6]), np.array([0.3, 0.3])
    np.testing.assert_allclose(log_pi(mean, sd, 0.4)[0], stats.norm.logsf(0.4, mean, sd), rtol=1e-12)


def test_the_upper_confidence_bound_is_the_mean_and_deviations():
    """By definition."""
    np.testing.assert_allclose(ucb(np.array([1.0]), np.array([2.0]), 1.5)[0], [4.0])


@pytest.mark.parametrize("name", FUNCTIONS)
def test_gradients_are_those_of_the_values(name):
    """By mean and by deviation, against central differences: relative 1e-6 of derivatives up to 1e4."""
    f = FUNCTIONS[name]
    mean, sd, h = np.array([-3.0, 0.1, 0.39, 1.0, -20.0]), np.array([0.2, 0.5, 0.01, 1.0, 0.1]), 1e-6
    _, by_mean, by_sd = f(mean, sd)
    np.testing.assert_allclose(by_mean, (f(mean + h, sd)[0] - f(mean - h, sd)[0]) / (2 * h), rtol=1e-6)
    wanted = (f(mean, sd + h * sd)[0] - f(mean, sd - h * sd)[0]) / (2 * h * sd)
    np.testing.assert_allclose(by_sd, wanted, rtol=1e-6, atol=1e-8)


def test_the_mean_of_expected_improvement_over_fantasies_is_that_of_its_columns():
    """The log of the mean of EI in closed form; also where EI is 0 in doubles."""
    rng = np.random.default_rng(0)
    means, sd, best = rng.standard_normal((5, 3)), rng.uniform(0.2, 1.0, 5), np.array([0.5, 1.0, -0.2])
    z = (means - best) / sd[:, None]
    wanted = (sd[:, None] * (stats.norm.pdf(z) + z * stats.norm.cdf(z))).mean(axis=1)
    np.testing.assert_allclose(np.exp(log_mean_ei(means, sd, best)[0]), wanted, rtol=1e-10)
    far = log_mean_ei(means - 1e3, sd, best)[0]
    np.testing.assert_allclose(far, log_ei(means - 1e3, sd[:, None], best)[0].max(axis=1), atol=np.log(3) + 1e-9)
    one = log_mean_ei(means[:, :1], sd, best[:1])[0]
    np.testing.assert_allclose(one, log_ei(means[:, 0], sd, best[0])[0], rtol=1e-12)


@pytest.mark.parametrize(
    "function", [partial(log_mean_ei, best=np.array([0.5, 1.0, -0.2])), partial(mean_ucb, kappa=1.7)]
)
def test_derivatives_over_fantasies_are_those_of_the_values(function):
    """By each mean and by the deviations; central differences of step 1e-6."""
    rng = np.random.default_rng(1)
    means, sd = 2.0 * rng.standard_normal((5, 3)), rng.uniform(0.2, 1.0, 5)
    _, by_means, by_sd = function(means, sd)
    for k, step in enumerate(1e-6 * np.eye(3)):
        change = function(means + step, sd)[0] - function(means - step, sd)[0]
        np.testing.assert_allclose(by_means[:, k], change / 2e-6, atol=1e-7)
    change = function(means, sd + 1e-6)[0] - function(means, sd - 1e-6)[0]
    np.testing.assert_allclose(by_sd, change / 2e-6, atol=1e-6)


def test_the_mean_bound_over_fantasies_is_that_of_the_mean():
    """The mean of the columns, with deviations added."""
    means, sd = np.array([[1.0, 3.0], [0.0, -2.0]]), np.array([0.5, 1.0])
    np.testing.assert_allclose(mean_ucb(means, sd, 2.0)[0], [3.0, 1.0])
