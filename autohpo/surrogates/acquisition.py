"""Acquisition functions: how much a candidate is worth trying, from the mean and deviation of its prediction."""

from __future__ import annotations

import math

import numpy as np

from autohpo.surrogates.arrays import FloatArray

_LOG_SQRT_2PI = 0.5 * math.log(2.0 * math.pi)
_TAIL = -1e3
"""The z below which the series is nearer than the closed form: relative errors are 15 / z^4 and 2e-16 z^2."""


def log_h(z: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the log of h(z) = phi(z) + z Phi(z), and its derivative Phi / h; exact to rounding for all z.

    Expected improvement is sigma h((mean - best) / sigma); its log has a slope where EI itself is 0 in doubles.

    Source: Ament et al. 2023, NeurIPS 36, arXiv 2310.20708, eq. 9, 14. The far tail uses h = phi / z^2 (1 - 3 / z^2).
    """
    from scipy.special import erfcx, ndtr

    z = np.asarray(z, dtype=float)
    is_near = z > -1.0
    near = np.maximum(z, -1.0)
    area = ndtr(near)
    h = np.exp(-0.5 * near * near - _LOG_SQRT_2PI) + near * area
    value, slope = np.log(h), area / h
    if not is_near.all():
        tail = np.clip(z, _TAIL, -1.0)
        mills = math.sqrt(math.pi / 2.0) * erfcx(-tail / math.sqrt(2.0))  # Phi / phi
        share = 1.0 + tail * mills  # h / phi
        value = np.where(is_near, value, -0.5 * tail * tail - _LOG_SQRT_2PI + np.log(share))  # eq. 14
        slope = np.where(is_near, slope, mills / share)
    is_far = z < _TAIL
    if is_far.any():
        far = np.minimum(z, _TAIL)
        with np.errstate(over="ignore"):
            log_far = -0.5 * far * far - _LOG_SQRT_2PI - 2.0 * np.log(-far) + np.log1p(-3.0 / (far * far))
        value, slope = np.where(is_far, log_far, value), np.where(is_far, -far, slope)
    return value, slope


def log_ei(mean: FloatArray, sd: FloatArray, best: FloatArray | float) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return log expected improvement over `best`, and its derivatives by `mean` and by `sd`.

    Args:
        mean: Predicted means.
        sd: Predicted deviations, above 0.
        best: What is to be beaten.
    """
    z = (mean - best) / sd
    value, slope = log_h(z)
    return value + np.log(sd), slope / sd, (1.0 - z * slope) / sd


def log_pi(mean: FloatArray, sd: FloatArray, best: float) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return the log probability of improvement over `best`, and its derivatives by `mean` and by `sd`."""
    from scipy.special import log_ndtr

    z = (mean - best) / sd
    value = log_ndtr(z)
    slope = np.exp(-0.5 * z * z - _LOG_SQRT_2PI - value)
    return value, slope / sd, -z * slope / sd


def ucb(mean: FloatArray, sd: FloatArray, kappa: float) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return the upper confidence bound, the mean and `kappa` deviations, and its derivatives by `mean` and by `sd`."""
    return mean + kappa * sd, np.ones_like(mean), np.full_like(sd, kappa)


def log_mean_ei(means: FloatArray, sd: FloatArray, best: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return the log of the mean over fantasies of expected improvement, and its derivatives by `means` and by `sd`.

    Args:
        means: ``(m, k)`` predicted means, one column for each fantasy of what pending trials will give.
        sd: ``(m,)`` predicted deviations, above 0.
        best: ``(k,)`` what is to be beaten in each fantasy.

    Source: Snoek et al. 2012, NeurIPS 25, section 3.2.
    """
    values, by_means, by_sds = log_ei(means, sd[:, None], best)
    top = values.max(axis=1, keepdims=True)
    shares = np.exp(values - top)
    sums = shares.sum(axis=1, keepdims=True)
    shares /= sums
    value = top[:, 0] + np.log(sums[:, 0] / values.shape[1])
    return value, shares * by_means, (shares * by_sds).sum(axis=1)


def mean_ucb(means: FloatArray, sd: FloatArray, kappa: float) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return the mean over fantasies of the upper confidence bound, and its derivatives by `means` and by `sd`.

    Args:
        means: ``(m, k)`` predicted means, one column for each fantasy of what pending trials will give.
        sd: ``(m,)`` predicted deviations.
        kappa: The number of deviations that are added.
    """
    return means.mean(axis=1) + kappa * sd, np.full_like(means, 1.0 / means.shape[1]), np.full_like(sd, kappa)
