"""A store that is looked at: its header, its objectives, its space, also where only a program knows the values."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from autohpo.cli.arguments import NoStoreError
from autohpo.errors import StoreError
from autohpo.objectives import Objectives
from autohpo.quick import read_leading_result
from autohpo.result import Result
from autohpo.spaces import SearchSpace
from autohpo.store import RunState, Store, open_store, redacted
from autohpo.store.described import mode_of, readable_space
from autohpo.store.postgres_url import Place
from autohpo.trial_files import files_of


@dataclass(frozen=True)
class Opened:
    """A store that is open to read, with what its header says.

    Attributes:
        url: The path or URL that the user gave.
        store: The store.
        header: The header of the store.
        space: The space of the run; values that only the program knows are strings there.
        mode: Which way each objective is better.
    """

    url: str
    store: Store
    header: Mapping[str, Any]
    space: SearchSpace
    mode: Any

    @property
    def objectives(self) -> Objectives:
        """The objectives that `mode` stands for."""
        return Objectives.of(self.mode)

    @property
    def path(self) -> Path | Place:
        """Where the store is: the path of its file, or its URL without secrets."""
        path = getattr(self.store, "path", None)
        return path if isinstance(path, (Path, Place)) else Path(redacted(self.url))

    def state(self) -> RunState:
        """Return what all of the log says now."""
        return RunState(self.space, self.objectives, str(self.path)).follow(self.store.events())

    def result(self, state: RunState | None = None) -> Result:
        """Return the result that the run has now, or in a state."""
        if state is None:
            return Result.read(self.store, self.space)
        header = self.header
        made = Result.of(state, self.mode, algorithm=header.get("algorithm", ""), name=header.get("name", ""))
        return replace(made, **files_of(self.store))

    def leading(self, k: int = 1) -> Result:
        """Return a result with the best trials alone, which is quick also where there are very many."""
        return read_leading_result(self.store, k, self.space)


@contextmanager
def opened(url: str) -> Iterator[Opened]:
    """Open the run in a store to read.

    Raises:
        NoStoreError: There is none, or no run in it yet.
        StoreError: It cannot be read.
    """
    try:
        store = open_store(url, read_only=True)
    except StoreError as error:
        if type(error) is StoreError and ("holds no run yet" in str(error) or "does not exist" in str(error)):
            raise NoStoreError(str(error)) from None
        raise
    where = redacted(url)
    try:
        header = store.header
        if header is None:
            raise NoStoreError(f"store: {where} holds no run yet")
        yield Opened(url, store, header, readable_space(header, where), mode_of(header, where))
    finally:
        store.close()
