"""Optuna's distributions, read and written."""

from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autohpo import ChoiceHP, FixedHP, LogRangeHP, RangeHP, SearchSpace, SpaceError
from autohpo.integrations.optuna import from_optuna, to_optuna
from autohpo.spaces import Belief, ListHP, OrdinalHP, PermutationHP

optuna = pytest.importorskip("optuna", reason="the extra autohpo[optuna] is not installed")
Float, Int = optuna.distributions.FloatDistribution, optuna.distributions.IntDistribution
Categorical = optuna.distributions.CategoricalDistribution


@pytest.mark.parametrize(
    ("hp", "there"),
    [
        (RangeHP("x", 0.0, 1.0), Float(0, 1)),
        (RangeHP("x", 0.0, 0.75, step=0.25), Float(0, 0.75, step=0.25)),
        (LogRangeHP("x", 1e-4, 1e-1), Float(1e-4, 1e-1, log=True)),
        (RangeHP("x", -1, 9), Int(-1, 9)),
        (RangeHP("x", 1, 9, step=4), Int(1, 9, step=4)),
        (LogRangeHP("x", 1, 64), Int(1, 64, log=True)),
        (FixedHP("x", 3), Int(3, 3)),
        (FixedHP("x", 0.5), Float(0.5, 0.5)),
        (ChoiceHP("x", ["a", None, 1, True, 0.5]), Categorical(["a", None, 1, True, 0.5])),
        (ChoiceHP("x", ["a"]), Categorical(["a"])),
    ],
)
def test_a_distribution_goes_there_and_back(hp, there):
    """Equal on both sides."""
    assert from_optuna({"x": there}) == SearchSpace([hp])
    assert to_optuna(SearchSpace([hp])) == {"x": there}


def test_optuna_moves_the_end_of_a_range_onto_a_step():
    """It does that when the distribution is made; a range of one step is a value."""
    with pytest.warns(UserWarning, match="not divisible"):
        there = {"x": Int(1, 10, step=4), "y": Float(0.0, 1.0, step=0.3), "z": Int(2, 3, step=5)}
    space = from_optuna(there)
    assert space.parameters == (RangeHP("x", 1, 9, step=4), RangeHP("y", 0.0, 0.9, step=0.3), FixedHP("z", 2))


def test_a_fixed_text_becomes_a_choice_of_one():
    """Optuna has no other word for it."""
    assert to_optuna(SearchSpace([FixedHP("x", "a")])) == {"x": Categorical(["a"])}


@pytest.mark.parametrize(
    ("space", "rule"),
    [
        (
            SearchSpace([OrdinalHP("x", [1, 2])]),
            "x: must be a range, a choice or fixed in Optuna's distributions, got OrdinalHP",
        ),
        (
            SearchSpace([ListHP("x", RangeHP("i", 0, 1), 2)]),
            "x: must be a range, a choice or fixed in Optuna's distributions, got ListHP",
        ),
        (
            SearchSpace([PermutationHP("x", [1, 2])]),
            "x: must be a range, a choice or fixed in Optuna's distributions, got PermutationHP",
        ),
        (SearchSpace([RangeHP("x", 0, 1, prior=Belief(1))]), "x: prior must be none in Optuna's distributions"),
        (
            SearchSpace([LogRangeHP("x", 32, 256, step=32)]),
            "x: must have no step on a log scale in Optuna's distributions",
        ),
        (
            SearchSpace([ChoiceHP("x", [1, 2], {1: [RangeHP("y", 0, 1)]})]),
            "y: must not depend on other parameters in Optuna's distributions, got",
        ),
        (
            SearchSpace([RangeHP("x", 0, 1), RangeHP("y", 0, 1)], conditions={"y": "x > 0"}),
            "y: must not depend on other parameters in Optuna's distributions, got",
        ),
        (
            SearchSpace([RangeHP("x", 0, 1)], constraints=["x > 0"]),
            "constraints: must be none in Optuna's distributions",
        ),
    ],
)
def test_what_optuna_cannot_say_is_refused_by_name(space, rule):
    """Nothing is left out in silence."""
    with pytest.raises(SpaceError, match=rule):
        to_optuna(space)


@pytest.mark.parametrize(
    ("there", "rule"),
    [({"x": 3}, "x: must be a Float, Int or CategoricalDistribution of Optuna, got 3"), ({}, "at least one parameter")],
)
def test_what_is_no_distribution_is_refused_by_name(there, rule):
    """The error names the parameter."""
    with pytest.raises(SpaceError, match=rule):
        from_optuna(there)


@st.composite
def distributions(draw):
    """Any distribution, its ends on a step."""
    kind = draw(st.sampled_from(["float", "int", "float log", "int log", "float step", "int step", "choice"]))
    low, n, step = draw(st.integers(1, 1000)), draw(st.integers(0, 1000)), draw(st.integers(1, 50))
    if kind == "choice":
        return Categorical(draw(st.lists(st.integers() | st.text() | st.none(), min_size=1, unique=True)))
    if kind == "int step":
        return Int(low, low + n * step, step=step)
    if kind == "float step":
        return Float(low / 8, (low + n * step) / 8, step=step / 8)  # eighths are exact
    scale = 1 if kind.startswith("int") else draw(st.floats(1e-9, 1e9))
    return (Int if kind.startswith("int") else Float)(low * scale, (low + n) * scale, log=kind.endswith("log"))


@given(st.dictionaries(st.sampled_from("abcd"), distributions(), min_size=1))
@settings(max_examples=100, deadline=None)
def test_any_distributions_come_back(there):
    """Equal, but for a step of a range that has only one value: that one is lost."""
    for name, one in to_optuna(from_optuna(there)).items():
        same = {"low": one.low, "high": one.high} if hasattr(one, "low") and one.single() else None
        assert one == there[name] or same == {"low": there[name].low, "high": there[name].high}


def test_without_the_library_the_error_names_the_extra():
    """In a process where the import of optuna fails; our own file of that name is not in its way."""
    code = (
        "import sys; sys.modules['optuna'] = None\n"
        "from autohpo.errors import MissingExtraError\n"
        "from autohpo.integrations.optuna import from_optuna\n"
        "try: from_optuna({})\n"
        "except MissingExtraError as error: print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "Optuna is not installed: pip install 'autohpo[optuna]'", done.stderr
