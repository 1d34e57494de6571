"""ClearML's parameter classes: the values they stand for, without the defects of the originals."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autohpo import ChoiceHP, FixedHP, LogRangeHP, RangeHP, SearchSpace, SpaceError, build_hpo_from_name
from autohpo.integrations.clearml import (
    DiscreteParameterRange,
    LogUniformParameterRange,
    ParameterSet,
    UniformIntegerParameterRange,
    UniformParameterRange,
)
from autohpo.spaces import OrdinalHP


@pytest.mark.parametrize(
    ("made", "wanted"),
    [
        (UniformParameterRange("x", 0, 1), RangeHP("x", 0.0, 1.0)),
        (UniformParameterRange("x", 0, 1, 0.25), RangeHP("x", 0.0, 1.0, step=0.25)),
        (UniformParameterRange("x", 0, 1, 0.25, False), RangeHP("x", 0.0, 0.75, step=0.25)),
        (UniformParameterRange("x", 0, 1, 0.4, False), RangeHP("x", 0.0, 0.8, step=0.4)),
        (UniformParameterRange("x", 0.01, 0.3, 0.05), RangeHP("x", 0.01, 0.26, step=0.05)),
        (UniformParameterRange("x", 0, 0.3, 0.1), RangeHP("x", 0.0, 0.3, step=0.1)),
        (UniformParameterRange("x", 0, 1, 2), FixedHP("x", 0.0)),
        (UniformParameterRange("x", 2, 2), FixedHP("x", 2.0)),
        (UniformParameterRange("x", 2, 2, include_max_value=False), FixedHP("x", 2.0)),
        (UniformIntegerParameterRange("x", 1, 10), RangeHP("x", 1, 10)),
        (UniformIntegerParameterRange("x", 1, 10, 4), RangeHP("x", 1, 9, step=4)),
        (UniformIntegerParameterRange("x", 128, 512, 128), RangeHP("x", 128, 512, step=128)),
        (UniformIntegerParameterRange("x", 1, 10, include_max_value=False), RangeHP("x", 1, 9)),
        (UniformIntegerParameterRange("x", 1, 9, 4, False), RangeHP("x", 1, 5, step=4)),
        (UniformIntegerParameterRange("x", 1.0, np.int64(3)), RangeHP("x", 1, 3)),
        (UniformIntegerParameterRange("x", 3, 3), FixedHP("x", 3)),
        (LogUniformParameterRange("x", -4, -1), LogRangeHP("x", 1e-4, 1e-1)),
        (LogUniformParameterRange("x", 0, 10, base=2), LogRangeHP("x", 1.0, 1024.0)),
        (LogUniformParameterRange("x", -4, -1, step_size=1), OrdinalHP("x", [1e-4, 1e-3, 1e-2, 1e-1])),
        (LogUniformParameterRange("x", 0, 3, 2, 1, False), OrdinalHP("x", [1.0, 2.0, 4.0])),
        (LogUniformParameterRange("x", 0, 3, 2, 2), OrdinalHP("x", [1.0, 4.0])),
        (LogUniformParameterRange("x", 1, 1), FixedHP("x", 10.0)),
        (LogUniformParameterRange("x", 1, 2, step_size=3), FixedHP("x", 10.0)),
        (DiscreteParameterRange("x", [96, 128, 160]), ChoiceHP("x", [96, 128, 160])),
        (DiscreteParameterRange("epochs", [30]), FixedHP("epochs", 30)),
    ],
)
def test_a_class_of_clearml_is_a_kind_of_ours(made, wanted):
    """By its name, its positional arguments and its defaults."""
    assert made == wanted


def test_without_its_largest_value_a_range_ends_just_below_it():
    """The largest float below; on the logarithmic scale too."""
    linear = UniformParameterRange("x", 0.0, 1.0, include_max_value=False)
    logarithmic = LogUniformParameterRange("x", -1, 0, include_max_value=False)
    ends = np.ones((1, 1))
    assert linear.decode(ends) == logarithmic.decode(ends) == [float(np.nextafter(1.0, 0.0))]


TENTHS = st.integers(-50, 50).map(lambda n: n / 10)


@given(low=TENTHS, width=st.integers(0, 60), step=st.integers(1, 30), is_included=st.booleans())
@settings(max_examples=200, deadline=None)
def test_steps_are_min_plus_k_steps_up_to_max(low, width, step, is_included):
    """For tenths, against the same list in whole tenths; the largest value is one of them only if a step hits it."""
    high = float(Fraction(repr(low)) + Fraction(width, 10))
    hp = UniformParameterRange("x", low, high, step / 10, is_included)
    first = round(10 * low)
    tenths = [first + k for k in range(0, width + 1, step)]
    if not is_included and len(tenths) > 1 and tenths[-1] == first + width:
        tenths.pop()
    assert hp.grid(10**6) == [n / 10 for n in tenths]
    whole = UniformIntegerParameterRange("x", first, first + width, step, is_included)
    assert whole.grid(10**6) == tenths


@pytest.mark.parametrize(
    ("make", "rule"),
    [
        (lambda: UniformParameterRange("x", 1, 0), "x: min_value must not be above max_value, got 1, 0"),
        (lambda: UniformParameterRange("x", 0, 1, 0), "x: step_size must be positive, got 0"),
        (lambda: UniformParameterRange("x", 0, 1, -0.1), "x: step_size must be positive"),
        (lambda: UniformParameterRange("x", 0, float("inf")), "x: max_value must be a finite number, got inf"),
        (lambda: UniformParameterRange("x", "0", 1), "x: min_value must be a finite number, got '0'"),
        (lambda: UniformIntegerParameterRange("x", 0, 1.5), "x: ends and step must be integers, got 0, 1.5, 1"),
        (lambda: UniformIntegerParameterRange("x", 0, 5, 0.5), "x: ends and step must be integers"),
        (lambda: LogUniformParameterRange("x", -1, 1, base=1), "x: base must be above 1, got 1"),
        (lambda: LogUniformParameterRange("x", 0, 999), "x: 10..999.0 must be a positive finite float, got inf"),
        (lambda: LogUniformParameterRange("x", -999, 0), "x: 10..-999.0 must be a positive finite float, got 0.0"),
        (lambda: DiscreteParameterRange("x"), "x: values must hold at least one value, got none"),
        (lambda: DiscreteParameterRange("x", [1, 1]), "x: values must differ"),
        (ParameterSet, "parameter_set: choices must hold at least one value"),
        (lambda: ParameterSet([3]), "parameter_set: parameter_combinations must be dicts, got 3"),
        (
            lambda: ParameterSet([{"x": 3}, {"y": UniformParameterRange("x", 0, 1)}]),
            "parameter_set: 'x' must be a value, or a parameter, in all combinations",
        ),
    ],
)
def test_what_breaks_a_rule_is_refused_by_name(make, rule):
    """The error names the parameter, the argument and the value."""
    with pytest.raises(SpaceError, match=rule):
        make()


def test_the_values_of_a_set_are_only_tried_together():
    """Three combinations: all values differ, one value in two of them, a name in only one, a parameter in another."""
    lr = UniformParameterRange("lr", 0.0, 1.0)
    sets = [{"batch": 32, "act": "relu"}, {"batch": 64, "act": "relu", "any": lr}, {"batch": None, "decay": 0.1}]
    space = SearchSpace([ParameterSet(sets), DiscreteParameterRange("other", [1, 2])])
    seen = set()
    for hp in space.sample(np.random.default_rng(0), 200):
        place = hp.pop("parameter_set")
        hp.pop("other")
        if place == 1:
            assert 0 <= hp.pop("lr") <= 1
            assert hp == {"batch": 64, "act": "relu"}
        else:
            assert hp == sets[place]
        seen.add(place)
    assert seen == {0, 1, 2}
    assert space.n_columns == 3  # the set, the parameter in it, and the other one


def test_a_set_is_searched_by_an_algorithm():
    """A grid walks its combinations; two sets stand side by side under names of their own."""
    first = ParameterSet([{"a": 1, "b": 2}, {"a": 3, "b": 4}])
    space = [first, ParameterSet([{"c": True}, {"c": [1]}], name="second")]
    hpo = build_hpo_from_name("grid", space, seed=0)
    tried = [dict(hpo.ask()) for _ in range(4)]
    wanted = [(1, 2, True), (3, 4, True), (1, 2, [1]), (3, 4, [1])]
    assert sorted(map(repr, wanted)) == sorted(repr((hp["a"], hp["b"], hp["c"])) for hp in tried)
