"""Objectives: what `mode` may be, which way each objective counts, and what a result may look like."""

from __future__ import annotations

import math

import numpy as np
import pytest

from autohpo.errors import InvalidPerfError, OptionError
from autohpo.objectives import Objectives
from autohpo.trial import Outcome, TrialState

NAMED = {"acc": "max", "latency": "min"}


def done(perfs, constraints=None, metrics=None, cost=None):
    """The outcome of an attempt that was complete."""
    own = cost is not None
    return Outcome(TrialState.COMPLETE, perfs, constraints or {}, metrics or {}, cost, has_own_cost=own)


@pytest.mark.parametrize(
    ("mode", "names", "signs"),
    [
        ("max", ("",), (1,)),
        ("min", ("",), (-1,)),
        (["min"], ("",), (-1,)),
        (("max", "min"), ("", ""), (1, -1)),
        (["min", "min", "max"], ("", "", ""), (-1, -1, 1)),
        (NAMED, ("acc", "latency"), (1, -1)),
        ({"loss": "min"}, ("loss",), (-1,)),
    ],
)
def test_every_form_of_mode_says_names_and_ways(mode, names, signs):
    """One text, a list, or a dict, in its order."""
    objectives = Objectives.of(mode)
    assert (objectives.names, objectives.signs, objectives.n) == (names, signs, len(names))


@pytest.mark.parametrize(
    "mode",
    ["best", "", None, 1, [], {}, ["max", "up"], [["max"]], [None], {"a": "up"}, {"": "max"}, {1: "max"}, {"a": [""]}],
)
def test_what_is_no_mode_is_refused(mode):
    """The error names the option."""
    with pytest.raises(OptionError, match="^mode: "):
        Objectives.of(mode)


def test_up_and_back_are_the_same_call():
    """Higher is better after one call, and after two all is as it was."""
    objectives = Objectives.of(NAMED)
    assert objectives.up((0.5, 3.0)) == (0.5, -3.0)
    assert objectives.up(objectives.up((0.5, 3.0))) == (0.5, 3.0)


@pytest.mark.parametrize(
    ("mode", "result", "wanted"),
    [
        ("max", 0.5, done((0.5,))),
        ("max", np.float32(0.5), done((0.5,))),
        ("max", (0.5, {"memory": 1}), done((0.5,), {"memory": 1.0})),
        ({"acc": "max"}, {"acc": 0.5, "loss": 2}, done((0.5,), {}, {"loss": 2.0})),
        ("min", {"perf": 1, "loss": 2}, done((1.0,), {}, {"loss": 2.0})),
        ("max", ({"perf": 1, "cost": 60}, {"memory": -1}), done((1.0,), {"memory": -1.0}, {}, 60.0)),
        (NAMED, {"acc": 1, "latency": 2, "cost": 0}, done((1.0, 2.0), {}, {}, 0.0)),
        ({"cost": "min"}, {"cost": 2}, done((2.0,))),
        (["max", "min"], (1, 2), done((1.0, 2.0))),
        (["max", "min"], [1, 2], done((1.0, 2.0))),
        (["max", "min"], np.array([1, 2]), done((1.0, 2.0))),
        (["max", "min"], ((1, 2), {"c": -1}), done((1.0, 2.0), {"c": -1.0})),
        (NAMED, {"latency": 2, "acc": 1}, done((1.0, 2.0))),
        (NAMED, (1, 2), done((1.0, 2.0))),
        (NAMED, ({"latency": 2, "acc": 1, "n": 3}, {"c": 0}), done((1.0, 2.0), {"c": 0.0}, {"n": 3.0})),
    ],
)
def test_a_result_is_taken_as_the_table_says(mode, result, wanted):
    """Objectives in the order of mode, whatever the order of the dict; plain floats."""
    measured = Objectives.of(mode).measure(result)
    assert measured == wanted
    assert all(type(value) is float for value in measured.perfs)


def test_constraints_may_be_given_beside_the_result():
    """As `tell` does."""
    assert Objectives.of("max").measure(1.0, {"c": 2}) == done((1.0,), {"c": 2.0})


@pytest.mark.parametrize(
    ("mode", "result", "text"),
    [
        ("max", {"acc": 1.0}, "mode={'name': 'max'}"),
        ("max", {"perf": 1.0, "cost": -1}, "cost: must be at least 0, got -1.0"),
        ("max", {"perf": 1.0, "cost": math.nan}, "finite"),
        ("max", (1.0, 2.0), "one number"),
        ("max", math.nan, "finite"),
        (["max", "min"], 1.0, "2 numbers"),
        (["max", "min"], (1.0, 2.0, 3.0), "2 numbers"),
        (["max", "min"], np.zeros((2, 1)), "2 numbers"),
        (["max", "min"], (1.0, math.inf), "finite"),
        (["max", "min"], {"a": 1, "b": 2}, "mode={'name': 'max'}"),
        (NAMED, {"acc": 1.0}, "latency"),
        (NAMED, {"acc": 1.0, "latency": None}, "one number"),
        (NAMED, {"acc": 1.0, "latency": 1.0, "loss": math.nan}, "finite"),
        (NAMED, ({"acc": 1.0, "latency": 1.0}, {"c": "high"}), "one number"),
    ],
)
def test_a_result_that_says_too_little_is_refused(mode, result, text):
    """The error says what was wanted; nothing is guessed."""
    with pytest.raises(InvalidPerfError) as caught:
        Objectives.of(mode).measure(result)
    assert text in str(caught.value)


def test_constraints_must_be_a_dict():
    """A list of numbers has no names."""
    with pytest.raises(InvalidPerfError, match="constraints must be a dict"):
        Objectives.of("max").measure(1.0, [1.0])
