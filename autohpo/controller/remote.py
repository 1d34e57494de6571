"""Remote: a search in a process of its own, which outlives the one that started it and is followed by its store."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

from autohpo.control import driver_of, place_of, request_stop, wait_until_free
from autohpo.controller.account import Past
from autohpo.errors import OptionError, RunBusyError, StoreError
from autohpo.service import start_detached
from autohpo.store import open_store
from autohpo.store.lock import Holder
from autohpo.store.postgres_url import is_postgres

VARIABLE = "AUTOHPO_CONTROLLER_SERVICE"
"""The variable that tells the process of a service which store's search it is to run itself."""


def is_service_of(store: str) -> bool:
    """Return whether this very process is the service that runs the search of a store."""
    return os.environ.get(VARIABLE) == str(place_of(store))


def own_command() -> list[str]:
    """Return the command line that starts this program again.

    Raises:
        OptionError: It is no script: a prompt, a notebook, or code that was given on the command line.
    """
    main = sys.modules["__main__"]
    path, spec = getattr(main, "__file__", None), getattr(main, "__spec__", None)
    if spec is not None and spec.name and not spec.name.startswith("ipykernel"):
        name = spec.name.removesuffix(".__main__")
        return [sys.executable, "-m", name, *sys.argv[1:]]
    if path is None or not Path(path).is_file() or "ipykernel" in sys.modules:
        raise OptionError(
            "run_as_service: needs a script, which a process of its own runs again; from a prompt or a notebook, write "
            "the program into a file"
        )
    return [sys.executable, str(Path(path).resolve()), *sys.argv[1:]]


class Remote:
    """A search that another process drives, started by this one or found at work.

    It has the methods of :class:`autohpo.controller.drive.Drive`.

    Args:
        store: The path or URL of the store.
        most: The iterations of a job that was given no number of them.
    """

    def __init__(self, store: str, most: float | None) -> None:
        self._place, self._most = str(place_of(store)), most
        self._store = store if is_postgres(store) else self._place
        self.error: BaseException | None = None

    def start(self) -> None:
        """Start the process, and wait until it has the store; one that is at work there is followed.

        Raises:
            OptionError: This program is no script.
            DetachedError: The process ended with an error; the text has the end of its log.
        """
        command = own_command()
        if driver_of(self._store) is None:
            try:
                start_detached(command, store=self._store, environment={**os.environ, VARIABLE: self._place})
            except RunBusyError:  # another one was faster
                return

    @property
    def is_alive(self) -> bool:
        """Whether it runs."""
        return driver_of(self._store) is not None

    def join(self, timeout_seconds: float | None) -> bool:
        """Wait until it has ended; return whether it has."""
        holder: Holder | None = driver_of(self._store)
        return holder is None or wait_until_free(self._store, holder, timeout_seconds)

    def join_reporter(self, timeout_seconds: float | None) -> None:
        """Wait for nothing: callbacks are called in the process of the search."""

    def stop(self) -> None:
        """End the search in order."""
        request_stop(self._store)

    def abort(self, number: int) -> None:
        """Raise an error: jobs of another process cannot be ended one by one.

        Raises:
            OptionError: Always.
        """
        raise OptionError(f"abort: job {number} runs in the process of a service; stop() ends the whole search")

    def limit_moved(self) -> None:
        """Do nothing: the service runs the same program, which sets its own limit."""

    def used(self) -> tuple[float, float]:
        """Return the iterations and the seconds that all jobs have used."""
        try:
            store = open_store(self._store, read_only=True)
        except StoreError:  # it is not there yet
            return 0.0, 0.0
        try:
            past = Past(self._most).follow(store.events())
        finally:
            store.close()
        return past.iterations, past.seconds


def run_id_in(store: str, name: str, patience_seconds: float = 5.0) -> str:
    """Return what the ids of the jobs of a service begin with, once it has written that.

    Args:
        store: The path of the store.
        name: The name of the file.
        patience_seconds: How long to wait at most.
    """
    opened = open_store(store)
    path = Path(opened.files) / name
    until = time.monotonic() + patience_seconds
    while not path.is_file() and time.monotonic() < until:
        time.sleep(0.02)
    return path.read_text(encoding="ascii").strip() if path.is_file() else ""
