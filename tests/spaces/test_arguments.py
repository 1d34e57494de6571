"""Arguments and counts that break a rule: the error says what was meant."""

import math

import numpy as np
import pytest

from autohpo import (
    ChoiceHP,
    HPSpace,
    LinearConstraint,
    ListHP,
    LogRangeHP,
    NormalPrior,
    OrdinalHP,
    RangeHP,
    SearchSpace,
    SpaceError,
)

DOUBLE = {"parameterName": "x", "type": "DOUBLE", "minValue": 0, "maxValue": 1, "scalingType": "LINEAR"}


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: RangeHP("x", min_value=0.0, max_value=1.0), "RangeHP: has no argument 'min_value': give low"),
        (lambda: RangeHP("x", 0.0, max_value=1.0), "give high"),
        (lambda: RangeHP("x", minValue=0.0, maxValue=1.0), "give low"),
        (lambda: LogRangeHP("x", lower=1, upper=3), "give low"),
        (lambda: RangeHP("x", 0.0, 1.0, q=0.1), "give step"),
        (lambda: RangeHP("x", 0.0, 1.0, step_size=0.1), "give step"),
        (lambda: RangeHP("x", 0.0, 1.0, log=True), "LogRangeHP is a range on a logarithmic scale"),
        (lambda: ChoiceHP("x", values=[1, 2]), "give choices"),
        (lambda: ChoiceHP("x", categories=[1, 2]), "give choices"),
        (lambda: ChoiceHP("x", feasiblePoints=[1, 2]), "give choices"),
        (lambda: OrdinalHP("x", choices=[1, 2]), "give values"),
        (lambda: RangeHP(parameterName="x", low=0, high=1), "give name"),
        (lambda: RangeHP("x", 0, 1, default=1), "give points="),
        (lambda: ListHP("x", RangeHP("e", 0, 1), size=3), "give length"),
    ],
)
def test_an_argument_under_another_librarys_name_leads_to_its_name_here(make, words):
    """The error names both."""
    with pytest.raises(SpaceError) as caught:
        make()
    assert words in str(caught.value)


def test_an_argument_that_no_library_has_is_pythons_own_error():
    """As everywhere."""
    with pytest.raises(TypeError, match="wdth"):
        RangeHP("x", 0, 1, wdth=3)


@pytest.mark.parametrize("kind", [RangeHP, LogRangeHP])
@pytest.mark.parametrize("end", [1, 0.5])
def test_equal_ends_lead_to_a_fixed_value(kind, end):
    """The error says how to write it."""
    with pytest.raises(SpaceError, match=rf"x: low must be below high, .*; FixedHP\('x', {end}\) is a value"):
        kind("x", end, end)


@pytest.mark.parametrize("kind", [RangeHP, LogRangeHP])
@pytest.mark.parametrize(
    "odd", [True, np.bool_(1), "1", math.nan, math.inf, 1j, None, [1], np.array([1.0, 2.0]), 10**400, object()]
)
@pytest.mark.parametrize("place", ["low", "high", "step"])
def test_ends_and_steps_of_odd_types_are_refused(kind, place, odd):
    """Never an error of numpy's or Python's."""
    if place == "step" and odd is None:
        return
    arguments = {"low": 0.5, "high": 2.0, "step": 0.5} | {place: odd}
    with pytest.raises(SpaceError, match="x: "):
        kind("x", **arguments)


@pytest.mark.parametrize("ends", [(np.int64(1), np.int32(9)), (np.array(1), 9), (np.float64(1.0), np.float32(9.0))])
def test_ends_may_be_numpys_numbers(ends):
    """They become Python's."""
    made = RangeHP("x", *ends)
    assert (made.low, made.high) == (1, 9)
    assert {type(made.low), type(made.high)} <= {int, float}


@pytest.mark.parametrize("kind", [RangeHP, LogRangeHP])
@pytest.mark.parametrize("step", [1e9, 1.1, 1e300, 0.7])
def test_a_step_beyond_the_range_is_refused(kind, step):
    """However large."""
    with pytest.raises(SpaceError, match="x: step must lead from low to high exactly"):
        kind("x", 0.5, 1.5, step=step)


@pytest.mark.parametrize(
    "make",
    [
        lambda: ListHP("x", RangeHP("e", 0, 1), 10**12),
        lambda: ListHP("x", RangeHP("e", 0, 1), "y", max_length=10**400),
        lambda: RangeHP("x", -(10**308), 10**308),
        lambda: RangeHP("x", 0.0, 1.0, prior=[1, 10**400]),
        lambda: LinearConstraint({"x": 10**400}, upper=1),
        lambda: NormalPrior(np.float32("inf"), 1),
        lambda: SearchSpace([RangeHP("x", 0, 1)], constraints=[LinearConstraint({"x": 1}, upper=10**400)]),
        lambda: LinearConstraint({"x": 1}, upper=1).allows({"x": {}}),
        lambda: LinearConstraint({"x": 1}, upper=1).allows({"x": 10**400}),
        lambda: SearchSpace([{**DOUBLE, "maxValue": 10**400}]),
    ],
)
def test_numbers_beyond_all_floats_and_memory_are_refused(make):
    """Integers of Python's have no end."""
    with pytest.raises(SpaceError):
        make()


def test_a_length_may_be_numpys():
    """As any number."""
    assert ListHP("x", RangeHP("e", 0, 1), np.int64(3)) == ListHP("x", RangeHP("e", 0, 1), 3)


class CountsHP(HPSpace):
    """A kind whose counts are the user's own."""

    def __init__(self, name, **counts):
        super().__init__(name)
        self._counts = counts

    width = property(lambda self: self._counts.get("width", 1))
    levels = property(lambda self: self._counts.get("levels", 0))
    n_values = property(lambda self: self._counts.get("n_values"))

    def decode(self, units):
        return units[:, 0].tolist()

    def encode(self, values):
        return np.array(values)[:, None]

    def contains(self, value):
        return type(value) is float


@pytest.mark.parametrize("attribute", ["width", "levels", "n_values"])
@pytest.mark.parametrize("count", [None, -1, 1.5, "2", True, np.int64(2)])
def test_counts_of_an_own_kind_are_checked_when_the_space_is_made(attribute, count):
    """They are the widths of arrays."""
    if attribute == "n_values" and count is None:
        return
    with pytest.raises(SpaceError, match=f"x: {attribute} of CountsHP must be an int of at least"):
        SearchSpace([CountsHP("x", **{attribute: count})])


@pytest.mark.parametrize("space", [{"x": (0, 1)}, {"x": [0, 1]}, {"x": 3}, {"x": "auto"}, {"x": {"low": 0}}])
def test_a_space_as_a_dict_of_ends_or_choices_leads_to_parameters(space):
    """As other libraries have it."""
    with pytest.raises(SpaceError, match=r"space: .*RangeHP\('x'"):
        SearchSpace(space)


@pytest.mark.parametrize("space", [{}, None, 3, "x", {"x": RangeHP("x", 0, 1)}, RangeHP("x", 0, 1)])
def test_a_space_that_is_no_list_leads_to_one(space):
    """With an example, or with what makes a list of a dict of parameters."""
    way = r"list\(space.values\(\)\)" if isinstance(space, dict) and space else r"RangeHP\('x'"
    with pytest.raises(SpaceError, match=rf"space: must be a list of parameters, got .*{way}"):
        SearchSpace(space)


def test_two_parameters_of_one_name_under_two_choices_lead_to_two_names():
    """An equal one may stand under both."""
    depth = RangeHP("depth", 1, 3)
    both = SearchSpace([ChoiceHP("model", ["gcn", "gat"], children=[[depth], [RangeHP("depth", 1, 3)]])])
    assert both.names == ("model", "depth")
    with pytest.raises(SpaceError, match="depth: names must differ, .* such as 'gcn:depth', or make them equal"):
        SearchSpace([ChoiceHP("model", ["gcn", "gat"], children=[[depth], [RangeHP("depth", 1, 4)]])])
