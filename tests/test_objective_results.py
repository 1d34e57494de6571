"""Objectives: which report is the result, and the metrics that come with reports."""

from __future__ import annotations

import numpy as np
import pytest

from autohpo.objective import Evaluator, Objective
from autohpo.trial import Task, TrialState


def evaluate(f, dataset=None, **task):
    """Outcome and reports of one task."""
    reports = []

    def report(fidelity, perf, *metrics):
        reports.append((fidelity, perf))
        return True

    defaults = {"number": 0, "attempt": 1, "hp": {"x": 2.0}, "seed": 7, "root": 0, "checkpoint_dir": "unused"}
    outcome = Evaluator(Objective.of(f, dataset)).run(Task(**{**defaults, **task}), report)
    return outcome, reports


def test_what_comes_with_a_result_is_kept_where_its_perf_is_not():
    """A dict returned too late: its cost stands, its perf is the report at the rung."""

    def f(hps, trial):
        while trial.report(1.0):
            pass
        trial.report(2.0)
        return {"perf": 3.0, "cost": 4.0, "size": 5.0}

    outcome, _ = evaluate(f, fidelity=2)
    assert (outcome.perf, outcome.cost, outcome.metrics) == (1.0, 4.0, {"size": 5.0})


@pytest.mark.parametrize(("fidelity", "perf"), [(2, 1.0), (None, 7.0)])
def test_the_report_at_a_rung_is_the_result_whatever_is_returned(fidelity, perf):
    """Trials of a rung are compared by what they reported there; without a rung the returned number counts."""

    def f(hps, trial):
        for _ in range(3):
            if not trial.report(1.0):
                break
        return 7.0

    outcome, _ = evaluate(f, fidelity=fidelity)
    assert outcome.perf == perf
    assert ("returned 7, and had reported 1" in outcome.advice) == (fidelity is not None)


def test_a_returned_number_that_is_the_reported_one_needs_no_advice():
    """Most objectives return what they reported last, perhaps as another kind of float."""

    def f(hps, trial):
        while trial.report(np.float32(0.1)):
            pass
        return 0.1

    assert evaluate(f, fidelity=2)[0].advice == ""


def test_a_report_after_a_checkpoint_beyond_the_fidelity_is_the_result():
    """An attempt that died between its last report and its end starts at that epoch, and reports the next."""

    def f(hps, trial):
        trial.resume_at(3)
        trial.report(4.0)

    assert evaluate(f, fidelity=3)[0].perf == 4.0


def with_reports(hps, trial):
    """Losses 3, 1, 2, reported."""
    for loss in (3.0, 1.0, 2.0):
        trial.report(-loss, metrics={"loss": loss})


def with_yields(hps):
    """Losses 3, 1, 2, yielded."""
    for loss in (3.0, 1.0, 2.0):
        yield -loss, {"loss": loss}


def with_dicts(hps):
    """Losses 3, 1, 2, as dicts."""
    for loss in (3.0, 1.0, 2.0):
        yield {"perf": -loss, "loss": loss}


@pytest.mark.parametrize("f", [with_reports, with_yields, with_dicts])
def test_metrics_of_reports_are_kept_with_their_last_least_and_largest_value(f):
    """A training's losses 3, 1, 2 are loss 2, from 1 to 3."""
    sent = []
    outcome = Evaluator(Objective.of(f)).run(Task(0, 1, {}), lambda *report: sent.append(report) or True)
    assert outcome.metrics == {"loss": 2.0, "loss.min": 1.0, "loss.max": 3.0}
    assert sent[1] == (2, -1.0, {"loss": 1.0})
    assert outcome.perf == -2.0


def test_a_metric_that_is_returned_too_is_the_last_of_those_reported():
    """Reported 3 and 1, returned 2; another one that is only returned has no range."""

    def f(hps, trial):
        trial.report(0.0, metrics={"loss": 3})
        trial.report(0.0, metrics={"loss": 1})
        return {"perf": 0.5, "loss": 2, "size": 8}

    metrics = evaluate(f)[0].metrics
    assert metrics == {"loss": 2.0, "loss.min": 1.0, "loss.max": 3.0, "size": 8.0}


@pytest.mark.parametrize("metrics", [3, {"loss": float("nan")}, {"loss": "low"}])
def test_metrics_that_are_no_numbers_make_a_trial_invalid_and_are_named(metrics):
    """As those of a returned dict do."""
    outcome, _ = evaluate(lambda hps, trial: trial.report(1.0, metrics=metrics))
    assert outcome.state is TrialState.INVALID
    assert "metric" in outcome.error


@pytest.mark.parametrize(("mode", "best"), [("max", 4.0), ("min", 1.0)])
def test_the_best_report_may_be_the_result(mode, best):
    """Values 2, 4, 1, 3 of a generator, of reports, and of a training that was continued from a 4 or a 1."""
    values = (2.0, 4.0, 1.0, 3.0)

    def yields(hps):
        yield from values

    def reports(hps, trial):
        for value in values:
            trial.report(value)

    def goes_on(hps, trial):
        trial.resume_at(3)
        trial.report(3.0)

    for f, earlier in ((yields, None), (reports, None), (goes_on, best)):
        objective = Objective.of(f, mode=mode, keep="best")
        task = Task(1, 1, {}, fidelity=4, resumed_perf=earlier)
        outcome = Evaluator(objective).run(task, lambda *report: True)
        assert (outcome.perf, outcome.reached) == (best, 4)
