"""Programs for Syne Tune, written as its users write them: only their import lines are changed, and they run."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import textwrap
import time
from collections import Counter

import pytest

from autohpo import NoResultError, Result
from autohpo.integrations import syne_tune as st
from autohpo.integrations.syne_tune import config_space as cs
from autohpo.integrations.syne_tune.experiments import load_experiment
from autohpo.integrations.syne_tune.report import Reporter, parsed
from autohpo.integrations.syne_tune.results_callback import StoreResultsCallback
from autohpo.integrations.syne_tune.tuner_callback import TunerCallback

OURS = "autohpo.integrations.syne_tune"

TRAIN = """
    import argparse
    import json
    import logging
    import os
    import time
    from pathlib import Path

    from syne_tune import Reporter
    from syne_tune.constants import ST_CHECKPOINT_DIR
    from syne_tune.utils import add_checkpointing_to_argparse


    def load(folder):
        path = Path(folder) / "state.json"
        return json.loads(path.read_text()) if path.exists() else {"epoch": 0, "loss": 1.0}


    def save(folder, state):
        os.makedirs(folder, exist_ok=True)
        (Path(folder) / "state.json").write_text(json.dumps(state))


    if __name__ == "__main__":
        logging.getLogger().setLevel(logging.INFO)
        parser = argparse.ArgumentParser()
        parser.add_argument("--learning_rate", type=float, required=True)
        parser.add_argument("--activation", type=str, required=True)
        parser.add_argument("--max_epochs", type=int, required=True)
        parser.add_argument("--journal", type=str, required=True)
        add_checkpointing_to_argparse(parser)
        args, _ = parser.parse_known_args()
        folder = getattr(args, ST_CHECKPOINT_DIR)
        resumed = os.path.isdir(folder)  # as the scripts of its examples ask
        state = load(folder) if resumed else {"epoch": 0, "loss": 1.0}
        print(f"starting at epoch {state['epoch']}")
        report = Reporter()
        for epoch in range(state["epoch"] + 1, args.max_epochs + 1):
            state = {"epoch": epoch, "loss": state["loss"] * (0.5 + args.learning_rate)}
            with open(args.journal, "a") as file:
                file.write(f"{args.learning_rate!r},{args.activation},{epoch},{int(resumed)}\\n")
            save(folder, state)
            report(epoch=epoch, loss=state["loss"], seen=100 * epoch)
"""

LAUNCH = """
    import json
    import logging
    import sys
    from pathlib import Path

    from syne_tune import StoppingCriterion, Tuner
    from syne_tune.backend import LocalBackend
    from syne_tune.config_space import choice, uniform
    from syne_tune.experiments import load_experiment
    from syne_tune.optimizer.baselines import ASHA, MOBSTER

    if __name__ == "__main__":
        logging.getLogger().setLevel(logging.WARNING)
        method, kind = sys.argv[1:]
        here = Path(__file__).parent
        config_space = {
            "learning_rate": uniform(0.0, 0.45),
            "activation": choice(["relu", "leaky_relu"]),
            "max_epochs": 9,
            "journal": str(here / "journal"),
        }
        scheduler = {"ASHA": ASHA, "MOBSTER": MOBSTER}[method](
            config_space,
            metric="loss",
            mode="min",
            resource_attr="epoch",
            **({"max_t": 9} if method == "ASHA" else {"max_resource_attr": "max_epochs"}),
            grace_period=1,
            reduction_factor=3,
            type=kind,
            random_seed=31415927,
        )
        tuner = Tuner(
            trial_backend=LocalBackend(entry_point=str(here / "train.py")),
            scheduler=scheduler,
            stop_criterion=StoppingCriterion(max_wallclock_time=120, max_num_trials_started=11),
            n_workers=2,
            sleep_time=0.1,
            tuner_name="height-tuning",
            wait_trial_completion_when_stopping=True,
        )
        tuner.run()
        experiment = load_experiment(tuner.name)
        trial_id, config = tuner.best_config()
        found = {"name": tuner.name, "best": experiment.best_config(), "trial_id": trial_id, "config": config}
        (here / "found.json").write_text(json.dumps(found, default=float))
"""


def ours(program):
    """A program with its import lines changed: the name of the package, and nothing else."""
    return re.sub(r"^(\s*(?:from|import) )syne_tune\b", rf"\g<1>{OURS}", textwrap.dedent(program), flags=re.MULTILINE)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder for programs, whose experiments are kept there, too."""
    monkeypatch.setenv("SYNETUNE_FOLDER", str(tmp_path / "experiments"))
    (tmp_path / "train.py").write_text(ours(TRAIN))
    return tmp_path


def trained(folder):
    """The epochs that each configuration was trained, in order."""
    epochs = {}
    for line in (folder / "journal").read_text().splitlines():
        *config, epoch, _ = line.split(",")
        epochs.setdefault(tuple(config), []).append(int(epoch))
    return epochs


def check_promotions(folder):
    """Check a search by promotion: no epoch was trained twice, and none beyond a rung; every report is kept.

    So the epochs that were trained are those of the rungs that trials have come to.
    """
    epochs = trained(folder)
    assert all(each == list(range(1, len(each) + 1)) for each in epochs.values())
    assert set(map(len, epochs.values())) == {1, 3, 9}
    assert len(epochs) > 11  # the criterion is passed, and not only met
    (experiment,) = (folder / "experiments").iterdir()
    assert experiment.name.startswith("height-tuning-2")
    found = load_experiment(experiment.name)
    reported = Counter((repr(r["config_learning_rate"]), r["config_activation"]) for r in found.records)
    assert reported == {config: len(each) for config, each in epochs.items()}
    assert {record["trial_id"] for record in found.records} == set(range(len(epochs)))
    best = min(found.records, key=lambda record: record["loss"])
    assert best["loss"] == pytest.approx((0.5 + best["config_learning_rate"]) ** best["epoch"])
    assert best["seen"] == 100 * best["epoch"]
    said = json.loads((folder / "found.json").read_text())
    assert said["trial_id"] == best["trial_id"]
    assert said["config"]["learning_rate"] == said["best"]["config_learning_rate"] == best["config_learning_rate"]
    return experiment


def test_a_script_is_paused_and_goes_on_from_its_checkpoint(folder):
    """By ASHA in two workers, without the script being told how far to go: it is ended at its report.

    A new script finds no folder of checkpoints, a resumed one does; what it prints is kept.
    """
    (folder / "launch.py").write_text(ours(LAUNCH))
    run = [sys.executable, str(folder / "launch.py"), "ASHA", "promotion"]
    subprocess.run(run, check=True, timeout=120, capture_output=True)
    experiment = check_promotions(folder)
    for line in (folder / "journal").read_text().splitlines():
        *_, epoch, resumed = line.split(",")
        assert (int(epoch) > 1) == (resumed == "1")
    backend = st.LocalBackend(folder / "train.py")
    backend.set_path(str(experiment))
    first = backend.stdout(0)
    assert first[0] == "starting at epoch 0"
    assert parsed(first[1])["epoch"] == 1
    assert backend.stderr(0) == []


def test_a_script_is_tuned_by_a_model_of_all_rungs(folder):
    """By MOBSTER in two workers, with the next rung as an argument of the script."""
    (folder / "launch.py").write_text(ours(LAUNCH))
    run = [sys.executable, str(folder / "launch.py"), "MOBSTER", "promotion"]
    subprocess.run(run, check=True, timeout=120, capture_output=True)
    check_promotions(folder)


def test_a_program_that_is_killed_goes_on_without_training_an_epoch_again(folder):
    """By kill -9, in the middle of a trial; its script ends with it."""
    slow = (
        (folder / "train.py")
        .read_text()
        .replace("        with open(args.journal", "        time.sleep(0.1)\n        with open(args.journal")
    )
    (folder / "slow.py").write_text(slow)
    program = folder / "launch.py"
    launched = (
        ours(LAUNCH).replace("train.py", "slow.py").replace("max_num_trials_started=11", "max_num_trials_started=5")
    )
    program.write_text(launched.replace('tuner_name="height-tuning"', 'tuner_name="killed", suffix_tuner_name=False'))
    run = [sys.executable, str(program), "ASHA", "promotion"]
    journal = folder / "journal"
    with subprocess.Popen(run, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as first:
        until = time.monotonic() + 20
        while time.monotonic() < until and (not journal.exists() or len(journal.read_text().splitlines()) < 3):
            time.sleep(0.01)
        first.kill()
    n_before = len(load_experiment("killed").records)
    subprocess.run(run, check=True, timeout=120, capture_output=True)
    epochs = trained(folder)
    assert all(each == list(range(1, len(each) + 1)) for each in epochs.values())
    records = load_experiment("killed").records
    assert n_before < len(records) <= sum(map(len, epochs.values()))
    assert len(epochs) > 5


# A function, in the processes of the workers.

FUNCTION = """
    import sys
    from pathlib import Path

    from syne_tune import StoppingCriterion, Tuner
    from syne_tune.backend import PythonBackend
    from syne_tune.config_space import loguniform, randint
    from syne_tune.optimizer.schedulers import HyperbandScheduler


    def train_height(width, height, steps, journal):
        import time

        from syne_tune import Reporter

        reporter = Reporter()
        for step in range(steps):
            with open(journal, "a") as file:
                file.write(f"{width},{height!r},{step + 1},0\\n")
            time.sleep(0.02)
            reporter(epoch=step + 1, mean_loss=1.0 / (0.1 + width * (step + 1) / 100) + 0.1 * height)


    here = Path(__file__).parent
    config_space = {"steps": 9, "width": randint(1, 20), "height": loguniform(1, 100), "journal": str(here / "journal")}
    scheduler = HyperbandScheduler(
        config_space, searcher="random", metric="mean_loss", mode="min", resource_attr="epoch", max_t=9, random_seed=1
    )
    tuner = Tuner(
        PythonBackend(tune_function=train_height, config_space=config_space),
        scheduler,
        StoppingCriterion(max_num_trials_finished=13),
        n_workers=2,
        suffix_tuner_name=False,
        tuner_name="train-height",
    )
    tuner.run()
"""


def test_a_function_is_stopped_where_it_is_worse(folder):
    """Without a guard, as a script runs it; every trial is trained once, in order, and some are stopped at a rung."""
    program = folder / "launch.py"
    program.write_text(ours(FUNCTION))
    subprocess.run([sys.executable, str(program)], check=True, timeout=120, capture_output=True)
    epochs = trained(folder)
    assert all(each == list(range(1, len(each) + 1)) for each in epochs.values())
    run = Result.load(folder / "experiments" / "train-height" / "run.db")
    counts = run.counts()
    assert counts["STOPPED"] + counts["COMPLETE"] > 13
    assert counts["STOPPED"] >= 3
    stopped = [trial for trial in run if str(trial.state) == "STOPPED"]
    assert {trial.reached for trial in stopped} <= {1, 2, 3, 4}  # at the rungs 1 and 3, or one report later
    found = load_experiment("train-height")
    decisions = {r["trial_id"]: r["st_decision"] for r in found.records}  # the last of each trial
    assert all(decisions[trial.number] == "STOP" for trial in run if trial.perf is not None)
    assert found.metric_names() == ["mean_loss"]
    assert (found.metric_mode(), found.entrypoint_name()) == ("min", "train_height")


def function_tuner(function, space=None, scheduler=None, criterion=None, **options):
    """A tuner of a function of x in one worker."""
    space = space or {"x": cs.uniform(0, 1)}
    return st.Tuner(
        st.PythonBackend(function, space),
        scheduler or st.RandomSearch(space, metric="loss", random_seed=0),
        criterion or st.StoppingCriterion(max_num_trials_finished=3),
        n_workers=1,
        **options,
    )


def square(x):
    """Reports once."""
    Reporter()(loss=x**2, note="kept out", other=True)


def test_one_report_is_a_trial_and_every_number_is_kept(folder):
    """Without a resource reports count; flags are numbers, texts are left out; constants are in each record."""
    tuner = function_tuner(square, tuner_name="one", suffix_tuner_name=False)
    tuner.run()
    found = load_experiment("one")
    assert len(found.records) == 4
    for record in found.records:
        assert record["loss"] == pytest.approx(record["config_x"] ** 2)
        assert record["other"] == 1
        assert record["st_worker_iter"] == 0
        assert "note" not in record
    best = min(found.records, key=lambda record: record["loss"])
    assert tuner.best_config() == (best["trial_id"], {"x": best["config_x"]})
    assert found.best_config()["config_x"] == best["config_x"]
    frame = pytest.importorskip("pandas") and found.results
    assert list(frame["loss"]) == [record["loss"] for record in found.records]


def test_the_same_program_goes_on_with_a_search_of_the_same_name(folder):
    """What was found is kept, and the search goes on where it was; the constant is of the space, and passed on."""

    def named(x, tag):
        Reporter()(loss=x, n=len(tag))

    space = {"x": cs.uniform(0, 1), "tag": "abc"}
    for limit in (1, 4):
        scheduler = st.RandomSearch(space, metric="loss", random_seed=0)
        tuner = function_tuner(
            named,
            space,
            scheduler,
            st.StoppingCriterion(max_num_evaluations=limit),
            tuner_name="again",
            suffix_tuner_name=False,
        )
        tuner.run()
        records = load_experiment("again").records
    assert len(records) == 2 + 5
    assert {(record["config_tag"], record["n"]) for record in records} == {("abc", 3)}
    assert len({record["config_x"] for record in records}) == 7


def test_callbacks_hear_what_happens(folder):
    """Starts, resumes, results with their decisions, ends; a criterion may be any function of the status."""
    heard = []

    class Ear(TunerCallback):
        def on_tuning_start(self, tuner):
            heard.append(("begin", tuner.name))

        def on_start_trial(self, trial):
            heard.append(("start", trial.trial_id))

        def on_resume_trial(self, trial):
            heard.append(("resume", trial.trial_id))

        def on_trial_result(self, trial, status, result, decision):
            heard.append((decision, trial.trial_id, result["epoch"]))

        def on_trial_complete(self, trial, result):
            heard.append(("complete", trial.trial_id))

        def on_tuning_end(self):
            heard.append(("end",))

    kept = StoreResultsCallback(extra_results_composer=lambda tuner: {"tuner": tuner.name})

    def curve(x, epochs, st_checkpoint_dir):
        from pathlib import Path

        folder = Path(st_checkpoint_dir)
        start = len(list(folder.iterdir())) if folder.is_dir() else 0
        report = Reporter()
        for epoch in range(start + 1, epochs + 1):
            (folder / str(epoch)).mkdir(parents=True)
            report(epoch=epoch, loss=x + 1 / epoch)

    space = {"x": cs.uniform(0, 1), "epochs": 4}
    scheduler = st.ASHA(
        space, "loss", "epoch", max_resource_attr="epochs", type="promotion", reduction_factor=2, random_seed=0
    )
    tuner = function_tuner(
        curve,
        space,
        scheduler,
        lambda status: status.num_trials_completed >= 1,
        callbacks=[Ear(), kept],
        tuner_name="ear",
    )
    tuner.run()
    assert heard[:3] == [("begin", tuner.name), ("start", 0), ("PAUSE", 0, 1)]
    assert heard[-1] == ("end",)
    (complete,) = [event for event in heard if event[0] == "complete"]
    path = [event for event in heard if event[1:2] == complete[1:]]
    assert [event[0] for event in path] == [
        *("start", "PAUSE", "resume", "PAUSE", "resume", "CONTINUE", "STOP", "complete"),
    ]
    assert [event[2] for event in path if len(event) > 2] == [1, 2, 3, 4]
    assert tuner.tuning_status.num_trials_completed == 1
    told = [(event[0], event[1], event[2]) for event in heard if len(event) > 2]
    assert [(one["st_decision"], one["trial_id"], one["epoch"]) for one in kept.results] == told
    assert {(one["tuner"], one["config_epochs"] >= one["epoch"]) for one in kept.results} == {(tuner.name, True)}


def test_a_search_may_wait_for_what_runs(folder):
    """Once it is over nothing starts any more, and the trial that runs comes to its end."""

    def slow(x):
        import time

        report = Reporter()
        for _ in range(5):
            time.sleep(0.1)
            report(loss=x)

    criterion = st.StoppingCriterion(max_num_evaluations=1)
    tuner = function_tuner(slow, criterion=criterion, wait_trial_completion_when_stopping=True, tuner_name="wait")
    tuner.run()
    assert [str(trial.state) for trial in tuner.scheduler.hpo.result] == ["COMPLETE"]
    assert tuner.tuning_status.overall_metric_statistics.count == 5


def test_the_time_limit_ends_the_search(folder):
    """A function that never ends is ended with it; without a result there is no best."""

    def endless(x):
        import time

        time.sleep(600)

    tuner = function_tuner(endless, criterion=st.StoppingCriterion(max_wallclock_time=0.5), tuner_name="time")
    tuner.run()
    assert tuner.tuning_status.wallclock_time < 20
    with pytest.raises(NoResultError, match="nothing was reported as loss"):
        tuner.best_config()
