"""SeenSet: no configuration of a finite space twice, whatever the history looks like."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from autohpo import BaseHPOptimizer, ChoiceHP, OptimizationComplete, RangeHP, SearchSpace, Suggestion
from autohpo.algorithms.parts import seen
from autohpo.algorithms.parts.seen import SeenSet
from autohpo.testing.examples import few_conditional_space


class Plain(BaseHPOptimizer):
    """Suggests what it is told to."""

    supports = frozenset({"constraints"})
    wishes = ()

    def _get_suggestion(self, pid):
        return self.wishes[self.number]


def of(space, **options):
    """An optimizer and its seen set."""
    hpo = Plain(space, **options)
    return hpo, SeenSet(hpo.history)


GRID = [RangeHP("a", 0, 9), RangeHP("b", 0, 9)]


def test_what_was_suggested_is_no_longer_new():
    """Running or ended, failed or told, asked or adopted; what was only decoded is new."""
    hpo, seen_set = of(GRID)
    hpo.wishes = [{"a": k, "b": 0} for k in range(3)]
    first, second, _ = hpo.ask(), hpo.ask(), hpo.ask()
    hpo.tell(first, 1.0)
    seen_set.update()
    hpo.fail(second, "planned")
    hpo.adopt(Suggestion({"a": 7, "b": 7}, number=3))
    hpo.tell(Suggestion({"a": 7, "b": 7}, number=3), 2.0)
    hpo.adopt(Suggestion({"a": 8, "b": 8}, number=4))
    seen_set.update()
    known = [(0, 0), (1, 0), (2, 0), (7, 7), (8, 8)]
    for a, b in itertools.product(range(10), repeat=2):
        assert seen_set.is_new({"a": a, "b": b}) is ((a, b) not in known)


def test_first_is_the_first_new_and_allowed_one():
    """None where there is none."""
    hpo, seen_set = of(SearchSpace(GRID, constraints=["a != 5"]))
    hpo.wishes = [{"a": 1, "b": 0}]
    hpo.ask()
    seen_set.update()
    hps = [{"a": 1, "b": 0}, {"a": 5, "b": 0}, {"a": 2, "b": 0}, {"a": 3, "b": 0}]
    assert seen_set.first(hps) == 2
    assert seen_set.first(hps[:2]) is None
    assert seen_set.first([]) is None


@pytest.mark.parametrize(
    "space",
    [
        SearchSpace(GRID),
        SearchSpace(GRID, constraints=["a + b == 9"]),
        SearchSpace([ChoiceHP("a", range(40), prior=[1] + [0] * 39)]),
        few_conditional_space(),
    ],
    ids=["100", "10 of 100", "one takes nearly all", "children"],
)
def test_draws_use_a_finite_space_up(space):
    """Each configuration comes once, then none: also those that the prior holds for impossible."""
    hpo, seen_set = of(space)
    wanted = {space.key(hp) for hp in space.configurations()}
    got = []
    for number in range(len(wanted)):
        seen_set.update()
        got.append(seen_set.draw(np.random.default_rng(number)))
        hpo.adopt(Suggestion(got[-1], number=number))
    assert sorted(map(space.key, got)) == sorted(wanted)
    with pytest.raises(OptimizationComplete, match=f"all {len(wanted)} configurations were suggested"):
        seen_set.update()
    with pytest.raises(OptimizationComplete, match=f"all {len(wanted)} configurations were suggested"):
        seen_set.draw(np.random.default_rng(0))


def test_several_are_drawn_together():
    """From 1 to n, all new and allowed; where the space is nearly used up, all that is left."""
    hpo, seen_set = of(SearchSpace(GRID, constraints=["a != 5"]))
    some = seen_set.some(np.random.default_rng(0), 20)
    assert 1 <= len(some) <= 20
    assert all(seen_set.is_new(hp) and hp["a"] != 5 for hp in some)
    left = [{"a": 9, "b": 8}, {"a": 9, "b": 9}]
    others = [hp for hp in hpo.space.configurations() if hp not in left]
    for number, hp in enumerate(others):
        hpo.adopt(Suggestion(hp, number=number))
    seen_set.update()
    for seed in range(5):
        assert all(hp in left for hp in seen_set.some(np.random.default_rng(seed), 20))


def test_in_a_space_that_cannot_be_counted_draws_are_those_of_the_space():
    """Nothing is listed, and nothing remembered that a float would never repeat."""
    space = SearchSpace([RangeHP("x", 0.0, 1.0)], constraints=["x < 0.5"])
    _, seen_set = of(space)
    assert not seen_set.is_finite
    assert seen_set.draw(np.random.default_rng(3)) == space.sample(np.random.default_rng(3), 1)[0]
    assert seen_set.some(np.random.default_rng(3), 4) == space.sample(np.random.default_rng(3), 4)


def test_few_allowed_of_very_many_are_found(monkeypatch):
    """One of 10,000 by the constraint, beside a billion free ones that must not be walked."""
    monkeypatch.setattr(seen, "MOST_WALKED", 100)
    space = SearchSpace([RangeHP("free", 0, 10**9), RangeHP("n", 1, 10_000)], constraints=["n == 9999"])
    hpo, seen_set = of(space)
    assert space.n_configurations == 10**9 + 1
    for number in range(3):
        hpo.adopt(Suggestion(seen_set.draw(np.random.default_rng(number)), number=number))
        seen_set.update()
    assert len({hp["free"] for hp in hpo.running}) == 3


def test_each_trial_is_added_once(monkeypatch):
    """The cost of a suggestion must not grow with the history."""
    hpo, seen_set = of(GRID)
    keys, key = [], SearchSpace.key
    monkeypatch.setattr(SearchSpace, "key", lambda self, hp: keys.append(hp) or key(self, hp))
    hpo.wishes = [{"a": k, "b": k} for k in range(10)]
    for _ in range(10):
        hpo.tell(hpo.ask(), 0.0)
        seen_set.update()
    assert len(keys) == 10


def test_the_first_new_candidate_or_else_a_draw():
    """With its place; where all candidates are known or not allowed, the draw is new and allowed, and has none."""
    hpo, seen_set = of(SearchSpace(GRID, constraints=["a != 5"]))
    hpo.wishes = [{"a": 1, "b": 0}]
    hpo.ask()
    seen_set.update()
    hps, rng = [{"a": 5, "b": 0}, {"a": 1, "b": 0}, {"a": 2, "b": 0}], np.random.default_rng(0)
    assert seen_set.first_or_draw(hps, rng) == ({"a": 2, "b": 0}, 2)
    drawn, place = seen_set.first_or_draw(hps[:2], rng)
    assert place is None
    assert seen_set.is_new(drawn)
