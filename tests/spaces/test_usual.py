"""Usual: what it lets pass is what the space itself would return unchanged."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from autohpo import ChoiceHP, FixedHP, LogRangeHP, OrdinalHP, RangeHP, SearchSpace, SpaceError
from autohpo.spaces.usual import Usual

SPACE = SearchSpace(
    [
        RangeHP("x", -1.0, 1.0),
        LogRangeHP("lr", 1e-5, 1.0),
        RangeHP("n", 0, 8),
        RangeHP("step", 0.0, 1.0, step=0.1),
        ChoiceHP("act", ["relu", 1, None, (1, 2)]),
        OrdinalHP("width", [16, 32.5]),
        FixedHP("k", 3),
    ]
)
ODD: list[Any] = [None, True, 0, -0.0, 1, 1.0, 3, 9, 0.5, 0.30000000000000004, 2**70, "x", "relu", [1, 2], 16.0, 32.5]
ODD += [float("nan"), float("inf"), np.float64(0.5), np.int64(3), np.str_("relu")]


def test_draws_of_the_space_need_no_closer_look() -> None:
    """Nor do the ends of its ranges."""
    usual = Usual(SPACE)
    assert all(usual.has(hp) for hp in SPACE.sample(np.random.default_rng(0), 50))
    assert all(map(usual.has, SPACE.decode(np.array([[0.0] * SPACE.n_columns, [1.0] * SPACE.n_columns]))))


@pytest.mark.parametrize("name", SPACE.names)
def test_what_passes_is_what_the_space_returns(name: str) -> None:
    """Odd values of every kind of parameter."""
    usual, hp = Usual(SPACE), SPACE.sample(np.random.default_rng(1), 1)[0]
    for odd in ODD:
        given = {**hp, name: odd}
        try:
            made = SPACE.checked(given)[name]
        except SpaceError:
            assert not usual.has(given), odd
            continue
        if usual.has(given):
            assert made is odd or (type(made) is type(odd) and repr(made) == repr(odd))
    assert not usual.has({other: value for other, value in hp.items() if other != name})
    assert not usual.has({**hp, "more": 1})


def test_conditions_and_constraints_take_a_closer_look() -> None:
    """They are for the space to check."""
    assert not Usual(SearchSpace([RangeHP("x", 0.0, 1.0)], constraints=["x < 0.5"])).has({"x": 0.25})
