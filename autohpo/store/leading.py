"""The leading trials of a store, found without building all the others: what `best` needs of a long log."""

from __future__ import annotations

import heapq
import math
import sqlite3
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import chain
from typing import Any

import numpy as np

from autohpo.errors import StoreCorruptError
from autohpo.objectives import Objectives
from autohpo.spaces import SearchSpace
from autohpo.store.base import LogEvent, Store
from autohpo.store.batches import are_usual
from autohpo.store.checked import BadValueError, check_data, parse_json
from autohpo.store.collecting import collector_paused
from autohpo.store.rows import check_written, data_of
from autohpo.store.run_state import RunState
from autohpo.store.sqlite import SQLiteStore, _event_of
from autohpo.trial import Trial

BATCH = 256  # rows that are read and checked together
MOST = 1_000  # trials that are worth being picked out; beyond, all are read

_BEHIND_HP = '}, "fidelity": '
"""Where a suggestion goes on behind its configuration; no string in it has a bare quote."""

_NO_HP: dict[str, Any] = {}

Key = tuple[bool, float, float, float, int]
"""What trials are ranked by: constraints met, training, constraints missed, result, and the one asked first."""


class _UnusualError(Exception):
    """The log is not as usual, so that all of it must be read: it is damaged, or hard to judge in parts."""


class Leading(RunState):
    """The state of a run, of which only the leading trials and those that confirm them are known.

    Args:
        space: The space of the run.
        objectives: The objectives of the run.
        where: Where the log is kept, for errors.
        found: The trials by number.
        n_asked: How many suggestions there are.
    """

    def __init__(
        self, space: SearchSpace, objectives: Objectives, where: str, found: Mapping[int, Trial], n_asked: int
    ) -> None:
        super().__init__(space, objectives, where)
        self._found, self.n_asked = dict(found), n_asked
        for number in sorted(found):
            if number >= 0:
                self.front.add(found[number])

    def __getitem__(self, number: int) -> Trial:
        """Return one of the trials."""
        return self._found[number]

    def trials(self) -> list[Trial]:
        """Return the leading trials, in the order asked."""
        return [self._found[number] for number in sorted(self._found) if number >= 0]

    def confirming(self) -> list[Trial]:
        """Return the confirming trials, in the order asked: -1, -2 and so on."""
        return [self._found[number] for number in sorted(self._found, reverse=True) if number < 0]


def read_leading(store: SQLiteStore, space: SearchSpace, objectives: Objectives, k: int = 1) -> Leading | None:
    """Return the k best trainings of a run, its best trial, its front, and the trials that confirm them.

    The suggestions and ends of all trials are checked and compared, but only the leading trials are built. Rows of
    other kinds are looked at where they are of one of these; ``check`` looks at all.

    Args:
        store: The store, opened to read.
        space: The space of the run.
        objectives: The objectives of the run.
        k: How many of the best trainings are wanted.

    Returns:
        The leading trials; None where all of the log must be read to say: nobody has a result yet, it is damaged, or
        there are too many of them.
    """
    if k > MOST:
        return None
    try:
        with store._faults(), _snapshot(store._db) as db, collector_paused():
            scan = _Scan(objectives)
            scan.read(db)
            numbers = scan.leading(k)
            rows = _rows(db, "trial < 0" + f" OR trial IN ({','.join(map(str, numbers))})" * bool(numbers))
            events: dict[int, list[LogEvent]] = {}
            for batch in rows:
                for event in batch:
                    events.setdefault(event.trial, []).append(event)
            where = str(store.path)
            found = {number: _folded(events[number], space, objectives, where) for number in events}
            return Leading(space, objectives, where, found, scan.n_asked)
    except (_UnusualError, StoreCorruptError):
        return None


def events_of(store: Store, numbers: Collection[int]) -> list[LogEvent]:
    """Return the events of some trials, in their order.

    Args:
        store: The store, opened to read.
        numbers: The numbers of the trials.

    Raises:
        StoreCorruptError: One of them is not what was written.
    """
    wanted = set(numbers)
    if isinstance(store, SQLiteStore) and len(wanted) <= MOST:
        try:
            with store._faults():
                found = f"trial IN ({','.join(map(str, sorted(wanted)))})"
                return [event for batch in _rows(store._db, found) for event in batch]
        except _UnusualError:
            pass  # which one it is shows below
    return [event for event in store.events() if event.trial in wanted]


@contextmanager
def _snapshot(db: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    """Read as of one moment, also while a driver writes."""
    db.execute("BEGIN")
    try:
        yield db
    finally:
        if db.in_transaction:
            db.execute("ROLLBACK")


def _rows(db: sqlite3.Connection, condition: str) -> Iterator[list[LogEvent]]:
    """Return batches of events, each once its checksum and its form are known to hold."""
    rows = db.execute(f"SELECT * FROM events WHERE {condition} ORDER BY seq")  # noqa: S608 - conditions of ours
    while batch := rows.fetchmany(BATCH):
        data = data_of(batch, None)
        places, times, kinds, trials, attempts, _, _ = zip(*batch, strict=True)
        events = list(map(_event_of, zip(kinds, trials, attempts, data, times, places, strict=True)))
        if not are_usual(events) and any(check_data(event.kind, event.data) for event in events):
            raise _UnusualError
        yield events


def _asks(db: sqlite3.Connection) -> Iterator[list[LogEvent]]:
    """Return batches of suggestions without their configurations, whose JSON takes most of the time to be read.

    Their checksums are checked as a whole.
    """
    rows = db.execute("SELECT * FROM events WHERE kind = 'ask' ORDER BY seq")
    while batch := rows.fetchmany(BATCH):
        check_written(batch, None)
        try:
            tails = ["{" + row[5][row[5].index(_BEHIND_HP) + 3 :] for row in batch]
            data = parse_json(f"[{','.join(tails)}]")
            if len(data) != len(batch) or "hp" in set(chain.from_iterable(data)):
                raise _UnusualError
            for one in data:
                one["hp"] = _NO_HP
            events = [_event_of(("ask", row[3], 0, one, row[1], row[0])) for row, one in zip(batch, data, strict=True)]
        except (BadValueError, TypeError, ValueError, AttributeError):
            raise _UnusualError from None
        if not are_usual(events) and any(check_data("ask", event.data) for event in events):
            raise _UnusualError
        yield events


class _Scan:
    """What all trials have come to, as far as it takes to compare them.

    Args:
        objectives: The objectives of the run.
    """

    def __init__(self, objectives: Objectives) -> None:
        self._n_objectives, self._sign, self._signs = objectives.n, objectives.signs[0], objectives.signs
        self.n_asked = self._n_confirming = 0
        self._keys: list[Key] = []  # of trials with a result
        self._perfs: dict[int, Sequence[float]] = {}  # of those, where there are several objectives
        self._fidelities: dict[int, float] = {}
        self._resumed: dict[int, int] = {}  # the trial that each one continues
        self._confirmed: set[int] = set()

    def read(self, db: sqlite3.Connection) -> None:
        """Take the suggestions and the ends of all trials.

        Raises:
            _UnusualError: They do not make sense without the other events, or at all.
        """
        n, last = db.execute("SELECT count(*), ifnull(max(seq), 0) FROM events").fetchone()
        if n != last:  # one is missing
            raise _UnusualError
        for batch in _asks(db):
            if not self._are_next(batch):
                for event in batch:
                    self._ask(event[1], event[3])
        for batch in _rows(db, "kind = 'end'"):
            for event in batch:
                self._end(event[1], event[3])

    def _are_next(self, batch: Sequence[LogEvent]) -> bool:
        """Take the next suggestions, where all are new ones in full; else say that each must be looked at."""
        are_full = all(event[3]["fidelity"] is None is event[3]["resume"] for event in batch)
        if not are_full or [event[1] for event in batch] != list(range(self.n_asked, self.n_asked + len(batch))):
            return False
        self.n_asked += len(batch)
        return True

    def _ask(self, number: int, data: Mapping[str, Any]) -> None:
        if number < 0:
            self._n_confirming += 1
            if number != -self._n_confirming:
                raise _UnusualError
            confirms = data["info"].get("confirms")
            if confirms is not None:
                self._confirmed.add(confirms)
            return
        if number != self.n_asked:
            raise _UnusualError
        self.n_asked += 1
        if data["fidelity"] is not None:
            self._fidelities[number] = data["fidelity"]
        if data["resume"] is not None:
            if data["resume"] >= number:
                raise _UnusualError
            self._resumed[number] = data["resume"]

    def _end(self, number: int, data: Mapping[str, Any]) -> None:
        if not -self._n_confirming <= number < self.n_asked:
            raise _UnusualError
        perf = data.get("perf")
        if perf is None or number < 0:
            return
        if type(perf) is list or self._n_objectives > 1:
            if type(perf) is not list or len(perf) != self._n_objectives:
                raise _UnusualError
            self._perfs[number], perf = perf, perf[0]
        violation = 0.0
        if "constraints" in data:
            violation = sum((value for value in data["constraints"].values() if value > 0), 0.0)
        reached = self._fidelities.get(number, math.inf)
        if data["state"] == "STOPPED":
            if data.get("fidelity") is None:  # its last report says how far it came
                raise _UnusualError
            reached = data["fidelity"]
        self._keys.append((not violation, reached, -violation, self._sign * perf, -number))

    def leading(self, k: int) -> list[int]:
        """Return the numbers of the trials that are worth being built.

        Args:
            k: How many of the best trainings are wanted.

        Raises:
            _UnusualError: There are too many, or none has a result.
        """
        if not self._keys:
            raise _UnusualError
        best = max(self._keys)
        found = {-best[4], *self._confirmed}
        if self._n_objectives > 1:
            found |= set(self._front([-key[4] for key in self._keys if key[:3] == best[:3]]))
        followers = self._followers()
        last = [key for key in self._keys if -key[4] not in followers] if followers else self._keys
        found |= {-key[4] for key in heapq.nlargest(k, last)}
        found |= {number for one in list(found) for number in _chain(one, followers)}  # they stand for those
        if len(found) > MOST:
            raise _UnusualError
        return sorted(found)

    def _followers(self) -> dict[int, int]:
        """Return a trial with a result that continued each one that was continued to a result."""
        if not self._resumed:
            return {}
        pairs = ((self._resumed.get(-key[4]), -key[4]) for key in self._keys)
        return {source: number for source, number in pairs if source is not None}

    def _front(self, numbers: Sequence[int]) -> Collection[int]:
        """Return those of trials that no other one beats; of equals the one asked first."""
        scores = np.array([self._perfs[number] for number in numbers]) * np.array(self._signs)
        order = np.lexsort((np.array(numbers), *(-scores[:, ::-1].T)))  # whoever beats a trial stands before it
        front = np.empty((0, self._n_objectives))
        kept = []
        for place in order:
            if not (front >= scores[place]).all(axis=1).any():
                front = np.vstack([front, scores[place]])
                kept.append(numbers[place])
                if len(kept) > MOST:
                    raise _UnusualError
        return kept


def _chain(number: int, followers: Mapping[int, int]) -> Iterator[int]:
    """Yield the trials that continued a trial, one after the other."""
    while (later := followers.get(number)) is not None:
        yield later
        number = later


def _folded(events: Sequence[LogEvent], space: SearchSpace, objectives: Objectives, where: str) -> Trial:
    """Return a trial as its own events tell it: as the only one of a log.

    Raises:
        StoreCorruptError: They contradict each other.
    """
    state = RunState(space, objectives, where)
    first = events[0]
    if first.kind != "ask":
        raise _UnusualError
    alone = {**first.data, "resume": None, "fork": None}
    for event in (first._replace(data=alone), *events[1:]):
        state.apply(event._replace(trial=0))
    return replace(state[0], number=first.trial, resume=first.data["resume"], fork=first.data.get("fork"))
