"""Random programs of a controller: what they are made of, and the steps that they take.

A script is data (:func:`scripts` draws it): what the controller is made of, and the steps of one or two threads. What
runs them stands in ``script_runs.py``.
"""

from __future__ import annotations

import random
import sys
import time
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from fractions import Fraction

import numpy as np

# What a controller is made of, by name.


def quick(hps):
    """A job without reports."""
    return {"accuracy": hps["General/x"], "loss": 1.0 - hps["General/x"]}


def reporting(hps, trial):
    """A job of a few hundredths of a second, with reports."""
    for epoch in range(1, 4):
        time.sleep(0.004)
        if not trial.report({"accuracy": hps["General/x"], "loss": 1 / epoch}, epoch):
            return


def failing(hps, trial):
    """A job that fails three times out of five."""
    trial.report({"accuracy": 0.5}, 1)
    if hps["General/x"] > 0.4:
        raise RuntimeError("too large")


def steps(hps):
    """A generator, without an end."""
    while True:
        yield {"accuracy": hps["General/x"]}


def silent(hps):
    """A job that reports another metric."""
    return {"other": 1.0}


def endless(hps, trial):
    """A job that reports for minutes."""
    for epoch in range(1, 20_000):
        if not trial.report({"accuracy": hps["General/x"]}, epoch):
            return
        time.sleep(0.01)


def deaf(hps, trial):
    """A job that reports once, and then sleeps."""
    trial.report({"accuracy": hps["General/x"]}, 1)
    time.sleep(100)


class Trainer:
    """A trainer with AutoGL's contract."""

    def __init__(self, x=0.0):
        self.x = x

    def duplicate_from_hyper_parameter(self, hp, **_):
        """A trainer with other values."""
        return Trainer(hp["General/x"])

    def train(self, dataset):
        """Train for no time."""

    def get_valid_score(self, return_major=True):
        """The score, and that higher is better."""
        return self.x, True


PRINTS = "import json; [print(json.dumps(dict(epoch=e, accuracy={General/x}, n={General/n}))) for e in (1, 2, 3)]"
COMMAND = f'{sys.executable} -S -c "{PRINTS}"'
JOBS = {
    **{f.__name__: f for f in (quick, reporting, failing, steps, silent, endless, deaf)},
    "trainer": Trainer(),
    "command": COMMAND,
    "broken_command": f"{sys.executable} -S -c 'raise SystemExit(3)' {{General/x}}",
}
GARBAGE = {
    "minus": lambda: -1,
    "zero": lambda: 0,
    "half": lambda: 0.5,
    "nan": lambda: float("nan"),
    "inf": lambda: float("inf"),
    "huge_float": lambda: 1e308,
    "large": lambda: 1e12,
    "tiny": lambda: 5e-324,
    "huge_int": lambda: 10**400,
    "complex": lambda: 1 + 2j,
    "word": lambda: "x",
    "empty": lambda: "",
    "surrogate": lambda: "\ud800",
    "null": lambda: "a\0b",
    "braces": lambda: "{",
    "bytes": lambda: b"x",
    "none": lambda: None,
    "true": lambda: True,
    "false": lambda: False,
    "list": list,
    "nested": lambda: [[1], {}],
    "dict": lambda: {"x": 1},
    "set": lambda: {1, 2},
    "object": object,
    "array": lambda: np.array([1.0, 2.0]),
    "numpy_nan": lambda: np.float64("nan"),
    "numpy_int": lambda: np.int64(2),
    "decimal": lambda: Decimal("NaN"),
    "fraction": lambda: Fraction(1, 2),
    "function": lambda: lambda *_: 1 / 0,
    "type": lambda: int,
    "latest": lambda: datetime.max,  # noqa: DTZ901
    "earliest": lambda: datetime.min,  # noqa: DTZ901
    "earliest_aware": lambda: datetime.min.replace(tzinfo=timezone(timedelta(hours=14))),
    "past": lambda: datetime.now(timezone.utc) - timedelta(hours=1),
    "soon": lambda: datetime.now() + timedelta(seconds=0.2),  # noqa: DTZ005 - local time is what it may be
}
ARGUMENTS = (
    *("base_task_id", "hyper_parameters", "objective_metric_title", "objective_metric_series", "objective_metric_sign"),
    *("optimizer_class", "max_number_of_concurrent_tasks", "num_concurrent_workers", "execution_queue"),
    *("optimization_time_limit", "compute_time_limit", "auto_connect_task", "always_create_task", "spawn_project"),
    *("save_top_k_tasks_only", "store", "name", "seed", "dataset", "run_as_service", "total_max_jobs"),
    *("min_iteration_per_job", "max_iteration_per_job", "time_limit_per_job", "pool_period_min", "grace_seconds"),
    *(
        "memory_limit",
        "gpus",
        "retries",
        "patience",
        "warm_start",
        "fidelity",
        "eta",
        "mode",
        "num_workers",
        "nonsense",
    ),
    *("local_port", "progress", "ask_ahead", "max_consecutive_failures", "target", "min_improvement"),
)
ALGORITHMS = ("random", "tpe", "bohb", "asha", "grid", "sweep", "early", "broken")
CALLBACKS = ("none", "plain", "raises", "exits", "stops", "waits", "starts", "limits", "reads", "slow")


def strategies():
    """The strategies of a user's own, by name."""
    from autohpo.controller import SearchStrategy

    class Sweep(SearchStrategy):
        """Eight values of x, and an end of jobs that come too far."""

        def create_job(self):
            n = len(self.get_created_jobs_ids())
            return self.helper_create_job(parameter_override={**self.sample(), "General/x": n / 8}) if n < 8 else None

        def monitor_job(self, job):
            return job.iterations() < 50

    class Early(Sweep):
        """Stops itself from one of its hooks."""

        def start(self):
            self.stop()

    class Broken(Sweep):
        """Raises in a hook."""

        def monitor_job(self, job):
            raise KeyError("broken")

    return {"sweep": Sweep, "early": Early, "broken": Broken}


# The steps.


def _minutes(c, verb, value):
    return getattr(c, verb)(value)


def _end_top(c):
    for job in c.get_top_experiments(2):
        job.abort()


STEPS = {
    "start": lambda c, s, v: c.start(s.callback(c)),
    "start_quietly": lambda c, s, v: c.start(),
    "start_with": lambda c, s, v: c.start(v),
    "start_locally": lambda c, s, v: c.start_locally(s.callback(c)),
    "wait": lambda c, s, v: c.wait(0.05 / 60),
    "wait_zero": lambda c, s, v: c.wait(0),
    "wait_alone": lambda c, s, v: c.wait(timeout=0.3 / 60, wait_for_reporter=False),
    "wait_with": lambda c, s, v: c.wait(v) if s.ends(v) else None,
    "stop": lambda c, s, v: c.stop(),
    "stop_zero": lambda c, s, v: c.stop(0),
    "stop_soon": lambda c, s, v: c.stop(timeout=1e-4, wait_for_reporter=False),
    "stop_with": lambda c, s, v: c.stop(v),
    "pause": lambda c, s, v: time.sleep(0.1),
    "work": lambda c, s, v: c.wait(2 / 60),
    "is_active": lambda c, s, v: c.is_active(),
    "is_running": lambda c, s, v: c.is_running(),
    "limit": lambda c, s, v: c.set_time_limit(in_minutes=0.2 / 60),
    "limit_with": lambda c, s, v: c.set_time_limit(in_minutes=v),
    "limit_at_with": lambda c, s, v: c.set_time_limit(specific_time=v),
    "limit_both": lambda c, s, v: c.set_time_limit(1.0, v),
    "no_limit": lambda c, s, v: c.set_time_limit(),
    "get_time_limit": lambda c, s, v: c.get_time_limit(),
    "reached_time_limit": lambda c, s, v: c.reached_time_limit(),
    "elapsed": lambda c, s, v: c.elapsed(),
    "report": lambda c, s, v: c.set_report_period(0.02 / 60),
    "report_with": lambda c, s, v: c.set_report_period(v),
    "top": lambda c, s, v: [(job.name, job.trial, repr(job)) for job in c.get_top_experiments(3)],
    "top_with": lambda c, s, v: c.get_top_experiments(v),
    "details": lambda c, s, v: c.get_top_experiments_details(3, True, True, False),
    "details_with": lambda c, s, v: c.get_top_experiments_details(v),
    "pairs": lambda c, s, v: c.get_top_experiments_id_metrics_pair(3, True, True),
    "pairs_with": lambda c, s, v: c.get_top_experiments_id_metrics_pair(v),
    "running": lambda c, s, v: [(j.elapsed(), j.get_status(), j.get_metrics()) for j in c.get_running_jobs()],
    "ids": lambda c, s, v: c.get_created_jobs_ids(),
    "tasks": lambda c, s, v: [(repr(j), j.get_last_scalar_metrics()) for j in c.get_created_jobs_tasks().values()],
    "active": lambda c, s, v: (c.get_active_experiments(), c.get_num_active_experiments()),
    "metric": lambda c, s, v: c.get_objective_metric(),
    "seed": lambda c, s, v: c.get_random_seed(),
    "set_seed": lambda c, s, v: c.set_random_seed(5),
    "set_seed_with": lambda c, s, v: c.set_random_seed(v),
    "scheme": lambda c, s, v: c.set_job_naming_scheme(lambda base, parameters: base),
    "scheme_with": lambda c, s, v: c.set_job_naming_scheme(v if not callable(v) else None),
    "parent": lambda c, s, v: c.set_job_default_parent("p", "q"),
    "parent_with": lambda c, s, v: c.set_job_default_parent(v),
    "class_with": lambda c, s, v: c.set_job_class(v),
    "default_class_with": lambda c, s, v: c.set_default_job_class(v),
    "class_that_raises": lambda c, s, v: c.set_job_class(s.raising_job()),
    "task_with": lambda c, s, v: c.set_optimizer_task(s.harmless(v)),
    "optimizer": lambda c, s, v: c.get_optimizer(),
    "args": lambda c, s, v: c.set_optimization_args(top_n_percent=20),
    "args_with": lambda c, s, v: c.set_optimization_args(**{s.bohb_argument: v}),
    "budget": lambda c, s, v: c.budget.to_dict(),
    "abort": lambda c, s, v: [job.abort() for job in c.get_running_jobs()],
    "abort_top": lambda c, s, v: _end_top(c),
    "stored": lambda c, s, v: type(c).get_optimizer_top_experiments(s.store or "nowhere.db", 2),
    "stored_with": lambda c, s, v: type(c).get_optimizer_top_experiments(s.harmless(v), 2),
    "again": lambda c, s, v: s.another().start() and None,
}
BOHB_ARGUMENTS = ("eta", "min_budget", "max_budget", "min_points_in_model", "top_n_percent", "num_samples")
BOHB_ARGUMENTS += ("random_fraction", "bandwidth_factor", "min_bandwidth")


def scripts():
    """The strategy of scripts: dicts of JSON types."""
    from hypothesis import strategies as st

    return st.builds(script_of, st.integers(0, 2**64 - 1))  # drawn part by part they would be too much alike


def script_of(number):
    """The script of a number."""
    rng = random.Random(number)
    one = rng.choice
    seconds = [None, None, None, 0.2, 0.6]
    begins = [["start"], ["start"], ["start", "pause"], ["start", "work"], ["start", "work"], []]

    def steps():
        names = [*one(begins), *rng.choices(sorted(STEPS), k=rng.randint(0, 10))]
        return [[name, one(sorted(GARBAGE))] for name in names]

    return {
        "number": number,
        "algorithm": one(ALGORITHMS),
        "job": one(["quick", "reporting", "command", "trainer", *sorted(JOBS)]),
        "callback": one(CALLBACKS),
        "has_store": one([False, True]),
        "workers": one([0, 1, 2, 3]),  # 0: in the driver's own process
        "total_max_jobs": one([1, 3, 6]),
        "has_iterations": one([False, True]),
        "search_seconds": one(seconds),
        "compute_seconds": one(seconds),
        "job_seconds": one(seconds),
        "top_k": one([None, None, 1]),
        "garbage": one([None, None, (one(ARGUMENTS), one(sorted(GARBAGE)))]),
        "bohb_argument": one(BOHB_ARGUMENTS),
        "threads": [steps() for _ in range(one([1, 1, 2]))],
        "is_left": one([False, False, True]),  # whether the program ends without a stop
    }
