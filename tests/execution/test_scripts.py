"""Objectives from wherever users write them: scripts without a guard, ``python -c``, modules beside the script."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import autohpo

USE = """
from dataclasses import dataclass
from autohpo.execution.local import LocalExecutor
from autohpo.objective import Objective
from autohpo.trial import Task

def search(f, hp):
    executor = LocalExecutor(1)
    executor.open(Objective.of(f), lambda event: True)
    executor.submit(0, Task(0, 1, hp))
    events = []
    while len(events) < 2:
        events += executor.poll(1.0)
    executor.close()
    print(events[-1].outcome.perf, events[-1].outcome.error)
"""

SCRIPT = f"""
import sys
{USE}
print("imported")

@dataclass
class Value:
    x: float

class Objective1:
    scale = 2.0
    def __call__(self, hp):
        import beside
        return beside.double(hp["value"].x) * self.scale + len(sys.argv)

search(Objective1(), {{"value": Value(3.0)}})
search(lambda hp: hp["x"] + FREE, {{"x": 1.0}}) if (FREE := 5.0) else None
"""


def run(command, folder):
    """What a Python program prints."""
    root = str(Path(autohpo.__file__).parents[1])
    environment = dict(os.environ, PYTHONPATH=root)
    done = subprocess.run(
        [sys.executable, *command], cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=25
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split("\n")


def test_a_script_without_a_guard_is_run_once(tmp_path):
    """Classes and lambdas of ``__main__`` and a module beside the script work from another working directory.

    That directory holds a file named as a module of the standard library, which no worker may take for it.
    """
    (tmp_path / "scripts").mkdir()
    (tmp_path / "scripts" / "search.py").write_text(SCRIPT)
    (tmp_path / "scripts" / "beside.py").write_text("def double(x):\n    return 2 * x\n")
    (tmp_path / "json.py").write_text("raise SystemExit('the wrong json')\n")
    lines = run(["scripts/search.py", "--option"], tmp_path)
    assert lines == ["imported", "14.0 ", "6.0 ", ""]


@pytest.mark.parametrize("how", ["-c", "-m"])
def test_code_without_a_file_works(tmp_path, how):
    """``python -c``, and a module run as ``__main__``."""
    code = USE + "\ndef f(hp):\n    return hp['x'] + 1\n\nsearch(f, {'x': 1.5})\n"
    (tmp_path / "program.py").write_text(code)
    assert run(["-c", code] if how == "-c" else ["-m", "program"], tmp_path) == ["2.5 ", ""]
