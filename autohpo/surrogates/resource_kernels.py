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
    """Random curves over the log of the fidelity, whose deviations die out with the distance: exp(-|s - s'| / length).

    The unit of fidelity does not matter, nor how many there are. Its parameters are the variance and the length-scale
    in natural logarithms of the fidelity.

    Attributes:
        variance: The prior of the variance.
        length: The prior of the length-scale.

    Source: Rasmussen & Williams 2006, eq. B.27 (the Ornstein-Uhlenbeck process).
    """

    variance: Prior
    length: Prior

    def place(self, theta: FloatArray, coordinates: FloatArray) -> FloatArray:
        """``(n,)`` logarithms of the fidelities."""
        logs: FloatArray = np.log(coordinates[:, FIDELITY])
        return logs

    def covariance(self, theta: FloatArray, left: FloatArray, right: FloatArray | None = None) -> Covariance:
        """Return the covariances between placed rows."""
        scaled = np.abs(left[:, None] - (left if right is None else right)) / math.exp(theta[1])
        values = math.exp(theta[0]) * np.exp(-scaled)
        return Explicit(values, lambda: [values, values * scaled])

    def diagonal(self, theta: FloatArray, placed: FloatArray) -> FloatArray:
        """``(n,)`` the variance everywhere."""
        return np.full(len(placed), math.exp(theta[0]))


@dataclass(frozen=True, eq=False)
class Similarity(Kernel):
    """How alike two fidelities are: the covariance of a :class:`LogCurve` of variance 1.

    Attributes:
        length: The prior of the length-scale, in natural logarithms of the fidelity.
    """

    length: Prior

    def place(self, theta: FloatArray, coordinates: FloatArray) -> FloatArray:
        """``(n,)`` logarithms of the fidelities."""
        logs: FloatArray = np.log(coordinates[:, FIDELITY])
        return logs

    def covariance(self, theta: FloatArray, left: FloatArray, right: FloatArray | None = None) -> Covariance:
        """Return the similarities between placed rows."""
        scaled = np.abs(left[:, None] - (left if right is None else right)) / math.exp(theta[0])
        values = np.exp(-scaled)
        return Explicit(values, lambda: [values * scaled])

    def diagonal(self, theta: FloatArray, placed: FloatArray) -> FloatArray:
        """``(n,)`` ones."""
        return np.ones(len(placed))


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
