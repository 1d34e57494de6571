"""Warps: of inputs by Kumaraswamy's distribution, of results to a shape that a Gaussian process fits well."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from autohpo.surrogates.arrays import FloatArray

POWERS = np.arange(-16, 49) / 8.0
"""The powers of Yeo and Johnson's transform among which the likelihood chooses: from -2 to 6, by eighths."""

_EDGE = 1e-7  # inputs nearer to 0 or 1 count as that far: beyond, derivatives grow without bound
_GRAIN = 2.0**-30  # warped results are whole multiples of it


def kumaraswamy(x: FloatArray, a: FloatArray, b: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """Return 1 - (1 - x^a)^b, and its derivatives by `x`, by log `a` and by log `b`.

    Args:
        x: Values in [0, 1].
        a: The first exponents, above 0.
        b: The second exponents, above 0.

    Source: Snoek et al. 2014, arXiv 1402.0929, with Kumaraswamy's distribution in place of Beta's, as in HEBO.
    """
    x = np.clip(x, _EDGE, 1.0 - _EDGE)
    log_x = np.log(x)
    power = np.exp(a * log_x)  # x^a
    rest = 1.0 - power
    log_rest = np.log(rest)
    tail = np.exp(b * log_rest)  # (1 - x^a)^b
    common = a * b * power * tail / rest
    return 1.0 - tail, common / x, common * log_x, -b * tail * log_rest


def yeo_johnson(z: FloatArray, power: FloatArray | float) -> FloatArray:
    """Return Yeo and Johnson's transform of `z`: rising, 0 at 0 with slope 1 there, and `z` itself at power 1.

    Source: Yeo & Johnson 2000, Biometrika 87(4), section 3.
    """
    log_size = np.log1p(np.abs(z))
    exponent = np.where(z >= 0, power, 2.0 - np.asarray(power))
    is_zero = exponent == 0.0
    size = np.expm1(exponent * log_size) / np.where(is_zero, 1.0, exponent)
    return np.copysign(np.where(is_zero, log_size, size), z)


@dataclass(frozen=True, eq=False)
class Targets:
    """Results as a Gaussian process sees them: of mean 0 and variance 1, and near to normal.

    Attributes:
        values: ``(n,)`` the warped results.
        unit: How much of a result a unit of the best warped value is: for small steps from there.
    """

    values: FloatArray
    unit: float


def warp_targets(results: FloatArray, is_warped: bool = True) -> Targets:
    """Standardise results, and bring them near to normal by Yeo and Johnson's transform of the likeliest power.

    Results a y + b with a > 0 get equal values, bit for bit but for results that differ by less than rounding: all are
    rounded to a grain of 1e-9.

    Args:
        results: ``(n,)`` finite numbers of any size; n may be 0.
        is_warped: Whether they are transformed; else only standardised.

    Source: Cowen-Rivers et al. 2022, arXiv 2012.03826, section 4.1, the warp of outputs.
    """
    if not len(results):
        return Targets(np.zeros(0), 1.0)
    largest = float(np.abs(results).max())
    scaled = results / (largest or 1.0)  # in [-1, 1]: no square overflows or vanishes
    centred = scaled - scaled.mean()
    sd = float(centred.std())
    if not sd > 1e-13:  # what is left is the rounding of equal results
        return Targets(np.zeros(len(results)), 0.0)
    z = centred / sd
    slope = 1.0
    if is_warped and len(results) > 2:
        power = _likeliest_power(z)
        slope = (1.0 + float(z.max())) ** (power - 1.0)  # the best is at least 0, where the derivative is that
        z = yeo_johnson(z, power)
        spread = float(z.std())
        z, slope = (z - z.mean()) / spread, slope / spread
    return Targets(np.round(z / _GRAIN) * _GRAIN, sd / slope * largest)


def _likeliest_power(z: FloatArray) -> float:
    """The power with the highest likelihood of a normal distribution; of equals that nearest to 1."""
    warped = yeo_johnson(z, POWERS[:, None])
    spread = warped.std(axis=1)
    bent = np.sum(np.copysign(np.log1p(np.abs(z)), z))
    likelihood = -len(z) * np.log(spread) + (POWERS - 1.0) * bent
    score = np.round(likelihood, 6) - 1e-9 * np.abs(POWERS - 1.0)
    return float(POWERS[int(np.argmax(score))])
