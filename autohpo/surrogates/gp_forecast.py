"""Forecasts of a fitted Gaussian process: means and deviations at new points, with gradients."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from autohpo.surrogates.gp import BoolArray, Data, Model, Parameters, Placed
from autohpo.surrogates.kernels import matern52, squared_distances

FloatArray = NDArray[np.float64]

PullBack = Callable[[FloatArray, FloatArray], FloatArray]
"""Turns ``(m,)`` derivatives by means and by deviations into ``(m, d)`` ones by the points."""

_LEAST_SHARE = 1e-12  # of the prior variance that is always left: rounding must not make it 0


@dataclass(frozen=True, eq=False)
class Forecaster:
    """A Gaussian process after its data: :meth:`after` makes one.

    Attributes:
        model: Its kernel.
        parameters: Of the model.
        known: The data's points, then those that are running.
        root: ``(n, n)`` inverse of the lower Cholesky factor of their covariance.
        mean: The constant.
        weights: ``(n,)`` of the data in forecast means; 0 for running points.
    """

    model: Model
    parameters: Parameters
    known: Placed
    root: FloatArray
    mean: float
    weights: FloatArray

    @staticmethod
    def after(
        model: Model, vector: FloatArray, data: Data, running: tuple[FloatArray, BoolArray], mean_precision: float
    ) -> Forecaster:
        """Takes in data, and points that run: their results are not known, but will leave less to be learnt there.

        Args:
            model: The kernel.
            vector: ``(P,)`` its parameters.
            data: Results.
            running: ``(q, d)`` points and mask; a result equal to its forecast would leave all means as they are.
            mean_precision: Of the prior of the constant mean around 0.

        Source: Desautels et al. 2014, JMLR 15, section 4: variances shrink by what runs, means wait.
        """
        from scipy.linalg.lapack import dpotrf, dtrtri

        parameters = model.parameters(vector)
        points, mask = np.concatenate([data.points, running[0]]), np.concatenate([data.mask, running[1]])
        known = model.place(points, mask, parameters)
        squared = squared_distances(known.scaled, known.scaled)
        squared.flat[:: len(points) + 1] = 0.0
        covariance = parameters.scale * matern52(squared)[0]
        covariance += (known.coordinates * parameters.effects) @ known.coordinates.T
        jitter, info = parameters.noise, 1
        while info:
            covariance.flat[:: len(points) + 1] += jitter
            lower, info = dpotrf(covariance, lower=1, clean=1)
            jitter = max(10.0 * jitter, 1e-8 * parameters.scale)
        root, _ = dtrtri(lower, lower=1)
        n = len(data.targets)
        ones, seen = root[:n, :n].sum(axis=1), root[:n, :n] @ data.targets
        mean = float(ones @ seen) / (float(ones @ ones) + mean_precision)
        weights = np.zeros(len(points))
        weights[:n] = root[:n, :n].T @ (seen - mean * ones)
        return Forecaster(model, parameters, known, root, mean, weights)

    @property
    def lengths(self) -> FloatArray:
        """``(d,)`` length-scales of the columns; 1 for categories."""
        lengths = np.ones(len(self.model.embedding.optional))
        owner = self.model.embedding.owner
        is_ordered = ~self.model.embedding.is_category
        lengths[owner[is_ordered]] = 1.0 / self.parameters.inverse_lengths[is_ordered]
        return lengths

    def forecast(self, points: FloatArray, mask: BoolArray) -> tuple[FloatArray, FloatArray]:
        """``(m,)`` means and ``(m,)`` deviations, without noise, at ``(m, d)`` points with ``(m, d)`` mask."""
        covariances, spread, _, _ = self._covariances(points, mask)
        means = self.mean + covariances @ self.weights
        rooted = covariances @ self.root.T
        return means, self._deviations(rooted, spread)

    def forecast_with_gradient(self, points: FloatArray, mask: BoolArray) -> tuple[FloatArray, FloatArray, PullBack]:
        """As :meth:`forecast`, and a function that pulls gradients back to the points."""
        covariances, spread, slope, placed = self._covariances(points, mask)
        means = self.mean + covariances @ self.weights
        rooted = covariances @ self.root.T
        deviations = self._deviations(rooted, spread)

        def pull_back(by_mean: FloatArray, by_deviation: FloatArray) -> FloatArray:
            by_squared = by_mean[:, None] * self.weights - (by_deviation / deviations)[:, None] * (rooted @ self.root)
            by_squared *= slope  # only choices have main effects, and there is no gradient by choices
            by_squared *= self.parameters.scale
            by_scaled = 2.0 * (by_squared.sum(axis=1)[:, None] * placed.scaled - by_squared @ self.known.scaled)
            by_coordinates = by_scaled * self.parameters.inverse_lengths
            pulled = self.model.embedding.pull_back(placed.warped, mask, by_coordinates)
            pulled[:, self.model.warped] *= placed.by_x
            return pulled

        return means, deviations, pull_back

    def sample(self, points: FloatArray, mask: BoolArray, rng: np.random.Generator) -> FloatArray:
        """``(m,)`` values of one function drawn from the process, at ``(m, d)`` points with ``(m, d)`` mask."""
        covariances, _, _, placed = self._covariances(points, mask)
        rooted = covariances @ self.root.T
        squared = squared_distances(placed.scaled, placed.scaled)
        joint = self.parameters.scale * matern52(squared)[0] - rooted @ rooted.T
        joint += (placed.coordinates * self.parameters.effects) @ placed.coordinates.T
        values, vectors = np.linalg.eigh(joint)  # not Cholesky: points may be equal
        normal = rng.standard_normal(len(points))
        means: FloatArray = self.mean + covariances @ self.weights
        means += vectors @ (np.sqrt(np.maximum(values, 0.0)) * normal)
        return means

    def _covariances(self, points: FloatArray, mask: BoolArray) -> tuple[FloatArray, FloatArray, FloatArray, Placed]:
        """``(m, n)`` with the data, ``(m,)`` prior variances, ``(m, n)`` slopes, and the points placed."""
        placed = self.model.place(points, mask, self.parameters)
        covariances, slope = matern52(squared_distances(placed.scaled, self.known.scaled))
        effects = placed.coordinates * self.parameters.effects
        covariances *= self.parameters.scale
        covariances += effects @ self.known.coordinates.T
        return covariances, self.parameters.scale + (effects * placed.coordinates).sum(axis=1), slope, placed

    @staticmethod
    def _deviations(rooted: FloatArray, spread: FloatArray) -> FloatArray:
        """``(m,)`` posterior deviations."""
        left = spread - np.einsum("ij,ij->i", rooted, rooted)
        deviations: FloatArray = np.sqrt(np.maximum(left, _LEAST_SHARE * spread))
        return deviations
