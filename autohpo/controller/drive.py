"""Drive: one run of a controller's search, from the start of its thread to its end."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from autohpo.algorithms.base import BaseHPOptimizer
from autohpo.algorithms.session import session_of
from autohpo.controller.account import SLACK
from autohpo.controller.background import Background
from autohpo.controller.following import Following
from autohpo.controller.jobs import Jobs
from autohpo.controller.limits import Deadline
from autohpo.controller.metered import Metered
from autohpo.controller.reporter import Callback, Reporter
from autohpo.controller.settings import MINUTE, Settings
from autohpo.controller.strategy import SearchStrategy
from autohpo.errors import NoResultError
from autohpo.execution.base import Executor
from autohpo.execution.watch import Watch
from autohpo.run_options import RunOptions
from autohpo.runner import make_executor
from autohpo.service import Launch
from autohpo.store import MemoryStore, Store, open_store

_log = logging.getLogger("autohpo")


@dataclass(frozen=True)
class Plan:
    """What is run.

    Attributes:
        hpo: The optimizer.
        jobs: The jobs.
        settings: The limits, and where jobs run.
        strategy: The strategy, where there is one.
        dataset: What jobs get as ``dataset``.
        store: The path or URL of the store, or a Store; None keeps the run in memory.
        name: The name of the run.
        launch: How this process is started again, where it is a service: there for the search alone, so that it does
            not end before it.
    """

    hpo: BaseHPOptimizer
    jobs: Jobs
    settings: Settings
    strategy: SearchStrategy | None
    dataset: Any
    store: Any
    name: str
    launch: Launch | None = None

    @property
    def most_iterations(self) -> float | None:
        """The iterations of a full job; those of the algorithm where the user gave none."""
        given, hpo = self.settings.max_iteration_per_job, self.hpo
        is_asked = given is None and hpo.is_multi_fidelity and getattr(hpo, "budget", None) is not None
        return getattr(hpo, "max_fidelity", None) if is_asked else given

    @property
    def total_iterations(self) -> float | None:
        """The iterations of all jobs together, which are never exceeded; None where nothing limits them."""
        n, most = self.settings.total_max_jobs, self.most_iterations
        return None if n is None or most is None else float(n * most)


class Drive:
    """A search that runs in the background, with its reporter.

    Args:
        plan: What is run.
        callback: What is called for each completed job.
        deadline: The time limit.
        said: Returns a line that says how the search stands.
        period_seconds: Returns the seconds between two such lines.
    """

    def __init__(
        self, plan: Plan, callback: Callback | None, deadline: Deadline, said: Any, period_seconds: Any
    ) -> None:
        self._plan, self._deadline = plan, deadline
        self._metered: Metered | None = None
        settings = plan.settings
        self.reporter = Reporter(callback, said, period_seconds)
        self.following = Following(
            plan.hpo,
            plan.jobs,
            self.reporter,
            strategy=plan.strategy,
            left_seconds=lambda: deadline.left_seconds,
            grace_seconds=settings.grace_seconds,
            keep=settings.save_top_k_tasks_only,
        )
        self._background = Background(self._run, self.following.stop, stays=plan.launch is not None)

    def start(self) -> None:
        """Start the search; returns at once."""
        self.reporter.start()
        try:
            self._background.start()
        except BaseException:
            self.reporter.close()
            raise

    @property
    def is_alive(self) -> bool:
        """Whether it runs."""
        return self._background.is_alive

    @property
    def error(self) -> BaseException | None:
        """The error that the search ended with, if it did."""
        return self._background.error

    def join(self, timeout_seconds: float | None) -> bool:
        """Wait until the search has ended; return whether it has."""
        return self._background.join(timeout_seconds)

    def join_reporter(self, timeout_seconds: float | None) -> None:
        """Wait until the callback was called for every job."""
        self.reporter.join(timeout_seconds)

    def stop(self) -> None:
        """End the search in order."""
        self.following.stop()

    def abort(self, number: int) -> None:
        """End a job at its next report, or after the grace without one."""
        self.following.abort(number)

    def limit_moved(self) -> None:
        """Take note that the time limit was moved."""
        self.following.limit_moved()

    def used(self) -> tuple[float, float]:
        """Return the iterations and the seconds that all jobs have used."""
        if self._metered is None:
            return 0.0, 0.0
        used = self._metered.used
        return used["iterations"]["used"] or 0.0, used["compute_time"]["used"] or 0.0

    def _run(self) -> None:
        try:
            self._optimize()
        except NoResultError:
            if not self._may_have_nothing:
                raise
        finally:
            self._deadline.end()
            try:
                self.following.tell()
            finally:
                self.reporter.close()
                if self._plan.strategy is not None:
                    self._stop_strategy(self._plan.strategy)

    @staticmethod
    def _stop_strategy(strategy: SearchStrategy) -> None:
        try:
            strategy.stop()
        except Exception:  # the user's own code may raise anything, and everything has ended
            _log.exception("%s.stop: raised", type(strategy).__name__)

    @property
    def _may_have_nothing(self) -> bool:
        """Whether it is no error that no job has a result: the search was ended before, and not by failures.

        Nor by iterations that are used up: that is what programs that were killed leave behind.
        """
        if self.following.is_closing or self._deadline.is_reached:
            return True
        used = None if self._metered is None else self._metered.used["iterations"]
        if used is not None and used["limit"] is not None and (used["used"] or 0.0) >= used["limit"] - SLACK:
            return False
        return not any(trial.error for trial in session_of(self._plan.hpo).history.trials)

    def _optimize(self) -> None:
        plan, settings = self._plan, self._plan.settings
        store = open_store(plan.store) if isinstance(plan.store, (str, Path)) else plan.store
        files = store.files if isinstance(store, Store) and not isinstance(store, MemoryStore) else None
        self.following.files = files
        arguments = settings.run_arguments()
        compute, left = settings.compute_time_limit, self._deadline.left_seconds
        metered = self._metered = Metered(
            self._executor(arguments, files),
            max_iterations_per_job=plan.most_iterations,
            total_iterations=plan.total_iterations,
            compute_time_limit=None if compute is None else compute * MINUTE,
        )
        options: dict[str, Any] = {
            "executor": Watch(metered, self.following),
            "store": store,
            "name": plan.name,
            "time_limit": math.inf if left is None else max(left, 1e-3),
            "continue_on_error": True,
            "keep": plan.jobs.metrics.keep,
            "keep_checkpoints": "all",
        }
        launch = plan.launch
        if launch is not None:
            session_of(plan.hpo).on_begin = lambda begun: launch.write(begun.files)
        plan.hpo.optimize(dataset=plan.dataset, **options, **_rest(arguments))

    def _executor(self, arguments: Mapping[str, Any], files: Path | None) -> Executor:
        if isinstance(arguments["executor"], Executor):
            return arguments["executor"]
        options = RunOptions(**arguments)
        return make_executor(options, None if files is None else files / "logs")


def _rest(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments that are no matter of the executor."""
    of_executor = ("num_workers", "trial_time_limit", "executor", "memory_limit", "gpus")
    return {name: value for name, value in arguments.items() if name not in of_executor}
