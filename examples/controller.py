"""Tunes a training that is a command line, by a controller with ClearML's names.

    python examples/controller.py --store run.db

Kill it at any time: the same command goes on where it was.
"""

import argparse
import sys
from pathlib import Path
from typing import Any

from autohpo import HyperParameterOptimizer
from autohpo.controller import (
    LogUniformParameterRange,
    OptimizerBOHB,
    UniformIntegerParameterRange,
)

TRAIN = Path(__file__).resolve().parent / "controller_train.py"
COMMAND = (
    f"{sys.executable} {TRAIN} --lr {{General/lr}} --weight-decay {{General/weight_decay}} --batch {{Args/batch}} "
    "--epochs {fidelity} --seed {seed} --checkpoints {checkpoint_dir}"
)


def job_complete_callback(
    job_id: str,
    objective_value: float,
    objective_iteration: int,
    job_parameters: dict[str, Any],  # noqa: ARG001 - there are more than fit on a line
    top_performance_job_id: str,
) -> None:
    """Print what was completed."""
    best = " (the best so far)" if job_id == top_performance_job_id else ""
    print(f"job {job_id}: accuracy {objective_value:.3f} at epoch {objective_iteration}{best}", flush=True)


def main() -> None:
    """Run the search, or go on with it."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--store", default="controller.db")
    parser.add_argument("--total-max-jobs", type=int, default=2)
    parser.add_argument("--service", action="store_true", help="leave the search to a process that outlives this one")
    args = parser.parse_args()
    optimizer = HyperParameterOptimizer(
        base_task_id=COMMAND,
        hyper_parameters=[
            LogUniformParameterRange("General/lr", -3, 0),
            LogUniformParameterRange("General/weight_decay", -6, -2),
            UniformIntegerParameterRange("Args/batch", 32, 160, 32),
        ],
        objective_metric_title="validation",
        objective_metric_series="accuracy",
        objective_metric_sign="max",
        optimizer_class=OptimizerBOHB,
        max_number_of_concurrent_tasks=2,
        time_limit_per_job=10.0,
        total_max_jobs=args.total_max_jobs,
        min_iteration_per_job=2,
        max_iteration_per_job=18,
        store=args.store,
        seed=0,
        run_as_service=args.service,
    )
    optimizer.set_report_period(0.2)
    optimizer.start(job_complete_callback=job_complete_callback)
    optimizer.set_time_limit(in_minutes=90.0)
    optimizer.wait()
    for experiment in optimizer.get_top_experiments_details(top_k=3, all_metrics=True):
        print(
            experiment["task_id"], experiment["hyper_parameters"], experiment["metrics"]["validation/accuracy"]["value"]
        )
    optimizer.stop()


if __name__ == "__main__":
    main()
