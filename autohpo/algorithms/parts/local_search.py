"""Local search in the unit cube, from many points at once, without gradients."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from autohpo.algorithms.parts.arrays import FloatArray, IntArray

_STEPS_PER_COLUMN = 4
_MOST_STEPS = 12  # hardly any walk takes more


def local_search(
    score: Callable[[FloatArray], FloatArray],
    starts: FloatArray,
    levels: IntArray,
    rng: np.random.Generator,
    step: float = 0.2,
) -> tuple[FloatArray, FloatArray]:
    """Walk uphill from each start, by changes of one column at a time, to the best of the neighbours.

    Args:
        score: The function of ``(n, d)`` points, with ``(n,)`` values; higher is better.
        starts: ``(s, d)`` points.
        levels: ``(d,)`` 0 for an ordered column, where neighbours are normal steps away; else they are anywhere.
        rng: The generator of the neighbours.
        step: The standard deviation of a step.

    Returns:
        ``(n, d)`` all points that the walks have come to or would have gone to next, and their ``(n,)`` scores.
    """
    at, values = starts, score(starts)
    found, scores = [at], [values]
    for _ in range(_MOST_STEPS):
        near = neighbours(at, levels, rng, step)
        around = score(near.reshape(-1, at.shape[1])).reshape(len(at), -1)
        to = around.argmax(axis=1)
        walks = np.arange(len(at))
        reached, heights = near[walks, to], around[walks, to]
        found.append(reached)
        scores.append(heights)
        is_higher = heights > values
        at, values = reached[is_higher], heights[is_higher]
        if not len(at):
            break
    return np.concatenate(found), np.concatenate(scores)


def neighbours(points: FloatArray, levels: IntArray, rng: np.random.Generator, step: float) -> FloatArray:
    """``(s, 4 d, d)`` points that differ in one column from each of ``(s, d)`` points."""
    s, d = points.shape
    k = _STEPS_PER_COLUMN
    moved = np.repeat(points, d * k, axis=0).reshape(s, d, k, d)
    columns = np.arange(d)
    stepped = moved[:, columns, :, columns] + step * rng.standard_normal((d, s, k))
    is_anywhere = (stepped < 0) | (stepped > 1) | (levels[:, None, None] > 0)
    moved[:, columns, :, columns] = np.where(is_anywhere, rng.random((d, s, k)), stepped)
    return moved.reshape(s, d * k, d)
