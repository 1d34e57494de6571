"""Results at several fidelities as one number for each configuration: by rank, or projected to the highest fidelity."""

from __future__ import annotations

import numpy as np

from autohpo.surrogates.arrays import FloatArray, IntArray

_SLOPE_WEIGHT = 4.0
"""The number of configurations that the prior of a slope, 1, counts for."""
_GAIN_WEIGHT = 1.0
"""The number of configurations that the prior of a gain, 0, counts for."""
_LEAST_UNIT = 1e-290
"""Of the largest value: where the best is nearer to the median, what is far below is still a number of such units."""


def last_levels(values: FloatArray) -> IntArray:
    """``(n,)`` the highest level at which each of n configurations has a value; -1 where it has none.

    Args:
        values: ``(n, L)`` values at L levels of fidelity, rising; NaN where there is none.
    """
    known = np.isfinite(values)
    if not values.shape[1]:
        return np.full(len(values), -1)
    top = values.shape[1] - 1 - np.argmax(known[:, ::-1], axis=1)
    levels: IntArray = np.where(known.any(axis=1), top, -1)
    return levels


def rank_scores(values: FloatArray) -> FloatArray:
    """``(n,)`` normal scores of n configurations; NaN where one has no value.

    At the lowest level they are those of the ranks. Configurations that have a value at the next level swap their
    scores, so that these have the order of the values there; and so on upwards. One that begins at a higher level gets
    a score between those of its neighbours there. So a score is free of the units of the values, and a promoted
    configuration competes with those that were left behind.

    Args:
        values: ``(n, L)`` values at L levels of fidelity, rising, higher is better; NaN where there is none.

    Example:
        >>> nan = float("nan")
        >>> rank_scores(np.array([[1.0, nan], [3.0, 5.0], [2.0, 9.0]])).round(2).tolist()
        [-0.97, 0.0, 0.97]
    """
    scores, values = np.full(len(values), np.nan), in_range(values)
    for level in range(values.shape[1]):
        here = np.flatnonzero(np.isfinite(values[:, level]))
        at = values[here, level]
        is_ranked = np.isfinite(scores[here])
        if is_ranked.any():
            old = here[is_ranked]
            kept = np.sort(scores[old])
            scores[old[np.argsort(at[is_ranked], kind="stable")]] = kept
            new = here[~is_ranked]
            scores[new] = np.interp(at[~is_ranked], np.sort(at[is_ranked]), kept)
        elif len(here):
            scores[here[np.argsort(at, kind="stable")]] = normal_scores(len(here))
    return scores


def normal_scores(n: int) -> FloatArray:
    """``(n,)`` the quantiles of a normal distribution at (i + 1/2) / n, rising."""
    from scipy.special import ndtri

    scores: FloatArray = ndtri((np.arange(n) + 0.5) / n)
    return scores


def one_sided(values: FloatArray) -> FloatArray:
    """Return values in units of the best above the median; below the median they grow like a logarithm.

    What is far below the median matters to nobody, and shall not set the scale of a model. NaN stays.

    Args:
        values: Finite numbers, or NaN, in any shape; higher is better.
    """
    values = in_range(values)
    known = values[np.isfinite(values)]
    if not len(known):
        return values
    middle = float(np.median(known))
    unit = float(known.max()) - middle or float(np.std(known)) or 1.0
    scaled = (values - middle) / max(unit, _LEAST_UNIT)
    return np.where(scaled < 0.0, -np.log1p(np.maximum(-scaled, 0.0)), scaled)


def in_range(values: FloatArray) -> FloatArray:
    """Return values times a power of two, so that the largest is about 1: their sums, squares and spans are numbers.

    Args:
        values: Finite numbers, or NaN, in any shape.
    """
    sizes = np.abs(values[np.isfinite(values)])
    return np.ldexp(values, -int(np.frexp(sizes.max())[1])) if len(sizes) else values


def steps_up(values: FloatArray) -> FloatArray:
    """``(L - 1, 2)`` how a value at a level predicts that at the next: ``next = gain + slope value``.

    Lines are fitted to the configurations that have both. Who is promoted is chosen by the lower value alone, so that
    a line given that value is not biased by the choice, as a difference of means would be. Few configurations say
    little: the prior is the same value again, a slope of 1 and no gain.

    Args:
        values: ``(n, L)`` values at L levels, rising; NaN where there is none.
    """
    found = np.tile([0.0, 1.0], (max(values.shape[1] - 1, 0), 1))
    for level in range(len(found)):
        low, high = values[:, level], values[:, level + 1]
        both = np.isfinite(low) & np.isfinite(high)
        n = int(both.sum())
        if not n:
            continue
        x, y = low[both], high[both]
        spread = max(float(np.var(low[np.isfinite(low)])), 1e-12)
        dx = x - x.mean()
        slope = (float(dx @ (y - y.mean())) + _SLOPE_WEIGHT * spread) / (float(dx @ dx) + _SLOPE_WEIGHT * spread)
        gain = float((y - x).sum()) / (n + _GAIN_WEIGHT)
        found[level] = float(x.mean()) * (1.0 - slope) + gain, slope
    return found


def projected(values: FloatArray) -> FloatArray:
    """``(n,)`` what n configurations are expected to have at the highest level, from their last values alone.

    Args:
        values: ``(n, L)`` values at L levels of fidelity, rising; NaN where there is none.

    Returns:
        NaN where a configuration has no value.
    """
    levels = last_levels(values)
    found = np.where(levels >= 0, values[np.arange(len(values)), np.maximum(levels, 0)], np.nan)
    for level, (gain, slope) in enumerate(steps_up(values)):
        below = (levels >= 0) & (levels <= level)
        found[below] = gain + slope * found[below]
    return found
