"""Warps against scipy's Yeo-Johnson transform, finite differences, and results of every size."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from autohpo.surrogates.warping import POWERS, kumaraswamy, warp_targets, yeo_johnson


def test_kumaraswamys_warp_is_a_distribution_function():
    """0 and 1 stay (to the edge of 1e-7), exponents of 1 change nothing, and the closed form holds in between."""
    x, one = np.array([0.0, 0.2, 0.7, 1.0]), np.ones(1)
    np.testing.assert_allclose(kumaraswamy(x, one, one)[0], x, atol=2e-7)
    warped = kumaraswamy(x, 2 * one, 3 * one)[0]
    np.testing.assert_allclose(warped, 1 - (1 - x**2) ** 3, atol=1e-6)


@pytest.mark.parametrize(("a", "b"), [(1.0, 1.0), (0.4, 2.5), (3.0, 0.3)])
def test_the_derivatives_of_kumaraswamys_warp_are_those_of_its_values(a, b):
    """By x, log a and log b, against central differences of step 1e-6: they err by 1e-12 times the third derivative."""
    x, h = np.linspace(0.1, 0.9, 7), 1e-6
    _, by_x, by_a, by_b = kumaraswamy(x, np.array([a]), np.array([b]))

    def value(dx=0.0, da=0.0, db=0.0):
        return kumaraswamy(x + dx, np.array([a * np.exp(da)]), np.array([b * np.exp(db)]))[0]

    np.testing.assert_allclose(by_x, (value(dx=h) - value(dx=-h)) / (2 * h), atol=1e-7)
    np.testing.assert_allclose(by_a, (value(da=h) - value(da=-h)) / (2 * h), atol=1e-7)
    np.testing.assert_allclose(by_b, (value(db=h) - value(db=-h)) / (2 * h), atol=1e-7)


@pytest.mark.parametrize("power", [-2.0, 0.0, 0.5, 1.0, 2.0, 5.5])
def test_yeo_and_johnsons_transform_is_scipys(power):
    """At both signs and at 0; the special powers 0 and 2 among them."""
    z = np.array([-5.0, -0.3, 0.0, 0.2, 4.0])
    np.testing.assert_allclose(yeo_johnson(z, power), stats.yeojohnson(z, power), rtol=1e-12)


def test_the_power_is_the_likeliest():
    """Among ours that of the largest likelihood by scipy, on results of three shapes."""
    rng = np.random.default_rng(0)
    normal = rng.standard_normal(60)
    for results in (normal, -np.exp(normal), np.exp(0.5 * normal)):
        z = (results - results.mean()) / results.std()
        power = max(POWERS, key=lambda power: stats.yeojohnson_llf(power, z))
        wanted = stats.zscore(stats.yeojohnson(z, power))
        np.testing.assert_allclose(warp_targets(results).values, wanted, atol=1e-9)


def test_warped_results_have_mean_0_and_variance_1_and_keep_their_order():
    """To the grain of 1e-9 that they are rounded to."""
    results = -np.exp(np.random.default_rng(1).standard_normal(40))
    values = warp_targets(results).values
    assert values.mean() == pytest.approx(0, abs=1e-9)
    assert values.std() == pytest.approx(1, abs=1e-9)
    assert (np.argsort(values) == np.argsort(results)).all()


def test_results_that_are_not_to_be_warped_are_standardised():
    """And nothing else."""
    results = np.array([1.0, 5.0, 2.0])
    values = warp_targets(results, is_warped=False).values
    np.testing.assert_allclose(values, stats.zscore(results), atol=1e-9)


@pytest.mark.parametrize(("a", "b"), [(1e-9, 0.0), (1e12, -3.0), (0.7, 1e3)])
def test_another_unit_of_the_results_changes_no_bit(a, b):
    """Rounding errors of 1e-13 vanish in the grain; a value at the edge of one is one in 10,000."""
    results = -np.exp(np.random.default_rng(2).standard_normal(30))
    np.testing.assert_array_equal(warp_targets(a * results + b).values, warp_targets(results).values)


def test_the_unit_is_the_slope_at_the_best_result():
    """Against a small change of the best result, seen through scipy's transform of the same power."""
    results = -np.exp(np.random.default_rng(3).standard_normal(30))
    targets = warp_targets(results)
    order = np.argsort(results)
    mean, sd = results.mean(), results.std()
    z = (results - mean) / sd
    warped = [(stats.yeojohnson(z, power), power) for power in POWERS]
    raw, power = min(warped, key=lambda one: abs(stats.zscore(one[0]) - targets.values).max())
    step = 1e-6
    slope = (stats.yeojohnson(z[order[-1:]] + step, power) - raw[order[-1]])[0] / step / raw.std()
    assert targets.unit == pytest.approx(sd / slope, rel=1e-4)


@pytest.mark.parametrize(
    ("results", "are_equal"),
    [
        ([], True),
        ([3.0], True),
        ([2.5] * 5, True),
        ([0.3, 0.1 + 0.2, 0.3], True),
        ([1.7e308, -1.7e308, 0.0, 1.0], False),
        ([k * 5e-324 for k in range(9)], False),
        ([-1e300, *np.arange(30) * 1e-3], False),
        ([0.0, 1.0, 0.0, 1.0, 1.0], False),
    ],
    ids=["none", "one", "equal", "equal but for rounding", "huge", "tiny", "an outlier", "two values"],
)
def test_results_of_any_size_give_finite_values(results, are_equal):
    """Equal ones give zeros; no warning, as those are errors in the tests."""
    targets = warp_targets(np.array(results))
    assert targets.values.shape == (len(results),)
    assert np.isfinite(targets.values).all()
    assert targets.values.any() != are_equal
