"""DyHPO's decisions against its rule, by brute force, with a judge whose predictions have a closed form."""

from __future__ import annotations

import math
import random

import numpy as np
import pytest
from scipy.stats import norm

from autohpo.errors import NotReady, OptimizationComplete, OptionError
from autohpo.schedulers.base import Promote, Start
from autohpo.schedulers.dyhpo import DyHPO, small_steps
from autohpo.schedulers.judge import Judgement, NewCandidate
from autohpo.schedulers.limits import Limits

RUNGS = small_steps(1, 9)


def predicted(number, fidelity):
    """Mean, deviation and what is to be beaten: pseudo-random, but a function of the trial and the fidelity."""
    mean = math.sin(12.9898 * number + 78.233 * fidelity)
    return mean, 0.2 + 0.1 * (number % 5), 0.5 + fidelity / 20


class Exact:
    """A judge with these predictions, and of a new configuration those of the number that it will have."""

    def __init__(self, n_first=3, hp=None, has_new=True):
        self.n_first, self.hp, self.has_new, self.calls = n_first, hp, has_new, []

    def __call__(self, seen, rng, trials, fidelities, start=None):
        self.calls.append((list(trials), list(fidelities), start))
        if seen.n_told < self.n_first:
            return None
        rows = [predicted(*pair) for pair in zip(trials, fidelities, strict=True)]
        means, deviations, best = np.array(rows).reshape(-1, 3).T
        new = None if start is None or not self.has_new else NewCandidate(*predicted(seen.n_asked, start), self.hp)
        return Judgement(means, deviations, best, new)


def improvement(mean, deviation, best):
    """Expected improvement, as the integral has it in closed form."""
    z = (mean - best) / deviation
    return (mean - best) * norm.cdf(z) + deviation * norm.pdf(z)


def paused_of(search):
    """The trials that wait below the full fidelity, by a look at the whole history."""
    resumed = {s.resume for s in search.asked}
    return [
        t
        for t in sorted(search.history.trials, key=lambda t: t.number)
        if t.score is not None and t.number not in resumed and t.fidelity < RUNGS[-1]
    ]


def halved(search):
    """What asynchronous halving would promote, by sorting the results of each rung."""
    waiting = {t.number for t in paused_of(search)}
    for level in reversed(range(len(RUNGS) - 1)):
        there = [t for t in search.history.trials if t.fidelity == RUNGS[level] and t.score is not None]
        there.sort(key=lambda t: (-t.score, t.number))
        n = len(there) * RUNGS[level] // RUNGS[level + 1]
        best = next((rank for rank, t in enumerate(there) if t.number in waiting), n)
        if best < n:
            return there[best].number
    return None


@pytest.mark.parametrize("seed", range(8))
def test_decisions_follow_the_rule_whatever_fails_and_in_whatever_order_it_ends(search_of, seed):
    """1,600 decisions with 1 to 8 workers: the largest expected improvement of all that is paused, and of a new one."""
    rng = random.Random(seed)
    search = search_of(DyHPO(RUNGS, Exact(), probability_sh=0.0))
    n_workers, n_promoted = rng.choice([1, 4, 8]), 0
    for _ in range(200):
        values = {t.number: improvement(*predicted(t.number, t.fidelity + 2)) / 2 for t in paused_of(search)}
        best = max(values, key=values.get, default=None)
        of_new = improvement(*predicted(len(search.asked), 1))
        if search.history.n_told < 3:
            wanted = halved(search)
        else:
            wanted = best if best is not None and values[best] >= of_new else None
        asked = search.ask()
        assert asked.resume == wanted
        assert asked.fidelity == (1 if wanted is None else search.history[wanted].fidelity + 2)
        n_promoted += wanted is not None
        while len(search.running) >= n_workers or (search.running and rng.random() < 0.1):
            search.tell(rng.choice(search.running), None if rng.random() < 0.2 else rng.choice([0.0, rng.random()]))
    assert n_promoted > 50
    assert any(s.fidelity == 9 for s in search.asked)


@pytest.mark.parametrize("seed", range(4))
def test_a_share_of_the_decisions_is_that_of_asynchronous_halving(search_of, seed):
    """With certainty, wherever it would promote one; with a probability of a quarter, about as often."""
    rng = random.Random(seed)
    for probability in (1.0, 0.25):
        search = search_of(DyHPO(RUNGS, Exact(), probability_sh=probability))
        n_possible = n_halved = 0
        for _ in range(300):
            wanted = halved(search)
            n_possible += wanted is not None
            asked = search.ask()
            is_halved = asked.resume is not None and "expected improvement" not in asked.info["why"]
            n_halved += is_halved
            assert not is_halved or asked.resume == wanted
            search.tell(asked.number, rng.random())
        deviation = math.sqrt(n_possible * probability * (1 - probability))
        assert n_possible > 60
        assert abs(n_halved - probability * n_possible) <= 4 * deviation + 3  # while there is no model it is the rule


def test_the_judge_is_asked_for_all_that_is_paused_at_its_next_rung(search_of):
    """Rising numbers, each with its own fidelity; a start only where a configuration can be had."""
    judge = Exact(n_first=99)
    search = search_of(DyHPO(RUNGS, judge, probability_sh=0.0))
    search.run(7)
    for _ in range(20):
        search.next(can_start=False)
        search.tell(search.ask().number, 0.0)
    assert len(judge.calls) > 20
    for trials, fidelities, _ in judge.calls:
        assert trials == sorted(trials)
        assert [search.history[n].fidelity + 2 for n in trials] == fidelities
    assert {start for *_, start in judge.calls} == {1, None}


@pytest.mark.parametrize("is_continued", [True, False])
def test_an_improvement_is_worth_what_it_has_for_its_price(search_of, is_continued):
    """Steps of 1, 2 and 6: a trial pays for what is added, or for all of it where it begins anew."""
    rungs = (1, 3, 9)
    search = search_of(DyHPO(rungs, Exact(), probability_sh=0.0))
    search.scheduler.limits = Limits(is_continued=is_continued)
    n_dearer = 0
    for _ in range(150):
        above = {t.number: rungs[rungs.index(t.fidelity) + 1] for t in paused_of(search)}
        worth = {number: improvement(*predicted(number, level)) for number, level in above.items()}
        had = {number: search.history[number].fidelity if is_continued else 0 for number in above}
        values = {number: worth[number] / (above[number] - had[number]) for number in above}
        of_new = improvement(*predicted(len(search.asked), 1))
        best = max(values, key=values.get, default=None)
        if search.history.n_told >= 3:
            asked = search.ask()
            assert asked.resume == (best if best is not None and values[best] >= of_new else None)
            n_dearer += best is not None and max(worth, key=worth.get) != best
        else:
            asked = search.ask()
        search.tell(asked.number, math.sin(asked.number))
    assert n_dearer > 5  # the price has made a difference


def test_where_the_rule_decides_and_promotes_nobody_a_new_configuration_starts(search_of):
    """And the judge is not asked, unless nothing can start."""
    judge = Exact(n_first=0)
    search = search_of(DyHPO(RUNGS, judge, probability_sh=1.0))
    for _ in range(40):
        wanted = halved(search)
        asked = search.ask()
        assert asked.resume == wanted
        search.tell(asked.number, math.sin(7.0 * asked.number))
    assert judge.calls == []
    while halved(search) is not None:
        search.tell(search.ask().number, -1.0)
    assert isinstance(search.next(can_start=False), Promote)
    assert len(judge.calls) == 1


def test_a_new_configuration_may_be_the_judges_own(search_of):
    """Where it names one that is what starts, with its reason; else the sampler draws."""
    search = search_of(DyHPO(RUNGS, Exact(0, hp={"x": 123}), probability_sh=0.0))
    started = search.next()
    assert started == Start(1, started.info, {"x": 123})
    value = improvement(*predicted(0, 1))
    assert started.info["why"] == f"a new configuration, expected improvement {value:.3g} a unit: before 0 paused"
    assert search_of(DyHPO(RUNGS, Exact(0), probability_sh=0.0)).next().hp is None


def test_without_a_new_candidate_or_a_model_it_goes_on(search_of):
    """Where the judge has none the best paused one goes on; where nothing can start everything is trained in full."""
    search = search_of(DyHPO(RUNGS, Exact(1, has_new=False), probability_sh=0.0))
    asked = [search.ask()]
    search.tell(0, 0.5)
    asked.append(search.ask())
    assert [s.resume for s in asked] == [None, 0]
    search = search_of(DyHPO(RUNGS, Exact(99), probability_sh=0.0), n_configurations=4)
    with pytest.raises(OptimizationComplete):
        search.run(99)
    assert len(search.asked) == 4 * len(RUNGS)
    assert search.resumable() == frozenset()


def test_it_waits_for_what_runs_where_nothing_else_is_left(search_of):
    """One configuration that runs, and no other."""
    search = search_of(DyHPO(RUNGS, Exact()), n_configurations=1)
    search.ask()
    with pytest.raises(NotReady):
        search.next(can_start=False)


def test_a_search_that_ends_trains_at_least_one_in_full(search_of):
    """With the last suggestion, or while the budget still pays for it, the most promising goes right to the end."""
    judge = Exact()
    search = search_of(DyHPO(RUNGS, judge, probability_sh=0.0))
    search.scheduler.limits = Limits(n=6, n_left=6)
    search.run(4)
    means = {t.number: predicted(t.number, 9)[0] for t in paused_of(search)}
    best = max(means, key=means.get)
    last = search.next(n_left=1)
    assert (last.trial, last.fidelity, last.info["rung"]) == (best, 9, 4)
    assert "nothing was trained in full, and the budget ends: promoted to 9" in last.info["why"]
    search.scheduler.limits = Limits(cost=2.0, cost_left=8 / 9 + 2 / 9 + 0.01)
    assert search.next().fidelity != 9
    search.scheduler.limits = Limits(cost=2.0, cost_left=8 / 9 + 2 / 9 - 0.01)
    assert search.next().fidelity == 9
    search.scheduler.limits = Limits(cost=2.0, cost_left=1.99, is_continued=False)  # it would begin anew: 1, and 1
    promoted = search.next()
    assert isinstance(promoted, Promote)
    assert promoted.fidelity == 9
    search.scheduler.limits = Limits(n=6, n_left=6)
    search.run(200)
    assert sum(s.fidelity == 9 for s in search.asked) > 1
    search.scheduler.limits = Limits(n=6, n_left=1)
    assert "budget ends" not in search.next(n_left=1).info.get("why", "")  # there is one


@pytest.mark.parametrize("seed", range(3))
def test_a_rebuilt_scheduler_decides_alike(search_of, seed):
    """What it knows follows from the history: handed over at once, in another order, it says the same."""
    rng = random.Random(seed)
    search = search_of(DyHPO(RUNGS, Exact(), probability_sh=0.3))
    for _ in range(60):
        search.ask()
        while len(search.running) > 3:
            search.tell(rng.choice(search.running), None if rng.random() < 0.2 else rng.random())
    trials = list(search.history.trials)
    rng.shuffle(trials)
    order = {s.number: s.resume for s in search.asked}
    trials.sort(key=lambda t: t.number if order[t.number] is not None else -1)  # a promotion ends after its trial
    other = search.replayed(DyHPO(RUNGS, Exact(), probability_sh=0.3), trials)
    assert other.next() == search.next()
    assert other.resumable() == search.resumable() == frozenset(t.number for t in paused_of(search))


def test_why_says_the_rank_at_the_rung(search_of):
    """A waiting trial has its rank; one that runs or has failed has no reason."""
    search = search_of(DyHPO(RUNGS, Exact(99), probability_sh=0.0))
    search.run(2, perf=lambda s: -float(s["x"]))
    assert search.scheduler.why(search.history, 1) == "rank 2 of 2 at fidelity 1"
    search.tell(search.ask().number, None)
    assert search.scheduler.why(search.history, 2) == ""


def test_rungs_are_close_together():
    """Linear steps up to the full fidelity, or factors; integers where the ends are."""
    assert small_steps(1, 8) == (1, 3, 5, 7, 8)
    assert small_steps(1, 1) == (1,)
    assert small_steps(2, 3, 5) == (2, 3)
    assert small_steps(0.1, 0.45, 0.1) == pytest.approx((0.1, 0.2, 0.3, 0.4, 0.45))
    assert small_steps(1, 100, factor=2) == (1, 2, 4, 8, 16, 32, 64, 100)
    assert small_steps(1, 64, factor=2)[-2:] == (32, 64)
    assert small_steps(0.5, 2, factor=2) == (0.5, 1, 2)
    assert small_steps(3, 5, factor=1.01) == (3, 4, 5)
    for arguments in [(0, 1), (2, 1), (1, 9, 0), (1, 9, -1), (1, math.inf), (1, 1e9, 1), (1, 9, 1, 1.0)]:
        with pytest.raises(OptionError):
            small_steps(*arguments)
    with pytest.raises(OptionError):
        DyHPO(RUNGS, Exact(), probability_sh=1.1)
