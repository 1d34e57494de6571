"""A mailbox: a file that one process appends messages to and another one reads, also over a network file system."""

from __future__ import annotations

import os
import struct
import time
import zlib
from pathlib import Path

from autohpo.errors import AutoHPOError

__all__ = ["MailboxReader", "MailboxWriter"]

_HEAD = struct.Struct(">QI")  # length and checksum of a message
REOPEN_SECONDS = 1.0
"""How often a reader opens the file anew: a network file system shows what others have written only then."""


class MailboxWriter:
    """The end of a mailbox that messages are put into.

    Args:
        path: The path of its file, in a folder that is there.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def put(self, message: bytes) -> None:
        """Append a message; nothing happens where the folder is gone, as the other side is then, too.

        Raises:
            AutoHPOError: The file cannot be written.
        """
        data = _HEAD.pack(len(message), zlib.crc32(message)) + message
        try:
            fd = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o600)
        except FileNotFoundError:
            return
        except OSError as fault:
            raise AutoHPOError(f"the channel {self._path} cannot be written: {fault}") from fault
        try:
            rest = memoryview(data)
            while rest:
                rest = rest[os.write(fd, rest) :]
        except OSError as fault:
            raise AutoHPOError(f"the channel {self._path} cannot be written: {fault}") from fault
        finally:
            os.close(fd)


class MailboxReader:
    """The end of a mailbox that messages are taken from.

    Args:
        path: The path of its file; it need not be there yet.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = 0
        self._rest = bytearray()
        self._opened = 0.0

    def take(self) -> list[bytes]:
        """Return the messages that were put in since the last call.

        Raises:
            AutoHPOError: The file is damaged.
        """
        now = time.monotonic()
        if now - self._opened < REOPEN_SECONDS and self._size() <= self._offset:
            return []
        self._opened = now
        try:
            with open(self._path, "rb", buffering=0) as file:
                file.seek(self._offset)
                while data := file.read(1 << 20):
                    self._offset += len(data)
                    self._rest += data
        except FileNotFoundError:
            return []
        except OSError as fault:
            raise AutoHPOError(f"the channel {self._path} cannot be read: {fault}") from fault
        return self._messages()

    def _size(self) -> int:
        try:
            return os.stat(self._path).st_size  # noqa: PTH116 - many times a second
        except OSError:
            return 0

    def _messages(self) -> list[bytes]:
        found: list[bytes] = []
        while len(self._rest) >= _HEAD.size:
            length, crc = _HEAD.unpack_from(self._rest)
            end = _HEAD.size + length
            if len(self._rest) < end:
                break
            message = bytes(self._rest[_HEAD.size : end])
            if zlib.crc32(message) != crc:
                raise AutoHPOError(f"the channel {self._path} is damaged: a message is not what was written")
            del self._rest[:end]
            found.append(message)
        return found
