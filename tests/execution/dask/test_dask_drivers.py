"""Drivers on dask: scripts without a guard, notebooks, and what is left of one that was killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # pytest imports test files by their path alone

from clusters import client_of, cluster_of_processes

import autohpo
from autohpo.store.sqlite import SQLiteStore

pytestmark = pytest.mark.extras

SCRIPT = """
import json, os, subprocess, sys, time
from autohpo import RangeHP, build_hpo_from_name
from autohpo.execution.dask.executor import DaskExecutor

address, folder, n_trials = sys.argv[1:]

def f(hps):
    child = subprocess.Popen(["sleep", "600"])
    with open(folder + "/pids", "a") as file:
        file.write(f"{os.getpid()} {child.pid}\\n")
    time.sleep(0.1 if n_trials == "6" else 600)
    child.kill()
    child.wait()
    return hps["x"]

hpo = build_hpo_from_name("random", [RangeHP("x", 0.0, 1.0)], f, max_evals=int(n_trials), seed=0)
hpo.optimize(executor=DaskExecutor(address or None, n_slots=2), store=folder + "/run.db", progress=False)
print(json.dumps([trial.outcome.state.value for trial in hpo.trials]))
"""


@pytest.fixture(autouse=True)
def _time_box(_time_box):
    """Starting processes of dask takes some seconds of a busy machine."""
    signal.alarm(150)


@pytest.fixture
def environment():
    """The environment of a driver that runs this package."""
    return {**os.environ, "PYTHONPATH": str(Path(autohpo.__file__).parents[1])}


def wait_for(condition, seconds=60):
    """Wait until a condition holds."""
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.02)


def is_there(pid):
    """Whether a process runs, and is no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def pids_in(folder):
    """The processes of trials and their children, as those have noted them."""
    file = folder / "pids"
    return [int(pid) for pid in file.read_text().split()] if file.exists() else []


def dask_processes(folder):
    """The processes of dask that a driver has started, by the environment that it gave them."""
    found = []
    for place in Path("/proc").iterdir():
        try:
            if place.name.isdigit() and f"MARK={folder}".encode() in (place / "environ").read_bytes().split(b"\0"):
                found.append(int(place.name))
        except OSError:
            continue
    return [pid for pid in found if is_there(pid)]


def run(folder, environment, address="", n_trials="6"):
    """Run the script to its end, and return the states of its trials."""
    command = [sys.executable, "-c", SCRIPT, address, str(folder), n_trials]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_a_script_without_a_guard_runs_on_a_cluster_of_its_own_and_leaves_nothing(tmp_path, environment):
    """Its workers are no copies of the script, and end with the search."""
    (tmp_path / "script.py").write_text(SCRIPT)
    command = [sys.executable, str(tmp_path / "script.py"), "", str(tmp_path), "6"]
    environment = {**environment, "MARK": str(tmp_path)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == ["COMPLETE"] * 6
    assert done.stderr == ""
    assert dask_processes(tmp_path) == []


def test_a_notebook_may_search_while_its_event_loop_runs(environment):
    """As in Jupyter, where code runs inside a loop."""
    code = """
import asyncio
from autohpo import RangeHP, build_hpo_from_name

async def cell():
    hpo = build_hpo_from_name("random", [RangeHP("x", 0.0, 1.0)], lambda hps: hps["x"], max_evals=4, seed=0)
    hpo.optimize(executor="dask", num_workers=2, progress=False)
    print(len(hpo.trials))

asyncio.run(cell())
"""
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert (done.stdout, done.stderr) == ("4\n", "")


def test_nothing_of_a_cluster_of_its_own_listens_elsewhere(tmp_path, environment):
    """Whoever reaches a scheduler of dask can run code there."""
    psutil = pytest.importorskip("psutil")
    environment = {**environment, "MARK": str(tmp_path)}
    command = [sys.executable, "-c", SCRIPT, "", str(tmp_path), "100"]
    driver = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
    try:
        wait_for(lambda: len(pids_in(tmp_path)) == 4)
        listening = [
            (pid, connection.laddr.ip)
            for pid in dask_processes(tmp_path)
            for connection in psutil.Process(pid).net_connections("inet")
            if connection.status == psutil.CONN_LISTEN
        ]
        assert len({pid for pid, _ in listening}) >= 3  # the driver with the scheduler, and two workers
        assert {ip for _, ip in listening} == {"127.0.0.1"}
    finally:
        driver.kill()
        driver.wait()


@pytest.mark.parametrize("kind", ["its own", "given"])
def test_a_driver_that_is_killed_leaves_no_process_and_is_resumed(tmp_path, environment, kind):
    """Workers and their children are gone within 2 s; a given cluster is free for others."""
    environment = {**environment, "MARK": str(tmp_path)}
    cluster = cluster_of_processes(2) if kind == "given" else None
    try:
        address = cluster.scheduler_address if cluster else ""
        command = [sys.executable, "-c", SCRIPT, address, str(tmp_path), "100"]
        driver = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
        wait_for(lambda: len(pids_in(tmp_path)) == 4)
        started = pids_in(tmp_path)
        assert all(map(is_there, started))
        driver.kill()
        killed = time.monotonic()
        wait_for(lambda: not any(map(is_there, started)))
        assert time.monotonic() - killed < 2
        driver.wait()
        wait_for(lambda: not dask_processes(tmp_path))
        if cluster:
            with client_of(cluster) as client:
                assert [future.result(20) for future in client.map(abs, [-1, -2])] == [1, 2]
        (tmp_path / "pids").unlink()
        states = run(tmp_path, environment, address)
    finally:
        if cluster:
            cluster.close()
    assert states == ["COMPLETE"] * 6
    store = SQLiteStore(tmp_path / "run.db")
    store.open()
    try:
        numbers = [event.trial for event in store.events() if event.kind == "ended"]
    finally:
        store.close()
    assert sorted(numbers) == sorted(set(numbers))
