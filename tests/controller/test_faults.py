"""Faults that random programs of a controller have found; each stays fixed."""

from __future__ import annotations

import logging
import subprocess
import sys
import threading
import time
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))

from shared import controller, ran, sleepy, squared

from autohpo import OptionError
from autohpo.controller import Job, SearchStrategy
from autohpo.errors import AlgorithmError

ROOT = Path(__file__).parents[2]


def test_a_wait_of_0_looks_once_and_a_stop_of_0_does_not_wait():
    """As programs poll."""
    made = controller(sleepy, queue="local", num_concurrent_workers=1)
    assert made.wait(0) is True  # it has not begun
    made.start()
    assert made.wait(0) is False
    made.stop(0)
    while not made.wait(0.0):
        time.sleep(0.01)
    assert not made.is_running()


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda c: c.wait(10**400), "timeout: must be at most 1e+08"),
        (lambda c: c.stop(1e300), "timeout: must be at most 1e+08"),
        (lambda c: c.wait(np.array([1.0, 2.0])), "timeout: must be a positive number"),
        (lambda c: c.wait(-1), "timeout: must be a positive number of minutes, or 0"),
        (lambda c: c.set_time_limit(1e300), "in_minutes: must be at most 1e+08"),
        (lambda c: c.set_time_limit(specific_time=datetime.max), "specific_time: must be at most"),  # noqa: DTZ901
        (lambda c: c.set_report_period(10**400), "report_period_minutes: must be at most"),
        (lambda c: controller(squared, max_iteration_per_job=10**400), "max_iteration_per_job: must be at most 1e+15"),
        (lambda c: controller(squared, total_max_jobs=10**400), "total_max_jobs: must be at most 1e+15"),
        (lambda c: controller(squared, queue=np.array([1, 2])), "execution_queue: must be"),
        (lambda c: controller(squared, run_as_service=np.array([1, 2])), "run_as_service: must be True or False"),
        (lambda c: controller(squared, name=3), "name: must be a string"),
        (lambda c: controller(squared, spawn_project=3), "spawn_project: must be a string"),
        (lambda c: controller(squared, progress=3), "progress: must be"),
    ],
)
def test_what_no_clock_and_no_float_holds_is_a_typed_error(call, text):
    """And so is what cannot be compared."""
    made = controller(squared)
    made.start()
    with pytest.raises(OptionError) as caught:
        call(made)
    assert str(caught.value).startswith(text)
    made.stop()


def test_the_longest_time_limit_has_a_date():
    """Which is told before and while the search runs."""
    made = controller(squared, total_max_jobs=1)
    made.set_time_limit(1e8)
    assert made.get_time_limit().year > 2200
    made.start()
    assert made.wait(1.0)


def test_a_strategy_that_stops_itself_at_its_start_ends_the_search():
    """Also where the thread that starts it is not back yet."""

    class Early(SearchStrategy):
        def start(self):
            self.stop()

        def create_job(self):
            return self.helper_create_job(parameter_override=self.sample())

    for _ in range(10):
        made = controller(squared, Early)
        made.start()
        assert made.wait(0.5)
        assert not made.get_top_experiments(1)


def test_a_stop_during_a_start_in_another_thread_is_not_lost(monkeypatch):
    """The stop comes after the search's thread has begun, and before start() has returned."""
    from autohpo.controller.drive import Drive

    begun, go_on = threading.Event(), threading.Event()
    start = Drive.start

    def slow(self):
        start(self)
        begun.set()
        assert go_on.wait(30)

    monkeypatch.setattr(Drive, "start", slow)
    made = controller(sleepy)
    starter = threading.Thread(target=made.start)
    starter.start()
    assert begun.wait(30)
    stopper = threading.Thread(target=made.stop)
    stopper.start()
    go_on.set()
    starter.join(30)
    stopper.join(30)
    assert not made.is_running()


def test_a_class_of_jobs_that_cannot_be_made_holds_up_neither_the_search_nor_the_callback():
    """Whoever asks for a job gets its error."""

    class Broken(Job):
        def __init__(self, *_, **__):
            raise KeyError("broken")

    made, told = controller(squared, total_max_jobs=3), []
    made.set_job_class(Broken)
    made.start(lambda *one: told.append(one))
    assert made.wait(1.0)
    assert len(told) == 3
    with pytest.raises(KeyError, match="broken"):
        made.get_top_experiments(1)


def test_a_callback_that_exits_is_called_for_the_other_jobs_too():
    """sys.exit() in its thread ends nothing."""
    told = []

    def leave(*one):
        told.append(one[0])
        sys.exit(3)

    made = controller(squared, total_max_jobs=4)
    made.start(leave)
    assert made.wait(1.0)
    assert len(told) == 4


def test_optimization_args_that_are_set_in_two_calls_are_both_set():
    """None leaves one as it is."""
    made = controller(squared, "bohb", max_iteration_per_job=9)
    made.set_optimization_args(eta=4)
    made.set_optimization_args(top_n_percent=30)
    assert made.get_optimizer().eta == 4
    assert made.get_optimizer().top_n_percent == 30


def test_a_report_period_that_is_changed_while_it_runs_acts_at_once(caplog):
    """And not when the period before it is over, of five minutes here."""
    made = controller(sleepy)
    with caplog.at_level(logging.INFO, "autohpo"):
        made.start()
        made.set_report_period(0.01 / 60)
        until = time.monotonic() + 30
        while "controller: jobs:" not in caplog.text and time.monotonic() < until:
            time.sleep(0.02)
        made.stop()
    assert "controller: jobs:" in caplog.text


def test_a_strategy_that_returns_a_job_again_is_told_so():
    """One job is one trial."""

    class Same(SearchStrategy):
        job = None

        def create_job(self):
            self.job = self.job or self.helper_create_job(parameter_override=self.sample())
            return self.job

    made = controller(squared, Same, total_max_jobs=3)
    made.start()
    with pytest.raises(OptionError, match=r"^Same\.create_job: must return a new job each time"):
        made.wait(1.0)


def test_a_hook_that_raises_is_named():
    """With the user's own class."""

    class Wrong(SearchStrategy):
        def create_job(self):
            return {}["nothing"]

    made = controller(squared, Wrong, total_max_jobs=3)
    made.start()
    with pytest.raises(AlgorithmError, match=r"^Wrong\.process_step: raised KeyError: 'nothing'"):
        made.wait(1.0)


HANGS = """
import sys, time
from autohpo import HyperParameterOptimizer, RangeHP

def hang(hps):
    print("begun", flush=True)
    open("begun", "w").close()
    time.sleep(1000)

if __name__ == "__main__":
    made = HyperParameterOptimizer(
        hang, [RangeHP("x", 0.0, 1.0)], "loss", "total", total_max_jobs=1, max_iteration_per_job=3, store="run.db",
        max_number_of_concurrent_tasks=1,
    )
    made.start()
    made.wait()
"""


def test_iterations_that_killed_programs_used_up_are_told_where_there_is_no_result(tmp_path):
    """It does not pass for a search that came to its end."""
    (tmp_path / "hangs.py").write_text(HANGS)
    options = {"cwd": tmp_path, "env": {"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"}, "text": True}
    first = subprocess.Popen([sys.executable, "hangs.py"], **options)
    while not (tmp_path / "begun").exists():
        assert first.poll() is None
        time.sleep(0.02)
    first.kill()
    first.wait(30)
    again = subprocess.run([sys.executable, "hangs.py"], **options, capture_output=True, timeout=120, check=False)
    assert again.returncode == 1
    assert "NoResultError" in again.stderr
    assert "iterations: 3 of 3 are used" in again.stderr


def test_the_training_of_the_example_tells_again_what_it_has_saved(tmp_path):
    """It may have been killed after it saved its last epoch, and before anybody read what it printed."""
    command = [sys.executable, str(ROOT / "examples" / "controller_train.py"), "--epochs", "1"]
    command += ["--checkpoints", str(tmp_path)]
    first, second = (subprocess.run(command, capture_output=True, text=True, check=True).stdout for _ in range(2))
    assert first == second != ""


def test_verbs_before_the_start_return_what_they_say():
    """Rule 14: defined values, and no error."""
    made = controller(squared)
    assert made.is_active() is True
    assert made.is_running() is made.reached_time_limit() is False
    assert made.elapsed() == -1
    assert made.get_time_limit() is None
    assert made.wait() is True
    assert made.stop() is None
    assert made.get_top_experiments(3) == made.get_running_jobs() == made.get_active_experiments() == []
    assert made.get_top_experiments_details(3) == made.get_top_experiments_id_metrics_pair(3) == []
    assert made.get_created_jobs_ids() == made.get_created_jobs_tasks() == {}
    assert made.get_num_active_experiments() == 0
    assert made.budget.to_dict()["jobs"]["used"] == 0
    assert ran(squared, total_max_jobs=1).is_active() is False
