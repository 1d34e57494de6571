"""Kernels of a fidelity: how results of one training, or of all, change along learning curves.

The fidelity is the last coordinate but one, as the user counts it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np

from autohpo.surrogates.arrays import FloatArray
from autohpo.surrogates.kernels import Covariance, Explicit, Kernel
from autohpo.surrogates.priors import Prior
from autohpo.surrogates.warping import kumaraswamy

FIDELITY = -2
"""The coordinate with the fidelity."""


@dataclass(frozen=True)
class Scale:
    """A scale of fidelities on which the highest one is 1, and nothing at all is 0.

    Attributes:
        highest: The highest fidelity, above 0.
        kind: The scale: "linear", or "log" of 1 plus the fidelity in units of the lowest.
        lowest: The lowest fidelity, above 0.
    """

    highest: float
    kind: Literal["linear", "log"] = "linear"
    lowest: float = 1.0

    def of(self, fidelities: FloatArray) -> FloatArray:
        """Return fidelities on the scale."""
        if self.kind == "linear":
            return fidelities / self.highest
        scaled: FloatArray = np.log1p(fidelities / self.lowest) / math.log1p(self.highest / self.lowest)
        return scaled


@dataclass(frozen=True, eq=False)
class LogCurve(Kernel):
    """Random curves over the log of the fidelity, whose deviations may grow as a power of the fidelity.

    With s = log(r / R) the covariance is v exp(c (s + s')) m(|s - s'| / length): neither the unit of fidelity nor how
    many there are matters. Its parameters are those of v, length and c that are free.

    Attributes:
        highest: The highest fidelity R.
        variance: The prior of the variance v at the highest fidelity, or that variance.
        length: The prior of the length-scale, in natural logarithms of the fidelity.
        growth: The prior of the power c of the deviations, of any sign, or that power.
        is_smooth: Whether curves are differentiable, m(t) = (1 + t) exp(-t); else they are rough, m(t) = exp(-t).

    Source: Rasmussen & Williams 2006, eq. 4.14 with nu of 3/2 and 1/2 (for t in units of the square root of 2 nu).
    """

    highest: float
    variance: Prior | float
    length: Prior
    growth: Prior | float = 0.0
    is_smooth: bool = False

    def _numbers(self, theta: FloatArray) -> tuple[float, float, float]:
        """Return v, the length-scale and c."""
        numbers = iter(theta.tolist())
        variance = math.exp(next(numbers)) if isinstance(self.variance, Prior) else self.variance
        length = math.exp(next(numbers))
        return variance, length, next(numbers) if isinstance(self.growth, Prior) else self.growth

    def place(self, theta: FloatArray, coordinates: FloatArray) -> FloatArray:
        """``(n,)`` logarithms of the fidelities, in units of the highest."""
        logs: FloatArray = np.log(coordinates[:, FIDELITY] / self.highest)
        return logs

    def covariance(self, theta: FloatArray, left: FloatArray, right: FloatArray | None = None) -> Covariance:
        """Return the covariances between placed rows."""
        (variance, length, growth), right = self._numbers(theta), left if right is None else right
        scaled, total = np.abs(left[:, None] - right) / length, left[:, None] + right
        falling = variance * np.exp(growth * total - scaled)
        values = falling * (1.0 + scaled) if self.is_smooth else falling

        def slopes() -> Sequence[FloatArray]:
            by_length = falling * scaled * (scaled if self.is_smooth else 1.0)
            by_variance = [values] if isinstance(self.variance, Prior) else []
            return [*by_variance, by_length, *([values * total] if isinstance(self.growth, Prior) else [])]

        return Explicit(values, slopes)

    def diagonal(self, theta: FloatArray, placed: FloatArray) -> FloatArray:
        """``(n,)`` the prior variances."""
        variance, _, growth = self._numbers(theta)
        variances: FloatArray = variance * np.exp(2.0 * growth * placed)
        return variances


@dataclass(frozen=True, eq=False)
class Rescaled(Kernel):
    """A kernel that sees the fidelity on a scale from 0 to 1, which may be warped.

    Its parameters are those of the kernel, then the logarithms of the two exponents of the warp.

    Attributes:
        inner: The kernel.
        scale: The scale of fidelities.
        warp: The prior of both exponents of Kumaraswamy's warp; None where there is none.

    Source: Snoek et al. 2014, arXiv 1402.0929.
    """

    inner: Kernel
    scale: Scale
    warp: Prior | None = None

    @cached_property
    def priors(self) -> Sequence[Prior]:
        """The prior of each parameter."""
        return [*self.inner.priors, *([] if self.warp is None else [self.warp] * 2)]

    def _split(self, theta: FloatArray) -> tuple[FloatArray, FloatArray]:
        n = len(self.inner.priors)
        return theta[:n], theta[n:]

    def place(self, theta: FloatArray, coordinates: FloatArray) -> tuple[Any, Sequence[FloatArray]]:
        """Return the rows on the scale, and the derivatives of their fidelities by the exponents' logarithms."""
        own, warp = self._split(theta)
        scaled = self.scale.of(coordinates[:, FIDELITY])
        slopes: list[FloatArray] = []
        if len(warp):
            scaled, _, *slopes = kumaraswamy(scaled, *np.exp(warp))
        rows = coordinates.copy()
        rows[:, FIDELITY] = scaled
        return self.inner.place(own, rows), slopes

    def covariance(self, theta: FloatArray, left: Any, right: Any | None = None) -> Covariance:
        """Return the covariances between placed rows."""
        inner = self.inner.covariance(self._split(theta)[0], left[0], None if right is None else right[0])
        return _RescaledCovariance(inner, left[1])

    def diagonal(self, theta: FloatArray, placed: Any) -> FloatArray:
        """``(n,)`` the prior variances."""
        return self.inner.diagonal(self._split(theta)[0], placed[0])

    def lengths(self, theta: FloatArray) -> FloatArray | None:
        """``(k,)`` the length-scales of the first k coordinates; None where the kernel takes no distances."""
        return self.inner.lengths(self._split(theta)[0])


class _RescaledCovariance(Covariance):
    def __init__(self, inner: Covariance, slopes: Sequence[FloatArray]) -> None:
        self._inner, self._slopes = inner, slopes

    @property
    def matrix(self) -> FloatArray:  # type: ignore[override]
        return self._inner.matrix

    def by_parameters(self, by_matrix: FloatArray) -> FloatArray:
        gradient = self._inner.by_parameters(by_matrix)
        if not self._slopes:
            return gradient
        by_fidelity = np.asarray(self._inner.by_left(by_matrix))[:, FIDELITY]
        return np.concatenate([gradient, [by_fidelity @ slope for slope in self._slopes]])

    def by_left(self, by_matrix: FloatArray) -> FloatArray | float:
        return self._inner.by_left(by_matrix)


@dataclass(frozen=True, eq=False)
class Folds(Kernel):
    """The covariance of means over r and over r' folds, of which each adds an independent residual: 1 / max(r, r').

    Source: Swersky, Snoek & Adams 2013, NeurIPS 26, section 3.2 (averages over folds).
    """

    def place(self, theta: FloatArray, coordinates: FloatArray) -> FloatArray:
        """``(n,)`` fidelities."""
        return coordinates[:, FIDELITY]

    def covariance(self, theta: FloatArray, left: FloatArray, right: FloatArray | None = None) -> Covariance:
        """Return the covariances between placed rows."""
        return Explicit(1.0 / np.maximum(left[:, None], left if right is None else right))

    def diagonal(self, theta: FloatArray, placed: FloatArray) -> FloatArray:
        """``(n,)`` the prior variances."""
        return 1.0 / placed
