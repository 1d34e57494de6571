"""HyperParameterOptimizer: runs a search like an application, with ClearML's names for its arguments and methods."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from autohpo.algorithms.base import BaseHPOptimizer
from autohpo.controller.algorithms import Algorithm
from autohpo.controller.base_job import base_job
from autohpo.controller.drive import Plan
from autohpo.controller.experiments import Experiments
from autohpo.controller.jobs import Job, Jobs
from autohpo.controller.metrics import Metrics
from autohpo.controller.parameters import space_of
from autohpo.controller.remote import Remote, is_service_of, own_command, run_id_in
from autohpo.controller.running import Running
from autohpo.controller.settings import Settings, passed_on, queue_of, workers_of
from autohpo.controller.sources import ID_FILE, OptimizerSource, StoreSource, run_id_of, stored_jobs
from autohpo.controller.strategy import RandomSearch, SearchStrategy
from autohpo.errors import OptionError, shown
from autohpo.service import Launch
from autohpo.store import MemoryStore, Store, open_store

BOHB_ARGUMENTS = (
    *("eta", "min_budget", "max_budget", "min_points_in_model", "top_n_percent", "num_samples"),
    *("random_fraction", "bandwidth_factor", "min_bandwidth"),
)
OF_SETTINGS = (
    *("total_max_jobs", "min_iteration_per_job", "max_iteration_per_job", "pool_period_min", "time_limit_per_job"),
    "grace_seconds",
)


class HyperParameterOptimizer(Running):
    """A controller: it runs a search in the background, with any algorithm, and tells how it stands at any time.

    It has the arguments and the methods of ClearML's class of this name. Everything runs on this machine (or where the
    executor says), in processes that cannot harm each other; with a store the search survives a crash, and the same
    program goes on with it. Limits in time are minutes, as they are there.

    Args:
        base_task_id: The base job: a function of the parameters that returns a number or a dict of metrics, reports
            them by ``trial.report``, or is a generator; a command line with ``{name}`` for each parameter, or an
            :class:`autohpo.CommandObjective`; or a trainer with AutoGL's contract.
        hyper_parameters: The parameters: those of autohpo, of `autohpo.integrations.clearml`, or objects of ClearML's
            own classes. A job gets them under the names they have here, such as "General/lr".
        objective_metric_title: The title of the metric that is the objective, or a list for several. It is looked up in
            what a job reports as "title/series", then as the series, then as the title; a job that reports none of
            these fails, and says what it reported. A number without a name is the objective.
        objective_metric_series: The series of the metric, or a list.
        objective_metric_sign: "min" or "max": the last value of a job counts; "min_global" or "max_global": the best of
            all that it reports. Or a list.
        optimizer_class: The algorithm: a registered name such as "bohb", a subclass of ``BaseHPOptimizer``, a strategy
            of `autohpo.controller` (``OptimizerBOHB``, ``OptimizerOptuna``, ``RandomSearch``, ``GridSearch``), or a
            :class:`SearchStrategy` of your own.
        max_number_of_concurrent_tasks: How many jobs run at once; None is as many as there are cores, 10 at most. Also
            called `num_concurrent_workers`.
        execution_queue: Where jobs run: "local" in processes of this machine, "serial" in this one, or an executor;
            "default" chooses.
        optimization_time_limit: The minutes that the search may take from its start; None sets no limit.
        compute_time_limit: The minutes that all jobs together may take; None sets no limit.
        auto_connect_task: Not used: the options of a run are in its store.
        always_create_task: Not used.
        spawn_project: The project that jobs say they have.
        save_top_k_tasks_only: How many of the best trainings keep their checkpoint folders; None and 0 keep all. The
            record of every job stays.
        store: The path or URL of a store, which keeps everything; a run in it goes on. None keeps it in memory.
        name: A name of the run, kept in the store.
        seed: A number for everything random; None draws one.
        dataset: What jobs get that ask for ``dataset``, and what a trainer is trained on.
        run_as_service: Whether :meth:`start` leaves the search to a process of its own, which outlives this one.
        optimizer_kwargs: `total_max_jobs`, `min_iteration_per_job`, `max_iteration_per_job`, `time_limit_per_job` (in
            minutes), `grace_seconds` (how long jobs may take to end when the search does, in seconds; 2 by default),
            `pool_period_min` (not used: events drive the search), `num_concurrent_workers`, options of the
            algorithm, and arguments of ``optimize`` such as `memory_limit` or `gpus`.

    Raises:
        OptionError: An argument is unknown, was given twice, or breaks a rule.
        SpaceError: The parameters do not make a space.
        RegistryError: No algorithm has this name.

    Example:
        >>> from autohpo import HyperParameterOptimizer, RangeHP
        >>> controller = HyperParameterOptimizer(
        ...     lambda hps: {"accuracy": 1 - (hps["General/x"] - 0.3) ** 2},
        ...     [RangeHP("General/x", 0.0, 1.0)],
        ...     "validation",
        ...     "accuracy",
        ...     "max",
        ...     "tpe",
        ...     total_max_jobs=20,
        ...     execution_queue="serial",
        ...     seed=0,
        ... )
        >>> controller.start() and controller.wait()
        True
        >>> abs(controller.get_top_experiments(1)[0].get_parameters()["General/x"] - 0.3) < 0.1
        True
    """

    def __init__(  # noqa: PLR0917 - the positions are ClearML's
        self,
        base_task_id: Any,
        hyper_parameters: Any,
        objective_metric_title: str | Sequence[str],
        objective_metric_series: str | Sequence[str],
        objective_metric_sign: str | Sequence[str] = "min",
        optimizer_class: Any = RandomSearch,
        max_number_of_concurrent_tasks: int | None = None,
        execution_queue: Any = "default",
        optimization_time_limit: float | None = None,
        compute_time_limit: float | None = None,
        auto_connect_task: Any = True,
        always_create_task: bool = False,
        spawn_project: str | None = None,
        save_top_k_tasks_only: int | None = None,
        *,
        store: Any = None,
        name: str = "",
        seed: int | None = None,
        dataset: Any = None,
        run_as_service: bool = False,
        **optimizer_kwargs: Any,
    ) -> None:
        self._metrics = Metrics.of(objective_metric_title, objective_metric_series, objective_metric_sign)
        self._space = space_of(hyper_parameters)
        self._algorithm = Algorithm.of(optimizer_class)
        options = dict(optimizer_kwargs)
        workers = options.pop("num_concurrent_workers", None)
        if workers is not None and max_number_of_concurrent_tasks is not None:
            raise OptionError("num_concurrent_workers: means max_number_of_concurrent_tasks, which was given too")
        options.pop("local_port", None)  # there is none: workers are joined by pipes
        given = {key: options.pop(key) for key in OF_SETTINGS if key in options}
        more = passed_on(options, self._algorithm.option_names)
        executor = queue_of(execution_queue)
        n = max_number_of_concurrent_tasks if workers is None else workers
        settings = Settings(
            num_workers=workers_of(n, executor),
            optimization_time_limit=optimization_time_limit,
            compute_time_limit=compute_time_limit,
            save_top_k_tasks_only=save_top_k_tasks_only,
            executor=executor,
            more=more,
            **given,
        )
        super().__init__(settings)
        self._options, self._bohb, self._seed = options, dict[str, Any](), seed
        self._dataset, self._name, self._run_as_service = dataset, name, run_as_service
        self._store = self._checked_store(store)
        for argument, value, kind in (("name", name, str), ("run_as_service", run_as_service, bool)):
            if not isinstance(value, kind):
                rule = "a string" if kind is str else "True or False"
                raise OptionError(f"{argument}: must be {rule}, got {shown(value)}")
        if not isinstance(spawn_project, (str, type(None))):
            raise OptionError(f"spawn_project: must be a string, got {shown(spawn_project)}")
        if run_as_service and not isinstance(self._store, str):
            raise OptionError(
                f"run_as_service: needs store='run.db' or another path, by which it is found, got {shown(store)}"
            )
        self._given = base_task_id, hyper_parameters
        fidelity, has_dataset = more.get("fidelity"), dataset is not None
        self._f, base_name = base_job(base_task_id, self._metrics, self._space, fidelity, has_dataset=has_dataset)
        self._jobs = Jobs(self._metrics, base_name, fidelity)
        self._jobs.abort, self._jobs.is_alive = self._abort, self.is_running
        self.set_job_default_parent(None, spawn_project)
        self._strategy: SearchStrategy | None = None
        self._hpo = self._built()

    @staticmethod
    def _checked_store(store: Any) -> Any:
        if not isinstance(store, (str, os.PathLike, Store, type(None))):
            raise OptionError(f"store: must be a path, a URL or a Store, got {shown(store)}")
        return os.fspath(store) if isinstance(store, os.PathLike) else store

    # What is built from the arguments, and again where one is set before the start.

    def _built(self) -> BaseHPOptimizer:
        """The optimizer, and the strategy where there is one."""
        algorithm, settings = self._algorithm, self._settings
        twice = next((name for name in self._bohb if name in self._options), None)
        if twice is not None:
            raise OptionError(f"{twice}: was given to the constructor too")
        options: dict[str, Any] = {**self._options, **self._bohb}
        strategy = None if algorithm.strategy is None else self._new_strategy(algorithm.strategy, options)
        if algorithm.is_own_strategy:
            options = {}  # they are the strategy's
        for option in ("mode", "seed"):
            if option in options:
                called = "objective_metric_sign" if option == "mode" else option
                raise OptionError(f"{option}: goes by the argument {called}")
        options |= {"mode": self._metrics.mode, "seed": self._seed}
        hpo = algorithm.build(self._space, self._f, settings, options)
        if strategy is not None:
            strategy._attach(self._jobs, self._space, self._stop_soon, hpo.seed)
            hpo.hooks = strategy  # type: ignore[attr-defined] # only one of strategies looks at it
        self._strategy, self._jobs.source = strategy, OptimizerSource(hpo)
        return hpo

    def _new_strategy(self, cls: type[SearchStrategy], options: dict[str, Any]) -> SearchStrategy:
        job, parameters = self._given
        settings = self._settings
        return cls(
            base_task_id=job,
            hyper_parameters=parameters,
            objective_metric=self._metrics,
            execution_queue=settings.executor,
            num_concurrent_workers=settings.num_workers,
            pool_period_min=settings.pool_period_min,
            time_limit_per_job=settings.time_limit_per_job,
            compute_time_limit=settings.compute_time_limit,
            min_iteration_per_job=settings.min_iteration_per_job,
            max_iteration_per_job=settings.max_iteration_per_job,
            total_max_jobs=settings.total_max_jobs,
            **(options if cls.algorithm is None else {}),
        )

    def _rebuild(self, what: str, **changes: Any) -> None:
        """Change what was set before the start.

        Raises:
            OptionError: The search has begun, or the change breaks a rule; then nothing has changed.
        """
        with self._lock:
            if self._drive is not None:
                raise OptionError(f"{what}: must be called before start()")
            before = dict(vars(self))
            vars(self).update(changes)
            try:
                self._hpo = self._built()
            except BaseException:
                vars(self).update(before)
                raise

    def _plan(self) -> Plan:
        is_service = self._run_as_service and is_service_of(self._store)
        if is_service or not self._run_as_service:
            self._jobs.run_id = self._jobs.run_id or self._kept_run_id()
        return self._planned(Launch.of_this_process(own_command()) if is_service else None)

    def _planned(self, launch: Launch | None) -> Plan:
        strategy, jobs = self._strategy, self._jobs
        return Plan(self._hpo, jobs, self._settings, strategy, self._dataset, self._store, self._name, launch)

    def _limits(self) -> tuple[int | None, float | None]:
        return self._hpo.max_evals, self._planned(None).total_iterations

    def _begun(self) -> None:
        if isinstance(self._drive, Remote):
            self._jobs.run_id = run_id_in(self._store, ID_FILE)
            self._jobs.source = StoreSource(self._store, self._space, self._metrics.mode)

    # What is set before the start.

    def get_optimizer(self) -> Any:
        """Return the optimizer, whose ``result`` has every trial; of a strategy of your own, that strategy."""
        return self._strategy if self._algorithm.is_own_strategy else self._hpo

    def get_random_seed(self) -> int:
        """Return the seed of this controller; other controllers have seeds of their own."""
        return int(self._hpo.seed or 0)

    def set_random_seed(self, seed: int = 1337) -> None:
        """Set the seed of this controller, before the start.

        Raises:
            OptionError: The search has begun, or `seed` is no integer of at least 0.
        """
        self._rebuild("set_random_seed", _seed=seed)

    def set_optimization_args(  # noqa: PLR0917 - the positions are ClearML's
        self,
        eta: float | None = None,
        min_budget: float | None = None,
        max_budget: float | None = None,
        min_points_in_model: int | None = None,
        top_n_percent: float | None = None,
        num_samples: int | None = None,
        random_fraction: float | None = None,
        bandwidth_factor: float | None = None,
        min_bandwidth: float | None = None,
    ) -> None:
        """Set options of `bohb`, before the start; None leaves one as it is.

        Args:
            eta: Factor between the iterations of two rungs; 1 / `eta` of the jobs go on.
            min_budget: The iterations of the lowest rung; another name of `min_iteration_per_job`.
            max_budget: The iterations of a full job; another name of `max_iteration_per_job`.
            min_points_in_model: Least number of good and of bad points that make a model.
            top_n_percent: Share of the results that counts as good, in percent.
            num_samples: Candidates of which the best is suggested.
            random_fraction: Chance that a configuration is drawn from the prior.
            bandwidth_factor: Widens the kernels that candidates are drawn from.
            min_bandwidth: Floor of every kernel's bandwidth, in the unit cube.

        Raises:
            OptionError: The search has begun, the algorithm has no such option, it was given to the constructor too,
                or it breaks a rule.
        """
        values: list[Any] = [eta, min_budget, max_budget, min_points_in_model, top_n_percent, num_samples]
        values += [random_fraction, bandwidth_factor, min_bandwidth]
        given = {name: value for name, value in zip(BOHB_ARGUMENTS, values, strict=True) if value is not None}
        self._rebuild("set_optimization_args", _bohb={**self._bohb, **given})

    def set_optimizer_task(self, task: Any) -> None:
        """Set the store that keeps the run, before the start.

        Args:
            task: The path or URL of a store, or a Store.

        Raises:
            OptionError: The search has begun, or it is none of these.
        """
        self._rebuild("set_optimizer_task", _store=self._checked_store(task))

    @classmethod
    def get_optimizer_top_experiments(cls, optimizer_id: Any, top_k: int) -> list[Job]:
        """Return the best jobs of a run that is in a store, also while another process drives it.

        Args:
            optimizer_id: The path or URL of the store.
            top_k: How many.

        Raises:
            StoreError: There is no such store, or no controller began the run in it.
            OptionError: `top_k` is no integer of at least 0.
        """
        return Experiments(stored_jobs(cls._checked_store(optimizer_id))).top(top_k)

    def _kept_run_id(self) -> str:
        store = open_store(self._store) if isinstance(self._store, str) else self._store
        try:
            return run_id_of(None if isinstance(store, MemoryStore) else store)
        finally:
            if store is not None and store is not self._store:
                store.close()
