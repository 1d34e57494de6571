"""The executor that runs trials in actors of Ray."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from autohpo.errors import OptionError, shown
from autohpo.execution.hosts.executor import LEASE_SECONDS, HostedExecutor
from autohpo.execution.hosts.needs import Needs
from autohpo.execution.kinds import Shared
from autohpo.execution.ray.engine import RayEngine

__all__ = ["RayExecutor", "executor_of"]

OURS = frozenset(
    {"max_restarts", "max_task_retries", "concurrency_groups", "num_cpus", "num_gpus", "memory", "runtime_env"}
)
"""Options of actors that this executor sets itself, or has arguments for."""


class RayExecutor(HostedExecutor):
    """An executor whose slots are actors of Ray, on this machine or a cluster.

    Each actor runs one of our own slots: a worker process with the same limits, reports, pauses and captured output as
    on one machine. Ray only places it and carries messages; it never runs a trial again by itself. Actors that find no
    room stay pending, which makes an autoscaler add machines.

    Args:
        address: ``"auto"``, ``"host:port"`` or ``"ray://host:port"`` for a cluster, ``"local"`` for a Ray of our own
            that listens on loopback only and ends with the search. None is the Ray that this process is in, else that
            of the variable ``RAY_ADDRESS``, else one of our own.
        n_slots: How many trials run at a time, where there is room.
        cpus: The cores that Ray keeps free for each trial, one if not said; its numerical libraries start as many
            threads.
        gpus: The GPUs of each trial; below 1, a part of one. Ray chooses which.
        memory: The bytes that Ray keeps free for each trial; no limit by itself.
        trial_time_limit: The seconds that an attempt may take.
        memory_limit: The bytes that a worker and its child processes may hold together.
        lease_seconds: How long an actor may be silent before its attempt is LOST, and a driver before actors end.
        log_folder: Where the output of workers is kept, on storage that all machines share; else it goes with them.
        runtime_env: Ray's runtime environment of the actors.
        actor_options: Further options of actors, for Ray: ``resources``, ``scheduling_strategy``, ``label_selector``.

    Raises:
        OptionError: An argument is wrong.

    Example:
        ::

            hpo.optimize(executor=RayExecutor("auto", n_slots=16, gpus=1))
    """

    def __init__(
        self,
        address: str | None = None,
        *,
        n_slots: int = 1,
        cpus: int | None = None,
        gpus: float = 0,
        memory: int | None = None,
        trial_time_limit: float | None = None,
        memory_limit: int | None = None,
        lease_seconds: float = LEASE_SECONDS,
        log_folder: str | Path | None = None,
        runtime_env: Mapping[str, Any] | None = None,
        actor_options: Mapping[str, Any] | None = None,
    ) -> None:
        if address is not None and (not isinstance(address, str) or not address):
            raise OptionError(f"address: must be the address of a Ray cluster, or None, got {shown(address)}")
        options = dict(actor_options or {})
        refused = sorted(OURS & options.keys())
        if refused:
            raise OptionError(
                f"actor_options: must not have {', '.join(refused)}: retries are ours, and for the others there are "
                "cpus, gpus, memory and runtime_env"
            )
        needs = Needs(cpus=cpus, gpus=gpus, memory=memory)
        if runtime_env is not None:
            options["runtime_env"] = dict(runtime_env)
        super().__init__(
            RayEngine(address, n_slots, needs, options),
            n_slots,
            trial_time_limit=trial_time_limit,
            memory_limit=memory_limit,
            needs=needs,
            log_folder=log_folder,
            lease_seconds=lease_seconds,
        )


def executor_of(given: str, shared: Shared) -> RayExecutor:
    """Return the executor for ``optimize(executor="ray")``, or with the address of a cluster."""
    return RayExecutor(
        None if given == "ray" else given,
        n_slots=shared.n_slots,
        **shared.options,
    )
