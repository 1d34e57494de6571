"""Actors, machines and drivers that are killed, or stop for a while: every trial ends once."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest
from actors import Recording, actors, is_running, wait_until

from autohpo import RangeHP, build_hpo_from_name
from autohpo.errors import OptionError
from autohpo.execution.ray.cluster import Cluster
from autohpo.execution.ray.executor import RayExecutor
from autohpo.execution.ray.sockets import tree_of
from autohpo.testing import wrong_states
from autohpo.testing.executor_case import ExecutorCase
from autohpo.trial import Outcome, TrialState

pytestmark = [pytest.mark.extras, pytest.mark.usefixtures("one_ray")]

SPACE = [RangeHP("x", 0.0, 1.0)]


def search(f, executor, n, **how):
    """A search that has ended."""
    hpo = build_hpo_from_name("random", SPACE, f, max_evals=n, seed=0)
    hpo.optimize(executor=executor, progress=False, **how)
    return hpo


def test_an_actor_that_is_killed_costs_only_its_attempt():
    """Which is run again; others are not harmed."""
    killed = []

    def kill(event):
        if event.kind == "started" and event.number in (2, 9) and event.attempt == 1:
            killed.append(actors()[0])
            os.kill(killed[-1], signal.SIGKILL)

    def f(hp):
        time.sleep(0.3)
        return hp["x"]

    executor = Recording(n_slots=2, at=kill)
    hpo = search(f, executor, 16)
    assert wrong_states(hpo, executor.delivered) == []
    assert hpo.result.counts() == {"COMPLETE": 16}
    lost = [event for event in executor.delivered if event.outcome is not None and event.kind == "died"]
    assert len(killed) == 2
    assert len(lost) == 2
    assert all("its worker process has died" in event.outcome.error for event in lost)


def test_what_an_actor_says_after_it_was_given_up_is_kept_and_ignored(tmp_path):
    """It was stopped for longer than a lease, in which its worker came to an end; the trial has been run again."""
    stopped = []

    def at(event):
        if (event.number, event.attempt) != (0, 1):
            return
        if event.kind == "started":
            wait_until((tmp_path / "worker").exists)
            worker = int((tmp_path / "worker").read_text())
            stopped.extend(pid for pid in actors() if worker in tree_of(pid))
            os.kill(stopped[0], signal.SIGSTOP)
            (tmp_path / "go").touch()
        elif event.outcome.state is TrialState.LOST:
            os.kill(stopped[0], signal.SIGCONT)
        else:
            (tmp_path / "late").touch()

    def f(hp, trial):
        if (trial.number, trial.attempt) == (0, 1):
            (tmp_path / "new").write_text(str(os.getpid()))
            (tmp_path / "new").rename(tmp_path / "worker")
            wait_until((tmp_path / "go").exists)
            return 7.0
        if trial.number == 1:
            wait_until((tmp_path / "late").exists)
        return hp["x"]

    executor = Recording(n_slots=2, lease_seconds=5.0, at=at)
    hpo = search(f, executor, 6)
    assert wrong_states(hpo, executor.delivered) == []
    assert hpo.result.counts() == {"COMPLETE": 6}
    late = [event for event in hpo.run_store.events() if event.kind == "late"]
    assert [(event.trial, event.attempt, Outcome.from_json(event.data).perfs) for event in late] == [(0, 1, (7.0,))]
    assert hpo.result.best.outcome.perf < 1.0


def test_a_memory_hog_is_killed_at_its_limit_and_run_once(tmp_path):
    """By our slot; Ray does not see it."""
    limit = 300_000_000

    def hog(hp):
        with (tmp_path / "runs").open("a") as file:
            file.write("1")
        held = []
        for _ in range(400):
            held.append(b"x" * 5_000_000)
            with open("/proc/self/status") as status:
                peak = next(line.split()[1] for line in status if line.startswith("VmHWM"))
            with (tmp_path / "peaks").open("a") as file:
                file.write(f"{peak}\n")
            time.sleep(0.005)
        return 1.0

    with ExecutorCase(lambda: RayExecutor(memory_limit=limit), 60.0).session(hog) as session:
        assert session.run(0).outcome.state is TrialState.MEMORY
    assert (tmp_path / "runs").read_text() == "1"
    peaks = (tmp_path / "peaks").read_text().splitlines()
    assert limit / 2 < max(map(int, peaks[:-1])) * 1024 < 1.2 * limit


def test_slots_follow_the_machines_of_a_cluster(ray_cluster):
    """They go with a machine that is lost, whose trials are run again, and come with one that is added."""
    if ray_cluster is None:
        pytest.skip("needs a cluster")

    def add():
        return ray_cluster.add_node(num_cpus=2, resources={"spot": 2})

    nodes, seen = [add()], []

    def at(event):
        n = len(executor.slots())
        seen.append(n)
        if n == 2 and len(nodes) == 1:
            ray_cluster.remove_node(nodes.pop(), allow_graceful=False)
            nodes.append(add())
            nodes.append(add())

    def f(hp):
        time.sleep(0.2)
        return hp["x"]

    executor = Recording(n_slots=3, actor_options={"resources": {"spot": 1}}, at=at)
    hpo = search(f, executor, 60)
    assert wrong_states(hpo, executor.delivered) == []
    assert hpo.result.counts() == {"COMPLETE": 60}
    assert [trial.attempt for trial in hpo.result].count(2) >= 1
    assert {2, 3} <= set(seen)
    for node in nodes:
        ray_cluster.remove_node(node)


DRIVER = """
import subprocess, sys, time
from autohpo import RangeHP, build_hpo_from_name
from autohpo.execution.ray.executor import RayExecutor
from autohpo.execution.ray.sockets import tree_of

def f(hp, trial):
    if trial.number >= 4 and sys.argv[3] == "busy":
        child = subprocess.Popen(["sleep", "600"])
        with open(sys.argv[2], "a") as file:
            file.write(f"{child.pid}\\n")
        child.wait()
    return hp["x"]

hpo = build_hpo_from_name("random", [RangeHP("x", 0.0, 1.0)], f, max_evals=8, seed=0)
address = sys.argv[4] if len(sys.argv) > 4 else None
hpo.optimize(executor=RayExecutor(address, n_slots=2, lease_seconds=5.0), store=sys.argv[1], progress=False)
print(len(hpo.result), hpo.result.counts())
"""


@pytest.mark.parametrize("where", ["shared", "own"])
def test_a_driver_that_is_killed_leaves_no_process_and_goes_on_by_the_same_command(where, tmp_path, ray_cluster):
    """Neither actors, nor workers, nor what they have started, in a cluster that lives on or in a Ray of its own."""
    if where == "shared" and ray_cluster is None:
        pytest.skip("needs a cluster")
    script, store, pids = tmp_path / "driver.py", tmp_path / "run.db", tmp_path / "pids"
    script.write_text(DRIVER)
    before = set(actors())
    end = [] if where == "own" else [ray_cluster.address]
    command = [sys.executable, str(script), str(store), str(pids)]
    driver = subprocess.Popen([*command, "busy", *end])
    try:
        assert wait_until(lambda: pids.exists() and pids.read_text().count("\n") == 2)
        children = list(map(int, pids.read_text().split()))
        ours = set(actors()) - before
        assert len(ours) == 2
    finally:
        driver.kill()
        driver.wait()
    killed = time.monotonic()
    assert wait_until(lambda: not any(map(is_running, [*children, *ours])), 20)
    print(f"{where}: all gone after {time.monotonic() - killed:.1f} s")
    done = subprocess.run([*command, "idle", *end], capture_output=True, text=True, check=True)
    assert done.stdout == "8 {'COMPLETE': 8}\n"


def test_a_driver_without_the_token_is_refused(ray_cluster, tmp_path):
    """With an error that says so."""
    if ray_cluster is None:
        pytest.skip("needs a cluster")
    script = tmp_path / "driver.py"
    script.write_text(DRIVER)
    command = [sys.executable, str(script), str(tmp_path / "run.db"), "", "idle", ray_cluster.address]
    env = {**os.environ, "RAY_AUTH_TOKEN": "0" * 64}
    done = subprocess.run(command, capture_output=True, text=True, env=env, check=False)
    assert done.returncode == 1
    last = done.stderr.strip().splitlines()[-1]
    assert "OptionError: address: Ray at" in last
    assert "oken" in last


def test_an_address_of_something_else_is_an_error(one_ray):
    """This process is in another Ray."""
    with pytest.raises(OptionError, match="is in the Ray at"):
        Cluster("127.0.0.1:1", 1, 0)
