"""Gaussian processes: the fit of their parameters to results, by the posterior density and its gradient."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from autohpo.surrogates.kernels import Embedding, matern52, squared_distances
from autohpo.surrogates.warping import kumaraswamy

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]

_HOPELESS = 1e10  # the loss where a matrix is singular in doubles: the line search turns round


@dataclass(frozen=True)
class Normal:
    """A normal prior of the logarithm of a parameter, and the bounds of the parameter itself."""

    mean: float
    sd: float
    low: float
    high: float


@dataclass(frozen=True)
class Priors:
    """What is known of the parameters before any result; results have variance 1.

    Attributes:
        length: Of a length-scale in one dimension; in d dimensions the mean grows by log(d) / 2, as distances do.
        scale: Of the variance that the Matern kernel explains.
        noise: Of the variance of the noise.
        effects: Of the variance that the main effects of the choices explain.
        warp: Of the two exponents of a warped input.
        mean_precision: Of the prior of the constant mean around 0, in results.

    Source: Hvarfner et al. 2024, arXiv 2402.02229, section 5, the length-scales. Their density is that of the
        length-scale itself, whose mode, from which the fit starts, lies at exp(mean - sd^2).
    """

    length: Normal = field(default_factory=lambda: Normal(math.sqrt(2.0), math.sqrt(3.0), 0.02, 200.0))
    scale: Normal = field(default_factory=lambda: Normal(0.0, 1.0, 0.02, 50.0))
    noise: Normal = field(default_factory=lambda: Normal(-7.0, 2.0, 1e-6, 2.0))
    effects: Normal = field(default_factory=lambda: Normal(math.log(0.1), 1.5, 1e-3, 20.0))
    warp: Normal = field(default_factory=lambda: Normal(0.0, 0.3, 0.25, 4.0))
    mean_precision: float = 1.0


@dataclass(frozen=True, eq=False)
class Parameters:
    """The parameters of a Gaussian process, spread over coordinates.

    Attributes:
        inverse_lengths: ``(F,)`` 1 / length-scale.
        scale: Variance of the Matern kernel.
        noise: Variance of the noise.
        effects: ``(F,)`` prior variance of the effect of each coordinate, 0 but for choices.
        a: ``(w,)`` first exponents of the warped columns.
        b: ``(w,)`` second exponents.
    """

    inverse_lengths: FloatArray
    scale: float
    noise: float
    effects: FloatArray
    a: FloatArray
    b: FloatArray


@dataclass(frozen=True, eq=False)
class Placed:
    """Points as the kernel sees them.

    Attributes:
        warped: ``(n, d)`` points after the warp of inputs.
        coordinates: ``(n, F)`` of the embedding.
        scaled: ``(n, F)`` the same in length-scales.
        by_x: ``(n, w)`` derivative of the warped columns by the points.
        by_a: ``(n, w)`` by the logarithm of the first exponents.
        by_b: ``(n, w)`` by that of the second.
    """

    warped: FloatArray
    coordinates: FloatArray
    scaled: FloatArray
    by_x: FloatArray
    by_a: FloatArray
    by_b: FloatArray


@dataclass(frozen=True, eq=False)
class Data:
    """Results to fit.

    Attributes:
        points: ``(n, d)`` in the unit cube.
        mask: ``(n, d)`` which columns are in force.
        targets: ``(n,)`` results of mean 0 and variance 1.
    """

    points: FloatArray
    mask: BoolArray
    targets: FloatArray


@dataclass(frozen=True, eq=False)
class Model:
    """A Matern-5/2 kernel with a length-scale for each column, main effects of choices, a constant mean, and noise.

    Its parameters are a vector of logarithms: ``d`` length-scales, the scale, the noise, the variance of the main
    effects, and the first and the second exponents of the ``w`` warped columns.

    Attributes:
        embedding: Between whose coordinates distances are taken.
        warped: ``(w,)`` ordered columns whose points are warped.
        priors: Of the parameters.

    Source: Rasmussen & Williams 2006, eq. 2.30, 5.8 and 5.9.
    """

    embedding: Embedding
    warped: IntArray
    priors: Priors = field(default_factory=Priors)

    @cached_property
    def _n_columns(self) -> int:
        return len(self.embedding.optional)

    @cached_property
    def _rules(self) -> list[Normal]:
        """The prior of each parameter."""
        p, d = self.priors, self._n_columns
        length = Normal(p.length.mean + 0.5 * math.log(max(d, 1)), p.length.sd, p.length.low, p.length.high)
        return [length] * d + [p.scale, p.noise, p.effects] + [p.warp] * (2 * len(self.warped))

    @cached_property
    def _bounds(self) -> tuple[FloatArray, FloatArray]:
        return np.log([rule.low for rule in self._rules]), np.log([rule.high for rule in self._rules])

    @cached_property
    def _means_and_sds(self) -> tuple[FloatArray, FloatArray]:
        return np.array([rule.mean for rule in self._rules]), np.array([rule.sd for rule in self._rules])

    @cached_property
    def _share(self) -> FloatArray:
        """``(F,)`` what a unit variance of main effects gives each coordinate, so that each choice has its share.

        The squared norm of a choice's coordinates is 1/2.
        """
        is_category = self.embedding.is_category
        return np.where(is_category, 2.0 / max(len(self.embedding.categories), 1), 0.0)

    @property
    def start(self) -> FloatArray:
        """``(P,)`` the parameters of the highest prior density."""
        means, sds = self._means_and_sds
        start = means.copy()
        start[: self._n_columns] -= sds[: self._n_columns] ** 2
        return np.clip(start, *self._bounds)

    def parameters(self, vector: FloatArray) -> Parameters:
        """What a ``(P,)`` vector stands for."""
        d, w = self._n_columns, len(self.warped)
        values = np.exp(vector)
        return Parameters(
            inverse_lengths=1.0 / values[:d][self.embedding.owner],
            scale=float(values[d]),
            noise=float(values[d + 1]),
            effects=values[d + 2] * self._share,
            a=values[d + 3 : d + 3 + w],
            b=values[d + 3 + w :],
        )

    def place(self, points: FloatArray, mask: BoolArray, parameters: Parameters) -> Placed:
        """``(n, d)`` points, of whose columns those of ``(n, d)`` `mask` are in force, as the kernel sees them."""
        warped, empty = points, np.empty((len(points), 0))
        by_x, by_a, by_b = empty, empty, empty
        if len(self.warped):
            warped = points.copy()
            warped[:, self.warped], by_x, by_a, by_b = kumaraswamy(points[:, self.warped], parameters.a, parameters.b)
        coordinates = self.embedding.coordinates(warped, mask)
        return Placed(warped, coordinates, coordinates * parameters.inverse_lengths, by_x, by_a, by_b)

    def loss(self, vector: FloatArray, data: Data) -> tuple[float, FloatArray]:
        """Minus the log posterior density of a vector of parameters, up to a constant, and its ``(P,)`` gradient."""
        from scipy.linalg.lapack import dpotrf, dpotri

        n, d = len(data.targets), self._n_columns
        parameters = self.parameters(vector)
        placed = self.place(data.points, data.mask, parameters)
        squared = squared_distances(placed.scaled, placed.scaled)
        squared.flat[:: n + 1] = 0.0
        kernel, slope = matern52(squared)
        effects = placed.coordinates * parameters.effects
        covariance = parameters.scale * kernel + effects @ placed.coordinates.T
        covariance.flat[:: n + 1] += parameters.noise
        lower, info = dpotrf(covariance, lower=1, clean=1)
        if info:
            return _HOPELESS, np.zeros_like(vector)
        inverse, _ = dpotri(lower, lower=1)
        inverse += np.tril(inverse, -1).T
        fit, weights = self._fit_of(inverse, data.targets)
        value, gradient = self._prior(vector)
        value += fit + float(np.log(np.diag(lower)).sum())
        by_k = 0.5 * (inverse - np.outer(weights, weights))  # dloss / dcovariance, eq. 5.9
        gradient[d] += parameters.scale * np.einsum("ij,ij", by_k, kernel)
        gradient[d + 1] += parameters.noise * np.trace(by_k)
        gradient[d + 2] += np.einsum("ij,ij", by_k @ effects, placed.coordinates)
        by_squared = by_k * slope
        by_squared *= parameters.scale
        by_scaled = 4.0 * (by_squared.sum(axis=1)[:, None] * placed.scaled - by_squared @ placed.scaled)
        by_length = -np.einsum("ij,ij->j", by_scaled, placed.scaled)
        gradient[:d] += np.bincount(self.embedding.owner, by_length, minlength=d)
        if len(self.warped):
            by_coordinates = by_scaled * parameters.inverse_lengths
            by_warped = self.embedding.pull_back(placed.warped, data.mask, by_coordinates)[:, self.warped]
            gradient[d + 3 :] += (np.hstack([by_warped, by_warped]) * np.hstack([placed.by_a, placed.by_b])).sum(axis=0)
        return value, gradient

    def _fit_of(self, inverse: FloatArray, targets: FloatArray) -> tuple[float, FloatArray]:
        """Half the squared misfit at the best mean, and the ``(n,)`` weights of the results in forecasts."""
        precision = self.priors.mean_precision
        sums = inverse.sum(axis=1)
        mean = float(sums @ targets) / (float(sums.sum()) + precision)
        weights = inverse @ (targets - mean)
        return 0.5 * float((targets - mean) @ weights) + 0.5 * precision * mean * mean, weights

    def _prior(self, vector: FloatArray) -> tuple[float, FloatArray]:
        """Minus the log prior density, and its gradient; of length-scales that of the length-scale, not of its log."""
        means, sds = self._means_and_sds
        steps = (vector - means) / sds
        gradient = steps / sds
        gradient[: self._n_columns] += 1.0
        return 0.5 * float(steps @ steps) + float(vector[: self._n_columns].sum()), gradient

    def fit(self, data: Data, starts: list[FloatArray], max_steps: int) -> FloatArray:
        """The best ``(P,)`` vector that is found by climbing from each start.

        Args:
            data: Results; at least one.
            starts: Vectors.
            max_steps: Of each climb.
        """
        from scipy.optimize import minimize

        low, high = self._bounds
        found = [
            minimize(
                self.loss,
                np.clip(start, low, high),
                args=(data,),
                jac=True,
                method="L-BFGS-B",
                bounds=np.stack([low, high], axis=1),
                options={"maxiter": max_steps, "maxfun": 2 * max_steps, "ftol": 1e-7, "gtol": 1e-3},
            )
            for start in starts
        ]
        best: FloatArray = min(found, key=lambda result: float(result.fun)).x
        return best
