"""The defects that were seen in Syne Tune's searcher and schedulers: one test for each, by its number."""

from __future__ import annotations

import inspect
import subprocess
import sys

import numpy as np
import pytest
from scipy import stats

from autohpo import GPMultiFidelitySearcher, LogRangeHP, RangeHP, build_hpo_from_name
from autohpo.algorithms.parts.gp_options import GPOptions
from autohpo.algorithms.parts.parameter_fits import ParameterFits
from autohpo.surrogates.boxcox import boxcox_targets, fit_boxcox

SPACE = [RangeHP("x", 0.0, 1.0), RangeHP("y", 0.0, 1.0)]
MODELS = ["gp_multitask", "gp_independent", "gp_issm", "gp_expdecay"]
QUICK = {"num_init_random": 4, "random_fraction": 0.0, "opt_maxiter": 10}


def loss(config, epoch):
    """A bowl that training approaches."""
    return (config["x"] - 0.3) ** 2 + (config["y"] - 0.6) ** 2 + 1.0 / epoch


def searcher_of(n=8, top=3, scale=1.0, shift=0.0, space=SPACE, **options):
    """A searcher that was told n configurations at epoch 1 and some at higher rungs, up to `top`."""
    searcher = GPMultiFidelitySearcher(space, "loss", **{**QUICK, **options})
    searcher.configure_scheduler([1, 3], 9, "epoch", "min")
    for i in range(n):
        config = searcher.get_config(trial_id=str(i))
        for epoch in (1, 2, 3, 4, 5, 6, 7, 8, 9):
            if epoch == 1 or (epoch <= top and i % 2):
                result = {"loss": shift + scale * loss(config, epoch), "epoch": epoch}
                searcher.on_trial_result(str(i), config, result)
    return searcher


def engine_of(searcher):
    """The engine of a searcher, and the evidence that it has."""
    suggester = searcher._suggester
    return suggester.engine, suggester.evidence(searcher._opened().pending())


@pytest.mark.parametrize("dropped", ["a", "b"])
def test_d1_a_cleaned_up_trial_is_the_only_one_that_is_no_longer_pending(dropped):
    """Where two trials wait, the other one still does: a searcher that never knew the first suggests the same."""
    searcher = searcher_of()
    configs = {name: searcher.get_config(name) for name in "ab"}
    for name, config in configs.items():
        searcher.register_pending(name, config, milestone=3)
    searcher.cleanup_pending(dropped)
    _, evidence = engine_of(searcher)
    kept = configs["b" if dropped == "a" else "a"]
    assert evidence.pending.points.tolist() == [[kept["x"], kept["y"]]]
    assert evidence.pending.fidelity.tolist() == [3.0]


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize(("scale", "shift"), [(2.0**-10, 0.0), (2.0**10, 0.0), (1.0, 64.0)])
def test_d2_a_suggestion_does_not_depend_on_the_unit_of_the_metric(model, scale, shift):
    """Upstream's EI wants a gain of .01 raw units. The units here are powers of two: rounding changes little."""
    plain, other = searcher_of(model=model), searcher_of(model=model, scale=scale, shift=shift)
    expected, found = plain.get_config("new"), other.get_config("new")
    assert [found[name] for name in "xy"] == pytest.approx([expected[name] for name in "xy"], abs=1e-3)


@pytest.mark.parametrize("model", ["gp_issm", "gp_expdecay"])
def test_d3_curve_models_suggest_while_trials_are_pending(model):
    """New configurations, and those that continue a curve."""
    searcher = searcher_of(model=model)
    first = searcher.get_config("a")
    searcher.register_pending("a", first, milestone=3)
    searcher.register_pending("1", None, milestone=4)
    _, evidence = engine_of(searcher)
    assert len(evidence.pending) == 2
    second = searcher.get_config("b")
    assert second != first
    assert searcher.model_parameters()["model"] == model


@pytest.mark.parametrize("model", ["gp_issm", "gp_expdecay"])
def test_d4_improvement_is_expected_at_one_fidelity_the_full_one(model):
    """All candidates are at R, and a step of the search moves no fidelity."""
    engine, evidence = engine_of(searcher_of(model=model))
    aim = engine.aim(evidence, np.random.default_rng(0))
    rows = aim.improvement.extend(np.full((3, 2), 0.4))
    assert aim.fidelity == 9.0
    assert rows[:, 2].tolist() == [9.0] * 3
    _, gradient = aim.improvement.with_gradient(np.full((3, 2), 0.4), np.ones((3, 2), dtype=bool))
    assert gradient.shape == (3, 2)


def test_d5_box_and_cox_transform_results_before_they_are_centred():
    """No two different results become one, and the power is that of the likelihood with a sum of Jacobians (SciPy)."""
    results = np.exp(np.random.default_rng(0).normal(size=200))
    targets = boxcox_targets(results).values
    assert np.array_equal(np.argsort(targets), np.argsort(results))
    assert len(np.unique(targets)) == len(results)
    powers = np.linspace(-1.0, 2.0, 601)
    density = [stats.boxcox_llf(power, results) - 0.5 * ((power - 0.5) / 0.75) ** 2 for power in powers]
    assert fit_boxcox(results).power == pytest.approx(powers[int(np.argmax(density))], abs=1 / 32)
    searcher = searcher_of(boxcox_transform=True)
    assert searcher.get_config("new") is not None
    engine, evidence = engine_of(searcher)
    assert np.array_equal(engine.fits.targets(evidence.rows.score).values, boxcox_targets(evidence.rows.score).values)


@pytest.mark.parametrize("model", MODELS)
def test_d6_the_lower_confidence_bound_is_an_acquisition_function(model):
    """It is the mean over draws and some deviations: scores are higher where they are better."""
    points, mask = np.random.default_rng(0).random((5, 2)), np.ones((5, 2), dtype=bool)
    for kappa in (0.0, 2.0):
        searcher = searcher_of(model=model, acq_function="lcb", lcb_kappa=kappa)
        engine, evidence = engine_of(searcher)
        aim = engine.aim(evidence, np.random.default_rng(1))
        means, deviations = aim.improvement.predict(points, mask)
        assert aim.improvement.score(points, mask) == pytest.approx(means.mean(axis=1) + kappa * deviations)
        assert searcher.get_config("new") is not None


@pytest.mark.parametrize("model", ["gp_multitask", "gp_independent"])
@pytest.mark.parametrize("top", [1, 3])
def test_d7_the_full_fidelity_may_be_aimed_at_before_it_was_seen(model, top):
    """A process of all fidelities predicts there; independent ones are asked at the highest that has values."""
    searcher = searcher_of(top=top, model=model, resource_acq="final")
    engine, evidence = engine_of(searcher)
    assert engine.acquisition_fidelity(evidence) == (9.0 if model == "gp_multitask" else top)
    assert searcher.get_config("new") is not None


def test_d8_the_tail_of_a_curve_is_as_uncertain_as_its_shocks():
    """Results that are all twice as far apart make all deviations twice as large, at every level of a curve."""
    from autohpo.surrogates.curve_models import issm_process
    from autohpo.surrogates.embedding import Embedding
    from autohpo.surrogates.gp import Data
    from autohpo.surrogates.parzen_columns import Columns

    model = issm_process(Embedding(Columns(np.array([0]), [None]), np.array([False])), levels=[1, 2, 3])
    points = np.array([[0.2, 1, 0], [0.2, 2, 0], [0.7, 1, 1]], dtype=float)
    data = Data(points, np.ones((3, 1), dtype=bool), np.array([-0.5, 0.3, 0.1]))
    theta = model.start  # log length, scale, offset, effects; alpha, beta, gamma, s^2
    twice = theta + np.log([1, 4, 4, 4, 1, 2, 0.5, 4])
    rows = np.array([[0.2, 3, 0], [0.7, 2, 1], [0.5, 1, 9], [0.5, 2, 9]], dtype=float)
    mask = np.ones((4, 1), dtype=bool)
    _, deviations = model.posterior(theta, data).predict(rows, mask)
    _, found = model.posterior(twice, Data(points, data.mask, 2 * data.targets)).predict(rows, mask)
    assert found == pytest.approx(2 * deviations)
    _, tails = model.posterior(theta, Data(points[:1], data.mask[:1], data.targets[:1])).predict(rows[2:], mask[2:])
    s = np.exp(theta[7] / 2)
    steps = np.exp(theta[4] + theta[5]) * np.array([2.0, 3.0]) ** -(np.exp(theta[4]) + 1)
    gap = (np.exp(theta[6]) * s * steps[0]) ** 2  # the variance that level 1 has beyond level 2
    assert tails[0] ** 2 - tails[1] ** 2 == pytest.approx(gap)


@pytest.mark.parametrize("period", [1, 3, 7])
def test_d9_parameters_are_fitted_anew_with_each_kth_value(period):
    """Counted along a whole search: beyond the first values, no fit comes sooner than the period says."""
    options = GPOptions(opt_skip_init_length=10, opt_skip_period=period)
    fits = ParameterFits(options, None, 0)  # type: ignore[arg-type]
    sizes = [fits.fitted_size(np.ones(n), 9.0) for n in range(1, 15)]
    assert sizes[:10] == list(range(1, 11))
    assert sizes[10:] == [10 + (n - 10) // period * period for n in range(11, 15)]
    assert all(isinstance(size, int) and not isinstance(size, bool) for size in sizes)


def test_d9_parameters_are_fitted_anew_with_a_value_at_the_full_fidelity_only():
    """With `opt_skip_num_max_resource`: the last such value, but all of the first."""
    options = GPOptions(opt_skip_init_length=2, opt_skip_num_max_resource=True)
    fits = ParameterFits(options, None, 0)  # type: ignore[arg-type]
    fidelity = np.array([1.0, 1.0, 1.0, 9.0, 1.0, 1.0, 9.0, 1.0])
    assert [fits.fitted_size(fidelity[:n], 9.0) for n in range(1, 9)] == [1, 2, 2, 4, 4, 4, 7, 7]


@pytest.mark.parametrize("kernel", ["exp-decay-sum", "exp-decay-combined", "exp-decay-delta1", "freeze-thaw"])
def test_d10_no_parameter_of_a_decay_sits_on_a_bound(kernel):
    """Curves that fall by far more than the deviation of what they end at."""
    searcher = GPMultiFidelitySearcher(SPACE, "loss", **{**QUICK, "opt_maxiter": 50}, gp_resource_kernel=kernel)
    searcher.configure_scheduler([1, 3, 9], 27, "epoch", "min")
    for i in range(12):
        config = searcher.get_config(str(i))
        for epoch in (1, 3, 9)[: 1 + i % 3]:
            result = {"loss": 0.1 * loss(config, 1e9) + 10.0 * np.exp(-epoch), "epoch": epoch}
            searcher.on_trial_result(str(i), config, result)
    engine, evidence = engine_of(searcher)
    theta = engine.fits.parameters(evidence)
    process = engine._model.process(engine.fits.levels)
    decay = [i for i, prior in enumerate(process.kernel.priors) if prior.is_signed]
    assert decay
    low, high = process.priors.low[decay], process.priors.high[decay]
    assert (theta[decay] > low + 1e-6).all()
    assert (theta[decay] < high - 1e-6).all()


def test_d11_three_values_at_a_rung_are_enough_in_six_dimensions_and_logs_are_kept():
    """Upstream's BOHB needs 47; and its models ignored that a range is logarithmic."""
    space = [*(RangeHP(f"x{i}", 0.0, 1.0) for i in range(5)), LogRangeHP("lr", 1e-4, 1.0)]
    searcher = GPMultiFidelitySearcher(space, "loss", **QUICK)
    searcher.configure_scheduler([1, 3], 9)
    assert searcher.get_config("0")["lr"] == pytest.approx(1e-2)  # the geometric mean of the range
    for i in range(1, 6):
        config = searcher.get_config(str(i))
        for epoch in (1, 3) if i > 2 else (1,):
            searcher.on_trial_result(str(i), config, {"loss": float(i), "epoch": epoch})
    engine, evidence = engine_of(searcher)
    assert engine.is_ready(evidence)
    assert engine.acquisition_fidelity(evidence) == 3.0
    column = evidence.rows.points[:, 5]
    rates = [searcher._opened()._hp(int(number))["lr"] for number in evidence.rows.number]
    assert column == pytest.approx((np.log10(rates) + 4.0) / 4.0)


def test_d12_every_baseline_comes_with_a_plain_install():
    """In a fresh process all of them import, and bring in none of the packages that upstream's wanted."""
    code = (
        "import sys\n"
        "from autohpo.integrations.syne_tune.optimizer import baselines\n"
        "for name in baselines.__all__: print(getattr(baselines, name).__name__)\n"
        "print([m for m in ('torch', 'pandas', 'huggingface_hub', 'botorch', 'autograd') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    *names, heavy = done.stdout.splitlines()
    assert {"ASHA", "MOBSTER", "HyperTune", "DyHPO", "PASHA", "BOHB", "DEHB"} <= set(names)
    assert heavy == "[]"


def test_d13_no_global_random_number_is_drawn_and_levels_are_ordered():
    """The rung that improvement is expected at is the highest that has enough, in whatever order values came."""
    state = np.random.get_state()[1].copy()  # noqa: NPY002 - the global one must not change
    searcher = GPMultiFidelitySearcher(SPACE, "loss", **QUICK)
    searcher.configure_scheduler([1, 3], 9)
    for i in range(5):
        config = searcher.get_config(str(i))
        for epoch in (9, 3, 1):
            searcher.on_trial_result(str(i), config, {"loss": loss(config, epoch), "epoch": epoch})
    assert searcher.get_config("new") is not None
    engine, evidence = engine_of(searcher)
    assert evidence.rows.fidelity[-1] == 1.0
    assert engine.acquisition_fidelity(evidence) == 9.0
    assert np.array_equal(np.random.get_state()[1], state)  # noqa: NPY002


def test_d14_parameters_are_fitted_for_few_of_the_values():
    """A fit is most of what a suggestion costs: from 64 to 128 values there are no more than nine of them."""
    options = GPOptions()
    fits = ParameterFits(options, None, 0)  # type: ignore[arg-type]
    sizes = {fits.fitted_size(np.ones(n), 9.0) for n in range(64, 129)}
    assert len(sizes) <= 9
    behind = [(n - fits.fitted_size(np.ones(n), 9.0)) / n for n in range(1, 500)]
    assert max(behind) <= 1 / 8


def test_stopping_is_an_option_and_pausing_the_default():
    """Upstream's `MOBSTER` stops, which wastes what a model knows (rule 2)."""
    assert inspect.signature(type(build_hpo_from_name("mobster", SPACE))).parameters["type"].default == "promotion"
