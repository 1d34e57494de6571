"""Checkpoint folders: those of trainings that go on no more are removed, and none that anybody needs."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import autohpo
from autohpo import ChoiceHP, RangeHP, build_hpo_from_name
from autohpo.errors import OptionError

SPACE = [RangeHP("x", 0.0, 1.0)]


def saves(hps, trial):
    """A training that goes on from its checkpoint, and says how much it had to train."""
    path, start = trial.checkpoint_dir / "epoch", 0
    if path.exists():
        start = int(path.read_text())
        trial.resume_at(start)
    for epoch in range(start, 27):
        path.write_text(str(epoch + 1))
        if not trial.report(hps["x"] * (epoch + 1)):
            break
    return {"perf": hps["x"] * trial.reports[-1][0], "began": start}


def search(name="bohb", f=saves, n=60, seed=0, options=None, **how):
    """A search that is over."""
    given = {"max_fidelity": 27} if name in ("bohb", "asha", "hyperband") else {}
    hpo = build_hpo_from_name(name, SPACE, f, mode={"perf": "max"}, max_evals=n, seed=seed, **given, **(options or {}))
    hpo.optimize(progress=False, **how)
    return hpo


def roots(hpo):
    """The trainings that have a folder."""
    return {int(path.name.split("-")[1]) for path in hpo.result.files.glob("trial-*")}


def root_of(hpo, number):
    """The first trial of a training."""
    trial = hpo.result.trials[number]
    return number if trial.resume is None else root_of(hpo, trial.resume)


@pytest.mark.parametrize("name", ["bohb", "asha"])
@pytest.mark.parametrize("num_workers", [1, 2])
def test_the_best_and_those_that_may_go_on_are_all_that_stays(name, num_workers, tmp_path):
    """In process and with workers; and whoever went on did so from where it stood."""
    hpo = search(name, store=tmp_path / "run.db", num_workers=num_workers)
    needed = {root_of(hpo, number) for number in (*hpo.resumable, hpo.result.best.number)}
    assert roots(hpo) == needed
    best = hpo.result.best
    assert (hpo.result.checkpoint_dir(best.number) / "epoch").read_text() == str(int(best.fidelity))
    gone = [trial.number for trial in hpo.result.trials if root_of(hpo, trial.number) not in needed]
    assert gone or name == "asha"  # that may promote any trial later on
    assert not any(map(hpo.result.checkpoint_dir, gone))
    for trial in hpo.result.trials:
        if trial.resume is not None:
            assert trial.metrics["began"] == hpo.result.trials[trial.resume].fidelity


def test_a_search_without_a_store_keeps_no_more(tmp_path):
    """Its temporary folder would fill up just as well."""
    hpo = search()
    assert roots(hpo) == {root_of(hpo, number) for number in (*hpo.resumable, hpo.result.best.number)}


def test_one_who_wants_all_checkpoints_or_one_gets_them():
    """With "all" everything stays, with "best" one folder in the end, under any algorithm."""
    assert len(roots(search(keep_checkpoints="all"))) == len(
        [trial for trial in search().result.trials if trial.resume is None]
    )
    for name in ("bohb", "random"):
        hpo = search(name, n=20, keep_checkpoints="best")
        assert roots(hpo) == {root_of(hpo, hpo.result.best.number)}
    with pytest.raises(OptionError, match="keep_checkpoints: must be one of live, best, all, got True"):
        search(keep_checkpoints=True)


def test_an_algorithm_that_never_lets_go_keeps_the_folders_of_all_its_trials():
    """What a plain search saves in them is the user's."""
    assert roots(search("random", n=6)) == set(range(6))


def test_the_front_of_several_objectives_stays():
    """Each trial of it is a best one."""

    def f(hps, trial):
        (trial.checkpoint_dir / "model").touch()
        return {"a": hps["x"], "b": -hps["x"] * (hps["c"] == 1)}

    space = [RangeHP("x", 0.0, 1.0), ChoiceHP("c", [0, 1])]
    hpo = build_hpo_from_name("random", space, f, mode={"a": "max", "b": "max"}, max_evals=20, seed=0)
    hpo.optimize(progress=False, keep_checkpoints="best")
    assert roots(hpo) == {trial.number for trial in hpo.result.pareto}


def test_copies_of_trainings_find_what_they_are_copied_from(tmp_path):
    """Population based training forks from folders, of which only those of the population stay."""

    def f(hps, trial):
        path = trial.checkpoint_dir / "epoch"
        start = int(path.read_text()) if path.exists() else 0
        trial.resume_at(start)
        path.write_text(str(int(trial.fidelity)))
        trial.report(hps["x"], trial.fidelity)
        return {"perf": hps["x"], "began": start}

    options = {"population_size": 4, "max_fidelity": 8, "interval": 1}
    hpo = search("pbt", f, n=32, options=options, store=tmp_path / "run.db")
    forks = [trial for trial in hpo.result.trials if trial.fork is not None]
    assert forks
    for trial in forks:
        assert trial.metrics["began"] == hpo.result.trials[trial.fork].fidelity
    assert len(roots(hpo)) <= 5


PROGRAM = """
import os, sys
sys.path.insert(0, sys.argv[1])
from autohpo import RangeHP, build_hpo_from_name
from test_checkpoints import saves

def f(hps, trial):
    if trial.number == int(sys.argv[2]):
        os.kill(os.getpid(), 9)
    return saves(hps, trial)

hpo = build_hpo_from_name(
    "bohb", [RangeHP("x", 0.0, 1.0)], f, mode={"perf": "max"}, max_evals=60, seed=0, max_fidelity=27
)
hpo.optimize(progress=False, store="run.db")
"""


def test_what_a_killed_search_has_left_over_goes_when_it_is_resumed(tmp_path):
    """Half a removal and half a copy, too; the folders are then those of a search that was never killed."""
    (tmp_path / "program.py").write_text(PROGRAM)
    environment = dict(os.environ, PYTHONPATH=str(Path(autohpo.__file__).parents[1]))
    here = str(Path(__file__).parent)

    def run(deadly):
        command = [sys.executable, "program.py", here, str(deadly)]
        return subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, check=False).returncode

    assert run(50) == -signal.SIGKILL
    files = tmp_path / "run.db.files"
    for name in ("trial-3.removed", "trial-90.partial", "trial-200", "my-notes"):
        (files / name).mkdir()
    gone = next(number for number in range(50) if not (files / f"trial-{number}").exists())
    (files / f"trial-{gone}").mkdir()  # it was about to be removed
    assert run(-1) == 0
    whole = search(store=tmp_path / "whole.db")
    left = {path.name for path in files.iterdir()} - {"logs"}
    assert left == {f"trial-{root}" for root in roots(whole)} | {"my-notes"}


@pytest.mark.parametrize("number", [2, -3, "0", None])
def test_a_number_that_no_trial_has_is_an_error(number):
    """Also for -3, which Python would take for the third from the end: confirming trials have numbers below 0."""
    hpo = build_hpo_from_name("random", [RangeHP("x", 0.0, 1.0)], lambda hps: hps["x"], max_evals=2, seed=0)
    hpo.optimize(confirm=1, progress=False)
    assert hpo.result.checkpoint_dir(-1) is None
    for use in (hpo.result.checkpoint_dir, hpo.result.why):
        with pytest.raises(OptionError, match="number: must be that of a trial, below 2"):
            use(number)
