"""What trackers cost: CPU time for each trial of ours, beside that of the same calls of the service in a plain loop.

Run in an environment with mlflow, tensorboardX and wandb; those that are missing are left out:

    python benchmarks/trackers.py [--trials 100] [--rounds 5]

A stored run of trials with three reports each is told to each tracker. The columns, in milliseconds of CPU time of the
whole process for each trial, medians of interleaved rounds: *log*, a tracker that does nothing (reading and folding the
log); *all*, the tracker; *alone*, the calls that it makes, with their values at hand, in a plain loop. Then what the
search itself spends in its own thread, with a tracker that does nothing and without one.
"""

from __future__ import annotations

import argparse
import logging
import shutil
import statistics
import tempfile
import time
import uuid
from importlib.util import find_spec
from pathlib import Path

from autohpo import RangeHP, Result, build_hpo_from_name
from autohpo.tracking import track

SPACE = [RangeHP("x", 0.0, 1.0), RangeHP("y", 0.0, 1.0)]


class Nothing:
    """A tracker that does nothing."""

    def start(self, run):
        """Do nothing."""

    def take(self, changes):
        """Do nothing."""

    def finish(self, result, error):
        """Do nothing."""


def train(hps):
    """Three reports with a metric."""
    for step in range(1, 4):
        yield {"perf": hps["x"] * step, "loss": -float(step)}


def search(n, **options):
    """A random search of some trials; returns the CPU time of this thread."""
    hpo = build_hpo_from_name("random", SPACE, train, max_evals=n, seed=0)
    began = time.thread_time()
    hpo.optimize(progress=False, **options)
    return time.thread_time() - began


def mlflow_tracker(folder):
    """A tracker with a new backend; the tables are made before the clock starts."""
    from mlflow.tracking import MlflowClient

    from autohpo.integrations.mlflow import MLflowTracker

    uri = f"sqlite:///{folder / 'mlflow.db'}"
    MlflowClient(uri).search_experiments()
    return MLflowTracker(tracking_uri=uri)


def mlflow_alone(folder, trials):
    """The calls of the tracker for each trial."""
    from mlflow.entities import Metric, Param, RunTag
    from mlflow.tracking import MlflowClient

    client = MlflowClient(f"sqlite:///{folder / 'mlflow.db'}")
    experiment = client.create_experiment("plain")
    parent = client.create_run(experiment).info.run_id
    for trial in trials:
        run = client.create_run(experiment, tags={"mlflow.parentRunId": parent}).info.run_id
        metrics = [
            Metric(name, value, 1000 + int(step), int(step))
            for step, perf in trial.reports
            for name, value in (("perf", perf), ("loss", -float(step)))
        ]
        metrics += [Metric(name, 0.5, 2000, 3) for name in ("cost", "seconds", "loss.min", "loss.max")]
        params = [Param(name, str(value)) for name, value in trial.hp.items()]
        tags = [RunTag(f"autohpo.{name}", "1") for name in ("number", "state", "attempt")]
        client.log_batch(run, metrics, params, tags)
        client.set_terminated(run)
    for begin in range(0, len(trials), 33):
        some = trials[begin : begin + 33]
        client.log_batch(parent, [Metric("best.perf", t.perf, 3000 + t.number, t.number) for t in some])


def tensorboard_tracker(folder):
    """A tracker with a new folder."""
    from autohpo.integrations.tensorboard import TensorBoardTracker

    return TensorBoardTracker(logdir=folder)


def tensorboard_alone(folder, trials):
    """The calls of the tracker for each trial."""
    from tensorboardX import SummaryWriter
    from tensorboardX.summary import hparams

    search_writer = SummaryWriter(str(folder / "plain" / "search"))
    for trial in trials:
        writer = SummaryWriter(str(folder / "plain" / f"trial-{trial.number}"))
        for step, perf in trial.reports:
            writer.add_scalar("perf", perf, step)
            writer.add_scalar("loss", -float(step), step)
        for name in ("cost", "seconds", "loss.min", "loss.max"):
            writer.add_scalar(name, 0.5, 3)
        for summary in hparams(dict(trial.hp), {"perf": trial.perf}):
            writer.file_writer.add_summary(summary)
        writer.add_text("trial", "| number | 1 |\n| state | COMPLETE |\n| attempt | 1 |", 0)
        writer.close()
        search_writer.add_scalar("best/perf", trial.perf, trial.number)
    search_writer.close()


def wandb_tracker(folder):
    """A tracker that writes files."""
    from autohpo.integrations.wandb import WandbTracker

    return WandbTracker(mode="offline", folder=folder)


def wandb_alone(folder, trials):
    """The calls of the tracker for each trial."""
    import wandb

    settings = wandb.Settings(silent=True, console="off", disable_git=True, disable_code=True)
    common = {"mode": "offline", "dir": str(folder), "reinit": "create_new", "settings": settings, "group": "plain"}
    parent = wandb.init(id=uuid.uuid4().hex, **common)
    for trial in trials:
        run = wandb.init(id=uuid.uuid4().hex, config=dict(trial.hp), **common)
        for step, perf in trial.reports:
            run.log({"perf": perf, "loss": -float(step)}, step=int(step))
        run.summary.update({"number": "1", "state": "COMPLETE", "attempt": "1"})
        run.finish()
        parent.log({"best.perf": trial.perf}, step=trial.number)
    parent.finish()


SERVICES = {
    "mlflow": ("mlflow", mlflow_tracker, mlflow_alone),
    "tensorboard": ("tensorboardX", tensorboard_tracker, tensorboard_alone),
    "wandb offline": ("wandb", wandb_tracker, wandb_alone),
}


def cpu(call, *args):
    """CPU time of the process for a call, in seconds."""
    began = time.process_time()
    call(*args)
    return time.process_time() - began


def one_round(name, store, trials):
    """The three columns of a service, once, in seconds."""
    _, tracker_of, alone = SERVICES[name]
    folder = Path(tempfile.mkdtemp())
    copy = folder / "run.db"
    try:
        shutil.copyfile(store, copy)
        log = cpu(track, copy, Nothing())
        return log, cpu(track, copy, tracker_of(folder)), cpu(alone, folder, trials)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def main():
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    logging.disable(logging.WARNING)
    folder = Path(tempfile.mkdtemp())
    store = folder / "run.db"
    search(args.trials, store=store)
    trials = list(Result.load(store))
    names = [name for name, (package, *_) in SERVICES.items() if find_spec(package)]
    rows = {name: [] for name in names}
    for turn in range(args.rounds + 1):  # the first one imports
        for name in names:
            found = one_round(name, store, trials)
            if turn:
                rows[name].append([1000 * seconds / args.trials for seconds in found])
    print(f"{'ms CPU a trial':<16}{'log':>8}{'all':>9}{'alone':>9}")
    for name in names:
        columns = zip(*rows[name], strict=True)
        print(
            f"{name:<16}"
            + "".join(f"{statistics.median(column):>{8 + (i > 0)}.2f}" for i, column in enumerate(columns))
        )
    n = 10 * args.trials
    ways = {"without": (), "with": (Nothing(),)}
    own = {way: [] for way in ways}
    for turn in range(2 * args.rounds + 1):
        for way, trackers in ways.items():
            seconds = search(n, trackers=trackers)
            if turn:
                own[way].append(1000 * seconds / n)
    print(
        "the search's own thread, ms a trial: " + ", ".join(f"{w} {statistics.median(v):.3f}" for w, v in own.items())
    )
    shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
