"""Search spaces of files and command lines: each form beside what it stands for, and errors with their lines."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # pytest imports test files by their path alone

from run_shell import plan

from autohpo import (
    Belief,
    ChoiceHP,
    FixedHP,
    LogRangeHP,
    NormalPrior,
    OrdinalHP,
    RangeHP,
    SearchSpace,
)
from autohpo.cli.config.spaces import shell_spec, with_changes
from autohpo.errors import AutoHPOError, SpaceError
from autohpo.spaces.files.documents import parse_toml, parse_yaml
from autohpo.spaces.files.reading import parsed_space as read_space

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
        ("a: {kind: Foo}", "s.yaml, line 1: kind: must be one of ["),
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


def test_values_of_a_file_are_what_a_store_knows(here):
    """A mapping among choices, or as an option, is a plain dict: a store compares them."""
    text = "a: [{p: 1}, {q: [{r: 2}]}]\nb: {value: {s: 3}}\nc: {choices: [{t: 4}, 5], ordered: true}\n"
    described = json.dumps(read_space(parse_yaml(text)).to_dict())
    assert "opaque" not in described
    head = "command: echo {x}\nspace: {x: [1, 2]}\nmetric: [acc, size]\nalgorithm: nsga2\n"
    (here / "run.yaml").write_text(f"{head}mode: {{acc: max, size: min}}\nrun: {{retries: {{CRASHED: 1}}}}\n")
    found = plan("run.yaml")
    assert (type(found.options["mode"]), type(found.arguments["retries"])) == (dict, dict)


def test_a_parameter_below_a_choice_is_not_changed_alone():
    """It might stand below several."""
    space = SearchSpace([ChoiceHP("opt", ["a", "b"], {"a": [RangeHP("m", 0.0, 1.0)]})])
    with pytest.raises(SpaceError, match="m: stands below a choice"):
        with_changes(space, [("m", "1..2")])
    with pytest.raises(AutoHPOError, match="--param x: must be a value such as 0.1"):
        shell_spec("x", "[a")
