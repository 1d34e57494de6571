"""How workers start and end in odd surroundings: long arguments, imports that hang, guardians that are killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from processes import is_running, pid_of, wait_until

import autohpo
from autohpo.execution import local, slot
from autohpo.execution.descriptors import above_standard, make_pipe
from autohpo.execution.limits import Awake
from autohpo.execution.local import LocalExecutor
from autohpo.objective import Objective
from autohpo.trial import Task, TrialState


def test_what_is_too_long_for_an_argument_reaches_the_workers(drive_local, monkeypatch):
    """The system takes 128 kB; arguments and import paths come in files."""
    monkeypatch.setattr(sys, "argv", ["program", "x" * 200_000])
    monkeypatch.setattr(sys, "path", [*sys.path, "/nowhere/" + "y" * 200_000, "/od\udcffd\r", "/two\nlines"])

    def f(hp):
        tail = [p for p in sys.path if p in ("/od\udcffd\r", "/two\nlines")]
        return float(len(sys.argv[1]) + max(map(len, sys.path)) + len(tail))

    driver = drive_local(f)
    assert driver.run(0, 0).outcome.perf == 200_000 + 200_009 + 2


def test_a_pipe_has_no_number_of_a_standard_stream():
    """Also where those are free; and nobody inherits it."""
    code = (
        "import os\nfor fd in (0, 2): os.close(fd)\n"
        "from autohpo.execution.descriptors import make_pipe\n"
        "fds = make_pipe()\nassert min(fds) > 2, fds\nassert not any(map(os.get_inheritable, fds))\n"
        "try: os.fstat(0)\nexcept OSError: print('free')\n"
    )
    root = str(Path(autohpo.__file__).parents[1])
    environment = {**os.environ, "PYTHONPATH": root}
    said = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, env=environment, check=True)
    assert said.stdout == b"free\n"
    read_fd, write_fd = make_pipe()
    assert above_standard(read_fd) == read_fd
    os.close(read_fd)
    os.close(write_fd)


def test_an_import_that_hangs_ends_its_trial(drive_local, monkeypatch):
    """The time limit of a trial holds for loading, too, if it is not shorter than any import may take."""
    monkeypatch.setattr(slot, "LEAST_START_LIMIT_SECONDS", 0.5)

    class Hangs:
        def __reduce__(self):
            return time.sleep, (60,)

    hangs = Hangs()
    driver = drive_local(lambda hp: hangs, trial_time_limit=0.2)
    end = driver.run(0, 0)
    assert end.outcome.state is TrialState.TIMEOUT
    assert "after 0.5 s its process had not loaded the objective" in end.outcome.error


def test_a_guardian_that_is_killed_is_replaced_at_once(drive_local, monkeypatch):
    """Not only when the next worker starts."""
    monkeypatch.setattr(local, "CHECK_SECONDS", 0.01)
    driver = drive_local(lambda hp: 1.0)
    driver.run(0, 0)
    guardian = driver.executor._slots[0]._guardian
    first = guardian._popen.pid
    os.kill(first, signal.SIGKILL)

    def is_new():
        driver.executor.poll(0.02)
        return guardian._popen.pid != first

    assert wait_until(is_new)
    assert guardian._groups == {pid_of(driver)}


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the system tells of a parent's death on Linux alone")
def test_a_worker_in_a_c_loop_ends_with_its_driver_without_a_guardian(tmp_path):
    """Both were killed at once; the lifeline cannot run while the interpreter is held."""
    code = (
        "import ctypes, os, time\nfrom autohpo.execution.local import LocalExecutor\n"
        "from autohpo.objective import Objective\nfrom autohpo.trial import Task\n"
        "def f(hp):\n    print(os.getpid(), flush=True)\n    open('pid', 'w').write(str(os.getpid()))\n"
        "    ctypes.PyDLL(None).sleep(600)\n"
        "executor = LocalExecutor(1)\nexecutor.open(Objective.of(f), lambda event: True)\n"
        "executor.submit(0, Task(0, 1, {}))\n"
        "while not os.path.exists('pid') or not open('pid').read(): executor.poll(0.05)\n"
        "time.sleep(0.2)\nos.kill(executor._slots[0]._guardian._popen.pid, 9)\nos.kill(os.getpid(), 9)\n"
    )
    root = str(Path(autohpo.__file__).parents[1])
    environment = {**os.environ, "PYTHONPATH": root, "TMPDIR": str(tmp_path)}
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=environment, timeout=20, check=False)
    pid = int((tmp_path / "pid").read_text())
    try:
        assert wait_until(lambda: not is_running(pid))
    finally:
        if is_running(pid):
            os.kill(pid, signal.SIGKILL)


def test_a_worker_whose_listener_fails_ends(drive_local):
    """It would wait for ever for a driver that it cannot hear."""

    def f(hp):
        if hp["x"] == 0:
            sys.modules["autohpo.execution.worker"].read_frame = None  # the next frame is not understood
        return 1.0

    driver = drive_local(f)
    driver.run(0, 0)
    first = pid_of(driver)
    driver.executor.drop(0)
    driver.executor._slots[0].process.send(b"\0" * 7 + b"\1D")
    assert wait_until(lambda: not is_running(first))


def test_time_that_a_process_was_stopped_is_told_from_time_that_it_was_busy(monkeypatch):
    """A stopped process uses no processor time."""
    wall, used = [100.0], [1.0]
    monkeypatch.setattr(time, "monotonic", lambda: wall[0])
    monkeypatch.setattr(time, "process_time", lambda: used[0])
    clock = Awake()
    wall[0] += 5.0
    assert clock.slept(0.05) == pytest.approx(4.95)
    clock.mark()
    wall[0], used[0] = wall[0] + 5.0, used[0] + 4.0
    assert clock.slept(0.05) == 0.0
    clock.mark()
    wall[0] += 0.5
    assert clock.slept(0.05) == 0.0


def test_a_suspended_machine_takes_no_time_of_a_trial(tmp_path):
    """Driver and worker are stopped for longer than the limit of the trial, which ends well."""
    code = (
        "import os, time\nfrom autohpo import RangeHP, build_hpo_from_name\n"
        "def f(hp):\n    open('pid', 'w').write(str(os.getpid()))\n    time.sleep(1.0)\n    return 1.0\n"
        "hpo = build_hpo_from_name('random', [RangeHP('x', 0.0, 1.0)], f, max_evals=1, seed=0)\n"
        "hpo.optimize(trial_time_limit=1.8, progress=False)\nprint(hpo.result.counts())\n"
    )
    root = str(Path(autohpo.__file__).parents[1])
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": root},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    path = tmp_path / "pid"
    try:
        assert wait_until(lambda: path.exists() and path.read_text(), 20)
        both = process.pid, int(path.read_text())
        for pid in both:
            os.kill(pid, signal.SIGSTOP)
        time.sleep(2.5)
        for pid in both:
            os.kill(pid, signal.SIGCONT)
        assert process.communicate(timeout=20)[0] == "{'COMPLETE': 1}\n"
    finally:
        process.kill()
        process.wait()


def test_an_objective_that_raises_what_is_no_exception_fails_its_trial_in_a_worker():
    """It cannot surface in another process; what a worker is told, it says."""

    def f(hp):
        raise KeyboardInterrupt("of its own")

    executor = LocalExecutor(1)
    executor.open(Objective.of(f), lambda event: True)
    executor.submit(0, Task(0, 1, {}))
    ends = []
    assert wait_until(lambda: ends.extend(e for e in executor.poll(0.05) if e.outcome) or ends, 20)
    executor.close()
    assert ends[0].outcome.state is TrialState.FAILED
    assert "of its own" in ends[0].outcome.error
