"""NSGA-II: its operators against their distributions, its survivors, and what it finds."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from autohpo import ChoiceHP, OptionError, RangeHP, build_hpo_from_name
from autohpo.algorithms.nsga2 import NSGA2, crossed, mutated
from autohpo.surrogates import pareto

FLOATS = [RangeHP(f"x{k}", 0.0, 1.0) for k in range(6)]


def zdt1(hp):
    """ZDT1 with six variables, to be minimised."""
    g = 1 + 9 * sum(hp[f"x{k}"] for k in range(1, 6)) / 5
    return hp["x0"], g * (1 - (hp["x0"] / g) ** 0.5)


def covered(hpo, n, f=zdt1):
    """The hypervolume up to (1.1, 6) after n trials."""
    for _ in range(n):
        suggestion = hpo.ask()
        hpo.tell(suggestion, f(suggestion))
    return pareto.hypervolume(np.array([trial.scores for trial in hpo.trials]), np.array([-1.1, -6.0]))


@pytest.mark.parametrize("index", [2.0, 15.0])
def test_crossover_spreads_children_as_its_index_says(index):
    """The spread factor of columns that were crossed follows Deb and Agrawal's density; by Kolmogorov and Smirnov.

    One test in a thousand would fail by chance, and the seed is fixed.
    """
    rng = np.random.default_rng(0)
    left, right = np.full(20_000, 0.45), np.full(20_000, 0.55)
    child = crossed(left, right, index, rng)
    beta = np.abs(child - 0.5) / 0.05
    beta = beta[np.abs(beta - 1.0) > 1e-9]  # half of the columns are not crossed
    assert abs(len(beta) - 10_000) < 4 * 70.7  # 4 standard deviations of the binomial

    def cdf(b):
        return np.where(b <= 1, 0.5 * b ** (index + 1), 1 - 0.5 * b ** -(index + 1))

    inner = beta[beta < 8]  # the walls of the cube cut what is beyond 9 or 10
    assert stats.kstest(inner, lambda b: cdf(b) / cdf(8.0)).pvalue > 1e-3


def test_crossover_takes_columns_from_both_parents():
    """Which one a column is near to is a toss for each: else the first three stay together."""
    rng, left, right = np.random.default_rng(0), np.full(4000, 0.1), np.full(4000, 0.9)
    is_left = crossed(left, right, 50.0, rng) < 0.5
    assert abs(is_left.mean() - 0.5) < 4 * 0.5 / 4000**0.5
    assert abs(np.corrcoef(is_left[:-1], is_left[1:])[0, 1]) < 4 / 4000**0.5


def test_crossover_of_equals_changes_nothing():
    """There is no way between them."""
    point = np.random.default_rng(0).random(50)
    np.testing.assert_allclose(crossed(point, point, 2.0, np.random.default_rng(1)), point, atol=1e-15)


@pytest.mark.parametrize("x", [0.0, 0.3, 1.0])
def test_mutation_has_the_density_of_its_index_and_stays_inside(x):
    """Steps up and down are each as likely, and by Kolmogorov and Smirnov of the polynomial shape, cut at the walls."""
    index = 20.0
    moved = mutated(np.full(20_000, x), index, np.random.default_rng(0))
    assert (moved >= 0).all()
    assert (moved <= 1).all()
    for room, steps in ((x, x - moved[moved < x]), (1 - x, moved[moved > x] - x)):
        if room:
            assert abs(len(steps) / 20_000 - 0.5) < 4 * 0.5 / 20_000**0.5

            def cdf(step, room=room):
                return (1 - (1 - step) ** (index + 1)) / (1 - (1 - room) ** (index + 1))

            assert stats.kstest(steps, cdf).pvalue > 1e-3


def test_it_covers_more_than_random_search():
    """On ZDT1 after 120 trials, in each of five pairs, by 5 % of the box and more."""
    for seed in range(5):
        ours, random = (build_hpo_from_name(name, FLOATS, seed=seed, mode=["min"] * 2) for name in ("nsga2", "random"))
        assert covered(ours, 120) > covered(random, 120) + 0.3


def test_children_meet_the_constraints_more_and_more():
    """x0 + x1 must be at most .5, which holds for an eighth of all: of the last 40 for most."""
    hpo = build_hpo_from_name("nsga2", FLOATS, seed=0, mode=["min"] * 2)
    for _ in range(120):
        suggestion = hpo.ask()
        hpo.tell(suggestion, zdt1(suggestion), constraints={"room": suggestion["x1"] + suggestion["x0"] - 0.5})
    assert sum(trial.violation == 0 for trial in hpo.trials[-40:]) > 30


def test_choices_come_from_the_parents_but_for_mutations():
    """Without mutation a column in no order is that of a survivor, and with it now and then of none."""
    space = [ChoiceHP("c", list(range(50))), *FLOATS]
    n_new = {}
    for chance in (0.0, 0.2):
        hpo = NSGA2(space, seed=0, mode=["min"] * 2, population_size=4, mutation_probability=chance)
        n_new[chance] = 0
        for number in range(104):
            suggestion = hpo.ask()
            known = {int(individual.point[0] * 50) for individual in hpo._survivors.individuals}
            n_new[chance] += number >= 4 and suggestion["c"] not in known
            hpo.tell(suggestion, zdt1(suggestion))
    assert n_new[0.0] == 0
    assert abs(n_new[0.2] - 20) < 5 * 4  # 5 standard deviations of the binomial; a draw may hit a survivor's by chance


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"population_size": 1}, "population_size: must be at least 2, got 1"),
        ({"crossover_probability": 1.5}, "crossover_probability: must be from 0 to 1, got 1.5"),
        ({"mutation_probability": -0.1}, "mutation_probability: must be from 0 to 1, got -0.1"),
        ({"crossover_index": 0.0}, "crossover_index: must be above 0"),
        ({"mutation_index": float("inf")}, "mutation_index: must be above 0 and finite"),
    ],
)
def test_wrong_options_are_named(options, text):
    """When the optimizer is built."""
    with pytest.raises(OptionError) as caught:
        NSGA2(FLOATS, **options)
    assert str(caught.value).startswith(text)


def test_a_finite_space_is_used_up_without_a_repetition():
    """Twelve configurations, twelve suggestions, then the end."""
    hpo = NSGA2([RangeHP("n", 1, 4), ChoiceHP("c", list("abc"))], seed=0, mode=["max", "max"], population_size=2)
    seen = set()
    for _ in range(12):
        suggestion = hpo.ask()
        seen.add((suggestion["n"], suggestion["c"]))
        hpo.tell(suggestion, (suggestion["n"], -suggestion["n"]))
    assert len(seen) == 12
    assert hpo.is_finite
