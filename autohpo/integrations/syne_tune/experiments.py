"""Experiments: what tuners left on the disk, as tables and as the best configuration."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

from autohpo.errors import NoResultError, OptionError, PathError, shown
from autohpo.integrations.syne_tune.backend.trial_status import Status
from autohpo.integrations.syne_tune.constants import (
    ST_DECISION,
    ST_METADATA_FILENAME,
    ST_STATUS,
    ST_STORE_FILENAME,
    ST_TRIAL_ID,
    ST_TUNER_CREATION_TIMESTAMP,
    ST_TUNER_TIME,
    ST_TUNER_TIMESTAMP,
    SYNE_TUNE_DEFAULT_FOLDER,
    SYNE_TUNE_ENV_FOLDER,
)
from autohpo.result import Result
from autohpo.store import open_store
from autohpo.store.base import LogEvent
from autohpo.tables import to_frame
from autohpo.trial import Trial, TrialState, whole

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["ExperimentResult", "experiment_path", "load_experiment", "trial_ids_of"]


@dataclass
class ExperimentResult:
    """What a search of a tuner found.

    Attributes:
        name: The name of the tuner.
        records: A dict for each report: the number of the trial, what it reported, and its configuration as "config_x".
        metadata: What the tuner kept beside.
        path: The folder of the experiment.
        run: The trials, with everything that a result has here.
    """

    name: str
    records: Sequence[Mapping[str, Any]]
    metadata: Mapping[str, Any]
    path: Path
    run: Result = field(repr=False)

    @property
    def results(self) -> pd.DataFrame:
        """The records as a data frame.

        Raises:
            MissingExtraError: pandas is not installed.
        """
        return to_frame(self.records)

    def metric_names(self) -> list[str]:
        """Return the names of the metrics."""
        return list(self.metadata["metric_names"])

    def metric_mode(self) -> str:
        """Return "min" or "max"."""
        return str(self.metadata["metric_mode"])

    def entrypoint_name(self) -> str:
        """Return the name of the script or function."""
        return str(self.metadata["entrypoint"])

    def creation_date(self) -> datetime:
        """Return when the tuner was made."""
        return datetime.fromtimestamp(self.metadata[ST_TUNER_CREATION_TIMESTAMP], tz=timezone.utc)

    def best_config(self, metric: str | int = 0) -> dict[str, Any]:
        """Return the record of the best report, without what only the tuner uses.

        Args:
            metric: The name of the metric, or its place among the names.

        Raises:
            NoResultError: Nothing was reported.
        """
        best = best_of(self.records, named(metric, self.metric_names()), self.metric_mode())
        return {name: value for name, value in best.items() if not name.startswith("st_")}

    def __str__(self) -> str:
        n = len({record[ST_TRIAL_ID] for record in self.records})
        return f"Experiment {self.name}: {len(self.records)} reports of {n} trials"


def load_experiment(
    tuner_name: str,
    download_if_not_found: bool = True,  # noqa: ARG001 - the arguments are Syne Tune's
    load_tuner: bool = False,  # noqa: ARG001
    local_path: str | None = None,
    experiment_name: str | None = None,  # noqa: ARG001
) -> ExperimentResult:
    """Return what a tuner of a name found, also while it runs.

    Args:
        tuner_name: The name of the tuner, ``tuner.name``.
        download_if_not_found: Not used: experiments are looked for on this machine alone.
        load_tuner: Not used.
        local_path: The folder of all experiments; None is that of :func:`experiment_path`.
        experiment_name: Not used.

    Raises:
        PathError: There is no such experiment.
    """
    path = experiment_path(tuner_name, local_path)
    try:
        metadata = json.loads((path / ST_METADATA_FILENAME).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise PathError(f"tuner_name: there is no experiment {shown(tuner_name)} in {path.parent}") from None
    store = open_store(path / ST_STORE_FILENAME, read_only=True)
    try:
        run, events = Result.read(store), list(store.events())
    finally:
        store.close()
    return ExperimentResult(tuner_name, list(_records(run, events, metadata)), metadata, path, run)


def experiment_path(tuner_name: str | None = None, local_path: str | None = None) -> Path:
    """Return the folder of an experiment, or of all.

    Args:
        tuner_name: The name of the tuner; None is all.
        local_path: The folder of all experiments; None is what the environment variable SYNETUNE_FOLDER says, or
            ``~/syne-tune``.
    """
    root = local_path or os.environ.get(SYNE_TUNE_ENV_FOLDER) or f"~/{SYNE_TUNE_DEFAULT_FOLDER}"
    folder = Path(root).expanduser()
    return folder if tuner_name is None else folder / tuner_name


def best_of(records: Sequence[Mapping[str, Any]], metric: str, mode: str) -> Mapping[str, Any]:
    """Return the record with the best value of a metric, the first of equal ones.

    Raises:
        NoResultError: No record has the metric.
    """
    known = [record for record in records if metric in record]
    if not known:
        raise NoResultError(f"best_config: nothing was reported as {metric}")
    return (min if mode == "min" else max)(known, key=lambda record: record[metric])


def named(metric: str | int, names: Sequence[str]) -> str:
    """Return the name of a metric that is given by its name or its place.

    Raises:
        OptionError: There is none at that place.
    """
    if isinstance(metric, str):
        return metric
    if not 0 <= metric < len(names):
        raise OptionError(f"metric: must be a name, or from 0 to {len(names) - 1}, got {metric}")
    return names[metric]


def trial_ids_of(trials: Sequence[Trial]) -> dict[int, int]:
    """Return the number that each suggestion's trial has for Syne Tune: a trial that is resumed keeps its own.

    Args:
        trials: All trials of a run, in the order asked.
    """
    ids: dict[int, int] = {}
    for trial in trials:
        ids[trial.number] = len(set(ids.values())) if trial.resume is None else ids[trial.resume]
    return ids


def _records(run: Result, events: Sequence[LogEvent], metadata: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """A record for each report in the log."""
    trials, ids = {trial.number: trial for trial in run.trials}, trial_ids_of(run.trials)
    metric, resource = metadata["metric_names"][0], metadata.get("resource_attr")
    reports = [event for event in events if event.kind == "report" and event.trial in trials]
    last = {event.trial: event.seq for event in reports}
    began = next((event.time for event in events if event.time is not None), 0.0)
    for event in reports:
        trial, data = trials[event.trial], event.data
        is_last = last[event.trial] == event.seq
        yield {
            ST_TRIAL_ID: ids[event.trial],
            metric: data["perf"],
            **({} if resource is None else {resource: whole(data["fidelity"])}),
            **data.get("metrics", {}),
            ST_DECISION: _decision(trial, run) if is_last else "CONTINUE",
            ST_STATUS: Status.in_progress,
            ST_TUNER_TIMESTAMP: event.time,
            ST_TUNER_TIME: (event.time or began) - began,
            **{f"config_{name}": value for name, value in {**metadata["constants"], **trial.hp}.items()},
        }


def _decision(trial: Trial, run: Result) -> str:
    """What became of a trial at its last report."""
    if trial.state is TrialState.STOPPED:
        return "STOP"
    if trial.state is not TrialState.COMPLETE or trial.fidelity is None:
        return "CONTINUE"
    full = max(one.fidelity for one in run.trials if one.fidelity is not None)
    return "PAUSE" if trial.fidelity < full else "STOP"
