"""What a job returned, kept on disk by the job itself: a sweep that is killed knows which of its jobs were over."""

from __future__ import annotations

import functools
import json
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig

from autohpo.errors import InvalidPerfError
from autohpo.objectives import Objectives
from autohpo.trial import Outcome

log = logging.getLogger(__name__)


class KeptTask:
    """A task function that also writes down what it returned.

    Args:
        task: The task function.
        folder: Where that is written.
        mode: The objectives.
    """

    def __init__(self, task: Callable[..., Any], folder: Path, mode: Any) -> None:
        functools.update_wrapper(self, task)
        self._task, self._folder, self._mode = task, folder, mode

    def __call__(self, config: Any) -> Any:
        """Run the task; an error in writing is only logged.

        Raises:
            RuntimeError: The task called ``sys.exit``, which ends the job, not the sweep.
        """
        began = time.monotonic()
        try:
            result = self._task(config)
        except SystemExit as end:
            raise RuntimeError(f"the task called sys.exit({end.code!r})") from end
        seconds = time.monotonic() - began
        try:
            self._keep(result, seconds)
        except OSError as error:
            log.warning("the result of this job is not kept in %s: %s", self._folder, error)
        return result

    def _keep(self, result: Any, seconds: float) -> None:
        try:
            outcome = Objectives.of(self._mode).measure(result)
        except InvalidPerfError:
            return  # the sweeper says so
        if outcome.cost is None:
            outcome = replace(outcome, cost=seconds)
        hydra = HydraConfig.get()
        data = {"overrides": list(hydra.overrides.task), "outcome": outcome.to_json()}
        self._folder.mkdir(parents=True, exist_ok=True)
        path = _path(self._folder, hydra.job.num)
        partial = path.with_suffix(".partial")
        partial.write_text(json.dumps(data), encoding="utf-8")
        partial.replace(path)  # whole, or not at all


class Records:
    """The results that jobs have written down.

    Args:
        folder: The folder that they are in.
        mode: The objectives.
    """

    def __init__(self, folder: Path, mode: Any) -> None:
        self._folder, self._mode = folder, mode

    def kept(self, task: Callable[..., Any]) -> KeptTask:
        """Return a task function that writes down what it returned."""
        return KeptTask(task, self._folder, self._mode)

    def take(self, number: int, overrides: Sequence[str]) -> Outcome | None:
        """Return how a job ended, if it said so; None for a job with other overrides."""
        try:
            data = json.loads(_path(self._folder, number).read_text(encoding="utf-8"))
            is_same = isinstance(data, Mapping) and data["overrides"] == list(overrides)
            return Outcome.from_json(data["outcome"]) if is_same else None
        except (OSError, ValueError, KeyError, TypeError):  # not there, or not written by this version
            return None

    def drop(self, number: int) -> None:
        """Remove what a job wrote down, once it is in the store."""
        _path(self._folder, number).unlink(missing_ok=True)

    def clear(self) -> None:
        """Remove what jobs of another sweep wrote down."""
        for path in self._folder.glob("job-*"):
            path.unlink(missing_ok=True)


def _path(folder: Path, number: int) -> Path:
    return folder / f"job-{number}.json"
