"""Properties of every parameter and space, on ends, steps and values that hypothesis thinks of."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from autohpo import ChoiceHP, FixedHP, LogRangeHP, RangeHP, SearchSpace, SpaceError
from autohpo.spaces.numeric import LARGEST_LOG_INT, MOST_VALUES
from autohpo.spaces.tagged import is_same
from autohpo.testing import check_space

UNITS = st.floats(0.0, 1.0)
INT = st.integers(-MOST_VALUES // 2, MOST_VALUES // 2)
FLOAT = st.floats(-8e307, 8e307)
POSITIVE = st.floats(0.0, 1.7e308, exclude_min=True)
VALUES = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.tuples(st.integers(), st.booleans())


@st.composite
def ranges(draw):
    """RangeHP of ints or floats, with and without a step."""
    kind = draw(st.sampled_from(["int", "float", "int step", "float step"]))
    if kind == "int":
        low, high = sorted(draw(st.lists(INT, min_size=2, max_size=2, unique=True)))
        return RangeHP("x", low, high)
    if kind == "float":
        low, high = sorted(draw(st.lists(FLOAT, min_size=2, max_size=2, unique=True)))
        return RangeHP("x", low, high)
    n, low = draw(st.integers(1, 2000)), draw(st.integers(-(10**6), 10**6))
    step = draw(st.integers(1, 10**6))
    if kind == "int step":
        return RangeHP("x", low, low + n * step, step=step)
    scale = 10.0 ** draw(st.integers(-9, 6))
    return RangeHP("x", low * scale, (low + n * step) * scale, step=step * scale)


@st.composite
def log_ranges(draw):
    """LogRangeHP of ints or floats."""
    ends = st.integers(1, LARGEST_LOG_INT) if draw(st.booleans()) else POSITIVE
    low, high = sorted(draw(st.lists(ends, min_size=2, max_size=2, unique=True)))
    assume(math.log(low) < math.log(high))
    return LogRangeHP("x", low, high)


@st.composite
def choices(draw):
    """ChoiceHP of values that differ."""
    given_values = []
    for value in draw(st.lists(VALUES, min_size=1, max_size=6)):
        if not any(is_same(value, other) for other in given_values):
            given_values.append(value)
    return ChoiceHP("x", given_values)


PARAMETERS = ranges() | log_ranges() | choices() | VALUES.map(lambda value: FixedHP("x", value))


@settings(deadline=None, max_examples=200)
@given(PARAMETERS, st.lists(st.tuples(UNITS), min_size=1, max_size=20))
def test_every_point_is_a_legal_value_that_comes_back(hp, points):
    """Decoded values are legal; coded again they are in the cube and stand for the same value.

    A float without steps comes back within rounding. Coding divides one difference by another: off by 3 units of
    2**-53, which decoding magnifies by high - low; its own two products, sum and complement are off by 4 units of the
    larger end. A logarithm is at most 745 and is off by 2**-53 of itself, in each of 4 steps: 4 * 745 * 2**-53 <
    2**-41, relative to the value.
    """
    units = np.array(points)[:, : hp.width]
    values = hp.decode(units)
    assert all(hp.contains(value) for value in values)
    codes = np.asarray(hp.encode(values))
    assert codes.shape == units.shape
    assert ((codes >= 0) & (codes <= 1)).all()
    for value, again in zip(values, hp.decode(codes), strict=True):
        if hp.n_values is not None:
            assert is_same(value, again)
        elif isinstance(hp, LogRangeHP):
            assert again == pytest.approx(value, rel=2.0**-41, abs=5e-324)
        else:
            assert abs(again - value) <= 6 * 2.0**-53 * (max(abs(hp.low), abs(hp.high)) + (hp.high - hp.low))


@settings(deadline=None, max_examples=200)
@given(ranges() | log_ranges(), st.data())
def test_every_legal_number_comes_back(hp, data):
    """Also those that no point was decoded to: a user may hand in any legal value."""
    if hp.n_values is None:
        value = data.draw(st.floats(hp.low, hp.high))
        again = hp.decode(hp.encode([value]))[0]
        if isinstance(hp, LogRangeHP):
            assert again == pytest.approx(value, rel=2.0**-41, abs=5e-324)
        else:
            assert abs(again - value) <= 6 * 2.0**-53 * (max(abs(hp.low), abs(hp.high)) + (hp.high - hp.low))
        return
    k = data.draw(st.integers(0, hp.n_values - 1))
    step = getattr(hp, "step", None) or 1
    value = min(hp.low + k * step, hp.high)  # rounding may carry it beyond the end
    assert hp.contains(value)
    again = hp.decode(hp.encode([value]))[0]
    assert again == value if hp.is_int else again == pytest.approx(value, rel=1e-9, abs=1e-9 * step)


@settings(deadline=None, max_examples=200)
@given(PARAMETERS)
def test_parameters_come_back_from_json(hp):
    """Equal in every attribute and type."""
    again = type(hp).from_dict(json.loads(json.dumps(hp.to_dict(), allow_nan=False)))
    assert again == hp
    assert type(again) is type(hp)
    assert repr(again) == repr(hp)


@settings(deadline=None, max_examples=25)
@given(PARAMETERS)
def test_built_in_parameters_conform(hp):
    """What is demanded of a plug-in's kinds holds for the built-in ones."""
    assert {result.state for result in check_space(hp)} == {"passed"}


@settings(deadline=None)
@given(st.lists(PARAMETERS, min_size=1, max_size=5), st.integers(0, 2**32))
def test_samples_of_a_space_are_legal_and_come_back_from_json(parameters, seed):
    """Whatever the parameters, a sample passes the space's own check, and its log gives it back."""
    named = [type(hp).from_dict({**hp.to_dict(), "name": f"x{i}"}) for i, hp in enumerate(parameters)]
    space = SearchSpace(named)
    for hp in space.sample(np.random.default_rng(seed), 3):
        space.check(hp)
        again = space.from_json(json.loads(json.dumps(space.to_json(hp), allow_nan=False)))
        assert list(again) == list(hp)
        assert all(is_same(again[name], value) for name, value in hp.items())
        assert space.key(again) == space.key(hp)


@settings(deadline=None, max_examples=300)
@given(
    st.sampled_from([RangeHP, LogRangeHP]),
    st.integers() | st.floats() | st.text() | st.none() | st.booleans(),
    st.integers() | st.floats() | st.text() | st.none() | st.booleans(),
)
def test_whatever_the_ends_are_they_make_a_range_or_an_error_of_ours(kind, low, high):
    """No other exception, and no range that cannot be sampled at its ends."""
    try:
        hp = kind("x", low, high)
    except SpaceError:
        return
    assert hp.decode(np.array([[0.0], [1.0]])) == [hp.low, hp.high]
