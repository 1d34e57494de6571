"""MO-CMA-ES: its updates against the paper's formulas, its replay, and what it finds."""

from __future__ import annotations

import math

import numpy as np
import pytest

from autohpo import ChoiceHP, OptionError, RangeHP, SearchSpace, Suggestion, TrialState, build_hpo_from_name
from autohpo.algorithms.mocmaes import MOCMAES
from autohpo.algorithms.parts.mocma import (
    P_TARGET,
    Population,
    Strategy,
    reflected,
    update_covariance,
    update_step_size,
)
from autohpo.history import History
from autohpo.objectives import Objectives
from autohpo.surrogates import pareto
from autohpo.trial import Outcome

FLOATS = [RangeHP(f"x{k}", 0.0, 1.0) for k in range(3)]


def bowls(hp):
    """Two narrow valleys that no column runs along; to be minimised."""
    far = [(hp["x0"] - hp["x1"]) * 10, hp["x2"] - 0.5]
    return hp["x0"] ** 2 + far[0] ** 2 + far[1] ** 2, (hp["x0"] - 1) ** 2 + far[0] ** 2 + far[1] ** 2


def run(hpo, n, f=bowls):
    """Asks and tells n times."""
    for _ in range(n):
        suggestion = hpo.ask()
        hpo.tell(suggestion, f(suggestion))
    return hpo


def covered(hpo):
    """The hypervolume up to (1.5, 1.5)."""
    return pareto.hypervolume(np.array([trial.scores for trial in hpo.trials]), np.full(2, -1.5))


def a_strategy(d=3, success=0.3):
    """A strategy in the middle of a search."""
    rng = np.random.default_rng(0)
    root = rng.standard_normal((d, d))
    return Strategy(0.2, success, rng.standard_normal(d), root @ root.T)


def test_the_step_size_follows_success():
    """updateStepSize of Igel, Hansen and Roth, with our target: it grows after successes and shrinks after failures."""
    for is_success in (True, False):
        a, c, target = a_strategy(), 0.3 / 2.3, 0.3
        success = (1 - c) * 0.3 + c * is_success
        wanted = 0.2 * math.exp((success - target) / (1 - target) / (1 + 3 / 2))
        found = update_step_size(a, is_success)
        assert (found.p_succ, found.sigma) == pytest.approx((success, wanted))
    even = Strategy(0.2, P_TARGET, np.zeros(3), np.eye(3))
    assert update_step_size(even, True).sigma > 0.2 > update_step_size(even, False).sigma


def test_the_step_size_stays_within_its_bounds():
    """However long the luck or the misfortune."""
    for is_success in (True, False):
        a = a_strategy()
        for _ in range(2000):
            a = update_step_size(a, is_success)
        assert a.sigma == (1.0 if is_success else 1e-6)


def test_the_covariance_follows_the_path_of_steps():
    """updateCovariance: below a success rate of .44 by the path and the step, above it without the step."""
    step, c_c, c_cov = np.array([0.5, -1.0, 2.0]), 2 / 5, 2 / 15
    slow, fast = a_strategy(success=0.3), a_strategy(success=0.5)
    path = (1 - c_c) * slow.p_c + math.sqrt(c_c * (2 - c_c)) * step
    wanted = (1 - c_cov) * slow.C + c_cov * np.outer(path, path)
    np.testing.assert_allclose(update_covariance(slow, step).p_c, path)
    np.testing.assert_allclose(update_covariance(slow, step).C, wanted)
    path = (1 - c_c) * fast.p_c
    kept = np.outer(path, path) + c_c * (2 - c_c) * fast.C
    np.testing.assert_allclose(update_covariance(fast, step).p_c, path)
    np.testing.assert_allclose(update_covariance(fast, step).C, (1 - c_cov) * fast.C + c_cov * kept)


def test_points_are_folded_back_at_the_faces():
    """Once, or as often as it takes."""
    found = reflected(np.array([-0.25, 0.25, 1.25, 2.25, -1.75, 1.0, 0.0]))
    np.testing.assert_allclose(found, [0.25, 0.25, 0.75, 0.25, 0.25, 1.0, 0.0])


def test_a_note_says_what_a_suggestion_was_drawn_from():
    """The first are draws from the prior; then each names a parent that no other survivor dominates."""
    hpo = run(MOCMAES(FLOATS, seed=0, mode=["min"] * 2, population_size=5), 30)
    assert [trial.number for trial in hpo.trials if not trial.info] == list(range(5))
    for trial in hpo.trials[5:]:
        before = [t for t in hpo.trials[: trial.number] if t.scores]
        parent = next(t for t in before if t.number == trial.info["parent"])
        assert parent.number in {before[i].number for i in pareto.front(np.array([t.scores for t in before]))}
        assert 1e-6 <= trial.info["sigma"] <= 1.0


def test_it_covers_more_than_random_search():
    """It needs its time: after 800 trials, in each of two pairs."""
    for seed in range(2):
        ours, random = (
            run(build_hpo_from_name(name, FLOATS, seed=seed, mode=["min"] * 2), 800) for name in ("mocmaes", "random")
        )
        assert covered(ours) > covered(random) + 0.02


def test_strategies_learn_the_direction_of_the_valley():
    """Along x0 = x1 most offspring survive: the longest axis of most survivors points there."""
    population = run(MOCMAES(FLOATS, seed=0, mode=["min"] * 2), 400)._population
    survivors = population._survivors.individuals
    axes = [np.linalg.eigh(population._strategies[survivor.number].C)[1][:, -1] for survivor in survivors]
    along = [abs(axis @ np.array([1.0, 1.0, 0.0])) / math.sqrt(2) for axis in axes]
    assert np.median(along) > 0.8  # of a random direction the median is .5


def tell(history, number, hp, perfs, **info):
    """Adds a complete trial to a history."""
    history.add(Suggestion(hp, number=number, info=info))
    history.finish(history.find(number).ended(Outcome(TrialState.COMPLETE, perfs)))


def test_integers_and_choices_do_not_get_stuck():
    """With steps far below an integer, one offspring of d has its neighbour, and one of d a choice drawn anew."""
    space = SearchSpace([RangeHP("n", 1, 9), ChoiceHP("c", list("abcd")), RangeHP("x", 0.0, 1.0)])
    history = History(space, Objectives.of(["max"] * 2))
    population = Population(history, 2, 1e-6)
    tell(history, 0, {"n": 5, "c": "b", "x": 0.5}, (1.0, 1.0))
    population.update()
    rng = np.random.default_rng(0)
    drawn = space.decode(np.array([population.offspring(rng)[2] for _ in range(3000)]))
    for name, own, values, chance in (("n", 5, {4, 5, 6}, 1 / 3), ("c", "b", set("abcd"), 1 / 3 * 3 / 4)):
        assert {hp[name] for hp in drawn} == values
        n_new = sum(hp[name] != own for hp in drawn)
        assert abs(n_new - 3000 * chance) < 4 * math.sqrt(3000 * chance * (1 - chance))  # 4 standard deviations
    assert all(abs(hp["x"] - 0.5) < 1e-4 for hp in drawn)


@pytest.mark.parametrize("is_success", [True, False])
def test_an_offspring_changes_its_parents_step_size_and_takes_it_over(is_success):
    """Both by whether it survives; its covariance follows the step, in the step size it was drawn with."""
    history = History(SearchSpace(FLOATS), Objectives.of(["max"] * 2))
    population = Population(history, 2, 0.1)
    points = [dict(zip(("x0", "x1", "x2"), row, strict=True)) for row in ([0.5] * 3, [0.2] * 3, [0.6, 0.5, 0.4])]
    tell(history, 0, points[0], (0.0, 1.0))
    tell(history, 1, points[1], (1.0, 0.0))
    population.update()
    first = population._strategies[0]
    population.update()  # nothing new
    assert population._strategies[0] is first
    parents = update_step_size(first, is_success)
    wanted = update_covariance(parents, np.array([2.0, 0.0, -2.0]))  # (.1, 0, -.1) in steps of .05
    tell(history, 2, points[2], (2.0, 2.0) if is_success else (-1.0, -1.0), parent=0, sigma=0.05)
    for number in (3, 4):  # what runs keeps the strategies of both
        history.add(Suggestion(points[0], number=number, info={"parent": 2 * (number - 3)}))
    population.update()
    assert population._strategies[0].sigma == parents.sigma != first.sigma
    np.testing.assert_allclose(population._strategies[2].C, wanted.C)
    assert population._strategies[2].sigma == wanted.sigma


@pytest.mark.parametrize(("n_objectives", "size"), [(1, 5), (2, 10), (3, 20), (6, 40)])
def test_more_objectives_have_more_survivors(n_objectives, size):
    """As the options say; a number that is given counts."""
    hpo = MOCMAES(FLOATS, seed=0, mode=["min"] * n_objectives)
    hpo.set_up()
    assert hpo._size == size
    given = MOCMAES(FLOATS, seed=0, mode=["min"] * n_objectives, population_size=7)
    given.set_up()
    assert given._size == 7


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"population_size": 1}, "population_size: must be at least 2, got 1"),
        ({"sigma": 0.0}, "sigma: must be above 0 and finite, got 0.0"),
        ({"sigma": float("nan")}, "sigma: must be above 0 and finite, got nan"),
    ],
)
def test_wrong_options_are_named(options, text):
    """When the optimizer is built."""
    with pytest.raises(OptionError) as caught:
        MOCMAES(FLOATS, **options)
    assert str(caught.value) == text
