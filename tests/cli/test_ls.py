"""`autohpo ls`: every store of a folder, damaged ones too, and without reading the whole of long ones."""

from __future__ import annotations

import json
import shutil

import pytest

from autohpo import RangeHP, Result, Search, build_hpo_from_name
from autohpo.cli import exits
from autohpo.cli.look import listing
from autohpo.cli.main import main
from autohpo.store import SQLiteStore

SPACE = [RangeHP("x", 0.0, 1.0)]


def made(path, n=5, **more):
    """A run of some trials."""
    hpo = build_hpo_from_name("random", SPACE, lambda hps: hps["x"], max_evals=n, seed=0)
    hpo.optimize(store=path, progress=False, **more)
    return path


def rows(capsys, *argv):
    """What the command prints as JSON, by the name of the store."""
    assert main(["ls", *map(str, argv), "--json"]) == exits.OK
    return {row["store"]: row for row in json.loads(capsys.readouterr().out)}


def test_each_store_is_told(tmp_path, capsys):
    """Its run, its best, and whether somebody works on it."""
    made(tmp_path / "a.db", name="first")
    (tmp_path / "notes.txt").write_text("no store")
    (tmp_path / "empty.db").write_bytes(b"")
    hpo = build_hpo_from_name("tpe", SPACE, seed=0)
    with Search(hpo, tmp_path / "b.sqlite") as search:
        search.tell(search.ask(), 0.25)
        search.ask()
        said = rows(capsys, tmp_path)
        assert said["b.sqlite"]["state"] == "running"
    assert set(said) == {"a.db", "b.sqlite"}
    best = Result.load(tmp_path / "a.db").best.perf
    assert said["a.db"] | {"changed": 0} == {
        "store": "a.db",
        "name": "first",
        "algorithm": "random",
        "trials": 5,
        "best": f"{best:.6g}",
        "state": "idle",
        "changed": 0,
    }
    assert abs(said["a.db"]["changed"] - (tmp_path / "a.db").stat().st_mtime) < 60
    assert (said["b.sqlite"]["trials"], said["b.sqlite"]["best"]) == (2, "0.25")
    assert rows(capsys, tmp_path)["b.sqlite"]["state"] == "idle"


@pytest.mark.parametrize("kept", [0, 10, 3000, 5000])
def test_damaged_ones_are_told_as_such(tmp_path, capsys, kept):
    """And nothing else is kept from being told."""
    made(tmp_path / "a.db")
    shutil.copy(made(tmp_path / "broken.db"), tmp_path / "whole.db")
    with open(tmp_path / "broken.db", "r+b") as file:
        file.truncate(kept)
    said = rows(capsys, tmp_path)
    assert said["broken.db"]["state"] == "damaged"
    assert said["broken.db"]["error"]
    assert said["a.db"]["best"] == said["whole.db"]["best"]
    assert main(["ls", str(tmp_path)]) == exits.OK
    assert "broken.db" in capsys.readouterr().err


def test_a_damaged_row_is_told(tmp_path, capsys):
    """What only shows when the log is read."""
    import sqlite3

    made(tmp_path / "a.db")
    with sqlite3.connect(tmp_path / "a.db") as db:
        db.execute("UPDATE events SET data = '{}' WHERE kind = 'end'")
    db.close()
    assert rows(capsys, tmp_path)["a.db"]["state"] == "damaged"


def test_a_store_without_a_run_is_empty(tmp_path, capsys):
    """It is no damage."""
    store = SQLiteStore(tmp_path / "new.db")
    store.open()
    store.close()
    assert rows(capsys, tmp_path)["new.db"]["state"] == "empty"


def test_folders_in_it_are_searched_where_that_is_asked_for(tmp_path, capsys):
    """But not those of checkpoints."""
    for folder in ("sub/deep", "run.db.files"):
        (tmp_path / folder).mkdir(parents=True)
        made(tmp_path / folder / "a.db")
    assert rows(capsys, tmp_path) == {}
    assert set(rows(capsys, tmp_path, "--recursive")) == {"sub/deep/a.db"}


def test_long_runs_are_not_read_through(tmp_path, capsys, monkeypatch):
    """Unless that is asked for; those that changed last come first."""
    monkeypatch.setattr(listing, "TRIALS_READ", 12)
    for name in ("a", "b", "c"):
        made(tmp_path / f"{name}.db")
    said = rows(capsys, tmp_path)
    assert sum(row["best"] is None for row in said.values()) == 1
    assert all(row["trials"] == 5 for row in said.values())
    assert main(["ls", str(tmp_path)]) == exits.OK
    assert "--best tells of all" in capsys.readouterr().err
    assert all(row["best"] for row in rows(capsys, tmp_path, "--best").values())


def test_the_folder_is_that_of_the_environment(tmp_path, capsys, monkeypatch):
    """Else the current one."""
    (tmp_path / "other").mkdir()
    made(tmp_path / "other" / "a.db")
    monkeypatch.setenv("AUTOHPO_STORE", str(tmp_path / "other" / "a.db"))
    assert set(rows(capsys)) == {"a.db"}
    monkeypatch.delenv("AUTOHPO_STORE")
    monkeypatch.chdir(tmp_path / "other")
    assert set(rows(capsys)) == {"a.db"}


def test_no_folder_and_no_store_are_told(tmp_path, capsys):
    """The one is a fault, the other none."""
    assert main(["ls", str(tmp_path / "no")]) == exits.NO_STORE
    assert "there is no folder" in capsys.readouterr().err
    assert main(["ls", str(tmp_path)]) == exits.OK
    assert "there is no store in" in capsys.readouterr().err
