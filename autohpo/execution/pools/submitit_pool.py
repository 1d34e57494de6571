"""Trials in jobs of SLURM, by submitit: each job serves trial after trial until its time is over."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from autohpo.errors import MissingExtraError, OptionError, shown
from autohpo.execution.hosts.executor import LEASE_SECONDS, HostedExecutor
from autohpo.execution.hosts.needs import Needs
from autohpo.execution.hosts.setup import HostSetup
from autohpo.execution.kinds import Shared
from autohpo.execution.pools.engine import Job, PoolEngine
from autohpo.execution.pools.host import run_host

__all__ = ["SubmititExecutor", "executor_of"]

STATE_SECONDS = 15.0
"""The time between two questions to SLURM's accounting: each is about all jobs, and it is one for all users."""


LOOK_SECONDS = 1.0
"""The time between two looks at whether a job has left its result, on storage that is shared."""


class _Pace:
    """When SLURM was asked last."""

    def __init__(self) -> None:
        self._asked = time.monotonic()

    def is_due(self) -> bool:
        """Whether it may be asked again; if so, it is now."""
        now = time.monotonic()
        if now - self._asked < STATE_SECONDS:
            return False
        self._asked = now
        return True


class _SlurmJob:
    """A job of submitit, which asks SLURM no more often than is good for it."""

    def __init__(self, job: Any, pace: _Pace) -> None:
        self._job, self._pace, self._looked = job, pace, time.monotonic()

    def done(self) -> bool:
        """Return whether it has ended, as far as is known."""
        now = time.monotonic()
        if now - self._looked < LOOK_SECONDS:
            return False
        self._looked = now
        return bool(self._job.done(force_check=self._pace.is_due()))

    def cancel(self) -> None:
        """Have SLURM end it, also where it runs."""
        self._job.cancel(check=False)

    def result(self) -> Any:
        """Return what it returned, or raise what it raised; where it left nothing, submitit itself would wait long."""
        if self._job.paths.result_pickle.exists():
            return self._job.result()
        return f"its job {self._job.job_id} ended as {self._job.state} and left no result"


class SubmititEngine(PoolEngine):
    """An engine over an executor of submitit.

    Args:
        pool: The executor of submitit.
        folder: A folder that driver and jobs share, for the channel.
    """

    name = "SLURM"

    def __init__(self, pool: Any, folder: str | Path) -> None:
        super().__init__(folder)
        self._pool, self._pace = pool, _Pace()

    def _submit(self, setup: HostSetup, host: int, folder: str) -> Job:
        return _SlurmJob(self._pool.submit(run_host, setup, host, folder), self._pace)

    @property
    def waits_for(self) -> str:
        """What has to come before a host can start."""
        return "SLURM to start its jobs; `squeue` says what they wait for"


class SubmititExecutor(HostedExecutor):
    """Runs trials in jobs that submitit submits, to SLURM or on this machine.

    Each of `n_slots` jobs is a slot that runs trial after trial, so a trial waits in SLURM's queue only where no job is
    free. A job that is preempted, killed or at its time limit loses its attempt, which is run again in another job, and
    a new job is submitted in its place. Driver and jobs talk through files in submitit's own folder, which must be on
    storage that they share; an event is noticed up to a second late.

    Args:
        pool: An executor of submitit, such as ``submitit.AutoExecutor("/shared/jobs")``, with its parameters set:
            partition, time, cores, GPUs and memory of each job.
        n_slots: How many jobs there are at once.
        folder: The folder for the channel; that of `pool` by default.
        trial_time_limit: The seconds that an attempt may take.
        memory_limit: The bytes that a worker and its child processes may hold together.
        n_threads: The threads that numerical libraries may use in each trial.
        lease_seconds: How long a job may be silent before its attempt is LOST.
        log_folder: Where the output of workers is kept.

    Raises:
        OptionError: An argument is wrong.
        MissingExtraError: submitit is not installed.
    """

    def __init__(
        self,
        pool: Any,
        n_slots: int = 1,
        *,
        folder: str | Path | None = None,
        trial_time_limit: float | None = None,
        memory_limit: int | None = None,
        n_threads: int | None = None,
        lease_seconds: float = LEASE_SECONDS,
        log_folder: str | Path | None = None,
    ) -> None:
        try:
            import submitit
        except ImportError as fault:
            text = 'executor: jobs of SLURM need submitit, pip install "autohpo[slurm]"'
            raise MissingExtraError(text) from fault
        if not isinstance(pool, submitit.Executor):
            raise OptionError(f"pool: must be an executor of submitit, got {shown(pool)}")
        place = Path(str(pool.folder)) / "autohpo" if folder is None else folder
        super().__init__(
            SubmititEngine(pool, place),
            n_slots,
            trial_time_limit=trial_time_limit,
            memory_limit=memory_limit,
            needs=Needs(cpus=n_threads),
            lease_seconds=lease_seconds,
            log_folder=log_folder,
        )


def executor_of(given: Any, shared: Shared) -> SubmititExecutor:
    """Return the executor for an executor of submitit that the user gave."""
    return SubmititExecutor(
        given,
        shared.n_slots,
        **shared.options,
    )
