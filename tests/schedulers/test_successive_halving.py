"""The one bracket of successive halving: as large as is wanted or affordable, every rung against sorting."""

from __future__ import annotations

import random

import pytest

from autohpo import OptionError, RangeHP, build_hpo_from_name
from autohpo.errors import NotReady, OptimizationComplete
from autohpo.schedulers.hyperband import Hyperband
from autohpo.schedulers.limits import Limits
from autohpo.schedulers.successive_halving import SingleBracket

SPACE = [RangeHP("x", 0.0, 1.0)]


@pytest.mark.parametrize("n_workers", [1, 4, 16])
@pytest.mark.parametrize("seed", range(20))
def test_every_rung_promotes_the_best_whatever_fails_and_in_whatever_order_it_ends(search_of, seed, n_workers):
    """More than 10,000 decisions in all: rungs by plain quotients, and the best of each by sorting."""
    rng = random.Random(f"{seed} {n_workers}")
    n, eta = rng.choice([20, 50, 64]), rng.choice([2, 3, 4])
    schedule = SingleBracket(1, eta**3, eta, n=n)
    search = search_of(Hyperband(schedule, num_iterations=3))
    sizes = [max(1, n // eta**level) for level in range(4)]
    while True:
        try:
            while len(search.running) < n_workers:
                search.ask()
        except NotReady:
            pass
        except OptimizationComplete:
            if not search.running:
                break
        perf = None if rng.random() < 0.2 else rng.choice([0.0, 1.0, rng.random()])
        search.tell(rng.choice(search.running), perf)
    perfs = {t.number: t.perf for t in search.history.trials}
    assert len(search.asked) == 3 * sum(sizes)
    for index in range(3):
        for level, size in enumerate(sizes):
            rung = [s for s in search.asked if (s.info["bracket"], s.info["rung"]) == (index, level)]
            assert [s.fidelity for s in rung] == [eta**level] * size
            if level:
                below = [s.number for s in search.asked if (s.info["bracket"], s.info["rung"]) == (index, level - 1)]
                able = [number for number in below if perfs[number] is not None]
                best = sorted(able, key=lambda number: (-perfs[number], number))[:size]
                assert [s.resume for s in rung if s.resume is not None] == best


@pytest.mark.parametrize("is_continued", [True, False])
@pytest.mark.parametrize("eta", [2, 3, 4])
def test_without_a_size_it_is_the_largest_that_the_limits_pay_for(eta, is_continued):
    """Against trying every size, for many budgets and numbers of suggestions."""
    schedule = SingleBracket(1, eta**3, eta)

    def cost(n):
        sizes = [max(1, n // eta**level) for level in range(4)]
        had = [0, *(eta**level for level in range(3))] if is_continued else [0] * 4
        return sum(sizes), sum(m * (eta**level - had[level]) for level, m in enumerate(sizes)) / eta**3

    for n_left, cost_left in [(10, 99), (40, 99), (123, 99), (1000, 2), (1000, 7.3), (1000, 20), (30, 5)]:
        limits = Limits(n_left, n_left, cost_left, cost_left, is_continued)
        affordable = [n for n in range(1, 1001) if cost(n)[0] <= n_left and cost(n)[1] <= cost_left + 1e-9]
        if affordable:
            assert schedule.bracket_within(0, limits).sizes[0] == max(affordable)
    nothing = Limits(2, 2)
    assert schedule.bracket_within(0, nothing) == schedule.bracket(0)
    assert schedule.bracket_within(0, Limits()).sizes[0] == eta**3


@pytest.mark.parametrize(("options", "n_trials"), [({"max_evals": 100}, 99), ({"max_evals": 30}, 29), ({}, 40)])
def test_a_search_spends_what_it_has_on_one_bracket(options, n_trials):
    """68 + 22 + 7 + 2 = 99, and one more would make 101; 20 + 6 + 2 + 1 = 29; without limits 27 + 9 + 3 + 1."""
    hpo = build_hpo_from_name(
        "successive_halving", SPACE, lambda hps, fidelity: hps["x"], max_fidelity=27, seed=0, **options
    )
    hpo.optimize(progress=False)
    assert len(hpo.result) == n_trials
    assert sum(trial.fidelity == 27 for trial in hpo.result) >= 1
    assert {trial.info["bracket"] for trial in hpo.result} == {0}


def test_a_larger_budget_goes_on_with_another_bracket(tmp_path):
    """The first one keeps its size, which stands in its notes."""

    def run(budget):
        hpo = build_hpo_from_name(
            "successive_halving", SPACE, lambda hps, fidelity: hps["x"], max_fidelity=9, seed=0, budget=budget
        )
        hpo.optimize(progress=False, store=tmp_path / "run.db")
        return [(dict(t.hp), t.fidelity, t.resume, t.info["bracket"]) for t in hpo.result]

    first = run(4)
    both = run(9)
    assert both[: len(first)] == first
    assert {bracket for *_, bracket in both} == {0, 1}


@pytest.mark.parametrize(("n", "message"), [(0, "n: must be at least 1, got 0"), (-3, "n: must be at least 1, got -3")])
def test_a_size_that_cannot_be_is_refused(n, message):
    """The text names argument, rule and value."""
    with pytest.raises(OptionError) as caught:
        build_hpo_from_name("successive_halving", SPACE, n=n)
    assert str(caught.value) == message
