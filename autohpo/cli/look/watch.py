"""A run that is watched: what its log says, kept up to date by the events that are new."""

from __future__ import annotations

import time
from bisect import bisect_right
from collections import Counter, deque
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from autohpo.cli.look.budgets import budget_of
from autohpo.control import driver_of, place_of
from autohpo.errors import NoRunError, StoreError, StoreLockedError, StoreOfflineError
from autohpo.objectives import Objectives
from autohpo.store import RunState, Store, open_store
from autohpo.store.collecting import collector_paused
from autohpo.store.described import mode_of, readable_space
from autohpo.store.lock import Holder
from autohpo.trial import Trial

LAST = 50
"""Trials that ended last, which are kept at hand."""

READ_SECONDS = 0.3
"""How long a look reads events at most: a long log is read in several, so that something is shown meanwhile."""

_CLOCK_EVERY = 512  # events between two looks at the clock


@dataclass
class Rung:
    """The trials of one fidelity.

    Attributes:
        n: How many ended with a result.
        best: The best of them.
    """

    n: int = 0
    best: Trial | None = None


@dataclass
class Watched:
    """What is known of a run that is not in its state.

    Attributes:
        course: The best at each change of it: how many trials had ended, and its perf.
        failures: How many trials ended in each state without a result.
        last: The trials that ended last, the newest first.
        rungs: The trials by fidelity, where there are several.
        n_ended: How many trials have ended.
        trained: The fidelity of all trainings together, where a promoted one adds to what it continued.
        first: The time of the first event.
        latest: The time of the last one.
    """

    course: list[tuple[int, float]] = field(default_factory=list)
    failures: Counter[str] = field(default_factory=Counter)
    last: deque[Trial] = field(default_factory=lambda: deque(maxlen=LAST))
    rungs: dict[float, Rung] = field(default_factory=dict)
    n_ended: int = 0
    trained: float = 0.0
    first: float | None = None
    latest: float | None = None
    _reached: dict[int, float] = field(default_factory=dict)

    def take(self, trial: Trial, state: RunState) -> None:
        """Take a trial that has ended, and that the state has taken."""
        self.last.appendleft(trial)
        if trial.number < 0:
            return
        self.n_ended += 1
        self._train(trial)
        if trial.perf is None:
            self.failures[trial.state.value] += 1
            return
        best = state.best
        if best is not None and best.perf is not None and (not self.course or self.course[-1][1] != best.perf):
            self.course.append((self.n_ended, best.perf))
        if trial.fidelity is not None:
            rung = self.rungs.setdefault(trial.reached, Rung())
            rung.n += 1
            if rung.best is None or (trial.score or 0.0) > (rung.best.score or 0.0):
                rung.best = trial

    def _train(self, trial: Trial) -> None:
        """Add what a trial was trained beyond the one that it continued; without a result, as far as it reported."""
        if trial.fidelity is None or "known" in trial.info:
            return
        begun = self._reached.get(trial.resume, 0.0) if trial.resume is not None else 0.0
        end = trial.reached if trial.perf is not None else max((f for f, _ in trial.reports), default=begun)
        self.trained += max(end - begun, 0.0)
        self._reached[trial.number] = max(begun, end)

    def best_at(self, n: float) -> float | None:
        """Return the best perf when so many trials had ended; None where there was none."""
        place = bisect_right(self.course, n, key=lambda point: point[0])
        return self.course[place - 1][1] if place else None


class Watch:
    """A store that is looked at again and again.

    Args:
        url: The path or URL of the store, which need not exist yet.

    Attributes:
        path: The path of the store.
        state: What its log says; None as long as there is no run in it.
        header: What its header says.
        budget: What the last driver may spend, as far as that is recorded.
        seen: More of what its log says.
        holder: The process that works on the run now; None where nobody does.
        is_behind: Whether there are events that were not read yet.
        note: Why nothing new could be read, if that is so.

    Raises:
        StoreError: It can be no store: its folder does not exist.
    """

    def __init__(self, url: str) -> None:
        self.path, self._url = place_of(url), url
        self._store: Store | None = None
        self._file: tuple[int, int] = (0, 0)
        self._forget()
        self.holder: Holder | None = None
        self.is_behind = False
        self.note = ""

    def _forget(self) -> None:
        self.state: RunState | None = None
        self.header: Mapping[str, Any] = {}
        self.budget: Mapping[str, float] = {}
        self.seen = Watched()

    def close(self) -> None:
        """Close the store."""
        if self._store is not None:
            self._store.close()
            self._store = None

    def update(self, seconds: float = READ_SECONDS) -> None:
        """Read what is new, for so long at most.

        Raises:
            StoreCorruptError: The store is damaged.
            StoreError: It cannot be read.
        """
        self.note = ""
        try:
            self.holder = driver_of(self._url)
            if self._is_another_file():
                self.close()
                self._forget()
            if self._store is None and not self._open():
                return
            self.budget = budget_of(self.header, self._url)
            self._follow(seconds)
        except (StoreLockedError, StoreOfflineError) as error:
            self.note = str(error)

    def _is_another_file(self) -> bool:
        """Whether the file is gone, or was replaced by another."""
        if self._store is None or not isinstance(self.path, Path):
            return False
        return _identity(self.path) != self._file

    def _open(self) -> bool:
        """Open the store, and return whether there is a run in it."""
        if isinstance(self.path, Path) and not self.path.exists():
            self.note = f"there is no {self.path} yet"
            return False
        try:
            store = open_store(self._url, read_only=True)
        except StoreError as error:
            if type(error) in (StoreError, NoRunError) and (
                "no run yet" in str(error) or "does not exist" in str(error)
            ):
                self.note = str(error).removeprefix("store: ")
                return False
            raise
        header = store.header
        if header is None:
            store.close()
            self.note = f"{self.path} holds no run yet"
            return False
        self._store, self.header = store, header
        self._file = _identity(self.path) if isinstance(self.path, Path) else self._file
        space, mode = readable_space(header, self.path), mode_of(header, self.path)
        self.state = RunState(space, Objectives.of(mode), str(self.path))
        return True

    def _follow(self, seconds: float) -> None:
        state, store, seen = self.state, self._store, self.seen
        if state is None or store is None:
            return
        ends = time.monotonic() + seconds
        self.is_behind = False
        with collector_paused():
            for n, event in enumerate(state.checked(store.events(state.seq)), start=1):
                trial = state.apply(event)
                if seen.first is None:
                    seen.first = event.time
                seen.latest = event.time
                if trial is not None:
                    seen.take(trial, state)
                if n % _CLOCK_EVERY == 0 and time.monotonic() > ends:
                    self.is_behind = True
                    return

    @property
    def is_finished(self) -> bool:
        """Whether all that the budget allows was done, and nobody works on the run."""
        if self.state is None or self.holder is not None or self.state.attempts:
            return False
        most = self.budget.get("max_evals")
        return most is not None and self.state.n_asked - self.state.n_known >= most

    @property
    def status(self) -> str:
        """How the run stands in a word: waiting, reading, running, finished, interrupted, idle."""
        if self.state is None:
            return "waiting"
        if self.is_behind:
            return "reading"
        if self.holder is not None:
            return "running"
        return "finished" if self.is_finished else "interrupted" if self.state.attempts else "idle"

    def running(self) -> Iterator[tuple[int, float | None]]:
        """Yield the numbers of the trials that run, and when they were started; the longest first."""
        if self.state is not None and self.holder is not None:
            attempts = self.state.attempts
            yield from sorted(
                ((number, one.started) for number, one in attempts.items() if one.is_running),
                key=lambda item: (item[1] or 0.0, item[0]),
            )


def _identity(path: Path) -> tuple[int, int]:
    with suppress(OSError):
        seen = path.stat()
        return seen.st_dev, seen.st_ino
    return (-1, -1)
