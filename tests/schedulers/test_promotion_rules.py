"""Promotion by cost, by given points and to a top rung that rises: each against its rule, by brute force."""

from __future__ import annotations

import itertools
import random

import numpy as np
import pytest

from autohpo.errors import OptionError
from autohpo.schedulers.asha import AsyncPromotion, AsyncStopping
from autohpo.schedulers.limits import Limits
from autohpo.schedulers.pasha import ProgressivePromotion, flipped_back
from autohpo.trial import TrialState

RUNGS = [1, 3, 9, 27]
N_DECISIONS = 1000


def ranked_at(search, level):
    """The results of a rung, the best first, of equals the one asked first."""
    results = [t for t in search.history.trials if t.fidelity == RUNGS[level] and t.score is not None]
    return sorted(results, key=lambda t: (-t.score, t.number))


def first_waiting(search, candidates):
    """The first of some trials that was not promoted."""
    promoted = {s.resume for s in search.asked}
    return next((trial.number for trial in candidates if trial.number not in promoted), None)


def chain_of(search, number):
    """A trial and those that it continues, the newest first."""
    found = []
    while number is not None:
        found.append(search.history[number])
        number = found[-1].resume
    return found


def drive(search, rng, n_workers, wanted, end):
    """Asks a thousand times, with results in any order, and compares each decision with what the rule says."""
    n_promoted = 0
    for _ in range(N_DECISIONS):
        found = wanted()
        asked = search.ask()
        assert (asked.resume, asked.fidelity) == (found if found is not None else (None, RUNGS[0]))
        n_promoted += asked.resume is not None
        while len(search.running) >= n_workers or (search.running and rng.random() < 0.1):
            end(rng.choice(search.running))
    return n_promoted


@pytest.mark.parametrize("is_continued", [True, False])
@pytest.mark.parametrize("seed", range(5))
def test_who_goes_on_by_cost_has_had_no_more_than_a_third_of_it(search_of, seed, is_continued):
    """10,000 decisions: costs of whole trainings are added up by hand along the order of each rung."""
    rng = random.Random(f"{seed} {is_continued}")
    search = search_of(AsyncPromotion(RUNGS, 3.0, by_cost=True))
    search.scheduler.limits = Limits(is_continued=is_continued)

    def cost_of(trial):
        return sum(one.cost for one in chain_of(search, trial.number)) if is_continued else trial.cost

    def wanted():
        for level in (2, 1, 0):
            ranked = ranked_at(search, level)
            sums = list(itertools.accumulate(map(cost_of, ranked)))
            number = first_waiting(search, [t for t, spent in zip(ranked, sums, strict=True) if spent <= sums[-1] / 3])
            if number is not None:
                return number, RUNGS[level + 1]
        return None

    def end(number):
        perf = None if rng.random() < 0.2 else rng.choice([0.0, 1.0, rng.random()])
        search.tell(number, perf, cost=float(rng.choice([1, 2, 5, 30])))

    assert drive(search, rng, rng.choice([1, 4, 32]), wanted, end) > N_DECISIONS / 10


def test_without_a_cost_the_number_of_results_is_shared(search_of):
    """One of nine results has none: the best three go on, as if all had cost the same."""
    search = search_of(AsyncPromotion(RUNGS, 3.0, by_cost=True))
    for number in range(9):
        search.adopt(search.next_start(number))
    for number in range(9):
        search.tell(number, float(number), cost=None if number == 4 else float(number))
    assert [search.ask().resume for _ in range(4)] == [8, 7, 6, None]


def test_expensive_winners_leave_room_for_fewer(search_of):
    """Costs of 7, 1, 1, 1, ... from the best on, 12 in all: nobody can go on; of 4, 1, 1, ... the best two can.

    A third of 15 is 5; the best has had 4 of it, and the next one 1.
    """
    for first, wanted in ((7.0, [None]), (4.0, [11, 10, None])):
        search = search_of(AsyncPromotion(RUNGS, 3.0, by_cost=True))
        for number in range(12):
            search.adopt(search.next_start(number))
        for number in range(12):
            search.tell(number, float(number), cost=first if number == 11 else 1.0)
        assert [search.ask().resume for _ in wanted] == wanted
    why = search.scheduler.why(search.history, 9)
    assert why == "rank 3 of 12 at fidelity 1: the best 2, with up to 33% of the cost there, go on"


@pytest.mark.parametrize("seed", range(10))
def test_who_goes_on_beside_given_points_is_as_good_as_the_best_of_them(search_of, seed):
    """10,000 decisions: of the best third of each rung the points themselves, and whoever reaches the best of them."""
    rng = random.Random(seed)
    n_points = 1 + seed % 4
    search = search_of(AsyncPromotion(RUNGS, 3.0, rush=n_points), n_points=n_points + seed % 2)  # the last is no point

    def is_point(trial):
        return chain_of(search, trial.number)[-1].info.get("point", 99) < n_points

    def wanted():
        for level in (2, 1, 0):
            ranked = ranked_at(search, level)
            threshold = max((t.score for t in ranked if is_point(t)), default=-1.0)
            best = [t for t in ranked[: len(ranked) // 3] if is_point(t) or t.score >= threshold]
            number = first_waiting(search, best)
            if number is not None:
                return number, RUNGS[level + 1]
        return None

    def end(number):
        score = rng.choice([0.7, 0.8]) if search.history.find(number).hp["x"] < n_points else rng.random()
        search.tell(number, None if rng.random() < 0.2 else rng.choice([score, round(score, 1)]))

    assert drive(search, rng, rng.choice([1, 4, 32]), wanted, end) > N_DECISIONS / 20


@pytest.mark.parametrize("seed", range(10))
def test_whoever_falls_behind_a_given_point_is_stopped(search_of, seed):
    """10,000 verdicts at rungs, also where a rung has fewer than eta results."""
    rng = random.Random(seed)
    n_points = 1 + seed % 3
    search = search_of(AsyncStopping(RUNGS, 3.0, rush=n_points), n_points=n_points)
    entries, n_verdicts, n_below = [{}, {}, {}], 0, 0
    while n_verdicts < N_DECISIONS:
        while len(search.running) < 6:
            search.ask()
        given = [one for one in search.running if one < n_points]
        number = rng.choice(given if given and rng.random() < 0.8 else search.running)
        done = len(search.history.find(number).reports) + 1
        score, goes_on = 0.8 if number < n_points or rng.random() < 0.1 else 0.79 * rng.random(), True
        if done in RUNGS[:3]:
            n_verdicts += 1
            there = entries[RUNGS.index(done)]
            there[number] = score
            rank = 1 + sorted(there, key=lambda one: (-there[one], one)).index(number)
            threshold = max((value for one, value in there.items() if one < n_points), default=0.0)
            is_behind = number >= n_points and score < threshold
            goes_on = (len(there) < 3 or rank <= len(there) // 3) and not is_behind
            n_below += is_behind and (len(there) < 3 or rank <= len(there) // 3)
        assert search.report(number, done, score) is goes_on
        if not goes_on:
            search.tell(number, score, TrialState.STOPPED, done)
        elif done == 27 or rng.random() < 0.03:
            search.tell(number, score if rng.random() < 0.7 else None)
    assert n_below > 0


def test_a_trial_that_a_point_holds_back_says_so(search_of):
    """Of six, two could go on, but only the point is as good as itself."""
    search = search_of(AsyncPromotion(RUNGS, 3.0, rush=1), n_points=1)
    for perf in (0.9, 0.5, 0.1, 0.2, 0.3, 0.4):
        search.adopt(search.next_start(len(search.asked)))
        search.tell(search.running[0], perf)
    assert [search.ask().resume for _ in range(2)] == [0, None]
    why = search.scheduler.why(search.history, 1)
    assert why == "rank 2 of 6 at fidelity 1: the best 2 go on, and it is worse than trial 0, a point given"
    assert search.asked[0].info["rule"] == "whoever goes on must be as good as the point given"
    stopping = search_of(AsyncStopping(RUNGS, 3.0, rush=1), n_points=1)
    stopping.ask(), stopping.ask()
    assert stopping.report(0, 1, 0.5)
    assert not stopping.report(1, 1, 0.4)
    why = stopping.scheduler.why(stopping.history, 1)
    assert why == "stopped at 1: rank 2 of 2, worse than trial 0, a point given"


def test_a_negative_number_of_points_is_refused():
    """The text names the option."""
    with pytest.raises(OptionError, match="rush: must be at least 0, got -1"):
        AsyncPromotion(RUNGS, 3.0, rush=-1)


class NaivePasha:
    """The top rung by the paper's words, told every result in the order in which it came."""

    def __init__(self, search):
        self.search, self.top, self.n_told, self.n_flips = search, 1, 0, 0

    def curve(self, number):
        """All that is known of a training until the top rung."""
        found = {}
        for trial in reversed(chain_of(self.search, number)):
            found.update(dict(trial.curve))
            found[trial.fidelity] = trial.score
        return {fidelity: score for fidelity, score in found.items() if fidelity <= RUNGS[self.top]}

    def epsilon(self, there):
        """The 90th percentile over pairs whose order at the end, the other one and that at the end follow."""
        differences = []
        for one, other in itertools.combinations(there, 2):
            a, b = self.curve(one.number), self.curve(other.number)
            common = sorted(set(a) & set(b))
            end = common[-1]
            for early, middle in itertools.combinations(common[:-1], 2):
                if (a[end] - b[end]) * (a[middle] - b[middle]) < 0 < (a[end] - b[end]) * (a[early] - b[early]):
                    differences.append(abs(a[end] - b[end]))
                    break
        self.n_flips += len(differences)
        return np.percentile(differences, 90) if differences else 0.0

    def is_stable(self, told):
        """Whether each place of the order at the top has a trial that could be there at the rung below."""
        there = [t for t in told if t.fidelity == RUNGS[self.top] and t.score is not None]
        epsilon = self.epsilon(there)
        below = {t.number: self.search.history[t.resume].score for t in there}
        now = sorted(there, key=lambda t: (-t.score, t.number))
        before = sorted(there, key=lambda t: (-below[t.number], t.resume))
        return all(abs(below[a.number] - below[b.number]) <= epsilon for a, b in zip(now, before, strict=True))

    def update(self):
        """Takes the results that are new."""
        told = list(self.search.history.trials)
        while self.n_told < len(told):
            self.n_told += 1
            new = told[self.n_told - 1]
            if new.score is None or new.fidelity != RUNGS[self.top]:
                continue
            while self.top < len(RUNGS) - 1 and not self.is_stable(told[: self.n_told]):
                self.top += 1
        return self.top


@pytest.mark.parametrize("seed", range(10))
def test_the_top_rung_rises_when_its_order_is_another_one(search_of, seed):
    """10,000 decisions: curves of quality plus noise, with reports at some fidelities only, other ones each time."""
    rng = random.Random(seed)
    noise = [0.02, 0.05, 0.1, 0.3, 1.0][seed % 5]
    search = search_of(ProgressivePromotion(RUNGS, 3.0))
    naive = NaivePasha(search)

    def wanted():
        for level in reversed(range(naive.update())):
            ranked = ranked_at(search, level)
            number = first_waiting(search, ranked[: len(ranked) // 3])
            if number is not None:
                return number, RUNGS[level + 1]
        return None

    def end(number):
        running = search.history.find(number)
        quality = random.Random(running.hp["x"]).random()
        had = 0 if running.resume is None else search.history[running.resume].fidelity
        for done in range(had + 1, running.fidelity + 1):
            if rng.random() < 0.5:
                search.report(number, done, quality + rng.gauss(0, noise))
        search.tell(number, None if rng.random() < 0.1 else quality + rng.gauss(0, noise))

    drive(search, rng, rng.choice([1, 4, 16]), wanted, end)
    assert search.scheduler.top == RUNGS[naive.top]
    assert naive.top > 1
    assert naive.n_flips > 0 or noise != 0.02  # much noise raises the top at once


def test_without_noise_little_training_says_it_all(search_of):
    """The order is the same at every rung, so the top is the second one for ever."""
    search = search_of(ProgressivePromotion(RUNGS, 3.0))
    search.run(300)
    assert search.scheduler.top == 3
    assert max(s.fidelity for s in search.asked) == 3


def test_pasha_says_what_its_top_is(search_of):
    """The order of the first nine is that at 1; then another one comes in, and the top is raised."""
    search = search_of(ProgressivePromotion(RUNGS, 3.0))
    search.run(12, lambda s: -float(s["x"]))
    assert max(s.fidelity for s in search.asked) == 3
    full = next(s.number for s in search.asked if s.fidelity == 3)
    why = search.scheduler.why(search.history, full)
    assert why.endswith("at fidelity 3: nobody goes on, the order is that at 1 up to 0")
    assert search.asked[0].info["rule"] == "nobody gets more than 3 while the order there is that at 1"
    while search.scheduler.top == 3:
        s = search.ask()
        search.tell(s.number, float(s["x"]) if s.fidelity == 3 else -float(s["x"]))
        search.next()
    assert search.scheduler.top == 9
    assert "go on" in search.scheduler.why(search.history, full)


@pytest.mark.parametrize(
    ("ours", "theirs", "found"),
    [
        ({1: 2, 2: 0, 3: 5}, {1: 1, 2: 1, 3: 3}, 2.0),
        ({1: 2, 2: 2, 3: 5}, {1: 1, 2: 1, 3: 3}, None),  # never behind
        ({1: 0, 2: 0, 3: 5}, {1: 1, 2: 1, 3: 3}, None),  # flipped once
        ({1: 2, 3: 5}, {1: 1, 2: 1, 3: 3}, None),  # two in common
        ({1: 2, 2: 0, 4: 5}, {1: 1, 2: 1, 3: 0, 4: 3}, 2.0),  # not every one need be
        ({1: 2, 2: 1, 3: 0, 4: 5}, {1: 1, 2: 1, 3: 1, 4: 5}, None),  # equal in the end
    ],
)
def test_pairs_that_flip_and_flip_back(ours, theirs, found):
    """By hand; the same seen from the other side."""
    assert flipped_back(ours, theirs) == found
    assert flipped_back(theirs, ours) == found


@pytest.mark.parametrize(
    "make",
    [
        lambda: AsyncPromotion(RUNGS, 3.0, by_cost=True),
        lambda: AsyncPromotion(RUNGS, 3.0, rush=2),
        lambda: ProgressivePromotion(RUNGS, 3.0),
    ],
)
def test_a_rebuilt_scheduler_decides_the_same(search_of, make):
    """At every tenth state of a run with six workers, handed over at once."""
    rng = random.Random(0)
    search = search_of(make(), n_points=3)
    for n in range(200):
        search.ask()
        if n % 10 == 0:
            other = search.replayed(make(), list(search.history.trials))
            assert other.next() == search.next()
            assert other.resumable() == search.resumable()
        while len(search.running) >= 6:
            search.tell(rng.choice(search.running), None if rng.random() < 0.2 else rng.random(), cost=rng.random())
