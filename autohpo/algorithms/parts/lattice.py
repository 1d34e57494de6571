"""Lattice: the points of a grid in an order in which the first of them are spread over all of it."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np


class Lattice:
    """The digits of all points of a grid, each once, of which every first part is spread.

    The points come in blocks as long as the least common multiple of the sizes. In a block each digit goes through its
    values in turn, in an order of its own, so that all of them come equally often; one block differs from another by
    how far the digits are shifted against each other. Nothing is listed: a point follows from its place.

    Args:
        sizes: The number of values of each digit, at least 1.

    Attributes:
        n: The number of points.

    Example:
        >>> lattice = Lattice([2, 3])
        >>> sorted(lattice.digits(place) for place in range(lattice.n))
        [[0, 0], [0, 1], [0, 2], [1, 0], [1, 1], [1, 2]]
    """

    def __init__(self, sizes: Sequence[int]) -> None:
        self.n = math.prod(sizes)
        self._sizes, self._shifts, length = list(sizes), list[int](), 1
        for size in sizes:
            self._shifts.append(math.gcd(length, size))  # so many shifts of this digit give points that no other gives
            length = math.lcm(length, size)
        self._length = length
        self._orders = [_order(size, seed) for seed, size in enumerate(sizes)]

    def digits(self, place: int) -> list[int]:
        """Return the digits of the point at a place, from 0 to below `n`."""
        block, step = divmod(place, self._length)
        digits = []
        for size, n_shifts, order in zip(self._sizes, self._shifts, self._orders, strict=True):
            block, shift = divmod(block, n_shifts)
            digits.append(order[(step + shift) % size])
        return digits


def _order(size: int, seed: int) -> list[int]:
    """The values of a digit in a fixed order, which no two digits share but by chance."""
    order: list[int] = np.random.Generator(np.random.PCG64(seed + 1)).permutation(size).tolist()
    return order
