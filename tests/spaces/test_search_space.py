"""SearchSpace: configurations and the unit cube, checking, and JSON."""

from __future__ import annotations

import dataclasses
import json
import pickle

import numpy as np
import pytest

from autohpo import ChoiceHP, FixedHP, ListHP, LogRangeHP, RangeHP, SearchSpace, SpaceError

SPACE = SearchSpace(
    [RangeHP("x", 0.0, 2.0), FixedHP("k", "v"), RangeHP("n", 1, 4), ChoiceHP("c", ["a", None]), ChoiceHP("one", [1])]
)


def test_columns_belong_to_parameters_in_order():
    """Fixed values and single choices take none; levels tell ordered columns from unordered ones."""
    assert SPACE.n_columns == 3
    assert SPACE.levels.tolist() == [0, 0, 2]
    assert SPACE.names == ("x", "k", "n", "c", "one")
    assert len(SPACE) == 5
    assert SPACE["n"] is SPACE.parameters[2]
    assert [hp.name for hp in SPACE] == list(SPACE.names)


def test_columns_are_optional_where_others_decide_about_their_parameter():
    """By hand: a child, a list whose length n decides, and what has a formula; but neither n nor x."""
    opti = ChoiceHP("opti", ["sgd", "adam"], {"sgd": [RangeHP("momentum", 0.0, 1.0), FixedHP("nesterov", True)]})
    hidden = ListHP("hidden", RangeHP("units", 1, 9), "n", 4)
    space = SearchSpace([SPACE["x"], opti, hidden, SPACE["n"], SPACE["c"]], conditions={"c": "n > 1"})
    assert space.names == ("x", "opti", "momentum", "nesterov", "n", "hidden", "c")
    assert space.optional.tolist() == [False, False, True, False, True, True, True, True, True]
    assert space.optional.dtype == bool
    inactive = ~space.mask(space.sample(np.random.default_rng(0), 200))
    assert inactive.any(axis=0).tolist() == [False, False, True, False, False, True, True, True, True]  # n is never 0


def test_no_column_is_optional_where_nothing_is_conditional():
    """Neither with columns nor without."""
    assert SPACE.optional.tolist() == [False, False, False]
    assert SearchSpace([FixedHP("k", 1)]).optional.shape == (0,)


def test_configurations_and_points():
    """By hand: 0.5 of 2, the middle of the third of four cells, the first of two cells."""
    hp = {"x": 1.0, "k": "v", "n": 3, "c": "a", "one": 1}
    np.testing.assert_array_equal(SPACE.encode([hp, hp]), [[0.5, 0.625, 0.25]] * 2)
    assert SPACE.decode(np.array([[0.5, 0.625, 0.25]])) == [hp]
    assert list(SPACE.decode([[0.5, 0.625, 0.25]])[0]) == list(SPACE.names)
    assert SPACE.encode([]).shape == (0, 3)
    assert SPACE.decode(np.empty((0, 3))) == []


def test_space_without_columns_still_has_configurations():
    """All fixed: one configuration, as often as it is asked for."""
    space = SearchSpace([FixedHP("k", 1), ChoiceHP("c", [None])])
    assert space.sample(np.random.default_rng(0), 2) == [{"k": 1, "c": None}] * 2
    assert space.encode([{"k": 1, "c": None}]).shape == (1, 0)
    assert space.n_configurations == 1


def test_samples_are_decoded_uniform_points():
    """The generator is read row by row, so that one draw of n is n draws of one."""
    together = SPACE.sample(np.random.default_rng(5), 4)
    rng = np.random.default_rng(5)
    assert together == [SPACE.sample(rng, 1)[0] for _ in range(4)]
    assert together == SPACE.decode(np.random.default_rng(5).random((4, 3)))


def test_configurations_are_counted():
    """The product of the counts, or None where one cannot be counted."""
    assert SPACE.n_configurations is None
    assert SearchSpace([RangeHP("n", 1, 4), ChoiceHP("c", ["a", "b", "c"]), FixedHP("k", 0)]).n_configurations == 12
    assert SearchSpace([RangeHP(f"n{i}", 1, 10) for i in range(30)]).n_configurations == 10**30


@pytest.mark.parametrize(
    ("parameters", "text"),
    [
        ([], "space: must hold at least one parameter, got none"),
        (RangeHP("x", 0, 1), "space: must be a list of parameters, got RangeHP"),
        ("x", "space: must be a list of parameters, got str"),
        ({"x": RangeHP("x", 0, 1)}, "space: must be a list of parameters, got dict"),
        (None, "space: must be a list of parameters, got NoneType"),
        ([("x", 0, 1)], "space: every item must be an HPSpace such as RangeHP, got ('x', 0, 1)"),
        ([RangeHP], "space: every item must be an HPSpace such as RangeHP, got <class"),
        ([RangeHP("x", 0, 1), ChoiceHP("x", [1, 2])], "x: names must differ, got 'x' twice"),
    ],
)
def test_what_does_not_make_a_space_is_refused(parameters, text):
    """The error says what was given."""
    with pytest.raises(SpaceError) as caught:
        SearchSpace(parameters)
    assert str(caught.value).startswith(text)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"x": 3.0}, "x: must be a value of RangeHP(name='x', low=0.0, high=2.0), got 3.0"),
        ({"k": "w"}, "k: must be a value of FixedHP"),
        ({"n": 2.0}, "n: must be a value of RangeHP"),
        ({"c": "None"}, "c: must be a value of ChoiceHP"),
        (
            {"extra": 1, 3: 4},
            "configuration: names must be among ['x', 'k', 'n', 'c', 'one'], got [3, 'extra']",
        ),
    ],
)
def test_illegal_configurations_are_named(change, text):
    """Parameter, rule and value stand in the error."""
    good = {"x": 1, "k": "v", "n": 3, "c": "a", "one": 1}
    SPACE.check(good)
    with pytest.raises(SpaceError) as caught:
        SPACE.check({**good, **change})
    assert str(caught.value).startswith(text)


def test_missing_parameters_are_named():
    """In a check as in encoding."""
    with pytest.raises(SpaceError, match=r"n: must be in the configuration, got only \['x', 'k', 'c', 'one'\]"):
        SPACE.check({"x": 1.0, "k": "v", "c": "a", "one": 1})
    with pytest.raises(SpaceError, match=r"n: must be in the configuration, got only \['x', 'k', 'c', 'one'\]"):
        SPACE.encode([{"x": 1.0, "k": "v", "c": "a", "one": 1}])
    with pytest.raises(SpaceError, match="configuration: must be a dict, got list"):
        SPACE.check([1])


@pytest.mark.parametrize(
    "units", [[[0.5, 0.5]], [0.5, 0.5, 0.5], [[0.5, 0.5, 1.1]], [[0.5, 0.5, -1e-9]], [[0.5, 0.5, float("nan")]]]
)
def test_points_outside_the_cube_are_refused(units):
    """A model that leaves the cube has a fault; clipping would hide it."""
    with pytest.raises(SpaceError, match=r"units: must (have shape \(n, 3\)|lie in \[0, 1\])"):
        SPACE.decode(units)


def test_space_goes_through_json_and_pickle():
    """A stored run can be read without its program, and an optimizer can be sent to another process."""
    space = SearchSpace(
        [*SPACE, LogRangeHP("lr", 1e-4, 1.0), RangeHP("s", 0.0, 1.0, step=0.1), ChoiceHP("t", [(1, 2), 1.5])]
    )
    again = SearchSpace.from_dict(json.loads(json.dumps(space.to_dict())))
    assert again == space
    assert hash(again) == hash(space)
    assert repr(again) == repr(space)
    assert pickle.loads(pickle.dumps(space)) == space
    assert SearchSpace(space) == space
    assert space != SPACE
    assert space != [*space]


@pytest.mark.parametrize("data", [{}, {"parameters": {}}, {"parameters": [3]}, {"parameters": []}])
def test_data_that_do_not_describe_a_space_are_refused(data):
    """A damaged file is an error of ours, never a KeyError from within."""
    with pytest.raises(SpaceError):
        SearchSpace.from_dict(data)


@pytest.mark.parametrize(
    ("data", "text"),
    [
        ({"kind": "Nothing", "name": "x"}, "kind: must be one of"),
        ({"name": "x"}, "kind: must be one of"),
        ({"kind": ["RangeHP"], "name": "x"}, "kind: must be one of"),
        ({"kind": "RangeHP", "name": "x", "low": 0}, "RangeHP: cannot be made from"),
        ({"kind": "RangeHP", "name": "x", "low": 0, "high": 1, "width": 3}, "RangeHP: cannot be made from"),
        ({"kind": "RangeHP", "name": "x", "low": 1, "high": 0}, "x: low must be below high"),
        ({"kind": "ChoiceHP", "name": "x", "choices": [{"opaque": "a"}]}, "value: a cannot be read back"),
    ],
)
def test_data_that_do_not_describe_a_parameter_are_refused(data, text):
    """The error says what is wrong with the description."""
    with pytest.raises(SpaceError) as caught:
        SearchSpace.from_dict({"parameters": [data]})
    assert str(caught.value).startswith(text)


def test_key_is_shared_by_equal_configurations_only():
    """Order of the names does not matter; type does."""
    space = SearchSpace([ChoiceHP("c", [1, True, 1.0, None]), RangeHP("x", 0.0, 1.0)])
    keys = {space.key({"c": c, "x": 0.5}) for c in (1, True, 1.0, None)}
    assert len(keys) == 4
    assert space.key({"x": 0.5, "c": None}) == space.key({"c": None, "x": 0.5})


def test_log_of_a_configuration_gives_the_very_choices():
    """A choice is written as its place and read as the object of this space."""
    value = ["a", "list"]
    space = SearchSpace([ChoiceHP("c", [1, value]), RangeHP("x", 0.0, 1.0), FixedHP("k", value)])
    data = json.loads(json.dumps(space.to_json({"c": value, "x": 0.1, "k": value})))
    assert data == {"c": 1, "x": 0.1, "k": None}
    again = space.from_json(data)
    assert again == {"c": value, "x": 0.1, "k": value}
    assert again["c"] is value
    assert again["k"] is value


def test_a_space_of_an_earlier_store_is_read_and_written_alike():
    """What version 0.1 wrote, by hand: a store is only resumed where the space reads the same."""
    data = {
        "parameters": [
            {"kind": "RangeHP", "name": "x", "low": 0.0, "high": 1.0, "step": None},
            {"kind": "RangeHP", "name": "n", "low": 1, "high": 7, "step": 3},
            {"kind": "LogRangeHP", "name": "lr", "low": 1e-4, "high": 0.1},
            {"kind": "ChoiceHP", "name": "c", "choices": {"tuple": ["a", None, {"tuple": [1, 2]}]}},
            {"kind": "FixedHP", "name": "k", "value": 3},
        ]
    }
    space = SearchSpace.from_dict(data)
    assert space.to_dict() == data
    assert space == SearchSpace(
        [
            RangeHP("x", 0.0, 1.0),
            RangeHP("n", 1, 7, step=3),
            LogRangeHP("lr", 1e-4, 0.1),
            ChoiceHP("c", ["a", None, (1, 2)]),
            FixedHP("k", 3),
        ]
    )


@pytest.mark.parametrize(
    "hp", [*SPACE, LogRangeHP("lr", 1e-4, 1.0), ChoiceHP("t", ["a", "b"], {"a": [SPACE["x"]]}, [1, 2])]
)
def test_parameters_are_frozen_and_can_be_replaced(hp):
    """Nobody changes what a running search relies on; a copy with another name is another parameter."""
    with pytest.raises(dataclasses.FrozenInstanceError):
        hp.name = "y"
    other = dataclasses.replace(hp, name="y")
    assert (other.name, type(other)) == ("y", type(hp))
    assert other != hp
    assert dataclasses.replace(other, name=hp.name) == hp
    assert len({hp, other, dataclasses.replace(other, name=hp.name)}) == 2
