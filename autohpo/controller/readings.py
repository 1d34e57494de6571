"""Readings: what a controller tells of its jobs; defined before the start, while it runs, and after its end."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from autohpo.controller.experiments import Experiments
from autohpo.controller.jobs import Job, Jobs
from autohpo.errors import OptionError, shown
from autohpo.trial import TrialState


class Readings:
    """The methods of a controller, and of a strategy, that read jobs and name them."""

    _jobs: Jobs

    def get_top_experiments(self, top_k: int) -> list[Job]:
        """Return the best jobs in the order of the objective, the best one first.

        A job that was continued with more iterations stands for those it continued; those with more iterations come
        first. Several objectives are ordered by Pareto fronts. There are none before the start.

        Args:
            top_k: How many.

        Raises:
            OptionError: `top_k` is no integer of at least 0.
        """
        return Experiments(self._jobs).top(top_k)

    def get_top_experiments_details(
        self,
        top_k: int,
        all_metrics: bool = False,
        all_hyper_parameters: bool = False,
        only_completed: bool = False,
    ) -> list[dict[str, Any]]:
        """Return what is known of the best jobs, the best one first; values have the types that they had in the job.

        Each is a dict of ``task_id``, ``hyper_parameters`` by "Section/name", ``metrics`` by "title/series" (each with
        ``metric``, ``variant``, ``value``, ``min_value``, ``max_value``; the value is the last one), ``iteration`` and
        ``status``.

        Args:
            top_k: How many.
            all_metrics: Whether metrics are told that are no objectives.
            all_hyper_parameters: Whether the hyper-parameter that is the fidelity is told, too, where one is.
            only_completed: Whether jobs that were stopped early are left out.

        Raises:
            OptionError: `top_k` is no integer of at least 0.
        """
        experiments = Experiments(self._jobs)
        return experiments.details(
            experiments.top(top_k, only_completed=only_completed),
            all_metrics=all_metrics,
            all_hyper_parameters=all_hyper_parameters,
        )

    def get_top_experiments_id_metrics_pair(
        self, top_k: int, all_metrics: bool = False, only_completed: bool = False
    ) -> list[tuple[str, dict[str, dict[str, Any]]]]:
        """Return the id and the metrics of the best jobs, the best one first.

        Args:
            top_k: How many.
            all_metrics: Whether metrics are told that are no objectives.
            only_completed: Whether jobs that were stopped early are left out.

        Raises:
            OptionError: `top_k` is no integer of at least 0.
        """
        experiments = Experiments(self._jobs)
        jobs = experiments.top(top_k, only_completed=only_completed)
        return [(job.id, experiments.metrics(job, is_all=all_metrics)) for job in jobs]

    def get_running_jobs(self) -> list[Job]:
        """Return the jobs that run now: none before the start, and none after the end."""
        if not self._jobs.is_alive():
            return []
        return [self._jobs.job(one.number) for one in self._jobs.trials() if one.state is TrialState.RUNNING]

    def get_created_jobs_ids(self) -> dict[str, dict[str, Any]]:
        """Return the parameters of all jobs by id, finished ones and those of earlier processes among them."""
        return {self._jobs.id_of(trial.number): dict(trial.hp) for trial in self._jobs.trials()}

    def get_created_jobs_tasks(self) -> dict[str, Job]:
        """Return all jobs by id, finished ones and those of earlier processes among them."""
        jobs = [self._jobs.job(trial.number) for trial in self._jobs.trials()]
        return {job.id: job for job in jobs}

    def get_active_experiments(self) -> list[Job]:
        """Return the jobs that run now: none before the start, and none after the end."""
        return self.get_running_jobs()

    def get_num_active_experiments(self) -> int:
        """Return how many jobs run now."""
        return len(self.get_running_jobs())

    def get_objective_metric(self) -> Any:
        """Return the title and the series of the objective; a list of these where there are several."""
        metrics = self._jobs.metrics
        return metrics.one_or_list(metrics.pairs)

    def set_job_class(self, job_class: type[Job]) -> None:
        """Set the class of the jobs that are handed out.

        Args:
            job_class: A subclass of :class:`autohpo.controller.Job`.

        Raises:
            OptionError: It is none.
        """
        self._jobs.set_class(job_class)

    def set_default_job_class(self, job_class: type[Job]) -> None:
        """Set the class of the jobs that are handed out, as :meth:`set_job_class` does."""
        self.set_job_class(job_class)

    def set_job_naming_scheme(self, naming_scheme: Any = None) -> None:
        """Set how jobs are named.

        Args:
            naming_scheme: A function of the base job's name and the job's parameters that returns a name; None is
                "base: name=value name=value", and False the name of the base job for all.

        Raises:
            OptionError: It is none of these.
        """
        if not (naming_scheme is None or naming_scheme is False or callable(naming_scheme)):
            raise OptionError(f"naming_scheme: must be a function, None or False, got {shown(naming_scheme)}")
        self._jobs.scheme = naming_scheme

    def set_job_default_parent(self, job_parent_id: str | None, project_name: str | None = None) -> None:
        """Set the parent and the project that jobs say they have.

        Args:
            job_parent_id: The id of the parent; None for none.
            project_name: The project; None leaves it as it is.

        Raises:
            OptionError: One is no string.
        """
        for name, value in (("job_parent_id", job_parent_id), ("project_name", project_name)):
            if not isinstance(value, (str, type(None))):
                raise OptionError(f"{name}: must be a string, got {shown(value)}")
        self._jobs.parent = job_parent_id
        self._jobs.project = self._jobs.project if project_name is None else project_name

    def _counts(self) -> Mapping[str, int]:
        """How many jobs there are of each status."""
        counts: dict[str, int] = {}
        for trial in self._jobs.trials():
            status = self._jobs.status_of(trial)
            counts[status] = counts.get(status, 0) + 1
        return counts
