"""Schedulers of Syne Tune: what they refuse, what they warn of, and the searcher alone."""

from __future__ import annotations

import json

import pytest

from autohpo import EvaluationsError, OptionError, SpaceError
from autohpo.integrations import syne_tune as st
from autohpo.integrations.syne_tune import config_space as cs
from autohpo.integrations.syne_tune.backend.trial_status import Trial
from autohpo.integrations.syne_tune.optimizer import baselines
from autohpo.integrations.syne_tune.optimizer.schedulers.searchers import GPMultiFidelitySearcher
from autohpo.integrations.syne_tune.optimizer.schedulers.synchronous import (
    SynchronousGeometricHyperbandScheduler as Synchronous,
)

SPACE = {"x": cs.uniform(0, 1), "k": cs.randint(1, 5), "max_epochs": 27}
HYPERBAND = {"metric": "loss", "resource_attr": "epoch", "max_resource_attr": "max_epochs", "random_seed": 3}
FULL = {"metric": "loss", "random_seed": 3}


def hyperband(**options):
    """A HyperbandScheduler over the space of these tests."""
    return st.HyperbandScheduler(SPACE, **{**HYPERBAND, **options})


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: st.ASHA(SPACE, metric="loss", resource_attr="epoch"), "max_t: must be given, or max_resource_attr"),
        (lambda: st.SyncHyperband(SPACE, "loss", "epoch"), "max_resource_level: must be given, or max_resource_attr"),
        (lambda: st.HyperbandScheduler({"x": cs.uniform(0, 1)}, metric="loss"), "max_t: must be given"),
        (
            lambda: hyperband(max_resource_attr="steps"),
            "max_resource_attr: must be a constant of config_space, got 'steps'",
        ),
        (
            lambda: hyperband(grace_periods=3),
            "grace_periods: HyperbandScheduler has no such option; did you mean 'grace_period'?",
        ),
        (lambda: st.FIFOScheduler(SPACE), "metric: must be given"),
        (lambda: hyperband(metric=["a", "b"]), "metric: must be the name of one reported value"),
        (lambda: hyperband(mode="up"), "mode: must be 'min' or 'max', got 'up'"),
        (lambda: hyperband(type="stop"), "type: must be one of stopping, promotion"),
        (lambda: hyperband(searcher="bore"), "searcher: 'bore' has no counterpart here; the nearest is 'kde'"),
        (lambda: hyperband(searcher="cma"), "searcher: must be one of random, grid, kde, bayesopt"),
        (lambda: hyperband(searcher=object()), "searcher: must be the name of one"),
        (lambda: st.ASHA(SPACE, searcher="kde", **HYPERBAND), "searcher: must be 'random' for this method, got 'kde'"),
        (
            lambda: st.PASHA(SPACE, type="stopping", **HYPERBAND),
            "type: must be 'pasha' for this method, got 'stopping'",
        ),
        (lambda: hyperband(grace_period=27), "grace_period: must be above 0 and below 27"),
        (lambda: hyperband(reduction_factor=1.5), "reduction_factor: must be at least 2, got 1.5"),
        (lambda: hyperband(rung_increment=0), "rung_increment: must be above 0, got 0"),
        (lambda: hyperband(rung_levels=[3, 1]), "rung_levels: must be rising, above 0 and at most 27"),
        (lambda: hyperband(rung_system_per_bracket=True, brackets=2), "rung_system_per_bracket: must be False"),
        (lambda: hyperband(searcher_data="last"), "searcher_data: must be 'rungs', 'all' or 'rungs_and_last'"),
        (lambda: hyperband(type="cost_promotion"), "cost_attr: must be given"),
        (
            lambda: st.MOBSTER(SPACE, search_options={"opt_skip_perod": 2}, **HYPERBAND),
            "did you mean 'opt_skip_period'?",
        ),
        (lambda: st.MOBSTER(SPACE, search_options={"model": "gp_x"}, **HYPERBAND), "model: must be"),
        (
            lambda: st.MOBSTER(SPACE, search_options={"transfer_learning_model": "a"}, **HYPERBAND),
            "optimize(warm_start=...)",
        ),
        (lambda: st.KDE(SPACE, search_options={"num_candidate": 9}, **FULL), "did you mean 'num_candidates'?"),
        (
            lambda: st.GridSearch(SPACE, search_options={"num_samples": {"x": 3, "k": 2}}, **FULL),
            "num_samples must be the same",
        ),
        (lambda: Synchronous(SPACE, brackets=2, **HYPERBAND), "brackets: must be 1 for successive halving, or None"),
        (lambda: st.PopulationBasedTraining({"x": cs.uniform(0, 1)}, metric="loss"), "max_t: must be given"),
        (
            lambda: st.PopulationBasedTraining(SPACE, custom_explore_fn=dict, **HYPERBAND),
            "custom_explore_fn: must be None",
        ),
        (
            lambda: st.PopulationBasedTraining(SPACE, searcher="kde", **HYPERBAND),
            "searcher: must be 'random' for a population",
        ),
        (
            lambda: st.MedianStoppingRule(st.ASHA(SPACE, **HYPERBAND), "epoch"),
            "scheduler: must be one of full trainings",
        ),
        (
            lambda: st.MedianStoppingRule(st.RandomSearch(SPACE, **FULL), "epoch", rank_cutoff=0.3),
            "must be True and 0.5",
        ),
    ],
)
def test_what_cannot_be_is_refused(make, text):
    """The error names the argument, the rule and the value, or the nearest that there is."""
    with pytest.raises(OptionError) as caught:
        make()
    assert text in str(caught.value)


def test_a_space_is_checked_when_the_scheduler_is_made():
    """And not when it is asked."""
    with pytest.raises(SpaceError, match="x: lower must be at most upper"):
        st.RandomSearch({"x": cs.uniform(1, 0)}, metric="loss")


@pytest.mark.parametrize("name", ["BORE", "CQR", "BoTorch", "MOREA", "ZeroShotTransfer", "ASHABORE"])
def test_a_baseline_without_counterpart_names_the_nearest(name):
    """The error is one of an import, and says what to take."""
    with pytest.raises(ImportError, match=f"{name}: has no counterpart here; the nearest is"):
        getattr(baselines, name)
    assert not hasattr(st, "NoSuchName")
    with pytest.raises(AttributeError):
        baselines.NoSuchName


@pytest.mark.parametrize(
    ("result", "text"),
    [
        ({"epoch": 1}, "metric: loss must be among the reported values, got epoch"),
        ({"loss": 1.0}, "resource_attr: epoch must be among the reported values, got loss"),
        ({"loss": "low", "epoch": 1}, "metric: loss must be reported as a number, got 'low'"),
        ({"loss": 1.0, "epoch": 0}, "resource_attr: epoch must be above 0, counted from 1 on, got 0"),
    ],
)
def test_a_report_must_have_the_metric_and_the_resource(result, text):
    """Both under the names that the scheduler was given, the resource from 1 on."""
    scheduler = hyperband()
    trial = Trial(0, scheduler.suggest(0).config)
    with pytest.raises(OptionError) as caught:
        scheduler.on_trial_result(trial, result)
    assert text in str(caught.value)


def test_a_metric_that_is_not_finite_is_refused():
    """It would be no result; the trial runs on."""
    scheduler = hyperband()
    trial = Trial(0, scheduler.suggest(0).config)
    with pytest.raises(EvaluationsError):
        scheduler.on_trial_result(trial, {"loss": float("nan"), "epoch": 1})
    assert scheduler.on_trial_result(trial, {"loss": 1.0, "epoch": 1}) == "CONTINUE"


def test_options_without_effect_are_named_in_a_warning():
    """They are known, and change nothing here."""
    with pytest.warns(UserWarning, match="search_options: opt_verbose have no effect here"):
        st.MOBSTER(SPACE, search_options={"opt_verbose": True, "debug_log": False}, **HYPERBAND)


@pytest.mark.parametrize("mode", ["min", "max"])
def test_the_searcher_of_all_rungs_stands_alone(mode):
    """Over a space of Syne Tune, for a scheduler of one's own; the second half of its suggestions is near the best."""
    searcher = GPMultiFidelitySearcher(SPACE, "loss", [{"x": 0.9}], mode=mode, num_init_random=4, opt_maxiter=20)
    searcher.configure_scheduler(hyperband(mode=mode))
    sign = 1 if mode == "min" else -1
    found = []
    for n in range(16):
        config = searcher.get_config(trial_id=str(n))
        found.append(config["x"])
        result = {"loss": sign * (1 + (config["x"] - 0.2) ** 2), "epoch": 1}
        searcher.register_pending(str(n), config, milestone=1)
        searcher.on_trial_result(str(n), config, result)
    assert found[0] == 0.9
    assert set(config) == {"x", "k"}
    again = searcher.clone_from_state(json.loads(json.dumps(searcher.get_state())))
    assert again.get_config(trial_id="16") == searcher.get_config(trial_id="16")
    near = [abs(x - 0.2) for x in found]
    assert sorted(near[8:])[4] < 0.1
    with pytest.raises(OptionError, match="R: must be given with rungs"):
        GPMultiFidelitySearcher(SPACE, "loss").configure_scheduler([1, 3])
    with pytest.raises(OptionError, match="did you mean 'num_init_random'"):
        GPMultiFidelitySearcher(SPACE, "loss", num_init_rand=3)
