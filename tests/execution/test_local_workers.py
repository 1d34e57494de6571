"""The local executor besides crashes: output, pipes, threads, stubborn workers, and what a worker finds around it."""

from __future__ import annotations

import gc
import os
import shutil
import signal
import time
from pathlib import Path

import pytest
from processes import is_running, pid_of, wait_until

from autohpo.errors import AutoHPOError, OptionError
from autohpo.execution.local import LocalExecutor
from autohpo.execution.serial import SerialExecutor
from autohpo.execution.threads import THREADS, thread_variables
from autohpo.objective import Objective
from autohpo.trial import Task, TrialState


def test_floods_of_output_and_stray_frames_do_no_harm(drive_local):
    """10 MB on both streams, raw bytes on descriptor 1 and a closed stdout: the results come, the log is cut."""

    def f(hp):
        import os
        import sys

        if hp["x"] == 0:
            os.write(1, b"\x00\x00\x00\x01" * 1000)
            os.system("echo from a child")
            for _ in range(100):
                print("o" * 50_000)
                print("e" * 50_000, file=sys.stderr)
            sys.stdout.close()
        return hp["x"]

    driver = drive_local(f)
    assert driver.run(0).outcome.perf == 0.0
    log = driver.executor._slots[0].process.log
    assert log.size > 1e6
    assert driver.run(1).outcome.perf == 1.0
    assert 1e6 < log.size < 1.1e6  # the tail stays


def test_the_log_of_a_trial_that_prints_for_ever_keeps_its_head_and_its_tail(drive_local, tmp_path):
    """Of 50 MB in a second the first and the last megabyte stay, and the note between them counts what does not."""

    def f(hp):
        import os
        import time

        print("the beginning")
        for _ in range(50):
            os.write(1, b"x" * 1_000_000)
            time.sleep(0.02)
        time.sleep(0.3)
        print("the end")
        os._exit(1)

    driver = drive_local(f, log_folder=tmp_path)
    assert driver.run(0).outcome.error.endswith("the end")
    text = (tmp_path / "slot-0.log").read_bytes()
    assert len(text) < 18e6
    assert text.startswith(b"the beginning\n" + b"x" * 1_000_000)
    assert text.endswith(b"xthe end\n")
    n_left_out = int(text.split(b" bytes left out")[0].rsplit(b" ", 1)[1])
    note = f"\n... {n_left_out} bytes left out ...\n".encode()
    assert text.count(b"left out") == 1
    assert len(text) - len(note) + n_left_out == pytest.approx(50_000_000 + 22, abs=3e6)  # what came while it was cut


def test_no_room_for_output_fails_no_trial(drive_local, tmp_path):
    """A full disk, here a limit of 100 kB, takes what a trial prints, and nothing else; what came before stays."""

    def f(hp):
        import os
        import resource
        import sys

        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, resource.RLIM_INFINITY))
        for _ in range(100):
            print("o" * 5000)
            print("e" * 5000, end="", file=sys.stderr)
        sys.stdout.flush()
        sys.stderr.flush()
        return float(os.fstat(1).st_size)

    assert drive_local(f, log_folder=tmp_path).run(0).outcome.perf == 100_000.0
    assert (tmp_path / "slot-0.log").read_bytes().startswith(b"o" * 5000)


def test_a_link_in_place_of_a_log_is_not_followed(drive_local, tmp_path):
    """A run folder from elsewhere may hold one: what it points to is neither emptied nor written to."""
    victim = tmp_path / "precious"
    victim.write_bytes(b"x" * 20_000_000)
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "slot-0.log").symlink_to(victim)
    with pytest.raises(AutoHPOError, match=r"log: .*slot-0\.log must be a regular file"):
        drive_local(lambda hp: print("hello") or 1.0, log_folder=tmp_path / "logs")
    assert victim.stat().st_size == 20_000_000


def test_a_log_folder_that_is_removed_ends_no_search(drive_local, tmp_path):
    """The next worker makes it again; where it cannot, the log goes into the driver's own folder."""
    logs = tmp_path / "logs"
    driver = drive_local(lambda hp: print("hello") or (os._exit(1) if hp["x"] == 0 else 1.0), log_folder=logs)
    driver.run(1)
    shutil.rmtree(logs)
    assert driver.run(0).outcome.error.endswith("its last output:\nhello")
    assert driver.run(2).kind == "done"
    assert (logs / "slot-0.log").read_text() == "hello\n"
    shutil.rmtree(logs)
    logs.write_text("a file, where the folder was")
    driver.run(4, hp={"x": 0})
    assert driver.run(3).kind == "done"


def test_a_traceback_of_a_worker_shows_file_and_line(drive_local):
    """A function that travels with its code keeps the name of its file, one inside another function, too."""

    def f(hp):
        def inner():
            return hp["x"] / 0  # the culprit

        return inner()

    error = drive_local(f).run(0).outcome.error
    assert error.count(f'File "{__file__}"') == 2
    assert "# the culprit" in error


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
    for name in THREADS:
        monkeypatch.delenv(name, raising=False)
    error = drive_local(f, n_slots=3).run(0, 2).outcome.error
    assert f"2 2 2 2 0 {Path.cwd()}" in error
    monkeypatch.setenv("MKL_NUM_THREADS", "5")
    assert "0 2 5 2" in drive_local(f, n_slots=3).run(0, 0).outcome.error
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    assert "0 7 5 -" in drive_local(f, n_slots=3).run(0, 0).outcome.error


def test_a_worker_gets_the_threads_that_are_said(drive_local, monkeypatch):
    """Each library's variable has that number, also where the environment has another one, as dask's workers do."""

    def f(hp):
        import os

        names = ("OMP", "MKL", "OPENBLAS", "BLIS", "NUMEXPR")
        raise ValueError(" ".join(os.environ.get(f"{name}_NUM_THREADS", "-") for name in names))

    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.delenv("NUMEXPR_NUM_THREADS", raising=False)
    assert "3 3 3 3 3" in drive_local(f, n_threads=3).run(0).outcome.error
    for wrong in (0, -1, 1.5, True, "2"):
        with pytest.raises(OptionError, match="n_threads: must be an integer of at least 1, or None, got"):
            LocalExecutor(n_threads=wrong)


def test_the_share_of_the_cores_is_at_least_one_thread(monkeypatch):
    """More workers than cores get one each; what the environment says stays, and OpenMP's stands for all."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(4)))
    assert set(thread_variables({}, 9).values()) == {"1"}
    assert thread_variables({"NUMEXPR_NUM_THREADS": "7"}, 2) == dict.fromkeys(
        set(THREADS) - {"NUMEXPR_NUM_THREADS"}, "2"
    )
    assert thread_variables({"OMP_NUM_THREADS": "1"}, 2) == {}


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


def big():
    """An objective with many or long metrics, or a long error; nested, so that it goes by value."""

    def f(hp, trial):
        if hp["report"]:
            trial.report(1.0, metrics={str(i): float(i) for i in range(hp["n"])})
            trial.report(1.0, metrics={"x" * hp["report"]: 1.0})
        if hp["error"]:
            raise ValueError("x" * 80_000_000)
        return {"perf": 1.0, **{f"{i}{'é' * hp['length']}": float(i) for i in range(hp["n"])}}

    return f


@pytest.mark.parametrize("make", [SerialExecutor, LocalExecutor])
def test_a_big_result_ends_alike_in_every_executor(make):
    """Some megabytes arrive whole; above the limit the trial is INVALID, and the error names size and limit."""
    executor = make()
    executor.open(Objective.of(big(), mode={"perf": "max"}), lambda event: True)
    try:

        def run(number, **hp):
            executor.submit(0, Task(number, 1, {"n": 1, "length": 0, "error": False, "report": 0, **hp}, root=number))
            events = []
            while not events or events[-1].outcome is None:
                events += executor.poll(5.0)
            return events[-1]

        end = run(0, n=100_000, length=3)
        assert (end.kind, len(end.outcome.metrics)) == ("done", 100_000)
        assert end.outcome.metrics["99999ééé"] == 99999.0
        end = run(1, n=10, length=1_500_000)
        assert (end.kind, end.outcome.state) == ("failed", TrialState.INVALID)
        assert "the result has 90.0 MB in the log, and may have 67.1 MB" in end.outcome.error
        end = run(2, error=True)
        assert end.outcome.state is TrialState.FAILED
        assert len(end.outcome.error) < 20_000
        end = run(3, n=50_000, report=80_000_000)
        assert end.outcome.state is TrialState.INVALID
        assert "80.0 MB in the log" in end.outcome.error
        assert run(4).kind == "done"
    finally:
        executor.close()
