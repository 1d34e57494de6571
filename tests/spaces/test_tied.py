"""A value that another parameter's choice settles: in draws, in the unit cube, on a grid, in a count and in JSON."""

from __future__ import annotations

import json

import numpy as np
import pytest

from autohpo import ChoiceHP, RangeHP, SearchSpace, SpaceError, build_hpo_from_name
from autohpo.spaces.tied import TiedHP
from autohpo.testing import check_space


def space_of(**options):
    """A choice of three, two of which settle the learning rate."""
    preset = ChoiceHP("preset", ["s", "m", "l"], {"s": [LR], "l": [LR]})
    return SearchSpace([preset, RangeHP("depth", 1, 2)], **options)


LR = TiedHP("lr", "preset", {"s": [0.1], "l": [0.2, None]})
ALL = [
    {"preset": "s", "lr": [0.1], "depth": 1},
    {"preset": "s", "lr": [0.1], "depth": 2},
    {"preset": "m", "depth": 1},
    {"preset": "m", "depth": 2},
    {"preset": "l", "lr": [0.2, None], "depth": 1},
    {"preset": "l", "lr": [0.2, None], "depth": 2},
]


def by_text(hps):
    """Configurations in an order of their own."""
    return sorted(hps, key=lambda hp: json.dumps(hp, sort_keys=True))


def test_it_passes_the_checks_of_every_kind():
    """It is a parameter like others."""
    check_space(TiedHP("x", "y", {0: 1, 1: "a"}))
    check_space(LR)


def test_every_way_to_a_configuration_gives_it_its_value():
    """Draws, codes there and back, the list of all, and an algorithm that walks a grid."""
    space = space_of()
    draws = space.sample(np.random.default_rng(0), 50)
    assert all(hp in ALL for hp in draws)
    assert space.decode(space.encode(draws)) == draws
    assert by_text(space.configurations()) == by_text(ALL)
    assert space.n_configurations == 6
    hpo = build_hpo_from_name("grid", space, seed=0)
    assert by_text(dict(hpo.ask()) for _ in range(6)) == by_text(ALL)


def test_a_constraint_on_it_is_counted():
    """Of the six, the two with a rate of two entries are out."""
    space = space_of(constraints=["len(lr) < 2"])
    assert space.n_configurations == 4
    assert [hp for hp in space.configurations() if hp["preset"] == "l"] == []


def test_another_value_is_refused():
    """A legal value under the wrong choice is not a legal configuration."""
    space = space_of()
    for hp in ALL:
        space.check(hp)
    with pytest.raises(SpaceError, match=r"lr: must suit {'preset': .*} of the configuration, got \[0.1\]"):
        space.check({"preset": "l", "lr": [0.1], "depth": 1})
    with pytest.raises(SpaceError, match="lr: must be a value of"):
        space.check({"preset": "l", "lr": 3, "depth": 1})


def test_it_goes_through_json():
    """The space, and a configuration of it."""
    space = space_of()
    again = SearchSpace.from_dict(json.loads(json.dumps(space.to_dict())))
    assert again == space
    for hp in ALL:
        assert again.from_json(json.loads(json.dumps(space.to_json(hp)))) == hp


@pytest.mark.parametrize("values", [{}, [1, 2], None])
def test_values_must_be_a_dict(values):
    """One of choices."""
    with pytest.raises(SpaceError, match="x: values must be a dict that is not empty"):
        TiedHP("x", "y", values)


def test_a_choice_without_a_value_is_an_error():
    """It names the parameter and the choice."""
    space = SearchSpace([ChoiceHP("y", [0, 1]), TiedHP("x", "y", {0: "a"})])
    with pytest.raises(SpaceError, match="x: must have a value for y = 1"):
        space.decode(np.array([[0.9]]))
