"""Sweeps that really run, each in a process of its own: what Hydra's user meets."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from importlib.util import find_spec
from pathlib import Path

import pytest

from autohpo import Result

pytestmark = pytest.mark.extras
yaml = pytest.importorskip("yaml")
pytest.importorskip("hydra", reason="hydra-core is not installed")
pytest.importorskip("hydra_plugins.autohpo_sweeper", reason="autohpo-hydra is not installed")

APP = Path(__file__).parent / "app" / "app.py"
SWEEP = ("x=interval(0,1)", "z=a,b,'c d'")
RANDOM = ("hydra.sweeper.algorithm=random", "hydra.sweeper.seed=1")


def start(folder, *arguments):
    """A sweep in the background, into the folder ``out``."""
    environment = {**os.environ, "RAN": str(folder / "ran"), "OMP_NUM_THREADS": "1", "HYDRA_FULL_ERROR": "1"}
    command = [sys.executable, str(APP), "-m", "hydra.sweep.dir=out", *arguments]
    return subprocess.Popen(
        command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def sweep(folder, *arguments, code=0):
    """The output of a sweep."""
    process = start(folder, *arguments)
    output, _ = process.communicate(timeout=120)
    assert process.returncode == code, output
    return output


def ran(folder):
    """The number and the configuration of each job that was started, in that order."""
    lines = (folder / "ran").read_text().splitlines()
    return [(int(line.split(" ", 1)[0]), line.split(" ", 1)[1]) for line in lines]


def results(folder):
    """What stands in the file of results."""
    return yaml.safe_load((folder / "out" / "optimization_results.yaml").read_text())


def test_a_sweep_finds_the_best_of_its_jobs_and_writes_it_down(tmp_path):
    """The value is the one that the formula of the task has for the written parameters."""
    sweep(tmp_path, *SWEEP, *RANDOM, "hydra.sweeper.n_trials=7", "hydra.sweeper.n_jobs=3")
    found = results(tmp_path)
    assert [number for number, _ in ran(tmp_path)] == list(range(7))
    values = []
    for _, text in ran(tmp_path):
        config = yaml.safe_load(text)
        values.append((config["x"] - 0.25) ** 2 + (config["z"] != "b") + 1)
    assert found["best_value"] == min(values)
    assert found["best_trial"] == values.index(min(values))
    x, z = found["best_params"]["x"], found["best_params"]["z"]
    assert found["best_value"] == (x - 0.25) ** 2 + (z != "b") + 1
    assert (found["name"], found["n_trials"], found["n_failed"]) == ("autohpo", 7, 0)
    assert sorted(path.name for path in (tmp_path / "out").iterdir() if path.is_dir()) == [
        *map(str, range(7)),
        "autohpo.db.files",
    ]
    assert (tmp_path / "out" / "multirun.yaml").exists()


def test_a_sweep_that_was_killed_goes_on_and_runs_no_finished_job_again(tmp_path):
    """Also those of the batch that was cut: jobs run one after the other here, so its results were not returned yet."""
    same = (*SWEEP, *RANDOM, "hydra.sweeper.n_trials=8", "hydra.sweeper.n_jobs=3")
    straight = tmp_path / "straight"
    straight.mkdir()
    sweep(straight, *same)
    process = start(tmp_path, *same, "seconds=0.7")
    deadline = time.monotonic() + 100
    while not (tmp_path / "ran").exists() or len(ran(tmp_path)) < 5:
        assert time.monotonic() < deadline
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)  # in job 4, the second of the second batch
    process.communicate()
    output = sweep(tmp_path, *same, "seconds=0.7")
    counts = Counter(number for number, _ in ran(tmp_path))
    assert counts == {**dict.fromkeys(range(8), 1), 4: 2}
    assert "3 of its jobs are over" in output  # 3 in the store, and job 3 wrote its result down itself
    assert "Job #3 was over already" in output
    values = {number: re.sub(r"'seconds': [\d.]+", "", text) for number, text in ran(tmp_path)}
    assert values == {number: re.sub(r"'seconds': [\d.]+", "", text) for number, text in ran(straight)}
    assert results(tmp_path) == results(straight)


def test_a_job_that_ends_the_process_each_time_is_given_up_and_takes_no_other_with_it(tmp_path):
    """As one that needs more memory than there is: three times, as everywhere here; then the sweep goes on."""
    same = (*SWEEP, *RANDOM, "hydra.sweeper.n_trials=5", "hydra.sweeper.n_jobs=3", "ends=1")
    for _ in range(3):
        sweep(tmp_path, *same, code=-signal.SIGKILL)
    output = sweep(tmp_path, *same)
    assert "Job #1 counts as CRASHED" in output
    counts = Counter(number for number, _ in ran(tmp_path))
    assert counts == {0: 1, 1: 3, 2: 1, 3: 1, 4: 1}
    trials = Result.load(tmp_path / "out" / "autohpo.db").trials
    assert [t.state.value for t in trials] == ["COMPLETE", "CRASHED", "COMPLETE", "COMPLETE", "COMPLETE"]
    assert (results(tmp_path)["n_trials"], results(tmp_path)["n_failed"]) == (5, 1)


def test_ctrl_c_is_not_the_fault_of_a_job(tmp_path):
    """However often the sweep is stopped in it, it runs again."""
    same = (*SWEEP, *RANDOM, "hydra.sweeper.n_trials=3")
    for _ in range(4):
        assert "KeyboardInterrupt" in sweep(tmp_path, *same, "stops=1", code=-signal.SIGINT)
    assert [number for number, _ in ran(tmp_path)] == [0, 1, 1, 1, 1]
    trials = Result.load(tmp_path / "out" / "autohpo.db").trials
    assert trials[1].state.value == "CANCELLED"  # it was interrupted, and has no end


@pytest.mark.parametrize("is_there", [True, False])
def test_jobs_that_are_left_keep_their_numbers_where_some_between_them_are_over(tmp_path, is_there):
    """As where jobs ran beside each other; here the result of job 0 is missing, or is one of other overrides."""
    same = (*SWEEP, *RANDOM, "hydra.sweeper.n_trials=3", "hydra.sweeper.n_jobs=3", "stops=2")
    sweep(tmp_path, *same, code=-signal.SIGINT)
    kept = tmp_path / "out" / "autohpo.db.files" / "jobs" / "job-0.json"
    text = kept.read_text()
    kept.unlink()
    if is_there:
        assert "stops=2" in text
        kept.write_text(text.replace("stops=2", "stops=3"))
    sweep(tmp_path, *same, code=-signal.SIGINT)
    jobs = ran(tmp_path)
    assert [number for number, _ in jobs] == [0, 1, 2, 0, 2]
    assert jobs[3:] == [jobs[0], jobs[2]]


def test_a_task_that_calls_sys_exit_ends_its_job_and_not_the_sweep(tmp_path):
    """As in a search without Hydra."""
    sweep(tmp_path, *SWEEP, *RANDOM, "hydra.sweeper.n_trials=4", "hydra.sweeper.max_failure_rate=0.25", "exits=1")
    trials = Result.load(tmp_path / "out" / "autohpo.db").trials
    assert [t.state.value for t in trials] == ["COMPLETE", "FAILED", "COMPLETE", "COMPLETE"]
    assert trials[1].error == "RuntimeError: the task called sys.exit(3)"


def test_a_sweep_that_is_over_can_be_made_longer(tmp_path):
    """With a larger n_trials; the same command runs nothing."""
    same = (*SWEEP, *RANDOM)
    sweep(tmp_path, *same, "hydra.sweeper.n_trials=3")
    sweep(tmp_path, *same, "hydra.sweeper.n_trials=3")
    assert [number for number, _ in ran(tmp_path)] == [0, 1, 2]
    sweep(tmp_path, *same, "hydra.sweeper.n_trials=5")
    assert [number for number, _ in ran(tmp_path)] == [0, 1, 2, 3, 4]


def test_another_sweep_in_the_same_folder_is_refused(tmp_path):
    """With other overrides its results would not be comparable."""
    sweep(tmp_path, *SWEEP, *RANDOM, "hydra.sweeper.n_trials=2")
    output = sweep(tmp_path, *SWEEP, *RANDOM, "hydra.sweeper.n_trials=3", "epochs=5", code=1)
    assert "StoreMismatchError" in output
    assert "'epochs=5'" in output
    assert len(ran(tmp_path)) == 2


def test_the_error_of_a_job_ends_the_sweep_unless_some_may_fail(tmp_path):
    """The share is of n_trials: 4 of 20 may fail at .2, and the fifth ends it. What failed is in the store."""
    failing = ("x=interval(0,1)", *RANDOM, "fails_above=0.5")
    output = sweep(tmp_path, *failing, code=1)
    assert "RuntimeError: x is too large" in output
    states = [trial.state.value for trial in Result.load(tmp_path / "out" / "autohpo.db").trials]
    assert states.count("FAILED") == 1
    other = tmp_path / "other"
    other.mkdir()
    output = sweep(other, *failing, "hydra.sweeper.max_failure_rate=0.2", "hydra.sweeper.n_trials=20", code=1)
    xs = [yaml.safe_load(text)["x"] for _, text in ran(other)]
    assert sum(x > 0.5 for x in xs) == 5
    assert xs[-1] > 0.5
    assert "5 of 20 jobs failed" in output
    trials = Result.load(other / "out" / "autohpo.db").trials
    assert [trial.state.value == "FAILED" for trial in trials] == [x > 0.5 for x in xs]


def test_a_result_that_is_no_number_is_a_failure(tmp_path):
    """A task that returns two numbers for one objective."""
    output = sweep(tmp_path, *SWEEP, *RANDOM, "returns=pair", code=1)
    assert "must be" in output
    assert [t.state.value for t in Result.load(tmp_path / "out" / "autohpo.db").trials] == ["INVALID"]


def test_a_result_with_names_says_which_option_names_them(tmp_path):
    """That of the sweeper; ``mode`` is none of its options."""
    output = sweep(tmp_path, *SWEEP, *RANDOM, "returns=dict", code=1)
    assert "give direction={name: maximize} for named objectives" in output
    assert "mode=" not in output


@pytest.mark.parametrize(
    ("returns", "direction"), [("pair", "[minimize,maximize]"), ("dict", "{loss: minimize, x: maximize}")]
)
def test_several_objectives_have_a_front(tmp_path, returns, direction):
    """Whatever is in it is beaten by no job, and whatever is not in it by one: told by all pairs."""
    arguments = ("hydra.sweeper.algorithm=nsga2", "hydra.sweeper.seed=2", "hydra.sweeper.n_trials=9")
    sweep(tmp_path, *SWEEP, *arguments, f"returns={returns}", f"hydra.sweeper.direction={direction}")
    points = []
    for number, text in ran(tmp_path):
        config = yaml.safe_load(text)
        points.append((number, ((config["x"] - 0.25) ** 2 + (config["z"] != "b") + 1, config["x"])))
    front = {
        number: point
        for number, point in points
        if not any(o != point and o[0] <= point[0] and o[1] >= point[1] for _, o in points)
    }
    found = {one["trial"]: tuple(one["values"]) for one in results(tmp_path)["solutions"]}
    assert found == front


def test_a_fidelity_is_an_override_and_a_folder_goes_from_rung_to_rung(tmp_path):
    """Successive halving of 9 configurations: 9 at 1 epoch, 3 at 3 and 1 at 9, in the folder of their first job."""
    fidelity = "hydra.sweeper.fidelity={parameter: epochs, min: 1, max: 9, checkpoint: +here}"
    name = ("hydra.sweeper.algorithm=successive_halving", "hydra.sweeper.seed=1", "hydra.sweeper.n_trials=13")
    sweep(tmp_path, *SWEEP, *name, "hydra.sweeper.n_jobs=9", fidelity)
    jobs = [yaml.safe_load(text) for _, text in ran(tmp_path)]
    assert Counter(job["epochs"] for job in jobs) == {1: 9, 3: 3, 9: 1}
    firsts = {job["here"]: job for job in jobs if job["epochs"] == 1}
    assert len(firsts) == 9
    for job in jobs:
        assert Path(job["here"]).is_dir()
        assert (job["x"], job["z"]) == (firsts[job["here"]]["x"], firsts[job["here"]]["z"])
    best = sorted(firsts, key=lambda here: (firsts[here]["x"] - 0.25) ** 2 + (firsts[here]["z"] != "b"))
    assert {job["here"] for job in jobs if job["epochs"] == 3} == set(best[:3])
    assert [job["here"] for job in jobs if job["epochs"] == 9] == [best[0]]
    assert results(tmp_path)["best_fidelity"] == 9


def test_a_condition_leaves_a_key_as_it_is_configured(tmp_path):
    """The app's own x is 1.0."""
    sweep(tmp_path, *SWEEP, *RANDOM, "+hydra.sweeper.conditions.x=\"z == 'b'\"", "hydra.sweeper.n_trials=12")
    jobs = [yaml.safe_load(text) for _, text in ran(tmp_path)]
    assert {job["z"] for job in jobs} == {"a", "b", "c d"}
    assert all((job["x"] == 1.0) is (job["z"] != "b") for job in jobs)


def test_a_store_elsewhere_keeps_the_numbers_of_jobs_in_a_new_sweep_folder(tmp_path):
    """As where ``hydra.sweep.dir`` has the time in it."""
    storage = f"hydra.sweeper.storage={tmp_path / 'study.db'}"
    sweep(tmp_path, *SWEEP, *RANDOM, storage, "hydra.sweeper.n_trials=2", "hydra.sweep.dir=first")
    sweep(tmp_path, *SWEEP, *RANDOM, storage, "hydra.sweeper.n_trials=4", "hydra.sweep.dir=second")
    assert sorted(path.name for path in (tmp_path / "second").iterdir() if path.is_dir()) == ["2", "3"]


@pytest.mark.skipif(find_spec("hydra_plugins.hydra_joblib_launcher") is None, reason="no hydra-joblib-launcher")
def test_joblib_runs_a_batch_at_once(tmp_path):
    """Two jobs of a second each, twice, beside each other: the second of each batch begins before the first ends."""
    jobs = ("hydra/launcher=joblib", "hydra.launcher.n_jobs=2", "hydra.sweeper.n_jobs=2", "hydra.sweeper.n_trials=4")
    sweep(tmp_path, *SWEEP, *RANDOM, *jobs)
    assert sorted(number for number, _ in ran(tmp_path)) == [0, 1, 2, 3]
    straight = tmp_path / "straight"
    straight.mkdir()
    sweep(straight, *SWEEP, *RANDOM, "hydra.sweeper.n_trials=4")
    assert results(tmp_path) == results(straight)  # the same algorithm, seed and jobs


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("hydra.sweeper.n_trials=0",), "n_trials: must be at least 1, got 0"),
        (("hydra.sweeper.max_failure_rate=2",), "max_failure_rate: must be from 0 to 1, got 2.0"),
        (("hydra.sweeper.direction=up",), "direction: must be minimize or maximize"),
        (("hydra.sweeper.algorithm=tpee",), "'tpee': no such algorithm; did you mean 'tpe'?"),
        (("hydra.sweeper.algorithm=bohb",), "fidelity: must be given, as bohb trains jobs in part"),
        (("hydra.sweeper.fidelity.max=9",), "fidelity: must have a parameter"),
        (("hydra.sweeper.fidelity={parameter: epochs, min: 9, max: 1}",), "fidelity: min must be above 0 and below"),
        (("hydra.sweeper.fidelity={parameter: x, max: 9}",), "x: must not be overridden, as fidelity sets it"),
        (
            ("hydra.sweeper.algorithm=pbt", "hydra.sweeper.fidelity={parameter: epochs, max: 9}"),
            "algorithm: pbt copies trainings",
        ),
        (
            ("hydra.sweeper.algorithm=median_stopping", "hydra.sweeper.fidelity={parameter: epochs, max: 9}"),
            "algorithm: median_stopping stops jobs that report",
        ),
        (("+hydra.sweeper.options.seed=3",), "options: seed stands outside of options, as seed"),
        (("x=tag(linear, interval(0,1))",), "x: tags must be of log, ordinal, got ['linear']"),
        (("y=interval(0,1)",), "y"),  # the app has no such key: Hydra's own error
    ],
)
def test_a_mistake_is_said_before_a_job_runs(tmp_path, arguments, text):
    """By name, rule and value."""
    output = sweep(tmp_path, "x=interval(0,1)", *arguments, code=1)
    assert text in output
    assert not (tmp_path / "ran").exists()


def test_a_sweep_without_sweeps_is_an_error(tmp_path):
    """There is nothing to search."""
    assert "params: must hold at least one sweep" in sweep(tmp_path, "x=0.5", code=1)
