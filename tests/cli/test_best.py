"""`autohpo best`: one configuration, several, a front, confirmed ones, and every form that they are printed in."""

from __future__ import annotations

import json
import math
import shlex

import pytest
import yaml

from autohpo import ChoiceHP, LogRangeHP, RangeHP, Result, build_hpo_from_name
from autohpo.cli import exits
from autohpo.cli.look.words import as_arguments
from autohpo.cli.main import main

SPACE = [LogRangeHP("lr", 1e-4, 1.0), RangeHP("n", 1, 9), ChoiceHP("opti", ["adam", "it's", "two words"])]


def f(hps):
    """What is to be maximised."""
    return hps["lr"] + hps["n"] + 100 * (hps["opti"] == "it's")


@pytest.fixture
def store(tmp_path):
    """A run with one objective."""
    hpo = build_hpo_from_name("random", SPACE, f, max_evals=20, seed=0)
    hpo.optimize(store=tmp_path / "run.db", progress=False)
    return str(tmp_path / "run.db")


@pytest.fixture
def front(tmp_path):
    """A run with two."""
    objectives = lambda hps: {"acc": hps["lr"], "size": hps["n"]}
    hpo = build_hpo_from_name("random", SPACE, objectives, max_evals=30, seed=0, mode={"acc": "max", "size": "min"})
    hpo.optimize(store=tmp_path / "front.db", progress=False)
    return str(tmp_path / "front.db")


def printed(capsys, *argv):
    """What a command prints, once it is known to have ended well."""
    assert main(list(argv)) == exits.OK
    return capsys.readouterr().out


def test_it_is_the_best_of_the_result(store, capsys):
    """As JSON, as YAML and for people, with every digit."""
    best = Result.load(store).best
    said = json.loads(printed(capsys, "best", store, "--json"))
    assert said == {"number": best.number, "perf": best.perf, "hp": best.hp}
    assert yaml.safe_load(printed(capsys, "best", store, "--format", "yaml")) == said
    assert json.loads(printed(capsys, "best", store, "--format", "json")) == said
    text = printed(capsys, "best", store)
    assert f"trial {best.number}: perf {best.perf:.6g}" in text
    assert repr(best.hp["lr"]) in text


def test_arguments_are_those_of_a_shell(store, capsys):
    """Quoted where they have to be."""
    best = Result.load(store).best.hp
    words = shlex.split(printed(capsys, "best", store, "--format", "args"))
    assert words == ["--lr", repr(best["lr"]), "--n", str(best["n"]), "--opti", "it's"]
    hp = {"a b": "two words", "c": None, "d": [1, "$x"], "e": 1e-300, "f": True}
    words = shlex.split(as_arguments(hp))
    assert words == ["--a b", "two words", "--c", "None", "--d", '[1, "$x"]', "--e", "1e-300", "--f", "True"]


def test_the_best_few_are_rows(store, capsys):
    """In their order; a list in JSON, also where there is one."""
    top = Result.load(store).top(3)
    said = json.loads(printed(capsys, "best", store, "--top", "3", "--json"))
    assert [one["number"] for one in said] == [trial.number for trial in top]
    lines = printed(capsys, "best", store, "--top", "3").splitlines()
    assert lines[0].split("\t") == ["trial", "perf", "lr", "n", "opti"]
    assert [line.split("\t")[0] for line in lines[1:]] == [str(trial.number) for trial in top]
    assert len(json.loads(printed(capsys, "best", store, "--top", "1", "--json"))) == 1
    assert len(printed(capsys, "best", store, "--top", "2", "--format", "args").splitlines()) == 2


def test_several_objectives_have_a_front(front, capsys):
    """With the compromise marked; as arguments the compromise alone."""
    result = Result.load(front)
    said = json.loads(printed(capsys, "best", front, "--json"))
    assert [one["number"] for one in said] == [trial.number for trial in result.pareto]
    assert [one["number"] for one in said if one["is_best"]] == [result.best.number]
    assert said[0]["perf"] == {"acc": result.pareto[0].perfs[0], "size": result.pareto[0].perfs[1]}
    assert printed(capsys, "best", front).startswith("trial\tacc\tsize\tlr")
    assert len(printed(capsys, "best", front, "--format", "args").splitlines()) == 1


def test_confirmed_ones_have_a_mean_and_an_interval(tmp_path, capsys):
    """What to expect, beside what the search saw."""
    noisy = lambda hps, seed: hps["n"] + (seed % 97) / 97
    hpo = build_hpo_from_name("random", SPACE, noisy, max_evals=10, seed=0)
    hpo.optimize(store=tmp_path / "run.db", progress=False, confirm=2)
    winner = hpo.result.winner
    said = json.loads(printed(capsys, "best", str(tmp_path / "run.db"), "--json"))
    assert said["confirmed"] == {"mean": winner.mean, "interval": list(winner.interval), "n_seeds": 5}
    assert f"confirmed: mean {winner.mean:.6g} over 5 new seeds" in printed(capsys, "best", str(tmp_path / "run.db"))


def test_values_that_only_the_program_knows_have_names(tmp_path, capsys):
    """A function among the choices is its name."""
    hpo = build_hpo_from_name("random", [ChoiceHP("act", [math.sin, math.cos])], lambda hps: 1.0, max_evals=1, seed=0)
    hpo.optimize(store=tmp_path / "run.db", progress=False)
    said = json.loads(printed(capsys, "best", str(tmp_path / "run.db"), "--json"))
    assert said["hp"]["act"] in ("sin", "cos")


def test_values_of_one_name_are_numbered(tmp_path, capsys):
    """They are different values all the same."""

    def made(n):
        def layer():
            return n

        return layer

    hpo = build_hpo_from_name("grid", [ChoiceHP("act", [made(1), made(2)])], lambda hps: hps["act"](), seed=0)
    hpo.optimize(store=tmp_path / "run.db", progress=False)
    said = json.loads(printed(capsys, "best", str(tmp_path / "run.db"), "--top", "2", "--json"))
    assert [one["hp"]["act"] for one in said] == ["layer (2)", "layer"]


def test_a_run_without_a_result_has_none(tmp_path, capsys):
    """Its exit code says so."""
    hpo = build_hpo_from_name("random", SPACE, seed=0)
    from autohpo import Search

    with Search(hpo, tmp_path / "run.db") as search:
        search.ask()
    assert main(["best", str(tmp_path / "run.db")]) == exits.NO_RESULT
    assert "no trial of 1 has a result" in capsys.readouterr().err


def test_a_store_without_a_run_is_none(tmp_path, capsys):
    """As where there is no store."""
    from autohpo.store import SQLiteStore

    store = SQLiteStore(tmp_path / "run.db")
    store.open()
    store.close()
    assert main(["best", str(tmp_path / "run.db")]) == exits.NO_STORE
    assert "holds no run yet" in capsys.readouterr().err


def test_a_store_has_a_url(store, tmp_path, capsys):
    """As in Python; none under it is told as none under a path."""
    assert (
        json.loads(printed(capsys, "best", f"sqlite:///{store}", "--json"))["number"] == Result.load(store).best.number
    )
    assert main(["best", f"sqlite:///{tmp_path}/no.db"]) == exits.NO_STORE
    assert main(["best", "postgres://here/run"]) == exits.USAGE


def test_wrong_uses_are_told(store, capsys):
    """And damage."""
    assert main(["best", store, "--top", "0"]) == exits.USAGE
    assert "top: must be at least 1, got 0" in capsys.readouterr().err
    with open(store, "r+b") as file:
        file.truncate(3000)
    assert main(["best", store, "--json"]) == exits.DAMAGED
    assert json.loads(capsys.readouterr().err)["error"]["type"] == "StoreCorruptError"


def test_the_environment_names_the_store(store, capsys, monkeypatch):
    """Where the command line does not."""
    monkeypatch.setenv("AUTOHPO_STORE", store)
    assert json.loads(printed(capsys, "best", "--json"))["number"] == Result.load(store).best.number
