"""SearchLog: what a search adds to its log, and when that is saved."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from autohpo.algorithms.base import BaseHPOptimizer
from autohpo.algorithms.session import Session
from autohpo.checkpoint_places import LocalPlace, Place
from autohpo.clock import steady_clock
from autohpo.errors import StoreError
from autohpo.listener import Listener
from autohpo.store import MemoryStore, RunState, Store
from autohpo.store.base import LogEvent, LogKind
from autohpo.store.run_state import suggestion_data
from autohpo.trial import Outcome, Suggestion, Trial

FLUSH_SECONDS = 0.5
"""How old a report may get before it is on disk: one may be lost with the process, a suggestion or a result may not."""


class SearchLog:
    """The log of a search: every event is folded when it is noted, and on disk once it is saved.

    Args:
        hpo: The optimizer.
        session: The session of the optimizer.
        store: The store.
        state: What the log says.

    Attributes:
        on_saved: Hears of all that is in the log, once it is; None where nobody asks.
        is_ordered: Whether trials end in the order in which they were asked for, and their reports are told with that.
    """

    def __init__(self, hpo: BaseHPOptimizer, session: Session, store: Store, state: RunState) -> None:
        self.hpo = hpo
        self._session = session
        self.store = store
        self.state = state
        self.listener: Listener | None = None
        self.on_saved: Callable[[Sequence[LogEvent]], None] | None = None
        self._clock = steady_clock()
        self._lock = threading.RLock()
        self._unsaved: list[LogEvent] = []
        self._is_saving = False  # it may take a while: a store waits where its disk is full
        self._is_synced = True
        self._flushed = time.monotonic()
        self._is_open = False
        self.is_ordered = False
        self._place: Place | None = None

    @property
    def place(self) -> Place:
        """Where the checkpoint folders are; beside the store, unless it was set to another one."""
        if self._place is None:
            self._place = LocalPlace(self.store.files)
        return self._place

    @place.setter
    def place(self, place: Place) -> None:
        self._place = place

    def _note(
        self, kind: LogKind, number: int, attempt: int, data: dict[str, Any], suggestion: Suggestion | None = None
    ) -> Trial | None:
        """Add an event to those not saved yet, and fold it."""
        event = LogEvent(kind, number, attempt, data, self._clock())
        self._unsaved.append(event)
        return self._fold(event, suggestion)

    def _fold(self, event: LogEvent, suggestion: Suggestion | None = None) -> Trial | None:
        """Let the state follow, and the listener hear."""
        trial = self.state.apply(event, suggestion)
        if self.listener is not None and event.trial >= 0:
            self._tell_listener(event, trial)
        return trial

    def _tell_listener(self, event: LogEvent, trial: Trial | None) -> None:
        assert self.listener is not None  # only called where there is one
        if event.kind == "ask":
            self.listener.suggested(self.state.running[event.trial].suggestion)
        elif trial is not None and trial.perfs:
            self.listener.ended(trial, self.state.best)

    def _log_known(self, first: int) -> None:
        """Put the points into the log that the optimizer took in with their results, from a number on."""
        if self.hpo.n_known == self.state.n_known:
            return
        for trial in [t for t in self._session.history.trials if t.number >= first and "known" in t.info]:
            suggestion = trial.suggestion
            self._note("ask", trial.number, 0, suggestion_data(suggestion, self.hpo.space), suggestion)
            self._note("end", trial.number, 0, trial.outcome.to_json())

    def hold(self, number: int, attempt: int, outcome: Outcome) -> None:
        """Note how a trial has ended whose turn to end has not come: :meth:`release` ends it."""
        self._note("late", number, attempt, outcome.to_json())

    def release(self, number: int) -> Trial:
        """Note the end of a trial that was held, and return it; :meth:`save` it before the optimizer is told."""
        attempts = self.state.attempts[number]
        assert attempts.held is not None  # only called where it is
        trial = self._note("end", number, attempts.n, attempts.held.to_json())
        assert trial is not None  # it had no end before
        return trial

    def save(self, *, sync: bool = True) -> None:
        """Commit what is not saved yet.

        Args:
            sync: Whether it must survive a power loss at once, and not only the death of this process.
        """
        with self._lock:
            if not self._is_saving and (self._unsaved or (sync and not self._is_synced)):
                events, self._unsaved, self._is_saving = self._unsaved, [], True
                try:
                    self.store.append(events, sync=sync)
                except BaseException:
                    self._unsaved = events + self._unsaved  # what came while the store waited is younger
                    raise
                finally:
                    self._is_saving = False
                self._is_synced = sync
                if self.on_saved is not None:
                    self.on_saved(events)
            self._flushed = time.monotonic()

    @property
    def lasting_files(self) -> Path | None:
        """The folder of the run's files; None where it goes with this process."""
        return None if isinstance(self.store, MemoryStore) else self.store.files

    @property
    def n_unsaved(self) -> int:
        """How many events wait for the next save."""
        return len(self._unsaved)

    def settle(self) -> None:
        """Commit everything that a power loss must not take; the rest once it is old enough.

        A suggestion may wait for its start, which is committed with it: nobody acts on it before.
        """
        is_due = any(event.kind not in ("ask", "report") for event in self._unsaved) or not self._is_synced
        if is_due or (self._unsaved and time.monotonic() - self._flushed > FLUSH_SECONDS):
            self.save()

    def _check_open(self) -> None:
        if not self._is_open:
            raise StoreError("search: must be open; use it in a with statement, or call open()")
