"""Ending: when a search ends before its budget does - a signal, its time limit, a stop - and what happens then."""

from __future__ import annotations

import math
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from types import FrameType

from autohpo.control import LOOK_SECONDS, StopRequests
from autohpo.execution.base import Executor
from autohpo.interrupts import POKE, SIGNALS, Count, Handler, Interrupted, Watch
from autohpo.trial import TrialState

OWN, WAITING, OBJECTIVE, CLOSING, ASKING, TELLING = range(6)
"""What the driver's thread is in: code of ours, which nothing interrupts, an executor, or code of somebody else."""

ASK_SECONDS = 1.0  # for a suggestion that is not wanted any more, if the grace is not shorter


class Section:
    """A context manager that says what the driver's thread is in; it can be entered again and again.

    Args:
        ending: The one that is told.
        kind: What it is.
    """

    __slots__ = ("_ending", "_kind", "_outer")

    def __init__(self, ending: Ending, kind: int) -> None:
        self._ending, self._kind, self._outer = ending, kind, OWN

    def __enter__(self) -> None:
        self._outer = self._ending.section
        self._ending.section = self._kind

    def __exit__(self, *_: object) -> None:
        self._ending.section = self._outer


class Ending:
    """Watches the clock and signals.

    The first signal ends the search in order, the second one at once. While an objective runs in this very thread, a
    signal interrupts it there. A hook of an algorithm is interrupted when it still runs a while after the search had to
    end. Code of ours is never interrupted.

    Args:
        executor: What is stopped and killed.
        time_limit: Seconds for the search, if limited.
        grace_seconds: How long running trials may take to end.
        say_last: Called before the process ends without the driver, because a second signal could not end what runs.
        requests: Where others ask the search to end, if they can.
        say: Called with a sentence when the end begins: who pressed Ctrl-C must see that it was heard.

    Attributes:
        reason: Why the search ends early; the empty string while it goes on.
        signal: The signal that ends it, if one does.
        is_stopped: Whether it ends because :meth:`stop` was called.
        began: When the search began, by the monotonic clock.
        over_at: When it has to end, by the same clock.
        section: What the driver's thread is in.
        asking: The context manager for the hook that suggests.
        telling: The context manager for the other hooks.
    """

    def __init__(
        self,
        executor: Executor,
        time_limit: float | None,
        grace_seconds: float,
        say_last: Callable[[], None] = lambda: None,
        requests: StopRequests | None = None,
        *,
        say: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._executor, self._time_limit, self._grace = executor, time_limit, grace_seconds
        self._say_last, self._requests, self._say = say_last, requests, say
        self._why_stopped = ""
        self.reason = ""
        self.signal: int | None = None
        self.is_stopped = self._is_urgent = self._is_over = False
        self.began = time.monotonic()
        self.over_at = math.inf if time_limit is None else self.began + time_limit
        self.section = OWN
        self.asking, self.telling = Section(self, ASKING), Section(self, TELLING)
        self._closing = Section(self, CLOSING if executor.is_inline else WAITING)
        self._kills_at = math.inf
        self._count = Count()
        self._waiting: list[Callable[[], object]] = []  # handlers of the user's own
        self._watch: Watch | None = None

    @property
    def is_urgent(self) -> bool:
        """Whether a second signal asks for an end at once."""
        return self._is_urgent

    def check(self, running: Iterable[int]) -> None:
        """Begin the end where a signal came or time is up; kill what still runs when its grace is over.

        Args:
            running: The numbers of the trials that run.
        """
        if self._waiting:
            self._run_deferred()
        if not self.reason:
            limit, closing = self._time_limit, self._executor.closing
            if self.signal is not None:
                again = "Ctrl-C" if self.signal == signal.SIGINT else "signal"
                self.begin("the search was interrupted", running, f"; a second {again} ends at once")
            elif self.is_stopped:
                self.begin(self._why_stopped, running)
            elif limit is not None and time.monotonic() - self.began >= limit:
                self._say(why := f"the search reached its time limit of {limit:g} s")
                self.begin(why, running)
            elif closing:
                self.begin(closing, running)
        elif time.monotonic() >= self._kills_at:
            for number in list(running):
                self._executor.kill(number, TrialState.CANCELLED, self.reason)

    def begin(self, why: str, running: Iterable[int], hint: str = "") -> None:
        """Ask every running trial to end at its next report, and say so where one does not do so at once.

        Args:
            why: The reason.
            running: The numbers of the trials that run.
            hint: What ends the search sooner.
        """
        self.reason = why
        self._kills_at = min(self._kills_at, time.monotonic() + self._grace)
        numbers = list(running)
        for number in numbers:
            self._executor.stop(number)
        if numbers and not self._is_urgent and not self._executor.is_inline:
            trials = "the trial that runs has" if len(numbers) == 1 else f"the {len(numbers)} trials that run have"
            self._say(f"ending: {trials} {self._grace:g} s to end{hint}")

    def stop(self, why: str = "stop() was called") -> None:
        """End the search in order; from any thread.

        Args:
            why: The reason, as a clause.
        """
        self.is_stopped, self._why_stopped = True, self._why_stopped or why
        self.over_at = min(self.over_at, time.monotonic())
        if self._watch is not None:
            self._watch.wake()

    def limit(self, seconds: float | None) -> None:
        """Set when the search has to end, in place of the time limit it has; from any thread.

        Args:
            seconds: The seconds from now on; None sets no limit.
        """
        now = time.monotonic()
        self._time_limit = None if seconds is None else max(0.0, now - self.began + seconds)
        if not (self.is_stopped or self.signal is not None):
            self.over_at = math.inf if seconds is None else now + seconds
        if self.is_stopped or self.signal is not None:  # also where that came in between
            self.over_at = min(self.over_at, now)
        if self._watch is not None:
            self._watch.wake()

    @contextmanager
    def signals(self) -> Iterator[None]:
        """Watch the driver; in the main thread take the signals as well, elsewhere they stay as they are."""
        self._watch = watch = Watch(self)
        try:
            if threading.current_thread() is threading.main_thread():
                ours = dict.fromkeys(SIGNALS, self._on_signal)
                watch.handle({**self._deferred(), **ours}, self._on_poke)
            yield
        finally:
            self.section = OWN
            watch.close()
            self._is_over = True
            if self._requests is not None:
                self._requests.is_asked()  # what comes too late must not lie about
        self._run_deferred()

    def _deferred(self) -> dict[int, Handler]:
        """The user's own handlers, such as that of an alarm, put off while code of ours runs: they may raise.

        What they raise ends the search, and must not leave a step of the log half done.
        """
        there = {number: signal.getsignal(number) for number in signal.valid_signals() if number != POKE}
        return {number: self._put_off(handler) for number, handler in there.items() if callable(handler)}

    def _put_off(self, handler: Handler) -> Handler:
        def put_off(signum: int, frame: FrameType | None) -> None:
            if self.section == OWN:
                self._waiting.append(partial(handler, signum, frame))
            else:
                handler(signum, frame)

        return put_off

    def _run_deferred(self) -> None:
        while self._waiting:
            self._waiting.pop(0)()

    def _on_signal(self, signum: int, frame: FrameType | None) -> None:
        now = time.monotonic()
        old = None if self._watch is None else self._watch.old(signum)
        if self._is_over:  # the objective kept this handler, and put it back later
            if callable(old):
                old(signum, frame)
            elif old == signal.SIG_DFL:
                signal.signal(signum, old)
                signal.raise_signal(signum)
            return
        outer = getattr(old, "__self__", None)
        if isinstance(outer, Ending):  # this search runs inside the objective of another one, which ends as well
            outer.note(signum, now)
        if not self.note(signum, now):
            return
        if self.section in (OBJECTIVE, CLOSING):
            raise KeyboardInterrupt
        self._on_poke(signum, None)

    def note(self, signum: int, now: float) -> bool:
        """Take note of a signal; return False where the system sent the last one twice."""
        if not self._count.add(signum, now):
            return False
        self.signal = self.signal or signum
        self.over_at = min(self.over_at, now)
        if self._count.n > 1:
            self.hurry()
        return True

    def _on_poke(self, _signum: int, _frame: FrameType | None) -> None:
        if self.is_due(time.monotonic()):
            raise Interrupted

    # What the watch asks, in its own thread.

    @property
    def look_seconds(self) -> float:
        """The time between two looks for a request to end; infinite where nobody can make one."""
        return math.inf if self._requests is None or self._is_over else LOOK_SECONDS

    def look(self) -> None:
        """Look whether somebody else asks the search to end."""
        if self._requests is not None and self._requests.is_asked():
            self.stop("a stop was requested")

    def is_due(self, now: float) -> bool:
        """Whether what the driver's thread is in has taken too long."""
        if self.section <= WAITING:
            return False
        if self._is_urgent:
            return True
        if self.section == CLOSING:
            return False
        return now >= self.over_at + (min(self._grace, ASK_SECONDS) if self.section == ASKING else self._grace)

    def hurry(self) -> None:
        """Wait for nothing any more: a second signal came."""
        self._is_urgent, self._kills_at = True, 0.0

    def is_stuck(self, n_signals: int) -> bool:
        """Whether the driver's thread does not get on: it is in foreign code, or has not seen as many signals."""
        return self.section > WAITING or self._count.n < n_signals

    def give_up(self) -> None:
        """Say what is to be said before the process ends without the driver."""
        self._say_last()

    # What the driver is in.

    def enter_user_code(self) -> None:
        """Let signals interrupt an objective that runs in this thread; one that came before does so now."""
        self.section = OBJECTIVE if self._executor.is_inline else WAITING
        if self._executor.is_inline and self.signal is not None:
            raise KeyboardInterrupt

    def leave_user_code(self) -> None:
        """Let signals be noted, and no more."""
        self.section = OWN

    @contextmanager
    def user_code(self) -> Iterator[None]:
        """Let a signal interrupt what is done in here, as a second one must end what does not end by itself."""
        with self._closing:
            yield
