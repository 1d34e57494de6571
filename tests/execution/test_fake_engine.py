"""Searches on an engine that loses, doubles, delays and reorders, and whose slots come and go: no state is wrong."""

from __future__ import annotations

from collections import Counter
from dataclasses import fields, replace

import pytest

from autohpo import BaseHPOptimizer, NoResultError, OptionError, RangeHP, build_hpo_from_name
from autohpo.execution.serial import SerialExecutor
from autohpo.testing import EVERY_FAULT, FakeEngine, Faults, wrong_states
from autohpo.trial import TrialState

SPACE = [RangeHP("x", 0.0, 1.0), RangeHP("n", 1, 8)]


def plain(hps, trial):
    """A value that says which attempt it comes from, so that one of another attempt would be seen."""
    for share in (2, 3):
        if not trial.report(hps["x"] / share + trial.attempt / 1024):
            return None
    return hps["x"] + trial.attempt / 1024


def training(hps, trial):
    """An endless training, whose values say the same."""
    epoch = 0
    while True:
        epoch += 1
        yield hps["x"] * epoch + trial.attempt / 1024


def short_training(hps, trial):
    """A training that ends by itself."""
    for epoch in range(1, 31):
        yield hps["x"] * epoch + trial.attempt / 1024


class StopsMany(BaseHPOptimizer):
    """Random search that ends every other trial at its first report."""

    def _get_suggestion(self, pid):
        return self.space.sample(self.rng, 1)[0]

    def _on_report(self, hp, fidelity, perf):
        return hp.number % 2 == 0


def search(algorithm, engine, f=plain, n=300, seed=0, **how):
    """An optimizer that has run on an engine."""
    if isinstance(algorithm, str):
        hpo = build_hpo_from_name(algorithm, SPACE, f, max_evals=n, seed=seed)
    else:
        hpo = algorithm(SPACE, f, max_evals=n, seed=seed)
    hpo.optimize(executor=engine, progress=False, **how)
    return hpo


def log_of(hpo):
    """The log without its times."""
    return [(e.kind, e.trial, e.attempt, e.data) for e in hpo.run_store.events()]


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize(
    ("algorithm", "f"), [("random", plain), ("tpe", plain), ("bohb", training), (StopsMany, short_training)], ids=str
)
def test_no_state_is_wrong_after_a_search_on_an_engine_with_every_fault(algorithm, f, seed):
    """Each trial ends once, by the attempt that counts; what came late is in the log, and changed nothing."""
    engine = FakeEngine(seed, 4, EVERY_FAULT)
    hpo = search(algorithm, engine, f, n=200, seed=seed)
    assert wrong_states(hpo, engine.delivered) == []
    assert len(hpo.result) == 200
    kinds = Counter(event.kind for event in hpo.run_store.events())
    assert min(kinds["late"], kinds["interrupt"], kinds["report"]) > 10
    assert (hpo.result.counts().get("STOPPED", 0) > 50) == (algorithm is StopsMany)


def test_a_stored_search_goes_on_with_other_engines(tmp_path):
    """Three engines, one after the other, work on one log; what all of them delivered is in it, and nothing else."""
    delivered = []
    for n in (40, 80, 120):
        engine = FakeEngine(n, 3, EVERY_FAULT)
        hpo = search("bohb", engine, training, n=n, store=tmp_path / "run.db")
        delivered += engine.delivered
        assert wrong_states(hpo, delivered) == []
        assert len(hpo.result) == n


def test_a_search_that_reaches_its_target_leaves_no_trial_behind():
    """What runs, or was lost, when the search has found enough is brought to its end."""
    engine = FakeEngine(0, 4, EVERY_FAULT)
    hpo = search("random", engine, target=0.98)
    assert 0 < len(hpo.result) < 300
    assert wrong_states(hpo, engine.delivered) == []


def test_several_objectives_survive_every_fault():
    """The front is folded from the ends that count."""
    hpo = build_hpo_from_name(
        "nsga2", SPACE, lambda hps: (hps["x"], hps["n"] / 8 - hps["x"]), max_evals=300, seed=0, mode=["max", "max"]
    )
    engine = FakeEngine(3, 4, EVERY_FAULT)
    hpo.optimize(executor=engine, progress=False)
    assert wrong_states(hpo, engine.delivered) == []


def test_a_search_on_an_engine_is_a_function_of_the_seeds():
    """Equal seeds give equal logs and equal events, other seeds of the engine give others."""
    engines = [FakeEngine(seed, 4, EVERY_FAULT) for seed in (5, 5, 6)]
    logs = [log_of(search("tpe", engine)) for engine in engines]
    assert _without_cost(logs[0]) == _without_cost(logs[1]) != _without_cost(logs[2])


def _without_cost(log):
    """A log without what the objective's seconds were."""
    return [(*entry, {k: v for k, v in data.items() if k != "cost"}) for *entry, data in log]


def test_an_engine_without_faults_is_a_plain_executor():
    """Every trial is started once, and nothing comes late."""
    engine = FakeEngine(0, 4)
    hpo = search("bohb", engine, training)
    kinds = Counter(event.kind for event in hpo.run_store.events())
    assert (kinds["start"], kinds["end"], kinds["late"], kinds["interrupt"]) == (300, 300, 0, 0)
    assert wrong_states(hpo, engine.delivered) == []


@pytest.mark.parametrize("seed", range(5))
def test_no_paused_training_is_dropped_that_goes_on(seed):
    """Where several trials end at once, each is told before any training is let go: all go on where they stood."""
    engine = FakeEngine(seed, 3, Faults(disordered=1.0))
    hpo = search("hyperband", engine, training, n=120, seed=seed, max_suspended=1000)
    first = {}
    for event in engine.delivered:
        if event.kind == "report":
            first.setdefault(event.number, event.fidelity)
    resumed = [trial for trial in hpo.result if trial.resume is not None]
    assert len(resumed) > 20
    anew = [t.number for t in resumed if first[t.number] <= hpo.result.trials[t.resume].fidelity]
    assert anew == []


def test_a_trial_that_is_lost_three_times_ends_as_crashed():
    """Two losses are retried, the third is the end: where all is lost, each trial has three attempts."""
    engine = FakeEngine(0, 2, Faults(lost=1.0))
    hpo = build_hpo_from_name("random", SPACE, plain, max_evals=20, seed=0)
    with pytest.raises(NoResultError, match="lost 3 times"):
        hpo.optimize(executor=engine, progress=False)
    assert [(trial.state, trial.attempt) for trial in hpo.result] == [(TrialState.CRASHED, 3)] * 20
    lost = FakeEngine(1, 2, Faults(lost=0.5))
    hpo = search("random", lost)
    assert wrong_states(hpo, lost.delivered) == []
    assert 10 < hpo.result.counts()["CRASHED"] < 80  # an eighth of 300 is expected


@pytest.mark.parametrize("kind", [one.name for one in fields(Faults)])
def test_each_fault_comes_about_by_itself(kind):
    """The engine does what a fault says, as its events show, and no state is wrong."""
    base = {"unnoticed": {"lost": 0.2}, "undead": {"lost": 0.2}}
    base |= {"outage": {"churn": 0.5}, "reused": {"churn": 1.0}, "throttled": {"churn": 0.5}}
    base["unnoticed"]["undead"] = 0.5
    engine = Watched(0, 4, Faults(**{**base.get(kind, {}), kind: 0.5}))
    hpo = search("random", engine)
    assert wrong_states(hpo, engine.delivered) == []
    ends = Counter((event.number, event.attempt) for event in engine.delivered if event.outcome is not None)
    died = [event for event in engine.delivered if event.kind == "died"]
    seen = {
        "lost": len(died) > 50,
        "unnoticed": engine.now > 2 * _calm().now,
        "undead": max(ends.values()) == 2,
        "doubled": sum(n == 2 for n in ends.values()) > 50,
        "delayed": hpo.run_store is not None and _n_reports(hpo) < _n_reports(engine),
        "disordered": engine.delivered != _calm().delivered,
        "churn": len(engine.n_seen) > 4,
        "outage": 0 in engine.n_seen,
        "reused": _is_reused(engine),
        "throttled": engine.was_throttled,
    }
    assert seen[kind]


def _calm():
    """An engine that has run the same search without a fault."""
    engine = FakeEngine(0, 4)
    search("random", engine)
    return engine


def _n_reports(where):
    """How many reports an engine delivered, or a log holds."""
    events = where.delivered if isinstance(where, FakeEngine) else where.run_store.events()
    return sum(event.kind == "report" for event in events)


def _is_reused(engine):
    """Whether a slot had attempts after it had lost one."""
    gone = set()
    for event in engine.delivered:
        if event.kind == "started" and event.slot in gone:
            return True
        gone |= {event.slot} if event.kind == "died" else set()
    return False


def test_a_search_waits_for_slots_to_come_back():
    """Without a slot for a while, nothing ends: neither new trials nor those that were lost are forgotten."""
    engine = FakeEngine(0, 1, Faults(churn=3.0, outage=0.9))
    hpo = search("bohb", engine, training, n=40)
    assert len(hpo.result) == 40
    assert wrong_states(hpo, engine.delivered) == []


class Watched(FakeEngine):
    """An engine that notes how many slots it had after each poll, and whether all of them might run a task."""

    n_seen, was_throttled = frozenset(), False

    def poll(self, timeout_seconds):
        """Note it."""
        events = super().poll(timeout_seconds)
        self.n_seen = self.n_seen | {len(self.slots())}
        self.was_throttled |= self.capacity() < len(self.slots())
        return events


class Slotless(SerialExecutor):
    """An executor whose slot comes at the third poll, or never."""

    def __init__(self, comes_at=float("inf")):
        super().__init__()
        self.n_polls, self.comes_at = 0, comes_at

    def slots(self):
        """No slot, or one."""
        return (0,) if self.n_polls >= self.comes_at else ()

    def poll(self, timeout_seconds):
        """Count."""
        self.n_polls += 1
        return super().poll(timeout_seconds)


def test_no_more_tasks_run_at_once_than_there_is_capacity_for():
    """Slots may be free that must not be used now; where there is no capacity at all, the search waits."""
    n_most = []

    class Narrow(FakeEngine):
        def capacity(self):
            return int(self.now) % 3

        def submit(self, slot, task):
            super().submit(slot, task)
            n_most.append((len(self._current), self.capacity()))

    engine = Narrow(0, 4)
    assert len(search("random", engine, n=60).result) == 60
    assert all(n <= capacity for n, capacity in n_most)
    assert {capacity for _, capacity in n_most} == {1, 2}


def test_a_search_may_begin_without_slots():
    """The algorithm is told of one worker, and the search goes on when a slot comes."""
    assert len(search("tpe", Slotless(comes_at=3), n=20).result) == 20


def test_a_search_that_never_gets_a_slot_ends_at_its_time_limit():
    """And says that nothing was suggested."""
    with pytest.raises(NoResultError, match="before its first trial: the search reached its time limit"):
        search("random", Slotless(), n=20, time_limit=0.2)


def test_a_search_that_is_complete_waits_for_no_slot():
    """Where all trials have ended while the last slot went, there is nothing to wait for."""

    class Leaves(Slotless):
        def slots(self):
            return (0,) if sum(self.n_ends) < 5 else ()

        n_ends = (0,)

        def poll(self, timeout_seconds):
            events = SerialExecutor.poll(self, timeout_seconds)
            self.n_ends = (*self.n_ends, *(event.outcome is not None for event in events))
            return events

    assert len(search("random", Leaves(), n=5, time_limit=20).result) == 5


@pytest.mark.parametrize(("name", "value"), [("num_workers", 2), ("memory_limit", "1GB"), ("trial_time_limit", 9.0)])
def test_an_executor_of_ones_own_has_its_own_slots_and_limits(name, value):
    """What it would not keep to is refused, by name, and not dropped in silence."""
    with pytest.raises(OptionError, match=f"FakeEngine has slots and limits of its own, so leave out {name}"):
        search("random", FakeEngine(), n=2, **{name: value})


def drop(events, i):
    """One event fewer."""
    return events[:i] + events[i + 1 :]


@pytest.mark.parametrize(
    ("kind", "change"),
    [
        ("done", drop),
        ("died", drop),
        ("report", drop),
        ("done", lambda events, i: [*events, events[i]]),
        ("done", lambda events, i: [*events[:i], _better(events[i]), *events[i + 1 :]]),
        ("report", lambda events, i: [*events[:i], replace(events[i], perf=9.0), *events[i + 1 :]]),
        ("done", lambda events, i: [*events[:i], replace(events[i], attempt=9), *events[i + 1 :]]),
        ("done", lambda events, i: [*events, replace(events[i], number=999)]),
    ],
)
def test_a_log_that_differs_from_what_was_delivered_is_found(kind, change):
    """wrong_states can fail: one event more, fewer or other than in the log is one line or more."""
    engine = FakeEngine(0, 4, EVERY_FAULT)
    hpo = search("random", engine, n=60)
    first = next(i for i, event in enumerate(engine.delivered) if event.kind == kind)
    assert wrong_states(hpo, engine.delivered) == []
    assert wrong_states(hpo, change(engine.delivered, first)) != []


def _better(event):
    return replace(event, outcome=replace(event.outcome, perfs=(7.0,)))


def test_a_search_with_another_result_than_its_log_is_found():
    """A trial missing, another best one, and an optimizer that was told something else."""
    engine = FakeEngine(0, 2)
    hpo = search("random", engine, n=10)
    result = hpo.result
    hpo.result = replace(result, trials=result.trials[:-1])
    assert "the log folds to other trials than the result has" in wrong_states(hpo, engine.delivered)
    hpo.result = replace(result, chosen=min(result, key=lambda trial: trial.perf).number)
    assert any("another best" in line for line in wrong_states(hpo, engine.delivered))
    hpo.result = result
    hpo.max_evals = 11
    hpo.ask()
    assert any("for running" in line for line in wrong_states(hpo, engine.delivered))


@pytest.mark.parametrize(("name", "value"), [("lost", 1.1), ("doubled", -0.1), ("churn", -1.0)])
def test_a_chance_is_a_chance(name, value):
    """Chances lie between 0 and 1; a rate has no upper end."""
    with pytest.raises(OptionError, match=f"{name}: must be"):
        Faults(**{name: value})
    assert Faults(churn=50.0).churn == 50.0
    with pytest.raises(OptionError, match="n_slots: must be at least 1, got 0"):
        FakeEngine(0, 0)
