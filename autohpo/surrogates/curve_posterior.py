"""Predictions of curve models: where curves of known and of new configurations are at any fidelity."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from autohpo.surrogates.arrays import BoolArray, FloatArray, IntArray
from autohpo.surrogates.curve_summaries import Summary
from autohpo.surrogates.fidelity_models import draw_jointly
from autohpo.surrogates.gp import Posterior, PullBack
from autohpo.surrogates.training_curves import Curve

_LEAST_SHARE = 1e-12  # of the prior variance that is always left: rounding must not make it 0


@dataclass(frozen=True, eq=False)
class _Continued:
    """Points as continuations f = share * end + shift + remainder, with the remainder of mean 0 independent of the end.

    Attributes:
        share: ``(n,)`` how much of the end is in the value; 1 where nothing is known of the curve.
        shift: ``(n,)`` what the mean curve and the results add.
        rooted: ``(n, K)`` L^-1 times the covariances with the results.
        spread: ``(n,)`` variances of the remainder.
    """

    share: FloatArray
    shift: FloatArray
    rooted: FloatArray
    spread: FloatArray


@dataclass(frozen=True, eq=False)
class CurvePosterior:
    """A curve model after its data: :meth:`CurveProcess.posterior` makes one.

    Attributes:
        curve: The distribution of curves around their ends.
        theta: ``(P,)`` its parameters.
        ends: The posterior of the ends of curves; its rows are the configurations.
        offset: The variance of what is particular to a configuration.
        seen: What the curves say.
        after: What they will say when pending results are known as predicted; the first configurations are the same.
    """

    curve: Curve
    theta: FloatArray
    ends: Posterior
    offset: float
    seen: Summary
    after: Summary

    @property
    def lengths(self) -> FloatArray:
        """``(d,)`` length-scales of the columns of the unit cube; 1 for categories."""
        return self.ends.lengths

    def _split(self, points: FloatArray) -> tuple[FloatArray, FloatArray, IntArray]:
        """The points in the unit cube, their positions on the curve, and their configurations, -1 for others."""
        d = points.shape[1] - 2
        return points[:, :d], self.curve.place(points[:, d]), self.after.curves.find(points[:, d + 1])

    def _continue(self, summary: Summary, owner: IntArray, at: FloatArray) -> _Continued:
        """How values follow from the ends, and from the results of their curves."""
        curves = summary.curves
        share, shift = np.ones(len(at)), self.curve.mean(self.theta, at)[0].copy()
        rooted, spread = np.zeros((len(at), curves.positions.shape[1])), self.curve.values(self.theta, at, at)
        owner = np.where(owner < len(curves.numbers), owner, -1)
        chain = np.where(owner >= 0, curves.chain[owner], -1)
        for g in np.unique(chain[chain >= 0]):
            rows = np.flatnonzero(chain == g)
            cross = self.curve.cross(self.theta, at[rows, None], curves.positions[g])
            rooted[rows] = (cross * ~curves.is_padding[g]) @ summary.inverse[g].T * curves.has_result[owner[rows]]
            share[rows] -= rooted[rows] @ summary.ones[g]
            shift[rows] += np.einsum("nk,nk->n", rooted[rows], summary.residuals[owner[rows]])
        least = _LEAST_SHARE * spread
        return _Continued(share, shift, rooted, np.maximum(spread - np.einsum("nk,nk->n", rooted, rooted), least))

    def predict(self, points: FloatArray, mask: BoolArray) -> tuple[FloatArray, FloatArray]:
        """``(n,)`` means and deviations, without noise, at ``(n, d + 2)`` points with ``(n, d)`` mask."""
        means, deviations, _ = self.predict_with_gradient(points, mask)
        return means, deviations

    def predict_with_gradient(self, points: FloatArray, mask: BoolArray) -> tuple[FloatArray, FloatArray, PullBack]:
        """Return means and deviations as :meth:`predict`, and a function that pulls gradients back to the points."""
        cube, at, owner = self._split(points)
        rows, embedded = self.ends._place(cube, mask)
        covariance = self.ends._covariance(rows, self.ends.known)
        matrix = covariance.matrix
        self._add_offsets(matrix, owner)
        mean, after = self._continue(self.seen, owner, at), self._continue(self.after, owner, at)
        means = mean.share * self.ends._mean(matrix) + mean.shift
        rooted, prior = matrix @ self.ends.root.T, self.ends._diagonal(rows) + self.offset
        left = np.maximum(prior - np.einsum("ij,ij->i", rooted, rooted), _LEAST_SHARE * prior)
        least = _LEAST_SHARE * prior  # of a value that its own results fix: its end has no share in it
        deviations = np.sqrt(np.maximum(after.share**2 * left + after.spread, least))

        def pull_back(by_mean: FloatArray, by_deviation: FloatArray) -> FloatArray:
            by_left = by_deviation * after.share**2 / deviations
            by_matrix = (by_mean * mean.share)[:, None] * self.ends.weights
            by_matrix -= by_left[:, None] * (rooted @ self.ends.root)
            gradient = np.zeros(points.shape)
            by_cube = self.ends.process.embedding.by_points(embedded, np.asarray(covariance.by_left(by_matrix)))
            gradient[:, : cube.shape[1]] = by_cube
            return gradient

        return means, deviations, pull_back

    def joint(self, points: FloatArray, mask: BoolArray) -> tuple[FloatArray, FloatArray]:
        """``(n,)`` means and ``(n, n)`` covariances of the values without noise.

        Rows with one number that is not negative belong to one configuration, also where it is not among the data.
        """
        cube, at, owner = self._split(points)
        rows, _ = self.ends._place(cube, mask)
        matrix = self.ends._covariance(rows, self.ends.known).matrix
        self._add_offsets(matrix, owner)
        mean, after = self._continue(self.seen, owner, at), self._continue(self.after, owner, at)
        numbers = points[:, -1]
        is_one = (numbers[:, None] == numbers) & (numbers >= 0) | np.eye(len(at), dtype=bool)
        rooted = matrix @ self.ends.root.T
        ends = self.ends._covariance(rows, rows).matrix + self.offset * is_one - rooted @ rooted.T
        curves = self.curve.values(self.theta, at[:, None], at[None, :]) - after.rooted @ after.rooted.T
        means = mean.share * self.ends._mean(matrix) + mean.shift
        return means, np.outer(after.share, after.share) * ends + np.where(is_one, curves, 0.0)

    def sample(self, points: FloatArray, mask: BoolArray, rng: np.random.Generator) -> FloatArray:
        """``(n,)`` values of one draw of all curves, at ``(n, d + 2)`` points with ``(n, d)`` mask."""
        return draw_jointly(*self.joint(points, mask), 1, rng)[0]

    def _add_offsets(self, matrix: FloatArray, owner: IntArray) -> None:
        """Add the variance of the offset to the covariance of each end with itself."""
        own = np.flatnonzero(owner >= 0)
        matrix[own, owner[own]] += self.offset
