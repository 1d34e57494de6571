"""Progress of a search: one calm line on a terminal, plain lines elsewhere, or nothing."""

from __future__ import annotations

import contextlib
import math
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TextIO

from autohpo.errors import OptionError

if TYPE_CHECKING:
    from rich.live import Live

TERMINAL_SECONDS = 0.5  # between two updates of the line: twice a second is calm, and costs nothing
PLAIN_SECONDS = 10.0  # between two lines of a log file


@dataclass(frozen=True)
class Standing:
    """How a search stands now.

    Attributes:
        n_done: Trials with a result.
        n_failed: Trials that ended without one.
        n_running: Trials that run now.
        best: The user's own value of the incumbent, if there is one.
        max_evals: Trials to make at most, if limited.
        seconds: How long ago the search began.
        time_limit: Seconds for the search, if limited.
        n_earlier: How many of the ended trials are of an earlier run that this one resumed.
        n_front: Trials on the Pareto front, where there are several objectives.
        confirming: How many trainings that confirm the best have ended, and of how many; None before.
    """

    n_done: int
    n_failed: int
    n_running: int
    best: float | None
    max_evals: int | None
    seconds: float
    time_limit: float | None
    n_earlier: int = 0
    n_front: int = 0
    confirming: tuple[int, int] | None = None

    @property
    def left_seconds(self) -> float | None:
        """Expected seconds to the end: whichever of the two budgets ends first."""
        ended = self.n_done + self.n_failed
        limits = [] if self.time_limit is None or self.time_limit == math.inf else [self.time_limit - self.seconds]
        if self.max_evals is not None and ended > self.n_earlier:
            limits.append((self.max_evals - ended) * self.seconds / (ended - self.n_earlier))
        return max(min(limits), 0.0) if limits else None

    def __str__(self) -> str:
        total = "" if self.max_evals is None else f"/{self.max_evals}"
        parts = [f"{self.n_done}{total} trials"]
        if self.confirming is not None:
            parts.append("confirming {} of {}".format(*self.confirming))
        if self.n_running:
            parts.append(f"{self.n_running} running")
        if self.n_failed:
            parts.append(f"{self.n_failed} failed")
        best = (
            f"{self.n_front} on the front" if self.n_front else f"best {self.best:.6g}" if self.best is not None else ""
        )
        parts.append(best or "no result yet")
        parts.append(_clock(self.seconds))
        left = self.left_seconds
        if left is not None and left >= 1:
            parts.append(f"about {_clock(left)} left")
        return " | ".join(parts)


def _clock(seconds: float) -> str:
    """Seconds as 0:07, 12:34 or 1:02:03."""
    minutes, second = divmod(round(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02d}:{second:02d}" if hours else f"{minute}:{second:02d}"


class Progress(ABC):
    """Shows how a search stands, now and then; asked at every event, it decides itself when to draw."""

    seconds_between = TERMINAL_SECONDS

    def __init__(self) -> None:
        self._next = 0.0

    def update(self, standing: Callable[[], Standing]) -> None:
        """Draws, if it is time; only then is `standing` called."""
        now = time.monotonic()
        if now >= self._next:
            self._next = now + self.seconds_between
            self.draw(standing())

    @abstractmethod
    def draw(self, standing: Standing) -> None:
        """Draws now."""

    def close(self, standing: Standing) -> None:
        """Draws a last time."""
        self.draw(standing)

    @abstractmethod
    def say(self, text: str) -> None:
        """Shows a sentence, after the last drawing."""


class Silent(Progress):
    """Shows nothing."""

    def update(self, standing: Callable[[], Standing]) -> None:
        """Does nothing."""

    def draw(self, standing: Standing) -> None:
        """Does nothing."""

    def say(self, text: str) -> None:
        """Does nothing."""


class PlainProgress(Progress):
    """Prints a line every ten seconds, and one at the end."""

    seconds_between = PLAIN_SECONDS

    def __init__(self, stream: TextIO) -> None:
        super().__init__()
        self._stream = stream
        self._next = time.monotonic() + self.seconds_between  # nothing is worth a line at the start

    def draw(self, standing: Standing) -> None:
        """Prints a line."""
        self.say(str(standing))

    def say(self, text: str) -> None:
        """Prints a sentence."""
        with contextlib.suppress(OSError, ValueError):  # nobody listens any more: no reason to end a search
            print(f"autohpo: {text}", file=self._stream, flush=True)


class RichProgress(Progress):
    """Keeps one line of a terminal up to date; what the objective prints scrolls by above it."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__()
        self._stream = stream
        self._live: Live | None = None

    def draw(self, standing: Standing) -> None:
        """Draws the line."""
        from rich.console import Console
        from rich.live import Live
        from rich.text import Text

        if self._live is None:
            self._live = Live(console=Console(file=self._stream), auto_refresh=False)
            self._live.start()
        self._live.update(Text(f"autohpo: {standing}", overflow="ellipsis", no_wrap=True), refresh=True)

    def close(self, standing: Standing) -> None:
        """Draws the line a last time and leaves it standing."""
        self.draw(standing)
        if self._live is not None:
            self._live.stop()
            self._live = None

    def say(self, text: str) -> None:
        """Prints a sentence below the line."""
        print(f"autohpo: {text}", file=self._stream, flush=True)


def make_progress(kind: Literal["auto", "rich", "plain", "none"] | bool, stream: TextIO | None = None) -> Progress:
    """The progress that `optimize(progress=kind)` names, on standard error unless said otherwise.

    Raises:
        OptionError: There is none of that name.
    """
    stream = sys.stderr if stream is None else stream
    if kind in ("auto", True):
        kind = "rich" if stream.isatty() else "plain"
    if kind == "rich":
        return RichProgress(stream)
    if kind == "plain":
        return PlainProgress(stream)
    if kind in ("none", False):
        return Silent()
    raise OptionError(f"progress: must be 'auto', 'rich', 'plain', 'none' or False, got {kind!r}")
