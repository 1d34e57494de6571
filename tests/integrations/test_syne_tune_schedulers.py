"""Schedulers of Syne Tune: which algorithm each is, with which options, and ask and tell without a tuner."""

from __future__ import annotations

import itertools

import pytest

from autohpo import OptimizationComplete, OptionError
from autohpo.algorithms.registry import name_of
from autohpo.integrations import syne_tune as st
from autohpo.integrations.syne_tune import config_space as cs
from autohpo.integrations.syne_tune.backend.trial_status import Trial
from autohpo.integrations.syne_tune.optimizer.scheduler import SchedulerDecision
from autohpo.integrations.syne_tune.optimizer.schedulers.hyperband import HyperbandArguments, rung_levels_of
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
        lambda: st.HyperTune(SPACE, brackets=2, **HYPERBAND), "hypertune", {"type": "stopping", "brackets": 2}
    ),
    pytest.param(
        lambda: st.DyHPO(SPACE, probability_sh=0.4, **HYPERBAND),
        "dyhpo",
        {"max_fidelity": 27, "probability_sh": 0.4, "rung_increment": 2},
    ),
    pytest.param(lambda: st.PASHA(SPACE, **HYPERBAND), "pasha", {"max_fidelity": 27, "sampler": "random"}),
    (
        lambda: st.SyncHyperband(SPACE, grace_period=3, **HYPERBAND),
        "hyperband",
        {"max_fidelity": 27, "min_fidelity": 3, "eta": 3, "sampler": "random"},
    ),
    (lambda: st.SyncBOHB(SPACE, **HYPERBAND), "hyperband", {"sampler": "kde"}),
    pytest.param(lambda: Synchronous(SPACE, brackets=1, **HYPERBAND), "successive_halving", {"max_fidelity": 27}),
    pytest.param(lambda: st.DEHB(SPACE, **HYPERBAND), "dehb", {"max_fidelity": 27}),
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
