"""Curves of results over fidelities, given where they end: a state that rises with shocks, or an exponential decay."""

from __future__ import annotations

import dataclasses
import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from autohpo.surrogates.arrays import FloatArray
from autohpo.surrogates.gp import NOISE
from autohpo.surrogates.priors import Prior

DECAY = Prior(math.log(0.5), 1.0, 1e-3, 5.0)
"""The prior of the exponent with which the steps of a state space model decay."""
RISE = Prior(0.0, 1.0, math.exp(-5.0), math.exp(5.0))
"""The prior of the height of the steps."""
SHOCK = Prior(0.0, 1.0, 1e-3, 10.0)
"""The prior of how much of the noise of a result stays in the state, in steps."""
SHAPE = Prior(0.0, 1.5, 1e-3, 250.0)
"""The prior of the shape of the distribution of decay rates: the larger, the more alike they are."""
RATE = Prior(math.log(0.5), 1.5, 1e-4, 50.0)
"""The prior of the mean decay rate."""
GAP = Prior(math.log(0.5), 1.0, 1e-4, 20.0)
"""The prior of how far below its end a curve begins."""


class Curve(ABC):
    """A normal distribution of a curve relative to its end h: results y_r = f_r + noise, of f_r = h + (what is here).

    Its parameters are positive, and given as the vector of their logarithms; the last one is the variance of the
    noise. Positions are what :meth:`place` makes of fidelities.
    """

    @property
    def priors(self) -> Sequence[Prior]:
        """The prior of each parameter: those among the fields of the dataclass, in their order."""
        values = (getattr(self, field.name) for field in dataclasses.fields(self))  # type: ignore[arg-type]
        return [value for value in values if isinstance(value, Prior)]

    @abstractmethod
    def place(self, fidelities: FloatArray) -> FloatArray:
        """``(n,)`` the positions of fidelities; results of a configuration at one position are one result."""

    @abstractmethod
    def mean(self, theta: FloatArray, at: FloatArray) -> tuple[FloatArray, FloatArray]:
        """``(...)`` means of f - h at positions, and ``(P, ...)`` their derivatives by the parameters."""

    @abstractmethod
    def results(self, theta: FloatArray, at: FloatArray) -> tuple[FloatArray, FloatArray]:
        """``(G, K, K)`` covariances of y - h at ``(G, K)`` positions, and ``(P, G, K, K)`` their derivatives."""

    @abstractmethod
    def values(self, theta: FloatArray, left: FloatArray, right: FloatArray) -> FloatArray:
        """``(...)`` covariances of f - h at two arrays of positions that broadcast."""

    @abstractmethod
    def cross(self, theta: FloatArray, left: FloatArray, right: FloatArray) -> FloatArray:
        """``(...)`` covariances of f - h at positions on the left with y - h at positions on the right."""

    def noisy(self, theta: FloatArray, left: FloatArray, right: FloatArray) -> FloatArray:
        """``(...)`` covariances of y - h at two arrays of positions that broadcast; one position is one result."""
        crossed = self.cross(theta, left, right) + self.cross(theta, right, left)
        found: FloatArray = crossed - self.values(theta, left, right) + np.exp(theta[-1]) * (left == right)
        return found

    def describe(self) -> dict[str, Any]:
        """Return the kind of the curve and its priors, in JSON types."""
        fields = dataclasses.fields(self)  # type: ignore[arg-type]
        found = {field.name: getattr(self, field.name) for field in fields}
        plain = {name: dataclasses.asdict(v) if isinstance(v, Prior) else v for name, v in found.items()}
        return {"kind": type(self).__name__, **plain}


@dataclass(frozen=True, eq=False)
class StateSpace(Curve):
    """A state that rises by a_r (1 + gamma eps_r) at each level, with a_r = alpha r^(-alpha - 1) beta, and ends at h.

    Results are the state plus eps_r, the same shock that stays in the state, of variance s^2. So f_r is h less the
    steps above r, and its variance is that of the steps' shocks, gamma^2 s^2 times the sum of their squares. Results
    rise with the fidelity on average; r counts the levels from 1, and every level up to the last has a step, whether
    its result was reported or not.

    Attributes:
        levels: The fidelities at which the state steps, rising; the last is the highest fidelity.
        decay: The prior of alpha.
        rise: The prior of beta, the factor of all steps.
        shock: The prior of gamma; None where gamma is 1.
        noise: The prior of s^2.

    Source: Seeger, Salinas & Flunkert 2016, NeurIPS 29 (innovation state space models); the trend and the options are
        those of Syne Tune's `gp_issm`, whose variance of the steps above the last result lacks the factor s^2.
    """

    levels: Sequence[float]
    decay: Prior = DECAY
    rise: Prior = RISE
    shock: Prior | None = SHOCK
    noise: Prior = NOISE

    def __post_init__(self) -> None:
        if not len(self.levels) or not (np.diff(self.levels) > 0).all():
            raise ValueError(f"levels: must be one fidelity or more, rising, got {list(self.levels)}")

    def place(self, fidelities: FloatArray) -> FloatArray:
        """``(n,)`` the numbers of levels up to each fidelity, at least 1."""
        numbers = np.searchsorted(np.asarray(self.levels, dtype=float), fidelities, side="right")
        at: FloatArray = np.maximum(numbers, 1).astype(float)
        return at

    @cached_property
    def _logs(self) -> FloatArray:
        """``(R,)`` log r of the levels."""
        logs: FloatArray = np.log(np.arange(1.0, len(self.levels) + 1.0))
        return logs

    def _steps(self, theta: FloatArray) -> tuple[FloatArray, FloatArray]:
        """``(R,)`` the steps a_r, and their derivatives by log alpha; by log beta they are their own."""
        alpha = float(np.exp(theta[0]))
        steps = np.exp(theta[0] + theta[1] - (alpha + 1.0) * self._logs)
        return steps, steps * (1.0 - alpha * self._logs)

    def _split(self, theta: FloatArray) -> tuple[float, float]:
        """Return gamma and s^2."""
        return (1.0 if self.shock is None else float(np.exp(theta[2]))), float(np.exp(theta[-1]))

    def mean(self, theta: FloatArray, at: FloatArray) -> tuple[FloatArray, FloatArray]:
        """``(...)`` minus the sums of the steps above, and their derivatives."""
        steps, slopes = self._steps(theta)
        means = -_tail(steps)[at.astype(np.int64)]
        by = np.zeros((len(theta), *at.shape))
        by[0], by[1] = -_tail(slopes)[at.astype(np.int64)], means
        return means, by

    def results(self, theta: FloatArray, at: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Covariances of results: (eps_r - gamma sum of a_s eps_s over s > r) times itself."""
        (steps, slopes), (gamma, variance) = self._steps(theta), self._split(theta)
        later = np.maximum(at[:, :, None], at[:, None, :]).astype(np.int64)
        own = variance * np.eye(at.shape[1])
        is_other = variance * gamma * (1.0 - np.eye(at.shape[1]))
        tails = variance * gamma**2 * _tail(steps**2)[later]
        shared = is_other * steps[later - 1]  # the shock of the later result, which the earlier one is below
        by = np.zeros((len(theta), *later.shape))
        by[0] = 2.0 * variance * gamma**2 * _tail(steps * slopes)[later] - is_other * slopes[later - 1]
        by[1] = 2.0 * tails - shared
        if self.shock is not None:
            by[2] = by[1]
        covariances = own + tails - shared
        by[-1] = covariances
        return covariances, by

    def values(self, theta: FloatArray, left: FloatArray, right: FloatArray) -> FloatArray:
        """Covariances of states: those of the shocks of the steps above both."""
        (steps, _), (gamma, variance) = self._steps(theta), self._split(theta)
        found: FloatArray = variance * gamma**2 * _tail(steps**2)[np.maximum(left, right).astype(np.int64)]
        return found

    def cross(self, theta: FloatArray, left: FloatArray, right: FloatArray) -> FloatArray:
        """Covariances of states with results: those of states, and the shock of a later result."""
        (steps, _), (gamma, variance) = self._steps(theta), self._split(theta)
        shared = np.where(right > left, variance * gamma * steps[right.astype(np.int64) - 1], 0.0)
        found: FloatArray = self.values(theta, left, right) - shared
        return found


def _tail(steps: FloatArray) -> FloatArray:
    """``(R + 1,)`` the sums of the values above each level, by its number; 0 above the last."""
    return np.append(np.cumsum(steps[::-1])[::-1], 0.0)


@dataclass(frozen=True, eq=False)
class ExponentialDecay(Curve):
    """A curve that is below its end by gamma exp(-lambda r), with a rate lambda of its own.

    The rates have a gamma distribution with the shape alpha and a given mean, so that the mean of exp(-lambda r) is
    kappa(r) = (b / (r + b))^alpha with b = alpha over the mean rate. Results have independent noise.

    Attributes:
        unit: The fidelity that counts as 1: 1, or the highest one for fidelities in [0, 1].
        shape: The prior of alpha.
        rate: The prior of the mean rate.
        gap: The prior of gamma.
        noise: The prior of the variance of the noise.

    Source: Swersky et al. 2014, arXiv 1406.3896 (freeze-thaw); Tiao et al. 2020, arXiv 2003.10865, section 4 (the mean,
        and the covariance around it).
    """

    unit: float = 1.0
    shape: Prior = SHAPE
    rate: Prior = RATE
    gap: Prior = GAP
    noise: Prior = NOISE

    def __post_init__(self) -> None:
        if not self.unit > 0:
            raise ValueError(f"unit: must be above 0, got {self.unit}")

    def place(self, fidelities: FloatArray) -> FloatArray:
        """``(n,)`` fidelities in units."""
        return fidelities / self.unit

    def _kappa(self, theta: FloatArray, at: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        """``(...)`` kappa at positions, and its derivatives by the logarithms of alpha and of the mean rate."""
        alpha = float(np.exp(theta[0]))
        scaled = at * float(np.exp(theta[1] - theta[0]))  # r / b
        logs, shares = np.log1p(scaled), scaled / (1.0 + scaled)
        kappa = np.exp(-alpha * logs)
        return kappa, kappa * alpha * (shares - logs), -kappa * alpha * shares

    def mean(self, theta: FloatArray, at: FloatArray) -> tuple[FloatArray, FloatArray]:
        """``(...)`` -gamma kappa(r), and the derivatives."""
        gamma = float(np.exp(theta[2]))
        kappa, *slopes = self._kappa(theta, at)
        by = np.zeros((len(theta), *at.shape))
        by[0], by[1], by[2] = -gamma * slopes[0], -gamma * slopes[1], -gamma * kappa
        return -gamma * kappa, by

    def results(self, theta: FloatArray, at: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Covariances gamma^2 (kappa(r + r') - kappa(r) kappa(r')), and the noise."""
        square, variance = float(np.exp(2.0 * theta[2])), float(np.exp(theta[-1]))
        kappa, *slopes = self._kappa(theta, at)
        together, *joint = self._kappa(theta, at[:, :, None] + at[:, None, :])
        values = square * (together - kappa[:, :, None] * kappa[:, None, :])
        by = np.empty((len(theta), *values.shape))
        for p in range(2):
            half = slopes[p][:, :, None] * kappa[:, None, :]
            by[p] = square * (joint[p] - half - half.transpose(0, 2, 1))
        by[2] = 2.0 * values
        by[3] = variance * np.eye(at.shape[1])
        return values + by[3], by

    def values(self, theta: FloatArray, left: FloatArray, right: FloatArray) -> FloatArray:
        """Covariances gamma^2 (kappa(r + r') - kappa(r) kappa(r'))."""
        together = self._kappa(theta, left + right)[0]
        found: FloatArray = np.exp(2.0 * theta[2]) * (
            together - self._kappa(theta, left)[0] * self._kappa(theta, right)[0]
        )
        return found

    def cross(self, theta: FloatArray, left: FloatArray, right: FloatArray) -> FloatArray:
        """Covariances of the curve with results: noise is no part of them."""
        return self.values(theta, left, right)
