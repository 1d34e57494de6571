"""Trials in whatever backend joblib uses now: ``with joblib.parallel_config("loky", n_jobs=4): hpo.optimize(...)``."""

from __future__ import annotations

import dataclasses
from concurrent import futures
from typing import Any

from autohpo.errors import MissingExtraError, OptionError, shown
from autohpo.execution.hosts.executor import HostedExecutor
from autohpo.execution.hosts.setup import HostSetup
from autohpo.execution.kinds import Shared
from autohpo.execution.kinds import executor_of as executor_of_engine
from autohpo.execution.pools.engine import Job, PoolEngine
from autohpo.execution.pools.host import run_host

__all__ = ["JoblibExecutor", "executor_of"]

IDLE_SECONDS = 60
"""How long a worker of loky stays that has nothing to do: the only end that one whose driver was killed comes to."""


class _OwnPool(PoolEngine):
    """An engine over a pool that is made when it is needed, made anew when it breaks, and shut down in the end."""

    name = "joblib's pool"

    def __init__(self, backend: str, n_jobs: int) -> None:
        super().__init__()
        self._backend, self._n_jobs = backend, n_jobs
        self._pool: Any = None

    def _submit(self, setup: HostSetup, host: int, folder: str) -> Job:
        if self._pool is not None:
            try:
                return self._pool.submit(run_host, setup, host, folder)  # type: ignore[no-any-return]
            except futures.BrokenExecutor:  # a worker of the pool died, and took all others with it
                pass
        self._pool = _pool(self._backend, self._n_jobs)
        return self._pool.submit(run_host, setup, host, folder)  # type: ignore[no-any-return]

    def close(self) -> None:
        """Remove the channel, which ends all hosts, and then the pool; that of loky is joblib's own, and stays."""
        super().close()
        if self._pool is not None and self._backend != "loky":
            self._pool.shutdown(wait=False, cancel_futures=True)


def _pool(backend: str, n_jobs: int) -> Any:
    """Return the pool that a backend of joblib works with."""
    if backend == "threading":
        return futures.ThreadPoolExecutor(n_jobs)
    if backend == "multiprocessing":
        return futures.ProcessPoolExecutor(n_jobs)
    from joblib.executor import get_memmapping_executor

    return get_memmapping_executor(n_jobs, timeout=IDLE_SECONDS)  # joblib's own way: loky's leaves a pool it cannot use


class JoblibExecutor(HostedExecutor):
    """Runs trials in the pool of a backend of joblib, on this machine.

    It is weaker than the local executor in the same ways as
    :class:`~autohpo.execution.pools.futures_pool.FuturesExecutor`. When a worker of the pool dies, all trials that run
    are LOST and are run again.

    Args:
        n_slots: How many trials may run at once.
        backend: "loky", "threading" or "multiprocessing".
        options: What else a ``HostedExecutor`` takes: limits, needs, the length of a lease.

    Raises:
        OptionError: There is no such backend, or an option is wrong.
    """

    def __init__(self, n_slots: int = 1, backend: str = "loky", **options: Any) -> None:
        if backend not in ("loky", "threading", "multiprocessing"):
            raise OptionError(f"backend: must be 'loky', 'threading' or 'multiprocessing', got {shown(backend)}")
        super().__init__(_OwnPool(backend, n_slots), n_slots, **options)


def executor_of(_: Any, shared: Shared) -> HostedExecutor:
    """Return the executor for the backend that joblib uses now: that of dask or Ray where one is active.

    Raises:
        OptionError: Nobody knows how to run trials in it.
        MissingExtraError: joblib is not installed, or dask or Ray is asked for and is not.
    """
    try:
        from joblib.parallel import get_active_backend
    except ImportError as fault:  # scikit-learn brings it along
        raise MissingExtraError("executor: 'joblib' needs joblib, pip install joblib") from fault
    backend, n_jobs = get_active_backend()
    if shared.n_slots == 1 and n_jobs not in (None, 1):
        shared = dataclasses.replace(shared, n_slots=max(1, backend.effective_n_jobs(n_jobs)))
    kind = type(backend).__name__
    if kind == "DaskDistributedBackend":
        return executor_of_engine(backend.client, shared)
    if kind == "RayBackend":
        return executor_of_engine("ray", shared)
    names = {"LokyBackend": "loky", "ThreadingBackend": "threading", "MultiprocessingBackend": "multiprocessing"}
    name = "loky" if kind == "SequentialBackend" else names.get(kind)
    if name is None:
        known = "loky, threading, multiprocessing, dask and ray"
        raise OptionError(f"executor: joblib's backend must be one of {known}, got {kind}")
    return JoblibExecutor(
        shared.n_slots,
        name,
        **shared.options,
    )
