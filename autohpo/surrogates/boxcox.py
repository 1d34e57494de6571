"""Box and Cox's transform of results, fitted by likelihood, and back."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from autohpo.surrogates.arrays import FloatArray
from autohpo.surrogates.warping import Targets

POWERS = np.arange(-32, 65) / 32.0
"""The powers among which the posterior density chooses: from -1 to 2, by steps of 1/32."""

LEAST_RESULTS = 5
"""The fewest results that are transformed: fewer say nothing of a shape."""

_MEAN, _SD = 0.5, 0.75  # of the prior of the power, which is normal
_GRAIN = 2.0**-30  # transformed results are whole multiples of it


def power_transform(x: FloatArray, power: float) -> FloatArray:
    """Return (x^power - 1) / power of positive values, or their logarithm at power 0.

    Source: Box & Cox 1964, Journal of the Royal Statistical Society B 26(2), eq. 1.
    """
    logs = np.log(x)
    found: FloatArray = np.expm1(power * logs) / power if power else logs
    return found


def inverse_power(z: FloatArray, power: float) -> FloatArray:
    """Return the positive values whose transform is `z`; 0 or infinity where `z` is beyond what a transform can be."""
    if not power:
        found: FloatArray = np.exp(z)
        return found
    inner = np.maximum(power * z, -1.0)
    is_end = inner == -1.0
    found = np.exp(np.log1p(np.where(is_end, 0.0, inner)) / power)
    return np.where(is_end, 0.0 if power > 0 else np.inf, found)


def log_likelihood(x: FloatArray, powers: FloatArray) -> FloatArray:
    """``(k,)`` the log likelihood of powers, up to a constant: normal results, whose mean and variance are the best.

    Args:
        x: ``(n,)`` positive values, not all equal.
        powers: ``(k,)`` the powers.

    Source: Box & Cox 1964, eq. 8: the log of the Jacobian is a sum over the results.
    """
    logs = np.log(x)
    is_zero = powers == 0.0
    exponents = powers[:, None] * logs
    with np.errstate(over="ignore"):
        shaped = np.where(is_zero[:, None], logs, np.expm1(exponents) / np.where(is_zero, 1.0, powers)[:, None])
    found: FloatArray = -0.5 * len(x) * np.log(shaped.var(axis=1)) + (powers - 1.0) * logs.sum()
    return found


@dataclass(frozen=True, eq=False)
class BoxCox:
    """A transform of results to mean 0 and variance 1: :func:`fit_boxcox` makes it.

    Attributes:
        power: The power; 1 leaves the shape as it is.
        sign: 1, or -1 for results that are all negative, such as losses that count as scores: their sizes are
            transformed, and the order of the results stays.
        unit: What sizes are divided by, so that their logarithms are near 0.
        shift: What is added to sizes over the unit; above 0 only where some result is 0.
        mean: The mean of the transformed values.
        sd: The standard deviation of the transformed values; 0 where all results are equal.
    """

    power: float
    sign: float
    unit: float
    shift: float
    mean: float
    sd: float

    def __call__(self, results: FloatArray) -> FloatArray:
        """``(n,)`` transformed results."""
        sizes = self.sign * results / self.unit + self.shift
        shaped = sizes if self.power == 1.0 else power_transform(sizes, self.power)
        if not self.sd:
            return np.zeros(len(results))
        found: FloatArray = np.round(self.sign * (shaped - self.mean) / self.sd / _GRAIN) * _GRAIN
        return found

    def inverse(self, values: FloatArray) -> FloatArray:
        """``(n,)`` the results that have the transformed values; their bound where a value is beyond all of them."""
        shaped = self.sign * values * self.sd + self.mean
        sizes = shaped if self.power == 1.0 else inverse_power(shaped, self.power)
        found: FloatArray = self.sign * (sizes - self.shift) * self.unit
        return found

    def slope(self, result: float) -> float:
        """Return how much of a result a unit of its transformed value is."""
        size = self.sign * result / self.unit + self.shift
        by_size = 1.0 if self.power == 1.0 else float(size ** (1.0 - self.power))
        return self.sd * by_size * self.unit


def fit_boxcox(results: FloatArray, is_warped: bool = True) -> BoxCox:
    """Return the likeliest transform of some results, with a normal prior of the power.

    Results are transformed as they are, before their mean is taken. Fewer than five results, equal ones, and results
    on both sides of 0 are only standardised: a ratio of such results has no meaning. Where some are 0 and none has
    the other sign, half of the least size is added to all.

    Args:
        results: ``(n,)`` finite numbers, at least one.
        is_warped: Whether they are transformed; else only standardised.

    Source: Box & Cox 1964; the prior and the bounds of the power are those of Syne Tune.
    """
    sign = -1.0 if float(results.max()) <= 0 and float(results.min()) < 0 else 1.0
    sizes = sign * results
    positive = sizes[sizes > 0]
    unit = float(np.abs(results).max()) or 1.0
    shift, power = 0.0, 1.0
    is_one_signed = len(positive) > 0 and float(sizes.min()) >= 0
    if is_warped and is_one_signed and len(results) >= LEAST_RESULTS and float(np.ptp(results)) > 1e-13 * unit:
        unit = float(np.exp(np.log(positive).mean()))
        shift = 0.0 if float(sizes.min()) > 0 else 0.5 * float(positive.min()) / unit
        density = log_likelihood(sizes / unit + shift, POWERS) - 0.5 * ((POWERS - _MEAN) / _SD) ** 2
        power = float(POWERS[int(np.argmax(np.round(density, 6)))])
    scaled = sizes / unit + shift
    shaped = scaled if power == 1.0 else power_transform(scaled, power)
    sd = float(shaped.std())
    is_equal = not sd > 1e-13 * max(1.0, float(np.abs(shaped).max()))
    return BoxCox(power, sign, unit, shift, float(shaped.mean()), 0.0 if is_equal else sd)


def boxcox_targets(results: FloatArray, is_warped: bool = True) -> Targets:
    """Return results with mean 0 and variance 1 after Box and Cox's transform, as :func:`warp_targets` does after its.

    Results a y with a > 0 get equal values.

    Args:
        results: ``(n,)`` finite numbers of any size; n may be 0.
        is_warped: Whether they are transformed; else only standardised.
    """
    if not len(results):
        return Targets(np.zeros(0), 1.0)
    transform = fit_boxcox(results, is_warped)
    return Targets(transform(results), transform.slope(float(results.max())))
