"""Weights & Biases: a run for the search, and one for each trial, in one group."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
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
from autohpo.integrations._wandb_files import wait_until_written

if TYPE_CHECKING:
    from autohpo.result import Result
    from autohpo.tracking import Change, TrackedRun

MODES = ("online", "offline")


@dataclass(kw_only=True)
class WandbTracker:
    """Tells Weights & Biases of a search; the active run of your own program, if there is one, stays what it is.

    The search is a run with the settings as its configuration and the best results so far, with the number of ended
    trials as step. Each trial is a run of the same group, made when it ends: a run that stays open costs a connection
    and memory for as long as the training takes. It has the configuration, every report with the fidelity as step, and
    state, attempts and error in its summary.

    Offline, a trial counts as told once its file is complete, and a search that is resumed writes its own file anew. So
    what W&B had not written when the driver was killed is written by the next one.

    Args:
        project: The project.
        entity: The user or team; empty takes the default of the account.
        mode: "online", or "offline", which writes files that ``wandb sync`` sends later.
        folder: Where the files are written: its folder ``wandb``.
        tags: Tags of the search's run.
        trials: Whether each trial has a run of its own.
        wait_seconds: How long the end of a search waits for W&B where it does not get on.

    Raises:
        OptionError: An option is wrong.
        MissingExtraError: wandb is not installed.
    """

    project: str = "autohpo"
    entity: str = ""
    mode: str = "online"
    folder: str | os.PathLike[str] = "."
    tags: Sequence[str] = field(default_factory=tuple)
    trials: bool = True
    wait_seconds: float = 120.0

    def __post_init__(self) -> None:
        check_texts(self, "project", "entity", "mode")
        check_flags(self, "trials")
        if self.mode not in MODES:
            raise OptionError(f"mode: must be 'online' or 'offline', got {shown(self.mode)}")
        if isinstance(self.tags, str) or not isinstance(self.tags, Sequence):
            raise OptionError(f"tags: must be a list of strings, got {shown(self.tags)}")
        if not isinstance(self.folder, str | os.PathLike):
            raise OptionError(f"folder: must be a path, got {shown(self.folder)}")
        need("wandb", "wandb")
        self._names: tuple[str, ...] = ()
        self._run: Any = None
        self._id = self._group = ""
        self._folder, self._is_closed = Path(), False
        self._rows: dict[int, dict[int, dict[str, float]]] = {}  # what trials reported that have not ended, by step

    @property
    def key(self) -> str:
        """Where it writes, for the notes of how far it got."""
        return f"wandb-{digest(self.project, self.entity, self.mode, Path(self.folder).absolute())}"

    def start(self, run: TrackedRun) -> None:
        """Open the run of the search, or go on with it."""
        self._id, self._names, self._rows, self._is_closed = run.id, run.objective_names, {}, False
        self._group = f"{run.name}-{run.id[:6]}"
        config = {name: plain(value) for name, value in run.settings.items()}
        if self.mode == "offline":  # `recall` and `take` write all of it again
            self._remove(run.id)
        self._run = self._init(run.id, run.name, "search", config, tags=tuple(self.tags))
        self._folder = Path(self._run.dir).parent

    def recall(self, changes: Sequence[Change]) -> None:
        """Write the best so far again, from the step on that the run lacks: W&B does not say what it has written."""
        for change in changes:
            if change.n_ended >= self._run.starting_step:
                self._write_best(change)

    def take(self, changes: Sequence[Change]) -> None:
        """Write the trials that have ended, and the best so far."""
        for change in changes:
            number, kind = change.trial.number, change.event.kind
            if kind in ("ask", "start"):
                self._rows[number] = {}
            if change.values:
                self._rows.setdefault(number, {}).setdefault(change.step, {}).update(change.values)
            if kind != "end":
                continue
            rows = self._rows.pop(number, {})
            if self.trials:
                self._write_trial(change, rows)
            self._write_best(change)

    def finish(self, result: Result, error: str) -> None:
        """Close the run of the search; a search that goes on opens it again."""
        if not self._is_closed:
            self._close_search(result, error)
        if self.mode == "offline":
            wait_until_written(self._folder)

    def _close_search(self, result: Result, error: str) -> None:
        self._run.summary.update({f"n_{state.lower()}": n for state, n in result.counts().items()})
        best = best_of(result)
        if best is not None:
            self._run.summary["best_trial"] = best.number
            self._run.summary.update({f"best.hp.{name}": plain(value) for name, value in best.hp.items()})
        if error:
            self._run.summary["error"] = error
        self._run.finish(exit_code=int(bool(error)))
        self._is_closed = True

    def _write_best(self, change: Change) -> None:
        if change.best is not None:
            best = dict(zip((f"{BEST}.{name}" for name in self._names), change.best.perfs, strict=True))
            self._run.log(best, step=change.n_ended)

    def _write_trial(self, change: Change, rows: Mapping[int, Mapping[str, float]]) -> None:
        trial = change.trial
        name = name_of(trial)
        run_id = f"{self._id}-{name}"
        if self.mode == "offline":  # what a driver wrote that was killed before that was noted
            self._remove(run_id)
        config = {key: plain(value) for key, value in trial.hp.items()}
        run = self._init(run_id, name, "trial", config, notes=trial.error or None)
        for step, values in sorted(rows.items()):
            run.log(dict(values), step=step)
        run.summary.update(notes_of(trial))
        run.finish(exit_code=int(is_failed(trial.state)))
        if self.mode == "offline":
            wait_until_written(Path(run.dir).parent)

    def _remove(self, run_id: str) -> None:
        for folder in (Path(self.folder) / "wandb").glob(f"offline-run-*-{run_id}"):
            shutil.rmtree(folder, ignore_errors=True)

    def _init(self, run_id: str, name: str, kind: str, config: Mapping[str, Any], **more: Any) -> Any:
        import wandb

        settings = wandb.Settings(silent=True, console="off", disable_git=True, disable_code=True)
        resume = {} if self.mode == "offline" else {"resume": "allow"}
        with _environment_kept():
            return wandb.init(
                project=self.project,
                entity=self.entity or None,
                dir=os.fspath(self.folder),
                id=run_id,
                name=name,
                group=self._group,
                job_type=kind,
                config=dict(config),
                mode=self.mode,
                reinit="create_new",
                settings=settings,
                **resume,
                **more,
            )


@contextmanager
def _environment_kept() -> Iterator[None]:
    """Leave the variables of the environment as they were: workers that start later inherit them."""
    before = dict(os.environ)
    try:
        yield
    finally:
        for name in set(os.environ) - set(before):
            del os.environ[name]
