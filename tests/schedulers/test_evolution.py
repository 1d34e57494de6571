"""Differential evolution of subpopulations: closed forms of mutation, crossover and selection."""

from __future__ import annotations

import numpy as np
import pytest

from autohpo import ChoiceHP, RangeHP, SearchSpace
from autohpo.schedulers.evolution import Individual, Subpopulation, child

SPACE = SearchSpace([RangeHP(f"x{i}", 0.0, 1.0) for i in range(4)])
MIXED = SearchSpace([RangeHP("x", 0.0, 1.0), ChoiceHP("c", list("abcdefgh"))])


def individual(number, *point, score=0.0, mask=True):
    """A trial at a point of the unit cube."""
    return Individual(number, score, np.array(point), np.full(len(point), mask))


def test_a_child_has_columns_of_the_mutant_and_of_the_target():
    """x1 + F (x2 - x3) with probability CR, one at least, else the target's; out of the cube it is drawn anew."""
    parents = [individual(0, 0.5, 0.4, 0.9, 0.2), individual(1, 0.7, 0.2, 1.0, 0.1), individual(2, 0.1, 0.6, 0.0, 0.9)]
    target = individual(3, 0.11, 0.12, 0.13, 0.14)
    inside = {0: 0.5 + 0.5 * 0.6, 1: 0.4 - 0.5 * 0.4}  # columns 2 and 3 leave the cube: 1.4 and -0.2
    rng = np.random.default_rng(0)
    made = np.array([child(SPACE, target, parents, rng, F=0.5, CR=0.3) for _ in range(4000)])
    is_crossed = made != target.point
    for column, value in inside.items():
        assert made[is_crossed[:, column], column] == pytest.approx(value, abs=1e-15)
    for column in (2, 3):  # uniform: mean 1/2, deviation 1 / sqrt(12)
        drawn = made[is_crossed[:, column], column]
        assert ((drawn >= 0) & (drawn <= 1)).all()
        assert abs(drawn.mean() - 0.5) < 4 / np.sqrt(12 * len(drawn))
    assert is_crossed.any(axis=1).all()
    share = 0.3 + 0.7 / 4  # j_rand is one in four
    assert np.abs(is_crossed.mean(axis=0) - share).max() < 4 * np.sqrt(share * (1 - share) / 4000)


def test_without_a_target_the_rest_is_random():
    """CR of 0 leaves one column to the mutant; the others are as the prior draws them."""
    parents = [individual(i, *[0.25] * 4) for i in range(3)]
    made = np.array([child(SPACE, None, parents, np.random.default_rng(seed), F=0.5, CR=0.0) for seed in range(2000)])
    assert ((made == 0.25).sum(axis=1) == 1).all()
    assert abs(made[made != 0.25].mean() - 0.5) < 4 / np.sqrt(12 * 6000)


def test_what_is_inactive_in_a_parent_is_drawn():
    """Three parents without a column: in the child it has any value."""
    parents = [individual(i, *[0.5] * 4, mask=False) for i in range(3)]
    made = {child(SPACE, parents[0], parents, np.random.default_rng(s), F=0.5, CR=0.5)[0] for s in range(50)}
    assert len(made) == 50


def test_values_in_no_order_are_those_of_parents_or_new():
    """The first parent's; where the two others differ with probability F the second's; one in ten any of the eight."""
    a, b, c = (k / 8 + 1 / 16 for k in range(3))
    rng = np.random.default_rng(0)
    for second, third, of_second in [(b, c, 0.9 * 0.5), (b, b, 0.0)]:
        parents = [individual(0, 0.5, a), individual(1, 0.5, second), individual(2, 0.5, third)]
        made = np.array([child(MIXED, parents[0], parents, rng, F=0.5, CR=1.0)[1] for _ in range(4000)])
        found = np.bincount((made * 8).astype(int), minlength=8) / 4000
        wanted = np.full(8, 0.1 / 8) + [0.9 - of_second, of_second, 0, 0, 0, 0, 0, 0]
        assert np.abs(found - wanted).max() < 4 * np.sqrt(0.25 / 4000)


def test_a_place_goes_to_the_best_that_competed_for_it():
    """The same as the maximum of each place, of equals the newest; the best first, of equals the oldest."""
    rng, population, best = np.random.default_rng(0), Subpopulation(5), {}
    for number in range(200):
        place, score = int(rng.integers(12)), float(rng.integers(40))
        population.compete(place, individual(number, 0.5, score=score))
        best[place % 5] = max(best.get(place % 5, (-1.0, -1)), (score, number))
        ranked = sorted(best.values(), key=lambda pair: (-pair[0], pair[1]))
        assert [one.number for one in population.best(3)] == [number for _, number in ranked[:3]]
        assert population.rank(ranked[-1][1]) == len(ranked)
    assert population.rank(-1) is None
