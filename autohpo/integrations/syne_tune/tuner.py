"""Tuner: runs a scheduler with a backend, as a search of ours."""

from __future__ import annotations

import json
import logging
import math
import re
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from autohpo.errors import FailuresError, NoResultError, OptionError, shown
from autohpo.execution.local import LocalExecutor
from autohpo.execution.watch import Watch
from autohpo.integrations.syne_tune.backend.local_backend import LocalBackend
from autohpo.integrations.syne_tune.constants import (
    ST_METADATA_FILENAME,
    ST_STORE_FILENAME,
    ST_TRIAL_ID,
    ST_TUNER_CREATION_TIMESTAMP,
    ST_TUNER_START_TIMESTAMP,
    TUNER_DEFAULT_SLEEP_TIME,
)
from autohpo.integrations.syne_tune.experiments import best_of, experiment_path, load_experiment, named
from autohpo.integrations.syne_tune.following import Following
from autohpo.integrations.syne_tune.optimizer.scheduler import TrialScheduler
from autohpo.integrations.syne_tune.stopping_criterion import StoppingCriterion
from autohpo.integrations.syne_tune.tuner_callback import TunerCallback
from autohpo.integrations.syne_tune.tuning_status import TuningStatus

__all__ = ["Tuner"]

GRACE_SECONDS = 1.0  # for scripts to end at their next report when the search ends
_log = logging.getLogger("autohpo")


class Tuner:
    """Runs the trials that a scheduler suggests, until a criterion ends the search.

    Everything is in a store in the folder of the experiment. Where a tuner of the same name and folder was killed,
    with ``suffix_tuner_name=False``, the same program goes on with its search.

    Args:
        trial_backend: What runs trials: a :class:`LocalBackend` or a :class:`PythonBackend`.
        scheduler: The scheduler.
        stop_criterion: A callable that takes the status of the search and says whether it is over.
        n_workers: How many trials run at once.
        sleep_time: Not used: the tuner waits for events.
        results_update_interval: Not used: each report is kept at once.
        print_update_interval: The seconds between two lines in the log.
        max_failures: How many trials may fail.
        tuner_name: The name; letters, digits and "-". None is that of the script.
        asynchronous_scheduling: Must be True: a worker that is free gets a trial.
        wait_trial_completion_when_stopping: Whether trials that run may end when the search is over.
        callbacks: What is told how the search goes.
        metadata: What is kept beside the results; JSON types.
        suffix_tuner_name: Whether the name gets the time, so that there is no other of this name.
        save_tuner: Not used: the store has everything.
        start_jobs_without_delay: Not used.
        trial_backend_path: The folder for what scripts print; None is that of the experiment.

    Attributes:
        name: The name, for :func:`load_experiment`.
        tuner_path: The folder of the experiment.
        tuning_status: How the search stands; None before it begins.

    Raises:
        OptionError: An argument breaks a rule.
    """

    def __init__(  # noqa: PLR0917 - the positions are Syne Tune's
        self,
        trial_backend: LocalBackend,
        scheduler: TrialScheduler,
        stop_criterion: Callable[[TuningStatus], bool],
        n_workers: int,
        sleep_time: float = TUNER_DEFAULT_SLEEP_TIME,
        results_update_interval: float = 10.0,
        print_update_interval: float = 30.0,
        max_failures: int = 1,
        tuner_name: str | None = None,
        asynchronous_scheduling: bool = True,
        wait_trial_completion_when_stopping: bool = False,
        callbacks: Sequence[TunerCallback] | None = None,
        metadata: Mapping[str, Any] | None = None,
        suffix_tuner_name: bool = True,
        save_tuner: bool = True,
        start_jobs_without_delay: bool = True,
        trial_backend_path: str | None = None,
    ) -> None:
        _check(trial_backend, scheduler, asynchronous_scheduling)
        self.trial_backend, self.scheduler, self.stop_criterion = trial_backend, scheduler, stop_criterion
        self.n_workers, self.max_failures = n_workers, max_failures
        self.wait_trial_completion_when_stopping = wait_trial_completion_when_stopping
        self.print_update_interval = print_update_interval
        self.callbacks = list(callbacks or ())
        self.name = _named(tuner_name, trial_backend.entrypoint_path(), suffix_tuner_name)
        self.tuner_path = experiment_path(self.name)
        trial_backend.set_path(trial_backend_path or str(self.tuner_path), self.name)
        self.metadata = {**(metadata or {}), **self._facts()}
        self.tuning_status: TuningStatus | None = None

    def _facts(self) -> dict[str, Any]:
        """What is kept beside the results of every tuner."""
        return {
            ST_TUNER_CREATION_TIMESTAMP: time.time(),
            "entrypoint": self.trial_backend.entrypoint_path().stem,
            "backend": type(self.trial_backend).__name__,
            **self.scheduler.metadata(),
            "constants": {name: _as_json(value) for name, value in self.scheduler.constants.items()},
        }

    def run(self) -> None:
        """Run the search to its end.

        Raises:
            FailuresError: More trials failed than may.
        """
        following = Following(
            self.scheduler,
            self.stop_criterion,
            self.callbacks,
            max_failures=self.max_failures,
            waits=self.wait_trial_completion_when_stopping,
            print_seconds=self.print_update_interval,
        )
        self.tuning_status = following.status
        self.tuner_path.mkdir(parents=True, exist_ok=True)
        self.metadata[ST_TUNER_START_TIMESTAMP] = time.time()
        text = json.dumps(self.metadata, indent=1, default=_as_json)
        (self.tuner_path / ST_METADATA_FILENAME).write_text(text, encoding="utf-8")
        for callback in self.callbacks:
            callback.on_tuning_start(self)
        try:
            self._search(following)
        finally:
            for callback in self.callbacks:
                callback.on_tuning_end()
        if following.has_failed:
            failed = [trial for trial in self.scheduler.hpo.result if trial.error]
            error = failed[-1].error.strip() if failed else ""
            n = following.status.num_trials_failed
            raise FailuresError(f"max_failures: {n} trials failed, and {self.max_failures} may; the last: {error}")
        _log.info("results of %s are in %s", self.name, self.tuner_path)

    def _search(self, following: Following) -> None:
        hpo, backend = self.scheduler.hpo, self.trial_backend
        hpo.f = backend.objective(self.scheduler)
        devices = backend.devices(self.n_workers)
        inner = LocalExecutor(self.n_workers, log_folder=self.tuner_path / "workers", devices=devices)
        limit = self.stop_criterion.max_wallclock_time if isinstance(self.stop_criterion, StoppingCriterion) else None
        try:
            hpo.optimize(
                executor=Watch(inner, following),
                store=str(self.tuner_path / ST_STORE_FILENAME),
                time_limit=math.inf if limit is None or self.wait_trial_completion_when_stopping else limit,
                progress=False,
                continue_on_error=True,
                max_consecutive_failures=None,
                grace_seconds=GRACE_SECONDS,
                keep_checkpoints="live" if backend.delete_checkpoints else "all",
            )
        except NoResultError as error:
            _log.warning("%s", error)

    def best_config(self, metric: str | int = 0) -> tuple[int, dict[str, Any]]:
        """Return the number of the trial with the best report, and its configuration.

        Args:
            metric: The name of the metric, or its place among the scheduler's.

        Raises:
            NoResultError: Nothing was reported.
        """
        found = load_experiment(self.name, local_path=str(self.tuner_path.parent))
        name = named(metric, self.scheduler.metric_names())
        best = best_of(found.records, name, self.scheduler.metric_mode())
        prefix = "config_"
        hp = {key.removeprefix(prefix): value for key, value in best.items() if key.startswith(prefix)}
        return int(best[ST_TRIAL_ID]), self.scheduler.config_of(hp, None)


def _check(trial_backend: object, scheduler: object, is_asynchronous: bool) -> None:
    """Check what a tuner is made of.

    Raises:
        OptionError: It is of another package.
    """
    if not isinstance(scheduler, TrialScheduler):
        hint = "a subclass of autohpo.BaseHPOptimizer is how algorithms of your own are written here"
        raise OptionError(f"scheduler: must be one of this package, got {shown(type(scheduler).__name__)}; {hint}")
    if not isinstance(trial_backend, LocalBackend):
        got = shown(type(trial_backend).__name__)
        raise OptionError(f"trial_backend: must be a LocalBackend or a PythonBackend, got {got}")
    if not is_asynchronous:
        raise OptionError("asynchronous_scheduling: must be True here; SyncHyperband fills rungs before it promotes")


def _named(given: str | None, entry_point: Path, has_suffix: bool) -> str:
    """The name of a tuner.

    Raises:
        OptionError: It has other characters than letters, digits and "-".
    """
    name = entry_point.stem.replace("_", "-") if given is None else given
    if not re.fullmatch(r"[A-Za-z0-9](-*[A-Za-z0-9])*", name):
        raise OptionError(f"tuner_name: must be letters and digits, with '-' between them, got {shown(name)}")
    now = datetime.now(tz=timezone.utc)
    return f"{name}-{now:%Y-%m-%d-%H-%M-%S}-{now.microsecond // 1000:03d}" if has_suffix else name


def _as_json(value: Any) -> Any:
    """A value as JSON holds it; what JSON cannot hold by its text."""
    if hasattr(value, "item"):
        return value.item()
    return value if isinstance(value, (str, int, float, bool, list, dict, type(None))) else str(value)
