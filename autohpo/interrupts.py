"""Interrupts: signal handlers that no child inherits, and the thread that ends what does not end by itself."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Mapping
from functools import cache
from types import FrameType
from typing import Any, Protocol

from autohpo.execution.descriptors import above_standard
from autohpo.execution.forks import ForkFilter

SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK") if hasattr(signal, name))
"""The signals that end a search in order; Windows has Ctrl-Break and the end of a console in place of SIGHUP."""

POKE: int | None = getattr(signal, "SIGURG", None) if hasattr(signal, "pthread_kill") else None
"""What the watch sends to the driver's thread: ignored by default, and used by nobody else."""

TICK_SECONDS = 0.02  # between two looks once a search has to end
STUCK_SECONDS = 1.0  # from the second signal on, for code that does not let itself be interrupted
LAST_SECONDS = 8.0  # from the second signal on, for everything
TWICE_SECONDS = 0.1  # a closed terminal, and `timeout`, send their signal twice at once

Handler = Callable[[int, Any], None]


class Interrupted(KeyboardInterrupt):
    """Leaves code of the user's, or of an algorithm, that takes too long when its search has to end."""


class Count:
    """A count of signals; one that the system sends twice at once is one."""

    def __init__(self) -> None:
        self.n = 0
        self._last = (0, 0.0)

    def add(self, signum: int, now: float) -> bool:
        """Count a signal; return False where it is the same as the last one."""
        number, at = self._last
        if signum == number != signal.SIGINT and now - at < TWICE_SECONDS:
            return False
        self.n, self._last = self.n + 1, (signum, now)
        return True


class Handlers:
    """Signal handlers in place of those there were, in this process alone: a forked child gets the old ones back.

    A handler that was set from C cannot be put back, so it stays; a SIGHUP that is ignored (``nohup``) stays ignored.

    Args:
        handlers: The handlers, by signal.
        wakeup: A socket that each signal is written to at once, also while a C call runs.
    """

    def __init__(self, handlers: Mapping[int, Handler], wakeup: socket.socket) -> None:
        self._replaced: dict[int, tuple[Handler, Any]] = {}
        for signum, handler in handlers.items():
            there = signal.getsignal(signum)
            is_kept = signum == getattr(signal, "SIGHUP", None) and there is signal.SIG_IGN
            if there is not None and not is_kept:
                self._replaced[signum] = handler, there
                signal.signal(signum, handler)
        self._wakeup = wakeup.fileno()
        self.outer_wakeup = signal.set_wakeup_fd(self._wakeup, warn_on_full_buffer=False)
        _installed.append(self)
        _mind_forks()

    def old(self, signum: int) -> Any:
        """Return the handler that a signal had before."""
        return self._replaced[signum][1]

    def restore(self) -> None:
        """Put the old handlers back, but where somebody set another one meanwhile."""
        if self not in _installed:  # a forked child did it already
            return
        _installed.remove(self)
        for signum, (handler, there) in self._replaced.items():
            if signal.getsignal(signum) == handler:
                signal.signal(signum, there)
        with contextlib.suppress(ValueError, OSError):  # the other one was closed meanwhile
            now = signal.set_wakeup_fd(self.outer_wakeup, warn_on_full_buffer=False)
            if now not in (self._wakeup, self.outer_wakeup):
                signal.set_wakeup_fd(now)


_installed: list[Handlers] = []
_forking = threading.local()


@cache
def _mind_forks() -> None:
    """Have forked children forget our handlers; once, when the first are installed."""
    if hasattr(os, "register_at_fork") and hasattr(signal, "pthread_sigmask"):
        os.register_at_fork(before=_before_fork, after_in_parent=_after_fork, after_in_child=_after_fork_in_child)


def _before_fork() -> None:
    """Hold signals back until the child has its own handlers: what it gets before would be lost in ours."""
    if _installed:
        _forking.mask = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)


def _after_fork() -> None:
    mask, _forking.mask = getattr(_forking, "mask", None), None
    if mask is not None:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def _after_fork_in_child() -> None:
    for handlers in reversed(list(_installed)):
        handlers.restore()
    _after_fork()


class Watched(Protocol):
    """The contract of what a watch looks after."""

    over_at: float
    """When the search has to end, by the monotonic clock."""

    @property
    def look_seconds(self) -> float:
        """The time between two calls of :meth:`look`; infinite where there is nothing to look for."""

    def look(self) -> None:
        """Look whether somebody else asks the search to end."""

    def is_due(self, now: float) -> bool:
        """Whether what the driver does now is to be interrupted."""

    def hurry(self) -> None:
        """Take note of a second signal, which the driver may be too busy to see."""

    def is_stuck(self, n_signals: int) -> bool:
        """Whether the driver does not get on: it runs foreign code, or has not seen as many signals."""

    def give_up(self) -> None:
        """Say what is to be said before the process ends."""


IMPORT_SYSTEM = "<frozen importlib._bootstrap>"
"""The file that frames of the import system name."""


class Watch:
    """A thread beside the driver: it sees signals and the time also while the driver is busy, and interrupts it then.

    Code that runs in C is not interrupted before it returns to Python. Where it does not within a second of the second
    signal, the process ends, as after a kill: what is in the store is safe. An interactive session goes on.

    Args:
        watched: What it looks after.
    """

    def __init__(self, watched: Watched) -> None:
        self._watched = watched
        self._driver = threading.get_ident()
        self._can_poke = False
        self._handlers: Handlers | None = None
        self._count = Count()
        self._is_closing = False
        self._first = self._hurried = self._stuck = 0.0
        self._signum = 0
        self._here, self._there = map(_above_standard, socket.socketpair())
        for end in (self._here, self._there):
            end.setblocking(False)  # noqa: FBT003
        self._thread = threading.Thread(target=self._run, name="autohpo-watch", daemon=True)
        self._thread.start()
        self._fork_filter = ForkFilter()
        self._fork_filter.install()

    def handle(self, handlers: Mapping[int, Handler], poke: Handler) -> None:
        """Install signal handlers; from the main thread.

        Args:
            handlers: The handlers of the signals that end a search.
            poke: What runs in the driver's thread to interrupt it.
        """
        more = {} if POKE is None else {POKE: poke}
        self._handlers = Handlers({**handlers, **more}, self._there)
        self._can_poke = POKE is not None and signal.getsignal(POKE) == poke

    def old(self, signum: int) -> Any:
        """Return the handler that a signal had before; None where there are none of ours."""
        return None if self._handlers is None else self._handlers.old(signum)

    def wake(self) -> None:
        """Look at once: the search has to end earlier than it had."""
        with contextlib.suppress(OSError):
            self._there.send(b"\0")

    def close(self) -> None:
        """Put the old handlers back, and end the thread."""
        if self._handlers is not None:
            self._handlers.restore()
        self._fork_filter.remove()
        self._is_closing = True
        self.wake()
        self._thread.join(1.0)
        for end in (self._here, self._there):
            end.close()

    def _run(self) -> None:
        looked = 0.0
        while not self._is_closing:
            now = time.monotonic()
            left, look = self._watched.over_at - now, self._watched.look_seconds
            if now - looked >= look:
                looked = now
                self._watched.look()
            pause = TICK_SECONDS if self._hurried or left <= 0 else min(left, threading.TIMEOUT_MAX, 3600.0, look)
            if select.select([self._here], [], [], pause)[0]:
                self._take(self._here.recv(4096))
            if not self._is_closing:
                self._act(time.monotonic())

    def _take(self, data: bytes) -> None:
        """Take the numbers of signals; hand them on to whoever was told of them before."""
        numbers = [number for number in data if number in SIGNALS]
        outer = -1 if self._handlers is None else self._handlers.outer_wakeup
        if numbers and outer >= 0:
            with contextlib.suppress(OSError):
                os.write(outer, bytes(numbers))
        now = time.monotonic()
        for number in numbers:
            if self._count.add(number, now):
                self._signum = self._signum or number
                self._watched.over_at = min(self._watched.over_at, now)
        if self._count.n > 1 and not self._hurried:
            self._hurried = self._stuck = now
            self._watched.hurry()

    def _act(self, now: float) -> None:
        if self._watched.is_due(now):
            self._interrupt()
        if not self._hurried:
            return
        if not self._watched.is_stuck(self._count.n):
            self._stuck = now
        if (now - self._stuck > STUCK_SECONDS or now - self._hurried > LAST_SECONDS) and not _is_interactive():
            self._end_process()

    def _interrupt(self) -> None:
        """Raise in the driver's thread: by a signal, which ends a system call as well, or at its next line."""
        if is_importing(sys._current_frames().get(self._driver)):
            return  # it is looked at again in a moment
        if self._can_poke and POKE is not None:
            signal.pthread_kill(self._driver, POKE)
            return
        import ctypes  # only where it is needed: it takes a while to load

        raised = ctypes.py_object(Interrupted)
        ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(self._driver), raised)

    def _end_process(self) -> None:
        """End the process without the driver; what its streams still hold is written, if they can be."""
        last = threading.Thread(target=self._say_last, daemon=True)
        last.start()
        last.join(0.5)
        os._exit(128 + self._signum)

    def _say_last(self) -> None:
        for say in (self._watched.give_up, getattr(sys.stdout, "flush", None), getattr(sys.stderr, "flush", None)):
            with contextlib.suppress(Exception):
                if say is not None:
                    say()


def _above_standard(end: socket.socket) -> socket.socket:
    return end if end.fileno() > 2 else socket.socket(fileno=above_standard(end.detach()))


def _is_interactive() -> bool:
    """Whether somebody sits at a prompt or a notebook, who wants to go on in this process."""
    return hasattr(sys, "ps1") or bool(sys.flags.interactive) or "ipykernel" in sys.modules


def is_importing(frame: FrameType | None) -> bool:
    """Return whether a module is being imported for the search that a frame belongs to.

    What is raised there may leave the lock of the module taken for ever: whoever imports it later would hang.

    Args:
        frame: The innermost frame of a thread. What its driver itself was called from is not looked at: a program may
            be run by being imported.
    """
    while frame is not None and frame.f_globals.get("__name__") != "autohpo.driver":
        if frame.f_code.co_filename == IMPORT_SYSTEM:
            return True
        frame = frame.f_back
    return False
