"""Gaussian processes of results at several fidelities: all configurations and their learning curves in one model."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from autohpo.surrogates import gp
from autohpo.surrogates.distinct import Curves, Distinct
from autohpo.surrogates.effects import MainEffects, Noise
from autohpo.surrogates.embedding import Embedding
from autohpo.surrogates.gp import EFFECTS, GaussianProcess
from autohpo.surrogates.kernels import Kernel, Product, Sum
from autohpo.surrogates.matern import Matern52
from autohpo.surrogates.priors import Prior
from autohpo.surrogates.resource_decay import DecayCurve, Fading
from autohpo.surrogates.resource_kernels import Folds, LogCurve, Rescaled, Scale

FIDELITY, NUMBER = -2, -1
"""The coordinates of the fidelity and of the number of the configuration."""

NOISE = Prior(math.log(0.01), 1.0, 1e-7, 10.0)
"""The prior of the variance of the noise."""
LENGTH, SCALE = replace(gp.LENGTH, low=1e-3, high=1e4), replace(gp.SCALE, low=1e-4, high=1e3)
"""The priors of single results, with bounds that no curve reaches."""
CURVE_LENGTH = Prior(0.6, 1.0, 1e-3, 1e4, is_of_value=True)
"""The prior of a length-scale in one dimension where each configuration has a curve of its own.

It is narrower than that of single results: curves repeat a configuration, and tell less about length-scales.
"""
CURVE_SCALE = Prior(0.0, 0.5, 1e-3, 1e3)
"""The prior of the variance that the Matern kernel explains at the highest fidelity, beside such curves."""
OWN_VARIANCE, OWN_LENGTH = Prior(math.log(0.2), 0.4, 1e-6, 50.0), Prior(math.log(2.5), 0.7, 0.01, 200.0)
"""The priors of the curve that each configuration has of its own; lengths are natural logarithms of fidelities."""
COMMON_VARIANCE, COMMON_LENGTH = Prior(math.log(3.0), 1.0, 1e-4, 1000.0), Prior(math.log(6.0), 0.7, 0.02, 500.0)
"""The priors of the curve that all configurations share."""
ALIKE_LENGTH = Prior(math.log(5.0), 0.5, 0.05, 500.0)
"""The prior of how far apart fidelities rank configurations alike."""
PASSING_VARIANCE, PASSING_LENGTH = Prior(math.log(0.4), 1.0, 1e-5, 50.0), Prior(math.log(2.0), 0.7, 0.01, 200.0)
"""The priors of what is good at some fidelities alone, in units of the variance at the highest fidelity."""
GROWTH = Prior(0.0, 0.4, -5.0, 5.0, is_signed=True)
"""The prior of the power of the fidelity with which differences between configurations grow."""
ALPHA, RATE = Prior(0.0, 1.0, 1e-3, 1e3), Prior(1.0, 1.0, 1e-3, 1e3)
"""The priors of shape and mean of the rates at which curves decay, with the highest fidelity as unit."""
GAMMA, MU = Prior(-1.0, 2.0, -1e3, 1e3, is_signed=True), Prior(0.0, 1.0, -1e2, 1e2, is_signed=True)
"""The priors of the height of curves at nothing at all, and of their mean in the end."""
DELTA = Prior(math.log(0.5), 0.7, 1e-4, 10.0)
"""The prior of the share of what is reached in the end that is missing at nothing at all."""
WARP = Prior(0.0, 0.75, 0.01, 100.0)
"""The prior of the two exponents of the warp of fidelities."""
RESIDUAL = Prior(math.log(0.3), 1.0, 1e-5, 50.0)
"""The prior of the variance of a fold."""

ResourceKernel = Literal[
    "log-resource",
    "exp-decay-sum",
    "exp-decay-combined",
    "exp-decay-delta1",
    "freeze-thaw",
    "matern52",
    "matern52-res-warp",
    "cross-validation",
]
"""The names of kernels over configurations and fidelities."""


def multi_fidelity_process(
    embedding: Embedding,
    kernel: ResourceKernel = "log-resource",
    *,
    max_fidelity: float,
    min_fidelity: float | None = None,
    scale: Literal["linear", "log"] = "linear",
    noise: Prior = NOISE,
    own: tuple[Prior, Prior] = (OWN_VARIANCE, OWN_LENGTH),
) -> GaussianProcess:
    """Return a process of results of configurations at fidelities.

    Its points have two more columns than the unit cube: the fidelity, above 0, as the user counts it; and the number
    of the configuration, which all results of one training share, and no two trainings. The mask has not.

    Args:
        embedding: The embedding of the points.
        kernel: The name of the covariance.
        max_fidelity: The highest fidelity.
        min_fidelity: The lowest fidelity, which a log scale needs; None for a hundredth of the highest.
        scale: The scale of fidelities where the kernel is one of exponential decay, or of distances.
        noise: The prior of the variance of the noise.
        own: The priors of the variance and the length of each configuration's own curve, for "log-resource".

    Raises:
        ValueError: An unknown name, or fidelities that are not above 0 and finite.
    """
    lowest = max_fidelity / 100.0 if min_fidelity is None else min_fidelity
    if not 0.0 < lowest <= max_fidelity < math.inf:
        raise ValueError(f"max_fidelity: must be finite and above 0 and min_fidelity, got {max_fidelity}, {lowest}")
    if kernel not in _MAKERS:
        raise ValueError(f"kernel: must be one of {', '.join(_MAKERS)}, got {kernel!r}")
    parts = _Parts(embedding, Scale(max_fidelity, scale, lowest), own)
    body = _MAKERS[kernel](parts)
    precision = math.inf if isinstance(body, Fading) else 1.0  # the mean is one of its parameters
    parts_of_sum = body.parts if isinstance(body, Sum) else (body,)
    return GaussianProcess(embedding, Sum((*parts_of_sum, Noise([noise]))), precision)


@dataclass(frozen=True, eq=False)
class _Parts:
    """What the kernels are made of."""

    embedding: Embedding
    scale: Scale
    own: tuple[Prior, Prior]

    @property
    def n_coordinates(self) -> int:
        """The number of coordinates of a configuration."""
        return len(self.embedding.owner)

    def shifted(self, length: Prior) -> Prior:
        """The prior of length-scales in this space, which grow as distances do, from that in one dimension."""
        return length.shifted(0.5 * math.log(max(len(self.embedding.optional), 1)))

    @property
    def effects(self) -> Kernel:
        """The main effects of the choices."""
        e = self.embedding
        shares = np.where(e.is_category, 2.0 / max(len(e.categories), 1), 0.0)
        return MainEffects(np.concatenate([shares, np.zeros(2)]), EFFECTS)

    def once(self, kernel: Kernel) -> Distinct:
        """A kernel of configurations that is computed once for each of them."""
        return Distinct(kernel, NUMBER, self.n_coordinates)

    def configurations(self, length: Prior = LENGTH, variance: Prior = SCALE) -> Distinct:
        """The kernel of configurations: distances, and main effects where there are choices."""
        matern = Matern52(self.embedding.owner, [self.shifted(length)] * len(self.embedding.optional), variance)
        return self.once(Sum((matern, self.effects)) if len(self.embedding.categories) else matern)

    def decay(self) -> DecayCurve:
        """The kernel of decaying curves."""
        return DecayCurve(self.scale, ALPHA, RATE, GAMMA)


def _log_resource(parts: _Parts) -> Kernel:
    """A function of configurations and fidelities, a curve of each configuration's own, and one that all share.

    The function has a part that ranks configurations alike at most fidelities, and one that passes.
    """
    highest = parts.scale.highest
    lasting = LogCurve(highest, 1.0, ALIKE_LENGTH, GROWTH, is_smooth=True)
    passing = LogCurve(highest, PASSING_VARIANCE, PASSING_LENGTH)
    alike = Distinct(Sum((lasting, passing)), FIDELITY)
    common = Distinct(LogCurve(highest, COMMON_VARIANCE, COMMON_LENGTH), FIDELITY)
    own = Curves(LogCurve(highest, *parts.own, GROWTH))
    return Sum((Product((parts.configurations(CURVE_LENGTH, CURVE_SCALE), alike)), common, own))


def _exp_decay_sum(parts: _Parts) -> Kernel:
    """A kernel of configurations, and one decay that all share."""
    return Sum((parts.configurations(), Distinct(parts.decay(), FIDELITY)))


def _fading(parts: _Parts, delta: Prior | float) -> Kernel:
    """Results that fade in, and one decay that all share."""
    return Fading(parts.configurations(), parts.scale, ALPHA, RATE, GAMMA, MU, delta)


def _freeze_thaw(parts: _Parts) -> Kernel:
    """A kernel of configurations, and a decay of each one's own."""
    return Sum((parts.configurations(), Curves(parts.decay())))


def _matern(parts: _Parts, warp: Prior | None) -> Kernel:
    """A Matern kernel of configurations and fidelities together."""
    e = parts.embedding
    owner, lengths = np.append(e.owner, len(e.optional)), [parts.shifted(LENGTH)] * len(e.optional)
    joint = Rescaled(Matern52(owner, [*lengths, LENGTH], SCALE), parts.scale, warp)
    return Sum((joint, parts.once(parts.effects))) if len(e.categories) else joint


def _cross_validation(parts: _Parts) -> Kernel:
    """A kernel of configurations, and one of independent folds with a single length-scale."""
    residual = Matern52(np.zeros(parts.n_coordinates, dtype=np.int64), [parts.shifted(LENGTH)], RESIDUAL)
    folds = Product((parts.once(residual), Distinct(Folds(), FIDELITY)))
    return Sum((parts.configurations(), folds))


_MAKERS: dict[str, Callable[[_Parts], Kernel]] = {
    "log-resource": _log_resource,
    "exp-decay-sum": _exp_decay_sum,
    "exp-decay-combined": lambda parts: _fading(parts, DELTA),
    "exp-decay-delta1": lambda parts: _fading(parts, 1.0),
    "freeze-thaw": _freeze_thaw,
    "matern52": lambda parts: _matern(parts, None),
    "matern52-res-warp": lambda parts: _matern(parts, WARP),
    "cross-validation": _cross_validation,
}

KERNELS = tuple(_MAKERS)
"""The names of kernels over configurations and fidelities."""
