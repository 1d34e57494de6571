"""Which trial is tried again, and when: those that may be what ended earlier drivers."""

from __future__ import annotations

import os
import threading
from typing import Any

import pytest

from autohpo import RangeHP, Search, TrialState, build_hpo_from_name

SPACE = [RangeHP("x", 0.0, 1.0)]


def optimizer(f):
    """Of the run whose drivers died."""
    return build_hpo_from_name("random", SPACE, f, max_evals=4, seed=0)


@pytest.fixture
def path(tmp_path):
    """A store whose drivers died twice in trial 0."""
    with Search(optimizer(None), tmp_path / "run.db") as search:
        search.propose()
        search.start(0, 0)
        search.interrupt(0, 1, TrialState.LOST, "the driver died")
        search.start(0, 0)
    return tmp_path / "run.db"


def test_a_trial_that_ended_two_drivers_is_tried_in_a_worker(path):
    """With a word on it; where nobody chose where trials run."""
    here = os.getpid()
    hpo = optimizer(lambda hps: float(os.getpid() != here))
    with pytest.warns(RuntimeWarning, match="trial 0 was running each of the 2 times .* in a worker process now"):
        hpo.optimize(store=path, progress=False)
    assert [(trial.perf, trial.attempt) for trial in hpo.result] == [(1.0, 3), (1.0, 1), (1.0, 1), (1.0, 1)]


@pytest.mark.parametrize("how", [{"executor": "serial"}, {}])
def test_in_this_process_it_is_tried_after_all_others(path, how):
    """Where the user chose so, or the objective cannot be sent to a worker."""
    lock = threading.Lock()  # cannot be pickled
    order = []

    def f(hps: dict[str, Any], trial: Any) -> float:
        with lock:
            order.append(trial.number)
        return 1.0

    optimizer(f).optimize(store=path, progress=False, **how)
    assert order == [1, 2, 3, 0]


def test_a_trial_that_was_lost_once_is_tried_first(tmp_path):
    """A machine dies now and then: the continued run equals one that was never interrupted."""
    with Search(optimizer(None), tmp_path / "run.db") as search:
        search.propose()
        search.start(0, 0)
    order = []
    optimizer(lambda hps, trial: order.append(trial.number) or 1.0).optimize(store=tmp_path / "run.db", progress=False)
    assert order == [0, 1, 2, 3]


def test_a_trial_that_was_lost_three_times_is_given_up(path):
    """It is CRASHED, with advice, and is not run again."""
    with Search(optimizer(None), path) as search:
        search.interrupt(0, 2, TrialState.LOST, "the driver died")
        search.start(0, 0)
    order = []
    hpo = optimizer(lambda hps, trial: order.append(trial.number) or 1.0)
    hpo.optimize(store=path, progress=False)
    assert order == [1, 2, 3]
    assert hpo.result.trials[0].state is TrialState.CRASHED
    assert "lost 3 times" in hpo.result.trials[0].error
