"""ChoiceHP and FixedHP: values of any kind, which come back as the very objects."""

from __future__ import annotations

import enum
import math

import numpy as np
import pytest
from scipy import stats

from autohpo import ChoiceHP, FixedHP, SpaceError


class Colour(enum.IntEnum):
    """A choice that equals a number."""

    RED = 1


class Rude:
    """An object whose comparison raises."""

    def __eq__(self, other):
        raise RuntimeError

    __hash__ = None


ODD = [None, True, 1, 1.0, "1", (1,), (True,), [1], {"a": 1}, math.nan, Colour.RED, Rude(), np.arange(2), print, int]


def test_choices_come_back_as_the_very_objects():
    """Whatever they are: equal ones of other types, unhashable ones, ones that cannot be compared."""
    hp = ChoiceHP("x", ODD)
    units = (np.arange(len(ODD)) + 0.5) / len(ODD)
    decoded = hp.decode(units[:, None])
    assert all(a is b for a, b in zip(decoded, ODD, strict=True))
    assert [hp.index_of(value) for value in ODD] == list(range(len(ODD)))
    assert all(a is b for a, b in zip(hp.decode(hp.encode(ODD)), ODD, strict=True))
    assert all(a is b for a, b in zip(hp.grid(2), ODD, strict=True))
    assert all(hp.from_json(hp.to_json(value)) is value for value in ODD)


def test_choices_are_equally_likely():
    """A chi-square test at 1e-6; the seed is fixed."""
    drawn = ChoiceHP("x", list("abcde")).decode(np.random.default_rng(0).random((20_000, 1)))
    counts = [drawn.count(value) for value in "abcde"]
    assert stats.chisquare(counts).statistic < stats.chi2.isf(1e-6, 4)


def test_ends_of_the_unit_interval_are_choices():
    """Both ends included."""
    assert ChoiceHP("x", ["a", "b", "c"]).decode(np.array([[0.0], [1.0]])) == ["a", "c"]


def test_one_choice_takes_no_column():
    """There is nothing to search."""
    hp = ChoiceHP("x", ["only"])
    assert (hp.width, hp.levels, hp.n_values) == (0, 1, 1)
    assert hp.decode(np.empty((2, 0))) == ["only", "only"]
    assert hp.encode(["only"]).shape == (1, 0)
    assert hp.grid(5) == ["only"]


def test_equal_values_of_one_type_are_one_choice():
    """A value that is equal and of the same types all the way down is the choice; others are not."""
    hp = ChoiceHP("x", [(1, [2]), 1.0])
    assert [hp.index_of(value) for value in ((1, [2]), 1.0, (1, [2.0]), (True, [2]), 1, True)] == [0, 1, -1, -1, -1, -1]
    assert hp.contains((1, [2]))
    assert not hp.contains((1, [2], 3))


@pytest.mark.parametrize(
    ("choices", "text"),
    [
        ([], "x: choices must hold at least one value, got none"),
        ("abc", "x: choices must be a list of values, got str"),
        ({"a": 1}, "x: choices must be a list of values, got dict"),
        ({1, 2}, "x: choices must be a list of values, got set"),
        (3, "x: choices must be a list of values, got int"),
        (None, "x: choices must be a list of values, got NoneType"),
        (["a", "b", "a"], "x: choices must differ, got 'a' twice"),
        ([math.nan, float("nan")], "x: choices must differ, got nan twice"),
        ([[1], [1]], "x: choices must differ, got [1] twice"),
    ],
)
def test_what_are_no_choices_is_refused(choices, text):
    """The error names parameter, rule and value; a set has no order that every process would agree on."""
    with pytest.raises(SpaceError) as caught:
        ChoiceHP("x", choices)
    assert str(caught.value) == text


def test_choices_are_kept_apart_from_the_list_they_came_in():
    """Whoever changes the list later does not change the space."""
    given = ["a", "b"]
    hp = ChoiceHP("x", given)
    given.append("c")
    assert hp.choices == ("a", "b")
    assert ChoiceHP("x", np.array([1, 2])).choices == (1, 2)
    assert ChoiceHP("x", (c for c in "ab")).choices == ("a", "b")


def test_choices_that_are_nearly_equal_make_different_parameters():
    """True is not 1, and 1 is not 1.0."""
    parameters = [ChoiceHP("x", [value, "other"]) for value in (1, True, 1.0, "1", None)]
    assert all((a == b) == (a is b) for a in parameters for b in parameters)
    assert ChoiceHP("x", [1, 2]) != ChoiceHP("x", [2, 1])


def test_fixed_value_is_in_every_configuration():
    """It takes no column, and nothing else is legal."""
    value = ["very", {"own": 1}]
    hp = FixedHP("x", value)
    assert all(one is value for one in hp.decode(np.empty((3, 0))))
    assert (hp.width, hp.levels, hp.n_values, hp.grid(9)) == (0, 0, 1, [value])
    assert hp.contains(["very", {"own": 1}])
    assert not hp.contains(["very", {"own": True}])
    assert hp.from_json(hp.to_json(value)) is value
    assert FixedHP("x", 1) != FixedHP("x", True)
    assert FixedHP("x", math.nan).contains(float("nan"))
