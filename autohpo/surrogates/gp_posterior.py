"""The posterior of a Gaussian process: predictions, their gradients, and functions drawn from it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from autohpo.surrogates.arrays import BoolArray, FloatArray
from autohpo.surrogates.embedding import Embedded
from autohpo.surrogates.gp_data import Data
from autohpo.surrogates.kernels import Covariance

if TYPE_CHECKING:
    from autohpo.surrogates.gp import GaussianProcess

Predict = Callable[[FloatArray, BoolArray], tuple[FloatArray, FloatArray]]
"""``(m,)`` means and ``(m,)`` deviations at ``(m, d)`` points with ``(m, d)`` mask."""
PullBack = Callable[[FloatArray, FloatArray], FloatArray]
"""Turns ``(m,)`` derivatives by means and by deviations into ``(m, d)`` derivatives by the points."""

_LEAST_SHARE = 1e-12  # of the prior variance that is always left: rounding must not make it 0


@dataclass(frozen=True, eq=False)
class Posterior:
    """A Gaussian process after its data: :meth:`GaussianProcess.posterior` makes one.

    Attributes:
        process: The process.
        theta: ``(P,)`` its parameters.
        known: The placed points of the data, then those of pending results.
        root: ``(n, n)`` the inverse of the lower Cholesky factor of their noisy covariances.
        mean: The constant mean; ``(k,)`` where the data have k columns of targets.
        weights: ``(n,)`` or ``(n, k)`` the weights of the data in predicted means; 0 for pending results.
        data: The data, and after them the pending points.
        mean_precision: The precision of the prior of the mean.
    """

    process: GaussianProcess
    theta: FloatArray
    known: Any
    root: FloatArray
    mean: FloatArray
    weights: FloatArray
    data: Data
    mean_precision: float

    @property
    def lengths(self) -> FloatArray:
        """``(d,)`` length-scales of the columns of the unit cube; 1 for categories, and where there are none."""
        embedding, found = self.process.embedding, self.process.kernel.lengths(self._parameters[0])
        lengths = np.ones(len(embedding.optional))
        if found is not None:
            is_ordered = ~embedding.is_category
            lengths[embedding.owner[is_ordered]] = found[: len(is_ordered)][is_ordered]
        return lengths

    def means(self, points: FloatArray, mask: BoolArray) -> FloatArray:
        """The means that :meth:`predict` returns, in time m n: deviations take m n^2."""
        rows, _ = self._place(points, mask)
        return self._mean(rows, self._covariance(rows, self.known).matrix)

    def predict(self, points: FloatArray, mask: BoolArray) -> tuple[FloatArray, FloatArray]:
        """``(m,)`` means and ``(m,)`` deviations, without noise, at ``(m, d)`` points with ``(m, d)`` mask.

        Means are ``(m, k)`` where the data have k columns of targets.
        """
        rows, _ = self._place(points, mask)
        covariances = self._covariance(rows, self.known).matrix
        return self._mean(rows, covariances), self.deviations(self._rooted(covariances), self._diagonal(rows))

    def means(self, points: FloatArray, mask: BoolArray) -> FloatArray:
        """``(m,)`` means alone, or ``(m, k)``, which take a fraction of the time of deviations.

        Args:
            points: ``(m, d)`` points.
            mask: ``(m, d)`` their mask.
        """
        rows, _ = self._place(points, mask)
        return self._mean(rows, self._covariance(rows, self.known).matrix)

    def predict_with_gradient(self, points: FloatArray, mask: BoolArray) -> tuple[FloatArray, FloatArray, PullBack]:
        """Return means and deviations as :meth:`predict`, and a function that pulls gradients back to the points."""
        rows, embedded = self._place(points, mask)
        covariance = self._covariance(rows, self.known)
        covariances = covariance.matrix
        means, rooted = self._mean(rows, covariances), self._rooted(covariances)
        deviations = self.deviations(rooted, self._diagonal(rows))

        def pull_back(by_mean: FloatArray, by_deviation: FloatArray) -> FloatArray:
            by_matrix = by_mean[:, None] * self.weights if by_mean.ndim == 1 else by_mean @ self.weights.T
            by_matrix = by_matrix - (by_deviation / deviations)[:, None] * (rooted @ self.root)
            return self.process.embedding.by_points(embedded, np.asarray(covariance.by_left(by_matrix)))

        return means, deviations, pull_back

    def gain_over(self, point: FloatArray, mask: BoolArray) -> Predict:
        """Return the prediction of how much higher the function is than at one point.

        What both have in common, which may be hardly known, does not come into it.

        Args:
            point: ``(1, d)`` the point.
            mask: ``(1, d)`` which columns are active.
        """
        other, _ = self._place(point, mask)
        its_covariances, its_spread = self._covariance(other, self.known).matrix, self._diagonal(other)
        its_offset = self._offset(other)

        def predict(points: FloatArray, mask: BoolArray) -> tuple[FloatArray, FloatArray]:
            rows, _ = self._place(points, mask)
            covariances = self._covariance(rows, self.known).matrix
            covariances -= its_covariances
            spread = self._diagonal(rows) + its_spread - 2.0 * self._covariance(rows, other).matrix[:, 0]
            gains = covariances @ self.weights + (self._offset(rows) - its_offset)
            return gains, self.deviations(self._rooted(covariances), spread, _LEAST_SHARE)

        return predict

    def sample(
        self,
        points: FloatArray,
        mask: BoolArray,
        rng: np.random.Generator,
        n_draws: int | None = None,
        *,
        is_noisy: bool = False,
    ) -> FloatArray:
        """``(m,)`` values of one function drawn from the process, or ``(m, n_draws)`` of several.

        Where the data have k columns of targets, one function is drawn for each: ``(m, k)`` values.

        Args:
            points: ``(m, d)`` points.
            mask: ``(m, d)`` their mask.
            rng: The source of randomness.
            n_draws: The number of functions; None for one, without an axis of its own, or one for each column.
            is_noisy: Whether the noise of observations is added, so that the values are what will be observed.
        """
        rows, _ = self._place(points, mask)
        covariances = self._covariance(rows, self.known).matrix
        rooted = self._rooted(covariances)
        joint = self._covariance(rows, rows).matrix - rooted @ rooted.T  # eq. 2.24
        if is_noisy:
            joint.flat[:: len(joint) + 1] += self.process.kernel.noise(self._parameters[0], rows)
        values, vectors = np.linalg.eigh(joint)  # not Cholesky: points may be equal
        means = self._mean(rows, covariances)
        standard = rng.standard_normal(means.shape if n_draws is None else (len(points), n_draws))
        drawn: FloatArray = vectors @ (np.sqrt(np.maximum(values, 0.0)) * standard.T).T
        return drawn + (means if n_draws is None or means.ndim == 2 else means[:, None])

    def _place(self, points: FloatArray, mask: BoolArray) -> tuple[Any, Embedded]:
        """The points as the kernel sees them, and as they are embedded."""
        own, warp = self._parameters
        embedded = self.process.embedding.place(points, mask, warp)
        return self.process.kernel.place(own, embedded.coordinates), embedded

    @cached_property
    def _parameters(self) -> tuple[FloatArray, FloatArray]:
        return self.process.split(self.theta)

    def _covariance(self, left: Any, right: Any) -> Covariance:
        return self.process.kernel.covariance(self._parameters[0], left, right)

    def _diagonal(self, rows: Any) -> FloatArray:
        return self.process.kernel.diagonal(self._parameters[0], rows)

    def _rooted(self, covariances: FloatArray) -> FloatArray:
        """``(m, n)`` covariances with the data, times the transposed inverse factor, of which half is 0."""
        from scipy.linalg.blas import dtrmm

        rooted: FloatArray = dtrmm(1.0, self.root, covariances.T, lower=1).T
        return rooted

    def _mean(self, rows: Any, covariances: FloatArray) -> FloatArray:
        means: FloatArray = self.mean + covariances @ self.weights + self._offset(rows)  # eq. 2.25
        return means

    def _offset(self, rows: Any) -> FloatArray | float:
        """The prior means of the function at placed rows, as far as they differ."""
        offset = self.process.kernel.mean(self._parameters[0], rows)
        return offset if isinstance(offset, float) or self.weights.ndim == 1 else np.asarray(offset)[..., None]

    @staticmethod
    def deviations(rooted: FloatArray, spread: FloatArray, least: float = 0.0) -> FloatArray:
        """``(m,)`` posterior deviations; some share of the prior variances, and at least `least`, is always left.

        Args:
            rooted: ``(m, n)`` covariances with the data, times the transposed inverse factor.
            spread: ``(m,)`` prior variances.
            least: The lowest variance that may be left.
        """
        left = spread - np.einsum("ij,ij->i", rooted, rooted)  # eq. 2.26
        deviations: FloatArray = np.sqrt(np.maximum(left, np.maximum(_LEAST_SHARE * spread, least)))
        return deviations


def independent_draws(
    means: FloatArray, deviations: FloatArray, rng: np.random.Generator, n_draws: int | None = None
) -> FloatArray:
    """Return a normal draw at each point on its own, which is cheap where there are many points.

    Args:
        means: ``(m,)`` predicted means, or ``(m, k)`` of k fantasies.
        deviations: ``(m,)`` predicted deviations.
        rng: The source of randomness.
        n_draws: The number of draws at each point; None for one, in the shape of the means.

    Returns:
        ``(m,)`` or ``(m, k)`` draws, or ``(m, n_draws)`` of ``(m,)`` means.
    """
    if n_draws is not None:
        means = np.broadcast_to(means[:, None], (len(means), n_draws))
    drawn: FloatArray = means + deviations.reshape(-1, *[1] * (means.ndim - 1)) * rng.standard_normal(means.shape)
    return drawn
