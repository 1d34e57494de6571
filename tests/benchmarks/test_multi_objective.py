"""The problems of benchmarks/multi_objective.py: their fronts are theirs, and volumes are moocore's."""

from __future__ import annotations

import importlib.util
import math
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("moocore")

PATH = Path(__file__).parents[2] / "benchmarks" / "multi_objective.py"
SPEC = importlib.util.spec_from_file_location("multi_objective", PATH)
bench = importlib.util.module_from_spec(SPEC)
sys.modules["multi_objective"] = bench  # dataclasses look their module up
SPEC.loader.exec_module(bench)


@pytest.mark.parametrize("name", bench.PROBLEMS)
def test_no_draw_beats_the_front_and_none_is_worse_than_the_worst(name):
    """Of 300 from the prior, each is dominated by the front or on it, to the grain of the front's samples."""
    problem = bench.PROBLEMS[name]()
    values = np.array([problem.evaluate(hp) for hp in problem.space.sample(np.random.default_rng(0), 300)])
    for value in values:
        assert (problem.front <= value + 0.02).all(axis=1).any()
    assert (values <= problem.worst + 1e-9).all()
    shares = problem.shares(values.tolist())
    assert 0 <= shares["near"] <= shares["far"] < 1


@pytest.mark.parametrize("name", bench.PROBLEMS)
def test_the_front_covers_all_of_itself(name):
    """Shares are of its volume."""
    problem = bench.PROBLEMS[name]()
    assert problem.shares(problem.front.tolist()) == {"far": 1.0, "near": 1.0}


def test_known_values_of_the_formulas():
    """Corners and middles, by hand."""
    zeros = {f"x{k}": 0.0 for k in range(30)}
    assert bench.zdt(1).evaluate({**zeros, "x0": 0.25}) == pytest.approx((0.25, 0.5))
    assert bench.zdt(2).evaluate({**zeros, "x0": 0.5}) == pytest.approx((0.5, 0.75))
    assert bench.zdt(3).evaluate({**zeros, "x0": 0.25}) == pytest.approx((0.25, 0.25))  # 1 - .5 - .25 sin(2.5 pi)
    ones = {f"x{k}": 1.0 for k in range(30)}
    assert bench.zdt(1).evaluate(ones) == pytest.approx((1.0, 10 * (1 - math.sqrt(0.1))))
    middle = {f"x{k}": 0.5 for k in range(12)}
    assert bench.dtlz2().evaluate(middle) == pytest.approx((0.5, 0.5, math.sqrt(0.5)))
    assert bench.dtlz2().evaluate({**middle, "x0": 0.0, "x1": 0.0, "x2": 1.0}) == pytest.approx((1.25, 0.0, 0.0))


def test_a_race_prints_a_table(capsys):
    """With options for one algorithm."""
    bench.main(
        [
            "--optimizers",
            "random,nsga2",
            "--problems",
            "cora",
            "--seeds",
            "1",
            "--evaluations",
            "12",
            "--option",
            "nsga2.population_size=4",
        ]
    )
    printed = capsys.readouterr().out
    assert printed.count("| nsga2 |") == printed.count("| random |") == 3
    assert "far reference [0.9277 9.3093]" in printed
