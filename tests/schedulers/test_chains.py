"""The view in which every started configuration is one trial, and the fidelity whose results count."""

from __future__ import annotations

import random

import pytest

from autohpo.history import Cursor, History
from autohpo.objectives import Objectives
from autohpo.schedulers.chains import Chains, ResultCounts, informative_fidelity
from autohpo.spaces import RangeHP, SearchSpace
from autohpo.trial import Outcome, Suggestion, TrialState

SPACE = SearchSpace([RangeHP("x", 0, 1000)])


class Story:
    """A history, told in short."""

    def __init__(self):
        self.history = History(SPACE, Objectives.of("max"))

    def start(self, fidelity=1.0, **kind):
        number = self.history.n_asked
        hp = {"x": number} if kind.get("resume") is None else self.history[kind["resume"]].hp
        self.history.add(Suggestion(hp, fidelity=fidelity, number=number, info={"made": number}, **kind))
        return number

    def end(self, number, perf=None, reports=(), stopped=None):
        running = self.history.find(number)
        running.reports.extend(reports)
        state = TrialState.FAILED if perf is None else TrialState.COMPLETE if stopped is None else TrialState.STOPPED
        self.history.finish(running.ended(Outcome(state, () if perf is None else (perf,), reached=stopped)))

    def run(self, perf, fidelity=1.0, **kind):
        number = self.start(fidelity, **kind)
        self.end(number, perf)
        return number


def looks(view):
    """What a view shows: number and score of what is finished, and numbers of what runs."""
    return [(t.number, t.score) for t in view.trials], [r.number for r in view.running]


def test_each_configuration_is_one_trial_with_its_result_at_the_fidelity():
    """Three start at 1; one is promoted to 3; one starts there: at 3 two have a result, under their first numbers."""
    story = Story()
    low, high = Chains(story.history, 1.0), Chains(story.history, 3.0)
    for perf in (0.1, 0.2, 0.3):
        story.run(perf)
    promoted = story.start(3.0, resume=2)
    assert looks(low) == ([(0, 0.1), (1, 0.2), (2, 0.3)], [])
    assert looks(high) == ([], [0, 1, 2])  # a promoted one is no other configuration
    story.end(promoted, 0.9)
    fresh = story.start(3.0)
    assert looks(high) == ([(2, 0.9)], [0, 1, fresh])
    story.end(fresh, 0.8)
    assert looks(high) == ([(2, 0.9), (fresh, 0.8)], [0, 1])
    assert looks(low) == ([(0, 0.1), (1, 0.2), (2, 0.3)], [fresh])  # it never said what it was at 1
    assert [t.resume for t in high.trials] == [None, None]


def test_a_failed_one_is_told_as_failed_unless_it_had_its_result():
    """At 1 the promoted one has a result; at 3 and 9 it has failed; one that failed at once has failed everywhere."""
    story = Story()
    views = {fidelity: Chains(story.history, fidelity) for fidelity in (1.0, 3.0, 9.0)}
    story.run(0.5)
    story.run(None)
    story.run(None, 3.0, resume=0)
    assert looks(views[1.0]) == ([(0, 0.5), (1, None)], [])
    assert looks(views[3.0]) == looks(views[9.0]) == ([(1, None), (0, None)], [])


def test_reports_on_the_way_are_results_there():
    """Trials of 9 that report at 3, one of which is stopped there and one of which crashes later."""
    story = Story()
    numbers = [story.start(9.0) for _ in range(3)]
    story.end(numbers[0], 0.3, [(1.0, 0.1), (3.0, 0.3)], stopped=3.0)
    story.end(numbers[1], None, [(1.0, 0.2), (3.0, 0.4)])
    story.end(numbers[2], 0.9, [(1.0, 0.3), (3.0, 0.5), (9.0, 0.9)])
    assert looks(Chains(story.history, 3.0)) == ([(0, 0.3), (1, 0.4), (2, 0.5)], [])
    assert looks(Chains(story.history, 9.0)) == ([(1, None), (2, 0.9)], [0])


def test_full_evaluations_count_at_the_highest_fidelity():
    """Known results have no fidelity: they are results at 9, and say nothing at 3."""
    story = Story()
    story.run(0.7, None)
    assert looks(Chains(story.history, 9.0, full=9.0)) == ([(0, 0.7)], [])
    assert looks(Chains(story.history, 3.0, full=9.0)) == ([], [0])


def test_a_fork_is_a_configuration_of_its_own():
    """It begins with another's state, and has its own values."""
    story = Story()
    story.run(0.5)
    story.run(0.6, 3.0, fork=0)
    assert looks(Chains(story.history, 3.0)) == ([(1, 0.6)], [0])


def test_a_cursor_may_follow_it_step_by_step():
    """Random stories, read often and read once: the same trials in the same order, each handed over once."""
    for seed in range(20):
        rng, story = random.Random(seed), Story()
        view = Chains(story.history, 3.0)
        cursor, asked, told, running = Cursor(view), [], [], []
        for _ in range(60):
            paused = [t.number for t in story.history.trials if t.perf is not None and t.fidelity == 1.0]
            paused = [n for n in paused if story.history.leaf(n) == n]
            if paused and rng.random() < 0.3:
                running.append(story.start(3.0, resume=rng.choice(paused)))
            else:
                running.append(story.start(rng.choice([1.0, 3.0])))
            while len(running) > rng.randrange(4):
                story.end(running.pop(rng.randrange(len(running))), rng.choice([None, rng.random()]))
            if rng.random() < 0.5:
                step = cursor.step()
                asked += [item.number for item in step.asked]
                told += [trial.number for trial in step.told]
        step = cursor.step()
        asked += [item.number for item in step.asked]
        told += [trial.number for trial in step.told]
        fresh = Chains(story.history, 3.0)
        assert looks(view) == looks(fresh)
        assert told == [trial.number for trial in fresh.trials]
        roots = [n for n in range(story.history.n_asked) if story.history.root(n) == n]
        assert sorted(asked) == roots
        assert [item.info["made"] for item in view.running] == [item.number for item in view.running]


@pytest.mark.parametrize(
    ("counts", "chosen"),
    [
        ({}, None),
        ({1.0: 5}, None),
        ({1.0: 6}, 1.0),
        ({1.0: 40, 9.0: 15}, 1.0),  # barely filled beside a rich one
        ({1.0: 40, 9.0: 20}, 9.0),  # half as many
        ({1.0: 400, 9.0: 24}, 9.0),  # four times what a model needs
        ({9.0: 24, 1.0: 400, 3.0: 10}, 9.0),
        ({1.0: 3, 9.0: 6}, 9.0),
    ],
)
def test_the_informative_fidelity_is_the_largest_that_is_not_barely_filled(counts, chosen):
    """A model needs six results."""
    assert informative_fidelity(counts, 6) == chosen


def test_results_are_counted_where_they_stand():
    """A stopped trial where it was stopped, one without a fidelity at the full one, a failed one nowhere."""
    story = Story()
    counts = ResultCounts(story.history, 9.0)
    for fidelity, perf in [(1.0, 0.1), (1.0, None), (3.0, 0.2), (None, 0.3), (9.0, 0.4)]:
        story.run(perf, fidelity)
    assert counts.update() == {1.0: 1, 3.0: 1, 9.0: 2}
    story.end(story.start(9.0), 0.5, [(3.0, 0.5)], stopped=3.0)
    assert counts.update() == {1.0: 1, 3.0: 2, 9.0: 2}
