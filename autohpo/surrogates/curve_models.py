"""Curve models: a Gaussian process of where curves end, and one normal distribution of curves around their ends."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from autohpo.surrogates.arrays import FloatArray
from autohpo.surrogates.curve_posterior import CurvePosterior
from autohpo.surrogates.curve_sets import CurveSet, arrange, thin
from autohpo.surrogates.curve_summaries import summarize
from autohpo.surrogates.embedding import Embedding
from autohpo.surrogates.fidelity_models import Pending
from autohpo.surrogates.gp import NOISE, Data, GaussianProcess, Posterior, mixed_process
from autohpo.surrogates.priors import Prior, Priors, minimize_loss
from autohpo.surrogates.training_curves import SHOCK, Curve, ExponentialDecay, StateSpace

MOST_LEVELS = 100
"""The most positions of results on curves; of more some are left out, because time grows with the cube of them."""

_HOPELESS = 1e10  # the loss where a matrix is singular in doubles: the line search turns round
_JITTER = 1e-8  # of the prior variance, added to the noise of a covariance that is singular in doubles


def issm_process(
    embedding: Embedding, levels: Sequence[float], gamma_one: bool = False, offset: Prior = NOISE
) -> CurveProcess:
    """Return the model of curves that are states which rise with shocks.

    Args:
        embedding: The embedding of points of the unit cube.
        levels: The fidelities at which results may be, rising up to the highest fidelity: epochs, or rungs.
        gamma_one: Whether the shock of a result stays in the state as it is, times the step.
        offset: The prior of the variance of what is particular to a configuration.
    """
    return CurveProcess(mixed_process(embedding, offset), StateSpace(levels, shock=None if gamma_one else SHOCK))


def expdecay_process(
    embedding: Embedding, max_fidelity: float, normalize_inputs: bool = False, offset: Prior = NOISE
) -> CurveProcess:
    """Return the model of curves that decay exponentially to their ends.

    Args:
        embedding: The embedding of points of the unit cube.
        max_fidelity: The highest fidelity.
        normalize_inputs: Whether decay rates are for the highest fidelity as the unit, instead of 1.
        offset: The prior of the variance of what is particular to a configuration.
    """
    unit = float(max_fidelity) if normalize_inputs else 1.0
    return CurveProcess(mixed_process(embedding, offset), ExponentialDecay(unit))


@dataclass(frozen=True, eq=False)
class CurveProcess:
    """Results y_i(r) = h(x_i) + o_i + (a curve around 0) + noise, with h a Gaussian process and o_i an own offset.

    The ends h + o of all curves, given the results, are a regression with one row for each configuration: its curve
    says where it ends, the surer the more it has. That takes time in the cube of the number of configurations and of
    the longest curve, and is linear in the number of results. Missing results in curves are integrated out.
    Of results at very many fidelities some are left out.

    Parameters are logarithms: those of the process, then those of the curve.

    Attributes:
        process: The process of the ends; its noise is the variance of the offsets.
        curve: The distribution of curves around their ends.

    Source: Swersky et al. 2014, arXiv 1406.3896, section 3.2 (the structure, and its marginal likelihood); Syne Tune's
        `gp_issm` and `gp_expdecay`, which have no offsets. Their algebra differs: here each curve is replaced by its
        best estimate of its end, and the precision of it, which is the same likelihood.

    Example:
        >>> from autohpo.surrogates.parzen_columns import Columns
        >>> model = issm_process(Embedding(Columns(np.array([0]), [None]), np.array([False])), levels=[1, 2, 3])
        >>> points = np.array([[0.2, 1, 0], [0.2, 2, 0], [0.2, 3, 0], [0.8, 1, 1]])
        >>> data = Data(points, np.ones((4, 1), dtype=bool), np.array([-1.0, 0.2, 0.9, -0.1]))
        >>> theta = model.fit(data, [model.start], max_steps=20)
        >>> ends, _ = model.posterior(theta, data).predict(np.array([[0.2, 3, 0], [0.8, 3, 1]]), data.mask[:2])
        >>> ends[1] > ends[0]
        np.True_
    """

    process: GaussianProcess
    curve: Curve

    @cached_property
    def priors(self) -> Priors:
        """The priors of all parameters."""
        return Priors([*self.process.kernel.priors, *self.process.embedding.priors, *self.curve.priors])

    @property
    def start(self) -> FloatArray:
        """``(P,)`` the parameters of the highest prior density."""
        return self.priors.mode.copy()

    def split(self, theta: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return the parameters of the process, and those of the curve."""
        n = len(theta) - len(self.curve.priors)
        return theta[:n], theta[n:]

    def arrange(self, data: Data, pending: Pending | None = None) -> CurveSet:
        """Return the curves of some data, and of pending results, which come last and count as 0.

        Where results are at more than :data:`MOST_LEVELS` positions, some are left out: see :func:`thin`.
        """
        d = len(self.process.embedding.optional)
        keep = thin(self.curve.place(data.points[:, d]), data.points[:, d + 1], MOST_LEVELS)
        points, mask, targets = data.points[keep], data.mask[keep], data.targets[keep]
        targets = targets.reshape(len(points), -1)
        if pending is not None:
            points, mask = np.concatenate([points, pending[0]]), np.concatenate([mask, pending[1]])
            targets = np.concatenate([targets, np.zeros((len(pending[0]), targets.shape[1]))])
        return arrange(points[:, :d], mask, self.curve.place(points[:, d]), points[:, d + 1], targets)

    def loss(self, theta: FloatArray, data: Data) -> tuple[float, FloatArray]:
        """Minus the log posterior density of a vector of parameters, up to a constant, and its ``(P,)`` gradient."""
        return self._loss(theta, self.arrange(data))

    def _loss(self, theta: FloatArray, curves: CurveSet) -> tuple[float, FloatArray]:
        from scipy.linalg.lapack import dpotrf, dpotri

        whole, of_curve = self.split(theta)
        own, warp = self.process.split(whole)
        embedded = self.process.embedding.place(curves.points, curves.mask, warp)
        rows = self.process.kernel.place(own, embedded.coordinates)
        covariance = self.process.kernel.covariance(own, rows)
        summary = summarize(self.curve, of_curve, curves)
        noisy = covariance.matrix
        noisy.flat[:: len(noisy) + 1] += self.process.kernel.noise(own, rows) + summary.variances
        lower, info = dpotrf(noisy, lower=1, clean=1)
        if info:
            return _HOPELESS, np.zeros_like(theta)
        half_log_determinant = float(np.log(np.diag(lower)).sum())
        inverse, _ = dpotri(lower, lower=1, overwrite_c=1)
        diagonal = inverse.diagonal().copy()
        inverse += inverse.T  # the upper triangle was 0
        np.fill_diagonal(inverse, diagonal)
        fit, weights = self.process._fit_of(inverse, summary.ends[:, 0])
        value, gradient = self.priors.loss(theta)
        value += fit + half_log_determinant + summary.loss
        by_matrix = np.outer(weights, weights)
        np.subtract(inverse, by_matrix, out=by_matrix)
        by_matrix *= 0.5  # Rasmussen & Williams 2006, eq. 5.9
        gradient[: len(own)] += covariance.by_parameters(by_matrix)
        if len(own) < len(whole):
            by_coordinates = np.asarray(covariance.by_left(by_matrix))
            gradient[len(own) : len(whole)] += self.process.embedding.by_parameters(embedded, by_coordinates)
        gradient[len(whole) :] += summary.by_parameters(weights, by_matrix.diagonal())
        return value, gradient

    def fit(self, data: Data, starts: Sequence[FloatArray], max_steps: int) -> FloatArray:
        """Return the ``(P,)`` vector of the lowest loss that a quasi-Newton method finds from some starts.

        Args:
            data: At least one result.
            starts: Vectors to begin from.
            max_steps: The number of steps from each start.
        """
        curves = self.arrange(data)
        return minimize_loss(lambda theta: self._loss(theta, curves), starts, self.priors, max_steps)

    def posterior(self, theta: FloatArray, data: Data, pending: Pending | None = None) -> CurvePosterior:
        """Return the model after its data, and after points whose results are pending.

        Pending results leave less to be learnt: deviations shrink as if they were known, and equal to what is
        predicted, so that the means stay. One of a configuration in the data continues its curve, another is the
        curve of a further configuration.

        Args:
            theta: ``(P,)`` the parameters.
            data: At least one result; several columns of targets give as many means.
            pending: ``(q, d + 2)`` points and ``(q, d)`` mask.
        """
        whole, of_curve = self.split(theta)
        known = self.arrange(data)
        seen = summarize(self.curve, of_curve, known)
        own, rows = self.process.split(whole)[0], self._place(whole, known)
        root = self._root(own, rows, seen.variances)
        ones, ends = root.sum(axis=1), root @ seen.ends
        mean = ones @ ends / (float(ones @ ones) + self.process.mean_precision)  # eq. 2.41
        weights = root.T @ (ends - np.outer(ones, mean))
        later, after = known, seen
        if pending is not None and len(pending[0]):
            later = self.arrange(data, pending)
            after = summarize(self.curve, of_curve, later)
            rows = self._place(whole, later)
            root = self._root(own, rows, after.variances)
            weights = np.pad(weights, ((0, len(later.numbers) - len(weights)), (0, 0)))
        ends_of = Data(later.points, later.mask, seen.ends)
        posterior = Posterior(self.process, whole, rows, root, mean, weights, ends_of, self.process.mean_precision)
        offset = float(np.max(self.process.kernel.noise(own, rows)))
        return CurvePosterior(self.curve, of_curve, posterior, offset, seen, after, data.targets.ndim == 2)

    def with_fantasies(
        self, theta: FloatArray, data: Data, pending: Pending, rng: np.random.Generator, n_draws: int
    ) -> CurvePosterior:
        """Return the model after its data and pending results drawn jointly: a column of means for each draw.

        Args:
            theta: ``(P,)`` the parameters.
            data: At least one result.
            pending: ``(q, d + 2)`` points and ``(q, d)`` mask.
            rng: The source of randomness.
            n_draws: The number of draws.

        Source: Snoek et al. 2012, NeurIPS 25, section 3.2.
        """
        drawn = self.posterior(theta, data).sample(*pending, rng, n_draws, is_noisy=True)
        return self.posterior(theta, data.joined(*pending, drawn))

    def _root(self, own: FloatArray, rows: Any, variances: FloatArray) -> FloatArray:
        """``(m, m)`` the inverse of the lower Cholesky factor of the covariance of the ends that curves show."""
        from scipy.linalg.lapack import dpotrf, dtrtri

        covariance = self.process.kernel.covariance(own, rows).matrix
        jitter: FloatArray = self.process.kernel.noise(own, rows) + variances
        least, info = _JITTER * float(self.process.kernel.diagonal(own, rows).mean()), 1
        while info:
            covariance.flat[:: len(covariance) + 1] += jitter
            lower, info = dpotrf(covariance, lower=1, clean=1)
            jitter = np.maximum(10.0 * jitter, least)
        root: FloatArray = dtrtri(lower, lower=1)[0]
        return root

    def _place(self, theta: FloatArray, curves: CurveSet) -> Any:
        """Return the configurations as the kernel of the process sees them."""
        own, warp = self.process.split(theta)
        return self.process.kernel.place(
            own, self.process.embedding.place(curves.points, curves.mask, warp).coordinates
        )

    def describe(self, theta: FloatArray | None = None) -> dict[str, Any]:
        """Return the process and the curve, and the values of the parameters where they are given, in JSON types."""
        values = {} if theta is None else {"values": np.exp(theta).tolist()}
        return {"kind": "curves", "process": self.process.describe(), "curve": self.curve.describe(), **values}
