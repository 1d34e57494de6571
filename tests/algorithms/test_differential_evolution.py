"""Differential evolution: places, children, and the memory of settings."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from autohpo import ChoiceHP, OptimizationComplete, OptionError, RangeHP, build_hpo_from_name
from autohpo.algorithms.differential_evolution import MEMORY_SIZE, Population
from autohpo.history import History
from autohpo.objectives import Objectives
from autohpo.spaces import SearchSpace
from autohpo.trial import Outcome, Suggestion, TrialState

CUBE = [RangeHP("x", 0.0, 1.0), RangeHP("y", 0.0, 1.0), RangeHP("z", 0.0, 1.0)]


def empty_history():
    """A history of the cube without trials."""
    return History(SearchSpace(CUBE), Objectives.of("max"))


def tell(history, number, perf, **info):
    """Adds a trial on the cube to a history; None is a failure."""
    state = TrialState.FAILED if perf is None else TrialState.COMPLETE
    history.add(Suggestion({"x": 0.1, "y": number % 7 / 7, "z": 0.5}, number=number, info=info))
    history.finish(history.find(number).ended(Outcome(state, () if perf is None else (perf,))))


def test_the_best_of_each_place_stays_whatever_the_order_of_results():
    """Every order of five results on two places leaves the same individuals; of equals the one told last."""
    results = [(0, 1.0), (1, 5.0), (2, 3.0), (3, 4.0), (4, None)]
    for order in itertools.permutations(results):
        history = empty_history()
        population = Population(history, 2)
        for number, perf in order:
            tell(history, number, perf)
        population.update()
        assert {place: individual.number for place, individual in population.individuals.items()} == {0: 2, 1: 1}
    tell(history, 5, 5.0)
    population.update()
    assert population.individuals[1].number == 5


def test_memory_holds_the_means_of_what_was_better():
    """After a generation of four children one entry is the Lehmer mean of F and the mean of CR of the two successes."""
    history = empty_history()
    population = Population(history, 4)
    for n in range(4):
        tell(history, n, 1.0, place=n)
    children = [(2.0, 0.2, 0.1), (3.0, 0.8, 0.5), (1.0, 0.9, 0.9), (None, 0.7, 0.7)]  # an equal one is no success
    for n, (perf, F, CR) in enumerate(children):
        population.update()
        assert population._memory == [(0.5, 0.5)] * MEMORY_SIZE
        tell(history, 4 + n, perf, place=n, F=F, CR=CR)
    population.update()
    assert population._memory[0] == pytest.approx(((0.2**2 + 0.8**2) / (0.2 + 0.8), 0.3))
    assert population._memory[1:] == [(0.5, 0.5)] * (MEMORY_SIZE - 1)


def test_settings_lie_in_their_ranges_around_the_memory():
    """F in (0, 1] with the median of a Cauchy distribution cut at 0, CR normal around .5, within 5 standard errors.

    Of a Cauchy distribution around .5 of width .1, .0628 lies below 0 and is drawn again: the median of the rest is
    .5 + .1 tan(pi (.0628 / 2)) = .5099. Standard errors of 4000 draws: pi / 2 * .1 / sqrt(n) and .1 / sqrt(n).
    """
    population, rng = Population(empty_history(), 4), np.random.default_rng(0)
    F, CR = np.array([population.settings(rng) for _ in range(4000)]).T
    assert F.min() > 0
    assert F.max() == 1
    assert np.median(F) == pytest.approx(0.5099, abs=5 * 0.157 / 4000**0.5)
    assert CR.min() >= 0
    assert CR.max() <= 1
    assert CR.mean() == pytest.approx(0.5, abs=5 * 0.1 / 4000**0.5)


def started(space, perf_of, size=6, **options):
    """A search whose first generation is told, and what was asked."""
    hpo = build_hpo_from_name("differential_evolution", space, seed=0, population_size=size, **options)
    asked = [hpo.ask() for _ in range(size)]
    for hp in asked:
        hpo.tell(hp, perf_of(hp))
    return hpo, asked


def test_child_is_the_formula_of_its_note():
    """Every changed coordinate is x + F (best - x) + F (a - b) for one pair of the others, or half way to the end.

    By brute force over all pairs, with best_share so small that the best is the best.
    """
    hpo, asked = started(CUBE, lambda hp: hp["x"], best_share=0.01)
    points = hpo.space.encode(asked)
    best = points[np.argmax(points[:, 0])]
    for _ in range(40):
        child = hpo.ask()
        x, F = points[child.info["place"]], child.info["F"]
        others = [i for i in range(6) if i != child.info["place"]]
        differences = [points[a] - points[b] for a, b in itertools.permutations(others, 2)]
        moves = x + F * (best - x) + F * np.array(differences)
        moves = np.where(moves < 0, x / 2, np.where(moves > 1, (1 + x) / 2, moves))
        got = hpo.space.encode([child])[0]
        is_same = np.isclose(got, x, atol=1e-12)
        assert not is_same.all()
        assert (np.isclose(moves, got, atol=1e-12) | is_same).all(axis=1).any()
        hpo.tell(child, -1.0)


def test_child_differs_in_one_coordinate_at_least():
    """With a share of 0 exactly one coordinate changes, or the child would be its parent."""
    hpo, _ = started(CUBE, lambda hp: hp["x"])
    hpo.ask()
    for individual in hpo._population.individuals.values():
        assert (hpo._child(individual, 0.5, 0.0) != individual.point).sum() == 1


def test_values_in_no_order_come_from_the_population():
    """Nine in ten changed choices are those of the best or of another individual; the rest may be new.

    The population has lost all of 50 values but one, "v0": of 60 children at most 10 % of the choices are new; 5 sd of
    a binomial count of 60 at .1 is 12, so at most 18 have another value; and some have, or it could never come back.
    """
    values = [f"v{i}" for i in range(50)]
    space = [ChoiceHP("c", values), RangeHP("x", 0.0, 1.0)]
    hpo = build_hpo_from_name("differential_evolution", space, seed=0, population_size=4)
    for number in range(4):
        suggestion = Suggestion({"c": "v0", "x": number / 4}, number=number, info={"place": number})
        hpo.adopt(suggestion)
        hpo.tell(suggestion, 1.0)
    children = []
    for _ in range(60):
        children.append(hpo.ask())
        hpo.tell(children[-1], 0.0)
    assert 1 <= sum(hp["c"] != "v0" for hp in children) <= 18


def test_workers_do_not_wait():
    """With 15 in flight on five places each place is worked on three times; results come in reverse."""
    hpo = build_hpo_from_name("differential_evolution", CUBE, seed=0, population_size=5)
    running = [hpo.ask() for _ in range(15)]
    assert [hp.info["place"] for hp in running] == [n % 5 for n in range(15)]
    for hp in reversed(running):
        hpo.tell(hp, -abs(hp["x"] - 0.3))
    best = [max(-abs(hp["x"] - 0.3) for hp in running[place::5]) for place in range(5)]
    hpo.ask()
    assert [hpo._population.individuals[place].score for place in range(5)] == best


def test_place_without_a_result_is_drawn_from_the_prior_again():
    """Where the first trial of a place failed, the next one on it has no settings in its note."""
    hpo = build_hpo_from_name("differential_evolution", CUBE, seed=0, population_size=5)
    for number in range(5):
        suggestion = hpo.ask()
        if number == 2:
            hpo.fail(suggestion, "on purpose")
        else:
            hpo.tell(suggestion, 1.0)
    notes = []
    for _ in range(5):
        suggestion = hpo.ask()
        notes.append("F" in suggestion.info)
        hpo.tell(suggestion, 0.0)
    assert notes == [True, True, False, True, True]


def test_bowl_is_descended():
    """A sphere of five columns: 300 trials reach 1e-3, the best of 300 random ones is near .05."""
    space = [RangeHP(f"x{i}", 0.0, 1.0) for i in range(5)]
    hpo = build_hpo_from_name("differential_evolution", space, seed=0, mode="min")
    for _ in range(300):
        suggestion = hpo.ask()
        hpo.tell(suggestion, sum((value - 0.3) ** 2 for value in suggestion.values()))
    assert hpo.best()[1] < 1e-3


def test_finite_space_is_used_up_without_repeats():
    """All 24 configurations once, then the end."""
    space = SearchSpace([RangeHP("n", 1, 4), ChoiceHP("c", ["a", "b", "d"]), ChoiceHP("flag", [True, False])])
    hpo = build_hpo_from_name("differential_evolution", space, seed=0, population_size=4)
    keys = set()
    for _ in range(24):
        suggestion = hpo.ask()
        keys.add(space.key(suggestion))
        hpo.tell(suggestion, suggestion["n"])
    assert len(keys) == 24
    with pytest.raises(OptimizationComplete):
        hpo.ask()


def test_constraints_are_met():
    """Children that break them are skipped, also where most do."""
    space = SearchSpace(CUBE, constraints=["x + y + z < 0.8"])
    hpo = build_hpo_from_name("differential_evolution", space, seed=0)
    for _ in range(60):
        suggestion = hpo.ask()
        assert sum(suggestion.values()) < 0.8
        hpo.tell(suggestion, sum(suggestion.values()))


@pytest.mark.parametrize(
    ("option", "value", "rule"),
    [("population_size", 3, "must be at least 4"), ("best_share", 0.0, "must be above 0 and at most 1")],
)
def test_options_out_of_range_are_refused(option, value, rule):
    """The error names option, rule and value."""
    with pytest.raises(OptionError, match=f"{option}: {rule}, got {value}"):
        build_hpo_from_name("differential_evolution", CUBE, **{option: value})
