"""What ``executor=`` may be besides ours: the engines by their names, addresses and own objects."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from concurrent import futures
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from autohpo.errors import OptionError, shown
from autohpo.execution.base import Executor

if TYPE_CHECKING:
    from autohpo.execution.hosts.executor import HostedExecutor

__all__ = ["NAMES", "Shared", "engine_of", "executor_of", "unknown_executor"]

_ENGINES = {
    "dask": "autohpo.execution.dask.executor",
    "ray": "autohpo.execution.ray.executor",
    "joblib": "autohpo.execution.pools.joblib_pool",
    "futures": "autohpo.execution.pools.futures_pool",
    "submitit": "autohpo.execution.pools.submitit_pool",
}
"""The module of each engine; its function ``executor_of`` takes what the user gave, and what all executors share."""

NAMES = ("serial", "local", "dask", "ray", "joblib")
"""What ``executor`` may be as a string, besides the address of a dask scheduler or of a Ray cluster."""

_SCHEMES = {"tcp": "dask", "tls": "dask", "ws": "dask", "wss": "dask", "ucx": "dask", "ray": "ray"}


@dataclass(frozen=True)
class Shared:
    """What ``optimize`` hands to the executor of every engine.

    Attributes:
        n_slots: How many trials may run at once.
        trial_time_limit: The seconds that an attempt may take, if limited.
        memory_limit: The bytes that a worker and its child processes may hold, if limited.
        log_folder: The folder for what workers print; None is a temporary one.
        memory_by: How the memory of a worker is measured, as ``optimize`` takes it.
        gpu_memory_limit: The bytes of GPU memory that a trial may hold, if limited.
    """

    n_slots: int = 1
    trial_time_limit: float | None = None
    memory_limit: int | None = None
    log_folder: Path | None = None
    memory_by: str = "rss"
    gpu_memory_limit: int | None = None

    @property
    def options(self) -> dict[str, Any]:
        """What every executor of hosts takes by name."""
        bounds = {"trial_time_limit": self.trial_time_limit, "memory_limit": self.memory_limit}
        return {**bounds, "log_folder": self.log_folder}


def engine_of(given: Any) -> str | None:
    """Return the name of the engine that the user's ``executor`` means; None where it means none.

    Nothing is imported for it: the classes of what was given say where they come from.
    """
    if isinstance(given, str):
        scheme, is_address, _ = given.partition("://")
        return _SCHEMES.get(scheme) if is_address else given if given in ("dask", "ray", "joblib") else None
    if isinstance(given, Executor):
        return None
    for base in type(given).__mro__:
        place = base.__module__.partition(".")[0]
        if place == "distributed" and base.__name__ in ("Client", "Cluster"):
            return "dask"
        if place == "submitit" and base.__name__ == "Executor":
            return "submitit"
    return "futures" if isinstance(given, futures.Executor) else None


def unknown_executor(given: Any) -> OptionError:
    """Return the error for an ``executor`` that is none."""
    names = ", ".join(map(repr, NAMES))
    kinds = "an Executor, or a dask client or cluster, a concurrent.futures.Executor or a submitit executor"
    return OptionError(f"executor: must be {names}, {kinds}, got {shown(given)}")


def executor_of(given: Any, shared: Shared) -> HostedExecutor:
    """Return the executor of an engine.

    Args:
        given: What the user gave; :func:`engine_of` knows it.
        shared: What all executors of engines share.

    Raises:
        OptionError: The engine cannot be used so; the text says why.
        MissingExtraError: Its package is not installed.
    """
    make: Callable[[Any, Shared], HostedExecutor]
    make = importlib.import_module(_ENGINES[engine_of(given) or ""]).executor_of
    executor = make(given, shared)
    executor.measure(memory_by=shared.memory_by, gpu_memory_limit=shared.gpu_memory_limit)
    return executor
