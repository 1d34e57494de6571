"""Searches on dask: reports, stops, pauses and limits are those of our own slots."""

from __future__ import annotations

import logging
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # pytest imports test files by their path alone

from clusters import Recorded, cluster_in_threads, driven, end_of, ready, submit

from autohpo import RangeHP, build_hpo_from_name
from autohpo.testing import wrong_states
from autohpo.trial import TrialState

SPACE = [RangeHP("x", 0.0, 1.0)]


@pytest.fixture(scope="module")
def cluster():
    """One cluster for all."""
    with cluster_in_threads(2) as cluster:
        yield cluster


def stepping():
    """Return an objective that can be paused; it is pickled by value, so that workers need not import this file."""

    def steps(hps):
        for step in range(1, 28):
            yield hps["x"] * (1 - 0.5**step)

    return steps


@pytest.mark.parametrize(
    ("name", "options"), [("random", {}), ("bohb", {"max_fidelity": 9}), ("asha", {"max_fidelity": 9})]
)
def test_every_state_is_right_after_a_search(cluster, name, options, tmp_path):
    """Each trial ended once, with the outcome that its executor delivered."""
    hpo = build_hpo_from_name(name, SPACE, stepping(), max_evals=20, seed=0, **options)
    executor = Recorded(cluster, n_slots=2)
    hpo.optimize(executor=executor, store=tmp_path / "run.db", progress=False)
    assert wrong_states(hpo, executor.delivered) == []
    assert sum(trial.outcome.state is TrialState.COMPLETE for trial in hpo.trials) >= 5


def test_a_training_is_continued_where_it_was_paused(cluster, tmp_path):
    """In the same process, with what it has in memory."""

    def trains(hps):
        import os

        for _ in range(1, 10):
            yield float(os.getpid())

    hpo = build_hpo_from_name("bohb", SPACE, trains, max_evals=12, seed=0, max_fidelity=9, eta=3)
    hpo.optimize(executor=Recorded(cluster, n_slots=1), store=tmp_path / "run.db", progress=False)
    resumed = [trial for trial in hpo.trials if trial.resume is not None]
    pids = {trial.number: trial.outcome.perfs for trial in hpo.trials}
    assert resumed
    assert all(pids[trial.number] == pids[trial.resume] for trial in resumed)


def test_a_report_is_heard_while_its_trial_runs_and_a_stop_ends_it(cluster):
    """A function that would report for a minute ends at the next report."""

    def reports(hps, trial):
        import time

        for _ in range(6000):
            if not trial.report(hps["x"]):
                return hps["x"]
            time.sleep(0.01)
        return 0.0

    heard = []
    with driven(Recorded(cluster), reports, lambda event: heard.append(event) or len(heard) < 3) as executor:
        submit(executor, ready(executor)[0], 0, x=0.25)
        assert end_of(executor, 0).outcome.perfs == (0.25,)
    assert 3 <= len(heard) < 6000


def test_limits_of_time_are_those_of_our_slot(cluster):
    """Killed at the limit, and not by dask."""

    def waits(hps):
        import time

        time.sleep(60)

    with driven(Recorded(cluster, trial_time_limit=0.3), waits) as executor:
        submit(executor, ready(executor)[0], 0, x=0.25)
        assert end_of(executor, 0).outcome.state is TrialState.TIMEOUT


def test_no_secret_is_logged(cluster, tmp_path, caplog):
    """Neither what the objective holds nor where it fails, in what dask and we log."""
    canary = "canary-" + "5f1e"

    def fails(hps, secret=canary):
        raise ValueError("no")

    caplog.set_level(logging.DEBUG)
    hpo = build_hpo_from_name("random", SPACE, fails, max_evals=2, seed=0)
    with pytest.raises(Exception, match="no"):
        hpo.optimize(executor=Recorded(cluster), store=tmp_path / "run.db", progress=False)
    assert canary not in caplog.text
    assert canary not in str([cluster.get_logs(), *cluster.scheduler.get_events().values()])
