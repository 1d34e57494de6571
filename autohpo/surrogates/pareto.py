"""Pareto fronts: who dominates whom, and how much room a front covers; in every column a higher value is better."""

from __future__ import annotations

import numpy as np

from autohpo.surrogates.arrays import BoolArray, FloatArray, IntArray


def is_dominated(values: FloatArray, by: FloatArray) -> BoolArray:
    """``(n,)`` whether each of ``(n, m)`` values is dominated by one of ``(k, m)``: nowhere better, somewhere worse."""
    n, m = values.shape
    no_worse, better = np.ones((n, len(by)), dtype=bool), np.zeros((n, len(by)), dtype=bool)
    for j in range(m):  # column by column: the cube of all comparisons would be m times as large
        no_worse &= by[:, j] >= values[:, j : j + 1]
        better |= by[:, j] > values[:, j : j + 1]
    dominated: BoolArray = np.any(no_worse & better, axis=1)
    return dominated


def front(values: FloatArray) -> IntArray:
    """Return the places of those of ``(n, m)`` values that no other dominates, rising; of equals all are in.

    The value with the highest sum is always one of them. It drops what it dominates, and so on with the rest: the cost
    is n times the length of the front.
    """
    centred = _ordinals(values)  # sums of ranks: columns of any scale count alike, and no sum overflows
    order = np.argsort(-centred.sum(axis=1), kind="stable")
    found: list[int] = []
    while len(order):
        best, order = order[0], order[1:]
        found.append(int(best))
        order = order[(centred[order] > centred[best]).any(axis=1) | (centred[order] == centred[best]).all(axis=1)]
    return np.array(sorted(found), dtype=np.int64)


def ranks(values: FloatArray, n_ranked: int | None = None) -> IntArray:
    """``(n,)`` the front of each of ``(n, m)`` values: 0 where none dominates it, 1 without those of front 0, ...

    Args:
        values: Finite numbers.
        n_ranked: Stop when so many have their front; all the others get the next number.

    Source: Goldberg 1989, Genetic Algorithms, chapter 5; Deb et al. 2002, IEEE TEC 6(2), section III-A (its fronts
    F_1, F_2, ... from 0 on).
    """
    found = np.zeros(len(values), dtype=np.int64)
    rest, rank = np.arange(len(values)), 0
    enough = len(values) if n_ranked is None else min(n_ranked, len(values))
    while len(values) - len(rest) < enough:
        places = front(values[rest])
        found[rest[places]] = rank
        rest, rank = np.delete(rest, places), rank + 1
    found[rest] = rank
    return found


def scaled(values: FloatArray) -> FloatArray:
    """``(n, m)`` values of a front from 0, the worst, to 1, the best of each objective; 0 where all are equal."""
    low, high = values.min(axis=0), values.max(axis=0)
    halves = high / 2 - low / 2  # of the ranges: those of huge values are no doubles
    return np.asarray((values / 2 - low / 2) / np.where(halves > 0, halves, 1.0), dtype=float)


def crowding(values: FloatArray) -> FloatArray:
    """``(n,)`` how far each of ``(n, m)`` values of a front has its neighbours; infinite at the ends.

    Source: Deb et al. 2002, IEEE TEC 6(2), section III-B, crowding-distance-assignment(I).
    """
    n, m = values.shape
    distances = np.zeros(n)
    if n < 3:
        return np.full(n, np.inf)
    unit = scaled(values)  # by f_m^max - f_m^min
    for j in range(m):
        I = np.argsort(unit[:, j], kind="stable")  # noqa: E741 - the paper's letter; I = sort(I, m)
        f = unit[I, j]
        distances[I[1:-1]] += f[2:] - f[:-2]  # I[i].distance += I[i + 1].m - I[i - 1].m
        distances[I[[0, -1]]] = np.inf  # I[1].distance = I[l].distance = inf
    return distances


def hypervolume(values: FloatArray, reference: FloatArray) -> float:
    """Return the volume that ``(n, m)`` values cover above an ``(m,)`` reference: that of the union of their boxes.

    Exact, by slices along the last column; for the fronts of a search, hundreds in 2 columns, tens in 3 or 4.

    Source: Zitzler 2001 (hypervolume by slicing objectives); While et al. 2006, IEEE TEC 10(1).
    """
    values = values[(values > reference).all(axis=1)] - reference
    return _volume(values) if len(values) else 0.0


def contributions(values: FloatArray, reference: FloatArray) -> FloatArray:
    """``(n,)`` the volume that each of ``(n, m)`` values alone covers; 0 for dominated and for doubled ones.

    It is the value's own box without what the others leave of it when they are cut down to it.

    Source: While, Bradstreet and Barone 2012, IEEE TEC 16(1), section II (exclusive hypervolume).
    """
    boxes = np.maximum(values - reference, 0.0)
    alone = np.empty(len(boxes))
    for i, box in enumerate(boxes):
        others = np.minimum(np.delete(boxes, i, axis=0), box)
        others = others[(others > 0).all(axis=1)]
        alone[i] = max(box.prod() - _volume(others), 0.0) if len(others) else box.prod()  # max: rounding
    return alone


def spread_subset(values: FloatArray, size: int, reference: FloatArray) -> IntArray:
    """Return the places of `size` of ``(n, m)`` values that cover much: each in turn adds the most to those before.

    The greedy choice covers at least 1 - 1/e of what the best one does. Of equals the first is taken.

    Source: Guerreiro, Fonseca and Paquete 2016, Evolutionary Computation 24(3).
    """
    boxes = np.maximum(values - reference, 0.0)
    gains, chosen = boxes.prod(axis=1), np.empty(0, dtype=np.int64)
    while len(chosen) < min(size, len(boxes)):
        # A gain only falls as the chosen grow, so the largest old one is renewed until it stays the largest.
        is_new = np.zeros(len(boxes), dtype=bool)
        gains[chosen] = -np.inf
        while not is_new[best := int(gains.argmax())]:
            others = np.minimum(boxes[chosen], boxes[best])
            others = others[(others > 0).all(axis=1)]
            gains[best] = max(boxes[best].prod() - (_volume(others) if len(others) else 0.0), 0.0)
            is_new[best] = True
        chosen = np.append(chosen, best)
    return chosen


def _ordinals(values: FloatArray) -> IntArray:
    """``(n, m)`` the place of each value among the different ones of its column."""
    return np.stack([np.unique(column, return_inverse=True)[1] for column in values.T], axis=1)


def _volume(boxes: FloatArray) -> float:
    """The volume of the union of ``(n, m)`` boxes from 0 to their corners, all positive; n >= 1."""
    n, m = boxes.shape
    if m == 1 or n == 1:
        return float(boxes.prod(axis=1).max())
    order = np.argsort(-boxes[:, -1], kind="stable")
    heights, boxes = boxes[order, -1], boxes[order, :-1]
    depths = heights - np.append(heights[1:], 0.0)
    if m == 2:
        return float(np.maximum.accumulate(boxes[:, 0]) @ depths)
    total, kept = 0.0, boxes[:0]
    for i, depth in enumerate(depths):
        if not (kept >= boxes[i]).all(axis=1).any():  # else the slice is no larger than the last
            kept = np.concatenate([kept[~(kept <= boxes[i]).all(axis=1)], boxes[i : i + 1]])
        if depth > 0:
            total += depth * _volume(kept)
    return total
