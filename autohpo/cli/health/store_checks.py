"""The health of a store: whether it is whole, who has it, what waits in it, and what lies beside it."""

from __future__ import annotations

import os
import re
import shlex
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from autohpo.cli.health import machine
from autohpo.cli.health.findings import Check, Finding, Level, size_text
from autohpo.errors import NoRunError, RunBusyError, SpaceError, StoreCorruptError, StoreError
from autohpo.objectives import Objectives
from autohpo.store import RunState, SQLiteStore, check
from autohpo.store.base import LogEvent
from autohpo.store.described import mode_of, space_of
from autohpo.store.lock import RunLock

LEAST_FREE = 50 * 10**6
SHOWN = 5
_LEFT = re.compile(r"trial-\d+\.(partial|removed)")


def checks(path: Path) -> list[Check]:
    """Return the checks of a store.

    Args:
        path: The path of its file.
    """
    health = _Health(path)
    return [
        ("lock", health.lock),
        ("log", health.log),
        ("run", health.run),
        ("files", health.files),
        ("left over", health.left_over),
        ("permissions", health.permissions),
        ("file system", lambda: machine.file_system("file system", path.parent)),
        ("disk", health.disk),
    ]


class _Health:
    """The checks of one store."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._is_busy = self._is_unread = False

    def lock(self) -> Iterator[Finding]:
        """Yield who writes to the store."""
        try:
            RunLock(_beside(self.path, ".lock")).check_free()
        except RunBusyError as error:
            self._is_busy = True
            yield Finding("lock", str(error).removeprefix("store: "))
        else:
            yield Finding("lock", "nobody writes to it")

    def log(self) -> Iterator[Finding]:
        """Yield whether every page and every row is whole, and whether the events make sense together."""
        if self._is_busy:
            store = SQLiteStore(self.path, read_only=True)
            try:
                n_events = sum(1 for _ in store.events())
            finally:
                store.close()
            advice = "run this again when nobody writes to it, to have every page looked at"
            yield Finding("log", f"{n_events} events can be read, each as it was written", "note", advice)
            return
        try:
            SQLiteStore(self.path, read_only=True).close()
        except StoreCorruptError:
            pass  # what is wrong with it comes below
        except StoreError as error:  # nothing is in it yet, or a newer release made it
            self._is_unread = True
            level: Level = "note" if isinstance(error, NoRunError) else "problem"
            yield Finding("log", str(error).removeprefix("store: "), level)
            return
        try:
            found = check(self.path)
        except RunBusyError as error:  # it has begun in the meantime
            yield Finding("log", str(error).removeprefix("store: "), "note")
            return
        if found.is_whole:
            yield Finding("log", f"it is whole: {found.n_events} events")
            return
        for problem in found.problems:
            yield Finding("log", problem.removeprefix("store: "), "damage")
        self._is_unread = True
        if found.n_found:
            advice = f"autohpo repair {shlex.quote(str(self.path))}"
            yield Finding("log", f"{found.n_found} whole events can be saved into a new store", "damage", advice)
        else:
            yield Finding("log", "no whole event is left in it: only a copy made earlier can help", "damage")

    def run(self) -> Iterator[Finding]:
        """Yield which run it holds, how far it is, and which trials wait for a result."""
        if self._is_unread:
            return
        store = SQLiteStore(self.path, read_only=True)
        try:
            header = store.header
            if header is None:
                yield Finding("run", "it holds no run yet", "note")
                return
            events = list(store.events())
        finally:
            store.close()
        name = f" {header['name']!r}" if header.get("name") else ""
        made = f"made by autohpo {header.get('version', 'of an unknown release')}"
        yield Finding("run", f"{header.get('algorithm', 'an unknown algorithm')}{name}, {made}")
        kinds = Counter(event.kind for event in events)
        try:
            space = space_of(header, self.path)
        except SpaceError:
            yield Finding("trials", f"{kinds['ask']} were asked for, {kinds['end']} have ended")
            return
        state = RunState(space, Objectives.of(mode_of(header, self.path)), str(self.path)).follow(events)
        yield from _trials(state, events, is_busy=self._is_busy, path=self.path)

    def files(self) -> Iterator[Finding]:
        """Yield how large the store and the folder of its files are."""
        parts = [f"{size_text(_size(self.path))}"]
        wal = _beside(self.path, "-wal")
        if _size(wal):
            parts.append(f"{size_text(_size(wal))} in {wal.name}")
        folder = _beside(self.path, ".files")
        if folder.is_dir():
            n_files, n_bytes = _measured(folder)
            parts.append(f"{size_text(n_bytes)} in {n_files} files of checkpoints and logs in {folder.name}")
        yield Finding("size", ", ".join(parts))

    def left_over(self) -> Iterator[Finding]:
        """Yield what killed processes have left beside the store."""
        wal, dropped = _beside(self.path, "-wal"), _beside(self.path, "-wal.dropped")
        if _size(wal) and not self._is_busy:
            text = f"{wal.name} has results that are not in the main file yet; the next search takes them over"
            yield Finding("left over", text, "note", f"keep it beside {self.path.name}, also where the store is copied")
        if dropped.exists():
            text = f"{dropped.name} is a copy of a log whose end was torn when the machine stopped"
            yield Finding("left over", text, "note", f"remove it once the run is as it should be: rm {dropped.name}")
        if _beside(self.path, "-journal").exists():
            text = f"{self.path.name}-journal: the store was being made when its process ended"
            yield Finding("left over", text, "note", "the next search that uses it makes it anew")
        folder = _beside(self.path, ".files")
        left = sorted(p.name for p in folder.iterdir() if _LEFT.fullmatch(p.name)) if folder.is_dir() else []
        if left and not self._is_busy:
            text = f"{len(left)} checkpoints that were being copied or removed: {', '.join(left[:SHOWN])}"
            yield Finding("left over", text, "note", "the next search that uses the store removes them")
        repaired = self.path.with_name(f"{self.path.stem}.repaired{self.path.suffix}")
        if repaired.exists():
            yield Finding("left over", f"{repaired.name} is beside it, from an earlier repair", "note")

    def permissions(self) -> Iterator[Finding]:
        """Yield whether a search could write here."""
        for what, place in (("the file", self.path), ("its folder", self.path.parent)):
            if not os.access(place, os.W_OK):
                yield Finding("permissions", f"{what}, {place}, cannot be written: the run can only be read", "note")
        if self.path.exists() and self.path.stat().st_nlink > 1:
            text = f"{self.path.name} has {self.path.stat().st_nlink} hard links, and no search takes such a file"
            yield Finding("permissions", text, "problem", "make a copy, and use that")

    def disk(self) -> Iterator[Finding]:
        """Yield whether the disk has room for more."""
        least = max(LEAST_FREE, _size(self.path))
        yield machine.free_room("disk", self.path.parent, "make room: a search waits where the disk is full", least)


def _trials(state: RunState, events: list[LogEvent], *, is_busy: bool, path: Path | str) -> Iterator[Finding]:
    """Yield how many trials there are, and which ones wait."""
    best = "" if state.best is None else f"; the best is trial {state.best.number}"
    known = f", {state.n_known} were known" if state.n_known else ""
    counts = f"{state.n_asked} asked for: {state.n_done} have a result, {state.n_failed} failed{known}"
    yield Finding("trials", f"{counts}, {sum(number >= 0 for number in state.running)} have no end{best}")
    waiting = [number for number in state.running if number >= 0]
    if waiting and not is_busy:
        asked = {event.trial: event.time for event in events if event.kind == "ask"}
        named = [
            f"{number}" + (f" (client {state.clients[number]})" if number in state.clients else "")
            for number in waiting[:SHOWN]
        ]
        more = f" and {len(waiting) - SHOWN} more" if len(waiting) > SHOWN else ""
        oldest = _ago(min(asked[number] for number in waiting))
        advice = f"tell their results, or `autohpo fail {shlex.quote(str(path))} --number N --reason TEXT`"
        text = f"without an end, the oldest asked for {oldest} ago: {', '.join(named)}{more}"
        yield Finding("trials", text, "note", f"`optimize` runs them when it goes on with the store; else {advice}")


def _ago(at: float) -> str:
    """How long ago a time was, in the largest unit that fits."""
    import time

    seconds = max(0.0, time.time() - at)
    for size, unit in ((86400, "days"), (3600, "hours"), (60, "minutes")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} seconds"


def _beside(path: Path, ending: str) -> Path:
    return path.with_name(path.name + ending)


def _size(path: Path) -> int:
    """The bytes of a file; 0 where there is none."""
    return path.stat().st_size if path.exists() else 0


def _measured(folder: Path) -> tuple[int, int]:
    """How many files a folder has, and their bytes; what vanishes meanwhile does not count."""
    n_files = n_bytes = 0
    for place, _, names in os.walk(folder):
        for name in names:
            try:
                n_bytes += (Path(place) / name).lstat().st_size
                n_files += 1
            except OSError:  # noqa: PERF203 - a search removes checkpoints while this looks
                continue
    return n_files, n_bytes
