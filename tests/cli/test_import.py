"""`autohpo import` of what other programs wrote: tables of results, and HpBandSter's folders."""

from __future__ import annotations

import json

import pytest

from autohpo import Result, build_hpo_from_name
from autohpo.cli import exits
from autohpo.cli.main import main

YAML = """\
lr: {low: 1e-5, high: 0.1, log: true}
layers: {low: 1, high: 8}
act: [relu, tanh]
"""

CSV = """\
lr,layers,act,loss,size
0.01,3,relu,0.5,10
0.02,4,tanh,0.3,30
0.03,5,tanh,,20
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with a space and a table."""
    (tmp_path / "space.yaml").write_text(YAML)
    (tmp_path / "results.csv").write_text(CSV)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_table_becomes_known_results(folder, capsys):
    """Those without a result are left out, and counted."""
    argv = ["import", "results.csv", "--to", "run.db", "--space", "space.yaml", "--perf", "loss", "--mode", "min"]
    assert main(argv) == exits.OK
    assert "2 known results; 1 rows have none" in capsys.readouterr().err
    result = Result.load("run.db")
    assert [trial.hp for trial in result] == [
        {"lr": 0.01, "layers": 3, "act": "relu"},
        {"lr": 0.02, "layers": 4, "act": "tanh"},
    ]
    assert (result.best.number, result.best.perf, result.mode) == (1, 0.3, "min")


def test_the_run_goes_on_from_them(folder, capsys):
    """With the algorithm that was named; they do not count in its budget."""
    argv = ["import", "results.csv", "--to", "run.db", "--space", "space.yaml", "--perf", "loss", "--mode", "min"]
    assert main([*argv, "--algorithm", "random", "--name", "old ones"]) == exits.OK
    assert main(["ask", "run.db"]) == exits.OK
    number = json.loads(capsys.readouterr().out)["number"]
    assert number == 2
    assert main(["tell", "run.db", "--number", "2", "--perf", "0.1"]) == exits.OK
    result = Result.load("run.db")
    assert (result.algorithm, result.name, result.best.number) == ("random", "old ones", 2)


def test_several_columns_are_several_objectives(folder):
    """With a direction each."""
    argv = ["import", "results.csv", "--to", "run.db", "--space", "space.yaml", "--perf", "loss,size"]
    assert main([*argv, "--mode", "min,max"]) == exits.OK
    result = Result.load("run.db")
    assert result.mode == {"loss": "min", "size": "max"}
    assert [trial.perfs for trial in result] == [(0.5, 10.0), (0.3, 30.0)]


def test_what_export_wrote_can_be_read(folder):
    """CSV and JSON; columns are called hp.lr there."""
    argv = ["import", "results.csv", "--to", "run.db", "--space", "space.yaml", "--perf", "loss", "--mode", "min"]
    assert main(argv) == exits.OK
    for name in ("again.csv", "again.json"):
        assert main(["export", "run.db", "--to", name]) == exits.OK
        assert main(["import", name, "--to", f"{name}.db", "--space", "space.yaml", "--mode", "min"]) == exits.OK
        assert [(t.hp, t.perf) for t in Result.load(f"{name}.db")] == [(t.hp, t.perf) for t in Result.load("run.db")]


@pytest.mark.parametrize(
    ("old", "new", "what"),
    [
        ("0.02,4,tanh", "0.02,4,elu", "row 2 is no configuration of the space: act: "),
        ("0.02,4,tanh", "0.02,9,tanh", "row 2 is no configuration of the space: layers: "),
        ("0.02,4,tanh", "0.02,,tanh", "row 2 is no configuration of the space: layers: "),
        ("tanh,0.3", "tanh,good", "row 2: a result must be a finite number, got 'good'"),
        ("loss", "lose", "row 1 has no column 'loss'"),
        (",0.5,", ",,", "1 known"),
    ],
)
def test_a_row_that_is_no_result_is_named(folder, capsys, old, new, what):
    """With its number; nothing is left of the store then."""
    (folder / "results.csv").write_text(CSV.replace(old, new))
    argv = ["import", "results.csv", "--to", "run.db", "--space", "space.yaml", "--perf", "loss", "--mode", "min"]
    code = main(argv)
    assert code == (exits.OK if what == "1 known" else exits.USAGE)
    assert what in capsys.readouterr().err
    assert (folder / "run.db").exists() is (code == exits.OK)


def test_a_table_needs_a_space(folder, capsys):
    """And the options of tables are for tables."""
    assert main(["import", "results.csv", "--to", "run.db"]) == exits.USAGE
    assert "space: must be given for a table" in capsys.readouterr().err
    (folder / "run.jsonl").write_text("")
    assert main(["import", "run.jsonl", "--to", "run.db", "--mode", "min"]) == exits.USAGE
    assert "mode: is for tables" in capsys.readouterr().err
    (folder / "bad.json").write_text('{"a": 1}')
    assert main(["import", "bad.json", "--to", "run.db", "--space", "space.yaml"]) == exits.USAGE
    assert "must hold a list of objects" in capsys.readouterr().err


def test_a_folder_of_hpbandster_is_a_run(folder, capsys):
    """With its budgets as fidelities."""
    logs = folder / "logs"
    logs.mkdir()
    (logs / "configs.json").write_text('[[0, 0, 0], {"lr": 0.1}, {"model_based_pick": false}]\n')
    times = '{"submitted": 1.0, "started": 2.0, "finished": 3.0}'
    lines = [f'[[0, 0, 0], {budget}, {times}, {{"loss": {1 / budget}, "info": {{}}}}, null]' for budget in (1.0, 3.0)]
    (logs / "results.json").write_text("\n".join(lines) + "\n")
    assert main(["import", "logs", "--to", "run.db"]) == exits.OK
    assert "2 trials" in capsys.readouterr().err
    assert [(trial.fidelity, trial.perf) for trial in Result.load("run.db")] == [(1, 1.0), (3, 1 / 3)]
    assert Result.load("run.db").name == "logs"


def test_a_run_with_known_results_may_be_resumed_in_code(folder):
    """By the algorithm that it has."""
    argv = ["import", "results.csv", "--to", "run.db", "--space", "space.yaml", "--perf", "loss", "--mode", "min"]
    assert main([*argv, "--algorithm", "tpe"]) == exits.OK
    from autohpo.stored_run import optimizer_of

    hpo = optimizer_of("run.db", lambda hps: hps["lr"], options={"max_evals": 3})
    hpo.optimize(store="run.db", progress=False)
    assert len(Result.load("run.db")) == 5
    assert build_hpo_from_name("tpe", [*hpo.space], seed=0).space == hpo.space
