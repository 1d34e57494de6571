"""`autohpo repair`: what is whole of a damaged store, said in sentences, and by the exit code."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from autohpo import RangeHP, build_hpo_from_name
from autohpo.cli import exits
from autohpo.cli.main import main
from autohpo.result import Result
from autohpo.search import Search


@pytest.fixture
def run_db(tmp_path, monkeypatch):
    """A store with eight finished trials, and its bytes."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("AUTOHPO_STORE", raising=False)
    hpo = build_hpo_from_name("random", [RangeHP("x", 0.0, 1.0)], lambda hp: hp["x"], max_evals=8, seed=0)
    hpo.optimize(store="run.db", progress=False)
    return Path("run.db")


def call(capsys, *words):
    """The exit code and what was printed."""
    code = main(list(map(str, words)))
    out, err = capsys.readouterr()
    return code, out or err


def spoil(path, marker=b'"state": "COMPLETE"'):
    """Changes a byte of the last event that has a text, and returns the damaged bytes."""
    data = bytearray(path.read_bytes())
    place = data.rfind(marker)
    assert place > 0
    data[place + len(marker) - 2] ^= 1
    path.write_bytes(data)
    return bytes(data)


def test_a_whole_store_is_copied_and_nothing_is_lost(run_db, capsys):
    """The copy has the same trials."""
    code, said = call(capsys, "repair", "run.db")
    lines = said.splitlines()
    assert code == exits.OK
    assert lines[0] == f"In {run_db.resolve()}, 24 events are whole."
    assert lines[1:3] == [
        "No other event is missing, as far as is known.",
        f"The new store, {run_db.resolve().with_name('run.repaired.db')}, has 24 events.",
    ]
    assert [t.perf for t in Result.load("run.repaired.db").trials] == [t.perf for t in Result.load("run.db").trials]


def test_what_is_lost_is_said_and_the_new_store_goes_on(run_db, capsys):
    """The damaged one stays as it is, byte for byte."""
    damaged = spoil(run_db)
    code, said = call(capsys, "repair", "run.db", "--to", "saved.db")
    assert code == exits.OK
    assert f"In {run_db.resolve()}, 23 events are whole.\nLost: 1, in the log at " in said
    assert "has 23 events." in said
    assert run_db.read_bytes() == damaged
    with Search.load("saved.db", max_evals=9) as search:
        waiting = list(search.state.running)
        assert len(waiting) == 1
        assert search.tell(waiting[0], 0.5).perf == 0.5
        assert search.state.n_done == 8


def test_json_has_the_numbers(run_db, capsys):
    """And where the new store is."""
    spoil(run_db)
    code, said = call(capsys, "repair", "run.db", "--json")
    found = json.loads(said)
    assert code == exits.OK
    assert (found["n_found"], found["n_lost"], found["n_written"], found["has_header"]) == (23, 1, 23, True)
    assert len(found["lost"]) == 1
    assert found["to"] == str(run_db.resolve().with_name("run.repaired.db"))


def test_a_lost_suggestion_takes_its_trial_along_and_is_said(run_db, capsys):
    """Those behind it have new numbers."""
    spoil(run_db, b'"hp": {"x"')
    code, said = call(capsys, "repair", "run.db")
    assert code == exits.OK
    assert "Of those found, 2 cannot be used: the suggestion of its trial is lost." in said
    assert len(Result.load("run.repaired.db").trials) == 7


@pytest.mark.parametrize(
    ("words", "code", "text"),
    [
        (["no.db"], exits.NO_STORE, "there is no no.db"),
        (["nowhere/run.db"], exits.NO_STORE, "nowhere does not exist"),
        (["folder"], exits.NO_STORE, "is a folder"),
        (["memory:"], exits.NO_STORE, "must be a file"),
        (["run.db", "--to", "run.db"], exits.FAILED, "exists already; name a new file"),
        (["run.db", "--to", "nowhere/new.db"], exits.FAILED, "nowhere does not exist"),
        (["text.db"], exits.DAMAGED, "no event of a run can be read"),
        ([], exits.USAGE, "store: none was given"),
    ],
)
def test_what_cannot_be_is_said_with_its_exit_code(run_db, capsys, words, code, text):
    """Nothing is written then."""
    Path("folder").mkdir()
    Path("text.db").write_text("no store at all\n" * 100)
    before = sorted(Path().iterdir())
    found, said = call(capsys, "repair", *words)
    assert (found, text in said) == (code, True), said
    assert set(Path().iterdir()) - set(before) <= {Path("text.db.lock")}


def test_a_store_in_use_is_left_alone(run_db, capsys):
    """It is busy."""
    with Search.load("run.db"):
        assert call(capsys, "repair", "run.db")[0] == exits.BUSY
    assert not Path("run.repaired.db").exists()
