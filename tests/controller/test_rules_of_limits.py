"""Rules 1 to 5 of the controller, each test named after its rule: limits, and jobs without a result."""

from __future__ import annotations

import sys
import time
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parent))

from shared import controller, ran, sleepy, squared, stubborn

from autohpo import NoResultError
from autohpo.controller import OptimizerBOHB
from autohpo.trial import TrialState

TRAINED = [0]
"""How many iterations were really trained; no part of the objective, which is the same in each process."""


class Trained:
    """An objective that counts the iterations it really trains; some of its jobs fail on their way."""

    def __init__(self, fails=0.0):
        self.fails = fails

    def __call__(self, hps, trial):
        rng = np.random.default_rng([trial.seed, trial.number])
        for epoch in range(1, 10_000):
            TRAINED[0] += 1
            if rng.random() < self.fails:
                raise RuntimeError("diverged")
            if not trial.report({"accuracy": hps["General/x"] * epoch, "loss": 1 / epoch}, epoch):
                return


@pytest.fixture(autouse=True)
def _nothing_trained():
    TRAINED[0] = 0


@pytest.mark.parametrize(("least", "most", "n", "cap"), [(10, 30, 10, 300), (1, 81, 10, 810), (10, 1000, 20, 20_000)])
def test_rule_1_the_cap_on_iterations_is_hard(least, most, n, cap):
    """BOHB as the reference page has it, whose own code overruns each of these caps two to four times."""
    made = ran(Trained(), OptimizerBOHB, min_iteration_per_job=least, max_iteration_per_job=most, total_max_jobs=n)
    assert cap / 2 < TRAINED[0] <= cap
    budget = made.budget.to_dict()
    assert budget["iterations"]["limit"] == cap
    assert budget["iterations"]["used"] <= cap
    assert budget["jobs"] == {"limit": None, "used": len(made.get_created_jobs_ids())}


def test_rule_1_the_cap_is_hard_also_with_the_iterations_that_an_algorithm_has_by_default():
    """81 of them a job."""
    made = ran(Trained(), OptimizerBOHB, total_max_jobs=2)
    assert 81 < TRAINED[0] <= 162
    assert made.budget.to_dict()["iterations"]["limit"] == 162


@settings(max_examples=12, deadline=None, phases=[Phase.explicit, Phase.generate])
@given(data=st.data())
def test_rule_1_the_cap_is_hard_over_schedules_failures_and_resumes(data, tmp_path_factory):
    """Counted by the objective itself, over all processes that shared a store."""
    least, most = sorted((data.draw(st.integers(1, 9)), data.draw(st.integers(2, 27))))
    n, algorithm = data.draw(st.integers(1, 5)), data.draw(st.sampled_from(["bohb", "asha", "random", "dyhpo"]))
    f, store = Trained(data.draw(st.sampled_from([0.0, 0.05]))), tmp_path_factory.mktemp("run") / "run.db"
    TRAINED[0] = 0
    limits = {"min_iteration_per_job": least, "max_iteration_per_job": most, "total_max_jobs": n}
    for _ in range(3):
        made = controller(f, algorithm, **limits, store=store, max_consecutive_failures=None)
        left = [data.draw(st.integers(1, 6))]

        def stop(*_, left=left, made=made):
            left[0] -= 1
            if not left[0]:
                made.stop(wait_for_reporter=False)

        made.start(stop)
        try:
            assert made.wait(1.0)
        except NoResultError:  # every job failed
            break
    assert TRAINED[0] <= n * most


def test_rule_2_a_rung_ends_exactly_at_its_report_and_a_promoted_job_goes_on():
    """No iteration beyond a rung is trained; what a promotion adds is all that it costs."""
    trained = []

    def f(hps):
        epoch = 0
        while True:
            epoch += 1
            trained.append((hps["General/x"], epoch))
            yield {"accuracy": hps["General/x"]}

    made = ran(f, "hyperband", min_iteration_per_job=1, max_iteration_per_job=9, total_max_jobs=4)
    assert len(trained) == len(set(trained))  # nothing twice: promoted jobs go on
    ends = {x: max(epoch for y, epoch in trained if y == x) for x, _ in trained}
    reached = {}
    for trial in made.get_optimizer().result:
        if trial.perf is not None:
            reached[trial.hp["General/x"]] = max(reached.get(trial.hp["General/x"], 0), trial.fidelity)
    assert ends == reached
    assert len(set(reached.values())) > 1  # several rungs


@pytest.mark.parametrize("algorithm", ["bohb", "random"])
def test_rule_3_the_time_limit_of_a_job_acts(algorithm):
    """Under BOHB too; the last value stays in the record."""
    limits = {"time_limit_per_job": 0.5 / 60, "total_max_jobs": 2, "max_iteration_per_job": 9}
    made = controller(stubborn, algorithm, queue="local", num_concurrent_workers=2, **limits)
    made.start()
    with pytest.raises(NoResultError, match="TIMEOUT"):
        made.wait(1.0)
    ended = [trial for trial in made.get_optimizer().result if trial.state is not TrialState.CANCELLED]
    assert {trial.state for trial in ended} == {TrialState.TIMEOUT}
    jobs = list(made.get_created_jobs_tasks().values())
    for trial in ended:
        assert jobs[trial.number].is_failed()
        assert jobs[trial.number].get_metric("validation", "accuracy") == trial.hp["General/x"]


@pytest.mark.parametrize("algorithm", ["bohb", "tpe"])
def test_rule_3_the_time_limit_of_the_search_acts(algorithm):
    """It ends inside jobs that run."""
    made = controller(sleepy, algorithm, queue="local", num_concurrent_workers=2, optimization_time_limit=1 / 60)
    made.start()
    assert made.wait(1.0)
    assert made.reached_time_limit()
    assert made.elapsed() < 0.5


def test_rule_3_a_time_limit_that_is_set_while_it_runs_acts():
    """As the user's page sets it, after the start; the first one is far away."""
    made = controller(sleepy, queue="local", num_concurrent_workers=1, optimization_time_limit=100.0)
    made.start()
    while not made.get_running_jobs():
        time.sleep(0.01)
    assert not made.reached_time_limit()
    made.set_time_limit(in_minutes=0.5 / 60)
    assert made.wait(1.0)
    assert made.reached_time_limit()
    assert made.elapsed() < 1


@pytest.mark.parametrize("algorithm", ["bohb", "random"])
def test_rule_3_the_limit_of_compute_time_acts(algorithm):
    """It is the sum over jobs."""
    made = controller(sleepy, algorithm, queue="local", num_concurrent_workers=2, compute_time_limit=1 / 60)
    made.start()
    assert made.wait(1.0)
    used = made.budget.to_dict()["compute_time"]
    assert used["limit"] == 1 / 60
    assert used["used"] >= 1 / 60
    assert not made.is_running()


def test_rule_4_limits_are_minutes_and_what_was_used_is_in_the_same_unit():
    """No fraction stands beside a number of minutes."""
    made = ran(squared, total_max_jobs=4, optimization_time_limit=2.0)
    assert made.budget.to_dict()["jobs"] == {"limit": 4, "used": 4}
    left = made.get_time_limit() - datetime.now()  # noqa: DTZ005 - it is local time, as in ClearML
    assert 60 < left.total_seconds() < 120


def test_rule_5_a_job_without_the_metric_fails_and_says_what_it_reported():
    """It frees its slot, and the others go on."""

    def f(hps):
        return {"loss": 1.0, "f1": 0.5} if hps["General/x"] < 0.5 else {"accuracy": 1.0}

    made = ran(f, total_max_jobs=12, max_consecutive_failures=None)
    failed = [trial for trial in made.get_optimizer().result if trial.state is TrialState.FAILED]
    assert 0 < len(failed) < 12
    assert "no 'validation/accuracy', 'accuracy' and 'validation'" in failed[0].error
    assert "it reported these metrics: f1, loss" in failed[0].error


def test_rule_5_a_job_that_reports_nothing_at_all_fails_and_hangs_nothing():
    """Where none of them has a result the search says so, to whoever waits, each time."""
    made = controller(lambda hps: None, total_max_jobs=3)
    made.start()
    for _ in range(2):
        with pytest.raises(NoResultError, match="none at all"):
            made.wait(1.0)
    made.stop()
    assert made.get_top_experiments(3) == []
