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


OWN_CLASSES = """
import multiprocessing
import pickle
import sys

from autohpo import RangeHP, build_hpo_from_name

print("imported", flush=True)

class Net:
    class Part:
        pass

    def __init__(self, weight):
        self.weight, self.part = weight, Net.Part()

def twice(net):
    return Net(2 * net.weight)

def answer(queue, net):
    queue.put(twice(net))

def f(hps, trial):
    path = trial.checkpoint_dir / "net.pkl"
    path.write_bytes(pickle.dumps(Net(hps["x"])))
    for how in sys.argv[1:]:
        context = multiprocessing.get_context(how)
        queue = context.Queue()
        child = context.Process(target=answer, args=(queue, pickle.loads(path.read_bytes())))
        child.start()
        assert queue.get(timeout=20).weight == 2 * hps["x"]
        child.join()
    return pickle.loads(path.read_bytes()).weight

hpo = build_hpo_from_name("random", [RangeHP("x", 0.0, 1.0)], f, max_evals=2, seed=0)
hpo.optimize(num_workers=2, progress=False)
for trial in hpo.result:
    net = pickle.loads((hpo.result.files / f"trial-{trial.number}" / "net.pkl").read_bytes())
    assert type(net) is Net and type(net.part) is Net.Part and net.weight == trial.perf
print(hpo.result.counts())
"""


@pytest.mark.parametrize("how", ["path", "-c", "-m"])
def test_a_class_of_the_script_is_pickled_in_a_worker_as_in_the_script(tmp_path, how):
    """The script reads back what its objective has saved: a model, for instance. It has no guard, and is run once."""
    (tmp_path / "program.py").write_text(OWN_CLASSES)
    command = {"path": ["program.py"], "-c": ["-c", OWN_CLASSES], "-m": ["-m", "program"]}[how]
    assert run(command, tmp_path) == ["imported", "{'COMPLETE': 2}", ""]


def test_processes_that_an_objective_starts_know_what_the_script_defines(tmp_path):
    """As the workers of a data loader must, however they are started; the script is not run again for them."""
    (tmp_path / "program.py").write_text(OWN_CLASSES)
    lines = run(["program.py", "spawn", "forkserver", "fork"], tmp_path)
    assert lines == ["imported", "{'COMPLETE': 2}", ""]


CHOICES = """
import multiprocessing
import pickle
import sys

from autohpo import ChoiceHP, build_hpo_from_name

class Small:
    size = 1.0

    def __repr__(self):
        return type(self).__name__

class Large(Small):
    size = 2.0

def f(hps):
    return pickle.loads(pickle.dumps(hps["model"])).size

def search():
    space = [ChoiceHP("model", [Small(), Large()])]
    hpo = build_hpo_from_name("grid", space, f, seed=0)
    hpo.optimize(num_workers=2, progress=False)
    print(sorted(trial.perf for trial in hpo.result), flush=True)

if __name__ == "__main__":
    search()
    child = multiprocessing.get_context("spawn").Process(target=search)
    child.start()
    child.join()
"""


def test_classes_that_only_the_configuration_has_are_pickled_in_a_worker_too(tmp_path):
    """Also where the search runs in a process that was itself started with spawn."""
    (tmp_path / "program.py").write_text(CHOICES)
    assert run(["program.py"], tmp_path) == ["[1.0, 2.0]", "[1.0, 2.0]", ""]
