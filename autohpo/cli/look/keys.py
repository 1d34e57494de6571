"""Keys as they are pressed, one by one; and a wait that a key ends."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import sys
import time
from types import FrameType, TracebackType
from typing import Any, NoReturn


class Keys:
    """The keyboard, while a command shows something: keys come at once and are not printed.

    Where there is no keyboard, or the system has no such mode, a wait is just a wait. At the end, also after SIGTERM,
    the terminal is as it was.
    """

    def __init__(self) -> None:
        self._kept: Any = None
        self._handler: Any = None
        self._descriptor = -1

    def __enter__(self) -> Keys:  # noqa: PYI034 - Self is not in 3.10
        with contextlib.suppress(ImportError, OSError, ValueError, AttributeError):
            import termios
            import tty

            self._descriptor = sys.stdin.fileno()
            if os.isatty(self._descriptor):
                self._kept = termios.tcgetattr(self._descriptor)
                tty.setcbreak(self._descriptor)
        with contextlib.suppress(ValueError):  # this is no main thread
            self._handler = signal.signal(signal.SIGTERM, _end)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._kept is not None:
            import termios

            with contextlib.suppress(OSError, termios.error):
                termios.tcsetattr(self._descriptor, termios.TCSADRAIN, self._kept)
        if self._handler is not None:
            signal.signal(signal.SIGTERM, self._handler)

    def pressed(self, seconds: float) -> str:
        """Wait for a key, and return it; the empty string where none came in time.

        Args:
            seconds: How long to wait at most.
        """
        if self._kept is None:
            time.sleep(seconds)
            return ""
        ready, _, _ = select.select([self._descriptor], [], [], seconds)
        if not ready:
            return ""
        read = os.read(self._descriptor, 16)
        return read.decode(errors="replace")[:1] if read else "q"  # the terminal is gone


def _end(number: int, _frame: FrameType | None) -> NoReturn:
    raise SystemExit(128 + number)
