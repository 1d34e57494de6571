"""Control: asking the driver of a store to end, from another process or another host, through what both can reach."""

from __future__ import annotations

import contextlib
import json
import os
import time
from pathlib import Path

from autohpo.errors import PathError, StoreError
from autohpo.store import PostgresStore, Store, open_store
from autohpo.store.lock import Holder, holder_of, last_holder
from autohpo.store.opening import beside
from autohpo.store.postgres_studies import ask_to_stop, is_stop_seen, look
from autohpo.store.postgres_url import Place, is_postgres, redacted

REQUEST = "stop-request.json"
"""The file, in the folder of a store's files, that asks its driver to end."""

LOOK_SECONDS = 0.5
"""The time between two looks of a driver for such a file."""

WAIT_SECONDS = 0.05
"""The time between two looks of whoever waits for a driver."""

NAME_LOOKS = 10
"""How often the name of a driver that has left none is looked for again."""

MOST_BYTES = 4096
"""The most that is read of such a file."""


class StopRequests:
    """What a driver is asked by others: to end. Requests for another driver, and those for an earlier one, are removed.

    Args:
        files: The folder of the store's files.
        holder: The driver, as the lock of its store names it.
    """

    def __init__(self, files: Path, holder: Holder) -> None:
        self._path, self._holder = files / REQUEST, holder

    @classmethod
    def of(cls, store: Store) -> StopRequests | None:
        """Return the requests to whoever has a store open in this process; None where nobody else can reach it."""
        if isinstance(store, PostgresStore):
            return None if store.driver is None else _StudyRequests(store, store.driver)
        path = getattr(store, "path", None)
        holder = holder_of(beside(path, ".lock")) if isinstance(path, Path) else None
        return None if holder is None else cls(store.files, holder)

    def is_asked(self) -> bool:
        """Return whether the driver was asked to end since the last call; the request is then gone."""
        taken = self._path.with_name(f"{REQUEST}.taken")
        try:
            self._path.replace(taken)  # first, so that one that comes meanwhile is not lost
            with taken.open("rb") as file:
                text = file.read(MOST_BYTES)
        except OSError:  # as a rule there is none
            return False
        with contextlib.suppress(OSError):
            taken.unlink()
        return Holder.from_json(text.decode(errors="replace")) == self._holder


class _StudyRequests(StopRequests):
    """What the driver of a study in PostgreSQL is asked: a row has it, which every host can reach."""

    def __init__(self, store: PostgresStore, holder: Holder) -> None:
        super().__init__(Path(), holder)
        self._store = store

    def is_asked(self) -> bool:
        """Return whether the driver was asked to end since the last call; the request is then gone."""
        text = self._store.take_stop_request()
        return text is not None and Holder.from_json(text) == self._holder


def store_path(store: str | os.PathLike[str]) -> Path:
    """Return the path of the file of a store, which need not exist yet.

    Raises:
        OptionError: It is no path and no URL of a store.
        StoreError: The store is in no file.
    """
    path = place_of(store)
    if not isinstance(path, Path):
        raise StoreError(f"store: must be a file, got {path}, which is in a database")
    return path


def place_of(store: str | os.PathLike[str]) -> Path | Place:
    """Return where a store is, which need not exist yet, to be shown: a path, or a URL without secrets.

    Raises:
        OptionError: It is no path and no URL of a store.
        StoreError: It is in the memory of one process.
    """
    path = getattr(open_store(store), "path", None)
    if not isinstance(path, (Path, Place)):
        raise StoreError(f"store: must be a file, got {redacted(store)}, which is in the memory of one process")
    return path


def files_of(store: str | os.PathLike[str]) -> Path:
    """Return the folder of the files of a store, which need not exist yet.

    Raises:
        OptionError: It is no path and no URL of a store.
        StoreError: It is in the memory of one process, or cannot be read.
    """
    place_of(store)
    return open_store(store).files


def driver_of(store: str | os.PathLike[str]) -> Holder | None:
    """Return who has a store open now, as a driver or to ask and tell; None where nobody has.

    Nothing is locked to tell, so this may be called at any time, as often as one likes, and also by the driver itself.

    Args:
        store: The path or URL of the store; it need not exist.

    Raises:
        OptionError: It is no path and no URL of a store.
        StoreError: It names a folder, or lies in one that does not exist.
        StoreOfflineError: Its server cannot be reached.
    """
    path = place_of(store)
    holder = _holder(store, path)
    for _ in range(NAME_LOOKS):
        if holder is None or holder.host:
            break
        time.sleep(WAIT_SECONDS)  # it has just begun, and leaves its name in a moment
        holder = _holder(store, path)
    return holder


def _holder(store: str | os.PathLike[str], path: Path | Place) -> Holder | None:
    if isinstance(path, Path):
        return holder_of(beside(path, ".lock"))
    study = look(str(store))
    return None if study is None else study.holder


def last_driver_of(store: str | os.PathLike[str]) -> Holder | None:
    """Return who had a store open last, or has it; None where it does not say.

    Args:
        store: The path or URL of the store.
    """
    path = place_of(store)
    if isinstance(path, Path):
        return last_holder(beside(path, ".lock"))
    study = look(str(store))
    return None if study is None else study.last


def request_stop(store: str | os.PathLike[str]) -> Holder | None:
    """Ask the driver of a store to end as ``hpo.stop()`` does, and return it; None where there is none.

    The driver looks for such requests twice a second, wherever it runs: in a notebook, in a thread, on another host
    with the same file system or, of a study in PostgreSQL, on any host. What only asks and tells does not look.

    Args:
        store: The path or URL of the store.

    Raises:
        PathError: The request cannot be written.
        OptionError: It is no path and no URL of a store.
        StoreError: It names a folder, or lies in one that does not exist.
    """
    path = place_of(store)
    holder = driver_of(store)
    if holder is None:
        return None
    if not isinstance(path, Path):
        ask_to_stop(str(store), holder)
        return holder
    try:
        write_json(beside(path, ".files") / REQUEST, holder.to_json())
    except OSError as error:
        raise PathError(f"store: the request to end cannot be written beside {path}: {error}") from error
    return holder


def is_request_seen(store: str | os.PathLike[str]) -> bool:
    """Return whether there is no request to end that the driver of a store has not seen yet."""
    if is_postgres(store):
        return is_stop_seen(str(store))
    return not (beside(store_path(store), ".files") / REQUEST).exists()


def wait_until_free(store: str | os.PathLike[str], holder: Holder, timeout_seconds: float | None = None) -> bool:
    """Wait until a driver has let go of its store, and return whether it has.

    Args:
        store: The path or URL of the store.
        holder: The driver, as :func:`driver_of` returned it.
        timeout_seconds: How long to wait at most; None waits for ever.
    """
    pause_seconds = WAIT_SECONDS * (4 if is_postgres(store) else 1)  # each look is a connection
    began = time.monotonic()
    while driver_of(store) == holder:
        if timeout_seconds is not None and time.monotonic() - began >= timeout_seconds:
            return False
        time.sleep(pause_seconds)
    return True


def write_json(path: Path, text: str) -> None:
    """Write a small file in one step, readable for its owner alone: whoever reads it sees all of it, or none.

    Raises:
        OSError: It cannot be written.
    """
    json.loads(text)
    path.parent.mkdir(parents=True, exist_ok=True)
    made = path.with_name(f"{path.name}.{os.getpid()}.new")
    try:
        handle = os.open(made, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | getattr(os, "O_NOFOLLOW", 0), 0o600)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        made.replace(path)
    finally:
        made.unlink(missing_ok=True)
