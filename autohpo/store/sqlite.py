"""The event log in one SQLite file: durable when written, JSON only, open to readers while a run goes on."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from autohpo.errors import StoreCorruptError, StoreError
from autohpo.store.base import LogEvent, Store, check_header
from autohpo.store.lock import RunLock

FORMAT = 1
APPLICATION_ID = 0x6175746F  # "auto": tells our files from other SQLite files

_SCHEMA = f"""
CREATE TABLE header (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE events (
    seq INTEGER PRIMARY KEY,
    time REAL NOT NULL,
    kind TEXT NOT NULL,
    trial INTEGER NOT NULL,
    attempt INTEGER NOT NULL,
    data TEXT NOT NULL
);
CREATE UNIQUE INDEX one_ask ON events (trial) WHERE kind = 'ask';
CREATE UNIQUE INDEX one_end ON events (trial) WHERE kind = 'end';
PRAGMA application_id = {APPLICATION_ID};
PRAGMA user_version = {FORMAT};
"""


class SQLiteStore(Store):
    """Keeps the events in a file, each commit on disk before the search goes on.

    Write-ahead log, ``synchronous=FULL``, ``BEGIN IMMEDIATE``: a commit survives a kill and a power loss, and readers
    never block the writer. The file must be on a local disk: SQLite's write-ahead log needs one host.

    Args:
        path: Of the file; ``path.lock`` beside it says who writes.
        read_only: Only looks: needs no lock, makes no file.

    Raises:
        StoreError: The folder does not exist, or with `read_only` the file does not.
    """

    def __init__(self, path: str | Path, *, read_only: bool = False) -> None:
        self.path = Path(path)
        self._lock = RunLock(self.path.with_name(self.path.name + ".lock"))
        self._connection: sqlite3.Connection | None = None
        if not self.path.parent.is_dir():
            raise StoreError(f"store: folder {self.path.parent} does not exist")
        if read_only:
            if not self.path.is_file():
                raise StoreError(f"store: {self.path} does not exist")
            with self._faults():
                uri = f"{self.path.resolve().as_uri()}?mode=ro"
                self._connection = sqlite3.connect(uri, uri=True, timeout=60, isolation_level=None)
                self._check_format()

    def open(self) -> None:
        """Takes the lock, and makes or checks the file."""
        self._lock.acquire()
        try:
            with self._faults():
                self._connect()
        except BaseException:
            self.close()
            raise

    def begin(self, header: Mapping[str, Any]) -> None:
        """Takes or compares the header."""
        kept = self.header
        if kept is None:
            rows = [(key, json.dumps(value, allow_nan=False)) for key, value in header.items()]
            with self._faults(), self._transaction() as db:
                db.executemany("INSERT INTO header VALUES (?, ?)", rows)
        else:
            check_header(kept, _through_json(header), str(self.path))

    def _connect(self) -> None:
        """Opens the file for writing; a new or empty one gets its tables."""
        self._connection = sqlite3.connect(self.path, timeout=60, isolation_level=None)
        n_tables = self._db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
        if n_tables:
            self._check_format()
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = FULL")
        if not n_tables:
            self._db.executescript(f"BEGIN IMMEDIATE; {_SCHEMA} COMMIT;")

    def _check_format(self) -> None:
        """Passes a file that this version wrote.

        Raises:
            StoreCorruptError: It is another program's, or another version's.
        """
        kind = self._db.execute("PRAGMA application_id").fetchone()[0]
        version = self._db.execute("PRAGMA user_version").fetchone()[0]
        if kind != APPLICATION_ID:
            raise StoreCorruptError(f"store: {self.path} is an SQLite file, but not one of autohpo")
        if version != FORMAT:
            raise StoreCorruptError(f"store: {self.path} has format {version}, this version reads {FORMAT}")
        found = self._db.execute("PRAGMA quick_check(1)").fetchone()[0]
        if found != "ok":
            raise StoreCorruptError(f"store: {self.path} is damaged: {found}")

    @property
    def header(self) -> dict[str, Any] | None:
        """What the run began with."""
        with self._faults():
            rows = self._db.execute("SELECT key, value FROM header").fetchall()
            return {key: json.loads(value) for key, value in rows} or None

    def append(self, events: Sequence[LogEvent]) -> None:
        """Adds the events in one durable transaction."""
        rows = [(e.time, e.kind, e.trial, e.attempt, json.dumps(dict(e.data), allow_nan=False)) for e in events]
        with self._faults(), self._transaction() as db:
            db.executemany("INSERT INTO events (time, kind, trial, attempt, data) VALUES (?, ?, ?, ?, ?)", rows)

    def events(self, after: int = 0) -> Iterator[LogEvent]:
        """The events behind a place in the log."""
        query = "SELECT kind, trial, attempt, data, time, seq FROM events WHERE seq > ? ORDER BY seq"
        with self._faults():
            for kind, trial, attempt, data, time, seq in self._db.execute(query, (after,)):
                yield LogEvent(kind, trial, attempt, json.loads(data), time, seq)

    def close(self) -> None:
        """Closes the file and gives the lock free."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        self._lock.release()

    @property
    def _db(self) -> sqlite3.Connection:
        if self._connection is None:
            raise StoreError(f"store: {self.path} is not open")
        return self._connection

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        """One transaction: all or nothing."""
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield self._db
            self._db.execute("COMMIT")
        except BaseException:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise

    @contextmanager
    def _faults(self) -> Iterator[None]:
        """Turns what SQLite and the JSON reader raise into errors of ours."""
        try:
            yield
        except sqlite3.IntegrityError as error:
            raise StoreError(f"store: {self.path}: a second ask or end of a trial ({error})") from error
        except sqlite3.OperationalError as error:
            raise StoreError(f"store: {self.path}: {error}") from error
        except (sqlite3.DatabaseError, json.JSONDecodeError, UnicodeDecodeError) as error:
            raise StoreCorruptError(f"store: {self.path} is damaged, or no store: {error}") from error


def _through_json(header: Mapping[str, Any]) -> dict[str, Any]:
    """The header as it reads after being saved: tuples as lists, keys as text."""
    return json.loads(json.dumps(dict(header), allow_nan=False))  # type: ignore[no-any-return]
