"""What the tests of commands share: a box in time, and processes that are looked at from outside."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def _time_box() -> Iterator[None]:
    """Ends a test that hangs."""

    def give_up(*_: object) -> None:
        raise TimeoutError("the test hangs")

    before = signal.signal(signal.SIGALRM, give_up)
    signal.alarm(60)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.fixture(autouse=True)
def _nothing_is_left() -> Iterator[None]:
    """No test leaves a child of this process, zombies included: helpers end with their searches."""
    from autohpo.commands.keeper import shared

    before = children()
    yield
    shared.close()
    until = time.monotonic() + 5
    while children() - before and time.monotonic() < until:
        time.sleep(0.01)
    assert children() - before == set()


def children() -> set[int]:
    """Pids of this process's children, zombies included; none where there is no /proc."""
    found: set[int] = set()
    for thread in Path("/proc/self/task").glob("*"):
        try:
            found |= set(map(int, (thread / "children").read_text().split()))
        except OSError:
            continue
    return found


class Tree:
    """A command that starts a tree of processes, and where these stand.

    One child stays in the group of the command, one leaves it, and one leaves it behind a parent that has ended.

    Args:
        folder: The folder for its files.
    """

    N = 4

    def __init__(self, folder: Path) -> None:
        self.pids_file = folder / "pids"
        self.script = folder / "tree.sh"
        self.script.write_text(
            f"exec 2>/dev/null\n"
            f"echo $$ >> {self.pids_file}\n"
            f"sleep 600 & echo $! >> {self.pids_file}\n"
            f"setsid sleep 600 & echo $! >> {self.pids_file}\n"
            f"(setsid sh -c 'echo $$ >> {self.pids_file}; exec sleep 600' &)\n"
            f"while [ $(wc -l < {self.pids_file}) -lt {self.N} ]; do sleep 0.01; done\n"
        )

    def command(self, then: str) -> list[str]:
        """A command that starts the tree and then does something else; braces are doubled."""
        text = f". {self.script}; {then}"
        return ["sh", "-c", text.replace("{", "{{").replace("}", "}}")]

    def pids(self, n: int = N) -> list[int]:
        """The processes, once all are there."""
        until = time.monotonic() + 20
        while time.monotonic() < until:
            if self.pids_file.exists():
                found = [int(line) for line in self.pids_file.read_text().splitlines()]
                if len(found) >= n:
                    return found
            time.sleep(0.01)
        raise AssertionError("the processes did not start")

    def are_gone(self, seconds: float = 5.0, n: int = N) -> bool:
        """Whether all of them end in time."""
        until = time.monotonic() + seconds
        while any(map(is_running, self.pids(n))):
            if time.monotonic() > until:
                return False
            time.sleep(0.01)
        return True

    def clean(self) -> None:
        """End what a failed test left."""
        for pid in map(int, self.pids_file.read_text().split()) if self.pids_file.exists() else ():
            if is_running(pid):
                os.kill(pid, signal.SIGKILL)


def is_running(pid: int) -> bool:
    """Whether a process is there and no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


@pytest.fixture
def tree(tmp_path: Path) -> Iterator[Tree]:
    """A tree of processes, of which nothing stays."""
    found = Tree(tmp_path)
    yield found
    found.clean()
