"""TuRBO: its start, its boxes, and what they do with whole numbers, choices, failures and several regions."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import qmc

from autohpo import ChoiceHP, OptionError, RangeHP, SearchSpace
from autohpo.algorithms.turbo import TuRBO, standardised
from autohpo.trial import TrialState


def cube(d):
    """d ranges from 0 to 1."""
    return [RangeHP(f"x{k}", 0.0, 1.0) for k in range(d)]


def run(hpo, n, f):
    """Asks and tells n times; a result of None is a failure."""
    asked = []
    for _ in range(n):
        suggestion = hpo.ask()
        value = f(suggestion)
        if value is None:
            hpo.fail(suggestion, "planned", TrialState.CRASHED)
        else:
            hpo.tell(suggestion, value)
        asked.append(suggestion)
    return asked


def bowl(hp):
    """Best at .3 everywhere."""
    return -sum((x - 0.3) ** 2 for x in hp.values())


def test_it_begins_with_evenly_spread_trials():
    """Twice as many as columns, each eighth of the cube once: what a Sobol sequence is for; draws seldom do that."""
    hpo = TuRBO(cube(3), seed=1, n_startup=8)
    asked = run(hpo, 8, bowl)
    assert len({tuple(x > 0.5 for x in s.values()) for s in asked}) == 8
    assert [s.info for s in asked] == [{"region": 0, "run": 0}] * 8


def test_it_finds_the_bottom_of_a_bowl_in_ten_dimensions():
    """To 1e-2 within 100 trials, where the best of 100 draws is about .3."""
    hpo = TuRBO(cube(10), seed=0)
    run(hpo, 100, bowl)
    assert hpo.best()[1] > -1e-2


def test_candidates_stay_in_a_box_shaped_by_the_length_scales():
    """Sides of length times scale over the scales' geometric mean, here 2; cut at the ends of the cube."""
    hpo = TuRBO(cube(3), seed=0)
    hpo.set_up()
    centre = np.array([0.5, 0.5, 0.95])
    points = hpo._candidates(centre, 0.2, np.array([1.0, 4.0, 2.0]))
    assert points.shape == (300, 3)
    half = np.array([0.05, 0.2, 0.1])
    assert (np.abs(points - centre) <= half + 1e-12).all()
    assert (points[:, 2] <= 1).all()
    assert (np.abs(points - centre).max(axis=0) > 0.9 * half).all()  # and fill it: 1 less .1^(300 / 2)
    assert (points != centre).any(axis=1).all()


def test_candidates_move_twenty_of_many_columns():
    """Of 100 columns each is moved with a chance of .2, and one more: 20.8 of 2,048 on average, sd 4 / sqrt(2048)."""
    hpo = TuRBO(cube(100), seed=0)
    hpo.set_up()
    points = hpo._candidates(np.full(100, 0.5), 0.1, np.ones(100))
    n_moved = (points != 0.5).sum(axis=1)
    assert len(points) == 2048
    assert abs(n_moved.mean() - 20.8) < 5 * 4 / 2048**0.5
    assert n_moved.min() >= 1


def test_boxes_reach_the_neighbours_of_whole_numbers_and_all_categories():
    """In a tiny box a whole number may go one step to either side, and a choice anywhere."""
    space = SearchSpace([RangeHP("n", 0, 10), ChoiceHP("c", list("abcde")), RangeHP("x", 0.0, 1.0)])
    hpo = TuRBO(space, seed=0)
    hpo.set_up()
    centre = space.encode([{"n": 5, "c": "b", "x": 0.5}])[0]
    hps = space.decode(hpo._candidates(centre, 1e-3, np.ones(3)))
    assert {hp["n"] for hp in hps} == {4, 5, 6}
    assert {hp["c"] for hp in hps} == set("abcde")
    assert max(abs(hp["x"] - 0.5) for hp in hps) <= 0.5e-3 + 1e-12


def test_a_stuck_region_begins_elsewhere():
    """The first result is the best for ever: four failures halve the box, seven times; then another start follows."""
    hpo = TuRBO(cube(2), seed=0, n_startup=2)
    asked = run(hpo, 40, lambda s: 1.0 if s.number == 0 else 0.0)
    runs = [s.info["run"] for s in asked]
    assert runs[29] == 0
    assert runs[30:] == [1] * 10
    design = qmc.Sobol(2, rng=np.random.default_rng((0, 0, 1))).random_base2(1)  # of seed, region and run
    np.testing.assert_allclose(hpo.space.encode(asked[30:32]), design, rtol=0, atol=1e-12)


def test_each_region_has_a_start_and_the_better_one_gets_the_trials():
    """Two regions: four trials each; then both are asked, by draws, and what the best is near gets more."""
    hpo = TuRBO(cube(2), seed=0, n_regions=2, n_startup=4)
    asked = run(hpo, 40, bowl)
    assert [s.info["region"] for s in asked[:8]] == [0] * 4 + [1] * 4
    assert {s.info["region"] for s in asked[8:]} <= {0, 1}
    assert hpo.best()[1] > -1e-3


def test_workers_get_different_suggestions():
    """Eight asks without a result between: no two of them nearer than 1e-6."""
    hpo = TuRBO(cube(4), seed=0)
    run(hpo, 12, bowl)
    points = hpo.space.encode([hpo.ask() for _ in range(8)])
    apart = np.abs(points[:, None] - points[None]).max(axis=2) + np.eye(8)
    assert apart.min() > 1e-6


def test_failures_shrink_the_box_and_never_stop_the_search():
    """Where nearly all fails, it goes on; with a single result it goes on spreading."""
    hpo = TuRBO(cube(2), seed=0)
    asked = run(hpo, 60, lambda s: bowl(s) if s.number == 3 else None)
    assert len(asked) == 60
    hpo = TuRBO(cube(2), seed=0)
    run(hpo, 60, lambda s: bowl(s) if s.number % 3 == 0 else None)
    assert hpo.best()[1] > -0.02


def test_constraints_and_finite_spaces_are_kept():
    """All ten allowed pairs of 25 are tried, each once."""
    space = SearchSpace([RangeHP("a", 1, 5), RangeHP("b", 1, 5)], constraints=["a < b"])
    asked = run(TuRBO(space, seed=0, max_evals=10), 10, lambda s: s["a"] * s["b"])
    assert sorted((s["a"], s["b"]) for s in asked) == [(a, b) for a in range(1, 6) for b in range(a + 1, 6)]


def test_results_are_put_on_one_scale():
    """Median 0 and variance 1; what lies more than three times the best's distance below counts as that far."""
    targets, middle, spread = standardised(np.array([0.0, 0.1, 0.2, -1.0, -0.05]))
    plain = np.array([0.0, 0.1, 0.2, -0.6, -0.05])
    assert middle == 0.0
    assert spread == pytest.approx(plain.std())
    np.testing.assert_allclose(targets, plain / plain.std())
    assert standardised(np.full(3, 0.5))[0].tolist() == [0.0] * 3


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"n_regions": 0}, "n_regions: must be from 1 to 1000, got 0"),
        ({"n_startup": 1}, "n_startup: must be at least 2, got 1"),
    ],
)
def test_wrong_options_are_named(options, text):
    """With rule and value."""
    with pytest.raises(OptionError, match=text):
        TuRBO(cube(2), **options)
