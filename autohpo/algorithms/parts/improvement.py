"""Improvement: acquisition functions under several draws of what is pending, and what may be taken off for cost."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from autohpo.algorithms.parts.arrays import BoolArray, FloatArray
from autohpo.surrogates.acquisition import log_ei, ucb

Extend = Callable[[FloatArray, BoolArray], FloatArray]


def log_mean_ei(
    means: FloatArray, deviations: FloatArray, best: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return the log of the expected improvement, averaged over draws, and its derivatives.

    Args:
        means: ``(m, s)`` predicted means, under each draw.
        deviations: ``(m,)`` predicted deviations, above 0.
        best: ``(s,)`` what is to be beaten under each draw.

    Returns:
        ``(m,)`` values, ``(m, s)`` derivatives by the means, and ``(m,)`` by the deviations.
    """
    values, by_mean, by_deviation = log_ei(means, deviations[:, None], best)
    if means.shape[1] == 1:
        return values[:, 0], by_mean, by_deviation[:, 0]
    largest = values.max(axis=1)
    shares = np.exp(values - largest[:, None])
    total = shares.sum(axis=1)
    shares /= total[:, None]
    value = largest + np.log(total) - math.log(means.shape[1])
    return value, shares * by_mean, np.einsum("ij,ij->i", shares, by_deviation)


def mean_ucb(
    means: FloatArray, deviations: FloatArray, best: FloatArray, kappa: float
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return the upper confidence bound of a score, averaged over draws, and its derivatives, as `log_mean_ei`."""
    value, _, by_deviation = ucb(means.mean(axis=1), deviations, kappa)
    return value, np.full_like(means, 1.0 / means.shape[1]), by_deviation


@dataclass(frozen=True, eq=False)
class Improvement:
    """An acquisition function over points of the unit cube, at one fidelity.

    Attributes:
        belief: Predicts ``(m, s)`` means and ``(m,)`` deviations; see :class:`autohpo.surrogates.fantasies.Fantasies`.
        extend: Adds to ``(m, d)`` points the columns of the fidelity and of the configuration's number.
        function: The function of means, deviations and `best`.
        best: ``(s,)`` what is to be beaten under each draw.
        penalty: ``(m,)`` what is taken off at some points, and ``(m, d)`` its gradient; None takes nothing off.
    """

    belief: Any
    extend: Extend
    function: Callable[[FloatArray, FloatArray, FloatArray], tuple[FloatArray, FloatArray, FloatArray]]
    best: FloatArray
    penalty: Callable[[FloatArray, BoolArray], tuple[FloatArray, FloatArray]] | None = None

    def score(self, points: FloatArray, mask: BoolArray) -> FloatArray:
        """``(m,)`` values at ``(m, d)`` points with ``(m, d)`` mask."""
        means, deviations = self.belief.predict(self.extend(points, mask), mask)
        value: FloatArray = self.function(means, deviations, self.best)[0]
        return value if self.penalty is None else value - self.penalty(points, mask)[0]

    def with_gradient(self, points: FloatArray, mask: BoolArray) -> tuple[FloatArray, FloatArray]:
        """``(m,)`` values, and ``(m, d)`` their gradient by the points."""
        means, deviations, pull_back = self.belief.predict_with_gradient(self.extend(points, mask), mask)
        value, by_means, by_deviation = self.function(means, deviations, self.best)
        gradient = pull_back(by_means, by_deviation)[:, : points.shape[1]]
        if self.penalty is None:
            return value, gradient
        taken, slope = self.penalty(points, mask)
        return value - taken, gradient - slope
