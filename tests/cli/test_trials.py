"""`autohpo trials`: which trials, in which order, with which columns, and in which form."""

from __future__ import annotations

import json

import pytest

from autohpo import RangeHP, Result, build_hpo_from_name
from autohpo.cli import exits
from autohpo.cli.main import main
from autohpo.tables import read_csv


def f(hps):
    """What is to be maximised."""
    if hps["x"] < 0.2:
        raise ValueError("too small\nfor this")
    return hps["x"]


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """A run in which some trials fail."""
    path = tmp_path_factory.mktemp("run") / "run.db"
    hpo = build_hpo_from_name("random", [RangeHP("x", 0.0, 1.0), RangeHP("n", 1, 3)], f, max_evals=30, seed=0)
    hpo.optimize(store=path, progress=False, continue_on_error=True, max_consecutive_failures=None)
    return str(path)


def printed(capsys, *argv):
    """What the command prints."""
    assert main(["trials", *argv]) == exits.OK
    return capsys.readouterr().out


def test_all_of_them_are_those_of_the_result(store, capsys, tmp_path):
    """As JSON, JSON lines and CSV, without a loss."""
    records = Result.load(store).to_records()
    assert json.loads(printed(capsys, store, "--json")) == records
    assert [json.loads(line) for line in printed(capsys, store, "--format", "jsonl").splitlines()] == records
    with open(tmp_path / "run.csv", "w", newline="") as file:
        file.write(printed(capsys, store, "--format", "csv"))
    assert read_csv(tmp_path / "run.csv") == records


def test_states_are_chosen(store, capsys):
    """Of any case, and several."""
    said = json.loads(printed(capsys, store, "--state", "failed", "--json"))
    assert said
    assert {one["state"] for one in said} == {"FAILED"}
    assert len(json.loads(printed(capsys, store, "--state", "FAILED,complete", "--json"))) == 30
    assert main(["trials", store, "--state", "broken"]) == exits.USAGE
    assert "state: must be one of RUNNING, COMPLETE" in capsys.readouterr().err


@pytest.mark.parametrize("reverse", [[], ["--reverse"]])
def test_the_best_come_first(store, capsys, reverse):
    """And those without a result last, in both directions."""
    said = json.loads(printed(capsys, store, "--sort", "perf", "--json", *reverse))
    perfs = [one["perf"] for one in said if one["perf"] is not None]
    assert perfs == sorted(perfs, reverse=not reverse)
    assert all(one["perf"] is None for one in said[len(perfs) :])
    assert len(perfs) < 30


def test_other_columns_rise(store, capsys):
    """A parameter by its own name; and only the first few."""
    said = json.loads(printed(capsys, store, "--sort", "x", "--limit", "4", "--json"))
    values = [record["hp.x"] for record in Result.load(store).to_records()]
    assert [one["hp.x"] for one in said] == sorted(values)[:4]


def test_columns_are_chosen(store, capsys):
    """In the order given; all digits where a program reads."""
    lines = printed(capsys, store, "--columns", "x,number,error", "--state", "failed").splitlines()
    assert lines[0] == "x\tnumber\terror"
    first = next(trial for trial in Result.load(store) if trial.perf is None)
    assert lines[1] == f"{first.hp['x']!r}\t{first.number}\tfor this"
    said = json.loads(printed(capsys, store, "--columns", "number,x", "--limit", "1", "--json"))
    assert [list(one) for one in said] == [["number", "hp.x"]]


@pytest.mark.parametrize("argv", [["--columns", "number,y"], ["--sort", "prf"], ["--limit", "-1"]])
def test_wrong_uses_are_told(store, capsys, argv):
    """With what there is."""
    assert main(["trials", store, *argv]) == exits.USAGE
    said = capsys.readouterr().err
    assert "limit" in said or "Columns: number, state, perf" in said


def test_no_trial_is_no_fault(store, capsys):
    """An empty list, or a remark."""
    assert json.loads(printed(capsys, store, "--state", "LOST", "--json")) == []
    assert main(["trials", store, "--state", "LOST"]) == exits.OK
    assert "no trial" in capsys.readouterr().err
