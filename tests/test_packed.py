"""Packed trials: the very same trial comes back, and a list of them is a list; what a trial costs has a bound."""

from __future__ import annotations

import copy
import pickle
import random
import tracemalloc
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from autohpo import ChoiceHP, LogRangeHP, RangeHP, Result, Search, SearchSpace, Suggestion, build_hpo_from_name, packed
from autohpo.history import History
from autohpo.objectives import Objectives
from autohpo.packed import Costs, TrialList, pack, unpack
from autohpo.store import LogEvent, MemoryStore, RunState
from autohpo.store.run_state import suggestion_data
from autohpo.trial import Outcome, Trial, TrialState

SPACE = SearchSpace(
    [LogRangeHP("lr", 1e-5, 1.0), RangeHP("drop", 0.0, 0.9), RangeHP("n", 1, 8), ChoiceHP("act", ["relu", "tanh"])]
)
STATES = (TrialState.COMPLETE, TrialState.STOPPED, TrialState.FAILED, TrialState.CRASHED)


def any_trial(rng: random.Random, number: int) -> Trial:
    """A trial with anything that a trial may have."""
    n, is_odd = rng.choice([1, 1, 2, 3]), rng.random() < 0.4
    state = rng.choice(STATES)
    perfs = tuple(rng.choice([rng.gauss(0, 1), -0.0, 5e-324, 1.7e308]) for _ in range(n)) if state.has_perf else ()
    steps = rng.choice([[], [1, 2, 3], [1, 2.5, 9], [0, 1], [2**60], [3, 3], [1.0, 2.0], [0.5, 4.0]])
    reports: Any = tuple(
        (step, rng.gauss(0, 1) if n == 1 else tuple(rng.gauss(0, 1) for _ in range(n))) for step in steps
    )
    hp: dict[str, Any] = {
        "lr": rng.random(),
        "n": rng.randrange(-9, 2**70),
        "act": rng.choice(["é", None, True, (8, (8,))]),
    }
    outcome = Outcome(
        state,
        perfs,
        {"size": rng.random()} if is_odd else {},
        {"loss": 0.25} if is_odd else {},
        rng.choice([None, 0.0, 2.5]),
        rng.choice([None, 3, 2.5]),
        "" if state.has_perf else "Traceback: 'x' \ud800",
        "rank 3 of 4" if is_odd else "",
        trained=1.5 if is_odd else None,
    )
    return Trial(
        number,
        hp if rng.random() < 0.8 else {"lr": 0.5},
        outcome,
        fidelity=rng.choice([None, 1, 2.5]),
        resume=rng.choice([None, 4]),
        fork=rng.choice([None, 2]),
        pid=rng.randrange(9),
        info={"rung": 1, "given_up": [[1, "late"]], "more": {"a": None}} if is_odd else {},
        reports=reports,
        attempt=rng.randrange(3),
        started=rng.choice([None, 1.7e9 + rng.random()]),
        ended=1.7e9 + rng.random(),
        signs=rng.choice([(), (-1, 1, -1)[:n]]),
        seed=rng.randrange(2**31),
    )


@pytest.mark.parametrize("most_kinds", [packed.MOST_KINDS, 0], ids=["numbered", "too many kinds"])
def test_a_trial_comes_back_as_it_was_to_the_type_of_each_value(
    monkeypatch: pytest.MonkeyPatch, most_kinds: int
) -> None:
    """The text of a trial tells 1 from 1.0 and from True, and -0.0 from 0.0."""
    monkeypatch.setattr(packed, "MOST_KINDS", most_kinds)
    monkeypatch.setattr(packed, "_KINDS", packed._Kinds())
    rng = random.Random(0)
    n_packed = 0
    for number in range(400):
        trial = any_trial(rng, number)
        text, data = repr(trial), pack(trial)
        n_packed += data is not None
        found = trial if data is None else unpack(data)
        assert repr(found) == text
        assert found == trial
        assert found is not trial or data is None
    assert n_packed > 300


@pytest.mark.parametrize(
    "odd",
    [
        {"hp": {"x": object()}},
        {"hp": {"x": [1]}},
        {"hp": {"x": (object(),)}},
        {"hp": Suggestion({"x": 0.5})},
        {"hp": {"x": np.float64(0.5)}},
        {"info": {"note": np.float64(0.5)}},
        {"info": {"note": [np.array(1)]}},
        {"outcome": Outcome(TrialState.COMPLETE, (np.float64(0.5),))},
        {"outcome": Outcome(TrialState.COMPLETE, (0.5,), cost=np.float64(0.5))},
        {"reports": ((np.float64(1.5), 0.5),)},
    ],
    ids=str,
)
def test_a_trial_with_values_that_are_more_than_their_text_stays_as_it_is(odd: dict[str, Any]) -> None:
    """A choice may be any object, and is found again as that very one; numpy's numbers keep their type."""
    trial = Trial(**{"number": 0, "hp": {"x": 0.5}, **odd})
    assert pack(trial) is None
    trials = TrialList([trial], recent=0)
    assert trials[0] is trial


def test_a_list_of_trials_does_what_a_list_does(monkeypatch: pytest.MonkeyPatch) -> None:
    """At random, beside a plain list, with all but the three newest packed."""
    rng = random.Random(1)
    plain: list[Trial | None] = []
    trials = TrialList(recent=3)
    for number in range(300):
        what = rng.choice(["append", "append", "append", "keep", "put", "pop"])
        if what in ("append", "keep"):
            new = any_trial(rng, number) if what == "append" else None
            plain.append(new)
            trials.append(new)
        elif what == "put" and plain:
            place, new = rng.randrange(len(plain)), any_trial(rng, number)
            plain[place] = trials[place] = new
        elif what == "pop" and plain:
            assert trials.pop() == plain.pop()
        a, b = sorted((rng.randrange(-9, 99), rng.randrange(-9, 99)))
        assert (len(trials), trials[a:b], trials[::-7]) == (len(plain), plain[a:b], plain[::-7])
    for number in range(300, 303):
        plain.append(any_trial(rng, number))
        trials.append(plain[-1])
    assert trials == plain
    assert list(trials) == plain == [trials[place] for place in range(-len(plain), 0)]
    assert all(trials[-k] is plain[-k] for k in (1, 2, 3))
    older = trials._items[:-3]
    assert sum(type(item) is bytes for item in older) > 50
    assert not any(pack(item) for item in older if isinstance(item, Trial))
    assert trials != plain[:-1]
    assert repr(trials) == repr(plain)
    for other in (trials.copy(), copy.deepcopy(trials)):
        assert other == plain
        other.append(None)
    assert len(trials) == len(plain)
    sent = pickle.dumps(trials)
    monkeypatch.setattr(packed, "_KINDS", packed._Kinds())  # as in another process
    assert pickle.loads(sent) == plain


def test_costs_are_a_list_of_numbers_and_none() -> None:
    """Where a cost is unknown it is None."""
    costs, plain = Costs(), [1.5, None, 0.0, None, 2.0]
    for cost in plain:
        costs.append(cost)
    assert (list(costs), costs[1:4], costs[1], costs[-1], len(costs)) == (plain, plain[1:4], None, 2.0, 5)
    assert (costs.pop(), list(costs)) == (2.0, plain[:-1])


def log_of(n: int, n_reports: int) -> Iterator[LogEvent]:
    """The events of n trials, each made of new objects as those that are read from a file."""
    rng = np.random.default_rng(0)
    for number, hp in enumerate(SPACE.sample(rng, n)):
        suggestion = Suggestion(hp, number=number, seed=int(rng.integers(2**31)))
        yield LogEvent("ask", number, 0, suggestion_data(suggestion, SPACE), 1.7e9 + number)
        yield LogEvent("start", number, 1, {"slot": 0}, 1.7e9 + number / 3)
        for step in range(n_reports):
            yield LogEvent("report", number, 1, {"fidelity": step + 1.0, "perf": float(rng.random())})
        end = {"state": "COMPLETE", "perf": float(rng.random()), "fidelity": None, "error": "", "cost": number / 7}
        yield LogEvent("end", number, 1, end, 1.7e9 + number / 5)


@pytest.mark.parametrize(("n_reports", "most"), [(0, 260), (10, 360)])
def test_a_trial_of_a_long_run_takes_a_few_hundred_bytes(
    monkeypatch: pytest.MonkeyPatch, n_reports: int, most: int
) -> None:
    """In the state and in the history, which share it: 140 bytes of its own and 8 for each place where it is named.

    A hundred numbers more are 80 bytes. An object for each trial took 730 bytes, and ten reports 940 more.
    """
    monkeypatch.setattr(packed, "RECENT", 100)
    n = 5_000
    log = list(log_of(100, n_reports))  # imports and caches
    RunState(SPACE, Objectives.of("max")).follow(log)
    state, history = RunState(SPACE, Objectives.of("max")), History(SPACE, Objectives.of("max"))
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        for event in log_of(n, n_reports):
            trial = state.apply(event)
            if event.kind == "ask":
                history.add(state.running[event.trial].suggestion)
            elif trial is not None:
                history.finish(trial)
        found = (tracemalloc.get_traced_memory()[0] - before) / n
    finally:
        tracemalloc.stop()
    assert len(state.kept()) == len(history.trials) == n
    assert found < most


def test_the_log_in_memory_takes_a_few_hundred_bytes_a_trial() -> None:
    """As objects the three events of a trial took 1,450 bytes."""
    store, log = MemoryStore(), list(log_of(3_000, 0))
    store.append(log[:9])
    tracemalloc.start()
    try:
        for place in range(9, len(log), 3):
            store.append([event._replace(time=event.time + 0.5) for event in log[place : place + 3]])
        found = tracemalloc.get_traced_memory()[0] / 3_000
    finally:
        tracemalloc.stop()
    assert found < 300


def test_a_search_with_packed_trials_goes_on_as_one_without(monkeypatch: pytest.MonkeyPatch) -> None:
    """Equal suggestions, results and Result, live and replayed; also what has not ended."""

    def search(recent: int, name: str, store: MemoryStore) -> tuple[Any, list[Any], Result]:
        monkeypatch.setattr(packed, "RECENT", recent)
        options = {"max_fidelity": 9} if name == "bohb" else {}
        hpo = build_hpo_from_name(name, SPACE, seed=3, **options)
        found: list[Any] = []
        with Search(hpo, store) as run:
            for number in range(40):
                suggestion = run.ask()
                found.append((dict(suggestion), suggestion.fidelity, suggestion.resume))
                run.report(suggestion, 0.5, 0.1)
                if number % 9 != 4:
                    run.tell(suggestion, suggestion["drop"])
            result = Result.of(run.state, "max")
        return hpo, found, result

    for name in ("tpe", "bohb", "cmaes"):
        stores = [MemoryStore(), MemoryStore()]
        (usual, asked, result), (small, others, other) = (
            search(n, name, s) for n, s in zip((99, 3), stores, strict=True)
        )
        assert asked == others
        assert [(t.number, t.hp, t.perf) for t in result] == [(t.number, t.hp, t.perf) for t in other]
        assert isinstance(other.trials, TrialList)
        assert (result.best.number, result.counts()) == (other.best.number, other.counts())
        assert [t.hp for t in usual.history.trials] == [t.hp for t in small.history.trials]
        again = build_hpo_from_name(name, SPACE, seed=3, **({"max_fidelity": 9} if name == "bohb" else {}))
        with Search(again, stores[1]) as run:
            assert [(r.number, r.reports) for r in again.history.running] == [
                (r.number, r.reports) for r in small.history.running
            ]
            assert all(r.reports is not run.state.running[r.number].reports for r in again.history.running)
            assert dict(run.ask()) == dict(usual.ask())
