"""Templates: words, placeholders, quoting, and checks against a space."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autohpo import ChoiceHP, CommandObjective, FixedHP, ListHP, LogRangeHP, OptionError, RangeHP, SearchSpace
from autohpo.commands.words import word_of

TEXTS = st.text(st.characters(blacklist_characters="\0", blacklist_categories=("Cs",)), max_size=12)
AWKWARD = st.sampled_from(
    ["", " ", "'", '"', "$HOME", "`id`", "$(id)", "a b", "\\", "*", "~", ";", "{x}", "-n", "\n", "é"]
)


def words_of(command, hp, **options):
    """The words of a configuration."""
    return CommandObjective(command, metric="acc", **options).command_of(hp)


def seen_by(command):
    """The arguments that a real command gets, after its name: it prints them."""
    words = ["/bin/sh", "-c", command] if isinstance(command, str) else command
    printed = subprocess.run(words, capture_output=True, check=True).stdout.decode()
    return printed.split("\0")[:-1]


@given(x=TEXTS | AWKWARD, y=TEXTS | AWKWARD)
@settings(deadline=None, max_examples=40)
def test_every_value_reaches_a_command_as_one_unchanged_word(x, y):
    """Whatever is in it: as a word, as a part of one, as an option, and through a shell."""
    hp = {"x": x, "the y": y}
    for command, is_shell in [
        (r"printf '%s\0' {x} a{x}b {--x} {--x=} '{the y}'", False),
        (["printf", r"%s\0", "{x}", "a{x}b", "{--x}", "{--x=}", "{the y}"], False),
        (r"printf '%s\0' {x} a{x}b {--x} {--x=} {the y}", True),
    ]:
        assert seen_by(words_of(command, hp, shell=is_shell)) == [x, f"a{x}b", "--x", x, f"--x={x}", y]


@given(hp=st.dictionaries(st.sampled_from(["a", "trainer:lr", "c"]), TEXTS | st.integers() | st.booleans() | st.none()))
@settings(deadline=None, max_examples=25)
def test_args_are_every_parameter_with_its_name(hp):
    """In the order of the configuration, also through a shell; and the JSON of it reads back."""
    wanted = [
        word for name, value in hp.items() for word in (f"--{name}", value if isinstance(value, str) else str(value))
    ]
    for is_shell in (False, True):
        *args, configuration = seen_by(words_of(r"printf '%s\0' {args} {json}", hp, shell=is_shell))
        assert args == wanted
        assert json.loads(configuration) == hp


@given(value=st.floats(allow_nan=False, allow_infinity=False))
@settings(deadline=None, max_examples=300)
def test_a_float_reads_back_as_the_same_number(value):
    """A negative one has no exponent, which parsers of options would take for an option."""
    word = word_of("x", value)
    assert float(word) == value
    assert not (word.startswith("-") and "e" in word)


def test_argparse_takes_small_negative_numbers():
    """As the value of an option; in the usual form, -1e-05, it would be an unknown option."""
    program = (
        "import argparse; p = argparse.ArgumentParser(); p.add_argument('--x', type=float); print(p.parse_args().x)"
    )
    words = words_of([sys.executable, "-S", "-c", program, "{--x}"], {"x": -0.00001})
    assert float(subprocess.run(words, capture_output=True, check=True).stdout) == -0.00001


@pytest.mark.parametrize(
    ("command", "hp", "wanted"),
    [
        ("a {x} b", {"x": 1}, ["a", "1", "b"]),
        ("a {--x} {--y}", {"x": 1}, ["a", "--x", "1"]),
        ("a {--learning-rate:lr} {-l:lr}", {"lr": 0.5}, ["a", "--learning-rate", "0.5", "-l", "0.5"]),
        (
            "a {--learning-rate=:lr} {--learning-rate:lr=}",
            {"lr": 0.5},
            ["a", "--learning-rate=0.5", "--learning-rate=0.5"],
        ),
        (
            "a {trainer:lr} {--trainer:lr} {--lr:trainer:lr}",
            {"trainer:lr": 2},
            ["a", "2", "--trainer:lr", "2", "--lr", "2"],
        ),
        ("a {--trainer:lr}", {"lr": 2}, ["a", "--trainer", "2"]),
        ("a {{x}} {{{x}}}", {"x": 3}, ["a", "{x}", "{3}"]),
        ("a 'b {x} c'", {"x": "d e"}, ["a", "b d e c"]),
        ("a {x} {args}", {"x": 1, "y": 2}, ["a", "1", "--y", "2"]),
        ("a {x} {y}", {"x": True, "y": None}, ["a", "True", "None"]),
        ("a {x}", {"x": [64, 32]}, ["a", "[64, 32]"]),
        ("a {x}", {"x": (1.5, 2.0)}, ["a", "[1.5, 2.0]"]),
        ("a {seed} {trial} {slot}", {}, ["a", "0", "0", "0"]),
        ("a {--epochs:fidelity}", {}, ["a"]),
        (["a", 1, "{x}"], {"x": 2}, ["a", "1", "2"]),
        ("{python} -c pass", {}, [sys.executable, "-c", "pass"]),
    ],
)
def test_placeholders_become_words(command, hp, wanted):
    """As the table of the manual says."""
    assert words_of(command, hp) == wanted


@pytest.mark.parametrize(
    ("command", "options", "part"),
    [
        ("a {x", {}, "the brace '{' has no partner"),
        ("a x}", {}, "the brace '}' has no partner"),
        ("a {}", {}, "{} names no parameter"),
        ("a {--}", {}, "{--} names no parameter"),
        ("a 'b", {}, "cannot be split into words (No closing quotation)"),
        ("", {}, "must have at least one word"),
        ([], {}, "must have at least one word"),
        (3, {}, "must be a string or a list of at most 100000 words, got int 3"),
        (["a", None], {}, "its words must be strings, got None"),
        ("a b{--x}", {}, "{--x} must be a word of its own, got 'b{--x}'"),
        ("a b{args}", {}, "{args} must be a word of its own"),
        ("a '{x}'", {"shell": True}, "{x} must stand outside of quotes where shell=True"),
        ('a "b {x}"', {"shell": True}, "{x} must stand outside of quotes where shell=True"),
        ("a \\{x}", {"shell": True}, "{x} must stand outside of quotes"),
        (["a"], {"shell": True}, "must be one string where shell=True"),
        ("a {x}", {"env": {"A": "{--x}"}}, "{--x} must be a word of its own"),
        ("a {result_file}", {}, "result_file: {result_file} stands in the command"),
        ("a", {"env": {"A=B": "x"}}, "env: names of variables must be strings without '='"),
        ("a", {"env": "A=1"}, "env: must be a dict"),
        ("a", {"stream": "out"}, "stream: must be one of stdout, stderr, both, got 'out'"),
        ("a", {"grace_seconds": -1}, "grace_seconds: must be a finite number of at least 0, got int -1"),
        ("a", {"grace_seconds": float("inf")}, "grace_seconds: must be a finite number"),
        ("a", {"full_fidelity": "27"}, "full_fidelity: must be a finite number of at least 0, got str '27'"),
        ("a", {"shell": "yes"}, "shell: must be True or False"),
        ("a", {"cwd": ""}, "cwd: must be a path"),
        ("a", {"fidelity_key": 3}, "fidelity_key: must be the name"),
        ("a", {"pattern": "acc=("}, "pattern: must be a regular expression"),
        ("a", {"pattern": "acc="}, "pattern: must have a group around the number"),
        ("a", {"pattern": "(?P<loss>.*)"}, "pattern: must have a group for the metric 'acc', such as (?P<acc>\\S+)"),
        ("a", {"pattern": 3}, "pattern: must be a regular expression, or a dict"),
        ("a", {"pattern": {"loss": "loss=(.*)"}}, "pattern: must have a group for the metric 'acc'"),
    ],
)
def test_a_wrong_option_is_one_clear_error_at_once(command, options, part):
    """It names the option, the rule and the value."""
    with pytest.raises(OptionError) as caught:
        CommandObjective(command, metric="acc", **options)
    assert part in str(caught.value)


@pytest.mark.parametrize("metric", ["", [], ["a", "a"], {}, {"x": 3}, None, {"x": "a", "y": "a"}])
def test_a_wrong_metric_is_an_error(metric):
    """A name, a list of different names, or a dict of them."""
    with pytest.raises(OptionError, match="^metric: "):
        CommandObjective("a", metric=metric)


SPACE = SearchSpace(
    [
        LogRangeHP("lr", 1e-4, 1.0),
        ChoiceHP("opti", ["adam", "sgd"], children={"sgd": [RangeHP("momentum", 0.0, 1.0)]}),
    ]
)


@pytest.mark.parametrize(
    "command",
    [
        "train {lr} {opti} {--momentum}",
        "train {--rate:lr} {--opti=} {--m=:momentum}",
        "train {args}",
        "train {lr} {args}",
        "train {json}",
        "train {config_file} {fidelity} {seed}",
    ],
)
def test_a_command_that_uses_every_parameter_passes(command):
    """By name, or all together."""
    CommandObjective(command, metric="acc").check(SPACE)


@pytest.mark.parametrize(
    ("command", "part"),
    [
        ("train {lr} {opti}", "command: does not use momentum; write {--momentum} for a parameter"),
        ("train", "command: does not use lr, opti, momentum; write {lr} or {--lr} for a parameter"),
        (
            "train {lr} {opti} {momentum}",
            "command: {momentum} has no value where momentum is not active; write {--momentum}",
        ),
        (
            "train {args} {opty}",
            "command: {opty} is no parameter of the space, and no placeholder of its own; did you mean 'opti'?",
        ),
        ("train {args} {--Learning-rate:LR}", "did you mean 'lr'?"),
        ("train {args} {fidelty}", "did you mean 'fidelity'?"),
        ("train {args} {zzzzzz}", "the parameters are lr, opti, momentum"),
        ("train {args} {lr:.3f}", "{lr:.3f} is no parameter"),
    ],
)
def test_a_command_that_does_not_fit_its_space_is_an_error(command, part):
    """The text says what to write."""
    with pytest.raises(OptionError) as caught:
        CommandObjective(command, metric="acc").check(SPACE)
    assert part in str(caught.value)


def test_what_hands_over_the_configuration_otherwise_may_leave_parameters_out():
    """A declared reader of the environment, and variables with placeholders, where an inactive one is not set."""
    CommandObjective("train", metric="acc", uses_env=True).check(SPACE)
    CommandObjective("train", metric="acc", env={"LR": "{lr}", "O": "{opti}", "M": "{momentum}"}).check(SPACE)
    CommandObjective("train {epochs} {args}", metric="acc").check(SPACE, fidelity="epochs")


def test_a_parameter_with_the_name_of_a_placeholder_is_an_error_where_it_is_used():
    """Which of the two is meant, nobody could say."""
    f = CommandObjective("train {seed}", metric="acc")
    with pytest.raises(OptionError, match=r"\{seed\} may mean a parameter and the placeholder"):
        f.check([RangeHP("seed", 1, 3)])
    CommandObjective("train {args}", metric="acc").check([RangeHP("seed", 1, 3)])
    with pytest.raises(OptionError, match="may mean trainer:lr and lr"):
        CommandObjective("train {--trainer:lr}", metric="acc").check(
            [RangeHP("lr", 0.0, 1.0), RangeHP("trainer:lr", 1, 2)]
        )


def test_commands_at_once_need_files_of_results_of_their_own():
    """Else each would read what another one wrote."""
    space = [RangeHP("x", 0.0, 1.0)]
    f = CommandObjective("a {x}", metric="acc", result_file="out.json")
    f.check(space)
    with pytest.raises(OptionError, match=r"result_file: must have \{checkpoint_dir\}, \{trial\} or \{slot\} in it"):
        f.check(space, num_workers=2)
    CommandObjective("a {x}", metric="acc", result_file="{trial}.json").check(space, num_workers=2)
    CommandObjective("a {x}", metric="acc", result_file="a.json", cwd="{checkpoint_dir}").check(space, num_workers=2)


def test_a_choice_that_cannot_be_written_is_an_error():
    """Classes and functions have no form on a command line."""
    with pytest.raises(OptionError, match="act: must be a string, a number"):
        CommandObjective("train {act}", metric="acc").check([ChoiceHP("act", [int, float])])
    CommandObjective("train {act} {n}", metric="acc").check([ChoiceHP("act", ["a", None, 3]), FixedHP("n", [1, 2])])


def test_a_list_of_varying_length_is_no_parameter_that_may_be_missing():
    """It is always there, only shorter; unless what decides about its length may be missing."""
    units = ListHP("units", RangeHP("unit", 1, 9), length="n", max_length=3)
    f = CommandObjective("train {--n} {units} {--opti}", metric="acc")
    f.check([RangeHP("n", 1, 3), units, FixedHP("opti", "sgd")])
    with pytest.raises(OptionError, match="{units} has no value where units is not active"):
        f.check([ChoiceHP("opti", ["adam", "sgd"], children={"sgd": [RangeHP("n", 1, 3)]}), units])


def test_a_worker_that_runs_commands_needs_no_numpy():
    """Nor a space: it starts as fast as Python does."""
    code = """
import sys
from autohpo import CommandObjective
CommandObjective(["echo", '{{"acc": 1}}'], metric="acc")({})
print([name for name in ("numpy", "autohpo.spaces") if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_objective_goes_through_json():
    """Only what is not the default, and back."""
    f = CommandObjective(
        ["train", "{x}"],
        metric={"acc": "val/acc"},
        pattern={"val/acc": "acc=(.*)"},
        env={"A": None, "B": "{x}"},
        shell=False,
        grace_seconds=2,
        output_dir="/tmp/out",
    )
    data = json.loads(json.dumps(f.to_dict()))
    assert data.keys() == {"command", "metric", "pattern", "env", "grace_seconds", "output_dir"}
    assert CommandObjective.from_dict(data) == f
    with pytest.raises(OptionError, match="has no option 'metrik'"):
        CommandObjective.from_dict({"command": "a", "metrik": "acc"})
    with pytest.raises(OptionError, match="needs metric"):
        CommandObjective.from_dict({"command": "a"})
