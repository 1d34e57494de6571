"""Improvement: acquisition functions under several draws of what is pending, and what may be taken off for cost."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from autohpo.algorithms.parts.arrays import BoolArray, FloatArray

Extend = Callable[[FloatArray], FloatArray]
"""Adds to ``(m, d)`` points of the cube the columns of the fidelity and of the number of the configuration."""


@dataclass(frozen=True, eq=False)
class Improvement:
    """An acquisition function over points of the unit cube, at one fidelity.

    Attributes:
        belief: Predicts ``(m, s)`` means and ``(m,)`` deviations.
        extend: Makes rows of the model of points.
        function: The function of means and deviations, and its derivatives by them.
        penalty: ``(m,)`` what is taken off at some points, and ``(m, d)`` its gradient; None takes nothing off.
    """

    belief: Any
    extend: Extend
    function: Callable[[FloatArray, FloatArray], tuple[FloatArray, FloatArray, FloatArray]]
    penalty: Callable[[FloatArray, BoolArray], tuple[FloatArray, FloatArray]] | None = None

    def predict(self, points: FloatArray, mask: BoolArray) -> tuple[FloatArray, FloatArray]:
        """``(m, s)`` means and ``(m,)`` deviations at ``(m, d)`` points with ``(m, d)`` mask."""
        means, deviations = self.belief.predict(self.extend(points), mask)
        return means, deviations

    def score(self, points: FloatArray, mask: BoolArray) -> FloatArray:
        """``(m,)`` values at ``(m, d)`` points with ``(m, d)`` mask."""
        means, deviations = self.predict(points, mask)
        value: FloatArray = self.function(means, deviations)[0]
        return value if self.penalty is None else value - self.penalty(points, mask)[0]

    def with_gradient(self, points: FloatArray, mask: BoolArray) -> tuple[FloatArray, FloatArray]:
        """``(m,)`` values, and ``(m, d)`` their gradient by the points."""
        means, deviations, pull_back = self.belief.predict_with_gradient(self.extend(points), mask)
        value, by_means, by_deviation = self.function(means, deviations)
        gradient = pull_back(by_means, by_deviation)[:, : points.shape[1]]
        if self.penalty is None:
            return value, gradient
        taken, slope = self.penalty(points, mask)
        return value - taken, gradient - slope
