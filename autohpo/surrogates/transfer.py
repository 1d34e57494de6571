"""Transfer: a Gaussian process over configurations and data sets, which learns on small ones for the large one."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from autohpo.surrogates.kernels import Embedding, matern52, squared_distances

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]

LEVEL_VARIANCE = 0.25
"""Of what all results on one data set have in common, beside that of all data sets; values have a variance near 1."""

_MEAN_VARIANCE = 1.0
_N_ITERATIONS = 40
_BOUNDS = {"length": (math.log(0.1), math.log(50.0)), "noise": (math.log(1e-5), math.log(2.0))}


@dataclass(frozen=True, eq=False)
class Observations:
    """Configurations, the data set each was tried on, and what came of it.

    Attributes:
        coordinates: ``(n, F)`` of an :class:`~autohpo.surrogates.kernels.Embedding`.
        tasks: ``(n,)`` number of the data set; 0 is the one that counts.
        values: ``(n,)`` results, of a variance near 1.
    """

    coordinates: FloatArray
    tasks: IntArray
    values: FloatArray

    def __len__(self) -> int:
        return len(self.values)

    def and_also(self, other: Observations) -> Observations:
        """These, and others after them."""
        return Observations(
            np.concatenate([self.coordinates, other.coordinates]),
            np.concatenate([self.tasks, other.tasks]),
            np.concatenate([self.values, other.values]),
        )


@dataclass(frozen=True, eq=False)
class TransferModel:
    """What is assumed before anything is seen.

    The covariance of two results is a Matern-5/2 kernel of the configurations times a Gaussian one of the distance
    between the data sets; and each data set has a level of its own. Noise on small data sets differs from that on
    the large one.

    Attributes:
        embedding: Makes coordinates of points.
        distances: ``(T, T)`` squared distances between the data sets' signatures; their mean, but for zeros, is 1.

    Source: Tu et al. 2019, KDD, section 4.4; the product of two kernels as in Swersky et al. 2013, NeurIPS 26.
    """

    embedding: Embedding
    distances: FloatArray

    @cached_property
    def _centre(self) -> tuple[FloatArray, FloatArray]:
        """Means and deviations of the parameters' normal priors: lengths, scale, decay, noise large and small."""
        d = len(self.embedding.columns.levels)
        lengths = np.full(d, math.log(0.5) + 0.5 * math.log(max(d, 1)))  # distances grow as the root of d
        rest = np.array([0.0, math.log(0.4), math.log(2e-2), math.log(0.2)])
        return np.concatenate([lengths, rest]), np.concatenate([np.full(d, 0.7), [1.0, 1.0, 1.0, 1.0]])

    def fit(self, seen: Observations) -> FloatArray:
        """``(P,)`` logarithms of the parameters that are most probable after what was seen."""
        from scipy.optimize import minimize

        start, _ = self._centre
        d = len(start) - 4
        bounds = [_BOUNDS["length"]] * d + [(math.log(0.05), math.log(20.0)), (math.log(1e-3), math.log(20.0))]
        bounds += [_BOUNDS["noise"]] * 2
        found = minimize(
            self.objective, start, args=(seen,), jac=True, method="L-BFGS-B", bounds=bounds,
            options={"maxiter": _N_ITERATIONS},
        )  # fmt: skip
        best: FloatArray = found.x
        return best

    def objective(self, theta: FloatArray, seen: Observations) -> tuple[float, FloatArray]:
        """The negative logarithm of the posterior of the parameters, but for a constant, and its gradient."""
        d, n = len(theta) - 4, len(seen)
        lengths = np.exp(theta[:d])[self.embedding.owner]
        scaled = seen.coordinates / lengths
        squared = squared_distances(scaled, scaled)
        squared.flat[:: n + 1] = 0.0
        value, slope = matern52(squared)
        between = self.distances[np.ix_(seen.tasks, seen.tasks)]
        factor = math.exp(theta[d]) * np.exp(-math.exp(theta[d + 1]) * between)
        smooth = factor * value
        noise = np.exp(theta[d + 2 + (seen.tasks > 0)])
        covariance = smooth + _levels(seen.tasks, seen.tasks)
        covariance.flat[:: n + 1] += noise
        lower = np.linalg.cholesky(covariance)  # noise keeps it positive definite
        inverse = np.linalg.inv(lower)
        inverse = inverse.T @ inverse
        alpha = inverse @ seen.values
        loss = 0.5 * float(seen.values @ alpha) + float(np.log(np.diag(lower)).sum())
        half = 0.5 * (inverse - np.outer(alpha, alpha))  # the derivative of the loss by the covariance
        gradient = np.empty_like(theta)
        by_squared = half * factor * slope
        spread = 4.0 * (by_squared.sum(axis=1)[:, None] * scaled - by_squared @ scaled)  # by the scaled coordinates
        gradient[:d] = -np.bincount(self.embedding.owner, (scaled * spread).sum(axis=0), minlength=d)
        gradient[d] = np.sum(half * smooth)
        gradient[d + 1] = -math.exp(theta[d + 1]) * np.sum(half * smooth * between)
        by_noise = np.diag(half) * noise
        gradient[d + 2], gradient[d + 3] = by_noise[seen.tasks == 0].sum(), by_noise[seen.tasks > 0].sum()
        mean, deviation = self._centre
        far = (theta - mean) / deviation
        return loss + 0.5 * float(far @ far), gradient + far / deviation


def _levels(left: IntArray, right: IntArray) -> FloatArray:
    """``(m, n)`` covariance of what results have in common: all of them, and those of one data set."""
    shared: FloatArray = _MEAN_VARIANCE + LEVEL_VARIANCE * (left[:, None] == right)
    return shared


class TransferForecast:
    """A model that has seen results.

    Args:
        model: What was assumed.
        theta: ``(P,)`` its parameters, of :meth:`TransferModel.fit`.
        seen: What was seen.
    """

    def __init__(self, model: TransferModel, theta: FloatArray, seen: Observations) -> None:
        self._model, self._theta, self._seen = model, theta, seen
        d = len(theta) - 4
        self._scaled = seen.coordinates / np.exp(theta[:d])[model.embedding.owner]
        covariance = self._covariance(self._scaled, seen.tasks)
        covariance.flat[:: len(seen) + 1] += np.exp(theta[d + 2 + (seen.tasks > 0)])
        self._inverse = np.linalg.inv(np.linalg.cholesky(covariance))
        self._alpha = self._inverse.T @ (self._inverse @ seen.values)

    def _covariance(self, scaled: FloatArray, tasks: IntArray) -> FloatArray:
        """``(m, n)`` with what was seen."""
        d = len(self._theta) - 4
        value, _ = matern52(squared_distances(scaled, self._scaled))
        between = self._model.distances[np.ix_(tasks, self._seen.tasks)]
        value *= math.exp(self._theta[d]) * np.exp(-math.exp(self._theta[d + 1]) * between)
        return value + _levels(tasks, self._seen.tasks)

    def __call__(self, points: FloatArray, mask: BoolArray, task: int) -> tuple[FloatArray, FloatArray]:
        """``(m,)`` means and ``(m,)`` deviations of the results, without noise, on one data set.

        Args:
            points: ``(m, d)`` points where configurations stand.
            mask: ``(m, d)`` which columns are in force.
            task: Number of the data set.
        """
        across = self._covariance(self._scale(points, mask), np.full(len(points), task))
        known = across @ self._inverse.T
        prior = self._variance + _MEAN_VARIANCE + LEVEL_VARIANCE
        return across @ self._alpha, _root(prior - np.einsum("ij,ij->i", known, known))

    def beyond(
        self, points: FloatArray, mask: BoolArray, task: int, than: tuple[FloatArray, BoolArray]
    ) -> tuple[FloatArray, FloatArray]:
        """``(m,)`` means and ``(m,)`` deviations of how much better the results are than at one other point.

        How high the results of a data set are in all, which may be hardly known, does not come into it.

        Args:
            points: ``(m, d)`` points where configurations stand.
            mask: ``(m, d)`` which columns are in force.
            task: Number of the data set.
            than: ``(1, d)`` the other point, and its mask.
        """
        scaled, other = self._scale(points, mask), self._scale(*than)
        tasks = np.full(len(points), task)
        across = self._covariance(scaled, tasks) - self._covariance(other, tasks[:1])
        known = across @ self._inverse.T
        value, _ = matern52(squared_distances(scaled, other))
        prior = 2.0 * self._variance * (1.0 - value[:, 0])
        return across @ self._alpha, _root(prior - np.einsum("ij,ij->i", known, known))

    @property
    def _variance(self) -> float:
        return math.exp(self._theta[len(self._theta) - 4])

    def _scale(self, points: FloatArray, mask: BoolArray) -> FloatArray:
        """``(m, F)`` coordinates in length-scales."""
        embedding = self._model.embedding
        lengths: FloatArray = np.exp(self._theta[: len(self._theta) - 4])[embedding.owner]
        scaled: FloatArray = embedding.coordinates(points, mask) / lengths
        return scaled


def _root(variances: FloatArray) -> FloatArray:
    """Deviations; rounding must not make a variance 0."""
    deviations: FloatArray = np.sqrt(np.maximum(variances, 1e-12))
    return deviations
