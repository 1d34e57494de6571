"""The channel of files: every message once and in order, also in pieces; and the mark of a driver that lives."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from autohpo import AutoHPOError
from autohpo.execution.pools import driver_mark
from autohpo.execution.pools.driver_mark import DriverMark, DriverWatch
from autohpo.execution.pools.mailbox import MailboxReader, MailboxWriter


def test_messages_of_any_length_come_once_and_in_order(tmp_path):
    """Also empty ones, and one that is longer than a read."""
    reader, writer = MailboxReader(tmp_path / "box"), MailboxWriter(tmp_path / "box")
    assert reader.take() == []
    messages = [b"", b"one", os.urandom(3_000_000), b"last"]
    for message in messages[:2]:
        writer.put(message)
    assert reader.take() == messages[:2]
    for message in messages[2:]:
        writer.put(message)
    assert reader.take() == messages[2:]
    assert reader.take() == []


def test_half_a_message_is_waited_for(tmp_path):
    """A network file system may show the first part of what is being written."""
    MailboxWriter(tmp_path / "whole").put(b"hello")
    data = (tmp_path / "whole").read_bytes()
    reader = MailboxReader(tmp_path / "box")
    for end in range(1, len(data)):
        (tmp_path / "box").write_bytes(data[:end])
        assert reader.take() == []
    (tmp_path / "box").write_bytes(data)
    assert reader.take() == [b"hello"]


def test_a_message_that_was_changed_is_an_error(tmp_path):
    """It is never handed on."""
    MailboxWriter(tmp_path / "box").put(b"hello")
    data = bytearray((tmp_path / "box").read_bytes())
    data[-1] ^= 1
    (tmp_path / "box").write_bytes(data)
    with pytest.raises(AutoHPOError, match="is damaged: a message is not what was written"):
        MailboxReader(tmp_path / "box").take()


def test_a_channel_that_is_gone_takes_messages_in_silence(tmp_path):
    """The other side is gone, too, which its end says."""
    MailboxWriter(tmp_path / "gone" / "box").put(b"hello")
    assert MailboxReader(tmp_path / "gone" / "box").take() == []


class Clock:
    """A clock that a test moves."""

    now = 100.0

    @classmethod
    def monotonic(cls):
        return cls.now


@pytest.fixture
def clock(monkeypatch):
    """The clock of the watch."""
    monkeypatch.setattr(driver_mark, "time", Clock)
    Clock.now = 100.0
    return Clock


def looks(watch, clock, n, seconds=1.0):
    """What the watch says, look after look."""
    said = []
    for _ in range(n):
        clock.now += seconds
        said.append(watch.is_alive())
    return said


def test_a_driver_that_closes_ends_its_hosts_within_seconds(tmp_path, clock):
    """Its mark is gone; one look that does not find it may be the fault of a network file system."""
    mark = DriverMark(tmp_path, 1000.0)
    watch = DriverWatch(tmp_path, 30.0)
    assert looks(watch, clock, 3) == [True] * 3
    mark.close()
    assert looks(watch, clock, 4) == [True, True, False, False]


def test_a_driver_whose_mark_stands_still_is_gone(tmp_path, clock):
    """On another machine, where its process cannot be seen; a host that was stopped itself starts to count anew."""
    mark = DriverMark(tmp_path, 1000.0)
    path = tmp_path / driver_mark.NAME
    path.write_text(path.read_text().replace('"boot": "', '"boot": "another '))
    watch = DriverWatch(tmp_path, 30.0)
    assert looks(watch, clock, 20) == [True] * 20
    clock.now += 500
    assert looks(watch, clock, 25) == [True] * 25
    mark._write()
    assert looks(watch, clock, 29) == [True] * 29
    path.write_text(path.read_text().replace('"boot": "', '"boot": "another '))
    assert looks(watch, clock, 40)[-1] is False
    mark.close()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_a_driver_that_was_killed_on_this_machine_is_seen_at_once(tmp_path, clock):
    """Its process is no more, or its number is another one's."""
    code = "import sys; from pathlib import Path; from autohpo.execution.pools.driver_mark import DriverMark; "
    code += "DriverMark(Path(sys.argv[1]), 1000.0); import os; os._exit(0)"
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True)
    assert looks(DriverWatch(tmp_path, 30.0), clock, 1) == [False]
    path = tmp_path / driver_mark.NAME
    DriverMark(tmp_path, 1000.0)._closing.set()
    assert looks(DriverWatch(tmp_path, 30.0), clock, 1) == [True]
    start = driver_mark._start_of(os.getpid())
    path.write_text(path.read_text().replace(f'"start": "{start}"', '"start": "1"'))
    assert looks(DriverWatch(tmp_path, 30.0), clock, 1) == [False]
