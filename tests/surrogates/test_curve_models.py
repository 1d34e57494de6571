"""Curve models against scipy's normal density, dense conditioning, finite differences, and draws of the same model."""

from __future__ import annotations

import json
import pickle
import sys
from pathlib import Path

import numpy as np
import pytest

from autohpo.surrogates.curve_models import expdecay_process, issm_process
from autohpo.surrogates.embedding import WARP, Embedding
from autohpo.surrogates.fidelity_models import NEW
from autohpo.surrogates.gp import NOISE, SCALE, Data
from autohpo.surrogates.parzen_columns import Columns

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

LEVELS = (1, 2, 3, 4, 5, 6)
ISSM = issm_process(EMBEDDING, LEVELS)
ISSM_ONE = issm_process(EMBEDDING, LEVELS, gamma_one=True)
DECAY = expdecay_process(EMBEDDING, 6)
DECAY_UNIT = expdecay_process(EMBEDDING, 6, normalize_inputs=True)
MODELS = pytest.mark.parametrize(
    "model", [ISSM, ISSM_ONE, DECAY, DECAY_UNIT], ids=["issm", "issm_gamma_one", "expdecay", "expdecay_unit"]
)
CONTIGUOUS = curves([LEVELS] * 2 + [LEVELS[:3]] * 3 + [LEVELS[:2]] * 2 + [LEVELS[:1]] * 4)
GAPS = curves([LEVELS, (1, 3, 6), (1, 3), (2,), (2, 3, 5), (1,), (4, 6), (1, 2, 3)], seed=3)
CASES = pytest.mark.parametrize("data", [CONTIGUOUS, GAPS], ids=["contiguous", "gaps"])
N_BASE = 11  # four lengths, scale, offset, effects, four exponents of the warp


def state_parts(theta, r, model):
    """The mean of f_r - h; the weights of the shocks eps_1 ... eps_R in f_r - h; their variance."""
    v = np.exp(theta[N_BASE:])
    gamma = v[2] if model is ISSM else 1.0
    steps = {s: v[0] * s ** (-v[0] - 1) * v[1] for s in LEVELS}
    weights = np.array([-gamma * steps[s] if s > r else 0.0 for s in LEVELS])
    return -sum(steps[s] for s in LEVELS if s > r), weights, v[-1]


def curve_moments(theta, model, rows):
    """Means and ``(n, n)`` covariances of curve values of one configuration; rows are (r, is a noisy result)."""
    n = len(rows)
    means, covariance = np.zeros(n), np.zeros((n, n))
    v = np.exp(theta[N_BASE:])

    def kappa(r):
        r = r / 6 if model is DECAY_UNIT else r
        beta = v[0] / v[1]
        return (beta / (r + beta)) ** v[0]

    for i, (r, is_noisy) in enumerate(rows):
        if model in (ISSM, ISSM_ONE):
            means[i], left, variance = state_parts(theta, r, model)
            left = left + np.eye(6)[int(r) - 1] * is_noisy
        else:
            means[i] = -v[2] * kappa(r)
        for j, (other, is_other_noisy) in enumerate(rows):
            if model in (ISSM, ISSM_ONE):
                right = state_parts(theta, other, model)[1] + np.eye(6)[int(other) - 1] * is_other_noisy
                covariance[i, j] = variance * left @ right
            else:
                covariance[i, j] = v[2] ** 2 * (kappa(r + other) - kappa(r) * kappa(other))
                covariance[i, j] += v[3] * (is_noisy and is_other_noisy and i == j)
    return means, covariance


def moments(theta, model, points, mask, is_noisy):
    """Means, less the constant one, and covariances of all rows: results of configurations, or values without noise."""
    v = np.exp(theta)
    means = np.zeros(len(points))
    covariance = base_covariance(v[:4], v[4], v[6], v[7:11], points[:, :D], mask)
    for number in np.unique(points[:, D + 1]):
        own = np.flatnonzero(points[:, D + 1] == number)
        parts = [own] if number >= 0 else own[:, None]
        for part in parts:
            means[part], block = curve_moments(theta, model, [(points[i, D], is_noisy[i]) for i in part])
            covariance[np.ix_(part, part)] += block + v[5]
    return means, covariance


def plain_loss(theta, model, data):
    """Minus the log density of all results under the full covariance, and of the parameters."""
    means, covariance = moments(theta, model, data.points, data.mask, [True] * len(data.targets))
    rules = [*BASE_RULES[0], SCALE, NOISE, BASE_RULES[1], *[WARP] * 4, *model.curve.priors]
    density = log_density(data.targets - means, covariance)[0]
    return -density - prior_density(theta, rules)


@MODELS
@CASES
def test_the_loss_is_minus_the_log_posterior_density(model, data):
    """Up to a constant: differences between vectors of parameters, to 1e-8."""
    vectors = [some_theta(model, seed) for seed in range(4)]
    ours = [model.loss(vector, data)[0] for vector in vectors]
    wanted = [plain_loss(vector, model, data) for vector in vectors]
    np.testing.assert_allclose(np.diff(ours), np.diff(wanted), rtol=1e-10, atol=1e-8)


@MODELS
@CASES
def test_the_gradient_of_the_loss_is_that_of_its_values(model, data):
    """Central differences of step 1e-5 err by 1e-10 / 6 of the third derivative."""
    theta = some_theta(model)
    wanted = differences(lambda vector: model.loss(vector, data)[0], theta)
    np.testing.assert_allclose(model.loss(theta, data)[1], wanted, rtol=1e-6, atol=1e-4)


def questions(numbers, levels, data):
    """Rows to predict: of configurations of the data where the number is theirs, else of new ones."""
    points, mask = configurations(len(numbers), seed=9)
    rows = np.column_stack([points, levels, numbers]).astype(float)
    for i, number in enumerate(numbers):
        own = np.flatnonzero(data.points[:, D + 1] == number)
        if len(own):
            rows[i, :D], mask[i] = data.points[own[0], :D], data.mask[own[0]]
    return rows, mask


def conditioned(theta, model, data, where, pending=None):
    """Means and covariances of values after all results, by solving dense systems."""

    def whole(points, mask, n):
        return moments(theta, model, points, mask, [i < n for i in range(len(points))])

    n = len(data.targets)
    means, covariance = whole(np.vstack([data.points, where[0]]), np.vstack([data.mask, where[1]]), n)
    known = covariance[:n, :n]
    mean = log_density(data.targets - means[:n], known)[1]
    after = mean + means[n:] + covariance[n:, :n] @ np.linalg.solve(known, data.targets - means[:n] - mean)
    if pending is not None:
        points = np.vstack([data.points, pending[0], where[0]])
        n += len(pending[0])
        covariance = whole(points, np.vstack([data.mask, pending[1], where[1]]), n)[1]
    left = covariance[n:, :n]
    return after, covariance[n:, n:] - left @ np.linalg.solve(covariance[:n, :n], left.T)


@MODELS
@CASES
def test_predictions_are_those_of_dense_conditioning(model, data):
    """Of known configurations below, at and above their results, and of new ones; also their joint covariances.

    Two of the new rows have one number: they are one configuration.
    """
    where = questions([10, 10, 11, 12, 13, 13, 17, NEW, NEW, 99, 99], [2, 6, 1, 4, 6, 3, 6, 6, 1, 5, 6], data)
    where[0][-1, :D] = where[0][-2, :D]
    where[1][-1] = where[1][-2]
    theta = some_theta(model)
    posterior = model.posterior(theta, data)
    means, covariance = conditioned(theta, model, data, where)
    ours, deviations = posterior.predict(*where)
    np.testing.assert_allclose(ours, means, atol=1e-8)
    np.testing.assert_allclose(deviations**2, np.diag(covariance), atol=1e-8)
    joint = posterior.joint(*where)
    np.testing.assert_allclose(joint[0], means, atol=1e-8)
    np.testing.assert_allclose(joint[1], covariance, atol=1e-8)


@MODELS
@CASES
def test_pending_trials_leave_less_to_learn(model, data):
    """A paused trial continued, two new ones, and a new one at two levels: one pending trial used to be an error.

    Means stay; deviations are those after further results there, as dense conditioning has them.
    """
    pending = questions([13, 12, 15, NEW, 50, 50], [4, 4, 3, 1, 1, 2], data)
    where = questions([13, 12, 15, 11, 50, NEW, 50], [6, 6, 4, 6, 6, 6, 1], data)
    for rows in (pending, where):
        own = rows[0][:, D + 1] == 50
        rows[0][own, :D], rows[1][own] = 0.4, True
    theta = some_theta(model)
    before, after = model.posterior(theta, data), model.posterior(theta, data, pending)
    means, covariance = conditioned(theta, model, data, where, pending)
    np.testing.assert_allclose(after.predict(*where)[0], means, atol=1e-8)
    np.testing.assert_allclose(after.predict(*where)[0], before.predict(*where)[0], atol=1e-8)
    np.testing.assert_allclose(after.predict(*where)[1] ** 2, np.diag(covariance), atol=1e-8)
    np.testing.assert_allclose(after.joint(*where)[1], covariance, atol=1e-8)
    one = pending[0][:1], pending[1][:1]
    assert model.posterior(theta, data, one).predict(*where)[1][0] < before.predict(*where)[1][0]


@MODELS
def test_no_pending_trial_changes_nothing(model):
    """An empty array is as good as none."""
    theta, where = some_theta(model), questions([10, NEW], [6, 6], CONTIGUOUS)
    nothing = np.empty((0, D + 2)), np.empty((0, D), bool)
    wanted = model.posterior(theta, CONTIGUOUS).predict(*where)
    np.testing.assert_array_equal(model.posterior(theta, CONTIGUOUS, nothing).predict(*where), wanted)


@MODELS
def test_gradients_by_points_are_those_of_predictions(model):
    """Of new and of known configurations, with a pending trial; 0 by the fidelity and by the number."""
    where = questions([NEW, 10, NEW, 13, NEW], [6, 6, 1, 4, 3], CONTIGUOUS)
    where[0][:, :D] = 0.1 + 0.8 * where[0][:, :D]
    posterior = model.posterior(some_theta(model), CONTIGUOUS, questions([12], [4], CONTIGUOUS))
    rng = np.random.default_rng(5)
    by_mean, by_deviation = rng.standard_normal(5), rng.standard_normal(5)
    gradient = posterior.predict_with_gradient(*where)[2](by_mean, by_deviation)

    def total(flat):
        moved = where[0].copy()
        moved[:, :3] = flat.reshape(5, 3)
        means, deviations = posterior.predict(moved, where[1])
        return by_mean @ means + by_deviation @ deviations

    wanted = differences(total, where[0][:, :3].ravel()).reshape(5, 3)
    np.testing.assert_allclose(gradient[:, :3], wanted, rtol=1e-5, atol=1e-7)
    assert (gradient[:, D:] == 0).all()


def test_the_best_point_does_not_depend_on_a_gradient_by_the_fidelity():
    """An acquisition function is asked at the fidelity that it was given, so a new point has that of the question."""
    posterior = ISSM.posterior(some_theta(ISSM), CONTIGUOUS)
    points, mask = questions([NEW, NEW], [6, 1], CONTIGUOUS)
    points[1, :D], mask[1] = points[0, :D], mask[0]
    means, deviations = posterior.predict(points, mask)
    assert means[1] < means[0]  # curves rise on average
    assert deviations[1] > deviations[0]  # and the shocks of the steps in between are unknown


def test_states_drawn_from_the_model_have_its_tail():
    """The mean and the variance of h - f_r over 20,000 draws: within 5 standard errors; the variance scales with s^2.

    Noise enters with the deviation s, not with 1, so that the tail's variance is gamma^2 s^2 sum a^2.
    """
    rng, n = np.random.default_rng(7), 20_000
    for variance in (0.01, 0.25):
        theta = np.log([0.7, 1.3, 0.8, variance])
        steps = 0.7 * np.arange(1.0, 7.0) ** -1.7 * 1.3
        shocks = np.sqrt(variance) * rng.standard_normal((n, 6))
        tails = (steps * (1 + 0.8 * shocks))[:, 2:].sum(axis=1)  # above the second level
        at = np.array([2.0])
        mean, spread = ISSM.curve.mean(theta, at)[0][0], ISSM.curve.values(theta, at, at)[0]
        assert abs(tails.mean() + mean) < 5 * tails.std() / np.sqrt(n)
        assert abs(tails.var() / spread - 1) < 5 * np.sqrt(2 / n)


@MODELS
def test_samples_have_the_means_and_covariances_of_the_prediction(model):
    """Over 4,000 draws of known and new configurations: within 5 standard errors."""
    posterior, n = model.posterior(some_theta(model), CONTIGUOUS), 4000
    where = questions([10, 13, NEW], [6, 4, 6], CONTIGUOUS)
    drawn = posterior.sample(*where, np.random.default_rng(6), n).T
    means, covariance = posterior.joint(*where)
    variances = np.diag(covariance)
    assert (np.abs(drawn.mean(axis=0) - means) < 5 * np.sqrt(variances / n)).all()
    error = np.sqrt((covariance**2 + np.outer(variances, variances)) / n)
    assert (np.abs(np.cov(drawn.T) - covariance) < 5 * error).all()
    assert posterior.sample(*where, np.random.default_rng(6)).shape == (3,)


@MODELS
@CASES
def test_noisy_results_are_those_of_dense_conditioning(model, data):
    """Means and joint covariances of the next results of two trials, one of them new, at several levels."""
    where = questions([13, 13, 15, NEW, 99, 99], [4, 6, 3, 1, 1, 2], data)
    where[0][-1, :D], where[1][-1] = where[0][-2, :D], where[1][-2]
    theta, n = some_theta(model), len(data.targets)
    points, mask = np.vstack([data.points, where[0]]), np.vstack([data.mask, where[1]])
    means, covariance = moments(theta, model, points, mask, [True] * len(points))
    gain = np.linalg.solve(covariance[:n, :n], covariance[:n, n:]).T
    mean = log_density(data.targets - means[:n], covariance[:n, :n])[1]
    ours = model.posterior(theta, data).joint(*where, is_noisy=True)
    np.testing.assert_allclose(ours[0], mean + means[n:] + gain @ (data.targets - means[:n] - mean), atol=1e-8)
    np.testing.assert_allclose(ours[1], covariance[n:, n:] - gain @ covariance[:n, n:], atol=1e-8)


@MODELS
def test_drawn_pending_results_are_data_with_one_column_each(model):
    """Each column of means is that after its draw alone, and deviations are those of pending trials; so gradients."""
    theta = some_theta(model)
    pending = questions([13, 13, 15, NEW], [4, 5, 3, 1], CONTIGUOUS)
    where = questions([13, 15, 11, NEW], [6, 6, 6, 6], CONTIGUOUS)
    after = model.with_fantasies(theta, CONTIGUOUS, pending, np.random.default_rng(8), 3)
    drawn = model.posterior(theta, CONTIGUOUS).sample(*pending, np.random.default_rng(8), 3, is_noisy=True)
    means, deviations, pull_back = after.predict_with_gradient(*where)
    wanted = model.posterior(theta, CONTIGUOUS, pending).predict(*where)[1]
    np.testing.assert_allclose(deviations, wanted, atol=1e-9)
    by_mean, by_deviation = np.random.default_rng(9).standard_normal((2, 4, 3))
    gradient, parts = pull_back(by_mean, by_deviation[:, 0]), 0.0
    for k in range(3):
        alone = model.posterior(theta, CONTIGUOUS.joined(*pending, drawn[:, k]))
        own, _, pull_alone = alone.predict_with_gradient(*where)
        np.testing.assert_allclose(means[:, k], own, atol=1e-9)
        parts = parts + pull_alone(by_mean[:, k], by_deviation[:, 0] / 3)
    np.testing.assert_allclose(gradient, parts, atol=1e-9)


@MODELS
def test_of_several_results_at_one_level_the_last_counts(model):
    """A level that was reported twice is one result, and a fidelity between levels of a state counts as the lower."""
    theta, rows = some_theta(model), [0, *range(len(CONTIGUOUS.targets))]
    first = Data(CONTIGUOUS.points[rows], CONTIGUOUS.mask[rows], np.append(9.0, CONTIGUOUS.targets))
    assert model.loss(theta, first)[0] == pytest.approx(model.loss(theta, CONTIGUOUS)[0], abs=1e-9)
    if model in (ISSM, ISSM_ONE):
        moved = Data(CONTIGUOUS.points + 0.4 * (np.arange(D + 2) == D), CONTIGUOUS.mask, CONTIGUOUS.targets)
        assert model.loss(theta, moved)[0] == pytest.approx(model.loss(theta, CONTIGUOUS)[0], abs=1e-9)


@MODELS
def test_a_fit_ends_where_the_gradient_vanishes(model):
    """In the parameters inside their bounds."""
    theta = model.fit(CONTIGUOUS, [model.start, some_theta(model)], 150)
    value, gradient = model.loss(theta, CONTIGUOUS)
    is_inside = (theta > model.priors.low) & (theta < model.priors.high)
    assert np.abs(gradient[is_inside]).max() < 0.1
    assert value < model.loss(model.start, CONTIGUOUS)[0]


def test_a_fit_finds_how_states_step():
    """40 curves drawn from the model: the mean rise above each level within 10 % of the whole, and the noise by 20 %.

    The standard errors are those of 240 shocks: 1 / sqrt(480) of the noise's variance, 5 %.
    """
    rng, n = np.random.default_rng(10), 40
    alpha, beta, gamma, variance = 0.5, 2.0, 1.0, 0.01
    points = rng.random((n, 1))
    state = np.sin(5 * points[:, 0])
    rows, results = [], []
    for level in reversed(LEVELS):
        shocks = 0.1 * rng.standard_normal(n)
        rows.append(np.column_stack([points, np.full(n, level), np.arange(n)]))
        results.append(state + shocks)
        state = state - alpha * level ** (-alpha - 1) * beta * (1 + gamma * shocks)
    model = issm_process(Embedding(Columns(np.array([0]), [None]), np.zeros(1, bool)), LEVELS)
    data = Data(np.vstack(rows), np.ones((6 * n, 1), bool), np.concatenate(results))
    theta = model.fit(data, [model.start], 200)
    at = np.arange(1.0, 7.0)
    rise = model.curve.mean(theta[-4:], at)[0]
    wanted = [-sum(alpha * s ** (-alpha - 1) * beta for s in LEVELS if s > r) for r in LEVELS]
    np.testing.assert_allclose(rise, wanted, atol=0.1 * abs(wanted[0]))
    assert np.exp(theta[-1]) == pytest.approx(variance, rel=0.2)


def test_singular_curves_are_no_error():
    """With hardly any noise, and with shocks that outweigh all: losses, gradients and predictions stay finite."""
    for model in (ISSM, DECAY):
        for theta in (model.priors.low, model.priors.high):
            value, gradient = model.loss(theta, CONTIGUOUS)
            assert np.isfinite(value)
            assert np.isfinite(gradient).all()
            found = model.posterior(theta, CONTIGUOUS).predict(*questions([10, NEW], [6, 6], CONTIGUOUS))
            assert np.isfinite(found).all()


def test_equal_data_give_equal_fits_also_after_pickling():
    """To the bit; the description is of JSON types."""
    for model in (ISSM, DECAY):
        copy = pickle.loads(pickle.dumps(model))
        theta = model.fit(CONTIGUOUS, [model.start], 5)
        np.testing.assert_array_equal(copy.fit(CONTIGUOUS, [copy.start], 5), theta)
        assert json.loads(json.dumps(model.describe(theta)))["values"] == pytest.approx(np.exp(theta).tolist())


def test_levels_that_do_not_rise_and_units_of_0_are_refused():
    """The errors name the argument and the value."""
    with pytest.raises(ValueError, match=r"levels: must be one fidelity or more, rising, got \[2, 1\]"):
        issm_process(EMBEDDING, [2, 1])
    with pytest.raises(ValueError, match=r"unit: must be above 0, got 0.0"):
        expdecay_process(EMBEDDING, 0, normalize_inputs=True)


def test_very_long_curves_take_little_time():
    """2,000 reports of a curve and 300 of another are thinned: both are predicted, also with pending ones.

    Neither model has the shape of these curves, which rise by 3: half of one is their noise.
    """
    at = np.concatenate([np.arange(1.0, 2001.0), np.arange(1.0, 301.0)])
    numbers = np.repeat([0.0, 1.0], [2000, 300])
    points = np.column_stack([0.2 + 0.6 * numbers, at, numbers])
    data = Data(points, np.ones((2300, 1), bool), numbers - 3 * np.exp(-at / 300))
    line = Embedding(Columns(np.array([0]), [None]), np.zeros(1, bool))
    for model in (issm_process(line, np.arange(1.0, 2001.0)), expdecay_process(line, 2000)):
        assert model.arrange(data).positions.shape[1] <= 100
        theta = model.fit(data, [model.start], 30)
        where = np.array([[0.2, 2000.0, 0.0], [0.8, 2000.0, 1.0]]), np.ones((2, 1), bool)
        pending = np.array([[0.8, 301.0, 1.0]]), np.ones((1, 1), bool)
        means, _ = model.posterior(theta, data, pending).predict(*where)
        assert means[0] == pytest.approx(data.targets[1999], abs=0.5)
        assert means[1] > data.targets[-1]
