"""Rows as they lie in the pages of a store's files, found without SQLite: whole ones, whatever is broken around them.

SQLite reads a table from its root, so one damaged page hides all behind it. Here every page of the main file and of the
write-ahead log is searched for rows by itself; the checksum of a row says whether it was found right. The format is
described at https://www.sqlite.org/fileformat2.html
"""

from __future__ import annotations

import re
import struct
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from autohpo.store.opening import beside, size_of
from autohpo.store.rows import crc_of, is_whole
from autohpo.store.wal import FRAME_HEADER_BYTES, HEADER_BYTES, PAGE_SIZES, read_frames

KIND_TYPES = frozenset({13 + 2 * len(kind) for kind in ("ask", "start", "report", "end", "interrupt", "late")})
_INTEGERS = {0: 0, 1: 1, 2: 2, 3: 3, 4: 4, 5: 6, 6: 8, 8: 0, 9: 0}  # bytes of a serial type
_EVENT = rb"(?=[\x08-\x12]\x00[\x01-\x09][\x13\x15\x17\x19\x1f])"  # how the header of an event's record begins
_HEADER = rb"(?=[\x03-\x0c][\x0d-\xff])"  # the same of the run's header: a text and an integer
MOST_ROUTES = 64  # versions of overflow pages that are tried for one row


@dataclass(frozen=True)
class Found:
    """What the pages of a store hold.

    Attributes:
        rows: Rows of events by their place in the log; each has a checksum that holds.
        headers: The texts of the run's header that have one, the best known last.
        n_pages: How many pages were searched.
    """

    rows: dict[int, tuple[Any, ...]]
    headers: list[str]
    n_pages: int


class Pages:
    """All versions of all pages of a store, in the main file and in the write-ahead log.

    Args:
        size: The bytes of a page.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self.versions: dict[int, list[bytes]] = defaultdict(list)  # the newest last
        self._inner = size - 4  # of an overflow page: it begins with the number of the next

    def add(self, number: int, content: bytes) -> None:
        """Add a version of a page."""
        self.versions[number].append(content)

    def search(self) -> Found:
        """Return every row whose checksum holds; of two of one place that of the newer page."""
        rows: dict[int, tuple[Any, ...]] = {}
        headers: list[str] = []
        n_pages = 0
        for depth in range(max(map(len, self.versions.values()), default=0)):
            for versions in self.versions.values():
                if depth < len(versions):
                    n_pages += 1
                    for row in self._events_in(versions[depth]):
                        rows[row[0]] = row
                    headers += self._headers_in(versions[depth])
        return Found(rows, headers, n_pages)

    def _events_in(self, page: bytes) -> Iterator[tuple[Any, ...]]:
        for match in re.finditer(_EVENT, page, re.DOTALL):
            at = match.start()
            record = _record_header(page, at)
            if record is None or len(record) != 7 or record[2] not in KIND_TYPES:
                continue
            n_bytes = sum(map(_size_of, record)) + page[at]
            payloads = islice(self._payloads(page, at, n_bytes), MOST_ROUTES)
            row = next((row for p in payloads for row in _rows(p, page, at, record) if is_whole(row)), None)
            if row is not None:
                yield row

    def _headers_in(self, page: bytes) -> Iterator[str]:
        for match in re.finditer(_HEADER, page, re.DOTALL):
            at = match.start()
            record = _record_header(page, at)
            if record is None or len(record) != 2 or record[0] % 2 == 0 or record[1] not in _INTEGERS:
                continue
            n_bytes = sum(map(_size_of, record)) + page[at]
            for payload in islice(self._payloads(page, at, n_bytes), MOST_ROUTES):
                values = _values(payload, page[at], record)
                if values is not None and values[1] == crc_of(values[0]):
                    yield values[0]
                    break

    def _payloads(self, page: bytes, at: int, n_bytes: int) -> Iterator[bytes]:
        """Yield what a record of a size may be: what does not fit into its page lies in others, of any version."""
        usable = self.size
        most, least = usable - 35, (usable - 12) * 32 // 255 - 23
        if n_bytes <= most:
            if at + n_bytes <= len(page):
                yield page[at : at + n_bytes]
            return
        here = least + (n_bytes - least) % self._inner
        here = here if here <= most else least
        if at + here + 4 <= len(page):
            (follower,) = struct.unpack_from(">I", page, at + here)
            yield from self._continued(page[at : at + here], follower, n_bytes - here)

    def _continued(self, begun: bytes, number: int, n_left: int) -> Iterator[bytes]:
        """Yield a record from its overflow pages on."""
        level: list[tuple[bytes, int]] = [(begun, number)]
        while n_left > 0:
            below: list[tuple[bytes, int]] = []
            for so_far, following in level:
                for version in reversed(self.versions.get(following, ())):
                    (after,) = struct.unpack_from(">I", version)
                    below.append((so_far + version[4 : 4 + min(n_left, self._inner)], after))
            n_left -= self._inner
            level = below[:MOST_ROUTES]
            if not level:
                return
        yield from (whole for whole, _ in level)


def search(path: Path) -> Found:
    """Return every row of a store's files whose checksum holds.

    Args:
        path: The path of the main file; its write-ahead log lies beside it. Either may be missing.
    """
    rows: dict[int, tuple[Any, ...]] = {}
    headers: list[str] = []
    n_pages = 0
    for size in _page_sizes(path):
        pages = Pages(size)
        if size_of(path):
            with path.open("rb") as file:
                for number in range(1, 2**32):
                    content = file.read(size)
                    if not content:
                        break
                    pages.add(number, content.ljust(size, b"\0"))
        if size_of(beside(path, "-wal")):
            _add_frames(pages, beside(path, "-wal"))
        found = pages.search()
        rows.update(found.rows)
        headers += found.headers
        n_pages = max(n_pages, found.n_pages)
    return Found(dict(sorted(rows.items())), headers, n_pages)


def _add_frames(pages: Pages, wal: Path) -> None:
    """Add the pages in a write-ahead log, whole or not, and also the part of one at a torn end."""
    n_frames = 0
    for frames in read_frames(wal):
        if frames.content.shape[1] != pages.size:
            return
        n_frames += len(frames.pages)
        for number, content in zip(frames.pages.tolist(), frames.content, strict=True):
            pages.add(number, content.tobytes())
    with wal.open("rb") as file:
        file.seek(HEADER_BYTES + n_frames * (FRAME_HEADER_BYTES + pages.size))
        head, rest = file.read(FRAME_HEADER_BYTES), file.read(pages.size)
    if rest:
        pages.add(int.from_bytes(head[:4], "big"), rest.ljust(pages.size, b"\0"))


def _page_sizes(path: Path) -> list[int]:
    """Return the sizes that pages may have: what the file says, and the usual one where it may be wrong."""
    sizes = [4096]
    if size_of(path):
        with path.open("rb") as file:
            head = file.read(100)
        size = int.from_bytes(head[16:18], "big")
        size = 65536 if size == 1 else size
        if size in PAGE_SIZES and size not in sizes:
            sizes.append(size)
    return sizes


def _varint(data: bytes, at: int) -> tuple[int, int] | None:
    """Return a number of variable length and where it ends; None where the data ends before it."""
    value = 0
    for i in range(9):
        if at + i >= len(data):
            return None
        byte = data[at + i]
        if i == 8:
            return (value << 8) | byte, at + 9
        value = (value << 7) | (byte & 0x7F)
        if byte < 0x80:
            return value, at + i + 1
    return None


def _record_header(page: bytes, at: int) -> list[int] | None:
    """Return the serial types of the record whose header begins at a place; None where there is none."""
    end, types = at + page[at], []
    at += 1
    while at < end:
        found = _varint(page, at)
        if found is None:
            return None
        types.append(found[0])
        at = found[1]
    return types if at == end else None


def _size_of(serial_type: int) -> int:
    if serial_type == 7:
        return 8
    return _INTEGERS.get(serial_type, (serial_type - 12) // 2 if serial_type >= 12 else 0)


def _rows(payload: bytes, page: bytes, at: int, record: Sequence[int]) -> Iterator[tuple[Any, ...]]:
    """Yield the rows of events that a record may be, one for each place in the log that may be meant."""
    values = _values(payload, page[at], record)
    if values is None:
        return
    time = float(values[1]) if isinstance(values[1], int) else values[1]  # SQLite keeps a whole one as an integer
    for place in _places(page, at):
        yield (place, time, *values[2:])


def _places(page: bytes, at: int) -> Iterator[int]:
    """Yield the places in the log that a row may have whose record begins at a place of a page.

    The place stands just before the record, as a number of variable length; the size of the record, before that, is not
    needed: the header of the record says the same.
    """
    value = shift = 0
    for length in range(1, 9):
        if at < length or (page[at - length] >= 0x80) is (length == 1):
            return
        value |= (page[at - length] & 0x7F) << shift
        shift += 7
        yield value


def _values(payload: bytes, at: int, types: Sequence[int]) -> list[Any] | None:
    """Return the values of a record; None where they are none."""
    values: list[Any] = []
    for serial_type in types:
        size = _size_of(serial_type)
        data = payload[at : at + size]
        at += size
        if len(data) < size:
            return None
        if serial_type == 0:
            values.append(None)
        elif serial_type in (8, 9):
            values.append(serial_type - 8)
        elif serial_type == 7:
            values.append(struct.unpack(">d", data)[0])
        elif serial_type in _INTEGERS:
            values.append(int.from_bytes(data, "big", signed=True))
        elif serial_type >= 13 and serial_type % 2:
            try:
                values.append(data.decode("utf-8"))
            except UnicodeDecodeError:
                return None
        else:
            return None
    return values
