"""The algorithms that are made of the multi-fidelity process: mobster, hypertune, dyhpo, and the process alone."""

from __future__ import annotations

import numpy as np
import pytest

from autohpo import ChoiceHP, LogRangeHP, OptionError, RangeHP, SpaceError, build_hpo_from_name
from autohpo.algorithms.gp_multi_fidelity import GPMultiFidelity
from autohpo.algorithms.options import option_names
from autohpo.algorithms.parts.gp_options import GP_OPTIONS, GPOptions
from autohpo.algorithms.registry import get_hpo

SPACE = [RangeHP("x", 0.0, 1.0), LogRangeHP("lr", 1e-4, 1.0)]
QUICK = {"num_init_random": 4, "opt_maxiter": 10, "max_fidelity": 9, "seed": 0}


def value(hp, fidelity, *, is_lying=False):
    """A bowl on a log scale; where the lowest rung lies, its order is the opposite one."""
    bowl = -abs(hp["x"] - 0.3) - abs(np.log10(hp["lr"]) + 2.0) / 4.0
    return -bowl if is_lying and fidelity == 1 else bowl - 1.0 / fidelity


def run(name, n=40, workers=1, scale=1.0, shift=0.0, space=SPACE, is_lying=False, **options):
    """An optimizer after n results, each told when `workers` trials run."""
    hpo = build_hpo_from_name(name, space, **{**QUICK, **options})
    running = []
    for _ in range(n):
        while len(running) < workers:
            running.append(hpo.ask())
        done = running.pop(0)
        hpo.tell(done, shift + scale * value(done, done.fidelity or 9, is_lying=is_lying))
    return hpo


@pytest.mark.parametrize("name", ["mobster", "hypertune", "dyhpo"])
@pytest.mark.parametrize(("scale", "shift"), [(2.0**-10, 0.0), (1.0, 32.0)])
def test_a_search_does_not_depend_on_the_unit_of_perf(name, scale, shift):
    """In powers of two, so that rounding changes suggestions by little; so few trials that it changes no order."""
    plain, other = run(name, 20, workers=2), run(name, 20, workers=2, scale=scale, shift=shift)
    for mine, theirs in zip(plain.trials, other.trials, strict=True):
        assert (mine.fidelity, mine.resume) == (theirs.fidelity, theirs.resume)
        assert mine.hp["x"] == pytest.approx(theirs.hp["x"], abs=1e-3)


@pytest.mark.parametrize(
    "options",
    [
        *({"gp_resource_kernel": kernel} for kernel in ("exp-decay-sum", "exp-decay-combined", "exp-decay-delta1")),
        *({"gp_resource_kernel": kernel} for kernel in ("freeze-thaw", "matern52", "matern52-res-warp")),
        {"gp_resource_kernel": "cross-validation"},
        *({"model": model} for model in ("gp_independent", "gp_issm", "gp_expdecay")),
        {"model": "gp_issm", "issm_gamma_one": True},
        {"model": "gp_expdecay", "expdecay_normalize_inputs": True},
        *({"resource_acq": acq} for acq in ("first", "final")),
        {"resource_acq_bohb_threshold": 6},
        {"max_size_data_for_model": 10},
        {"max_size_data_for_model": None},
        {"max_size_data_for_model": 10, "one_per_doubling": True},
        {"opt_skip_init_length": 5, "opt_skip_period": 4},
        {"opt_skip_init_length": 5, "opt_skip_num_max_resource": True},
        {"opt_nstarts": 3, "opt_warmstart": False},
        {"num_fantasy_samples": 2},
        {"no_fantasizing": True},
        {"normalize_targets": False},
        {"boxcox_transform": True},
        {"input_warping": True},
        {"separate_noise_variances": True},
        {"rung_mixture": True, "hypertune_distribution_num_samples": 10},
        {"num_init_candidates": 50, "initial_scoring": "thompson_indep"},
        {"skip_local_optimization": True},
        {"acq_function": "lcb", "lcb_kappa": 2.0},
        {"allow_duplicates": True},
        {"points_to_evaluate": [{"x": 0.1}]},
        {"cost_attr": "elapsed_time", "exponent_cost": 0.5},
        {"random_fraction": 0.0},
        {"debug_log": True},
        {"searcher_data": "rungs_and_last"},
        {"searcher_data": "all"},
    ],
    ids=str,
)
def test_every_option_runs_from_end_to_end(options):
    """With two workers, so that some trial is pending, and until the model was asked a few times."""
    hpo = run("mobster", 16, workers=2, **options)
    used = [trial.info["model"] for trial in hpo.trials if trial.resume is None]
    assert any(used)
    assert not any(trial.info.get("fallback") for trial in hpo.trials)


def test_every_option_has_a_test():
    """The list above names them all, but those of the pool, of which there is a test of its own."""
    mark = next(m for m in test_every_option_runs_from_end_to_end.pytestmark if m.name == "parametrize")
    named = {name for options in (*mark.args[1], QUICK) for name in options}
    assert set(GP_OPTIONS) - named == {"restrict_configurations"}


def test_only_some_configurations_may_be_suggested():
    """All of them start once, and none other does."""
    pool = [{"x": i / 8, "lr": 0.01} for i in range(9)]
    hpo = build_hpo_from_name("mobster", SPACE, restrict_configurations=pool, points_to_evaluate=[], **QUICK)
    while True:
        suggestion = hpo.ask()
        hpo.tell(suggestion, value(suggestion, suggestion.fidelity))
        started = [trial.hp["x"] for trial in hpo.trials if trial.resume is None]
        if len(started) == 9:
            break
    assert sorted(started) == [i / 8 for i in range(9)]


@pytest.mark.parametrize("type_", ["promotion", "stopping"])
def test_mobster_pauses_or_stops(type_):
    """A trial that stops had everything it might get; one that pauses has what its rung gives."""
    hpo = build_hpo_from_name("mobster", SPACE, type=type_, **QUICK)
    for _ in range(8):
        suggestion = hpo.ask()
        if type_ == "promotion":
            hpo.tell(suggestion, value(suggestion, suggestion.fidelity))
            continue
        assert suggestion.fidelity == 9
        for epoch in range(1, 10):
            if not hpo.report(suggestion, epoch, value(suggestion, epoch)) and epoch < 9:
                break
        hpo.tell(suggestion, value(suggestion, epoch), is_stopped=epoch < 9)
    assert {trial.fidelity for trial in hpo.trials} == ({1, 3} if type_ == "promotion" else {9})
    view, sampler = hpo._sampler_now()
    sampler.follow(view)
    assert len(sampler.inner.suggester.evidence().rows) >= 8


def test_the_options_of_mobster_are_those_of_its_sampler():
    """Each goes through."""
    hpo = build_hpo_from_name("mobster", SPACE, gp_resource_kernel="matern52", num_fantasy_samples=3, **QUICK)
    inner = hpo._sampler_now()[1].inner
    assert isinstance(inner, GPMultiFidelity)
    assert (inner.gp_resource_kernel, inner.num_fantasy_samples, inner.max_fidelity) == ("matern52", 3, 9)
    assert inner.rung_levels == [1.0, 3.0, 9.0]


def test_failed_configurations_never_come_again_even_where_duplicates_may():
    """Of a space of four, three fail."""
    space = [ChoiceHP("a", [0, 1]), ChoiceHP("b", [0, 1])]
    hpo = build_hpo_from_name("gp_multi_fidelity", space, allow_duplicates=True, num_init_random=2, seed=0)
    failed = []
    from autohpo.trial import Outcome, TrialState

    for _ in range(15):
        suggestion = hpo.ask()
        assert dict(suggestion) not in failed
        if dict(suggestion) == {"a": 1, "b": 1}:
            hpo.tell(suggestion, 1.0)
        else:
            hpo.fail(suggestion, Outcome(TrialState.FAILED))
            failed.append(dict(suggestion))
    assert len(failed) == 3


def test_hypertune_learns_that_the_lowest_rung_lies():
    """Its weight falls to that of chance, and more new configurations start above it than where it is honest."""
    weights, starts = {}, {}
    for is_lying in (False, True):
        hpo = run("hypertune", 60, is_lying=is_lying, random_fraction=0.5, points_to_evaluate=[])
        trust = hpo._trust(hpo.history)
        weights[is_lying] = trust[0]
        starts[is_lying] = sum(trial.fidelity > 1 for trial in list(hpo.trials)[30:] if trial.resume is None)
        assert sum(trust) == pytest.approx(1.0)
    assert weights[True] < 0.1 < weights[False]
    assert starts[True] > starts[False]


def test_hypertune_by_default_learns_without_a_process_that_the_lowest_rung_lies():
    """Its chance is small where that rung lies, and large where it is honest; most configurations start accordingly."""
    starts, trust = {}, {}
    for is_lying in (False, True):
        hpo = build_hpo_from_name("hypertune", SPACE, max_fidelity=9, seed=0)
        assert hpo._sampler_name == "portfolio"
        assert hpo._sampler_options["weighs_rungs"]
        for _ in range(90):
            suggestion = hpo.ask()
            hpo.tell(suggestion, value(suggestion, suggestion.fidelity, is_lying=is_lying))
        trust[is_lying] = hpo._trust(hpo.history)
        starts[is_lying] = [trial.fidelity for trial in list(hpo.trials)[45:] if trial.resume is None]
        assert sum(trust[is_lying]) == pytest.approx(1.0)
    assert trust[True][0] < 0.1 < 0.9 < trust[False][0]
    assert np.mean(np.array(starts[True]) == 3) > 0.5
    assert np.mean(np.array(starts[False]) == 1) > 0.8


def test_the_portfolio_leaves_out_rungs_that_lie_where_it_is_to_weigh_them():
    """After results whose lowest rung has the opposite order, the score follows the others; else it follows all."""
    for weighs in (True, False):
        hpo = build_hpo_from_name("hypertune", SPACE, sampler=("portfolio", {"weighs_rungs": weighs}), max_fidelity=9)
        for _ in range(60):
            suggestion = hpo.ask()
            hpo.tell(suggestion, value(suggestion, suggestion.fidelity, is_lying=True))
        view, sampler = hpo._sampler_now()
        sampler.follow(view)
        sampler.inner._chains.update()
        sampler.inner.rng = np.random.default_rng(0)
        assert sampler.inner._lowest_rung() == (1 if weighs else 0)


def test_the_judge_of_dyhpo_says_what_the_model_predicts():
    """Means and deviations of paused trials at their next rungs, and the best value there, in units of the targets."""
    hpo = run("dyhpo", 25, points_to_evaluate=[])
    paused = sorted(hpo.resumable)
    steps = list(hpo._rungs)
    above = [float(steps[steps.index(hpo.history[number].fidelity) + 1]) for number in paused]
    judged = hpo._judge(hpo.history, np.random.default_rng(0), paused, above, 1.0)
    scores = np.array([trial.score for trial in hpo.trials])
    mean, sd = scores.mean(), scores.std()
    for i, fidelity in enumerate(above):
        there = [trial.score for trial in hpo.trials if trial.fidelity == fidelity] or scores
        assert judged.best[i] == pytest.approx((max(there) - mean) / sd, abs=1e-8)
    suggester = hpo._model.inner.suggester
    engine, evidence = suggester.engine, suggester.evidence()
    rows = engine.rows_of([hpo.history[n].hp for n in paused], np.array(above), [hpo.history.root(n) for n in paused])
    means, deviations = engine.belief(evidence, np.random.default_rng(0)).predict(*rows)
    assert judged.means == pytest.approx(means.mean(axis=1))
    assert judged.deviations == pytest.approx(deviations)
    assert judged.new is None or judged.new.hp is None or suggester._seen.is_new(judged.new.hp)


@pytest.mark.parametrize("sampler", ["random", None])
def test_the_judge_of_dyhpo_decides_wherever_new_configurations_come_from(sampler):
    """It waits for no configuration that only its own sampler would start, such as the middle of the space."""
    hpo = build_hpo_from_name("dyhpo", SPACE, max_fidelity=9, probability_sh=0.5, sampler=sampler, seed=0)
    assert hpo._sampler_name == (sampler or "portfolio")
    for _ in range(60):
        suggestion = hpo.ask()
        hpo.tell(suggestion, value(suggestion, suggestion.fidelity))
    reasons = [trial.info.get("why", "") for trial in hpo.trials]
    assert sum("expected improvement" in why and "new" not in why for why in reasons) > 2
    assert sum("expected improvement" in why and "new" in why for why in reasons) > 2
    assert not any(dict(trial.hp) == {"x": 0.5, "lr": 0.01} for trial in hpo.trials)


def test_dyhpo_takes_the_sampler_of_the_process_where_an_option_of_its_new_configurations_is_given():
    """Options that say how trials are judged leave the portfolio; with another sampler the former are refused."""
    names = {}
    for options in ({}, {"gp_resource_kernel": "matern52"}, {"random_fraction": 0.1}, {"points_to_evaluate": []}):
        names[str(options)] = build_hpo_from_name("dyhpo", SPACE, seed=0, **options)._sampler_name
    assert list(names.values()) == ["portfolio", "portfolio", "gp_multi_fidelity", "gp_multi_fidelity"]
    with pytest.raises(OptionError, match="points_to_evaluate: is an option of the sampler gp_multi_fidelity, not of"):
        build_hpo_from_name("dyhpo", SPACE, sampler="random", points_to_evaluate=[])


def test_dyhpo_has_no_opinion_before_there_are_results():
    """Then the scheduler goes by its own rule."""
    hpo = build_hpo_from_name("dyhpo", SPACE, **QUICK)
    hpo.set_up()
    assert hpo._judge(hpo.history, np.random.default_rng(0), [], [], 1.0) is None


@pytest.mark.parametrize("name", ["mobster", "hypertune", "dyhpo", "gp_multi_fidelity"])
def test_wrong_options_are_refused_when_it_is_built(name):
    """With the name, the rule and the value."""
    for options, text in [
        ({"opt_skip_period": 0}, "opt_skip_period: must be at least 1, got 0"),
        ({"random_fraction": 1.5}, "random_fraction: must be from 0 to 1, got 1.5"),
        ({"cost_attr": "price"}, 'cost_attr: must be "cost" or "elapsed_time"'),
        ({"model": "gp_issm", "separate_noise_variances": True}, "separate_noise_variances: must be False"),
    ]:
        with pytest.raises(OptionError, match=text):
            build_hpo_from_name(name, SPACE, **options)


@pytest.mark.parametrize("name", ["mobster", "hypertune", "dyhpo", "gp_multi_fidelity"])
def test_options_of_another_type_and_illegal_configurations_are_refused_when_it_is_built(name):
    """The error is one of ours and begins with the option, not with an operator that cannot compare."""
    for option in ("opt_maxiter", "lcb_kappa", "max_size_data_for_model", "num_init_random", "random_fraction"):
        with pytest.raises(OptionError, match=f"^{option}: must be .*, got 'x'"):
            build_hpo_from_name(name, SPACE, max_fidelity=9, **{option: "x"})
    for option in ("points_to_evaluate", "restrict_configurations"):
        with pytest.raises(OptionError, match=f"^{option}: must be a list of configurations"):
            build_hpo_from_name(name, SPACE, max_fidelity=9, **{option: 3})
        with pytest.raises(SpaceError, match=rf"^{option}\[0\]: "):
            build_hpo_from_name(name, SPACE, max_fidelity=9, **{option: [{"nobody": 1}]})


def test_the_defaults_stand_in_one_place():
    """Those of the algorithms are those of the process, but for what the paper of each has otherwise."""
    plain = GPOptions()
    changed = {}
    for name in ("mobster", "hypertune", "dyhpo", "gp_multi_fidelity"):
        hpo = build_hpo_from_name(name, SPACE, seed=0)
        changed[name] = {option for option in GP_OPTIONS if getattr(hpo, option) != getattr(plain, option)}
    expected = {"hypertune": {"model", "rung_mixture"}, "dyhpo": {"one_per_doubling"}}
    assert changed == {"mobster": set(), "gp_multi_fidelity": set(), **expected}


def test_dyhpo_starts_with_the_given_points_and_stays_within_the_restricted_ones():
    """Through the judge and through its sampler alike."""
    pool = [{"x": i / 8, "lr": 0.01} for i in range(9)]
    given = [pool[5], pool[2], pool[7], pool[0], pool[3], pool[8]]
    hpo = run("dyhpo", 25, restrict_configurations=pool, points_to_evaluate=given)
    started = [trial.hp["x"] for trial in hpo.trials if trial.resume is None]
    assert started[:6] == [hp["x"] for hp in given]
    assert set(started) <= {hp["x"] for hp in pool}
    assert len(started) == len(set(started)) >= 7


@pytest.mark.parametrize("name", ["mobster", "hypertune", "dyhpo", "gp_multi_fidelity"])
@pytest.mark.parametrize("option", ["num_init_candidates", "random_fraction", "model", "rung_increment", "rung_levels"])
@pytest.mark.parametrize("odd", [{"x": 1}, range(3, 0, -1), np.array([2.0, 1.0]), object()])
def test_odd_options_are_named(name, option, odd):
    """Their types are looked at before their values."""
    if option in option_names(get_hpo(name)):
        with pytest.raises(OptionError, match=f"^{option}: "):
            build_hpo_from_name(name, SPACE, **{option: odd})
