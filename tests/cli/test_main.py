"""The command line as a whole: help, start-up, errors, and that every command is documented."""

from __future__ import annotations

import json
import re
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from autohpo.cli import exits
from autohpo.cli.main import COMMANDS, main, parser_of
from autohpo.cli.output import as_json

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "command-line.md"
HEAVY = ("numpy", "scipy", "rich", "yaml", "autohpo.spaces", "autohpo.algorithms", "asyncio")


def options_of(name):
    """The long options of a command."""
    actions = parser_of(name)._actions
    return {text for action in actions for text in action.option_strings if text.startswith("--")} - {"--help"}


@pytest.mark.parametrize("argv", [["--help"], ["--version"], ["nosuch"], ["run", "--help"], ["tell", "--help"]])
def test_help_loads_nothing_heavy(argv):
    """Neither numpy nor the spaces: help is there at once."""
    code = (
        f"import sys; from autohpo.cli.main import main; main({argv}); print([m for m in {HEAVY} if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_help_is_cheap():
    """Well below 150 ms of CPU and 40 MB; three times as much CPU is allowed here, as machines differ."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-m", "autohpo", "--help"], check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 0.45


def test_help_names_every_command(capsys):
    """With its summary."""
    assert main(["--help"]) == exits.OK
    said = capsys.readouterr().out
    assert all(f"  {name} " in said and command.summary in said for name, command in COMMANDS.items())


def test_nothing_at_all_is_a_wrong_use(capsys):
    """Help is printed."""
    assert main([]) == exits.USAGE
    assert "usage: autohpo" in capsys.readouterr().out


def test_an_unknown_command_is_told_with_the_nearest(capsys):
    """As a typing error would be."""
    assert main(["tirals"]) == exits.USAGE
    assert "did you mean 'trials'?" in capsys.readouterr().err


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help(name, capsys):
    """And --json, and each of its arguments a text."""
    assert main([name, "--help"]) == exits.OK
    assert f"usage: autohpo {name}" in capsys.readouterr().out
    assert "--json" in options_of(name)
    assert all(action.help for action in parser_of(name)._actions)


def test_help_of_a_command_can_be_asked_for_in_two_ways(capsys):
    """`autohpo help run` is `autohpo run --help`."""
    assert main(["help", "run"]) == exits.OK
    assert "usage: autohpo run" in capsys.readouterr().out


def test_every_command_is_documented_and_every_documented_one_exists():
    """A heading each, and every option of it below that heading."""
    parts = re.split(r"^## `autohpo ([\w-]+)`\n", PAGE.read_text(), flags=re.MULTILINE)
    texts = dict(zip(parts[1::2], parts[2::2], strict=True))
    assert set(texts) == set(COMMANDS)
    for name, text in texts.items():
        assert options_of(name) - {"--json"} <= set(re.findall(r"--[\w-]+", text)), name
        assert set(re.findall(r"`(--[\w-]+)", text)) <= options_of(name) | {"--help"}, name


def test_every_exit_code_is_documented():
    """In the table of the page."""
    rows = dict(re.findall(r"^\| (\d+) \| (.+) \|$", PAGE.read_text(), flags=re.MULTILINE))
    assert {int(code): text for code, text in rows.items()} == exits.MEANINGS


@pytest.mark.parametrize("name", ["best", "show", "trials", "top", "stop", "report", "resume", "tell", "export"])
def test_no_store_is_said_in_the_same_way_everywhere(name, capsys, monkeypatch, tmp_path):
    """Both where none was given and where there is none; as JSON too."""
    monkeypatch.delenv("AUTOHPO_STORE", raising=False)
    rest = {"tell": ["--number", "0", "--perf", "1"], "export": ["--to", str(tmp_path / "x.csv")]}.get(name, [])
    assert main([name, *rest]) == exits.USAGE
    assert "AUTOHPO_STORE" in capsys.readouterr().err
    assert main([name, str(tmp_path / "no.db"), *rest, "--json"]) == exits.NO_STORE
    said = json.loads(capsys.readouterr().err)
    assert said["error"]["type"] == "NoStoreError"


@pytest.mark.parametrize(
    ("argv", "text"),
    [
        (["best", "x.db", "--top", "many", "--json"], "argument --top: invalid int value: 'many'"),
        (["best", "--json", "--nosuch"], "unrecognized arguments: --nosuch"),
        (["run", "--json"], "the following arguments are required: WHAT"),
        (["trials", "x.db", "--limit=--", "--json"], "argument --limit: "),
        (["tirals", "--json"], "did you mean 'trials'?"),
    ],
)
def test_words_that_are_not_understood_are_told_as_json(argv, text, capsys):
    """One object on standard error, as for every other error."""
    assert main(argv) == exits.USAGE
    out, err = capsys.readouterr()
    said = json.loads(err)["error"]
    assert (out, said["type"]) == ("", "UsageError")
    assert text in said["message"]


def test_words_that_are_not_understood_come_with_the_usage(capsys):
    """For people."""
    assert main(["best", "--nosuch"]) == exits.USAGE
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("usage: autohpo best")
    assert err.endswith("\nautohpo best: error: unrecognized arguments: --nosuch\n")


def test_json_takes_every_value():
    """Numbers that JSON does not have become texts, objects their text."""
    import numpy as np

    value = {"a": float("nan"), 2: (np.float64(1.5), np.int64(3), True, None, len), "p": Path("x")}
    assert as_json(value) == {"a": "nan", "2": [1.5, 3, True, None, "len"], "p": "x"}
