"""The example of the controller: the flow of the user's page on a real training that is a command line."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from autohpo import Result
from autohpo.control import driver_of, request_stop, wait_until_free
from autohpo.service import kill_driver
from autohpo.trial import TrialState

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "controller.py"


def command(*more):
    """The command line of the example."""
    return [sys.executable, str(EXAMPLE), "--store", "run.db", *more]


def environment():
    """The environment that it runs in."""
    return {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}


def run(folder, *more):
    """Standard output of the example, which must succeed."""
    done = subprocess.run(command(*more), cwd=folder, env=environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def wait_for(condition):
    """Wait until something is so; a minute at most."""
    until = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.02)


@pytest.fixture(autouse=True)
def _no_service_is_left(tmp_path):
    """Whatever a test leaves behind is stopped."""
    yield
    if (tmp_path / "run.db").exists():
        holder = request_stop(tmp_path / "run.db")
        if holder is not None and not wait_until_free(tmp_path / "run.db", holder, 20):
            kill_driver(tmp_path / "run.db", holder)


def iterations(result):
    """The epochs that were trained, where nothing was trained twice."""
    reached = {}
    for trial in result:
        root = trial
        while root.resume is not None:
            root = result.trials[root.resume]
        if trial.perf is not None:
            reached[root.number] = max(reached.get(root.number, 0), trial.fidelity)
    return sum(reached.values())


def test_the_example_survives_kill_9_and_the_same_command_goes_on(tmp_path):
    """Killed in the middle of its jobs; together both processes stay within the budget, and train real models."""
    process = subprocess.Popen(command(), cwd=tmp_path, env=environment(), stdout=subprocess.PIPE, text=True)
    first = [process.stdout.readline() for _ in range(2)]
    time.sleep(0.05)
    process.kill()
    process.communicate(timeout=60)
    before = Result.load(tmp_path / "run.db")
    assert not all(trial.state.is_final for trial in before) or iterations(before) < 2 * 18 - 6  # it was not over
    lines = run(tmp_path)
    result = Result.load(tmp_path / "run.db")
    told = [line for line in [*first, *lines] if line.startswith("job ")]
    done = [trial for trial in result if trial.perf is not None]
    assert len({line.split(":")[0] for line in told}) == len(told)  # nobody was told twice of a job
    assert len(done) - 3 <= len(told) <= len(done)  # what was completed as the first one died was told of to nobody
    assert {trial.state for trial in result} <= {TrialState.COMPLETE, TrialState.CANCELLED}
    assert iterations(result) <= 2 * 18
    best = [line for line in lines if not line.startswith("job ")]
    assert 1 <= len(best) <= 3
    assert float(best[0].rsplit(" ", 1)[1]) == result.best.perf > 0.85  # chance is .1
    again = run(tmp_path)
    assert again == best  # nothing was left to do


def test_the_example_as_a_service_outlives_the_program_that_started_it(tmp_path):
    """The program is killed, the search goes on; the same command follows it to its end."""
    pipe = subprocess.PIPE
    process = subprocess.Popen(command("--service"), cwd=tmp_path, env=environment(), stdout=pipe, stderr=pipe)
    wait_for(lambda: driver_of(tmp_path / "run.db") is not None)
    holder = driver_of(tmp_path / "run.db")
    assert holder.process != process.pid
    time.sleep(0.2)
    process.kill()
    process.communicate(timeout=60)
    assert driver_of(tmp_path / "run.db") == holder
    lines = run(tmp_path, "--service")
    result = Result.load(tmp_path / "run.db")
    assert float(lines[0].rsplit(" ", 1)[1]) == result.best.perf
    log = (tmp_path / "run.db.files" / "driver.log").read_text()
    done = [trial for trial in result if trial.perf is not None]
    assert log.count("job ") == len(done)  # the callback was called there, once for each
    assert log.splitlines()[-len(lines) :] == lines
    assert driver_of(tmp_path / "run.db") is None


SERVICE = """
import time
from autohpo import HyperParameterOptimizer, RangeHP
def f(hps, trial):
    for epoch in range(1, 10_000):
        if not trial.report(hps["x"], epoch):
            return
        time.sleep(.02)
c = HyperParameterOptimizer(f, [RangeHP("x", 0.0, 1.0)], "a", "b", "max", "random", store="run.db", seed=0,
                            num_concurrent_workers=2, run_as_service=True)
assert c.start()
"""


def script(folder, rest):
    """Standard output of a program with a service."""
    (folder / "search.py").write_text(SERVICE + rest)
    command = [sys.executable, "search.py"]
    done = subprocess.run(command, cwd=folder, env=environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_service_is_stopped_by_whoever_has_its_store(tmp_path):
    """The first program only starts it, and ends; the service does not end with its own copy of that program."""
    assert script(tmp_path, "") == ""
    assert driver_of(tmp_path / "run.db") is not None
    rest = """
while len(c.get_running_jobs()) < 2:
    time.sleep(.02)
print(c.is_running(), c.is_active(), c.wait(1e-3), c.get_num_active_experiments(), c.budget.to_dict()["jobs"]["used"])
c.stop()
c.stop()
print(c.is_running(), c.wait(), len(c.get_created_jobs_ids()))
"""
    assert script(tmp_path, rest).splitlines() == ["True True False 2 2", "False True 2"]
    assert driver_of(tmp_path / "run.db") is None
    assert {trial.state for trial in Result.load(tmp_path / "run.db")} == {TrialState.CANCELLED}


def test_a_service_that_was_killed_is_resumed_by_the_command_line(tmp_path):
    """It has written how it is started again: the program, which starts the service."""
    script(tmp_path, "")
    holder = driver_of(tmp_path / "run.db")
    wait_for(lambda: len(Result.load(tmp_path / "run.db")) == 2)
    assert kill_driver(tmp_path / "run.db", holder)
    assert script(tmp_path, "print(c.is_running())\n").strip() == "True"  # the same program does
    second = driver_of(tmp_path / "run.db")
    assert second.process != holder.process
    assert kill_driver(tmp_path / "run.db", second)
    command = [sys.executable, "-m", "autohpo", "resume", "run.db"]
    done = subprocess.run(command, cwd=tmp_path, env=environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    third = driver_of(tmp_path / "run.db")
    assert third is not None
    request_stop(tmp_path / "run.db")
    assert wait_until_free(tmp_path / "run.db", third, 60)
    assert len(Result.load(tmp_path / "run.db")) == 2


def test_a_service_needs_a_store_and_a_script():
    """Both are typed errors."""
    code = """
from autohpo import HyperParameterOptimizer, OptionError, RangeHP
for options in ({}, {"store": "run.db"}):
    try:
        c = HyperParameterOptimizer(lambda hps: 1.0, [RangeHP("x", 0.0, 1.0)], "a", "b", run_as_service=True, **options)
        c.start()
    except OptionError as error:
        print(error, c.is_running() if options else "")
"""
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd="/", env=environment(), capture_output=True, text=True, check=False)
    first, second = done.stdout.splitlines()
    assert first.startswith("run_as_service: needs store='run.db'")
    assert second.startswith("run_as_service: needs a script")
    assert second.endswith("False")
