"""Limits of time and memory: what breaks them ends in time, and nothing else does."""

from __future__ import annotations

import mmap
import os
import subprocess
import sys
import time

import pytest

from autohpo.execution import limits
from autohpo.trial import TrialState

linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")


def hangs():
    """Objectives that would run for a minute; nested, so that they go by value."""

    def sleeps(hp):
        import time

        time.sleep(60)

    def holds_the_interpreter(hp):
        import ctypes

        ctypes.PyDLL(None).sleep(60)

    def ignores_signals(hp):
        import contextlib
        import signal
        import time

        for number in set(signal.Signals) - {signal.SIGKILL, signal.SIGSTOP}:
            with contextlib.suppress(OSError):
                signal.signal(number, signal.SIG_IGN)
        while True:
            time.sleep(1)

    return [sleeps, holds_the_interpreter, ignores_signals]


@pytest.mark.parametrize("hang", hangs(), ids=lambda f: f.__name__)
def test_a_hung_trial_ends_at_its_time_limit(drive_local, hang):
    """Whatever it does, the end comes between limit and limit + 0.5 s; a bystander and the next trial are safe."""
    driver = drive_local(lambda hp: hang(hp) if hp["x"] == 0 else hp["x"], n_slots=2, trial_time_limit=0.7)
    driver.run(1, 0)
    driver.run(2, 1)
    start = time.monotonic()
    driver.submit(0, 0)
    bystander = driver.executor._slots[1].process.pid
    assert driver.run(3, 1).outcome.perf == 3.0
    end = driver.end_of(0)
    assert 0.7 <= time.monotonic() - start <= 1.2
    assert (end.kind, end.outcome.state) == ("killed", TrialState.TIMEOUT)
    assert end.outcome.error == "killed at its time limit of 0.7 s"
    assert driver.executor._slots[1].process.pid == bystander
    assert driver.run(4, 0).outcome.perf == 4.0


def test_the_start_of_a_worker_does_not_count(drive_local):
    """An objective that takes longer to load than a trial may run is not killed for that; a short trial ends well."""

    class Slow:
        def __reduce__(self):
            return exec, ("import time; time.sleep(0.6)",)

    slow = Slow()
    driver = drive_local(lambda hp: float(slow is None), trial_time_limit=0.3)
    assert driver.run(0).outcome.perf == 1.0  # None is what exec returned, when the objective was loaded


def test_the_first_trial_of_a_worker_has_its_time_limit(drive_local):
    """A trial that waits for its worker to start is limited once it runs."""
    driver = drive_local(lambda hp: __import__("time").sleep(60), trial_time_limit=0.3)
    assert driver.run(0).outcome.state is TrialState.TIMEOUT


def test_a_worker_that_never_gets_ready_is_given_up(drive_local, monkeypatch):
    """Loading has a generous limit of its own."""
    monkeypatch.setattr("autohpo.execution.slot.START_LIMIT_SECONDS", 0.5)

    class Stuck:
        def __reduce__(self):
            return exec, ("import time; time.sleep(60)",)

    stuck = Stuck()
    end = drive_local(lambda hp: stuck is None).run(0)
    assert (end.kind, end.outcome.state) == ("killed", TrialState.TIMEOUT)
    assert "had not loaded the objective" in end.outcome.error


def hogs():
    """Objectives that take 800 MB."""

    def slowly(hp):
        import time

        held = []
        for _ in range(80):
            held.append(b"x" * 10_000_000)
            time.sleep(0.01)
        time.sleep(20)

    def at_once(hp):
        import time

        held = b"x" * 800_000_000
        time.sleep(20)
        return float(len(held))

    def in_a_grandchild(hp):
        import subprocess
        import sys

        code = "import time; held = b'x' * 800_000_000; time.sleep(20)"
        parent = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {code!r}])"
        subprocess.run([sys.executable, "-c", parent], check=False)

    return [slowly, at_once, in_a_grandchild]


@linux
@pytest.mark.parametrize("hog", hogs(), ids=lambda f: f.__name__)
def test_a_memory_hog_ends_at_its_limit(drive_local, hog):
    """The tree is ended within 2 s; the text has the limit and the peak, and it ran once."""
    driver = drive_local(lambda hp: hog(hp) if hp["x"] == 0 else hp["x"], memory_limit=200_000_000)
    driver.run(1)
    start = time.monotonic()
    end = driver.run(0)
    assert time.monotonic() - start < 2.0
    assert (end.kind, end.outcome.state) == ("killed", TrialState.MEMORY)
    words = end.outcome.error.split()
    assert end.outcome.error.startswith("killed at its memory limit of 200 MB: its processes held ")
    assert 200 <= int(words[-2]) <= (240 if hog.__name__ == "slowly" else 850)
    assert driver.run(2).outcome.perf == 2.0
    assert driver.kinds(0) == ["started", "killed"]


@linux
def test_memory_shared_with_forked_children_counts_once(drive_local):
    """150 MB that four forked children share stay within a limit of 300 MB."""

    def f(hp):
        import os
        import time

        held = b"x" * 150_000_000
        pids = []
        for _ in range(4):
            pid = os.fork()
            if pid == 0:
                held.count(b"y")  # pages of its parent become resident in it
                time.sleep(0.5)
                os._exit(0)
            pids.append(pid)
        for pid in pids:
            os.waitpid(pid, 0)
        return 1.0

    assert drive_local(f, memory_limit=300_000_000).run(0).kind == "done"


@linux
def test_the_memory_of_a_tree_is_the_sum_of_its_processes():
    """A child that holds 100 MB more in touched pages adds 100 MB to the tree of this process, within 5 MB."""
    before = limits.tree_memory(os.getpid(), 1 << 60)
    code = "import sys; held = b'x' * int(sys.argv[1]); print(flush=True); sys.stdin.read()"
    held = []
    for size in ("0", "100000000"):
        with subprocess.Popen(
            [sys.executable, "-c", code, size], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        ) as child:
            child.stdout.readline()
            held.append(limits.tree_memory(os.getpid(), 1 << 60) - before)
            child.stdin.close()
    assert held[1] - held[0] == pytest.approx(1e8, abs=5e6)
    assert limits.tree_memory(child.pid, 1) == 0


@linux
def test_a_process_alone_is_measured_by_its_resident_pages():
    """Touching 50 MB of an anonymous map adds as much."""
    before = limits.tree_memory(os.getpid(), 1 << 60)
    with mmap.mmap(-1, 50_000_000) as held:
        held.write(b"x" * 50_000_000)
        assert limits.tree_memory(os.getpid(), 1 << 60) - before == pytest.approx(5e7, abs=5e6)
