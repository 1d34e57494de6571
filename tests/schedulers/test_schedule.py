"""Hyperband's schedule against published tables."""

from __future__ import annotations

import itertools
import math
from fractions import Fraction

import pytest

from autohpo.errors import OptionError
from autohpo.schedulers.schedule import Schedule

# Sizes and costs of HpBandSter 0.7.4 ("floor") and blackboxopt 5.3.8 ("ceil"), as both print them.
ORACLE = [
    (1, 9, 3, "floor", "9-3-1 / 3-1 / 3", [3, 2, 3]),
    (1, 9, 3, "ceil", "9-3-1 / 5-1 / 3", [3, 2.67, 3]),
    (1, 27, 3, "floor", "27-9-3-1 / 9-3-1 / 6-2 / 4", [4, 3, 4, 4]),
    (1, 27, 3, "ceil", "27-9-3-1 / 12-4-1 / 6-2 / 4", [4, 3.67, 4, 4]),
    (1, 81, 3, "floor", "81-27-9-3-1 / 27-9-3-1 / 9-3-1 / 6-2 / 5", [5, 4, 3, 4, 5]),
    (1, 81, 3, "ceil", "81-27-9-3-1 / 34-11-3-1 / 15-5-1 / 8-2 / 5", [5, 4.48, 4.33, 4.67, 5]),
    (1, 16, 2, "floor", "16-8-4-2-1 / 8-4-2-1 / 4-2-1 / 4-2 / 5", [5, 4, 3, 4, 5]),
    (1, 16, 2, "ceil", "16-8-4-2-1 / 10-5-2-1 / 7-3-1 / 5-2 / 5", [5, 4.5, 4.25, 4.5, 5]),
    (1, 64, 4, "floor", "64-16-4-1 / 16-4-1 / 8-2 / 4", [4, 3, 4, 4]),
    (1, 64, 4, "ceil", "64-16-4-1 / 22-5-1 / 8-2 / 4", [4, 3.625, 4, 4]),
]


@pytest.mark.parametrize(("low", "high", "eta", "rule", "sizes", "costs"), ORACLE)
def test_sizes_and_costs_are_those_of_the_two_reference_systems(low, high, eta, rule, sizes, costs):
    """The whole table of both rule sets; costs are printed with two digits there."""
    schedule = Schedule(low, high, eta, rule)
    assert " / ".join("-".join(map(str, plan.sizes)) for plan in schedule.brackets) == sizes
    assert [plan.cost for plan in schedule.brackets] == pytest.approx(costs, abs=0.005)
    assert schedule.cost(len(costs)) == pytest.approx(sum(costs), abs=0.005 * len(costs))


@pytest.mark.parametrize("scale", [1.0, 0.1, 7.3])
@pytest.mark.parametrize(
    ("eta", "power"),
    [(3, 5), (9, 5), (10, 1), (10, 2), (10, 3), (10, 4), (10, 6), (2.5, 1), (2.5, 3), (2, 40)],
)
def test_no_rung_is_lost_to_the_rounding_of_a_logarithm(scale, eta, power):
    """A ratio of exactly eta^k makes k + 1 rungs; int(log(ratio) / log(eta)) is one short for most of these."""
    schedule = Schedule(scale, scale * eta**power, eta)
    assert len(schedule.fidelities) == power + 1
    assert schedule.fidelities[0] == pytest.approx(scale, rel=1e-9)
    assert schedule.fidelities[0] >= scale
    assert schedule.fidelities[-1] == scale * eta**power


@pytest.mark.parametrize(("eta", "power"), [(3, 6), (6, 6), (7, 2), (10, 3)])
@pytest.mark.parametrize("rule", ["ceil", "floor"])
def test_sizes_shrink_by_exactly_eta_where_they_can(eta, power, rule):
    """The first bracket starts with eta^k, so its rungs are the powers below; int(n * eta**-k) is one short at some."""
    assert Schedule(1, eta**power, eta, rule).brackets[0].sizes == tuple(eta**k for k in range(power, -1, -1))


@pytest.mark.parametrize(("start", "eta", "k", "size"), [(98, 7, 2, 2), (1458, 3, 6, 2), (93312, 6, 6, 2)])
def test_known_traps_of_the_shrinking_sizes_are_avoided(start, eta, k, size):
    """Bracket sizes at which int(n0 * eta**-k) gives one less than the whole number it stands for."""
    assert int(start * eta**-k) == size - 1  # the trap itself
    n_rungs = next(
        n for n in range(1, 60) if any(p.sizes[0] == start for p in Schedule(1, eta**n, eta, "floor").brackets)
    )
    plan = next(p for p in Schedule(1, eta**n_rungs, eta, "floor").brackets if p.sizes[0] == start)
    assert plan.sizes[k] == size


@pytest.mark.parametrize(("low", "high"), [(0.1, 0.3), (0.7, 2.1), (1.1, 9.9)])
def test_no_rung_is_lost_to_the_rounding_of_a_quotient(low, high):
    """0.3 / 3 is less than 0.1 as floats go; the lowest rung is 0.1 all the same, and not a bit below."""
    schedule = Schedule(low, high, 3)
    assert schedule.fidelities[0] == pytest.approx(low, rel=1e-15)
    assert schedule.fidelities[0] >= low


@pytest.mark.parametrize("eta", range(2, 11))
def test_sizes_equal_exact_fractions(eta):
    """Both rules in rational arithmetic, for one to eight rungs."""
    for n, rule in itertools.product(range(1, 9), ["ceil", "floor"]):
        plans = Schedule(1, eta ** (n - 1), eta, rule).brackets
        for plan, s in zip(plans, reversed(range(n)), strict=True):
            start = math.ceil(Fraction(n, s + 1) * eta**s) if rule == "ceil" else n // (s + 1) * eta**s
            assert plan.sizes == tuple(start // eta**k for k in range(s + 1))


@pytest.mark.parametrize(("rule", "sizes"), [("ceil", (7, 2, 1)), ("floor", (6, 2, 1))])
def test_an_eta_that_is_no_whole_number_leaves_no_rung_empty(rule, sizes):
    """2.5^2 = 6.25 configurations are 7 or 6, of which int(6 / 6.25) = 0 would be trained in full."""
    assert Schedule(1, 6.25, 2.5, rule).brackets[0].sizes == sizes


def test_the_lowest_fidelity_is_used_only_where_it_lies_on_the_grid():
    """Rungs come down from the largest fidelity: 100, 33.3, 11.1, 3.7, 1.23."""
    fractions = pytest.approx([100 / 81, 100 / 27, 100 / 9, 100 / 3, 100])
    assert Schedule(1, 100, 3, is_whole=False).fidelities == fractions
    assert Schedule(1.5, 100, 3).fidelities == pytest.approx([100 / 27, 100 / 9, 100 / 3, 100])


def test_resumed_trials_cost_only_what_they_are_trained_further():
    """The bracket 81-27-9-3-1 trains 81*1 + 27*2 + 9*6 + 3*18 + 1*54 = 297 epochs, and 5 * 81 = 405 from scratch."""
    plan = Schedule(1, 81, 3).brackets[0]
    assert plan.cost * 81 == pytest.approx(405)
    assert plan.resumed_cost * 81 == pytest.approx(297)


def test_brackets_come_round_again():
    """After the last bracket of a round the first one follows."""
    schedule = Schedule(1, 9, 3)
    assert [schedule.bracket(i).sizes[0] for i in range(7)] == [9, 5, 3, 9, 5, 3, 9]


def test_many_brackets_are_counted_by_rounds():
    """A million brackets of 9-3-1, 5-1, 3 start with 17 configurations for each three, and cost 8 2/3."""
    schedule = Schedule(1, 9, 3)
    assert schedule.n_new(3_000_002) == 17_000_000 + 9 + 5
    assert schedule.cost(3_000_002) == pytest.approx(26e6 / 3 + 3 + 8 / 3, rel=1e-12)


def test_the_table_has_a_line_for_each_bracket_and_their_sum():
    """Sizes stand under their fidelities, and totals at the end."""
    lines = str(Schedule(1, 81, 3)).splitlines()
    assert lines[1].split() == ["bracket", "@1", "@3", "@9", "@27", "@81", "cost", "resumed"]
    assert lines[3].split() == ["1", "34", "11", "3", "1", "4.48", "3.41"]
    assert lines[3].index("34") + 2 == lines[1].index("@3") + 2
    assert lines[-1].split() == ["all", "81", "61", "35", "19", "10", "23.48", "19.52"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0, 9), "min_fidelity: must be positive and finite, got 0"),
        ((float("nan"), 9), "min_fidelity: must be positive and finite, got nan"),
        ((3, 1), "max_fidelity: must be finite and at least min_fidelity, 3, got 1"),
        ((1, float("inf")), "max_fidelity: must be finite and at least min_fidelity, 1, got inf"),
        ((1, 9, 1), "eta: must be at least 2, got 1"),
        ((1, 9, float("nan")), "eta: must be at least 2, got nan"),
    ],
)
def test_a_schedule_that_cannot_be_is_refused(arguments, message):
    """The text names argument, rule and value."""
    with pytest.raises(OptionError) as caught:
        Schedule(*arguments)
    assert str(caught.value) == message
