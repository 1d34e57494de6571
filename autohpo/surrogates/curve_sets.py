"""Sets of curves: the results of several configurations, arranged so that curves with equal beginnings share work."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from autohpo.surrogates.arrays import BoolArray, FloatArray, IntArray


@dataclass(frozen=True, eq=False)
class CurveSet:
    """The curves of m configurations, each along the beginning of one of G chains of at most K positions.

    A chain is a list of rising positions. Curves that begin alike share one: the factor of a chain's covariance holds
    those of all its beginnings. Where all curves are contiguous there is one chain, and gaps in curves make more.

    Attributes:
        points: ``(m, d)`` the configurations in the unit cube, in the order of their first results.
        mask: ``(m, d)`` which columns are active.
        numbers: ``(m,)`` the number of each configuration.
        positions: ``(G, K)`` the positions of the chains; those beyond the end of a chain repeat its last.
        sizes: ``(G,)`` the number of positions of each chain.
        chain: ``(m,)`` the chain of each curve.
        counts: ``(m,)`` how many of its positions have results.
        results: ``(m, K, c)`` the results, in c columns; 0 beyond the end of a curve.
    """

    points: FloatArray
    mask: BoolArray
    numbers: FloatArray
    positions: FloatArray
    sizes: IntArray
    chain: IntArray
    counts: IntArray
    results: FloatArray

    @cached_property
    def has_result(self) -> BoolArray:
        """``(m, K)`` which places along its chain a curve has."""
        found: BoolArray = np.arange(self.positions.shape[1]) < self.counts[:, None]
        return found

    @cached_property
    def members(self) -> list[IntArray]:
        """The curves of each chain."""
        return [np.flatnonzero(self.chain == g) for g in range(len(self.sizes))]

    @cached_property
    def is_padding(self) -> BoolArray:
        """``(G, K)`` which places are beyond the end of a chain."""
        found: BoolArray = np.arange(self.positions.shape[1]) >= self.sizes[:, None]
        return found

    @cached_property
    def uses(self) -> IntArray:
        """``(G, K)`` how many curves have a result at each place of a chain."""
        return np.array([self.has_result[own].sum(axis=0) for own in self.members])

    @cached_property
    def _index(self) -> dict[float, int]:
        return {number: i for i, number in enumerate(self.numbers.tolist())}

    def find(self, numbers: FloatArray) -> IntArray:
        """``(n,)`` the curve of the configuration of each number; -1 where there is none, and for negative numbers."""
        found = [self._index.get(number, -1) if number >= 0 else -1 for number in numbers.tolist()]
        return np.array(found, dtype=np.int64)


def arrange(
    points: FloatArray, mask: BoolArray, positions: FloatArray, numbers: FloatArray, targets: FloatArray
) -> CurveSet:
    """Return results as curves. Of several results of a configuration at one position the last one counts.

    Args:
        points: ``(n, d)`` in the unit cube, at least one row.
        mask: ``(n, d)`` which columns are active.
        positions: ``(n,)`` where on the curve each result is.
        numbers: ``(n,)`` the number of the configuration; a negative one is a configuration of its own.
        targets: ``(n, c)`` the results, in c columns.
    """
    curves: dict[float, dict[float, int]] = {}
    first: list[int] = []
    for i, (number, position) in enumerate(zip(numbers.tolist(), positions.tolist(), strict=True)):
        key = number if number >= 0 else -1.0 - i
        if key not in curves:
            curves[key] = {}
            first.append(i)
        curves[key][position] = i
    paths = [tuple(sorted(curve)) for curve in curves.values()]
    chain, chains = _chains(paths)
    longest = max(len(path) for path in chains)
    results = np.zeros((len(paths), longest, targets.shape[1]))
    for i, (path, curve) in enumerate(zip(paths, curves.values(), strict=True)):
        results[i, : len(path)] = targets[[curve[position] for position in path]]
    return CurveSet(
        points[first],
        mask[first],
        np.array(list(curves)),
        np.array([path + path[-1:] * (longest - len(path)) for path in chains]),
        np.array([len(path) for path in chains]),
        chain,
        np.array([len(path) for path in paths]),
        results,
    )


def thin(positions: FloatArray, numbers: FloatArray, most: int) -> BoolArray:
    """``(n,)`` which results to keep, so that they are at no more than a number of different positions.

    Positions are common to all curves, so that curves still begin alike. Kept are those where most curves end, up to
    half of the number, and of the others those that are evenly spaced in their logarithm. A curve with a result at
    none of them keeps its last one.

    Args:
        positions: ``(n,)`` where on the curve each result is, above 0.
        numbers: ``(n,)`` the number of the configuration.
        most: The number of positions, at least 2.
    """
    found = np.unique(positions)
    if len(found) <= most:
        return np.ones(len(positions), dtype=bool)
    order = np.lexsort((positions, numbers))
    is_last = np.append(numbers[order][1:] != numbers[order][:-1], True)
    last = order[is_last]
    ends, counts = np.unique(positions[last], return_counts=True)
    chosen = ends[np.lexsort((-ends, -counts))[: most // 2]]
    wanted = np.geomspace(max(found[0], 1e-9 * found[-1]), found[-1], most - len(chosen))
    kept = np.concatenate([chosen, found[np.searchsorted(found, wanted).clip(max=len(found) - 1)]])
    keep: BoolArray = np.isin(positions, kept)
    keep[last[~np.isin(numbers[last], numbers[keep])]] = True
    return keep


def _chains(paths: Sequence[tuple[float, ...]]) -> tuple[IntArray, list[tuple[float, ...]]]:
    """``(m,)`` the chain of each path, and the chains: the paths that begin no other path.

    In rising order a path is followed by those that it begins, so that the next one tells.
    """
    chain: IntArray = np.empty(len(paths), dtype=np.int64)
    chains: list[tuple[float, ...]] = []
    for i in sorted(range(len(paths)), key=lambda i: paths[i], reverse=True):
        if not chains or chains[-1][: len(paths[i])] != paths[i]:
            chains.append(paths[i])
        chain[i] = len(chains) - 1
    return chain, chains
