"""Trees of processes: whoever a worker has started is counted and ended, wherever it has gone."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from processes import is_running, wait_until

import autohpo
from autohpo.execution.tree import tree_of
from autohpo.trial import TrialState

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")

WAYS = {
    "child": 'exec "$0" -c "$1"',
    "in a session of its own": 'exec setsid "$0" -c "$1"',
    "whose parent is gone": '"$0" -c "$1" &',
    "whose parent is gone, in a session of its own": 'setsid "$0" -c "$1" & exit 0',
    "whose parent is gone, without an environment": 'env -i "$0" -c "$1" &',
    "of a grandchild": 'sh -c \'setsid sh -c "\\"\\$0\\" -c \\"\\$1\\" &" "$0" "$1" &\' "$0" "$1"; sleep 0.2',
}


def starter():
    """An objective that starts a program through a shell; nested, so that it goes by value."""

    def f(hp):
        import pathlib
        import subprocess
        import sys
        import time

        path = pathlib.Path(hp["pid"])
        code = f"import os, time; open({hp['pid']!r}, 'w').write(str(os.getpid())); held = b'x' * {hp['bytes']}; "
        shell = subprocess.Popen(["sh", "-c", hp["way"], sys.executable, code + f"time.sleep({hp['sleep']})"])
        if hp["waits"]:
            time.sleep(30)
        until = time.monotonic() + 5
        while time.monotonic() < until:
            if path.exists() and path.read_text():
                break
            time.sleep(0.01)
        return float(shell.pid)

    return f


def pid_in(path):
    """The number that a program has written."""
    assert wait_until(lambda: path.exists() and path.read_text(), 10)
    return int(path.read_text())


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_a_hog_is_counted_and_ended(drive_local, tmp_path, way):
    """A trial ends for the memory of what it started, and that is gone with it."""
    driver = drive_local(starter(), memory_limit=200_000_000)
    task = {"pid": str(tmp_path / "pid"), "bytes": 400_000_000, "sleep": 30, "way": way, "waits": True}
    end = driver.run(0, hp=task)
    assert end.outcome.state is TrialState.MEMORY
    assert wait_until(lambda: not is_running(pid_in(tmp_path / "pid")), 2)


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
@pytest.mark.parametrize("how", ["crash", "close"])
def test_nothing_outlives_its_worker(drive_local, tmp_path, way, how):
    """What a trial has left behind ends with the worker: where that dies by itself, and where the search ends."""
    driver = drive_local(starter())
    task = {"pid": str(tmp_path / "pid"), "bytes": 1, "sleep": 600, "way": way, "waits": False}
    assert driver.run(0, hp=task).kind == "done"
    pid = pid_in(tmp_path / "pid")
    assert is_running(pid)
    if how == "crash":
        os.kill(driver.executor._slots[0].process.pid, signal.SIGKILL)
        assert driver.run(1, hp={**task, "pid": str(tmp_path / "other"), "sleep": 0}).kind == "done"
    else:
        driver.executor.close()
    assert wait_until(lambda: not is_running(pid), 2)


def test_others_are_left_alone(drive_local, tmp_path):
    """A program of the user's own, and those of another slot, live on."""
    with subprocess.Popen(["sleep", "60"], start_new_session=True) as own:
        driver = drive_local(starter(), n_slots=2)
        pids = []
        for slot in range(2):
            path = tmp_path / f"pid-{slot}"
            task = {"pid": str(path), "bytes": 1, "sleep": 600, "way": WAYS["in a session of its own"], "waits": False}
            driver.run(slot, slot, hp=task)
            pids.append(pid_in(path))
        os.kill(driver.executor._slots[0].process.pid, signal.SIGKILL)
        driver.run(2, 0, hp={**task, "pid": str(tmp_path / "again"), "sleep": 0})
        assert wait_until(lambda: not is_running(pids[0]), 2)
        assert is_running(pids[1])
        assert is_running(own.pid)
        own.kill()


DRIVER = """
import sys, time
from autohpo.execution.local import LocalExecutor
from autohpo.objective import Objective
from autohpo.trial import Task

def f(hp):
    import subprocess, time
    subprocess.Popen(["sh", "-c", "setsid sh -c 'echo $$ > pid; exec sleep 600' &"])
    time.sleep(600)

executor = LocalExecutor(1)
executor.open(Objective.of(f), lambda event: True)
executor.submit(0, Task(0, 1, {}))
while True:
    executor.poll(1.0)
"""


def test_what_left_its_group_ends_with_a_driver_that_is_killed(tmp_path):
    """The guardian finds it."""
    environment = dict(os.environ, PYTHONPATH=str(Path(autohpo.__file__).parents[1]))
    with subprocess.Popen([sys.executable, "-c", DRIVER], cwd=tmp_path, env=environment) as driver:
        pid = pid_in(tmp_path / "pid")
        assert is_running(pid)
        driver.kill()
    assert wait_until(lambda: not is_running(pid), 3)


def test_a_tree_is_a_process_and_all_below_it():
    """A shell with a child has two members; a process that is gone is alone."""
    with subprocess.Popen(["sh", "-c", "sleep 60; true"]) as shell:
        assert wait_until(lambda: len(tree_of(shell.pid)) == 2)
        for pid in reversed(tree_of(shell.pid)):
            os.kill(pid, signal.SIGKILL)
    assert tree_of(shell.pid) == [shell.pid]
