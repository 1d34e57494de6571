"""The claim of a driver on a study in PostgreSQL: a lock that ends with its connection, and a number that rises."""

from __future__ import annotations

import os
from typing import Any

from autohpo.errors import RunBusyError, StoreError, StoreGoneError, StoreLockedError
from autohpo.store import postgres_schema as sql
from autohpo.store.lock import Holder
from autohpo.store.postgres_link import Link
from autohpo.store.postgres_url import Place


class Claim:
    """The claim of this process on a study.

    The advisory lock belongs to the session that also appends, so it is free as soon as that has ended, however it did.
    The epoch outlives it: whoever takes the lock begins a new one, and nothing is written in an old one.

    Args:
        link: The connection, which holds the lock and appends.
        place: Where the study is, for errors.
        study: The number of the study.

    Attributes:
        epoch: The number of the epoch that this process has begun; 0 before it has.
        holder: The name of this process, as others are told of it.
    """

    def __init__(self, link: Link, place: Place, study: int) -> None:
        self._link, self._place, self.study = link, place, study
        self.epoch = 0
        self.holder = Holder.of_this_process()

    @property
    def is_here(self) -> bool:
        """Whether this process has made the claim, and is no child that has a copy of it."""
        return self.holder.process == os.getpid()

    def take(self) -> int:
        """Take the lock, begin an epoch, and return how many events there are.

        After this process has had the lock before, it succeeds only where nobody has had it since.

        Raises:
            RunBusyError: Another driver has it, or has had it meanwhile.
            StoreLockedError: An old connection of this process has it still.
            StoreGoneError: The study was removed.
        """
        if not self._link.rows(sql.LOCK, [sql.LOCK_CLASS, self.study])[0][0]:
            raise self._busy()
        given = {"holder": self.holder.to_json(), "study": self.study, "sync": self._link.strong}
        found = self._link.rows(sql.CLAIM, given | {"epoch": self.epoch or None})
        if not found:
            raise self.lost()
        self.epoch = found[0][0]
        return int(found[0][1])

    def _busy(self) -> StoreError:
        """Return the error for a lock that another session has."""
        found = self._link.rows(sql.HOLDER, {"study": self.study, "lock_class": sql.LOCK_CLASS})
        holder = holder_in(found)
        if holder is None:
            return RunBusyError(f"store: {self._place} was in use by a driver that has just ended; try again")
        if self.epoch and holder.id == self.holder.id:  # the server has not noticed that our old connection is gone
            self._link.rows("SELECT pg_terminate_backend(%s)", [found[0][2]])
            return StoreLockedError(f"store: {self._place} is locked by an earlier connection of this process")
        who = f"this very process ({os.getpid()})" if holder.is_here and holder.process == os.getpid() else holder
        return RunBusyError(f"store: {self._place} is in use by {who}; wait until it ends, or use another study")

    def lost(self) -> StoreError:
        """Return the error for a study that is not as this driver left it."""
        found = self._link.rows(sql.HOLDER, {"study": self.study, "lock_class": sql.LOCK_CLASS})
        if not found:
            return StoreGoneError(f"store: {self._place} was removed while the search wrote to it")
        holder = Holder.from_json(found[0][0] or "")
        return RunBusyError(
            f"store: {self._place} was taken over by {holder or 'another driver'} while this process had no "
            "connection; start the search again to go on with what is there"
        )


def holder_in(found: list[tuple[Any, ...]]) -> Holder | None:
    """Return who has a lock, by what the statement ``HOLDER`` has found; None where nobody has.

    Args:
        found: The name that was left, the session that left it, and the session that has the lock.
    """
    if not found or found[0][2] is None:
        return None
    kept, backend, session = found[0]
    named = Holder.from_json(kept) if isinstance(kept, str) and backend == session else None
    return named or Holder("", 0, "")  # it has not written its name yet
