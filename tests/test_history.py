"""History, its views and its cursor: against a plain list of what happened, looked through anew each time."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from autohpo import OptionError, RangeHP, SearchSpace, Suggestion
from autohpo.errors import SuggestionError
from autohpo.history import Cursor, History, HistoryView
from autohpo.objectives import Objectives
from autohpo.trial import Outcome, Trial, TrialState

SPACE = SearchSpace([RangeHP("x", 0.0, 1.0)])
LEVELS = (1.0, 2.0, 3.0, 9.0)  # 2 is nobody's fidelity: only reports stand there
STATES = (TrialState.COMPLETE, TrialState.COMPLETE, TrialState.STOPPED, TrialState.FAILED)


@dataclass
class Fact:
    """What the oracle keeps of a trial."""

    number: int
    given: float  # infinite: everything there is
    resume: int | None
    reports: list[tuple[float, float]] = field(default_factory=list)
    trial: Trial | None = None  # as it was told


@dataclass
class Story:
    """A history, and the same as plain facts in the order asked, and in the order told."""

    history: History
    asked: list[Fact] = field(default_factory=list)
    told: list[Fact] = field(default_factory=list)

    @staticmethod
    def new(mode: str = "max") -> Story:
        """A story in which nothing has happened."""
        return Story(History(SPACE, Objectives.of(mode)))

    def ask(self, given: float | None = None, resume: int | None = None, x: float = 0.5, **more: Any) -> int:
        """The number of a new suggestion."""
        number = len(self.asked)
        self.history.add(Suggestion({"x": x}, fidelity=given, resume=resume, number=number, **more))
        self.asked.append(Fact(number, math.inf if given is None else given, resume))
        return number

    def report(self, number: int, fidelity: float, perf: float) -> None:
        """A running trial says how far it is."""
        self.history.find(number).reports.append((fidelity, perf))
        self.asked[number].reports.append((fidelity, perf))

    def tell(self, number: int, state: TrialState = TrialState.COMPLETE, perf: float = 0.5, **more: Any) -> Trial:
        """A running trial ends."""
        fact = self.asked[number]
        reached = fact.reports[-1][0] if fact.reports and state is TrialState.STOPPED else None
        outcome = Outcome(state, (perf,) if state.has_perf else (), reached=reached, **more)
        fact.trial = self.history.find(number).ended(outcome)
        self.history.finish(fact.trial)
        self.told.append(fact)
        return fact.trial

    def root(self, number: int) -> int:
        """The first trial of a chain."""
        resume = self.asked[number].resume
        return number if resume is None else self.root(resume)

    def running(self) -> list[Fact]:
        """What has no end, in the order asked."""
        return [fact for fact in self.asked if fact.trial is None]

    def at(self, level: float) -> list[tuple[int, float | None]]:
        """Number and score of the trials that have ended and were at a level, the first of each chain."""
        found: dict[int, tuple[int, float | None]] = {}
        for fact in self.told:
            assert fact.trial is not None
            end = fact.reports[-1][0] if fact.trial.state is TrialState.STOPPED and fact.reports else fact.given
            there = [perf for fidelity, perf in fact.reports if fidelity == level]
            if end == level:
                found.setdefault(self.root(fact.number), (fact.number, fact.trial.perf))
            elif there:
                found.setdefault(self.root(fact.number), (fact.number, there[0]))
        return list(found.values())

    def on_their_way(self, level: float) -> list[int]:
        """Numbers of the running trials that have not been at a level in an earlier trial, and are given it."""
        numbers = []
        for fact in self.running():
            before = None if fact.resume is None else self.asked[fact.resume].trial
            had = 0.0 if before is None else before.reached
            if had < level <= fact.given:
                numbers.append(fact.number)
        return numbers

    def last_values(self) -> list[int]:
        """The number of the last trial with a result of each chain, else of its first; as they first ended."""
        last: dict[int, int] = {}
        for fact in self.told:
            root = self.root(fact.number)
            if root not in last or (fact.trial is not None and fact.trial.perf is not None):
                last[root] = fact.number
        return list(last.values())


def happens(story: Story, rng: np.random.Generator) -> None:
    """One thing: a suggestion, a promotion, a report or an end; or an end that a hook refuses."""
    running = [fact.number for fact in story.running()]
    leaves = [
        fact
        for fact in story.told
        if fact.trial is not None and fact.trial.perf is not None and story.history.leaf(fact.number) == fact.number
    ]
    kind = rng.choice(["ask", "promote", "report", "report", "tell", "tell", "refuse"])
    if kind == "promote" and leaves:
        fact = leaves[rng.integers(len(leaves))]
        higher = [level for level in (3.0, 9.0, 27.0, math.inf) if level > fact.given]
        if higher:
            given = higher[rng.integers(len(higher))]
            story.ask(None if given == math.inf else given, fact.number)
    elif kind == "report" and running:
        fact = story.asked[running[rng.integers(len(running))]]
        known = fact.reports[-1][0] if fact.reports else 0.0
        before = None if fact.resume is None else story.asked[fact.resume].trial
        is_anew = before is None or rng.random() < 0.3  # its checkpoint was lost, so it goes over known ground
        done = max(known, 0.0 if is_anew else before.reached) + float(rng.integers(1, 4))
        if done <= fact.given:
            story.report(fact.number, done, float(rng.normal()))
    elif kind == "tell" and running:
        number = running[rng.integers(len(running))]
        cost = float(rng.random()) if rng.random() < 0.5 else None
        story.tell(number, STATES[rng.integers(len(STATES))], float(rng.normal()), cost=cost)
    elif kind == "refuse" and running:
        order = [one.number for one in story.history.running]
        one = story.history.find(running[0])
        story.history.finish(one.ended(Outcome(TrialState.COMPLETE, (7.0,))))
        look(story.history)  # as the hook may do
        story.history.take_back(one, order)
    else:
        given = [1.0, 3.0, 9.0, None][rng.integers(4)]
        story.ask(given)


def views(history: History) -> list[HistoryView]:
    """The history, and every kind of view of it."""
    return [history, history.last_values(), *map(history.at, (*LEVELS, None))]


def look(history: History) -> None:
    """Read everything there is to read."""
    for view in views(history):
        list(view.trials)
        list(view.running)


def numbers(items: Any) -> list[int]:
    """The numbers of trials."""
    return [item.number for item in items]


@pytest.mark.parametrize("is_watched", [True, False])  # a view that is looked at late must be the same
@pytest.mark.parametrize("seed", range(40))
def test_the_views_are_what_the_facts_say(seed: int, is_watched: bool) -> None:
    """Whatever happens in whatever order: trials, running ones, levels, last values, costs and counts."""
    rng, story = np.random.default_rng(seed), Story.new()
    history = story.history
    for step in range(60):
        happens(story, rng)
        if not is_watched and step % 20 != 19:
            continue
        assert list(history.trials) == [fact.trial for fact in story.told]
        assert numbers(history.running) == [fact.number for fact in story.running()]
        assert [one.reports for one in history.running] == [fact.reports for fact in story.running()]
        assert (history.n_asked, history.n_told) == (len(story.asked), len(story.told))
        assert list(history.costs) == [fact.trial.cost for fact in story.told if fact.trial is not None]
        for level in (*LEVELS, math.inf):
            view = history.at(None if level == math.inf else level)
            assert [(trial.number, trial.score) for trial in view.trials] == story.at(level)
            assert numbers(view.running) == story.on_their_way(level)
            assert view.n_asked == len(story.at(level)) + len(story.on_their_way(level))
            assert view.costs == [trial.cost for trial in view.trials]
        last = history.last_values()
        assert numbers(last.trials) == story.last_values()
        assert list(last.trials) == [history[number] for number in story.last_values()]
        assert numbers(last.running) == [fact.number for fact in story.running() if fact.resume is None]
        for fact in story.asked:
            chain = [one.number for one in story.asked if story.root(one.number) == story.root(fact.number)]
            assert (history.root(fact.number), history.leaf(fact.number)) == (chain[0], chain[-1])


@pytest.mark.parametrize("seed", range(40))
def test_a_cache_behind_a_cursor_is_never_stale_and_sees_nothing_twice(seed: int) -> None:
    """What was handed over since the last reset is the view, however seldom one looks."""
    rng, story = np.random.default_rng(seed), Story.new()
    cursors = [(Cursor(view), [], []) for view in views(story.history)]
    for _ in range(80):
        happens(story, rng)
        for cursor, told, asked in cursors:
            if rng.random() < 0.5:
                continue
            step = cursor.step()
            if step.is_reset:
                told.clear()
                asked.clear()
            told += step.told
            asked += numbers(step.asked)
            assert told == list(cursor.view.trials)
            assert cursor.n_told == len(told)
            assert len(set(asked)) == len(asked)
            assert {*numbers(cursor.view.trials), *numbers(cursor.view.running)} <= {*asked}
            assert numbers(step.asked) == sorted(numbers(step.asked))
            again = cursor.step()
            assert (again.told, again.asked, again.is_reset) == ([], [], False)


@pytest.mark.parametrize("seed", range(10))
def test_a_view_that_only_grows_hands_over_what_is_new(seed: int) -> None:
    """`told` alone, where no result is taken back: each trial once, in order."""
    rng, story = np.random.default_rng(seed), Story.new()
    cursors = [(Cursor(view), []) for view in (story.history, story.history.at(3.0), story.history.at(None))]
    for _ in range(60):
        number = story.ask([1.0, 3.0, None][rng.integers(3)])
        if rng.random() < 0.8:
            story.tell(number, STATES[rng.integers(len(STATES))])
        for cursor, told in cursors:
            if rng.random() < 0.3:
                told += cursor.told()
                assert told == list(cursor.view.trials)


def test_a_cache_that_looked_while_a_hook_raised_begins_anew() -> None:
    """It has taken in a trial that is running again: the next step hands over everything."""
    story = Story.new()
    first, second = story.ask(), story.ask()
    cursors = [Cursor(view) for view in views(story.history)]
    story.tell(first)
    running = story.history.find(second)
    story.history.finish(running.ended(Outcome(TrialState.COMPLETE, (7.0,))))
    for cursor in cursors:
        cursor.step()
    story.history.take_back(running, [second])
    assert (story.history.n_told, numbers(story.history.running)) == (1, [second])
    trial = story.tell(second, perf=0.25)
    for cursor in cursors:
        step = cursor.step()
        assert list(step.told) == list(cursor.view.trials)
        assert step.is_reset
    assert story.history.trials[1] is trial


def test_reports_scores_and_signs_are_the_users_own_and_higher_is_better() -> None:
    """With mode='min' a view has the user's own values as perf, and their negatives as score."""
    story = Story.new("min")
    number = story.ask(9.0)
    story.report(number, 3.0, 0.25)
    assert story.history.running[0].curve == ((3.0, -0.25),)
    story.tell(number, perf=0.125)
    for level, perf in ((3.0, 0.25), (9.0, 0.125)):
        (trial,) = story.history.at(level).trials
        assert (trial.perf, trial.score) == (perf, -perf)


def test_what_others_get_to_see_cannot_be_written_to() -> None:
    """A list that an algorithm could change would change the history."""
    story = Story.new()
    story.tell(story.ask())
    for trials in (story.history.trials, story.history.at(None).trials, story.history.last_values().trials):
        assert not hasattr(trials, "append")
        with pytest.raises(TypeError):
            trials[0] = None  # type: ignore[index]
    story.history.running.clear()  # type: ignore[attr-defined]
    story.ask()
    assert len(story.history.running) == 1


def test_a_trial_is_found_by_its_number_once_it_has_ended() -> None:
    """Running and unknown ones are not there, in either of the two places."""
    story = Story.new()
    first, second = story.ask(), story.ask()
    trial = story.tell(second)
    assert story.history[second] is trial
    for number in (first, 2, -1):
        with pytest.raises(KeyError):
            story.history[number]
    assert story.history.find(first).number == first
    with pytest.raises(OptionError, match="suggestion 1 has a result already; tell each suggestion once"):
        story.history.find(second)
    with pytest.raises(OptionError, match="suggestion 2 was not asked for here"):
        story.history.find(2)


def test_a_stopped_trial_that_goes_on_is_on_its_way_from_where_it_was_stopped() -> None:
    """Stopped at 3 of 9 and continued up to 27, it has 9 before it, not behind it."""
    story = Story.new()
    first = story.ask(9.0)
    story.report(first, 3.0, 0.1)
    story.tell(first, TrialState.STOPPED)
    second = story.ask(27.0, resume=first)
    assert numbers(story.history.at(9.0).running) == [second]
    assert numbers(story.history.at(3.0).running) == []


# What a suggestion may resume or fork.


def chain() -> Story:
    """A trial of fidelity 1 and 3 in one chain, a failed one, one that runs, one in full."""
    story = Story.new()
    story.tell(story.ask(1.0, x=0.25))
    story.tell(story.ask(3.0, resume=0, x=0.25))
    story.tell(story.ask(1.0), TrialState.FAILED)
    story.ask(1.0)
    story.tell(story.ask(None, x=0.75))
    return story


@pytest.mark.parametrize(
    ("suggestion", "text"),
    [
        (Suggestion({"x": 0.25}, fidelity=9.0, resume=1, fork=1), "resume, fork: a suggestion has one of them at most"),
        (Suggestion({"x": 0.25}, fidelity=9.0, resume=5), "resume: must be the number of an earlier trial, got 5"),
        (Suggestion({"x": 0.25}, fidelity=9.0, resume=-1), "resume: must be the number of an earlier trial, got -1"),
        (Suggestion({"x": 0.25}, fidelity=9.0, resume=True), "resume: must be the number of an earlier trial, got Tru"),
        (Suggestion({"x": 0.25}, fidelity=9.0, resume="1"), "resume: must be the number of an earlier trial, got '1'"),
        (Suggestion({"x": 0.5}, fidelity=3.0, resume=3), "resume: trial 3 is still running"),
        (Suggestion({"x": 0.25}, fidelity=9.0, resume=0), "resume: trial 0 was continued by trial 1; name the last"),
        (Suggestion({"x": 0.5}, fidelity=3.0, resume=2), "resume: trial 2 ended as FAILED and has no result to go on"),
        (Suggestion({"x": 0.5}, fidelity=9.0, resume=1), "resume: must have the configuration of trial 1, {'x': 0.25}"),
        (Suggestion({"x": 0.25}, fidelity=3.0, resume=1), "resume: fidelity must be above that of trial 1, 3, got 3"),
        (Suggestion({"x": 0.25}, fidelity=1.0, resume=1), "resume: fidelity must be above that of trial 1, 3, got 1"),
        (Suggestion({"x": 0.75}, resume=4), "resume: fidelity must be above that of trial 4, inf, got inf"),
        (
            Suggestion({"x": 0.75}, fidelity=81.0, resume=4),
            "resume: fidelity must be above that of trial 4, inf, got",
        ),
        (Suggestion({"x": 0.5}, fidelity=1.0, fork=9), "fork: must be the number of an earlier trial, got 9"),
        (Suggestion({"x": 0.5}, fidelity=1.0, fork=3), "fork: trial 3 is still running"),
        (
            Suggestion({"x": 0.5}, fidelity=1.0, fork=0),
            "fork: trial 0 was continued by trial 1; name the last of a",
        ),
        (Suggestion({"x": 0.5}, fidelity=1.0, fork=2), "fork: trial 2 ended as FAILED and has no result to go on from"),
    ],
)
def test_what_cannot_be_resumed_or_forked_is_refused_with_the_reason(suggestion: Suggestion, text: str) -> None:
    """One rule each."""
    with pytest.raises(SuggestionError) as caught:
        chain().history.check(suggestion)
    assert text in str(caught.value)


@pytest.mark.parametrize(
    "suggestion",
    [
        Suggestion({"x": 0.25}, fidelity=9.0, resume=1),
        Suggestion({"x": 0.25}, resume=1),  # everything is more than 3
        Suggestion({"x": 0.9}, fidelity=1.0, fork=1),  # another configuration, and less training
        Suggestion({"x": 0.9}, fork=4),
        Suggestion({"x": 0.9}, fidelity=2.0),
    ],
)
def test_what_can_be_resumed_or_forked_is_let_pass(suggestion: Suggestion) -> None:
    """A fork may have any configuration and fidelity."""
    chain().history.check(suggestion)


def test_the_chain_of_a_running_promotion_cannot_be_resumed_a_second_time() -> None:
    """Nor can the promotion, until it ends; a fork from it has to wait, too."""
    story = chain()
    number = story.ask(9.0, resume=1, x=0.25)
    for again in ({"resume": 1}, {"fork": 1}, {"resume": number}, {"fork": number}):
        with pytest.raises(SuggestionError):
            story.history.check(Suggestion({"x": 0.25}, fidelity=27.0, **again))
    story.tell(number)
    story.history.check(Suggestion({"x": 0.25}, fidelity=27.0, resume=number))
    story.history.check(Suggestion({"x": 0.5}, fidelity=27.0, fork=number))


def test_a_fork_is_a_chain_of_its_own() -> None:
    """Its root is itself, and the trial it came from may still be continued."""
    story = chain()
    number = story.ask(9.0, fork=1, x=0.9)
    assert (story.history.root(number), story.history.leaf(1)) == (number, 1)
    story.history.check(Suggestion({"x": 0.25}, fidelity=9.0, resume=1))
