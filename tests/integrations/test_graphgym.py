"""GraphGym's grid files and configurations: what they mean, and every refusal."""

from __future__ import annotations

import contextlib
import itertools
import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from autohpo import ChoiceHP, CommandObjective, FixedHP, OptionError, SpaceError, build_hpo_from_name
from autohpo.errors import AutoHPOError, PathError
from autohpo.integrations.graphgym import config_of, parse_grid, read_config, read_grid, write_config
from autohpo.spaces import OrdinalHP

ROOT = Path(__file__).parents[2]
DESIGN = """\
# Format for each row: name in config.py; alias; range to search

# the recommended space
dataset.name dataset ['TU_ENZYMES','TU_PROTEINS']
dataset.augment_feature feature [[],['node_const']]
dataset.augment_label label ['']
gnn.layers_pre_mp l_pre range(1,4)
gnn.layers_mp   l_mp    [2, 4, 6, 8]
gnn.batchnorm bn [True,False]
gnn.dropout drop (0.0,0.3,0.6)
optim.base_lr lr [0.1,0.01,0.001]
optim.max_epoch epoch [400]
"""
UNION = """\
dataset.name dataset ['TU_BZR']
gnn.act act ['relu','prelu']
optim.base_lr lr [0.01]

dataset.name dataset ['Cora','CiteSeer']
gnn.act act ['relu','prelu']
gnn.agg agg ['add','mean']
optim.base_lr lr [0.1]
"""


def test_a_row_is_a_parameter():
    """Numbers rise, whatever their order in the file; the rest are choices, and a single value is fixed."""
    grid = parse_grid(DESIGN)
    assert list(grid.space.parameters) == [
        ChoiceHP("dataset.name", ["TU_ENZYMES", "TU_PROTEINS"]),
        ChoiceHP("dataset.augment_feature", [[], ["node_const"]]),
        FixedHP("dataset.augment_label", ""),
        OrdinalHP("gnn.layers_pre_mp", [1, 2, 3]),
        OrdinalHP("gnn.layers_mp", [2, 4, 6, 8]),
        ChoiceHP("gnn.batchnorm", [True, False]),
        OrdinalHP("gnn.dropout", [0.0, 0.3, 0.6]),
        OrdinalHP("optim.base_lr", [0.001, 0.01, 0.1]),
        FixedHP("optim.max_epoch", 400),
    ]
    assert grid.aliases["gnn.layers_mp"] == "l_mp"
    assert grid.space.n_configurations == 2 * 2 * 3 * 4 * 2 * 3 * 3


def _by_graphgym(text):
    """All configurations of a file by GraphGym's own rules, written down from its configs_gen.py."""
    blocks, block = [], []
    for line in text.splitlines():
        if "#" in line:
            continue
        words = line.split()
        if words:
            block.append((words[0], words[1], eval("".join(words[2:]))))  # as it means its files
        elif block:
            blocks, block = [*blocks, block], []
    blocks += [block] if block else []
    for block in blocks:
        for values in itertools.product(*(values for _, _, values in block)):
            name = "".join(
                f"-{alias}={str(value).strip('[]').strip(chr(39))}"
                for (_, alias, _), value in zip(block, values, strict=True)
            )
            yield {key: value for (key, _, _), value in zip(block, values, strict=True)}, name


@pytest.mark.parametrize("text", [DESIGN, UNION], ids=["one", "union"])
def test_the_space_has_the_configurations_of_graphgyms_own_grid(text):
    """Each once, by exhaustive grid search; also their names."""
    grid = parse_grid(text)
    wanted = list(_by_graphgym(text))
    hpo = build_hpo_from_name("grid", grid.space, steps=100, seed=0)
    found = []
    while len(found) <= len(wanted):
        try:
            suggestion = hpo.ask()
        except AutoHPOError:
            break
        found.append((grid.settings(suggestion), grid.name_of(suggestion, "")))
        hpo.tell(suggestion, 0.0)

    def plain(item):
        pairs, name = item
        return json.dumps(pairs, sort_keys=True), "".join(sorted(name.split("-")))

    assert sorted(map(plain, found)) == sorted(map(plain, wanted))


def test_several_grids_are_a_choice_between_them():
    """What differs has the number of its grid in front; what all have in common stands once."""
    grid = parse_grid(UNION)
    hp = {"grid": 2, "2:dataset.name": "Cora", "2:gnn.agg": "mean", "2:optim.base_lr": 0.1, "gnn.act": "relu"}
    assert grid.settings(hp) == {
        "dataset.name": "Cora",
        "gnn.agg": "mean",
        "optim.base_lr": 0.1,
        "gnn.act": "relu",
    }
    assert grid.space.n_configurations == 1 * 2 + 2 * 2 * 2
    with pytest.raises(SpaceError, match="dataset.name"):
        grid.settings({**hp, "2:dataset.name": "TU_BZR"})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "grid: must have at least one row, got none"),
        ("# nothing\n\n", "grid: must have at least one row, got none"),
        ("gnn.act act", "line 1: must have a key, an alias and a list of values, got 'gnn.act act'"),
        ("a b [1]\n\n\nc d [", r"line 4: c: must be a list of values such as .*, got '\['"),
        ("a b 3", "line 1: a: must be a list of values"),
        ("a b 'relu'", "line 1: a: must be a list of values"),
        ("a b []", "line 1: a: must have from 1 to 10000 values, got 0"),
        ("a b range(3,3)", "line 1: a: must have from 1 to 10000 values, got 0"),
        ("a b range(100000)", "line 1: a: .* a range of more than 10000 values"),
        ("a b range(10**9)", "line 1: a: must be a list"),
        ("a b range(0,1,0)", "line 1: a: .*must not be zero"),
        ("a b range(0.5)", "line 1: a: must be a list"),
        ("a b exec('x')", r"line 1: a: .*only range\(\) may be called"),
        ("a b list(exec('x'))", r"line 1: a: .*only range\(\) may be called"),
        ("a b [__import__('os')]", "line 1: a: must be a list of values"),
        ("a b [x for x in (1,2)]", "line 1: a: must be a list of values"),
        ("a b [1e999,2]", "line 1: a: values must be finite numbers"),
        ("a b [1j]", "line 1: a: values must be finite numbers"),
        ("a b [{'x':1}]", "line 1: a: values must be finite numbers"),
        ("a b ['relu'] # mine", "line 1: a comment must have a line of its own"),
        ("a-b b [1]", "line 1: key must be names with dots between them, got 'a-b'"),
        ("a. b [1]", "line 1: key must be names with dots between them"),
        ("a b [1]\na b [2]", "line 2: a must have one row in a grid"),
        ("a b [1]\n\na c [2]", "line 3: a must have one alias, got 'b' and 'c'"),
    ],
)
def test_a_row_that_breaks_a_rule_is_named_by_its_line(text, message):
    """And nothing in a file is executed."""
    with pytest.raises(SpaceError, match=message):
        parse_grid(text)


def test_values_that_are_there_twice_count_once():
    """GraphGym would run them twice; True and 1 are two values."""
    assert parse_grid("a b ['x','x','y']").space["a"] == ChoiceHP("a", ["x", "y"])
    assert parse_grid("a b [1,True]").space["a"] == ChoiceHP("a", [1, True])
    assert parse_grid("a b list(range(2,8,3))").space["a"] == OrdinalHP("a", [2, 5])


TEXT = st.text(alphabet="ab.[](),'#1e9-+* \n\trangelist{}:Nxé\x00", max_size=60)


@settings(max_examples=300, deadline=None)
@given(st.one_of(TEXT, TEXT.map(lambda values: f"a.b c {values}"), st.text(max_size=40)))
@example("a b [" * 300)
@example("a b " + "[" * 5000 + "]" * 5000)
@example("a b [" + "9" * 5000 + ",1]")
@example("a b [1,1.0,True]")
@example("a b [1e308,-1e308]")
@example("grid g [1]\n\ngrid g [2]")
def test_any_text_is_a_grid_or_a_space_error(text):
    """No other exception, and what is a grid has configurations that can be written."""
    try:
        grid = parse_grid(text)
    except SpaceError:
        return
    hp = grid.space.decode([[0.5] * grid.space.n_columns])[0]
    settings_ = grid.settings(hp)
    assert set(settings_) <= set(grid.aliases)
    assert len(grid.name_of(hp)) <= 250
    with contextlib.suppress(OptionError):  # "a" and "a.b" in one file
        config_of({}, settings_)


def test_a_configuration_gets_the_values_and_the_base_stays(tmp_path):
    """Sections that are missing are made, at any depth; what is written reads back as it was, by YAML 1.1's rules."""
    base = {"dataset": {"name": "Cora"}, "gnn": {"act": "relu", "dropout": 0.0}, "out_dir": "results"}
    kept = json.dumps(base)
    values = {"gnn.act": "prelu", "optim.base_lr": 1e-05, "a.b.c": [["x"], None, True], "out_dir": "elsewhere"}
    write_config(base, values, tmp_path / "run.yaml")
    assert yaml.safe_load((tmp_path / "run.yaml").read_text()) == {
        "dataset": {"name": "Cora"},
        "gnn": {"act": "prelu", "dropout": 0.0},
        "out_dir": "elsewhere",
        "optim": {"base_lr": 1e-05},
        "a": {"b": {"c": [["x"], None, True]}},
    }
    assert json.dumps(base) == kept
    assert read_config(tmp_path / "run.yaml")["optim"] == {"base_lr": 1e-05}


def test_what_cannot_be_read_or_written_is_a_typed_error(tmp_path):
    """The text names the file, or the key."""
    file = tmp_path / "base.yaml"
    for text, message in (
        ("a: [", "must be YAML"),
        ("- a", "must have sections"),
        ("!!python/object:os.x {}", "must be YAML"),
    ):
        file.write_text(text)
        with pytest.raises(OptionError, match=message):
            read_config(file)
    file.write_text("")
    assert read_config(file) == {}
    file.write_bytes(b"\xff\xfe\xff")
    with pytest.raises(PathError, match="cannot be read"):
        read_config(file)
    with pytest.raises(PathError, match="nowhere.*cannot be read"):
        read_grid(tmp_path / "nowhere")
    file.write_bytes(b"#" * (2**20 + 1))
    with pytest.raises(PathError, match="must be at most 1048576 bytes"):
        read_grid(file)
    with pytest.raises(OptionError, match=r"gnn\.act\.x: act must be a section of the configuration, got 'relu'"):
        config_of({"gnn": {"act": "relu"}}, {"gnn.act.x": 1})
    with pytest.raises(OptionError, match="must have values that YAML has"):
        write_config({}, {"a": object()}, file)
    with pytest.raises(PathError, match="cannot be written"):
        write_config({}, {"a": 1}, tmp_path / "nowhere" / "x.yaml")
    with pytest.raises(SpaceError, match="grid: must be a string, got 3"):
        parse_grid(3)


def test_the_module_writes_the_configuration_of_a_trial(tmp_path):
    """For commands: the values as JSON, and results in a folder of the trial's own."""
    (tmp_path / "base.yaml").write_text("out_dir: results\ngnn: {act: relu}\n")
    (tmp_path / "grid.txt").write_text(UNION)
    hp = {"grid": 1, "gnn.act": "prelu", "1:dataset.name": "TU_BZR", "1:optim.base_lr": 0.01}
    (tmp_path / "values.json").write_text(json.dumps(hp))
    command = [
        sys.executable,
        "-m",
        "autohpo.integrations.graphgym",
        "base.yaml",
        "grid.txt",
        "values.json",
        "run.yaml",
    ]
    done = subprocess.run(
        command, cwd=tmp_path, env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert yaml.safe_load((tmp_path / "run.yaml").read_text()) == {
        "out_dir": str(tmp_path / "results"),
        "gnn": {"act": "prelu"},
        "dataset": {"name": "TU_BZR"},
        "optim": {"base_lr": 0.01},
    }
    for name, text, message in (
        ("values.json", "{", "values: values.json must be JSON"),
        ("values.json", json.dumps({**hp, "gnn.act": "gelu"}), "gnn.act"),
        ("grid.txt", None, "grid.txt: cannot be read"),
        ("values.json", None, "values.json: cannot be read"),
    ):
        (tmp_path / name).unlink() if text is None else (tmp_path / name).write_text(text)
        done = subprocess.run(
            command, cwd=tmp_path, env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False
        )
        assert done.returncode == 1
        assert done.stderr.startswith("python -m autohpo.integrations.graphgym: ")
        assert message in done.stderr
        assert done.stderr.count("\n") == 1
        (tmp_path / "values.json").write_text(json.dumps(hp))


def test_a_command_takes_every_parameter_by_the_file_of_values():
    """So that the check of unused parameters passes, also with several grids."""
    command = "{python} -m autohpo.integrations.graphgym base.yaml grid.txt {config_file} {checkpoint_dir}/run.yaml"
    CommandObjective(command, metric="accuracy").check(parse_grid(UNION).space)
