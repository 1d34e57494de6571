"""Predictions of curve models: where curves of known and of new configurations are at any fidelity."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from autohpo.surrogates.arrays import BoolArray, FloatArray, IntArray
from autohpo.surrogates.curve_summaries import Summary
from autohpo.surrogates.fidelity_models import draw_jointly
from autohpo.surrogates.gp_posterior import Posterior, PullBack
from autohpo.surrogates.training_curves import Curve

_LEAST_SHARE = 1e-12  # of the prior variance that is always left: rounding must not make it 0


@dataclass(frozen=True, eq=False)
class _Continued:
    """Points as continuations f = share * end + shift + remainder, with the remainder of mean 0 independent of the end.

    Attributes:
        share: ``(n,)`` how much of the end is in the value; 1 where nothing is known of the curve.
        shift: ``(n, c)`` what the mean curve and the results add, for each column of results.
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
        has_columns: Whether the results have several columns, and so the means.
        seen: What the curves say.
        after: What they will say when pending results are known as predicted; the first configurations are the same.
    """

    curve: Curve
    theta: FloatArray
    ends: Posterior
    offset: float
    seen: Summary
    after: Summary
    has_columns: bool = False

    @property
    def lengths(self) -> FloatArray:
        """``(d,)`` length-scales of the columns of the unit cube; 1 for categories."""
        return self.ends.lengths

    def _split(self, points: FloatArray) -> tuple[FloatArray, FloatArray, IntArray]:
        """The points in the unit cube, their positions on the curve, and their configurations, -1 for others."""
        d = points.shape[1] - 2
        return points[:, :d], self.curve.place(points[:, d]), self.after.curves.find(points[:, d + 1])

    def _continue(self, summary: Summary, owner: IntArray, at: FloatArray, is_noisy: bool = False) -> _Continued:
        """How values, or noisy results, follow from the ends, and from the results of their curves."""
        curves, covariance = summary.curves, self.curve.noisy if is_noisy else self.curve.cross
        share = np.ones(len(at))
        shift = np.repeat(self.curve.mean(self.theta, at)[0][:, None], summary.ends.shape[1], axis=1)
        rooted, spread = np.zeros((len(at), curves.positions.shape[1])), self.curve.values(self.theta, at, at)
        owner = np.where(owner < len(curves.numbers), owner, -1)
        chain = np.where(owner >= 0, curves.chain[owner], -1)
        for g in np.unique(chain[chain >= 0]):
            rows = np.flatnonzero(chain == g)
            cross = covariance(self.theta, at[rows, None], curves.positions[g])
            rooted[rows] = (cross * ~curves.is_padding[g]) @ summary.inverse[g].T * curves.has_result[owner[rows]]
            share[rows] -= rooted[rows] @ summary.ones[g]
            shift[rows] += np.einsum("nk,nkc->nc", rooted[rows], summary.residuals[owner[rows]])
        least = _LEAST_SHARE * spread
        return _Continued(share, shift, rooted, np.maximum(spread - np.einsum("nk,nk->n", rooted, rooted), least))

    def _means(self, rows: Any, matrix: FloatArray, mean: _Continued) -> FloatArray:
        """``(n, c)`` means, for each column of results."""
        means: FloatArray = mean.share[:, None] * self.ends._mean(rows, matrix) + mean.shift
        return means

    def _shaped(self, means: FloatArray) -> FloatArray:
        """Means without the axis of columns where the results have none."""
        return means if self.has_columns else means[:, 0]

    def predict(self, points: FloatArray, mask: BoolArray) -> tuple[FloatArray, FloatArray]:
        """``(n,)`` means and deviations, without noise, at ``(n, d + 2)`` points with ``(n, d)`` mask.

        Means are ``(n, c)`` where the data have c columns of targets.
        """
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
        rooted, prior = matrix @ self.ends.root.T, self.ends._diagonal(rows) + self.offset
        left = np.maximum(prior - np.einsum("ij,ij->i", rooted, rooted), _LEAST_SHARE * prior)
        least = _LEAST_SHARE * prior  # of a value that its own results fix: its end has no share in it
        deviations = np.sqrt(np.maximum(after.share**2 * left + after.spread, least))

        def pull_back(by_mean: FloatArray, by_deviation: FloatArray) -> FloatArray:
            by_left = by_deviation * after.share**2 / deviations
            by_means = by_mean.reshape(len(points), -1) * mean.share[:, None]
            by_matrix = by_means @ self.ends.weights.T - by_left[:, None] * (rooted @ self.ends.root)
            gradient = np.zeros(points.shape)
            by_cube = self.ends.process.embedding.by_points(embedded, np.asarray(covariance.by_left(by_matrix)))
            gradient[:, : cube.shape[1]] = by_cube
            return gradient

        return self._shaped(self._means(rows, matrix, mean)), deviations, pull_back

    def joint(self, points: FloatArray, mask: BoolArray, is_noisy: bool = False) -> tuple[FloatArray, FloatArray]:
        """``(n,)`` means and ``(n, n)`` covariances of values, or of noisy results; ``(n, c)`` means as in predict.

        Rows with one number that is not negative belong to one configuration, also where it is not among the data.

        Args:
            points: ``(n, d + 2)`` points.
            mask: ``(n, d)`` their mask.
            is_noisy: Whether the covariances are those of results; of one configuration these are at several positions.
        """
        cube, at, owner = self._split(points)
        rows, _ = self.ends._place(cube, mask)
        matrix = self.ends._covariance(rows, self.ends.known).matrix
        self._add_offsets(matrix, owner)
        mean, after = (self._continue(said, owner, at, is_noisy) for said in (self.seen, self.after))
        numbers = points[:, -1]
        is_one = (numbers[:, None] == numbers) & (numbers >= 0) | np.eye(len(at), dtype=bool)
        rooted = matrix @ self.ends.root.T
        ends = self.ends._covariance(rows, rows).matrix + self.offset * is_one - rooted @ rooted.T
        covariance = self.curve.noisy if is_noisy else self.curve.values
        curves = covariance(self.theta, at[:, None], at[None, :]) - after.rooted @ after.rooted.T
        means = self._shaped(self._means(rows, matrix, mean))
        return means, np.outer(after.share, after.share) * ends + np.where(is_one, curves, 0.0)

    def sample(
        self,
        points: FloatArray,
        mask: BoolArray,
        rng: np.random.Generator,
        n_draws: int | None = None,
        *,
        is_noisy: bool = False,
    ) -> FloatArray:
        """``(n,)`` values of one draw of all curves, or ``(n, n_draws)`` of several.

        Args:
            points: ``(n, d + 2)`` points.
            mask: ``(n, d)`` their mask.
            rng: The source of randomness.
            n_draws: The number of draws; None for one, without an axis of its own.
            is_noisy: Whether the values are results, with their noise.
        """
        return draw_jointly(*self.joint(points, mask, is_noisy), rng, n_draws)

    def _add_offsets(self, matrix: FloatArray, owner: IntArray) -> None:
        """Add the variance of the offset to the covariance of each end with itself."""
        own = np.flatnonzero(owner >= 0)
        matrix[own, owner[own]] += self.offset
