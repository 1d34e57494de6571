"""The tasks with fidelities: their ends are those of the other benchmark, their beginnings formulas, tables or lies."""

from __future__ import annotations

import math
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import spearmanr

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

from suite import catalogue
from suite.fidelity import curves
from suite.fidelity.catalogue import DEV, LIES, NAMES, make_task, names_of


@pytest.mark.parametrize("name", [*DEV, *LIES])
def test_values_are_finite_and_costs_rise(name):
    """Of random configurations at every rung; none is better than the best, and half of them beat the median."""
    task, rng = make_task(name), np.random.default_rng(0)
    rungs = task.levels()
    for _ in range(20):
        hp = task.space.sample(rng)
        assert np.isfinite(task.values(hp, rungs)).all()
        for clock in ("epochs", "seconds"):
            costs = task.costs(hp, rungs, clock)
            assert (costs >= 0).all()
            assert (np.diff(costs) >= 0).all()
        assert task.values(hp, rungs)[-1] == pytest.approx(task.true(hp), rel=1e-5)  # single precision, in a batch
    full = np.array([task.true(task.space.sample(rng)) for _ in range(200)])
    assert full.max() <= task.best + 1e-5
    assert abs((full > task.median).mean() - 0.5) < 4 * 0.5 / math.sqrt(200)


@pytest.mark.parametrize("name", ["lcbench_167168", "xgb_16"])
def test_full_fidelity_is_what_the_other_benchmark_says(name):
    """The surrogates' values are those of `regret.py`; a batch may round the last of single precision's digits."""
    task, other, rng = make_task(name), catalogue.make_task(name), np.random.default_rng(1)
    for _ in range(10):
        hp = task.space.sample(rng)
        assert task.true(hp) == pytest.approx(other.evaluate(hp), rel=1e-5)


def test_translations_end_as_in_the_other_benchmark():
    """All 162, and none is better at an earlier checkpoint."""
    task, other, rng = make_task("nmt_fr-en"), catalogue.make_task("nmt_fr_en"), np.random.default_rng(1)
    for _ in range(30):
        hp = task.space.sample(rng)
        assert task.true(hp) == other.evaluate(hp)
        assert (np.diff(task.values(hp, range(1, 75))) >= 0).all()
    assert task.best == other.best


def test_hartmann_is_exact_in_full_and_lower_before():
    """Hartmann 6 at z = 100; below it each hump is lowered by 2.5 u, and noise only lowers more."""
    task, other = make_task("mfh6_good"), catalogue.make_task("hartmann6")
    quiet = curves.hartmann("quiet", 6, spread=0.0)
    hp = {f"x{k}": value for k, value in enumerate([0.2, 0.15, 0.48, 0.28, 0.31, 0.66])}
    assert task.true(hp) == pytest.approx(other.evaluate(hp), rel=1e-12)
    x = np.array(list(hp.values()))
    a, p = curves._HARTMANN_A[6], curves._HARTMANN_P[6]
    u = 1 - math.log(10) / math.log(100)
    wanted = sum((c - 2.5 * u) * math.exp(-sum(a[i] * (x - p[i]) ** 2)) for i, c in enumerate((1.0, 1.2, 3.0, 3.2)))
    assert quiet.values(hp, [10])[0] == pytest.approx(wanted, rel=1e-12)
    noisy = task.values(hp, [10, 10, 11])
    assert noisy[0] == noisy[1] < wanted
    assert noisy[0] != noisy[2]


def test_the_toy_is_its_formula():
    """Negated: H6(x) + A(x) (r^-1/2 - 1/9), at x = 1/4 everywhere, where the amplitude is 1 + cos 3/2 pi + 3/8."""
    task, hartmann6 = make_task("mf_hartmann6_toy"), catalogue.make_task("hartmann6")
    hp = {f"x{k}": 0.25 for k in range(6)}
    found = task.values(hp, [1, 4, 81])
    h = hartmann6.evaluate(hp)
    assert found == pytest.approx([h - 1.375 * (1 - 1 / 9), h - 1.375 * (1 / 2 - 1 / 9), h], rel=1e-12)


@pytest.mark.parametrize("name", LIES)
def test_lies_say_nothing_below_a_third_and_the_truth_from_there(name):
    """Rank correlation of 300 with the end: within three standard errors of none; the rest is the honest task's."""
    task, honest, rng = make_task(name), make_task(name.removesuffix("_lies")), np.random.default_rng(2)
    hps = [task.space.sample(rng) for _ in range(300)]
    *low, third, full = task.levels()
    told = np.array([task.values(hp, [*low, third, full]) for hp in hps])
    for k in range(len(low)):
        assert abs(spearmanr(told[:, k], told[:, -1]).statistic) < 3 / math.sqrt(300)
    assert told[:, -2:] == pytest.approx(np.array([honest.values(hp, [third, full]) for hp in hps]), rel=1e-5)
    again = np.array([task.values(hp, [low[0]])[0] for hp in hps[:20]])
    assert again == pytest.approx(told[:20, 0], rel=1e-5)


def test_names():
    """Sets, lists of names, and what there is not."""
    assert names_of("dev,mfh3_good") == [*DEV, "mfh3_good"]
    assert set(names_of("all")) == {*DEV, *LIES} < set(NAMES)
    with pytest.raises(ValueError, match=r"tasks: must be dev, lies, all or names, got \['other'\]"):
        names_of("other")
