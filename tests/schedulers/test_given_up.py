"""What schedulers do where a trial that they would promote is given up."""

from __future__ import annotations

import random

import pytest

from autohpo.schedulers.asha import AsyncPromotion
from autohpo.schedulers.base import Promote
from autohpo.schedulers.hyperband import Hyperband
from autohpo.schedulers.schedule import Schedule

MAKERS = {
    "asha": lambda: AsyncPromotion([1.0, 3.0, 9.0], 3.0),
    "hyperband": lambda: Hyperband(Schedule(1, 9, 3)),
}


def given_up(search, *numbers):
    """Asks where some trials are given up, and notes them as an optimizer does."""
    search.scheduler.given_up = frozenset(numbers)
    decision = search.next()
    search.scheduler.next = lambda *args, **options: decision  # what ask() carries out
    suggestion = search.ask()
    del search.scheduler.next
    search.scheduler.given_up = frozenset()
    suggestion.info["given_up"] = [[number, "no chance"] for number in numbers]
    return suggestion


def at_first_promotion(search):
    """Asks and tells, each result worse than the last, until a promotion is next; returns that."""
    while not isinstance(search.next(), Promote):
        suggestion = search.ask()
        search.tell(suggestion.number, -float(suggestion["x"]))
    return search.next()


@pytest.mark.parametrize("name", MAKERS)
def test_one_that_is_given_up_goes_on_no_more(search_of, name):
    """Not now, nor among the next 30 results, although all of them are worse; what it saved may be let go."""
    search = search_of(MAKERS[name]())
    gone = at_first_promotion(search).trial
    assert gone in search.resumable()
    given_up(search, gone)
    assert gone not in search.resumable()
    search.tell(search.running[0], -50.0)
    for _ in range(30):
        suggestion = search.ask()
        assert suggestion.resume != gone
        search.tell(suggestion.number, -100.0)


@pytest.mark.parametrize("name", MAKERS)
def test_to_ask_is_to_decide_nothing(search_of, name):
    """Asked with the best given up and then without, it promotes the best."""
    search = search_of(MAKERS[name]())
    expected = at_first_promotion(search)
    search.scheduler.given_up = frozenset({expected.trial})
    other = search.next()
    assert not isinstance(other, Promote) or other.trial != expected.trial
    search.scheduler.given_up = frozenset()
    assert search.next() == expected
    assert expected.trial in search.resumable()


def test_a_bracket_whose_best_are_all_given_up_is_over(search_of):
    """Hyperband opens the next one, at its own lowest fidelity: nobody fills the empty slots."""
    search = search_of(MAKERS["hyperband"]())
    search.run(9, lambda s: -float(s["x"]))
    suggestion = given_up(search, 0, 1, 2)
    assert (suggestion.resume, suggestion.info["bracket"], suggestion.fidelity) == (None, 1, 3)


def test_one_of_a_rung_that_is_given_up_leaves_its_slot_empty(search_of):
    """Two of three go on, and the better of these to the full fidelity; the bracket is over then."""
    search = search_of(MAKERS["hyperband"]())
    search.run(9, lambda s: -float(s["x"]))
    asked = [given_up(search, 0)]
    search.tell(asked[-1].number, 1.0)
    for perf in (2.0, 3.0, 0.0):
        asked.append(search.ask())
        search.tell(asked[-1].number, perf)
    numbers = [suggestion.number for suggestion in asked]
    assert [(s.resume, s.fidelity, s.info["bracket"]) for s in asked] == [
        (1, 3, 0),
        (2, 3, 0),
        (numbers[1], 9, 0),
        (None, 3, 1),
    ]


@pytest.mark.parametrize("name", MAKERS)
def test_a_history_that_is_replayed_gives_up_the_same(search_of, name):
    """Handed over at once, its trials ended in another order, the next 20 decisions are the same."""
    rng = random.Random(3)
    search = search_of(MAKERS[name]())
    for _ in range(150):
        decision = search.next()
        if isinstance(decision, Promote) and rng.random() < 0.4:
            suggestion = given_up(search, decision.trial)
        else:
            suggestion = search.ask()
        search.tell(suggestion.number, rng.random())
    other = search.replayed(MAKERS[name](), rng.sample(list(search.history.trials), len(search.history.trials)))
    for _ in range(20):
        one, two = search.ask(), other.ask()
        assert (one.resume, one.fidelity, one.info) == (two.resume, two.fidelity, two.info)
        perf = rng.random()
        search.tell(one.number, perf)
        other.tell(two.number, perf)
