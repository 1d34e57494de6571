"""The event log in one SQLite file: durable when written, JSON only, open to readers while a run goes on."""

from __future__ import annotations

import json
import shutil
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

from autohpo.errors import StoreCorruptError, StoreError, StoreFullError, StoreGoneError, StoreLockedError
from autohpo.folders import remove_folder, temporary_folder
from autohpo.store import opening
from autohpo.store.base import LogEvent, Store, check_header
from autohpo.store.checked import BadValueError, check_kept_header, parse_json
from autohpo.store.checkpoints import Checkpoints
from autohpo.store.lock import Count, RunLock
from autohpo.store.opening import beside, size_of
from autohpo.store.rows import APPLICATION_ID, FORMAT, SCHEMA, data_of, json_of, row_of
from autohpo.store.rows import crc_of as _crc
from autohpo.store.waiting import PASSING, WAIT_SECONDS, Waiting
from autohpo.version import __version__

BATCH = 128  # rows that are read together
LOCK_SECONDS = 0.2  # that SQLite itself waits for another process; longer waits can be interrupted
READ_SECONDS = 60.0  # the same for a reader
LOOK_SECONDS = 1.0  # between two looks at whether the file is still the one that was opened

_event_of: Callable[[tuple[Any, ...]], LogEvent] = partial(tuple.__new__, LogEvent)  # without a call in Python
_MARK = f"PRAGMA user_version = {FORMAT}"


class SQLiteStore(Store):
    """A store in one file, in which every commit is kept before the search goes on.

    Write-ahead log and ``BEGIN IMMEDIATE``: readers never block the writer. With ``synchronous=FULL`` a commit survives
    a kill and a power loss. A commit in ``NORMAL`` survives a kill: it is in the write-ahead log, which the next commit
    in FULL syncs as a whole, and which SQLite syncs before it copies any of it into the main file or writes over it.
    That copying is done about once a second, so that a copy of the main file alone has the run but for its last
    moments. The file must be on a local disk: SQLite's write-ahead log needs one host. Every row has a checksum and its
    place in the log, because SQLite itself would give back a changed byte of a value as it is. Where the disk is full,
    another process keeps the file locked, or the file is gone, an append waits, warns, and tries again; then it raises.

    Args:
        path: The path of the file; ``path.lock`` beside it says who writes, and counts what was written.
        read_only: Whether it is only looked at: that needs no lock and changes nothing. Beside the log of a driver
            that runs, or that was killed, SQLite may leave its own ``path-shm``.
        wait_seconds: How long an append waits for room on the disk, or for another process.

    Raises:
        StoreError: The path is that of a folder, or lies in one that does not exist; or, with `read_only`, there is no
            such file, or it holds no run yet.
        StoreCorruptError: With `read_only`: it is damaged, or a part of it is missing.
        OptionError: The time to wait is no number of seconds.
    """

    def __init__(self, path: str | Path, *, read_only: bool = False, wait_seconds: float = WAIT_SECONDS) -> None:
        self.path = opening.checked_path(path)
        self._mutex = threading.RLock()  # one thread at a time commits or makes a checkpoint
        self._lock = RunLock(beside(self.path, ".lock"))
        self._connection: sqlite3.Connection | None = None
        self._checkpoints: Checkpoints | None = None
        self._waiting = Waiting(self.path, wait_seconds)
        self._copy: Path | None = None  # of a run whose folder cannot be written
        self._file: tuple[int, int] = (0, 0)  # device and inode
        self._looked = 0.0  # when the file was last seen
        self._is_full = True  # whether a commit syncs
        self._has_unsynced = False  # whether some commit may be lost with the power
        self._format = FORMAT  # of the file
        self._count = Count(0, 0, 0)  # as long as it is open, nobody else adds any
        self._is_read_only = read_only
        if read_only:
            if not self.path.is_file():
                raise opening.no_run(self.path, "does not exist")
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
            text = json_of(dict(header))
            crc = _crc(text)
            self._commit([("INSERT INTO header VALUES (?, ?)", [(text, crc)])], Count(crc, *self._count[1:]), sync=True)
        else:
            check_header(kept, _through_json(header), str(self.path))

    def _connect(self, mode: str) -> None:
        path, query = self.path, f"?mode={mode}"
        if mode == "ro" and not opening.may_write(path.parent):
            # An archived run: SQLite could not make the shared memory that it reads a write-ahead log through.
            if not size_of(beside(path, "-wal")):
                query += "&immutable=1"
            elif not beside(path, "-shm").exists():
                path = self._copied()
        elif self._is_read_only and opening.is_at_rest(path):
            query = "?mode=rw"  # a connection that may not write leaves the -wal and the -shm that it had to make
        timeout = READ_SECONDS if mode == "ro" else LOCK_SECONDS
        self._connection = opening.connected(path, query, timeout, is_reader=self._is_read_only)

    def _copied(self) -> Path:
        """Return a copy of the files in a temporary folder, which goes when the store is closed."""
        self._copy = temporary_folder()
        for ending in ("", "-wal"):
            shutil.copyfile(beside(self.path, ending), self._copy / f"run.db{ending}")
        return self._copy / "run.db"

    def _look(self) -> None:
        """Open the file for reading."""
        count = self._lock.count()  # before the file is opened: what is counted there must be in it
        opening.check_files(self.path, is_writer=False, count=count)
        self._connect("ro")
        if beside(self.path, "-journal").exists():  # there is a rollback journal only while it is made
            raise opening.no_run(self.path)
        if self._is_new():
            opening.refuse_empty_shell(self.path)
            raise opening.no_run(self.path)
        self._check_format()
        if count is None and self._lock.count() is not None:  # a driver began meanwhile, and may be writing
            self._db.close()
            self._look()
            return
        opening.check_whole(self.path, self._db, count, is_writer=False)

    def _prepare(self) -> None:
        """Open the file for writing; a new or empty one gets its tables."""
        count = self._lock.count()
        opening.check_files(self.path, is_writer=True, count=count)
        is_new = not size_of(self.path) or beside(self.path, "-journal").exists()
        if not is_new:  # looked at by a connection that writes nothing, as the first one that writes may lose evidence
            self._connect("ro")
            is_new = self._is_new()
            if is_new:
                opening.refuse_empty_shell(self.path)
            else:
                self._check_format()
                opening.check_whole(self.path, self._db, count, is_writer=True)
            self._db.close()
        self._connect("rwc")
        self._db.execute("PRAGMA synchronous = FULL")
        if self._is_new():
            self._format = FORMAT
            self._db.executescript(f"BEGIN IMMEDIATE; {SCHEMA} COMMIT;")  # before there is a write-ahead log
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA journal_size_limit = 0")  # no frames of an older log lie behind those of this one
        self._is_full = True
        self._begin_to_count()

    def _begin_to_count(self) -> None:
        """Sync what an earlier driver may have left without, and note how much there is."""
        is_busy, n_frames, n_copied = self._db.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        is_busy = is_busy or n_frames != n_copied  # a reader may hold it back, and then nothing is synced
        n = self._db.execute("SELECT ifnull(max(seq), 0) FROM events").fetchone()[0]
        crcs = [crc for (crc,) in self._db.execute("SELECT crc FROM header")]
        self._has_unsynced = bool(is_busy)
        self._count = Count(crcs[0] if len(crcs) == 1 and type(crcs[0]) is int else 0, 0 if is_busy else n, n)
        self._lock.note(self._count)
        self._lock.sync()
        seen = self.path.stat()
        self._file, self._looked = (seen.st_dev, seen.st_ino), time.monotonic()
        self._checkpoints = Checkpoints(self._checkpoint, self._mutex)

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
        if size_of(self.path) <= opening.QUICK_CHECK_BYTES:
            found = self._pragma("quick_check(1)")
            if found != "ok":
                raise self._damage(found)

    @property
    def header(self) -> dict[str, Any] | None:
        """The header that the run began with."""
        with self._faults():
            rows = self._db.execute("SELECT data, crc FROM header").fetchall()
            if not rows:
                return None
            text, crc = rows[0]
            if len(rows) != 1 or crc != _crc(text):
                raise self._damage("the header is not what was written")
            header = parse_json(text)
            wrong = check_kept_header(header)
            if wrong:
                raise self._damage(f"the header is none that autohpo writes: {wrong}")
            return header  # type: ignore[no-any-return]

    @property
    def files(self) -> Path:
        """The folder beside the file, with ``.files`` at its end."""
        return beside(self.path, ".files")

    def append(self, events: Sequence[LogEvent], *, sync: bool = True) -> None:
        """Add the events in one transaction; the write-ahead log is synced where `sync` says so.

        Raises:
            StoreFullError: The disk is full, and stayed so while this waited.
            StoreLockedError: Another process kept the file locked for as long.
            StoreGoneError: The file was removed or replaced.
            StoreError: The events contradict the log, or are of no JSON types.
        """
        if self._is_read_only:
            raise StoreError(f"store: {self.path} was opened to read only, so it is readonly")
        run, synced, n_events = self._count
        rows = [row_of(place, event) for place, event in enumerate(events, start=n_events + 1)]
        statements: list[tuple[str, list[tuple[Any, ...]]]] = [
            ("INSERT INTO events VALUES (?, ?, ?, ?, ?, ?, ?)", rows)
        ]
        if not rows and sync and self._has_unsynced:
            statements = [(_MARK, [()])]  # a commit of nothing would not sync what lies before it
        n_events += len(rows)
        self._commit(statements, Count(run, n_events if sync else synced, n_events), sync=sync, held=events)

    def _commit(
        self,
        statements: Sequence[tuple[str, Sequence[tuple[Any, ...]]]],
        count: Count,
        *,
        sync: bool,
        held: Sequence[LogEvent] = (),
    ) -> None:
        """Run statements in one transaction; where that is not possible now, wait until it is."""

        def step() -> None:
            with self._mutex:
                self._look_at_file()
                with self._faults(), self._transaction(sync=sync) as db:
                    for statement, rows in statements:
                        if statement == _MARK:
                            db.execute(statement)
                        else:
                            db.executemany(statement, rows)
                is_more = count != self._count
                self._has_unsynced = not sync and (self._has_unsynced or is_more)
                if is_more:
                    self._count = count
                    self._lock.note(count)
                    if self._checkpoints is not None:
                        self._checkpoints.committed()

        try:
            step()
        except PASSING as error:
            self._waiting.retry(step, error, self.pause, held)

    def _look_at_file(self) -> None:
        """Check now and then that the path still leads to the file that is written.

        Raises:
            StoreGoneError: It does not.
        """
        now = time.monotonic()
        if now - self._looked < LOOK_SECONDS or self._connection is None:
            return
        try:
            seen = self.path.stat()
            is_there = (seen.st_dev, seen.st_ino) == self._file
            what = "replaced by another file"
        except OSError:
            is_there, what = False, "removed or moved"
        if not is_there:
            raise StoreGoneError(f"store: {self.path} was {what} while the search wrote to it")
        self._looked = now

    def _checkpoint(self) -> None:
        """Copy the write-ahead log into the main file, as far as readers let it."""
        if self._connection is not None:
            with suppress(sqlite3.Error):  # the log has it all; where the disk is full the next append says so
                self._connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()

    def events(self, after: int = 0) -> Iterator[LogEvent]:
        """Return the events behind a place in the log."""
        with self._faults():
            rows = self._db.execute("SELECT * FROM events WHERE seq > ? ORDER BY seq", (after,))
            while batch := rows.fetchmany(BATCH):
                data = data_of(batch, after)
                places, times, kinds, trials, attempts, _, _ = zip(*batch, strict=True)
                yield from map(_event_of, zip(kinds, trials, attempts, data, times, places, strict=True))
                after += len(batch)

    def close(self) -> None:
        """Close the file, and give the lock free."""
        try:
            if self._checkpoints is not None:
                self._checkpoints.close()
            if self._has_unsynced and self._connection is not None:
                self.append([])  # the last connection to be closed would sync; but a reader may stay
        finally:
            with self._mutex:
                self._has_unsynced, self._checkpoints = False, None
                if self._connection is not None:
                    self._connection.close()
                    self._connection = None
                self._lock.release()
                if self._copy is not None:
                    remove_folder(self._copy)

    def _damage(self, what: str) -> StoreCorruptError:
        """Return the error for something that does not read as it was written."""
        return StoreCorruptError(f"store: {self.path} is damaged: {what}; {opening.salvage_advice(self.path)}")

    def _pragma(self, name: str) -> Any:
        return self._db.execute(f"PRAGMA {name}").fetchone()[0]

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
        except (sqlite3.Error, BadValueError, UnicodeDecodeError) as error:
            raise self._as_ours(error) from error

    def _as_ours(self, error: Exception) -> StoreError:
        """Return the error of ours that tells what SQLite or the JSON reader has raised."""
        text = str(error)
        if isinstance(error, BadValueError):
            return self._damage(text)
        if isinstance(error, sqlite3.IntegrityError):
            return StoreError(f"store: {self.path}: this contradicts the log ({error})")
        is_text = "decode" not in text  # else there were bytes that are no text
        if isinstance(error, (sqlite3.OperationalError, sqlite3.ProgrammingError)) and is_text:
            if "locked" in text:
                return StoreLockedError(f"store: {self.path} is locked by another process, such as a backup ({text})")
            if "full" in text or ("I/O" in text and not self._is_read_only):
                return StoreFullError(
                    f"store: {self.path} cannot grow: its disk is full, over its quota or failing ({text})"
                )
            return StoreError(f"store: {self.path}: {error}")
        return StoreCorruptError(
            f"store: {self.path} is damaged, or no store: {error}; if it was one, try `autohpo repair`"
        )


def _through_json(header: Mapping[str, Any]) -> dict[str, Any]:
    """Return the header as it reads after being saved: tuples as lists, keys as strings."""
    return json.loads(json_of(dict(header)))  # type: ignore[no-any-return]
