"""Starting processes where the system may refuse one for a moment: too many processes, too little memory."""

from __future__ import annotations

import contextlib
import errno
import logging
import subprocess
import time
import warnings
from collections.abc import Sequence
from typing import Any

WAIT_SECONDS = 30.0
"""How long a process start is tried again."""

PASSING = frozenset({errno.EAGAIN, errno.ENOMEM, errno.EMFILE, errno.ENFILE})
FIRST_PAUSE_SECONDS = 0.05
LONGEST_PAUSE_SECONDS = 1.0

_log = logging.getLogger("autohpo")


def start_process(command: Sequence[str], **options: Any) -> subprocess.Popen[bytes]:
    """Start a process; where the system has no room for one now, warn once and try again for a while.

    Args:
        command: The command line.
        options: More of what ``subprocess.Popen`` takes.

    Raises:
        OSError: It cannot be started, or the system refused it for 30 s.
    """
    began, pause, is_said = time.monotonic(), FIRST_PAUSE_SECONDS, False
    while True:
        try:
            return subprocess.Popen(command, **options)
        except OSError as error:
            if error.errno not in PASSING or time.monotonic() - began > WAIT_SECONDS:
                raise
            if not is_said:
                is_said = True
                _warn(f"executor: the system lets no process start ({error}); trying again for {WAIT_SECONDS:g} s")
        time.sleep(pause)
        pause = min(2 * pause, LONGEST_PAUSE_SECONDS)


def _warn(text: str) -> None:
    """Warn, and go on even where warnings are errors: trials run meanwhile."""
    _log.warning(text)
    with contextlib.suppress(RuntimeWarning):
        warnings.warn(text, RuntimeWarning, stacklevel=4)
