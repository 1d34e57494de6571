"""What is looked at before a store is used: whether its files are all there, and as they were left."""

from __future__ import annotations

import logging
import os
import shlex
import shutil
import sqlite3
import warnings
from contextlib import suppress
from pathlib import Path

from autohpo.errors import NoRunError, StoreCorruptError, StoreError, StoreWarning, shown
from autohpo.store.lock import Count
from autohpo.store.rows import crc_of, is_whole
from autohpo.store.wal import HEADER_BYTES, WalState, walk

MAIN_HEADER_BYTES = 100  # of every SQLite file
QUICK_CHECK_BYTES = 8 * 2**20
"""The largest file that SQLite's own check of all pages is run on at each opening; rows have checksums anyway."""

JOURNAL = "-journal"
"""The longest ending of a file that SQLite puts beside a store."""

WAL_FORMAT = b"\x02\x02"  # bytes 18 and 19 of a file that is used with a write-ahead log

_log = logging.getLogger("autohpo")


def beside(path: Path, ending: str) -> Path:
    """Return the path of another file of the run; ``-wal`` has what was committed and is not in the main file yet."""
    return path.with_name(path.name + ending)


def checked_path(path: str | os.PathLike[str], name: str = "store") -> Path:
    """Return the path of a file, links resolved: one run has one lock, whatever link leads to it.

    Args:
        path: The path.
        name: The argument that it was given as.

    Raises:
        StoreError: It is no path of a file, is a folder or a device, or lies in a folder that does not exist.
    """
    text = os.fspath(path) if isinstance(path, (str, os.PathLike)) else None
    if not isinstance(text, str) or not Path(text).name or "\0" in text:
        raise StoreError(f"{name}: must be the path of a file, got {shown(path if text is None else text)}")
    try:
        found = Path(text).resolve()
        with suppress(FileNotFoundError, NotADirectoryError):
            os.lstat(beside(found, JOURNAL))  # else a name that is too long shows late
        is_folder, has_folder = found.is_dir(), found.parent.is_dir()
        is_device = found.exists() and not found.is_file()
    except (OSError, RuntimeError, ValueError) as error:  # a circle of links, a name that is too long
        raise StoreError(f"{name}: must be the path of a file, got {shown(str(path))}: {error}") from None
    if not has_folder:
        raise StoreError(f"{name}: folder {found.parent} does not exist")
    if is_folder:
        raise StoreError(f"{name}: {found} is a folder; name a file in it, such as {found / 'run.db'}")
    if is_device:
        raise StoreError(f"{name}: {found} is a device or a pipe; name a file")
    return found


def is_at_rest(path: Path) -> bool:
    """Whether all of a store is in its main file, as no driver works on it and none was killed."""
    return not beside(path, "-wal").exists() and not beside(path, "-journal").exists()


def connected(path: Path, query: str, timeout: float, *, is_reader: bool) -> sqlite3.Connection:
    """Return a connection, which any thread may use.

    Args:
        path: The path of the file.
        query: The query of its URI, which names the mode.
        timeout: How long it waits for others, in seconds.
        is_reader: Whether it writes no row, whatever the mode.
    """
    uri = path.as_uri() + query
    found = sqlite3.connect(uri, uri=True, timeout=timeout, isolation_level=None, check_same_thread=False)
    if is_reader:
        found.execute("PRAGMA query_only = ON")
    return found


def size_of(path: Path) -> int:
    """Return the bytes of a file; 0 where there is none."""
    try:  # one look: whoever closes the file last removes its write-ahead log, also between two looks
        return path.stat().st_size
    except (FileNotFoundError, NotADirectoryError):
        return 0


def no_run(path: Path, what: str = "holds no run yet") -> NoRunError:
    """Return the error for a store without a run."""
    return NoRunError(f"store: {path} {what}")


def salvage_advice(path: Path) -> str:
    """Return how to get out what can be read, as the end of a sentence."""
    return f"nothing was changed; `autohpo repair {shlex.quote(str(path))}` takes what can be read into a new store"


def check_files(path: Path, *, is_writer: bool, count: Count | None) -> None:
    """Check that the main file is no rest of a run whose results are elsewhere; SQLite would begin it anew.

    Args:
        path: The path of the main file.
        is_writer: Whether the file is opened by a driver.
        count: What the last driver noted, if it did.

    Raises:
        StoreCorruptError: It is such a rest.
        StoreError: It has several names.
    """
    n_bytes, n_wal = size_of(path), size_of(beside(path, "-wal"))
    if n_bytes < MAIN_HEADER_BYTES and (n_bytes or n_wal):
        # SQLite would take it for an empty one, and remove the write-ahead log with the results in it.
        raise StoreCorruptError(
            f"store: {path} has {n_bytes} bytes, so it is no store"
            + (f", but {path.name}-wal beside it has {n_wal} bytes of a run" if n_wal else "")
            + f"; {salvage_advice(path)}"
        )
    if not n_bytes and path.exists() and count is not None and count.committed:
        raise StoreCorruptError(f"store: {path} is empty, but {count.committed} events were written to it")
    if is_writer and path.exists() and path.stat().st_nlink > 1:
        raise StoreError(
            f"store: {path} has {path.stat().st_nlink} hard links; SQLite keeps its write-ahead log by the name of the "
            "file, so writing under two names would damage it; make a copy, and use that"
        )


def refuse_empty_shell(path: Path) -> None:
    """Raise where a file without tables is what an older release left in it before its write-ahead log was lost.

    Raises:
        StoreCorruptError: It is.
    """
    if size_of(path) < MAIN_HEADER_BYTES or size_of(beside(path, "-wal")) > HEADER_BYTES:
        return
    with path.open("rb") as file:
        head = file.read(MAIN_HEADER_BYTES)
    if head[18:20] == WAL_FORMAT:
        raise StoreCorruptError(
            f"store: {path} is an empty shell: all of its run was in {path.name}-wal, which is missing; put that file "
            f"beside it, or use another path for a new run"
        )


def check_whole(path: Path, db: sqlite3.Connection, count: Count | None, *, is_writer: bool) -> None:
    """Check that a store has all that its last driver committed.

    Args:
        path: The path of the main file.
        db: A connection that does not write.
        count: What the last driver noted, read before `db` was opened; None where it did not.
        is_writer: Whether the store is opened by a driver, which would write over what SQLite does not see.

    Raises:
        StoreCorruptError: Something is missing, or lies behind damage.
    """
    n_events = db.execute("SELECT ifnull(max(seq), 0) FROM events").fetchone()[0]
    crcs = [crc for (crc,) in db.execute("SELECT crc FROM header")]
    if count is not None and count.run not in (0, *crcs):
        if crcs:
            count = None  # of another run, whose file was here before
        elif count.committed:
            raise _missing(path, n_events, count)
    if count is not None and n_events < count.synced:
        raise _missing(path, n_events, count)
    if count is not None and not is_writer and n_events >= count.committed:
        return
    found = _walk(path)
    if found.n_behind and (count is None or (n_events >= count.committed and not _is_consistent(db))):
        raise StoreCorruptError(
            f"store: {path.name}-wal is damaged: {n_events} events of {path} can be read, and "
            f"{found.n_behind} pages of later ones lie behind a part that is not as it was written; "
            f"{salvage_advice(path)}"
        )
    if is_writer and size_of(beside(path, "-wal")):
        _check_rows(path, db)
    n_lost = 0 if count is None else count.committed - n_events
    if n_lost > 0 or found.has_torn_end:
        _say_dropped(path, n_lost, found, is_writer=is_writer, is_counted=count is not None)


def _missing(path: Path, n_events: int, count: Count) -> StoreCorruptError:
    """Return the error for a store that has less than was synced."""
    wal = beside(path, "-wal")
    what = "is damaged or cut" if size_of(wal) else "is missing"
    return StoreCorruptError(
        f"store: {path} has {n_events} of the {count.committed} events that were written to it: {wal.name}, which "
        f"held the others, {what}; put it back as it was, or go on with what is there: {salvage_advice(path)}"
    )


def _check_rows(path: Path, db: sqlite3.Connection) -> None:
    """Check every row, before the write-ahead log is copied over pages that salvage might need.

    Raises:
        StoreCorruptError: One, or the header, is not what was written.
    """
    for text, crc in db.execute("SELECT data, crc FROM header"):
        if crc != crc_of(text):
            raise StoreCorruptError(
                f"store: {path} is damaged: the header is not what was written; {salvage_advice(path)}"
            )
    for place, row in enumerate(db.execute("SELECT * FROM events ORDER BY seq"), start=1):
        if row[0] != place or not is_whole(row):
            raise StoreCorruptError(
                f"store: {path} is damaged: event {place} is not what was written; {salvage_advice(path)}"
            )


def _say_dropped(path: Path, n_lost: int, found: WalState, *, is_writer: bool, is_counted: bool) -> None:
    """Say that the end of a write-ahead log is dropped, and keep a copy of it where whole events may be lost."""
    if n_lost <= 0 and not found.n_behind and is_counted:
        _log.info("store: the last commit of %s was not whole and is dropped; nobody was told that it was kept", path)
        return
    text = f"the last {n_lost} events of {path} are missing" if n_lost > 0 else f"the end of {path}-wal is torn"
    if is_counted:
        text = f"store: {text}; they were not synced yet when the machine stopped"
    else:
        text = (
            f"store: {text}, and {path.name}.lock, which counts what was written, is not here; what was behind is lost"
        )
    if is_writer:
        wal, kept = beside(path, "-wal"), beside(path, "-wal.dropped")
        if size_of(wal):
            shutil.copyfile(wal, kept)
            text += f"; {kept.name} has a copy of the write-ahead log as it was"
    warnings.warn(text, StoreWarning, stacklevel=2)


def _walk(path: Path) -> WalState:
    """Return what the write-ahead log holds; a driver may write to it meanwhile, so alarm is given only twice."""
    wal = beside(path, "-wal")
    for _ in range(4):
        before = _head(wal)
        found = walk(wal)
        if not found.n_behind or (_head(wal) == before and walk(wal).n_committed == found.n_committed):
            break
    return found


def _head(wal: Path) -> bytes:
    try:
        with wal.open("rb") as file:
            return file.read(HEADER_BYTES)
    except FileNotFoundError:
        return b""


def _is_consistent(db: sqlite3.Connection) -> bool:
    """Whether all pages fit each other, indexes and tables: a mixture of old and new ones does not."""
    try:
        return bool(db.execute("PRAGMA integrity_check(1)").fetchone()[0] == "ok")
    except sqlite3.DatabaseError:
        return False


def may_write(folder: Path) -> bool:
    """Return whether files can be made in a folder."""
    return os.access(folder, os.W_OK, effective_ids=os.access in os.supports_effective_ids)
