"""Master: what all optimizers have in common. They run searches of ours with workers of this process."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypedDict

from autohpo.algorithms.base import BaseHPOptimizer
from autohpo.algorithms.options import check_names
from autohpo.algorithms.registry import get_hpo
from autohpo.arguments import is_index
from autohpo.errors import NoResultError, OptionError, shown
from autohpo.integrations.hpbandster.compute import Compute
from autohpo.integrations.hpbandster.core.crew import Crew
from autohpo.integrations.hpbandster.core.nameserver import make_folder
from autohpo.integrations.hpbandster.core.result import Result
from autohpo.integrations.hpbandster.core.runs import ConfigId, Datum
from autohpo.integrations.hpbandster.jobs import ConfigIds, JobExecutor, Jobs
from autohpo.integrations.hpbandster.plans import Plan, space_of
from autohpo.integrations.hpbandster.previous import checked_result, known_points, warm_data
from autohpo.integrations.hpbandster.rendezvous import Hub
from autohpo.store import MemoryStore, Store

if TYPE_CHECKING:
    from typing_extensions import Unpack

__all__ = ["Master", "MasterArguments"]


class MasterArguments(TypedDict, total=False):
    """The keyword arguments that all optimizers take; see :class:`Master`."""

    run_id: object
    working_directory: str
    ping_interval: float
    nameserver: str | None
    nameserver_port: int | None
    host: str | None
    shutdown_workers: bool
    job_queue_sizes: tuple[int, int]
    dynamic_queue_size: bool
    logger: Any
    result_logger: Any
    previous_result: Result | None
    store: str | os.PathLike[str] | None
    seed: int | None
    num_workers: int | None
    time_limit: float | None
    worker_timeout: float


class Master:
    """What all optimizers have in common.

    Where one worker is in the background, evaluations run in this process, one after another. Where there are
    several, each runs in a process of its own, with a copy of its worker; workers that cannot be copied share this
    process, one evaluation at a time, with a warning. Workers in the foreground of other processes of this machine
    are used where at least one is there when :meth:`run` begins; from then on they join and leave at any time.

    Args:
        configspace: A ConfigurationSpace, or a search space of ours.
        plan: What is searched with.
        run_id: The id of the run, the same as that of its workers.
        working_directory: The folder that ``compute`` gets; it is made.
        ping_interval: Not used.
        nameserver: Not used.
        nameserver_port: Not used.
        host: Not used.
        shutdown_workers: Not used; see :meth:`shutdown`.
        job_queue_sizes: Not used; the first must be below the second.
        dynamic_queue_size: Not used.
        logger: A logger for what the optimizer says; None is the one named "hpbandster".
        result_logger: What is called with each configuration and each result, such as a ``json_result_logger``.
        previous_result: The result of an earlier run in the same space, which the model learns from.
        store: The path of a store of ours that keeps the search: the same program goes on with it after a kill.
        seed: The seed; None draws one.
        num_workers: How many evaluations run at once, each in a process of its own; None is as many as there are
            workers; where it is given, only those in the background count.
        time_limit: The seconds that a call of :meth:`run` may take, without waiting for workers; what runs then is
            ended, but for evaluations in this very process. None is without limit.
        worker_timeout: The seconds that :meth:`run` waits for workers, at its begin and where all have gone.

    Raises:
        OptionError: An argument breaks a rule.
        SpaceError: The space has something that cannot be searched here, or a previous configuration is none of it.
        PathError: The folder cannot be made.
    """

    def __init__(self, configspace: Any, plan: Plan, **kwargs: Unpack[MasterArguments]) -> None:
        who = type(self).__name__
        check_names(who, kwargs, MasterArguments.__annotations__)
        if kwargs.get("run_id") is None:
            raise OptionError(f"run_id: must be given to {who}, the same as to its workers")
        self.run_id = kwargs["run_id"]
        low, high = _queue_sizes(kwargs.get("job_queue_sizes", (-1, 0)))
        self.job_queue_sizes = low, high
        self.space = space_of(configspace)
        self.working_directory = str(make_folder("working_directory", kwargs.get("working_directory", ".")))
        self.logger = kwargs.get("logger") or logging.getLogger("hpbandster")
        self.result_logger = kwargs.get("result_logger")
        if self.result_logger is not None and not callable(self.result_logger):
            raise OptionError(f"result_logger: must be callable with a job, got {shown(self.result_logger)}")
        self.config: dict[str, Any] = {**plan.config, "budgets": list(plan.budgets), "time_ref": None}
        self._plan = plan
        num_workers, patience = kwargs.get("num_workers"), kwargs.get("worker_timeout", 60.0)
        self._crew = Crew(self.run_id, who, num_workers=num_workers, patience=patience, logger=self.logger)
        self._time_limit, self._seed = kwargs.get("time_limit"), kwargs.get("seed")
        self._previous = checked_result(kwargs.get("previous_result"))
        self._points = known_points(self._previous, self.space, plan.budgets, is_full=plan.n_iteration is not None)
        given = kwargs.get("store")
        self._store: Store | str | os.PathLike[str] = MemoryStore() if given is None else given
        self._n_iterations = 0
        self._logged: set[tuple[ConfigId, float]] = set()
        self._compute: Compute | None = None
        self._build(1)  # so that a wrong option is an error here
        self._hub: Hub | None = Hub(self.run_id)  # lets workers of other processes wait

    def run(
        self, n_iterations: int = 1, min_n_workers: int = 1, iteration_kwargs: Mapping[str, Any] | None = None
    ) -> Result:
        """Run iterations, and return the result of all that were run; called again it goes on.

        Args:
            n_iterations: How many brackets of successive halving; with random search as much as one costs.
            min_n_workers: How many workers there must be.
            iteration_kwargs: Must be empty.

        Raises:
            NoWorkersError: There are fewer workers, also after a while, or all have gone.
            OptionError: An argument breaks a rule.
            StoreError: The store cannot be used, or holds another search.
        """
        if iteration_kwargs:
            raise OptionError(f"iteration_kwargs: must be empty here, got {shown(dict(iteration_kwargs))}")
        for name, n in (("n_iterations", n_iterations), ("min_n_workers", min_n_workers)):
            if not is_index(n, 2**31) or n < 1:
                raise OptionError(f"{name}: must be an integer of at least 1, got {shown(n)}")
        self._hub = self._hub or Hub(self.run_id)
        crew = self._crew
        workers = crew.gather(int(min_n_workers))
        hpo = self._build(self._n_iterations + int(n_iterations))
        if self._compute is None or self._compute.workers != workers:
            self._compute = Compute(workers, self._plan.budgets[-1], self.working_directory)
        hpo.f = self._compute
        executor = crew.executor(self._compute, self._store)
        jobs = Jobs(
            hpo,
            lambda: hpo.run_store,
            ConfigIds(self._plan.n_iteration or 1),
            result_logger=self.result_logger,
            kwargs={"working_directory": self.working_directory},
            budget=self._plan.budgets[-1],
            name_of=lambda slot: crew.name_of(slot, executor),
            logged=self._logged,
        )
        self._n_iterations += int(n_iterations)
        self.logger.info("the search begins with %d workers, for %d iterations", len(executor.slots()), n_iterations)
        try:
            hpo.optimize(
                executor=JobExecutor(executor, jobs),
                store=self._store,
                name=str(self.run_id),
                time_limit=self._time_limit,
                progress=False,
                continue_on_error=True,
                max_consecutive_failures=None,
                grace_seconds=0.0,  # compute cannot be asked to end
            )
        except NoResultError as error:
            self.logger.warning("%s", error)
        trials = list(hpo.result.trials)
        jobs.log_earlier(trials)
        return self._result(jobs.data(trials))

    def shutdown(self, shutdown_workers: bool = False) -> None:
        """End the run. May be called twice.

        Args:
            shutdown_workers: Whether its workers end: those in the background, and those of other processes.
        """
        if shutdown_workers:
            self._crew.end()
        if self._hub is not None:
            self._hub.close()
            self._hub = None

    def _build(self, n_iterations: int) -> BaseHPOptimizer:
        """A fresh optimizer for so many iterations in all."""
        plan = self._plan
        if plan.n_iteration is None:
            length = {"num_iterations": n_iterations}
        else:
            length = {"max_evals": n_iterations * plan.n_iteration}
        options = {**plan.options, **length, "mode": "min", "seed": self._seed, "points": self._points}
        return get_hpo(plan.algorithm)(self.space, None, **options)

    def _result(self, data: dict[ConfigId, Datum]) -> Result:
        """The result, with the previous one before its begin."""
        starts = [stamps["submitted"] for datum in data.values() for stamps in datum.time_stamps.values()]
        began = self.config["time_ref"] = min(starts, default=0.0)
        return Result([data, warm_data(self._previous, began)], self.config)


def _queue_sizes(sizes: Any) -> tuple[int, int]:
    """The sizes of a queue that is not used.

    Raises:
        OptionError: They are no pair, or not in order.
    """
    try:
        low, high = sizes
        is_pair = low < high
    except (TypeError, ValueError):
        is_pair = False
    if not is_pair:
        raise OptionError(f"job_queue_sizes: must be a pair (min, max) with min < max, got {shown(sizes)}")
    return int(low), int(high)
