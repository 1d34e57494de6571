"""Hyperband's scheduler: successive halving against sorting."""

from __future__ import annotations

import itertools
import random

import numpy as np
import pytest

from autohpo.errors import NotReady, OptimizationComplete
from autohpo.history import History
from autohpo.objectives import Objectives
from autohpo.schedulers.base import Start
from autohpo.schedulers.hyperband import Hyperband
from autohpo.schedulers.schedule import Schedule
from autohpo.spaces import RangeHP, SearchSpace
from autohpo.trial import Outcome, Suggestion, TrialState

SPACE = SearchSpace([RangeHP("x", 0, 10**6)])


class Driver:
    """Asks a scheduler and keeps its history, as a search does; configurations are numbered as they are drawn."""

    def __init__(self, schedule, num_iterations=None, n_configurations=None):
        self.scheduler = Hyperband(schedule, num_iterations)
        self.schedule, self.num_iterations, self.n_configurations = schedule, num_iterations, n_configurations
        self.history, self.asked, self.n_drawn = History(SPACE, Objectives.of("max")), [], 0

    @property
    def running(self):
        return [running.number for running in self.history.running]

    def next(self, **options):
        return self.scheduler.next(self.history, np.random.default_rng(0), **options)

    def ask(self):
        decision = self.next()
        if isinstance(decision, Start) and self.n_drawn == self.n_configurations:
            try:
                decision = self.next(can_start=False)
            except OptimizationComplete:
                raise OptimizationComplete("all drawn") from None
        if isinstance(decision, Start):
            suggestion = Suggestion({"x": self.n_drawn}, fidelity=decision.fidelity, info=decision.info)
            self.n_drawn += 1
        else:
            trial = self.history[decision.trial]
            info = {**trial.info, **decision.info}
            suggestion = Suggestion(trial.hp, fidelity=decision.fidelity, resume=decision.trial, info=info)
            self.history.check(suggestion)
        self.adopt(suggestion)
        return suggestion

    def adopt(self, suggestion):
        suggestion.number = len(self.asked)
        self.asked.append(suggestion)
        self.history.add(suggestion)

    def tell(self, number, perf):
        state = TrialState.FAILED if perf is None else TrialState.COMPLETE
        self.history.finish(self.history.find(number).ended(Outcome(state, () if perf is None else (perf,))))

    def run(self, n, perf=lambda s: float(s["x"])):
        """Asks and tells n times, one by one."""
        for _ in range(n):
            s = self.ask()
            self.tell(s.number, perf(s))

    def replayed(self, trials):
        """Another driver that was handed the same history at once, ended in the order of `trials`."""
        other = Driver(self.schedule, self.num_iterations, self.n_configurations)
        for suggestion in self.asked:
            other.adopt(suggestion.copy())
        for trial in trials:
            other.tell(trial.number, trial.perf)
        other.n_drawn = self.n_drawn
        return other

    def resumable(self):
        return self.scheduler.resumable(self.history)


def test_the_best_go_on_best_first_and_equals_in_the_order_asked():
    """Ranks 7, 2, 7, 9, 0, 7, ... leave 3, then 0 and 2 of the three equals."""
    driver = Driver(Schedule(1, 9, 3))
    perfs = [7.0, 2.0, 7.0, 9.0, 0.0, 7.0, 1.0, 1.0, 1.0]
    driver.run(9, lambda s: perfs[s["x"]])
    promoted = [driver.ask() for _ in range(3)]
    assert [s.resume for s in promoted] == [3, 0, 2]
    assert [s["x"] for s in promoted] == [3, 0, 2]
    assert [s.fidelity for s in promoted] == [3.0] * 3
    assert [s.info["why"] for s in promoted] == [
        f"rank {rank} of 9 in its bracket at fidelity 1: promoted to 3" for rank in (1, 2, 3)
    ]
    assert {k: v for k, v in promoted[0].info.items() if k != "why"} == {"bracket": 0, "rung": 1}


def test_a_bracket_ends_with_one_configuration_trained_in_full():
    """9-3-1 is 13 trials, each continuing the one before; then the next bracket starts one rung higher."""
    driver = Driver(Schedule(1, 9, 3))
    driver.run(13)
    assert [s.fidelity for s in driver.asked] == [1.0] * 9 + [3.0] * 3 + [9.0]
    assert (driver.asked[12]["x"], driver.asked[12].resume) == (8, 9)
    assert driver.asked[9].resume == 8
    s = driver.ask()
    assert (s.fidelity, s.resume, s.info["bracket"], s.info["rung"]) == (3.0, None, 1, 0)


def test_promotions_come_before_new_configurations_and_older_brackets_first():
    """Bracket 1 is half sampled when bracket 0 gets its promotions; they go first, then its free slots."""
    driver = Driver(Schedule(1, 9, 3))
    first = [driver.ask() for _ in range(9)]
    second = [driver.ask() for _ in range(2)]
    assert [s.info["bracket"] for s in second] == [1, 1]
    for s in first:
        driver.tell(s.number, float(s["x"]))
    assert [driver.ask().resume for _ in range(3)] == [8, 7, 6]
    assert [driver.ask().info["bracket"] for _ in range(4)] == [1, 1, 1, 2]


def test_of_two_brackets_with_promotions_the_older_goes_first():
    """Both first rungs end at once: 3 trials of bracket 0 go on, then 1 of bracket 1."""
    driver = Driver(Schedule(1, 9, 3))
    for s in [driver.ask() for _ in range(9 + 5)]:
        driver.tell(s.number, float(s["x"]))
    assert [driver.ask().resume for _ in range(4)] == [8, 7, 6, 13]


def test_failed_trials_are_never_promoted_and_new_configurations_take_their_places():
    """Of nine, two survive: the next rung of three gets them and one new configuration at its fidelity."""
    driver = Driver(Schedule(1, 9, 3))
    driver.run(9, lambda s: float(s["x"]) if s["x"] in (2, 5) else None)
    promoted = [driver.ask() for _ in range(3)]
    assert [s.resume for s in promoted] == [5, 2, None]
    assert (promoted[2].fidelity, promoted[2]["x"]) == (3.0, 9)
    assert (promoted[2].info["bracket"], promoted[2].info["rung"]) == (0, 1)


def test_where_all_failed_the_next_rung_is_filled_anew():
    """No survivor: three new configurations at fidelity 3, of which the best goes on."""
    driver = Driver(Schedule(1, 9, 3))
    driver.run(9, lambda s: None)
    driver.run(3)
    assert [(s.fidelity, s.resume, s.info["rung"]) for s in driver.asked[9:]] == [(3.0, None, 1)] * 3
    assert driver.ask().resume == 11


def test_a_failed_promotion_leaves_the_others_of_its_rung():
    """The best of rung 0 fails in rung 1; the second best is trained in full."""
    driver = Driver(Schedule(1, 9, 3))
    driver.run(9)
    driver.run(3, lambda s: None if s["x"] == 8 else float(s["x"]))
    assert driver.ask()["x"] == 7


def test_it_waits_only_when_no_bracket_may_be_opened():
    """With two brackets (9-3-1 and 5-1) the 15th ask must wait; after the last result nothing is left."""
    driver = Driver(Schedule(1, 9, 3), num_iterations=2)
    for _ in range(14):
        driver.ask()
    with pytest.raises(NotReady):
        driver.ask()
    while driver.running:
        driver.tell(driver.running[0], 0.0)
        with pytest.raises((NotReady, OptimizationComplete)):
            while True:
                driver.ask()
    with pytest.raises(OptimizationComplete, match="num_iterations: all 2 brackets"):
        driver.ask()
    assert len(driver.asked) == (9 + 3 + 1) + (5 + 1)


def test_a_rung_that_cannot_be_filled_is_halved_all_the_same():
    """Ten configurations in a rung of 27: a third of them go on, then one, and then all is over."""
    driver = Driver(Schedule(1, 27, 3), n_configurations=10)
    driver.run(10)
    driver.run(3)
    assert [s.resume for s in driver.asked[10:]] == [9, 8, 7]
    driver.run(2)
    assert [(s.fidelity, s["x"]) for s in driver.asked[13:]] == [(9.0, 9), (27.0, 9)]
    with pytest.raises(OptimizationComplete, match="all drawn"):
        driver.ask()


def test_a_used_up_sampler_waits_for_running_trials():
    """The last configurations still run, and may be promoted."""
    driver = Driver(Schedule(1, 9, 3), n_configurations=4)
    for _ in range(4):
        driver.ask()
    with pytest.raises(NotReady):
        driver.ask()


def test_resumable_are_those_that_may_still_be_promoted():
    """Three of nine can go on: the best three so far, then those chosen and not asked for, then nobody."""
    driver = Driver(Schedule(1, 9, 3), num_iterations=1)
    for _ in range(9):
        driver.ask()
    for x in range(5):
        driver.tell(x, float(x))
    assert driver.resumable() == {2, 3, 4}
    for x in range(5, 9):
        driver.tell(x, -1.0 if x == 5 else None)
    assert driver.resumable() == {2, 3, 4}
    driver.ask()
    assert driver.resumable() == {2, 3}
    driver.run(2)
    driver.tell(9, 0.0)
    assert driver.resumable() == {10}  # which went on from 3, with the best result of its rung
    driver.run(1)
    assert driver.resumable() == set()


def test_trials_of_another_schedule_or_algorithm_take_no_slot():
    """Foreign notes, or none, change nothing; their results are there for the sampler alone."""
    driver = Driver(Schedule(1, 9, 3), num_iterations=2)
    infos = [{}, {"bracket": 0}, {"bracket": "0", "rung": 0}, {"bracket": 0, "rung": 7}, {"bracket": -1, "rung": 0}]
    infos += [{"bracket": 30000, "rung": 0}, {"bracket": True, "rung": False}, {"bracket": 0, "rung": 1}]
    for number, info in enumerate(infos):
        driver.adopt(Suggestion({"x": 0}, fidelity=1.0, info=info))
        driver.tell(number, 99.0)
    driver.run(9)
    driver.run(3)
    assert [s["x"] for s in driver.asked[-3:]] == [8, 7, 6]
    driver.run(1)
    assert driver.asked[-1]["x"] == 8
    driver.run(5 + 1)
    with pytest.raises(OptimizationComplete):
        driver.ask()


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("n_workers", [1, 4, 16])
def test_every_rung_promotes_the_best_whatever_fails_and_in_whatever_order_it_ends(seed, n_workers):
    """Against sorting: full rungs, the best survivors of the rung below continued once each, the rest new."""
    rng = random.Random(f"{seed} {n_workers}")
    schedule = Schedule(1, 27, 3, rng.choice(["ceil", "floor"]))
    driver = Driver(schedule, num_iterations=6)
    while True:
        try:
            while len(driver.running) < n_workers:
                driver.ask()
        except NotReady:
            pass
        except OptimizationComplete:
            if not driver.running:
                break
        perf = None if rng.random() < 0.3 else rng.choice([0.0, 1.0, rng.random()])  # with failures and ties
        driver.tell(rng.choice(driver.running), perf)
    perfs = {t.number: t.perf for t in driver.history.trials}
    rungs = {}
    for s in driver.asked:
        rungs.setdefault((s.info["bracket"], s.info["rung"]), []).append(s)
    for index in range(6):
        sizes = schedule.bracket(index).sizes
        for level, size in enumerate(sizes):
            rung = rungs[index, level]
            assert len(rung) == size
            if level:
                below = [s.number for s in rungs[index, level - 1] if perfs[s.number] is not None]
                best = sorted(below, key=lambda number: (-perfs[number], number))[:size]
                assert [s.resume for s in rung if s.resume is not None] == best
                assert [s.resume for s in rung[len(best) :]] == [None] * (size - len(best))
                assert all(dict(s) == dict(driver.asked[s.resume]) for s in rung[: len(best)])


@pytest.mark.parametrize("n_configurations", [None, 11])
def test_a_history_replayed_in_any_order_gives_the_same_next_suggestions(n_configurations):
    """At every point of a run with five workers, failures and, once, a sampler that is used up."""
    rng = random.Random(0)
    driver = Driver(Schedule(1, 9, 3), num_iterations=3, n_configurations=n_configurations)

    def outcome(d):
        try:
            s = d.ask()
        except (NotReady, OptimizationComplete) as error:
            return type(error)
        return dict(s), s.fidelity, s.resume, s.info

    for _ in itertools.count():
        shuffled = rng.sample(list(driver.history.trials), len(driver.history.trials))
        other = driver.replayed(shuffled)
        got = outcome(driver)
        assert outcome(other) == got
        if other.n_drawn != n_configurations:  # whoever has not met the end yet may keep more than is needed
            assert other.resumable() == driver.resumable()
        assert other.resumable() >= driver.resumable()
        if got is OptimizationComplete and not driver.running:
            break
        if len(driver.running) == 5 or got in (NotReady, OptimizationComplete):
            driver.tell(rng.choice(driver.running), rng.choice([None, rng.random(), 0.5]))
