"""Salvage: what can still be read of a damaged store, into a new one; and a look at whether a store is whole."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from autohpo.errors import AutoHPOError, NoRunError, SpaceError, StoreCorruptError, StoreError
from autohpo.objectives import Objectives
from autohpo.store.base import LogEvent
from autohpo.store.checked import BadValueError, check_data, check_kept_header, check_row, parse_json
from autohpo.store.described import mode_of, space_of
from autohpo.store.lock import Count, RunLock
from autohpo.store.opening import beside, checked_path, size_of
from autohpo.store.pages import Found, search
from autohpo.store.rows import crc_of
from autohpo.store.run_state import RunState
from autohpo.store.sqlite import SQLiteStore
from autohpo.store.wal import walk

BATCH = 10_000  # events that are written together


@dataclass(frozen=True)
class Repaired:
    """What :func:`repair` found, lost, and wrote.

    Attributes:
        path: The path of the damaged store, which is as it was; of a study in a database its URL without secrets.
        to: The path of the new one.
        n_found: How many events were found whole.
        n_lost: How many were not, as far as the numbers of the others and the lock file tell.
        lost: Where they are missing: pairs of the first and the last place in the log.
        n_written: How many events the new store has.
        dropped: Why others that were found are not in it, and how many for each reason.
        has_header: Whether it knows which run it is; else the first search that uses it says so.
        is_renumbered: Whether trials have other numbers than they had, as some are lost.
    """

    path: Path | str
    to: Path
    n_found: int
    n_lost: int
    lost: Sequence[tuple[int, int]]
    n_written: int
    dropped: Mapping[str, int] = field(default_factory=dict)
    has_header: bool = True
    is_renumbered: bool = False

    def __str__(self) -> str:
        lines = [f"{self.n_found} events of {self.path} were found, {self.n_lost} are lost"]
        if self.lost:
            places = [f"{a}" if a == b else f"{a}-{b}" for a, b in self.lost[:10]]
            lines[0] += f" (in the log at {', '.join(places)}{', ...' if len(self.lost) > 10 else ''})"
        lines += [f"left out: {n} ({why})" for why, n in self.dropped.items()]
        lines.append(f"{self.to} has {self.n_written}")
        if not self.has_header:
            lines.append("what kind of run it was is lost: use it with the space, algorithm and options it had")
        if self.is_renumbered:
            lines.append("trials have new numbers, so checkpoints of the old ones do not fit them")
        return "; ".join(lines)


@dataclass(frozen=True)
class Checked:
    """What :func:`check` found.

    Attributes:
        path: The path of the store.
        n_events: How many events can be read in the usual way; 0 where it does not open.
        n_found: How many whole events its files hold, also behind damage.
        problems: What is wrong, a sentence each; none where the store is whole.
    """

    path: Path
    n_events: int
    n_found: int
    problems: Sequence[str] = ()

    @property
    def is_whole(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems

    def __str__(self) -> str:
        if self.is_whole:
            return f"{self.path} is whole: {self.n_events} events"
        return f"{self.path}: {self.n_found} whole events can be salvaged; " + "; ".join(self.problems)


def repair(path: str | os.PathLike[str], to: str | os.PathLike[str] | None = None) -> Repaired:
    """Take every event whose checksum holds out of a damaged store, and write them into a new one.

    The main file and its ``-wal`` are searched, also behind damage and where the table cannot be read any more. They
    are left as they are. The new log is consistent, so that a search can go on with it: of a trial whose suggestion is
    lost nothing is kept, and the trials behind it move up. Checkpoints and logs (``path.files``) are not copied.

    Args:
        path: The path of the damaged store.
        to: The path of the new store; None puts it beside, with ``.repaired`` in its name.

    Raises:
        StoreError: There is no such store, or the new one exists already.
        StoreCorruptError: Nothing in it can be read.
        RunBusyError: A driver has it.

    Example:
        >>> import tempfile
        >>> from autohpo import RangeHP, build_hpo_from_name
        >>> path = tempfile.mkdtemp() + "/run.db"
        >>> hpo = build_hpo_from_name("random", [RangeHP("x", 0.0, 1.0)], lambda hp: hp["x"], max_evals=5)
        >>> _ = hpo.optimize(store=path, progress=False)
        >>> repair(path).n_lost
        0
    """
    source = checked_path(path, "path")
    target = checked_path(source.with_name(f"{source.stem}.repaired{source.suffix}") if to is None else to, "to")
    lock = _lock_of(source)
    if any(size_of(beside(target, ending)) for ending in ("", "-wal")):
        raise StoreError(f"to: {target} exists already; name a new file")
    found, count = search(source), lock.count()
    if not found.rows and not found.headers:
        raise StoreCorruptError(
            f"store: no event of a run can be read in {source} or {source.name}-wal; nothing was written"
        )
    log = _Log()
    for row in found.rows.values():
        log.take(row)
    header = _header_of(found, count)
    store = SQLiteStore(target)
    store.open()
    try:
        if header is not None:
            store.begin(header)
        for start in range(0, len(log.events), BATCH):
            store.append(log.events[start : start + BATCH], sync=False)
        store.append([])
    finally:
        store.close()
    lost = _gaps(found.rows, 0 if count is None or header is None else count.committed)
    return Repaired(
        source,
        target,
        len(found.rows),
        sum(b - a + 1 for a, b in lost),
        lost,
        len(log.events),
        dict(log.dropped),
        header is not None,
        log.is_renumbered,
    )


def check(path: str | os.PathLike[str]) -> Checked:
    """Look at a whole store: every page, every row, and whether its events make sense together. Nothing is changed.

    Args:
        path: The path of the store.

    Raises:
        StoreError: There is no such store.
        RunBusyError: A driver has it.
    """
    source = checked_path(path, "path")
    _lock_of(source)
    found, problems, n_events = search(source), [], 0
    wal = walk(beside(source, "-wal"))
    if wal.n_behind:
        problems.append(f"{source.name}-wal is damaged: {wal.n_behind} whole pages lie behind a part that is not")
    try:
        store = SQLiteStore(source, read_only=True)
        try:
            faults = [text for (text,) in store._db.execute("PRAGMA integrity_check(5)")]
            problems += [f"SQLite says: {text}" for text in faults if text != "ok"]
            n_events = _fold(store)
        finally:
            store.close()
    except Exception as error:  # SQLite's own, where a page cannot be read
        problems.append(str(error) if isinstance(error, AutoHPOError) else f"{type(error).__name__}: {error}")
    if len(found.rows) > n_events:
        problems.append(f"{len(found.rows) - n_events} whole events are out of SQLite's reach")
    return Checked(source, n_events, len(found.rows), problems)


def _fold(store: SQLiteStore) -> int:
    """Take all events of a store in the order of its log, and return how many there are.

    Raises:
        AutoHPOError: One is none that autohpo writes.
    """
    header = store.header
    if header is None:
        raise NoRunError(f"store: {store.path} holds no run yet")
    try:
        space = space_of(header, store.path)
    except SpaceError:  # with values that only the program that made it knows
        return sum(1 for _ in store.events())
    objectives = Objectives.of(mode_of(header, store.path))
    return RunState(space, objectives, str(store.path)).follow(store.events()).seq


def _lock_of(path: Path) -> RunLock:
    """Return the lock of a store that no driver has.

    Raises:
        StoreError: There is no such store.
        RunBusyError: A driver has it.
    """
    if path.is_dir():
        raise StoreError(f"store: {path} is a folder; name the file of the store")
    if not path.is_file() and not size_of(beside(path, "-wal")):
        raise NoRunError(f"store: {path} does not exist")
    lock = RunLock(beside(path, ".lock"))
    lock.check_free()
    return lock


def _header_of(found: Found, count: Count | None) -> dict[str, Any] | None:
    """Return the header that is the run's; None where it is lost."""
    wanted = [text for text in found.headers if count is None or crc_of(text) == count.run]
    for text in reversed(wanted or found.headers):
        try:
            header = parse_json(text)
        except BadValueError:
            continue
        if not check_kept_header(header):
            return header  # type: ignore[no-any-return]
    return None


def _gaps(places: Iterable[int], n_known: int) -> list[tuple[int, int]]:
    """Return where a log has no events, up to the last one that is known to have been there."""
    gaps, expected = [], 1
    for place in places:
        if place > expected:
            gaps.append((expected, place - 1))
        expected = place + 1
    if n_known >= expected:
        gaps.append((expected, n_known))
    return gaps


@dataclass
class _Trial:
    """A trial that the new log has."""

    number: int
    attempt: int = 0  # in the new log
    old_attempt: int = 0
    has_ended: bool = False


class _Log:
    """A consistent log of events of which some are missing."""

    def __init__(self) -> None:
        self.events: list[LogEvent] = []
        self.dropped: Counter[str] = Counter()
        self.is_renumbered = False
        self._trials: dict[int, _Trial] = {}  # by the number they had
        self._next = {True: 0, False: -1}  # the number of the next trial, and of the next confirming one

    def take(self, row: Sequence[Any]) -> None:
        """Take the next row, if it makes sense after those before it."""
        place, time, kind, number, attempt, text, _ = row
        try:
            data = parse_json(text)
        except BadValueError as error:
            self.dropped[f"its data is no JSON ({error})"] += 1
            return
        wrong = check_row(row) or check_data(kind, data)
        if wrong:
            self.dropped[f"no event that autohpo writes ({wrong})"] += 1
            return
        event = LogEvent(kind, number, attempt, data, time, place)
        why = self._ask(event) if kind == "ask" else self._more(event)
        if why:
            self.dropped[why] += 1

    def _ask(self, event: LogEvent) -> str:
        if event.trial in self._trials:
            return "a second suggestion of a trial"
        if event.trial < 0 and self.is_renumbered:
            return "it confirms a trial that may have another number now"
        data, number = dict(event.data), self._next[event.trial >= 0]
        if number < 0 and data["info"].get("confirms") is not None:
            confirmed = self._trials.get(data["info"]["confirms"])
            if confirmed is None:
                return "it confirms a trial that is lost"
            data["info"] = {**data["info"], "confirms": confirmed.number}
        for name in ("resume", "fork"):
            before = data.get(name)
            if before is not None:
                earlier = self._trials.get(before)
                if earlier is None or not earlier.has_ended:
                    return "it continues a trial that is lost, or whose end is"
                data[name] = earlier.number
        self._next[number >= 0] += 1 if number >= 0 else -1
        self._trials[event.trial] = _Trial(number)
        self.is_renumbered = self.is_renumbered or number != event.trial
        self.events.append(event._replace(trial=number, data=data, seq=0))
        return ""

    def _more(self, event: LogEvent) -> str:
        trial = self._trials.get(event.trial)
        if trial is None:
            return "the suggestion of its trial is lost"
        attempt = trial.attempt
        if event.kind == "late" and event.attempt != trial.old_attempt:
            attempt = max(0, attempt - 1)  # one that does not count stays so
        elif event.kind != "late":
            if trial.has_ended:
                return "its trial has ended before"
            if event.kind == "start":
                attempt = trial.attempt = trial.attempt + 1
                trial.old_attempt = event.attempt
            elif event.attempt < trial.old_attempt or (event.kind == "interrupt" and attempt < min(event.attempt, 1)):
                return "its attempt is not the last one"
        trial.has_ended = trial.has_ended or event.kind == "end"
        self.events.append(event._replace(trial=trial.number, attempt=attempt, seq=0))
        return ""
