"""HyperParameterOptimizer: runs a search like an application, with ClearML's names for its arguments and methods."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from autohpo.algorithms.base import BaseHPOptimizer
from autohpo.controller.algorithms import Algorithm
from autohpo.controller.base_job import base_job
from autohpo.controller.drive import Drive, Plan
from autohpo.controller.jobs import Jobs
from autohpo.controller.limits import Budget, Deadline, Used
from autohpo.controller.metrics import Metrics
from autohpo.controller.parameters import space_of
from autohpo.controller.readings import Readings
from autohpo.controller.settings import MINUTE, MOST_TASKS, Settings, minutes, passed_on, queue_of
from autohpo.controller.sources import OptimizerSource, run_id_of
from autohpo.controller.strategy import RandomSearch, SearchStrategy
from autohpo.errors import OptionError, shown
from autohpo.store import MemoryStore, Store, open_store

BOHB_ARGUMENTS = (
    *("eta", "min_budget", "max_budget", "min_points_in_model", "top_n_percent", "num_samples"),
    *("random_fraction", "bandwidth_factor", "min_bandwidth"),
)
OF_SETTINGS = (
    *("total_max_jobs", "min_iteration_per_job", "max_iteration_per_job", "pool_period_min", "time_limit_per_job"),
    "grace_seconds",
)


class HyperParameterOptimizer(Readings):
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
            minutes), `pool_period_min` (not used: events drive the search), `num_concurrent_workers`, options of the
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
        n = max_number_of_concurrent_tasks if workers is None else workers
        self._settings = Settings(
            num_workers=min(MOST_TASKS, os.cpu_count() or 1) if n is None else n,
            optimization_time_limit=optimization_time_limit,
            compute_time_limit=compute_time_limit,
            save_top_k_tasks_only=save_top_k_tasks_only,
            executor=queue_of(execution_queue),
            more=more,
            **given,
        )
        self._options, self._bohb, self._seed = options, dict[str, Any](), seed
        self._dataset, self._name, self._run_as_service = dataset, name, run_as_service
        self._store = self._checked_store(store)
        self._given = base_task_id, hyper_parameters
        fidelity, has_dataset = more.get("fidelity"), dataset is not None
        self._f, base_name = base_job(base_task_id, self._metrics, self._space, fidelity, has_dataset=has_dataset)
        self._jobs = Jobs(self._metrics, base_name, fidelity)
        self._jobs.abort = self._abort
        self.set_job_default_parent(None, spawn_project)
        self._deadline = Deadline(self._settings.optimization_time_limit, self._moved)
        self._lock = threading.RLock()
        self._drive: Drive | None = None
        self._report_minutes: float | None = 5.0
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
                raise OptionError(f"{option}: is an argument of its own, {'objective_metric_sign' if option == 'mode' else 'seed'}")
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

    # Start, wait, stop.

    def start(self, job_complete_callback: Callable[..., object] | None = None) -> bool:
        """Start the search in the background; return True at once, or False where it runs already.

        After its end it goes on from there, as far as its limits allow.

        Args:
            job_complete_callback: Called as ``f(job_id, objective_value, objective_iteration, job_parameters,
                top_performance_job_id)``, once for each job with a result, in the order of the log, from a thread of
                its own. Jobs that an earlier process completed are not told of. What it raises is logged.

        Raises:
            OptionError: The callback cannot be called.
        """
        if job_complete_callback is not None and not callable(job_complete_callback):
            raise OptionError(f"job_complete_callback: must be callable, got {shown(job_complete_callback)}")
        with self._lock:
            if self.is_running():
                return False
            self._jobs.run_id = self._jobs.run_id or run_id_of(self._open_store())
            plan = Plan(
                self._hpo, self._jobs, self._settings, self._strategy, self._dataset, self._store, self._name
            )
            self._drive = Drive(plan, job_complete_callback, self._deadline, self._said, self._report_seconds)
            self._drive.start()
        return True

    def start_locally(self, job_complete_callback: Callable[..., object] | None = None) -> bool:
        """Start the search with its jobs on this machine, which is where they run anyway; see :meth:`start`."""
        return self.start(job_complete_callback)

    def wait(self, timeout: float | None = None, wait_for_reporter: bool = True) -> bool:
        """Wait until the search has ended; return False where it has not after `timeout`, and stop nothing then.

        Ctrl-C while the main thread waits here stops the search in order, and is raised again.

        Args:
            timeout: The minutes to wait at most; None waits for the end, which a time limit of the search brings.
            wait_for_reporter: Whether to wait until the callback was called for every job, too.

        Raises:
            AutoHPOError: The search ended with an error: it is raised here, at each call.
        """
        seconds = minutes("timeout", timeout)
        seconds = None if seconds is None else seconds * MINUTE
        drive = self._drive
        if drive is None:
            return True
        try:
            has_ended = drive.background.join(seconds)
            if has_ended and wait_for_reporter:
                drive.reporter.join(seconds)
        except KeyboardInterrupt:
            self.stop()
            raise
        if has_ended and drive.background.error is not None:
            raise drive.background.error
        return has_ended

    def stop(self, timeout: float | None = None, wait_for_reporter: bool = True) -> None:
        """End the search in order, from any thread: running jobs are asked to end, and ended after a grace.

        A second call is harmless, and so is one before the start. What was found stays; jobs that were cancelled run
        again when the search goes on.

        Args:
            timeout: The minutes to wait for the end at most; None waits for it.
            wait_for_reporter: Whether to wait until the callback was called for every job, too.
        """
        seconds = minutes("timeout", timeout)
        seconds = None if seconds is None else seconds * MINUTE
        drive = self._drive
        if drive is None:
            return
        drive.following.stop()
        if drive.background.join(seconds) and wait_for_reporter:
            drive.reporter.join(seconds)

    def _stop_soon(self) -> None:
        """End the search without waiting for it: for a strategy, in the driver's own thread."""
        if self._drive is not None:
            self._drive.following.stop()

    def _abort(self, number: int) -> None:
        if self._drive is not None:
            self._drive.following.abort(number)

    def is_active(self) -> bool:
        """Return whether the search is not over: also before its start, as ClearML has it."""
        return self._drive is None or self._drive.background.is_alive

    def is_running(self) -> bool:
        """Return whether the search runs."""
        return self._drive is not None and self._drive.background.is_alive

    # Limits.

    def set_time_limit(self, in_minutes: float | None = None, specific_time: datetime | None = None) -> None:
        """Set when the search must end, before its start or while it runs; without either there is no limit.

        Args:
            in_minutes: The minutes from now on.
            specific_time: The time, in place of these.

        Raises:
            OptionError: Both are given, or one is no time.
        """
        self._deadline.set(in_minutes, specific_time)

    def _moved(self, seconds: float | None) -> None:
        if self._drive is not None:
            self._drive.following.limit_moved()

    def get_time_limit(self) -> datetime | None:
        """Return when the search must end, in local time; None where there is no limit, or it has not begun."""
        return self._deadline.time

    def reached_time_limit(self) -> bool:
        """Return whether the time is up; False without a limit."""
        return self._deadline.is_reached

    def elapsed(self) -> float:
        """Return the minutes since the start, up to the end; -1 before the start."""
        return self._deadline.elapsed_minutes

    # The rest.

    @property
    def budget(self) -> Budget:
        """What the search may use and has used: jobs, iterations and minutes."""
        n = sum(1 for trial in self._jobs.trials() if "known" not in trial.info)
        iterations, seconds = (0.0, 0.0) if self._drive is None else self._drive.used()
        settings = self._settings
        return Budget(
            Used(settings.total_max_jobs, n),
            Used(settings.total_iterations, iterations),
            Used(settings.compute_time_limit, seconds / MINUTE),
        )

    def set_report_period(self, report_period_minutes: float | None) -> None:
        """Set how often the log gets a line that says how the search stands; may be called while it runs.

        Args:
            report_period_minutes: The minutes between two lines; None writes none.

        Raises:
            OptionError: It is no positive number.
        """
        self._report_minutes = minutes("report_period_minutes", report_period_minutes)

    def _report_seconds(self) -> float | None:
        return None if self._report_minutes is None else self._report_minutes * MINUTE

    def _said(self) -> str:
        """A line that says how the search stands."""
        counts = ", ".join(f"{n} {status}" for status, n in sorted(self._counts().items())) or "none"
        top = self.get_top_experiments(1)
        best = ""
        if top and top[0].trial is not None:
            best = f"; best {self._metrics.each[0].name} {top[0].trial.perf:g} in job {top[0].id}"
        return f"controller: jobs: {counts}{best}; after {self.elapsed():.3g} minutes"

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

    def set_optimization_args(
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
        values = (eta, min_budget, max_budget, min_points_in_model, top_n_percent, num_samples)
        values += (random_fraction, bandwidth_factor, min_bandwidth)
        given = {name: value for name, value in zip(BOHB_ARGUMENTS, values, strict=True) if value is not None}
        self._rebuild("set_optimization_args", _bohb=given)

    def set_optimizer_task(self, task: Any) -> None:
        """Set the store that keeps the run, before the start.

        Args:
            task: The path or URL of a store, or a Store.

        Raises:
            OptionError: The search has begun, or it is none of these.
        """
        self._rebuild("set_optimizer_task", _store=self._checked_store(task))

    def _open_store(self) -> Store | None:
        store = open_store(self._store) if isinstance(self._store, str) else self._store
        return None if isinstance(store, MemoryStore) else store
