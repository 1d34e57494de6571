"""Growth of a posterior: equal to the posterior of all data at once; drawn results of pending points."""

from __future__ import annotations

import numpy as np
import pytest
from curve_sets import KERNELS, curves, new_points, process_of, some_theta

from autohpo.surrogates.gp import Data
from autohpo.surrogates.gp_growth import append, with_fantasies, with_targets
from autohpo.surrogates.gp_posterior import independent_draws


def halves(data, n=18):
    """The first n rows, and the others."""
    return (Data(data.points[s], data.mask[s], data.targets[s]) for s in (slice(n), slice(n, None)))


def assert_equal(found, wanted, atol=1e-8):
    """Both posteriors predict the same for new configurations and for those of the data."""
    points, mask = new_points()
    known = wanted.data.points[:9].copy()
    known[:, 4] = 27.0
    points, mask = np.concatenate([points, known]), np.concatenate([mask, wanted.data.mask[:9]])
    for ours, theirs in zip(found.predict(points, mask), wanted.predict(points, mask), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=atol)


@pytest.mark.parametrize("name", KERNELS)
def test_appended_data_give_the_posterior_of_all_data(name):
    """Rows one by one and several at once, some of known configurations."""
    process, data = process_of(name), curves()
    theta = some_theta(process)
    first, rest = halves(data)
    grown = append(process.posterior(theta, first), rest.points[:1], rest.mask[:1], rest.targets[:1])
    grown = append(grown, rest.points[1:], rest.mask[1:], rest.targets[1:])
    wanted = process.posterior(theta, data)
    assert_equal(grown, wanted)
    np.testing.assert_allclose(grown.root, wanted.root, atol=1e-8)


def test_appended_pending_points_are_those_of_a_posterior():
    """Means stay and deviations shrink as they do where the points are given at once."""
    process, data = process_of("log-resource"), curves()
    theta, pending = some_theta(process), new_points(3, seed=5, fidelity=9.0)
    assert_equal(append(process.posterior(theta, data), *pending), process.posterior(theta, data, pending))


def test_nothing_appended_leaves_a_posterior_as_it_is():
    """The same object."""
    process = process_of("log-resource")
    posterior = process.posterior(process.start, curves())
    points, mask = new_points()
    assert append(posterior, points[:0], mask[:0]) is posterior


def test_results_cannot_follow_pending_points():
    """Whose results would have to be known first."""
    process = process_of("log-resource")
    points, mask = new_points()
    posterior = append(process.posterior(process.start, curves()), points, mask)
    with pytest.raises(ValueError, match="targets: must be None after 6 pending points"):
        append(posterior, points, mask, np.zeros(6))


def test_targets_can_be_replaced():
    """As where all results are standardised anew after one more."""
    process, data = process_of("log-resource"), curves()
    theta, targets = some_theta(process), data.targets * 1.3 - 0.2
    found = with_targets(process.posterior(theta, data), targets)
    assert_equal(found, process.posterior(theta, Data(data.points, data.mask, targets)), 1e-12)


@pytest.mark.parametrize("name", KERNELS)
def test_fantasies_are_posteriors_of_drawn_results(name):
    """Each column of means is that of data with the drawn results added; there is one deviation for all."""
    process, data = process_of(name), curves()
    theta, (points, mask) = some_theta(process), new_points(3, seed=5, fidelity=9.0)
    posterior = process.posterior(theta, data)
    fantasies = with_fantasies(posterior, points, mask, np.random.default_rng(3), 4)
    drawn = fantasies.data.targets[25:]
    assert drawn.shape == (3, 4)
    np.testing.assert_array_equal(fantasies.data.targets[:25], np.column_stack([data.targets] * 4))
    at, active = new_points()
    means, deviations = fantasies.predict(at, active)
    assert means.shape == (6, 4)
    for column in range(4):
        told = process.posterior(theta, data.joined(points, mask, drawn[:, column]))
        wanted = told.predict(at, active)
        np.testing.assert_allclose(means[:, column], wanted[0], atol=1e-8)
        np.testing.assert_allclose(deviations, wanted[1], atol=1e-8)
    at_once = process.posterior(theta, data, (points, mask), pending_targets=drawn)
    assert_equal(at_once, fantasies)


@pytest.mark.parametrize("name", ["log-resource", "exp-decay-sum"])
def test_fantasies_are_drawn_as_joint_samples_are(name):
    """Means and covariances of 4,000 draws with noise, within 5 standard errors; two points are alike."""
    process, data = process_of(name), curves()
    theta = some_theta(process)
    theta[-1] = np.log(0.5)
    posterior, (points, mask) = process.posterior(theta, data), new_points(3, seed=5, fidelity=9.0)
    points[2, :4], mask[2] = points[1, :4] + 0.01, mask[1]
    drawn = with_fantasies(posterior, points, mask, np.random.default_rng(0), 4000).data.targets[25:]
    sampled = posterior.sample(points, mask, np.random.default_rng(1), 4000, is_noisy=True)
    means, deviations = posterior.predict(points, mask)
    spread = np.sqrt(deviations**2 + 0.5)
    np.testing.assert_array_less(abs(drawn.mean(axis=1) - means), 5 * spread / np.sqrt(4000))
    limits = 5 * np.outer(spread, spread) * np.sqrt(2 * 2 / 4000)
    np.testing.assert_array_less(abs(np.cov(drawn) - np.cov(sampled)), limits)
    assert np.corrcoef(drawn)[1, 2] > 0.2


def test_without_pending_points_all_fantasies_are_equal():
    """Each column is the posterior itself; and what was drawn once is not drawn anew."""
    process = process_of("log-resource")
    posterior, (points, mask), rng = process.posterior(process.start, curves()), new_points(), np.random.default_rng(0)
    fantasies = with_fantasies(posterior, points[:0], mask[:0], rng, 3)
    means, deviations = posterior.predict(points, mask)
    np.testing.assert_allclose(fantasies.predict(points, mask)[0], np.column_stack([means] * 3), atol=1e-12)
    np.testing.assert_array_equal(fantasies.predict(points, mask)[1], deviations)
    with pytest.raises(ValueError, match="posterior: must have one column of targets, got 3"):
        with_fantasies(fantasies, points, mask, rng, 3)


def test_gradients_of_fantasies_are_those_of_their_values():
    """Of a random linear function of all means and of the deviations."""
    process = process_of("log-resource")
    pending = new_points(3, seed=5, fidelity=9.0)
    posterior = process.posterior(some_theta(process), curves())
    fantasies = with_fantasies(posterior, *pending, np.random.default_rng(3), 4)
    (points, mask), rng = new_points(), np.random.default_rng(8)
    by_means, by_deviation = rng.standard_normal((6, 4)), rng.standard_normal(6)
    gradient = fantasies.predict_with_gradient(points, mask)[2](by_means, by_deviation)
    for j in range(3):
        step = 1e-5 * np.eye(6)[j]
        ends = [fantasies.predict(points + sign * step, mask) for sign in (1, -1)]
        change = (by_means * (ends[0][0] - ends[1][0])).sum(axis=1) + by_deviation * (ends[0][1] - ends[1][1])
        np.testing.assert_allclose(gradient[:, j], change / 2e-5, atol=1e-6)


def test_joint_draws_have_the_predicted_moments():
    """Means, and the covariance of a configuration's results at two fidelities, of 4,000; within 5 standard errors."""
    process, data = process_of("log-resource"), curves()
    theta = some_theta(process)
    theta[-1] = np.log(0.5)
    posterior = process.posterior(theta, data)
    points, mask = new_points(3)
    points[1, :4], points[1, 4:], mask[1] = points[0, :4], [9.0, points[0, 5]], mask[0]
    noise = float(np.exp(theta[-1]))
    means, deviations = posterior.predict(points, mask)
    told = append(posterior, points[:1], mask[:1])  # what the first result explains of the second one
    covariance = np.sqrt((deviations[1] ** 2 - told.predict(points, mask)[1][1] ** 2) * (deviations[0] ** 2 + noise))
    for is_noisy in (False, True):
        draws = posterior.sample(points, mask, np.random.default_rng(0), 4000, is_noisy=is_noisy)
        assert draws.shape == (3, 4000)
        spread = np.sqrt(deviations**2 + is_noisy * noise)
        np.testing.assert_array_less(abs(draws.mean(axis=1) - means), 5 * spread / np.sqrt(4000))
        np.testing.assert_allclose(draws.std(axis=1), spread, rtol=5 / np.sqrt(8000))
        assert np.cov(draws)[0, 1] == pytest.approx(covariance, abs=5 * spread[0] * spread[1] * np.sqrt(2 / 4000))


def test_fantasies_are_sampled_one_draw_for_each():
    """Each column around its own mean: 400 draws of 5 columns, within 5 standard errors."""
    process = process_of("log-resource")
    posterior = process.posterior(process.start, curves())
    fantasies = with_fantasies(posterior, *new_points(3, seed=5, fidelity=9.0), np.random.default_rng(3), 5)
    points, mask = new_points(2)
    means, deviations = fantasies.predict(points, mask)
    rng = np.random.default_rng(0)
    draws = np.array([fantasies.sample(points, mask, rng) for _ in range(400)])
    assert draws.shape == (400, 2, 5)
    limits = np.broadcast_to(5 * deviations[:, None] / 20, (2, 5))
    np.testing.assert_array_less(abs(draws.mean(axis=0) - means), limits)


@pytest.mark.parametrize("name", ["log-resource", "exp-decay-sum"])
def test_means_alone_are_those_of_a_prediction(name):
    """With one column of targets and with several."""
    process = process_of(name)
    posterior, (points, mask) = process.posterior(process.start, curves()), new_points()
    fantasies = with_fantasies(posterior, *new_points(3, seed=5, fidelity=9.0), np.random.default_rng(3), 5)
    for one in (posterior, fantasies):
        np.testing.assert_array_equal(one.means(points, mask), one.predict(points, mask)[0])


def test_independent_draws_have_the_means_and_deviations_and_nothing_in_common():
    """4,000 draws, within 5 standard errors; of two columns of means there is one draw each."""
    means, deviations, rng = np.array([1.0, -2.0, 0.5]), np.array([0.5, 2.0, 1.0]), np.random.default_rng(0)
    draws = independent_draws(means, deviations, rng, 4000)
    assert draws.shape == (3, 4000)
    np.testing.assert_array_less(abs(draws.mean(axis=1) - means), 5 * deviations / np.sqrt(4000))
    np.testing.assert_allclose(draws.std(axis=1), deviations, rtol=5 / np.sqrt(8000))
    assert abs(np.corrcoef(draws) - np.eye(3)).max() < 5 / np.sqrt(4000)
    columns = np.column_stack([means, means + 100.0])
    many = np.array([independent_draws(columns, deviations, rng) for _ in range(400)])
    np.testing.assert_allclose(many.mean(axis=0), columns, atol=5 * 2.0 / 20)
    np.testing.assert_allclose(many.std(axis=0), np.column_stack([deviations] * 2), rtol=5 / np.sqrt(800))
    assert independent_draws(means, deviations, rng).shape == (3,)
