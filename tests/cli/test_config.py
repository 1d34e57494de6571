"""Configuration files of a search: where each key goes, and errors that name file, line and remedy."""

from __future__ import annotations

import json
import re
import shlex
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # pytest imports test files by their path alone

from run_shell import SCRIPT, plan

from autohpo import (
    LogRangeHP,
    SearchSpace,
)
from autohpo.cli.config.keys import TOP
from autohpo.errors import AutoHPOError
from autohpo.spaces.files.documents import parse_yaml, read_document
from autohpo.spaces.files.reading import KEYS as KEYS_OF_PARAMETERS
from autohpo.spaces.files.reading import parsed_space as read_space

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
        "run.yaml, line 3: metric: says which way is better, but that is said already; leave out one",
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
