"""SearchStrategy: an algorithm in ClearML's form, which creates jobs and looks after them."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from autohpo.controller.jobs import Job, Jobs
from autohpo.controller.readings import Readings
from autohpo.errors import AlgorithmError, AutoHPOError, OptionError, SpaceError, shown
from autohpo.spaces import FixedHP, SearchSpace

if TYPE_CHECKING:
    from collections.abc import Callable


class SearchStrategy(Readings):
    """A search strategy: subclass it, write :meth:`create_job`, and give the class as ``optimizer_class``.

    The driver of the controller launches what :meth:`create_job` returns, in its workers and with its store. It asks
    whenever a worker is free, and looks after running jobs at every event: :meth:`process_step` does both.

    All methods are called from the driver's thread. A run that is resumed shows its earlier jobs in
    :meth:`get_created_jobs_ids`: a strategy that follows from these goes on where it was.

    Args:
        base_task_id: The base job of the controller.
        hyper_parameters: The parameters as the controller got them; `space` is what they became.
        objective_metric: The objectives; :meth:`get_objective_metric` has their names.
        execution_queue: Where jobs run.
        num_concurrent_workers: How many jobs run at once.
        pool_period_min: Not used: events drive the search.
        time_limit_per_job: The minutes that each job may take. The controller holds this and all other limits.
        compute_time_limit: The minutes that all jobs together may take.
        min_iteration_per_job: The fewest iterations of a job.
        max_iteration_per_job: The most iterations of a job.
        total_max_jobs: How many jobs may be created.
        options: Further arguments of the controller by name, for an ``__init__`` of your own.

    Attributes:
        algorithm: The registered name of the algorithm that creates the jobs, in a strategy that is one of ours; None
            in a strategy of your own.

    Raises:
        OptionError: An argument breaks a rule.

    Example:
        >>> from autohpo import HyperParameterOptimizer, RangeHP
        >>> from autohpo.controller import SearchStrategy
        >>> class Halves(SearchStrategy):
        ...     def create_job(self):
        ...         n = len(self.get_created_jobs_ids())
        ...         return self.helper_create_job(parameter_override={"x": 0.5**n}) if n < 4 else None
        >>> controller = HyperParameterOptimizer(
        ...     lambda hps: hps["x"], [RangeHP("x", 0.0, 1.0)], "loss", "total", "min", Halves, execution_queue="serial"
        ... )
        >>> controller.start() and controller.wait()
        True
        >>> controller.get_top_experiments(1)[0].get_parameters()
        {'x': 0.125}
    """

    algorithm: ClassVar[str | None] = None

    def __init__(  # noqa: PLR0917 - the positions are ClearML's
        self,
        base_task_id: Any = None,
        hyper_parameters: Any = (),
        objective_metric: Any = None,
        execution_queue: Any = None,
        num_concurrent_workers: int = 1,
        pool_period_min: float | None = 2.0,
        time_limit_per_job: float | None = None,
        compute_time_limit: float | None = None,
        min_iteration_per_job: float | None = None,
        max_iteration_per_job: float | None = None,
        total_max_jobs: int | None = None,
        **options: Any,
    ) -> None:
        if options:
            name = next(iter(options))
            raise OptionError(f"{name}: {type(self).__name__} has no such option; give it an __init__ that takes it")
        self._base_task_id, self._hyper_parameters = base_task_id, hyper_parameters
        self._objective_metric, self._execution_queue = objective_metric, execution_queue
        self._num_concurrent_workers, self.pool_period_minutes = num_concurrent_workers, pool_period_min
        self.time_limit_per_job, self.compute_time_limit = time_limit_per_job, compute_time_limit
        self.min_iteration_per_job, self.max_iteration_per_job = min_iteration_per_job, max_iteration_per_job
        self.total_max_jobs = total_max_jobs
        self._attached: Jobs | None = None
        self._launched: deque[Job] = deque()  # created, and not yet taken by the driver
        self._watched: dict[int, Job] = {}  # what runs, by number
        self._stop: Callable[[], None] = lambda: None
        self._seed: int | None = None
        self._rng = np.random.default_rng()

    # What the controller calls.

    def _attach(self, jobs: Jobs, space: SearchSpace, stop: Callable[[], None], seed: int | None) -> None:
        """Belong to a controller from now on."""
        self._attached, self.space, self._stop = jobs, space, stop
        self._seed, self._rng = seed, np.random.default_rng(seed)

    def _taken(self, number: int) -> Job | None:
        """Return the next launched job as that of a trial; None where none waits."""
        if not self._launched:
            return None
        job = self._launched.popleft()
        self._jobs.adopt(job, number)
        self._watched[number] = job
        return job

    def _watch(self, running: Sequence[int]) -> None:
        """Take note of which trials run."""
        jobs = self._jobs
        self._watched = {number: self._watched.get(number) or jobs.job(number) for number in running}

    @property
    def _jobs(self) -> Jobs:  # type: ignore[override] # it is there once the strategy belongs to a controller
        if self._attached is None:
            raise OptionError(f"{type(self).__name__}: has no controller; give the class as optimizer_class")
        return self._attached

    # The override points.

    def start(self) -> None:
        """Called once when the driver begins, before the first job; returns at once. Override it to get ready."""

    def stop(self) -> None:
        """End the search in order; also called once when the driver has ended. Override it to clean up."""
        self._stop()

    def create_job(self) -> Job | None:
        """Return the next job, made by :meth:`helper_create_job`; None where there is none now.

        Called when a worker is free. Where it returns None while nothing runs, the search is over.
        """
        return None

    def monitor_job(self, job: Job) -> bool:
        """Return whether a running job goes on; called for each one at every event. False ends it.

        Args:
            job: A job that runs.
        """
        return True

    def process_step(self) -> bool:
        """Look after the jobs that run, create new ones for free workers, and return whether the search goes on.

        False ends the search, and the jobs that run with it.
        """
        for running in self.get_running_jobs():
            if not self.monitor_job(running):
                running.abort()
        if self.algorithm is not None:
            return True
        while len(self._watched) + len(self._launched) < self._num_concurrent_workers:
            job: Any = self.create_job()
            if job is None:
                break
            if not isinstance(job, Job):
                who = f"{type(self).__name__}.create_job"
                raise OptionError(f"{who}: must return what helper_create_job returns, or None, got {shown(job)}")
            if job.number is not None or any(job is one for one in self._launched):
                who = f"{type(self).__name__}.create_job"
                raise OptionError(f"{who}: must return a new job each time, got one that it returned before")
            self._launched.append(job)
        return bool(self._watched or self._launched)

    # What a strategy calls.

    def helper_create_job(
        self,
        base_task_id: Any = None,
        parameter_override: Mapping[str, Any] | None = None,
        task_overrides: Mapping[str, Any] | None = None,
        tags: Sequence[str] | None = None,
        parent: str | None = None,
    ) -> Job:
        """Return a new job of the base job with some parameters; it is launched once :meth:`create_job` returns it.

        Args:
            base_task_id: The base job: that of the controller.
            parameter_override: The value of each parameter; one that has a single value may be left out.
            task_overrides: Further settings, kept in the log; JSON types.
            tags: Tags of the job, kept in the log.
            parent: The id of its parent, kept in the log.

        Raises:
            OptionError: The base job is another one, or the parameters are no configuration of the space.
        """
        if base_task_id is not None and base_task_id is not self._base_task_id:
            raise OptionError("base_task_id: must be that of the controller, got another one")
        fixed = {p.name: p.value for p in self.space.parameters if isinstance(p, FixedHP)}
        given = dict(parameter_override or {})
        hp = {**{name: value for name, value in fixed.items() if self.space.is_active(name, given)}, **given}
        try:
            hp = self.space.checked(hp)
        except SpaceError as error:
            raise OptionError(f"parameter_override: must be a configuration of the space; {error}") from None
        owner = self._jobs
        return owner.job_class(
            owner, parameters=hp, tags=list(tags or ()), parent=parent, overrides=dict(task_overrides or {})
        )

    def sample(self) -> dict[str, Any]:
        """Return parameters drawn at random from their priors, by the seed of the controller."""
        return self.space.sample(self._rng, 1)[0]

    def get_running_jobs(self) -> list[Job]:
        """Return the jobs that run."""
        return list(self._watched.values())

    def get_created_jobs_ids(self) -> dict[str, dict[str, Any]]:
        """Return the parameters of all jobs by id, finished ones and those of earlier processes among them."""
        return {job.id: job.get_parameters() for job in self.get_created_jobs_tasks().values()} | {
            f"launched-{place}": job.get_parameters() for place, job in enumerate(self._launched)
        }

    def get_random_seed(self) -> int | None:
        """Return the seed of the controller, which :meth:`sample` draws by."""
        return self._seed


def called(hook: Callable[[], Any]) -> Any:
    """Call a hook of a strategy, a bound method, and return what it returns.

    Raises:
        AlgorithmError: It raised what is none of our errors; the text names it.
    """
    try:
        return hook()
    except AutoHPOError:
        raise
    except Exception as error:  # the user's own code may raise anything
        who = f"{type(hook.__self__).__name__}.{hook.__name__}"  # type: ignore[attr-defined]
        raise AlgorithmError(f"{who}: raised {type(error).__name__}: {error}") from error


class OptimizerBOHB(SearchStrategy):
    """BOHB: Hyperband's brackets, filled by a model. It is autohpo's `bohb`."""

    algorithm = "bohb"


class OptimizerOptuna(SearchStrategy):
    """The tree-structured Parzen estimator, Optuna's default. It is autohpo's own `tpe`: Optuna is not needed."""

    algorithm = "tpe"


class RandomSearch(SearchStrategy):
    """Random search. It is autohpo's `random`, which draws no configuration of a finite space twice."""

    algorithm = "random"


class GridSearch(SearchStrategy):
    """Grid search. It is autohpo's `grid`."""

    algorithm = "grid"
