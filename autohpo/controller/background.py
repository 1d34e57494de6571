"""Background: a search in a thread of its own, which ends in order with the program."""

from __future__ import annotations

import atexit
import logging
import threading
import traceback
import weakref
from collections.abc import Callable

_log = logging.getLogger("autohpo")

EXIT_SECONDS = 20.0
"""How long the interpreter waits at its exit for a search to end in order: its grace, and the end of its workers."""


class Background:
    """A function that runs in a thread of its own; what it raises is kept for whoever waits for it.

    Args:
        run: The function.
        stop: Asks it to end; called when the interpreter exits.
        stays: Whether the interpreter does not exit before it has ended by itself.

    Attributes:
        error: What it raised, if anything.
    """

    def __init__(self, run: Callable[[], None], stop: Callable[[], None], *, stays: bool = False) -> None:
        self._run, self._stop, self._stays = run, stop, stays
        self.error: BaseException | None = None
        self._has_begun, self._has_ended = False, threading.Event()  # Thread.join takes Ctrl-C for the thread's end
        self._thread = threading.Thread(target=self._work, name="autohpo-controller", daemon=not stays)

    def start(self) -> None:
        """Start the thread."""
        self._has_begun = True
        if self._stays:
            self._thread.start()
            return
        weakref.finalize(self, _nothing)  # finalizers end workers at exit: registered before ours, they run after it
        atexit.register(self._at_exit)
        self._thread.start()

    @property
    def is_alive(self) -> bool:
        """Whether it runs."""
        return self._has_begun and not self._has_ended.is_set()

    @property
    def is_here(self) -> bool:
        """Whether this is called from that thread itself."""
        return threading.current_thread() is self._thread

    def join(self, timeout_seconds: float | None) -> bool:
        """Wait until it has ended; return whether it has. From the thread itself it returns at once."""
        if not self.is_here:
            self._has_ended.wait(None if timeout_seconds is None else max(0.0, timeout_seconds))
        return not self.is_alive

    def _work(self) -> None:
        try:
            self._run()
        except BaseException as error:  # whoever waits raises it
            self.error = error
            _log.exception("the search of the controller ended with an error")
            if self._stays:  # nobody may wait
                traceback.print_exception(error)
        finally:
            self._has_ended.set()
            atexit.unregister(self._at_exit)

    def _at_exit(self) -> None:
        self._stop()
        self.join(EXIT_SECONDS)


def _nothing() -> None:
    """Do nothing: a finalizer needs a function."""
