"""Own kinds of parameters: the example of the documentation, in a space, a search and a log."""

from __future__ import annotations

import json

import numpy as np
import pytest

from autohpo import HPSpace, RangeHP, SearchSpace, SpaceError, build_hpo_from_name
from autohpo.spaces.base import KINDS
from autohpo.testing import check_space
from autohpo.testing.examples import SPACES


class OddHP(HPSpace):
    """Odd integers from low to high, for instance kernel sizes."""

    def __init__(self, name, low, high):
        super().__init__(name)
        self.low, self.high = low, high

    @property
    def n_values(self):
        return (self.high - self.low) // 2 + 1

    def decode(self, units):
        return [self.low + 2 * min(int(u * self.n_values), self.n_values - 1) for u in units[:, 0]]

    def encode(self, values):
        return np.array([[((v - self.low) // 2 + 0.5) / self.n_values] for v in values])

    def contains(self, value):
        return type(value) is int and value % 2 == 1 and self.low <= value <= self.high


class PointHP(HPSpace):
    """A point of the unit square: a value that takes two columns."""

    width = 2

    def decode(self, units):
        return [tuple(row) for row in units.tolist()]

    def encode(self, values):
        return np.array(values, dtype=float)

    def contains(self, value):
        return type(value) is tuple and len(value) == 2 and all(type(v) is float and 0 <= v <= 1 for v in value)


@pytest.mark.parametrize("hp", [OddHP("kernel", 1, 7), OddHP("kernel", 3, 3), OddHP("kernel", 1, 9999), PointHP("at")])
def test_own_kinds_conform(hp):
    """The documentation's example passes every check that it is told to pass."""
    assert {result.state for result in check_space(hp)} == {"passed"}


@pytest.mark.parametrize("name", ["random", "grid", "quasi_random"])
def test_own_kinds_can_be_searched(name):
    """An algorithm sees columns, and knows nothing of kinds."""
    hpo = build_hpo_from_name(name, [OddHP("kernel", 1, 7), PointHP("at"), RangeHP("x", 0, 3)], seed=0)
    for _ in range(20):
        suggestion = hpo.ask()
        hpo.space.check(suggestion)
        hpo.tell(suggestion, -abs(suggestion["kernel"] - 5))


def test_grid_of_an_own_kind_is_even():
    """The base class makes a grid of any kind: all of few values, else from end to end."""
    assert OddHP("kernel", 1, 7).grid(4) == [1, 3, 5, 7]
    assert OddHP("kernel", 1, 19).grid(4) == [1, 7, 13, 19]
    assert PointHP("at").grid(2) == [(0.0, 0.0), (1.0, 1.0)]


def test_own_kinds_are_read_back_by_their_class_name():
    """Its attributes are its description, as long as they are the arguments of its constructor."""
    space = SearchSpace([OddHP("kernel", 1, 7), PointHP("at")])
    text = json.dumps(space.to_dict())
    wanted = {"kind": "OddHP", "class": f"{__name__}.OddHP", "name": "kernel", "low": 1, "high": 7}
    assert json.loads(text)["parameters"][0] == wanted
    assert SearchSpace.from_dict(json.loads(text)) == space
    configuration = {"kernel": 3, "at": (0.25, 0.5)}
    assert space.from_json(json.loads(json.dumps(space.to_json(configuration)))) == configuration


def test_name_of_a_built_in_kind_cannot_be_taken():
    """A saved space would be read back as the wrong kind."""
    with pytest.raises(
        SpaceError, match="kind: must not have the name of a built-in kind, got RangeHP; choose another"
    ):
        type("RangeHP", (HPSpace,), {"__module__": "mine"})
    assert KINDS["RangeHP"] is RangeHP


def test_kind_without_its_three_methods_cannot_be_made():
    """Python itself says which are missing."""

    class Half(HPSpace):
        def decode(self, units):
            return []

    with pytest.raises(TypeError, match=r"(?s)abstract.*contains.*encode"):
        Half("x")


def test_name_must_be_a_string():
    """Also for own kinds."""
    with pytest.raises(SpaceError, match="name: must be a string that is not empty, got None"):
        OddHP(None, 1, 3)


class PercentHP(RangeHP):
    """A range whose log is in percent: a kind that builds on ours and writes its values its own way."""

    def to_json(self, value):
        return f"{100 * value!r}%"

    def from_json(self, data):
        return float(data[:-1]) / 100


def test_a_kind_that_builds_on_a_range_may_write_its_values_its_own_way():
    """Ranges are written as they are, but never past what a subclass says."""
    space = SearchSpace([PercentHP("share", 0.0, 1.0), RangeHP("x", 0.0, 1.0)])
    assert space.to_json({"share": 0.5, "x": 0.25}) == {"share": "50.0%", "x": 0.25}
    assert space.from_json({"share": "50.0%", "x": 0.25}) == {"share": 0.5, "x": 0.25}


def test_a_configuration_is_written_as_each_of_its_parameters_writes_its_value():
    """For every kind of parameter, in the order of the space, with inactive ones left out."""
    for make in SPACES.values():
        space = make()
        for hp in space.sample(np.random.default_rng(0), 20):
            shuffled = dict(reversed(hp.items()))
            wanted = [(one.name, one.to_json(hp[one.name])) for one in space.parameters if one.name in hp]
            assert list(space.to_json(shuffled).items()) == wanted
            data = json.loads(json.dumps(dict(wanted)))
            back = [(name, space[name].from_json(value)) for name, value in data.items()]
            assert list(space.from_json(data).items()) == back
