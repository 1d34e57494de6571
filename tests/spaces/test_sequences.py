"""ListHP and PermutationHP: lists that are cut to length, and orders, against itertools."""

from __future__ import annotations

import copy
import itertools
import json
import math
import pickle
from collections import Counter

import numpy as np
import pytest
from scipy import stats

from autohpo import ChoiceHP, FixedHP, LogRangeHP, RangeHP, SearchSpace, SpaceError
from autohpo.spaces import Belief, Cut, HPSpace, ListHP, OrdinalHP, PermutationHP
from autohpo.testing import check_space

UNITS = RangeHP("units", 1, 4)


def one_less(values):
    """AutoGL's cutFunc of a two-layer model and deeper."""
    return values[0] - 1


LENGTHS = [
    ("layers - 1", "formula"),
    (Cut("layers", one_less), "function"),
    (Cut(["layers"], lambda v: np.int64(v[0] - 1)), "numpy"),
    ("(layers - 1) / 1", "whole float"),
]


@pytest.mark.parametrize(("length", "kind"), LENGTHS, ids=[kind for _, kind in LENGTHS])
def test_a_list_is_as_long_as_the_rule_says(length, kind):
    """Decoded, coded, masked, checked and counted."""
    space = SearchSpace([ListHP("hidden", UNITS, length, max_length=3), RangeHP("layers", 1, 4)])
    assert space.names == ("layers", "hidden")
    assert space.is_conditional
    assert space.n_configurations == 1 + 4 + 16 + 64
    for layers in (1, 2, 3, 4):
        hp = space.decode(np.array([[(layers - 0.5) / 4, 0.1, 0.4, 0.9]]))[0]
        assert hp == {"layers": layers, "hidden": [1, 2, 4][: layers - 1]}
        space.check(hp)
        np.testing.assert_array_equal(space.encode([hp])[0, 1:], ([0.125, 0.375, 0.875][: layers - 1] + [0.5] * 3)[:3])
        assert space.mask([hp])[0].tolist() == [True] * layers + [False] * (4 - layers)
        for wrong in ([1] * (layers - 2), [1] * layers):
            if len(wrong) != layers - 1:
                with pytest.raises(SpaceError, match="hidden: must"):
                    space.check({"layers": layers, "hidden": wrong})
        assert space.trim({"layers": layers, "hidden": [1, 2, 4]}) == hp


def test_a_list_of_fixed_length_is_no_condition():
    """One column for each entry, from one parameter or from one for each."""
    for hp in (
        ListHP("pair", RangeHP("x", 0.0, 1.0), 2),
        ListHP("pair", [RangeHP("x", 0.0, 1.0), RangeHP("y", 0.0, 1.0)], 2),
    ):
        space = SearchSpace([hp])
        assert not space.is_conditional
        assert (hp.width, hp.levels, hp.n_values) == (2, 0, None)
        assert space.decode(np.array([[0.25, 0.75]])) == [{"pair": [0.25, 0.75]}]
        for wrong in ([0.1], [0.1, 0.2, 0.3], (0.1, 0.2), [0.1, 2.0], [0.1, "a"], None):
            with pytest.raises(SpaceError, match="pair: must be a value of ListHP"):
                space.check({"pair": wrong})


def test_entries_have_their_own_ends():
    """Each its own parameter: cells, priors, columns."""
    hp = ListHP(
        "mix", [RangeHP("a", 0, 1), LogRangeHP("b", 1.0, 100.0), OrdinalHP("c", ["x", "y", "z"], prior=Belief("z"))], 3
    )
    assert [None if edges is None else len(edges) for edges in hp.column_edges] == [3, None, 4]
    assert hp.decode(np.array([[0.9, 0.5, 0.0]])) == [[1, pytest.approx(10.0), "x"]]
    assert not hp.contains([2, 10.0, "x"])


def test_entries_without_columns_are_entries_all_the_same():
    """A fixed one stands in the list and takes no column."""
    hp = ListHP("l", [FixedHP("a", None), ChoiceHP("b", ["x", "y"]), ChoiceHP("c", ["only"])], "n", 3)
    space = SearchSpace([RangeHP("n", 0, 3), hp])
    assert (hp.width, hp.levels) == (1, 2)
    for n, wanted in enumerate([[], [None], [None, "y"], [None, "y", "only"]]):
        decoded = space.decode(np.array([[(n + 0.5) / 4, 0.9]]))[0]
        assert decoded == {"n": n, "l": wanted}
        assert space.mask([decoded])[0].tolist() == [True, n >= 2]
        assert space.decode(space.encode([decoded])) == [decoded]
    assert [one["l"] for one in space.configurations() if one["n"] == 2] == [[None, "x"], [None, "y"]]


@pytest.mark.parametrize(
    "hp",
    [
        ListHP("x", UNITS, 3),
        ListHP("x", ChoiceHP("c", ["a", None, 1]), 2),
        ListHP("x", LogRangeHP("w", 1.0, 9.0), "n", 2),
        ListHP("x", PermutationHP("p", ["a", "b", "c"]), 2),
        ListHP("x", ChoiceHP("c", ["a"]), 2),
        PermutationHP("x", ["a", None, [1], True]),
        PermutationHP("x", ["only"]),
        PermutationHP("x", range(25)),
        PermutationHP("x", range(40)),
    ],
    ids=repr,
)
def test_sequences_conform(hp):
    """What is demanded of every kind."""
    assert {result.state for result in check_space(hp)} == {"passed"}
    assert pickle.loads(pickle.dumps(hp)) == copy.deepcopy(hp) == hp


def test_lists_go_through_json():
    """Choices as places; a formula is read back, a function is compared by name."""
    hp = ListHP("acts", ChoiceHP("act", ["relu", None, (1, 2)]), "n", 3)
    value = [None, (1, 2)]
    data = json.loads(json.dumps(hp.to_json(value)))
    assert data == [1, 2]
    assert hp.from_json(data)[1] is hp.items[0].choices[2]
    assert HPSpace.from_dict(json.loads(json.dumps(hp.to_dict()))) == hp
    cut = ListHP("acts", UNITS, Cut("n", one_less), 3)
    assert cut == ListHP("acts", UNITS, Cut(["n"], one_less), 3) != ListHP("acts", UNITS, Cut("n", len), 3)
    with pytest.raises(SpaceError, match="one_less cannot be read back from JSON"):
        HPSpace.from_dict(cut.to_dict())


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: ListHP("l", UNITS, 0), "l: max_length must be at least 1"),
        (lambda: ListHP("l", UNITS, 2, 3), "l: max_length must be at least 1, and equal to an integer length, got 3"),
        (lambda: ListHP("l", UNITS, True), "l: length must be an integer, a formula or a Cut, got True"),
        (lambda: ListHP("l", UNITS, 2.0), "l: length must be an integer, a formula or a Cut, got 2.0"),
        (lambda: ListHP("l", UNITS, "n"), "l: max_length must be given where length is not an integer"),
        (lambda: ListHP("l", UNITS, "n +", 2), "expression 'n +': cannot be read"),
        (lambda: ListHP("l", [UNITS] * 2, 3), "l: item must be a parameter, or 3 of them"),
        (lambda: ListHP("l", [UNITS, "x"], 2), "l: item must be a parameter, or 2 of them"),
        (lambda: ListHP("l", [UNITS] * 2, "n", 3), "l: item must be a parameter, or 3 of them"),
        (lambda: ListHP("l", 5, 2), "l: item must be a parameter, or a list of them, got 5"),
        (lambda: ListHP("l", [], "n"), "l: max_length must be at least 1"),
        (
            lambda: ListHP("l", [UNITS, ChoiceHP("c", [1, 2])], 2),
            "l: items must all have an order, or the same number of choices, got",
        ),
        (lambda: ListHP("l", [ChoiceHP("c", [1, 2]), ChoiceHP("c", [1, 2, 3])], 2), "l: items must all have an order"),
        (lambda: ListHP("l", ListHP("m", UNITS, 2), 2), "l: items must not be lists or have children, got"),
        (lambda: ListHP("l", ListHP("m", UNITS, "n", 2), 2), "l: items must not be lists or have children, got"),
        (
            lambda: ListHP("l", ChoiceHP("c", [1, 2], {1: [UNITS]}), 2),
            "l: items must not be lists or have children, got",
        ),
        (lambda: ListHP("", UNITS, 2), "name: must be a string that is not empty"),
        (lambda: Cut([], len), "Cut: must have names and a function"),
        (lambda: Cut("n", 3), "Cut: must have names and a function"),
        (lambda: PermutationHP("p", []), "p: items must hold at least one value, got none"),
        (lambda: PermutationHP("p", "abc"), "p: items must be a list of values, got str"),
        (lambda: PermutationHP("p", [1, 2, 1]), "p: items must differ, got 1 twice"),
        (lambda: PermutationHP("p", range(171)), "p: items must be at most 170, got 171"),
        (lambda: SearchSpace([ListHP("l", UNITS, "n", 2)]), "l: must refer to parameters of ['l'], got 'n'"),
    ],
)
def test_what_is_no_sequence_is_refused(make, text):
    """When it is made."""
    with pytest.raises(SpaceError) as caught:
        make()
    assert str(caught.value).startswith(text)


@pytest.mark.parametrize(
    ("length", "text"),
    [
        ("n + 1", "l: length must be an integer from 0 to 2, got 3"),
        ("n - 3", "l: length must be an integer from 0 to 2, got -1"),
        ("n / 4", "l: length must be an integer from 0 to 2, got 0.5"),
        ("n > 1", "l: length must be an integer from 0 to 2, got True"),
        (Cut("n", lambda v: None), "l: length must be an integer from 0 to 2, got None"),
        (Cut("n", lambda v: v[1]), "Cut(names=('n',), function="),
    ],
)
def test_a_rule_that_gives_no_length_is_named(length, text):
    """At the first draw that has it; a list is never silently another length than was said."""
    space = SearchSpace([RangeHP("n", 1, 2), ListHP("l", UNITS, length, 2)])
    with pytest.raises(SpaceError) as caught:
        space.decode(np.full((1, 3), 0.9))
    assert str(caught.value).startswith(text)


def test_every_order_of_four_things_is_equally_likely():
    """Sorting uniform numbers: a chi-square test at 1e-6 against itertools' 24; the things are the very objects."""
    items = [["a"], "b", None, 4]
    hp = PermutationHP("p", items)
    drawn = hp.decode(np.random.default_rng(0).random((6000, 4)))
    assert all(any(entry is item for item in items) for entry in drawn[0])
    counts = Counter(tuple(map(items.index, order)) for order in drawn)
    assert set(counts) == set(itertools.permutations(range(4)))
    assert stats.chisquare(list(counts.values())).pvalue > 1e-6


def test_an_order_is_coded_by_places():
    """By hand: c first, then a, then b; every order comes back, and neighbours differ by a swap of two cells."""
    hp = PermutationHP("p", ["a", "b", "c"])
    np.testing.assert_allclose(hp.encode([["c", "a", "b"]]), [[0.5, 5 / 6, 1 / 6]])
    orders = [list(order) for order in itertools.permutations("abc")]
    assert hp.decode(hp.encode(orders)) == orders
    assert hp.decode(np.full((1, 3), 0.5)) == [["a", "b", "c"]]
    ties = np.repeat([[0.7, 0.2, 0.7]], 20, axis=0).reshape(1, 60)  # more than a sort does by insertion
    wanted = [i for i in range(60) if i % 3 == 1] + [i for i in range(60) if i % 3 != 1]
    assert PermutationHP("p", range(60)).decode(ties) == [wanted]
    for wrong in (["a", "b"], ["a", "b", "b"], ["a", "b", "d"], ("a", "b", "c"), "abc", None):
        assert not hp.contains(wrong)
    assert [hp.to_json(order) for order in orders] == [list(order) for order in itertools.permutations(range(3))]
    assert all(hp.from_json(hp.to_json(order)) == order for order in orders)


def test_true_and_one_are_two_things():
    """As everywhere."""
    hp = PermutationHP("p", [1, True, 1.0])
    assert hp.from_json(hp.to_json([True, 1.0, 1])) == [True, 1.0, 1]
    assert not hp.contains([1, 1, 1])


@pytest.mark.parametrize("n", [3, 4])
def test_all_orders_are_those_of_itertools(n):
    """In the dictionary's order, whether listed or made one by one."""
    wanted = [list(order) for order in itertools.permutations(range(n))]
    hp = PermutationHP("p", range(n))
    assert hp.grid(24) == wanted
    assert list(hp.axes(None)[0]) == wanted
    assert [one["p"] for one in SearchSpace([hp]).configurations()] == wanted


@pytest.mark.parametrize("n", [5, 25, 170])
def test_a_grid_over_orders_is_even_from_the_first_to_the_last(n):
    """Numbers of orders beyond the precision of floats stay exact."""
    hp = PermutationHP("p", range(n))
    grid = hp.grid(5)
    ranks = [sum(math.factorial(n - 1 - i) * sorted(order[i:]).index(x) for i, x in enumerate(order)) for order in grid]
    assert ranks == [k * (math.factorial(n) - 1) // 4 for k in range(5)]
    assert all(hp.contains(order) for order in grid)
