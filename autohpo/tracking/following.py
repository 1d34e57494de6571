"""Trackers of a search, and of a run that is stored."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from autohpo.control import driver_of
from autohpo.errors import NoRunError, OptionError, TrackerError
from autohpo.objectives import Objectives
from autohpo.spaces import SearchSpace
from autohpo.store import MemoryStore, Store, open_store
from autohpo.store.described import mode_of, space_of
from autohpo.tracking.contract import TrackedRun, Tracker, check_trackers
from autohpo.tracking.follower import FLUSH_SECONDS, Follower, Source

if TYPE_CHECKING:
    from autohpo.search import Search


class Trackers:
    """The trackers of a search, each followed by a thread of its own.

    Args:
        trackers: The trackers.
        search: The search, once it has begun.
    """

    def __init__(self, trackers: Sequence[Tracker], search: Search) -> None:
        self._followers: list[Follower] = []
        if trackers:
            run = _run_of(search.store, search.hpo.space, search.hpo.objectives)
            self._followers = [Follower(tracker, Source(search.store, run)) for tracker in trackers]

    def start(self) -> None:
        """Begin to follow the log."""
        for follower in self._followers:
            follower.start()

    def finish(self, grace_seconds: float) -> list[str]:
        """Wait for the trackers, and return what the user should know of those that are not done.

        Args:
            grace_seconds: How long to wait at most where a signal or an error ends the search.
        """
        fault = sys.exc_info()[1]
        error = "" if fault is None else f"{type(fault).__name__}: {fault}"
        until = time.monotonic() + grace_seconds
        for follower in self._followers:
            follower.finish(error, None if fault is None else max(until - time.monotonic(), 0.0))
        return [follower.summary for follower in self._followers if follower.summary]


def track(store: Store | str | os.PathLike[str], tracker: Tracker, *, space: Any = None, follow: bool = False) -> None:
    """Tell a tracker of a stored run: all that it was not told before, and with `follow` what is yet to come.

    Any process may call it, also while a driver works on the run, unless that has the same tracker itself.

    Args:
        store: The path or URL of the store, or the store itself, such as ``hpo.run_store``.
        tracker: The tracker.
        space: The space of the run, where it has values that only a program knows; None reads it from the store.
        follow: Whether to go on as long as the run has a driver.

    Raises:
        OptionError: `tracker` is none.
        NoRunError: There is no such store, or it holds no run yet.
        TrackerError: The tracker raised again and again.
    """
    check_trackers([tracker])
    if follow and isinstance(store, Store):
        raise OptionError("follow: needs the path or URL of a store, got the store itself")
    log = store if isinstance(store, Store) else open_store(store, read_only=True)
    try:
        header = log.header
        if header is None:
            raise NoRunError(f"store: {getattr(log, 'path', 'the log')} holds no run yet")
        where = getattr(log, "path", "the log")
        found = space_of(header, where) if space is None else SearchSpace(space)
        follower = Follower(tracker, Source(log, _run_of(log, found, Objectives.of(mode_of(header, where)))))
        if follow and not isinstance(store, Store):
            follower.start()
            try:
                while driver_of(store) is not None and follower.is_alive:
                    time.sleep(FLUSH_SECONDS)
            finally:
                follower.finish()
        else:
            follower.tell_all()
    finally:
        if log is not store:
            log.close()
    if follower.summary:
        raise TrackerError(follower.summary)


def _run_of(store: Store, space: SearchSpace, objectives: Objectives) -> TrackedRun:
    """Return what trackers are told of a run."""
    header = store.header or {}
    algorithm = str(header.get("algorithm", ""))
    path = getattr(store, "path", "")
    name = header.get("name") or ("" if isinstance(store, MemoryStore) else Path(str(path)).stem) or algorithm
    return TrackedRun("", str(name), algorithm, header, space, objectives)
