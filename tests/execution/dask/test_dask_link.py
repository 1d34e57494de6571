"""Driver and host on dask: what joins them, and what of a host that comes twice, late or not at all."""

from __future__ import annotations

import asyncio
import sys
import time
from dataclasses import replace
from pathlib import Path
from queue import SimpleQueue
from types import SimpleNamespace

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # pytest imports test files by their path alone

from clusters import client_of, cluster_in_threads, driven, end_of, ready, submit

from autohpo.errors import AutoHPOError
from autohpo.execution.dask import link
from autohpo.execution.dask.engine import DaskEngine, _Ended, _Left, _Said
from autohpo.execution.dask.executor import DaskExecutor
from autohpo.execution.dask.mail import Mail
from autohpo.execution.hosts.messages import BYE, Message
from autohpo.execution.hosts.needs import Needs
from autohpo.execution.hosts.setup import HostSetup

SETUP = HostSetup(b"pickled")


@pytest.fixture(scope="module")
def cluster():
    """One cluster for all."""
    with cluster_in_threads(3) as cluster:
        yield cluster


@pytest.fixture
def engine(cluster):
    """An engine that is open, with an objective that no host can unpickle: none is asked to."""
    engine = DaskEngine(cluster, 1, Needs())
    engine.open(SETUP)
    yield engine
    engine.close()


def heard_until(engine, is_enough, seconds=20.0):
    """Take what the engine hears until it is enough."""
    found, until = [], time.monotonic() + seconds
    while not is_enough(found):
        assert time.monotonic() < until, found
        found += engine.take(0.2)
    return found


identity = lambda hp: hp["x"]  # pickled by value: workers need not import this file, and dask with it


def test_the_setup_is_brought_once_to_each_process(cluster, monkeypatch):
    """However many hosts it runs: an objective may be large."""
    sent = []
    actual = link.deliver

    def counted(mail):
        mail = [*mail]
        sent.extend(message for _, message in mail if message.startswith(link.YES))
        actual(mail)

    monkeypatch.setattr(link, "deliver", counted)
    with driven(DaskExecutor(cluster, n_slots=3), identity) as executor:
        ready(executor, 3)
        assert [len(message) > len(link.YES) for message in sent] == [True, False, False]
    assert link._searches == {}


def test_nothing_of_the_objective_is_in_a_task(engine):
    """Dask logs the arguments of a task that fails."""
    engine.start(0)
    spec = str(engine._hosts[0].future.key), engine._topic
    assert "pickled" not in str(spec)
    assert heard_until(engine, bool)[0].host == 0


def test_a_task_that_runs_again_ends_at_once_and_its_host_is_lost(engine):
    """Whatever a scheduler does after the death of a worker: no host is there twice."""
    engine.start(0)
    first = heard_until(engine, bool)
    assert Message.unpack(first[0].message).kind == "hello"
    again = {"token": "another", "worker": engine._hosts[0].worker, "has_setup": False}
    engine._notices.put(_Said({"host": 0, link.JOIN: again}))
    lost = [heard for heard in heard_until(engine, lambda found: any(one.lost for one in found)) if heard.lost]
    assert [(one.host, one.lost) for one in lost] == [(0, "dask ran its task again")]


def test_a_host_that_nobody_asked_for_is_told_no(engine, monkeypatch):
    """As that of a task which ran on where it could not be told that it was given up."""
    sent = []
    monkeypatch.setattr(engine._mail, "send", lambda *message: sent.append(message))
    engine._notices.put(_Said({"host": 5, link.JOIN: {"token": "t", "worker": "w", "has_setup": False}}))
    assert engine.take(0) == []
    assert [(worker, message) for worker, _, message in sent] == [("w", link.NO)]


def test_a_host_is_lost_once_whoever_tells_it(engine):
    """Its task, its worker and its messages may all say so."""
    engine.start(0)
    heard_until(engine, bool)
    place = engine._hosts[0]
    for notice in (_Left(place.worker), _Left(place.worker), _Ended(place.key, "its task failed")):
        engine._notices.put(notice)
    assert [one.lost for one in engine.take(1.0) if one.lost] == [f"dask worker {place.worker} is gone"]


def test_a_message_that_cannot_be_brought_costs_the_host(engine):
    """A task that never came would keep its trial running for ever."""
    engine.start(0)
    heard_until(engine, bool)
    engine._hosts[0].worker = "inproc://127.0.0.1/1/1"
    engine.send(0, b"x")
    lost = heard_until(engine, lambda found: any(one.lost for one in found))
    assert "a message could not be brought to it" in next(one.lost for one in lost if one.lost)


def test_messages_to_one_host_arrive_in_their_order(cluster):
    """Also where a call of dask takes longer than the next one would: there is one at a time."""
    inbox = link._inboxes["key of a test"] = SimpleQueue()

    class Scheduler:
        n_calls = 0

        async def broadcast(self, msg, workers):
            self.n_calls += 1
            await asyncio.sleep(0.05 if self.n_calls == 1 else 0)
            link.deliver(msg["mail"])

    with client_of(cluster) as client:
        mail = Mail(SimpleNamespace(loop=client.loop, scheduler=Scheduler()), lambda keys, why: pytest.fail(why))
        for number in range(50):
            mail.send("a worker", "key of a test", str(number).encode())
            mail.send("a worker", "key of nobody", b"is dropped")
        found = [inbox.get(timeout=10) for _ in range(50)]
    del link._inboxes["key of a test"]
    assert found == [str(number).encode() for number in range(50)]


@pytest.mark.parametrize(
    ("setup", "text"),
    [
        (replace(SETUP, python="3.1"), r"the workers run Python 3\.\d+ and the driver runs 3\.1"),
        (replace(SETUP, version="0.0.1"), r"the workers have autohpo .* and the driver has 0\.0\.1"),
    ],
)
def test_workers_with_another_version_say_so(cluster, setup, text, monkeypatch):
    """The search ends with the reason: no worker could load what it pickles."""
    with pytest.raises(AutoHPOError, match=text):
        monkeypatch.setattr("autohpo.execution.hosts.executor.HostSetup", lambda *_, **__: setup)
        with driven(DaskExecutor(cluster), identity) as executor:
            ready(executor)


def test_workers_without_autohpo_say_so(engine):
    """What dask reports of such a task becomes a text that says what to install."""
    engine.start(0)

    class Future:
        key = engine._hosts[0].key
        status = "error"

        def exception(self):
            return ModuleNotFoundError("No module named 'autohpo'", name="autohpo")

    engine._on_done(Future())
    heard = heard_until(engine, lambda found: any(one.message and b"bye" in one.message for one in found))
    fields = next(Message.unpack(one.message) for one in heard if Message.unpack(one.message).kind == BYE).fields
    assert fields["is_fault"]
    assert "autohpo is not installed where dask's workers run" in fields["why"]


def test_a_host_ends_when_its_worker_closes_gracefully(cluster):
    """Its trial is LOST at once, with the reason, and not when the worker is gone."""
    from distributed.core import Status

    def waits(hp):
        import time

        time.sleep(60)

    with driven(DaskExecutor(cluster), waits) as executor:
        submit(executor, ready(executor)[0], 0, x=0.5)
        (worker,) = cluster.workers.values()
        worker._status, before = Status.closing_gracefully, worker._status
        try:
            assert "its dask worker is closing" in end_of(executor, 0).outcome.error
        finally:
            worker._status = before
