"""`autohpo tell` and `autohpo fail`: results, reports and failures from the shell, once or again."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from autohpo import RangeHP, build_hpo_from_name
from autohpo.cli import exits
from autohpo.cli.main import main
from autohpo.result import Result
from autohpo.search import Search

SPACE = [RangeHP("x", 0.0, 1.0), RangeHP("n", 1, 9)]


@pytest.fixture
def ask(tmp_path, monkeypatch):
    """Makes run.db with an algorithm, and asks there for some trials of client c."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("AUTOHPO_STORE", raising=False)

    def make(n=1, name="random", **options):
        with Search(build_hpo_from_name(name, SPACE, seed=0, **options), "run.db") as search:
            return [search.ask(client_id=f"c{i}") for i in range(n)]

    return make


def call(capsys, *words):
    """The exit code and what was printed, as JSON where it is some."""
    code = main(list(map(str, words)))
    out, err = capsys.readouterr()
    text = out or err
    return code, json.loads(text) if text.startswith(("{", "[")) else text


def test_a_result_is_told_with_all_that_was_measured(ask, capsys):
    """It is that of the trial from then on, for every reader."""
    ask(2)
    more = ["--metric", "loss=0.25", "--metric", "a=2", "--constraint", "size=-1", "--cost", "12.5"]
    code, said = call(capsys, "tell", "run.db", "--number", 1, "--perf", "0.5", *more, "--json")
    assert (code, said) == (
        exits.OK,
        {
            "number": 1,
            "state": "COMPLETE",
            "perf": 0.5,
            "metrics": {"loss": 0.25, "a": 2.0},
            "constraints": {"size": -1.0},
            "cost": 12.5,
            "error": "",
            "is_best": True,
        },
    )
    trial = Result.load("run.db").trials[1]
    assert (trial.perf, trial.cost, dict(trial.constraints)) == (0.5, 12.5, {"size": -1.0})
    assert call(capsys, "tell", "run.db", "--number", 0, "--perf", "0.25") == (exits.OK, "trial 0: 0.25\n")


@pytest.mark.parametrize("text", ["-1e-05", "-0.5", "-3", "-1E+2", "-.5", "1e-300", "+4"])
def test_every_form_of_a_number_is_one(ask, capsys, text):
    """A negative one with an exponent is no option."""
    ask()
    assert call(capsys, "tell", "run.db", "--number", 0, "--perf", text)[0] == exits.OK
    assert Result.load("run.db").trials[0].perf == float(text)


@pytest.mark.parametrize(
    ("mode", "words", "perfs"),
    [
        (["max", "min"], ["--perf", "0.9", "--perf", "12"], (0.9, 12.0)),
        ({"acc": "max", "ms": "min"}, ["--perf", "ms=12", "--perf", "acc=0.9"], (0.9, 12.0)),
        ({"acc": "max"}, ["--perf", "acc=0.9"], (0.9,)),
    ],
)
def test_several_objectives_are_told_in_order_or_by_name(ask, capsys, mode, words, perfs):
    """With further metrics, too."""
    ask(name="nsga2" if len(mode) > 1 else "random", mode=mode)
    assert call(capsys, "tell", "run.db", "--number", 0, *words, "--metric", "loss=1")[0] == exits.OK
    trial = Result.load("run.db").trials[0]
    assert (trial.perfs, dict(trial.metrics)) == (perfs, {"loss": 1.0})


def test_a_client_need_not_know_the_number(ask, capsys):
    """It is that of its pending trial, or of the last one it had: so it may tell again."""
    ask(2)
    for _ in range(2):
        assert call(capsys, "tell", "run.db", "--client-id", "c1", "--perf", 3)[0] == exits.OK
    code, said = call(capsys, "tell", "run.db", "--client-id", "c1", "--perf", 4)
    assert (code, "trial 1: it has another result already: 3.0, and now 4.0 was told" in said) == (exits.FAILED, True)
    code, said = call(capsys, "tell", "run.db", "--client-id", "nobody", "--perf", 4)
    assert (code, "'nobody' has asked for no trial" in said) == (exits.USAGE, True)
    code, said = call(capsys, "tell", "run.db", "--perf", 4)
    assert (code, "number: must be given" in said) == (exits.USAGE, True)
    assert [trial.perf for trial in Result.load("run.db").trials] == [None, 3.0]


def test_a_failure_is_told_with_its_reason_once_or_again(ask, capsys):
    """The same client may say the same again; others may not, and the trial has no result then."""
    ask(2)
    fail = ["fail", "run.db", "--number", 0, "--reason", "CUDA out of memory", "--state", "MEMORY"]
    assert call(capsys, *fail, "--client-id", "c0") == (exits.OK, "trial 0: MEMORY\n")
    assert call(capsys, *fail, "--client-id", "c0", "--json")[1]["error"] == "CUDA out of memory"
    code, said = call(capsys, *fail)
    assert (code, "has a result already" in said) == (exits.FAILED, True)
    code, said = call(capsys, "fail", "run.db", "--number", 1, "--reason", "x", "--client-id", "c0")
    assert (code, "client 'c1' asked for it" in said) == (exits.FAILED, True)
    assert [trial.state for trial in Result.load("run.db").trials] == ["MEMORY", "RUNNING"]


def test_reports_say_whether_the_trial_goes_on(ask, capsys):
    """By the exit code too; a trial that is stopped has its last report as its result."""
    ask(5, name="median_stopping", max_fidelity=9.0, min_trials=3)
    for number in range(4):
        for epoch in (1, 2, 3):
            report = ["tell", "run.db", "--number", number, "--report", "--fidelity", epoch, "--perf", 1 + epoch]
            assert call(capsys, *report) == (exits.OK, "go on\n")
        call(capsys, "tell", "run.db", "--number", number, "--perf", 4)
    report = ["tell", "run.db", "--client-id", "c4", "--report", "--fidelity", 3, "--perf", 0]
    assert call(capsys, *report) == (exits.STOP, "stop\n")
    assert call(capsys, *report, "--json") == (exits.STOP, {"number": 4, "fidelity": 3.0, "goes_on": False})
    assert call(capsys, "tell", "run.db", "--client-id", "c4", "--stopped")[0] == exits.OK
    trial = Result.load("run.db").trials[4]
    assert (trial.state, trial.perf, trial.reports) == ("STOPPED", 0.0, ((3, 0.0),))


@pytest.mark.parametrize(
    ("words", "code", "text"),
    [
        ([], exits.USAGE, "perf: must be given; for a trial without a result use `autohpo fail`"),
        (["--perf", "good"], exits.USAGE, "perf: must be a number, got 'good'"),
        (["--perf", "1", "--perf", "acc=2"], exits.USAGE, "perf: must be numbers, or NAME=NUMBER"),
        (["--perf", "nan"], exits.FAILED, "must be finite, got nan"),
        (["--perf", "-inf"], exits.FAILED, "must be finite, got -inf"),
        (["--perf", "1", "--perf", "2"], exits.FAILED, "must be one number"),
        (["--perf", "1", "--metric", "loss"], exits.USAGE, "metric: must be NAME=VALUE, got 'loss'"),
        (
            ["--perf", "1", "--metric", "a=1", "--metric", "a=2"],
            exits.USAGE,
            "metric: must be given once for each name",
        ),
        (["--perf", "1", "--cost", "-1"], exits.FAILED, "cost: must be at least 0"),
        (["--perf", "1", "--fidelity", "3"], exits.USAGE, "fidelity: must be given with --report alone"),
        (["--perf", "1", "--report"], exits.USAGE, "fidelity: must be given with --report"),
        (
            ["--perf", "1", "--report", "--fidelity", "1", "--cost", "1"],
            exits.USAGE,
            "cost: must not be given with --rep",
        ),
        (["--report", "--fidelity", "1", "--stopped"], exits.USAGE, "stopped: must not be given with --report"),
        (["--stopped"], exits.USAGE, "perf: must be given, as trial 0 has reported nothing"),
        (["--perf", "1", "--number", "7"], exits.USAGE, "number: there is no trial 7 in this run; there is trial 0"),
    ],
)
def test_what_is_wrong_is_said_and_changes_nothing(ask, capsys, words, code, text):
    """The trial still waits for its result."""
    ask()
    number = [] if "--number" in words else ["--number", "0"]
    found, said = call(capsys, "tell", "run.db", *number, *words)
    assert (found, text in str(said)) == (code, True), said
    assert [trial.state for trial in Result.load("run.db").trials] == ["RUNNING"]


@pytest.mark.parametrize("name", ["tell", "fail"])
def test_a_store_without_a_run_is_no_store(ask, capsys, tmp_path, name):
    """Nor is a damaged one told anything."""
    rest = ["--number", 0, *(["--perf", 1] if name == "tell" else ["--reason", "x"])]
    assert call(capsys, name, "no.db", *rest)[0] == exits.NO_STORE
    Path("empty.db").touch()
    assert call(capsys, name, "empty.db", *rest)[0] == exits.NO_STORE
    Path("bad.db").write_text("no store")
    assert call(capsys, name, "bad.db", *rest)[0] == exits.DAMAGED


@pytest.mark.parametrize("wait", ["nan", "-1", "-inf"])
def test_a_time_to_wait_is_a_number_of_seconds(wait, tmp_path, capsys):
    """With nan it would wait for ever."""
    with Search(build_hpo_from_name("random", [RangeHP("x", 0.0, 1.0)], seed=0), tmp_path / "run.db") as search:
        search.ask()
        for command in (["tell", "--perf", "1", "--number", "0"], ["ask"], ["fail", "--number", "0", "--reason", "r"]):
            assert main([command[0], str(tmp_path / "run.db"), *command[1:], f"--wait={wait}"]) == exits.USAGE
            assert "wait: must be at least 0 seconds" in capsys.readouterr().err
