"""Priors against scipy's densities."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from autohpo.surrogates.priors import Prior, Priors

LOG = Prior(-0.4, 0.7, 0.01, 9.0)
VALUE = Prior(0.3, 0.5, 0.02, 5.0, is_of_value=True)


def test_the_loss_is_minus_the_log_of_scipys_densities():
    """Of a normal density of the logarithm, and of a lognormal density of the value; up to a constant."""
    vectors = np.random.default_rng(0).standard_normal((5, 2))
    ours = [Priors([LOG, VALUE]).loss(vector)[0] for vector in vectors]
    plain = [
        -stats.norm.logpdf(a, LOG.mean, LOG.sd)
        - stats.lognorm.logpdf(math.exp(b), VALUE.sd, scale=math.exp(VALUE.mean))
        for a, b in vectors
    ]
    np.testing.assert_allclose(np.diff(ours), np.diff(plain), atol=1e-12)


def test_the_gradient_vanishes_at_the_mode_and_is_that_of_the_loss():
    """The mode of a lognormal density is at exp(mean - sd^2)."""
    priors = Priors([LOG, VALUE])
    np.testing.assert_allclose(priors.mode, [-0.4, 0.3 - 0.25])
    np.testing.assert_allclose(priors.loss(priors.mode)[1], 0.0, atol=1e-12)
    vector = np.array([0.2, -0.7])
    for k, gradient in enumerate(priors.loss(vector)[1]):
        step = 1e-6 * np.eye(2)[k]
        assert gradient == pytest.approx((priors.loss(vector + step)[0] - priors.loss(vector - step)[0]) / 2e-6)


def test_a_mode_outside_the_bounds_is_cut_and_a_flat_prior_says_nothing():
    """A mode of exp(-0.4) = .67 below a bound of .8; an infinite deviation costs nothing anywhere."""
    assert Priors([Prior(-0.4, 0.7, 0.8, 9.0)]).mode[0] == pytest.approx(math.log(0.8))
    value, gradient = Priors([Prior(0.0, math.inf, 0.1, 9.0)]).loss(np.array([2.0]))
    assert (value, gradient[0]) == (0.0, 0.0)


def test_a_shifted_prior_has_another_mean_alone():
    """Bounds and deviation stay."""
    assert LOG.shifted(0.9) == Prior(0.5, 0.7, 0.01, 9.0)


def test_a_signed_parameter_stands_in_vectors_as_it_is():
    """Its density is normal, its bounds and its mode are those of the parameter itself."""
    height = Prior(-1.0, 2.0, -5.0, 3.0, is_signed=True)
    priors = Priors([height, LOG])
    np.testing.assert_array_equal([priors.low[0], priors.high[0], priors.mode[0]], [-5.0, 3.0, -1.0])
    assert priors.loss(np.array([1.0, LOG.mean]))[0] - priors.loss(np.array([-1.0, LOG.mean]))[0] == pytest.approx(0.5)
    assert (height.value(-2.0), LOG.value(0.0)) == (-2.0, 1.0)
