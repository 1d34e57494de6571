"""One number for each configuration, from its values at several fidelities."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import norm

from autohpo.surrogates.promoted import (
    in_range,
    last_levels,
    normal_scores,
    one_sided,
    projected,
    rank_scores,
    steps_up,
)

NAN = math.nan


def staircase(rng: np.random.Generator, n: int, levels: int) -> np.ndarray:
    """Values of configurations of which about half, at random, go on from each level."""
    values = rng.normal(size=(n, levels))
    for level in range(1, levels):
        values[rng.random(n) < 0.5, level:] = NAN
    return values


def slow_rank_scores(values: np.ndarray) -> list[float]:
    """The rule, a configuration at a time."""
    n, levels = values.shape
    scores: dict[int, float] = {}
    for level in range(levels):
        here = [i for i in range(n) if not math.isnan(values[i, level])]
        old = [i for i in here if i in scores]
        new = [i for i in here if i not in scores]
        if not old:
            for place, i in enumerate(sorted(new, key=lambda i: values[i, level])):
                scores[i] = float(norm.ppf((place + 0.5) / len(new)))
            continue
        kept = sorted(scores[i] for i in old)
        for score, i in zip(kept, sorted(old, key=lambda i: values[i, level]), strict=True):
            scores[i] = score
        ladder = sorted((values[i, level], scores[i]) for i in old)
        for i in new:
            value = values[i, level]
            below = [pair for pair in ladder if pair[0] <= value]
            above = [pair for pair in ladder if pair[0] > value]
            if not below:
                scores[i] = above[0][1]
            elif not above:
                scores[i] = below[-1][1]
            else:
                (x0, y0), (x1, y1) = below[-1], above[0]
                scores[i] = y0 + (y1 - y0) * (value - x0) / (x1 - x0)
    return [scores.get(i, NAN) for i in range(n)]


@pytest.mark.parametrize("seed", range(20))
def test_scores_follow_the_rule(seed: int) -> None:
    """Scores equal those of a loop over levels and configurations, also where some begin higher up."""
    rng = np.random.default_rng(seed)
    values = staircase(rng, 30, 4)
    values[:4, :2] = NAN
    values[:4, 2] = rng.normal(size=4)  # these began at the third level
    values[5] = NAN
    np.testing.assert_allclose(rank_scores(values), slow_rank_scores(values), atol=1e-12)


def test_scores_do_not_depend_on_units() -> None:
    """Another scale at each level changes no score."""
    values = staircase(np.random.default_rng(0), 40, 3)
    stretched = np.exp(values) * np.array([1.0, 1e3, 1e-3])
    np.testing.assert_array_equal(rank_scores(values), rank_scores(stretched))


def test_a_promoted_configuration_that_disappoints_loses_its_place() -> None:
    """The order at the higher level decides who of the promoted has the best score."""
    values = np.array([[3.0, 0.1], [2.0, 0.9], [1.0, NAN]])
    scores = rank_scores(values)
    assert scores[1] > scores[0] > scores[2]


def test_normal_scores_are_quantiles() -> None:
    """They are scipy's quantiles of the middles of n equal shares."""
    np.testing.assert_allclose(normal_scores(5), norm.ppf([0.1, 0.3, 0.5, 0.7, 0.9]), atol=1e-12)


def test_last_levels() -> None:
    """The highest level with a value counts, whatever is missing below."""
    assert last_levels(np.array([[1.0, NAN], [NAN, 2.0], [NAN, NAN]])).tolist() == [0, 1, -1]
    assert last_levels(np.empty((2, 0))).tolist() == [-1, -1]


def test_the_good_half_keeps_its_distances() -> None:
    """Above the median values are linear, with the best at 1; below it they grow like a logarithm."""
    scaled = one_sided(np.array([-1e6, 0.0, 1.0, 2.0, 3.0, NAN]))
    np.testing.assert_allclose(scaled[2:5], [0.0, 0.5, 1.0])
    np.testing.assert_allclose(scaled[:2], [-math.log1p((1e6 + 1) / 2), -math.log1p(0.5)])
    assert math.isnan(scaled[5])


@pytest.mark.parametrize("values", [[2.0, 2.0, 2.0], [NAN, NAN], [1.0]])
def test_equal_values_have_no_scale(values: list[float]) -> None:
    """Values that are all alike, or missing, become 0 or stay missing."""
    scaled = one_sided(np.array(values))
    assert (np.isnan(scaled) | (scaled == 0.0)).all()


def test_a_line_between_levels_is_found() -> None:
    """Very many promoted configurations show the line; who was promoted does not bend it."""
    rng = np.random.default_rng(1)
    low = rng.normal(size=20_000)
    high = 0.7 + 0.4 * low + 0.1 * rng.normal(size=20_000)
    high[low < np.quantile(low, 2 / 3)] = NAN  # the best third goes on
    gain, slope = steps_up(np.column_stack([low, high]))[0]
    assert slope == pytest.approx(0.4, abs=0.02)
    assert gain == pytest.approx(0.7, abs=0.03)


def test_without_promotions_a_value_is_expected_to_stay() -> None:
    """The prior is a slope of 1 and no gain."""
    values = np.array([[1.0, NAN, NAN], [2.0, NAN, NAN]])
    assert steps_up(values).tolist() == [[0.0, 1.0], [0.0, 1.0]]
    assert projected(values).tolist() == [1.0, 2.0]


def test_a_level_that_says_nothing_says_nothing_in_the_end() -> None:
    """Where the next level has nothing to do with this one, all that stay here are expected to be alike."""
    rng = np.random.default_rng(2)
    values = rng.normal(size=(4_000, 2))
    values[2_000:, 1] = NAN
    found = projected(values)
    assert found[:2_000].std() > 0.9
    assert found[2_000:].std() < 0.1


@pytest.mark.parametrize("exponent", [-1060, -3, 0, 1020])
def test_a_power_of_two_changes_no_bit(exponent):
    """So nothing overflows, and no unit matters; NaN stays."""
    values = np.array([[-1.75, 3.0], [NAN, 2.5]])
    np.testing.assert_array_equal(in_range(np.ldexp(values, exponent)), values / 4)
    np.testing.assert_array_equal(one_sided(np.ldexp(values, exponent)), one_sided(values))


@pytest.mark.parametrize(
    "values", [[-1e300] * 7, [1.7e308, -1.7e308] * 3, [0.0, 0.0, 5e-324, -1.0], [NAN, NAN], [0.0], []]
)
def test_units_at_the_ends_of_the_floats(values):
    """Numbers, in the order of the values, without a warning."""
    scaled = one_sided(np.array(values, dtype=float))
    known = np.isfinite(values)
    assert np.isfinite(scaled[known]).all()
    assert (np.diff(scaled[known][np.argsort(np.array(values, dtype=float)[known])]) >= 0).all()
