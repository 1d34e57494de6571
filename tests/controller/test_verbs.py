"""The verbs of a controller in any order, from two threads: no untyped error, and no hang."""

from __future__ import annotations

import os
import sys
import threading
import time
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parent))

from shared import controller, ran, squared

from autohpo import AutoHPOError, HyperParameterOptimizer, OptionError, RangeHP, StoreError, build_hpo_from_name
from autohpo.controller import Job

N = int(os.environ.get("AUTOHPO_SCRIPTS", "30"))


def reporting(hps, trial):
    """A job of a few hundredths of a second, with reports; some fail."""
    for epoch in range(1, 4):
        time.sleep(0.005)
        if hps["General/x"] > 0.95:
            raise RuntimeError("too large")
        if not trial.report({"accuracy": hps["General/x"], "loss": 1 / epoch}, epoch):
            return


VERBS = {
    "start": lambda c: c.start(),
    "start_told": lambda c: c.start(lambda *_: c.get_top_experiments(1)),
    "start_stopping": lambda c: c.start(lambda *_: c.stop()),
    "start_locally": lambda c: c.start_locally(),
    "wait": lambda c: c.wait(0.05 / 60),
    "wait_alone": lambda c: c.wait(0.05 / 60, wait_for_reporter=False),
    "stop": lambda c: c.stop(),
    "stop_soon": lambda c: c.stop(timeout=1e-4),
    "is_active": lambda c: c.is_active(),
    "is_running": lambda c: c.is_running(),
    "limit": lambda c: c.set_time_limit(in_minutes=0.2 / 60),
    "limit_at": lambda c: c.set_time_limit(specific_time=datetime.now(timezone.utc) + timedelta(seconds=0.2)),
    "limit_past": lambda c: c.set_time_limit(specific_time=datetime.now(timezone.utc) - timedelta(hours=1)),
    "no_limit": lambda c: c.set_time_limit(),
    "get_limit": lambda c: c.get_time_limit(),
    "reached": lambda c: c.reached_time_limit(),
    "elapsed": lambda c: c.elapsed(),
    "period": lambda c: c.set_report_period(0.001),
    "top": lambda c: [job.name for job in c.get_top_experiments(3)],
    "details": lambda c: c.get_top_experiments_details(3, True, True, False),
    "pairs": lambda c: c.get_top_experiments_id_metrics_pair(3, True, True),
    "running": lambda c: [(job.elapsed(), job.get_status(), job.get_metrics()) for job in c.get_running_jobs()],
    "ids": lambda c: c.get_created_jobs_ids(),
    "tasks": lambda c: [repr(job) for job in c.get_created_jobs_tasks().values()],
    "active": lambda c: c.get_active_experiments(),
    "n_active": lambda c: c.get_num_active_experiments(),
    "metric": lambda c: c.get_objective_metric(),
    "seed": lambda c: c.get_random_seed(),
    "set_seed": lambda c: c.set_random_seed(5),
    "scheme": lambda c: c.set_job_naming_scheme(lambda base, parameters: base),
    "parent": lambda c: c.set_job_default_parent("p", "q"),
    "class": lambda c: c.set_job_class(Job),
    "default_class": lambda c: c.set_default_job_class(Job),
    "optimizer": lambda c: c.get_optimizer(),
    "args": lambda c: c.set_optimization_args(top_n_percent=20),
    "budget": lambda c: c.budget.to_dict(),
    "abort": lambda c: [job.abort() for job in c.get_running_jobs()],
}


def run_verbs(made, names, errors):
    """Call verbs one after the other; what is no error of autohpo's is kept."""
    for name in names:
        try:
            VERBS[name](made)
        except AutoHPOError:
            pass
        except BaseException as error:
            errors.append((name, error))


@settings(max_examples=N, deadline=None, phases=[Phase.explicit, Phase.generate])
@given(data=st.data())
def test_verbs_in_any_order_from_two_threads_raise_nothing_untyped_and_hang_nowhere(data):
    """Two lists of verbs at the same time; then a stop, which ends everything."""
    names = st.lists(st.sampled_from(sorted(VERBS)), max_size=9)
    first, second = data.draw(names), data.draw(names)
    algorithm = data.draw(st.sampled_from(["bohb", "random"]))
    options = {"max_iteration_per_job": 3} if algorithm == "bohb" else {}
    made = controller(reporting, algorithm, total_max_jobs=6, max_consecutive_failures=None, **options)
    errors = []
    threads = [threading.Thread(target=run_verbs, args=(made, names, errors)) for names in (first, second)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not any(thread.is_alive() for thread in threads)
    made.stop()
    assert not made.is_running()
    assert errors == []


def test_every_public_method_is_tried_there():
    """A new verb joins the list."""
    called = {name for verb in VERBS.values() for name in verb.__code__.co_names}
    called |= {
        name
        for verb in VERBS.values()
        for c in verb.__code__.co_consts
        if hasattr(c, "co_names")
        for name in c.co_names
    }
    public = {name for name in dir(HyperParameterOptimizer) if not name.startswith("_")}
    assert public - called == {"set_optimizer_task", "get_optimizer_top_experiments"}  # tested below


def test_a_controller_goes_on_after_its_end_when_its_limits_allow():
    """A second start after a stop; and none after the last job."""
    made = controller(reporting, total_max_jobs=200)
    told = []
    made.start(lambda *one: told.append(one[0]))
    while len(told) < 3:
        time.sleep(0.01)
    made.stop()
    n = len(made.get_created_jobs_ids())
    assert n < 200
    made.start(lambda *one: told.append(one[0]))
    while len(made.get_created_jobs_ids()) <= n:
        time.sleep(0.01)
    made.stop()
    assert len(told) == len(set(told))
    ended = ran(squared, total_max_jobs=2)
    assert ended.start()
    assert ended.wait(1.0)
    assert len(ended.get_created_jobs_ids()) == 2


def test_the_best_jobs_of_a_run_can_be_read_from_its_store(tmp_path):
    """They are those that its controller has."""
    made = ran(squared, total_max_jobs=4, store=tmp_path / "run.db", sign="max_global")
    there = HyperParameterOptimizer.get_optimizer_top_experiments(tmp_path / "run.db", 3)
    assert [(job.id, job.get_parameters(), job.get_metrics()) for job in there] == [
        (job.id, job.get_parameters(), job.get_metrics()) for job in made.get_top_experiments(3)
    ]
    hpo = build_hpo_from_name("random", [RangeHP("x", 0.0, 1.0)], lambda hps: hps["x"], max_evals=2)
    hpo.optimize(store=tmp_path / "plain.db", progress=False)
    with pytest.raises(StoreError, match="holds no run that a controller began"):
        HyperParameterOptimizer.get_optimizer_top_experiments(tmp_path / "plain.db", 3)
    with pytest.raises(StoreError):
        HyperParameterOptimizer.get_optimizer_top_experiments(tmp_path / "none.db", 3)


def test_what_is_set_before_the_start_cannot_be_set_after_it(tmp_path):
    """Each is a typed error that says so; before the start it counts."""
    made = controller(squared, total_max_jobs=2)
    made.set_optimizer_task(tmp_path / "run.db")
    made.set_random_seed(9)
    made.start()
    assert made.wait(1.0)
    assert (tmp_path / "run.db").exists()
    assert made.get_random_seed() == 9
    for call in (
        lambda: made.set_random_seed(1),
        lambda: made.set_optimization_args(eta=4),
        lambda: made.set_optimizer_task(None),
    ):
        with pytest.raises(OptionError, match=r"must be called before start\(\)"):
            call()


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda c: c.start(3), "job_complete_callback: must be callable"),
        (lambda c: c.wait("long"), "timeout: must be a positive number of minutes"),
        (lambda c: c.stop(-1), "timeout: must be a positive number of minutes"),
        (
            lambda c: c.set_time_limit(1.0, datetime.now(timezone.utc)),
            "set_time_limit: takes in_minutes or specific_time",
        ),
        (lambda c: c.set_time_limit(specific_time=5), "specific_time: must be a datetime"),
        (lambda c: c.set_time_limit(in_minutes=0), "in_minutes: must be a positive number"),
        (lambda c: c.set_report_period("often"), "report_period_minutes: must be a positive number"),
        (lambda c: c.get_top_experiments(-1), "top_k: must be"),
        (lambda c: c.get_top_experiments_details("3"), "top_k: must be"),
        (lambda c: c.set_job_default_parent(3), "job_parent_id: must be a string"),
        (lambda c: c.set_random_seed(-1), "seed: must be at least 0"),
        (lambda c: c.set_optimizer_task(3), "store: must be a path"),
    ],
)
def test_wrong_arguments_of_verbs_are_typed_errors(call, text):
    """Each names the argument, the rule and the value."""
    made = controller(squared)
    with pytest.raises(OptionError) as caught:
        call(made)
    assert str(caught.value).startswith(text)
