"""ClearML: a task for the search, with a curve for each trial."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from autohpo.errors import OptionError, shown
from autohpo.integrations._tracked import (
    BEST,
    best_of,
    check_flags,
    check_texts,
    digest,
    name_of,
    need,
    notes_of,
    plain,
)

if TYPE_CHECKING:
    from autohpo.result import Result
    from autohpo.tracking import Change, TrackedRun

FRAMEWORKS = (
    *("catboost", "fastai", "gradio", "hydra", "joblib", "lightgbm", "matplotlib", "megengine", "pytorch", "scikit"),
    *("tensorboard", "tensorflow", "tfdefines", "xgboost"),
    "detect_repository",
)
"""What a task does not connect by itself.

With the repository, for ClearML looks for it in a thread that starts commands, while another forks its own process.
That may inherit the pipe on which the start of a command waits, and then the task can never be closed.
"""

MOST_ROWS = 1000
"""How many trials the table of a task shows at most: the best ones."""


@dataclass(kw_only=True)
class ClearMLTracker:
    """Tells ClearML of a search, as one task: a process has one current task there, and opens no others beside it.

    Each metric is a plot in which every trial is a series, with the fidelity as iteration; ``best`` has the best
    results so far, with the number of ended trials as iteration. The settings and the best configuration are the task's
    parameters, and all trials a table. A task that your program has begun itself is taken, and stays open; the
    repository and the installed packages stand only in such a one.

    Args:
        project: The project.
        task_name: The name of the task; empty takes that of the search.
        tags: Tags of the task.
        offline: Whether to write into a folder instead, which ``Task.import_offline_session`` sends later.
        trials: Whether each trial has a series of its own.
        wait_seconds: How long the end of a search waits for ClearML where it does not get on.

    Raises:
        OptionError: An option is wrong.
        MissingExtraError: clearml is not installed.
    """

    project: str = "autohpo"
    task_name: str = ""
    tags: Sequence[str] = field(default_factory=tuple)
    offline: bool = False
    trials: bool = True
    wait_seconds: float = 120.0

    def __post_init__(self) -> None:
        check_texts(self, "project", "task_name")
        check_flags(self, "offline", "trials")
        if isinstance(self.tags, str) or not isinstance(self.tags, Sequence):
            raise OptionError(f"tags: must be a list of strings, got {shown(self.tags)}")
        need("clearml", "clearml")
        self._names: tuple[str, ...] = ()
        self._task: Any = None
        self._is_own = True

    @property
    def key(self) -> str:
        """Where it writes, for the notes of how far it got."""
        return f"clearml-{digest(self.project, self.task_name, self.offline)}"

    def start(self, run: TrackedRun) -> Mapping[str, Any]:
        """Open the task, or go on with the one that the search had."""
        from clearml import Task

        if self.offline:
            Task.set_offline(True)
        self._names, current = run.objective_names, Task.current_task()
        self._is_own, known = current is None, run.kept.get("task")
        self._task = current or Task.init(
            project_name=self.project,
            task_name=self.task_name or run.name,
            task_type=Task.TaskTypes.optimizer,
            tags=[*self.tags],
            reuse_last_task_id=known or False,
            continue_last_task=0 if known else False,  # 0: from no iteration on; True would add the last one to all
            auto_connect_arg_parser=False,
            auto_connect_frameworks=dict.fromkeys(FRAMEWORKS, False),
            auto_connect_streams=False,
            auto_resource_monitoring=False,
        )
        self._task.connect({name: plain(value) for name, value in run.settings.items()}, name="search")
        return {"task": self._task.id}

    def take(self, changes: Sequence[Change]) -> None:
        """Write what is new."""
        logger = self._task.get_logger()
        for change in changes:
            for title, value in change.values.items() if self.trials else ():
                logger.report_scalar(title, name_of(change.trial), value, change.step)
            if change.event.kind == "end" and change.best is not None:
                for name, perf in zip(self._names, change.best.perfs, strict=True):
                    logger.report_scalar(BEST, name, perf, change.n_ended)
            if change.event.kind == "end" and change.trial.error:
                logger.report_text(f"{name_of(change.trial)}: {change.trial.state.value}: {change.trial.error}")
        logger.flush()

    def finish(self, result: Result, error: str) -> None:
        """Write the table and the best, and close the task; a search that goes on opens it again."""
        logger, best = self._task.get_logger(), best_of(result)
        ended = [trial for trial in result.trials if trial.state.is_final]
        ended.sort(key=lambda trial: (trial.score is None, -(trial.score or 0.0)))
        head = ["trial", "state", *self._names, "hp", "error"]
        rows: list[list[Any]] = [
            [
                name_of(trial),
                trial.state.value,
                *(trial.perfs or [""] * len(self._names)),
                str({name: plain(value) for name, value in trial.hp.items()}),
                notes_of(trial).get("error", "")[-200:],
            ]
            for trial in ended[:MOST_ROWS]
        ]
        logger.report_table("trials", "best first", len(result), table_plot=[head, *rows])
        if best is not None:
            for name, perf in zip(self._names, best.perfs, strict=True):
                logger.report_single_value(f"{BEST}.{name}", perf)
            self._task.connect({name: plain(value) for name, value in best.hp.items()}, name="best")
        if error:
            logger.report_text(f"the search ended by {error}")
        self._task.flush(wait_for_uploads=True)
        if self._is_own:
            self._task.close()
