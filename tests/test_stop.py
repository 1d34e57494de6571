"""``hpo.stop()``, the end of a space, trials that never started, and what the last lines say."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest

from autohpo import NoResultError, RangeHP, Result, build_hpo_from_name

SPACE = [RangeHP("x", 0.0, 1.0)]


def test_stop_ends_a_search_from_another_thread(capsys):
    """Its trial is told so at its next report, and optimize returns what was found."""

    def f(hps, trial):
        if trial.number == 1:
            threading.Thread(target=hpo.stop).start()
            while trial.report(1.0, fidelity=1.0):
                time.sleep(0.01)
        return hps["x"]

    hpo = build_hpo_from_name("random", SPACE, f, max_evals=50, seed=0)
    best_hp, best_perf = hpo.optimize(progress="plain")
    assert best_hp["x"] == best_perf
    assert hpo.result.counts() == {"COMPLETE": 1, "CANCELLED": 1}
    assert capsys.readouterr().err.splitlines()[-1] == "autohpo: stopped"


def test_stop_from_the_objective_lets_it_end():
    """The search goes on where it is asked to again."""

    def f(hps, trial):
        if trial.number == 2:
            hpo.stop()
        return hps["x"]

    hpo = build_hpo_from_name("random", SPACE, f, max_evals=5, seed=0)
    hpo.optimize(progress=False)
    assert hpo.result.counts() == {"COMPLETE": 3}
    hpo.optimize(progress=False)
    assert hpo.result.counts() == {"COMPLETE": 5}


def test_stop_waits_for_workers_no_longer_than_the_grace():
    """What does not end by then is cancelled."""
    hpo = build_hpo_from_name("random", SPACE, lambda hps, trial: trial.number or time.sleep(60), max_evals=50, seed=0)
    timer = threading.Timer(1.0, hpo.stop)
    timer.start()
    began = time.monotonic()
    hpo.optimize(num_workers=2, grace_seconds=0.2, progress=False)
    assert time.monotonic() - began < 10
    timer.join()
    assert hpo.result.trials[0].state.value == "CANCELLED"


def test_stop_without_a_search_does_nothing():
    """Neither before nor after."""
    hpo = build_hpo_from_name("random", SPACE, lambda hps: hps["x"], max_evals=3, seed=0)
    hpo.stop()
    hpo.optimize(progress=False)
    hpo.stop()
    assert hpo.result.counts() == {"COMPLETE": 3}


def test_stop_reaches_the_search_for_a_trainer():
    """It runs with an optimizer of its own."""

    class Trainer:
        n = 0

        def duplicate_from_hyper_parameter(self, hp, model=None):
            twin = Trainer()
            twin.hp = hp
            return twin

        def train(self, dataset, keep_valid_result=True):
            Trainer.n += 1
            if Trainer.n == 2:
                hpo.stop()

        def get_valid_score(self, return_major=True):
            return self.hp["x"], True

    hpo = build_hpo_from_name("random", SPACE, max_evals=20, seed=0)
    hpo.optimize(Trainer(), None, progress=False)
    assert hpo.result.counts() == {"COMPLETE": 2}


def test_stop_before_any_result_is_the_error_of_every_search_without_one():
    """There is no best configuration to return."""
    hpo = build_hpo_from_name("random", SPACE, lambda hps: hpo.stop(), max_evals=20, seed=0)
    with pytest.raises(NoResultError):
        hpo.optimize(progress=False, continue_on_error=True)


def test_a_space_that_is_used_up_ends_the_search_with_a_word(capsys):
    """In place of a time that is left."""
    f = lambda hps: hps["dropout"]
    build_hpo_from_name("tpe", [RangeHP("dropout", 0, 1)], f, max_evals=50, seed=0).optimize(progress="plain")
    *_, line, last = capsys.readouterr().err.splitlines()
    assert last == "autohpo: ended early: all 2 configurations were suggested"
    assert "left" not in line


@pytest.mark.filterwarnings("ignore:store. .*begun with something else")  # a quick function takes over
def test_trials_that_were_never_started_are_cancelled_at_the_end(tmp_path):
    """A suggestion made ahead; the next run starts it."""

    def f(hps, trial):
        time.sleep(60 if trial.number else 0)
        return 1.0

    how: dict[str, Any] = {"num_workers": 2, "ask_ahead": True, "store": tmp_path / "run.db", "progress": False}
    hpo = build_hpo_from_name("random", SPACE, f, max_evals=8, seed=0)
    hpo.optimize(time_limit=1.5, grace_seconds=0, **how)
    assert hpo.result.counts() == {"COMPLETE": 1, "CANCELLED": len(hpo.result) - 1}
    assert [trial.attempt for trial in hpo.result][-1] == 0
    assert Result.load(tmp_path / "run.db").counts() == hpo.result.counts()
    again = build_hpo_from_name("random", SPACE, lambda hps, trial: 1.0, max_evals=8, seed=0)
    again.optimize(store=tmp_path / "run.db", progress=False)
    assert again.result.counts() == {"COMPLETE": 8}


def test_the_first_failure_of_each_kind_is_named_once(capsys):
    """And the last line counts each kind by its name."""

    def f(hps, trial):
        if trial.number in (1, 2):
            raise ValueError("lr is too high")
        return None if trial.number == 3 else 1.0

    build_hpo_from_name("random", SPACE, f, max_evals=6, seed=0).optimize(progress="plain")
    first, second, last = capsys.readouterr().err.splitlines()
    assert first == "autohpo: trial 1 failed: ValueError: lr is too high"
    assert second.startswith("autohpo: trial 3 invalid: InvalidPerfError: the objective's result must be one number")
    assert "2 failed, 1 invalid" in last


def test_the_best_of_several_fidelities_says_how_far_it_was_trained(capsys):
    """A longer training displaces a shorter one that looked better."""

    def f(hps):
        yield from (3.0, 2.0, 1.0)

    hpo = build_hpo_from_name("hyperband", SPACE, f, max_evals=12, seed=0, max_fidelity=3, min_fidelity=1)
    hpo.optimize(progress="plain")
    assert "best 1 at 3" in capsys.readouterr().err


def test_a_result_can_be_read_while_the_search_runs():
    """From another thread, with no error in either."""
    faults = []

    def read():
        while not is_over.is_set():
            try:
                (hpo.n_told, hpo.n_asked, len(hpo.trials), hpo.running)
                if hpo.n_told:
                    hpo.best()
            except Exception as fault:
                faults.append(fault)

    is_over = threading.Event()
    hpo = build_hpo_from_name("random", SPACE, lambda hps: hps["x"], max_evals=400, seed=0)
    thread = threading.Thread(target=read)
    thread.start()
    hpo.optimize(progress=False)
    is_over.set()
    thread.join()
    assert faults == []
