"""Messages from the driver to hosts: one call of dask at a time for each worker, with all that waits for it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from autohpo.execution.dask.link import DELIVER

__all__ = ["Mail"]


class Mail:
    """Brings messages to workers, those to one worker in their order.

    Args:
        client: The client of dask, whose event loop does it.
        failed: Called in that loop with the keys of the tasks whose messages may not have come, and why.
    """

    def __init__(self, client: Any, failed: Callable[[list[str], str], None]) -> None:
        self._client, self._failed = client, failed
        self._waiting: dict[str, list[tuple[str, bytes]]] = {}  # by worker; only the event loop touches it

    def send(self, worker: str, key: str, message: bytes) -> None:
        """Send a message, and return at once.

        Args:
            worker: The address of the worker.
            key: The key of the task of the host.
            message: The message.
        """
        self._client.loop.add_callback(self._post, worker, key, message)

    async def _post(self, worker: str, key: str, message: bytes) -> None:
        is_under_way = worker in self._waiting
        self._waiting.setdefault(worker, []).append((key, message))
        if is_under_way:
            return
        try:
            while self._waiting[worker]:
                batch, self._waiting[worker] = self._waiting[worker], []
                why = await self._call(worker, batch)
                if why:
                    self._failed(sorted({key for key, _ in batch}), why)
        finally:
            del self._waiting[worker]

    async def _call(self, worker: str, batch: list[tuple[str, bytes]]) -> str:
        """Hand messages over, and return why that failed; nothing where it did not."""
        try:
            # What Client.run does, but with a handler of our own: of each run, workers log a line.
            await self._client.scheduler.broadcast(msg={"op": DELIVER, "mail": batch}, workers=[worker])
        except Exception as fault:
            return f"a message could not be brought to it: {fault!r}"
        return ""
