"""Hyperband's scheduler: successive halving against sorting."""

from __future__ import annotations

import itertools
import random

import pytest

from autohpo.errors import NotReady, OptimizationComplete, OptionError
from autohpo.schedulers.hyperband import Hyperband
from autohpo.schedulers.schedule import Schedule
from autohpo.trial import Suggestion


@pytest.fixture
def drive(search_of):
    """A search with Hyperband's scheduler."""

    def make(schedule, num_iterations=None, n_configurations=None):
        return search_of(Hyperband(schedule, num_iterations), n_configurations)

    return make


def test_the_best_go_on_best_first_and_equals_in_the_order_asked(drive):
    """Ranks 7, 2, 7, 9, 0, 7, ... leave 3, then 0 and 2 of the three equals."""
    search = drive(Schedule(1, 9, 3))
    perfs = [7.0, 2.0, 7.0, 9.0, 0.0, 7.0, 1.0, 1.0, 1.0]
    search.run(9, lambda s: perfs[s["x"]])
    promoted = [search.ask() for _ in range(3)]
    assert [s.resume for s in promoted] == [3, 0, 2]
    assert [s["x"] for s in promoted] == [3, 0, 2]
    assert [s.fidelity for s in promoted] == [3.0] * 3
    assert [s.info["why"] for s in promoted] == [
        f"rank {rank} of 9 in its bracket at fidelity 1: promoted to 3" for rank in (1, 2, 3)
    ]
    assert {k: v for k, v in promoted[0].info.items() if k != "why"} == {"bracket": 0, "rung": 1}


def test_a_bracket_ends_with_one_configuration_trained_in_full(drive):
    """9-3-1 is 13 trials, each continuing the one before; then the next bracket starts one rung higher."""
    search = drive(Schedule(1, 9, 3))
    search.run(13)
    assert [s.fidelity for s in search.asked] == [1.0] * 9 + [3.0] * 3 + [9.0]
    assert (search.asked[12]["x"], search.asked[12].resume) == (8, 9)
    assert search.asked[9].resume == 8
    s = search.ask()
    assert (s.fidelity, s.resume, s.info["bracket"], s.info["rung"]) == (3.0, None, 1, 0)


def test_promotions_come_before_new_configurations_and_older_brackets_first(drive):
    """Bracket 1 is half sampled when bracket 0 gets its promotions; they go first, then its free slots."""
    search = drive(Schedule(1, 9, 3))
    first = [search.ask() for _ in range(9)]
    second = [search.ask() for _ in range(2)]
    assert [s.info["bracket"] for s in second] == [1, 1]
    for s in first:
        search.tell(s.number, float(s["x"]))
    assert [search.ask().resume for _ in range(3)] == [8, 7, 6]
    assert [search.ask().info["bracket"] for _ in range(4)] == [1, 1, 1, 2]


def test_of_two_brackets_with_promotions_the_older_goes_first(drive):
    """Both first rungs end at once: 3 trials of bracket 0 go on, then 1 of bracket 1."""
    search = drive(Schedule(1, 9, 3))
    for s in [search.ask() for _ in range(9 + 5)]:
        search.tell(s.number, float(s["x"]))
    assert [search.ask().resume for _ in range(4)] == [8, 7, 6, 13]


def test_failed_trials_are_never_promoted_and_new_configurations_take_their_places(drive):
    """Of nine, two survive: the next rung of three gets them and one new configuration at its fidelity."""
    search = drive(Schedule(1, 9, 3))
    search.run(9, lambda s: float(s["x"]) if s["x"] in (2, 5) else None)
    promoted = [search.ask() for _ in range(3)]
    assert [s.resume for s in promoted] == [5, 2, None]
    assert (promoted[2].fidelity, promoted[2]["x"]) == (3.0, 9)
    assert (promoted[2].info["bracket"], promoted[2].info["rung"]) == (0, 1)


def test_where_all_failed_the_next_rung_is_filled_anew(drive):
    """No survivor: three new configurations at fidelity 3, of which the best goes on."""
    search = drive(Schedule(1, 9, 3))
    search.run(9, lambda s: None)
    search.run(3)
    assert [(s.fidelity, s.resume, s.info["rung"]) for s in search.asked[9:]] == [(3.0, None, 1)] * 3
    assert search.ask().resume == 11


def test_a_failed_promotion_leaves_the_others_of_its_rung(drive):
    """The best of rung 0 fails in rung 1; the second best is trained in full."""
    search = drive(Schedule(1, 9, 3))
    search.run(9)
    search.run(3, lambda s: None if s["x"] == 8 else float(s["x"]))
    assert search.ask()["x"] == 7


def test_it_waits_only_when_no_bracket_may_be_opened(drive):
    """With two brackets (9-3-1 and 5-1) the 15th ask must wait; after the last result nothing is left."""
    search = drive(Schedule(1, 9, 3), num_iterations=2)
    for _ in range(14):
        search.ask()
    with pytest.raises(NotReady):
        search.ask()
    while search.running:
        search.tell(search.running[0], 0.0)
        with pytest.raises((NotReady, OptimizationComplete)):
            while True:
                search.ask()
    with pytest.raises(OptimizationComplete, match="num_iterations: all 2 brackets"):
        search.ask()
    assert len(search.asked) == (9 + 3 + 1) + (5 + 1)


def test_a_rung_that_cannot_be_filled_is_halved_all_the_same(drive):
    """Ten configurations in a rung of 27: a third of them go on, then one, and then all is over."""
    search = drive(Schedule(1, 27, 3), n_configurations=10)
    search.run(10)
    search.run(3)
    assert [s.resume for s in search.asked[10:]] == [9, 8, 7]
    search.run(2)
    assert [(s.fidelity, s["x"]) for s in search.asked[13:]] == [(9.0, 9), (27.0, 9)]
    with pytest.raises(OptimizationComplete, match="all drawn"):
        search.ask()


def test_a_used_up_sampler_waits_for_running_trials(drive):
    """The last configurations still run, and may be promoted."""
    search = drive(Schedule(1, 9, 3), n_configurations=4)
    for _ in range(4):
        search.ask()
    with pytest.raises(NotReady):
        search.ask()


def test_resumable_are_those_that_may_still_be_promoted(drive):
    """Three of nine can go on: the best three so far, then those chosen and not asked for, then nobody."""
    search = drive(Schedule(1, 9, 3), num_iterations=1)
    for _ in range(9):
        search.ask()
    for x in range(5):
        search.tell(x, float(x))
    assert search.resumable() == {2, 3, 4}
    for x in range(5, 9):
        search.tell(x, -1.0 if x == 5 else None)
    assert search.resumable() == {2, 3, 4}
    search.ask()
    assert search.resumable() == {2, 3}
    search.run(2)
    search.tell(9, 0.0)
    assert search.resumable() == {10}  # which went on from 3, with the best result of its rung
    search.run(1)
    assert search.resumable() == set()


def test_trials_of_another_schedule_or_algorithm_take_no_slot(drive):
    """Foreign notes, or none, change nothing; their results are there for the sampler alone."""
    search = drive(Schedule(1, 9, 3), num_iterations=2)
    infos = [{}, {"bracket": 0}, {"bracket": "0", "rung": 0}, {"bracket": 0, "rung": 7}, {"bracket": -1, "rung": 0}]
    infos += [{"bracket": 30000, "rung": 0}, {"bracket": True, "rung": False}, {"bracket": 0, "rung": 1}]
    for number, info in enumerate(infos):
        search.adopt(Suggestion({"x": 0}, fidelity=1.0, info=info))
        search.tell(number, 99.0)
    search.run(9)
    search.run(3)
    assert [s["x"] for s in search.asked[-3:]] == [8, 7, 6]
    search.run(1)
    assert search.asked[-1]["x"] == 8
    search.run(5 + 1)
    with pytest.raises(OptimizationComplete):
        search.ask()


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("n_workers", [1, 4, 16])
def test_every_rung_promotes_the_best_whatever_fails_and_in_whatever_order_it_ends(drive, seed, n_workers):
    """Against sorting: full rungs, the best survivors of the rung below continued once each, the rest new."""
    rng = random.Random(f"{seed} {n_workers}")
    schedule = Schedule(1, 27, 3, rng.choice(["ceil", "floor"]))
    search = drive(schedule, num_iterations=6)
    while True:
        try:
            while len(search.running) < n_workers:
                search.ask()
        except NotReady:
            pass
        except OptimizationComplete:
            if not search.running:
                break
        perf = None if rng.random() < 0.3 else rng.choice([0.0, 1.0, rng.random()])  # with failures and ties
        search.tell(rng.choice(search.running), perf)
    perfs = {t.number: t.perf for t in search.history.trials}
    rungs = {}
    for s in search.asked:
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
                assert all(dict(s) == dict(search.asked[s.resume]) for s in rung[: len(best)])


@pytest.mark.parametrize("n_configurations", [None, 11])
def test_a_history_replayed_in_any_order_gives_the_same_next_suggestions(drive, n_configurations):
    """At every point of a run with five workers, failures and, once, a sampler that is used up."""
    rng = random.Random(0)
    search = drive(Schedule(1, 9, 3), num_iterations=3, n_configurations=n_configurations)

    def outcome(d):
        try:
            s = d.ask()
        except (NotReady, OptimizationComplete) as error:
            return type(error)
        return dict(s), s.fidelity, s.resume, s.info

    for _ in itertools.count():
        shuffled = rng.sample(list(search.history.trials), len(search.history.trials))
        other = search.replayed(Hyperband(Schedule(1, 9, 3), 3), shuffled)
        got = outcome(search)
        assert outcome(other) == got
        if other.n_drawn != n_configurations:  # whoever has not met the end yet may keep more than is needed
            assert other.resumable() == search.resumable()
        assert other.resumable() >= search.resumable()
        if got is OptimizationComplete and not search.running:
            break
        if len(search.running) == 5 or got in (NotReady, OptimizationComplete):
            search.tell(rng.choice(search.running), rng.choice([None, rng.random(), 0.5]))


def test_a_trial_that_was_left_behind_says_its_rank(drive):
    """Of nine, the best three go on; the tenth trial is one of those. At the last rung nobody goes on."""
    search = drive(Schedule(1, 9, 3))
    search.run(13)
    why = [search.scheduler.why(search.history, number) for number in (0, 9, 12)]
    assert why == [
        "rank 9 of 9 in its bracket at fidelity 1: the best 3 go on",
        "rank 1 of 3 in its bracket at fidelity 3: the best 1 go on",
        "rank 1 of 1 in its bracket at fidelity 9",
    ]
    search.adopt(Suggestion({"x": 0}, fidelity=1.0))
    search.tell(13, 0.0)
    assert search.scheduler.why(search.history, 13) == ""


def test_it_costs_what_its_brackets_cost():
    """Three brackets of 1..9 are 8 2/3 full evaluations; without a limit it has no end."""
    assert Hyperband(Schedule(1, 9, 3), 3).cost == pytest.approx(26 / 3)
    assert Hyperband(Schedule(1, 9, 3)).cost == float("inf")
    with pytest.raises(OptionError, match="num_iterations: must be at least 1, got 0"):
        Hyperband(Schedule(1, 9, 3), 0)
