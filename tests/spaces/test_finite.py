"""Counting and walking: against the product, filtered, and a plain recursion over what is active."""

from __future__ import annotations

import itertools
import math

import pytest

from autohpo import ChoiceHP, FixedHP, LogRangeHP, RangeHP, SearchSpace, SpaceError
from autohpo.spaces import ListHP, OrdinalHP, PermutationHP
from autohpo.spaces.finite import MOST_LISTED, walk
from autohpo.testing.examples import few_conditional_space


def keys(space, hps):
    """Return each configuration as a string."""
    return [space.key(hp) for hp in hps]


def test_a_plain_space_is_its_product_the_first_parameter_fastest():
    """itertools agrees; every kind that can be counted."""
    space = SearchSpace(
        [
            RangeHP("n", 1, 2),
            RangeHP("s", 0.1, 0.3, step=0.1),
            LogRangeHP("l", 1, 2),
            ChoiceHP("c", ["a", None]),
            OrdinalHP("o", [4, 8]),
            PermutationHP("p", ["x", "y"]),
            ListHP("t", ChoiceHP("u", [0, 1]), 2),
            FixedHP("k", []),
        ]
    )
    axes = [[1, 2], [0.1, 0.2, 0.3], [1, 2], ["a", None], [4, 8], [["x", "y"], ["y", "x"]]]
    lists = [list(row[::-1]) for row in itertools.product([0, 1], repeat=2)]
    wanted = [dict(zip(space.names, (*row[::-1], []), strict=True)) for row in itertools.product(lists, *axes[::-1])]
    got = list(space.configurations())
    assert got == wanted
    assert space.n_configurations == len(wanted) == 2 * 3 * 2 * 2 * 2 * 2 * 4


def brute_force():
    """All configurations of `few_conditional_space`, said once more in plain Python."""
    found = []
    for layers in (1, 2):
        for momentum in (0.0, 0.9):
            dampenings = [0.0, 0.1] if momentum == 0.9 and layers == 1 else [None]
            for dampening in dampenings:
                hp = {"opti": "sgd", "momentum": momentum, "layers": layers}
                found.append(hp if dampening is None else {**hp, "dampening": dampening})
        for wide in itertools.product([False, True], repeat=layers):
            found.append({"opti": "adam", "wide": list(wide), "layers": layers})
    return found


def test_children_conditions_and_lists_are_walked_where_they_are_in_force():
    """Each configuration once, whatever decides about what."""
    space = few_conditional_space()
    wanted = brute_force()
    got = list(space.configurations())
    assert sorted(keys(space, got)) == sorted(keys(space, wanted))
    assert len(set(keys(space, got))) == len(got) == space.n_configurations == 11
    for hp in got:
        space.check(hp)


@pytest.mark.parametrize("after", range(12))
def test_a_walk_goes_on_after_any_combination(after):
    """The digits of the last one are all that it needs."""
    space = few_conditional_space()
    whole = list(walk(space, None))
    digits = whole[after - 1][0] if after else None
    assert [hp for _, hp in walk(space, None, digits)] == [hp for _, hp in whole[after:]]


def test_constraints_are_kept_to_in_the_walk_and_in_the_count():
    """The product, filtered; also where only some parameters are bound, and where a function sees all of them."""
    parameters = [RangeHP("a", 0, 9), RangeHP("b", 0, 9), RangeHP("free", 0, 9)]
    product = [dict(zip("abf", row, strict=True)) for row in itertools.product(range(10), repeat=3)]
    for constraints, rule in (
        (["a + b < 7"], lambda hp: hp["a"] + hp["b"] < 7),
        (["a < b", "b % 3 == 1"], lambda hp: hp["a"] < hp["b"] and hp["b"] % 3 == 1),
        ([lambda hp: (hp["a"] + hp["b"] + hp["free"]) % 2 == 0], lambda hp: (hp["a"] + hp["b"] + hp["f"]) % 2 == 0),
        (["a > 9"], lambda hp: False),
    ):
        space = SearchSpace(parameters, constraints=constraints)
        wanted = [hp for hp in product if rule(hp)]
        assert space.n_configurations == len(wanted)
        assert {(hp["a"], hp["b"], hp["free"]) for hp in space.configurations()} == {
            tuple(hp.values()) for hp in wanted
        }


def test_constraints_on_children_are_counted_where_these_are_in_force():
    """By hand: 3 of adam; of sgd 3 x 4, without the pairs n = m."""
    opti = ChoiceHP("opti", ["sgd", "adam"], children={"sgd": [RangeHP("m", 1, 4)]})
    space = SearchSpace([opti, RangeHP("n", 1, 3), ChoiceHP("free", ["a", "b"])], constraints=["m != n"])
    assert space.n_configurations == len(list(space.configurations())) == 2 * (3 + 12 - 3)


@pytest.mark.parametrize("n", [10**9, 2**40])
def test_what_is_free_is_counted_and_walked_without_being_listed(n):
    """A space of very many configurations is counted at once, and its first ones come at once."""
    numbers = RangeHP("x", 0, n - 1)
    space = SearchSpace(
        [
            RangeHP("layers", 1, 3),
            numbers,
            ListHP("h", numbers, "layers", 3),
            LogRangeHP("l", 1, 1000),
            PermutationHP("p", range(30)),
        ]
    )
    assert space.n_configurations == n * (n + n**2 + n**3) * 1000 * math.factorial(30)
    first = list(itertools.islice(space.configurations(), 3))
    assert [hp["h"] for hp in first] == [[0], [1], [2]]
    assert [hp["x"] for hp in itertools.islice(SearchSpace([numbers]).configurations(), 4)] == [0, 1, 2, 3]


def test_what_cannot_be_counted_is_none():
    """Floats; or too many combinations of what decides: one more than are listed."""
    assert SearchSpace([RangeHP("x", 0.0, 1.0), ChoiceHP("c", [1, 2])]).n_configurations is None
    for n, wanted in ((MOST_LISTED, MOST_LISTED // 2), (MOST_LISTED + 1, None)):
        space = SearchSpace([RangeHP("a", 1, n)], constraints=["a % 2 == 0"])
        assert space.n_configurations == wanted
    with pytest.raises(SpaceError, match="x: values must be countable to be listed, got RangeHP"):
        next(SearchSpace([ChoiceHP("c", [1, 2]), RangeHP("x", 0.0, 1.0)]).configurations())


def test_a_float_that_is_never_in_force_is_a_float_all_the_same():
    """The space cannot be counted as long as one of its parameters cannot."""
    space = SearchSpace([ChoiceHP("c", [0, 1], {1: [RangeHP("x", 0.0, 1.0)]})], constraints=["c == 0"])
    assert space.n_configurations is None
