"""Who survives: fronts with constraints, crowding and volumes against their definitions."""

from __future__ import annotations

import numpy as np
import pytest

from autohpo import RangeHP, SearchSpace
from autohpo.algorithms.parts.survivors import Survivors, constrained_ranks, volumes
from autohpo.surrogates.pareto import crowding
from autohpo.trial import Outcome, Trial, TrialState

SPACE = SearchSpace([RangeHP("x", 0.0, 1.0)])


def trial(number, perfs, violation=0.0):
    """A complete trial."""
    return Trial(number, {"x": 0.5}, Outcome(TrialState.COMPLETE, perfs, constraints={"c": violation}))


def beats(one, other):
    """Constrained domination word for word, of (values, violation) pairs."""
    if one[1] != other[1]:
        return one[1] < other[1]
    return one[1] == 0 and (one[0] >= other[0]).all() and (one[0] > other[0]).any()


def test_ranks_are_those_of_constrained_domination():
    """Peeling off, again and again, what nobody left beats; brute force over ties and violations."""
    rng = np.random.default_rng(0)
    for _ in range(20):
        values, violations = rng.integers(0, 4, (14, 2)).astype(float), rng.integers(0, 3, 14) * 0.5
        rest, wanted, rank = set(range(14)), np.empty(14, dtype=int), 0
        pairs = list(zip(values, violations, strict=True))
        while rest:
            best = {i for i in rest if not any(beats(pairs[k], pairs[i]) for k in rest)}
            for i in best:
                wanted[i] = rank
            rest, rank = rest - best, rank + 1
        np.testing.assert_array_equal(constrained_ranks(values, violations), wanted)


def test_crowding_is_the_way_from_neighbour_to_neighbour():
    """By hand: values on a line of slope -1, at 0, 1, 3, 4 of 4; both objectives give the same."""
    values = np.array([[0.0, 4.0], [1.0, 3.0], [3.0, 1.0], [4.0, 0.0]])
    np.testing.assert_allclose(crowding(values), [np.inf, 1.5, 1.5, np.inf])
    assert crowding(values[:2]).tolist() == [np.inf, np.inf]


def test_volumes_are_what_each_covers_alone():
    """By hand: in a front from (0, 1) to (1, 0), the middle ones' own corners; ends are without price."""
    values = np.array([[0.0, 8.0], [2.0, 6.0], [6.0, 4.0], [8.0, 0.0]])
    np.testing.assert_allclose(volumes(values), [np.inf, 2 * 2 / 64, 4 * 4 / 64, np.inf])


@pytest.mark.parametrize("spread", [crowding, volumes])
def test_the_scale_of_an_objective_does_not_matter(spread):
    """Neither its unit nor its offset, nor that its range is no float."""
    values = np.array([[0.0, 4.0], [1.0, 3.0], [3.0, 1.5], [4.0, 0.0]])
    np.testing.assert_allclose(spread(values * [1e3, 1e-3] + [7.0, 0.0]), spread(values), rtol=1e-9)
    huge = (values - 2.0) / 2.0 * 1.7e308
    np.testing.assert_allclose(spread(huge), spread(values), rtol=1e-9)


def test_the_least_of_the_last_front_leaves():
    """First the dominated, then the most crowded; an end of the front stays."""
    survivors = Survivors(SPACE, 3, crowding)
    for number, perfs in enumerate([(0.0, 1.0), (1.0, 0.0), (0.4, 0.4)]):
        assert survivors.add(survivors.individual(trial(number, perfs))) is None
    gone = survivors.add(survivors.individual(trial(3, (0.6, 0.5))))
    assert gone.number == 2
    gone = survivors.add(survivors.individual(trial(4, (2.0, -1.0))))
    assert gone.number == 3  # .5 + .5 of the ranges from neighbour to neighbour; trial 1, now inside too, .7 + .75
    assert [individual.number for individual in survivors.individuals] == [0, 1, 4]


def test_who_misses_a_constraint_leaves_first():
    """However good it is; and of equals the youngest."""
    survivors = Survivors(SPACE, 2, crowding)
    added = [survivors.individual(trial(n, (9.0 - n, 9.0), v)) for n, v in enumerate([0.2, 0.0, 0.1, 0.0, 0.0])]
    added[4] = survivors.individual(trial(4, (6.0, 9.0)))
    left = [survivors.add(individual) for individual in added]
    assert [gone and gone.number for gone in left] == [None, None, 0, 2, 4]
