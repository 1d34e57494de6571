"""The files of offline runs of Weights & Biases: whether one is complete.

``run.finish()`` returns some milliseconds before wandb's own process has written the file, and that process ends at
once, without writing the rest, when the program that started it is killed.
"""

from __future__ import annotations

import struct
import time
from collections.abc import Iterator
from pathlib import Path

MAGIC = b":W&B\xe1\xbe\x00"
BLOCK = 32768
"""The length of a block, the header of the file included; no head of a record lies across two of them."""

HEAD = struct.Struct("<IHB")  # checksum, length, kind
WHOLE, FIRST, LAST = 1, 2, 4
WRITTEN_SECONDS = 30.0
LOOK_SECONDS = 0.005


def wait_until_written(folder: Path) -> None:
    """Wait until the file of a finished offline run has its end.

    Args:
        folder: The folder of the run.

    Raises:
        TimeoutError: It has none within `WRITTEN_SECONDS`.
    """
    until = time.monotonic() + WRITTEN_SECONDS
    while not is_complete(folder):
        if time.monotonic() > until:
            raise TimeoutError(f"W&B has not written {folder.name} within {WRITTEN_SECONDS:g} s")
        time.sleep(LOOK_SECONDS)


def is_complete(folder: Path) -> bool:
    """Return whether the file of an offline run has its last record, that of its exit.

    A file of another format than that of wandb 0.18 to 0.31 counts as complete, for nothing is known of it.

    Args:
        folder: The folder of the run.
    """
    from wandb.proto.wandb_internal_pb2 import Record

    data = b""
    for path in folder.glob("*.wandb"):
        with path.open("rb") as file:
            if (head := file.read(len(MAGIC))) and head != MAGIC[: len(head)]:
                return True
            size = path.stat().st_size
            file.seek(max(size // BLOCK - 1, 0) * BLOCK)  # the end is short: the last two blocks have it
            data = file.read()
        at = len(MAGIC) if size < 2 * BLOCK else 0
        if any(Record.FromString(part).WhichOneof("record_type") == "exit" for part in _records(data, at)):
            return True
    return False


def _records(data: bytes, at: int) -> Iterator[bytes]:
    """Yield the records that lie whole in blocks, from a place on; the form is that of LevelDB's log."""
    part: bytes | None = None  # None: what follows is the rest of a record that began earlier
    while at + HEAD.size <= len(data):
        if BLOCK - at % BLOCK < HEAD.size:  # no room for a head: the block is padded
            at += BLOCK - at % BLOCK
            continue
        _, length, kind = HEAD.unpack_from(data, at)
        at += HEAD.size
        if kind == 0 or at + length > len(data):  # not written yet
            return
        if kind in (WHOLE, FIRST):
            part = b""
        if part is not None:
            part += data[at : at + length]
            if kind in (WHOLE, LAST):
                yield part
                part = None
        at += length
