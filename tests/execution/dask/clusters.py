"""Clusters of dask for tests: a light one in this process, and one of processes that can be killed."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import Any

import pytest

distributed = pytest.importorskip("distributed", reason="dask is not installed; `pip install 'autohpo[dask]'` does it")


@contextlib.contextmanager
def cluster_in_threads(n_threads: int = 4, **options: Any) -> Iterator[Any]:
    """A scheduler and one worker in this process."""
    with distributed.LocalCluster(
        n_workers=1, threads_per_worker=n_threads, processes=False, dashboard_address=None, **options
    ) as cluster:
        yield cluster


@contextlib.contextmanager
def cluster_of_processes(n_workers: int = 2, **options: Any) -> Iterator[Any]:
    """A scheduler in this process, and workers that are processes with one thread each."""
    with distributed.LocalCluster(
        n_workers=n_workers,
        threads_per_worker=1,
        host="127.0.0.1",
        dashboard_address=None,
        memory_limit=0,
        **options,
    ) as cluster:
        yield cluster


def worker_pids(cluster: Any) -> list[int]:
    """The process ids of the workers of a cluster."""
    with distributed.Client(cluster, set_as_default=False) as client:
        return list(client.run(os.getpid).values())
