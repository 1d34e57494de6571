"""The engine of Ray, on a stand-in for Ray that loses calls and answers."""

from __future__ import annotations

import sys
import threading
import time

import pytest
from fake_ray import FakeRay

from autohpo import AutoHPOError
from autohpo.execution.hosts import roster
from autohpo.execution.ray import actor
from autohpo.execution.ray import engine as engine_module
from autohpo.execution.ray.executor import RayExecutor
from autohpo.testing.executor_case import ExecutorCase
from autohpo.trial import TrialState

START_FAULT = """The actor died because of an error raised in its creation task, \x1b[36mray::HostActor\x1b[39m (pid=1)
Traceback (most recent call last):

ModuleNotFoundError: No module named 'autohpo'
"""


@pytest.fixture(autouse=True)
def _actors_stay_here(monkeypatch):
    """Their process is that of the tests."""
    monkeypatch.setattr(actor, "_leave", lambda: None)
    monkeypatch.setattr(actor, "LOOK_SECONDS", 0.05)
    monkeypatch.setattr(engine_module, "AGAIN_SECONDS", 0.02)
    yield
    for thread in threading.enumerate():
        if thread.name == "autohpo-host":
            thread.join(20)
            assert not thread.is_alive()


@pytest.fixture
def ray(monkeypatch):
    """Puts a stand-in in the place of Ray: ``ray(loses=...)``."""

    def put(**options):
        fake = FakeRay(**options)
        monkeypatch.setitem(sys.modules, "ray", fake)
        return fake

    return put


def case(**options):
    """One actor, if not said otherwise."""
    return ExecutorCase(lambda: RayExecutor(**options), 30.0)


def reporting(hp, trial):
    """An objective with reports."""
    for step in (1, 2, 3):
        trial.report(hp["x"] * step)
    return hp["x"]


def test_nothing_is_lost_or_doubled_where_calls_and_answers_are(ray):
    """Every third call, and every second answer, never comes."""
    fake = ray(loses=lambda kind, n: n % (2 if kind == "answer" else 3) == 0)
    with case(lease_seconds=1.0).session(reporting) as session:
        for number in range(12):
            assert session.perf_of(number) == number
    assert [event.kind for event in session.events] == ["started", "done"] * 12
    assert [event.perf for event in session.reports] == [n * step for n in range(12) for step in (1, 2, 3)]
    assert min(fake.counts.values()) > 12


def test_what_was_lost_with_a_connection_is_sent_again_once_there_is_one(ray):
    """At once, and not with the next sign of life, which is far away here."""
    fake = ray(loses=lambda kind, n: (kind, n) == ("deliver", 1))
    with case(lease_seconds=10_000.0).session(reporting) as session:
        session.submit(3)
        assert fake.counts["deliver"] == 1
        fake.handles[0].cut()
        assert session.end_of(3).outcome.perf == 3.0


def test_retries_of_ray_are_off_and_resources_are_asked_for(ray):
    """Whatever else a user wants of an actor."""
    fake = ray()
    wanted = {"cpus": 2, "gpus": 0.5, "memory": 10**9, "actor_options": {"resources": {"tpu": 1}}}
    with case(**wanted, runtime_env={"pip": ["x"]}).session(reporting) as session:
        session.slots()
    fixed = {"max_restarts": 0, "max_task_retries": 0, "concurrency_groups": {"deliver": 1, "collect": 1}}
    asked = {"num_cpus": 2, "num_gpus": 0.5, "memory": 10**9, "resources": {"tpu": 1}, "runtime_env": {"pip": ["x"]}}
    assert fake.options == [{**asked, **fixed}]


def test_an_actor_that_dies_takes_its_attempt_and_another_one_comes(ray):
    """The attempt is LOST, with the reason that Ray gives; the objective is not run again by anybody but the search."""
    fake = ray()
    with case().session(lambda hp: time.sleep(60)) as session:
        first = session.submit(0)
        while not session.kinds(0):
            session.poll()
        fake.handles[0].die("its worker process has died.")
        outcome = session.end_of(0).outcome
        assert outcome.state is TrialState.LOST
        assert outcome.error.endswith("was lost: its worker process has died.")
        assert session.slots() != [first]
    assert len(fake.handles) == 2


def test_actors_that_cannot_start_end_the_search_with_the_reason(ray, monkeypatch):
    """The last line of what Ray tells, and what helps."""
    monkeypatch.setattr(roster, "FIRST_PAUSE_SECONDS", 0.01)
    fake = ray()
    fake.fault = START_FAULT
    text = r"3 workers of Ray could not start: ModuleNotFoundError: No module named 'autohpo'; install autohpo where"
    with pytest.raises(AutoHPOError, match=text), case().session(reporting) as session:
        session.slots()


def test_a_warning_says_what_was_asked_for_and_what_there_is(ray, monkeypatch):
    """After a while, once."""
    monkeypatch.setattr(roster, "PATIENCE_SECONDS", 0.05)
    ray(room=0)
    text = (
        r"no worker has started; waiting for an actor of Ray with 3 CPU, 1 GPU, 2.0 GiB memory, 1 tpu; "
        r"the cluster has 2 CPU \(0.5 free\), 1.0 GiB"
    )
    options = {"cpus": 3, "gpus": 1, "memory": 2 * 2**30, "actor_options": {"resources": {"tpu": 1}}}
    with case(**options).session(reporting) as session:
        with pytest.warns(RuntimeWarning, match=text):
            session.poll(0.1)
        session.poll(0.1)


def test_where_ray_is_gone_the_search_ends_in_order(ray):
    """Nothing more may start, and what ran is lost."""
    fake = ray()
    with case().session(lambda hp: time.sleep(60)) as session:
        session.submit(0)
        while not session.kinds(0):
            session.poll()
        fake.handles[0].die("its owner has died. Owner's node has crashed.")
        assert session.end_of(0).outcome.state is TrialState.LOST
        assert session.executor.closing.startswith("Ray on this machine has crashed: its owner has died")
        assert len(fake.handles) == 1


def test_an_actor_that_was_given_up_has_time_for_its_last_words(ray):
    """Then it is killed, so that what it holds is free."""
    fake = ray()
    with case().session(reporting) as session:
        slot = session.slots()[0]
        engine = session.executor._engine
        engine.cancel(slot)
        remote = engine._remotes[slot]
        assert 0 < remote.doomed - time.monotonic() <= engine_module.LAST_WORDS_SECONDS
        remote.doomed += 3600.0  # so that it does not matter how fast this machine is
        session.submit(0, slot)
        assert session.end_of(0).outcome.state is TrialState.COMPLETE
        remote.doomed = time.monotonic()
        session.poll()
        assert "ray.kill" in fake.handles[0].why


def test_an_actor_that_has_not_started_is_killed_at_once(ray):
    """It has no words."""
    fake = ray(room=0)
    with case().session(reporting) as session:
        session.poll()
        session.executor._engine.cancel(0)
        assert "ray.kill" in fake.handles[0].why
