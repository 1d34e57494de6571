"""Schedulers of Syne Tune: which algorithm each is, with which options, and ask and tell without a tuner."""

from __future__ import annotations

import itertools
import json

import pytest

from autohpo import EvaluationsError, OptimizationComplete, OptionError, SpaceError, available_hpos
from autohpo.algorithms.registry import name_of
from autohpo.integrations import syne_tune as st
from autohpo.integrations.syne_tune import config_space as cs
from autohpo.integrations.syne_tune.backend.trial_status import Trial
from autohpo.integrations.syne_tune.optimizer import baselines
from autohpo.integrations.syne_tune.optimizer.scheduler import SchedulerDecision
from autohpo.integrations.syne_tune.optimizer.schedulers.hyperband import HyperbandArguments, rung_levels_of
from autohpo.integrations.syne_tune.optimizer.schedulers.searchers import GPMultiFidelitySearcher
from autohpo.integrations.syne_tune.optimizer.schedulers.synchronous import (
    SynchronousGeometricHyperbandScheduler as Synchronous,
)
from autohpo.trial import TrialState

SPACE = {"x": cs.uniform(0, 1), "k": cs.randint(1, 5), "max_epochs": 27}
HYPERBAND = {"metric": "loss", "resource_attr": "epoch", "max_resource_attr": "max_epochs", "random_seed": 3}
FULL = {"metric": "loss", "random_seed": 3}
RUNGS = {"max_fidelity": 27, "rung_levels": [1, 3, 9, 27]}


def hyperband(**options):
    """A HyperbandScheduler over the space of these tests."""
    return st.HyperbandScheduler(SPACE, **{**HYPERBAND, **options})


def needs(name):
    """A mark for what stands for an algorithm that this version may not have yet."""
    return pytest.mark.skipif(name not in available_hpos(), reason=f"the algorithm {name} is not there yet")


CASES = [
    (lambda: st.RandomSearch(SPACE, **FULL), "random", {}),
    (lambda: st.GridSearch(SPACE, search_options={"shuffle_config": False}, **FULL), "grid", {"order": "nested"}),
    (lambda: st.BayesianOptimization(SPACE, search_options={"num_init_random": 4}, **FULL), "bayes", {"n_startup": 4}),
    (
        lambda: st.BayesianOptimization(SPACE, search_options={"opt_maxiter": 7}, **FULL),
        "gp_multi_fidelity",
        {"opt_maxiter": 7},
    ),
    (
        lambda: st.KDE(SPACE, search_options={"num_candidates": 9, "top_n_percent": 20}, **FULL),
        "kde",
        {"num_samples": 9, "top_n_percent": 20},
    ),
    (
        lambda: st.REA(SPACE, population_size=20, sample_size=5, **FULL),
        "regularized_evolution",
        {"population_size": 20, "sample_size": 5},
    ),
    (lambda: st.ASHA(SPACE, **HYPERBAND), "asha", {**RUNGS, "type": "stopping", "sampler": "random", "brackets": 1}),
    (
        lambda: st.ASHA(SPACE, type="promotion", brackets=9, **HYPERBAND),
        "asha",
        {**RUNGS, "type": "promotion", "brackets": 4},
    ),
    (
        lambda: st.BOHB(SPACE, type="promotion", search_options={"num_min_data_points": 6}, **HYPERBAND),
        "asha",
        {"sampler": ["kde", {"min_samples_in_model": 6}]},
    ),
    (lambda: hyperband(searcher="grid"), "asha", {"sampler": "grid"}),
    (lambda: hyperband(type="cost_promotion", cost_attr="cost"), "asha", {"type": "promotion", "cost_promotion": True}),
    (
        lambda: hyperband(
            type="rush_stopping",
            points_to_evaluate=[{}, {"x": 0.1}],
            rung_system_kwargs={"num_threshold_candidates": 2},
        ),
        "asha",
        {"type": "stopping", "rush": 2},
    ),
    (lambda: hyperband(searcher_data="rungs_and_last"), "asha", {"searcher_data": "rungs_and_last"}),
    (
        lambda: st.MOBSTER(
            SPACE, search_options={"model": "gp_independent", "resource_acq": "first"}, searcher_data="all", **HYPERBAND
        ),
        "mobster",
        {**RUNGS, "type": "stopping", "model": "gp_independent", "resource_acq": "first", "searcher_data": "all"},
    ),
    (
        lambda: st.MOBSTER(
            SPACE,
            type="promotion",
            search_options={"acq_function": "lcb", "acq_function_kwargs": {"kappa": 2.0}},
            **HYPERBAND,
        ),
        "mobster",
        {"type": "promotion", "acq_function": "lcb", "lcb_kappa": 2.0},
    ),
    pytest.param(
        lambda: st.HyperTune(SPACE, brackets=2, **HYPERBAND),
        "hypertune",
        {"type": "stopping", "brackets": 2},
        marks=needs("hypertune"),
    ),
    pytest.param(
        lambda: st.DyHPO(SPACE, probability_sh=0.4, **HYPERBAND),
        "dyhpo",
        {"max_fidelity": 27, "probability_sh": 0.4, "rung_increment": 2},
        marks=needs("dyhpo"),
    ),
    pytest.param(
        lambda: st.PASHA(SPACE, **HYPERBAND), "pasha", {"max_fidelity": 27, "sampler": "random"}, marks=needs("pasha")
    ),
    (
        lambda: st.SyncHyperband(SPACE, grace_period=3, **HYPERBAND),
        "hyperband",
        {"max_fidelity": 27, "min_fidelity": 3, "eta": 3, "sampler": "random"},
    ),
    (lambda: st.SyncBOHB(SPACE, **HYPERBAND), "hyperband", {"sampler": "kde"}),
    pytest.param(
        lambda: Synchronous(SPACE, brackets=1, **HYPERBAND),
        "successive_halving",
        {"max_fidelity": 27},
        marks=needs("successive_halving"),
    ),
    pytest.param(lambda: st.DEHB(SPACE, **HYPERBAND), "dehb", {"max_fidelity": 27}, marks=needs("dehb")),
    (
        lambda: st.MedianStoppingRule(
            st.BayesianOptimization(SPACE, max_t=27, search_options={"num_init_random": 4}, **FULL),
            "epoch",
            grace_time=2,
        ),
        "median_stopping",
        {"max_fidelity": 27, "grace_period": 2, "min_trials": 5},
    ),
    (
        lambda: st.PopulationBasedTraining(SPACE, population_size=6, perturbation_interval=3, **HYPERBAND),
        "pbt",
        {"population_size": 6, "interval": 3, "quantile": 2 / 6, "max_fidelity": 27},
    ),
]


@pytest.mark.parametrize(("make", "name", "options"), CASES)
def test_a_scheduler_is_an_algorithm_with_options(make, name, options):
    """The registered name, and the options that its arguments are; the middle is tried first, and ends a trial."""
    scheduler = make()
    assert name_of(type(scheduler.hpo)) == name
    for option, value in options.items():
        assert getattr(scheduler.hpo, option) == value, option
    first = scheduler.suggest(trial_id=0)
    assert first.spawn_new_trial_id
    assert (first.config["x"], first.config["k"]) == (0.5, 3)
    assert scheduler.metric_names() == ["loss"]
    assert scheduler.metric_mode() == "min"


def test_all_models_below_hyperband_are_the_sampler_of_all_fidelities():
    """SyncMOBSTER hands its search options to the sampler; its default is a process for each rung."""
    scheduler = st.SyncMOBSTER(SPACE, search_options={"num_init_random": 5}, **HYPERBAND)
    name, options = scheduler.hpo.sampler
    assert (name_of(type(scheduler.hpo)), name) == ("hyperband", "gp_multi_fidelity")
    assert options == {"model": "gp_independent", "num_init_random": 5, "points_to_evaluate": []}


def test_the_sampler_of_the_median_rule_is_the_wrapped_scheduler():
    """With its options, its points and its seed."""
    inner = st.BayesianOptimization(
        SPACE, search_options={"num_init_random": 4}, points_to_evaluate=[{"x": 0.1}], **FULL
    )
    outer = st.MedianStoppingRule(inner, resource_attr="epoch")
    assert outer.hpo.sampler == ["bayes", {"n_startup": 4}]
    assert outer.hpo.seed == 3
    assert outer.suggest(0).config == {"x": 0.1, "k": 3, "max_epochs": 27}


@pytest.mark.parametrize("grace", [1, 2, 5])
@pytest.mark.parametrize("factor", [2, 2.5, 3, 4])
@pytest.mark.parametrize("full", [9, 27, 50, 81, 100])
def test_rungs_are_rounded_powers_below_the_full_resource(grace, factor, full):
    """round(grace * factor^j) for every j with which it is below the full resource."""
    wanted = [r for r in (round(grace * factor**j) for j in range(20)) if r < full]
    args = HyperbandArguments(metric="loss", grace_period=grace, reduction_factor=factor)
    assert rung_levels_of(args, full) == wanted


def test_rungs_may_be_in_even_steps_or_a_list():
    """The reduction factor goes before the increment, and a list before both; the full resource is none of them."""
    args = {"metric": "loss", "grace_period": 2}
    assert rung_levels_of(HyperbandArguments(rung_increment=3, **args), 11) == [2, 5, 8]
    assert rung_levels_of(HyperbandArguments(rung_increment=3, reduction_factor=3, **args), 11) == [2, 6]
    assert rung_levels_of(HyperbandArguments(rung_levels=[1, 4, 11], rung_increment=3, **args), 11) == [1, 4]


@pytest.mark.parametrize("name", ["epochs", "max_t", "max_epochs"])
def test_the_full_resource_is_found_in_the_space(name):
    """Under the names that Syne Tune looks for; what is given goes before."""
    space = {"x": cs.uniform(0, 1), name: 12}
    assert st.HyperbandScheduler(space, metric="loss").max_t == 12
    assert st.HyperbandScheduler(space, metric="loss", max_t=8).max_t == 8


# Ask and tell.


def loss(config, epoch):
    """A learning curve that falls faster for small x."""
    return 1 / epoch + config["x"]


def play(scheduler, n_steps, metric=loss):
    """Train in one worker, as a user's loop does; return the epochs that each trial was trained, and the decisions."""
    epochs, decisions, trials = {}, {}, {}
    for _ in range(n_steps):
        suggestion = scheduler.suggest(len(trials))
        if suggestion is None:
            break
        if suggestion.spawn_new_trial_id:
            trial = trials[len(trials)] = Trial(len(trials), suggestion.config)
            scheduler.on_trial_add(trial)
            epochs[trial.trial_id], decisions[trial.trial_id] = [], []
        else:
            trial = trials[suggestion.checkpoint_trial_id]
            trial.config = suggestion.config
        for epoch in itertools.count(len(epochs[trial.trial_id]) + 1):
            result = {"loss": metric(trial.config, epoch), "epoch": epoch, "cost": 1.0}
            decision = scheduler.on_trial_result(trial, result)
            epochs[trial.trial_id].append(epoch)
            if decision == SchedulerDecision.CONTINUE and epoch == trial.config["max_epochs"]:
                scheduler.on_trial_complete(trial, result)
                break
            if decision != SchedulerDecision.CONTINUE:
                decisions[trial.trial_id].append((epoch, decision, suggestion.config["max_epochs"]))
                break
    return epochs, decisions


def test_promotion_pauses_at_rungs_and_goes_on_with_the_best():
    """Every stop is at a rung that the trial was told beforehand; PAUSE below the full resource and STOP there."""
    scheduler = st.ASHA(SPACE, type="promotion", **HYPERBAND)
    _, decisions = play(scheduler, 60)
    ends = [end for each in decisions.values() for end in each]
    assert {epoch for epoch, _, _ in ends} == {1, 3, 9, 27}
    assert all((decision == "STOP") == (epoch == 27) for epoch, decision, _ in ends)
    assert all(epoch == told for epoch, _, told in ends)
    assert scheduler.hpo.best()[1] == min(loss(trial.hp, 27) for trial in scheduler.hpo.trials if trial.fidelity == 27)


def test_who_is_promoted_is_what_the_rule_says():
    """Brute force: from the top rung down, the best of the first floor(n / 3) that was not promoted, else a new one."""
    scheduler = st.ASHA(SPACE, type="promotion", **HYPERBAND)
    results, promoted, configs = {1: {}, 3: {}, 9: {}, 27: {}}, set(), {}
    for _ in range(60):
        wanted = None
        for rung in (9, 3, 1):
            ranked = sorted(results[rung], key=results[rung].get)
            free = [trial for trial in ranked[: len(ranked) // 3] if (trial, rung) not in promoted]
            if free:
                wanted = free[0], rung
                break
        suggestion = scheduler.suggest(len(configs))
        if wanted is None:
            assert suggestion.spawn_new_trial_id
            trial_id, reached = len(configs), 1
        else:
            assert (suggestion.spawn_new_trial_id, suggestion.checkpoint_trial_id) == (False, wanted[0])
            promoted.add(wanted)
            trial_id, reached = wanted[0], 3 * wanted[1]
        configs[trial_id] = suggestion.config
        assert suggestion.config["max_epochs"] == reached
        results[reached][trial_id] = loss(suggestion.config, reached)
        scheduler.on_trial_result(
            Trial(trial_id, suggestion.config), {"loss": results[reached][trial_id], "epoch": reached}
        )
    assert len(results[27]) >= 1


def test_stopping_runs_on_and_stops_the_worse():
    """STOP is all there is; who is stopped has reported at a rung; the best of all is never stopped early."""
    scheduler = st.ASHA(SPACE, **HYPERBAND)
    epochs, decisions = play(scheduler, 40)
    assert all(decision == "STOP" for each in decisions.values() for _, decision, _ in each)
    assert {len(each) for each in epochs.values()} <= {1, 3, 9, 27}
    assert {told for each in decisions.values() for _, _, told in each} == {27}
    assert len(epochs) == 40
    best = min(scheduler.hpo.trials, key=lambda trial: trial.hp["x"])
    assert len(epochs[best.number]) == 27
    assert min(len(each) for each in epochs.values()) == 1
    for trial in scheduler.hpo.trials:
        reached = len(epochs[trial.number])
        assert (str(trial.state), trial.reached) == ("COMPLETE" if reached == 27 else "STOPPED", reached)


def test_the_mode_says_which_way_is_better():
    """With "max" the trials with large x go on, and the best is the largest."""
    scheduler = st.ASHA(SPACE, type="promotion", mode="max", **HYPERBAND)
    play(scheduler, 60, metric=lambda config, epoch: config["x"] * epoch)
    full = [trial for trial in scheduler.hpo.trials if trial.fidelity == 27]
    assert scheduler.mode == scheduler.metric_mode() == "max"
    assert scheduler.hpo.best()[1] == max(27 * trial.hp["x"] for trial in full)
    assert min(trial.hp["x"] for trial in full) > 0.5


def test_a_script_that_starts_from_scratch_goes_over_known_ground():
    """Reports up to where the trial was resumed are ignored, whatever they say."""
    scheduler = st.ASHA(SPACE, type="promotion", **HYPERBAND)
    trials = [Trial(n, scheduler.suggest(n).config) for n in range(3)]
    for trial in trials:
        assert scheduler.on_trial_result(trial, {"loss": loss(trial.config, 1), "epoch": 1}) == "PAUSE"
    suggestion = scheduler.suggest(3)
    assert not suggestion.spawn_new_trial_id
    trial = trials[suggestion.checkpoint_trial_id]
    assert scheduler.on_trial_result(trial, {"loss": 1e9, "epoch": 1}) == "CONTINUE"
    assert scheduler.on_trial_result(trial, {"loss": 0.5, "epoch": 2}) == "CONTINUE"
    assert scheduler.on_trial_result(trial, {"loss": 0.4, "epoch": 3}) == "PAUSE"
    assert scheduler.on_trial_result(trial, {"loss": 0.3, "epoch": 4}) == "STOP"  # it does not run any more
    assert scheduler.hpo.trials[-1].reports == ((2, 0.5), (3, 0.4))


def test_trials_end_by_themselves_fail_or_are_removed():
    """Complete: the last result; error: none; removed: what was reported last, or none."""
    scheduler = st.RandomSearch(SPACE, **FULL)
    trials = [Trial(n, scheduler.suggest(n).config) for n in range(4)]
    assert scheduler.on_trial_result(trials[0], {"loss": 3}) == "CONTINUE"
    scheduler.on_trial_complete(trials[0], {"loss": 2})
    scheduler.on_trial_result(trials[1], {"loss": 1})
    scheduler.on_trial_error(trials[1])
    scheduler.on_trial_result(trials[2], {"loss": 5})
    scheduler.on_trial_remove(trials[2])
    scheduler.on_trial_remove(trials[3])
    scheduler.on_trial_remove(trials[3])
    scheduler.on_trial_complete(trials[0], {"loss": 0})
    told = [(trial.state, trial.perf) for trial in scheduler.hpo.trials]
    failed = (TrialState.FAILED, None)
    assert told == [(TrialState.COMPLETE, 2), failed, (TrialState.STOPPED, 5), failed]


def test_a_population_goes_on_from_copies_of_the_best():
    """A new trial says whose checkpoint it starts from, and goes on where that one paused."""
    scheduler = st.PopulationBasedTraining(
        SPACE, population_size=4, perturbation_interval=3, quantile_fraction=0.25, **HYPERBAND
    )
    trials = [Trial(n, scheduler.suggest(n).config) for n in range(4)]
    for trial in trials:
        decisions = [scheduler.on_trial_result(trial, {"loss": loss(trial.config, e), "epoch": e}) for e in (1, 2, 3)]
        assert decisions == ["CONTINUE", "CONTINUE", "PAUSE"]
    suggestions = [scheduler.suggest(4 + n) for n in range(4)]
    copies = [one for one in suggestions if one.spawn_new_trial_id]
    best = min(trials, key=lambda trial: trial.config["x"])
    assert [one.checkpoint_trial_id for one in copies] == [best.trial_id]
    number = 4 + suggestions.index(copies[0])
    copy = Trial(number, copies[0].config)
    assert scheduler.on_trial_result(copy, {"loss": 0.1, "epoch": 3}) == "CONTINUE"  # known ground
    assert scheduler.on_trial_result(copy, {"loss": 0.1, "epoch": 6}) == "PAUSE"


def test_costs_decide_where_the_scheduler_says_so():
    """What is reported as the cost is the cost of the trial."""
    scheduler = hyperband(type="cost_promotion", cost_attr="dollars")
    trial = Trial(0, scheduler.suggest(0).config)
    assert scheduler.on_trial_result(trial, {"loss": 1, "epoch": 1, "dollars": 7.5}) == "PAUSE"
    assert scheduler.hpo.trials[0].cost == 7.5


def test_nothing_is_suggested_where_nothing_is_left():
    """None, as a finite space has no other configuration; a trial's number is used once."""
    scheduler = st.GridSearch({"k": cs.randint(1, 3)}, metric="loss", random_seed=0)
    trials = [Trial(n, scheduler.suggest(n).config) for n in range(3)]
    assert {trial.config["k"] for trial in trials} == {1, 2, 3}
    for trial in trials:
        scheduler.on_trial_complete(trial, {"loss": trial.config["k"]})
    assert scheduler.suggest(3) is None
    with pytest.raises(OptionError, match="trial_id: must not have been used before, got 2"):
        scheduler.suggest(2)


def test_asking_and_telling_take_two_calls():
    """As in Syne Tune 0.14; the best trial is the one with the best result told."""
    scheduler = st.AskTellScheduler(st.RandomSearch(SPACE, mode="max", **FULL))
    for _ in range(6):
        trial = scheduler.ask()
        scheduler.tell(trial, {"loss": -abs(trial.config["x"] - 0.25)})
    best = min(scheduler.completed_experiments.values(), key=lambda one: abs(one.config["x"] - 0.25))
    assert scheduler.best_trial("loss").trial_id == best.trial_id
    grid = st.AskTellScheduler(st.GridSearch({"k": cs.choice([1])}, metric="loss"))
    grid.tell(grid.ask(), {"loss": 1})
    with pytest.raises(OptimizationComplete):
        grid.ask()


@pytest.mark.parametrize(("make", "name", "options"), CASES)
def test_every_scheduler_is_played_to_good_results(make, name, options):
    """Some steps of one worker: nothing is trained beyond what it was told, and the best is the least full result."""
    scheduler = make()
    epochs, decisions = play(scheduler, 22)
    assert all(epoch <= told for each in decisions.values() for epoch, _, told in each)
    assert max(map(len, epochs.values())) <= 27
    told = [trial for trial in scheduler.hpo.trials if trial.perf is not None]
    assert len(told) >= 12
    longest = max(trial.reached for trial in told)
    assert scheduler.hpo.best()[1] == min(trial.perf for trial in told if trial.reached == longest)


# Errors.


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
