"""Parameters, steps and states of ours in Optuna's words, one by one."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from autohpo import ChoiceHP, FixedHP, LogRangeHP, RangeHP, SearchSpace, SpaceError
from autohpo.integrations.optuna.columns import Columns, labels_of
from autohpo.integrations.optuna.steps import LARGEST_STEP, Steps
from autohpo.spaces import Belief, ListHP, OrdinalHP, PermutationHP

optuna = pytest.importorskip("optuna", reason="the extra autohpo[optuna] is not installed")
Float, Int = optuna.distributions.FloatDistribution, optuna.distributions.IntDistribution
Categorical = optuna.distributions.CategoricalDistribution


class Odd:
    """An object whose text has its address."""


ODD = Odd()


@pytest.mark.parametrize(
    ("parameter", "value", "distribution", "there"),
    [
        (RangeHP("x", 0.0, 1.0), 0.5, Float(0, 1), 0.5),
        (RangeHP("x", 0.0, 0.9, step=0.3), 0.6, Float(0, 0.9, step=0.3), 0.6),
        (RangeHP("x", 1, 9, step=4), 5, Int(1, 9, step=4), 5),
        (RangeHP("x", 0.0, 1.0, prior=Belief(0.5)), 0.5, Float(0, 1), 0.5),
        (LogRangeHP("x", 1e-4, 1e-1), 1e-2, Float(1e-4, 1e-1, log=True), 1e-2),
        (LogRangeHP("x", 32, 256, step=32), 64, Int(32, 256, log=True), 64),
        (LogRangeHP("x", 0.5, 2.5, step=0.5), 1.5, Float(0.5, 2.5, log=True), 1.5),
        (ChoiceHP("x", ["a", None, 0.5]), None, Categorical(["a", None, 0.5]), None),
        (ChoiceHP("x", [True, 1, "1"]), 1, Categorical(["True", "1", "'1'"]), "1"),
        (ChoiceHP("x", [(1, 2), "(1, 2)"]), (1, 2), Categorical(["(1, 2) (2)", "(1, 2)"]), "(1, 2) (2)"),
        (ChoiceHP("x", [print, len]), len, Categorical(["print", "len"]), "len"),
        (ChoiceHP("x", [ODD, 3]), ODD, Categorical(["Odd 0", 3]), "Odd 0"),
        (ChoiceHP("x", [ODD, 3], names=["odd", "three"]), ODD, Categorical(["odd", 3]), "odd"),
        (OrdinalHP("x", [8, 16, 64]), 16, Categorical([8, 16, 64]), 16),
        (FixedHP("x", 3), 3, Int(3, 3), 3),
        (FixedHP("x", 0.5), 0.5, Float(0.5, 0.5), 0.5),
        (FixedHP("x", True), True, Categorical([True]), True),
        (FixedHP("x", [1]), [1], Categorical(["[1]"]), "[1]"),
    ],
)
def test_every_kind_of_parameter_has_one_of_optuna(parameter, value, distribution, there):
    """Also what the converter of whole spaces refuses; the value is one of the distribution."""
    found = Columns(SearchSpace([parameter])).of({"x": value})
    assert (found.params, found.distributions, found.others) == ({"x": there}, {"x": distribution}, {})
    assert distribution._contains(distribution.to_internal_repr(there))


def test_a_step_that_optuna_would_cut_is_left_out():
    """Its decimals do not see 0.1 * 3 lead from 0.05 to 0.35000000000000003, and would move the end below a value."""
    parameter = RangeHP("x", 0.05, 0.1 * 3 + 0.05, step=0.1)
    found = Columns(SearchSpace([parameter])).of({"x": parameter.high})
    assert found.distributions["x"].step is None
    assert found.distributions["x"].high == parameter.high


def test_a_step_that_is_lost_in_rounding_is_left_out():
    """Optuna would take 16.0000001 for no value of a range with that step."""
    parameter = RangeHP("x", 16.0, 16.0 + 1e-7, step=1e-7)
    found = Columns(SearchSpace([parameter])).of({"x": parameter.high})
    assert found.distributions["x"] == Float(16.0, parameter.high)
    optuna.trial.create_trial(value=0.0, params=found.params, distributions=found.distributions)


def test_a_list_has_a_parameter_for_each_entry_that_is_there():
    """As long as the list is; another kind of entry each."""
    space = SearchSpace([ListHP("units", [RangeHP("a", 1, 9), LogRangeHP("b", 1, 64)], length=2)])
    found = Columns(space).of({"units": [3, 32]})
    assert found.params == {"units[0]": 3, "units[1]": 32}
    assert found.distributions == {"units[0]": Int(1, 9), "units[1]": Int(1, 64, log=True)}
    assert Columns(space).of({"units": [3]}).params == {"units[0]": 3}


def test_an_order_has_a_categorical_for_each_place():
    """Of all items."""
    found = Columns(SearchSpace([PermutationHP("order", ["a", "b", "c"])])).of({"order": ["c", "a", "b"]})
    assert found.params == {"order[0]": "c", "order[1]": "a", "order[2]": "b"}
    assert set(found.distributions.values()) == {Categorical(["a", "b", "c"])}


@pytest.mark.parametrize(
    "space",
    [
        SearchSpace([ListHP("x", RangeHP("i", 0, 1), 65)]),
        SearchSpace([ListHP("x", RangeHP("i", 0, 1), 1), RangeHP("x[0]", 0, 1)]),
    ],
)
def test_what_optuna_cannot_have_is_an_attribute(space):
    """A list that is too long, or whose entries have the name of another parameter; nothing else is kept out."""
    hp = space.decode(np.full((1, space.n_columns), 0.9))[0]
    found = Columns(space).of(hp)
    assert found.others == {"x": str(hp["x"])}
    assert set(found.params) == set(space.names) - {"x"}


def test_a_parameter_that_is_not_active_is_not_in_the_trial():
    """The distributions are those of the values."""
    columns = Columns(SearchSpace([ChoiceHP("o", ["a", "b"], {"b": [RangeHP("x", 0, 1)]})]))
    assert set(columns.of({"o": "a"}).distributions) == {"o"}
    assert set(columns.of({"o": "b", "x": 1}).distributions) == {"o", "x"}


@given(st.data())
@settings(max_examples=25, deadline=None)
def test_every_value_of_a_space_is_one_of_its_distributions(data):
    """What Optuna's own check of a trial asks."""
    low = data.draw(st.floats(-1e6, 1e6) | st.integers(-1000, 1000))
    kind = data.draw(st.sampled_from(["plain", "step", "log", "choice"]))
    if kind == "step":
        step = data.draw(st.sampled_from([0.1, 0.3, 1 / 3, 1e-7, 2.5]))
        try:
            parameter = RangeHP("x", float(low), float(low) + step * data.draw(st.integers(1, 100)), step=step)
        except SpaceError:  # so small a step beside so large an end leads nowhere
            assume(False)
    elif kind == "log":
        parameter = LogRangeHP("x", abs(float(low)) + 1e-3, abs(float(low)) * 2 + 1)
    elif kind == "choice":
        values = data.draw(
            st.lists(st.integers() | st.text() | st.booleans() | st.none() | st.tuples(st.integers()), min_size=1)
        )
        parameter = ChoiceHP("x", list({(type(value), value): value for value in values}.values()))
    else:
        parameter = RangeHP("x", low, low + 10)
    space = SearchSpace([parameter])
    levels = data.draw(st.none() | st.integers(2, 20))
    for hp in space.decode(np.full((1, space.n_columns), data.draw(st.floats(0, 1)))):
        found = Columns(space, levels).of(hp)
        trial = optuna.trial.create_trial(value=0.0, params=found.params, distributions=found.distributions)
        assert set(trial.params) == {"x"}


def test_levels_round_on_the_scale_of_the_parameter():
    """Five levels from 1 to 10,000 are the powers of ten; what has fewer values stays as it is."""
    space = SearchSpace([LogRangeHP("x", 1.0, 1e4), RangeHP("y", 0, 100), RangeHP("z", 0, 3)])
    columns = Columns(space, levels=5)
    found = columns.of({"x": 25.0, "y": 13, "z": 2})
    assert math.isclose(found.params["x"], 10.0)
    assert (found.params["y"], found.params["z"]) == (25, 2)
    assert columns.of({"x": 1e4, "y": 100, "z": 3}).params == {"x": 1e4, "y": 100, "z": 3}


def test_labels_are_apart():
    """Two objects with the same text have two labels; an equal pair of scalars is told apart by its texts."""
    assert labels_of([[1], "[1]", (1,)]) == ["[1] (2)", "[1]", "(1,)"]
    assert labels_of([1, 1.0]) == ["1", "1.0"]
    values = ["a", 1, None]
    assert labels_of(values) is values


@pytest.mark.parametrize(
    ("fidelities", "per_unit"),
    [([1, 3, 9, 81], 1), ([1.0, 3.0], 1), ([0.5, 1], 10), ([0.25, 1], 100), ([1 / 3, 1], 10**6), ([1e-9, 1], 10**6)],
)
def test_as_few_steps_as_make_fidelities_integers(fidelities, per_unit):
    """A power of ten, a million at most."""
    steps = Steps()
    changes = [steps.see(fidelity) for fidelity in fidelities]
    assert steps.per_unit == per_unit
    assert any(changes) is (per_unit > 1)


def test_steps_are_never_larger_than_a_database_holds():
    """A fraction of a very long training is rounded more."""
    steps = Steps()
    for fidelity in (1 / 3, 5000.0):
        steps.see(fidelity)
    assert steps.per_unit == 10**5
    assert steps.see(LARGEST_STEP + 1) is True
    assert steps.per_unit == 1


@given(st.lists(st.floats(0, 1), min_size=1, max_size=30, unique=True))
@settings(deadline=None)
def test_no_two_fidelities_of_a_trial_share_a_step(fidelities):
    """They keep their order, however near they are."""
    steps = Steps()
    for fidelity in fidelities:
        steps.see(fidelity)
    found = steps.of([(fidelity, fidelity) for fidelity in fidelities])
    assert list(found.values()) == sorted(fidelities)
    assert list(found) == sorted(found)


def test_of_two_reports_at_one_fidelity_the_later_counts():
    """A step has one value in Optuna."""
    assert Steps().of([(1, 0.5), (2, 0.6), (2, 0.7)]) == {1: 0.5, 2: 0.7}
