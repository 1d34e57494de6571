"""Lines of what a program prints, out of bytes as they come: bounded, whatever it prints."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator

MAX_LINE_BYTES = 8 << 20
"""The longest line that is read; of a longer one only the end of it is looked for."""

TAIL_BYTES = 64 << 10
"""How much of the end of an output is kept for errors."""

MAX_TAIL_CHARACTERS = 500  # of a line, in an error

_END = re.compile(rb"[\r\n]")


class Lines:
    r"""Takes bytes, and yields whole lines; a carriage return, as progress bars print it, ends a line, too.

    Example:
        >>> lines = Lines()
        >>> list(lines.feed(b"50%\r100%\nacc=0")), list(lines.feed(b".9\n")), lines.rest()
        (['50%', '100%'], ['acc=0.9'], '')
    """

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._n_bytes = 0

    def feed(self, data: bytes) -> Iterator[str]:
        """Yield the lines that end in some more bytes; bytes that are no UTF-8 become replacement characters."""
        *ended, rest = _END.split(data)
        for line in ended:
            self._add(line)
            text = self.rest()
            if text:
                yield text
        self._add(rest)

    def _add(self, data: bytes) -> None:
        self._n_bytes += len(data)
        if self._n_bytes > MAX_LINE_BYTES:
            self._parts.clear()  # it is too long for a report: nothing of it counts
        elif data:
            self._parts.append(data)

    def rest(self) -> str:
        """Return the line that has not ended, and begin a new one."""
        line = b"".join(self._parts) if self._n_bytes <= MAX_LINE_BYTES else b""
        self._parts, self._n_bytes = [], 0
        return line.decode("utf-8", "replace")


class Tail:
    r"""The end of an output.

    Example:
        >>> tail = Tail()
        >>> tail.add(b"10%\r20%\ndone\n")
        >>> tail.lines(20)
        ['20%', 'done']
    """

    def __init__(self) -> None:
        self._parts: deque[bytes] = deque()
        self._n_bytes = 0

    def add(self, data: bytes) -> None:
        """Take some more bytes."""
        self._parts.append(data[-TAIL_BYTES:])
        self._n_bytes += len(self._parts[-1])
        while self._n_bytes - len(self._parts[0]) >= TAIL_BYTES:
            self._n_bytes -= len(self._parts.popleft())

    def lines(self, n: int) -> list[str]:
        """Return the last n lines that are not empty, as a terminal would show them, long ones cut."""
        text = b"".join(self._parts).decode("utf-8", "replace")
        shown = (line.rstrip("\r").rpartition("\r")[2].rstrip() for line in text.split("\n"))
        found = [line for line in shown if line]
        return [_cut(line) for line in found[-n:]]


def _cut(line: str) -> str:
    most = MAX_TAIL_CHARACTERS
    return line if len(line) <= most else f"{line[: most // 2]} ... {line[-most // 2 :]}"
