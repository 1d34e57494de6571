"""The executor ``dask``: every slot is a task of dask, which runs one of our own slots inside."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from autohpo.execution.dask.engine import DaskEngine
from autohpo.execution.hosts.executor import LEASE_SECONDS, HostedExecutor
from autohpo.execution.hosts.needs import Needs
from autohpo.execution.kinds import Shared

__all__ = ["DaskExecutor", "executor_of"]


class DaskExecutor(HostedExecutor):
    """An executor whose slots are tasks of a dask cluster; each occupies a thread of a worker as long as it lasts.

    They start as the cluster has room: workers may come late, go and come back. Limits, isolation, captured output,
    reports and pauses are those of :class:`~autohpo.execution.local.LocalExecutor`, on the worker's machine.

    Args:
        cluster: A ``distributed.Client`` or a cluster such as ``SLURMCluster``, which stay open, or the address of a
            scheduler. None starts a cluster on this machine, which listens on the loopback interface only and ends with
            the search.
        n_slots: How many trials run at once, if the cluster has as much room.
        cpus: The cores of each trial: as many threads for numerical libraries, and dask's resource ``CPU``.
        gpus: The GPUs of each trial: dask's resource ``GPU``; below 1, a part of one.
        memory: The bytes that dask keeps free for each trial: its resource ``MEMORY``. No limit by itself.
        trial_time_limit: The seconds that an attempt may take.
        memory_limit: The bytes that a worker process and its children may hold together.
        lease_seconds: How long a worker may be silent before its attempt is LOST and runs again elsewhere.
        security: The ``distributed.Security`` for an address, as of a scheduler with TLS.
        log_folder: Where the output of trials is kept, on storage that workers share.

    Raises:
        OptionError: An argument is wrong.
    """

    def __init__(
        self,
        cluster: Any = None,
        *,
        n_slots: int = 1,
        cpus: int | None = None,
        gpus: float = 0,
        memory: int | None = None,
        trial_time_limit: float | None = None,
        memory_limit: int | None = None,
        lease_seconds: float = LEASE_SECONDS,
        security: Any = None,
        log_folder: str | Path | None = None,
    ) -> None:
        needs = Needs(cpus=cpus, gpus=gpus, memory=memory)
        super().__init__(
            DaskEngine(cluster, n_slots, needs, security),
            n_slots,
            trial_time_limit=trial_time_limit,
            memory_limit=memory_limit,
            needs=needs,
            log_folder=log_folder,
            lease_seconds=lease_seconds,
        )


def executor_of(given: Any, shared: Shared) -> DaskExecutor:
    """Return the executor that ``executor=`` means.

    Args:
        given: ``"dask"``, the address of a scheduler, or a client or cluster of dask.
        shared: What all executors of engines share.
    """
    return DaskExecutor(
        None if given == "dask" else given,
        n_slots=shared.n_slots,
        **shared.options,
    )
