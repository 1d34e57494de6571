"""Jobs: the trials of a controller under ClearML's names, live: each call looks at the run as it stands."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from autohpo.controller.metrics import Metrics, split_name
from autohpo.controller.scalars import scalars_of
from autohpo.errors import OptionError, shown
from autohpo.trial import Trial, TrialState

STATUSES: Mapping[TrialState, str] = {
    TrialState.RUNNING: "in_progress",
    TrialState.COMPLETE: "completed",
    TrialState.STOPPED: "stopped",
    TrialState.CANCELLED: "stopped",
    TrialState.LOST: "queued",
}
"""ClearML's word for each state; every other one is "failed"."""

NamingScheme = Callable[[str, Mapping[str, Any]], str]


class Source(Protocol):
    """The contract of where jobs are read from: an optimizer at work, or a store that another process writes."""

    def trial(self, number: int) -> Trial | None:
        """Return a trial as it stands; None where there is none of that number."""

    def trials(self) -> Sequence[Trial]:
        """Return all trials as they stand, in the order of their numbers."""


class Jobs:
    """The jobs of one controller.

    Args:
        metrics: The objectives.
        base_name: The name of the base job.
        fidelity: The hyper-parameter that is the fidelity, if one is.

    Attributes:
        metrics: The objectives.
        base_name: The name of the base job.
        source: Where trials are read from; None before the run begins.
        fidelity: The hyper-parameter that is the fidelity, if one is.
        run_id: What the ids of all jobs of the run begin with.
        parent: The parent of new jobs, if one was set.
        project: The project of new jobs, if one was set.
        scheme: What makes names; None is the default, False gives every job the name of the base job.
        job_class: The class of the jobs that are handed out.
        started: Unix seconds of the start of each attempt that this process has seen.
        abort: Ends a job that runs.
        is_alive: Whether the search runs.
    """

    def __init__(self, metrics: Metrics, base_name: str, fidelity: str | None = None) -> None:
        self.metrics, self.base_name, self.fidelity = metrics, base_name, fidelity
        self.source: Source | None = None
        self.run_id = ""
        self.parent: str | None = None
        self.project: str | None = None
        self.scheme: NamingScheme | bool | None = None
        self.job_class: type[Job] = Job
        self.started: dict[int, float] = {}
        self.abort: Callable[[int], None] = _nothing
        self.is_alive: Callable[[], bool] = _always
        self._known: dict[int, Job] = {}

    def trials(self) -> Sequence[Trial]:
        """Return all trials as they stand; none before the run begins."""
        return () if self.source is None else self.source.trials()

    def trial(self, number: int) -> Trial | None:
        """Return a trial as it stands; None where there is none of that number."""
        return None if self.source is None else self.source.trial(number)

    def chain(self, trial: Trial) -> list[Trial]:
        """Return a trial and those that it continues, the newest first."""
        found = [trial]
        while found[-1].resume is not None:
            earlier = self.trial(found[-1].resume)
            if earlier is None:
                break
            found.append(earlier)
        return found

    def job(self, number: int) -> Job:
        """Return the job of a trial: the same object at each call."""
        known = self._known.get(number)
        if known is None or not isinstance(known, self.job_class):
            known = self._known[number] = self.job_class(self, number)
        return known

    def id_of(self, number: int) -> str:
        """Return the id of the job of a trial."""
        return f"{self.run_id}-{number}"

    def status_of(self, trial: Trial) -> str:
        """Return ClearML's word for the state of a trial."""
        if trial.state is TrialState.RUNNING and not self.is_alive():
            return "queued"  # the search has ended, and starts it again when it goes on
        return STATUSES.get(trial.state, "failed")

    def adopt(self, job: Job, number: int) -> None:
        """Take a job of a strategy as that of a trial, now that it was launched."""
        job.number = number
        self._known[number] = job

    def name_of(self, parameters: Mapping[str, Any]) -> str:
        """Return the name of a job with some parameters."""
        if self.scheme is False:
            return self.base_name
        if callable(self.scheme):
            return str(self.scheme(self.base_name, dict(parameters)))
        return f"{self.base_name}: " + " ".join(f"{name}={value}" for name, value in parameters.items())

    def set_class(self, job_class: object) -> None:
        """Set the class of the jobs that are handed out.

        Raises:
            OptionError: It is no subclass of :class:`Job`.
        """
        if not isinstance(job_class, type) or not issubclass(job_class, Job):
            raise OptionError(f"job_class: must be a subclass of autohpo.controller.Job, got {shown(job_class)}")
        self.job_class = job_class


class Job:
    """One job: a trial, with the names that ClearML's jobs and Tasks have.

    Its id stays the same when the run is resumed. What it says is true at the moment of the call.

    Args:
        jobs: The jobs of its controller.
        number: The number of its trial; None before it is launched.
        parameters: The parameters, before it is launched.
        tags: The tags.
        parent: The id of its parent.
        overrides: Further settings that its strategy gave it, kept in the log.

    Attributes:
        number: The number of its trial; None before it is launched.
        tags: The tags.
        parent: The id of the parent, if there is one.
        project: The project, if there is one.
    """

    def __init__(
        self,
        jobs: Jobs,
        number: int | None = None,
        *,
        parameters: Mapping[str, Any] | None = None,
        tags: Sequence[str] = (),
        parent: str | None = None,
        overrides: Mapping[str, Any] | None = None,
    ) -> None:
        self._jobs, self._parameters = jobs, dict(parameters or {})
        self.number = number
        info: Mapping[str, Any] = {}
        if number is not None and (trial := jobs.trial(number)) is not None:
            info = trial.info
        self.tags = [*(tags or info.get("tags", ()))]
        self.parent = parent or info.get("parent") or jobs.parent
        self.project = jobs.project
        self.task_overrides: dict[str, Any] = dict(overrides or info.get("overrides", {}))

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.id or 'not launched'}: {self.get_status()}>"

    @property
    def trial(self) -> Trial | None:
        """The trial as it stands; None before the job is launched."""
        return None if self.number is None else self._jobs.trial(self.number)

    @property
    def id(self) -> str:
        """The id of the job, unique and the same after a resume; the empty string before it is launched."""
        return "" if self.number is None else self._jobs.id_of(self.number)

    def task_id(self) -> str:
        """Return the id of the job."""
        return self.id

    @property
    def name(self) -> str:
        """The name of the job, by the naming scheme of its controller."""
        return self._jobs.name_of(self.get_parameters())

    def get_parameters(self) -> dict[str, Any]:
        """Return the parameters of the job by name, as the values that it got."""
        trial = self.trial
        return dict(self._parameters) if trial is None else dict(trial.hp)

    @property
    def task_parameter_override(self) -> dict[str, Any]:
        """The parameters of the job, under the name that ClearML's jobs have for them."""
        return self.get_parameters()

    def get_status(self) -> str:
        """Return the status: "created", "queued", "in_progress", "completed", "stopped" or "failed"."""
        trial = self.trial
        return "created" if trial is None else self._jobs.status_of(trial)

    @property
    def status(self) -> str:
        """The status, as :meth:`get_status` returns it."""
        return self.get_status()

    def is_running(self) -> bool:
        """Return whether the job runs."""
        return self.get_status() == "in_progress"

    def is_pending(self) -> bool:
        """Return whether the job waits for its start."""
        return self.get_status() in ("created", "queued")

    def is_completed(self) -> bool:
        """Return whether the job came to its end with a result."""
        return self.get_status() == "completed"

    def is_failed(self) -> bool:
        """Return whether the job ended without a result."""
        return self.get_status() == "failed"

    def is_aborted(self) -> bool:
        """Return whether the job was ended before its own end."""
        return self.get_status() == "stopped"

    is_stopped = is_aborted

    @property
    def error(self) -> str:
        """Why the job failed; the empty string where it did not."""
        trial = self.trial
        return "" if trial is None else trial.error

    def iterations(self) -> int:
        """Return the last iteration at which the objective was reported; 0 before that."""
        trial = self.trial
        return 0 if trial is None or not trial.reports else int(trial.reports[-1][0])

    def elapsed(self) -> float:
        """Return the seconds that the job has run; -1 where it has not started."""
        trial = self.trial
        if trial is None:
            return -1.0
        if trial.seconds is not None:
            return trial.seconds
        began = self._jobs.started.get(trial.number)
        return -1.0 if began is None else time.time() - began

    def get_metrics(self) -> dict[str, dict[str, Any]]:
        """Return every metric by "title/series": ``{metric, variant, value, min_value, max_value}``."""
        trial = self.trial
        return {} if trial is None else scalars_of(self._jobs.chain(trial), self._jobs.metrics)

    def get_metric(self, title: str, series: str) -> float | None:
        """Return the last value of a metric; None where the job has not reported it."""
        found = self.get_metrics()
        key = next((name for name in (f"{title}/{series}", series, title) if name in found), None)
        return None if key is None else found[key]["value"]

    def get_last_scalar_metrics(self) -> dict[str, dict[str, dict[str, float]]]:
        """Return the last, the least and the largest value of each metric, by title and series."""
        found: dict[str, dict[str, dict[str, float]]] = {}
        for name, values in self.get_metrics().items():
            title, series = split_name(name)
            row = {"last": values["value"], "min": values["min_value"], "max": values["max_value"]}
            found.setdefault(title, {})[series] = row
        return found

    def abort(self) -> None:
        """End the job, if it runs: at its next report, or a moment later without one."""
        if self.number is not None:
            self._jobs.abort(self.number)


def _nothing(number: int) -> None:
    """Do nothing."""


def _always() -> bool:
    return True
