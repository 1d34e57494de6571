"""Optuna's own storages, by URL or path, so that many trials are written to them in a short time."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from autohpo.errors import MissingExtraError, OptionError, PathError, shown
from autohpo.store import redacted

try:
    import optuna
    from optuna.storages import BaseStorage, JournalStorage, RDBStorage
    from optuna.storages.journal import BaseJournalBackend, JournalFileBackend
except ImportError as error:
    raise MissingExtraError("Optuna is not installed: pip install 'autohpo[optuna]'") from error

StorageArgument = BaseStorage | str | os.PathLike[str]


def is_database(storage: str) -> bool:
    """Return whether a storage's text is the URL of a database; else it is the path of a journal file."""
    return "://" in storage


@contextmanager
def opened_storage(storage: StorageArgument, *, is_new: bool) -> Iterator[BaseStorage]:
    """Open a storage of Optuna; one that was given as text is closed again.

    Args:
        storage: The storage, the URL of a database, or the path of a journal file.
        is_new: Whether trials are written to it; else it must exist.

    Raises:
        OptionError: It is nothing of these.
        PathError: It cannot be opened.
        MissingExtraError: The driver of the database is not installed.
    """
    if isinstance(storage, BaseStorage):
        yield storage
        return
    if not isinstance(storage, (str, os.PathLike)) or not os.fspath(storage):
        raise OptionError(f"storage: must be a storage of Optuna, a URL or the path of a journal, got {shown(storage)}")
    text = os.fspath(storage)
    if isinstance(storage, str) and is_database(text):
        yield from _database(text, is_new=is_new)
    else:
        yield from _journal(Path(text), is_new=is_new)


def _database(url: str, *, is_new: bool) -> Iterator[BaseStorage]:
    scheme, _, path = url.partition(":///")
    is_file = scheme.startswith("sqlite") and bool(path) and "?" not in path and ":memory:" not in path
    if is_file and not is_new and not Path(path).is_file():
        raise PathError(f"storage: there is no {path}")
    try:
        made = RDBStorage(url, skip_table_creation=not is_new)
    except ImportError as error:
        raise MissingExtraError(f"storage: the driver of {redacted(url)} is not installed: {error}") from error
    except Exception as error:  # of SQLAlchemy, or of the driver
        raise PathError(f"storage: {redacted(url)} cannot be opened: {error!s:.200}") from error
    if is_file and is_new:
        _hasten(made)
    try:
        yield made
    finally:
        made.remove_session()
        made.engine.dispose()


def _hasten(storage: RDBStorage) -> None:
    """Write to an SQLite file without a sync of the disk for each row: what is written can be exported again."""
    from sqlalchemy import event

    storage.engine.dispose()

    def prepare(connection: Any, _record: Any) -> None:
        connection.execute("PRAGMA synchronous = OFF")
        connection.execute("PRAGMA journal_mode = MEMORY")

    event.listen(storage.engine, "connect", prepare)


def _journal(path: Path, *, is_new: bool) -> Iterator[BaseStorage]:
    if not is_new and not path.is_file():
        raise PathError(f"storage: there is no {path}")
    try:
        held = _Held(path)
        yield JournalStorage(held)
        if is_new:
            held.write()
    except OSError as error:
        raise PathError(f"storage: {path} cannot be {'written' if is_new else 'read'}: {error}") from error
    except (ValueError, KeyError, TypeError) as error:
        if isinstance(error, OptionError):
            raise
        raise PathError(f"storage: {path} is no journal of Optuna: {error!s:.200}") from error


class _Held(BaseJournalBackend):
    """A journal that is read once, and written to once: at the end, and all in one step.

    Args:
        path: The path of the file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lines: list[dict[str, Any]] = []
        if path.exists():
            self._lines = list(JournalFileBackend(str(path)).read_logs(0))
            if not self._lines and path.stat().st_size:
                raise ValueError("it has no line that can be read")
        self._n_read = len(self._lines)

    def read_logs(self, log_number_from: int) -> list[dict[str, Any]]:
        """Return the lines behind a number of them."""
        return self._lines[log_number_from:]

    def append_logs(self, logs: Iterable[dict[str, Any]]) -> None:
        """Add lines."""
        self._lines += logs

    def write(self) -> None:
        """Write the lines that were added."""
        JournalFileBackend(str(self._path)).append_logs(self._lines[self._n_read :])
        self._n_read = len(self._lines)


def study_names(storage: BaseStorage) -> list[str]:
    """Return the names of the studies of a storage."""
    return [str(found.study_name) for found in storage.get_all_studies()]


def one_study(storage: BaseStorage, study_name: str | None) -> str:
    """Return the name of the study that is meant.

    Raises:
        OptionError: There is none of that name, or there are several and no name was given.
    """
    names = study_names(storage)
    if study_name is None and len(names) == 1:
        return names[0]
    if study_name in names:
        return str(study_name)
    what = f"must be one of {shown(names, 400)}" if names else "the storage has no study"
    raise OptionError(f"study_name: {what}, got {shown(study_name)}")


@contextmanager
def quiet() -> Iterator[None]:
    """Keep Optuna from telling of every study that it makes."""
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        yield
    finally:
        optuna.logging.set_verbosity(before)
