"""`autohpo export` and `import` of Optuna's studies, and `autohpo dashboard` where its package is missing."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from autohpo import RangeHP, Result, build_hpo_from_name
from autohpo.cli import exits
from autohpo.cli.main import main

optuna = pytest.importorskip("optuna", reason="the extra autohpo[optuna] is not installed")


@pytest.fixture
def run(tmp_path, monkeypatch):
    """A run in the file run.db of a folder of its own."""
    monkeypatch.chdir(tmp_path)
    hpo = build_hpo_from_name("random", [RangeHP("x", 0.0, 1.0)], lambda hps: hps["x"], max_evals=6, seed=0)
    hpo.optimize(store="run.db", name="toy", progress=False)
    return Result.load("run.db")


@pytest.mark.parametrize(
    ("to", "source"),
    [
        ("study.journal", "study.journal"),
        ("sqlite:///study.sqlite", "study.sqlite"),  # a file says what it is
    ],
)
def test_a_run_becomes_a_study_and_a_run_again(run, to, source, capsys):
    """Equal, trial for trial; Optuna tells nothing of its own."""
    assert main(["export", "run.db", "--to", to]) == exits.OK
    out, err = capsys.readouterr()
    assert (out, err) == ("", f"{to}: 6 trials\n")
    assert main(["import", source, "--to", "back.db", "--json"]) == exits.OK
    out, err = capsys.readouterr()
    assert (json.loads(out)["from"], json.loads(out)["n"], err) == ("optuna", 6, "")
    assert list(Result.load("back.db").trials) == list(run.trials)


def test_of_several_studies_one_is_named(run, capsys):
    """On both sides; none is overwritten."""
    assert main(["export", "run.db", "--to", "a.journal"]) == exits.OK
    assert main(["export", "run.db", "--to", "a.journal", "--study", "two", "--json"]) == exits.OK
    assert json.loads(capsys.readouterr().out) == {"path": "a.journal", "format": "optuna", "n": 6}
    assert main(["export", "run.db", "--to", "a.journal", "--study", "two"]) == exits.USAGE
    assert "must be new in the storage, got 'two'" in capsys.readouterr().err
    assert main(["import", "a.journal", "--to", "back.db"]) == exits.USAGE
    assert "must be one of ['toy', 'two'], got None" in capsys.readouterr().err
    assert not Path("back.db").exists()
    assert main(["import", "a.journal", "--to", "back.db", "--study", "two"]) == exits.OK


@pytest.mark.parametrize(
    ("argv", "text"),
    [
        (["export", "run.db", "--to", "-", "--format", "optuna"], "to: a study goes to a file or into a database"),
        (["export", "run.db", "--to", "a.journal", "--force"], "force: a study is never overwritten"),
        (["export", "run.db", "--to", "a.csv", "--study", "s"], "study: is for the format optuna, got 's' for csv"),
        (["export", "run.db", "--to", "nosuch://u:secret@h/x"], "storage: nosuch://***@h/x cannot be opened"),
        (["import", "sqlite:///no.sqlite", "--to", "b.db"], "storage: there is no no.sqlite"),
        (["import", "run.jsonl", "--to", "b.db", "--study", "s"], "study: is for studies of Optuna"),
        (["import", "run.db", "--to", "b.db"], "is a store already"),
    ],
)
def test_what_does_not_fit_is_an_error(run, argv, text, capsys):
    """It says what is wrong, and no secret."""
    assert main(["export", "run.db", "--to", "run.jsonl"]) == exits.OK
    capsys.readouterr()
    assert main(argv) == exits.USAGE
    err = capsys.readouterr().err
    assert text in err
    assert "secret" not in err


def test_a_missing_package_is_named_with_its_extra(run):
    """In a process without it, whatever is installed here."""
    code = (
        "import sys; sys.modules['optuna_dashboard'] = None; from autohpo.cli.main import main; "
        "sys.exit(main(['dashboard', 'run.db', '--port', '0']))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (exits.FAILED, "")
    assert done.stderr == "autohpo: optuna-dashboard is not installed: pip install 'autohpo[dashboard]'\n"


def test_without_optuna_the_error_names_the_extra():
    """When a name is used; the package itself is always there."""
    code = """
import sys
sys.modules["optuna"] = None
import autohpo.integrations.optuna as there
from autohpo.errors import MissingExtraError
for name in ("StorageView", "study", "to_optuna_storage", "from_optuna_storage"):
    try:
        getattr(there, name)
    except MissingExtraError as error:
        print(name, error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.count("autohpo[optuna]") == 4


def test_a_store_that_is_not_there_is_told_as_everywhere(tmp_path, capsys):
    """Before anything is loaded."""
    assert main(["dashboard", str(tmp_path / "no.db")]) == exits.NO_STORE
    assert "there is no" in capsys.readouterr().err
