"""The standard streams of a worker: what is printed goes into a log, and a full disk fails no trial."""

from __future__ import annotations

import errno
import io
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

NO_ROOM = frozenset({errno.ENOSPC, errno.EFBIG, errno.EIO, getattr(errno, "EDQUOT", errno.ENOSPC)})


class LogStream(io.FileIO):
    """A file whose writes are dropped where there is no room for them: ``print`` would raise in the objective."""

    def write(self, data: ReadableBuffer, /) -> int:
        """Write some bytes, or pretend to."""
        try:
            return super().write(data) or 0
        except OSError as fault:
            if fault.errno not in NO_ROOM:
                raise
            return memoryview(data).nbytes


def open_streams() -> None:
    """Have the standard streams write each line at once, whatever is in it, as long as there is room."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if isinstance(stream, io.TextIOWrapper):
            raw = LogStream(stream.fileno(), "w", closefd=False)
            text = io.TextIOWrapper(
                io.BufferedWriter(raw), stream.encoding, errors="backslashreplace", line_buffering=True
            )
            setattr(sys, name, text)  # the old one lives on as sys.__stdout__: it must not close the descriptor
