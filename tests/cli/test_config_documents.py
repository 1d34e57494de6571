"""YAML, TOML and single values: what a word means, lines, and whatever else may stand in a file."""

from __future__ import annotations

import math
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parent))  # pytest imports test files by their path alone

from run_shell import plan

from autohpo import (
    OptionError,
    SearchSpace,
)
from autohpo.cli.config.values import as_wanted, pair, seconds
from autohpo.errors import AutoHPOError
from autohpo.spaces.files.documents import ConfigError, Table, parse_toml, parse_yaml, read_document
from autohpo.spaces.files.reading import parsed_space as read_space
from autohpo.spaces.files.words import as_number

# YAML and TOML.


@pytest.mark.parametrize(
    ("text", "value"),
    [
        *[("1e-4", 1e-4), ("1e3", 1000.0), ("-.5", -0.5), ("5.", 5.0), (".inf", math.inf), ("12", 12), ("0x1F", 31)],
        *[("true", True), ("False", False), ("null", None), ("~", None), ('"1e-4"', "1e-4"), ("'true'", "true")],
        *[("yes", "yes"), ("no", "no"), ("on", "on"), ("off", "off"), ("1:30", "1:30"), ("2026-01-01", "2026-01-01")],
        *[("010", 10), ("1_000", "1_000"), ("!!str 5", "5"), ("!!float 5", 5.0), ("a b", "a b")],
    ],
)
def test_a_word_of_yaml_means_what_yaml_1_2_says(text, value):
    """Not what PyYAML says, to which 1e-4 is a string, no is False and 1:30 is 90."""
    found = parse_yaml(f"key: {text}")["key"]
    assert (found, type(found)) == (value, type(value))


def test_yaml_has_anchors_and_merges():
    """What stands in the mapping itself comes first."""
    text = "base: &base {low: 0, high: 1}\nx: {<<: *base, high: 2}\ny: *base\nz: {<<: [{a: 1}, {a: 2, b: 3}]}\n"
    found = parse_yaml(text)
    assert found["x"] == {"low": 0, "high": 2}
    assert found["y"] == {"low": 0, "high": 1}
    assert found["z"] == {"a": 1, "b": 3}


def test_tables_know_their_lines():
    """Of YAML exactly; of TOML, whose reader does not tell them, the first that looks right."""
    yaml = parse_yaml("a: 1\n# comment\nb:\n  c: 2\n", "f.yaml")
    assert (yaml.at("b"), yaml["b"].at("c")) == ("f.yaml, line 3: ", "f.yaml, line 4: ")
    toml = parse_toml("a = 1\n\n[b]\nc = 2\n[d.e]\nf.g = 3\n", "f.toml")
    assert (toml.at("b"), toml["b"].at("c")) == ("f.toml, line 3: ", "f.toml, line 4: ")
    assert (toml["d"].at("e"), toml["d"]["e"].at("f")) == ("f.toml, line 5: ", "f.toml, line 6: ")
    assert Table({"a": 1}).at("a") == ""


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: 1\nb: 2\na: 3", "f.yaml, line 3: a: is given twice, first in line 1"),
        ("x: {1: a, true: b}", "f.yaml, line 1: True: is given twice, first in line 1"),
        ("a: *x", "f.yaml, line 1: is no YAML: found undefined alias 'x'"),
        ("a: &x [*x]", "f.yaml, line 1: a value must not hold itself"),
        (
            "\na: !!python/name:os.system",
            "f.yaml, line 2: the tag !!python/name:os.system is none that is understood here",
        ),
        ("a: !!set {x, y}", "f.yaml, line 1: the tag !!set is none that is understood here"),
        ("a: !!int x", "f.yaml, line 1: 'x' is no int"),
        ("[1]: 2", "f.yaml, line 1: keys must be words or numbers, no lists and no mappings"),
        ("<<: 3", "f.yaml, line 1: << must merge mappings, got 3"),
        ("a: 1\n---\nb: 1", "f.yaml, line 2: is no YAML: expected a single document in the stream, but found another"),
        ("a:\tb: c", "f.yaml, line 1: is no YAML: "),
        ("[" * 3000, "f.yaml: is no YAML: "),
        ("a: " + "9" * 5000, "f.yaml, line 1: Exceeds the limit"),
        ("\0", "f.yaml: is no YAML: unacceptable character #x0000"),
    ],
)
def test_what_is_no_yaml_is_told_with_its_line(text, said):
    """Duplicate keys, tags and references to itself among it; nothing is ever executed."""
    with pytest.raises(ConfigError) as caught:
        parse_yaml(text, "f.yaml")
    assert str(caught.value).startswith(said)


def test_references_to_references_do_not_explode():
    """Nine lines would stand for a milliard of values."""
    text = "a0: &a0 [1,1,1,1,1,1,1,1,1]\n"
    text += "".join(f"a{i}: &a{i} [{','.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 10))
    with pytest.raises(ConfigError, match="at most 100000 values"):
        parse_yaml(text)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a = 1\na = 2\n", "f.toml: is no TOML: Cannot overwrite a value (at line 2"),
        ("a = ", "f.toml: is no TOML: Invalid value"),
        ("a = 2026-01-01", "f.toml: dates are no values here, got 2026-01-01; write it as a string"),
        ("a = " + "9" * 5000, "f.toml: is no TOML: Exceeds the limit"),
    ],
)
def test_what_is_no_toml_is_told(text, said):
    """As its reader says it."""
    with pytest.raises(ConfigError) as caught:
        parse_toml(text, "f.toml")
    assert str(caught.value).startswith(said)


def test_files_that_cannot_be_read_are_told(tmp_path):
    """Folders, other encodings, huge ones."""
    (tmp_path / "latin.yaml").write_bytes("é: 1".encode("latin-1"))
    (tmp_path / "huge.yaml").write_bytes(b"#" * (5 * 2**20))
    (tmp_path / "bom.json").write_bytes(b'\xef\xbb\xbf{"a": 1e-4}')
    for name, said in [
        ("latin.yaml", "cannot be read: 'utf-8'"),
        ("huge.yaml", "at most 4 MiB"),
        ("", "cannot be read"),
    ]:
        with pytest.raises(ConfigError, match=said):
            read_document(tmp_path / name)
    assert read_document(tmp_path / "bom.json") == {"a": 1e-4}


# Values.


@pytest.mark.parametrize(
    ("text", "value"),
    [
        *[("90", 90), ("30m", 1800), ("2h", 7200), ("1d", 86400), ("1h30m", 5400), ("1.5h", 5400), ("500ms", 0.5)],
        *[("10 min", 600), ("1w", 604800), (" 2H ", 7200), (7, 7), (None, None)],
    ],
)
def test_durations_have_units(text, value):
    """Seconds are meant where there is none."""
    assert seconds("time_limit", text) == value


@pytest.mark.parametrize("text", ["", "h", "1h5", "-3", "3x", "1e3", "m3", "٣", "1" * 20, "nan"])
def test_what_is_no_duration_is_told(text):
    """With examples."""
    with pytest.raises(OptionError, match="time_limit: must be a duration such as 90, 30m, 2h or 1d"):
        seconds("time_limit", text)


def test_strings_become_numbers_only_where_a_number_is_wanted():
    """And booleans, and None."""
    assert [as_number(text) for text in ("1e-4", "16", "1_000", "x", "", "true", 3)] == [
        1e-4,
        16,
        1000,
        "x",
        "",
        "true",
        3,
    ]
    assert as_wanted("1e2", int) == 100
    assert type(as_wanted("1e2", int)) is int
    assert type(as_wanted(1e2, int | None)) is int
    assert as_wanted(1.5, int | None) == 1.5
    assert as_wanted("1e2", float | None) == 100.0
    assert as_wanted("1e2", str | None) == "1e2"
    assert as_wanted("4", int | str) == "4"
    assert as_wanted("yes", bool) is True
    assert as_wanted("none", int | None) is None
    assert as_wanted("1.5", int) == 1.5  # for the check to refuse
    assert as_wanted("inf", int) == "inf"
    assert pair("--set", "a = b=c ") == ("a", "b=c")


# Anything else.

SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=8),
    st.sampled_from(["1e-4", "yes", "{x}", "a:b"]),
)
KEYS = st.one_of(
    st.sampled_from(
        ["low", "high", "log", "step", "type", "prior", "when", "choices", "ordered", "value", "kind", "name", "x", "y"]
    ),
    st.sampled_from(
        ["parameterName", "parameters", "constraints", "conditions", "feasiblePoints", "minValue", "max_evals"]
    ),
    st.text(max_size=5),
    st.integers(-2, 2),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(KEYS, inner, max_size=4).map(Table)),
    max_leaves=12,
)
TOPS = st.dictionaries(
    st.sampled_from(
        ["command", "objective", "metric", "mode", "space", "constraints", "algorithm", "options", "run", "points"]
        + ["store", "name", "pattern", "env", "shell", "stream", "grace_seconds", "cwd", "typo"]
    ),
    VALUES,
    max_size=6,
)


def made(make, *arguments):
    """What a function returns; None where it raises an error of ours that says something."""
    try:
        return make(*arguments)
    except AutoHPOError as error:
        if not str(error):
            raise
        return None


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(given=VALUES, constraints=st.one_of(st.just(()), VALUES))
def test_any_value_is_a_space_or_a_typed_error(given, constraints):
    """Whatever a file may hold."""
    assert isinstance(made(read_space, given, constraints), (SearchSpace, type(None)))


@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(given=TOPS, is_valid=st.booleans())
def test_any_file_is_a_plan_or_a_typed_error(given, is_valid, monkeypatch):
    """Whatever it holds, alone or in a file that is good but for it."""
    if is_valid:
        good = {"command": "echo {x}", "metric": "loss", "space": Table({"x": [1, 2]}), "algorithm": "random"}
        given = {**good, **given}
    table = Table(given, "run.yaml", dict.fromkeys(given, 1))
    monkeypatch.setattr("autohpo.cli.config.plan.read_document", lambda _: table)
    monkeypatch.setattr("autohpo.cli.config.plan._existing", lambda path: path)
    found = made(plan, "run.yaml")
    assert found is None or callable(found.f)


@settings(max_examples=300, deadline=None)
@given(text=st.one_of(st.text(max_size=60), st.text(alphabet="ab:[]{}-&*!<>|,'\"# \n\t01.e", max_size=60)))
def test_any_text_is_a_document_or_a_typed_error(text):
    """Of YAML and TOML."""
    made(parse_yaml, text, "f")
    made(parse_toml, text, "f")
