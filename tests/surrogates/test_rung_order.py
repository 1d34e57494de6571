"""Which rungs tell the truth: odds against plain likelihoods, chances against the sum over all cases, simulations."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from scipy import stats

from autohpo.surrogates.rung_order import honest_from, lie_chances


def two_levels(n, correlation, rng, share=1.0):
    """Values at two levels, the upper of which only the best share of the lower one has."""
    low = rng.normal(size=n)
    high = correlation * low + math.sqrt(1 - correlation**2) * rng.normal(size=n)
    high[low < np.quantile(low, 1 - share)] = np.nan
    return np.column_stack([low, high])


def scores_of(values):
    """Normal scores, by scipy, of values without ties."""
    return stats.norm.ppf((stats.rankdata(values) - 0.5) / len(values))


@pytest.mark.parametrize(("correlation", "share"), [(0.0, 1.0), (0.4, 1.0), (0.3, 0.4), (0.9, 0.4), (-0.5, 0.5)])
def test_the_chance_is_that_of_two_guesses_by_their_likelihoods(correlation, share):
    """Bayes' rule over normal densities of Fisher's z, the correlation in the narrow range by a direct moment."""
    values = two_levels(60, correlation, np.random.default_rng(3), share)
    both = np.isfinite(values[:, 1])
    everyone = scores_of(values[:, 0])
    x, y = everyone[both], scores_of(values[both, 1])
    slope, noise = 0.6, 1 - 0.6**2  # of the guess that it tells the truth, where everyone's spread is 1
    spread = x.std() / everyone.std()
    narrow = slope * spread / math.sqrt((slope * spread) ** 2 + noise)
    z, deviation = np.arctanh(stats.pearsonr(x, y)[0]), 1 / math.sqrt(both.sum() - 3)
    lie = stats.norm.pdf(z, 0.0, deviation)
    honest = stats.norm.pdf(min(z, np.arctanh(narrow)), np.arctanh(narrow), deviation)
    for prior in (0.05, 0.5):
        expected = prior * lie / (prior * lie + (1 - prior) * honest)
        assert lie_chances(values, prior) == pytest.approx([expected], rel=1e-9)


def test_selection_by_the_lower_value_is_no_sign_of_a_lie():
    """The best third of honest rungs correlate little, and are believed; those of rungs that lie are not."""
    rng = np.random.default_rng(0)
    honest = [lie_chances(two_levels(90, 0.85, rng, 1 / 3))[0] for _ in range(200)]
    lies = [lie_chances(two_levels(90, 0.0, rng, 1 / 3))[0] for _ in range(200)]
    assert np.mean(honest) < 0.05 < 0.3 < np.mean(lies)
    assert lie_chances(two_levels(400, 0.0, rng, 1 / 3))[0] > 0.95


def test_few_pairs_and_equal_values_say_nothing():
    """A level is believed as long as there is nothing to judge it by."""
    values = two_levels(40, 0.0, np.random.default_rng(1), 0.1)
    assert lie_chances(values) == pytest.approx([0.0])
    same = np.ones((10, 2))
    same[:, 1] = np.arange(10)
    assert lie_chances(same) == pytest.approx([0.0])
    assert lie_chances(np.empty((0, 3))) == pytest.approx([0.0, 0.0])
    assert lie_chances(np.ones((3, 1))).shape == (0,)
    assert len(lie_chances(np.empty((3, 0)))) == 0


def test_only_the_order_counts():
    """Any rising function of the values at a level gives the same chances."""
    values = two_levels(50, 0.3, np.random.default_rng(2), 0.5)
    other = np.column_stack([np.exp(3 * values[:, 0]), np.arctan(values[:, 1]) - 7])
    assert lie_chances(other) == pytest.approx(lie_chances(values), rel=1e-9)


def test_extreme_orders_and_priors_stay_chances():
    """A perfect order, its reverse, and certainty before anything was seen."""
    line = np.column_stack([np.arange(500.0), np.arange(500.0)])
    assert lie_chances(line)[0] < 1e-12
    assert lie_chances(line * [1, -1])[0] > 0.999
    assert lie_chances(line, 0.0)[0] == 0.0
    assert lie_chances(line, 1.0)[0] == 1.0


@pytest.mark.parametrize("n_levels", [1, 2, 3, 5])
def test_the_lowest_honest_level_by_the_sum_over_all_cases(n_levels):
    """Each pair of levels lies or does not: 2^(L - 1) cases."""
    chances = np.random.default_rng(n_levels).uniform(size=n_levels - 1)
    expected = np.zeros(n_levels)
    for case in itertools.product((False, True), repeat=n_levels - 1):
        likely = math.prod(p if lies else 1 - p for p, lies in zip(chances, case, strict=True))
        expected[max((k + 1 for k, lies in enumerate(case) if lies), default=0)] += likely
    assert honest_from(chances) == pytest.approx(expected, rel=1e-12)
    assert honest_from(chances).sum() == pytest.approx(1.0)
