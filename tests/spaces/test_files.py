"""Search spaces that are read from files and texts, in Python."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autohpo import SpaceError
from autohpo.spaces import (
    Belief,
    ChoiceHP,
    FixedHP,
    LogRangeHP,
    OrdinalHP,
    RangeHP,
    SearchSpace,
    read_space,
)
from autohpo.spaces.files.documents import ConfigError

YAML = """\
lr: {low: 1e-4, high: 0.1, log: true}
layers: {low: 1, high: 4}
opt:
  choices:
    adam: {}
    sgd:
      momentum: {low: 0.0, high: 0.99}
decay: {low: 0.0, high: 1.0, when: "opt == 'sgd'"}
"""
SPACE = SearchSpace(
    [
        LogRangeHP("lr", 1e-4, 0.1),
        RangeHP("layers", 1, 4),
        ChoiceHP("opt", ["adam", "sgd"], {"sgd": [RangeHP("momentum", 0.0, 0.99)]}),
        RangeHP("decay", 0.0, 1.0),
    ],
    conditions={"decay": "opt == 'sgd'"},
)


def test_a_text_a_file_and_parsed_values_are_the_same_space(tmp_path):
    """By a string, a path and a mapping."""
    path = tmp_path / "space.yaml"
    path.write_text(YAML)
    yaml = pytest.importorskip("yaml")
    parsed = yaml.safe_load(YAML.replace("1e-4", "1.0e-4"))
    for source in (YAML, path, str(path), parsed):
        assert read_space(source) == SPACE


def test_toml_and_json_are_read_by_the_name_of_the_file(tmp_path):
    """The same things in their own spelling."""
    (tmp_path / "space.toml").write_text("x = {low = 0, high = 3}\nact = ['relu', 'tanh']\n")
    (tmp_path / "space.json").write_text(json.dumps({"x": {"low": 0, "high": 3}, "act": ["relu", "tanh"]}))
    wanted = SearchSpace([RangeHP("x", 0, 3), ChoiceHP("act", ["relu", "tanh"])])
    assert read_space(tmp_path / "space.toml") == read_space(tmp_path / "space.json") == wanted


def test_the_space_of_a_configuration_file_is_read_with_its_constraints(tmp_path, monkeypatch):
    """Also where it is the path of another file; a parameter may be called space, too."""
    monkeypatch.chdir(tmp_path)
    Path("space.yaml").write_text("x: {low: 0, high: 3}\ny: {low: 0, high: 3}\n")
    Path("run.yaml").write_text("command: train {x} {y}\nspace: space.yaml\nconstraints: [x <= y]\n")
    space = read_space("run.yaml", constraints="x + y <= 5")
    assert [str(constraint.formula) for constraint in space.constraints] == ["x <= y", "x + y <= 5"]
    assert read_space({"space": {"x": 1}, "constraints": []}) == SearchSpace([FixedHP("x", 1)])
    assert read_space({"space": [1, 2], "lr": 3}).names == ("space", "lr")


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("nowhere.yaml", "nowhere.yaml: cannot be read"),
        (Path("space.txt"), "space: file must end with .yaml, .yml, .json, .toml"),
        ("x: {low: 0, hihg: 1}", "text, line 1"),
        ("x: [1, 2", "is no YAML"),
        ("x", "space: must be a mapping"),
        ("", "space: must be a mapping"),
        ({"x": {"low": 0}}, "x: a range must have low and high"),
        ({"space": "train.py:space", "command": "a"}, "space: file must end with"),
    ],
)
def test_what_cannot_be_read_is_a_space_error(source, text):
    """It says where it stands, if that is a file or a text."""
    with pytest.raises(SpaceError) as error:
        read_space(source)
    assert text in str(error.value)


def test_an_error_in_a_file_names_file_and_line(tmp_path):
    """And is a ConfigError, as on the command line."""
    path = tmp_path / "space.yaml"
    path.write_text("x: 1\ny:\n  low: 3\n  high: 1\n")
    with pytest.raises(ConfigError, match=r"space.yaml, line 2: y: low must be below high"):
        read_space(path)


NUMBERS = st.floats(-1e6, 1e6, allow_subnormal=False)
PARAMETERS = st.one_of(
    st.tuples(NUMBERS, NUMBERS).filter(lambda ends: ends[0] < ends[1]).map(lambda e: RangeHP("x", *map(float, e))),
    st.tuples(st.integers(1, 500), st.integers(501, 1000)).map(lambda ends: LogRangeHP("x", *ends)),
    st.lists(st.one_of(st.integers(), st.text(max_size=4), st.booleans(), st.none()), min_size=1, max_size=4).flatmap(
        lambda values: st.sampled_from([ChoiceHP, OrdinalHP]).map(
            lambda kind: kind("x", list({(type(value), value): value for value in values}.values()))
        )
    ),
    st.integers(0, 9).map(lambda value: RangeHP("x", 0, 9, prior=Belief(value))),
)


def written(parameter):
    """A parameter in the form of files."""
    match parameter:
        case OrdinalHP():
            return {"choices": list(parameter.values), "ordered": True}
        case ChoiceHP():
            return list(parameter.choices)
    spec = {"low": parameter.low, "high": parameter.high, "log": isinstance(parameter, LogRangeHP)}
    return spec | ({"prior": parameter.prior.value} if parameter.prior is not None else {})


@settings(max_examples=150, deadline=None)
@given(PARAMETERS)
def test_a_parameter_that_is_written_down_is_read_back(parameter):
    """As JSON, which is YAML, and as what to_dict returns."""
    space = SearchSpace([parameter])
    assert read_space(json.dumps({"x": written(parameter)})) == space
    assert read_space(json.dumps(space.to_dict())) == space


@settings(max_examples=200, deadline=None)
@given(
    st.one_of(
        st.text(max_size=40),
        st.recursive(
            st.one_of(st.none(), st.floats(), st.text(max_size=5), st.sampled_from(["low", "high", "choices", b"a"])),
            lambda inner: (
                st.lists(inner, max_size=3)
                | st.dictionaries(
                    st.sampled_from(["space", "low", "high", "choices", "prior", "when", "step", "x", 3]),
                    inner,
                    max_size=4,
                )
            ),
            max_leaves=10,
        ),
    )
)
def test_odd_sources_raise_space_errors_only(source):
    """Texts and values of any shape."""
    with contextlib.suppress(SpaceError):
        assert isinstance(read_space(source), SearchSpace)
