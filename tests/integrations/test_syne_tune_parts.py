"""What goes wrong in programs for Syne Tune, and the parts that they are run by."""

from __future__ import annotations

import subprocess
import sys
import textwrap

import pytest

from autohpo import FailuresError, OptionError
from autohpo.errors import PathError
from autohpo.execution.serial import SerialExecutor
from autohpo.execution.watch import AttemptListener, Watch
from autohpo.integrations import syne_tune as st
from autohpo.integrations.syne_tune import config_space as cs
from autohpo.integrations.syne_tune.backend.trial_status import Status
from autohpo.integrations.syne_tune.report import Reporter, parsed
from autohpo.integrations.syne_tune.tuning_status import TuningStatus
from autohpo.testing import check_executor

OURS = "autohpo.integrations.syne_tune"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with a script, whose experiments are kept there, too."""
    monkeypatch.setenv("SYNETUNE_FOLDER", str(tmp_path / "experiments"))
    (tmp_path / "train.py").write_text("")
    return tmp_path


def square(x):
    """Reports once."""
    Reporter()(loss=x**2)


def function_tuner(function, **options):
    """A tuner of a function of x in one worker."""
    space = {"x": cs.uniform(0, 1)}
    options = {"scheduler": st.RandomSearch(space, metric="loss", random_seed=0), **options}
    return st.Tuner(st.PythonBackend(function, space), stop_criterion=st.StoppingCriterion(), n_workers=1, **options)


# What goes wrong.


def test_failures_are_counted_and_named(folder):
    """More than may fail end the search, with what the script printed."""
    script = folder / "broken.py"
    script.write_text("import sys\nsys.exit('no such data set')")
    space = {"x": cs.uniform(0, 1)}
    tuner = st.Tuner(
        st.LocalBackend(script),
        st.RandomSearch(space, metric="loss", random_seed=0),
        st.StoppingCriterion(max_num_trials_started=9),
        n_workers=1,
        max_failures=1,
    )
    with pytest.raises(FailuresError, match=r"(?s)2 trials failed, and 1 may; the last: .*no such data set"):
        tuner.run()
    assert tuner.tuning_status.num_trials_failed == 2
    assert tuner.name.startswith("broken-2")


@pytest.mark.parametrize(
    ("lines", "text"),
    [
        ("", "it ended without a report"),
        ("report(epoch=0, loss=1.0)", "resource_attr: epoch must be above 0, counted from 1 on, got 0"),
        ("report(epoch=1, accuracy=1.0)", "metric: loss must be among the reported values, got epoch, accuracy"),
        ("report(epoch=1, loss=float('nan'))", "must be finite, got nan"),
        ("report(epoch=1, st_loss=1)", "must not begin with 'st_'"),
        ("report(epoch=1, loss=None)", "loss: must be a value, got None"),
        ("report(epoch=1, loss=1.0); raise ValueError('later')", "ValueError: later"),
    ],
)
def test_a_script_that_reports_wrongly_fails(folder, lines, text):
    """Its trial, with what was wrong; the script is ended."""
    script = folder / "wrong.py"
    script.write_text(f"from {OURS} import Reporter\nreport = Reporter()\n{lines}\n")
    space = {"x": cs.uniform(0, 1), "epochs": 9}
    scheduler = st.ASHA(space, "loss", "epoch", max_resource_attr="epochs", random_seed=0)
    tuner = st.Tuner(st.LocalBackend(script), scheduler, lambda status: False, n_workers=1, max_failures=0)
    with pytest.raises(FailuresError) as caught:
        tuner.run()
    assert text in str(caught.value)


def test_a_script_need_not_wait_for_answers(folder):
    """What it prints itself is a report as well: as a reporter of Syne Tune does, which knows of no answers."""
    script = folder / "printing.py"
    lines = [
        'print("[tune-metric]: " + json.dumps({"epoch": epoch, "loss": 1 / epoch}), flush=True)',
        "time.sleep(0.02)",
    ]
    script.write_text("import json, time\nfor epoch in range(1, 10):\n    " + "\n    ".join(lines))
    space = {"x": cs.uniform(0, 1), "epochs": 9}
    scheduler = st.ASHA(space, "loss", "epoch", max_resource_attr="epochs", type="promotion", random_seed=0)
    tuner = st.Tuner(
        st.LocalBackend(script), scheduler, st.StoppingCriterion(max_num_evaluations=5), n_workers=1, tuner_name="p"
    )
    tuner.run()
    assert {trial.perf for trial in tuner.scheduler.hpo.result if trial.perf} == {1.0, 1 / 3}


def test_a_script_gets_its_configuration_in_a_file(folder):
    """With a value that arguments could not carry."""
    script = folder / "filed.py"
    script.write_text(
        f"import argparse\nfrom {OURS} import Reporter\nfrom {OURS}.utils import *\n"
        "parser = argparse.ArgumentParser()\nadd_config_json_to_argparse(parser)\n"
        "args = load_config_json(vars(parser.parse_known_args()[0]))\n"
        "Reporter()(loss=args['x'] + sum(args['sizes']))\n"
    )
    space = {"x": cs.uniform(0, 1), "sizes": [1, 2, 3]}
    backend = st.LocalBackend(script, pass_args_as_json=True)
    scheduler = st.RandomSearch(space, metric="loss", random_seed=0)
    tuner = st.Tuner(backend, scheduler, st.StoppingCriterion(max_num_evaluations=0), n_workers=1)
    tuner.run()
    (trial, *_) = tuner.scheduler.hpo.result
    assert trial.perf == pytest.approx(trial.hp["x"] + 6)


def test_a_script_ends_with_what_it_has_started(folder):
    """A process that a script leaves behind does not outlive its trial, nor keep the search waiting."""
    script = folder / "parent.py"
    script.write_text(
        textwrap.dedent(
            f"""
            import subprocess
            import sys
            from pathlib import Path

            from {OURS} import Reporter


            def runs(pid):
                stat = Path(f"/proc/{{pid}}/stat")
                return stat.exists() and stat.read_text().rsplit(")", 1)[1].split()[0] != "Z"


            kept = Path(__file__).with_name("children")
            earlier = kept.read_text().split() if kept.exists() else []
            child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
            kept.write_text(" ".join([*earlier, str(child.pid)]))
            Reporter()(loss=sum(map(runs, earlier)), earlier=len(earlier))
            """
        )
    )
    space = {"x": cs.uniform(0, 1)}
    scheduler = st.RandomSearch(space, metric="loss", random_seed=0)
    tuner = st.Tuner(st.LocalBackend(script), scheduler, st.StoppingCriterion(max_num_evaluations=2), n_workers=1)
    tuner.run()
    told = [trial for trial in tuner.scheduler.hpo.result if trial.perf is not None]
    assert [trial.metrics["earlier"] for trial in told] == [*range(len(told))]
    assert [trial.perf for trial in told] == [0] * len(told)
    assert len(told) >= 2


@pytest.mark.parametrize(
    ("make", "error", "text"),
    [
        (
            lambda: st.LocalBackend("no/such.py"),
            PathError,
            "entry_point: must be the path of a script, got 'no/such.py'",
        ),
        (lambda: st.PythonBackend(3, {}), OptionError, "tune_function: must be a function, got 3"),
        (lambda: st.PythonBackend(square, {"y": 1}), OptionError, "tune_function: must take the names of config_space"),
        (lambda: function_tuner(square, scheduler=object()), OptionError, "scheduler: must be one of this package"),
        (lambda: function_tuner(square, tuner_name="a_b"), OptionError, "tuner_name: must be letters and digits"),
        (
            lambda: function_tuner(square, asynchronous_scheduling=False),
            OptionError,
            "asynchronous_scheduling: must be True",
        ),
        (
            lambda: st.Tuner(3, st.RandomSearch({"x": cs.uniform(0, 1)}, "loss"), None, 1),
            OptionError,
            "trial_backend: must be",
        ),
        (lambda: st.load_experiment("nobody"), PathError, "tuner_name: there is no experiment 'nobody'"),
    ],
)
def test_what_cannot_run_is_refused(folder, make, error, text):
    """Before anything runs; the error names the argument."""
    with pytest.raises(error) as caught:
        make()
    assert text in str(caught.value)


# Parts.


@pytest.mark.parametrize(
    ("shown", "options", "n_workers", "devices"),
    [
        ("0,1", {}, 3, ("0", "1", "0")),
        ("4,7", {}, 2, ("4", "7")),
        ("4,5,6,7", {"num_gpus_per_trial": 2}, 2, ("4,5", "6,7")),
        ("4,5,6,7", {"gpus_to_use": [1, 3]}, 2, ("5", "7")),
        ("4,5", {"rotate_gpus": False}, 2, ()),
        ("4", {}, 2, ()),
    ],
)
def test_each_worker_has_gpus_of_its_own(folder, monkeypatch, shown, options, n_workers, devices):
    """In turn, of those that this process may use; a single one is left to all."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", shown)
    assert st.LocalBackend(folder / "train.py", **options).devices(n_workers) == devices
    with pytest.raises(OptionError, match="num_gpus_per_trial: must be from 1 to 2, got 3"):
        st.LocalBackend(folder / "train.py", num_gpus_per_trial=3, gpus_to_use=[0, 0]).devices(1)


@pytest.mark.parametrize(
    ("limits", "is_over"),
    [
        ({"max_num_trials_started": 4}, False),
        ({"max_num_trials_started": 3}, True),
        ({"max_num_trials_completed": 1}, False),
        ({"max_num_trials_completed": 0}, True),
        ({"max_num_trials_finished": 3}, False),
        ({"max_num_trials_finished": 2}, True),
        ({"max_num_evaluations": 2}, False),
        ({"max_num_evaluations": 1}, True),
        ({"max_cost": 5.0}, False),
        ({"max_cost": 4.5}, True),
        ({"max_metric_value": {"acc": 0.7}}, False),
        ({"max_metric_value": {"acc": 0.6}}, True),
        ({"min_metric_value": {"acc": 0.2}}, False),
        ({"min_metric_value": {"acc": 0.3}}, True),
        ({"min_metric_value": {"loss": 9.0}}, False),
        ({"max_wallclock_time": 1e6}, False),
        ({"max_wallclock_time": 0.0}, True),
        ({"max_num_trials_started": 9, "max_num_evaluations": 1}, True),
        ({}, False),
    ],
)
def test_a_criterion_is_met_once_a_limit_is_passed(limits, is_over):
    """And not when it is only reached; one limit of several is enough."""
    status = TuningStatus(["acc"])
    states = (Status.completed, Status.paused, Status.stopped, Status.failed)
    status.last_trial_status_seen.update(enumerate(states))
    status.add(0, {"acc": 0.7, "st_worker_cost": 3.0, "note": "text"})
    status.add(1, {"acc": 0.2, "st_worker_cost": 2.0})
    assert status.cost == 5.0
    assert st.StoppingCriterion(**limits)(status) is is_over


def test_a_reporter_prints_what_the_tuner_reads(capsys):
    """One line for each report, in Syne Tune's form; numbers of numpy are plain ones."""
    np = pytest.importorskip("numpy")
    report = Reporter()
    report(epoch=np.int64(1), loss=np.float32(0.5))
    report(epoch=2, loss=0.25)
    lines = capsys.readouterr().out.splitlines()
    assert all(line.startswith("[tune-metric]: {") for line in lines)
    first, second = map(parsed, lines)
    assert (first["epoch"], first["loss"], first["st_worker_iter"], second["st_worker_iter"]) == (1, 0.5, 0, 1)
    assert 0 <= first["st_worker_time"] <= second["st_worker_time"]
    assert parsed("[tune-metric]: {broken") is None
    with pytest.raises(ValueError, match="must be of values that JSON can hold"):
        report(loss={1, 2})


def test_an_executor_that_is_listened_to_is_an_executor():
    """It keeps the contract of the one inside."""
    check_executor(lambda: Watch(SerialExecutor(), AttemptListener()))


def test_a_script_that_reports_loads_no_numpy(tmp_path):
    """The reporter is what a script needs in each trial, so it must load fast."""
    program = (
        f"import sys; from {OURS} import Reporter; from {OURS}.utils import parse_bool; print('numpy' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
