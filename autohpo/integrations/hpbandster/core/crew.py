"""Crew: the workers of an optimizer, and where their evaluations run."""

from __future__ import annotations

import logging
import os
import time
import warnings
from pathlib import Path
from typing import Any

from autohpo.arguments import is_index
from autohpo.errors import OptionError, shown
from autohpo.execution.base import Executor
from autohpo.execution.local import LocalExecutor
from autohpo.execution.mains import dump_objective
from autohpo.execution.serial import SerialExecutor
from autohpo.integrations.hpbandster.compute import Compute
from autohpo.integrations.hpbandster.core.worker import Worker, workers_of
from autohpo.integrations.hpbandster.mailboxes import Mailboxes, boxes_in, end_workers
from autohpo.integrations.hpbandster.rendezvous import NoWorkersError, can_meet, folder_of, leave
from autohpo.objective import Objective
from autohpo.store import Store, open_store

__all__ = ["Crew"]

WAIT_SECONDS = 0.05


class Crew:
    """The workers of an optimizer: those in the background of its process, and those of other processes.

    Args:
        run_id: The id of the run.
        owner: The name of the optimizer's class, for errors.
        num_workers: How many evaluations run at once, in copies of the workers in the background; None is one for each
            worker, and then those of other processes count, too.
        patience: The seconds to wait for workers.
        logger: A logger that says what is waited for.

    Raises:
        OptionError: A number is none.
    """

    def __init__(self, run_id: object, owner: str, *, num_workers: Any, patience: Any, logger: logging.Logger) -> None:
        if num_workers is not None and (not is_index(num_workers, 2**16) or num_workers == 0):
            raise OptionError(f"num_workers: must be an integer of at least 1, or None, got {shown(num_workers)}")
        is_number = isinstance(patience, (int, float)) and not isinstance(patience, bool)
        if not is_number or not patience >= 0:
            raise OptionError(f"worker_timeout: must be a number of seconds, got {shown(patience)}")
        self._run_id, self._owner, self._logger = run_id, owner, logger
        self._n_wanted = None if num_workers is None else int(num_workers)
        self._patience = float(patience)
        self._workers: tuple[Worker, ...] = ()
        self._has_others = False

    def gather(self, least: int) -> tuple[Worker, ...]:
        """Return the workers in the background, once there are enough of all kinds.

        Args:
            least: How many there must be.

        Raises:
            NoWorkersError: There are too few, also after a while.
        """
        until, has_said = time.monotonic() + self._patience, False
        while True:
            self._workers = workers_of(self._run_id)
            n = len(self._workers) if self._n_wanted is None else self._n_wanted * bool(self._workers)
            n_others = len(boxes_in(folder_of(self._run_id))) if self._n_wanted is None and can_meet() else 0
            self._has_others = n_others > 0
            if n + n_others >= least:
                return self._workers
            if self._n_wanted is not None or time.monotonic() >= until:
                raise NoWorkersError(
                    f"min_n_workers: must be at most the number of workers of run {self._run_id!s}, {n + n_others}, "
                    f"got {least}; start more by worker.run(background=True) before this, or by worker.run() in other "
                    f"processes, or give {self._owner} num_workers= for copies of one in the background"
                )
            if not has_said:
                text = "run %s has %d workers and waits for %d; worker.run(background=True) starts one"
                self._logger.warning(text, self._run_id, n + n_others, least)
                has_said = True
            time.sleep(WAIT_SECONDS)

    def executor(self, compute: Compute, store: Store | str | os.PathLike[str]) -> Executor:
        """Return where evaluations run: in this process, or in one for each worker.

        Args:
            compute: The objective.
            store: The store of the search, whose folder has what the processes print.

        Raises:
            OptionError: Copies were asked for by `num_workers`, and the workers cannot be copied.
        """
        n = len(self._workers) if self._n_wanted is None else self._n_wanted
        if n == 1 and not self._has_others:
            return SerialExecutor()
        inner = self._processes(compute, n, store) if n else None
        if not self._has_others:
            return inner or SerialExecutor()
        return Mailboxes(
            folder_of(self._run_id),
            inner,
            budget=compute.budget,
            working_directory=compute.working_directory,
            patience=self._patience,
        )

    def _processes(self, compute: Compute, n: int, store: Store | str | os.PathLike[str]) -> LocalExecutor | None:
        """Processes with copies of the workers; None, with a warning, where they cannot be copied.

        Raises:
            OptionError: Copies were asked for by `num_workers`.
        """
        logs = None if isinstance(store, Store) else open_store(store).files / "logs"
        try:
            dump_objective(Objective.of(compute, mode="min"), Path(os.devnull))
            return LocalExecutor(n, log_folder=logs)
        except OptionError as error:
            if self._n_wanted is not None:
                raise
            rest = "those of other processes work alone" if self._has_others else "they share this one"
            text = f"the {n} workers in the background cannot run in processes of their own, so {rest}: {error}"
            warnings.warn(f"{self._owner}: {text}", UserWarning, stacklevel=4)
            return None

    def name_of(self, slot: int, executor: Executor) -> str:
        """Return the name of the worker of a slot.

        Args:
            slot: The slot.
            executor: The executor whose slot it is.
        """
        name = executor.name_of(slot) if isinstance(executor, Mailboxes) else ""
        return name or self._workers[slot % len(self._workers)].worker_id

    def end(self) -> None:
        """Take back the workers in the background, and ask those of other processes to end."""
        for worker in workers_of(self._run_id):
            worker.shutdown()
        if can_meet():
            folder = folder_of(self._run_id)
            end_workers(folder)
            leave(folder)
