"""Choices of very many values, constraints that allow little, and regions where all trials fail."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from autohpo import ChoiceHP, RangeHP, SearchSpace, build_hpo_from_name
from autohpo.algorithms.parts.acquisition_search import AcquisitionSearch
from autohpo.algorithms.parts.encoding import Encoder
from autohpo.algorithms.turbo import standardised

MANY = [ChoiceHP("features", list(range(10_000))), RangeHP("x", 0.0, 1.0)]


@pytest.mark.parametrize("name", ["bayes", "smac", "turbo", "kde", "autone"])
def test_a_choice_of_ten_thousand_values_takes_little_memory(name):
    """A number for each value at each candidate would be gigabytes."""
    hpo = build_hpo_from_name(name, MANY, seed=0)
    for _ in range(23):
        suggestion = hpo.ask()
        hpo.tell(suggestion, -abs(suggestion["x"] - 0.3))
    tracemalloc.start()
    hpo.ask()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 60e6


def test_categories_that_no_trial_has_are_alike_to_a_model():
    """They are as far from each one that the data have as from any other, and no two of these are one."""
    embedding = Encoder(SearchSpace(MANY)).embedding
    points = np.array([[0.00005, 0.5], [0.50005, 0.5], [0.70005, 0.5], [0.90005, 0.5]])
    shown = embedding.showing(points[:2])
    places = shown.coordinates(points, np.ones_like(points, dtype=bool))
    assert places.shape == (4, 4)
    distances = np.linalg.norm(places[:, None] - places[None], axis=2)
    np.testing.assert_allclose(distances[0, 1:], 1.0)
    assert distances[1, 2] == pytest.approx(1.0)
    assert distances[2, 3] == 0.0
    few = Encoder(SearchSpace([ChoiceHP("c", list("abc"))])).embedding
    assert few.showing(np.array([[0.5]])) is few


def test_few_allowed_draws_are_shared_by_all_suggestions():
    """Where one of a thousand is allowed, a suggestion draws a thousand points, and takes the others from a pool."""
    space = SearchSpace([RangeHP("x", 0.0, 1.0), RangeHP("y", 0.0, 1.0)], constraints="x < 0.001")
    search = AcquisitionSearch(Encoder(space), n_draws=20, n_near=10, n_starts=2, seed=3)
    drawn = search._draws(np.random.default_rng(0))
    assert len(drawn) == 20
    assert (drawn[:, 0] < 0.001).all()
    again = AcquisitionSearch(Encoder(space), n_draws=20, n_near=10, n_starts=2, seed=3)
    np.testing.assert_array_equal(again._draws(np.random.default_rng(1))[-5:], drawn[-5:])


@pytest.mark.parametrize("name", ["turbo", "autone"])
def test_a_region_where_trials_fail_is_left(name):
    """The best edge of what works lies beside it, and three in four of those that followed failed before."""
    hpo, failed = build_hpo_from_name(name, [RangeHP("x", 0.0, 1.0), RangeHP("y", 0.0, 1.0)], seed=0), []
    for _ in range(45):
        suggestion = hpo.ask()
        failed.append(suggestion["x"] > 0.4)
        if failed[-1]:
            hpo.fail(suggestion, "nan")
        else:
            hpo.tell(suggestion, suggestion["x"] - (suggestion["y"] - 0.5) ** 2)
    assert np.mean(failed[-15:]) <= 0.6


def test_a_failed_trial_counts_as_bad_in_a_region():
    """A deviation below the median, or as the worst result where that is worse."""
    targets, middle, spread = standardised(np.array([0.1, np.nan, 0.2, 0.3]))
    assert (middle, spread) == (0.2, pytest.approx(np.std([-0.1, 0.0, 0.1])))
    assert targets[1] == min(targets) <= -1.0
    assert standardised(np.array([0.5, np.nan]))[0].tolist() == [0.0, -1.0]
