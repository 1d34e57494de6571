"""Random, grid and quasi-random search: what makes each of them the one that it is."""

from __future__ import annotations

import copy
import itertools
from collections import Counter

import numpy as np
import pytest
from scipy import stats

from autohpo import (
    ChoiceHP,
    FixedHP,
    LinearConstraint,
    LogRangeHP,
    OptimizationComplete,
    OptionError,
    RangeHP,
    SearchSpace,
    SpaceError,
    build_hpo_from_name,
)
from autohpo.spaces import Cut, ListHP, OrdinalHP, PermutationHP
from autohpo.testing.examples import few_conditional_space


def ask(hpo, n):
    """The next n suggestions."""
    return [hpo.ask() for _ in range(n)]


def test_random_search_draws_from_the_prior():
    """Uniform on a range, log-uniform on a log range, equal shares of ints and choices: scipy's tests agree.

    A right sampler fails one of the four tests with probability 4e-6; the seed is fixed, so it fails always or never.
    """
    space = [RangeHP("x", -1.0, 3.0), LogRangeHP("lr", 1e-4, 1e-1), RangeHP("n", 1, 8), ChoiceHP("c", ["a", "b", "c"])]
    asked = ask(build_hpo_from_name("random", space, seed=0), 2000)
    assert stats.kstest([hp["x"] for hp in asked], stats.uniform(-1, 4).cdf).pvalue > 1e-6
    assert stats.kstest([hp["lr"] for hp in asked], stats.loguniform(1e-4, 1e-1).cdf).pvalue > 1e-6
    for name, values in (("n", range(1, 9)), ("c", "abc")):
        counts = [sum(hp[name] == value for hp in asked) for value in values]
        assert stats.chisquare(counts).pvalue > 1e-6


def test_random_search_draws_parameters_and_trials_apart():
    """No correlation between parameters or between one trial and the next beyond chance: 5 standard errors."""
    points = np.array([list(hp.values()) for hp in ask(build_hpo_from_name("random", UNIT, seed=1), 2000)])
    for a, b in ((points[:, 0], points[:, 1]), (points[1:, 0], points[:-1, 0]), (points[1:, 0], points[:-1, 1])):
        assert abs(np.corrcoef(a, b)[0, 1]) < 5 / np.sqrt(2000)


UNIT = [RangeHP("x", 0.0, 1.0), RangeHP("y", 0.0, 1.0)]


def test_grid_is_the_product_of_its_axes():
    """Every combination once, the first parameter fastest, then the end: itertools agrees."""
    space = [RangeHP("x", 0.0, 1.0), RangeHP("n", 1, 2), ChoiceHP("c", ["a", None, 1]), FixedHP("k", 7)]
    hpo = build_hpo_from_name("grid", space, steps=3, order="nested")
    axes = [[0.0, 0.5, 1.0], [1, 2], ["a", None, 1], [7]]
    wanted = [dict(zip("xnck", row[::-1], strict=True)) for row in itertools.product(*axes[::-1])]
    assert ask(hpo, len(wanted)) == wanted
    for _ in range(2):
        with pytest.raises(OptimizationComplete, match="every point of the grid was suggested"):
            hpo.ask()


def test_grid_is_even_on_the_scale_of_each_range():
    """Steps are equal on a range, equal factors on a log range, and the ends belong to it."""
    space = [LogRangeHP("lr", 1e-4, 1e-1)]
    values = sorted(hp["lr"] for hp in ask(build_hpo_from_name("grid", space, steps=4), 4))
    np.testing.assert_allclose(values, [1e-4, 1e-3, 1e-2, 1e-1], rtol=1e-12)
    assert values[0] == 1e-4
    assert values[-1] == 1e-1


@pytest.mark.parametrize("kind", [RangeHP, LogRangeHP])
def test_grid_holds_all_of_few_whole_numbers(kind):
    """A range of no more values than steps gives all of them, whatever its scale."""
    asked = ask(build_hpo_from_name("grid", [kind("n", 1, 6)], steps=6), 6)
    assert sorted(hp["n"] for hp in asked) == [1, 2, 3, 4, 5, 6]


def test_grid_does_not_build_its_product():
    """A grid of 10**30 points starts at once, and its points are the digits of the number."""
    space = [RangeHP(f"x{i}", 0.0, 9.0, step=1.0) for i in range(30)]
    hpo = build_hpo_from_name("grid", space, steps=10, order="nested")
    assert list(ask(hpo, 124)[123].values())[:4] == [3.0, 2.0, 1.0, 0.0]
    spread = ask(build_hpo_from_name("grid", space, steps=10), 200)
    assert len({tuple(hp.values()) for hp in spread}) == 200


def test_the_first_points_of_a_grid_are_spread():
    """Each value of each parameter comes equally often in the first 10 of 250, and no two points are alike."""
    space = [RangeHP("x", 0.0, 1.0), RangeHP("y", 0.0, 1.0), ChoiceHP("c", list("abcde")), RangeHP("n", 1, 2)]
    asked = ask(build_hpo_from_name("grid", space), 250)
    for name, n in {"x": 5, "y": 5, "c": 5, "n": 2}.items():
        counts = Counter(hp[name] for hp in asked[:10])
        assert list(counts.values()) == [10 // n] * n
    assert len({tuple(hp.values()) for hp in asked}) == 250


def test_a_grid_leaves_out_what_is_known():
    """A known result is not run again, and neither is a point that the user wants tried."""
    hpo = build_hpo_from_name("grid", [RangeHP("n", 1, 5)], points=[({"n": 2}, 1.0), {"n": 4}])
    asked = whole(hpo)
    assert asked[0]["n"] == 4
    assert sorted(s["n"] for s in asked[1:]) == [1, 3, 5]


def test_a_grid_that_was_begun_in_nested_order_goes_on_in_it(tmp_path):
    """An earlier release had no other order, and whoever named none then names none now."""
    space, to = [RangeHP("n", 1, 4), RangeHP("m", 1, 4)], {"store": tmp_path / "run.db", "progress": "none"}
    build_hpo_from_name("grid", space, lambda hp: hp["n"], order="nested", max_evals=3).optimize(**to)
    hpo = build_hpo_from_name("grid", space, lambda hp: hp["n"], max_evals=6)
    hpo.optimize(**to)
    assert [(t.hp["n"], t.hp["m"]) for t in hpo.trials] == [(1, 1), (2, 1), (3, 1), (4, 1), (1, 2), (2, 2)]


def test_a_finite_space_has_no_slow_end(monkeypatch):
    """The last tenth comes from a list, and nothing is drawn that may have come before."""
    space = SearchSpace([RangeHP("n", 1, 40), ChoiceHP("c", list(range(10)))])
    hpo = build_hpo_from_name("random", space, seed=0)
    asked = [hpo.ask() for _ in range(361)]
    monkeypatch.setattr(SearchSpace, "decode", None)
    asked += [hpo.ask() for _ in range(39)]
    assert len(set(map(space.key, asked))) == 400
    with pytest.raises(OptimizationComplete):
        hpo.ask()


@pytest.mark.parametrize("steps", [1, 0, -3])
def test_grid_of_one_step_is_refused(steps):
    """One value of a range is no search."""
    with pytest.raises(OptionError, match=f"steps: must be at least 2, got {steps}"):
        build_hpo_from_name("grid", UNIT, steps=steps)


@pytest.mark.parametrize(("sequence", "bases", "power"), [("sobol", (2, 2, 2), 6), ("halton", (2, 3, 5), 3)])
def test_quasi_random_points_fill_every_cell_once(sequence, bases, power):
    """The first b**k points lie in b**k different cells of each axis: what makes these sequences even.

    Scrambling keeps it (Owen); b is 2 for every axis of Sobol, and the axis's own prime for Halton.
    """
    for axis, base in enumerate(bases):
        n = base**power
        space = [RangeHP(f"x{i}", 0, n - 1) for i in range(len(bases))]
        asked = ask(build_hpo_from_name("quasi_random", space, seed=3, sequence=sequence), n)
        assert sorted(hp[f"x{axis}"] for hp in asked) == list(range(n))


def test_quasi_random_points_are_scipys_own():
    """The sequence, also when it goes on after a resume, is the one that scipy gives for the seed."""
    wanted = stats.qmc.Sobol(2, scramble=True, rng=np.random.default_rng(11)).random(32)
    hpo = build_hpo_from_name("quasi_random", UNIT, seed=11)
    asked = ask(hpo, 20)
    resumed = build_hpo_from_name("quasi_random", UNIT, seed=11)
    for suggestion in asked:
        resumed.adopt(suggestion)
    np.testing.assert_array_equal([list(hp.values()) for hp in asked + ask(resumed, 12)], wanted)


def test_quasi_random_sequence_must_be_known():
    """A misspelt sequence is an error that lists the known ones."""
    with pytest.raises(OptionError, match="sequence: must be 'sobol' or 'halton', got 'sobel'"):
        build_hpo_from_name("quasi_random", UNIT, sequence="sobel")


def constrained_space():
    """Every kind, children, a list that is cut, and two constraints."""
    opti = ChoiceHP(
        "opti", ["sgd", "adam"], children={"sgd": [RangeHP("momentum", 0.0, 0.9), OrdinalHP("n", [1, 2, 4])]}
    )
    hidden = ListHP("hidden", LogRangeHP("width", 8, 32), length=Cut("layers", lambda v: v[0] - 1), max_length=2)
    return SearchSpace(
        [hidden, opti, RangeHP("layers", 1, 3), PermutationHP("order", ["a", "b", "c"]), FixedHP("k", None)],
        constraints=["layers < 3 or hidden[0] >= hidden[1]", lambda hp: hp["order"][0] != "c"],
    )


def brute_force():
    """The grid of `constrained_space` with 3 steps, said once more in plain Python."""
    found = []
    orders = [list(order) for order in itertools.permutations("abc") if order[0] != "c"]
    steps = {order: rank for rank, order in enumerate(itertools.permutations("abc"))}
    orders = [order for order in orders if steps[tuple(order)] in (0, 2, 5)]  # 3 of 6: the ends and the middle
    for layers, order, opti in itertools.product([1, 2, 3], orders, ["sgd", "adam"]):
        for hidden in itertools.product([8, 16, 32], repeat=layers - 1):
            if layers == 3 and hidden[0] < hidden[1]:
                continue
            base = {"layers": layers, "hidden": list(hidden), "opti": opti, "order": order, "k": None}
            if opti == "adam":
                found.append(base)
            else:
                found += [{**base, "momentum": m, "n": n} for m in (0.0, 0.45, 0.9) for n in (1, 2, 4)]
    return found


def whole(hpo):
    """All suggestions until the end."""
    asked = []
    while True:
        try:
            asked.append(hpo.ask())
        except OptimizationComplete:
            return asked


def test_grid_over_conditions_and_constraints_is_the_filtered_product():
    """Each combination of what is in force, once; what is forbidden is passed over."""
    space = constrained_space()
    asked = whole(build_hpo_from_name("grid", space, steps=3))
    assert sorted(map(space.key, asked)) == sorted(map(space.key, brute_force()))


@pytest.mark.parametrize("name", ["grid", "random", "quasi_random"])
@pytest.mark.parametrize(
    "make", [few_conditional_space, lambda: SearchSpace([RangeHP("n", 0, 29)], constraints="n % 3")]
)
def test_finite_spaces_are_suggested_whole_and_nothing_twice(name, make):
    """All configurations, in an order of the algorithm's own, and then the end, which it has declared."""
    space = make()
    hpo = build_hpo_from_name(name, space, seed=4, **({"steps": 30} if name == "grid" else {}))
    assert hpo.is_finite
    keys = list(map(space.key, whole(hpo)))
    assert len(keys) == len(set(keys)) == space.n_configurations
    assert set(keys) == {space.key(hp) for hp in space.configurations()}


@pytest.mark.parametrize(("name", "options"), [
    ("grid", {"steps": 3}), ("random", {}), ("quasi_random", {}), ("quasi_random", {"sequence": "halton"}),
])  # fmt: skip
@pytest.mark.parametrize("make", [few_conditional_space, constrained_space])
def test_a_resumed_search_goes_on_at_any_index(name, options, make):
    """From the log alone: told in another order, with some still running, and pickled on the way."""
    space = make()
    asked = []
    hpo = build_hpo_from_name(name, space, seed=5, **options)
    for _ in range(11):
        asked.append(hpo.ask())
    for n, n_told in [(k, told) for k in range(11) for told in {k // 2, k}]:
        resumed = build_hpo_from_name(name, space, seed=5, **options)
        for suggestion in asked[:n]:
            resumed.adopt(suggestion)
        for suggestion in asked[:n_told][::-1]:
            resumed.tell(suggestion, 0.0)
        got = ask(resumed, 1)
        got += ask(copy.deepcopy(resumed), 11 - n - 1)
        assert got == asked[n:]
        assert [one.info for one in got] == [one.info for one in asked[n:]]


def test_quasi_random_passes_over_what_is_not_allowed():
    """The allowed points of scipy's own sequence, in its order."""
    points = stats.qmc.Sobol(2, scramble=True, rng=np.random.default_rng(11)).random(64)
    wanted = [row for row in points.tolist() if row[0] + row[1] < 0.8]
    hpo = build_hpo_from_name("quasi_random", SearchSpace(UNIT, constraints="x + y < 0.8"), seed=11)
    np.testing.assert_array_equal([list(hp.values()) for hp in ask(hpo, 12)], wanted[:12])
    hpo = build_hpo_from_name("quasi_random", SearchSpace(UNIT, constraints="x > 2"), seed=11)
    for _ in range(2):
        with pytest.raises(SpaceError, match="constraints: some draws must meet"):
            hpo.ask()


def test_quasi_random_draws_from_the_prior_where_its_sequence_meets_next_to_nothing():
    """A share of one in a million, and what was drawn stays below the search's own seed."""
    hpo = build_hpo_from_name("quasi_random", SearchSpace(UNIT, constraints="x < 1e-6"), seed=11)
    again = build_hpo_from_name("quasi_random", SearchSpace(UNIT, constraints="x < 1e-6"), seed=11)
    asked = ask(hpo, 3)
    assert all(hp["x"] < 1e-6 for hp in asked)
    assert asked == ask(again, 3)


def test_random_search_keeps_to_constraints_and_priors():
    """The law of the prior, given that it is allowed: of 1 to 3 with weights 3, 2, 1 without the 2."""
    space = SearchSpace([RangeHP("n", 1, 3, prior=[3, 2, 1]), RangeHP("x", 0.0, 1.0)], constraints="n != 2")
    asked = ask(build_hpo_from_name("random", space, seed=2), 1000)
    counts = [sum(hp["n"] == n for hp in asked) for n in (1, 2, 3)]
    assert counts[1] == 0
    assert stats.chisquare(counts[::2], [750, 250]).pvalue > 1e-6


def test_a_grid_that_constraints_leave_nothing_of_ends_with_a_reason(monkeypatch):
    """After so many points in a row, and not after hours; a few misses are normal."""
    from autohpo.algorithms import grid

    monkeypatch.setattr(grid, "MOST_MISSES", 50)
    ranges = [RangeHP("x", 0, 99), RangeHP("y", 0, 99)]
    some, none = LinearConstraint({"x": 1, "y": 1}, lower=60), LinearConstraint({"x": 1, "y": 1}, lower=500)
    for order in ("spread", "nested"):
        space = SearchSpace(ranges, constraints=[some])
        assert space.is_allowed(build_hpo_from_name("grid", space, steps=10, order=order).ask())
        hpo = build_hpo_from_name("grid", SearchSpace(ranges, constraints=[none]), steps=10, order=order)
        with pytest.raises(SpaceError, match="constraints: none of 50 points of the grid in a row is allowed and new"):
            hpo.ask()
