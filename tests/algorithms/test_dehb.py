"""DEHB against its rules, by brute force: places, parents, selection, and whose training goes on."""

from __future__ import annotations

import random
import re

import numpy as np
import pytest

from autohpo import ChoiceHP, RangeHP, build_hpo_from_name
from autohpo.errors import NotReady, OptimizationComplete, OptionError
from autohpo.schedulers.dehb import DEHB
from autohpo.schedulers.limits import Limits
from autohpo.schedulers.schedule import Schedule

SPACE = [RangeHP(f"x{i}", 0.0, 1.0) for i in range(5)]
SIZES = {1: 9, 3: 5, 9: 3}  # of the brackets 9-3-1, 5-1 and 3
PLANS = [{1: 9, 3: 3, 9: 1}, {3: 5, 9: 1}, {9: 3}]


def build(space=SPACE, **options):
    """A search with three rungs."""
    return build_hpo_from_name("dehb", space, max_fidelity=9, **{"seed": 0, "bracket_sizes": "ceil", **options})


class Book:
    """The subpopulations, kept by hand."""

    def __init__(self):
        self.asked, self.places = dict.fromkeys(SIZES, 0), {fidelity: {} for fidelity in SIZES}

    def ask(self, suggestion):
        """The place that a suggestion must have."""
        fidelity = suggestion.fidelity
        self.asked[fidelity] += 1
        return (self.asked[fidelity] - 1) % SIZES[fidelity]

    def tell(self, suggestion, score):
        """A result competes for its place."""
        held = self.places[suggestion.fidelity]
        place = suggestion.info["place"]
        if place not in held or score >= held[place][0]:
            held[place] = (score, suggestion.number)

    def best(self, fidelity, n):
        """The n best of a fidelity."""
        ranked = sorted(self.places[fidelity].values(), key=lambda pair: (-pair[0], pair[1]))
        return [number for _, number in ranked[:n]]


def parents_of(suggestion):
    """The parents and the target that its notes name."""
    found = re.fullmatch(
        r"a mutant of the trials (\d+), (\d+) and (\d+), crossed with (?:a random one|trial (\d+))",
        suggestion.info["why"],
    )
    *parents, target = found.groups()
    return [int(number) for number in parents], None if target is None else int(target)


def expect_a_child(suggestion, asked, parents, target):
    """Each parameter is the mutant's or the target's, unless the mutant is out of range or there is no target."""
    n_of_target = 0
    for name, value in suggestion.items():
        x1, x2, x3 = (asked[number][name] for number in parents)
        v = x1 + 0.5 * (x2 - x3)
        if target is None or not 0 <= v <= 1 or value == pytest.approx(v, abs=1e-12):
            continue
        assert value == pytest.approx(asked[target][name], abs=1e-12)
        n_of_target += 1
    assert n_of_target < len(suggestion)


@pytest.mark.parametrize("seed", range(6))
def test_every_suggestion_follows_the_rules(seed):
    """900 suggestions with 1 to 8 workers and failures: place, pool of parents, target, crossover and fidelity."""
    n_promoting = [1, 3][seed % 2]
    rng, hpo, book, asked, running = (
        random.Random(seed),
        build(promoting_brackets=n_promoting, seed=seed),
        Book(),
        [],
        [],
    )
    n_workers, n_bred = rng.choice([1, 3, 8]), 0
    while len(asked) < 150:
        try:
            suggestion = hpo.ask()
        except NotReady:
            suggestion = None
        if suggestion is not None:
            asked.append(suggestion)
            running.append(suggestion)
            bracket, fidelity = suggestion.info["bracket"], suggestion.fidelity
            held = book.places[fidelity]
            assert suggestion.info["place"] == book.ask(suggestion)
            everyone = {number for places in book.places.values() for _, number in places.values()}
            target = held.get(suggestion.info["place"], (None, None))[1]
            if suggestion.resume is not None:
                assert bracket < n_promoting
                assert hpo.history[suggestion.resume].info["bracket"] == bracket
            elif bracket == 0 or len(everyone - {target}) < 3:
                assert "why" not in suggestion.info
            else:
                n_bred += 1
                parents, crossed = parents_of(suggestion)
                assert crossed == target
                assert len(set(parents)) == 3
                below = [r for r in SIZES if r < fidelity]
                if suggestion.info["rung"] == 0:
                    pool = {number for _, number in held.values()} - {target}
                else:
                    pool = set(book.best(below[-1], PLANS[bracket % 3][fidelity]))
                assert set(parents) <= pool if len(pool) >= 3 else pool <= set(parents) <= everyone - {target}
                expect_a_child(suggestion, asked, parents, crossed)
        while len(running) >= n_workers or (running and (suggestion is None or rng.random() < 0.2)):
            done = running.pop(rng.randrange(len(running)))
            if rng.random() < 0.15:
                hpo.fail(done, "planned")
            else:
                score = rng.choice([0.0, rng.random()])
                hpo.tell(done, score)
                book.tell(done, score)
            suggestion = done
    assert n_bred > 60


def test_the_first_bracket_is_hyperbands():
    """The same configurations, promotions and fidelities, suggestion for suggestion."""
    other = build_hpo_from_name("hyperband", SPACE, max_fidelity=9, seed=0, bracket_sizes="floor")
    hpo = build(bracket_sizes="floor")
    for _ in range(13):
        mine, its = hpo.ask(), other.ask()
        assert (dict(mine), mine.fidelity, mine.resume) == (dict(its), its.fidelity, its.resume)
        hpo.tell(mine, -mine["x0"])
        other.tell(its, -its["x0"])


def test_a_configuration_that_is_bred_again_goes_on():
    """In a space of 30 none is tried twice at a fidelity, and who waits at a lower rung is continued."""
    space = [RangeHP("n", 1, 10), ChoiceHP("c", list("abc"))]
    hpo = build(space, promoting_brackets=1)
    tried, n_continued, resumable = set(), 0, frozenset()
    with pytest.raises(OptimizationComplete):
        while True:
            suggestion = hpo.ask()
            key = (suggestion["n"], suggestion["c"], suggestion.fidelity)
            assert key not in tried
            tried.add(key)
            if suggestion.resume is not None:
                before = hpo.history[suggestion.resume]
                assert dict(before.hp) == dict(suggestion)
                n_continued += suggestion.info["bracket"] > 0
                assert suggestion.resume in resumable
            hpo.tell(suggestion, -abs(suggestion["n"] - 3) - ord(suggestion["c"]) / 1e3)
            resumable = hpo.resumable
    assert {key[:2] for key in tried} == {(n, c) for n in range(1, 11) for c in "abc"}
    assert n_continued > 3


def test_results_that_are_known_are_parents():
    """Three results of full evaluations: the first bracket that is bred may have them as parents."""
    points = [({f"x{i}": 0.1 * k for i in range(5)}, 10.0 + k) for k in range(1, 4)]
    hpo = build(points=points, promoting_brackets=1)
    parents = set()
    for _ in range(40):
        suggestion = hpo.ask()
        if "a mutant" in suggestion.info.get("why", ""):
            parents |= set(parents_of(suggestion)[0])
        hpo.tell(suggestion, 0.0)
    assert parents >= {0, 1, 2}


def test_it_says_the_rank_in_the_population():
    """By sorting what holds a place; a trial that was beaten lost its place."""
    hpo = build(promoting_brackets=1)
    for _ in range(60):
        suggestion = hpo.ask()
        hpo.tell(suggestion, float(np.sin(suggestion.number)))
    held = {}
    for trial in hpo.trials:
        if trial.fidelity == 3:
            held[trial.info["place"]] = max(held.get(trial.info["place"], (-9.0, 0)), (trial.score, trial.number))
    ranked = [number for _, number in sorted(held.values(), reverse=True)]
    bred = [trial for trial in hpo.trials if trial.fidelity == 3 and trial.info["bracket"] > 0]
    for trial in bred:
        where = "in the population at fidelity 3"
        if trial.number in ranked:
            wanted = f"rank {1 + ranked.index(trial.number)} of {len(ranked)} {where}"
        else:
            wanted = f"lost its place {where}"
        assert hpo.why(trial.number) == wanted
    assert {hpo.why(trial.number) for trial in bred} >= {f"lost its place {where}"}


def test_the_plan_counts_later_brackets_from_scratch():
    """9-3-1 continued is 1 + 2/3 + 2/3 full evaluations; 3-1 and 3 from scratch are 2 and 3."""
    plan = DEHB(Schedule(1, 9, 3, "floor"), num_iterations=3, promoting_brackets=1).training_plan(Limits())
    assert (plan.n_trials, plan.n_full) == (13 + 4 + 3, 1 + 1 + 3)
    assert plan.trained == pytest.approx(9 * (1 + 3 * 2 / 9 + 6 / 9 + 3 * 3 / 9 + 1 + 3))


def test_settings_out_of_range_are_refused():
    """Each by its name."""
    for options in (
        {"mutation_factor": 0.0},
        {"mutation_factor": 2.1},
        {"crossover_probability": 1.1},
        {"promoting_brackets": 0},
    ):
        with pytest.raises(OptionError, match=next(iter(options))):
            build(**options)


@pytest.mark.parametrize("seed", range(3))
def test_it_finds_what_random_draws_do_not(seed):
    """A sphere in five dimensions, 200 suggestions: nearer than hyperband with random draws."""
    found = []
    for name in ("dehb", "hyperband"):
        hpo = build_hpo_from_name(name, SPACE, max_fidelity=9, seed=seed, max_evals=200)
        for _ in range(200):
            suggestion = hpo.ask()
            hpo.tell(suggestion, -sum((x - 0.3) ** 2 for x in suggestion.values()) - 1 / suggestion.fidelity)
        found.append(hpo.best()[1])
    assert found[0] > found[1]
