"""Expected hypervolume improvement: how much volume a candidate is expected to add to a front; exact, in logarithms."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from autohpo.surrogates import pareto
from autohpo.surrogates.acquisition import log_ei
from autohpo.surrogates.arrays import FloatArray, IntArray

_LEAST_STEP = 1e-13  # of the log expected improvement along a side of a box; below it a difference is rounding


def free_boxes(front: FloatArray, reference: FloatArray) -> tuple[FloatArray, FloatArray]:
    """``(k, m)`` lower and upper corners of boxes, into which the space between a front and a reference is divided.

    Corners may be infinite. There are n + 1 boxes for two objectives, and in general about n^(m-1) / (m-1)!.

    Args:
        front: ``(n, m)`` values, above the reference in every column; higher is better.
        reference: ``(m,)`` the reference point.
    """
    m = len(reference)
    if not len(front):
        return reference[None], np.full((1, m), np.inf)
    if m == 1:
        return front.max(axis=0)[None], np.full((1, 1), np.inf)
    front = front[np.argsort(-front[:, -1], kind="stable")]
    tops, bottoms = np.append(np.inf, front[:, -1]), np.append(front[:, -1], reference[-1])
    lower, upper = [], []
    for k in range(len(front) + 1):  # a slab below the k-th highest: the first k values cover some of it
        if tops[k] > bottoms[k]:
            shadow = front[:k, :-1]
            low, high = free_boxes(shadow[pareto.front(shadow)] if k else shadow, reference[:-1])
            lower.append(np.column_stack([low, np.full(len(low), bottoms[k])]))
            upper.append(np.column_stack([high, np.full(len(high), tops[k])]))
    return np.concatenate(lower), np.concatenate(upper)


def most_values(m: int, n_boxes: int) -> int:
    """Return how many values a front of m objectives may have, to leave about so many boxes.

    Example:
        >>> [most_values(m, 1000) for m in (1, 2, 3, 4)]
        [1000, 1000, 44, 18]
    """
    return max(int((n_boxes * math.factorial(m - 1)) ** (1 / max(m - 1, 1))), 2)


@dataclass(frozen=True, eq=False)
class ExpectedImprovement:
    """The expected hypervolume improvement over a front, of candidates with independent normal objectives.

    In each box it is the product of the expected improvements along its sides: that over the lower end less that over
    the upper end.

    Attributes:
        ends: The ends of the boxes, for each objective the ``(t,)`` different finite ones, rising.
        lower: ``(m, k)`` the place of each box's lower end.
        upper: ``(m, k)`` the place of its upper end; t where it is infinite.

    Source: Emmerich et al. 2006, IEEE TEC 10(4); Yang et al. 2019, Swarm and Evolutionary Computation 44 (by boxes);
        Ament et al. 2023, NeurIPS 36 (logarithms).
    """

    ends: tuple[FloatArray, ...]
    lower: IntArray
    upper: IntArray

    @staticmethod
    def over(front: FloatArray, reference: FloatArray) -> ExpectedImprovement:
        """Return the improvement over an ``(n, m)`` front; values not above the ``(m,)`` reference do not count."""
        front = front[(front > reference).all(axis=1)]
        low, high = free_boxes(front[pareto.front(front)] if len(front) else front, reference)
        ends = tuple(np.unique(column) for column in low.T)
        places = [np.stack([np.searchsorted(end, side[:, j]) for j, end in enumerate(ends)]) for side in (low, high)]
        return ExpectedImprovement(ends, places[0], places[1])

    def log(self, means: FloatArray, sds: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        """``(c,)`` log improvements of ``(c, m)`` predictions; ``(c, m)`` derivatives by means and by deviations."""
        sides = [self._sides(j, means[:, j], sds[:, j]) for j in range(len(self.ends))]
        total = np.sum([side[0] for side in sides], axis=0)
        top = total.max(axis=1, keepdims=True)
        weights = np.exp(total - top)
        sums = weights.sum(axis=1, keepdims=True)
        weights /= sums
        by_means = np.stack([np.einsum("ck,ck->c", weights, side[1]) for side in sides], axis=1)
        by_sds = np.stack([np.einsum("ck,ck->c", weights, side[2]) for side in sides], axis=1)
        return (top + np.log(sums))[:, 0], by_means, by_sds

    def _sides(self, j: int, mean: FloatArray, sd: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        """``(c, k)`` log expected improvement along one side of each box, and its derivatives."""
        values, by_mean, by_sd = log_ei(mean[:, None], sd[:, None], self.ends[j])
        if not (self.upper[j] < len(self.ends[j])).any():
            return values[:, self.lower[j]], by_mean[:, self.lower[j]], by_sd[:, self.lower[j]]
        none = np.zeros((len(mean), 1))
        values = np.hstack([values, none - np.inf])
        by_mean, by_sd = np.hstack([by_mean, none]), np.hstack([by_sd, none])
        low, high = self.lower[j], self.upper[j]
        step = np.minimum(values[:, high] - values[:, low], -_LEAST_STEP)
        left = -np.expm1(step)  # 1 less what lies beyond the upper end
        beyond = np.exp(step)
        return (
            values[:, low] + np.log(left),
            (by_mean[:, low] - beyond * by_mean[:, high]) / left,
            (by_sd[:, low] - beyond * by_sd[:, high]) / left,
        )
