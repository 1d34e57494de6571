"""The actor: a process of Ray that runs one host, and carries its messages."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Sequence
from typing import Any

from autohpo.execution.hosts.host import serve
from autohpo.execution.hosts.setup import HostSetup
from autohpo.execution.ray.link import RayLink

__all__ = ["GROUPS", "HostActor", "mark_methods"]

GROUPS = {"deliver": 1, "collect": 1}
"""The threads of an actor that calls run in: one that waits for the host must not hold up messages to it."""

_METHODS: dict[str, dict[str, Any]] = {
    "deliver": {"concurrency_group": "deliver", "num_returns": 0},
    "collect": {"concurrency_group": "collect"},
}

LOOK_SECONDS = 1.0


class HostActor:
    """A host in a process of Ray.

    Args:
        setup: What every host is started with.
        number: The number of this one.
    """

    def __init__(self, setup: HostSetup, number: int) -> None:
        self._link = RayLink(setup.lease_seconds)
        threading.Thread(target=self._run, args=(setup, number), name="autohpo-host", daemon=True).start()

    def _run(self, setup: HostSetup, number: int) -> None:
        try:
            why = serve(setup, number, self._link)
        except BaseException as fault:
            why = f"{type(fault).__name__}: {fault}"
        self._link.end(why or "it has ended")
        while self._link.is_wanted():  # to hear why
            time.sleep(LOOK_SECONDS)
        _leave()

    def deliver(self, first: int, messages: Sequence[bytes]) -> None:
        """Take messages of the driver."""
        self._link.deliver(first, messages)

    def collect(self, n_heard: int) -> list[Any]:
        """Wait for the host to say something, and return it."""
        return self._link.collect(n_heard)


def mark_methods(ray: Any) -> None:
    """Tell Ray in which group each method of an actor runs.

    Args:
        ray: The module ``ray``.
    """
    for name, options in _METHODS.items():
        ray.method(**options)(getattr(HostActor, name))


def _leave() -> None:
    """End this process: a driver that is cut off cannot, and what it holds must be free for others."""
    os._exit(0)


with contextlib.suppress(ImportError, AttributeError):  # a client's actors are made by Ray's server, which imports this
    import ray as _ray

    mark_methods(_ray)
