"""`autohpo show`: the facts of a run, and all of one trial."""

from __future__ import annotations

import json
import os

import pytest

from autohpo import ChoiceHP, LogRangeHP, RangeHP, Result, Search, build_hpo_from_name
from autohpo.cli import exits
from autohpo.cli.main import main
from autohpo.store import LogEvent
from autohpo.trial import TrialState

SPACE = [
    LogRangeHP("lr", 1e-4, 1e-1),
    RangeHP("layers", 1, 8),
    ChoiceHP("act", ["relu", "elu"], children=([], [RangeHP("alpha", 0.5, 1.0)])),
]


def f(hps):
    """A training that fails now and then."""
    for epoch in range(1, 10):
        if hps["layers"] == 3:
            raise ValueError("three layers\nare too many")
        yield {"perf": hps["lr"] - 1 / epoch, "loss": epoch / 2}


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """A run with promotions and failures."""
    path = tmp_path_factory.mktemp("run") / "run.db"
    hpo = build_hpo_from_name("hyperband", SPACE, f, min_fidelity=1, max_fidelity=9, max_evals=30, seed=0)
    hpo.optimize(store=path, progress=False, name="my run", num_workers=2, continue_on_error=True)
    return str(path)


def printed(capsys, *argv):
    """What the command prints."""
    assert main(["show", *argv]) == exits.OK
    return capsys.readouterr().out


def test_a_run_is_what_its_store_says(store, capsys):
    """Name, algorithm, options, space, times, states, best and why."""
    said, result = json.loads(printed(capsys, store, "--json")), Result.load(store)
    assert (said["name"], said["algorithm"]) == ("my run", "hyperband")
    assert (said["options"]["max_fidelity"], said["options"]["seed"]) == (9, 0)
    assert said["objectives"] == {"": "higher is better"}
    assert said["states"] == result.counts()
    assert said["n_trials"] == 30
    assert said["budget"] == {"max_evals": 30, "n_suggested": 30, "text": "30 of 30 trials"}
    assert said["driver"] is None
    assert said["best"]["number"] == result.best.number
    assert said["why"] == result.why(result.best.number)
    assert said["begun"] <= min(trial.started for trial in result) < said["last_event"]
    assert said["space"]["parameters"] == {
        "lr": "0.0001 to 0.1, log scale",
        "layers": "integer 1 to 8",
        "act": "one of relu, elu",
        "alpha": "0.5 to 1; only if act is elu",
    }


def test_people_read_the_same(store, capsys):
    """A line each, the long ones cut to the width."""
    lines = printed(capsys, store).splitlines()
    heads = {line.split()[0]: line for line in lines if line[:1].strip()}
    assert heads["name"].endswith("my run")
    assert heads["options"].split(maxsplit=1)[1].startswith("seed=0, ")
    assert "COMPLETE" in heads["trials"]
    assert "nobody works on it now" in heads["driver"]
    assert max(map(len, lines)) <= 120


def test_who_works_on_it_is_told(tmp_path, capsys):
    """By process and host."""
    with Search(build_hpo_from_name("random", SPACE, seed=0), tmp_path / "run.db") as search:
        search.ask()
        said = json.loads(printed(capsys, str(tmp_path / "run.db"), "--json"))
        text = printed(capsys, str(tmp_path / "run.db"))
    assert said["driver"]["process"] == os.getpid()
    assert f"process {os.getpid()} on " in text
    assert said["best"] is None
    assert "no trial has a result" in text


def test_a_trial_is_told_in_full(store, capsys):
    """Configuration, reports, attempts, metrics, relation to others, and why."""
    result = Result.load(store)
    trial = next(trial for trial in result if trial.resume is not None and trial.perf is not None)
    said = json.loads(printed(capsys, store, "--trial", str(trial.number), "--json"))
    assert said["hp"] == trial.hp
    assert (said["state"], said["perf"], said["resume"]) == ("COMPLETE", trial.perf, trial.resume)
    assert [(one["fidelity"], one["perf"]) for one in said["reports"]] == list(trial.reports)
    assert [(one["attempt"], one["state"]) for one in said["attempts"]] == [(1, "COMPLETE")]
    assert said["attempts"][0]["started"] == trial.started
    assert said["metrics"] == trial.metrics
    assert said["why"] == result.why(trial.number)
    assert said["log"].endswith(f"slot-{said['attempts'][0]['slot']}.log")
    text = printed(capsys, store, "--trial", str(trial.number))
    assert f"continues trial {trial.resume}" in text
    assert said["why"][:30] in text


def test_the_error_of_a_trial_is_told_line_by_line(store, capsys):
    """All of it."""
    trial = next(trial for trial in Result.load(store) if trial.error)
    text = printed(capsys, store, "--trial", str(trial.number))
    assert all(f"  {line}" in text for line in trial.error.rstrip().splitlines())
    assert "three layers" in text


def test_an_attempt_that_was_interrupted_is_told(tmp_path, capsys):
    """With those after it."""
    with Search(build_hpo_from_name("random", SPACE, seed=0), tmp_path / "run.db") as search:
        suggestion = search.ask()
        search.start(suggestion.number, 3)
        search.interrupt(suggestion.number, 1, TrialState.LOST, "its host died")
        search.start(suggestion.number, 5)
        search.save()
        end = {"state": "COMPLETE", "perf": 1.0, "fidelity": None, "error": ""}
        search.store.append([LogEvent("late", 0, 1, end)])  # of the first attempt, which no longer counts
        said = json.loads(printed(capsys, str(tmp_path / "run.db"), "--trial", "0", "--json"))
    assert [(one["slot"], one["state"], one["error"]) for one in said["attempts"]] == [
        (3, "LOST", "its host died"),
        (5, "RUNNING", ""),
    ]
    assert said["state"] == "RUNNING"


def test_a_trial_that_confirms_another_has_a_number_below_0(tmp_path, capsys):
    """As in the tables."""
    hpo = build_hpo_from_name("random", SPACE, lambda hps, seed: hps["lr"] + seed, max_evals=4, seed=0)
    hpo.optimize(store=tmp_path / "run.db", progress=False, confirm=1)
    assert "confirms trial" in printed(capsys, str(tmp_path / "run.db"), "--trial", "-1")


@pytest.mark.parametrize("number", ["30", "-1"])
def test_a_trial_that_is_not_there_is_a_wrong_use(store, capsys, number):
    """It is told which there are."""
    assert main(["show", store, "--trial", number]) == exits.USAGE
    assert "there are 0 to 29" in capsys.readouterr().err


def test_the_output_of_a_trial_is_printed(tmp_path, capsys):
    """As it was printed; as a string of JSON; and what has none says so."""
    hpo = build_hpo_from_name(
        "random", SPACE[:2], lambda hps, trial: print(f"out of {trial.number}") or 1.0, max_evals=2
    )
    hpo.optimize(store=tmp_path / "run.db", executor="local", progress=False)
    store = str(tmp_path / "run.db")
    assert printed(capsys, store, "--trial", "1", "--output") == "out of 1\n"
    assert json.loads(printed(capsys, store, "--trial", "1", "--output", "--json")) == {
        "number": 1,
        "output": "out of 1\n",
    }
    (tmp_path / "run.db.files" / "logs" / "trials" / "1-1.txt").unlink()
    assert main(["show", store, "--trial", "1", "--output"]) == exits.OK
    assert capsys.readouterr() == ("", "trial 1 printed nothing that was kept\n")
    assert main(["show", store, "--output"]) == exits.USAGE
    assert "--output: needs --trial N" in capsys.readouterr().err


def test_a_cost_limit_is_told_with_what_is_spent(tmp_path, monkeypatch, capsys):
    """Also by `top`, from the record that `run` leaves: 4 trials of 2.5 each reach a limit of 10."""
    monkeypatch.chdir(tmp_path)
    code = "from autohpo import RangeHP\nspace = [RangeHP('x', 0.0, 1.0)]\n\ndef f(hps):\n"
    (tmp_path / "train.py").write_text(code + "    return {'perf': hps['x'], 'cost': 2.5}\n")
    words = ["run", "train.py", "--algorithm", "random", "--max-evals", "9", "--cost-limit", "10"]
    assert main([*words, "--executor", "serial", "--progress", "none"]) == exits.OK
    capsys.readouterr()
    assert json.loads(printed(capsys, "train.db", "--json"))["budget"]["text"] == "4 of 9 trials; 10 of 10 spent"
    assert main(["top", "train.db", "--once"]) == exits.OK
    assert "4 of 9 trials, 10 of 10 spent" in capsys.readouterr().out
