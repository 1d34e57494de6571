"""A host by itself: what it says when it starts, and when it ends."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from autohpo import AutoHPOError
from autohpo.execution.hosts.devices import Devices
from autohpo.execution.hosts.engine import Link
from autohpo.execution.hosts.host import serve
from autohpo.execution.hosts.messages import BYE, HELLO, Message
from autohpo.execution.hosts.setup import HostSetup
from autohpo.execution.mains import dump_objective
from autohpo.objective import Objective


class Recorder(Link):
    """A driver that is gone after some looks, and says what it was told to."""

    def __init__(self, n_looks=1, *says):
        self.n_looks, self.says, self.heard = n_looks, [*says], []

    def receive(self, timeout_seconds):
        said, self.says = self.says, []
        return said

    def send(self, message):
        self.heard.append(Message.unpack(message))

    def is_wanted(self):
        self.n_looks -= 1
        return self.n_looks > 0

    @property
    def kinds(self):
        return [message.kind for message in self.heard]


@pytest.fixture
def setup(tmp_path):
    """What hosts of a small objective are started with."""
    dump_objective(Objective.of(lambda hp: hp["x"]), tmp_path / "objective")
    return HostSetup((tmp_path / "objective").read_bytes())


def test_a_host_says_where_it_is_and_ends_with_its_driver(setup):
    """It is ready before its worker is: a task waits for that."""
    link = Recorder()
    assert serve(setup, 3, link) == "its driver is gone"
    assert link.kinds == [HELLO, BYE]
    assert link.heard[0].fields["process"] == os.getpid()


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (
            {"python": "3.9"},
            "the driver runs 3.9; functions are pickled by value, which needs the same version",
        ),
        ({"version": "0.0"}, "and the driver has 0.0; install the same"),
        ({"n_gpus": 99}, "gpus: each worker needs 99, but of the"),
    ],
    ids=str,
)
def test_a_host_that_cannot_serve_says_why(setup, change, text):
    """The driver raises it; here it is no exception, which engines would wrap."""
    link = Recorder()
    why = serve(replace(setup, **change), 0, link)
    assert text in why
    assert link.kinds == [BYE]
    assert link.heard[0].fields == {"why": why, "is_fault": True}


def test_a_setup_goes_as_bytes_that_are_no_pickle(setup):
    """JSON with the objective behind it; other bytes are named."""
    whole = replace(setup, trial_time_limit=1.5, import_path=("/a", "/b\nc"), arguments=("x",), log_folder="/logs")
    assert HostSetup.unpack(whole.pack()) == whole
    for junk in (b"", b"[1]", b'{"no": 1}\nabc'):
        with pytest.raises(AutoHPOError, match="bytes that are no setup of a host"):
            HostSetup.unpack(junk)


def test_a_host_that_hears_nonsense_ends(setup):
    """What is no message of ours comes from somebody else."""
    link = Recorder(5, b"GET / HTTP/1.1")
    assert "no message" in serve(setup, 0, link)
    assert link.kinds[-1] == BYE


def test_workers_find_what_the_driver_imports_where_it_is_there(setup, tmp_path, monkeypatch):
    """A folder that a host does not have is left out, and the host's own folders come first."""
    there, gone = tmp_path / "there", tmp_path / "gone"
    there.mkdir()
    path = replace(setup, import_path=(str(there), str(gone), sys.path[0]), folder=str(there)).imports()
    assert path[: len(sys.path)] == tuple(sys.path)
    assert path[-1] == str(there)
    assert str(gone) not in path
    assert replace(setup, folder=str(gone)).where() == str(Path.cwd())
    assert replace(setup, folder=str(there)).where() == str(there)


def test_hosts_of_one_process_share_its_devices_out(monkeypatch):
    """Each has its own, or a part of one; who comes too late is told so, and what is given back can be taken again."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,GPU-5")
    with Devices.taken(1) as one, Devices.taken(1) as two:
        assert {*one, *two} == {"3", "GPU-5"}
        with pytest.raises(AutoHPOError, match="needs 1, but of the 2 GPUs that this process of the engine sees 0 are"):
            Devices.taken(1).__enter__()
    with Devices.taken(2) as both:
        assert both == ("3,GPU-5",)
    with Devices.taken(0.5) as half, Devices.taken(0.5) as other_half, Devices.taken(0.5) as third:
        assert half == other_half != third
    with Devices.taken(0) as none:
        assert none == ()
    assert not any(Devices._used.values())
