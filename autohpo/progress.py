"""Progress of a search: one calm line on a terminal, plain lines elsewhere, or nothing."""

from __future__ import annotations

import contextlib
import math
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, NamedTuple, TextIO

from autohpo.errors import OptionError, shown

if TYPE_CHECKING:
    from rich.live import Live

TERMINAL_SECONDS = 0.5  # between two updates of the line: twice a second is calm, and costs nothing
PLAIN_SECONDS = 10.0  # between two lines of a log file


class CostStanding(NamedTuple):
    """How much of a limit of cost is spent.

    Attributes:
        spent: What the attempts cost that have ended.
        limit: What they may cost together.
        earlier: What those of an earlier run cost that this one resumed.
        unit: What stands behind a cost.
    """

    spent: float
    limit: float
    earlier: float = 0.0
    unit: str = ""


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
        best_fidelity: How far the incumbent was trained, where trials get different fidelities: a longer training
            displaces a shorter one, also where its result is worse.
        failures: How many trials of this run ended in each way without a result.
        is_over: Whether the search has ended.
        confirming: How many trainings that confirm the best have ended, and of how many; None before.
        budget: Full evaluations to spend, if they are limited.
        spent: Full evaluations that were spent, with all that is given to the trials that run.
        spent_earlier: How many of them an earlier run spent that this one resumed.
        cost: What the attempts cost that have ended, if that is limited.
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
    best_fidelity: float | None = None
    failures: Mapping[str, int] = field(default_factory=dict)
    is_over: bool = False
    confirming: tuple[int, int] | None = None
    budget: float | None = None
    spent: float = 0.0
    spent_earlier: float = 0.0
    cost: CostStanding | None = None

    @property
    def left_seconds(self) -> float | None:
        """Expected seconds to the end, of whichever budget ends first; None where none is known."""
        if self.is_over:
            return None
        ended = self.n_done + self.n_failed
        limits = [] if self.time_limit is None or self.time_limit == math.inf else [self.time_limit - self.seconds]
        if self.max_evals is not None and ended > self.n_earlier:
            limits.append((self.max_evals - ended) * self.seconds / (ended - self.n_earlier))
        if self.budget is not None and ended > self.n_earlier and self.spent > self.spent_earlier:
            limits.append((self.budget - self.spent) * self.seconds / (self.spent - self.spent_earlier))
        if self.cost is not None and self.cost.spent > self.cost.earlier:
            limits.append((self.cost.limit - self.cost.spent) * self.seconds / (self.cost.spent - self.cost.earlier))
        return max(min(limits), 0.0) if limits else None

    def __str__(self) -> str:
        total = "" if self.max_evals is None else f"/{self.max_evals}"
        parts = [f"{self.n_done}{total} trials"]
        if self.budget is not None:
            parts.append(f"{self.spent:.3g} of {self.budget:g} full evaluations")
        if self.cost is not None:
            parts.append(f"cost {self.cost.spent:.3g} of {self.cost.limit:g}{self.cost.unit}")
        if self.confirming is not None:
            parts.append("confirming {} of {}".format(*self.confirming))
        if self.n_running:
            parts.append(f"{self.n_running} running")
        if self.n_failed:
            is_known = sum(self.failures.values()) == self.n_failed  # which those of earlier runs are not
            ways = [f"{n} {way}" for way, n in self.failures.items()] if is_known else []
            parts.append(", ".join(ways) or f"{self.n_failed} failed")
        parts.append(self._best())
        parts.append(_clock(self.seconds))
        left = self.left_seconds
        if left is not None and left >= 1:
            parts.append(f"about {_clock(left)} left")
        return " | ".join(parts)

    def _best(self) -> str:
        if self.n_front:
            return f"{self.n_front} on the front"
        if self.best is None:
            return "no result yet"
        return f"best {self.best:.6g}" + ("" if self.best_fidelity is None else f" at {self.best_fidelity:g}")


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
    """Keeps one line of a terminal up to date; what the objective prints scrolls by above it.

    A terminal may go away while the search runs, which must not cost its result: then nothing is shown any more.
    """

    def __init__(self, stream: TextIO) -> None:
        super().__init__()
        self._stream = stream
        self._live: Live | None = None
        self._is_gone = False

    def draw(self, standing: Standing) -> None:
        """Draws the line."""
        if self._is_gone:
            return
        from rich.text import Text

        with self._terminal():
            self._started().update(Text(f"autohpo: {standing}", overflow="ellipsis", no_wrap=True), refresh=True)

    def _started(self) -> Live:
        from rich.console import Console
        from rich.live import Live

        if self._live is None:
            self._streams = sys.stdout, sys.stderr

            class Terminal(Console):
                def on_broken_pipe(self) -> None:
                    """Say so: rich would end the process."""
                    raise BrokenPipeError

            console = Terminal(file=self._stream)
            self._live = Live(console=console, auto_refresh=False, redirect_stdout=sys.stdout is not None)
            self._live.start()
        return self._live

    @contextlib.contextmanager
    def _terminal(self) -> Iterator[None]:
        """Show nothing any more where the terminal does not take it, and leave the program its own streams."""
        try:
            yield
        except (OSError, ValueError):
            self._is_gone = True
            live, self._live = self._live, None
            if live is not None:
                with contextlib.suppress(OSError, ValueError):
                    live.stop()
                for name, stream in zip(("stdout", "stderr"), self._streams, strict=True):
                    if hasattr(getattr(sys, name), "rich_proxied_file"):
                        setattr(sys, name, stream)

    def close(self, standing: Standing) -> None:
        """Draws the line a last time and leaves it standing."""
        self.draw(standing)
        with self._terminal():
            if self._live is not None:
                self._live.stop()
                self._live = None

    def say(self, text: str) -> None:
        """Prints a sentence, above the line while that is there."""
        with self._terminal():
            if self._live is not None:
                self._live.console.print(f"autohpo: {text}", markup=False, highlight=False, soft_wrap=True)
            elif not self._is_gone:
                print(f"autohpo: {text}", file=self._stream, flush=True)


def make_progress(kind: Literal["auto", "rich", "plain", "none"] | bool, stream: TextIO | None = None) -> Progress:
    """The progress that `optimize(progress=kind)` names, on standard error unless said otherwise.

    A program without standard error (a service, ``pythonw``) shows nothing.

    Raises:
        OptionError: There is none of that name.
    """
    stream = sys.stderr if stream is None else stream
    if not isinstance(kind, (str, bool)):
        raise OptionError(f"progress: must be 'auto', 'rich', 'plain', 'none' or False, got {shown(kind)}")
    if kind in ("auto", True):
        kind = "rich" if _is_terminal(stream) else "plain"
    if kind in ("none", False) or (kind in ("rich", "plain") and stream is None):
        return Silent()
    if kind == "rich":
        return RichProgress(stream)
    if kind == "plain":
        return PlainProgress(stream)
    raise OptionError(f"progress: must be 'auto', 'rich', 'plain', 'none' or False, got {shown(kind)}")


def _is_terminal(stream: TextIO | None) -> bool:
    """Whether there is a terminal; a stream may be closed, or be an object of the user's own."""
    try:
        return stream is not None and stream.isatty()
    except (AttributeError, OSError, ValueError):
        return False
