"""What the tests of processes share."""

from __future__ import annotations

import time
from pathlib import Path


def pid_of(driver, slot=0):
    """The process of a slot."""
    return driver.executor._slots[slot].process.pid


def children():
    """Pids of this process's children, zombies included."""
    return {
        int(pid) for thread in Path("/proc/self/task").iterdir() for pid in (thread / "children").read_text().split()
    }


def is_running(pid):
    """Whether a process is there and no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def wait_until(condition, seconds=5.0):
    """Whether a condition comes true in time."""
    until = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > until:
            return False
        time.sleep(0.01)
    return True
