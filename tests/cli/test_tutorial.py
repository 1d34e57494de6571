"""The tutorial for the shell: its files and its commands, as a reader would type them."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from autohpo.tables import read_csv

ROOT = Path(__file__).parents[2]
BY_AN_EXAMPLE = {"nas-bench-graph"}  # examples/architecture_search.py draws it

pytestmark = pytest.mark.skipif(os.name != "posix", reason="commands run on Linux and macOS")


@pytest.fixture(scope="module")
def recorder():
    """The module that records the pictures of the page."""
    spec = importlib.util.spec_from_file_location("record", ROOT / "docs" / "pictures" / "record.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def shell(recorder, tmp_path):
    """A function that runs a command line in a folder with the files of the page, whose epochs are quick here."""
    for name, text in recorder.files_of(recorder.TUTORIAL).items():
        (tmp_path / name).write_text(text.replace("sleep 0.4", "sleep 0.02"))
        (tmp_path / name).chmod(0o755)
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}

    def run(command, *, code=0):
        done = subprocess.run(
            ["/bin/sh", "-c", command], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == code, done.stderr
        return done.stdout

    return run


def test_the_page_does_what_it_says(shell, tmp_path):
    """From the first look to the table for a spreadsheet, with a stop between."""
    assert [json.loads(line)["epoch"] for line in shell("./train.sh 0.01 2 adam 3").splitlines()] == [1, 2, 3]
    assert "./train.sh 0.0" in shell("autohpo run tune.yaml --dry-run")
    assert not (tmp_path / "tune.db").exists()
    assert "autohpo top tune.db" in shell("autohpo run tune.yaml --detach")
    until = time.monotonic() + 60
    while not int(json.loads(shell("autohpo ls --json"))[0]["trials"] or 0) and time.monotonic() < until:
        time.sleep(0.1)
    assert "asha" in shell("autohpo top tune.db --once")
    shell("autohpo stop tune.db")
    shell("autohpo resume tune.db")
    best = json.loads(shell("autohpo best tune.db --json"))
    assert "--layers" in shell("autohpo best tune.db --format args")
    shell("autohpo export tune.db --to trials.csv")
    rows = read_csv(tmp_path / "trials.csv")
    assert len(rows) == 60
    in_full = [row for row in rows if row["perf"] is not None and row["fidelity"] == best["fidelity"]]
    assert best["perf"] == max(row["perf"] for row in in_full)
    shell("autohpo export tune.db --to run.jsonl")
    shell("autohpo import run.jsonl --to again.db")
    assert json.loads(shell("autohpo best again.db --json"))["hp"] == best["hp"]


def test_every_picture_of_the_page_is_recorded_by_the_script(recorder):
    """And none of them names a folder of the machine where it was recorded, or asks another server for anything."""
    pictures = sorted(recorder.HERE.glob("*.svg"))
    code = (recorder.HERE / "record.py").read_text()
    assert {path.stem for path in pictures if f'drawn("{path.stem}"' not in code} == BY_AN_EXAMPLE
    for path in pictures:
        text = path.read_text()
        assert "url(http" not in text
        assert not any(place in text for place in ("/tmp", "/home", "/root", "/work"))
