"""What a pool runs: a host that talks to its driver through files."""

from __future__ import annotations

import os
import time
from pathlib import Path

from autohpo.execution.hosts.engine import Link
from autohpo.execution.hosts.host import serve
from autohpo.execution.hosts.setup import HostSetup
from autohpo.execution.pools.driver_mark import DriverWatch
from autohpo.execution.pools.mailbox import MailboxReader, MailboxWriter

__all__ = ["INBOX", "OUTBOX", "FolderLink", "run_host"]

INBOX, OUTBOX = "host-{}.in", "host-{}.out"
"""The files of a host, as it sees them: what the driver says, and what it says itself."""

SHORTEST_SECONDS, LONGEST_SECONDS = 0.001, 0.02
"""The pause between two looks at a file: the longer nothing has come, the longer it is."""


class FolderLink(Link):
    """A host's end of a channel of files.

    Args:
        folder: The folder of the channel.
        number: The number of the host.
        lease_seconds: How long it waits for a sign of life of its driver.
    """

    def __init__(self, folder: Path, number: int, lease_seconds: float) -> None:
        self._inbox = MailboxReader(folder / INBOX.format(number))
        self._outbox = MailboxWriter(folder / OUTBOX.format(number))
        self._watch = DriverWatch(folder, lease_seconds)

    def receive(self, timeout_seconds: float) -> list[bytes]:
        """Return the messages that came since the last call."""
        until, pause = time.monotonic() + timeout_seconds, SHORTEST_SECONDS
        while True:
            found = self._inbox.take()
            left = until - time.monotonic()
            if found or left <= 0:
                return found
            time.sleep(min(pause, left))
            pause = min(2 * pause, LONGEST_SECONDS)

    def send(self, message: bytes) -> None:
        """Send a message to the driver."""
        self._outbox.put(message)

    def is_wanted(self) -> bool:
        """Return whether the driver lives."""
        return self._watch.is_alive()


def run_host(setup: HostSetup, number: int, folder: str) -> str:
    """Serve a driver; what a pool is given to run.

    Args:
        setup: What every host is started with.
        number: The number of this host.
        folder: The folder of the channel.

    Returns:
        Why it ended.
    """
    place = Path(folder)
    if not place.is_dir() or not os.access(place, os.W_OK):
        return (
            f"its worker does not see the folder {folder}, through which driver and workers talk; give a folder that "
            "both share, as in FuturesExecutor(pool, folder=...)"
        )
    return serve(setup, number, FolderLink(place, number, setup.lease_seconds))
