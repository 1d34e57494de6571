"""Search spaces of Ax: its dicts, which need no Ax; the objects stand in test_ax_objects.py."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autohpo import ChoiceHP, FixedHP, LinearConstraint, LogRangeHP, OrdinalHP, RangeHP, SearchSpace, SpaceError
from autohpo.integrations.ax import from_ax


@pytest.mark.parametrize(
    ("given", "parameter"),
    [
        ({"type": "range", "bounds": [0.0, 1.0]}, RangeHP("x", 0.0, 1.0)),
        ({"type": "range", "bounds": [0, 5]}, RangeHP("x", 0, 5)),
        ({"type": "range", "bounds": [0, 5], "value_type": "float"}, RangeHP("x", 0.0, 5.0)),
        ({"type": "range", "bounds": [1.0, 5.0], "value_type": "int"}, RangeHP("x", 1, 5)),
        ({"type": "range", "bounds": [1e-4, 0.1], "log_scale": True}, LogRangeHP("x", 1e-4, 0.1)),
        ({"type": "range", "bounds": [0.0, 1.0], "step_size": 0.25}, RangeHP("x", 0.0, 1.0, step=0.25)),
        ({"type": "range", "bounds": [0.0, 1.0], "digits": 1}, RangeHP("x", 0.0, 1.0, step=0.1)),
        ({"type": "choice", "values": ["a", "b", "c"]}, ChoiceHP("x", ["a", "b", "c"])),
        ({"type": "choice", "values": ["lo", "mid", "hi"], "is_ordered": True}, OrdinalHP("x", ["lo", "mid", "hi"])),
        ({"type": "choice", "values": [64, 16, 32]}, OrdinalHP("x", [16, 32, 64])),
        ({"type": "choice", "values": [64, 16, 32], "is_ordered": False}, ChoiceHP("x", [64, 16, 32])),
        ({"type": "choice", "values": [1, 2], "value_type": "float"}, OrdinalHP("x", [1.0, 2.0])),
        ({"type": "choice", "values": [True, False]}, ChoiceHP("x", [True, False])),
        ({"type": "fixed", "value": 3}, FixedHP("x", 3)),
    ],
)
def test_each_dict_has_its_parameter(given, parameter):
    """By the documentation of Ax's service interface."""
    assert from_ax([{"name": "x", **given}]) == SearchSpace([parameter])


def test_dependents_are_children_at_any_depth():
    """Also where a name stands under two values."""
    space = from_ax(
        [
            {"name": "depth", "type": "range", "bounds": [1, 9]},
            {
                "name": "m",
                "type": "choice",
                "values": ["svm", "tree", "net"],
                "dependents": {"svm": ["k"], "net": ["k"]},
            },
            {"name": "k", "type": "choice", "values": ["rbf", "poly"], "dependents": {"poly": ["degree"]}},
            {"name": "degree", "type": "range", "bounds": [2, 5]},
        ]
    )
    k = ChoiceHP("k", ["rbf", "poly"], {"poly": [RangeHP("degree", 2, 5)]})
    assert space == SearchSpace(
        [RangeHP("depth", 1, 9), ChoiceHP("m", ["svm", "tree", "net"], {"svm": [k], "net": [k]})]
    )


@pytest.mark.parametrize(
    ("formula", "constraint"),
    [
        ("x + y <= 1", LinearConstraint({"x": 1.0, "y": 1.0}, upper=1.0)),
        ("x <= y", LinearConstraint({"x": 1.0, "y": -1.0}, upper=0.0)),
        ("2*x - y/4 >= 0.5", LinearConstraint({"x": 2.0, "y": -0.25}, lower=0.5)),
        ("3 - x*2 <= -(y - 1)", LinearConstraint({"x": -2.0, "y": 1.0}, upper=-2.0)),
        ("0.5*(x + 2*y) + x >= 1", LinearConstraint({"x": 1.5, "y": 1.0}, lower=1.0)),
    ],
)
def test_a_constraint_is_linear(formula, constraint):
    """Worked out by hand; numbers on both sides are gathered."""
    made = from_ax([{"name": n, "type": "range", "bounds": [0.0, 1.0]} for n in "xy"], [formula])
    assert made.constraints == (constraint,)


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.integers(-5, 5), min_size=4, max_size=4),
    st.sampled_from(["<=", ">="]),
    st.lists(st.integers(0, 3), min_size=2, max_size=2),
)
def test_a_constraint_allows_what_its_formula_says(weights, sign, point):
    """The oracle is Python's own arithmetic, on integers."""
    a, b, c, d = weights
    formula = f"{a}*x + {b}*y {sign} {c} - {d}*x"
    parameters = [{"name": n, "type": "range", "bounds": [0, 3]} for n in "xy"]
    values = dict(zip("xy", point, strict=True))
    try:
        space = from_ax(parameters, [formula])
    except SpaceError as error:
        pytest.fail(str(error))
    assert space.is_allowed(values) is eval(formula, {}, dict(values))


@pytest.mark.parametrize(
    ("parameters", "text"),
    [
        ([], "space: must hold at least one parameter"),
        ({"name": "x"}, "space: must be a list of parameters of Ax"),
        (5, "space: must be a list of parameters of Ax"),
        ([5], "must be a RangeParameterConfig"),
        ([{"name": "x"}], "'x': type must be range, choice or fixed, got None"),
        ([{"name": "x", "type": "range"}], "x: bounds must be two numbers"),
        ([{"name": "x", "type": "range", "bounds": [1, 0]}], "x: low must be below high"),
        (
            [{"name": "x", "type": "range", "bounds": [0.5, 2], "value_type": "int"}],
            "x: bounds and step_size of",
        ),
        ([{"name": "x", "type": "range", "bounds": [0, 1], "digits": -1}], "x: digits must be an integer"),
        ([{"name": "x", "type": "range", "bounds": [0, 1], "value_type": "double"}], "x: value_type must be"),
        ([{"name": "x", "type": "range", "bounds": [0, 1], "log": True}], "'x': keys of range must be of"),
        ([{"name": "x", "type": "choice", "values": "ab"}], "x: values must be a list"),
        ([{"name": "x", "type": "choice", "values": []}], "x: values must hold at least one"),
        (
            [{"name": "x", "type": "choice", "values": ["a", "b"], "dependents": {"c": []}}],
            "x: dependents must stand",
        ),
        (
            [{"name": "x", "type": "choice", "values": ["a", "b"], "dependents": {"a": ["y"]}}],
            "x: dependents of 'a'",
        ),
        ([{"name": "x", "type": "fixed", "value": 1}] * 2, "space: names must differ"),
        (
            [
                {"name": "z", "type": "fixed", "value": 1},
                {"name": "x", "type": "choice", "values": ["a", "b"], "dependents": {"a": ["y"]}},
                {"name": "y", "type": "choice", "values": ["a", "b"], "dependents": {"a": ["x"]}},
            ],
            "space: dependents must not lead back to their parameter, got ['x', 'y']",
        ),
    ],
)
def test_what_cannot_be_converted_is_an_error(parameters, text):
    """It names the parameter."""
    with pytest.raises(SpaceError) as error:
        from_ax(parameters)
    assert text in str(error.value)


@pytest.mark.parametrize(
    "formula", ["x * y <= 1", "x < 1", "x", "x == 1", "max(x, y) <= 1", "1 <= 2", 5, "x + z <= 1", "x <=", "x / 0 <= 1"]
)
def test_a_constraint_that_is_not_linear_is_an_error(formula):
    """Ax would refuse it, too."""
    with pytest.raises(SpaceError):
        from_ax([{"name": n, "type": "range", "bounds": [0.0, 1.0]} for n in "xy"], [formula])


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.dictionaries(
            st.sampled_from(
                ["name", "type", "bounds", "values", "value", "dependents", "digits", "step_size", "value_type"]
            ),
            st.one_of(
                st.sampled_from(["x", "range", "choice", "fixed", "int", {"a": ["x"]}, [0, 1], ["a", "b"], object()]),
                st.lists(st.floats() | st.integers() | st.none(), max_size=2),
                st.floats(),
            ),
        ),
        max_size=3,
    )
)
def test_odd_parameters_raise_space_errors_only(parameters):
    """Or they make a space that can be drawn from."""
    try:
        space = from_ax(parameters)
    except SpaceError:
        return
    space.sample(np.random.default_rng(0), 2)


def test_all_values_of_a_small_space_are_there():
    """Counted by hand: 3 batches, and under one of two models 4 depths."""
    space = from_ax(
        [
            {"name": "batch", "type": "choice", "values": [8, 16, 32]},
            {"name": "m", "type": "choice", "values": ["tree", "linear"], "dependents": {"tree": ["depth"]}},
            {"name": "depth", "type": "range", "bounds": [1, 4]},
        ]
    )
    wanted = [{"batch": b, "m": "tree", "depth": d} for b, d in itertools.product([8, 16, 32], range(1, 5))]
    wanted += [{"batch": b, "m": "linear"} for b in [8, 16, 32]]
    found = list(space.configurations())
    assert len(found) == len(wanted)
    assert all(hp in wanted for hp in found)
