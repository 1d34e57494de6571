"""A host ends when it is no longer wanted, and says why."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))  # pytest imports test files by their path alone

from thread_engine import ThreadEngine, ThreadLink

from autohpo.execution.hosts.host import serve
from autohpo.execution.hosts.messages import Message
from autohpo.execution.hosts.setup import HostSetup


class Leaving(ThreadLink):
    """The end of a host whose worker is about to close."""

    why_unwanted = "its worker is closing"


def test_a_host_says_why_it_is_no_longer_wanted():
    """The driver is gone, if its engine knows nothing better."""
    engine = ThreadEngine()
    for kind, why in ((ThreadLink, "its driver is gone"), (Leaving, "its worker is closing")):
        link = kind(engine, 0)
        link.is_up = False
        assert serve(HostSetup(b"nothing that anybody unpickles"), 0, link) == why
        (bye,) = [m for m in (Message.unpack(one.message) for one in engine.take(0)) if m.kind == "bye"]
        assert bye.fields == {"why": why}
