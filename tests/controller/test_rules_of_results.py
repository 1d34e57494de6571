"""Rules 6, 7 and 9 to 15 of the controller, each test named after its rule: metrics, callbacks, results."""

from __future__ import annotations

import logging
import sys
import time
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))

from shared import SPACE, controller, ran, squared

from autohpo import ChoiceHP, HyperParameterOptimizer, LogRangeHP, RangeHP
from autohpo.algorithms.registry import _built_in_names
from autohpo.controller import GridSearch, LogUniformParameterRange, RandomSearch, UniformIntegerParameterRange
from autohpo.store.described import mode_of
from autohpo.trial import TrialState


def row(value, least, largest, name="validation/accuracy"):
    """What is told of a metric."""
    title, _, series = name.partition("/")
    return {
        "metric": title,
        "variant": series or title,
        "value": value,
        "min_value": least,
        "max_value": largest,
    }


@pytest.mark.parametrize(("sign", "value"), [("max", 0.25), ("min", 0.25), ("max_global", 0.75), ("min_global", 0.125)])
def test_rule_6_last_and_best_are_kept_and_the_sign_says_which_one_ranks(sign, value):
    """The run's header says it once."""

    def f(hps, trial):
        for accuracy in (0.125, 0.75, 0.25):
            trial.report({"validation/accuracy": accuracy, "loss": -accuracy})

    made = ran(f, total_max_jobs=1, sign=sign)
    (details,) = made.get_top_experiments_details(1, all_metrics=True)
    loss = row(-0.25, -0.75, -0.125, "loss")
    assert details["metrics"] == {"validation/accuracy": row(0.25, 0.125, 0.75), "loss": loss}
    assert list(made.get_top_experiments_details(1)[0]["metrics"]) == ["validation/accuracy"]
    (trial,) = made.get_optimizer().result
    assert trial.perf == value
    header = made.get_optimizer().run_store.header
    assert mode_of(header, "here") == {"validation/accuracy": sign[:3]}
    assert header["objective"].get("keep", "last") == ("best" if "global" in sign else "last")


def test_rule_6_metrics_of_a_job_that_was_promoted_are_those_of_its_whole_training():
    """The least loss was seen before the first promotion, the largest after the last."""

    def f(hps):
        for epoch in range(1, 100):
            yield {"accuracy": hps["General/x"], "loss": float(epoch)}

    made = ran(f, "hyperband", min_iteration_per_job=1, max_iteration_per_job=9, total_max_jobs=4)
    (details,) = made.get_top_experiments_details(1, all_metrics=True)
    assert details["metrics"]["loss"] == row(9.0, 1.0, 9.0, "loss")
    assert details["iteration"] == 9


def test_rule_6_metrics_of_a_job_that_went_on_from_its_checkpoint_are_those_of_its_whole_training():
    """Another call of the function, which has seen nothing of what the first one reported."""

    def f(hps, trial):
        path = trial.checkpoint_dir / "epoch"
        done = int(path.read_text()) if path.exists() else 0
        trial.resume_at(done)
        for epoch in range(done + 1, 100):
            path.write_text(str(epoch))
            if not trial.report({"accuracy": hps["General/x"], "loss": float(epoch)}, epoch):
                return

    made = ran(f, "hyperband", min_iteration_per_job=1, max_iteration_per_job=9, total_max_jobs=4)
    (details,) = made.get_top_experiments_details(1, all_metrics=True)
    assert details["metrics"]["loss"] == row(9.0, 1.0, 9.0, "loss")


def test_rule_6_reports_without_the_objective_are_kept_and_count_as_no_iteration():
    """As where a loss is reported each step, and an accuracy each epoch."""

    def f(hps, trial):
        for step in range(6):
            trial.report({"loss": 5.0 - step})
            if step % 3 == 2:
                trial.report({"accuracy": step / 10})

    made = ran(f, total_max_jobs=1)
    (job,) = made.get_top_experiments(1)
    assert job.iterations() == 2
    assert job.get_last_scalar_metrics() == {
        "validation": {"accuracy": {"last": 0.5, "min": 0.2, "max": 0.5}},
        "loss": {"loss": {"last": 0.0, "min": 0.0, "max": 5.0}},
    }


def test_rule_7_the_callback_gets_five_scalars_once_per_completed_job_in_order(caplog):
    """What it raises is logged, and harms nothing; jobs that fail are not told of."""
    told = []

    def tell(job_id, value, iteration, parameters, top_id):
        told.append((job_id, value, iteration, parameters, top_id))
        raise ValueError("a bug of the user's")

    def f(hps, trial):
        if hps["General/x"] < 0.3:
            raise RuntimeError("no luck")
        trial.report(hps["General/x"], 7)

    made = controller(f, total_max_jobs=12, max_consecutive_failures=None)
    with caplog.at_level(logging.ERROR, "autohpo"):
        made.start(tell)
        assert made.wait(1.0)
    done = [trial for trial in made.get_optimizer().history.trials if trial.perf is not None]
    assert 0 < len(done) < 12
    ids = list(made.get_created_jobs_tasks())
    assert len(set(ids)) == 12
    assert [job_id for job_id, *_ in told] == [ids[trial.number] for trial in done]
    best = None
    for (_, value, iteration, parameters, top_id), trial in zip(told, done, strict=True):
        best = trial if best is None or trial.perf > best.perf else best
        assert (value, iteration, parameters) == (trial.perf, 7, dict(trial.hp))
        assert (type(value), type(iteration)) == (float, int)
        assert top_id == ids[best.number]
    assert caplog.text.count("ValueError: a bug of the user's") == len(done)


def test_rule_7_jobs_of_earlier_processes_are_not_told_of_again(tmp_path):
    """Their ids are what they were."""
    first, second = [], []
    a = controller(squared, total_max_jobs=3, store=tmp_path / "run.db")
    a.start(lambda *told: first.append(told))
    assert a.wait(1.0)
    b = controller(squared, total_max_jobs=5, store=tmp_path / "run.db")
    b.start(lambda *told: second.append(told))
    assert b.wait(1.0)
    assert (len(first), len(second)) == (3, 2)
    assert [one[0] for one in first + second] == list(b.get_created_jobs_ids())


@pytest.mark.parametrize("algorithm", [GridSearch, RandomSearch, "tpe", "bayes"])
def test_rule_9_ranges_with_steps_have_one_set_of_values_for_all(algorithm):
    """1, 5, 9 of (1, 10, 4); upstream draws 13."""
    seen = set()

    def f(hps):
        seen.add(hps["n"])
        return hps["n"]

    options = {"steps": 10} if algorithm is GridSearch else {}
    ran(f, algorithm, space=[UniformIntegerParameterRange("n", 1, 10, 4)], total_max_jobs=20, **options)
    assert seen == {1, 5, 9}


SEVERAL_ONLY = {"ehvi", "mocmaes", "nsga2"}


@pytest.mark.parametrize("algorithm", sorted(_built_in_names() - SEVERAL_ONLY - {"hyperopt_tpe", "prior", "priorband"}))
@pytest.mark.filterwarnings("ignore")  # too few trainings for some of them
def test_rule_10_a_log_range_is_never_read_as_its_linear_parent(algorithm):
    """Every algorithm hands values within the declared bounds to the job, and no exponents."""
    seen = []

    def f(hps, trial):
        seen.append(hps["lr"])
        trial.checkpoint_dir.joinpath("state").write_text("1")
        for epoch in range(1, 4):
            trial.report({"validation/accuracy": -abs(np.log10(hps["lr"]) + 2) - 1 / epoch}, epoch)

    space = [LogUniformParameterRange("lr", -4, -1), RangeHP("y", 0.0, 1.0)]
    options = {"population_size": 3} if algorithm == "pbt" else {}
    ran(f, algorithm, space=space, total_max_jobs=4, max_iteration_per_job=3, **options)
    assert seen
    assert all(1e-4 <= lr <= 1e-1 for lr in seen)


def test_rule_11_seeds_are_per_controller():
    """Two at once in one process do not disturb each other; equal seeds give equal runs."""

    def parameters(made):
        return list(made.get_created_jobs_ids().values())

    alone = parameters(ran(squared, "tpe", total_max_jobs=12, seed=3))
    one, other = controller(squared, "tpe", total_max_jobs=12, seed=3), controller(squared, "tpe", total_max_jobs=12)
    other.set_random_seed(1337)
    assert (one.get_random_seed(), other.get_random_seed()) == (3, 1337)
    for made in (one, other):
        made.start()
    assert one.wait(1.0)
    assert other.wait(1.0)
    assert parameters(one) == alone
    assert parameters(other) != alone


def test_rule_12_details_are_typed_and_ties_go_by_number():
    """No value becomes a string; a boolean stays one, and None too."""
    space = [
        ChoiceHP("Args/layers", [1, 2]),
        ChoiceHP("Args/flag", [True, False]),
        ChoiceHP("Args/act", [None, "relu"]),
        LogRangeHP("General/lr", 1e-3, 1e-1),
    ]
    made = ran(lambda hps: {"accuracy": 1.0}, space=space, total_max_jobs=5)
    details = made.get_top_experiments_details(5)
    assert [one["task_id"] for one in details] == list(made.get_created_jobs_ids())
    for one, trial in zip(details, made.get_optimizer().result, strict=True):
        assert one["hyper_parameters"] == dict(trial.hp)
        assert type(one["hyper_parameters"]["Args/flag"]) is bool
        assert type(one["hyper_parameters"]["General/lr"]) is float
        assert one["metrics"] == {"validation/accuracy": row(1.0, 1.0, 1.0)}
    pairs = made.get_top_experiments_id_metrics_pair(2, only_completed=True)
    assert pairs == [(one["task_id"], one["metrics"]) for one in details[:2]]


def fronts(points):
    """The fronts of points where more is better, by brute force."""

    def beats(a, b):
        return a != b and all(one >= other for one, other in zip(a, b, strict=True))

    left, found = set(range(len(points))), []
    while left:
        front = {i for i in left if not any(beats(points[j], points[i]) for j in left)}
        found.append(front)
        left -= front
    return found


def ran_with_two(f, signs, *, parameters=SPACE, **limits):
    """A controller with two objectives whose search has ended."""
    titles, series = ["validation", "cost"], ["accuracy", "seconds"]
    made = HyperParameterOptimizer(f, parameters, titles, series, signs, "random", execution_queue="serial", **limits)
    made.start()
    assert made.wait(1.0)
    return made


def test_rule_13_several_objectives_are_ordered_by_real_fronts():
    """Compared with fronts found by brute force."""

    def f(hps):
        return {"accuracy": hps["General/x"] * (1 - hps["y"] / 2), "seconds": hps["General/x"] + hps["y"]}

    made = ran_with_two(f, ["max", "min"], parameters=[*SPACE, RangeHP("y", 0.0, 1.0)], total_max_jobs=30, seed=1)
    assert made.get_objective_metric() == [("validation", "accuracy"), ("cost", "seconds")]
    order = [job.number for job in made.get_top_experiments(30)]
    found = fronts([trial.scores for trial in made.get_optimizer().result.trials])
    assert len(found) > 2
    for front in found:
        assert set(order[: len(front)]) == front
        del order[: len(front)]
    assert not order


def test_rule_13_the_best_of_all_reports_counts_in_each_objective_that_says_so():
    """One by its best report, the other by its last."""

    def f(hps, trial):
        for a, b in ((0.9, 9.0), (0.5, 3.0), (0.7, 5.0)):
            trial.report({"validation/accuracy": a, "cost/seconds": b})

    made = ran_with_two(f, ["max_global", "min"], total_max_jobs=1)
    assert made.get_optimizer().result.best.perfs == (0.9, 5.0)
    (details,) = made.get_top_experiments_details(1)
    wanted = {"validation/accuracy": row(0.7, 0.5, 0.9), "cost/seconds": row(5.0, 3.0, 9.0, "cost/seconds")}
    assert details["metrics"] == wanted


def test_rule_13_the_best_of_all_reports_counts_also_where_a_job_is_ended_at_a_report():
    """At its last iteration here, which was not its best."""

    def f(hps, trial):
        for a, b in ((0.9, 9.0), (0.5, 3.0), (0.95, 1.0)):
            if not trial.report({"validation/accuracy": a, "cost/seconds": b}):
                return

    made = ran_with_two(f, ["max_global", "min"], total_max_jobs=1, max_iteration_per_job=2)
    assert made.get_optimizer().result.best.perfs == (0.9, 3.0)


def test_rule_14_methods_before_the_start_return_defined_values():
    """Never a TypeError, as upstream."""
    made = controller(squared, "bohb", total_max_jobs=3)
    assert made.is_active()
    assert not made.is_running()
    assert made.get_time_limit() is None
    assert made.reached_time_limit() is False
    assert made.elapsed() == -1
    assert made.wait() is True
    assert made.wait(0.01) is True
    made.stop()
    assert made.get_top_experiments(3) == []
    assert made.get_top_experiments_details(3, all_metrics=True, all_hyper_parameters=True, only_completed=True) == []
    assert made.get_top_experiments_id_metrics_pair(3) == []
    assert made.get_running_jobs() == made.get_active_experiments() == []
    assert made.get_num_active_experiments() == 0
    assert made.get_created_jobs_ids() == made.get_created_jobs_tasks() == {}
    assert made.get_objective_metric() == ("validation", "accuracy")
    assert made.get_random_seed() == 0
    assert made.budget.to_dict() == {
        "jobs": {"limit": None, "used": 0},  # it gives jobs part of the iterations
        "iterations": {"limit": 3 * 81.0, "used": 0.0},
        "compute_time": {"limit": None, "used": 0.0},
    }


def test_rule_15_a_broken_report_never_stops_the_search(caplog, monkeypatch):
    """It is logged; and a bad value fails its own job alone."""

    def f(hps):
        return {"accuracy": float("nan") if hps["General/x"] > 0.5 else 1.0}

    made = controller(f, total_max_jobs=8, max_consecutive_failures=None)
    made.set_report_period(1e-6)
    monkeypatch.setattr(made, "_counts", lambda: 1 / 0)
    with caplog.at_level(logging.ERROR, "autohpo"):
        made.start(lambda *_: time.sleep(0.01))
        assert made.wait(1.0)
    states = {trial.state for trial in made.get_optimizer().result}
    assert states == {TrialState.COMPLETE, TrialState.INVALID}
    assert "the report of the controller could not be made" in caplog.text
