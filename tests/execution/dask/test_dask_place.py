"""Where an executor on dask may run: what it takes as a cluster, what it says where that cannot be used."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # pytest imports test files by their path alone

from clusters import client_of, cluster_in_threads, distributed, driven, end_of, poll_until, ready, submit

from autohpo import RangeHP, build_hpo_from_name
from autohpo.errors import MissingExtraError, OptionError
from autohpo.execution.dask.executor import DaskExecutor
from autohpo.execution.dask.workers import LocalWorkers, resources_of
from autohpo.execution.hosts.needs import Needs
from autohpo.objective import Objective


@pytest.fixture(scope="module")
def cluster():
    """One cluster for all, with resources for one trial at a time."""
    with cluster_in_threads(3, resources={"CPU": 2, "MEMORY": 1e9}) as cluster:
        yield cluster


identity = lambda hp: hp["x"]  # pickled by value: workers need not import this file, and dask with it


def opening(*given, **options):
    """Open an executor, which is to fail."""
    executor = DaskExecutor(*given, **options)
    try:
        executor.open(Objective.of(identity), lambda _: True)
    finally:
        executor.close()


@pytest.mark.parametrize("kind", ["client", "cluster", "address"])
def test_a_client_a_cluster_and_an_address_are_used_and_stay_open(cluster, kind):
    """What is the user's is still there after the search."""
    with client_of(cluster) as client:
        given = {"client": client, "cluster": cluster, "address": cluster.scheduler_address}[kind]
        with driven(DaskExecutor(given), identity) as executor:
            submit(executor, ready(executor)[0], 0, x=0.5)
            assert end_of(executor, 0).outcome.perfs == (0.5,)
        assert client.submit(lambda: 7).result(timeout=10) == 7


def test_optimize_takes_a_client(cluster):
    """``executor=`` knows objects of dask by where their classes come from."""
    with client_of(cluster) as client:
        hpo = build_hpo_from_name("random", [RangeHP("x", 0.0, 1.0)], identity, max_evals=6, seed=0)
        hpo.optimize(executor=client, num_workers=2, progress=False)
    assert sorted(trial.number for trial in hpo.trials) == list(range(6))


def test_nothing_of_the_search_is_left_in_the_scheduler(cluster):
    """Neither its tasks nor its client, nor somebody to whom events are written."""
    scheduler = cluster.scheduler
    before = set(scheduler.clients)
    with driven(DaskExecutor(cluster, n_slots=2), identity) as executor:
        submit(executor, ready(executor)[0], 0, x=0.5)
        end_of(executor, 0)
        assert set(scheduler.clients) - before
    with client_of(cluster) as client:
        client.submit(lambda: 1).result(timeout=10)  # the scheduler has seen the end of the search by then
    assert not [key for key in scheduler.tasks if "autohpo" in str(key)]
    assert set(scheduler.clients) <= before
    assert not scheduler._broker._topics["all"].subscribers


def test_a_client_that_is_asynchronous_is_refused():
    """The driver's thread cannot wait for it."""

    async def make():
        async with (
            distributed.LocalCluster(
                n_workers=0, processes=False, dashboard_address="127.0.0.1:0", asynchronous=True
            ) as cluster,
            distributed.Client(cluster, asynchronous=True) as client,
        ):
            for given in (client, cluster):
                with pytest.raises(OptionError, match="asynchronous=True"):
                    opening(given)

    import asyncio

    asyncio.run(make())


def test_a_client_that_was_closed_is_refused(cluster):
    """It says so, and not that nothing answers."""
    client = client_of(cluster)
    client.close()
    with pytest.raises(OptionError, match="must be a dask client that is connected, got one that is closed"):
        opening(client)


def test_an_address_where_nobody_listens_is_refused(monkeypatch):
    """With the address, and the reason."""
    monkeypatch.setattr("autohpo.execution.dask.place.CONNECT_SECONDS", 0.2)
    with pytest.raises(OptionError, match="no dask scheduler answers at tcp://127.0.0.1:1"):
        opening("tcp://127.0.0.1:1")


def test_something_else_is_refused():
    """The text says what it may be."""
    with pytest.raises(OptionError, match="must be a client, a cluster or an address of dask, got 3"):
        opening(3)


def test_a_word_that_is_no_address_is_an_error_at_once():
    """Not after half a minute of waiting for a host of that name."""
    with pytest.raises(OptionError, match=r"must be an address such as tcp://host:8786, got 'dask'; .*DaskExecutor"):
        opening("dask")


def test_security_goes_with_an_address(cluster):
    """A cluster has its own."""
    with pytest.raises(OptionError, match="security: goes with an address"):
        opening(cluster, security=distributed.Security())


def test_without_dask_the_extra_is_named(monkeypatch):
    """A typed error with the command that installs it."""
    actual = importlib.import_module

    def without(name, *rest):
        if name == "distributed":
            raise ImportError(name)
        return actual(name, *rest)

    monkeypatch.setattr(importlib, "import_module", without)
    with pytest.raises(MissingExtraError, match=r"pip install 'autohpo\[dask\]'"):
        opening()


def test_neither_kinds_nor_the_executor_imports_dask():
    """Only ``open`` does: making one, or looking at its options, is cheap."""
    for name in ("kinds", "dask.executor", "dask.link", "dask.workers"):
        source = Path(importlib.import_module(f"autohpo.execution.{name}").__file__).read_text()
        lines = [line for line in source.splitlines() if line.startswith(("import ", "from "))]
        assert not [line for line in lines if line.split()[1].partition(".")[0] in ("dask", "distributed")]


# What each trial needs.


def test_needs_become_resources_by_the_names_of_the_manual():
    """Only those that were asked for."""
    assert resources_of(Needs()) == {}
    assert resources_of(Needs(cpus=2, gpus=0.5, memory=10)) == {"CPU": 2, "GPU": 0.5, "MEMORY": 10}


def test_resources_bound_how_many_trials_run_at_once(cluster):
    """Three threads, but cores for two trials of one."""
    with driven(DaskExecutor(cluster, n_slots=3, cpus=1), identity) as executor:
        ready(executor, 2)
        assert not poll_until(executor, lambda _: True)
        executor.poll(0.5)
        assert len(executor.slots()) == 2


def test_cpus_are_threads_of_the_worker(cluster):
    """Numerical libraries start as many."""

    def threads(hp):
        import os

        return float(os.environ["OMP_NUM_THREADS"])

    with driven(DaskExecutor(cluster, cpus=2), threads) as executor:
        submit(executor, ready(executor)[0], 0, x=0.5)
        assert end_of(executor, 0).outcome.perfs == (2.0,)


def test_needs_that_no_worker_declares_are_refused_with_the_command(cluster):
    """The command that starts one that does."""
    with pytest.raises(OptionError, match=r"none of the 1 workers of dask declares that.*--resources \"CPU=4 GPU=1\""):
        opening(cluster, cpus=4, gpus=1)


def test_without_workers_a_warning_says_what_to_start(monkeypatch):
    """A cluster may get them later."""
    monkeypatch.setattr("autohpo.execution.hosts.roster.PATIENCE_SECONDS", 0.1)
    with (
        distributed.LocalCluster(n_workers=0, processes=False, dashboard_address="127.0.0.1:0") as cluster,
        driven(DaskExecutor(cluster, cpus=4), identity) as executor,
        pytest.warns(RuntimeWarning, match='dask worker .* --nthreads 1 --resources "CPU=4"'),
    ):
        executor.poll(0.5)


# A cluster of our own.


def test_workers_of_our_own_say_why_they_failed(monkeypatch):
    """What their process has printed is in the text."""
    monkeypatch.setattr(sys, "executable", "/bin/false")
    workers = LocalWorkers("tcp://127.0.0.1:1", 1, Needs())
    workers._process.wait(10)
    assert "ended with status 1: it said nothing" in workers.failure
    assert (workers._folder / "lock").exists()  # so the next search removes what a killed one leaves
    workers.close()
    workers.close()
    assert not workers._folder.exists()


def test_with_gpus_the_hosts_are_threads_of_one_process():
    """Devices are shared out among the hosts of a process."""
    workers = LocalWorkers("tcp://127.0.0.1:1", 4, Needs(gpus=0.5))
    try:
        command = " ".join(workers._process.args)
    finally:
        workers.close()
    assert "--nworkers 1 --nthreads 4" in command
    assert command.endswith("--resources GPU=2")


# TLS.


def test_a_scheduler_with_tls_is_reached_with_its_security():
    """All that the search sends goes through connections of dask, which are encrypted then."""
    pytest.importorskip("cryptography", reason="temporary certificates need cryptography")
    security = distributed.Security.temporary()
    with distributed.LocalCluster(
        n_workers=1,
        threads_per_worker=1,
        processes=False,
        protocol="tls",
        host="127.0.0.1",
        dashboard_address="127.0.0.1:0",
        security=security,
    ) as cluster:
        assert cluster.scheduler_address.startswith("tls://")
        with driven(DaskExecutor(cluster.scheduler_address, security=security), identity) as executor:
            submit(executor, ready(executor)[0], 0, x=0.5)
            assert end_of(executor, 0).outcome.perfs == (0.5,)
