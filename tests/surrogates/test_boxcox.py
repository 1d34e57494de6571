"""Box and Cox's transform against scipy's, and results of every sign and size."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import special, stats

from autohpo.surrogates.boxcox import (
    POWERS,
    boxcox_targets,
    fit_boxcox,
    inverse_power,
    log_likelihood,
    power_transform,
)

NORMAL = np.random.default_rng(0).standard_normal(60)
SHAPES = {"lognormal": np.exp(NORMAL), "square": (4 + NORMAL) ** 2, "losses": -np.exp(0.5 * NORMAL)}


@pytest.mark.parametrize("power", [-1.0, -0.25, 0.0, 0.5, 1.0, 2.0])
def test_the_transform_and_its_inverse_are_scipys(power):
    """At sizes from 1e-3 to 1e3."""
    x = np.logspace(-3, 3, 13)
    np.testing.assert_allclose(power_transform(x, power), special.boxcox(x, power), rtol=1e-12)
    z = power_transform(x, power)
    np.testing.assert_allclose(inverse_power(z, power), special.inv_boxcox(z, power), rtol=1e-9)


def test_the_inverse_of_what_no_transform_can_be_is_the_bound():
    """Transforms of positive values are above -1 / power, or below it where that is negative."""
    assert inverse_power(np.array([-2.0, -3.0]), 0.5).tolist() == [0.0, 0.0]
    assert inverse_power(np.array([1.0, 2.0]), -1.0).tolist() == [np.inf, np.inf]


@pytest.mark.parametrize("x", [np.exp(NORMAL), (4 + NORMAL) ** 2])
def test_the_likelihood_is_scipys(x):
    """The Jacobian is summed: with its mean in place of the sum, the likelihoods differ by more than 1."""
    wanted = [stats.boxcox_llf(power, x) for power in POWERS]
    np.testing.assert_allclose(log_likelihood(x, POWERS), wanted, rtol=1e-9, atol=1e-9)
    assert np.ptp(log_likelihood(x, POWERS) - wanted - (POWERS - 1) * (np.log(x).mean() - np.log(x).sum())) > 1


@pytest.mark.parametrize("shape", SHAPES)
def test_the_power_has_the_highest_density(shape):
    """Within half a step of the maximum by scipy's likelihood and the prior's density; on sizes, not centred."""
    results = SHAPES[shape]
    sizes, fine = np.abs(results), np.linspace(-1, 2, 301)
    density = [stats.boxcox_llf(power, sizes) + stats.norm.logpdf(power, 0.5, 0.75) for power in fine]
    assert abs(fit_boxcox(results).power - fine[np.argmax(density)]) <= 1 / 64 + 0.005


def test_the_prior_draws_powers_of_few_results_to_a_half():
    """Five results that a power of -1 would fit best have one nearer to the prior's mean."""
    results = 1 / np.array([1.0, 1.5, 2.0, 2.5, 3.0])
    alone = POWERS[np.argmax([stats.boxcox_llf(power, results) for power in POWERS])]
    assert alone < fit_boxcox(results).power < 0.5


@pytest.mark.parametrize("shape", SHAPES)
def test_values_have_mean_0_and_variance_1_keep_the_order_and_lead_back(shape):
    """To the grain of 1e-9 that they are rounded to."""
    results = SHAPES[shape]
    transform = fit_boxcox(results)
    values = transform(results)
    assert values.mean() == pytest.approx(0, abs=1e-8)
    assert values.std() == pytest.approx(1, abs=1e-8)
    assert (np.argsort(values) == np.argsort(results)).all()
    np.testing.assert_allclose(transform.inverse(values), results, rtol=1e-6)
    np.testing.assert_array_equal(boxcox_targets(results).values, values)


@pytest.mark.parametrize("shape", SHAPES)
def test_lognormal_results_become_more_normal(shape):
    """The skewness falls, and a lognormal's to near 0: its standard error at 60 results is .3."""
    results = SHAPES[shape]
    values = fit_boxcox(results)(results)
    assert abs(stats.skew(values)) < abs(stats.skew(results))
    assert abs(stats.skew(values)) < 1


@pytest.mark.parametrize("shape", SHAPES)
def test_the_unit_is_the_slope_at_the_best_result(shape):
    """Against a difference of the inverse."""
    results = SHAPES[shape]
    transform, step = fit_boxcox(results), 1e-5
    best = transform(results).max()
    low, high = transform.inverse(np.array([best - step, best + step]))
    assert boxcox_targets(results).unit == pytest.approx((high - low) / (2 * step), rel=1e-5)


@pytest.mark.parametrize("factor", [1e-200, 1e-9, 3.0, 1e200])
@pytest.mark.parametrize("shape", SHAPES)
def test_values_do_not_depend_on_the_unit_of_results(shape, factor):
    """Bit for bit, but for a grain."""
    values = boxcox_targets(SHAPES[shape]).values
    np.testing.assert_allclose(boxcox_targets(factor * SHAPES[shape]).values, values, atol=2e-9)


@pytest.mark.parametrize(
    "results",
    [np.exp(NORMAL[:4]), NORMAL, np.array([0.0, 0.0, 1.0, -1.0, 2.0, 5.0])],
    ids=["few", "signs", "zeros and signs"],
)
def test_few_results_and_those_of_both_signs_are_only_standardised(results):
    """As scipy's zscore has them; the inverse leads back."""
    transform = fit_boxcox(results)
    assert transform.power == 1.0
    np.testing.assert_allclose(transform(results), stats.zscore(results), atol=2e-9)
    np.testing.assert_allclose(transform.inverse(transform(results)), results, atol=1e-8)


def test_it_can_be_switched_off():
    """Then all are only standardised."""
    np.testing.assert_allclose(boxcox_targets(np.exp(NORMAL), False).values, stats.zscore(np.exp(NORMAL)), atol=2e-9)


@pytest.mark.parametrize("sign", [1, -1])
def test_results_that_are_0_among_those_of_one_sign_are_shifted(sign):
    """An error of 0 is no logarithm of 0; order and inverse hold."""
    results = sign * np.append(np.exp(NORMAL[:20]), [0.0, 0.0])
    transform = fit_boxcox(results)
    values = transform(results)
    assert transform.power != 1.0
    assert np.isfinite(values).all()
    assert np.ptp(np.argsort(np.argsort(values[:20])) - np.argsort(np.argsort(results[:20]))) == 0
    np.testing.assert_allclose(transform.inverse(values), results, atol=1e-6)


@pytest.mark.parametrize("value", [0.0, 0.1, -7e300])
def test_equal_results_are_all_0(value):
    """Also those whose mean differs from them by rounding; none at all are fine too."""
    assert boxcox_targets(np.full(7, value)).values.tolist() == [0.0] * 7
    assert len(boxcox_targets(np.empty(0)).values) == 0
