"""SMAC: its costs and its improvement against closed forms, and what it learns from failed and running trials."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import integrate, stats

from autohpo import ChoiceHP, OptionError, RangeHP, SearchSpace
from autohpo.algorithms import smac
from autohpo.algorithms.smac import SMAC, log_costs, log_improvement
from autohpo.trial import TrialState

SQUARE = [RangeHP("x", 0.0, 1.0), RangeHP("y", 0.0, 1.0)]


def run(hpo, n, f, fails=lambda s: False):
    """Asks and tells n times."""
    asked = []
    for _ in range(n):
        suggestion = hpo.ask()
        asked.append(suggestion)
        if fails(suggestion):
            hpo.fail(suggestion, "planned", TrialState.CRASHED)
        else:
            hpo.tell(suggestion, f(suggestion))
    return asked


@pytest.mark.parametrize(
    ("mean", "sd", "best"), [(0.0, 1.0, 0.0), (-1.0, 0.3, -0.5), (0.5, 0.4, -1.0), (-3.0, 0.05, -3.1)]
)
def test_improvement_is_the_integral_over_a_lognormal_cost(mean, sd, best):
    """E max(exp(best) - exp(f), 0) for a normal f, by quadrature; to 1e-6 of it, the quadrature's own error."""

    def gain(f):
        return (math.exp(best) - math.exp(f)) * stats.norm.pdf(f, mean, sd)

    expected, _ = integrate.quad(gain, mean - 12 * sd, best, epsabs=0, epsrel=1e-10, limit=200)
    got = log_improvement(np.array([mean]), np.array([sd**2]), best)[0]
    assert math.exp(got) == pytest.approx(expected, rel=1e-6)


def test_improvement_ranks_also_what_hardly_can_improve():
    """Far above the best, where the integral is 0 in doubles, a lower forecast is still the better one."""
    values = log_improvement(np.array([0.0, 40.0, 60.0]), np.full(3, 1e-2), -1.0)
    assert np.isfinite(values).all()
    assert (np.diff(values) < 0).all()


def test_costs_follow_the_formula():
    """log((c - zero) / (worst - zero)), zero as far below the best as that is below the 5 % quantile; NaN is worst."""
    perfs = np.array([1.0, 3.0, math.nan, 2.0, -6.0])
    costs = np.array([-1.0, -3.0, -2.0, 6.0])
    zero = 2 * -3.0 - np.quantile(costs, 0.05)
    expected = np.log((costs - zero) / (6.0 - zero))
    got = log_costs(perfs)
    assert got[2] == 0.0
    np.testing.assert_allclose(got[[0, 1, 3, 4]], expected, rtol=1e-8, atol=1e-12)  # 1e-10 is added against log 0


def test_costs_do_not_depend_on_scale_and_level():
    """Results times 1e200, or plus 7, have the same costs; equal results have costs of 0."""
    perfs = np.random.default_rng(0).standard_normal(50)
    np.testing.assert_allclose(log_costs(perfs * 1e200), log_costs(perfs), rtol=1e-6)
    np.testing.assert_allclose(log_costs(perfs + 7.0), log_costs(perfs), rtol=1e-6)
    assert log_costs(np.full(4, -3.7)).tolist() == [0.0] * 4


def test_it_begins_with_evenly_spread_trials():
    """Each quarter of the square holds two of the first eight: what a Sobol sequence is for; draws seldom do that."""
    asked = run(SMAC(SQUARE, seed=3, n_startup=8), 8, lambda s: 0.0)
    quarters = [(s["x"] > 0.5, s["y"] > 0.5) for s in asked]
    assert all(quarters.count((a, b)) == 2 for a in (False, True) for b in (False, True))


def test_it_finds_the_best_category_and_number():
    """A choice of six with one good value, and a number: the last 20 of 60 are nearly all there."""
    space = [ChoiceHP("c", list("abcdef")), RangeHP("x", 0.0, 1.0)]
    hpo = SMAC(space, seed=0, random_fraction=0.0)
    asked = run(hpo, 60, lambda s: -(s["c"] != "e") - abs(s["x"] - 0.7))
    assert sum(s["c"] == "e" for s in asked[40:]) >= 18
    assert hpo.best()[1] > -0.01


def test_it_keeps_away_from_where_trials_fail():
    """Half of the range fails, where results would be better still; a search that ignored failures would go there."""
    hpo = SMAC([RangeHP("x", 0.0, 1.0)], seed=0, random_fraction=0.0)
    asked = run(hpo, 40, lambda s: s["x"], fails=lambda s: s["x"] > 0.5)
    assert sum(s["x"] > 0.5 for s in asked[20:]) <= 8
    assert hpo.best()[1] > 0.48


def test_running_trials_count_with_the_mean_of_the_results(monkeypatch):
    """What the trees are grown on is the costs of the results, and their mean for each running trial."""
    seen = []
    grow = smac.Forest.grow.__func__

    def spy(cls, features, values, rng, **options):
        seen.append((features, values))
        return grow(cls, features, values, rng, **options)

    monkeypatch.setattr(smac.Forest, "grow", classmethod(spy))
    hpo = SMAC(SQUARE, seed=1, n_startup=4, random_fraction=0.0)
    run(hpo, 6, lambda s: s["x"])
    running = [hpo.ask(), hpo.ask()]
    seen.clear()
    hpo.ask()
    features, values = seen[-1]
    costs = log_costs(np.array([trial.perf for trial in hpo.trials]))
    np.testing.assert_allclose(values, [*costs, costs.mean(), costs.mean()])
    np.testing.assert_allclose(features[-2:], [[s["x"], s["y"]] for s in running], rtol=1e-6)  # float32


def test_random_fraction_is_the_share_of_draws_from_the_prior():
    """With 1 the suggestions do not depend on the results; with 0 they do, from the first after the start."""

    def suggestions(fraction, sign):
        hpo = SMAC(SQUARE, seed=5, n_startup=4, random_fraction=fraction)
        return run(hpo, 12, lambda s: sign * s["x"])[4:]

    assert suggestions(1.0, 1) == suggestions(1.0, -1)
    assert all(a != b for a, b in zip(suggestions(0.0, 1), suggestions(0.0, -1), strict=True))


def test_constraints_and_finite_spaces_are_kept():
    """All ten allowed pairs of 25 are tried, each once."""
    space = SearchSpace([RangeHP("a", 1, 5), RangeHP("b", 1, 5)], constraints=["a < b"])
    hpo = SMAC(space, seed=0, n_startup=3, max_evals=10)
    asked = run(hpo, 10, lambda s: s["a"] * s["b"])
    assert sorted((s["a"], s["b"]) for s in asked) == [(a, b) for a in range(1, 6) for b in range(a + 1, 6)]


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"n_startup": 0}, "n_startup: must be at least 1, got 0"),
        ({"n_trees": 0}, "n_trees: must be at least 1, got 0"),
        ({"n_candidates": 0}, "n_candidates: must be at least 1, got 0"),
        ({"n_starts": 0}, "n_starts: must be at least 1, got 0"),
        ({"random_fraction": 1.5}, "random_fraction: must be at least 0 and at most 1, got 1.5"),
    ],
)
def test_wrong_options_are_named(options, text):
    """With rule and value."""
    with pytest.raises(OptionError, match=text):
        SMAC(SQUARE, **options)
