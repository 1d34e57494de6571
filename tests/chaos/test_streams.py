"""Standard streams that are closed, missing, full or gone: none may cost a result."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
import time
from pathlib import Path

import pytest

import autohpo

ROOT = str(Path(autohpo.__file__).parents[1])

SCRIPT = """
import os, sys, time
from autohpo import RangeHP, build_hpo_from_name

def f(hps, trial):
    if trial.number == 1 and os.environ.get("HELD"):
        open("begun", "w").close()
        while not os.path.exists("go"):
            time.sleep(0.01)
    return hps["x"]

if os.environ.get("NONE"):
    sys.stdin = sys.stdout = sys.stderr = None
if os.environ.get("SHUT"):
    sys.stderr.close()
hpo = build_hpo_from_name("random", [RangeHP("x", 0.0, 1.0)], f, max_evals=4, seed=0)
best = hpo.optimize(num_workers=int(os.environ["WORKERS"]), progress=os.environ.get("PROGRESS", "auto"))
with open("result", "w") as file:
    file.write(f"{hpo.result.counts()} {best[1] == hpo.result.best.perf}")
"""


def environment(**more: str) -> dict[str, str]:
    """That of the script."""
    return {**os.environ, "PYTHONPATH": ROOT, "WORKERS": "1", "TERM": "xterm", **more}


def result(folder: Path) -> str:
    """What the script found."""
    return (folder / "result").read_text() if (folder / "result").exists() else "none"


@pytest.fixture
def script(tmp_path: Path) -> str:
    """The path of the script, in the folder that it runs in."""
    path = tmp_path / "run.py"
    path.write_text(SCRIPT)
    return str(path)


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-", "<&- 2>&-"])
@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_search_runs_with_closed_streams(tmp_path: Path, script: str, closed: str, workers: str) -> None:
    """The pipes of workers get none of their numbers."""
    command = ["bash", "-c", f"exec {sys.executable} {script} {closed}"]
    subprocess.run(command, cwd=tmp_path, env=environment(WORKERS=workers), timeout=30, check=True)
    assert result(tmp_path) == "{'COMPLETE': 4} True"


@pytest.mark.parametrize("more", [{"NONE": "1"}, {"SHUT": "1"}, {"NONE": "1", "PROGRESS": "rich"}])
def test_a_search_runs_without_standard_streams(tmp_path: Path, script: str, more: dict[str, str]) -> None:
    """As a service, or where somebody closed them."""
    subprocess.run([sys.executable, script], cwd=tmp_path, env=environment(**more), timeout=30, check=True)
    assert result(tmp_path) == "{'COMPLETE': 4} True"


def test_a_reader_that_has_seen_enough_does_not_end_the_search(tmp_path: Path, script: str) -> None:
    """``| head`` closes the pipe."""
    command = ["bash", "-c", f"{sys.executable} {script} 2>&1 | true"]
    subprocess.run(command, cwd=tmp_path, env=environment(PROGRESS="rich"), timeout=30, check=True)
    assert result(tmp_path) == "{'COMPLETE': 4} True"


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_terminal_that_goes_away_does_not_cost_the_result(tmp_path: Path, script: str, workers: str) -> None:
    """Where the search was told to survive that; its last line finds no terminal."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, script],
        cwd=tmp_path,
        env=environment(HELD="1", PROGRESS="rich", WORKERS=workers),
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)
    try:
        until = time.monotonic() + 20
        while not (tmp_path / "begun").exists() and time.monotonic() < until:
            time.sleep(0.01)
        os.close(ours)
        (tmp_path / "go").touch()
        process.wait(20)
    finally:
        process.kill()
        process.wait()
    assert result(tmp_path) == "{'COMPLETE': 4} True"
