"""Trials in pools of others: the contract, searches, workers that die, drivers that are killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from concurrent import futures
from pathlib import Path

import joblib
import pytest

from autohpo import AutoHPOError, OptionError, RangeHP, build_hpo_from_name
from autohpo.execution.kinds import Shared, engine_of, executor_of
from autohpo.execution.pools.futures_pool import FuturesExecutor
from autohpo.execution.pools.joblib_pool import JoblibExecutor
from autohpo.testing import executor_checks

pytestmark = pytest.mark.skipif(os.name != "posix", reason="needs worker processes")

SPACE = [RangeHP("x", 0.0, 1.0)]


@pytest.fixture(scope="module")
def threads():
    """A pool of threads for all tests."""
    with futures.ThreadPoolExecutor(4) as pool:
        yield pool


_POOL = futures.ThreadPoolExecutor(4)


@pytest.mark.parametrize("check", executor_checks(lambda: FuturesExecutor(_POOL, 2)), ids=str)
def test_a_pool_of_futures_conforms(check):
    """Every rule of executors, over files as the channel."""
    check()


def search(executor, algorithm="random", n=20, **how):
    """A search that has run."""

    def f(hps):
        for epoch in range(1, 10):
            yield hps["x"] * epoch

    objective = f if algorithm == "bohb" else lambda hps: hps["x"]
    hpo = build_hpo_from_name(algorithm, SPACE, objective, max_evals=n, seed=0)
    hpo.optimize(executor=executor, progress=False, **how)
    return hpo


def test_a_pool_may_be_given_as_it_is(threads):
    """The number of workers says how many trials run at once."""
    hpo = search(threads, num_workers=2)
    assert hpo.result.counts() == {"COMPLETE": 20}
    assert hpo.result.best.perf == search(None).result.best.perf


def test_processes_continue_paused_trainings_as_ours_do():
    """Promoted trials go on in the worker that has them."""
    context = __import__("multiprocessing").get_context("spawn")
    with futures.ProcessPoolExecutor(2, mp_context=context) as pool:
        hpo = search(pool, "bohb", num_workers=2)
    assert hpo.result.counts() == {"COMPLETE": 20}
    reports = [event for event in hpo.run_store.events() if event.kind == "report"]
    assert len(reports) == len({(event.trial, event.data["fidelity"]) for event in reports})


@pytest.mark.parametrize("backend", ["loky", "threading", "multiprocessing"])
def test_joblib_runs_trials_in_the_backend_in_force(backend):
    """With its number of jobs, where the search does not say another one."""
    with joblib.parallel_config(backend, n_jobs=2):
        executor = executor_of("joblib", Shared())
        assert executor.n_slots == 2
        assert executor._engine._backend == backend
        assert search("joblib").result.counts() == {"COMPLETE": 20}


def test_joblib_works_on_in_the_same_program():
    """Before and after a search, with a pool of the same size; scikit-learn fits that way."""
    for n_jobs in (2, 2, 3):
        assert joblib.Parallel(n_jobs=n_jobs)(joblib.delayed(abs)(k) for k in (-1, 2)) == [1, 2]
        assert search(JoblibExecutor(n_jobs)).result.counts() == {"COMPLETE": 20}
        assert joblib.Parallel(n_jobs=n_jobs)(joblib.delayed(abs)(k) for k in (-1, 2)) == [1, 2]


def test_a_backend_that_nobody_knows_is_named():
    """With those that are."""

    class Own(joblib.parallel.ThreadingBackend):
        """A backend of somebody's own."""

    joblib.register_parallel_backend("own", Own)
    with (
        joblib.parallel_config("own", n_jobs=2),
        pytest.raises(OptionError, match="backend must be one of loky"),
    ):
        executor_of("joblib", Shared())
    with pytest.raises(OptionError, match="backend: must be 'loky', 'threading' or 'multiprocessing', got 'own'"):
        JoblibExecutor(2, "own")


def test_a_worker_of_loky_that_is_killed_costs_no_result():
    """All trials that run are lost with its pool, and are run again in a new one."""

    def f(hps, trial):
        import os
        import signal
        import time

        flag = trial.checkpoint_dir.parent / "killed"
        if trial.number == 3 and not flag.exists():
            flag.touch()
            parent = os.getppid()
            time.sleep(0.1)
            os.kill(parent, signal.SIGKILL)
            time.sleep(60)
        return hps["x"]

    hpo = build_hpo_from_name("random", SPACE, f, max_evals=12, seed=0)
    hpo.optimize(executor=JoblibExecutor(2), progress=False)
    assert hpo.result.counts() == {"COMPLETE": 12}
    interrupts = [event for event in hpo.run_store.events() if event.kind == "interrupt"]
    assert {event.data["state"] for event in interrupts} == {"LOST"}


def test_a_pool_that_breaks_ends_the_search_in_order(tmp_path, caplog):
    """Python's process pools do not recover: a warning says so, and the store has every result."""

    def f(hps, trial):
        import os
        import signal

        if trial.number == 5:
            os.kill(os.getppid(), signal.SIGKILL)
            __import__("time").sleep(60)
        return hps["x"]

    context = __import__("multiprocessing").get_context("spawn")
    hpo = build_hpo_from_name("random", SPACE, f, max_evals=50, seed=0)
    with futures.ProcessPoolExecutor(1, mp_context=context) as pool:
        hpo.optimize(executor=FuturesExecutor(pool, 1), progress=False, store=tmp_path / "run.db")
    warned = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert [text for text in warned if text.startswith("executor: the search ends, as the pool takes no work any more")]
    assert hpo.result.counts()["COMPLETE"] == 5
    assert hpo.result.counts().get("RUNNING", 0) + hpo.result.counts().get("CANCELLED", 0) <= 1
    assert search(None, n=50).result.counts() == {"COMPLETE": 50}


def test_limits_hold_in_the_worker_of_a_pool(threads):
    """A trial that hangs ends at its limit, and the others are not hurt."""

    def f(hps, trial):
        if trial.number == 1:
            __import__("time").sleep(600)
        return hps["x"]

    hpo = build_hpo_from_name("random", SPACE, f, max_evals=6, seed=0)
    hpo.optimize(executor=threads, num_workers=2, trial_time_limit=1.0, progress=False)
    assert hpo.result.counts() == {"COMPLETE": 5, "TIMEOUT": 1}


def test_a_folder_that_workers_do_not_see_is_named(tmp_path):
    """Such as one on the driver's own disk, for a pool of several machines."""
    from autohpo.execution.hosts.setup import HostSetup
    from autohpo.execution.pools.host import run_host

    assert "does not see the folder" in run_host(HostSetup(b""), 0, str(tmp_path / "gone"))
    (tmp_path / "file").touch()
    with (
        futures.ThreadPoolExecutor(1) as pool,
        pytest.raises(OptionError, match="folder: must be a folder"),
    ):
        FuturesExecutor(pool, 1, folder=tmp_path / "file")


@pytest.mark.parametrize(
    ("limit", "message"),
    [
        ({"memory_limit": "4GB"}, r"memory_limit: must be a number of bytes, such as 4 \* 2\*\*30, got '4GB'"),
        ({"trial_time_limit": "1h"}, "trial_time_limit: must be a number of seconds, got '1h'"),
        ({"lease_seconds": True}, "lease_seconds: must be a number of seconds, got True"),
        ({"memory_limit": 0}, "memory_limit: must be positive and finite, got 0"),
    ],
)
def test_a_limit_that_is_none_is_named(threads, limit, message):
    """Here, and not where it is compared."""
    with pytest.raises(OptionError, match=message):
        FuturesExecutor(threads, 1, **limit)


def test_what_is_no_pool_is_named():
    """In ``optimize`` and by itself."""
    with pytest.raises(OptionError, match=r"pool: must be a concurrent\.futures\.Executor, got 3"):
        FuturesExecutor(3, 1)
    with pytest.raises(OptionError, match="executor: must be 'serial', 'local', 'dask', 'ray', 'joblib', an"):
        search(3)
    with pytest.raises(OptionError, match="executor: must be 'serial', 'local', 'dask'"):
        search("redis://localhost")


def test_engines_are_known_by_name_address_and_class():
    """Nothing is imported for it."""
    given = ["dask", "ray", "joblib", "tcp://127.0.0.1:8786", "tls://a:1", "ray://a:10001", _POOL]
    assert [engine_of(one) for one in given] == ["dask", "ray", "joblib", "dask", "dask", "ray", "futures"]
    assert [engine_of(one) for one in (None, "local", "serial", 3, "dask:8786")] == [None] * 5


DRIVER = """
import sys
from concurrent.futures import ProcessPoolExecutor
from autohpo import RangeHP, build_hpo_from_name

def f(hps):
    import json, os, subprocess, time
    child = subprocess.Popen(["sleep", "600"])
    with open(sys.argv[1], "a") as file:
        print(json.dumps([os.getpid(), child.pid, os.getppid()]), file=file, flush=True)
    time.sleep(600)

if __name__ == "__main__":
    import multiprocessing
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as pool:
        hpo = build_hpo_from_name("random", [RangeHP("x", 0.0, 1.0)], f, max_evals=4, seed=0)
        hpo.optimize(executor=pool, num_workers=2, progress=False)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_a_driver_that_is_killed_leaves_no_trial_behind(tmp_path):
    """Nor what the trial has started; the processes of the pool are the pool's own."""
    (tmp_path / "driver.py").write_text(DRIVER)
    seen = tmp_path / "pids"
    driver = subprocess.Popen([sys.executable, tmp_path / "driver.py", seen])
    until = time.monotonic() + 60
    while not seen.exists() or seen.read_text().count("\n") < 2:
        assert time.monotonic() < until
        time.sleep(0.05)
    driver.kill()
    driver.wait()
    pids = [pid for line in seen.read_text().splitlines() for pid in json.loads(line)]
    try:
        until = time.monotonic() + 20
        while any(Path(f"/proc/{pid}").exists() for pid in (*pids[0:2], *pids[3:5])):
            assert time.monotonic() < until, "trials outlive their driver"
            time.sleep(0.05)
    finally:
        for pid in pids:
            if Path(f"/proc/{pid}").exists():
                os.kill(pid, signal.SIGKILL)


def test_ways_to_measure_memory_reach_the_worker_of_a_pool(threads):
    """The hog ends where the way that was chosen says so; a way that a worker does not have is named."""

    def f(hps, trial):
        if trial.number == 1:
            held = b"x" * 3_000_000_000
            return float(len(held))
        return hps["x"]

    hpo = build_hpo_from_name("random", SPACE, f, max_evals=4, seed=0)
    hpo.optimize(executor=threads, num_workers=2, memory_limit="1GB", memory_by="address-space", progress=False)
    assert hpo.result.counts() == {"COMPLETE": 3, "MEMORY": 1}
    assert "address space" in hpo.result.trials[1].error
    with pytest.raises(AutoHPOError, match="could not start: .*gpu"):
        hpo = build_hpo_from_name("random", SPACE, f, max_evals=4, seed=0)
        hpo.optimize(executor=threads, gpu_memory_limit="1GB", progress=False)
