"""Children that an objective forks: one that comes back out of it must not go on with the search."""

from __future__ import annotations

import os
import sys
import traceback
from contextlib import suppress
from typing import NoReturn


class OnlyHere:
    """A context that ends a child forked inside it, where that leaves it.

    Args:
        process: The number of the process that may go on.
    """

    __slots__ = ("_process",)

    def __init__(self, process: int) -> None:
        self._process = process

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, frames: object) -> None:
        if os.getpid() != self._process:
            _end_child(error)


def _end_child(error: BaseException | None) -> NoReturn:
    """End this process, a child of the one that began the attempt.

    A child that goes on would be a second driver with the same store, or a second worker with the same pipe. It ends as
    a program does: with the code of ``sys.exit``, or with 1 and a traceback where the objective raised.

    Args:
        error: What the objective raised.
    """
    code: object = None
    with suppress(Exception):  # there may be no stream, or nobody who reads it
        if isinstance(error, SystemExit):
            code = error.code
            if not isinstance(code, int) and code is not None:
                sys.stderr.write(f"{code}\n")
        elif error is not None:
            code = 1
            traceback.print_exception(error)
    for stream in (sys.stdout, sys.stderr):
        with suppress(Exception):
            stream.flush()
    os._exit(code & 0xFF if isinstance(code, int) else int(code is not None))
