"""Priors of the parameters of a model, their densities together, and the fit that keeps their bounds."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from autohpo.surrogates.arrays import BoolArray, FloatArray


@dataclass(frozen=True)
class Prior:
    """A normal prior of the logarithm of a positive parameter, and the bounds of the parameter itself.

    A parameter of any sign has a normal prior itself, and stands in vectors as it is.

    Attributes:
        mean: The mean of the logarithm.
        sd: The standard deviation of the logarithm; infinite for a flat prior.
        low: The lowest value of the parameter.
        high: The highest value.
        is_of_value: Whether the density is that of the parameter itself, which is lognormal: its mode is at
            exp(mean - sd^2), that of the logarithm's density at exp(mean).
        is_signed: Whether mean, deviation and vectors are of the parameter itself, not of its logarithm.
    """

    mean: float
    sd: float
    low: float
    high: float
    is_of_value: bool = False
    is_signed: bool = False

    @property
    def bounds(self) -> tuple[float, float]:
        """The lowest and the highest number that stands for the parameter in a vector."""
        return (self.low, self.high) if self.is_signed else (math.log(self.low), math.log(self.high))

    def value(self, number: float) -> float:
        """Return the parameter that a number in a vector stands for."""
        return number if self.is_signed else math.exp(number)

    def shifted(self, by: float) -> Prior:
        """The prior with another mean."""
        return replace(self, mean=self.mean + by)


class Priors:
    """The priors of several parameters, whose logarithms are a vector.

    Args:
        priors: The prior of each parameter.

    Attributes:
        low: ``(P,)`` the lowest vector.
        high: ``(P,)`` the highest vector.
        mode: ``(P,)`` the vector of the highest density.
    """

    def __init__(self, priors: Sequence[Prior]) -> None:
        self._means = np.array([prior.mean for prior in priors])
        self._sds = np.array([prior.sd for prior in priors])
        self._is_of_value: BoolArray = np.array([prior.is_of_value for prior in priors], dtype=bool)
        bounds = np.array([prior.bounds for prior in priors]).reshape(-1, 2)
        self.low: FloatArray = bounds[:, 0].copy()
        self.high: FloatArray = bounds[:, 1].copy()
        modes = np.where(self._is_of_value, self._means - self._sds**2, self._means)
        self.mode: FloatArray = np.clip(modes, self.low, self.high)

    def loss(self, vector: FloatArray) -> tuple[float, FloatArray]:
        """Minus the log density of a ``(P,)`` vector, up to a constant, and its ``(P,)`` gradient."""
        steps = (vector - self._means) / self._sds
        gradient = steps / self._sds
        gradient[self._is_of_value] += 1.0
        return 0.5 * float(steps @ steps) + float(vector[self._is_of_value].sum()), gradient


def minimize_loss(
    loss: Callable[[FloatArray], tuple[float, FloatArray]],
    starts: Sequence[FloatArray],
    priors: Priors,
    max_steps: int,
) -> FloatArray:
    """Return the ``(P,)`` vector of the lowest loss that a quasi-Newton method finds from some starts.

    Args:
        loss: The loss of a vector, and its gradient.
        starts: Vectors to begin from, at least one.
        priors: The priors of the parameters, whose bounds are kept.
        max_steps: The number of steps from each start.
    """
    from scipy.optimize import minimize

    found = [
        minimize(
            loss,
            np.clip(start, priors.low, priors.high),
            jac=True,
            method="L-BFGS-B",
            bounds=np.stack([priors.low, priors.high], axis=1),
            options={"maxiter": max_steps, "maxfun": 2 * max_steps, "ftol": 1e-7, "gtol": 1e-3},
        )
        for start in starts
    ]
    best: FloatArray = min(found, key=lambda result: float(result.fun)).x
    return best
