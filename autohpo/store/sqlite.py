"""The event log in one SQLite file: durable when written, JSON only, open to readers while a run goes on."""

from __future__ import annotations

import json
import os
import sqlite3
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from autohpo.errors import StoreCorruptError, StoreError
from autohpo.store.base import LogEvent, Store, check_header
from autohpo.store.lock import RunLock
from autohpo.version import __version__

FORMAT = 2
"""What a file says in ``user_version``.

===  ================  ==================================================================================
1    autohpo 0.1       events *ask, start, report, end, interrupt*
2    autohpo 0.2       also *late*; an *end* may say cost and why, an *ask* fork; a header name and version
===  ================  ==================================================================================

The rule: a release reads every format up to its own, and a file is marked with its own when a driver first writes to
it, in that very transaction. A newer one is refused: what it says is not known here.
"""
APPLICATION_ID = 0x6175746F  # "auto": tells our files from other SQLite files
HEADER_BYTES = 100  # of every SQLite file
BATCH = 128  # rows that are read together
BUSY_SECONDS = 60.0  # to wait for another process that has locked the file, a backup for instance

_SCHEMA = f"""
CREATE TABLE header (data TEXT NOT NULL, crc INTEGER NOT NULL);
CREATE TABLE events (
    seq INTEGER PRIMARY KEY,
    time REAL NOT NULL,
    kind TEXT NOT NULL,
    trial INTEGER NOT NULL,
    attempt INTEGER NOT NULL,
    data TEXT NOT NULL,
    crc INTEGER NOT NULL
);
CREATE UNIQUE INDEX one_ask ON events (trial) WHERE kind = 'ask';
CREATE UNIQUE INDEX one_end ON events (trial) WHERE kind = 'end';
PRAGMA application_id = {APPLICATION_ID};
PRAGMA user_version = {FORMAT};
"""
_MARK = f"PRAGMA user_version = {FORMAT}"
_JSON = json.JSONEncoder(allow_nan=False)


class SQLiteStore(Store):
    """A store in one file, in which every commit is kept before the search goes on.

    Write-ahead log and ``BEGIN IMMEDIATE``: readers never block the writer. With ``synchronous=FULL`` a commit survives
    a kill and a power loss. A commit in ``NORMAL`` survives a kill: it is in the write-ahead log, which the next commit
    in FULL syncs as a whole, and which SQLite syncs before it copies any of it into the main file or writes over it.
    The file must be on a local disk: SQLite's write-ahead log needs one host. Every row has a checksum and its place in
    the log, because SQLite itself would give back a changed byte of a value as it is.

    Args:
        path: The path of the file; ``path.lock`` beside it says who writes.
        read_only: Whether it is only looked at: that needs no lock and changes nothing, but SQLite may put its own
            ``path-wal`` and ``path-shm`` there.

    Raises:
        StoreError: The path is that of a folder, or lies in one that does not exist; or, with `read_only`, there is no
            such file, or it holds no run yet.
    """

    def __init__(self, path: str | Path, *, read_only: bool = False) -> None:
        if not Path(path).name:
            raise StoreError(f"store: must be the path of a file, got {str(path)!r}")
        self.path = Path(path).resolve()  # one run has one lock, whatever link leads to it
        self._lock = RunLock(self._beside(".lock"))
        self._connection: sqlite3.Connection | None = None
        self._is_full = True  # whether a commit syncs
        self._has_unsynced = False  # whether some commit may be lost with the power
        self._format = FORMAT  # of the file
        self._n_events = 0  # as long as it is open, nobody else adds any
        if not self.path.parent.is_dir():
            raise StoreError(f"store: folder {self.path.parent} does not exist")
        if self.path.is_dir():
            raise StoreError(f"store: {self.path} is a folder; name a file in it, such as {self.path / 'run.db'}")
        self._is_read_only = read_only
        if read_only:
            if not self.path.is_file():
                raise StoreError(f"store: {self.path} does not exist")
            try:
                with self._faults():
                    self._look()
            except BaseException:
                self.close()
                raise

    def open(self) -> None:
        """Take the lock, and make or check the file."""
        if self._is_read_only:
            raise StoreError(f"store: {self.path} was opened to read only")
        self._lock.acquire()
        try:
            with self._faults():
                self._prepare()
        except BaseException:
            self.close()
            raise

    def begin(self, header: Mapping[str, Any]) -> None:
        """Write the header, or compare it."""
        kept = self.header
        if kept is None:
            text = _text(dict(header))
            with self._faults(), self._transaction() as db:
                db.execute("INSERT INTO header VALUES (?, ?)", (text, _crc(text)))
        else:
            check_header(kept, _through_json(header), str(self.path))

    def _connect(self, mode: str) -> None:
        uri = f"{self.path.resolve().as_uri()}?mode={mode}"
        if mode == "ro" and not self._beside("-wal").exists() and not _may_write(self.path.parent):
            uri += "&immutable=1"  # an archived run: SQLite could not make the shared memory that it reads through
        self._connection = sqlite3.connect(
            uri,
            uri=True,
            timeout=BUSY_SECONDS,
            isolation_level=None,
            check_same_thread=False,  # any thread may use it; a Search lets one at a time
        )

    def _look(self) -> None:
        """Open the file for reading."""
        self._connect("ro")
        if self._beside("-journal").exists() or self._is_new():  # there is a rollback journal only while it is made
            raise StoreError(f"store: {self.path} holds no run yet")
        self._check_format()

    def _prepare(self) -> None:
        """Open the file for writing; a new or empty one gets its tables."""
        n_bytes = _size(self.path)
        if n_bytes < HEADER_BYTES and (n_bytes or _size(self._beside("-wal"))):
            # SQLite would take it for an empty one, and remove the write-ahead log with the results in it.
            raise StoreCorruptError(f"store: {self.path} has {n_bytes} bytes; to begin anew remove {self.path.name}*")
        was_killed = _size(self._beside("-wal")) > 0  # an earlier driver, which may have left commits without a sync
        self._connect("rwc")
        is_new = self._is_new()
        if not is_new:
            self._check_format()
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = FULL")
        self._is_full = True
        if is_new:
            self._format = FORMAT
            self._db.executescript(f"BEGIN IMMEDIATE; {_SCHEMA} COMMIT;")
        self._n_events = self._db.execute("SELECT ifnull(max(seq), 0) FROM events").fetchone()[0]
        self._has_unsynced = was_killed

    def _is_new(self) -> bool:
        """Return whether nothing was made in the file yet, as a kill may leave it."""
        n_tables = self._db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
        return not n_tables and not self._pragma("application_id")

    def _check_format(self) -> None:
        """Check that the file is a store that this release reads.

        Raises:
            StoreError: It was made by a newer release.
            StoreCorruptError: It is another program's, or damaged.
        """
        if self._pragma("application_id") != APPLICATION_ID:
            raise StoreCorruptError(f"store: {self.path} is an SQLite file, but not one of autohpo")
        self._format = self._pragma("user_version")
        if self._format > FORMAT:
            raise StoreError(
                f"store: {self.path} has format {self._format}, of a newer autohpo; this one, {__version__}, reads "
                f"formats up to {FORMAT}: install a newer one"
            )
        if self._format < 1:
            raise StoreCorruptError(f"store: {self.path} has format {self._format}, which does not exist")
        found = self._pragma("quick_check(1)")
        if found != "ok":
            raise StoreCorruptError(f"store: {self.path} is damaged: {found}")

    @property
    def header(self) -> dict[str, Any] | None:
        """The header that the run began with."""
        with self._faults():
            rows = self._db.execute("SELECT data, crc FROM header").fetchall()
            if not rows:
                return None
            text, crc = rows[0]
            if len(rows) != 1 or crc != _crc(text):
                raise self._damage("the header")
            return json.loads(text)  # type: ignore[no-any-return]

    @property
    def files(self) -> Path:
        """The folder beside the file, with ``.files`` at its end."""
        return self._beside(".files")

    def append(self, events: Sequence[LogEvent], *, sync: bool = True) -> None:
        """Add the events in one transaction; the write-ahead log is synced where `sync` says so."""
        rows = [_row(place, event) for place, event in enumerate(events, start=self._n_events + 1)]
        try:
            with self._transaction(sync=sync) as db:
                db.executemany("INSERT INTO events VALUES (?, ?, ?, ?, ?, ?, ?)", rows)
                if not rows and sync and self._has_unsynced:
                    db.execute(_MARK)  # a commit of nothing would not sync what lies before it
        except sqlite3.Error as error:
            raise self._as_ours(error) from error
        self._n_events += len(rows)
        self._has_unsynced = not sync and (self._has_unsynced or bool(rows))

    def events(self, after: int = 0) -> Iterator[LogEvent]:
        """Return the events behind a place in the log."""
        with self._faults():
            rows = self._db.execute("SELECT * FROM events WHERE seq > ? ORDER BY seq", (after,))
            while batch := rows.fetchmany(BATCH):
                data = self._data_of(batch, after)
                places, times, kinds, trials, attempts, _, _ = zip(*batch, strict=True)
                yield from map(LogEvent, kinds, trials, attempts, data, times, places)
                after += len(batch)

    def _data_of(self, rows: Sequence[tuple[Any, ...]], after: int) -> list[dict[str, Any]]:
        """Return the data of rows that follow each other, once each is known to be what was written."""
        for place, row in enumerate(rows, start=after + 1):
            seq, time, kind, trial, attempt, text, crc = row
            plain = f"({seq!r}, {time!r}, '{kind}', {trial!r}, {attempt!r}, '{text}')"  # without anything to escape
            is_whole = crc == zlib.crc32(plain.encode(errors="backslashreplace")) or crc == _crc(*row[:-1])
            if seq != place or not is_whole:
                raise self._damage(f"event {place}")
        return json.loads(f"[{','.join([row[5] for row in rows])}]")  # type: ignore[no-any-return] # keys are shared

    def close(self) -> None:
        """Close the file, and give the lock free."""
        try:
            if self._has_unsynced and self._connection is not None:
                self.append([])  # the last connection to be closed would sync; but a reader may stay
        finally:
            self._has_unsynced = False
            if self._connection is not None:
                self._connection.close()
                self._connection = None
            self._lock.release()

    def _damage(self, what: str) -> StoreCorruptError:
        """Return the error for something that does not read as it was written."""
        return StoreCorruptError(f"store: {self.path} is damaged: {what} is not what was written")

    def _pragma(self, name: str) -> Any:
        return self._db.execute(f"PRAGMA {name}").fetchone()[0]

    def _beside(self, ending: str) -> Path:
        """Return the path of another file of the run; ``-wal`` has what was committed and is not in the main file."""
        return self.path.with_name(self.path.name + ending)

    @property
    def _db(self) -> sqlite3.Connection:
        if self._connection is None:
            raise StoreError(f"store: {self.path} is not open")
        return self._connection

    @contextmanager
    def _transaction(self, *, sync: bool = True) -> Iterator[sqlite3.Connection]:
        """Run one transaction: all of it is kept, or nothing."""
        db = self._db
        if sync is not self._is_full:  # in NORMAL a commit is written, and synced with the next one in FULL
            db.execute("PRAGMA synchronous = FULL" if sync else "PRAGMA synchronous = NORMAL")
            self._is_full = sync
        db.execute("BEGIN IMMEDIATE")
        try:
            if self._format != FORMAT:
                db.execute(_MARK)
            yield db
            db.execute("COMMIT")
            self._format = FORMAT
        except BaseException:
            if db.in_transaction:
                db.execute("ROLLBACK")
            raise

    @contextmanager
    def _faults(self) -> Iterator[None]:
        """Raise what SQLite and the JSON reader raise as errors of ours."""
        try:
            yield
        except (sqlite3.Error, json.JSONDecodeError, UnicodeDecodeError) as error:
            raise self._as_ours(error) from error

    def _as_ours(self, error: Exception) -> StoreError:
        """Return the error of ours that tells what SQLite or the JSON reader has raised."""
        if isinstance(error, sqlite3.IntegrityError):
            return StoreError(f"store: {self.path}: this contradicts the log ({error})")
        is_text = "decode" not in str(error)  # else there were bytes that are no text
        if isinstance(error, (sqlite3.OperationalError, sqlite3.ProgrammingError)) and is_text:
            return StoreError(f"store: {self.path}: {error}")
        return StoreCorruptError(f"store: {self.path} is damaged, or no store: {error}")


def _row(place: int, event: LogEvent) -> tuple[Any, ...]:
    """Return the row of an event."""
    kind, trial, attempt, data, time, _ = event
    time, text = float(time), _text(data)
    return place, time, kind, trial, attempt, text, _crc(place, time, kind, trial, attempt, text)


def _text(data: Mapping[str, Any]) -> str:
    """Return the JSON of an event's data or a header.

    Raises:
        StoreError: A value is of no JSON type, or not finite.
    """
    try:
        return _JSON.encode(data)
    except (TypeError, ValueError) as error:
        raise StoreError(f"store: events and headers must be of JSON types: {error}") from error


def _through_json(header: Mapping[str, Any]) -> dict[str, Any]:
    """Return the header as it reads after being saved: tuples as lists, keys as strings."""
    return json.loads(_text(dict(header)))  # type: ignore[no-any-return]


def _crc(*values: object) -> int:
    """Return the checksum of the values of a row."""
    return zlib.crc32(repr(values).encode(errors="backslashreplace"))


def _may_write(folder: Path) -> bool:
    return os.access(folder, os.W_OK, effective_ids=os.access in os.supports_effective_ids)


def _size(path: Path) -> int:
    """Return the bytes of a file; 0 where there is none."""
    return path.stat().st_size if path.exists() else 0
