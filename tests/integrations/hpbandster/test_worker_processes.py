"""Workers in processes of their own: who finds whom, who ends when, and what a death costs."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import pytest

from autohpo import RangeHP
from autohpo.errors import OptionError, PathError
from autohpo.integrations import hpbandster as hb
from autohpo.integrations.hpbandster.core.runs import Job
from autohpo.integrations.hpbandster.mailboxes import boxes_in
from autohpo.integrations.hpbandster.rendezvous import (
    Held,
    Hub,
    NoRunError,
    NoWorkersError,
    folder_of,
    has_hub,
    is_held,
)

SPACE = [RangeHP("x", 0.0, 1.0)]

WORKER = """
    import os, sys, time
    from autohpo.integrations.hpbandster import Worker

    class Slow(Worker):
        patience = 20.0
        def compute(self, config_id, config, budget, working_directory):
            time.sleep(float(sys.argv[1]))
            if config["x"] > 0.7:
                raise ValueError("too large")
            return {"loss": config["x"], "info": {"pid": os.getpid(), "id": config_id, "at": working_directory}}

    Slow(run_id="processes", id=sys.argv[2], timeout=None if len(sys.argv) < 4 else float(sys.argv[3])).run()
"""


@pytest.fixture
def start(tmp_path, monkeypatch):
    """A function that starts a worker in a process of its own; folders are in a private place."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    (tmp_path / "worker.py").write_text(textwrap.dedent(WORKER))
    running = []

    def started(*arguments):
        command = [sys.executable, "-W", "error", str(tmp_path / "worker.py"), *map(str, arguments)]
        running.append(subprocess.Popen(command, stderr=subprocess.PIPE, text=True))
        return running[-1]

    yield started
    for process in running:
        process.kill()
        process.communicate()


def bohb(**kwargs):
    """An optimizer of the run of these workers."""
    settings = {"min_budget": 1, "max_budget": 9, "seed": 0, "worker_timeout": 20, **kwargs}
    return hb.BOHB(SPACE, run_id="processes", **settings)


def wait_for_worker():
    """Returns once a worker is there."""
    until = time.monotonic() + 20
    while not boxes_in(folder_of("processes")) and time.monotonic() < until:
        time.sleep(0.02)


def ended(process):
    """The return code and what went to stderr."""
    _, err = process.communicate(timeout=30)
    return process.returncode, err


def test_workers_of_other_processes_do_the_work(start, tmp_path):
    """Both, with ids, infos, folder and crashes, as a background worker would; then they end, and nothing is left."""
    workers = [start(0.03, "a"), start(0.03, "b")]
    jobs: list[Job] = []
    optimizer = bohb(working_directory=str(tmp_path / "work"), result_logger=jobs.append)
    result = optimizer.run(n_iterations=3, min_n_workers=2)
    optimizer.shutdown(shutdown_workers=True)
    assert [ended(worker) for worker in workers] == [(0, ""), (0, "")]
    done = [run for run in result.get_all_runs() if run.loss is not None]
    assert {run.info["pid"] for run in done} == {worker.pid for worker in workers}
    assert all(run.info["id"] == list(run.config_id) for run in done)
    assert {run.info["at"] for run in done} == {str(tmp_path / "work")}
    crashed = [run for run in result.get_all_runs() if run.loss is None]
    assert crashed
    assert all("ValueError: too large" in run.error_logs for run in crashed)
    assert {job.worker_name.rsplit(".", 1)[1] for job in jobs} == {"a", "b"}
    assert len(jobs) == len(result.get_all_runs()) == 20  # 9-3-1, 3-1 and 3
    assert not list(tmp_path.glob("hpbandster-of-autohpo-*"))


def test_a_background_worker_and_others_work_side_by_side(start):
    """It has a process of its own then."""

    class Here(hb.Worker):
        def compute(self, config, **_):
            time.sleep(0.03)
            return {"loss": config["x"], "info": {"pid": os.getpid()}}

    other = start(0.03, "a")
    Here(run_id="processes").run(background=True)
    optimizer = bohb()
    result = optimizer.run(n_iterations=3, min_n_workers=2)
    optimizer.shutdown(shutdown_workers=True)
    assert ended(other) == (0, "")
    pids = {run.info["pid"] for run in result.get_all_runs() if run.loss is not None}
    assert len(pids) == 2
    assert other.pid in pids
    assert os.getpid() not in pids


def test_a_killed_worker_costs_no_evaluation(start):
    """Another one repeats what it was at, also one that has just come."""
    first = start(0.2, "a")
    optimizer = bohb()
    watcher = threading.Timer(0.7, lambda: (first.kill(), start(0, "b")))

    def began(job):
        if not watcher.is_alive() and not watcher.finished.is_set():
            watcher.start()

    optimizer.result_logger = began
    result = optimizer.run(n_iterations=2)
    watcher.join()
    optimizer.shutdown(shutdown_workers=True)
    assert first.wait(timeout=10) == -signal.SIGKILL
    assert len(result.get_all_runs()) == 17
    assert all(run.loss is not None or "too large" in run.error_logs for run in result.get_all_runs())
    assert len({run.info["pid"] for run in result.get_all_runs() if run.loss is not None}) == 2


def test_a_search_whose_workers_have_all_gone_ends_with_an_error(start):
    """After its patience, and not never."""
    worker = start(0.05, "a")
    wait_for_worker()
    optimizer = bohb(worker_timeout=0.5, result_logger=lambda job: worker.kill())
    with pytest.raises(NoWorkersError, match="run_id: no worker has been there for 0.5 s"):
        optimizer.run(n_iterations=1)
    optimizer.shutdown(shutdown_workers=True)


def test_a_worker_outlives_a_search_but_not_its_run(start):
    """It serves the next search of the run, and ends by itself when the name server goes."""
    worker = start(0, "a")
    server = hb.NameServer(run_id="processes")
    server.start()
    for _ in range(2):
        optimizer = bohb()
        assert len(optimizer.run().get_all_runs()) == 13
        optimizer.shutdown()
    time.sleep(1.5)  # longer than a worker waits where there is neither a server nor an optimizer
    assert worker.poll() is None
    server.shutdown()
    assert ended(worker) == (0, "")


def test_an_idle_worker_ends_after_its_timeout(start):
    """As it was told when it was made."""
    server = hb.NameServer(run_id="processes")
    server.start()
    worker = start(0, "a", 0.3)
    assert ended(worker) == (0, "")
    server.shutdown()


def test_a_worker_without_a_run_is_an_error(start):
    """After its patience; the error says what is missing."""

    class Alone(hb.Worker):
        patience = 0.3

    with pytest.raises(
        NoRunError, match="run_id: must be that of an optimizer or a name server .* within 0.3 s, got lost"
    ):
        Alone(run_id="lost").run(background=False)
    assert issubclass(NoRunError, OptionError)


def test_a_time_limit_does_not_wait_for_workers_of_other_processes(start):
    """What they are at is left; the worker serves the next search all the same."""
    worker = start(0.5, "a")
    wait_for_worker()
    optimizer = bohb(time_limit=0.7)
    first = optimizer.run(n_iterations=3)
    assert len(first.get_all_runs()) <= 1
    optimizer.shutdown()
    other = bohb(time_limit=2.5, seed=1)
    result = other.run(n_iterations=3)
    assert 1 <= len(result.get_all_runs()) <= 5
    for run in result.get_all_runs():  # what the worker was still at is not taken for a result of this search
        assert run.loss == result.data[run.config_id].config["x"] or "too large" in run.error_logs
    other.shutdown(shutdown_workers=True)
    assert ended(worker) == (0, "")


def test_two_optimizers_of_one_run_share_no_worker(start):
    """The first has it; the second finds none that is free, and ends after its patience."""
    start(0.02, "a")
    wait_for_worker()
    first, second, errors = bohb(), bohb(worker_timeout=0.5), []

    def late():
        try:
            second.run()
        except NoWorkersError as error:
            errors.append(error)

    other = threading.Thread(target=late)

    def began(job):  # the first one has the worker now, and keeps it until the other one has ended
        if other.ident is None:
            other.start()
            other.join()

    first.result_logger = began
    first.run()
    first.shutdown(shutdown_workers=True)
    second.shutdown()
    assert len(errors) == 1


def test_locks_tell_who_lives(tmp_path, monkeypatch):
    """A hub is there until it is closed, and what a killed process left is no hub."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    hubs = [Hub("x"), Hub("x")]
    folder = folder_of("x")
    assert has_hub(folder)
    hubs[0].close()
    assert has_hub(folder)
    (folder / "hub-left").touch()
    hubs[1].close()
    assert not has_hub(folder_of("x"))
    assert not is_held(folder / "nothing")


def test_a_lock_that_a_dead_worker_left_to_its_child_does_not_count(tmp_path, monkeypatch):
    """What it forked may hold it for long; then the worker would never be missed."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    folder = folder_of("x")
    locks = []
    for pid in (dead.pid, os.getpid()):
        box = folder / f"worker-{pid}-0"
        box.mkdir()
        locks.append(Held(box / "lock"))
    assert boxes_in(folder) == [folder / f"worker-{os.getpid()}-0"]
    for lock in locks:
        lock.close()


def test_a_folder_of_somebody_else_is_not_used(tmp_path, monkeypatch):
    """Others must not be able to look into it."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    root = folder_of("x").parent
    root.chmod(0o755)
    with pytest.raises(PathError, match="must be a folder of this user alone"):
        folder_of("x")
    monkeypatch.setattr("tempfile.tempdir", str(Path(tmp_path, "missing")))
    with pytest.raises(PathError, match="must be a folder that can be made"):
        folder_of("x")


OPTIMIZER = """
    import sys
    from pathlib import Path
    from autohpo import RangeHP
    from autohpo.integrations.hpbandster import BOHB

    folder = Path(sys.argv[1])

    def note(job):
        with (folder / "jobs").open("a") as file:
            file.write(f"{job.id} {job.kwargs['budget']}\\n")

    bohb = BOHB(
        [RangeHP("x", 0.0, 1.0)], min_budget=1, max_budget=9, run_id="processes", seed=0,
        store=str(folder / "run.db"), result_logger=note,
    )
    result = bohb.run(n_iterations=2)
    bohb.shutdown(shutdown_workers=True)
    print(len(result.get_all_runs()), len({run.info["pid"] for run in result.get_all_runs() if run.info}))
"""


def test_a_killed_optimizer_goes_on_where_it_was(start, tmp_path):
    """The same command has all runs in the end, with their infos; the workers of the killed one end by themselves."""
    (tmp_path / "optimizer.py").write_text(textwrap.dedent(OPTIMIZER))
    command = [sys.executable, "-W", "error", str(tmp_path / "optimizer.py"), str(tmp_path)]
    worker = start(0.1, "a")
    killed = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    until, jobs = time.monotonic() + 60, tmp_path / "jobs"
    while not jobs.exists() and time.monotonic() < until:
        time.sleep(0.02)
    time.sleep(0.3)
    killed.kill()
    killed.wait()
    n = len(jobs.read_text().splitlines())
    assert 1 <= n < 17
    assert ended(worker) == (0, "")
    jobs.unlink()
    start(0, "b")
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["17", "2"]
    assert len(set(jobs.read_text().splitlines())) == len(jobs.read_text().splitlines()) == 17  # earlier ones again
