"""ClearML, offline: what stands in the folder of the session. In a process of its own: a task is the process's."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from autohpo import OptionError, Result

pytestmark = pytest.mark.extras
pytest.importorskip("clearml", reason="clearml is not installed; `make test-extras` installs it")

from autohpo.integrations.clearml_logging import ClearMLTracker  # noqa: E402

PROGRAM = """
import os
from autohpo import ChoiceHP, RangeHP, build_hpo_from_name
from autohpo.integrations.clearml_logging import ClearMLTracker

def f(hps):
    if hps["x"] > 0.85:
        raise ValueError("x is too large")
    for step in range(1, 4):
        yield {{"perf": hps["x"] * step, "loss": -float(step)}}

{begin}
space = [RangeHP("x", 0.0, 1.0), ChoiceHP("act", ["relu", "tanh"])]
hpo = build_hpo_from_name("random", space, f, max_evals={n}, seed=0)
hpo.optimize(store="run.db", progress=False, trackers=[ClearMLTracker(offline=True, project="cora", tags=["a"])])
{end}
"""


def session(folder, begin="", end="", n=12):
    """Run a search offline, and return the task, and its reports as ``{(title, series): [(iteration, value)]}``."""
    environment = {**os.environ, "CLEARML_CACHE_DIR": str(folder), "PYTHONPATH": str(Path(__file__).parents[3])}
    code = PROGRAM.format(begin=begin, end=end, n=n)
    subprocess.run([sys.executable, "-c", code], cwd=folder, env=environment, check=True, timeout=400)
    (task,) = (folder / "offline").glob("offline-*/task.json")
    curves = {}
    for line in (task.parent / "metrics.jsonl").read_text().splitlines():
        for event in json.loads(line):
            if event["type"] == "training_stats_scalar":
                curves.setdefault((event["metric"], event["variant"]), []).append((event["iter"], event["value"]))
    return json.loads(task.read_text()), curves, Result.load(folder / "run.db")


def test_a_search_is_a_task_with_a_curve_for_each_trial(tmp_path):
    """The fidelity is the iteration; the result is the oracle."""
    task, curves, result = session(tmp_path)
    assert task["name"] == "run"
    assert task["type"] == "optimizer"
    assert "a" in task["tags"]
    hyper = {name: entry["value"] for name, entry in task["hyperparams"]["search"].items()}
    assert (hyper["algorithm"], hyper["seed"]) == ("random", "0")
    assert task["hyperparams"]["best"]["x"]["value"] == str(result.best.hp["x"])
    for trial in result:
        points = curves.get(("perf", f"trial-{trial.number:04d}"), [])
        assert points == [(step, pytest.approx(perf)) for step, perf in trial.reports]
    best, course = float("-inf"), []
    for n, trial in enumerate(result, start=1):
        best = max(best, trial.perf if trial.perf is not None else best)
        course.append((n, pytest.approx(best)))
    assert curves["best", "perf"] == [point for point in course if point[1] != pytest.approx(float("-inf"))]


def test_a_search_that_goes_on_has_the_same_task(tmp_path):
    """No trial is told twice."""
    session(tmp_path, n=6)
    _, curves, result = session(tmp_path, n=12)  # one task: `session` finds one folder
    assert [step for step, _ in curves["best", "perf"]] == list(range(1, 13))
    assert sum(title == "seconds" for title, _ in curves) == len(result) == 12
    assert all(len(points) == 1 for (title, _), points in curves.items() if title == "seconds")


def test_the_task_of_a_program_is_taken_and_stays_open(tmp_path):
    """It is the only one that there can be."""
    begin = (
        'from clearml import Task\nTask.set_offline(True)\nown = Task.init("p", "mine", auto_connect_frameworks=False)'
    )
    task, curves, _ = session(tmp_path, begin, 'own.get_logger().report_scalar("own", "s", 1.0, 1)\nown.close()')
    assert task["name"] == "mine"
    assert {("own", "s"), ("best", "perf")} <= set(curves)


def test_wrong_options_are_refused():
    """With the name of the option."""
    with pytest.raises(OptionError, match="project: must be a string, got 3"):
        ClearMLTracker(project=3)
    with pytest.raises(OptionError, match="offline: must be True or False, got 'yes'"):
        ClearMLTracker(offline="yes")
