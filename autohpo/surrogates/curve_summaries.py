"""Summaries of curves: where each one says that it ends, how sure it is, and the gradients of what is made of them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from autohpo.surrogates.arrays import FloatArray
from autohpo.surrogates.curve_sets import CurveSet
from autohpo.surrogates.training_curves import Curve

_JITTER = 1e-12  # of the mean variance: the first addition to the diagonal of covariances that are singular in doubles


@dataclass(frozen=True, eq=False)
class Summary:
    """What curves say about their ends: :func:`summarize` makes it.

    The density of the results of a curve given its end h is that of ``end`` given h, normal with ``variance``, times a
    factor without h.

    Attributes:
        curves: The curves.
        lower: ``(G, K, K)`` lower Cholesky factors L of the covariances of the chains' results around their ends.
        inverse: ``(G, K, K)`` inverses of the factors.
        ones: ``(G, K)`` v = L^-1 1.
        residuals: ``(m, K, c)`` w = L^-1 (results - mean curve), for each column of results; 0 beyond the end.
        variances: ``(m,)`` 1 / (v'v), along the curve alone.
        ends: ``(m, c)`` (v'w) / (v'v).
        mean_slopes: ``(P, G, K)`` derivatives of the mean curve by the parameters.
        covariance_slopes: ``(P, G, K, K)`` derivatives of the covariances.
    """

    curves: CurveSet
    lower: FloatArray
    inverse: FloatArray
    ones: FloatArray
    residuals: FloatArray
    variances: FloatArray
    ends: FloatArray
    mean_slopes: FloatArray
    covariance_slopes: FloatArray

    @cached_property
    def loss(self) -> float:
        """Minus the log of the product of the factors without h, for one column of results, up to a constant."""
        residuals, ends = self.residuals[:, :, 0], self.ends[:, 0]
        squares = np.einsum("mk,mk->m", residuals, residuals) - ends**2 / self.variances
        diagonal = np.log(np.einsum("gkk->gk", self.lower))
        return 0.5 * float((squares - np.log(self.variances)).sum()) + float((self.curves.uses * diagonal).sum())

    def by_parameters(self, by_end: FloatArray, by_variance: FloatArray) -> FloatArray:
        """``(P,)`` the gradient, by the parameters, of :attr:`loss` plus a function of the ends and variances.

        Args:
            by_end: ``(m,)`` the gradient of that function by the ends.
            by_variance: ``(m,)`` the gradient by the variances.

        Source: Murray 2016, arXiv 1602.07527, section 3.2 (derivatives through a Cholesky factor, in reverse).
        """
        curves, residuals, ends = self.curves, self.residuals[:, :, 0], self.ends[:, 0]
        has_result, along = curves.has_result, self.ones[curves.chain] * curves.has_result
        shift = by_end * self.variances - ends  # the derivative by v'w
        growth = 0.5 * (ends**2 + self.variances) - by_end * ends * self.variances
        growth -= by_variance * self.variances**2  # the derivative by v'v
        by_residuals = residuals + shift[:, None] * along
        by_ones = shift[:, None] * residuals + 2.0 * growth[:, None] * along
        gradient = np.zeros(len(self.mean_slopes))
        for g, own in enumerate(curves.members):
            inverse, lower = self.inverse[g], self.lower[g]
            by_results = by_residuals[own] @ inverse
            by_lower = -by_results.T @ residuals[own]
            by_lower -= np.outer((by_ones[own] * has_result[own]).sum(axis=0) @ inverse, self.ones[g])
            by_lower.flat[:: len(lower) + 1] += curves.uses[g] / np.diag(lower)
            inner = np.tril(lower.T @ np.tril(by_lower))
            inner.flat[:: len(lower) + 1] *= 0.5
            by_covariance = inverse.T @ inner @ inverse  # its two halves are alike under symmetric slopes
            gradient += np.tensordot(self.covariance_slopes[:, g], by_covariance, axes=2)
            gradient -= self.mean_slopes[:, g] @ by_results.sum(axis=0)
        return gradient


def summarize(curve: Curve, theta: FloatArray, curves: CurveSet) -> Summary:
    """Return what curves say about their ends.

    Args:
        curve: The distribution of curves around their ends.
        theta: ``(P,)`` its parameters.
        curves: The curves.
    """
    mean, mean_slopes = curve.mean(theta, curves.positions)
    covariance, covariance_slopes = curve.results(theta, curves.positions)
    is_real = ~curves.is_padding
    covariance = np.where(is_real[:, :, None] & is_real[:, None, :], covariance, np.eye(covariance.shape[1]))
    lower = _factor(covariance)
    inverse: FloatArray = np.linalg.inv(lower).astype(float, copy=False)
    ones, has_result = inverse.sum(axis=2), curves.has_result[:, :, None]
    residuals = (curves.results - mean[curves.chain][:, :, None]) * has_result
    for g, own in enumerate(curves.members):
        residuals[own] = np.tensordot(residuals[own], inverse[g], axes=(1, 1)).transpose(0, 2, 1)
    residuals *= has_result
    along = ones[curves.chain] * curves.has_result
    variances = 1.0 / np.einsum("mk,mk->m", along, along)
    ends = variances[:, None] * np.einsum("mk,mkc->mc", along, residuals)
    return Summary(curves, lower, inverse, ones, residuals, variances, ends, mean_slopes, covariance_slopes)


def _factor(covariances: FloatArray) -> FloatArray:
    """``(G, K, K)`` the lower Cholesky factors; a diagonal grows until its matrix is regular in doubles."""
    from scipy.linalg.lapack import dpotrf

    lower = np.empty_like(covariances)
    for g, covariance in enumerate(covariances):
        jitter, least, info = 0.0, _JITTER * float(np.trace(covariance)) / len(covariance), 1
        while info:
            covariance.flat[:: len(covariance) + 1] += jitter
            lower[g], info = dpotrf(covariance, lower=1, clean=1)
            jitter = max(10.0 * jitter, least)
    return lower
