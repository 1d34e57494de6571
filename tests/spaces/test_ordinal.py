"""OrdinalHP: values in an order, one column of equal cells."""

from __future__ import annotations

import copy
import json
import math
import pickle

import numpy as np
import pytest
from scipy import stats

from autohpo import SpaceError, build_hpo_from_name
from autohpo.spaces import ChoiceHP, HPSpace, OrdinalHP
from autohpo.testing import check_space

ODD = [None, True, 1, 1.0, "1", (1,), [1], {"a": 1}, math.nan, print]


def test_values_come_back_as_the_very_objects_in_their_order():
    """From the lower to the upper end of the unit interval, also those without a hash or an equality."""
    hp = OrdinalHP("o", ODD)
    units = (np.arange(len(ODD)) + 0.5)[:, None] / len(ODD)
    assert all(a is b for a, b in zip(hp.decode(units), ODD, strict=True))
    np.testing.assert_allclose(hp.encode(ODD), units, atol=1e-15)
    assert hp.decode(np.array([[0.0], [1.0]])) == [None, print]
    assert all(hp.from_json(json.loads(json.dumps(hp.to_json(value)))) is value for value in ODD)
    assert (hp.width, hp.levels, hp.n_values) == (1, 0, 10)
    np.testing.assert_allclose(hp.edges, np.arange(11) / 10)


def test_values_are_equally_likely():
    """A chi-square test at 1e-6."""
    drawn = OrdinalHP("o", [8, 16, 64, 512]).decode(np.random.default_rng(0).random((8000, 1)))
    assert stats.chisquare([drawn.count(value) for value in (8, 16, 64, 512)]).pvalue > 1e-6


@pytest.mark.parametrize(
    "values", [ODD[:-1], [8, 16, 64, 512], ["only"], list(range(3000))], ids=["odd", "sizes", "1", "3000"]
)
def test_ordinals_conform(values):
    """What is demanded of every kind; and it is another parameter than a choice of the same values."""
    hp = OrdinalHP("o", values)
    assert {result.state for result in check_space(hp)} == {"passed"}
    assert pickle.loads(pickle.dumps(hp)) == copy.deepcopy(hp) == HPSpace.from_dict(hp.to_dict()) == hp
    assert hp != ChoiceHP("o", values)


def test_a_grid_goes_from_end_to_end():
    """Numbers of equal distance, in order; all where they are few. A choice gives all of them always."""
    hp = OrdinalHP("o", list("abcdefghi"))
    assert hp.grid(5) == list("acegi")
    assert hp.grid(3) == list("aei")
    assert hp.grid(2) == list("ai")
    assert hp.grid(9) == hp.grid(50) == list("abcdefghi")
    hpo = build_hpo_from_name("grid", [hp, ChoiceHP("c", [0, 1, 2, 3])], steps=2)
    assert [hpo.ask()["o"] for _ in range(8)] == list("ai") * 4


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ([], "o: values must hold at least one value, got none"),
        ("abc", "o: values must be a list of values, got str"),
        ({1, 2}, "o: values must be a list of values, got set"),
        ([1, 2, 1], "o: values must differ, got 1 twice"),
    ],
)
def test_what_are_no_values_is_refused(values, text):
    """A set has no order that every process would agree on."""
    with pytest.raises(SpaceError) as caught:
        OrdinalHP("o", values)
    assert str(caught.value) == text
