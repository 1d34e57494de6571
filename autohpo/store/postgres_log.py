"""The end of a study's log in PostgreSQL, as its driver writes it: once, whatever happens to connection and server."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from autohpo.errors import StoreCorruptError, StoreOfflineError
from autohpo.store import postgres_schema as sql
from autohpo.store.postgres_claim import Claim
from autohpo.store.postgres_link import Link
from autohpo.store.postgres_url import Place

MOST_UNSYNCED = 10_000
"""How many events are kept here until they are synced."""

Row = tuple[Any, ...]
_log = logging.getLogger("autohpo")


class LogEnd:
    """The end of a log.

    What is not known to be on the server's disk is kept here: a server that is killed may lose its last commits, and
    then they are written again. So an event that was appended without a sync is lost only with both machines.

    Args:
        link: The connection.
        claim: The claim of this process, which has been taken.
        place: Where the study is, for errors.
        n_events: How many events the study has.

    Attributes:
        n_events: How many events were appended.
    """

    def __init__(self, link: Link, claim: Claim, place: Place, n_events: int) -> None:
        self._link, self._claim, self._place = link, claim, place
        self.n_events = self._n_there = n_events  # the second: what the server has, as far as is known here
        self._unsynced: list[Row] = []
        self.is_synced = True

    def write(self, rows: Sequence[Row], *, sync: bool) -> None:
        """Write rows behind those that were written before; nothing is written twice.

        Raises:
            StoreOfflineError: The server cannot be reached now.
            StoreLockedError: Something is locked now.
            StoreFullError: The disk of the server is full.
            RunBusyError: Another driver has taken the study over.
            StoreGoneError: The study was removed.
            StoreCorruptError: It has not what was written to it.
        """
        sync = sync or len(self._unsynced) + len(rows) > MOST_UNSYNCED
        with self._link.mutex:
            was_open = self._link.is_open
            self.connect_again(rows)
            try:
                self._send(rows, sync=sync)
            except StoreOfflineError:
                if not was_open:
                    raise
                _log.info("store: the connection to %s was lost, and is made again", self._place)
                self.connect_again(rows)
                self._send(rows, sync=sync)
            self.n_events += len(rows)
            self._unsynced = [] if sync else [*self._unsynced, *rows]
            self.is_synced = sync

    def connect_again(self, rows: Sequence[Row] = ()) -> None:
        """Connect and take the lock again, where the connection was lost.

        Args:
            rows: The rows that are being written: some of them may be there already.
        """
        if self._link.is_open:
            return
        try:
            self._link.open()
            self._claim.take()
            self._compare(rows)
        except BaseException:
            self._link.close()  # a connection that is open has the lock
            raise

    def _send(self, rows: Sequence[Row], *, sync: bool) -> None:
        for _ in range(2):
            left = [row for row in (*self._unsynced, *rows) if row[0] > self._n_there]
            if self._link.count(*self._statement(left, sync=sync)):
                self._n_there += len(left)
                return
            self._compare(rows)  # an interrupt came between a commit and the note of it here
        raise self._claim.lost()

    def _statement(self, left: Sequence[Row], *, sync: bool) -> tuple[str, dict[str, Any]]:
        """Return the statement that adds rows, and its values; without rows one that is synced, or does nothing."""
        given: dict[str, Any] = {
            "study": self._claim.study,
            "epoch": self._claim.epoch,
            "before": self._n_there,
            "sync": self._link.strong if sync else "off",
        }
        if not left:
            return sql.SYNC, given
        names = ("seqs", "times", "kinds", "trials", "attempts", "texts", "crcs")
        columns = {name: list(column) for name, column in zip(names, zip(*left, strict=True), strict=True)}
        return sql.APPEND, given | columns | {"last": left[-1][0]}

    def _compare(self, rows: Sequence[Row]) -> None:
        """Find out how many of the events the server has, and whether they are those that were written.

        Raises:
            RunBusyError: Another driver has begun an epoch.
            StoreGoneError: The study was removed.
            StoreCorruptError: It lacks events that were synced, or has others.
        """
        standing = self._link.rows(sql.STANDING, [self._claim.study])
        if not standing or standing[0][0] != self._claim.epoch:
            raise self._claim.lost()
        n_there = standing[0][1]
        n_synced = self.n_events - len(self._unsynced)
        if n_there < n_synced:
            raise StoreCorruptError(
                f"store: {self._place} has {n_there} of the {n_synced} events that its server had confirmed: an older "
                "copy of the database, or a standby that was behind, has taken its place; start the search again to "
                "go on with what is there"
            )
        written = [*self._unsynced, *rows][: n_there - n_synced]
        found = self._link.rows(sql.EVENTS, [self._claim.study, n_synced, n_there - n_synced])
        if found != written:
            raise StoreCorruptError(f"store: {self._place} has other events than this search has written to it")
        self._n_there = n_there
