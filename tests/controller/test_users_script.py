"""A program for ClearML, with its import lines changed, runs as it is: every argument of its documented example."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from autohpo import Result
from autohpo.controller import HyperParameterOptimizer

ROOT = Path(__file__).parents[2]

TRAIN = """
import argparse, json, os, time
parser = argparse.ArgumentParser()
for name in ("layer_1", "layer_2", "batch_size", "epochs"):
    parser.add_argument("--" + name, type=int)
args = parser.parse_args()
for epoch in range(1, args.epochs + 1):
    time.sleep(0.02)
    with open("trained", "a") as file:
        file.write(f"{os.getpid()} {time.time()}\\n")
    accuracy = 1 - 1 / epoch - abs(args.layer_1 - 256) / 4096 - abs(args.layer_2 - 384) / 4096 - args.batch_size / 1e5
    print(json.dumps(dict(title="validation", series="accuracy", value=accuracy, iteration=epoch)), flush=True)
    print(json.dumps(dict(title="training", series="loss", value=1 / epoch, iteration=epoch)), flush=True)
"""

SCRIPT = """
import json, sys

from autohpo import HyperParameterOptimizer
from autohpo.controller import DiscreteParameterRange, OptimizerBOHB, UniformIntegerParameterRange

told = []


def job_complete_callback(job_id, objective_value, objective_iteration, job_parameters, top_performance_job_id):
    told.append([job_id, objective_value, objective_iteration, job_parameters, top_performance_job_id])


if __name__ == "__main__":
    an_optimizer = HyperParameterOptimizer(
        base_task_id=sys.executable + " -S train.py --layer_1 {General/layer_1} --layer_2 {General/layer_2}"
        " --batch_size {General/batch_size} --epochs {General/epochs}",
        hyper_parameters=[
            UniformIntegerParameterRange("General/layer_1", min_value=128, max_value=512, step_size=128),
            UniformIntegerParameterRange("General/layer_2", min_value=128, max_value=512, step_size=128),
            DiscreteParameterRange("General/batch_size", values=[96, 128, 160]),
            DiscreteParameterRange("General/epochs", values=[30]),
        ],
        objective_metric_title="validation",
        objective_metric_series="accuracy",
        objective_metric_sign="max",
        max_number_of_concurrent_tasks=2,
        optimizer_class=OptimizerBOHB,
        execution_queue="default",
        spawn_project=None,
        save_top_k_tasks_only=None,
        time_limit_per_job=10.0,
        pool_period_min=0.1,
        total_max_jobs=10,
        min_iteration_per_job=10,
        max_iteration_per_job=30,
        auto_connect_task=True,
        always_create_task=False,
        compute_time_limit=None,
        store="run.db",
    )
    an_optimizer.set_report_period(0.2)
    an_optimizer.start(job_complete_callback=job_complete_callback)
    an_optimizer.set_time_limit(in_minutes=90.0)
    an_optimizer.wait()
    top_exp = an_optimizer.get_top_experiments(top_k=3)
    details = an_optimizer.get_top_experiments_details(top_k=3, all_metrics=True, all_hyper_parameters=True)
    an_optimizer.stop()
    print(json.dumps({"told": told, "top": [t.id for t in top_exp], "details": details}))
"""


def test_the_documented_example_runs_with_its_imports_changed(tmp_path):
    """Jobs of two at once, 300 iterations at most, five scalars for each, the top three with typed values."""
    (tmp_path / "train.py").write_text(TRAIN)
    (tmp_path / "hpo.py").write_text(SCRIPT)
    environment = {"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "hpo.py"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    result = Result.load(tmp_path / "run.db")
    completed = [trial for trial in result if trial.perf is not None]
    assert len(completed) >= 10
    assert [row[1] for row in found["told"]] == [trial.perf for trial in sorted(completed, key=_place(found))]
    assert {row[2] for row in found["told"]} == {10, 30}
    for _, _, _, parameters, _ in found["told"]:
        assert parameters["General/layer_1"] in (128, 256, 384, 512)
        assert parameters["General/layer_2"] in (128, 256, 384, 512)
        assert parameters["General/batch_size"] in (96, 128, 160)
        assert parameters["General/epochs"] == 30
    rows = [line.split() for line in (tmp_path / "trained").read_text().splitlines()]
    assert sum(trial.reports[-1][0] for trial in completed) <= 10 * 30
    assert len(rows) <= 10 * 30 + len(completed)  # one that is not told {fidelity} has begun another when it is ended
    spans = {pid: [float(at) for other, at in rows if other == pid] for pid, _ in rows}
    begins = [min(times) for times in spans.values()]
    assert max(sum(min(t) <= at <= max(t) for t in spans.values()) for at in begins) <= 2
    full = sorted((t.perf for t in completed if t.fidelity == 30), reverse=True)
    values = [row["metrics"]["validation/accuracy"]["value"] for row in found["details"]]
    assert values == full[:3]
    assert [row["task_id"] for row in found["details"]] == found["top"]
    assert found["details"][0]["metrics"]["training/loss"]["min_value"] == 1 / 30
    assert isinstance(found["details"][0]["hyper_parameters"]["General/layer_1"], int)


def _place(found):
    """The place of a trial in the order in which the callback was told."""
    order = [int(row[0].rsplit("-", 1)[1]) for row in found["told"]]
    return lambda trial: order.index(trial.number)


def test_every_argument_of_clearml_has_its_place():
    """By position, too: a program may give the first ones without names."""
    made = HyperParameterOptimizer(
        lambda hps: hps["x"],
        [{"type": "UniformParameterRange", "name": "x", "min_value": 0.0, "max_value": 1.0}],
        "loss",
        "total",
        "min",
        "random",
        2,
        "default",
        1.0,
        2.0,
        True,
        False,
        "project",
        3,
        local_port=9091,
    )
    assert made.get_objective_metric() == ("loss", "total")
    assert made.budget.compute_time.limit == 2.0
