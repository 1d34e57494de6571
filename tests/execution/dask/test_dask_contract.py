"""The executor ``dask`` keeps the contract of every executor."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # pytest imports test files by their path alone

from clusters import cluster_in_threads

from autohpo.execution.dask.executor import DaskExecutor
from autohpo.testing import executor_checks


class Shared:
    """The cluster of this module, started when it is first needed."""

    cluster = None


@pytest.fixture(scope="module", autouse=True)
def cluster():
    """One cluster for all checks."""
    with cluster_in_threads(2) as Shared.cluster:
        yield


def make():
    """Two hosts, each with a worker of its own."""
    return DaskExecutor(Shared.cluster, n_slots=2)


@pytest.mark.parametrize("check", executor_checks(make), ids=str)
def test_an_executor_on_dask_conforms(check):
    """Every rule, with our slots inside tasks of dask."""
    check()
