"""Gaussian processes: the fit of a kernel's parameters to results, and the posterior with its gradients."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from autohpo.surrogates.arrays import BoolArray, FloatArray
from autohpo.surrogates.effects import MainEffects, Noise
from autohpo.surrogates.embedding import Embedded, Embedding
from autohpo.surrogates.gp_data import Data
from autohpo.surrogates.kernels import Covariance, Kernel, Sum
from autohpo.surrogates.matern import Matern52
from autohpo.surrogates.priors import Prior, Priors

__all__ = ["EFFECTS", "LENGTH", "NOISE", "SCALE", "Data", "GaussianProcess", "Posterior", "Predict", "mixed_process"]

LENGTH = Prior(math.sqrt(2.0), math.sqrt(3.0), 0.02, 200.0, is_of_value=True)
"""The prior of a length-scale in one dimension.

Source: Hvarfner et al. 2024, arXiv 2402.02229, section 5.
"""
SCALE = Prior(0.0, 1.0, 0.02, 50.0)
"""The prior of the variance that the Matern kernel explains; results have variance 1."""
NOISE = Prior(-7.0, 2.0, 1e-6, 2.0)
"""The prior of the variance of the noise."""
EFFECTS = Prior(math.log(0.1), 1.5, 1e-3, 20.0)
"""The prior of the variance that the main effects of the choices explain."""

Predict = Callable[[FloatArray, BoolArray], tuple[FloatArray, FloatArray]]
"""``(m,)`` means and ``(m,)`` deviations at ``(m, d)`` points with ``(m, d)`` mask."""
PullBack = Callable[[FloatArray, FloatArray], FloatArray]
"""Turns ``(m,)`` derivatives by means and by deviations into ``(m, d)`` derivatives by the points."""

_HOPELESS = 1e10  # the loss where a matrix is singular in doubles: the line search turns round
_LEAST_SHARE = 1e-12  # of the prior variance that is always left: rounding must not make it 0
_JITTER = 1e-8  # of the prior variance, added to the noise of a covariance that is singular in doubles


def mixed_process(embedding: Embedding, noise: Prior = NOISE) -> GaussianProcess:
    """Return the process for ranges, choices and optional parameters: a Matern kernel, main effects, and noise.

    Args:
        embedding: The embedding of the points.
        noise: The prior of the variance of the noise.

    Source: Hvarfner et al. 2024, arXiv 2402.02229: length-scales grow as distances do, with the root of d (eq. 4).
    """
    d = len(embedding.optional)
    length = LENGTH.shifted(0.5 * math.log(max(d, 1)))
    # The squared norm of a choice's coordinates is 1/2: a variance of 1 is shared by the choices alike.
    shares = np.where(embedding.is_category, 2.0 / max(len(embedding.categories), 1), 0.0)
    parts = Matern52(embedding.owner, [length] * d, SCALE), Noise([noise]), MainEffects(shares, EFFECTS)
    return GaussianProcess(embedding, Sum(parts))


@dataclass(frozen=True, eq=False)
class GaussianProcess:
    """A constant mean and a kernel, over the coordinates of embedded points.

    Its parameters are a vector of logarithms: those of the kernel, then those of the embedding.

    Attributes:
        embedding: The embedding of the points.
        kernel: The covariance of the function, and the noise of its observations.
        mean_precision: The precision of the prior of the mean around 0; infinite where the mean is 0 for sure.

    Source: Rasmussen & Williams 2006, chapters 2 and 5.

    Example:
        >>> from autohpo.surrogates.parzen_columns import Columns
        >>> process = mixed_process(Embedding(Columns(np.array([0]), [None]), np.array([False])))
        >>> x, active = np.linspace(0, 1, 9)[:, None], np.ones((9, 1), dtype=bool)
        >>> data = Data(x, active, np.sin(6 * x[:, 0]))
        >>> theta = process.fit(data, [process.start], max_steps=50)
        >>> means, _ = process.posterior(theta, data).predict(np.array([[0.3]]), active[:1])
        >>> abs(means[0] - np.sin(1.8)) < 0.01
        np.True_
    """

    embedding: Embedding
    kernel: Kernel
    mean_precision: float = 1.0

    @cached_property
    def priors(self) -> Priors:
        """The priors of all parameters."""
        return Priors([*self.kernel.priors, *self.embedding.priors])

    @property
    def start(self) -> FloatArray:
        """``(P,)`` the parameters of the highest prior density."""
        return self.priors.mode.copy()

    def split(self, theta: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return the parameters of the kernel, and those of the embedding."""
        n = len(self.kernel.priors)
        return theta[:n], theta[n:]

    def loss(self, theta: FloatArray, data: Data) -> tuple[float, FloatArray]:
        """Minus the log posterior density of a vector of parameters, up to a constant, and its ``(P,)`` gradient."""
        return self._loss(theta, data, self.embedding.place(data.points, data.mask, self.split(theta)[1]))

    def _loss(self, theta: FloatArray, data: Data, embedded: Embedded) -> tuple[float, FloatArray]:
        from scipy.linalg.lapack import dpotrf, dpotri

        own, _ = self.split(theta)
        rows = self.kernel.place(own, embedded.coordinates)
        covariance = self.kernel.covariance(own, rows)
        noisy = covariance.matrix
        noisy.flat[:: len(noisy) + 1] += self.kernel.noise(own, rows)
        lower, info = dpotrf(noisy, lower=1, clean=1)
        if info:
            return _HOPELESS, np.zeros_like(theta)
        half_log_determinant = float(np.log(np.diag(lower)).sum())
        inverse, _ = dpotri(lower, lower=1, overwrite_c=1)
        diagonal = inverse.diagonal().copy()
        inverse += inverse.T  # the upper triangle was 0
        np.fill_diagonal(inverse, diagonal)
        fit, weights = self._fit_of(inverse, data.targets - self.kernel.mean(own, rows))
        value, gradient = self.priors.loss(theta)
        value += fit + half_log_determinant  # eq. 5.8
        by_matrix = np.outer(weights, weights)
        np.subtract(inverse, by_matrix, out=by_matrix)
        by_matrix *= 0.5  # eq. 5.9
        gradient[: len(own)] += covariance.by_parameters(by_matrix)
        if self.kernel.has_mean:
            gradient[: len(own)] += self.kernel.mean_by_parameters(own, rows, -weights)
        if len(own) < len(theta):
            by_coordinates = np.asarray(covariance.by_left(by_matrix))
            gradient[len(own) :] += self.embedding.by_parameters(embedded, by_coordinates)
        return value, gradient

    def _fit_of(self, inverse: FloatArray, targets: FloatArray) -> tuple[float, FloatArray]:
        """Half the squared misfit at the best mean, and the ``(n,)`` weights of the results in predictions."""
        sums = inverse.sum(axis=1)
        mean = float(sums @ targets) / (float(sums.sum()) + self.mean_precision)  # eq. 2.41
        weights = inverse @ (targets - mean)
        misfit = 0.5 * float((targets - mean) @ weights)
        return misfit + (0.5 * self.mean_precision * mean * mean if mean else 0.0), weights

    def fit(self, data: Data, starts: Sequence[FloatArray], max_steps: int) -> FloatArray:
        """Return the ``(P,)`` vector of the lowest loss that a quasi-Newton method finds from some starts.

        Args:
            data: At least one result.
            starts: Vectors to begin from.
            max_steps: The number of steps from each start.
        """
        from scipy.optimize import minimize

        is_fixed = not len(self.embedding.priors)
        fixed = self.embedding.place(data.points, data.mask) if is_fixed else None

        def loss(theta: FloatArray) -> tuple[float, FloatArray]:
            return self.loss(theta, data) if fixed is None else self._loss(theta, data, fixed)

        low, high = self.priors.low, self.priors.high
        found = [
            minimize(
                loss,
                np.clip(start, low, high),
                jac=True,
                method="L-BFGS-B",
                bounds=np.stack([low, high], axis=1),
                options={"maxiter": max_steps, "maxfun": 2 * max_steps, "ftol": 1e-7, "gtol": 1e-3},
            )
            for start in starts
        ]
        best: FloatArray = min(found, key=lambda result: float(result.fun)).x
        return best

    def posterior(
        self,
        theta: FloatArray,
        data: Data,
        pending: tuple[FloatArray, BoolArray] | None = None,
        mean_precision: float | None = None,
        pending_targets: FloatArray | None = None,
    ) -> Posterior:
        """Return the process after its data, and after points whose results are pending.

        Pending results leave less to be learnt near them: deviations shrink as if they were known, and equal to what is
        predicted, so that the means stay. Or they are drawn from what is predicted, once for each of k columns: then
        there are k means with one deviation.

        Args:
            theta: ``(P,)`` the parameters.
            data: At least one result.
            pending: ``(q, d)`` points and mask.
            mean_precision: The precision of the prior of the mean, where it differs from that of the process.
            pending_targets: ``(q,)`` or ``(q, k)`` results of the pending points, in one column or several.

        Source: Desautels et al. 2014, JMLR 15, section 4 (pending results); Snoek et al. 2012, NeurIPS 25, section 3.2
            (drawn ones).
        """
        from scipy.linalg.lapack import dtrtri

        if pending is not None:
            data = data.joined(*pending, pending_targets)
        own, warp = self.split(theta)
        known = self.kernel.place(own, self.embedding.place(data.points, data.mask, warp).coordinates)
        root, _ = dtrtri(self.factor(own, known), lower=1)
        precision = self.mean_precision if mean_precision is None else mean_precision
        return self.settled(theta, data, known, root, precision)

    def settled(self, theta: FloatArray, data: Data, known: Any, root: FloatArray, mean_precision: float) -> Posterior:
        """Return the posterior of some data, of which the factor is known.

        Args:
            theta: ``(P,)`` the parameters.
            data: The results; pending points follow those with targets.
            known: The placed points.
            root: ``(n, n)`` the inverse of the lower Cholesky factor of their noisy covariances.
            mean_precision: The precision of the prior of the mean.
        """
        n, offset = len(data.targets), np.asarray(self.kernel.mean(self.split(theta)[0], known))
        centred = data.targets.T - (offset[:n] if offset.ndim else offset)  # one row for each column of targets
        ones, seen = root[:n, :n].sum(axis=1), root[:n, :n] @ centred.T
        mean = ones @ seen / (float(ones @ ones) + mean_precision)  # eq. 2.41
        weights = np.zeros((len(data.points), *seen.shape[1:]))
        weights[:n] = root[:n, :n].T @ (seen - np.multiply.outer(ones, mean))
        return Posterior(self, theta, known, root, mean, weights, data, mean_precision)

    def factor(self, theta: FloatArray, known: Any, explained: FloatArray | float = 0.0) -> FloatArray:
        """``(n, n)`` the lower Cholesky factor of noisy covariances; noise grows until they are regular in doubles.

        Args:
            theta: The parameters of the kernel.
            known: The n placed points.
            explained: ``(n, n)`` what is taken off the covariances first.
        """
        from scipy.linalg.lapack import dpotrf

        covariance, jitter = self.kernel.covariance(theta, known).matrix, self.kernel.noise(theta, known)
        covariance -= explained
        least, info = _JITTER * float(self.kernel.diagonal(theta, known).mean()), 1
        while info:
            covariance.flat[:: len(covariance) + 1] += jitter
            lower, info = dpotrf(covariance, lower=1, clean=1)
            jitter = np.maximum(10.0 * np.asarray(jitter), least)
        factor: FloatArray = lower
        return factor

    def describe(self, theta: FloatArray | None = None) -> dict[str, Any]:
        """Return the kernel, and the values of its parameters where they are given, in JSON types."""
        return self.kernel.describe(theta if theta is None else self.split(theta)[0])


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
        return self._mean(rows, covariances), self._deviations(covariances @ self.root.T, self._diagonal(rows))

    def predict_with_gradient(self, points: FloatArray, mask: BoolArray) -> tuple[FloatArray, FloatArray, PullBack]:
        """Return means and deviations as :meth:`predict`, and a function that pulls gradients back to the points."""
        rows, embedded = self._place(points, mask)
        covariance = self._covariance(rows, self.known)
        means, rooted = self._mean(rows, covariance.matrix), covariance.matrix @ self.root.T
        deviations = self._deviations(rooted, self._diagonal(rows))

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
            return gains, self._deviations(covariances @ self.root.T, spread, _LEAST_SHARE)

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

        Args:
            points: ``(m, d)`` points.
            mask: ``(m, d)`` their mask.
            rng: The source of randomness.
            n_draws: The number of functions; None for one, without an axis of its own.
            is_noisy: Whether the noise of observations is added, so that the values are what will be observed.
        """
        rows, _ = self._place(points, mask)
        covariances = self._covariance(rows, self.known).matrix
        rooted = covariances @ self.root.T
        joint = self._covariance(rows, rows).matrix - rooted @ rooted.T  # eq. 2.24
        if is_noisy:
            joint.flat[:: len(joint) + 1] += self.process.kernel.noise(self._parameters[0], rows)
        values, vectors = np.linalg.eigh(joint)  # not Cholesky: points may be equal
        standard = rng.standard_normal((len(points), 1 if n_draws is None else n_draws))
        drawn: FloatArray = vectors @ (np.sqrt(np.maximum(values, 0.0))[:, None] * standard)
        drawn += self._mean(rows, covariances)[:, None]
        return drawn[:, 0] if n_draws is None else drawn

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

    def _mean(self, rows: Any, covariances: FloatArray) -> FloatArray:
        means: FloatArray = self.mean + covariances @ self.weights + self._offset(rows)  # eq. 2.25
        return means

    def _offset(self, rows: Any) -> FloatArray | float:
        """The prior means of the function at placed rows, as far as they differ."""
        offset = self.process.kernel.mean(self._parameters[0], rows)
        return offset if isinstance(offset, float) or self.weights.ndim == 1 else np.asarray(offset)[..., None]

    @staticmethod
    def _deviations(rooted: FloatArray, spread: FloatArray, least: float = 0.0) -> FloatArray:
        """``(m,)`` posterior deviations; some share of the prior variances, and at least `least`, is always left."""
        left = spread - np.einsum("ij,ij->i", rooted, rooted)  # eq. 2.26
        deviations: FloatArray = np.sqrt(np.maximum(left, np.maximum(_LEAST_SHARE * spread, least)))
        return deviations
