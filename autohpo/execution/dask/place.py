"""Where hosts run: a client of dask, and what has to be closed with it."""

from __future__ import annotations

import contextlib
import importlib
import inspect
import logging
from typing import Any

from autohpo.errors import MissingExtraError, OptionError, shown
from autohpo.execution.dask.workers import LOOPBACK, LocalWorkers, resources_of
from autohpo.execution.hosts.needs import Needs
from autohpo.folders import remove_folder, temporary_folder

__all__ = ["Place", "connect"]

CONNECT_SECONDS = 30.0
"""How long a scheduler may take to answer, and how long one is waited for that is gone."""


class Place:
    """A client of dask.

    Args:
        client: The client.
        closing: Closes what the search has started itself; empty where all is the user's.
        workers: The workers on this machine, where they are our own.

    Attributes:
        client: The client.
        workers: The workers on this machine, where they are our own.
        address: The address of the scheduler.
    """

    def __init__(self, client: Any, closing: contextlib.ExitStack, workers: LocalWorkers | None = None) -> None:
        self.client, self.workers = client, workers
        self.address = str(client.scheduler.address)  # kept: a client that lost its scheduler does not tell it
        self._closing = closing

    def check(self, needs: Needs) -> None:
        """Check that what a trial needs can be had, if there are workers now.

        Raises:
            OptionError: No worker declares as much; the text says what to start workers with.
        """
        wanted = resources_of(needs)
        if not wanted:
            return
        declared = [worker.get("resources", {}) for worker in self._workers().values()]
        if declared and not any(all(own.get(name, 0) >= n for name, n in wanted.items()) for own in declared):
            raise OptionError(
                f"executor: each trial needs {_as_text(wanted)}, and none of the {len(declared)} workers of dask "
                f"declares that; start them with: {self.command(needs)}"
            )

    def command(self, needs: Needs) -> str:
        """Return the command that starts a worker that is fit for a host."""
        wanted = resources_of(needs)
        option = f' --resources "{_as_text(wanted)}"' if wanted else ""
        return f"dask worker {self.address} --nthreads 1{option}"

    def _workers(self) -> dict[str, Any]:
        scheduler_info = self.client.scheduler_info
        every = {"n_workers": -1} if "n_workers" in inspect.signature(scheduler_info).parameters else {}
        return dict(scheduler_info(**every)["workers"])

    def close(self) -> None:
        """Close what is not the user's."""
        self._closing.close()


def _as_text(wanted: dict[str, float]) -> str:
    return " ".join(f"{name}={amount:g}" for name, amount in wanted.items())


def connect(cluster: Any, n_hosts: int, needs: Needs, security: Any) -> Place:
    """Return a client of our own for the cluster that the user means: nothing of it is mixed up with the user's.

    Args:
        cluster: A client, a cluster, the address of a scheduler; None is a cluster of our own on this machine.
        n_hosts: How many hosts a cluster of our own has room for.
        needs: What each host needs.
        security: The ``Security`` of dask, for an address.

    Raises:
        MissingExtraError: Dask is not installed.
        OptionError: It is none of these, or it cannot be used.
    """
    distributed = _import_distributed()
    if security is not None and not isinstance(cluster, str):
        raise OptionError("security: goes with an address; a client or a cluster of dask has its own")
    if getattr(cluster, "asynchronous", False):
        raise OptionError(
            f"executor: must be a dask {type(cluster).__name__} that blocks, got one with asynchronous=True; make it "
            "without that, or give the address of its scheduler"
        )
    workers = None
    with contextlib.ExitStack() as stack:
        if cluster is None:
            client, workers = _start_local(stack, n_hosts, needs)
        elif isinstance(cluster, distributed.Client):
            if cluster.status != "running":
                raise OptionError(
                    f"executor: must be a dask client that is connected, got one that is {cluster.status}"
                )
            client = _connected(stack, cluster.scheduler.address, cluster.security)
        elif isinstance(cluster, str) and ":" not in cluster:
            hint = "a cluster on this machine is executor='dask', or DaskExecutor()"
            raise OptionError(f"cluster: must be an address such as tcp://host:8786, got {shown(cluster)}; {hint}")
        elif isinstance(cluster, str) or hasattr(cluster, "scheduler_address"):
            client = _connected(stack, cluster, security)
        else:
            raise OptionError(f"cluster: must be a client, a cluster or an address of dask, got {shown(cluster)}")
        closing = stack.pop_all()
    return Place(client, closing, workers)


def _import_distributed() -> Any:
    try:
        return importlib.import_module("distributed")
    except ImportError as error:
        raise MissingExtraError("dask is not installed: pip install 'autohpo[dask]'") from error


def _start_local(stack: contextlib.ExitStack, n_hosts: int, needs: Needs) -> tuple[Any, LocalWorkers]:
    """Start a scheduler in this process, and workers; nothing listens anywhere but on this machine."""
    folder = temporary_folder()
    stack.callback(remove_folder, folder)
    cluster = _import_distributed().LocalCluster(
        n_workers=0,
        threads_per_worker=1,
        host=LOOPBACK,
        dashboard_address=f"{LOOPBACK}:0",  # with None it listens at 8787, and warns where another search does
        scheduler_kwargs={"dashboard": False, "local_directory": str(folder)},
        silence_logs=logging.CRITICAL,
    )
    stack.callback(cluster.close, timeout=10)
    client = _connected(stack, cluster, None)
    workers = LocalWorkers(cluster.scheduler_address, n_hosts, needs)
    stack.callback(workers.close)  # before the client and the cluster
    return client, workers


def _connected(stack: contextlib.ExitStack, cluster: Any, security: Any) -> Any:
    options = {} if security is None else {"security": security}
    try:
        client = _import_distributed().Client(cluster, set_as_default=False, timeout=CONNECT_SECONDS, **options)
    except (OSError, ValueError, TypeError, ImportError) as fault:
        where = cluster if isinstance(cluster, str) else type(cluster).__name__
        why = str(fault) or f"nothing came within {CONNECT_SECONDS:g} s"
        hint = "`dask scheduler` starts one, and says where"
        raise OptionError(f"executor: no dask scheduler answers at {where}: {why}; {hint}") from fault
    stack.callback(client.close, timeout=10)
    return client
