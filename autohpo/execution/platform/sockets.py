"""Channels over a socket of the loopback interface, for systems whose pipes cannot be polled.

The driver listens on a port that the system chooses, and gives it to the worker with two secrets, over the worker's
standard input. The worker connects and says the first secret; the driver answers with the second one. So neither talks
to a process of somebody else: any user of the machine may connect to a port, or wait at one that is free again.
"""

from __future__ import annotations

import contextlib
import hmac
import os
import secrets
import select
import socket
import time
from collections.abc import Sequence
from typing import BinaryIO

from autohpo.execution.platform.base import Channels

HOST = "127.0.0.1"
SECRET_BYTES = 32
READ_BYTES = 1 << 16
MAX_CANDIDATES = 16  # connections that have not said the secret yet: the oldest one goes
CONNECT_SECONDS = 60.0


class DriverSocket:
    """The driver's end: at first a socket that listens, then the connection of its worker.

    Raises:
        OSError: The system has no port left.
    """

    def __init__(self) -> None:
        self._listener: socket.socket | None = socket.create_server((HOST, 0))
        self._listener.setblocking(False)  # noqa: FBT003
        self._theirs, self._ours = secrets.token_bytes(SECRET_BYTES), secrets.token_bytes(SECRET_BYTES)
        self._candidates: dict[socket.socket, bytes] = {}  # what each has said so far
        self._connection: socket.socket | None = None

    @property
    def address(self) -> bytes:
        """What the worker needs to connect, as one line of text."""
        if self._listener is None:
            return b""
        port = self._listener.getsockname()[1]
        return f"{port} {self._theirs.hex()} {self._ours.hex()}\n".encode()

    @property
    def connection(self) -> socket.socket | None:
        """The connection to the worker, once it is there."""
        return self._connection

    @property
    def sources(self) -> list[socket.socket]:
        """The sockets to wait for."""
        if self._connection is not None:
            return [self._connection]
        return [*([] if self._listener is None else [self._listener]), *self._candidates]

    def greet(self) -> None:
        """Take new connections, and the one that says the secret as that of the worker; never waits."""
        if self._listener is None:
            return
        with contextlib.suppress(OSError):  # among others: no more of them
            while True:
                candidate, _ = self._listener.accept()
                candidate.setblocking(False)  # noqa: FBT003
                self._candidates[candidate] = b""
                if len(self._candidates) > MAX_CANDIDATES:
                    self._dismiss(next(iter(self._candidates)))
        for candidate in list(self._candidates):
            self._hear(candidate)

    def _hear(self, candidate: socket.socket) -> None:
        said = self._candidates[candidate]
        try:
            more = candidate.recv(SECRET_BYTES - len(said))
        except BlockingIOError:
            return
        except OSError:
            more = b""
        self._candidates[candidate] = said = said + more
        if len(said) == SECRET_BYTES and hmac.compare_digest(said, self._theirs):
            self._take(candidate)
        elif not more or len(said) == SECRET_BYTES:
            self._dismiss(candidate)

    def _take(self, candidate: socket.socket) -> None:
        del self._candidates[candidate]
        candidate.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with contextlib.suppress(OSError):  # it is gone again, as reading will tell; there is room for so little
            candidate.send(self._ours)
        self._connection = candidate
        self._listen_no_more()

    def _dismiss(self, candidate: socket.socket) -> None:
        del self._candidates[candidate]
        candidate.close()

    def _listen_no_more(self) -> None:
        for candidate in list(self._candidates):
            self._dismiss(candidate)
        if self._listener is not None:
            self._listener.close()
            self._listener = None

    def read(self) -> bytes:
        """Return what has come; no bytes at the end.

        Raises:
            BlockingIOError: Nothing has come.
        """
        if self._connection is None:
            raise BlockingIOError
        try:
            return self._connection.recv(READ_BYTES)
        except ConnectionError:  # a process that is killed resets its connections
            return b""

    def write(self, data: memoryview) -> int:
        """Send what there is room for, and return how many bytes that was.

        Raises:
            BlockingIOError: There is no room now, or no worker yet.
            BrokenPipeError: The worker does not read any more.
        """
        if self._connection is None:
            raise BlockingIOError
        try:
            return self._connection.send(data)
        except ConnectionError as fault:
            raise BrokenPipeError from fault

    def close(self) -> None:
        """Close all sockets. May be called twice."""
        self._listen_no_more()
        if self._connection is not None:
            self._connection.close()


def wait_for_sockets(
    readers: Sequence[DriverSocket], writers: Sequence[DriverSocket], timeout_seconds: float
) -> list[DriverSocket]:
    """Wait until something has come, or there is room to write; return those that something has come to.

    Workers that connect are taken meanwhile.

    Args:
        readers: The sockets to read from.
        writers: The sockets to write to.
        timeout_seconds: How long to wait at most.
    """
    sources = [source for reader in readers for source in reader.sources]
    sinks = [writer.connection for writer in writers if writer.connection is not None]
    if not sources and not sinks:
        time.sleep(timeout_seconds)  # Windows refuses to wait for nothing
        return []
    ready = set(select.select(sources, sinks, [], timeout_seconds)[0])
    found = [reader for reader in readers if reader.connection in ready]
    for reader in readers:
        reader.greet()
    return found


class WorkerPipe:
    """What comes to a worker from its driver, once that has said its secret.

    Args:
        file: The file of the socket.
        secret: The secret.
    """

    def __init__(self, file: BinaryIO, secret: bytes) -> None:
        self._file, self._secret = file, secret

    def read(self, n_bytes: int, /) -> bytes:
        """Return so many bytes, once they have come; fewer at the end.

        Raises:
            ConnectionError: Whoever is there is not the driver.
        """
        secret, self._secret = self._secret, b""
        if secret and not hmac.compare_digest(self._file.read(len(secret)), secret):
            raise ConnectionRefusedError("what listens at the port of the driver is somebody else")
        return self._file.read(n_bytes)


def connect(address: bytes) -> Channels:
    """Return the channels of a worker.

    Args:
        address: What :attr:`DriverSocket.address` was in the driver.

    Raises:
        OSError: The driver is gone.
        ValueError: It is no address.
    """
    port, theirs, ours = address.decode().split()
    connection = socket.create_connection((HOST, int(port)), timeout=CONNECT_SECONDS)
    connection.settimeout(None)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection.sendall(bytes.fromhex(theirs))
    return Channels(WorkerPipe(connection.makefile("rb"), bytes.fromhex(ours)), connection.sendall)


def read_address() -> bytes:
    """Return what the driver has written to standard input, which is at its end from then on."""
    address = b""
    while piece := os.read(0, READ_BYTES):
        address += piece
    return address
