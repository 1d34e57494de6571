"""What the tests of dask share: clusters, an executor that notes what it delivers, and a loop that drives one."""

from __future__ import annotations

import contextlib
import os
import time
from typing import Any

import pytest

from autohpo.execution.dask.executor import DaskExecutor
from autohpo.objective import Objective
from autohpo.trial import Task

distributed = pytest.importorskip("distributed", reason="dask is not installed; `pip install 'autohpo[dask]'` does it")


def cluster_in_threads(n_threads: int = 4, **options: Any) -> Any:
    """A scheduler and one worker in this process."""
    return distributed.LocalCluster(
        n_workers=1, threads_per_worker=n_threads, processes=False, dashboard_address="127.0.0.1:0", **options
    )


def cluster_of_processes(n_workers: int = 2, **options: Any) -> Any:
    """A scheduler in this process, and workers that are processes with one thread each."""
    import dask

    dask.config.set({"distributed.deploy.lost-worker-timeout": "5m"})  # on a busy machine a start takes its time
    return distributed.LocalCluster(
        n_workers=n_workers,
        threads_per_worker=1,
        host="127.0.0.1",
        dashboard_address="127.0.0.1:0",
        memory_limit=0,
        silence_logs=60,
        **options,
    )


def client_of(cluster: Any) -> Any:
    """A client that is used and closed by a test."""
    return distributed.Client(cluster, set_as_default=False)


def worker_pids(cluster: Any) -> list[int]:
    """The process ids of the workers of a cluster."""
    with client_of(cluster) as client:
        return list(client.run(os.getpid).values())


class Recorded(DaskExecutor):
    """An executor on dask that notes every event it delivers, reports included."""

    def open(self, objective, on_report):
        self.delivered = []

        def take(event):
            self.delivered.append(event)
            return on_report(event)

        super().open(objective, take)

    def poll(self, timeout_seconds):
        events = super().poll(timeout_seconds)
        self.delivered += events
        return events


@contextlib.contextmanager
def driven(executor, f, on_report=lambda _: True):
    """Open an executor, and close it in the end."""
    executor.open(Objective.of(f), on_report)
    try:
        yield executor
    finally:
        executor.close()


def poll_until(executor, is_enough, seconds=25.0):
    """Poll until the events fulfil a condition, and return them."""
    events, until = [], time.monotonic() + seconds
    while not is_enough(events):
        assert time.monotonic() < until, f"not in {seconds} s: {events}"
        events += executor.poll(0.2)
    return events


def ready(executor, n=1):
    """Wait for slots, and return them."""
    poll_until(executor, lambda _: len(executor.slots()) >= n)
    return executor.slots()


def end_of(executor, number, seconds=25.0):
    """Poll until a trial has ended, and return its end."""

    def ends(events):
        return [event for event in events if event.number == number and event.outcome is not None]

    return ends(poll_until(executor, ends, seconds))[0]


def submit(executor, slot, number, **hp):
    """Submit the first attempt of a trial."""
    executor.submit(slot, Task(number, 1, hp, root=number))
