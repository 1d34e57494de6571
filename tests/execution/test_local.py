"""The local executor under faults: workers that die, and tasks that cannot be run."""

from __future__ import annotations

import gc
import os
import signal
import threading
import time
from pathlib import Path

import pytest
from processes import children, is_running, pid_of, wait_until

from autohpo.errors import OptionError
from autohpo.execution.local import LocalExecutor
from autohpo.trial import TrialState


def ways_to_die():
    """Objectives that end their process, with the text that must say so; nested, so that they go by value."""

    def exits(hp):
        import os

        os._exit(3)

    def kills(number):
        def f(hp):
            import os

            os.kill(os.getpid(), number)

        return f

    def reads_null(hp):
        import ctypes

        ctypes.string_at(0)

    def aborts(hp):
        import ctypes

        ctypes.CDLL(None).abort()

    def overflows_c_stack(hp):  # glibc parses nested parentheses by recursion
        import ctypes

        ctypes.CDLL(None).regcomp(ctypes.create_string_buffer(1024), b"(" * 10**6 + b")" * 10**6, 1)

    def fails_to_exec(hp):
        import os
        import sys

        os.execv(sys.executable, [sys.executable, "-c", "import sys; sys.exit(4)"])

    def closes_all(hp):
        import os
        import time

        os.closerange(3, 1000)
        time.sleep(60)

    def speaks_out_of_turn(hp):
        import os
        import stat
        import time

        for fd in range(3, 50):
            try:
                if stat.S_ISFIFO(os.fstat(fd).st_mode):
                    os.write(fd, b"\xff" * 100)
            except OSError:
                pass
        time.sleep(60)

    return [
        (exits, "exited with code 3"),
        (kills(signal.SIGKILL), "was killed by SIGKILL, perhaps by the system"),
        (kills(signal.SIGTERM), "was killed by SIGTERM"),
        (kills(signal.SIGRTMIN + 3), f"was killed by signal {signal.SIGRTMIN + 3}"),
        (reads_null, "was killed by SIGSEGV"),
        (aborts, "was killed by SIGABRT"),
        (overflows_c_stack, "was killed by SIGSEGV"),
        (fails_to_exec, "exited with code 4"),
        (closes_all, "closed the pipe"),
        (speaks_out_of_turn, "broke the protocol"),
    ]


@pytest.mark.parametrize(("f", "text"), ways_to_die(), ids=lambda value: getattr(value, "__name__", value))
def test_a_dead_worker_is_one_crashed_trial_and_the_slot_comes_back(drive_local, f, text):
    """However the process ends, the event says how, within a second; the next task runs within two more."""
    driver = drive_local(lambda hp: f(hp) if hp["x"] == 0 else hp["x"])
    driver.submit(0)
    while not driver.events:
        driver.events += driver.executor.poll(1.0)
    start = time.monotonic()
    end = driver.end_of(0)
    assert (end.kind, end.outcome.state) == ("died", TrialState.CRASHED)
    assert text in end.outcome.error
    assert time.monotonic() - start < 1.0
    start = time.monotonic()
    assert driver.run(1).outcome.perf == 1.0
    assert time.monotonic() - start < 2.0
    assert driver.kinds(0) == ["started", "died"]


def test_the_error_of_a_crash_has_the_last_output_of_its_own_trial(drive_local, monkeypatch):
    """Prints and faulthandler's traceback of the trial are there, the end of it only, and nothing of the one before."""

    def f(hp):
        import ctypes
        import os

        print(f"printed by {hp['x']:g}")
        if hp["x"] == 2:
            print("x" * 5000)
        if hp["x"] == 3:
            os._exit(1)
        if hp["x"] > 0:
            ctypes.string_at(0)
        return 0.0

    monkeypatch.delenv("PYTHONUNBUFFERED", raising=False)
    driver = drive_local(f)
    driver.run(0)
    error = driver.run(1).outcome.error
    assert "printed by 1" in error
    assert "Segmentation fault" in error
    assert "printed by 0" not in error
    error = driver.run(2).outcome.error
    assert "Segmentation fault" in error
    assert "printed by" not in error
    assert len(error) < 2200
    assert driver.run(3).outcome.error.endswith("its last output:\nprinted by 3")


def test_a_worker_that_is_killed_while_idle_costs_no_trial(drive_local):
    """The next task runs in a new process, also if nobody noticed yet; what was paused is gone, and said to be."""

    def f(hp):
        yield from (float(k) for k in range(100))

    driver = drive_local(f)
    for number in range(3):
        assert driver.run(number, fidelity=2.0).outcome.perf == 1.0
        assert driver.executor.holds(0, number)
        os.kill(pid_of(driver), signal.SIGKILL)
        if number % 2:
            driver.events += driver.executor.poll(0.3)
            assert not driver.executor.holds(0, number)
    assert [driver.kinds(number) for number in range(3)] == [["started", "done"]] * 3


def test_a_task_that_no_worker_can_take_is_given_up(drive_local):
    """Where each process dies while it loads the objective, there is an end after a few tries, not an endless loop."""

    class Deadly:
        def __call__(self, hp):
            return 0.0

        def __reduce__(self):
            return os._exit, (5,)

    driver = drive_local(Deadly())
    end = driver.run(0)
    assert (end.kind, end.outcome.state) == ("died", TrialState.CRASHED)
    assert "exited with code 5 before it took the trial, 3 times" in end.outcome.error
    assert driver.kinds(0) == ["died"]


def test_an_objective_that_cannot_be_loaded_fails_the_trial_with_the_reason(drive_local):
    """The worker's traceback is in the error of each trial."""

    class Missing:
        def __call__(self, hp):
            return 0.0

        def __reduce__(self):
            return __import__, ("no_such_module_anywhere",)

    driver = drive_local(Missing())
    for number in range(2):
        end = driver.run(number)
        assert (end.kind, end.outcome.state) == ("failed", TrialState.FAILED)
        assert "cannot be loaded in a worker" in end.outcome.error
        assert "No module named 'no_such_module_anywhere'" in end.outcome.error


def test_a_value_that_cannot_be_loaded_fails_its_trial_alone(drive_local):
    """A configuration whose value raises when unpickled is a FAILED trial."""

    class Bad:
        def __reduce__(self):
            return int, ("no number",)

    driver = drive_local(lambda hp: 1.0)
    end = driver.run(0, hp={"x": Bad()})
    assert end.outcome.state is TrialState.FAILED
    assert "no number" in end.outcome.error
    assert driver.run(1).kind == "done"


def test_what_cannot_be_pickled_is_refused_with_the_reason(drive_local):
    """An objective with a lock in it fails in open, a configuration with one in submit; nothing is left behind."""
    lock = threading.Lock()
    before = children()
    with pytest.raises(OptionError, match=r"f: must be picklable .*lock"):
        drive_local(lambda hp: lock)
    assert children() == before
    driver = drive_local(lambda hp: 1.0)
    with pytest.raises(OptionError, match=r"hp: must be picklable .*lock"):
        driver.submit(0, hp={"x": lock})
    assert driver.run(1).outcome.perf == 1.0


@pytest.mark.parametrize(
    "options", [{"n_slots": 0}, {"trial_time_limit": 0}, {"trial_time_limit": float("nan")}, {"memory_limit": -1}]
)
def test_options_that_make_no_sense_are_refused(options):
    """The text names the option."""
    with pytest.raises(OptionError, match=next(iter(options))):
        LocalExecutor(**options)


def test_bystanders_survive_crashes(drive_local):
    """Four slots, one trial in three dies in one of four ways: each has its own end, and the values are right."""

    def f(hp):
        import ctypes
        import os
        import time

        x = int(hp["x"])
        time.sleep(0.005 * (x % 4))
        if x % 3 == 0:
            [lambda: os._exit(7), lambda: os.kill(os.getpid(), 9), lambda: 1 / 0, lambda: ctypes.string_at(0)][x % 4]()
        return hp["x"]

    driver = drive_local(f, n_slots=4)
    free, todo, ends = {0, 1, 2, 3}, list(range(48)), {}
    while len(ends) < 48:
        while free and todo:
            driver.submit(todo.pop(0), free.pop())
        for event in driver.executor.poll(5.0):
            if event.kind != "started":
                assert event.number not in ends
                ends[event.number] = event
                free.add(event.slot)
    crashed = {n for n, event in ends.items() if event.outcome.state is TrialState.CRASHED}
    failed = {n for n, event in ends.items() if event.outcome.state is TrialState.FAILED}
    assert failed == {n for n in range(0, 48, 3) if n % 4 == 2}
    assert crashed == set(range(0, 48, 3)) - failed
    assert all(ends[n].outcome.perf == n for n in range(48) if n % 3)


def test_crashes_leave_nothing_behind(drive_local, tmp_path):
    """After 20 crashes and a close: no descriptor, child, grandchild, thread or temporary file more than before."""

    def count():
        gc.collect()
        return len(list(Path("/proc/self/fd").iterdir())), children(), threading.active_count()

    def f(hp):
        import os
        import subprocess

        with open(path, "a") as file:
            file.write(f"{subprocess.Popen(['sleep', '600']).pid}\n")
        os._exit(1)

    path = str(tmp_path / "pids")
    before = count()  # what other tests have left in this process may end meanwhile, so less is as well
    driver = drive_local(f, n_slots=2, trial_time_limit=60, memory_limit=10**10)
    private = driver.executor._slots[0]._launch.objective.parent
    assert private.stat().st_mode & 0o777 == 0o700
    for number in range(20):
        driver.run(number, number % 2)
    driver.executor.close()
    assert all(now <= then for now, then in zip(count(), before, strict=True)), (count(), before)
    pids = [int(pid) for pid in Path(path).read_text().split()]
    assert len(pids) == 20
    assert wait_until(lambda: not any(map(is_running, pids)))
    assert not private.exists()
