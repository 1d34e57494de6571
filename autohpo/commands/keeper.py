"""The keeper: what ends the commands of this process when it is killed, and finds what they leave behind."""

from __future__ import annotations

import atexit
import os
import threading
from pathlib import Path

from autohpo.execution.guardian_client import Guardian
from autohpo.execution.tree import RUN, finder_of, read_proc, tree_of

_NOWHERE = Path(os.devnull)  # nothing can be below it: the guardian finds no folder to remove


class Keeper:
    """A guardian of this process's commands: they carry its name in a variable, wherever they go (Linux).

    Attributes:
        variable: The variable, whose value is a number for each command.
    """

    def __init__(self) -> None:
        name = os.urandom(8).hex()
        self.variable = f"{RUN}{name}"
        self.guardian = Guardian(_NOWHERE / name)
        self._strays = finder_of(name)

    def alive(self, leader: int, number: int) -> set[int]:
        """Return the processes of a command that have not ended (Linux).

        Args:
            leader: The process that was started; its group has the same number.
            number: The number of the command.
        """
        found = {*tree_of(leader), *self._strays.find({leader: number}).get(number, ())}
        return {pid for pid in found if _is_alive(pid)}


def _is_alive(pid: int) -> bool:
    """Whether a process is there and no zombie."""
    fields = read_proc(f"/proc/{pid}/stat").rpartition(b")")[2].split()
    return bool(fields) and fields[0] not in (b"Z", b"X")


class _Shared:
    """The keeper that the commands of this process share, from the first of them to the end of the search."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._keeper: Keeper | None = None
        self._process = 0
        self._n_users = self._n_commands = 0
        self._left: list[Keeper] = []  # those of the process that this one was forked from

    def take(self) -> tuple[Keeper, int]:
        """Return the keeper, and a number for one command more; start the keeper where there is none."""
        with self._lock:
            if self._process != os.getpid():
                self._left += [] if self._keeper is None else [self._keeper]
                self._keeper, self._n_users, self._process = None, 0, os.getpid()
                atexit.register(self.close)
            if self._keeper is None:
                self._keeper = Keeper()
            self._n_users += 1
            self._n_commands += 1
            return self._keeper, self._n_commands

    def give_back(self) -> None:
        """Say that a command has ended."""
        with self._lock:
            self._n_users -= 1

    def close(self) -> None:
        """End the keeper, unless a command runs."""
        with self._lock:
            if self._keeper is not None and self._process == os.getpid() and not self._n_users:
                self._keeper.guardian.close()
                self._keeper = None


shared = _Shared()
"""The keeper of this process."""
