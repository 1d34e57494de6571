"""Trials in a ``concurrent.futures.Executor`` that somebody else has made."""

from __future__ import annotations

from concurrent import futures
from pathlib import Path
from typing import Any

from autohpo.errors import OptionError, shown
from autohpo.execution.hosts.executor import LEASE_SECONDS, HostedExecutor
from autohpo.execution.hosts.needs import Needs
from autohpo.execution.hosts.setup import HostSetup
from autohpo.execution.kinds import Shared
from autohpo.execution.pools.engine import Job, PoolEngine
from autohpo.execution.pools.host import run_host

__all__ = ["FuturesExecutor", "executor_of"]


class FuturesEngine(PoolEngine):
    """An engine over a pool of futures.

    Args:
        pool: The pool.
        folder: A folder that driver and workers share; None is a temporary one of this machine.
    """

    name = "the pool"

    def __init__(self, pool: futures.Executor, folder: str | Path | None = None) -> None:
        super().__init__(folder)
        self._pool = pool

    def _submit(self, setup: HostSetup, host: int, folder: str) -> Job:
        return self._pool.submit(run_host, setup, host, folder)


class FuturesExecutor(HostedExecutor):
    """Runs trials in a pool of futures: threads, processes, MPI, or what else has the interface of Python's own.

    Each of `n_slots` workers of the pool is kept busy until the search ends; a pool that has fewer gives fewer slots.
    Every trial runs in a process of its own beside the pool's worker, with limits and reports as everywhere. What is
    weaker than in the local executor: messages go through files, so an event is noticed up to 20 ms late on one machine
    and up to a second late on a shared file system; the pool is not asked for resources; and one that breaks when a
    worker dies, as Python's process pools do, ends the search in order.

    Args:
        pool: The pool; it stays its owner's, who shuts it down.
        n_slots: How many trials may run at once.
        folder: A folder that driver and workers share, where they are on different machines.
        trial_time_limit: The seconds that an attempt may take.
        memory_limit: The bytes that a worker and its child processes may hold together.
        n_threads: The threads that numerical libraries may use in each trial.
        lease_seconds: How long a worker may be silent before its attempt is LOST.
        log_folder: Where the output of workers is kept.

    Raises:
        OptionError: An argument is wrong.

    Example:
        >>> from concurrent.futures import ThreadPoolExecutor
        >>> from autohpo import RangeHP, build_hpo_from_name
        >>> hpo = build_hpo_from_name("random", [RangeHP("x", 0.0, 1.0)], lambda hps: hps["x"], max_evals=4, seed=0)
        >>> with ThreadPoolExecutor(2) as pool:
        ...     best_hp, best_perf = hpo.optimize(executor=FuturesExecutor(pool, 2), progress=False)
        >>> best_perf == best_hp["x"]
        True
    """

    def __init__(
        self,
        pool: futures.Executor,
        n_slots: int = 1,
        *,
        folder: str | Path | None = None,
        trial_time_limit: float | None = None,
        memory_limit: int | None = None,
        n_threads: int | None = None,
        lease_seconds: float = LEASE_SECONDS,
        log_folder: str | Path | None = None,
    ) -> None:
        if not isinstance(pool, futures.Executor):
            raise OptionError(f"pool: must be a concurrent.futures.Executor, got {shown(pool)}")
        super().__init__(
            FuturesEngine(pool, folder),
            n_slots,
            trial_time_limit=trial_time_limit,
            memory_limit=memory_limit,
            needs=Needs(cpus=n_threads),
            lease_seconds=lease_seconds,
            log_folder=log_folder,
        )


def executor_of(given: Any, shared: Shared) -> FuturesExecutor:
    """Return the executor for a pool that the user gave."""
    return FuturesExecutor(
        given,
        shared.n_slots,
        **shared.options,
    )
