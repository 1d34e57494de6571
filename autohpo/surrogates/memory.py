"""Memory of large arrays: freed memory is kept for the next ones."""

from __future__ import annotations

import functools

import numpy as np

_MOST = 31 << 20  # bytes; from blocks of 32 MiB and more glibc's allocator learns nothing


@functools.cache
def keep_freed_memory() -> None:
    """Have the allocator keep some freed memory, at most 64 MiB, in place of giving it back to the system.

    Matrices of some hundred rows are given back as soon as they are freed, and the system clears each page of the next
    one when it is first touched, which takes longer than to fill it. The allocator of glibc learns from the largest
    block that was freed; one that nobody ever touched costs nothing. Other allocators are not changed by that.

    Source: mallopt(3), the dynamic threshold of M_MMAP_THRESHOLD.
    """
    np.empty(_MOST, dtype=np.uint8)
