"""Processes over configurations and fidelities: literal formulas pair by pair, scipy's density, finite differences."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from curve_sets import KERNELS, MIXED, TOP, asha_curves, curves, new_points, process_of, some_theta
from scipy import optimize, stats
from sklearn.gaussian_process.kernels import Matern

from autohpo.surrogates.gp import Data
from autohpo.surrogates.multi_fidelity import multi_fidelity_process
from autohpo.surrogates.warping import warp_targets

OWNER = MIXED.owner  # of 2 ranges, of cosine and sine of the optional one, of 3 categories
N = 4 + 2  # length-scales, variance, and that of the main effects


def kappa(r, alpha, rate):
    """The mean of exp(-l r) for gamma distributed l, with the rate parameter beta as in the paper."""
    beta = alpha / rate
    return (beta / (r + beta)) ** alpha


def k_x(v, a, b):
    """The covariance of two configurations: a Matern kernel, and main effects of the choice."""
    matern = v[4] * Matern(v[:4][OWNER], nu=2.5)(a[None, :7], b[None, :7])[0, 0]
    return matern + v[5] * 2.0 * a[4:7] @ b[4:7]


def log_resource(v, a, b):
    """A kernel of configurations times two of logarithms, Matern-3/2 and rough; rough curves of all, and of each."""
    s, t = math.log(a[-2] / TOP), math.log(b[-2] / TOP)
    d = abs(s - t)
    alike = (1 + d / v[6]) * math.exp(-d / v[6]) * math.exp(v[7] * (s + t)) + v[8] * math.exp(-d / v[9])
    common = v[10] * math.exp(-d / v[11])
    own = v[12] * math.exp(-d / v[13] + v[14] * (s + t)) if a[-1] == b[-1] else 0.0
    return k_x(v, a, b) * alike + common + own


def decays(v, a, b, scale):
    """The mean decays at both fidelities and their sum."""
    r, t = scale(a[-2]), scale(b[-2])
    return kappa(r, v[6], v[7]), kappa(t, v[6], v[7]), kappa(r + t, v[6], v[7])


def exp_decay_sum(v, a, b, scale):
    """A sum of two functions, of which one is a decay that all share."""
    k1, k2, k12 = decays(v, a, b, scale)
    return k_x(v, a, b) + v[8] ** 2 * (k12 - k1 * k2)


def freeze_thaw(v, a, b, scale):
    """A sum of two functions, of which one is a decay of each configuration."""
    k1, k2, k12 = decays(v, a, b, scale)
    return k_x(v, a, b) + (v[8] ** 2 * (k12 - k1 * k2) if a[-1] == b[-1] else 0.0)


def fading(v, a, b, scale, delta):
    """The formula with the missing share delta."""
    k1, k2, k12 = decays(v, a, b, scale)
    p = v[8] - delta * v[9]
    return k_x(v, a, b) * (1 - delta * (k1 + k2 - delta * k12)) + p * p * (k12 - k1 * k2)


def matern52(v, a, b, scale):
    """One kernel over all, and main effects of the choice."""
    lengths = [*v[:4][OWNER], v[4]]
    a, b = np.append(a[:7], scale(a[-2])), np.append(b[:7], scale(b[-2]))
    return v[5] * Matern(lengths, nu=2.5)(a[None], b[None])[0, 0] + v[-2] * 2.0 * a[4:7] @ b[4:7]


def res_warp(v, a, b, scale):
    """The kernel over all with a warped fidelity."""
    return matern52(v, a, b, lambda r: 1.0 - (1.0 - min(scale(r), 1 - 1e-7) ** v[6]) ** v[7])


def cross_validation(v, a, b):
    """A kernel of configurations, and one of folds."""
    residual = v[7] * Matern(np.full(7, v[6]), nu=2.5)(a[None, :7], b[None, :7])[0, 0]
    return k_x(v, a, b) + residual / max(a[-2], b[-2])


def linear(r):
    """The highest fidelity as unit."""
    return r / TOP


def logarithmic(r):
    """A log scale from 0 to 1."""
    return math.log1p(r) / math.log1p(TOP)


SCALES = {"linear": linear, "log": logarithmic}
PAIRS = {
    "log-resource": lambda v, a, b, _: log_resource(v, a, b),
    "exp-decay-sum": exp_decay_sum,
    "exp-decay-combined": lambda v, a, b, s: fading(v, a, b, s, v[10]),
    "exp-decay-delta1": lambda v, a, b, s: fading(v, a, b, s, 1.0),
    "freeze-thaw": freeze_thaw,
    "matern52": matern52,
    "matern52-res-warp": res_warp,
    "cross-validation": lambda v, a, b, _: cross_validation(v, a, b),
}
MEANS = {  # beside the constant mean
    "exp-decay-sum": lambda v, k: v[8] * k,
    "freeze-thaw": lambda v, k: v[8] * k,
    "exp-decay-combined": lambda v, k: v[9] + k * (v[8] - v[10] * v[9]),
    "exp-decay-delta1": lambda v, k: v[9] + k * (v[8] - v[9]),
}
CASES = [(name, scale) for name in KERNELS for scale in ("linear", "log")]


def values_of(process, theta):
    """The parameters themselves: numbers of any sign as they are, all others from their logarithms."""
    return np.array(
        [x if prior.is_signed else math.exp(x) for prior, x in zip(process.kernel.priors, theta, strict=True)]
    )


def literal(name, process, theta, rows, others, scale):
    """``(m, n)`` covariances, and ``(m,)`` means at the first rows, with one call for each pair."""
    v = values_of(process, theta)
    covariance = np.array([[PAIRS[name](v, a, b, SCALES[scale]) for b in others] for a in rows])
    if name not in MEANS:
        return covariance, np.zeros(len(rows))
    decayed = np.array([kappa(SCALES[scale](a[-2]), v[6], v[7]) for a in rows])
    return covariance, MEANS[name](v, decayed)


def coordinates(points, mask):
    """The coordinates of points, with fidelity and number."""
    return MIXED.place(points, mask).coordinates


@pytest.mark.parametrize(("name", "scale"), CASES)
def test_covariances_and_means_are_those_of_the_literal_formula(name, scale):
    """Within the data, and with others of the same configurations; a distance of 0 comes out as 1e-8."""
    process, data, other = process_of(name, scale=scale), curves(), curves(seed=0, n=40)
    theta = some_theta(process)
    a, b = coordinates(data.points, data.mask), coordinates(other.points[25:], other.mask[25:])
    kernel, placed = process.kernel, process.kernel.place(theta, a)
    wanted, mean = literal(name, process, theta, a, a, scale)
    np.testing.assert_allclose(kernel.covariance(theta, placed).matrix, wanted, rtol=1e-7, atol=1e-12)
    np.testing.assert_allclose(kernel.diagonal(theta, placed), np.diag(wanted), rtol=1e-7)
    np.testing.assert_allclose(np.broadcast_to(kernel.mean(theta, placed), 25), mean, rtol=1e-12)
    across = kernel.covariance(theta, placed, kernel.place(theta, b)).matrix
    np.testing.assert_allclose(across, literal(name, process, theta, a, b, scale)[0], rtol=1e-7, atol=1e-12)


@pytest.mark.parametrize("name", KERNELS)
def test_covariances_are_positive_semi_definite(name):
    """Of 60 random rows of random configurations, for five vectors; rounding leaves -1e-13 of the largest."""
    process, data = process_of(name), curves(30, 60, 3)
    a = coordinates(data.points, data.mask)
    for seed in range(5):
        theta = process.start + 0.8 * np.random.default_rng(seed).standard_normal(len(process.start))
        matrix = process.kernel.covariance(theta, process.kernel.place(theta, a)).matrix
        values = np.linalg.eigvalsh(matrix)
        assert values[0] >= -1e-12 * values[-1]


@pytest.mark.parametrize(("name", "scale"), CASES)
def test_the_loss_is_minus_the_density_of_scipy(name, scale):
    """At the best mean, and with the density of the parameters, which is tested elsewhere, taken off."""
    process, data = process_of(name, scale=scale), curves()
    theta = some_theta(process)
    a = coordinates(data.points, data.mask)
    covariance, mean = literal(name, process, theta, a, a, scale)
    normal = stats.multivariate_normal(mean, covariance + np.exp(theta[-1]) * np.eye(25))

    def misfit(level):
        return 0.5 * level**2 - normal.logpdf(data.targets - level)

    is_level_free = np.isfinite(process.mean_precision)
    best = optimize.minimize_scalar(misfit, tol=1e-12).fun if is_level_free else misfit(0.0)
    found = process.loss(theta, data)[0] - process.priors.loss(theta)[0]
    assert found + 25 / 2 * np.log(2 * np.pi) == pytest.approx(best, abs=1e-7)
    assert is_level_free == (name not in ("exp-decay-combined", "exp-decay-delta1"))  # the mean is a parameter there


@pytest.mark.parametrize(("name", "scale"), CASES)
def test_gradients_of_the_loss_are_those_of_its_values(name, scale):
    """By all parameters, with those of a warped column; central differences of step 1e-5 err by some 1e-7."""
    warped = dataclasses.replace(MIXED, warped=np.array([0, 2]))
    process, data = process_of(name, warped, scale=scale), curves()
    theta = some_theta(process)
    steps = 1e-5 * np.eye(len(theta))
    wanted = [(process.loss(theta + s, data)[0] - process.loss(theta - s, data)[0]) / 2e-5 for s in steps]
    np.testing.assert_allclose(process.loss(theta, data)[1], wanted, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("name", KERNELS)
def test_predictions_are_those_of_the_joint_covariance(name):
    """Of new configurations, and of known ones at a higher fidelity; at the best mean (eq. 2.41)."""
    process, data = process_of(name), curves()
    theta = some_theta(process)
    points, mask = new_points()
    points = np.concatenate([points, data.points[:4]])
    points[6:, 4], mask = TOP, np.concatenate([mask, data.mask[:4]])
    rows, known = coordinates(points, mask), coordinates(data.points, data.mask)
    prior, own = literal(name, process, theta, known, known, "linear")
    across, mean = literal(name, process, theta, rows, known, "linear")
    inverse = np.linalg.inv(prior + np.exp(theta[-1]) * np.eye(25))
    level = inverse.sum(axis=0) @ (data.targets - own) / (inverse.sum() + process.mean_precision)
    means, deviations = process.posterior(theta, data).predict(points, mask)
    np.testing.assert_allclose(means, level + mean + across @ inverse @ (data.targets - own - level), atol=1e-7)
    joint = literal(name, process, theta, rows, rows, "linear")[0] - across @ inverse @ across.T
    np.testing.assert_allclose(deviations**2, np.diag(joint), atol=1e-7)
    gains, _ = process.posterior(theta, data).gain_over(points[[7]], mask[[7]])(points, mask)
    np.testing.assert_allclose(gains, means - means[7], atol=1e-9)


@pytest.mark.parametrize("name", KERNELS)
def test_gradients_of_predictions_are_those_of_their_values(name):
    """Of a random linear function of means and deviations, by the ordered columns of the unit cube."""
    process, data = process_of(name), curves()
    posterior = process.posterior(some_theta(process), data)
    points, mask = new_points()
    by_mean, by_deviation = np.random.default_rng(8).standard_normal((2, 6))
    gradient = posterior.predict_with_gradient(points, mask)[2](by_mean, by_deviation)
    for j in range(3):
        step = 1e-5 * np.eye(6)[j]
        ends = [posterior.predict(points + sign * step, mask) for sign in (1, -1)]
        wanted = (by_mean * (ends[0][0] - ends[1][0]) + by_deviation * (ends[0][1] - ends[1][1])) / 2e-5
        np.testing.assert_allclose(gradient[:, j], wanted, atol=1e-6)


@pytest.mark.parametrize("name", KERNELS)
def test_no_fitted_parameter_lies_on_a_bound(name):
    """Of rising curves as halving sees them, some rise by several deviations: no cap on their height (D10)."""
    process, data = process_of(name), asha_curves()
    theta = process.fit(data, [process.start], 100)
    margin = np.minimum(theta - process.priors.low, process.priors.high - theta)
    assert margin.min() > 0.1


@pytest.mark.parametrize("name", KERNELS)
def test_scale_and_shift_of_results_change_nothing(name):
    """Standardised results are equal bit for bit, and so are fits."""
    process, data = process_of(name), asha_curves()
    raw = np.exp(data.targets)
    fits = []
    for results in (raw, 1e6 * raw - 12.0):
        targets = warp_targets(results, is_warped=False).values
        fits.append(process.fit(Data(data.points, data.mask, targets), [process.start], 5))
    np.testing.assert_array_equal(*fits)


@pytest.mark.parametrize("name", [name for name in KERNELS if name != "cross-validation"])
def test_the_unit_of_fidelity_changes_nothing(name):
    """Hundredths in place of epochs: predictions agree but for rounding; only folds are counted."""
    data, (points, mask) = asha_curves(), new_points()
    theta = process_of(name).start
    wanted = process_of(name).posterior(theta, data).predict(points, mask)
    shrink = np.array([1.0] * 4 + [0.01, 1.0])
    small = multi_fidelity_process(MIXED, name, max_fidelity=0.27, min_fidelity=0.01)
    found = small.posterior(theta, Data(data.points * shrink, data.mask, data.targets)).predict(points * shrink, mask)
    np.testing.assert_allclose(found, wanted, rtol=1e-9, atol=1e-12)


def test_results_of_one_training_tell_more_than_those_of_another_like_it():
    """A configuration that did better than all near it at a low fidelity is predicted better at the top."""
    process, data = process_of("log-resource"), asha_curves()
    theta = process.fit(data, [process.start], 50)
    x = data.points[0, :4]
    seen = np.array([[*x, 1.0, 900.0]])
    told = Data(
        np.concatenate([data.points, seen]), np.ones((len(data.points) + 1, 4), bool), np.append(data.targets, 3.0)
    )
    points = np.array([[*x, TOP, 900.0], [*x, TOP, 901.0]])
    (its, twins), (sd, wide) = process.posterior(theta, told).predict(points, np.ones((2, 4), bool))
    assert its > twins + 0.1
    assert sd < wide


def test_a_process_says_what_it_cannot_be():
    """Unknown names list the known ones; fidelities are above 0 and finite."""
    with pytest.raises(ValueError, match=r"kernel: must be one of log-resource, exp-decay-sum.*got 'linear'"):
        multi_fidelity_process(MIXED, "linear", max_fidelity=9.0)
    for highest, lowest in ((0.0, None), (math.inf, None), (9.0, 10.0), (9.0, -1.0)):
        with pytest.raises(ValueError, match="max_fidelity: must be"):
            multi_fidelity_process(MIXED, max_fidelity=highest, min_fidelity=lowest)


def test_a_process_is_described_with_signed_parameters_as_they_are():
    """The height of curves that rise is negative."""
    process = process_of("exp-decay-sum")
    described = process.describe(process.start)["parts"][1]
    assert described["values"][2] == -1.0
    assert described["values"][0] == pytest.approx(1.0)


@pytest.mark.parametrize("name", KERNELS)
def test_one_result_and_equal_rows_are_data_too(name):
    """A first result, and one that was measured thrice: finite, and less is known of others than of it."""
    process, data = process_of(name), curves(1, 1)
    for n in (1, 3):
        same = Data(np.repeat(data.points, n, axis=0), np.repeat(data.mask, n, axis=0), np.full(n, 0.7))
        theta = process.fit(same, [process.start], 5)
        points, mask = new_points()
        at = np.concatenate([data.points, points])
        at[:, 4] = data.points[0, 4]
        means, deviations = process.posterior(theta, same).predict(at, np.concatenate([data.mask, mask]))
        assert np.isfinite(means).all()
        assert (deviations[1:] > deviations[0]).all()
