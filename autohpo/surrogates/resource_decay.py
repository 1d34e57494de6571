"""Kernels of curves that decay exponentially, with a random rate, towards what the configuration reaches in the end."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from autohpo.surrogates.arrays import FloatArray
from autohpo.surrogates.distinct import Grouping, Repeated, collect_both, kept_for, repeat_both
from autohpo.surrogates.kernels import Covariance, Explicit, Kernel
from autohpo.surrogates.priors import Prior
from autohpo.surrogates.resource_kernels import FIDELITY, Scale
from autohpo.surrogates.sections import Section


@dataclass(frozen=True, eq=False)
class DecayCurve(Kernel):
    """A curve that decays exponentially with a gamma distributed rate: gamma exp(-lambda r).

    Its mean is gamma kappa(r) and its covariance gamma^2 (kappa(r + r') - kappa(r) kappa(r')), with
    kappa(r) = (1 + lambda r / alpha)^-alpha the mean of exp(-lambda r) for rates of mean lambda and shape alpha.

    Attributes:
        scale: The scale of fidelities.
        alpha: The prior of the shape.
        rate: The prior of the mean rate.
        gamma: The prior of the height at nothing at all; curves that rise have a negative one.

    Source: Swersky, Snoek & Adams 2014, arXiv 1406.3896, eq. 6; Tiao et al. 2020, arXiv 2003.10865, the mean taken off.
    """

    scale: Scale
    alpha: Prior
    rate: Prior
    gamma: Prior

    def place(self, theta: FloatArray, coordinates: FloatArray) -> FloatArray:
        """``(n,)`` fidelities on the scale."""
        return self.scale.of(coordinates[:, FIDELITY])

    def covariance(self, theta: FloatArray, left: FloatArray, right: FloatArray | None = None) -> Covariance:
        """Return the covariances between placed rows."""
        decay, height = Decay(theta[0], theta[1], left, left if right is None else right), float(theta[2])

        def slopes() -> Sequence[FloatArray]:
            by_alpha, by_rate = decay.excess_slopes
            return [height * height * by_alpha, height * height * by_rate, 2.0 * height * decay.excess]

        return Explicit(height * height * decay.excess, slopes)

    def diagonal(self, theta: FloatArray, placed: FloatArray) -> FloatArray:
        """``(n,)`` the prior variances."""
        height = float(theta[2])
        twice, once = (kappa(theta[0], theta[1], r)[0] for r in (2.0 * placed, placed))
        variances: FloatArray = height * height * (twice - once * once)
        return variances

    @property
    def has_mean(self) -> bool:
        """Whether the mean differs between rows: it does."""
        return True

    def mean(self, theta: FloatArray, placed: FloatArray) -> FloatArray:
        """``(n,)`` the prior means."""
        means: FloatArray = theta[2] * kappa(theta[0], theta[1], placed)[0]
        return means

    def mean_by_parameters(self, theta: FloatArray, placed: FloatArray, by_mean: FloatArray) -> FloatArray:
        """``(P,)`` the gradient of a loss by the parameters, as far as it goes through the means."""
        value, by_alpha, by_rate = kappa(theta[0], theta[1], placed)
        return np.array([theta[2] * (by_mean @ by_alpha), theta[2] * (by_mean @ by_rate), by_mean @ value])


class Decay:
    """The mean decays at two sets of fidelities, and their products.

    Args:
        log_alpha: The logarithm of the shape of the rates.
        log_rate: The logarithm of their mean.
        left: ``(m,)`` fidelities on their scale.
        right: ``(n,)`` fidelities on their scale.

    Attributes:
        k1: ``(m, 1)`` the mean decay at the fidelities on the left, and its derivatives by both logarithms.
        k2: ``(1, n)`` the mean decay at those on the right, and its derivatives.
        k12: ``(m, n)`` the mean decay at their sums, and its derivatives.
    """

    def __init__(self, log_alpha: float, log_rate: float, left: FloatArray, right: FloatArray) -> None:
        self.k1 = kappa(log_alpha, log_rate, left[:, None])
        self.k2 = kappa(log_alpha, log_rate, right[None, :])
        self.k12 = kappa(log_alpha, log_rate, left[:, None] + right)

    @cached_property
    def excess(self) -> FloatArray:
        """``(m, n)`` the covariance of the decays: kappa(r + r') - kappa(r) kappa(r')."""
        return self.k12[0] - self.k1[0] * self.k2[0]

    @cached_property
    def excess_slopes(self) -> list[FloatArray]:
        """Derivatives of the excess by the logarithms of shape and mean rate."""
        k1, k2, k12 = self.k1, self.k2, self.k12
        return [k12[i] - k1[i] * k2[0] - k1[0] * k2[i] for i in (1, 2)]


def kappa(log_alpha: float, log_rate: float, r: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return the mean of exp(-lambda r) for gamma distributed rates, and its derivatives by both logarithms.

    Args:
        log_alpha: The logarithm of the shape of the rates.
        log_rate: The logarithm of their mean.
        r: Fidelities, at least 0.
    """
    alpha = math.exp(log_alpha)
    share = r * math.exp(log_rate - log_alpha)
    log_growth, part = np.log1p(share), share / (1.0 + share)
    value = np.exp(-alpha * log_growth)
    return value, value * alpha * (part - log_growth), -value * alpha * part


@dataclass(frozen=True, eq=False)
class Fading(Kernel):
    """Curves f(x) (1 - delta exp(-lambda r)) + gamma exp(-lambda r) of a rate that all share, with f of mean mu.

    With p = gamma - delta mu the mean is mu + kappa(r) p, and the covariance k(x, x') (1 - delta (k1 + k2 - delta k12))
    + p^2 (k12 - k1 k2), for k1, k2, k12 the mean decays at r, r' and r + r'.

    Attributes:
        inner: The kernel k of configurations.
        scale: The scale of fidelities.
        alpha: The prior of the shape of the rates.
        rate: The prior of their mean.
        gamma: The prior of the height at nothing at all; curves that rise have a negative one.
        mu: The prior of the mean of f.
        delta: The prior of the share of f that is missing at nothing at all, or that share.

    Source: Tiao et al. 2020, arXiv 2003.10865; the rates as in Swersky, Snoek & Adams 2014, arXiv 1406.3896, eq. 6.
    """

    inner: Kernel
    scale: Scale
    alpha: Prior
    rate: Prior
    gamma: Prior
    mu: Prior
    delta: Prior | float

    @cached_property
    def priors(self) -> Sequence[Prior]:
        """The prior of each parameter: of the inner kernel, shape, mean rate, gamma, mu, and delta where it is free."""
        own = [self.alpha, self.rate, self.gamma, self.mu]
        return [*self.inner.priors, *own, *([self.delta] if isinstance(self.delta, Prior) else [])]

    def _split(self, theta: FloatArray) -> tuple[FloatArray, Shape]:
        """The parameters of the inner kernel, and those of the curves."""
        n = len(self.inner.priors)
        log_alpha, log_rate, gamma, mu, *delta = theta[n:].tolist()
        share = self.delta if isinstance(self.delta, float) else math.exp(delta[0])
        return theta[:n], Shape(log_alpha, log_rate, gamma, mu, share, isinstance(self.delta, Prior))

    def place(self, theta: FloatArray, coordinates: FloatArray) -> tuple[Any, Repeated]:
        """Return what the inner kernel needs of the coordinates, and the fidelities that differ, on their scale."""
        groups = kept_for(self, coordinates, lambda: Grouping.of(coordinates, FIDELITY))
        levels = Repeated(self.scale.of(groups.kinds(coordinates)[:, FIDELITY]), groups)
        return self.inner.place(self._split(theta)[0], coordinates), levels

    def covariance(
        self, theta: FloatArray, left: tuple[Any, Repeated], right: tuple[Any, Repeated] | None = None
    ) -> Covariance:
        """Return the covariances between placed rows."""
        own, shape = self._split(theta)
        inner = self.inner.covariance(own, left[0], None if right is None else right[0])
        return _FadingCovariance(inner, shape, left[1], left[1] if right is None else right[1])

    def diagonal(self, theta: FloatArray, placed: tuple[Any, Repeated]) -> FloatArray:
        """``(n,)`` the prior variances."""
        (own, shape), (rows, levels) = self._split(theta), placed
        once, twice = (kappa(shape.log_alpha, shape.log_rate, x * levels.placed)[0] for x in (1.0, 2.0))
        share = levels.groups.repeat(1.0 - shape.delta * (2.0 * once - shape.delta * twice))
        rest = levels.groups.repeat(shape.excess**2 * (twice - once * once))
        variances: FloatArray = self.inner.diagonal(own, rows) * share + rest
        return variances

    def section(self, theta: FloatArray, known: tuple[Any, Repeated], row: FloatArray) -> Section | None:
        """Return the covariances of new configurations at one fidelity with the data."""
        (own, shape), levels = self._split(theta), known[1]
        here = self.scale.of(row[:, FIDELITY])
        share, rest = (levels.groups.repeat(x[0]) for x in shape.factors(here, levels.placed))
        variances = [float(x[0, 0]) for x in shape.factors(here, here)]
        inner = self.inner.section(own, known[0], row)
        varied = inner and inner * Section([], share, variances[0])
        return varied and varied + Section([], rest, variances[1])

    @property
    def has_mean(self) -> bool:
        """Whether the mean differs between rows: it does."""
        return True

    def mean(self, theta: FloatArray, placed: tuple[Any, Repeated]) -> FloatArray:
        """``(n,)`` the prior means."""
        shape, levels = self._split(theta)[1], placed[1]
        decayed = kappa(shape.log_alpha, shape.log_rate, levels.placed)[0]
        return levels.groups.repeat(shape.mu + decayed * shape.excess)

    def mean_by_parameters(self, theta: FloatArray, placed: tuple[Any, Repeated], by_mean: FloatArray) -> FloatArray:
        """``(P,)`` the gradient of a loss by the parameters, as far as it goes through the means."""
        (own, shape), by_level = self._split(theta), placed[1].groups.collect(by_mean)
        decayed, by_alpha, by_rate = (by_level @ k for k in kappa(shape.log_alpha, shape.log_rate, placed[1].placed))
        by_mu = by_level.sum() - shape.delta * decayed
        gradient = [shape.excess * by_alpha, shape.excess * by_rate, decayed, by_mu]
        by_delta = [-shape.delta * shape.mu * decayed] if shape.is_delta_free else []
        return np.concatenate([np.zeros(len(own)), gradient, by_delta])


@dataclass(frozen=True)
class Shape:
    """The parameters of curves that fade in.

    Attributes:
        log_alpha: The logarithm of the shape of the rates.
        log_rate: The logarithm of their mean.
        gamma: The height at nothing at all.
        mu: The mean in the end.
        delta: The share of what is reached in the end that is missing at nothing at all.
        is_delta_free: Whether that share is a parameter.
    """

    log_alpha: float
    log_rate: float
    gamma: float
    mu: float
    delta: float
    is_delta_free: bool

    @property
    def excess(self) -> float:
        """How much a mean curve falls from nothing at all to its end, p."""
        return self.gamma - self.delta * self.mu

    def factors(self, left: FloatArray, right: FloatArray) -> tuple[FloatArray, FloatArray]:
        """``(m, n)`` the factor of the kernel of configurations at two sets of fidelities, and what is added to it."""
        decay = Decay(self.log_alpha, self.log_rate, left, right)
        share = 1.0 - self.delta * (decay.k1[0] + decay.k2[0] - self.delta * decay.k12[0])
        return share, self.excess**2 * decay.excess


class _FadingCovariance(Covariance):
    def __init__(self, inner: Covariance, shape: Shape, left: Repeated, right: Repeated) -> None:
        self._inner, self._shape, self._left, self._right = inner, shape, left, right
        self._decay = Decay(shape.log_alpha, shape.log_rate, left.placed, right.placed)
        self._values = inner.matrix
        k1, k2, k12 = self._decay.k1[0], self._decay.k2[0], self._decay.k12[0]
        self._share = repeat_both(1.0 - shape.delta * (k1 + k2 - shape.delta * k12), left, right)

    @property
    def matrix(self) -> FloatArray:  # type: ignore[override]
        matrix = self._values * self._share
        matrix += repeat_both(self._shape.excess**2 * self._decay.excess, self._left, self._right)
        return matrix

    def by_parameters(self, by_matrix: FloatArray) -> FloatArray:
        decay, shape = self._decay, self._shape
        by_share = collect_both(by_matrix * self._values, self._left, self._right)
        by_rest = collect_both(by_matrix, self._left, self._right)
        by_rates = [
            -shape.delta * np.vdot(by_share, k1 + k2 - shape.delta * k12) + shape.excess**2 * np.vdot(by_rest, slope)
            for k1, k2, k12, slope in zip(decay.k1[1:], decay.k2[1:], decay.k12[1:], decay.excess_slopes, strict=True)
        ]
        by_excess = 2.0 * shape.excess * float(np.vdot(by_rest, decay.excess))
        by_delta = -float(np.vdot(by_share, decay.k1[0] + decay.k2[0] - 2.0 * shape.delta * decay.k12[0]))
        by_delta = shape.delta * (by_delta - shape.mu * by_excess)
        own = [*by_rates, by_excess, -shape.delta * by_excess, *([by_delta] if shape.is_delta_free else [])]
        return np.concatenate([self._inner.by_parameters(by_matrix * self._share), own])

    def by_left(self, by_matrix: FloatArray) -> FloatArray | float:
        return self._inner.by_left(by_matrix * self._share)
