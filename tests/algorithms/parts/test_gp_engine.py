"""The acquisition function of the multi-fidelity process: its gradient, its draws, what is kept and what is fitted."""

from __future__ import annotations

import numpy as np
import pytest

from autohpo import GPMultiFidelitySearcher, RangeHP
from autohpo.algorithms.parts.cost_model import CostModel

SPACE = [RangeHP("x", 0.0, 1.0), RangeHP("y", 0.0, 1.0)]
QUICK = {"num_init_random": 4, "random_fraction": 0.0, "opt_maxiter": 10}
MODELS = [
    {"model": "gp_multitask"},
    {"model": "gp_independent"},
    {"model": "gp_issm"},
    {"model": "gp_expdecay"},
    {"model": "gp_independent", "rung_mixture": True},
    {"model": "gp_multitask", "separate_noise_variances": True},
    {"model": "gp_multitask", "input_warping": True},
]


def told(n=14, **options):
    """A searcher that was told n configurations, each second one up to rung 3, while two trials wait."""
    searcher = GPMultiFidelitySearcher(SPACE, "loss", [], **{**QUICK, **options})
    searcher.configure_scheduler([1, 3], 9)
    points = np.random.default_rng(0).random((n + 2, 2))
    for i, (x, y) in enumerate(points):
        config = {"x": float(x), "y": float(y)}
        if i >= n:
            searcher.register_pending(f"p{i}", config, milestone=3)
            continue
        for epoch in (1, 2, 3)[: 1 + 2 * (i % 2)]:
            value = (x - 0.3) ** 2 + (y - 0.6) ** 2 + 1 / epoch
            searcher.update(str(i), config, {"loss": value, "epoch": epoch, "elapsed_time": epoch * (1 + x)})
    return searcher


def parts_of(searcher):
    """The engine of a searcher, and its evidence."""
    return searcher._suggester.engine, searcher._suggester.evidence(searcher._opened().pending())


@pytest.mark.parametrize("options", MODELS, ids=str)
@pytest.mark.parametrize("acq_function", ["ei", "lcb"])
@pytest.mark.parametrize("has_cost", [False, True])
def test_the_gradient_is_that_of_the_values(options, acq_function, has_cost):
    """By central differences, with draws of what is pending, and with costs."""
    searcher = told(acq_function=acq_function, **options)
    engine, evidence = parts_of(searcher)
    cost = CostModel(searcher._opened().history, searcher._suggester.encoder, 9.0) if has_cost else None
    if cost is not None:
        cost.update()
    aim = engine.aim(evidence, np.random.default_rng(1), cost=cost)
    points, mask, step = np.array([[0.31, 0.42], [0.77, 0.13]]), np.ones((2, 2), dtype=bool), 1e-5
    value, gradient = aim.improvement.with_gradient(points, mask)
    assert value == pytest.approx(aim.improvement.score(points, mask))
    for j in range(2):
        move = step * np.eye(2)[j]
        above, below = (aim.improvement.score(points + sign * move, mask) for sign in (1, -1))
        assert gradient[:, j] == pytest.approx((above - below) / (2 * step), rel=2e-3, abs=2e-3)


@pytest.mark.parametrize("options", MODELS[:4], ids=str)
def test_improvement_is_the_mean_over_draws_of_what_is_pending(options):
    """Each draw has means and a best of its own, and deviations are the same: written out with SciPy's normal."""
    from scipy import stats

    engine, evidence = parts_of(told(**options, num_fantasy_samples=7))
    aim = engine.aim(evidence, np.random.default_rng(1))
    points, mask = np.random.default_rng(2).random((5, 2)), np.ones((5, 2), dtype=bool)
    means, deviations = aim.improvement.predict(points, mask)
    assert means.shape == (5, 7)
    assert means.std(axis=1).max() > 0
    z = (means - aim.best) / deviations[:, None]
    expected = (deviations[:, None] * (z * stats.norm.cdf(z) + stats.norm.pdf(z))).mean(axis=1)
    assert np.exp(aim.improvement.score(points, mask)) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("options", MODELS[:4], ids=str)
def test_without_fantasies_what_is_pending_is_left_out(options):
    """The same as if nothing were."""
    searcher = told(**options, no_fantasizing=True)
    engine, evidence = parts_of(searcher)
    points, mask = np.random.default_rng(2).random((5, 2)), np.ones((5, 2), dtype=bool)
    nothing = searcher._suggester.evidence([])
    scores = [engine.aim(one, np.random.default_rng(0)).improvement.score(points, mask) for one in (evidence, nothing)]
    assert np.array_equal(*scores)


def test_what_is_pending_keeps_suggestions_apart():
    """The deviation at a pending configuration is smaller than it would be, and so is what is expected of it."""
    searcher = told()
    engine, evidence = parts_of(searcher)
    assert len(evidence.pending) == 2
    with_pending = engine.aim(evidence, np.random.default_rng(0)).improvement
    without = engine.aim(searcher._suggester.evidence([]), np.random.default_rng(0)).improvement
    rows = evidence.pending.points, evidence.pending.mask
    assert (with_pending.predict(*rows)[1] < without.predict(*rows)[1]).all()


def test_parameters_follow_from_the_evidence_alone():
    """A searcher that was asked for the model at each step, and one that is asked at the end, have equal ones."""
    eager = told(n=2)
    for i in range(2, 40):
        config = {"x": (i * 0.618) % 1, "y": (i * 0.414) % 1}
        eager.update(f"e{i}", config, {"loss": config["x"] ** 2 + 1 / 3, "epoch": 3})
        eager.model_parameters()
    lazy = eager.clone_from_state(eager.get_state())
    assert lazy.model_parameters() == eager.model_parameters()


def test_the_model_is_made_of_no_more_values_than_the_option_says():
    """Those of the farthest configurations first; the evidence has them all."""
    searcher = told(n=14, max_size_data_for_model=10)
    engine, evidence = parts_of(searcher)
    data = engine.fits.data(evidence.rows)
    assert len(evidence.rows) == 14 + 2 * 7
    assert len(data.targets) == 10
    top = evidence.rows.fidelity == 3.0
    kept = {tuple(row) for row in data.points[:, 2:].tolist()}
    wanted = {(3.0, float(number)) for number in evidence.rows.number[top]}
    assert wanted <= kept


def test_models_of_curves_are_made_of_all_values():
    """Also of those at no rung."""
    engine, evidence = parts_of(told(model="gp_issm", max_size_data_for_model=10))
    assert 2.0 in evidence.rows.fidelity
    assert len(engine.fits.data(evidence.rows).targets) == len(evidence.rows)


def test_targets_are_standardised_or_left():
    """By the options."""
    scores = np.array([3.0, 5.0, 10.0, 2.0])
    engine, _ = parts_of(told())
    values = engine.fits.targets(scores).values
    assert values == pytest.approx((scores - scores.mean()) / scores.std(), abs=1e-8)
    engine, _ = parts_of(told(normalize_targets=False))
    assert np.array_equal(engine.fits.targets(scores).values, scores)


@pytest.mark.parametrize(
    ("acq", "threshold", "expected"), [("bohb", 3, 3.0), ("bohb", 8, 1.0), ("first", 3, 1.0), ("final", 3, 9.0)]
)
def test_improvement_is_expected_at_the_fidelity_of_the_option(acq, threshold, expected):
    """Rung 1 has 14 values, rung 3 has 7."""
    engine, evidence = parts_of(told(resource_acq=acq, resource_acq_bohb_threshold=threshold))
    assert engine.acquisition_fidelity(evidence) == expected
