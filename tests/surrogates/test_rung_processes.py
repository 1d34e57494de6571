"""Independent processes of rungs against scipy's normal density, dense conditioning and finite differences."""

from __future__ import annotations

import dataclasses
import pickle
import sys
from pathlib import Path

import numpy as np
import pytest

from autohpo.surrogates.embedding import WARP, Embedding
from autohpo.surrogates.fidelity_models import NEW
from autohpo.surrogates.gp import NOISE, SCALE, Data
from autohpo.surrogates.parzen_columns import Columns
from autohpo.surrogates.rung_processes import RungProcesses

sys.path.insert(0, str(Path(__file__).parent))  # pytest imports test files by their path alone

from curve_cases import (
    BASE_RULES,
    EMBEDDING,
    D,
    base_covariance,
    configurations,
    curves,
    differences,
    log_density,
    prior_density,
    some_theta,
)

LEVELS = (1.0, 3.0, 9.0)
MODEL = RungProcesses(EMBEDDING, LEVELS)
DATA = curves([LEVELS] * 4 + [LEVELS[:2]] * 5 + [LEVELS[:1]] * 8)


def covariance_at(theta, rung, points, mask):
    """``(n, n)`` the prior covariance of the function of a rung."""
    v = np.exp(theta)
    return base_covariance(v[:D], v[6 + rung], v[6 + rung] * v[5], v[9:], points, mask)


def plain_loss(theta, data):
    """Minus the log density of all results, each rung by itself, and of the parameters."""
    rules = [*BASE_RULES[0], NOISE, BASE_RULES[1], *[SCALE] * 3, *[WARP] * 4]
    total = prior_density(theta, rules)
    for rung, level in enumerate(LEVELS):
        own = data.points[:, D] == level
        covariance = covariance_at(theta, rung, data.points[own, :D], data.mask[own])
        total += log_density(data.targets[own], covariance + np.exp(theta[D]) * np.eye(own.sum()))[0]
    return -total


def test_the_loss_is_minus_the_log_posterior_density():
    """Up to a constant: differences between vectors of parameters, to 1e-8."""
    vectors = [some_theta(MODEL, seed) for seed in range(4)]
    ours = [MODEL.loss(vector, DATA)[0] for vector in vectors]
    np.testing.assert_allclose(np.diff(ours), np.diff([plain_loss(v, DATA) for v in vectors]), rtol=0, atol=1e-8)


def test_the_gradient_of_the_loss_is_that_of_its_values():
    """Central differences of step 1e-5 err by 1e-10 / 6 of the third derivative."""
    theta = some_theta(MODEL)
    wanted = differences(lambda vector: MODEL.loss(vector, DATA)[0], theta)
    np.testing.assert_allclose(MODEL.loss(theta, DATA)[1], wanted, rtol=1e-6, atol=1e-5)


def test_a_fit_ends_where_the_gradient_vanishes():
    """In the parameters inside their bounds; the scale of a rung without results stays at its most likely value."""
    data = curves([LEVELS[:2]] * 6 + [LEVELS[:1]] * 10, seed=3)
    theta = MODEL.fit(data, [MODEL.start, some_theta(MODEL)], 100)
    gradient = MODEL.loss(theta, data)[1]
    is_inside = (theta > MODEL.priors.low) & (theta < MODEL.priors.high)
    assert np.abs(gradient[is_inside]).max() < 0.1
    assert MODEL.loss(theta, data)[0] < MODEL.loss(MODEL.start, data)[0]
    assert theta[8] == pytest.approx(0.0, abs=0.1)  # the gradient there is the logarithm itself


def queries(level, n=5, seed=9):
    """Points of new configurations at one level."""
    points, mask = configurations(n, seed)
    return np.column_stack([points, np.full(n, level), np.full(n, NEW)]), mask


def conditioned(theta, rung, where, pending=None):
    """Means and covariance at points after the results of a rung, by solving dense systems."""
    own = DATA.points[:, D] == LEVELS[rung]
    points, mask, targets = DATA.points[own, :D], DATA.mask[own], DATA.targets[own]
    n, noise = own.sum(), np.exp(theta[D])
    own_only = covariance_at(theta, rung, points, mask) + noise * np.eye(n)
    mean = log_density(targets, own_only)[1]
    spot = np.vstack([points, where[0][:, :D]]), np.vstack([mask, where[1]])
    whole = covariance_at(theta, rung, *spot)
    means = mean + whole[n:, :n] @ np.linalg.solve(own_only, targets - mean)
    if pending is not None:
        spot = np.vstack([points, pending[0][:, :D], where[0][:, :D]]), np.vstack([mask, pending[1], where[1]])
        whole, n = covariance_at(theta, rung, *spot), n + len(pending[0])
    noisy = whole[:n, :n] + noise * np.eye(n)
    return means, whole[n:, n:] - whole[n:, :n] @ np.linalg.solve(noisy, whole[:n, n:])


@pytest.mark.parametrize("rung", [0, 1, 2])
def test_predictions_are_those_of_dense_conditioning(rung):
    """Means, deviations and joint covariances; a fidelity between two rungs is predicted as the lower one."""
    theta = some_theta(MODEL)
    posterior, where = MODEL.posterior(theta, DATA), queries(LEVELS[rung])
    means, covariance = conditioned(theta, rung, where)
    for fidelity in (LEVELS[rung], LEVELS[rung] + 1.0):
        where[0][:, D] = fidelity
        ours, deviations = posterior.predict(*where)
        np.testing.assert_allclose(ours, means, atol=1e-9)
        np.testing.assert_allclose(deviations, np.sqrt(np.diag(covariance)), atol=1e-9)
    np.testing.assert_allclose(posterior.joint(*where)[1], covariance, atol=1e-9)


def test_pending_results_leave_less_to_learn_at_their_own_rung_alone():
    """Means stay; deviations are those after further results at the pending points of that rung."""
    theta, pending = some_theta(MODEL), queries(LEVELS[1], n=3, seed=4)
    before, after = MODEL.posterior(theta, DATA), MODEL.posterior(theta, DATA, pending)
    low, middle = queries(LEVELS[0]), queries(LEVELS[1])
    np.testing.assert_allclose(after.predict(*low), before.predict(*low), atol=1e-12)
    np.testing.assert_allclose(after.predict(*middle)[0], before.predict(*middle)[0], atol=1e-9)
    wanted = np.sqrt(np.diag(conditioned(theta, 1, middle, pending)[1]))
    np.testing.assert_allclose(after.predict(*middle)[1], wanted, atol=1e-9)
    assert (after.predict(*middle)[1] < before.predict(*middle)[1]).all()


def test_a_rung_without_data_is_its_lower_neighbour_with_the_prior_deviation():
    """With results at 1 and 3, fidelity 9 has the mean of 3 and its prior variance; pending results there are fine."""
    theta = some_theta(MODEL)
    keep = DATA.points[:, D] < 9
    data = Data(DATA.points[keep], DATA.mask[keep], DATA.targets[keep])
    top, middle = queries(9.0), queries(3.0)
    posterior = MODEL.posterior(theta, data, top)
    np.testing.assert_allclose(posterior.predict(*top)[0], posterior.predict(*middle)[0], atol=1e-12)
    prior = covariance_at(theta, 1, top[0][:, :D], top[1])
    np.testing.assert_allclose(posterior.predict(*top)[1], np.sqrt(np.diag(prior)), atol=1e-9)
    np.testing.assert_allclose(posterior.joint(*top)[1], prior, atol=1e-9)


def test_a_rung_below_all_data_is_its_higher_neighbour():
    """With results at 3 alone, fidelity 1 has the mean of 3."""
    keep = DATA.points[:, D] == 3
    data = Data(DATA.points[keep], DATA.mask[keep], DATA.targets[keep])
    posterior = MODEL.posterior(some_theta(MODEL), data)
    np.testing.assert_allclose(posterior.predict(*queries(1.0))[0], posterior.predict(*queries(3.0))[0], atol=1e-12)


def test_gradients_by_points_are_those_of_predictions():
    """At points of three rungs at once, one of them without data; 0 by the fidelity and by the number."""
    keep = DATA.points[:, D] < 9
    data = Data(DATA.points[keep], DATA.mask[keep], DATA.targets[keep])
    posterior = MODEL.posterior(some_theta(MODEL), data)
    points, mask = queries(1.0, n=6)
    points[:, D] = [9, 1, 3, 1, 9, 3]
    points[:, :D] = 0.1 + 0.8 * points[:, :D]
    rng = np.random.default_rng(5)
    by_mean, by_deviation = rng.standard_normal(6), rng.standard_normal(6)
    gradient = posterior.predict_with_gradient(points, mask)[2](by_mean, by_deviation)

    def total(flat):
        moved = points.copy()
        moved[:, :3] = flat.reshape(6, 3)
        means, deviations = posterior.predict(moved, mask)
        return by_mean @ means + by_deviation @ deviations

    wanted = differences(total, points[:, :3].ravel()).reshape(6, 3)
    np.testing.assert_allclose(gradient[:, :3], wanted, rtol=1e-5, atol=1e-7)
    assert (gradient[:, D:] == 0).all()


def test_samples_have_the_means_and_covariances_of_the_prediction():
    """Over 4,000 draws at two rungs: within 5 standard errors; noise adds its variance."""
    posterior, n = MODEL.posterior(some_theta(MODEL), DATA), 4000
    points, mask = queries(1.0, n=4)
    points[2:, D] = 9.0
    rng = np.random.default_rng(6)
    drawn = posterior.sample(points, mask, rng, n).T
    means, covariance = posterior.joint(points, mask)
    variances = np.diag(covariance)
    assert (np.abs(drawn.mean(axis=0) - means) < 5 * np.sqrt(variances / n)).all()
    error = np.sqrt((covariance**2 + np.outer(variances, variances)) / n)
    assert (np.abs(np.cov(drawn.T) - covariance) < 5 * error).all()
    noisy = posterior.sample(points, mask, rng, n, is_noisy=True).var(axis=1)
    wanted = variances + np.exp(posterior.theta[D])
    assert (np.abs(noisy / wanted - 1) < 5 * np.sqrt(2 / n)).all()
    assert posterior.sample(points, mask, rng).shape == (4,)


def test_a_result_at_no_rung_is_refused():
    """The error names the levels and the fidelity."""
    data = curves([(1.0, 2.0)])
    with pytest.raises(ValueError, match=r"data: fidelities must be among the levels \[1.0, 3.0, 9.0\], got 2"):
        MODEL.loss(MODEL.start, data)


@pytest.mark.parametrize("levels", [[], [3, 1], [1, 1]])
def test_levels_that_do_not_rise_are_refused(levels):
    """Also when there are none."""
    with pytest.raises(ValueError, match="levels: must be one fidelity or more, rising"):
        RungProcesses(EMBEDDING, levels)


def test_equal_data_give_equal_fits_also_after_pickling():
    """To the bit."""
    model = pickle.loads(pickle.dumps(MODEL))
    theta = MODEL.fit(DATA, [MODEL.start], 5)
    np.testing.assert_array_equal(model.fit(DATA, [model.start], 5), theta)
    assert MODEL.describe(theta)["values"] == np.exp(theta).tolist()


def test_a_space_of_ranges_alone_and_one_result_are_enough():
    """One result at one rung, predicted at all."""
    model = RungProcesses(Embedding(Columns(np.array([0]), [None]), np.array([False])), LEVELS)
    data = Data(np.array([[0.3, 3.0, 0.0]]), np.ones((1, 1), bool), np.zeros(1))
    posterior = model.posterior(model.fit(data, [model.start], 10), data)
    points = np.array([[0.3, level, NEW] for level in LEVELS])
    means, deviations = posterior.predict(points, np.ones((3, 1), bool))
    assert means == pytest.approx([0, 0, 0])
    assert deviations[1] < deviations[2]
    assert posterior.lengths.shape == (1,)


def test_rungs_may_have_noise_of_their_own():
    """The gradient by central differences; and with equal noise all is as if they shared it."""
    separate = dataclasses.replace(MODEL, is_noise_shared=False)
    theta = some_theta(MODEL)
    split = np.concatenate([theta[:D], np.full(len(LEVELS), theta[D]), theta[D + 1 :]])
    shared_loss, _ = MODEL.loss(theta, DATA)
    extra = separate.priors.loss(split)[0] - MODEL.priors.loss(theta)[0]
    assert separate.loss(split, DATA)[0] - extra == pytest.approx(shared_loss)
    split[D + 1] += 0.7
    wanted = differences(lambda vector: separate.loss(vector, DATA)[0], split)
    np.testing.assert_allclose(separate.loss(split, DATA)[1], wanted, rtol=1e-6, atol=1e-5)
