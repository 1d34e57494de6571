"""A new store that takes its place when it is whole: a file beside it, or a study of another name."""

from __future__ import annotations

import contextlib
import secrets
import shutil
import tempfile
from pathlib import Path
from types import TracebackType

from autohpo.cli.arguments import UsageError
from autohpo.control import driver_of
from autohpo.errors import NoRunError, PathError, RunBusyError, StoreError
from autohpo.store.opening import beside, checked_path
from autohpo.store.postgres_studies import look, move_study, remove_study
from autohpo.store.postgres_url import Place, is_postgres, parse_url, with_study

PARTS = ("", "-wal", "-shm", "-journal", ".lock")
"""The endings of the files of a store, but for the folder of what its trials left."""


def target_of(place: str, *, is_forced: bool) -> Target | StudyTarget:
    """Return the place of a new store.

    Args:
        place: The path or URL of the store.
        is_forced: Whether one that is there is overwritten.
    """
    kind = StudyTarget if is_postgres(place) else Target
    return kind(place, is_forced=is_forced)


class StudyTarget:
    """The place of a new study in a database, which is made under another name there.

    Args:
        place: The URL of the study.
        is_forced: Whether one that is there is overwritten.

    Attributes:
        place: The URL of the study without secrets.
        made: The URL under which it is made.

    Raises:
        UsageError: There is a study of that name already.
        RunBusyError: Somebody works on it.
        StoreOfflineError: The server cannot be reached.
    """

    def __init__(self, place: str, *, is_forced: bool) -> None:
        self._url, name = place, parse_url(place).study
        self.place: Place = parse_url(place).place
        found = look(place)
        if found is not None and not is_forced:
            raise UsageError(f"to: {self.place} is there already; name a new study, or give --force to overwrite it")
        if found is not None and found.holder is not None:
            raise RunBusyError(f"to: {self.place} is in use by {found.holder}")
        self.made = with_study(place, f"{name[:60]}.import-{secrets.token_hex(4)}")

    def __enter__(self) -> StudyTarget:  # noqa: PYI034 - Self is not in 3.10
        return self

    def take_place(self) -> None:
        """Give the study its name, once it is whole and closed."""
        made = look(self.made)
        files = Path(move_study(self.made, self._url))
        if made is not None and Path(made.files).is_dir():
            Path(made.files).replace(files)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            with contextlib.suppress(NoRunError, StoreError):  # nothing was made yet, or the server is away
                remove_study(self.made)


class Target:
    """The place of a new store, and a folder beside it in which it is made.

    Args:
        place: The path of the store.
        is_forced: Whether one that is there is overwritten.

    Attributes:
        place: The path of the store.
        made: The path at which it is made.

    Raises:
        UsageError: There is a store, or the folder of one, already.
        RunBusyError: Somebody works on the one that is there.
    """

    def __init__(self, place: str, *, is_forced: bool) -> None:
        self.place = checked_path(place, "to")
        there = [beside(self.place, ending) for ending in PARTS[:4] if beside(self.place, ending).exists()]
        if there and not is_forced:
            raise UsageError(f"to: {there[0]} is there already; name a new file, or give --force to overwrite it")
        holder = driver_of(self.place)
        if holder is not None:
            raise RunBusyError(f"to: {self.place} is in use by {holder}")
        if beside(self.place, ".files").exists():
            raise UsageError(
                f"to: {beside(self.place, '.files')} has the checkpoints and logs of a run that was there; "
                "remove it, or name a new file"
            )
        try:
            self._folder = Path(tempfile.mkdtemp(prefix=f".{self.place.name}.", dir=self.place.parent))
        except OSError as error:
            raise PathError(f"to: {self.place} cannot be written: {error}") from error
        self.made = self._folder / self.place.name

    def __enter__(self) -> Target:  # noqa: PYI034 - Self is not in 3.10
        return self

    def take_place(self) -> None:
        """Put the store in its place, once it is whole and closed."""
        for ending in PARTS[1:]:
            beside(self.place, ending).unlink(missing_ok=True)
        for ending in reversed(PARTS):
            if beside(self.made, ending).exists():
                beside(self.made, ending).replace(beside(self.place, ending))
        if beside(self.made, ".files").exists():
            beside(self.made, ".files").replace(beside(self.place, ".files"))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)
