"""Settings: the arguments of a controller, checked; minutes outside, seconds inside."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from autohpo.algorithms.options import RunArguments
from autohpo.algorithms.parts.values import plain
from autohpo.errors import OptionError, shown
from autohpo.execution.base import Executor
from autohpo.progress import make_progress
from autohpo.run_options import RunOptions

PASSED_ON = frozenset(
    {
        *("memory_limit", "gpus", "fidelity", "target", "patience", "min_improvement", "warm_start", "retries"),
        *("ask_ahead", "max_suspended", "max_consecutive_failures", "progress"),
    }
)
"""Arguments of ``optimize`` that a controller takes by the same names; the others have ClearML's."""

MOST_TASKS = 10
"""How many jobs run at once where nobody says so: ClearML's default, and no more than there are cores."""

GRACE_SECONDS = 2.0
MINUTE = 60.0

MOST_MINUTES = 1e8
"""The longest time that may be given, some 190 years: clocks, dates and locks can still hold it."""

MOST_COUNT = 10**15
"""The most jobs, or iterations of a job, that may be given: a float still counts each of them."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What a controller was told beside its job, its parameters, its objective and its algorithm.

    Attributes:
        num_workers: How many jobs run at once.
        total_max_jobs: How many jobs may be created, or full trainings where jobs get parts of one.
        min_iteration_per_job: The fewest iterations of a job, for algorithms that give few to most.
        max_iteration_per_job: The most iterations of a job.
        time_limit_per_job: The minutes that each job may take.
        compute_time_limit: The minutes that all jobs together may take.
        optimization_time_limit: The minutes that the search may take from its start.
        save_top_k_tasks_only: How many of the best jobs keep their checkpoints; None keeps all.
        executor: Where jobs run: "local", "serial", or an executor; None chooses.
        grace_seconds: How long jobs that run may take to end when the search does.
        more: Arguments of ``optimize`` that are passed on.

    Raises:
        OptionError: An argument breaks a rule.
    """

    num_workers: int = 1
    total_max_jobs: int | None = None
    min_iteration_per_job: float | None = None
    max_iteration_per_job: float | None = None
    time_limit_per_job: float | None = None
    compute_time_limit: float | None = None
    optimization_time_limit: float | None = None
    save_top_k_tasks_only: int | None = None
    pool_period_min: float | None = None
    executor: str | Executor | None = None
    grace_seconds: float = GRACE_SECONDS
    more: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("num_workers", "total_max_jobs", "save_top_k_tasks_only"):
            least = 0 if name == "save_top_k_tasks_only" else 1
            value = plain(getattr(self, name))
            object.__setattr__(self, name, value)
            said = "max_number_of_concurrent_tasks" if name == "num_workers" else name
            if value is not None and (type(value) is not int or value < least):
                raise OptionError(f"{said}: must be an integer of at least {least}, got {shown(value)}")
            if value is not None and value > MOST_COUNT:
                raise OptionError(f"{said}: must be at most {MOST_COUNT:g}, got {shown(value)}")
        for name in ("min_iteration_per_job", "max_iteration_per_job"):
            found = _positive(name, getattr(self, name), "a positive number of iterations", MOST_COUNT)
            object.__setattr__(self, name, found)
        low, high = self.min_iteration_per_job, self.max_iteration_per_job
        if low is not None and high is not None and low > high:
            raise OptionError(f"min_iteration_per_job: must be at most max_iteration_per_job, {high:g}, got {low:g}")
        for name in ("time_limit_per_job", "compute_time_limit", "optimization_time_limit", "pool_period_min"):
            object.__setattr__(self, name, minutes(name, getattr(self, name)))
        self._check_executor()
        RunOptions(**self.run_arguments())  # what is passed on is checked here, and not at the start
        if "progress" in self.more:
            make_progress(self.more["progress"])

    def _check_executor(self) -> None:
        """Check that the executor can hold the limits.

        Raises:
            OptionError: It cannot.
        """
        is_own, is_serial = isinstance(self.executor, Executor), self.executor == "serial"
        if not (is_own or is_serial):
            return
        limits = {"time_limit_per_job": self.time_limit_per_job, **self.more}
        refused = [name for name in ("time_limit_per_job", "memory_limit", "gpus") if limits.get(name) is not None]
        if is_own and refused:
            raise OptionError(f"{refused[0]}: {type(self.executor).__name__} has limits of its own, so give it there")
        if is_serial:
            refused += ["max_number_of_concurrent_tasks"] if self.num_workers > 1 else []
            refused += ["compute_time_limit"] if self.compute_time_limit is not None else []
            if refused:
                rule = "'serial' runs one job at a time in this process, and cannot hold it"
                raise OptionError(f"{refused[0]}: {rule}; take execution_queue='local'")

    def run_arguments(self) -> dict[str, Any]:
        """Return the arguments of ``optimize`` that say where jobs run and what is passed on."""
        limit = self.time_limit_per_job
        n = 1 if isinstance(self.executor, Executor) else self.num_workers
        return {
            "num_workers": n,
            "trial_time_limit": None if limit is None else limit * MINUTE,
            "executor": "local" if self.executor is None else self.executor,  # else no job could be ended
            "grace_seconds": self.grace_seconds,
            "progress": False,
            **self.more,
        }


def minutes(name: str, value: Any) -> float | None:
    """Return a number of minutes, or None where there is none.

    Raises:
        OptionError: It is no positive number, or more than a clock can hold.
    """
    found: float | None = _positive(name, value, "a positive number of minutes", MOST_MINUTES)
    return found


def timeout_seconds(timeout: Any) -> float | None:
    """Return the seconds of a timeout in minutes; 0 looks once, and None waits for the end.

    Raises:
        OptionError: It is below 0, no number, or more than a clock can hold.
    """
    value = plain(timeout)
    if isinstance(value, (int, float)) and not isinstance(value, bool) and value == 0:
        return 0.0
    found = _positive("timeout", value, "a positive number of minutes, or 0", MOST_MINUTES)
    return None if found is None else found * MINUTE


def _positive(name: str, value: Any, what: str, most: float) -> Any:
    value = plain(value)
    if value is None:
        return None
    if not isinstance(value, (int, float)) or isinstance(value, bool) or not 0 < value < math.inf:
        raise OptionError(f"{name}: must be {what}, got {shown(value)}")
    if value > most:
        raise OptionError(f"{name}: must be at most {most:g}, got {shown(value)}")
    return value


def workers_of(given: Any, executor: str | Executor | None) -> Any:
    """Return how many jobs run at once, where that is given or follows from the executor."""
    if given is not None:
        return given
    if isinstance(executor, Executor):
        return max(1, executor.capacity())
    return 1 if executor == "serial" else min(MOST_TASKS, os.cpu_count() or 1)


def queue_of(execution_queue: object) -> str | Executor | None:
    """Return the executor that an ``execution_queue`` names; "default" and None choose one.

    Raises:
        OptionError: It names none.
    """
    if execution_queue is None or isinstance(execution_queue, Executor):
        return execution_queue
    if isinstance(execution_queue, str) and execution_queue in ("serial", "local", "default"):
        return None if execution_queue == "default" else execution_queue
    raise OptionError(
        "execution_queue: must be 'local' (processes of this machine), 'serial' (this process), 'default' or an "
        f"autohpo.execution.base.Executor, got {shown(execution_queue)}"
    )


def passed_on(options: dict[str, Any], known: frozenset[str]) -> dict[str, Any]:
    """Take the arguments of ``optimize`` out of the options of an algorithm, and return them.

    Args:
        options: What was given by name; what is taken is removed.
        known: The options that the algorithm itself has under these names.

    Raises:
        OptionError: One is an argument of ``optimize`` that the controller sets itself.
    """
    found = {name: options.pop(name) for name in PASSED_ON - known if name in options}
    for name in RunArguments.__annotations__:
        if name in options and name not in known and name in _CALLED:
            raise OptionError(f"{name}: is called {_CALLED[name]} in HyperParameterOptimizer")
    return found


_CALLED = {
    "num_workers": "max_number_of_concurrent_tasks",
    "time_limit": "optimization_time_limit (in minutes)",
    "trial_time_limit": "time_limit_per_job (in minutes)",
    "executor": "execution_queue",
    "keep": "objective_metric_sign ('max_global' keeps the best)",
    "keep_checkpoints": "save_top_k_tasks_only",
}
