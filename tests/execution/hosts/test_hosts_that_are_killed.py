"""An engine that ends a task by force kills its child processes, too: what those have started must not stay."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # pytest imports test files by their path alone
sys.path.insert(0, str(Path(__file__).parents[1]))

from processes import is_running, wait_until

HOST = """
import os, subprocess, sys, time
sys.path.insert(0, sys.argv[2])
from thread_engine import ThreadEngine
from autohpo.execution.hosts.executor import HostedExecutor
from autohpo.objective import Objective
from autohpo.trial import Task

def f(hp):
    child = subprocess.Popen(["sleep", "600"])
    with open(hp["pids"] + ".new", "w") as file:
        file.write(f"{os.getpid()} {child.pid}")
    os.rename(hp["pids"] + ".new", hp["pids"])
    time.sleep(600)

executor = HostedExecutor(ThreadEngine(), 1)
executor.open(Objective.of(f), lambda event: True)
while not executor.slots():
    executor.poll(1.0)
executor.submit(executor.slots()[0], Task(0, 1, {"pids": sys.argv[1]}))
while True:
    executor.poll(1.0)
"""


def children_of(pid):
    """The child processes of a process."""
    found = []
    for thread in Path(f"/proc/{pid}/task").iterdir():
        found += map(int, (thread / "children").read_text().split())
    return found


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
def test_nothing_stays_of_a_host_whose_children_are_killed_before_it(tmp_path):
    """Also not what an objective has started: the process that sees to that is no child of the host."""
    pids = tmp_path / "pids"
    folder = str(Path(__file__).parent)
    host = subprocess.Popen(
        [sys.executable, "-c", HOST, str(pids), folder], env={**os.environ, "TMPDIR": str(tmp_path)}
    )
    try:
        assert wait_until(pids.exists, 25)
        started = list(map(int, pids.read_text().split()))
        os.kill(host.pid, signal.SIGSTOP)  # so that it does not see the end of its worker
        killed = children_of(host.pid)
        for pid in killed:
            os.kill(pid, signal.SIGKILL)
    finally:
        host.kill()
        host.wait()
    assert started[0] in killed
    assert wait_until(lambda: not any(map(is_running, started)))
    assert wait_until(lambda: not list(tmp_path.glob("autohpo-*/objective.pickle")))


def test_a_guardian_that_is_no_child_ends_in_order_and_is_replaced(tmp_path):
    """As one that is: it ends with its driver, kills nothing when it is not needed, and a killed one is seen."""
    from autohpo.execution.guardian_client import Guardian

    folder = tmp_path / "private"
    folder.mkdir()
    child = subprocess.Popen(["sleep", "600"], start_new_session=True)
    try:
        guardian = Guardian(folder, is_apart=True)
        guardian.watch(child.pid)
        assert wait_until(lambda: len(found := guardians(folder)) == 1 and found)
        (first,) = guardians(folder)
        assert first not in children_of(os.getpid())
        guardian.check()
        assert guardians(folder) == [first]
        os.kill(first, signal.SIGKILL)
        assert wait_until(lambda: not is_running(first))
        guardian.check()
        assert wait_until(lambda: len(guardians(folder)) == 1)
        guardian.close()
        assert wait_until(lambda: not guardians(folder))
        assert child.poll() is None
        assert folder.exists()
    finally:
        child.kill()
        child.wait()


def guardians(folder):
    """The processes of guardians of a folder that do not have a child of the same kind: those only start another."""
    found = {}
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            command = (entry / "cmdline").read_bytes().split(b"\0")
            if str(folder).encode() in command and b"apart" in command:
                found[int(entry.name)] = is_running(int(entry.name))
        except OSError:
            continue
    return [pid for pid, runs in found.items() if runs]
