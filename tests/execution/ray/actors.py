"""What the tests with Ray share: its processes, and an executor that keeps what it has said."""

from __future__ import annotations

import os
import time
from pathlib import Path

from autohpo.execution.ray.executor import RayExecutor
from autohpo.execution.ray.sockets import tree_of


def named(title, root=None):
    """The processes below one that have a title, this one by default."""
    found = []
    for pid in tree_of(os.getpid() if root is None else root):
        try:
            command = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
        except OSError:
            continue
        if title in command:
            found.append(pid)
    return found


def actors(root=None):
    """The processes of actors."""
    return named("ray::HostActor", root)


def is_running(pid):
    """Whether a process is there and no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def wait_until(condition, seconds=60.0):
    """Whether a condition comes true in time."""
    until = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > until:
            return False
        time.sleep(0.02)
    return True


class Recording(RayExecutor):
    """Keeps all events and reports, in order, and calls a function at each event.

    Attributes:
        delivered: What it has said.
        at: The function; None for none.
    """

    def __init__(self, *args, at=None, **options):
        super().__init__(*args, **options)
        self.delivered, self.at = [], at

    def open(self, objective, on_report):
        def record(event):
            self.delivered.append(event)
            return on_report(event)

        super().open(objective, record)

    def poll(self, timeout_seconds):
        events = super().poll(timeout_seconds)
        for event in events:
            self.delivered.append(event)
            if self.at is not None:
                self.at(event)
        return events
