"""Explore: how far a copy's configuration is from its parent's."""

from __future__ import annotations

import math

import numpy as np
import pytest

from autohpo import ChoiceHP, FixedHP, LogRangeHP, OrdinalHP, RangeHP, SearchSpace
from autohpo.schedulers.explore import Explore
from autohpo.testing.examples import SPACES


def moves(space, hp, explore, n=300):
    """The configurations of n copies."""
    rng = np.random.default_rng(0)
    return [explore(space, hp, rng) for _ in range(n)]


def test_numbers_move_a_step_up_or_down_on_their_own_scale():
    """A tenth of [0, 2] is .2; a tenth of three decades is a factor of 10**.3; both ways equally often."""
    space = SearchSpace([RangeHP("x", 0.0, 2.0), LogRangeHP("lr", 1e-4, 1e-1)])
    found = moves(space, {"x": 1.0, "lr": 1e-3}, Explore(0.1, 0.0))
    assert {round(hp["x"], 9) for hp in found} == {0.8, 1.2}
    assert {round(math.log10(hp["lr"]), 9) for hp in found} == {-3.3, -2.7}
    assert abs(np.mean([hp["x"] > 1 for hp in found]) - 0.5) < 4 * 0.5 / 300**0.5


def test_integers_and_ordinals_go_to_another_value():
    """A tenth of four values is less than one; of 30 integers it is three; at an end only one way is left."""
    space = SearchSpace([RangeHP("n", 1, 4), RangeHP("m", 1, 30), OrdinalHP("o", [16, 32, 64]), LogRangeHP("k", 1, 4)])
    found = moves(space, {"n": 2, "m": 10, "o": 32, "k": 2}, Explore(0.1, 0.0))
    assert {hp["n"] for hp in found} == {1, 3}
    assert {hp["m"] for hp in found} == {7, 13}
    assert {hp["o"] for hp in found} == {16, 64}
    assert {hp["k"] for hp in found} == {1, 3}
    found = moves(space, {"n": 4, "m": 30, "o": 16, "k": 4}, Explore(0.1, 0.0))
    assert {hp["n"] for hp in found} == {3, 4}
    assert {hp["o"] for hp in found} == {16, 32}
    assert all(hp != {"n": 4, "m": 30, "o": 16, "k": 4} for hp in found)


def test_choices_stay_but_where_they_are_drawn_anew():
    """With a chance of .4 one of three levels is drawn, so that two in three of those change: .27 in all."""
    space = SearchSpace([RangeHP("x", 0.0, 1.0), ChoiceHP("c", ["a", "b", "c"])])
    assert {hp["c"] for hp in moves(space, {"x": 0.5, "c": "b"}, Explore(0.1, 0.0))} == {"b"}
    found = moves(space, {"x": 0.5, "c": "b"}, Explore(0.1, 0.4), 1000)
    share = np.mean([hp["c"] != "b" for hp in found])
    assert abs(share - 0.4 * 2 / 3) < 4 * 0.5 / 1000**0.5
    anew = [hp["x"] for hp in found if round(hp["x"], 9) not in (0.4, 0.6)]
    assert abs(len(anew) / 1000 - 0.4) < 4 * 0.5 / 1000**0.5
    assert np.quantile(anew, [0.1, 0.9]) == pytest.approx([0.1, 0.9], abs=0.08)


def test_what_becomes_active_is_drawn_from_the_prior():
    """Momentum has no value before; all of its range is met. Where the choice stays, it moves a step."""
    space = SearchSpace([ChoiceHP("opti", ["adam", "sgd"], children={"sgd": [RangeHP("momentum", 0.0, 1.0)]})])
    found = [hp for hp in moves(space, {"opti": "adam"}, Explore(0.1, 0.5), 500) if hp["opti"] == "sgd"]
    drawn = [hp["momentum"] for hp in found]
    assert np.quantile(drawn, [0.1, 0.5, 0.9]) == pytest.approx([0.1, 0.5, 0.9], abs=0.1)
    found = moves(space, {"opti": "sgd", "momentum": 0.5}, Explore(0.1, 0.0))
    assert {round(hp["momentum"], 9) for hp in found} == {0.4, 0.6}


def test_constraints_are_met_and_the_parent_does_not_come_again():
    """Only down is allowed; where nothing else is allowed, or there is nothing to change, it is a copy."""
    space = SearchSpace([RangeHP("a", 0, 9), RangeHP("b", 0, 9)], constraints="a + b <= 9")
    for hp in moves(space, {"a": 4, "b": 5}, Explore(0.1, 0.25)):
        assert hp["a"] + hp["b"] <= 9
        assert hp != {"a": 4, "b": 5}
    lone = SearchSpace([RangeHP("a", 0, 9)], constraints="a == 3")
    assert moves(lone, {"a": 3}, Explore(0.1, 0.25), 3) == [{"a": 3}] * 3
    fixed = SearchSpace([FixedHP("device", "cpu")])
    assert moves(fixed, {"device": "cpu"}, Explore(), 2) == [{"device": "cpu"}] * 2


@pytest.mark.parametrize("make", SPACES.values(), ids=SPACES)
def test_every_kind_of_space_gives_legal_configurations(make):
    """Also from its own results, on and on; the same generator gives the same ones."""
    space = make()
    rng, again = np.random.default_rng(1), np.random.default_rng(1)
    hp = space.sample(np.random.default_rng(0), 1)[0]
    for _ in range(30):
        found = Explore()(space, hp, rng)
        space.check(found)
        assert space.key(found) == space.key(Explore()(space, hp, again))
        hp = found
