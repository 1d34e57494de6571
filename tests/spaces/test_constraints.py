"""Constraints: what they allow against plain Python, draws that keep to them, and errors that name them."""

from __future__ import annotations

import copy
import itertools
import json
import math
import pickle

import numpy as np
import pytest
from scipy import stats

from autohpo import ChoiceHP, FixedHP, LogRangeHP, RangeHP, SearchSpace, SpaceError
from autohpo.spaces import LinearConstraint, ListHP
from autohpo.spaces.constraints import ExpressionConstraint, PredicateConstraint, as_constraint

XY = [RangeHP("x", 0.0, 1.0), RangeHP("y", 0.0, 1.0)]


def is_small(hp):
    """A user's own."""
    return hp["x"] < 0.5


@pytest.mark.parametrize("lower", [None, -1.0, 2])
@pytest.mark.parametrize("upper", [None, 2.5, 4])
def test_a_linear_constraint_is_a_weighted_sum_between_bounds(lower, upper):
    """Against the sum itself, on a grid of whole and half numbers, where sums are exact."""
    if lower is None and upper is None:
        return
    constraint = LinearConstraint({"a": 2, "b": -0.5}, lower=lower, upper=upper)
    for a, b in itertools.product(range(-3, 4), repeat=2):
        total = 2 * a - 0.5 * b
        wanted = (lower is None or total >= lower) and (upper is None or total <= upper)
        assert constraint.allows({"a": a, "b": b, "c": "else"}) is wanted


@pytest.mark.parametrize("scale", [1e-12, 1.0, 1e12])
def test_a_linear_constraint_forgives_rounding_and_nothing_else(scale):
    """Of decimal steps .1 + .2 is .3, at every scale; a thousandth more is not."""
    constraint = LinearConstraint({"a": 1, "b": 1}, upper=0.3 * scale)
    assert 0.1 * scale + 0.2 * scale >= 0.3 * scale
    assert constraint.allows({"a": 0.1 * scale, "b": 0.2 * scale})
    assert not constraint.allows({"a": 0.1 * scale, "b": 0.2003 * scale})
    assert LinearConstraint({"a": 1, "b": -1}, lower=0.0).allows({"a": 0.7 * scale, "b": 0.7 * scale})
    assert not LinearConstraint({"a": 1, "b": -1}, lower=0.0).allows({"a": 0.7 * scale, "b": 0.7001 * scale})


def test_what_lacks_a_parameter_of_a_constraint_meets_it():
    """It is not active there; a function sees what there is."""
    assert LinearConstraint({"a": 1, "b": 1}, upper=1).allows({"a": 9})
    assert ExpressionConstraint("a + b < 1").allows({"a": 9})
    assert not PredicateConstraint(lambda hp: "b" in hp).allows({"a": 9})


def test_texts_and_functions_become_constraints():
    """Alone or in a list; objects stay as they are."""
    linear = LinearConstraint({"x": 1}, upper=1)
    space = SearchSpace(XY, constraints=["x < y", linear, is_small])
    assert [type(one).__name__ for one in space.constraints] == [
        "ExpressionConstraint",
        "LinearConstraint",
        "PredicateConstraint",
    ]
    assert space.constraints[1] is linear
    for one in ("x < y", linear, is_small):
        assert SearchSpace(XY, constraints=one).constraints == (as_constraint(one),)
    assert SearchSpace(space, constraints=["x > 0.1"]).constraints == (*space.constraints, as_constraint("x > 0.1"))
    assert SearchSpace(XY).constraints == ()


def test_allows_says_it_for_many_and_check_for_one():
    """All constraints must be met."""
    space = SearchSpace(XY, constraints=["x < y", is_small])
    hps = [{"x": 0.1, "y": 0.2}, {"x": 0.2, "y": 0.1}, {"x": 0.6, "y": 0.7}]
    assert space.allows(hps).tolist() == [True, False, False]
    assert SearchSpace(XY).allows(hps).tolist() == [True, True, True]
    space.check(hps[0])
    with pytest.raises(
        SpaceError, match=r"configuration: must meet ExpressionConstraint\(formula='x < y'\), got {'x': 0.2"
    ):
        space.check(hps[1])
    with pytest.raises(SpaceError, match="is_small"):
        space.check(hps[2])


def test_draws_keep_to_the_constraints_and_to_the_prior():
    """Uniform on a triangle: x has the density 2 (1 - x), and y / (1 - x) is uniform beside it (Kolmogorov, 1e-6)."""
    space = SearchSpace(XY, constraints=["x + y <= 1"])
    hps = space.sample(np.random.default_rng(0), 2000)
    assert len(hps) == 2000
    assert all(hp["x"] + hp["y"] <= 1 for hp in hps)
    assert stats.kstest([hp["x"] for hp in hps], stats.beta(1, 2).cdf).pvalue > 1e-6
    assert stats.kstest([hp["y"] / (1 - hp["x"]) for hp in hps], "uniform").pvalue > 1e-6


def test_draws_are_found_where_one_of_ten_thousand_is_allowed():
    """And nothing is drawn for ever where there is none."""
    rare = SearchSpace([RangeHP("n", 1, 10_000), FixedHP("k", 1)], constraints=["n == 77"])
    assert rare.sample(np.random.default_rng(0), 2) == [{"n": 77, "k": 1}] * 2
    for parameters, formula in ((XY, "x > 2"), ([FixedHP("k", 1)], "k == 2")):
        with pytest.raises(
            SpaceError, match=r"constraints: some draws must meet \[ExpressionConstraint.*\], got (0 of \d+|none in)"
        ):
            SearchSpace(parameters, constraints=formula).sample(np.random.default_rng(0), 1)


def test_a_function_cannot_change_the_configuration():
    """It gets a copy."""
    space = SearchSpace(XY, constraints=lambda hp: hp.clear() is None)
    hp = {"x": 0.1, "y": 0.2}
    assert space.is_allowed(hp)
    assert hp == {"x": 0.1, "y": 0.2}


def test_what_a_function_raises_is_an_error_that_names_it():
    """The user's own fault is not ours, and not hidden."""
    space = SearchSpace(XY, constraints=lambda hp: hp["z"] > 1)
    with pytest.raises(SpaceError, match=r"constraint .*<lambda>: raised KeyError: 'z' for {'x': 0.1, 'y': 0.2}"):
        space.allows([{"x": 0.1, "y": 0.2}])


def test_values_that_are_not_numbers_have_no_sum():
    """A choice of strings, or a list."""
    space = SearchSpace(
        [ChoiceHP("c", ["a", 3]), ListHP("l", XY[0], 2)], constraints=LinearConstraint({"c": 2}, upper=7)
    )
    assert space.is_allowed({"c": 3, "l": [0.1, 0.2]})
    with pytest.raises(SpaceError, match=r"LinearConstraint.*: values must be numbers, got {'c': 'a'}"):
        space.is_allowed({"c": "a"})
    with pytest.raises(SpaceError, match="values must be numbers"):
        LinearConstraint({"l": 2}, upper=7).allows({"l": [1, 2]})


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: LinearConstraint({}, upper=1), "LinearConstraint: must have weights, and a lower or an upper bound"),
        (lambda: LinearConstraint({"x": 1}), "LinearConstraint: must have weights, and a lower or an upper bound"),
        (lambda: LinearConstraint({"x": "1"}, upper=1), "LinearConstraint: weights and bounds must be finite numbers"),
        (lambda: LinearConstraint({"x": 1}, upper=math.inf), "LinearConstraint: weights and bounds must be finite"),
        (lambda: LinearConstraint(["x"], upper=1), "LinearConstraint: weights must be a dict by name, got ['x']"),
        (lambda: ExpressionConstraint("x <"), "expression 'x <': cannot be read"),
        (lambda: PredicateConstraint(3), "constraint: must be a formula, a LinearConstraint or a function, got 3"),
        (lambda: SearchSpace(XY, constraints=[3]), "constraint: must be a formula"),
        (
            lambda: SearchSpace(XY, constraints=3),
            "space: constraints must be a list, got ",
        ),
        (
            lambda: SearchSpace(XY, constraints="x < z"),
            "ExpressionConstraint(formula='x < z'): names must be of the space ['x', 'y'], got ['z']",
        ),
        (
            lambda: SearchSpace(XY, constraints=[LinearConstraint({"z": 1}, upper=1)]),
            "LinearConstraint(weights={'z': 1}",
        ),
    ],
)
def test_what_is_no_constraint_is_refused(make, text):
    """When it is made; a misspelt name does not silently allow everything."""
    with pytest.raises(SpaceError) as caught:
        make()
    assert str(caught.value).startswith(text)


def test_constraints_are_part_of_the_space():
    """In equality, JSON, pickles and copies; a function can be compared by name, and not read back."""
    space = SearchSpace(XY, constraints=["x < y", LinearConstraint({"x": 1}, lower=0.1)])
    assert space != SearchSpace(XY)
    assert space != SearchSpace(XY, constraints=["x < y"])
    data = json.loads(json.dumps(space.to_dict(), allow_nan=False))
    for again in (SearchSpace.from_dict(data), pickle.loads(pickle.dumps(space)), copy.deepcopy(space)):
        assert again == space
        assert again.allows([{"x": 0.2, "y": 0.1}, {"x": 0.2, "y": 0.3}, {"x": 0.0, "y": 1.0}]).tolist() == [0, 1, 0]
    own = SearchSpace(XY, constraints=is_small)
    assert own == SearchSpace(XY, constraints=is_small) != SearchSpace(XY, constraints=lambda hp: True)
    assert pickle.loads(pickle.dumps(own)) == own
    with pytest.raises(SpaceError, match="is_small cannot be read back from JSON"):
        SearchSpace.from_dict(own.to_dict())


@pytest.mark.parametrize(
    "damage",
    [{"constraints": 3}, {"constraints": [3]}, {"constraints": [{"kind": "RangeHP"}]}, {"conditions": 3},
     {"conditions": {"x": 3}}, {"constraints": [{"kind": "ExpressionConstraint"}]}, {"constraints": None}],
)  # fmt: skip
def test_damaged_descriptions_are_errors_of_ours(damage):
    """Never a TypeError from within."""
    with pytest.raises(SpaceError):
        SearchSpace.from_dict({**SearchSpace(XY).to_dict(), **damage})


def test_constraints_on_children_bind_only_where_these_are_in_force():
    """By hand: without momentum there is nothing to meet."""
    sgd = [RangeHP("momentum", 0.0, 1.0)]
    opti = ChoiceHP("opti", ["sgd", "adam"], children={"sgd": sgd})
    space = SearchSpace([opti, LogRangeHP("lr", 1e-3, 1.0)], constraints="momentum + lr < 1")
    assert space.allows(
        [
            {"opti": "adam", "lr": 1.0},
            {"opti": "sgd", "lr": 0.9, "momentum": 0.5},
            {"opti": "sgd", "lr": 0.1, "momentum": 0.5},
        ]
    ).tolist() == [True, False, True]
