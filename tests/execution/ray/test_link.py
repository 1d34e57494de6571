"""The two ends between driver and actor: nothing is lost, doubled or out of order, whatever calls are."""

from __future__ import annotations

import threading
import time

import pytest

from autohpo.execution.ray.link import RayLink, Said, Unheard


def said(link, n_heard):
    """What an actor answers."""
    return Said(*link.collect(n_heard))


def test_messages_are_kept_until_they_were_heard():
    """Each has a number, and what has come is forgotten."""
    unheard = Unheard()
    assert [unheard.add(message) for message in (b"a", b"b", b"c")] == [0, 1, 2]
    unheard.heard(2)
    assert unheard.rest() == (2, [b"c"])
    unheard.heard(1)  # an answer that was under way for longer
    assert unheard.rest() == (2, [b"c"])
    assert unheard.add(b"d") == 3


def test_a_host_hears_every_message_once_and_in_order():
    """Messages that come again are left out, and those that come before an earlier one are not taken."""
    link = RayLink(60.0)
    link.deliver(0, [b"a"])
    link.deliver(2, [b"c"])  # b was lost on the way
    link.deliver(0, [b"a", b"b", b"c"])
    link.deliver(1, [b"b", b"c", b"d"])
    assert link.receive(0.0) == [b"a", b"b", b"c", b"d"]
    assert link.receive(0.0) == []


def test_an_answer_that_was_lost_is_given_again():
    """The driver says what it has heard, and gets all that follows."""
    link = RayLink(60.0)
    link.send(b"a")
    link.send(b"b")
    assert said(link, 0) == (0, [b"a", b"b"], 0, None)
    assert said(link, 0) == (0, [b"a", b"b"], 0, None)
    link.deliver(0, [b"x"])
    link.send(b"c")
    assert said(link, 1) == (1, [b"b", b"c"], 1, None)
    link.end("it is done")
    assert said(link, 3) == (3, [], 1, "it is done")


def test_who_waits_for_a_message_gets_it_at_once():
    """On both sides."""
    link = RayLink(60.0)
    for wait, act in ((lambda: said(link, 0), lambda: link.send(b"a")), (lambda: link.receive(60.0), _deliver(link))):
        found = []
        thread = threading.Thread(target=lambda wait=wait, found=found: found.append(wait()))
        thread.start()
        act()
        thread.join(20)
        assert found


def _deliver(link):
    return lambda: link.deliver(0, [b"x"])


@pytest.mark.parametrize("sign", ["deliver", "collect"])
def test_a_host_is_wanted_while_its_driver_gives_signs_of_life(sign, monkeypatch):
    """Not longer than a lease after the last one."""
    now = 1000.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    link = RayLink(30.0)
    link.send(b"a")
    now += 29.0
    assert link.is_wanted()
    link.deliver(0, []) if sign == "deliver" else link.collect(0)
    now += 29.0
    assert link.is_wanted()
    now += 2.0
    assert not link.is_wanted()


def test_a_host_is_not_wanted_without_the_daemon_of_ray(monkeypatch):
    """Its process has another parent once that is dead."""
    link = RayLink(30.0)
    monkeypatch.setattr("os.getppid", lambda: 1)
    assert not link.is_wanted()
