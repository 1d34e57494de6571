"""A write-ahead log as it lies on disk: which of its frames are whole, up to where, and what lies behind.

SQLite takes the frames up to the first one whose checksum is wrong, and silently forgets all behind it: to it a rotten
byte in the middle looks like the torn end that a power loss leaves. Here both are told apart. The format is described
at https://www.sqlite.org/fileformat2.html#the_write_ahead_log
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

HEADER_BYTES = 32
FRAME_HEADER_BYTES = 24
CHUNK_FRAMES = 512  # that are looked at together
MAGIC = 0x377F0682  # its last bit says that checksums are of big-endian words
PAGE_SIZES = frozenset(1 << k for k in range(9, 17))


@dataclass(frozen=True)
class WalState:
    """What a walk over a write-ahead log has found.

    Attributes:
        n_frames: Frames up to the first one that is not whole, or is of an older log that lay here before.
        n_committed: Frames up to the end of the last commit among these: what SQLite reads.
        n_behind: Whole frames of the same log that SQLite does not see: they lie behind one that is not whole.
        has_torn_end: Whether frames, or a part of one, lie behind the last commit and belong to none.
    """

    n_frames: int = 0
    n_committed: int = 0
    n_behind: int = 0
    has_torn_end: bool = False


@dataclass(frozen=True)
class Frames:
    """Some frames that follow each other.

    Attributes:
        pages: ``(n,)`` the number of the page that each frame holds.
        is_commit: ``(n,)`` whether it ends a commit.
        is_current: ``(n,)`` whether it belongs to the log that the header names, and not to an older one.
        is_whole: ``(n,)`` whether its checksum follows from that of the frame before it.
        content: ``(n, page size)`` the pages.
    """

    pages: npt.NDArray[np.uint32]
    is_commit: npt.NDArray[np.bool_]
    is_current: npt.NDArray[np.bool_]
    is_whole: npt.NDArray[np.bool_]
    content: npt.NDArray[np.uint8]


def walk(path: Path) -> WalState:
    """Return what a write-ahead log holds; nothing where there is no file, or an empty one.

    Whoever closes a store last removes its log, also while it is read here: then all of it is in the main file.
    """
    try:
        return _walked(path)
    except FileNotFoundError:
        return WalState()


def _walked(path: Path) -> WalState:
    n_frames = n_committed = n_behind = n_current_behind = 0
    is_broken = False
    n_bytes = path.stat().st_size if path.is_file() else 0
    if n_bytes == 0:
        return WalState()
    n_seen = frame_bytes = 0
    for frames in read_frames(path):
        n, n_seen = len(frames.pages), n_seen + len(frames.pages)
        frame_bytes = FRAME_HEADER_BYTES + frames.content.shape[1]
        is_good = frames.is_whole & frames.is_current
        first = 0
        if not is_broken:
            bad = np.flatnonzero(~is_good)
            first = int(bad[0]) if len(bad) else n
            commits = np.flatnonzero(frames.is_commit[:first])
            n_committed = n_frames + int(commits[-1]) + 1 if len(commits) else n_committed
            n_frames += first
            is_broken = first < n
            if is_broken and frames.is_whole[first]:  # it goes on from the frame before, so its salt is what is rotten
                n_behind += 1
                n_current_behind += 1
        n_behind += int(is_good[first:].sum())
        n_current_behind += int(frames.is_current[first:].sum())
    rest = n_bytes - HEADER_BYTES - n_seen * frame_bytes if n_seen else n_bytes - HEADER_BYTES
    has_torn_end = n_frames > n_committed or n_current_behind > 0 or (rest != 0 and not is_broken)
    return WalState(n_frames, n_committed, n_behind, has_torn_end)


def read_frames(path: Path) -> Iterator[Frames]:
    """Yield the frames of a write-ahead log in their order, whole or not."""
    with path.open("rb") as file:
        head = file.read(HEADER_BYTES)
        if len(head) < HEADER_BYTES:
            return
        words = np.frombuffer(head, ">u4")
        order = ">u4" if words[0] & 1 else "<u4"
        size = int(words[2]) if int(words[2]) in PAGE_SIZES else 4096  # where the header itself is damaged
        is_head_whole = (int(words[0]) & ~1) == MAGIC and bool(
            (_checksums(np.frombuffer(head[:24], order)[None, :], np.zeros((1, 2), np.uint32)) == words[6:8]).all()
        )
        before = words[6:8].astype(np.uint32)
        salts: npt.NDArray[np.uint32] | None = words[4:6].astype(np.uint32) if is_head_whole else None
        while chunk := file.read(CHUNK_FRAMES * (FRAME_HEADER_BYTES + size)):
            n = len(chunk) // (FRAME_HEADER_BYTES + size)
            if not n:
                return
            raw = np.frombuffer(chunk[: n * (FRAME_HEADER_BYTES + size)], np.uint8).reshape(n, -1)
            frames, before, salts = _frames_of(raw, order, before, salts)
            if not is_head_whole:  # SQLite reads nothing then
                frames.is_whole[:1], is_head_whole = False, True
            yield frames


def _frames_of(
    raw: npt.NDArray[np.uint8], order: str, before: npt.NDArray[np.uint32], salts: npt.NDArray[np.uint32] | None
) -> tuple[Frames, npt.NDArray[np.uint32], npt.NDArray[np.uint32]]:
    """Return the frames in a chunk, the checksum of its last one, and the salts of the log."""
    heads = np.ascontiguousarray(raw[:, :FRAME_HEADER_BYTES]).view(">u4").astype(np.uint32)
    content = raw[:, FRAME_HEADER_BYTES:]
    summed = np.ascontiguousarray(np.concatenate([raw[:, :8], content], axis=1)).view(order).astype(np.uint32)
    stored = heads[:, 4:6]
    seeds = np.concatenate([before[None, :], stored[:-1]])
    salts = heads[0, 2:4] if salts is None else salts
    frames = Frames(
        heads[:, 0],
        heads[:, 1] != 0,
        (heads[:, 2:4] == salts).all(axis=1),
        (_checksums(summed, seeds) == stored).all(axis=1),
        content,
    )
    return frames, stored[-1], salts


def _checksums(words: npt.NDArray[np.uint32], seeds: npt.NDArray[np.uint32]) -> npt.NDArray[np.uint32]:
    """Return ``(n, 2)`` SQLite's checksums of rows of words, each begun with its seed.

    SQLite adds two words at a time: ``s0 += a + s1; s1 += b + s0``. That is linear, modulo 2^32: the sums are dot
    products of the words with powers of the matrix [[1, 1], [1, 2]], whose entries are Fibonacci numbers.
    """
    n_pairs = words.shape[1] // 2
    fibonacci = [0, 1]
    while len(fibonacci) < 2 * n_pairs + 2:
        fibonacci.append((fibonacci[-1] + fibonacci[-2]) & 0xFFFFFFFF)
    f = np.array([1, *fibonacci], dtype=np.uint32)  # f[i + 1] is the i-th, from -1 on
    k = np.arange(n_pairs - 1, -1, -1)  # how many pairs follow
    top, middle, bottom = f[2 * k], f[2 * k + 1], f[2 * k + 2]  # of the k-th power: [[top, middle], [middle, bottom]]
    a, b = words[:, 0::2].astype(np.uint32), words[:, 1::2].astype(np.uint32)
    s0, s1 = seeds[:, 0], seeds[:, 1]
    i = 2 * n_pairs
    first = (a * (top + middle) + b * middle).sum(axis=1, dtype=np.uint32) + s0 * f[i] + s1 * f[i + 1]
    second = (a * (middle + bottom) + b * bottom).sum(axis=1, dtype=np.uint32) + s0 * f[i + 1] + s1 * f[i + 2]
    return np.stack([first, second], axis=1)
