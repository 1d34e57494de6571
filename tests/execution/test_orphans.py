"""When a driver is killed, nothing of it stays: not a worker, not what a worker started, not a file."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

import autohpo

DRIVER = """
import os, sys, time
from autohpo.execution.local import LocalExecutor
from autohpo.objective import Objective
from autohpo.trial import Task

def sleeps(hp):
    time.sleep(600)

def holds_the_interpreter(hp):
    import ctypes
    ctypes.PyDLL(None).sleep(600)

def starts_a_child(hp):
    import subprocess
    child = subprocess.Popen(["sleep", "600"])
    with open(hp["pids"], "a") as file:
        file.write(f"{os.getpid()} {child.pid}\\n")
    {"sleeps": sleeps, "holds": holds_the_interpreter}[hp["then"]](hp)

executor = LocalExecutor(2)
executor.open(Objective.of(starts_a_child), lambda event: True)
for slot in range(2):
    executor.submit(slot, Task(slot, 1, {"pids": sys.argv[1], "then": sys.argv[2]}))
if sys.argv[3] == "forks" and os.fork() == 0:  # this copy of the driver holds every pipe open
    time.sleep(20)
    os._exit(0)
if sys.argv[3] == "unguarded":
    os.kill(executor._slots[0]._guardian._popen.pid, 9)
if sys.argv[3] == "exits":
    until = time.monotonic() + 10
    while time.monotonic() < until:
        executor.poll(0.05)
        if os.path.exists(sys.argv[1]) and open(sys.argv[1]).read().count("\\n") == 2:
            sys.exit("no close")
while True:
    executor.poll(1.0)
"""


def running(pids):
    """Those of `pids` that are there and no zombies."""
    alive = []
    for pid in pids:
        try:
            if Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z":
                alive.append(pid)
        except OSError:
            continue
    return alive


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
@pytest.mark.parametrize(
    ("then", "end"),
    [("sleeps", "killed"), ("holds", "killed"), ("holds", "forks"), ("sleeps", "unguarded"), ("sleeps", "exits")],
)
def test_nothing_outlives_its_driver(tmp_path, then, end):
    """Workers and children of the objective are gone 2 s after the driver, with the temporary files.

    Also where a C loop holds the worker's interpreter, where a process that the driver forked keeps its pipes open,
    where the guardian was killed first (then the files stay), and where the driver exits without a close.
    """
    (tmp_path / "tmp").mkdir()
    (tmp_path / "driver.py").write_text(DRIVER)
    root = str(Path(autohpo.__file__).parents[1])
    environment = dict(os.environ, PYTHONPATH=root, TMPDIR=str(tmp_path / "tmp"))
    driver = subprocess.Popen(
        [sys.executable, "driver.py", "pids", then, end], cwd=tmp_path, env=environment, stderr=subprocess.DEVNULL
    )
    pids: list[int] = []
    try:
        until = time.monotonic() + 15
        while len(pids) < 4 and time.monotonic() < until:
            time.sleep(0.02)
            if (tmp_path / "pids").exists():
                pids = [int(pid) for pid in (tmp_path / "pids").read_text().split()]
        assert len(pids) == 4
        if end == "exits":
            assert driver.wait(10) == 1
        else:
            assert len(running(pids)) == 4
            driver.kill()
            driver.wait()
        until = time.monotonic() + 2
        files = tmp_path / "tmp"
        while time.monotonic() < until and (running(pids) or any(files.iterdir())):
            time.sleep(0.01)
        assert running(pids) == []
        assert end == "unguarded" or not any(files.iterdir())
    finally:
        for pid in {driver.pid, *running(pids)}:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        driver.wait()


def test_a_killed_guardian_is_replaced(drive_local):
    """At the next start of a worker there is a guardian again, which knows all groups."""
    driver = drive_local(lambda hp: os._exit(1) if hp["x"] == 0 else 1.0, n_slots=2)
    driver.run(1, 0)
    driver.run(2, 1)
    guardian = driver.executor._slots[0]._guardian
    first = guardian._popen.pid
    os.kill(first, signal.SIGKILL)
    time.sleep(0.05)
    driver.run(0, 0)
    driver.run(3, 0)
    assert guardian._popen.pid != first
    assert guardian._popen.poll() is None
    assert guardian._groups == {slot.process.pid for slot in driver.executor._slots}


def test_the_guardian_forgets_a_worker_before_its_number_is_free(drive_local, monkeypatch):
    """When a group is taken back, its leader is dead but not reaped, so the number cannot be anybody else's."""
    forgotten = []

    def say(guardian, line):
        if line[0] == "-":
            forgotten.append((int(line[1:]), Path(f"/proc/{line[1:].strip()}").exists()))

    monkeypatch.setattr("autohpo.execution.guardian_client.Guardian._say", say)
    driver = drive_local(lambda hp: os._exit(1) if hp["x"] == 0 else 1.0)
    first = driver.executor._slots[0].process.pid
    driver.run(0)
    driver.run(1)
    second = driver.executor._slots[0].process.pid
    driver.executor.close()
    assert forgotten == [(first, True), (second, True)]
    assert running([first, second]) == []


def test_a_guardian_ends_what_it_is_told_and_nothing_else(tmp_path):
    """Of three process groups, the one that was taken back and the one never named live on."""
    script = Path(autohpo.__file__).parent / "execution" / "guardian.py"
    folder = Path(tempfile.mkdtemp(dir=tmp_path))
    (folder / "objective.pickle").write_bytes(b"x")
    groups = [subprocess.Popen(["sleep", "60"], start_new_session=True) for _ in range(3)]
    try:
        lines = f"+{groups[0].pid}\n+{groups[1].pid}\n-{groups[1].pid}\n"
        command = [sys.executable, "-I", "-S", str(script), str(os.getpid()), str(folder)]
        guardian = subprocess.Popen(command, stdin=subprocess.PIPE)
        guardian.stdin.write(lines[:5].encode())
        guardian.stdin.flush()
        time.sleep(0.1)
        guardian.stdin.write(lines[5:].encode())
        guardian.stdin.close()
        assert guardian.wait(5) == 0
        assert groups[0].wait(5) == -signal.SIGKILL
        assert [group.poll() for group in groups[1:]] == [None, None]
        assert not folder.exists()
    finally:
        for group in groups:
            group.kill()
            group.wait()
