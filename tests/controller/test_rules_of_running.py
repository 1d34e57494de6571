"""Rules 8 and 16 to 18 of the controller, each test named after its rule: ends, processes, artefacts, options."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from shared import controller, ran, sleepy, squared

from autohpo import AutoHPOError, OptionError, Result
from autohpo.algorithms.registry import get_hpo
from autohpo.controller import GridSearch, OptimizerBOHB, OptimizerOptuna, RandomSearch
from autohpo.trial import TrialState

ROOT = Path(__file__).parents[2]
SLEEPERS = """
import os, sys, time
from pathlib import Path
from autohpo import HyperParameterOptimizer, RangeHP
def f(hps, trial):
    Path(f"pid-{os.getpid()}").touch()
    for epoch in range(1, 10_000):
        trial.report(hps["x"], epoch)
        time.sleep(.02)
c = HyperParameterOptimizer(f, [RangeHP("x", 0.0, 1.0)], "validation", "accuracy", "max", "random", store="run.db",
                            num_concurrent_workers=2, seed=0)
c.start()
while len(list(Path().glob("pid-*"))) < 2:
    time.sleep(.01)
print("started", flush=True)
"""


def script(folder, rest):
    """A program that starts two jobs which run for long, and then does the rest."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    listens = "import signal\nsignal.signal(signal.SIGINT, signal.default_int_handler)\n"  # ignored in the background
    command = [sys.executable, "-c", listens + SLEEPERS + rest]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, cwd=folder, env=environment, stdout=pipe, stderr=pipe, text=True)


def are_gone(folder):
    """Whether no worker is left."""
    pids = [int(path.name.removeprefix("pid-")) for path in folder.glob("pid-*")]
    assert len(pids) >= 2
    for _ in range(500):
        if not any(Path(f"/proc/{pid}/status").exists() and not is_zombie(pid) for pid in pids):
            return True
        time.sleep(0.02)
    return False


def is_zombie(pid):
    """Whether a process has ended, and only its parent has not looked."""
    try:
        return "State:\tZ" in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return True


def states(folder):
    """The states that the log has."""
    return {trial.state for trial in Result.load(folder / "run.db")}


def test_rule_8_a_second_stop_is_harmless(tmp_path):
    """Stopped from three threads; what ran is cancelled, and runs again when the search goes on."""
    made = controller(sleepy, queue="local", num_concurrent_workers=2, store=tmp_path / "run.db")
    made.stop()  # before the start
    made.start()
    assert made.start() is False  # it runs already
    while len(made.get_running_jobs()) < 2:
        time.sleep(0.01)
    others = [threading.Thread(target=made.stop) for _ in range(2)]
    for thread in others:
        thread.start()
    made.stop()
    made.stop()
    for thread in others:
        thread.join(30)
    assert made.wait()
    assert not made.is_running()
    assert not made.is_active()
    assert states(tmp_path) == {TrialState.CANCELLED}
    assert made.get_running_jobs() == []
    jobs = list(made.get_created_jobs_tasks().values())
    assert [(job.get_status(), job.is_running(), job.is_pending()) for job in jobs] == [("queued", False, True)] * 2


def test_rule_8_wait_ends_at_its_timeout_and_stops_nothing(tmp_path):
    """It returns False then, and the search goes on."""
    made = controller(sleepy, queue="local", num_concurrent_workers=1, store=tmp_path / "run.db")
    made.start()
    assert made.wait(0.1 / 60) is False
    assert made.is_running()
    made.stop()
    assert made.wait() is True


def test_rule_8_ctrl_c_in_wait_ends_in_the_same_state_and_is_raised_again(tmp_path):
    """No worker is left, and the log says that the jobs were cancelled."""
    rest = """
try:
    c.wait()
except KeyboardInterrupt:
    print("interrupted", c.is_running(), {job.get_status() for job in c.get_created_jobs_tasks().values()})
    sys.stdout.flush()
    os.kill(os.getpid(), 9)  # whatever is not in order by now never will be
"""
    process = script(tmp_path, rest)
    assert process.stdout.readline() == "started\n"
    time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert out == "interrupted False {'queued'}\n", err
    assert are_gone(tmp_path)
    assert states(tmp_path) == {TrialState.CANCELLED}


@pytest.mark.parametrize("end", ["", "raise SystemExit(3)", "1 / 0"])
def test_rule_8_the_end_of_the_program_ends_a_search_that_runs(tmp_path, end):
    """No hang, no orphan, a log in order; the exit code is the program's own."""
    process = script(tmp_path, end)
    _, err = process.communicate(timeout=60)
    assert process.returncode == {"": 0, "raise SystemExit(3)": 3, "1 / 0": 1}[end], err
    assert "Traceback" not in err.replace("ZeroDivisionError", "").replace("Traceback", "", end == "1 / 0")
    assert are_gone(tmp_path)
    assert states(tmp_path) == {TrialState.CANCELLED}


def test_rule_8_a_killed_program_leaves_no_worker_and_goes_on(tmp_path):
    """SIGKILL: the workers end with it, and the same program goes on with the same jobs."""
    process = script(tmp_path, "time.sleep(1000)")
    assert process.stdout.readline() == "started\n"
    process.kill()
    process.communicate(timeout=60)
    assert are_gone(tmp_path)
    before = [dict(trial.hp) for trial in Result.load(tmp_path / "run.db")]
    again = script(
        tmp_path, "while not c.get_running_jobs(): time.sleep(.01)\nprint(len(c.get_created_jobs_ids()))\nc.stop()"
    )
    out, err = again.communicate(timeout=60)
    assert out == "started\n2\n", err
    assert [dict(trial.hp) for trial in Result.load(tmp_path / "run.db")] == before


def test_an_error_of_the_driver_is_raised_by_every_wait(tmp_path):
    """A store that is in use: typed, and not lost in a thread."""
    one = controller(sleepy, queue="local", num_concurrent_workers=1, store=tmp_path / "run.db")
    one.start()
    while not one.get_running_jobs():
        time.sleep(0.01)
    two = controller(sleepy, queue="local", num_concurrent_workers=1, store=tmp_path / "run.db")
    two.start()
    for _ in range(2):
        with pytest.raises(AutoHPOError, match="run.db"):
            two.wait(1.0)
    two.stop()
    one.stop()


def test_rule_16_there_are_no_ports_and_no_name_server():
    """Nothing listens, and nothing connects, while jobs run in workers."""
    code = """
import socket
def refused(*_, **__):
    raise AssertionError("a port was opened")
socket.socket.bind = socket.socket.connect = socket.socket.listen = refused
from autohpo import HyperParameterOptimizer, RangeHP
c = HyperParameterOptimizer(lambda hps: hps["x"], [RangeHP("x", 0.0, 1.0)], "a", "b", "max", "bohb", total_max_jobs=3,
                            num_concurrent_workers=2, local_port=9090)
c.start()
assert c.wait(1.0)
print(len(c.get_created_jobs_ids()))
"""
    command = [sys.executable, "-W", "ignore", "-c", code]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "3", done.stderr


def test_rule_17_checkpoints_outside_the_best_go_and_history_stays(tmp_path):
    """Two of eight trainings keep their folders; all eight are in the log."""

    def f(hps, trial):
        (trial.checkpoint_dir / "model").write_text("weights")
        return {"accuracy": hps["General/x"]}

    made = ran(f, total_max_jobs=8, store=tmp_path / "run.db", save_top_k_tasks_only=2)
    best = {job.number for job in made.get_top_experiments(2)}
    result = Result.load(tmp_path / "run.db")
    assert len(result) == 8
    assert {n for n in range(8) if result.checkpoint_dir(n) is not None} == best
    ran(f, total_max_jobs=3, store=tmp_path / "all.db")
    everything = Result.load(tmp_path / "all.db")
    assert all(everything.checkpoint_dir(n) is not None for n in range(3))


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"etta": 3}, "etta: bohb has no such option; did you mean 'eta'"),
        ({"min_budget": 1, "min_iteration_per_job": 2}, "min_budget: means min_iteration_per_job, which was given too"),
        ({"min_budget": 1, "min_fidelity": 1}, "min_budget: means min_fidelity"),
        ({"budget": 3, "total_max_jobs": 3}, "budget: means total_max_jobs"),
        ({"num_concurrent_workers": 1, "max_number_of_concurrent_tasks": 1}, "num_concurrent_workers: means"),
        ({"num_workers": 2}, "num_workers: is called max_number_of_concurrent_tasks"),
        ({"time_limit": 2}, "time_limit: is called optimization_time_limit"),
        ({"total_max_jobs": 0}, "total_max_jobs: must be an integer of at least 1, got 0"),
        ({"min_iteration_per_job": 9, "max_iteration_per_job": 3}, "min_iteration_per_job: must be at most"),
        ({"time_limit_per_job": 1.0}, "time_limit_per_job: 'serial' runs one job at a time"),
        ({"num_concurrent_workers": 2}, "max_number_of_concurrent_tasks: 'serial' runs one job at a time"),
        ({"mode": "min"}, "mode: goes by the argument objective_metric_sign"),
        ({"sampler": "kde", "eta": 1}, "eta: must be at least 2"),
        ({"memory_limit": "much", "queue": "local"}, "memory_limit: must be bytes"),
        ({"queue": "gpu"}, "execution_queue: must be 'local'"),
        ({"sign": "maximize"}, "objective_metric_sign: must be one of min, max, min_global, max_global"),
        ({"store": 3}, "store: must be a path"),
        ({"compute_time_limit": -1}, "compute_time_limit: must be a positive number of minutes, got -1"),
    ],
)
def test_rule_18_options_given_twice_or_unknown_are_one_error_at_build(options, text):
    """Not at the start."""
    with pytest.raises(OptionError) as caught:
        controller(squared, "bohb", **options)
    assert str(caught.value).startswith(text)


def test_rule_18_an_option_of_set_optimization_args_given_twice_is_an_error_there():
    """Upstream it is a TypeError at the start; afterwards the controller is as it was."""
    made = controller(squared, OptimizerBOHB, eta=3, max_iteration_per_job=9)
    with pytest.raises(OptionError, match="eta: was given to the constructor too"):
        made.set_optimization_args(eta=4)
    with pytest.raises(OptionError, match="max_budget: means max_iteration_per_job"):
        made.set_optimization_args(max_budget=27)
    made.set_optimization_args(min_budget=3, top_n_percent=20, num_samples=32)
    hpo = made.get_optimizer()
    assert (hpo.min_fidelity, hpo.top_n_percent, hpo.eta, hpo.sampler) == (3, 20, 3, "kde")
    with pytest.raises(OptionError, match="top_n_percent: random has no such option"):
        controller(squared).set_optimization_args(top_n_percent=20)


def test_the_names_of_clearml_stand_for_algorithms_of_ours():
    """Never a silent switch: each is what its docstring says."""
    names = {OptimizerBOHB: "bohb", OptimizerOptuna: "tpe", RandomSearch: "random", GridSearch: "grid"}
    for cls, name in names.items():
        assert type(controller(squared, cls).get_optimizer()) is get_hpo(name)
        assert f"`{name}`" in cls.__doc__


def test_an_unknown_algorithm_is_a_typed_error():
    """With the known names."""
    with pytest.raises(AutoHPOError, match="did you mean 'hyperband'"):
        controller(squared, "hyperbandd")
    with pytest.raises(OptionError, match="optimizer_class: must be a registered name"):
        controller(squared, 3)
