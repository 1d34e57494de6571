"""Gaussian processes: the fit of a kernel's parameters to results, and the posterior with its gradients."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from autohpo.surrogates.arrays import BoolArray, FloatArray
from autohpo.surrogates.effects import MainEffects, Noise
from autohpo.surrogates.embedding import Embedded, Embedding
from autohpo.surrogates.gp_data import Data
from autohpo.surrogates.gp_posterior import Posterior, Predict
from autohpo.surrogates.kernels import Kernel, Sum
from autohpo.surrogates.matern import Matern52
from autohpo.surrogates.memory import keep_freed_memory
from autohpo.surrogates.priors import Prior, Priors, minimize_loss

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

_HOPELESS = 1e10  # the loss where a matrix is singular in doubles: the line search turns round
_JITTER = 1e-8  # of the prior variance, added to the noise of a covariance that is singular in doubles


def mixed_process(embedding: Embedding, noise: Prior | Sequence[Prior] = NOISE) -> GaussianProcess:
    """Return the process for ranges, choices and optional parameters: a Matern kernel, main effects, and noise.

    Args:
        embedding: The embedding of the points.
        noise: The prior of the variance of the noise. Several are those of groups of rows: points then have a further
            column, which says the number of the group, from 0.

    Source: Hvarfner et al. 2024, arXiv 2402.02229: length-scales grow as distances do, with the root of d (eq. 4).
    """
    d = len(embedding.optional)
    length = LENGTH.shifted(0.5 * math.log(max(d, 1)))
    # The squared norm of a choice's coordinates is 1/2: a variance of 1 is shared by the choices alike.
    shares = np.where(embedding.is_category, 2.0 / max(len(embedding.categories), 1), 0.0)
    if isinstance(noise, Prior):
        noises = Noise([noise])
    else:
        noises = Noise(noise, len(embedding.owner), range(len(noise)))
        shares = np.append(shares, 0.0)
    return GaussianProcess(
        embedding, Sum((Matern52(embedding.owner, [length] * d, SCALE), noises, MainEffects(shares, EFFECTS)))
    )


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
        lower, info = dpotrf(noisy.T, lower=1, clean=1, overwrite_a=1)  # symmetric: the transpose needs no copy
        if info:
            return _HOPELESS, np.zeros_like(theta)
        half_log_determinant = float(np.log(np.diag(lower)).sum())
        lower, _ = dpotri(lower, lower=1, overwrite_c=1)
        inverse = lower.T + lower  # the upper triangle of both was 0
        inverse.flat[:: len(inverse) + 1] *= 0.5
        fit, weights = self._fit_of(inverse, data.targets - self.kernel.mean(own, rows))
        value, gradient = self.priors.loss(theta)
        value += fit + half_log_determinant  # eq. 5.8
        by_matrix = inverse
        by_matrix -= np.multiply.outer(weights, weights)  # eq. 5.9, doubled
        gradient[: len(own)] += 0.5 * covariance.by_parameters(by_matrix)
        if self.kernel.has_mean:
            gradient[: len(own)] += self.kernel.mean_by_parameters(own, rows, -weights)
        if len(own) < len(theta):
            by_coordinates = np.asarray(covariance.by_left(by_matrix))
            gradient[len(own) :] += 0.5 * self.embedding.by_parameters(embedded, by_coordinates)
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
        keep_freed_memory()
        is_fixed = not len(self.embedding.priors)
        fixed = self.embedding.place(data.points, data.mask) if is_fixed else None

        def loss(theta: FloatArray) -> tuple[float, FloatArray]:
            return self.loss(theta, data) if fixed is None else self._loss(theta, data, fixed)

        return minimize_loss(loss, starts, self.priors, max_steps)

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

        keep_freed_memory()
        covariance, jitter = self.kernel.covariance(theta, known).matrix, self.kernel.noise(theta, known)
        covariance -= explained
        least, info = _JITTER * float(self.kernel.diagonal(theta, known).mean()), 1
        while info:
            covariance.flat[:: len(covariance) + 1] += jitter
            lower, info = dpotrf(covariance.T, lower=1, clean=1)
            jitter = np.maximum(10.0 * np.asarray(jitter), least)
        factor: FloatArray = lower
        return factor

    def describe(self, theta: FloatArray | None = None) -> dict[str, Any]:
        """Return the kernel, and the values of its parameters where they are given, in JSON types."""
        return self.kernel.describe(theta if theta is None else self.split(theta)[0])
