"""Hosts that are lost, silent, late or wrong: each attempt has one end, and the search always gets on."""

from __future__ import annotations

import sys
import warnings
from itertools import pairwise
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # pytest imports test files by their path alone

from scripted_engine import Clock, ScriptedEngine, done, report

from autohpo import AutoHPOError, OptionError
from autohpo.execution.hosts import executor as executor_module
from autohpo.execution.hosts import roster
from autohpo.execution.hosts.engine import Heard
from autohpo.execution.hosts.executor import HostedExecutor
from autohpo.objective import Objective
from autohpo.trial import Task, TrialState

LEASE = 30.0


class Session:
    """An open executor of scripted hosts, on a clock that only waiting moves."""

    def __init__(self, n_slots=2, **options):
        self.engine = ScriptedEngine(Clock())
        self.executor = HostedExecutor(self.engine, n_slots, lease_seconds=LEASE, **options)
        self.reports = []
        self.answers = {}

    def open(self):
        def take(event):
            self.reports.append((event.number, event.attempt, event.fidelity))
            return self.answers.get((event.number, event.attempt), True)

        self.executor.open(Objective.of(lambda hp: hp["x"]), take)
        return self

    def ready(self, *hosts):
        self.engine.hello(*hosts)
        assert self.executor.poll(0.0) == []
        return self

    def submit(self, slot, number, attempt=1):
        self.executor.submit(slot, Task(number, attempt, {"x": 1.0}, root=number))

    def poll(self, seconds=0.0):
        return self.executor.poll(seconds)


@pytest.fixture
def session(monkeypatch):
    """Two hosts that are ready, numbers 0 and 1."""
    session = Session()
    for module in (executor_module, roster):
        monkeypatch.setattr(module, "time", session.engine.clock)
    return session.open().ready(0, 1)


def ends(events):
    """Kind, trial, attempt, slot and state of each end."""
    return [(e.kind, e.number, e.attempt, e.slot, e.outcome.state) for e in events]


def test_a_lost_host_loses_its_attempt_and_another_one_is_asked_for(session):
    """The number of a host is never used again."""
    session.submit(0, 7)
    session.engine.loses(0)
    events = session.poll()
    assert ends(events) == [("died", 7, 1, 0, TrialState.LOST)]
    assert events[0].outcome.error == "its worker on here was lost: its machine is gone"
    assert list(session.executor.slots()) == [1]
    assert session.engine.started == [0, 1, 2]
    session.ready(2)
    assert (list(session.executor.slots()), session.executor.capacity()) == ([1, 2], 2)


def test_a_silent_host_is_given_up_after_its_lease_and_what_it_says_later_is_passed_on(session):
    """The late end has the old slot and attempt, so that the search knows it; the host is told to end."""
    session.submit(0, 7)
    n = 0
    while not (events := session.poll(1.0)):
        session.engine.alive(1)
        n += 1
    assert ends(events) == [("died", 7, 1, 0, TrialState.LOST)]
    assert LEASE <= n <= LEASE + 2
    assert "silent for 31 s" in events[0].outcome.error or "silent for 30 s" in events[0].outcome.error
    assert session.engine.cancelled == [0]
    session.submit(1, 7, attempt=2)
    session.answers[7, 1] = False
    session.engine.says(0, report(7, 1), done(7, 1))
    assert ends(session.poll()) == [("done", 7, 1, 0, TrialState.COMPLETE)]
    assert session.reports == [(7, 1, 1.0)]
    assert session.engine.kinds_told(0)[-1] == "end"
    assert session.engine.kinds_told(1) == ["task"], "the second attempt must not be stopped for the first"
    session.engine.says(1, done(7, 2))
    assert ends(session.poll()) == [("done", 7, 2, 1, TrialState.COMPLETE)]


def test_a_driver_that_was_suspended_gives_nobody_up(session):
    """What it could not listen to was not silent; after that the lease counts again."""
    session.submit(0, 7)
    session.engine.clock.now += 10 * LEASE
    assert session.poll() == []
    session.engine.alive(1)
    assert session.poll() == []
    assert len(session.executor.slots()) == 2


def test_a_host_that_does_not_kill_as_it_is_told_is_given_up(session):
    """The attempt ends with the state and the reason that were given, within seconds."""
    session.submit(0, 7)
    session.executor.kill(7, TrialState.CANCELLED, "the search ended")
    assert session.engine.kinds_told(0) == ["task", "kill"]
    events = []
    while not events:
        session.engine.alive(0)
        events = session.poll(1.0)
    assert ends(events) == [("killed", 7, 1, 0, TrialState.CANCELLED)]
    assert events[0].outcome.error == "the search ended"
    assert 0 not in session.executor.slots()


def test_a_host_that_breaks_the_protocol_is_given_up(session):
    """Nothing that came over a network is trusted to be a message."""
    for junk in (b"", b"\0\0\0\x02{}", b"\0\0\0\xff{}", b'\0\0\0\x0f{"kind":"task!"}'):
        slot = session.executor.slots()[0]
        session.submit(slot, 7)
        session.engine.heard.append(Heard(slot, junk))
        assert ends(session.poll()) == [("died", 7, 1, slot, TrialState.LOST)]
        assert session.engine.cancelled[-1] == slot
        session.ready(session.engine.started[-1])


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"events": 3},
        {"events": [{}], "held": []},
        {"events": [], "held": ["x"]},
        {"events": [{"kind": "done", "number": 7, "attempt": 1}], "held": []},
        {"events": [{"kind": "done", "number": "7", "attempt": 1, "outcome": {"state": "FAILED"}}], "held": []},
        {"events": [{"kind": "done", "number": 7, "attempt": 1, "outcome": {"state": "RUNNING"}}], "held": []},
        {"events": [{"kind": "done", "number": 7, "attempt": 1, "outcome": {"state": "COMPLETE"}}], "held": []},
        {"events": [{"kind": "started", "number": 7, "attempt": 1, "outcome": {"state": "FAILED"}}], "held": []},
        {"events": [{"kind": "report", "number": 7, "attempt": 1, "fidelity": None, "perf": 1.0}], "held": []},
    ],
    ids=str,
)
def test_events_that_are_none_are_a_broken_protocol(session, fields):
    """A host that says so is given up, and its attempt is run again."""
    from autohpo.execution.hosts.messages import EVENTS, Message

    session.submit(0, 7)
    session.engine.heard.append(Heard(0, Message(EVENTS, fields).pack()))
    assert ends(session.poll()) == [("died", 7, 1, 0, TrialState.LOST)]


def test_a_host_that_cannot_start_ends_the_search_with_its_reason(monkeypatch):
    """Such as another version of Python: to wait would not help."""
    session = Session().open()
    session.engine.bye(0, "the workers run Python 3.9", is_fault=True)
    with pytest.raises(AutoHPOError, match=r"could not start: the workers run Python 3\.9"):
        session.poll()


def test_hosts_that_are_lost_before_any_is_ready_end_the_search(monkeypatch):
    """The first three: whatever it is, it is not by chance."""
    session = Session(1)
    for module in (executor_module, roster):
        monkeypatch.setattr(module, "time", session.engine.clock)
    session.open()
    with pytest.raises(AutoHPOError, match="3 workers of the script could not start: no module named autohpo"):
        for _ in range(100):
            session.engine.loses(session.engine.started[-1], "no module named autohpo")
            session.poll(1.0)
    assert session.engine.started == [0, 1, 2]


def test_hosts_that_fail_later_are_asked_for_less_and_less_often(session):
    """An outage of an engine is waited for, without a storm of requests."""
    asked_at = []
    for _ in range(200):
        n = len(session.engine.started)
        session.engine.loses(session.engine.started[-1])
        session.engine.alive(0)
        session.poll(1.0)
        if len(session.engine.started) > n:
            asked_at.append(session.engine.clock.now)
    gaps = [b - a for a, b in pairwise(asked_at)]
    assert gaps == sorted(gaps)
    assert 25 <= gaps[-1] <= 35


def test_an_engine_that_is_gone_ends_the_search_in_order(session):
    """Every attempt is LOST, nothing more is asked for, and the search is told why."""
    session.submit(0, 7)
    session.submit(1, 8)
    session.engine.fault = "the scheduler at tcp://127.0.0.1:1 is gone"
    assert ends(session.poll()) == [("died", 7, 1, 0, TrialState.LOST), ("died", 8, 1, 1, TrialState.LOST)]
    assert session.executor.closing == session.engine.fault
    assert session.engine.started == [0, 1]
    session.executor.close()


def test_who_waits_for_workers_is_told_so_once(monkeypatch):
    """After half a minute, with what is missing."""
    session = Session()
    for module in (executor_module, roster):
        monkeypatch.setattr(module, "time", session.engine.clock)
    session.open()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for _ in range(100):
            session.poll(1.0)
    assert [str(warning.message) for warning in caught] == [
        "executor: after 31 s no worker has started; waiting for workers of the script"
    ]


def test_paused_trainings_are_known_to_the_driver(session):
    """What a host says that it holds; a drop goes to the host that has it, and to no other."""
    session.submit(0, 7)
    session.engine.says(0, done(7), held=[7])
    session.poll()
    assert (session.executor.holds(0, 7), session.executor.holds(1, 7)) == (True, False)
    session.executor.drop(7)
    assert not session.executor.holds(0, 7)
    assert (session.engine.kinds_told(0), session.engine.kinds_told(1)) == (["task", "drop"], [])


def test_a_report_that_is_not_wanted_stops_its_own_attempt(session):
    """And the events of one message come out in their order."""
    session.submit(0, 7)
    session.answers[7, 1] = False
    session.engine.says(0, report(7))
    assert session.poll() == []
    assert session.engine.kinds_told(0) == ["task", "stop"]


def test_what_on_report_raises_loses_no_event(session):
    """The events behind that report come with the next call."""
    session.submit(0, 7)

    def fail(event):
        raise LookupError("the store is gone")

    session.executor._on_report = fail
    session.engine.says(0, report(7), done(7))
    with pytest.raises(LookupError):
        session.poll()
    assert ends(session.poll()) == [("done", 7, 1, 0, TrialState.COMPLETE)]


def test_closing_ends_ready_hosts_in_order_and_never_starts_the_others(session):
    """It waits for their last words, but not for ever."""
    session.engine.loses(0)
    session.poll()
    before = session.engine.clock.now
    session.executor.close()
    assert session.engine.kinds_told(1) == ["end"]
    assert session.engine.cancelled == [2]
    assert session.engine.is_closed
    assert session.engine.clock.now - before <= 5
    with pytest.raises(OptionError, match="must be open"):
        session.poll()


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"n_slots": 0}, "n_slots: must be an integer of at least 1, got 0"),
        ({"n_slots": True}, "n_slots: must be an integer of at least 1, got True"),
        ({"trial_time_limit": 0}, "trial_time_limit: must be positive and finite, got 0"),
        ({"lease_seconds": float("inf")}, "lease_seconds: must be positive and finite, got inf"),
    ],
    ids=str,
)
def test_wrong_arguments_are_named(options, text):
    """With the rule and the value."""
    with pytest.raises(OptionError, match=text):
        HostedExecutor(ScriptedEngine(Clock()), **options)
