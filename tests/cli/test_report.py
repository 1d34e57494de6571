"""`autohpo report`: the page of a run, and never over a file that is no page."""

from __future__ import annotations

import json

import pytest

from autohpo import RangeHP, build_hpo_from_name
from autohpo.cli import exits
from autohpo.cli.main import main


@pytest.fixture
def store(tmp_path):
    """A run with a name."""
    hpo = build_hpo_from_name("random", [RangeHP("width", 0.0, 1.0)], lambda hps: hps["width"], max_evals=9, seed=0)
    hpo.optimize(store=tmp_path / "run.db", progress=False, name="my <run>")
    return str(tmp_path / "run.db")


def test_the_page_lies_beside_the_store(store, tmp_path, capsys):
    """With the name of the run, its space and how it was made; a newer one takes its place."""
    for _ in range(2):
        assert main(["report", store]) == exits.OK
        assert capsys.readouterr().out == f"{tmp_path / 'run.html'}\n"
        page = (tmp_path / "run.html").read_text()
        assert page.startswith("<!doctype html>")
        assert "<h1>my &lt;run&gt;</h1>" in page
        assert "To repeat this run" in page
        assert "width" in page


def test_place_and_title_are_chosen(store, tmp_path, capsys):
    """JSON tells the place."""
    target = tmp_path / "page.html"
    assert main(["report", store, "--to", str(target), "--title", "Another", "--json"]) == exits.OK
    assert json.loads(capsys.readouterr().out) == {"path": str(target)}
    assert "<h1>Another</h1>" in target.read_text()


def test_no_other_file_is_overwritten(store, tmp_path, capsys):
    """Such as the store."""
    (tmp_path / "notes.html").write_text("mine")
    for target in (store, str(tmp_path / "notes.html")):
        assert main(["report", store, "--to", target]) == exits.USAGE
        assert "is no HTML page" in capsys.readouterr().err
    assert (tmp_path / "notes.html").read_text() == "mine"
    assert main(["report", store, "--to", str(tmp_path / "notes.html"), "--force"]) == exits.OK
    assert main(["report", store, "--to", str(tmp_path / "no" / "page.html")]) == exits.USAGE
