"""Regularised evolution: who is a parent, what a child is, and that the oldest dies."""

from __future__ import annotations

import math

import numpy as np
import pytest

from autohpo import ChoiceHP, OptimizationComplete, OptionError, RangeHP, build_hpo_from_name
from autohpo.spaces import ListHP, PermutationHP, SearchSpace

CELL = [ChoiceHP(f"op{i}", ["conv", "pool", "skip", "none"]) for i in range(6)]


def told(space, perfs, **options):
    """A search in which the first trials had these results; None is a failure."""
    hpo = build_hpo_from_name("regularized_evolution", space, seed=0, **options)
    asked = []
    for perf in perfs:
        asked.append(hpo.ask())
        if perf is None:
            hpo.fail(asked[-1], "on purpose")
        else:
            hpo.tell(asked[-1], perf)
    return hpo, asked


def n_differences(one, other):
    """In how many parameters two configurations differ."""
    return sum(one[name] != other[name] for name in one)


def test_child_differs_from_the_best_in_one_parameter():
    """Where all of the population is sampled, the parent is its best; each child changes one operation of it."""
    hpo, asked = told(CELL, range(10), population_size=10, sample_size=10)
    for _ in range(12):
        child = hpo.ask()
        assert n_differences(child, asked[9]) == 1


def test_oldest_dies_however_good():
    """After as many newer results as the population is large, the record of the first trial is no parent any more.

    The others are worse the later they come, so the parent is the oldest that is left.
    """
    hpo, asked = told(CELL, [100.0, *range(50, 41, -1)], population_size=10, sample_size=10)
    assert n_differences(hpo.ask(), asked[0]) == 1
    hpo, asked = told(CELL, [100.0, *range(50, 40, -1)], population_size=10, sample_size=10)
    assert n_differences(hpo.ask(), asked[1]) == 1


def test_failed_trials_are_no_parents():
    """They neither die for anyone nor have children."""
    hpo, asked = told(CELL, [1.0, *[None] * 11], population_size=10, sample_size=10)
    assert n_differences(hpo.ask(), asked[0]) == 1


def test_parent_is_the_best_of_the_sample():
    """The best of 4 drawn from 10 without replacement is the best of all with chance 4/10: within 5 sd of 300 draws."""
    n_children = 0
    for seed in range(300):
        hpo = build_hpo_from_name("regularized_evolution", CELL, seed=seed, population_size=10, sample_size=4)
        asked = []
        for perf in range(10):
            asked.append(hpo.ask())
            hpo.tell(asked[-1], perf)
        n_children += n_differences(hpo.ask(), asked[9]) == 1  # a child of another one is that near by chance of .01
    assert abs(n_children - 120) < 5 * math.sqrt(300 * 0.4 * 0.6) + 3


def test_other_choices_are_equally_likely():
    """An operation becomes each of the three others a third of the time: chi-square below its 1e-6 quantile, 27.6."""
    space = [ChoiceHP("op", ["a", "b", "c", "d"]), RangeHP("x", 0.0, 1.0)]
    hpo = build_hpo_from_name("regularized_evolution", space, seed=0)
    hpo.set_up()
    points = hpo._mutants({"op": "b", "x": 0.5}, 3000, 1)
    counts = [sum(hp["op"] == name for hp in hpo.space.decode(points)) for name in "abcd"]
    assert counts[1] == pytest.approx(1500, abs=5 * math.sqrt(750))  # where x changes
    share = sum(counts) - counts[1]
    assert sum((counts[i] - share / 3) ** 2 / (share / 3) for i in (0, 2, 3)) < 27.6


def test_numbers_take_normal_steps_turned_back_at_the_ends():
    """From the middle the steps have the given spread; from an end they lead inside, at sqrt(2 / pi) of it on average.

    Both within 5 standard errors of 4000 steps: sd / sqrt(2 n) and .6 sd / sqrt(n).
    """
    space = SearchSpace([RangeHP("x", 0.0, 1.0)])
    hpo = build_hpo_from_name("regularized_evolution", space, seed=0, step=0.1)
    hpo.set_up()
    steps = hpo._mutants({"x": 0.5}, 4000, 1)[:, 0] - 0.5
    assert np.std(steps) == pytest.approx(0.1, abs=5 * 0.1 / math.sqrt(8000))
    inside = hpo._mutants({"x": 0.0}, 4000, 1)[:, 0]
    assert inside.min() >= 0
    assert inside.mean() == pytest.approx(0.1 * math.sqrt(2 / math.pi), abs=5 * 0.06 / math.sqrt(4000))


def test_what_becomes_active_is_drawn_from_the_prior():
    """A change of the model brings its own parameter, over its whole range: Kolmogorov's distance < 1.95/sqrt(n)."""
    space = SearchSpace([ChoiceHP("model", ["a", "b"], children={"b": [RangeHP("x", 0.0, 1.0)]})])
    hpo = build_hpo_from_name("regularized_evolution", space, seed=0)
    hpo.set_up()
    drawn = np.sort([hp["x"] for hp in space.decode(hpo._mutants({"model": "a"}, 1000, 1))])  # every one is now b
    assert np.abs(drawn - np.arange(1000) / 1000).max() < 1.95 / math.sqrt(1000)


def test_inactive_parameters_are_left_alone():
    """Only what counts changes: a child of a configuration without the child parameter has another model, always."""
    space = SearchSpace([ChoiceHP("model", ["a", "b", "c"], children={"b": [RangeHP("x", 0.0, 1.0)]})])
    hpo = build_hpo_from_name("regularized_evolution", space, seed=0)
    hpo.set_up()
    models = {hp["model"] for hp in space.decode(hpo._mutants({"model": "a"}, 200, 1))}
    assert models == {"b", "c"}


def test_architectures_are_found():
    """Sum of matches over 4**6 cells and an order: the optimum within 400 trials, where random has a chance of .02."""
    space = [*CELL, PermutationHP("order", ["p", "q"]), ListHP("skips", ChoiceHP("skip", [True, False]), length=1)]
    hpo = build_hpo_from_name("regularized_evolution", space, seed=0)
    for _ in range(400):
        hp = hpo.ask()
        matches = sum(hp[f"op{i}"] == "conv" for i in range(6))
        hpo.tell(hp, matches + (list(hp["order"]) == ["q", "p"]) + hp["skips"][0])
    assert hpo.best()[1] == 8


def test_running_trials_are_not_repeated_and_the_space_is_used_up():
    """Six in flight in a space of 12: twelve different configurations, then the end."""
    space = SearchSpace([ChoiceHP("op", ["a", "b", "c"]), RangeHP("n", 1, 4)])
    hpo = build_hpo_from_name("regularized_evolution", space, seed=0, population_size=2, sample_size=2)
    running, keys = [], set()
    for _ in range(12):
        running.append(hpo.ask())
        keys.add(space.key(running[-1]))
        if len(running) == 6:
            hpo.tell(running.pop(0), 1.0)
    assert len(keys) == 12
    with pytest.raises(OptimizationComplete):
        hpo.ask()


def test_constraints_are_met():
    """Children that break them are passed over."""
    space = SearchSpace([RangeHP("x", 0.0, 1.0), RangeHP("n", 1, 10)], constraints=["x * n < 1"])
    hpo = build_hpo_from_name("regularized_evolution", space, seed=0, population_size=5, sample_size=5)
    for _ in range(60):
        hp = hpo.ask()
        assert hp["x"] * hp["n"] < 1
        hpo.tell(hp, hp["x"] * hp["n"])


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"population_size": 1, "sample_size": 1}, "population_size: must be at least 2, got 1"),
        ({"sample_size": 21}, "sample_size: must be from 1 to population_size, got 21"),
        ({"step": 1.0}, "step: must be above 0 and below 1, got 1.0"),
    ],
)
def test_options_out_of_range_are_refused(options, text):
    """The error names option, rule and value."""
    with pytest.raises(OptionError, match=text):
        build_hpo_from_name("regularized_evolution", CELL, **options)
