"""TensorBoard: a folder for the search, and one for each trial, with its hyper-parameters for the HPARAMS page."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from autohpo.errors import OptionError, shown
from autohpo.integrations._tracked import BEST, digest, name_of, need, notes_of, plain
from autohpo.trial import Trial

if TYPE_CHECKING:
    from autohpo.result import Result
    from autohpo.tracking import Change, TrackedRun

SEARCH = "search"
"""The folder of what is so of the search as a whole."""


@dataclass(kw_only=True)
class TensorBoardTracker:
    """Writes event files with tensorboardX, which needs neither TensorFlow nor PyTorch.

    The folder of a trial has its reports and its end as scalars, with the fidelity as step, and its hyper-parameters
    beside its result; its state, attempts and error are a text. The folder ``search`` has the best results so far, with
    the number of ended trials as step. ``tensorboard --logdir LOGDIR`` shows them.

    Args:
        logdir: The folder; each search has one of its own in it, named after it.
        trials: Whether each trial has a folder of its own.

    Raises:
        OptionError: An option is wrong.
        MissingExtraError: tensorboardX is not installed.
    """

    logdir: str | os.PathLike[str]
    trials: bool = True

    def __post_init__(self) -> None:
        if not isinstance(self.logdir, str | os.PathLike) or not os.fspath(self.logdir):
            raise OptionError(f"logdir: must be the path of a folder, got {shown(self.logdir)}")
        if not isinstance(self.trials, bool):
            raise OptionError(f"trials: must be True or False, got {shown(self.trials)}")
        need("tensorboardX", "tensorboard")
        self._folder = Path(self.logdir)
        self._names: tuple[str, ...] = ()
        self._search: Any = None
        self._open: dict[int, Any] = {}  # writers of trials that have not ended
        self._n_written = 0

    @property
    def key(self) -> str:
        """Where it writes, for the notes of how far it got."""
        return f"tensorboard-{digest(Path(self.logdir).absolute())}"

    def start(self, run: TrackedRun) -> Mapping[str, Any]:
        """Make the folder of the search, or go on in it."""
        kept = run.kept.get("folder", f"{run.name}-{run.id[:6]}")
        self._folder, self._names, self._search, self._open = Path(self.logdir) / kept, run.objective_names, None, {}
        if not run.kept:
            rows = "\n".join(f"| {name} | {plain(value)} |" for name, value in run.settings.items())
            writer = self._writer(SEARCH)
            writer.add_text("settings", f"| setting | value |\n|---|---|\n{rows}", 0)
            writer.close()
        return {"folder": kept}

    def take(self, changes: Sequence[Change]) -> None:
        """Write what is new."""
        for change in changes:
            if self.trials:
                self._take_trial(change)
            if change.event.kind == "end" and change.best is not None:
                self._take_best(change)
        for writer in [*self._open.values(), *([self._search] if self._search else [])]:
            writer.flush()

    def finish(self, result: Result, error: str) -> None:
        """Close all files."""
        writer = self._search or self._writer(SEARCH)
        counts = ", ".join(f"{n} {state}" for state, n in result.counts().items())
        writer.add_text("end", f"{counts}{f'; {error}' if error else ''}", len(result))
        for one in [writer, *self._open.values()]:
            one.close()
        self._search, self._open = None, {}

    def _take_best(self, change: Change) -> None:
        if self._search is None:  # what an earlier driver wrote from this step on counts no more
            self._search = self._writer(SEARCH, purge_step=change.n_ended)
        best = change.best
        for name, perf in zip(self._names, best.perfs if best is not None else (), strict=True):
            self._search.add_scalar(f"{BEST}/{name}", perf, change.n_ended, walltime=change.event.time)

    def _take_trial(self, change: Change) -> None:
        trial, kind = change.trial, change.event.kind
        if kind == "ask" or (kind == "start" and change.event.attempt > 1):
            self._begin_anew(trial)
        writer = self._open.get(trial.number)
        if writer is None:
            return  # an end that came late: it changes nothing
        for name, value in change.values.items():
            writer.add_scalar(name, value, change.step, walltime=change.event.time)
        if kind == "end":
            self._end(trial, writer)

    def _begin_anew(self, trial: Trial) -> None:
        """Open the files of a trial; what an earlier attempt, or an earlier driver, had written of it is removed."""
        known = self._open.pop(trial.number, None)
        if known is not None:
            known.close()
        shutil.rmtree(self._folder / name_of(trial), ignore_errors=True)
        self._open[trial.number] = self._writer(name_of(trial))

    def _end(self, trial: Trial, writer: Any) -> None:
        from tensorboardX.summary import hparams

        values = dict(zip(self._names, trial.perfs, strict=False))
        given = {name: plain(value) for name, value in trial.hp.items()}
        for summary in hparams(given, values):
            writer.file_writer.add_summary(summary, walltime=trial.ended)
        rows = "\n".join(f"| {name} | {text} |" for name, text in notes_of(trial).items())
        writer.add_text("trial", f"| | |\n|---|---|\n{rows}", 0)
        writer.close()
        del self._open[trial.number]

    def _writer(self, name: str, **options: Any) -> Any:
        from tensorboardX import SummaryWriter

        self._n_written += 1  # files of one second and one folder need different names
        return SummaryWriter(str(self._folder / name), filename_suffix=f".{self._n_written}", **options)
