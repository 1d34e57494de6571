"""Tagged JSON: values that JSON has no type for go through it and come back, and nothing is executed."""

from __future__ import annotations

import enum
import json
import math
import os
import re
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autohpo import SpaceError
from autohpo.spaces.tagged import from_json, is_same, to_json

PLAIN = st.none() | st.booleans() | st.integers() | st.floats() | st.text()
KEYS = st.none() | st.booleans() | st.integers() | st.text() | st.tuples(st.integers(), st.text())
VALUES = st.recursive(
    PLAIN,
    lambda inner: (
        st.lists(inner, max_size=4) | st.lists(inner, max_size=4).map(tuple) | st.dictionaries(KEYS, inner, max_size=4)
    ),
    max_leaves=12,
)


@settings(deadline=None)
@given(VALUES)
def test_values_come_back_the_same(value):
    """Of the same types all the way down, through strict JSON."""
    text = json.dumps(to_json(value), allow_nan=False)
    assert is_same(from_json(json.loads(text)), value)


@settings(deadline=None)
@given(VALUES, VALUES)
def test_equal_json_means_equal_values(a, b):
    """Values that share their JSON are the same, and sameness does not depend on who asks."""
    if json.dumps(to_json(a)) == json.dumps(to_json(b)):
        assert is_same(a, b)
    assert is_same(a, a)
    assert is_same(a, b) == is_same(b, a)


@pytest.mark.parametrize(
    ("a", "b"),
    [(True, 1), (1, 1.0), ((1,), [1]), ((1,), (True,)), ([1], [1, 1]), ({"a": 1}, {"a": True}), ("1", 1), (None, 0)],
)
def test_nearly_equal_values_are_kept_apart(a, b):
    """In memory and in the log."""
    assert not is_same(a, b)
    assert json.dumps(to_json(a)) != json.dumps(to_json(b))


def test_nan_is_the_same_as_nan():
    """A choice of NaN can be found again, also inside a tuple."""
    assert is_same(math.nan, float("nan"))
    assert is_same((1, [math.nan]), (1, [float("nan")]))


class Colour(enum.Enum):
    """A value that JSON cannot hold."""

    RED = 1


def _function():
    pass


@pytest.mark.parametrize("value", [Colour.RED, _function, int, b"bytes", {1, 2}, np.float64(1.0), re.compile("a")])
def test_other_values_are_named_and_not_read_back(value):
    """They can be compared by their names; the error says what to do."""
    data = to_json([value])
    assert list(data[0]) == ["opaque"]
    with pytest.raises(SpaceError, match="cannot be read back from JSON; build the space in code"):
        from_json(data)


def test_names_of_other_values_are_equal_in_every_process():
    """No memory address: two runs of one program must agree that they have one space."""
    code = "from autohpo.spaces.tagged import to_json; print(to_json([object(), print, len, (lambda: 1)]))"
    texts = {subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout for _ in range(2)}
    assert len(texts) == 1
    assert b"0x" not in texts.pop()


@pytest.mark.parametrize("data", [{}, {"tuple": 3}, {"float": 1}, {"code": "print()"}, {"dict": {}}, {"a": 1, "b": 2}])
def test_unknown_tags_are_refused(data):
    """A damaged or foreign file is an error, never a guess."""
    with pytest.raises(SpaceError, match="value: tag must be float, int, tuple, dict or described, got"):
        from_json(data)


@pytest.mark.parametrize("data", [{"float": "__import__('os')"}, {"dict": [[1]]}, {"dict": [[[], 1]]}, {"dict": [3]}])
def test_damaged_tags_are_refused(data):
    """Whatever stands in a tag is read or refused, never run."""
    with pytest.raises(SpaceError):
        from_json(data)


def test_a_set_has_one_name_whatever_the_order_of_its_items():
    """Two interpreters with other hash seeds, as two runs of one search have."""
    code = "from autohpo.spaces.tagged import to_json; print(to_json(frozenset('abcdefgh')))"
    environments = [{**os.environ, "PYTHONHASHSEED": seed} for seed in ("1", "2")]
    texts = {subprocess.check_output([sys.executable, "-c", code], env=env) for env in environments}
    assert len(texts) == 1
