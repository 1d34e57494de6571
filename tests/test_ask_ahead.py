"""ask_ahead: the next suggestion is made while all workers are busy, and starts when one is free."""

from __future__ import annotations

from itertools import pairwise

import pytest

from autohpo import OptionError, RangeHP, build_hpo_from_name
from autohpo.store import MemoryStore
from autohpo.testing import FakeEngine


def events_of(ask_ahead, name="tpe", **options):
    """The log of a search with two slots of an engine that does nothing wrong."""
    store, space = MemoryStore(), [RangeHP("x", 0.0, 1.0)]
    hpo = build_hpo_from_name(name, space, lambda hps, fidelity: hps["x"], max_evals=30, seed=0, **options)
    hpo.optimize(executor=FakeEngine(seed=1, n_slots=2), store=store, ask_ahead=ask_ahead, progress=False)
    return list(store.events()), hpo.result


@pytest.mark.parametrize("ask_ahead", [False, True])
def test_a_suggestion_made_ahead_knows_one_result_less(ask_ahead):
    """It is made while two trials run, and else at most one does; where two end at once, one of two must be new."""
    events, result = events_of(ask_ahead)
    assert result.counts() == {"COMPLETE": 30}
    n_open, seen = 0, []
    for event in events:
        if event.kind == "ask":
            seen.append(n_open)
        n_open += {"ask": 1, "end": -1}.get(event.kind, 0)
    assert max(seen) == (2 if ask_ahead else 1)
    assert seen.count(2) > 20 or not ask_ahead


def test_a_suggestion_made_ahead_starts_in_its_turn():
    """No later suggestion overtakes it."""
    events, _ = events_of(True)
    started = [event.trial for event in events if event.kind == "start"]
    assert all(a < b for a, b in pairwise(started))
    assert len(started) == 30


def test_an_algorithm_that_waits_is_not_asked_ahead_in_vain():
    """Brackets that wait for running trials raise NotReady; the search goes on and ends as it should."""
    _, result = events_of(True, "hyperband", min_fidelity=1, max_fidelity=9)
    assert result.counts() == {"COMPLETE": 30}


def test_in_process_nothing_is_made_ahead():
    """One trial at a time in this very process: to ask sooner would only know less."""
    logs = []
    for ask_ahead in (False, True):
        store = MemoryStore()
        hpo = build_hpo_from_name("tpe", [RangeHP("x", 0.0, 1.0)], lambda hps: hps["x"], max_evals=20, seed=0)
        hpo.optimize(store=store, ask_ahead=ask_ahead, progress=False)
        logs.append([dict(event.data)["hp"] for event in store.events() if event.kind == "ask"])
    assert logs[0] == logs[1]


def test_it_is_on_or_off():
    """A number of suggestions would mean something else."""
    hpo = build_hpo_from_name("tpe", [RangeHP("x", 0.0, 1.0)], lambda hps: hps["x"], max_evals=2, seed=0)
    with pytest.raises(OptionError, match="ask_ahead: must be True or False, got 2"):
        hpo.optimize(ask_ahead=2, progress=False)
