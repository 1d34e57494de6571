"""Fantasies: a posterior under several joint draws of results that are pending, at the price of one factorisation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from autohpo.surrogates.arrays import BoolArray, FloatArray

PullBackAll = Callable[[FloatArray, FloatArray], FloatArray]
"""Turns ``(m, s)`` derivatives by means and ``(m,)`` by deviations into derivatives by the points."""


class Predictive(Protocol):
    """What predicts one mean and one deviation for each point, as every posterior does."""

    def predict(self, points: FloatArray, mask: BoolArray) -> tuple[FloatArray, FloatArray]:
        """``(m,)`` means and ``(m,)`` deviations."""

    def predict_with_gradient(self, points: FloatArray, mask: BoolArray) -> tuple[FloatArray, FloatArray, Any]:
        """Return the same, and a function that pulls gradients back to the points."""


@dataclass(frozen=True, eq=False)
class Fantasies:
    """A Gaussian process after its data, once for each of s joint draws of what is pending.

    Deviations do not depend on what is drawn, so one factor of the covariances serves all draws: with L the factor for
    data and pending results, the draws are the conditional means plus L_22 z, and they change the predicted means by
    k(x) L^-T z, where z are standard normal numbers (rows of pending results alone).

    Attributes:
        posterior: The process after data and pending results; see :meth:`autohpo.surrogates.gp.GaussianProcess.posterior`.
        normal: ``(q, s)`` standard normal numbers for the q pending results, in their order.

    Source: Snoek, Larochelle and Adams 2012, NeurIPS 25, section 3.2 (fantasies of pending results).
    """

    posterior: Any
    normal: FloatArray

    @property
    def lengths(self) -> FloatArray:
        """``(d,)`` length-scales of the columns of the unit cube."""
        lengths: FloatArray = self.posterior.lengths
        return lengths

    def predict(self, points: FloatArray, mask: BoolArray) -> tuple[FloatArray, FloatArray]:
        """``(m, s)`` means and ``(m,)`` deviations at ``(m, d)`` points with ``(m, d)`` mask."""
        means, deviations, rooted = self.posterior.predict_rooted(points, mask)
        return means[:, None] + rooted[:, self._pending] @ self.normal, deviations

    def predict_with_gradient(
        self, points: FloatArray, mask: BoolArray
    ) -> tuple[FloatArray, FloatArray, PullBackAll]:
        """Return means and deviations as :meth:`predict`, and a function that pulls gradients back to the points."""
        means, deviations, rooted, pull_back = self.posterior.predict_rooted_with_gradient(points, mask)
        shifted = means[:, None] + rooted[:, self._pending] @ self.normal

        def pull_all_back(by_means: FloatArray, by_deviation: FloatArray) -> FloatArray:
            by_rooted = np.zeros_like(rooted)
            by_rooted[:, self._pending] = by_means @ self.normal.T
            pulled: FloatArray = pull_back(by_means.sum(axis=1), by_deviation, by_rooted)
            return pulled

        return shifted, deviations, pull_all_back

    @property
    def _pending(self) -> slice:
        """The columns of the pending results: the last ones."""
        n = len(self.posterior.weights)
        return slice(n - len(self.normal), n)


@dataclass(frozen=True, eq=False)
class Alone:
    """A posterior without draws: its one mean is a column.

    Attributes:
        posterior: Any posterior.
    """

    posterior: Any

    @property
    def lengths(self) -> FloatArray:
        """``(d,)`` length-scales of the columns of the unit cube."""
        lengths: FloatArray = self.posterior.lengths
        return lengths

    def predict(self, points: FloatArray, mask: BoolArray) -> tuple[FloatArray, FloatArray]:
        """``(m, 1)`` means and ``(m,)`` deviations at ``(m, d)`` points with ``(m, d)`` mask."""
        means, deviations = self.posterior.predict(points, mask)
        return means[:, None], deviations

    def predict_with_gradient(
        self, points: FloatArray, mask: BoolArray
    ) -> tuple[FloatArray, FloatArray, PullBackAll]:
        """Return means and deviations as :meth:`predict`, and a function that pulls gradients back to the points."""
        means, deviations, pull_back = self.posterior.predict_with_gradient(points, mask)
        return means[:, None], deviations, lambda by_means, by_deviation: pull_back(by_means[:, 0], by_deviation)


def fantasies_of(posterior: Any, n_pending: int, n_draws: int, rng: np.random.Generator) -> Fantasies | Alone:
    """Return a posterior under joint draws of what is pending; one without draws where nothing is.

    A posterior that has no factor of its own, as mixtures and models of curves, keeps pending results at what it
    predicts for them: deviations shrink, and means stay.

    Args:
        posterior: A posterior after its data and pending results.
        n_pending: How many pending results it has.
        n_draws: The number of draws.
        rng: The generator of the draws.
    """
    if not n_pending or not hasattr(posterior, "predict_rooted"):
        return Alone(posterior)
    return Fantasies(posterior, rng.standard_normal((n_pending, n_draws)))
