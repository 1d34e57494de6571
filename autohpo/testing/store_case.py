"""What stores are checked with: a factory of runs by name, and events of every kind."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from autohpo.store import LogEvent, Store
from autohpo.store.base import LogKind

HEADER: dict[str, Any] = {
    "algorithm": "random",
    "options": {"seed": 3, "mode": "max", "eta": 3.0},
    "space": {"parameters": [{"kind": "RangeHP", "name": "lr", "low": 0.1, "high": 1, "step": None}]},
    "version": "0.2.0",
    "name": "first",
}
"""The header of some run."""


@dataclass
class StoreCase:
    """A kind of store under check.

    Attributes:
        make: Returns the store of the run of a name, not open: the same run for the same name.
        read: Returns the same for someone who only reads while a driver writes; None where nobody can.
        destroy: Removes the run of a name, if there is any; None where nothing is left.
    """

    make: Callable[[str], Store]
    read: Callable[[str], Store] | None = None
    destroy: Callable[[str], object] | None = None
    _counter: Iterator[int] = field(default_factory=itertools.count)

    @contextmanager
    def run(self) -> Iterator[Run]:
        """Make a new run, and remove it in the end."""
        run = Run(self, f"run-{next(self._counter)}")
        try:
            yield run
        finally:
            run.close()
            if self.destroy is not None:
                self.destroy(run.name)


class Run:
    """A run of its own: its store is opened where it is asked for, and closed in the end.

    Args:
        case: The kind of store.
        name: The name of the run.
    """

    def __init__(self, case: StoreCase, name: str) -> None:
        self.case, self.name = case, name
        self._stores: list[Store] = []

    def open(self) -> Store:
        """Return the store, open."""
        store = self.case.make(self.name)
        store.open()
        self._stores.append(store)
        return store

    def reopen(self) -> Store:
        """Close the store, and return it anew, open."""
        self.close()
        return self.open()

    def read(self) -> Store:
        """Return the store for someone who only reads."""
        assert self.case.read is not None  # only called where somebody can
        store = self.case.read(self.name)
        self._stores.append(store)
        return store

    def close(self) -> None:
        """Close whatever was opened."""
        while self._stores:
            self._stores.pop().close()


def event(kind: LogKind, number: int, attempt: int = 1, **data: Any) -> LogEvent:
    """Return an event that happened at a time of its own."""
    return LogEvent(kind, number, attempt, data, 1.7e9 + number + attempt / 8)


def trial_events(number: int, **more: Any) -> list[LogEvent]:
    """Return the events of a trial that was lost, started again, reported, ended, and was told of once more.

    Args:
        number: The number of the trial.
        more: More of what the suggestion says.
    """
    hp = {"lr": 0.1 + 0.2, "hops": number % 8, "act": None}
    ask = {"hp": hp, "fidelity": 9.0, "resume": None, "pid": 0, "seed": number, "info": {"rung": 1}}
    end = {"state": "COMPLETE", "perf": [0.5, -12.0], "fidelity": None, "error": "", "cost": 0.25, "why": "it had all"}
    return [
        event("ask", number, 0, **ask, **more),
        event("start", number, 1, slot=0),
        event("interrupt", number, 1, state="LOST", error="the driver died"),
        event("start", number, 2, slot=1),
        event("report", number, 2, fidelity=3.0, perf=0.25),
        event("report", number, 2, fidelity=6.0, perf=0.125),
        event("end", number, 2, **end),
        event("late", number, 1, state="COMPLETE", perf=0.75, fidelity=None, error=""),
    ]
