"""A search that every tracker is told of: reports, metrics, failures, and a driver that is killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from autohpo import ChoiceHP, RangeHP, build_hpo_from_name

ROOT = Path(__file__).parents[3]

PROGRAM = """
import time
import autohpo.tracking.follower
from autohpo import RangeHP, build_hpo_from_name
{imports}

def f(hps):
    for step in range(1, 4):
        time.sleep(0.03)
        yield hps["x"] * step

autohpo.tracking.follower.FLUSH_SECONDS = 0.1
autohpo.tracking.follower.MOST_CHANGES = 10  # so that some batches are noted before the kill
hpo = build_hpo_from_name("random", [RangeHP("x", 0.0, 1.0)], f, max_evals=30, seed=0)
hpo.optimize(store="run.db", progress=False, trackers=[{tracker}])
"""


def objective(hps):
    """Three epochs, with a loss beside the result; large x fails."""
    if hps["x"] > 0.85:
        raise ValueError("x is too large")
    for step in range(1, 4):
        yield {"perf": hps["x"] * step, "loss": -float(step)}


@pytest.fixture
def searched():
    """Run a search of twelve trials with some trackers, and return its result."""

    def run(*trackers, f=objective, name="random", mode="max", **options):
        space = [RangeHP("x", 0.0, 1.0), ChoiceHP("act", ["relu", "tanh"])]
        hpo = build_hpo_from_name(name, space, f, max_evals=12, seed=0, mode=mode)
        hpo.optimize(progress=False, trackers=[*trackers], continue_on_error=True, **options)
        return hpo.result

    return run


@pytest.fixture
def killed_and_resumed(tmp_path):
    """Kill a driver with a tracker once some trials are over, run the same command again, and return the folder."""

    def run(imports, tracker, is_told):
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        command = [sys.executable, "-c", PROGRAM.format(imports=imports, tracker=tracker)]
        first = subprocess.Popen(command, cwd=tmp_path, env=environment)
        until = time.monotonic() + 120
        while time.monotonic() < until and first.poll() is None and not is_told(tmp_path):
            time.sleep(0.02)
        assert first.poll() is None, "it was over before it could be killed"
        os.kill(first.pid, signal.SIGKILL)
        first.wait()
        subprocess.run(command, cwd=tmp_path, env=environment, check=True, timeout=200)
        return tmp_path

    return run
