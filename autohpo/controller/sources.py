"""Sources: where a controller reads its jobs from: its own optimizer, or a store that another process writes."""

from __future__ import annotations

import os
import threading
import uuid
from contextlib import suppress
from pathlib import Path
from typing import Any

from autohpo.algorithms.base import BaseHPOptimizer
from autohpo.algorithms.session import session_of
from autohpo.control import driver_of
from autohpo.controller.jobs import Jobs
from autohpo.controller.metrics import Metrics
from autohpo.errors import StoreCorruptError, StoreError
from autohpo.objectives import Objectives
from autohpo.spaces import SearchSpace
from autohpo.store import RunState, Store, open_store
from autohpo.store.described import space_of
from autohpo.trial import Outcome, Trial, TrialState

ID_FILE = "controller-id"


class OptimizerSource:
    """The trials of an optimizer of this process, as its history has them.

    Args:
        hpo: The optimizer.
    """

    def __init__(self, hpo: BaseHPOptimizer) -> None:
        self._history = session_of(hpo).history  # an algorithm may keep an attribute of that name

    def trial(self, number: int) -> Trial | None:
        """Return a trial as it stands; None where there is none of that number."""
        history = self._history
        found = history.get(number)
        if found is None:
            running = next((one for one in history.running if one.number == number), None)
            found = None if running is None else running.ended(Outcome(TrialState.RUNNING))
        return found

    def trials(self) -> list[Trial]:
        """Return all trials as they stand, in the order of their numbers."""
        history = self._history
        running = [one.ended(Outcome(TrialState.RUNNING)) for one in history.running]
        found = {trial.number: trial for trial in [*running, *list(history.trials)]}
        return [found[number] for number in sorted(found)]


class StoreSource:
    """The trials of a run that another process drives, read from its store.

    Args:
        path: The path of the store.
        space: The space of the run.
        mode: The mode of its objectives.
    """

    def __init__(self, path: str, space: SearchSpace, mode: Any) -> None:
        self._path, self._lock = path, threading.Lock()
        self._state = RunState(space, Objectives.of(mode), path)

    def trial(self, number: int) -> Trial | None:
        """Return a trial as it stands; None where there is none of that number."""
        state = self._follow()
        return state[number] if 0 <= number < state.n_asked else None

    def trials(self) -> list[Trial]:
        """Return all trials as they stand, in the order of their numbers."""
        return self._follow().trials()

    def _follow(self) -> RunState:
        """Take what the log has more than before; a store that is not there yet has nothing."""
        with self._lock:
            try:
                store = open_store(self._path, read_only=True)
            except StoreCorruptError:
                raise
            except StoreError:  # it is not there yet
                return self._state
            try:
                self._state.follow(store.events(self._state.seq))
            finally:
                store.close()
        return self._state


def run_id_of(store: Store | None) -> str:
    """Return what the ids of all jobs of a run begin with: kept in the files of its store, else made anew.

    Args:
        store: The store; None where the run lives in memory.
    """
    fresh = uuid.uuid4().hex[:12]
    if store is None:
        return fresh
    path = Path(store.files) / ID_FILE
    with suppress(FileNotFoundError):
        return path.read_text(encoding="ascii").strip()
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{ID_FILE}.{os.getpid()}-{fresh}")
    part.write_text(fresh, encoding="ascii")
    try:
        os.link(part, path)  # whole, and by one process alone
    except FileExistsError:
        return path.read_text(encoding="ascii").strip()
    except OSError:  # no links on this file system
        part.replace(path)
        return fresh
    finally:
        part.unlink(missing_ok=True)
    return fresh


def stored_jobs(path: Any) -> Jobs:
    """Return the jobs of the run in a store.

    Args:
        path: The path or URL of the store.

    Raises:
        StoreError: There is none, it holds no run yet, or no controller began that.
    """
    store = open_store(path, read_only=True)
    try:
        header, files = store.header, store.files
    finally:
        store.close()
    metrics = None if header is None else Metrics.in_header(header)
    if header is None or metrics is None:
        raise StoreError(f"store: {path} holds no run that a controller began")
    jobs = Jobs(metrics, header.get("name") or "job")
    with suppress(FileNotFoundError):
        jobs.run_id = (files / ID_FILE).read_text(encoding="ascii").strip()
    jobs.source = StoreSource(str(path), space_of(header, path), metrics.mode)
    jobs.is_alive = lambda: driver_of(path) is not None
    return jobs
