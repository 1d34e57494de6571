"""Follower: the thread that reads the log for one tracker."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from typing import Any

from autohpo.result import Result
from autohpo.store import PostgresStore, RunState, SQLiteStore, Store
from autohpo.store.base import LogEvent
from autohpo.store.described import mode_of
from autohpo.tracking.changes import Changes
from autohpo.tracking.contract import Change, TrackedRun, Tracker, key_of, wait_of
from autohpo.tracking.place import Place, Places

FLUSH_SECONDS = 1.0
"""How old a change may get before the tracker is told."""

MOST_CHANGES = 200
"""How many changes a tracker is told at once, at most."""

MOST_TRIES = 5
"""How often a tracker may raise in a row before it is given up."""

LOOK_SECONDS = 0.02  # between two looks at whether a tracker has ended

_log = logging.getLogger("autohpo")


@dataclass(frozen=True)
class Source:
    """What is tracked.

    Attributes:
        store: The store of the run; open in another thread, where it is one of a driver.
        run: What the tracker is told of it, but for its id.
    """

    store: Store
    run: TrackedRun

    def reader(self) -> Store:
        """Return a store for another thread; :meth:`Store.close` it, unless it is the very store."""
        if isinstance(self.store, SQLiteStore):
            return SQLiteStore(self.store.path, read_only=True)
        return self.store.reader() if isinstance(self.store, PostgresStore) else self.store


class Follower:
    """Tells a tracker what the log has, in a thread of its own; the log is all the buffer it needs.

    Args:
        tracker: The tracker.
        source: What is tracked.
        flush_seconds: How old a change may get before the tracker is told; None takes `FLUSH_SECONDS`.

    Attributes:
        trouble: What went wrong; empty where nothing did.
    """

    def __init__(self, tracker: Tracker, source: Source, flush_seconds: float | None = None) -> None:
        self.tracker, self.trouble, self._wait = tracker, "", wait_of(tracker)
        self._source, self._key, self._flush = (
            source,
            key_of(tracker),
            FLUSH_SECONDS if flush_seconds is None else flush_seconds,
        )
        self._places, self._place = Places(source.store), Place("")
        state = RunState(source.run.space, source.run.objectives)
        self._changes = Changes(state, source.run.objective_names)
        self._due: list[Change] = []  # told, but not taken yet
        self._over, self._given_up = threading.Event(), threading.Event()
        self._error, self._n_calls, self._is_finished = "", 0, False
        self._thread = threading.Thread(target=self.run, name=f"autohpo-{self._key}", daemon=True)

    def start(self) -> None:
        """Begin to follow the log."""
        self._thread.start()

    def finish(self, error: str = "", most_seconds: float | None = None) -> None:
        """Wait until the tracker has been told everything, as long as it gets on.

        Args:
            error: What ended the search, if that was an error or a signal.
            most_seconds: How long to wait at most, however it gets on; None as long as it does.
        """
        self._error = error
        self._over.set()
        began = moved = time.monotonic()
        n_calls, wait = self._n_calls, self._wait
        while self._thread.is_alive():
            self._thread.join(LOOK_SECONDS)
            now = time.monotonic()
            if self._n_calls != n_calls:
                n_calls, moved = self._n_calls, now
            is_late = most_seconds is not None and now - began > most_seconds
            if now - moved > wait or is_late:
                self._given_up.set()
                what = "was not done" if is_late and now - moved <= wait else "did not answer"
                self.trouble = self.trouble or f"{what} within {most_seconds if is_late else wait:g} s"
                return

    def tell_all(self) -> None:
        """Tell the tracker everything that the log has now, in this thread; never raises."""
        self._over.set()
        self.run()

    def run(self) -> None:
        """Follow the log to its end; never raises."""
        try:
            store = self._source.reader()
            try:
                self._follow(store)
            finally:
                if store is not self._source.store:
                    store.close()
        except BaseException as error:  # a tracker may raise whatever its service does
            if not isinstance(error, Exception) and threading.current_thread() is not self._thread:
                raise
            self._note(error)
            self.trouble = _in_words(error)

    def _follow(self, store: Store) -> None:
        self._begin(store)
        while True:
            is_last = self._over.wait(self._flush)
            while not self._given_up.is_set() and self._more(store):
                pass
            if self._given_up.is_set():
                return
            if is_last:
                break
        run, state = self._source.run, self._changes.state
        result = Result.of(
            state, mode_of(run.header, "the log"), algorithm=run.algorithm, store=self._source.store, name=run.name
        )
        self._try(lambda: self.tracker.finish(result, self._error))
        self._is_finished = True

    def _begin(self, store: Store) -> None:
        """Start the tracker, and go to where it got to.

        What is told again are the trials that had not ended there; `recall` is told of those that had.
        """
        place = self._place = self._places.load(self._key)
        run = replace(self._source.run, id=place.id, kept=dict(place.kept))
        place.kept = dict(self._try(lambda: self.tracker.start(run)) or {})
        self._places.save(self._key, place)
        open_trials: dict[int, list[Change]] = {}
        ended: list[Change] = []
        recall = getattr(self.tracker, "recall", None)
        for event in store.events():
            if event.seq > place.seq:
                break
            change = self._change(event)
            if event.kind == "end":
                open_trials.pop(event.trial, None)
                ended += [change] if recall else []
                if recall and len(ended) == MOST_CHANGES:
                    self._try(partial(recall, ended))
                    ended = []
            elif event.kind == "ask" or event.trial in open_trials:
                open_trials.setdefault(event.trial, []).append(change)
        if recall and ended:
            self._try(partial(recall, ended))
        again = [change for changes in open_trials.values() for change in changes]
        self._due = sorted(again, key=lambda change: change.event.seq)

    def _change(self, event: LogEvent) -> Change:
        trial, step, values = self._changes.of(event)
        state = self._changes.state
        return Change(event, trial, step, values, state.best, state.n_done + state.n_failed + state.n_known)

    def _more(self, store: Store) -> bool:
        """Tell the tracker the next batch; return whether there was one."""
        if not self._due:
            events = islice(store.events(self._changes.state.seq), MOST_CHANGES)
            self._due = [self._change(event) for event in events]
        if not self._due:
            return False
        batch = self._due[:MOST_CHANGES]
        self._try(lambda: self.tracker.take(batch))
        del self._due[:MOST_CHANGES]
        self._place.seq = max(self._place.seq, batch[-1].event.seq)
        self._places.save(self._key, self._place)
        return True

    def _try(self, call: Callable[[], Any]) -> Any:
        """Call the tracker; again where it raises, for its service may be back soon."""
        for left in reversed(range(MOST_TRIES)):
            try:
                found = call()
            except Exception as error:  # noqa: PERF203 - a service may be back soon
                self._note(error)
                if not left or self._given_up.is_set():
                    raise
                self._given_up.wait(self._flush)
            else:
                self._n_calls += 1
                return found
        return None

    def _note(self, error: BaseException) -> None:
        if not self.trouble:
            self.trouble = _in_words(error)
            _log.warning("tracker %s: %s; the search goes on", self._key, self.trouble, exc_info=error)

    @property
    def is_alive(self) -> bool:
        """Whether it still follows the log."""
        return self._thread.is_alive()

    @property
    def summary(self) -> str:
        """What the user should know; empty where the tracker has been told everything."""
        if self._is_finished:
            return ""
        n, seq = self._changes.state.n_asked, self._place.seq
        return f"tracker {self._key}: {self.trouble}; it got to event {seq} of the log ({n} trials)"


def _in_words(error: BaseException) -> str:
    return f"{type(error).__name__}: {str(error)[:300]}"
