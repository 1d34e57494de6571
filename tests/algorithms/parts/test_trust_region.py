"""Trust regions: when they grow, shrink and begin anew."""

from __future__ import annotations

import itertools

import pytest

from autohpo.algorithms.parts.trust_region import Region, best_of
from autohpo.trial import Outcome, Trial, TrialState

NUMBERS = itertools.count()


def trial(perf):
    """A trial; None is one that failed."""
    state = TrialState.FAILED if perf is None else TrialState.COMPLETE
    return Trial(next(NUMBERS), {}, Outcome(state, () if perf is None else (perf,)))


def after(perfs, d=3, n_startup=2):
    """A region of run 0 after some results."""
    region = Region(d, n_startup)
    for perf in perfs:
        region.add(trial(perf), 0)
    return region


def test_three_successes_in_a_row_double_it_up_to_the_most():
    """As in section 2 of the paper, from .8 to 1.6 and no further; two and a failure do not."""
    assert after([0, 0, 1, 2]).length == 0.8
    assert after([0, 0, 1, 2, 3]).length == 1.6
    assert after([0, 0, 1, 2, 3, 4, 5, 6]).length == 1.6
    assert after([0, 0, 1, 2, 2, 3, 4]).length == 0.8


@pytest.mark.parametrize(("d", "n_failures"), [(1, 4), (4, 4), (7, 7)])
def test_as_many_failures_as_columns_halve_it(d, n_failures):
    """At least four; failed trials are failures; a success starts the count anew."""
    assert after([0, 0, *[-1] * (n_failures - 1)], d).length == 0.8
    assert after([0, 0, *[None] * n_failures], d).length == 0.4
    assert after([0, 0, *[-1] * n_failures, *[-1] * n_failures], d).length == 0.2
    assert after([0, 0, *[-1] * (n_failures - 1), 1, *[-1] * (n_failures - 1)], d).length == 0.8


def test_the_first_results_neither_grow_nor_shrink_it():
    """Ten rising results of a start of ten leave it; the next three double it."""
    assert after(range(10), n_startup=10).length == 0.8
    assert after(range(13), n_startup=10).length == 1.6


def test_a_success_is_better_by_a_thousandth():
    """Of the best result's size: 1000 to 1001 is none, to 1001.1 is one; of 0 anything above it."""
    assert after([1000, 1000, 1001, 1001, 1001, 1001]).length == 0.4
    assert after([1000, 1000, 1001.1, 1002.2, 1003.3]).length == 1.6
    assert after([0.0, 0.0, 1e-9, 2e-9, 3e-9]).length == 1.6
    assert after([-1000, -1000, -999.1, -999.1, -999.1, -999.1]).length == 0.4


def test_a_tiny_region_begins_anew():
    """.8 / 2^7 lies below .5^7: after seven halvings of four failures each all is forgotten, but for the run."""
    region = after([0, 0, *[-1] * 27])
    assert (region.run, region.length) == (0, pytest.approx(0.8 / 64))
    region.add(trial(-1), 0)
    assert (region.run, region.length, region.trials, region.n_startup, region.n_columns) == (1, 0.8, [], 2, 3)
    region.add(trial(99), 0)  # a late result of the run before
    assert region.trials == []
    region.add(trial(-5), 1)
    assert [one.perf for one in region.results] == [-5]


def test_results_are_those_that_have_one():
    """Failed trials count as trials of the run, not as results; the best of equals is the older."""
    region = after([None, 1.0, None, 3.0, 3.0])
    assert [one.perf for one in region.results] == [1.0, 3.0, 3.0]
    assert len(region.trials) == 5
    assert best_of(region.results) is region.results[1]
