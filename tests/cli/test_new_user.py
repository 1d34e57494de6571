"""What somebody meets who has never used the command line: misspelt files, Ctrl-C, a resume, 80 columns."""

from __future__ import annotations

import signal
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # pytest imports test files by their path alone

from run_shell import slow

from autohpo import RangeHP, build_hpo_from_name
from autohpo.cli import exits
from autohpo.cli.look.algorithms import filled, options_of
from autohpo.cli.look.budgets import trials_text
from autohpo.cli.look.words import error_line
from autohpo.cli.main import COMMANDS, main, parser_of
from autohpo.control import driver_of
from autohpo.errors import AutoHPOError

CONFIG = """\
command: [printf, '{{"acc": %s, "ms": %s}}\\n', "{x}", "{x}"]
metric: acc
space: {x: {low: 0.0, high: 1.0}}
algorithm: random
options: {max_evals: 4, seed: 0}
"""

README = Path(__file__).parents[2] / "README.md"


def n_asked(shell):
    """How many trials a search has begun, once it has its store."""
    try:
        return len(shell.log("train.db"))
    except AutoHPOError:
        return 0


@pytest.mark.parametrize("name", COMMANDS)
def test_help_fits_a_terminal_of_80_columns(name, monkeypatch):
    """Options, sentences and examples."""
    monkeypatch.setenv("COLUMNS", "80")
    assert [line for line in parser_of(name).format_help().splitlines() if len(line) > 80] == []


@pytest.mark.parametrize(
    ("old", "new", "text"),
    [
        ("metric: acc", "metric: {acc: maxx}", "run.yaml, line 2: metric: acc must be max or min, got 'maxx'"),
        ("metric: acc", "metric: {acc: max, ms: mim}", "run.yaml, line 2: metric: ms must be max or min, got 'mim'"),
        ('"{x}"', '"{y}"', "command: {y} is no parameter of the space"),
        ("command: ", "command: echo a: ", "run.yaml, line 1: is no YAML: mapping values are not allowed here; put a"),
    ],
)
def test_a_misspelt_file_is_told_before_anything_runs(here, capsys, old, new, text):
    """With the line."""
    (here / "run.yaml").write_text(CONFIG.replace(old, new))
    assert main(["run", "run.yaml"]) == exits.USAGE
    assert text in capsys.readouterr().err
    assert not (here / "run.db").exists()


def test_a_metric_whose_name_is_like_a_way_is_one(here, capsys):
    """With a mode beside it, a mapping says which metric an objective is."""
    (here / "run.yaml").write_text(CONFIG.replace("metric: acc", "metric: {error: ms}\nmode: {error: min}"))
    assert main(["run", "run.yaml", "--json"]) == exits.OK
    assert '"states": {"COMPLETE": 4}' in capsys.readouterr().out


def test_a_json_file_that_is_none_is_called_so(here, capsys):
    """And not after the reader that it goes through."""
    (here / "run.json").write_text("{")
    assert main(["run", "run.json"]) == exits.USAGE
    assert "is no JSON" in capsys.readouterr().err


@pytest.mark.parametrize("what", ["python train.py", "train.sh", "./train --lr 0.1"])
def test_a_command_in_place_of_a_file_is_told_where_it_belongs(here, capsys, what):
    """It is what everybody tries first."""
    assert main(["run", what]) == exits.USAGE
    assert "a command line stands in a configuration file, as in command: " in capsys.readouterr().err


def test_the_file_of_the_readme_is_one(here, capsys):
    """It is checked as a whole, down to the first command."""
    text = README.read_text().partition("```yaml\n")[2].partition("```")[0]
    (here / "tune.yaml").write_text(text)
    (here / "train").write_text("#!/bin/sh\n")
    (here / "train").chmod(0o700)
    assert main(["run", "tune.yaml", "--dry-run"]) == exits.OK
    said = capsys.readouterr().out.splitlines()
    assert said[-1].startswith("  ./train --lr ")
    assert said[-1].endswith(" --epochs 1")


def test_a_space_is_told_in_words(here, capsys):
    """Also when a parameter counts, and what a constraint is; nobody has to know the classes of Python."""
    space = (
        "space:\n  n: {low: 1, high: 4}\n  c: {choices: {a: {}, b: {d: [x, y]}, e: {d: [x, y]}}}\nconstraints: [n < 4]"
    )
    text = CONFIG.replace("space: {x: {low: 0.0, high: 1.0}}", space).replace('"{x}", "{x}"', '"{args}"')
    (here / "run.yaml").write_text(text)
    assert main(["run", "run.yaml", "--dry-run"]) == exits.OK
    assert capsys.readouterr().out.splitlines()[3:7] == [
        "  n  integer 1 to 4",
        "  c  one of a, b, e",
        "  d  one of x, y; only if c is b or e",
        "  constraint: n < 4",
    ]


def test_keys_of_a_file_are_no_options(here, capsys):
    """But for those that an option has, too."""
    (here / "run.yaml").write_text(CONFIG)
    assert main(["run", "run.yaml", "--set", "output_dir=logs"]) == exits.USAGE
    assert "output_dir says more of a command; write it in the configuration file" in capsys.readouterr().err
    assert main(["run", "run.yaml", "--set", "grace_seconds=1", "--dry-run"]) == exits.OK


def test_several_objectives_are_told_by_their_names(here, capsys):
    """How large the front is, and what the compromise on it is."""
    (here / "run.yaml").write_text(CONFIG.replace("metric: acc", "metric: {acc: max, ms: min}"))
    assert main(["run", "run.yaml"]) == exits.OK
    said = capsys.readouterr().out.splitlines()
    assert said[0] == "front: 4 of 4 trials: 4 complete"  # one number, to be large and small: nobody is beaten
    assert said[1].startswith("the compromise: acc 0.")
    assert ", ms 0." in said[1]


def test_a_command_that_fails_at_once_is_told_in_the_words_of_the_shell(here, capsys):
    """What to do stands there as an option; the table of trials has the reason, not the last line of an output."""
    (here / "run.yaml").write_text(CONFIG.replace("metric: acc", "metric: accuracy"))
    assert main(["run", "run.yaml"]) == exits.FAILED
    said = capsys.readouterr().err
    assert "go on in spite of it with --set continue_on_error=true\nCommandError: the command `printf" in said
    assert main(["run", "run.yaml", "--set", "continue_on_error=true"]) == exits.NO_RESULT
    capsys.readouterr()
    assert main(["trials", "run.db", "--columns", "error", "--limit", "1"]) == exits.OK
    assert capsys.readouterr().out.splitlines()[1].startswith("CommandError: the command `printf")


def test_the_line_of_an_error_that_says_most():
    """The last one of a traceback, the first one of a text that goes on with somebody's output."""
    assert error_line("Traceback (most recent call last):\n  File x\nValueError: no\n") == "ValueError: no"
    assert error_line("autohpo.errors.CommandError: it ended; its output:\n{}") == "CommandError: it ended; its output:"
    assert error_line("") == ""


def test_a_resume_with_more_trials_shows_its_own_budget(here, capsys):
    """In top and in show; the header of the store has the first one for ever."""
    (here / "run.yaml").write_text(CONFIG)
    main(["run", "run.yaml"])
    main(["run", "run.yaml", "--max-evals", "6"])
    capsys.readouterr()
    for command in ("top", "show"):
        assert main([command, "run.db"]) == exits.OK
        assert "6 of 6 trials" in capsys.readouterr().out


def test_a_budget_that_left_no_record_is_not_overdrawn(here, capsys):
    """As where a Python program goes on with more."""
    for most in (2, 5):
        space = [RangeHP("x", 0.0, 1.0)]
        hpo = build_hpo_from_name("random", space, lambda hps: hps["x"], max_evals=most, seed=0)
        hpo.optimize(store="run.db", progress=False)
    assert main(["top", "run.db"]) == exits.OK
    assert "5 trials, of which the first call allowed 2" in capsys.readouterr().out
    assert trials_text(1_000, 2_000) == "1,000 of 2,000 trials"


def test_a_run_without_a_result_is_no_long_one(here, capsys):
    """`ls` says nothing of --best then."""
    (here / "run.yaml").write_text(CONFIG.replace("metric: acc", "metric: accuracy"))
    main(["run", "run.yaml"])
    capsys.readouterr()
    assert main(["ls"]) == exits.OK
    assert "--best" not in capsys.readouterr().err


def test_ctrl_c_is_answered_at_once(shell):
    """While trials that do not report have their grace, nothing else would be seen."""
    shell.write("train.py", slow(60))
    process = shell.start("run", "train.py", "--num-workers", "2", "--set", "grace_seconds=1")
    shell.wait_for(lambda: n_asked(shell) == 2)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == exits.INTERRUPTED
    assert "autohpo: ending: the 2 trials that run have 1 s to end; a second Ctrl-C ends at once" in err
    assert "2 (2 CANCELLED)" in shell.run("show", "train.db").stdout


def test_what_a_killed_search_left_does_not_run(shell):
    """Its trials are run again by the next one, and nobody says that they run."""
    shell.write("train.py", slow(60))
    process = shell.start("run", "train.py", "--num-workers", "2")
    shell.wait_for(lambda: n_asked(shell) == 2)
    assert "2 RUNNING" in shell.run("show", "train.db").stdout
    process.kill()
    process.wait()
    shell.wait_for(lambda: driver_of(shell.folder / "train.db") is None)
    assert "2 to be run again" in shell.run("show", "train.db").stdout
    assert "2 to be run again" in shell.run("stop", "train.db").stdout


def test_a_time_limit_is_told_when_it_is_reached(shell):
    """And how long the trials that run still have."""
    shell.write("train.py", slow(60))
    done = shell.start("run", "train.py", "--num-workers", "2", "--time-limit", "2", "--set", "grace_seconds=0.1")
    _, err = done.communicate(timeout=60)
    assert "autohpo: the search reached its time limit of 2 s" in err
    assert "have 0.1 s to end" in err


def test_a_store_that_cannot_be_resumed_says_what_can_be_done(here, capsys):
    """One that `autohpo import` made has no record of a command."""
    (here / "run.yaml").write_text(CONFIG)
    main(["run", "run.yaml"])
    main(["export", "run.db", "--to", "run.jsonl"])
    main(["import", "run.jsonl", "--to", "new.db"])
    capsys.readouterr()
    assert main(["resume", "new.db"]) == exits.FAILED
    assert "no record of an `autohpo run`" in capsys.readouterr().err


@pytest.mark.parametrize("to", ["nowhere/run.csv", "nowhere/run.json"])
def test_a_file_that_cannot_be_written_is_named_as_it_was_given(here, capsys, to):
    """No class of Python's stands in the text."""
    (here / "run.yaml").write_text(CONFIG)
    main(["run", "run.yaml"])
    assert main(["export", "run.db", "--to", to]) != exits.OK
    said = capsys.readouterr().err
    assert to in said
    assert "PosixPath" not in said


def test_a_file_that_is_no_store_is_told_with_a_command(here, capsys):
    """And not with a function of Python's."""
    (here / "run.db").write_text("garbage")
    assert main(["best", "run.db"]) == exits.DAMAGED
    assert f"`autohpo repair {here}/run.db`" in capsys.readouterr().err


def test_documentation_is_wrapped_and_has_no_roles():
    """For a terminal."""
    assert filled("one two three\nfour\n\n- a list item stays", 9) == "one two\nthree\nfour\n\n- a list item stays"
    from autohpo.algorithms.registry import get_hpo

    assert not [one for one in options_of(get_hpo("tpe")) if ":class:" in one["meaning"]]
