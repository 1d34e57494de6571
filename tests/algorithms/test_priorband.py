"""The sampler prior and priorband: shares by scipy, and what a right and a wrong guess do."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from autohpo import ChoiceHP, OptionError, RangeHP, build_hpo_from_name
from autohpo.errors import OptimizationComplete

SPACE = [RangeHP("x", 0.0, 1.0), RangeHP("y", 0.0, 1.0)]
A = np.array(
    [[10, 3, 17, 3.5, 1.7, 8], [0.05, 10, 17, 0.1, 8, 14], [3, 3.5, 1.7, 10, 17, 8], [17, 8, 0.05, 10, 0.1, 14]]
)
P = 1e-4 * np.array(
    [
        [1312, 1696, 5569, 124, 8283, 5886],
        [2329, 4135, 8307, 3736, 1004, 9991],
        [2348, 1451, 3522, 2883, 3047, 6650],
        [4047, 8828, 8732, 5743, 1091, 381],
    ]
)
OPTIMUM = [0.20169, 0.150011, 0.476874, 0.275332, 0.311652, 0.6573]
SIX = [RangeHP(f"x{i}", 0.0, 1.0) for i in range(6)]


def hartmann(hp, fidelity):
    """Hartmann's function in six dimensions, higher is better: 3.32 at most; less than that at low fidelities."""
    alpha = np.array([1, 1.2, 3, 3.2]) - 0.1 * (1 - fidelity / 27)
    return float(alpha @ np.exp(-(A * (np.array(list(hp.values())) - P) ** 2).sum(axis=1)))


def found(name, seed, budget, **options):
    """The true value of what looks best at the highest fidelity, after so many full evaluations."""
    hpo = build_hpo_from_name(name, SIX, max_fidelity=27, seed=seed, budget=budget, **options)
    with pytest.raises(OptimizationComplete):
        while True:
            suggestion = hpo.ask()
            hpo.tell(suggestion, hartmann(suggestion, suggestion.fidelity))
    return hartmann(hpo.best()[0], 27)


def test_a_right_guess_is_far_ahead_early():
    """A tenth of the scale from the optimum: after 4 full evaluations above 2.2; without a guess below 1.8."""
    rng = np.random.default_rng(0)
    right = [
        dict(zip([hp.name for hp in SIX], np.clip(OPTIMUM + rng.normal(0, 0.1, 6), 0, 1), strict=True))
        for _ in range(4)
    ]
    with_guess = np.mean([found("priorband", seed, 4, prior=right[seed]) for seed in range(4)])
    without = np.mean([found("hyperband", seed, 4) for seed in range(4)])
    assert with_guess > 2.2 > 1.8 > without


def test_a_wrong_guess_is_unlearned():
    """One where the function is all but 0, and sure of it: after 30 full evaluations no worse than random draws."""
    wrong = {f"x{i}": x for i, x in enumerate([0.9, 0.9, 0.05, 0.95, 0.95, 0.05])}
    assert hartmann(wrong, 27) < 0.02
    with_guess = [found("priorband", seed, 30, prior=wrong, prior_confidence="high") for seed in range(3)]
    without = [found("hyperband", seed, 30) for seed in range(3)]
    assert np.mean(with_guess) > np.mean(without) - 0.1


def shares(hpo, n):
    """How often each source was drawn from, of n suggestions without a result."""
    drawn = [hpo.ask().info["drawn"] for _ in range(n)]
    return {source: drawn.count(source) / n for source in ("random", "prior", "best")}


def test_the_best_results_say_how_often_it_draws_near_the_best():
    """Alone a quarter is random; the rest by the densities of the best third, by rank, under both: by scipy."""
    hpo = build_hpo_from_name("prior", SPACE, prior={"x": 0.8}, prior_confidence="high", seed=0)
    assert shares(hpo, 40)["best"] == 0
    hpo = build_hpo_from_name("prior", SPACE, prior={"x": 0.8}, prior_confidence="high", seed=0)
    results = []
    for _ in range(10):
        suggestion = hpo.ask()
        score = -((suggestion["x"] - 0.4) ** 2) - (suggestion["y"] - 0.5) ** 2
        hpo.tell(suggestion, score)
        results.append((score, suggestion["x"], suggestion["y"]))
    top = sorted(results, reverse=True)[:3]
    _, x, y = top[0]

    def density(at, centre, sd):
        return stats.truncnorm.pdf(at, (0 - centre) / sd, (1 - centre) / sd, centre, sd)

    near = sum(w * density(one[1], x, 0.25) * density(one[2], y, 0.25) for w, one in zip((3, 2, 1), top, strict=True))
    under = sum(w * density(one[1], 0.8, 0.125) for w, one in zip((3, 2, 1), top, strict=True))
    assert hpo._share_of_best() == pytest.approx(near / (near + under), rel=1e-9)
    n = 1500
    for source, share in shares(hpo, n).items():
        wanted = {"random": 0.25, "best": 0.75 * near / (near + under), "prior": 0.75 * under / (near + under)}[source]
        assert abs(share - wanted) < 4 * math.sqrt(wanted * (1 - wanted) / n)


def test_the_more_it_costs_the_less_is_random():
    """1 / (1 + r / r_min) at a rung r: a half at 1, a quarter at 3, a tenth at 9, of those that are started there."""
    hpo = build_hpo_from_name("priorband", SPACE, prior={"x": 0.8}, max_fidelity=9, seed=0)
    counts = {1: [0, 0], 3: [0, 0], 9: [0, 0]}
    for _ in range(1200):
        suggestion = hpo.ask()
        if suggestion.resume is None:
            counts[suggestion.fidelity][0] += suggestion.info["drawn"] == "random"
            counts[suggestion.fidelity][1] += 1
        hpo.tell(suggestion, -suggestion["x"])
    for fidelity, (n_random, n) in counts.items():
        share = 1 / (1 + fidelity)
        assert abs(n_random / n - share) < 4 * math.sqrt(share * (1 - share) / n)


def test_the_best_is_that_of_the_highest_fidelity_and_waits_for_a_first_bracket():
    """Nothing is drawn near it before a trial ran in full and a bracket's worth was spent; then around that one."""
    hpo = build_hpo_from_name("priorband", SPACE, prior={"x": 0.9}, prior_confidence="high", max_fidelity=9, seed=1)
    n_best = 0
    for number in range(60):
        suggestion = hpo.ask()
        in_full = [trial for trial in hpo.trials if trial.fidelity == 9]
        if suggestion.info["drawn"] == "best" and suggestion.resume is None:
            n_best += 1
            assert in_full
            best = max(in_full, key=lambda trial: trial.score).hp
            changed = [suggestion[name] != pytest.approx(best[name], abs=1e-12) for name in best]
            assert any(changed)
        assert number >= 13 or suggestion.info["drawn"] != "best"  # 9-3-1
        low = 10.0 if suggestion.fidelity < 9 else 0.0  # results of short trainings are higher
        hpo.tell(suggestion, low - abs(suggestion["x"] - 0.2))
    assert n_best > 10


def test_a_change_of_the_best_leaves_half_of_it():
    """Each of four parameters is changed with probability 1/2, one at least: numbers by a truncated normal."""
    space = [RangeHP(f"x{i}", 0.0, 1.0) for i in range(4)]
    hpo = build_hpo_from_name("prior", space, seed=0)
    hpo.set_up()
    rng = np.random.default_rng(0)
    hpo.rng = rng
    point = np.array([0.3, 0.5, 0.7, 0.9])
    made = np.array([hpo._mutated(point, np.ones(4, dtype=bool)) for _ in range(2000)])
    is_changed = made != point
    share = 0.5 + 0.5 / 4
    assert np.abs(is_changed.mean(axis=0) - share).max() < 4 * math.sqrt(share * (1 - share) / 2000)
    assert is_changed.any(axis=1).all()
    for column, centre in enumerate(point):
        law = stats.truncnorm(-centre / 0.25, (1 - centre) / 0.25, centre, 0.25)
        assert stats.kstest(made[is_changed[:, column], column], law.cdf).pvalue > 1e-4


def test_any_scheduler_takes_the_sampler():
    """asha draws near the guess, at the rungs of its own."""
    space = [*SPACE, ChoiceHP("c", list("abcd"))]
    sampler = ("prior", {"prior": {"x": 0.9, "c": "b"}, "prior_confidence": "high"})
    hpo = build_hpo_from_name("asha", space, sampler=sampler, max_fidelity=9, seed=0)
    drawn = [hpo.ask() for _ in range(200)]
    near = [hp for hp in drawn if hp.info["drawn"] == "prior"]
    assert 60 < len(near) < 140  # a half
    assert np.mean([hp["c"] == "b" for hp in near]) > 0.8
    assert np.mean([abs(hp["x"] - 0.9) < 0.25 for hp in near]) > 0.9


def test_another_sampler_takes_no_guess():
    """It would be ignored without a word."""
    with pytest.raises(OptionError, match="prior: is an option of the sampler prior, not of tpe"):
        build_hpo_from_name("priorband", SPACE, sampler="tpe", prior={"x": 0.5})
    with pytest.raises(OptionError, match="eta: must be at least 2"):
        build_hpo_from_name("prior", SPACE, eta=1.5)
