"""MLflow: a run for the search, and a nested run for each trial."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from autohpo.errors import OptionError, shown
from autohpo.integrations._tracked import (
    BEST,
    best_of,
    check_flags,
    check_texts,
    digest,
    is_failed,
    name_of,
    need,
    notes_of,
    plain,
)
from autohpo.trial import Trial, TrialState

if TYPE_CHECKING:
    from autohpo.result import Result
    from autohpo.tracking import Change, TrackedRun

MOST_METRICS, MOST_PARAMS, MOST_TAGS = 1000, 100, 100
"""How much MLflow takes in one call."""

MOST_CHARACTERS = 5000
"""How long a text may be there."""

PARENT, RUN, TRIAL = "mlflow.parentRunId", "autohpo.run", "autohpo.trial"


@dataclass(kw_only=True)
class MLflowTracker:
    """Tells MLflow of a search: it needs neither an active run nor ``mlflow.set_tracking_uri``, and sets neither.

    The search is a run: its parameters are the settings and the space, its metrics the best results so far, with the
    number of ended trials as step. Each trial is a run nested in it: its parameters are the configuration, its metrics
    what it reported and ended with, with the fidelity as step. States, attempts and errors are tags ``autohpo.*``.

    Args:
        tracking_uri: Where MLflow keeps its runs, such as ``"sqlite:///mlflow.db"`` or the address of a server; empty
            takes what MLflow itself is set to.
        experiment: The name of the experiment, which is made where there is none.
        run_name: The name of the search's run; empty takes that of the search.
        tags: More tags for the search's run.
        trials: Whether each trial has a run of its own.
        wait_seconds: How long the end of a search waits for MLflow where it does not get on.

    Raises:
        OptionError: An option is wrong.
        MissingExtraError: MLflow is not installed.
    """

    tracking_uri: str = ""
    experiment: str = "autohpo"
    run_name: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)
    trials: bool = True
    wait_seconds: float = 120.0

    def __post_init__(self) -> None:
        check_texts(self, "tracking_uri", "experiment", "run_name")
        check_flags(self, "trials")
        if not isinstance(self.tags, Mapping):
            raise OptionError(f"tags: must be a dict from name to text, got {shown(self.tags)}")
        if not self.experiment:
            raise OptionError("experiment: must be a name, got ''")
        need("mlflow", "mlflow")
        self._client: Any = None
        self._experiment = self._run_id = ""
        self._known: dict[int, str] = {}  # the runs of trials, by number
        self._names: tuple[str, ...] = ()
        self._legal = _Legal()

    @property
    def key(self) -> str:
        """Where it writes, for the notes of how far it got."""
        return f"mlflow-{digest(self.tracking_uri, self.experiment)}"

    def start(self, run: TrackedRun) -> Mapping[str, Any]:
        """Find the run of the search, or make it."""
        from mlflow.tracking import MlflowClient

        client = self._client = MlflowClient(self.tracking_uri or None)
        found = client.get_experiment_by_name(self.experiment)
        self._experiment = client.create_experiment(self.experiment) if found is None else found.experiment_id
        self._names, self._known = run.objective_names, {}
        self._legal.take([*run.settings, *(hp.name for hp in run.space), *self._names])
        runs = self._search(f"tags.`{RUN}` = '{run.id}'", 1)
        if runs:
            self._run_id = runs[0].info.run_id
            client.update_run(self._run_id, status="RUNNING")
            if self.trials:
                self._known = self._children()
        else:
            tags = {
                RUN: run.id,
                "mlflow.runName": self.run_name or run.name,
                **{k: str(v) for k, v in self.tags.items()},
            }
            self._run_id = client.create_run(self._experiment, tags=tags).info.run_id
        self._write(self._run_id, params=run.settings)
        return {"experiment_id": self._experiment, "run_id": self._run_id}

    def take(self, changes: Sequence[Change]) -> None:
        """Write what is new, a call for each run that it is of."""
        if self.trials:
            by_trial: dict[int, list[Change]] = {}
            for change in changes:
                by_trial.setdefault(change.trial.number, []).append(change)
            for number, of_trial in by_trial.items():
                self._take_trial(number, of_trial)
        metrics = []
        for change in changes:
            if change.event.kind != "end" or change.best is None:
                continue
            best = zip(self._names, change.best.perfs, strict=True)
            metrics += [(f"{BEST}.{name}", perf, change.event.time, change.n_ended) for name, perf in best]
        self._write(self._run_id, metrics)

    def finish(self, result: Result, error: str) -> None:
        """End the run of the search; a search that goes on opens it again."""
        best = best_of(result)
        tags = {f"n_{state.lower()}": str(n) for state, n in result.counts().items()}
        tags |= {"error": error} if error else {}
        if best is not None:
            tags |= {"best": str(best.number), **{f"best.{k}": str(plain(v)) for k, v in best.hp.items()}}
            tags |= {"best.run": self._known[best.number]} if best.number in self._known else {}
        self._write(self._run_id, tags=tags)
        is_signal = error.startswith(("KeyboardInterrupt", "SystemExit"))
        self._client.set_terminated(self._run_id, "KILLED" if is_signal else "FAILED" if error else "FINISHED")

    def _take_trial(self, number: int, changes: Sequence[Change]) -> None:
        run_id = self._known.get(number)
        last = changes[-1].trial
        is_new = run_id is None
        if run_id is None:
            run_id = self._known[number] = self._create(changes[0])
        metrics = [
            (name, value, change.event.time, change.step) for change in changes for name, value in change.values.items()
        ]
        params = last.hp if is_new or changes[0].event.kind == "ask" else {}
        kinds = [change.event.kind for change in changes]
        tags = notes_of(last) if set(kinds) != {"report"} else {}
        self._write(run_id, metrics, params, tags)
        if "end" in kinds:
            ended = changes[kinds.index("end")].event.time
            self._client.set_terminated(run_id, _status(last), end_time=_milliseconds(ended))

    def _create(self, change: Change) -> str:
        trial = change.trial
        tags = {PARENT: self._run_id, TRIAL: str(trial.number), "mlflow.runName": name_of(trial)}
        at = _milliseconds(change.event.time)
        return str(self._client.create_run(self._experiment, start_time=at, tags=tags).info.run_id)

    def _children(self) -> dict[int, str]:
        """Return the runs of the trials that were told before."""
        runs = self._search(f"tags.`{PARENT}` = '{self._run_id}'", 1_000_000)
        return {int(run.data.tags[TRIAL]): run.info.run_id for run in runs if TRIAL in run.data.tags}

    def _search(self, query: str, most: int) -> list[Any]:
        found: list[Any] = []
        token = None
        while len(found) < most:
            page = self._client.search_runs([self._experiment], query, max_results=min(most, 1000), page_token=token)
            found += page
            token = page.token
            if not token:
                break
        return found

    def _write(
        self,
        run_id: str,
        metrics: Sequence[tuple[str, float, float, int]] = (),
        params: Mapping[str, Any] | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> None:
        from mlflow.entities import Metric, Param, RunTag

        rows = [Metric(self._legal(name), value, _milliseconds(at), step) for name, value, at, step in metrics]
        given = [
            Param(self._legal(name), str(plain(value))[:MOST_CHARACTERS]) for name, value in (params or {}).items()
        ]
        notes = [RunTag(self._legal(f"autohpo.{name}"), text[:MOST_CHARACTERS]) for name, text in (tags or {}).items()]
        while rows or given or notes:
            self._client.log_batch(run_id, rows[:MOST_METRICS], given[:MOST_PARAMS], notes[:MOST_TAGS])
            rows, given, notes = rows[MOST_METRICS:], given[MOST_PARAMS:], notes[MOST_TAGS:]


def _status(trial: Trial) -> str:
    """Return MLflow's word for how a trial ended."""
    if trial.state is TrialState.CANCELLED:
        return "KILLED"
    return "FAILED" if is_failed(trial.state) else "FINISHED"


def _milliseconds(seconds: float) -> int:
    return int(seconds * 1000)


class _Legal:
    """Names with the characters alone that MLflow takes; names that differ stay different."""

    def __init__(self) -> None:
        self._taken: dict[str, str] = {}

    def take(self, names: Iterable[str]) -> None:
        """Give names a place before others come, first those that are legal as they are."""
        for name in sorted(names, key=lambda name: (_cut(name) != name, name)):
            self(name)

    def __call__(self, name: str) -> str:
        """Return the legal form of a name."""
        found = _cut(name)
        return found if self._taken.setdefault(found, name) == name else f"{found[:240]}-{digest(name)}"


def _cut(name: str) -> str:
    return re.sub(r"[^\w\-. /]", "_", name)[:250].strip("/. ") or "_"
