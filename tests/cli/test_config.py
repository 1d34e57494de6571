"""Configuration files: YAML, TOML and JSON, the space syntax, and errors that name file, line and remedy."""

from __future__ import annotations

import json
import math
import re
import shlex
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parent))  # pytest imports test files by their path alone

from run_shell import SCRIPT

from autohpo import (
    Belief,
    ChoiceHP,
    FixedHP,
    LogRangeHP,
    NormalPrior,
    OptionError,
    OrdinalHP,
    RangeHP,
    SearchSpace,
)
from autohpo.cli.config.documents import ConfigError, Table, parse_toml, parse_yaml, read_document
from autohpo.cli.config.keys import TOP
from autohpo.cli.config.plan import plan_of
from autohpo.cli.config.spaces import KEYS as KEYS_OF_PARAMETERS
from autohpo.cli.config.spaces import read_space, shell_spec, with_changes
from autohpo.cli.config.values import as_number, as_wanted, pair, seconds
from autohpo.cli.main import parser_of
from autohpo.errors import AutoHPOError, SpaceError


def plan(*words):
    """The plan of a command line."""
    return plan_of(parser_of("run").parse_args(list(words)))


@pytest.fixture
def here(tmp_path, monkeypatch):
    """An empty folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("AUTOHPO_STORE", raising=False)
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield tmp_path
    sys.modules.pop("__mp_main__", None)


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
    assert as_wanted("1e2", float | None) == 100.0
    assert as_wanted("1e2", str | None) == "1e2"
    assert as_wanted("4", int | str) == "4"
    assert as_wanted("yes", bool) is True
    assert as_wanted("none", int | None) is None
    assert as_wanted("1.5", int) == 1.5  # for the check to refuse
    assert as_wanted("inf", int) == "inf"
    assert pair("--set", "a = b=c ") == ("a", "b=c")


# Spaces.

SPACE = """
lr: {low: 1e-4, high: 0.1, log: true}
quoted: {low: "1e-4", high: "0.1", log: yes}
units: {low: 16, high: 256, step: 16, type: int}
tens: {low: 1e1, high: 1e2, type: int}
floats: {low: 16, high: 256, type: float}
mixed: {low: 0, high: .99}
act: [relu, yes, true, 1e-4, "1e-4", null]
size: {choices: [8, 16, 64], ordered: true}
opt: {choices: {adam: {}, sgd: {momentum: {low: 0.0, high: .99}}, rms: {momentum: {low: 0.0, high: .99}}, none: }}
epochs: 10
shape: {value: [3, 3]}
decay: {low: 0.0, high: 1.0, when: "opt == 'sgd'", prior: 0.5}
sure: {low: 0.0, high: 1.0, prior: {value: 0.5, confidence: high}}
normal: {low: 0.0, high: 1.0, prior: {mean: 0.5, sd: "0.1"}}
weighted: {choices: [a, b], prior: [1, 3]}
order: {kind: PermutationHP, items: [a, b, c]}
"""


def test_a_space_is_a_mapping_from_names_to_parameters():
    """Each form, beside what it stands for."""
    momentum = RangeHP("momentum", 0.0, 0.99)
    from autohpo import PermutationHP

    expected = SearchSpace(
        [
            LogRangeHP("lr", 1e-4, 0.1),
            LogRangeHP("quoted", 1e-4, 0.1),
            RangeHP("units", 16, 256, step=16),
            RangeHP("tens", 10, 100),
            RangeHP("floats", 16.0, 256.0),
            RangeHP("mixed", 0.0, 0.99),
            ChoiceHP("act", ["relu", "yes", True, 1e-4, "1e-4", None]),
            OrdinalHP("size", [8, 16, 64]),
            ChoiceHP("opt", ["adam", "sgd", "rms", "none"], {"sgd": [momentum], "rms": [momentum]}),
            FixedHP("epochs", 10),
            FixedHP("shape", [3, 3]),
            RangeHP("decay", 0.0, 1.0, prior=Belief(0.5)),
            RangeHP("sure", 0.0, 1.0, prior=Belief(0.5, "high")),
            RangeHP("normal", 0.0, 1.0, prior=NormalPrior(0.5, 0.1)),
            ChoiceHP("weighted", ["a", "b"], prior=[1, 3]),
            PermutationHP("order", ["a", "b", "c"]),
        ],
        conditions={"decay": "opt == 'sgd'"},
        constraints=["units * mixed <= 100"],
    )
    assert read_space(parse_yaml(SPACE), ["units * mixed <= 100"]).to_dict() == expected.to_dict()


def test_toml_and_json_have_the_same_space():
    """As far as they can say it: TOML has no null."""
    expected = [LogRangeHP("lr", 1e-4, 0.1), ChoiceHP("opt", ["adam", "sgd"], {"sgd": [RangeHP("m", 0.0, 0.9)]})]
    toml = """
    lr = {low = 1e-4, high = 0.1, log = true}
    [opt.choices.adam]
    [opt.choices.sgd]
    m = {low = 0.0, high = 0.9}
    """
    text = """
    {"lr": {"low": 1e-4, "high": 0.1, "log": true},
     "opt": {"choices": {"adam": {}, "sgd": {"m": {"low": 0.0, "high": 0.9}}}}}
    """
    for found in (parse_toml(toml), parse_yaml(text)):
        assert read_space(found).to_dict() == SearchSpace(expected).to_dict()


def test_the_forms_of_others_are_read():
    """What ``to_dict`` returns, AutoGL's dicts, and parameters of a Python file."""
    space = SearchSpace([LogRangeHP("lr", 1e-4, 0.1), ChoiceHP("act", ["a", "b"])], constraints=["lr <= 0.05"])
    text = json.dumps(space.to_dict())
    assert read_space(parse_yaml(text)) == space
    assert read_space(parse_yaml(json.dumps(space.to_dict()["parameters"])), ["lr <= 0.05"]) == space
    assert read_space(space) == read_space(list(space.roots), ["lr <= 0.05"]) == space
    item = "{parameterName: lr, type: DOUBLE, scalingType: LOG, minValue: '1e-4', maxValue: 1e-1}"
    assert read_space(parse_yaml(f"- {item}")).to_dict() == SearchSpace([LogRangeHP("lr", 1e-4, 0.1)]).to_dict()
    modules = read_space(parse_yaml(f"encoder:\n- {item}\ntrainer: []\n"))
    assert (modules.names, modules.modules) == (("encoder:lr",), ("encoder", "trainer"))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "lr: {min: 1, max: 2}",
            "s.yaml, line 1: lr: a parameter has low and high, or choices, or value, got 'min'; write low",
        ),
        ("lr: {low: 1}", "s.yaml, line 1: lr: a range must have low and high, got low"),
        ("\nlr: {low: 2, high: 1}", "s.yaml, line 2: lr: low must be below high, got low=2, high=1"),
        ("lr: {low: x, high: 1}", "s.yaml, line 1: lr: low must be a number, got 'x'"),
        ("lr: {low: true, high: 2}", "s.yaml, line 1: lr: low must be a number, got True"),
        ("lr: {low: .nan, high: 2}", "s.yaml, line 1: lr: low must be finite, got nan"),
        ("lr: {low: -1, high: 2, log: true}", "s.yaml, line 1: lr: low must be above 0 on a logarithmic scale, got -1"),
        ("lr: {low: 1, high: 2, log: maybe}", "s.yaml, line 1: lr: log must be true or false, got 'maybe'"),
        (
            "lr:\n  low: 1\n  high: 2\n  stepp: 1",
            (
                "s.yaml, line 4: lr: a range has the keys low, high, log, step, type, prior, when, got 'stepp'; "
                "did you mean 'step'?"
            ),
        ),
        ("n: {low: 1.5, high: 3, type: int}", "s.yaml, line 1: n: low must be an integer where type is int, got 1.5"),
        ("n: {low: 1, high: 3, type: integer}", "s.yaml, line 1: n: type must be int or float, got 'integer'"),
        (
            "a: {choices: [x], orderd: true}",
            (
                "s.yaml, line 1: a: a choice has the keys choices, ordered, prior, when, got 'orderd'; "
                "did you mean 'ordered'?"
            ),
        ),
        ("a: {choices: x}", "s.yaml, line 1: a: choices must be a list of values, got str"),
        (
            "a:\n  choices:\n    b: 3",
            "s.yaml, line 3: a: below the choice 'b' must stand a mapping of parameters, or {}, got 3",
        ),
        (
            "a:\n  choices:\n    b:\n      c: {low: 2, high: 1}",
            "s.yaml, line 4: c: low must be below high, got low=2, high=1",
        ),
        (
            "a: {choices: {b: {c: 1}}, ordered: true}",
            "s.yaml, line 1: a: ordered choices have no parameters of their own",
        ),
        ("a: []", "s.yaml, line 1: a: choices must hold at least one value, got none"),
        ("a: [x, x]", "s.yaml, line 1: a: choices must differ, got 'x' twice"),
        ("a: {}", "s.yaml, line 1: a: must be {low: 1e-4, high: 0.1, log: true}, [adam, sgd]"),
        ("1: [a]", "s.yaml, line 1: space: names of parameters must be strings, got 1; put it in quotes"),
        ("a: {kind: Foo}", "s.yaml, line 1: kind: must be one of ['ChoiceHP', "),
        (
            "a: {low: 1, high: 2, prior: {foo: 1}}",
            "s.yaml, line 1: a: prior must be a value, weights, {value:, confidence:}",
        ),
        ("a: {low: 1, high: 2, when: 3}", "s.yaml, line 1: a: when must be a formula such as"),
        ("a: {low: 1, high: 2, when: 'b == 1'}", "a: must refer to parameters of ['a'], got 'b'"),
        ("5", "space: must be a mapping from names to parameters, got 5; write lr: {low: 1e-4"),
        ("{}", "space: must hold at least one parameter, got none"),
    ],
)
def test_what_is_no_space_is_told_with_its_line(text, said):
    """The parameter, the rule, and what was meant."""
    with pytest.raises(AutoHPOError) as caught:
        read_space(parse_yaml(text, "s.yaml"))
    assert str(caught.value).startswith(said)


def test_choices_in_choices_have_a_bottom():
    """Also where Python could go deeper."""
    text = "x: 1"
    for _ in range(60):
        text = f"a: {{choices: {{b: {{{text}}}}}}}"
    with pytest.raises(SpaceError, match="at most 40 deep"):
        read_space(parse_yaml(text))


@pytest.mark.parametrize(
    ("text", "parameter"),
    [
        ("1e-4..0.1,log", LogRangeHP("x", 1e-4, 0.1)),
        ("16..256,step=16", RangeHP("x", 16, 256, step=16)),
        ("0 .. 1, float", RangeHP("x", 0.0, 1.0)),
        ("-1..1", RangeHP("x", -1, 1)),
        ("adam,sgd", ChoiceHP("x", ["adam", "sgd"])),
        ("1,2.5,true", ChoiceHP("x", [1, 2.5, True])),
        ("[yes, no]", ChoiceHP("x", ["yes", "no"])),
        ("{choices: [1, 2], ordered: true}", OrdinalHP("x", [1, 2])),
        ("0.9", FixedHP("x", 0.9)),
        ("'a,b'", FixedHP("x", "a,b")),
        ("../data", FixedHP("x", "../data")),
        ("a/../b", FixedHP("x", "a/../b")),
    ],
)
def test_a_parameter_of_the_command_line_is_short(text, parameter):
    """And changes the one of the file, or joins the others."""
    space = SearchSpace([RangeHP("x", 5.0, 6.0), FixedHP("y", 1)])
    assert with_changes(space, [("x", text)]).to_dict() == SearchSpace([parameter, FixedHP("y", 1)]).to_dict()
    assert with_changes(SearchSpace([FixedHP("y", 1)]), [("x", text)]).names == ("y", "x")


def test_a_parameter_below_a_choice_is_not_changed_alone():
    """It might stand below several."""
    space = SearchSpace([ChoiceHP("opt", ["a", "b"], {"a": [RangeHP("m", 0.0, 1.0)]})])
    with pytest.raises(SpaceError, match="m: stands below a choice"):
        with_changes(space, [("m", "1..2")])
    with pytest.raises(AutoHPOError, match="--param x: must be a value such as 0.1"):
        shell_spec("x", "[a")


# Whole files.

CONFIG = """\
command: python train.py --lr {lr} --epochs {fidelity}
metric: {val_acc: max}
space:
  lr: {low: 1e-4, high: 0.1, log: true}
algorithm: bohb
options:
  max_evals: 20
  min_fidelity: 1
  max_fidelity: "27"
run:
  num_workers: 2
  time_limit: 2h
points:
  - {lr: 0.01}
name: first
"""


def test_a_file_says_everything(here):
    """Each key goes where it belongs."""
    (here / "run.yaml").write_text(CONFIG)
    found = plan("run.yaml")
    assert (found.algorithm, found.store, found.f.metrics) == ("bohb", "run.db", {"val_acc": "val_acc"})
    assert found.options == {
        "max_evals": 20,
        "min_fidelity": 1,
        "max_fidelity": 27,
        "mode": "max",
        "points": [{"lr": 0.01}],
    }
    assert found.arguments == {"num_workers": 2, "time_limit": 7200.0, "name": "first"}
    assert found.space == SearchSpace([LogRangeHP("lr", 1e-4, 0.1)])
    found = plan("run.yaml", "--time-limit", "5m", "--max-evals", "7", "--mode", "min", "--set", "eta=2")
    assert (found.arguments["time_limit"], found.options["max_evals"]) == (300, 7)
    assert (found.options["mode"], found.options["eta"]) == ("min", 2)


def test_toml_and_json_files_are_read(here):
    """The same search in each."""
    (here / "run.yaml").write_text(CONFIG)
    (here / "run.json").write_text(json.dumps(parse_yaml(CONFIG)))
    lines = [
        *('command = ["python", "train.py", "--lr", "{lr}", "--epochs", "{fidelity}"]', 'algorithm = "bohb"'),
        *('name = "first"', "points = [{lr = 0.01}]", "[metric]", 'val_acc = "max"', "[space]"),
        *("lr = {low = 1e-4, high = 0.1, log = true}", "[options]", "max_evals = 20", "min_fidelity = 1"),
        *('max_fidelity = "27"', "[run]", "num_workers = 2", 'time_limit = "2h"'),
    ]
    (here / "run.toml").write_text("\n".join(lines))
    yaml, text, toml = plan("run.yaml"), plan("run.json"), plan("run.toml")
    assert (yaml.options, yaml.arguments, yaml.space) == (text.options, text.arguments, text.space)
    assert (yaml.options, yaml.arguments, yaml.space) == (toml.options, toml.arguments, toml.space)
    assert yaml.f == text.f
    assert toml.f.command == ["python", "train.py", "--lr", "{lr}", "--epochs", "{fidelity}"]


def test_a_file_may_name_a_function_and_a_space(here):
    """Of a Python file, of a module, of another file."""
    (here / "train.py").write_text(SCRIPT)
    (here / "space.toml").write_text("x = {low = 0.0, high = 1.0}\n")
    (here / "run.yaml").write_text("objective: train.py:f\nspace: train.py:space\nmetric: {acc: max, loss: min}\n")
    found = plan("run.yaml")
    assert (found.f.__name__, found.space.names, found.algorithm) == ("f", ("x", "c"), "auto")
    assert found.options == {"mode": {"acc": "max", "loss": "min"}}
    (here / "run.yaml").write_text("objective: train.py\nspace: space.toml\nmode: min\n")
    assert plan("run.yaml").space.names == ("x",)


def test_several_metrics_of_a_command_are_several_objectives(here):
    """With a direction each; or their names alone, and the mode apart."""
    head = "command: echo {x}\nspace: {x: {low: 0, high: 9}}\n"
    (here / "run.yaml").write_text(f"{head}algorithm: nsga2\nmetric: {{acc: maximize, size: min}}\n")
    found = plan("run.yaml")
    assert found.options["mode"] == {"acc": "max", "size": "min"}
    assert list(found.f.metrics) == ["acc", "size"]
    (here / "run.yaml").write_text(f"{head}metric: val/loss\nmode: min\n")
    found = plan("run.yaml")
    assert (found.options["mode"], list(found.f.metrics)) == ("min", ["val/loss"])


BAD = [
    ("", "run.yaml: must be a mapping with command or objective, and space, got None"),
    ("- a", "run.yaml: must be a mapping with command or objective, and space, got ['a']"),
    ("space: {x: [1]}", "run.yaml: must have a command, or an objective such as module:function"),
    (
        "command: a\nobjective: b:c\nspace: {x: [1]}",
        "run.yaml: must have a command, or an objective such as module:function, and not both",
    ),
    (
        "comand: a",
        "run.yaml, line 1: comand: a configuration file has no such key; did you mean 'command'? Keys: command, ",
    ),
    (
        "max_evals: 3",
        "run.yaml, line 1: max_evals: a configuration file has no such key; it goes to `options:`. Keys: ",
    ),
    ("a: &a 1\nn_jobs: 3", "run.yaml, line 1: a: a configuration file has no such key. Keys: "),
    (
        "n_jobs: 3",
        "run.yaml, line 1: n_jobs: a configuration file has no such key; it is called num_workers and goes to `run:`. ",
    ),
    ("study_name: x", "run.yaml, line 1: study_name: a configuration file has no such key; it is called name here. "),
    (
        "pattern: x\nobjective: a:b",
        "run.yaml, line 1: pattern: says more of a command, but there is none; write command: ...",
    ),
    ("{C}", "run.yaml, line 1: metric: is missing: the name of the number in the command's output"),
    ("{C}\nmetric: loss\nspace: {y: [1, 2]}", "command: {x} is no parameter of the space"),
    ("{C}\nmetric: loss", "space: is missing; give it in the file, or as --space FILE.yaml or --space module:name"),
    ("{M}\npattern: '('", "run.yaml, line 4: pattern: must be a regular expression"),
    ("{M}\nfidelity_offset: many", "run.yaml, line 4: fidelity_offset: must be "),
    (
        "{M}\noptions:\n  max_evls: 3",
        "run.yaml, line 5: max_evls: auto has no such option; did you mean 'max_evals'? Options: ",
    ),
    ("{M}\noptions:\n  max_evals: lots", "run.yaml, line 5: max_evals: must be int or None, got 'lots'"),
    (
        "{M}\noptions:\n  num_workers: 3",
        "run.yaml, line 5: num_workers: belongs below run: in a file, or into run_options",
    ),
    ("{M}\noptions: 3", "run.yaml, line 4: options: must be a mapping from names to values, got 3"),
    (
        "{M}\nrun:\n  max_evals: 3",
        "run.yaml, line 5: max_evals: run has no such argument; it goes to `options:`. Arguments: ",
    ),
    ("{M}\nrun:\n  num_workers: 0", "run.yaml, line 5: num_workers: must be an integer of at least 1, got 0"),
    (
        "{M}\nrun:\n  time_limit: soon",
        "run.yaml, line 5: time_limit: must be a duration such as 90, 30m, 2h or 1d, got 'soon'",
    ),
    (
        "{M}\nrun:\n  store: x.db",
        "run.yaml, line 5: store: belongs to the top of a configuration file, or give --store",
    ),
    ("{M}\nrun: {1: 2}", "run.yaml, line 4: 1: must be a string, as it is the name of an option"),
    ("{M}\nalgorithm: bohbb", "run.yaml, line 4: 'bohbb': no such algorithm; did you mean 'bohb'? "),
    ("{M}\nalgorithm: [tpe]", "run.yaml, line 4: ['tpe']: no such algorithm"),
    ("{M}\nmode: up", "run.yaml, line 4: mode: must be "),
    (
        "{C}\nspace: {x: [1]}\nmetric: {loss: min}\nmode: max",
        "run.yaml, line 3: metric: says which way is better, but mode says it, too; leave out one",
    ),
    ("{M}\npoints: {x: 1}", "run.yaml, line 4: points: must be a list of configurations to try first"),
    ("{M}\npoints: [{x: 7}]", "run.yaml, line 4: points[0]: x: must be a value of ChoiceHP"),
    ("{M}\nname: [a]", "run.yaml, line 4: name: must be a string, got ['a']"),
    ("{M}\nconstraints: 'x <'", "run.yaml, line 4: expression 'x <': cannot be read"),
    (
        "objective: nothing\nspace: {x: [1]}",
        "run.yaml, line 1: objective: must be a Python file, or module:function, got 'nothing'",
    ),
    (
        "objective: 3\nspace: {x: [1]}",
        "run.yaml, line 1: objective: must be module:function or file.py:function, got 3",
    ),
    ("objective: os:environ\nspace: {x: [1]}", "f: must be a function that takes a configuration"),
    (
        "objective: a:b\nspace: {x: [1]}\nmetric: loss",
        "run.yaml, line 3: metric: names what is read of a command's output",
    ),
    ("objective: a:b\nspace: nowhere.yaml", "run.yaml, line 2: space: there is no file nowhere.yaml"),
    ("objective: a:b\nspace:\n  x: {low: 1}", "run.yaml, line 3: x: a range must have low and high, got low"),
]


@pytest.mark.parametrize(("text", "said"), BAD)
def test_a_wrong_file_is_told_with_line_key_and_remedy(here, text, said):
    """As a reader sees it: this table is the list of what such files get wrong."""
    command = "command: echo {x}"
    text = text.replace("{C}", command).replace("{M}", f"{command}\nmetric: loss\nspace: {{x: [1, 2]}}")
    (here / "run.yaml").write_text(text)
    with pytest.raises(AutoHPOError) as caught:
        plan("run.yaml")
    assert str(caught.value).startswith(said)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("options = 3", "options: must be a dict in train.py, got 3"),
        ("options = {'eta': 3}", "eta: tpe has no such option"),
        ("run_options = {'n_jobs': 3}", "n_jobs: run has no such argument; it is called num_workers here."),
        ("space = 3", "space: must be a mapping from names to parameters, got 3"),
        ("f = 3", "f: must be a function that takes a configuration, got 3"),
        ("mode = 'up'", "mode: must be"),
    ],
)
def test_a_wrong_python_file_is_told(here, change, said):
    """With the name of what is wrong in it."""
    (here / "train.py").write_text(f"{SCRIPT}\n{change}\n")
    with pytest.raises(AutoHPOError) as caught:
        plan("train.py")
    assert str(caught.value).startswith(said)


def test_a_python_file_may_say_the_rest(here):
    """Its space may be a function, or a mapping as in a file."""
    more = "mode = 'min'\npoints = [{'x': 0.5}]\nrun_options = {'num_workers': 2}\ndataset = [1]\n"
    (here / "train.py").write_text(f"{SCRIPT}\n{more}def space():\n    return {{'x': {{'low': 0.0, 'high': 1.0}}}}\n")
    found = plan("train.py")
    assert found.options == {"max_evals": 12, "seed": 0, "mode": "min", "points": [{"x": 0.5}]}
    assert (found.arguments, found.dataset, found.space.names) == ({"num_workers": 2}, [1], ("x",))


# The page.

PAGE = Path(__file__).parents[2] / "docs" / "config-files.md"
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```", PAGE.read_text(), flags=re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize(("kind", "text"), [block for block in BLOCKS if block[0] in ("yaml", "toml")])
def test_every_file_on_the_page_is_right(here, kind, text):
    """Whole files as files, the others as spaces."""
    (here / "train.py").write_text(SCRIPT)
    (here / f"run.{kind}").write_text(text)
    found = read_document(here / f"run.{kind}")
    if isinstance(found, dict) and ("command" in found or "objective" in found):
        assert plan(f"run.{kind}").build().space is not None
    else:
        assert len(read_space(found, ())) > 0


@pytest.mark.parametrize(
    "line",
    [line for kind, text in BLOCKS if kind == "bash" for line in text.splitlines() if line.startswith("autohpo")],
)
def test_every_command_on_the_page_is_right(here, line):
    """With the first file of the page."""
    words = shlex.split(line)
    text = next(text for kind, text in BLOCKS if kind == "yaml").replace("--epochs", "{args} --epochs")
    (here / "run.yaml").write_text(text)
    plan(*words[2:])


def test_every_key_is_on_the_page():
    """A row each; of a parameter, in the blocks."""
    rows = re.findall(r"^\| (`.*?) \|", PAGE.read_text(), flags=re.MULTILINE)
    assert {name for row in rows for name in re.findall(r"`(\w+)`", row)} == set(TOP)
    spaces = " ".join(text for kind, text in BLOCKS if kind == "yaml")
    assert all(f"{key}:" in spaces for keys in KEYS_OF_PARAMETERS.values() for key in keys)


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
