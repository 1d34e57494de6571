"""PBT with real trainings: what a copy was trained with before is in its result, also after kill -9."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from autohpo import LogRangeHP, OptionError, RangeHP, Result, build_hpo_from_name
from autohpo.algorithms.pbt import PBT
from autohpo.errors import SuggestionError

SPACE = [RangeHP("lr", 0.0, 1.0)]
OPTIONS = {"population_size": 4, "interval": 2, "max_fidelity": 9, "seed": 0}
SRC = Path(__file__).parents[2]


def train(hps, trial):
    """Adds the learning rate once each epoch: the result tells every rate that the training ever had."""
    saved = trial.checkpoint_dir / "state.json"
    epoch, total = json.loads(saved.read_text()) if saved.exists() else (0, 0.0)
    if epoch:  # a copy, a promotion, or another attempt: what is known comes first
        trial.resume_at(epoch - 1)
        yield total
    while True:
        epoch, total = epoch + 1, total + hps["lr"]
        partial = saved.with_suffix(".partial")
        partial.write_text(json.dumps([epoch, total]))
        partial.replace(saved)
        yield total


def train_and_report(hps, trial):
    """The same training as a function that reports."""
    for total in train(hps, trial):
        if not trial.report(total):
            break


def expected(trials):
    """What each trial must have come to, by the log: rate times epochs, along resumes and forks."""
    found = []
    for trial in trials:
        parent = trial.resume if trial.fork is None else trial.fork
        before, start = (0.0, 0.0) if parent is None else (found[parent], trials[parent].fidelity)
        found.append(before + trial.hp["lr"] * (trial.fidelity - start))
    return found


def check(result, n_members=4):
    """Every trial has the result that its history of rates makes; there were copies; all were trained in full."""
    trials = list(result)
    assert [trial.perf for trial in trials] == pytest.approx(expected(trials))
    assert sum(trial.fork is not None for trial in trials) >= 2
    members = {trial.info["member"]: trial.fidelity for trial in trials}
    assert members == dict.fromkeys(range(n_members), 9)


@pytest.mark.parametrize("objective", [train, train_and_report])
@pytest.mark.parametrize("num_workers", [1, 2])
def test_copies_go_on_from_the_state_of_the_copied(tmp_path, objective, num_workers):
    """Generators and functions that report, in this process and in two workers."""
    hpo = build_hpo_from_name("pbt", SPACE, objective, **OPTIONS)
    hpo.optimize(num_workers=num_workers, store=tmp_path / "run.db", progress=False)
    check(hpo.result)
    best = hpo.result.best
    assert best.fidelity == 9
    assert best.perf == max(trial.perf for trial in hpo.result)


def test_it_learns_a_rate_that_few_of_the_first_had():
    """More is better here: half of the copies of the best one are a tenth better still, until there is no more."""
    first, last = [], []
    for seed in range(5):
        hpo = build_hpo_from_name("pbt", SPACE, train, **{**OPTIONS, "max_fidelity": 40, "seed": seed})
        hpo.optimize(progress=False)
        first.append(max(trial.hp["lr"] for trial in hpo.result if trial.info["rung"] == 0))
        last.append(hpo.result.best.hp["lr"])
    assert sum(last) / 5 > sum(first) / 5 + 0.1


@pytest.mark.filterwarnings("ignore:store. .*begun with something else")  # by a function that cuts itself off
def test_a_search_goes_on_where_it_was_left(tmp_path):
    """Cut at every number of trials: the events are those of a search that was never cut, but for times."""
    whole = build_hpo_from_name("pbt", SPACE, train, **OPTIONS)
    whole.optimize(store=tmp_path / "whole.db", progress=False)
    for n in (3, 6, 9, 13):
        path = tmp_path / f"{n}.db"

        def cut(hps, trial, n=n):
            for total in train(hps, trial):
                if trial.number == n and trial.attempt == 1:
                    raise KeyboardInterrupt
                yield total

        with pytest.raises(KeyboardInterrupt):
            build_hpo_from_name("pbt", SPACE, cut, **OPTIONS).optimize(store=path, progress=False)
        again = build_hpo_from_name("pbt", SPACE, train, **OPTIONS)
        again.optimize(store=path, progress=False)
        assert [t.suggestion for t in again.result] == [t.suggestion for t in whole.result]
        assert [(t.perf, t.fork, t.info) for t in again.result] == [(t.perf, t.fork, t.info) for t in whole.result]


@pytest.mark.parametrize("num_workers", [1, 2])
def test_kill_and_resume_lose_and_mix_nothing(tmp_path, num_workers):
    """Killed with signal 9 three times on its way, each time somewhere else; then the same command ends it."""
    script = tmp_path / "search.py"
    script.write_text(
        textwrap.dedent(f"""
        import sys, time
        sys.path.insert(0, {str(Path(__file__).parent)!r})
        from test_pbt import OPTIONS, SPACE, train
        from autohpo import build_hpo_from_name

        def slowly(hps, trial):
            for total in train(hps, trial):
                time.sleep(0.03)
                yield total

        hpo = build_hpo_from_name("pbt", SPACE, slowly, **OPTIONS)
        hpo.optimize(num_workers={num_workers}, store={str(tmp_path / "run.db")!r}, progress=False)
        """)
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(SRC), os.environ.get("PYTHONPATH", "")])}
    for n_trials in (3, 6, 10):
        child = subprocess.Popen([sys.executable, str(script)], env=environment)
        while child.poll() is None and n_ended(tmp_path / "run.db") < n_trials:
            time.sleep(0.02)
        child.send_signal(signal.SIGKILL)
        assert child.wait() == -signal.SIGKILL
    subprocess.run([sys.executable, str(script)], env=environment, check=True, timeout=120)
    check(Result.load(tmp_path / "run.db"))


def n_ended(path):
    """How many trials of a store have a result."""
    try:
        return sum(trial.perf is not None for trial in Result.load(path))
    except Exception:  # it is not there yet
        return 0


def test_a_generator_that_does_not_ask_for_its_trial_is_refused():
    """It could never load the state of another training: the error says what to ask for and what to do."""

    def forgetful(hps):
        yield hps["lr"]

    hpo = build_hpo_from_name("pbt", SPACE, forgetful, **OPTIONS)
    with pytest.raises(OptionError, match="pbt starts trainings from copies of others, so f must ask for `trial`"):
        hpo.optimize(progress=False)


def test_an_objective_that_saves_nothing_is_told_so_at_the_first_copy():
    """Four trials and their results are kept; the copy has nothing to start from."""

    def careless(hps, trial):
        while True:
            yield hps["lr"]

    hpo = build_hpo_from_name("pbt", SPACE, careless, **OPTIONS)
    with pytest.raises(OptionError, match="which left no checkpoint; the objective must save its state"):
        hpo.optimize(progress=False)
    assert len([trial for trial in hpo.result if trial.perf is not None]) == 4


def test_without_fidelity_the_population_is_evaluated_in_full():
    """As many full evaluations as there are members, and a warning."""
    hpo = build_hpo_from_name("pbt", SPACE, lambda hps: hps["lr"], **OPTIONS)
    with pytest.warns(UserWarning, match="takes no fidelity"):
        hpo.optimize(progress=False)
    assert [trial.fidelity for trial in hpo.result] == [None] * 4


def test_points_are_the_first_of_the_population():
    """More than fit are never tried: a copy is no place for them."""
    points = [{"lr": n / 10} for n in range(6)]
    hpo = build_hpo_from_name("pbt", SPACE, train, points=points, **OPTIONS)
    hpo.optimize(progress=False)
    trials = list(hpo.result)
    assert [trial.hp for trial in trials[:4]] == points[:4]
    assert [trial.number for trial in trials if "point" in trial.info] == [0, 1, 2, 3]
    check(hpo.result)


def test_the_result_says_who_was_replaced_and_why():
    """The worst of four at the first step; the others were trained on; the last have everything."""
    hpo = build_hpo_from_name("pbt", SPACE, train, **OPTIONS)
    hpo.optimize(progress=False)
    result = hpo.result
    copy = next(trial for trial in result if trial.fork is not None)
    worst = copy.info["replaces"]
    text = f"trial {worst} was rank 4 of 4 at fidelity 2; replaced by trial {copy.number}, a copy of trial {copy.fork}"
    assert result.why(worst) == text
    best = max(list(result)[:4], key=lambda trial: trial.perf)
    later = next(trial for trial in result if trial.resume == best.number)
    assert result.why(best.number) == f"rank 1 of 4 at fidelity 2: trained on to 4; went on as trial {later.number}"
    assert result.why(result.best.number).startswith("rank 1 of ")
    assert result.why(result.best.number).endswith(" at fidelity 9: it had everything")


def test_copies_keep_to_the_space():
    """On a log scale, where a step is a factor."""
    hpo = PBT([LogRangeHP("lr", 1e-4, 1e-1)], population_size=4, interval=1, max_fidelity=3, seed=1)
    for _ in range(12):
        asked = hpo.ask()
        hpo.tell(asked, asked["lr"])
        if asked.fork is not None:
            parent = hpo.history[asked.fork].hp["lr"]
            assert asked["lr"] / parent == pytest.approx(10**0.3) or asked["lr"] / parent == pytest.approx(10**-0.3)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"population_size": 1}, "population_size: must be at least 2, got 1"),
        ({"interval": 0.0}, "interval: must be positive, got 0.0"),
        ({"interval": 9.0, "max_fidelity": 3.0}, "max_fidelity: must be finite and at least the interval, got 3.0"),
        ({"quantile": 0.0625}, "quantile: must be above 0.5 / population_size, got 0.0625"),
        ({"quantile": 0.6}, "quantile: must be at most a half, got 0.6"),
        ({"perturbation": 1.0}, "perturbation: must be above 0 and below 1, got 1.0"),
        ({"resample_probability": -0.1}, "resample_probability: must be from 0 to 1, got -0.1"),
    ],
)
def test_wrong_options_are_refused(options, message):
    """The text names argument, rule and value."""
    with pytest.raises(OptionError) as caught:
        PBT(SPACE, **options)
    assert str(caught.value) == message


def test_a_fork_needs_a_paused_trial():
    """What the scheduler keeps to, ask itself demands of every algorithm."""

    class Hasty(PBT):
        def _get_suggestion(self, pid):
            made = super()._get_suggestion(pid)
            if self.number == 1:
                made.fork = 0
            return made

    hpo = Hasty(SPACE, **OPTIONS)
    hpo.ask()
    with pytest.raises(SuggestionError, match="fork: trial 0 is still running"):
        hpo.ask()
