"""Asynchronous successive halving against its rule, by brute force."""

from __future__ import annotations

import random

import numpy as np
import pytest

from autohpo.errors import NotReady, OptimizationComplete
from autohpo.schedulers.asha import AsyncPromotion, AsyncStopping, bracket_weights
from autohpo.trial import TrialState

RUNGS = [1.0, 3.0, 9.0, 27.0]
N_DECISIONS = 1000


def best_to_promote(search):
    """Number and rung of the trial that goes on, by sorting all results of each rung, the highest rung first."""
    promoted = {s.resume for s in search.asked}
    for level in (2, 1, 0):
        results = [t for t in search.history.trials if t.fidelity == RUNGS[level] and t.score is not None]
        ranked = sorted(results, key=lambda t: (-t.score, t.number))
        for trial in ranked[: len(ranked) // 3]:
            if trial.number not in promoted:
                return trial.number, level
    return None


@pytest.mark.parametrize("seed", range(12))
def test_promotions_follow_the_rule_whatever_fails_and_in_whatever_order_it_ends(search_of, seed):
    """12,000 decisions with 1 to 32 workers, failures and ties: each is what sorting all results says."""
    rng = random.Random(seed)
    search = search_of(AsyncPromotion(RUNGS, 3.0, n_brackets=1 + seed % 3))
    n_workers, n_promoted = rng.choice([1, 4, 32]), 0
    for _ in range(N_DECISIONS):
        wanted = best_to_promote(search)
        asked = search.ask()
        if wanted is None:
            assert asked.resume is None
            assert asked.fidelity in RUNGS[: 1 + seed % 3]
        else:
            number, level = wanted
            assert (asked.resume, asked.fidelity) == (number, RUNGS[level + 1])
            n_promoted += 1
        while len(search.running) >= n_workers or (search.running and rng.random() < 0.1):
            perf = None if rng.random() < 0.2 else rng.choice([0.0, 1.0, rng.random()])
            search.tell(rng.choice(search.running), perf)
    assert n_promoted > N_DECISIONS / 6
    assert any(s.fidelity == RUNGS[-1] for s in search.asked)


@pytest.mark.parametrize("seed", range(12))
def test_trials_are_stopped_by_the_rule_whatever_fails_and_in_whatever_order_they_report(search_of, seed):
    """At least 12,000 verdicts at rungs, with reports that skip some: against lists kept by hand."""
    rng = random.Random(seed)
    n_brackets = 1 + seed % 3
    search = search_of(AsyncStopping(RUNGS, 3.0, n_brackets))
    entries, reached, n_verdicts = [[], [], []], {}, 0
    while n_verdicts < N_DECISIONS:
        while len(search.running) < 8:
            asked = search.ask()
            assert (asked.fidelity, asked.resume) == (27.0, None)
            assert asked.info["rung"] in range(n_brackets)
            reached[asked.number] = asked.info["rung"] - 1
        number = rng.choice(search.running)
        reports = search.history.find(number).reports
        done = (reports[-1][0] if reports else 0) + rng.choice([1, 1, 1, 2, 5])
        score = rng.choice([0.0, rng.random(), rng.random()])
        level = sum(done >= rung for rung in RUNGS[:3]) - 1
        goes_on, text = True, ""
        if level > reached[number]:
            n_verdicts, reached[number] = n_verdicts + 1, level
            entries[level].append((-score, number))
            n, rank = len(entries[level]), 1 + sorted(entries[level]).index((-score, number))
            goes_on = n < 3 or rank <= n // 3
            text = "" if goes_on else f"stopped at {done}: rank {rank} of {n}, the best {n // 3} go on"
        assert search.report(number, done, score) is goes_on
        assert search.scheduler.why(search.history, number) == text
        if not goes_on:
            search.tell(number, score, TrialState.STOPPED, done)
        elif done >= 27 or rng.random() < 0.03:
            search.tell(number, score if rng.random() < 0.7 else None)
    assert min(map(len, entries)) > 10


@pytest.mark.parametrize("kind", [AsyncPromotion, AsyncStopping])
def test_a_history_replayed_in_any_order_gives_the_same_decisions(search_of, kind):
    """Every tenth state of a run with six workers, handed to a fresh scheduler at once."""
    rng = random.Random(0)
    search = search_of(kind(RUNGS, 3.0, 2))
    for n in range(200):
        asked = search.ask()
        if n % 10 == 0:
            other = search.replayed(kind(RUNGS, 3.0, 2), rng.sample(list(search.history.trials), n_ended(search)))
            assert other.next() == search.next()
            assert other.resumable() == search.resumable()
            number = asked.number
            if kind is AsyncStopping and n_ended(search) > 5:
                assert other.report(number, 1.0, 0.5) == search.report(number, 1.0, 0.5)
        while len(search.running) >= 6:
            number, score = rng.choice(search.running), rng.random()
            if kind is AsyncStopping:
                search.report(number, 3.0, score)
            search.tell(number, None if rng.random() < 0.2 else score)


def n_ended(search):
    """How many trials have ended."""
    return len(search.history.trials)


def test_equals_go_on_in_the_order_asked(search_of):
    """Six equal results promote the first two, one after the other."""
    search = search_of(AsyncPromotion(RUNGS, 3.0))
    asked = [search.ask() for _ in range(6)]
    for s in reversed(asked):
        search.tell(s.number, 1.0)
    assert [search.ask().resume for _ in range(3)] == [0, 1, None]


def test_every_result_below_the_top_may_be_continued_until_it_was(search_of):
    """More results can bring any of them among the best third; failed and promoted ones are let go."""
    search = search_of(AsyncPromotion(RUNGS, 3.0))
    for perf in (0.5, None, 0.1, 0.9):
        search.tell(search.ask().number, perf)
    assert search.resumable() == {0, 2, 3}
    assert search.ask().resume == 3
    assert search.resumable() == {0, 2}
    assert search_of(AsyncStopping(RUNGS, 3.0)).resumable() == frozenset()


def test_texts_say_rank_and_rule(search_of):
    """Why one was promoted stands in its notes; why one waits, or has everything, is told when asked."""
    search = search_of(AsyncPromotion(RUNGS[:2], 3.0))
    for perf in (0.5, 0.1, 0.9):
        search.tell(search.ask().number, perf)
    promoted = search.ask()
    assert promoted.info == {"rung": 1, "why": "rank 1 of 3 at fidelity 1: promoted to 3"}
    search.tell(promoted.number, 0.7)
    why = [search.scheduler.why(search.history, number) for number in (0, 3)]
    assert why == ["rank 2 of 3 at fidelity 1: the best 1 go on", "rank 1 of 1 at fidelity 3"]
    search.ask()
    assert search.scheduler.why(search.history, 4) == ""


def test_a_rung_with_too_few_results_says_that_it_waits(search_of):
    """Of two results floor(2 / 3) = 0 go on, and with n_first = 2 of five floor(5 / 3) = 1, which is too few."""
    for n, options in ((2, {}), (5, {"n_first": 2})):
        search = search_of(AsyncPromotion([1.0, 3.0], 3, **options))
        for _ in range(n):
            search.tell(search.ask().number, 0.5)
        text = f"rank 1 of {n} at fidelity 1: none goes on before there are more results there"
        assert search.scheduler.why(search.history, 0) == text


@pytest.mark.parametrize("kind", [AsyncPromotion, AsyncStopping])
def test_it_ends_where_no_configuration_is_left(search_of, kind):
    """Four configurations: then promotions, then it waits for what runs, then it is over."""
    search = search_of(kind(RUNGS[:2], 3.0), n_configurations=4)
    for _ in range(4):
        search.ask()
    if kind is AsyncPromotion:
        with pytest.raises(NotReady):
            search.ask()
    for number in range(4):
        search.tell(number, float(number))
    if kind is AsyncPromotion:
        search.tell(search.ask().number, 0.0)
    with pytest.raises(OptimizationComplete, match="all drawn"):
        search.ask()


def test_brackets_are_drawn_as_often_as_hyperband_has_them():
    """Its brackets of 1..27 start with 27, 12, 6 and 4 trials; 20,000 draws are as many of each."""
    weights = bracket_weights(RUNGS, 4)
    np.testing.assert_allclose(weights, np.array([27, 12, 6, 4]) / 49)
    scheduler, rng = AsyncPromotion(RUNGS, 3.0, 4), np.random.default_rng(0)
    drawn = np.bincount([scheduler._first_rung(rng) for _ in range(20_000)], minlength=4) / 20_000
    np.testing.assert_allclose(drawn, weights, atol=4 * 0.5 / 20_000**0.5)  # four standard errors at most


def test_trials_of_others_enter_no_rung(search_of):
    """Known results and foreign notes count nowhere."""
    search = search_of(AsyncPromotion(RUNGS, 3.0))
    for fidelity, info in [(None, {"known": True}), (1.0, {}), (3.0, {"rung": 0}), (1.0, {"rung": "0"})]:
        search.adopt(type(search.ask())({"x": 0}, fidelity=fidelity, info=info))
        search.tell(search.running[-1], 99.0)
    assert search.resumable() == frozenset()
    assert search.ask().resume is None


@pytest.mark.parametrize("n", [3, 9, 12, 26, 27, 80])
@pytest.mark.parametrize("n_workers", [1, 5])
def test_nobody_waits_for_results_that_cannot_come(search_of, n, n_workers):
    """Where all configurations were tried, a rung of n has promoted n // 3 or more in the end: the paper's rule."""
    search = search_of(AsyncPromotion(RUNGS[:3], 3.0, n_first=2), n_configurations=n)
    while True:
        try:
            search.ask()
        except (OptimizationComplete, NotReady):
            if not search.running:
                break
        if len(search.running) >= n_workers or (search.n_drawn == n and search.running):
            search.tell(search.running[0], -float(search.running[0]))
    at = [sum(s.fidelity == rung for s in search.asked) for rung in RUNGS[:3]]
    assert at[0] == n
    assert at[1] >= n // 3
    assert at[2] >= at[1] // 3
