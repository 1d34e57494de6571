"""Weights of rungs against brute force over pairs and draws, and mixtures against drawn values."""

from __future__ import annotations

import itertools
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from autohpo.surrogates.curve_models import expdecay_process, issm_process
from autohpo.surrogates.embedding import Embedding
from autohpo.surrogates.fidelity_models import NEW
from autohpo.surrogates.gp import Data
from autohpo.surrogates.parzen_columns import Columns
from autohpo.surrogates.rung_processes import RungProcesses
from autohpo.surrogates.rung_weights import (
    Mixture,
    bracket_weights,
    cross_validated,
    least_loss_shares,
    level_shifts,
    ranking_losses,
    rung_precisions,
    top_rung,
)

sys.path.insert(0, str(Path(__file__).parent))  # pytest imports test files by their path alone

from curve_cases import EMBEDDING, D, configurations, curves, differences, some_theta

LEVELS = (1.0, 3.0, 9.0, 27.0)
LINE = Embedding(Columns(np.array([0]), [None]), np.zeros(1, bool))
MODEL = RungProcesses(EMBEDDING, LEVELS)
DATA = curves([LEVELS[:3]] * 7 + [LEVELS[:2]] * 4 + [LEVELS[:1]] * 6)


def test_losses_are_those_of_all_pairs():
    """Counted one by one; ties among draws are mistakes, ties among results do not count."""
    rng = np.random.default_rng(0)
    drawn, results = rng.integers(0, 6, (20, 9)).astype(float), rng.integers(0, 5, 9).astype(float)
    wanted = [
        sum(
            not ((row[i] < row[j]) if results[i] < results[j] else (row[i] > row[j]))
            for i, j in itertools.combinations(range(9), 2)
            if results[i] != results[j]
        )
        for row in drawn
    ]
    np.testing.assert_array_equal(ranking_losses(drawn, results), wanted)


def test_shares_are_counted_draw_by_draw():
    """Rungs that tie share a draw; the shares sum to 1."""
    losses = np.random.default_rng(1).integers(0, 4, (3, 200)).astype(float)
    wanted = np.zeros(3)
    for column in losses.T:
        winners = [k for k in range(3) if column[k] == min(column)]
        for k in winners:
            wanted[k] += 1 / len(winners) / 200
    np.testing.assert_allclose(least_loss_shares(losses), wanted, atol=1e-12)
    assert least_loss_shares(losses).sum() == pytest.approx(1)


def test_the_top_rung_is_the_highest_with_enough_results():
    """Six of them, unless told otherwise; None where no rung has as many."""
    fidelities = np.repeat([1.0, 3.0, 9.0], [20, 6, 5])
    assert top_rung(fidelities, LEVELS) == 1
    assert top_rung(fidelities, LEVELS, least=5) == 2
    assert top_rung(fidelities, LEVELS, least=21) is None


def test_brackets_are_weighed_by_precision_over_price():
    """By hand: .6 / 1, .3 / 3 and .1 / 9, over their sum."""
    total = 0.6 + 0.1 + 0.1 / 9
    wanted = [0.6 / total, 0.1 / total, 0.1 / 9 / total, 0]
    np.testing.assert_allclose(bracket_weights(np.array([0.6, 0.3, 0.1, 0.0]), LEVELS), wanted)


def rung_data(truth, n=(40, 20, 10), noise=0.05, seed=2):
    """Results of a line at three rungs, where each rung has a function of its own."""
    rng = np.random.default_rng(seed)
    x = rng.random(n[0])
    rows, results = [], []
    for level, function, count in zip(LEVELS, truth, n, strict=False):
        rows.append(np.column_stack([x[:count], np.full(count, level), np.arange(count)]))
        results.append(function(x[:count]) + noise * rng.standard_normal(count))
    points = np.vstack(rows)
    return Data(points, np.ones((len(points), 1), bool), stats.zscore(np.concatenate(results)))


def wave(x):
    """A function with several turns."""
    return np.sin(9 * x)


def test_a_rung_that_orders_as_the_top_does_gets_the_weight_and_one_that_lies_none():
    """The middle rung has the function of the top and twice its results; the lowest has the opposite."""
    data = rung_data([lambda x: -wave(x), wave, wave])
    model = RungProcesses(LINE, LEVELS)
    theta = model.fit(data, [model.start], 50)
    weights = rung_precisions(model, theta, data, LEVELS, np.random.default_rng(3))
    assert weights.shape == (4,)
    assert weights.sum() == pytest.approx(1)
    assert weights[0] < 0.02
    assert weights[1] > 0.5
    assert weights[3] == 0


def test_where_all_lower_rungs_lie_the_top_one_has_the_weight():
    """Cross-validation at the top still orders better than the opposite function."""
    data = rung_data([lambda x: -wave(x), lambda x: -wave(x), wave], n=(40, 30, 20))
    model = RungProcesses(LINE, LEVELS)
    theta = model.fit(data, [model.start], 50)
    assert rung_precisions(model, theta, data, LEVELS, np.random.default_rng(3))[2] > 0.95


@pytest.mark.parametrize("model", [issm_process(EMBEDDING, LEVELS), expdecay_process(EMBEDDING, 27)], ids=["i", "e"])
def test_curve_models_can_be_judged_too(model):
    """The weights sum to 1, equal generators give equal weights, and None says that no rung has enough results."""
    data = curves([LEVELS[:2]] * 8 + [LEVELS[:1]] * 4)
    weights = [rung_precisions(model, model.start, data, LEVELS, np.random.default_rng(5)) for _ in range(2)]
    assert weights[0].sum() == pytest.approx(1)
    np.testing.assert_array_equal(weights[0], weights[1])
    assert rung_precisions(model, model.start, data, LEVELS, np.random.default_rng(5), least=13) is None


class Watched:
    """A model that notes the data of each posterior."""

    def __init__(self, model):
        self.model, self.seen = model, []

    def posterior(self, theta, data):
        self.seen.append(data)
        return self.model.posterior(theta, data)


def test_no_model_knows_the_results_that_it_is_judged_by():
    """Lower rungs see what is below the top; each part of the cross-validation sees all but its own results."""
    model, data = Watched(issm_process(EMBEDDING, LEVELS)), curves([LEVELS[:3]] * 7 + [LEVELS] * 2)
    rung_precisions(model, model.model.start, data, LEVELS, np.random.default_rng(5))
    below, *folds = model.seen
    assert set(below.points[:, D]) == {1.0, 3.0}
    top = set(data.targets[data.points[:, D] == 9.0])
    left_out = [top - set(fold.targets) for fold in folds]
    assert sorted(np.concatenate([list(left) for left in left_out])) == sorted(top)
    assert all(fold.points[:, D].max() == 9.0 for fold in folds)


def test_a_lower_rung_without_results_has_no_weight():
    """With results at 3 alone, its own model has all of it."""
    data = curves([LEVELS[1:2]] * 8)
    weights = rung_precisions(MODEL, MODEL.start, data, LEVELS, np.random.default_rng(5))
    np.testing.assert_array_equal(weights, [0, 1, 0, 0])


def test_leaving_out_one_by_one_draws_from_what_the_others_say():
    """Means and deviations over 4,000 draws, within 5 standard errors of the predictions without the result."""
    theta, n = some_theta(MODEL), 4000
    drawn = cross_validated(MODEL, theta, DATA, LEVELS[2], np.random.default_rng(6), n_samples=n, n_folds=99)
    at = np.flatnonzero(DATA.points[:, D] == LEVELS[2])
    for k, i in enumerate(at):
        left = np.arange(len(DATA.targets)) != i
        after = MODEL.posterior(theta, Data(DATA.points[left], DATA.mask[left], DATA.targets[left]))
        mean, deviation = after.predict(DATA.points[[i]], DATA.mask[[i]])
        assert abs(drawn[:, k].mean() - mean[0]) < 5 * deviation[0] / np.sqrt(n)
        assert abs(drawn[:, k].std() / deviation[0] - 1) < 5 / np.sqrt(2 * n)


def mixture(shifts=None):
    """A mixture of three rungs, one of which has no weight."""
    return Mixture(MODEL.posterior(some_theta(MODEL), DATA), LEVELS, np.array([0.5, 0.0, 0.3, 0.2]), shifts)


def where(n=6):
    """New configurations at a fidelity that does not matter."""
    points, mask = configurations(n, seed=8)
    return np.column_stack([0.1 + 0.8 * points, np.full(n, 3.0), np.full(n, NEW)]), mask


def test_a_mixture_has_the_moments_of_drawn_values():
    """E f and E f^2 - (E f)^2 by the definition, rung by rung."""
    shifts = np.array([0.4, 9.0, -0.2, 0.1])
    mixed, (points, mask) = mixture(shifts), where()
    first = second = 0.0
    for level, weight, shift in zip(LEVELS, mixed.theta, shifts, strict=True):
        points[:, D] = level
        means, deviations = mixed.prediction.predict(points, mask)
        first = first + weight * (means + shift)
        second = second + weight * ((means + shift) ** 2 + deviations**2)
    ours = mixed.predict(*where())
    np.testing.assert_allclose(ours[0], first, atol=1e-12)
    np.testing.assert_allclose(ours[1], np.sqrt(second - first**2), atol=1e-9)


def test_gradients_of_a_mixture_are_those_of_its_predictions():
    """By the three ranges, against central differences."""
    mixed, (points, mask) = mixture(np.array([0.4, 9.0, -0.2, 0.1])), where()
    rng = np.random.default_rng(9)
    by_mean, by_deviation = rng.standard_normal(6), rng.standard_normal(6)
    gradient = mixed.predict_with_gradient(points, mask)[2](by_mean, by_deviation)

    def total(flat):
        moved = points.copy()
        moved[:, :3] = flat.reshape(6, 3)
        means, deviations = mixed.predict(moved, mask)
        return by_mean @ means + by_deviation @ deviations

    wanted = differences(total, points[:, :3].ravel()).reshape(6, 3)
    np.testing.assert_allclose(gradient[:, :3], wanted, rtol=1e-5, atol=1e-7)


def test_samples_of_a_mixture_have_its_moments():
    """Over 1,000 draws: means and deviations within 5 standard errors; the kurtosis of a mixture is below 6."""
    mixed, (points, mask) = mixture(), where(2)
    rng = np.random.default_rng(10)
    drawn = mixed.sample(points, mask, rng, 1000).T
    means, deviations = mixed.predict(points, mask)
    assert (np.abs(drawn.mean(axis=0) - means) < 5 * deviations / np.sqrt(1000)).all()
    np.testing.assert_allclose(drawn.std(axis=0), deviations, rtol=0.18)
    assert mixed.sample(points, mask, rng).shape == (2,)


def test_shifts_bring_rungs_to_the_height_of_the_top():
    """The mean prediction at the configurations of the top rung is then the same for all; without them it is not."""
    data = rung_data([lambda x: wave(x) - 4, lambda x: wave(x) - 2, wave])
    model = RungProcesses(LINE, LEVELS)
    posterior = model.posterior(model.start, data)
    shifts = level_shifts(posterior, LEVELS, data, 2)
    assert shifts[2] == 0
    assert shifts[0] > shifts[1] > 0.5
    points = data.points[data.points[:, 1] == 9.0]
    heights = []
    for level, shift in zip(LEVELS[:3], shifts, strict=False):
        points[:, 1] = level
        heights.append((posterior.predict(points, np.ones((len(points), 1), bool))[0] + shift).mean())
    np.testing.assert_allclose(heights, heights[2], atol=1e-9)
