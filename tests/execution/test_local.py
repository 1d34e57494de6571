"""The local executor under faults: crashes, floods, frozen and lost workers; and what a worker finds around it."""

from __future__ import annotations

import gc
import os
import signal
import threading
import time
from pathlib import Path

import pytest

from autohpo.errors import OptionError
from autohpo.execution.local import LocalExecutor
from autohpo.objective import Objective
from autohpo.trial import TrialState


def pid_of(driver, slot=0):
    """The process of a slot."""
    return driver.executor._slots[slot].process.pid


def children():
    """Pids of this process's children, zombies included."""
    return {
        int(pid) for thread in Path("/proc/self/task").iterdir() for pid in (thread / "children").read_text().split()
    }


def is_running(pid):
    """Whether a process is there and no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def wait_until(condition, seconds=5.0):
    """Whether a condition comes true in time."""
    until = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > until:
            return False
        time.sleep(0.01)
    return True


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
    before = count()
    driver = drive_local(f, n_slots=2, trial_time_limit=60, memory_limit=10**10)
    private = driver.executor._slots[0]._launch.objective.parent
    assert private.stat().st_mode & 0o777 == 0o700
    for number in range(20):
        driver.run(number, number % 2)
    driver.executor.close()
    assert count() == before
    pids = [int(pid) for pid in Path(path).read_text().split()]
    assert len(pids) == 20
    assert wait_until(lambda: not any(map(is_running, pids)))
    assert not private.exists()


def test_floods_of_output_and_stray_frames_do_no_harm(drive_local):
    """30 MB on both streams, raw bytes on descriptor 1 and a closed stdout: the results come, the log is cut."""

    def f(hp):
        import os
        import sys

        if hp["x"] == 0:
            os.write(1, b"\x00\x00\x00\x01" * 1000)
            os.system("echo from a child")
            for _ in range(300):
                print("o" * 50_000)
                print("e" * 50_000, file=sys.stderr)
            sys.stdout.close()
        return hp["x"]

    driver = drive_local(f)
    assert driver.run(0).outcome.perf == 0.0
    log = driver.executor._slots[0].process.log
    assert log.stat().st_size > 1e6
    assert driver.run(1).outcome.perf == 1.0
    assert log.stat().st_size == 0


def test_the_log_of_a_trial_that_prints_for_ever_is_cut_while_it_runs(drive_local):
    """50 MB in a second leave less than 17 MB, and the log's tail is still the last output."""

    def f(hp):
        import os
        import time

        for _ in range(50):
            os.write(1, b"x" * 1_000_000)
            time.sleep(0.02)
        time.sleep(0.3)
        print("the end")
        os._exit(1)

    driver = drive_local(f)
    assert driver.run(0).outcome.error.endswith("the end")
    assert driver.executor._slots[0]._launch.log(0).stat().st_size < 17e6


def test_standard_input_is_empty(drive_local):
    """An objective that asks for input gets the end of it at once."""

    def f(hp):
        import sys

        return float(len(sys.stdin.read()))

    assert drive_local(f).run(0).outcome.perf == 0.0


def test_the_log_can_be_kept(drive_local, tmp_path):
    """With a log folder, what the slots print is there after close."""
    driver = drive_local(lambda hp: print("hello from", hp["x"]) or 1.0, log_folder=tmp_path / "logs", n_slots=2)
    driver.run(0, 1)
    driver.executor.close()
    assert (tmp_path / "logs" / "slot-1.log").read_text() == "hello from 0.0\n"


def test_a_frozen_worker_does_not_block_the_driver(drive_local):
    """To a stopped process 10 MB are submitted without a wait; the trial ends at its limit, the other slot works."""
    driver = drive_local(lambda hp: float(len(hp["x"])), n_slots=2, trial_time_limit=1.5)
    driver.run(0, 0, hp={"x": "abc"})
    frozen = pid_of(driver)
    os.kill(frozen, signal.SIGSTOP)
    driver.submit(1, 0, hp={"x": "y" * 10_000_000})
    driver.executor.stop(1)
    assert driver.run(2, 1, hp={"x": "y" * 5_000_000}).outcome.perf == 5e6  # more than a pipe holds
    assert driver.kinds(1) == []
    assert driver.end_of(1).outcome.state is TrialState.TIMEOUT
    assert not is_running(frozen)


def test_the_driver_need_not_poll_for_a_limit_to_hold(drive_local, tmp_path):
    """While the driver is busy, a hung trial is ended all the same."""
    driver = drive_local(lambda hp: __import__("time").sleep(60), trial_time_limit=0.3)
    driver.submit(0)
    while not driver.kinds(0):
        driver.events += driver.executor.poll(0.1)
    pid = pid_of(driver)
    assert wait_until(lambda: not is_running(pid), 0.3 + 0.5)
    assert driver.end_of(0).outcome.state is TrialState.TIMEOUT


def test_a_result_that_came_in_time_is_not_lost_while_the_driver_is_busy(drive_local):
    """A trial that ended before its limit is done, however late the driver polls; the next one is well, too."""
    driver = drive_local(lambda hp: hp["x"], trial_time_limit=0.3)
    driver.run(0)
    driver.submit(1)
    time.sleep(0.6)
    assert driver.end_of(1).outcome.perf == 1.0
    assert driver.run(2).outcome.perf == 2.0


def test_children_of_the_objective_inherit_no_pipe(drive_local, tmp_path):
    """A program that the objective starts, even with all descriptors open, has none of the worker's frames."""

    def f(hp):
        import subprocess

        with open(path, "w") as file:
            subprocess.run(["ls", "-l", "/proc/self/fd"], stdout=file, close_fds=False, check=True)
        return 1.0

    path = str(tmp_path / "descriptors")
    assert drive_local(f).run(0).kind == "done"
    assert "/dev/null" in Path(path).read_text()
    assert "pipe:" not in Path(path).read_text()


def test_a_forked_child_of_the_objective_is_no_worker(drive_local):
    """A child that comes back into the worker's code ends there; one that keeps the pipe open hides no death."""

    def f(hp):
        import os
        import time

        if os.fork() == 0:
            if hp["x"] == 1:
                os.setsid()
                time.sleep(2)
            return -1.0
        time.sleep(0.1)
        if hp["x"] == 1:
            os._exit(1)
        return 1.0

    driver = drive_local(f)
    assert driver.run(0).outcome.perf == 1.0
    start = time.monotonic()
    end = driver.run(1)
    assert end.outcome.state is TrialState.CRASHED
    assert time.monotonic() - start < 1.0
    assert driver.kinds(0) == ["started", "done"]


def test_late_reports_of_a_thread_belong_to_no_trial(drive_local):
    """A thread that reports after its trial ended changes nothing in the next one."""

    def f(hp, trial):
        import threading
        import time

        if hp["x"] == 0:
            go_on = lambda: [(time.sleep(0.01), trial.report(-1.0)) for _ in range(20)]
            threading.Thread(target=go_on).start()
        else:
            time.sleep(0.3)
        return hp["x"]

    driver = drive_local(f)
    driver.run(0)
    driver.run(1)
    assert all(report.number == 0 for report in driver.reports)
    assert driver.kinds(1) == ["started", "done"]


def test_many_reports_from_several_threads_arrive_whole(drive_local):
    """4 threads x 2,000 reports are all there, and a long error in the midst of them is not torn."""

    def f(hp, trial):
        import threading
        import time

        threads = [threading.Thread(target=lambda: [trial.report(1.0) for _ in range(2000)]) for _ in range(4)]
        [thread.start() for thread in threads]
        if hp["x"] == 1:
            time.sleep(0.2)
            raise ValueError("\u6f22" * 40_000)  # in JSON longer than the pipe holds
        [thread.join() for thread in threads]
        return 1.0

    driver = drive_local(f, lambda event: time.sleep(0.0001) is None)  # so slow that the pipe is full
    assert driver.run(0).outcome.perf == 1.0
    assert len(driver.reports) == 8000
    assert driver.run(1).outcome.state is TrialState.FAILED


def test_what_on_report_raises_loses_no_event(drive_local):
    """Where report and end come together and on_report raises, the next poll has the end."""

    def f(hp, trial):
        trial.report(1.0)
        return 2.0

    def on_report(event):
        raise LookupError("the store is gone")

    driver = drive_local(f, on_report)
    driver.submit(0)
    until = time.monotonic() + 5
    while "done" not in driver.kinds(0) and time.monotonic() < until:
        time.sleep(0.3)  # so that both have come
        try:
            driver.events += driver.executor.poll(0.1)
        except LookupError:
            continue
    assert driver.kinds(0) == ["started", "done"]


def test_a_worker_knows_its_slot_and_its_share_of_the_cores(drive_local, monkeypatch):
    """AUTOHPO_SLOT is the number; the thread counts are the share; a Ctrl-C to a worker does nothing."""

    def f(hp):
        import logging
        import os
        import pathlib
        import signal

        os.kill(os.getpid(), signal.SIGINT)
        names = ("AUTOHPO_SLOT", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
        level = logging.getLogger("autohpo").level
        raise ValueError(
            " ".join([os.environ.get(name, "-") for name in names] + [str(level), str(pathlib.Path.cwd())])
        )

    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(8)))
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        monkeypatch.delenv(name, raising=False)
    error = drive_local(f, n_slots=3).run(0, 2).outcome.error
    assert f"2 2 2 2 0 {Path.cwd()}" in error
    monkeypatch.setenv("MKL_NUM_THREADS", "5")
    assert "0 2 5 2" in drive_local(f, n_slots=3).run(0, 0).outcome.error
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    assert "0 7 5 -" in drive_local(f, n_slots=3).run(0, 0).outcome.error


def test_workers_raise_their_oom_score(drive_local):
    """The system's out-of-memory killer prefers a worker to its driver."""

    def f(hp):
        return float(open("/proc/self/oom_score_adj").read())

    own = int(Path("/proc/self/oom_score_adj").read_text())
    assert drive_local(f).run(0).outcome.perf == min(1000, own + 500)


def test_close_ends_a_worker_that_ignores_everything(drive_local):
    """A busy trial that ignores signals, and its child, are gone after a close of under a second."""

    def f(hp, trial):
        import signal
        import subprocess
        import time

        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        trial.report(subprocess.Popen(["sleep", "600"]).pid)
        while True:
            time.sleep(1)

    driver = drive_local(f)
    driver.submit(0)
    while not driver.reports:
        driver.events += driver.executor.poll(0.1)
    pids = [pid_of(driver), int(driver.reports[0].perf)]
    start = time.monotonic()
    driver.executor.close()
    assert time.monotonic() - start < 1.0
    assert wait_until(lambda: not any(map(is_running, pids)), 1.0)


def test_close_does_not_wait_for_a_worker_that_will_not_exit(drive_local):
    """An idle worker whose trial left a thread behind is given a second, and then ended."""

    def f(hp):
        import threading
        import time

        threading.Thread(target=time.sleep, args=(60,)).start()
        return 1.0

    driver = drive_local(f)
    driver.run(0)
    pid = pid_of(driver)
    start = time.monotonic()
    driver.executor.close()
    assert 0.9 < time.monotonic() - start < 2.0
    assert not is_running(pid)


def test_an_executor_that_is_forgotten_ends_its_workers():
    """Without close, garbage collection does it."""
    executor = LocalExecutor()
    executor.open(Objective.of(lambda hp: 1.0), lambda event: True)
    pid = executor._slots[0].process.pid
    assert is_running(pid)
    del executor
    gc.collect()
    assert not is_running(pid)


def test_a_forked_copy_of_the_driver_ends_nothing(drive_local):
    """When a process that the driver forked exits, the driver's workers live on."""
    driver = drive_local(lambda hp: hp["x"])
    driver.run(0)
    pid = os.fork()
    if pid == 0:
        try:
            driver.executor.close()
        finally:
            os._exit(0)
    os.waitpid(pid, 0)
    before = pid_of(driver)
    assert driver.run(1).outcome.perf == 1.0
    assert pid_of(driver) == before


def test_a_paused_training_can_be_lost_and_is_started_again(drive_local, tmp_path):
    """After a crash the slot holds none of its chains, and the next rung trains from the first epoch on."""

    def f(hp):
        import os

        for epoch in range(1, 100):
            with open(hp["path"], "a") as file:
                file.write(f"{hp['x']:g}:{epoch} ")
            yield epoch
            if hp["x"] == 1:
                os._exit(1)

    driver = drive_local(f)
    path = str(tmp_path / "epochs")
    driver.run(0, hp={"x": 0.0, "path": path}, fidelity=2.0)
    assert driver.executor.holds(0, 0)
    assert driver.run(1, hp={"x": 1.0, "path": path}, fidelity=2.0).kind == "died"
    assert not driver.executor.holds(0, 0)
    assert driver.run(2, hp={"x": 0.0, "path": path}, root=0, fidelity=3.0).outcome.perf == 3
    assert Path(path).read_text().split() == ["0:1", "0:2", "1:1", "0:1", "0:2", "0:3"]
