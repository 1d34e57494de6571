"""Jobs: the evaluations of a search under HpBandSter's ids, while they happen and afterwards."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from autohpo.algorithms.base import BaseHPOptimizer
from autohpo.execution.base import Event
from autohpo.execution.watch import AttemptListener, Watch
from autohpo.integrations.hpbandster.compute import JOB, read_info
from autohpo.integrations.hpbandster.core.runs import ConfigId, Datum, Job
from autohpo.store import Store
from autohpo.trial import Running, Task, Trial

__all__ = ["ConfigIds", "JobExecutor", "Jobs"]

WARM = -1
"""The iteration that configurations of earlier results belong to."""


class ConfigIds:
    """The id of each configuration: iteration, stage where it was drawn, and place there.

    Args:
        n_iteration: How many configurations one iteration has, in a search without brackets.
    """

    def __init__(self, n_iteration: int = 1) -> None:
        self._n_iteration, self._n_new = n_iteration, 0
        self._ids: dict[int, ConfigId] = {}
        self._n_entered: dict[tuple[int, int], int] = {}

    def __len__(self) -> int:
        return len(self._ids)

    def __getitem__(self, number: int) -> ConfigId:
        return self._ids[number]

    def add(self, trial: Trial | Running) -> ConfigId:
        """Return the id of the next trial; they come in the order of their numbers.

        Args:
            trial: The trial. A promoted one has the id of the trial that it continues.
        """
        info = trial.info
        if "known" in info:
            found: ConfigId = WARM, 0, trial.number
        elif "bracket" in info:
            place = info["bracket"], info["rung"]
            n = self._n_entered[place] = self._n_entered.get(place, 0) + 1
            found = (*place, n - 1)
        else:
            found = self._n_new // self._n_iteration, 0, self._n_new % self._n_iteration
            self._n_new += 1
        self._ids[trial.number] = found if trial.resume is None else self._ids[trial.resume]
        return self._ids[trial.number]


class Jobs(AttemptListener):
    """The evaluations of a search, for a result logger and for the result.

    Args:
        hpo: The optimizer.
        store: The store of the search, whose folder has the infos.
        ids: The ids of the configurations, none yet.
        result_logger: What is called with each configuration and each evaluation; None is nothing.
        kwargs: What ``compute`` gets beside configuration and budget.
        budget: The budget where a trial says none.
        name_of: Returns the name of the worker of a slot.
        logged: The ids and budgets of what the logger has got before.
    """

    def __init__(
        self,
        hpo: BaseHPOptimizer,
        store: Callable[[], Store],
        ids: ConfigIds,
        *,
        result_logger: Any,
        kwargs: Mapping[str, Any],
        budget: float,
        name_of: Callable[[int], str],
        logged: set[tuple[ConfigId, float]],
    ) -> None:
        self._hpo, self._store, self._ids = hpo, store, ids
        self._logger, self._logged = result_logger, logged
        self._kwargs, self._budget, self._name_of = dict(kwargs), budget, name_of
        self._jobs: dict[int, Job] = {}  # what runs, by number

    # While the search runs: what the executor tells.

    def prepared(self, slot: int, task: Task) -> Task:
        """Return a task with its config id and the file for its info, and tell the logger of a new configuration.

        Args:
            slot: The slot that it is for.
            task: The task.
        """
        history = self._hpo.history
        while len(self._ids) <= task.number:
            item = history.get(len(self._ids)) or history.find(len(self._ids))
            self._new(item, self._ids.add(item))
        config_id, path = self._ids[task.number], self._path(task.number)
        path.unlink(missing_ok=True)  # of an attempt that was given up
        now = time.time()
        job = Job(
            config_id,
            {"config": dict(task.hp), "budget": self._budget_of(task.fidelity), **self._kwargs},
            {"submitted": now, "started": now},
            worker_name=self._name_of(slot),
        )
        self._jobs[task.number] = job
        return replace(task, hp={**task.hp, JOB: {"config_id": list(config_id), "path": str(path), "slot": slot}})

    def ended(self, event: Event) -> None:
        """Take the end of an attempt; one that will be repeated does not count."""
        outcome = event.outcome
        job = self._jobs.pop(event.number, None)
        if job is None or outcome is None or not outcome.state.is_final:
            return
        job.timestamps["finished"] = time.time()
        job.result = self._result(event.number, outcome.perf)
        job.exception = None if job.result is not None else outcome.error or str(outcome.state)
        self._log(job)

    # Afterwards.

    def log_earlier(self, trials: list[Trial]) -> None:
        """Tell the logger of what it has not got: trials of earlier runs, and those that ended with the search.

        Args:
            trials: All trials of the search, in the order asked.
        """
        for trial in trials:
            if len(self._ids) <= trial.number:
                self._new(trial, self._ids.add(trial))
            if _has_ended(trial):
                stamps = _stamps_of(trial)
                result = self._result(trial.number, trial.perf)
                budget = self._budget_of(trial.fidelity)
                kwargs = {"config": dict(trial.hp), "budget": budget, **self._kwargs}
                error = None if result is not None else trial.error or str(trial.state)
                self._log(Job(self._ids[trial.number], kwargs, stamps, result, error))

    def data(self, trials: list[Trial]) -> dict[ConfigId, Datum]:
        """Return the configurations of the search, with absolute time stamps.

        Args:
            trials: All trials of the search, in the order asked; :meth:`log_earlier` had them.
        """
        found: dict[ConfigId, Datum] = {}
        replaced: list[str] = []
        for trial in trials:
            if "known" in trial.info:
                continue
            config_id = self._ids[trial.number]
            datum = found.setdefault(config_id, Datum(dict(trial.hp), _config_info(trial)))
            if _has_ended(trial):
                result = self._result(trial.number, trial.perf, replaced)
                error = None if result is not None else trial.error or str(trial.state)
                datum.add(self._budget_of(trial.fidelity), result, _stamps_of(trial), error)
        if replaced:
            places = ", ".join(dict.fromkeys(replaced))
            warnings.warn(
                f"compute: 'info' must be of JSON types to be kept; parts are kept as text: info{places}",
                UserWarning,
                stacklevel=3,
            )
        return found

    def _new(self, item: Trial | Running, config_id: ConfigId) -> None:
        """Tell the logger of a trial that is a new configuration."""
        is_new = item.resume is None and "known" not in item.info
        key = config_id, 0.0
        if is_new and key not in self._logged and hasattr(self._logger, "new_config"):
            self._logged.add(key)
            self._logger.new_config(config_id, dict(item.hp), _config_info(item))

    def _log(self, job: Job) -> None:
        key = job.id, job.kwargs["budget"]
        if self._logger is not None and key not in self._logged:
            self._logged.add(key)
            self._logger(job)

    def _result(self, number: int, loss: float | None, replaced: list[str] | None = None) -> dict[str, Any] | None:
        if loss is None:
            return None
        info, places = read_info(self._path(number))
        if replaced is not None:
            replaced += places
        return {"loss": loss, "info": info}

    def _path(self, number: int) -> Path:
        return self._store().files / "hpbandster" / f"info-{number}.json"

    def _budget_of(self, fidelity: float | None) -> float:
        return float(self._budget if fidelity is None else fidelity)


class JobExecutor(Watch):
    """An executor whose tasks are made evaluations with ids.

    Args:
        inner: The executor that does the work.
        jobs: The evaluations.
    """

    def __init__(self, inner: Any, jobs: Jobs) -> None:
        super().__init__(inner, jobs)
        self._jobs = jobs

    def submit(self, slot: int, task: Task) -> None:
        """Start a task in a slot that is free."""
        super().submit(slot, self._jobs.prepared(slot, task))


def _config_info(item: Trial | Running) -> dict[str, Any]:
    """What HpBandSter knows of a configuration: whether a model picked it."""
    return {"model_based_pick": bool(item.info["model"])} if "model" in item.info else {}


def _has_ended(trial: Trial) -> bool:
    """Whether a trial was evaluated in this search, and has come to its end."""
    return trial.state.is_final and "known" not in trial.info and trial.ended is not None


def _stamps_of(trial: Trial) -> dict[str, float]:
    ended = trial.ended or 0.0
    started = ended if trial.started is None else trial.started
    return {"submitted": started, "started": started, "finished": ended}
