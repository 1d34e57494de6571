"""`autohpo export` and `autohpo import`: what goes out comes back, and nothing is overwritten by accident."""

from __future__ import annotations

import json
import os
import random
import re
import string

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autohpo import ChoiceHP, RangeHP, Result, Search, build_hpo_from_name
from autohpo.cli import exits
from autohpo.cli.main import main
from autohpo.store import LogEvent, SQLiteStore, open_store
from autohpo.tables import read_csv

SPACE = [RangeHP("x", 0.0, 1.0), ChoiceHP("c", ["a", None, 2, (1, 2)])]


def f(hps):
    """What is to be maximised, now and then."""
    for epoch in range(1, 4):
        if hps["x"] > 0.8:
            raise ValueError('it said "no" \\ ü\n\ud800')
        yield hps["x"] - 1 / epoch


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """A run with fidelities and failures."""
    path = tmp_path_factory.mktemp("run") / "run.db"
    hpo = build_hpo_from_name("hyperband", SPACE, f, min_fidelity=1, max_fidelity=3, max_evals=30, seed=0)
    hpo.optimize(store=path, progress=False, name="a name", continue_on_error=True, max_consecutive_failures=None)
    return str(path)


def content(path):
    """The header and the events of a store."""
    log = open_store(path, read_only=True)
    try:
        return log.header, list(log.events())
    finally:
        log.close()


def test_tables_have_a_row_for_each_trial(store, tmp_path, capsys):
    """CSV and JSON, in a file or on standard output."""
    records = Result.load(store).to_records()
    assert main(["export", store, "--to", str(tmp_path / "run.csv")]) == exits.OK
    assert read_csv(tmp_path / "run.csv") == records
    assert "30 trials" in capsys.readouterr().err
    assert main(["export", store, "--to", str(tmp_path / "run.json"), "--json"]) == exits.OK
    said = json.loads(capsys.readouterr().out)
    assert said == {"path": str(tmp_path / "run.json"), "format": "json", "n": 30}
    rows = json.loads((tmp_path / "run.json").read_text())
    assert [row["hp.x"] for row in rows] == [record["hp.x"] for record in records]
    assert main(["export", store, "--to", "-", "--format", "csv"]) == exits.OK
    assert capsys.readouterr().out.encode("utf-8", "backslashreplace") == (tmp_path / "run.csv").read_bytes()


def test_parquet_has_a_row_for_each_trial(store, tmp_path, capsys):
    """Where there is a library for it; else its name is told."""
    target = str(tmp_path / "run.parquet")
    try:
        import pyarrow  # noqa: F401, ICN001
    except ImportError:
        assert main(["export", store, "--to", target]) == exits.FAILED
        assert "pyarrow is not installed" in capsys.readouterr().err
        return
    import pandas as pd

    assert main(["export", store, "--to", target]) == exits.OK
    frame = pd.read_parquet(target)
    assert list(frame["hp.x"]) == [trial.hp["x"] for trial in Result.load(store)]


def test_the_log_comes_back_as_it_was(store, tmp_path, capsys):
    """Header, events, times and checksums."""
    assert main(["export", store, "--to", str(tmp_path / "run.jsonl")]) == exits.OK
    assert main(["import", str(tmp_path / "run.jsonl"), "--to", str(tmp_path / "copy.db"), "--json"]) == exits.OK
    assert json.loads(capsys.readouterr().out)["n"] == len(content(store)[1])
    assert content(tmp_path / "copy.db") == content(store)
    assert main(["export", str(tmp_path / "copy.db"), "--to", str(tmp_path / "again.jsonl")]) == exits.OK
    assert (tmp_path / "again.jsonl").read_bytes() == (tmp_path / "run.jsonl").read_bytes()
    left = {path.name for path in tmp_path.iterdir()} - {"copy.db-wal", "copy.db-shm"}  # SQLite's own, of readers
    assert left == {"again.jsonl", "copy.db", "copy.db.lock", "run.jsonl"}


def test_a_run_goes_on_where_it_was_imported(tmp_path):
    """On another machine, say."""
    hpo = build_hpo_from_name("random", SPACE, lambda hps: hps["x"], max_evals=5, seed=0)
    hpo.optimize(store=tmp_path / "run.db", progress=False)
    assert main(["export", str(tmp_path / "run.db"), "--to", str(tmp_path / "run.jsonl")]) == exits.OK
    assert main(["import", str(tmp_path / "run.jsonl"), "--to", str(tmp_path / "copy.db")]) == exits.OK
    for name in ("run.db", "copy.db"):
        hpo = build_hpo_from_name("random", SPACE, lambda hps: hps["x"], max_evals=8, seed=0)
        hpo.optimize(store=tmp_path / name, progress=False)
    hps = [[trial.hp for trial in Result.load(tmp_path / name)] for name in ("run.db", "copy.db")]
    assert hps[0] == hps[1]
    assert len(hps[0]) == 8


TEXT = st.text(st.characters(), max_size=12)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)


@given(st.lists(st.dictionaries(TEXT, VALUES, max_size=3), max_size=4), TEXT, st.floats(0, 2e9), TEXT)
@settings(max_examples=60, deadline=None)
def test_every_value_comes_back(tmp_path_factory, infos, name, time, error):
    """Whatever notes, errors and names a log holds."""
    folder = tmp_path_factory.mktemp("values")
    hpo = build_hpo_from_name("random", SPACE, seed=0)
    with Search(hpo, folder / "run.db", name=name) as search:
        store, events = search.store, []
        for number, info in enumerate(infos):
            hp = {"x": 0.1 + 0.2, "c": number % 4}
            data = {"hp": hp, "fidelity": None, "resume": None, "pid": 0, "seed": number, "info": info}
            events += [LogEvent("ask", number, 0, data, time), LogEvent("start", number, 1, {"slot": 0}, time)]
            end = {"state": "FAILED", "perf": None, "fidelity": None, "error": error}
            events.append(LogEvent("end", number, 1, end, time))
        store.append(events)
    assert main(["export", str(folder / "run.db"), "--to", str(folder / "run.jsonl")]) == exits.OK
    assert main(["import", str(folder / "run.jsonl"), "--to", str(folder / "copy.db")]) == exits.OK
    assert content(folder / "copy.db") == content(folder / "run.db")


def test_a_file_that_is_cut_anywhere_is_refused(store, tmp_path, capsys):
    """With the line at which it ends; nothing is left of it."""
    assert main(["export", store, "--to", str(tmp_path / "run.jsonl")]) == exits.OK
    whole = (tmp_path / "run.jsonl").read_bytes()
    rng = random.Random(0)
    ends = [0, 1, len(whole) - 2, whole.index(b"\n") + 1, *(rng.randrange(len(whole) - 1) for _ in range(40))]
    for end in ends:
        (tmp_path / "cut.jsonl").write_bytes(whole[:end])
        assert main(["import", str(tmp_path / "cut.jsonl"), "--to", str(tmp_path / "new.db")]) == exits.USAGE
        line = whole[:end].count(b"\n") + 1
        said = capsys.readouterr().err
        assert re.search(rf"line ({line}|{line - 1})\b", said), said
        assert list(tmp_path.glob("new.db*")) == []
    (tmp_path / "cut.jsonl").write_bytes(whole[:-1])  # the last letter is the end of a line, which says nothing
    assert main(["import", str(tmp_path / "cut.jsonl"), "--to", str(tmp_path / "new.db")]) == exits.OK


def test_a_file_that_was_changed_is_refused(store, tmp_path, capsys):
    """Whichever digit of an event, or line, it is."""
    assert main(["export", store, "--to", str(tmp_path / "run.jsonl")]) == exits.OK
    lines = (tmp_path / "run.jsonl").read_text().splitlines()
    rng = random.Random(0)
    changed = []
    for _ in range(40):
        place = rng.randrange(len(lines))
        digits = [k for k, letter in enumerate(lines[place]) if letter in string.digits]
        k = rng.choice(digits)
        other = rng.choice([letter for letter in string.digits if letter != lines[place][k]])
        changed.append([*lines[:place], lines[place][:k] + other + lines[place][k + 1 :], *lines[place + 1 :]])
    changed += [lines[:3] + lines[4:], [*lines[:3], lines[4], lines[3], *lines[5:]], [*lines, lines[3]]]
    for text in changed:
        if [json.loads(line) for line in text] == [json.loads(line) for line in lines]:
            continue  # the last digit of a time, which no float has
        if '"version"' in text[0] and text[0] != lines[0] and text[1:] == lines[1:]:
            header = [json.loads(one[0])["header"] for one in (text, lines)]
            if header[0] == header[1] and json.loads(text[0])["crc"] == json.loads(lines[0])["crc"]:
                continue  # only which release wrote it
        (tmp_path / "bad.jsonl").write_text("\n".join(text) + "\n")
        assert main(["import", str(tmp_path / "bad.jsonl"), "--to", str(tmp_path / "new.db")]) == exits.USAGE
        assert "line " in capsys.readouterr().err
        assert list(tmp_path.glob("*new.db*")) == []


def test_nothing_is_overwritten_unless_that_is_said(store, tmp_path, capsys):
    """Neither a file nor a store."""
    log, copy = str(tmp_path / "run.jsonl"), str(tmp_path / "copy.db")
    (tmp_path / "run.jsonl").write_text("mine")
    assert main(["export", store, "--to", log]) == exits.USAGE
    assert "--force" in capsys.readouterr().err
    assert (tmp_path / "run.jsonl").read_text() == "mine"
    assert main(["export", store, "--to", log, "--force"]) == exits.OK
    hpo = build_hpo_from_name("random", SPACE, lambda hps: 1.0, max_evals=40, seed=0)
    hpo.optimize(store=copy, progress=False)
    before = content(copy)
    assert main(["import", log, "--to", copy]) == exits.USAGE
    assert "--force" in capsys.readouterr().err
    assert content(copy) == before
    assert main(["import", log, "--to", copy, "--force"]) == exits.OK
    assert content(copy) == content(store)
    assert main(["export", store, "--to", store, "--format", "csv", "--force"]) == exits.USAGE
    assert "is the store itself" in capsys.readouterr().err


def test_a_store_that_is_in_use_is_not_overwritten(store, tmp_path, capsys):
    """Also with --force; nor one whose checkpoints are there."""
    assert main(["export", store, "--to", str(tmp_path / "run.jsonl")]) == exits.OK
    target = tmp_path / "used.db"
    other = SQLiteStore(target)
    other.open()
    assert main(["import", str(tmp_path / "run.jsonl"), "--to", str(target), "--force"]) == exits.BUSY
    other.close()
    (tmp_path / "used.db.files").mkdir()
    assert main(["import", str(tmp_path / "run.jsonl"), "--to", str(target), "--force"]) == exits.USAGE
    assert "checkpoints and logs" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "text"), [("a.txt", b"x"), ("a.bin", b"\0\xff"), ("a.jsonl", b"\xff\xfe"), ("a", b"")]
)
def test_files_of_other_formats_are_refused(tmp_path, capsys, name, text):
    """And it is told which are known."""
    (tmp_path / name).write_bytes(text)
    assert main(["import", str(tmp_path / name), "--to", str(tmp_path / "new.db")]) == exits.USAGE
    said = capsys.readouterr().err
    assert "known are" in said or "is no text" in said
    assert not (tmp_path / "new.db").exists()


def test_what_is_no_file_to_import_is_refused(store, tmp_path, capsys):
    """A store, a folder, nothing."""
    for source, what in ((store, "is a store already"), (str(tmp_path), "configs.json"), (str(tmp_path / "no"), "no")):
        assert main(["import", source, "--to", str(tmp_path / "new.db")]) == exits.USAGE
        assert what in capsys.readouterr().err
    assert main(["export", store, "--to", str(tmp_path / "run.xlsx")]) == exits.USAGE
    assert ".csv, .json, .jsonl, .parquet" in capsys.readouterr().err


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no pipes in folders")
@pytest.mark.parametrize("words", [["export", "--format", "csv", "--force"], ["import", "--force"], ["repair"]])
def test_no_file_takes_the_place_of_a_pipe_or_a_device(words, tmp_path, capsys):
    """Who is root could lose ``/dev/full`` by that, with --force too."""
    store, pipe = tmp_path / "run.db", tmp_path / "pipe"
    with Search(build_hpo_from_name("random", [RangeHP("x", 0.0, 1.0)], seed=0), store) as search:
        search.tell(search.ask(), 0.5)
    os.mkfifo(pipe)
    given = store
    if words[0] == "import":
        given = tmp_path / "run.jsonl"
        assert main(["export", str(store), "--to", str(given)]) == exits.OK
    assert main([words[0], str(given), "--to", str(pipe), *words[1:]]) in (exits.USAGE, exits.FAILED)
    assert re.search("a device or a pipe", capsys.readouterr().err)
    assert pipe.is_fifo()
    assert {path.name for path in tmp_path.iterdir()} <= {"run.db", "run.db.lock", "run.jsonl", "pipe"}
