"""The event log in a PostgreSQL database, which many studies share: for teams that keep all of them in one place."""

from __future__ import annotations

import json
import re
import secrets
import socket
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from autohpo.errors import (
    NoRunError,
    OptionError,
    RunBusyError,
    StoreCorruptError,
    StoreError,
    StoreGoneError,
    StoreOfflineError,
    StoreWarning,
)
from autohpo.store import postgres_schema as sql
from autohpo.store.base import LogEvent, Store, check_header
from autohpo.store.checked import BadValueError, check_kept_header, parse_json
from autohpo.store.lock import Holder
from autohpo.store.postgres_claim import Claim
from autohpo.store.postgres_link import Link
from autohpo.store.postgres_log import LogEnd
from autohpo.store.postgres_url import FORM, Place, parse_url, redacted
from autohpo.store.rows import FORMAT, crc_of, data_of, json_of, row_of
from autohpo.store.waiting import PASSING, Waiting
from autohpo.version import __version__

WAIT_SECONDS = 300.0
"""How long an append waits for a server: one that is updated, or replaced by its standby, is back in that time."""

READ_BATCH = 2048  # rows that are read together

_event_of: Callable[[tuple[Any, ...]], LogEvent] = partial(tuple.__new__, LogEvent)  # without a call in Python


class PostgresStore(Store):
    """A study in a PostgreSQL database.

    One driver at a time: the session that appends holds an advisory lock, so the lock ends with it. The study has a
    number, the epoch, that rises whenever the lock is taken, and counts its events. Each append changes that row in its
    own transaction, and is refused where epoch or count are others: a driver that was cut off cannot add to what its
    successor has begun, and one that does not know whether its last commit was made finds out.

    ``sync=False`` commits with ``synchronous_commit = off``: the server has the events, and a moment later its disk.
    ``sync=True`` waits for the disk. PostgreSQL's log is one sequence, of which all up to a commit is flushed with it,
    so every earlier commit is on disk then, too.

    Where the server cannot be reached, is full or busy, an append waits, warns, connects again and tries again.

    Args:
        url: The URL, ``postgresql://user@host/database/study``; docs/postgresql.md tells more.
        read_only: Whether it is only looked at: that needs no lock, and no right but to read.
        wait_seconds: How long an append waits for the server.

    Attributes:
        path: The URL without password and parameters, for texts.

    Raises:
        OptionError: The URL is malformed, or names no study.
        MissingExtraError: With `read_only`: psycopg is not installed.
        StoreOfflineError: With `read_only`: the server cannot be reached.
        NoRunError: With `read_only`: there is no such study.
    """

    def __init__(self, url: str, *, read_only: bool = False, wait_seconds: float = WAIT_SECONDS) -> None:
        self._text, self._url = url, parse_url(url)
        if not self._url.study:
            raise OptionError(f"store: must name a study, as in {FORM!r}, got {redacted(url)}")
        self.path: Place = self._url.place
        self._link = Link(self._url, is_reader=read_only)
        self._is_read_only = read_only
        self._waiting = Waiting(self.path, wait_seconds)
        self._study = 0  # its number, once it is known
        self._claim: Claim | None = None  # while this is the driver
        self._log: LogEnd | None = None
        self._files: Path | None = None
        if read_only:
            try:
                self._find()
            except BaseException:
                self.close()
                raise

    def __repr__(self) -> str:
        return f"PostgresStore({str(self.path)!r})"

    def _find(self) -> bool:
        """Connect, and find the study.

        Returns:
            Whether its row is as this release writes it.

        Raises:
            NoRunError: There is none.
            StoreError: A newer release wrote it.
        """
        self._link.open()
        found = self._link.rows(sql.STUDY, [self.path.name]) if sql.is_made(self._link) else []
        if not found:
            raise NoRunError(f"store: {self.path} does not exist")
        self._study, kept_format, files, host = found[0]
        if kept_format > FORMAT:
            raise StoreError(
                f"store: {self.path} has format {kept_format}, of a newer autohpo; this one, {__version__}, reads "
                f"formats up to {FORMAT}: install a newer one"
            )
        self._files = self._checked_folder(files, host)
        return bool(kept_format == FORMAT and files == str(self._files))

    # The life of a driver.

    def open(self) -> None:
        """Make the study if it is new, and become its driver.

        Raises:
            RunBusyError: Another driver has it.
            StoreOfflineError: The server cannot be reached.
            StoreCorruptError: Events are missing at its end.
        """
        if self._is_read_only:
            raise StoreError(f"store: {self.path} was opened to read only")
        if self._log is not None:
            raise RunBusyError(f"store: {self.path} is open already")
        try:
            self._link.open()
            sql.make(self._link)
            if not self._link.rows(sql.STUDY, [self.path.name]):
                place = [str(self._new_folder()), socket.gethostname()]
                self._link.count(sql.NEW_STUDY, [self.path.name, FORMAT, *place])
            is_current = self._find()
            self._claim = Claim(self._link, self.path, self._study)
            n_events = self._claim.take()
            self._check_count(n_events)
            if not is_current:
                self._link.count(sql.MOVED, [str(self._files), socket.gethostname(), FORMAT, self._study])
            self._log = LogEnd(self._link, self._claim, self.path, n_events)
            _ = self.header  # a damaged one is an error now, while nobody has the study open
        except BaseException:
            self._log = self._claim = None
            self._link.close()
            raise

    def _check_count(self, n_events: int) -> None:
        last = self._link.rows(sql.LAST, [self._study])[0][0] or 0
        if last != n_events:
            raise self._damage(f"it counts {n_events} events, and the last one is event {last}")

    def begin(self, header: Mapping[str, Any]) -> None:
        """Write the header, or compare it."""
        log, claim = self._driven()
        kept = self.header
        text = json_of(dict(header))
        if kept is not None:
            check_header(kept, json.loads(text), str(self.path))
            return

        def step() -> None:
            with self._link.mutex:
                log.connect_again()
                given = {"study": claim.study, "epoch": claim.epoch, "sync": self._link.strong}
                if not self._link.count(sql.BEGIN, {**given, "header": text, "crc": crc_of(text)}):
                    kept = self.header  # perhaps the connection broke when it was written
                    if kept is None:
                        raise claim.lost()
                    check_header(kept, json.loads(text), str(self.path))

        self._patiently(step)

    def append(self, events: Sequence[LogEvent], *, sync: bool = True) -> None:
        """Add the events in one commit; it is on the server's disk where `sync` says so.

        Raises:
            StoreOfflineError: The server could not be reached, for so long as this waited.
            StoreFullError: Its disk is full, and stayed so.
            StoreLockedError: Another session kept the row locked for as long.
            StoreGoneError: The study was removed.
            RunBusyError: Another driver has taken the study over.
            StoreError: The events contradict the log, or are of no JSON types.
        """
        if self._is_read_only:
            raise StoreError(f"store: {self.path} was opened to read only, so it is readonly")
        log, _ = self._driven()
        rows = [row_of(place, event) for place, event in enumerate(events, start=log.n_events + 1)]
        if rows or (sync and not log.is_synced):
            self._patiently(partial(log.write, rows, sync=sync), events)

    def _patiently(self, step: Callable[[], None], held: Sequence[LogEvent] = ()) -> None:
        """Run a step; where that is not possible now, wait until it is."""
        try:
            step()
        except PASSING as error:
            self._waiting.retry(step, error, self.pause, held)

    def _driven(self) -> tuple[LogEnd, Claim]:
        if self._log is None or self._claim is None:
            raise StoreError(f"store: {self.path} is not open")
        if not self._claim.is_here:  # a child that an objective has forked
            raise StoreError(f"store: {self.path} is open in process {self._claim.holder.process}, not in this one")
        return self._log, self._claim

    def close(self) -> None:
        """Sync what is not synced yet, and disconnect, which gives the lock free."""
        try:
            if self._log is not None and not self._log.is_synced and self._claim is not None and self._claim.is_here:
                self.append([])
        finally:
            self._log = self._claim = None
            self._link.close()

    # What anybody may read.

    def _read(self, statement: str, values: Sequence[Any]) -> list[tuple[Any, ...]]:
        """Return rows; where the connection was lost it is made again, once."""
        if not self._study or not (self._is_read_only or self._log is not None or self._link.is_open):
            raise StoreError(f"store: {self.path} is not open")
        try:
            return self._rows(statement, values)
        except StoreOfflineError:
            return self._rows(statement, values)

    def _rows(self, statement: str, values: Sequence[Any]) -> list[tuple[Any, ...]]:
        if self._log is not None:
            self._log.connect_again()
        elif self._is_read_only:
            self._link.open()
        return self._link.rows(statement, values)

    @property
    def header(self) -> dict[str, Any] | None:
        """The header that the run began with."""
        found = self._read(sql.HEADER, [self._study])
        if not found:
            raise StoreGoneError(f"store: {self.path} was removed")
        text, crc = found[0]
        if text is None:
            return None
        if crc != crc_of(text):
            raise self._damage("the header is not what was written")
        try:
            header = parse_json(text)
        except BadValueError as error:
            raise self._damage(f"the header is none that autohpo writes: {error}") from error
        wrong = check_kept_header(header)
        if wrong:
            raise self._damage(f"the header is none that autohpo writes: {wrong}")
        return header  # type: ignore[no-any-return]

    def events(self, after: int = 0) -> Iterator[LogEvent]:
        """Return the events behind a place in the log."""
        standing = self._read(sql.STANDING, [self._study])
        n_least = standing[0][1] if standing else 0
        while rows := self._read(sql.EVENTS, [self._study, after, READ_BATCH]):
            try:
                data = data_of(rows, after)
            except BadValueError as error:
                raise self._damage(str(error)) from error
            places, times, kinds, trials, attempts, _, _ = zip(*rows, strict=True)
            yield from map(_event_of, zip(kinds, trials, attempts, data, times, places, strict=True))
            after += len(rows)
            if len(rows) < READ_BATCH:
                break
        if after < n_least:
            raise self._damage(f"it counts {n_least} events, and those behind event {after} are missing")

    def reader(self) -> PostgresStore:
        """Return a store that reads the same study through a connection of its own."""
        return PostgresStore(self._text, read_only=True)

    @property
    def files(self) -> Path:
        """The folder that was chosen when the study began: on this machine, or on a file system that several share."""
        if self._files is None:
            try:
                reader = PostgresStore(self._text, read_only=True)
            except NoRunError:
                return self._new_folder()
            self._files = reader.files
            reader.close()
        return self._files

    def _new_folder(self) -> Path:
        """Return the folder of a new study; its name has a random part, as there may have been one of this name."""
        if self._files is None:
            parent = Path.cwd() if self._url.folder is None else self._url.folder
            self._files = parent / f"{self.path.name}-{secrets.token_hex(4)}.files"
        return self._files

    def _checked_folder(self, kept: str, host: str) -> Path:
        """Return the folder that a study has here.

        Raises:
            StoreCorruptError: The one that is kept is none that autohpo chooses: what lies there is not its own.
        """
        folder = Path(kept)
        form = rf"{re.escape(self.path.name)}-[0-9a-f]{{8}}\.files"
        if not folder.is_absolute() or not re.fullmatch(form, folder.name):
            raise self._damage(f"its files must be in a folder of its name, got {kept!r:.200}")
        if self._url.folder is not None:
            return self._url.folder / folder.name
        if not self._is_read_only and host != socket.gethostname() and not folder.parent.is_dir():
            warnings.warn(
                f"store: the checkpoints and logs of {self.path} are in {folder} on {host}; here they begin anew, in "
                "the same place; ?files=FOLDER names a folder that both hosts share",
                StoreWarning,
                stacklevel=3,
            )
        return folder

    # Requests to end.

    @property
    def driver(self) -> Holder | None:
        """The driver, if it is this process, as its claim names it; else None."""
        return None if self._claim is None else self._claim.holder

    def take_stop_request(self) -> str | None:
        """Return the request to end that somebody has left for the driver, and remove it; None where there is none."""
        if self._log is None or not self._link.is_open:
            return None  # an append connects again
        try:
            found = self._link.rows(sql.STOP, [self._study])
            if not found or not self._link.count(sql.STOP_SEEN, [self._study, found[0][0]]):
                return None
        except StoreError:  # it stands, and the next look finds it
            return None
        return str(found[0][0])

    def _damage(self, what: str) -> StoreCorruptError:
        """Return the error for something that does not read as it was written."""
        return StoreCorruptError(f"store: {self.path} is damaged: {what}; a backup of the database has it as it was")
