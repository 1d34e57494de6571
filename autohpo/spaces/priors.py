"""Priors: what is believed about a parameter before the search, as a stretching of its scale."""

from __future__ import annotations

import math
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from autohpo.errors import SpaceError, shown
from autohpo.spaces.index import plain
from autohpo.spaces.tagged import Described

FloatArray = NDArray[np.float64]

N_NODES = 1025
"""The number of nodes in the table of a smooth prior; between them its density is taken as constant."""


@dataclass(frozen=True)
class Scale:
    """What a prior must know about a parameter.

    Attributes:
        name: The name of the parameter.
        place: A function that returns the place of a legal value on the scale, from 0 to 1; None for values in no
            order.
        length: The length of the scale, in the parameter's own units or in natural logarithms; None without units.
        n_values: The number of values, each with a part of the scale; None where they cannot be counted.
        index_of: A function that returns the index of a value that can be counted, from 0; -1 for others.
    """

    name: str
    place: Callable[[Any], float] | None = None
    length: float | None = None
    n_values: int | None = None
    index_of: Callable[[Any], int] | None = None


@dataclass(frozen=True)
class Warp:
    """A rising map of [0, 1] on itself, linear between its nodes: from places on a scale to the unit interval.

    Attributes:
        places: ``(k,)`` from 0 to 1, rising.
        units: ``(k,)`` from 0 to 1, rising: the prior probability of lying below each place.
    """

    places: FloatArray
    units: FloatArray

    def to_units(self, places: FloatArray) -> FloatArray:
        """Return the prior probability of lying below each place."""
        units: FloatArray = np.interp(places, self.places, self.units)
        return units

    def to_places(self, units: FloatArray) -> FloatArray:
        """Return the places below which the prior has each probability."""
        places: FloatArray = np.interp(units, self.units, self.places)
        return places


class Prior(Described, ABC):
    """What is believed about a parameter: any kind that has an order or countable values takes it as ``prior=``.

    A prior is part of the encoding. It stretches the unit interval where it is dense, so every algorithm draws from
    it, and searches finest where it is largest. A share of every prior is uniform: no value is ever out of reach.

    Source: Ramachandran et al. 2020, Knowledge-Based Systems 195 (warping by the prior's distribution function).
    """

    uniform_share: ClassVar[float] = 1e-3

    @abstractmethod
    def below(self, scale: Scale, places: FloatArray) -> FloatArray:
        """Return the prior's mass below each place, up to a factor and a constant.

        Raises:
            SpaceError: The prior does not suit the scale.
        """

    def nodes(self, scale: Scale) -> FloatArray:
        """Return the ``(k,)`` places of the table, from 0 to 1, rising."""
        return np.linspace(0.0, 1.0, N_NODES)

    def warp(self, scale: Scale) -> Warp:
        """Return the map that makes the prior uniform.

        Raises:
            SpaceError: The prior does not suit the scale, or has no mass there.
        """
        places = self.nodes(scale)
        below = self.below(scale, places)
        mass = float(below[-1] - below[0])
        if not (mass > 0 and math.isfinite(mass)):
            raise SpaceError(f"{scale.name}: prior must have mass between low and high, got {self}")
        units = self.uniform_share * places + (1 - self.uniform_share) * (below - below[0]) / mass
        units[0], units[-1] = 0.0, 1.0
        return Warp(places, units)


@dataclass(frozen=True, eq=False, repr=False)
class NormalPrior(Prior):
    """A normal distribution, cut at the ends.

    Args:
        mean: A value of the parameter; on a log scale, the median of the log-normal distribution.
        sd: The standard deviation: in the parameter's own units, on a log scale in natural logarithms
            (``math.log(10)`` is a factor of ten).

    Raises:
        SpaceError: `sd` is not positive; or, once given to a parameter, that parameter is not a range.
    """

    mean: float
    sd: float

    def __post_init__(self) -> None:
        if not (_is_number(self.mean) and _is_number(self.sd) and self.sd > 0):
            raise SpaceError(
                f"NormalPrior: mean must be a number and sd a positive one, got {shown(self.mean)}, {shown(self.sd)}"
            )

    def _normal(self, scale: Scale) -> tuple[float, float]:
        if scale.place is None or scale.length is None:
            rule = "prior must not be a NormalPrior where values are not a range of numbers"
            raise SpaceError(f"{scale.name}: {rule}, got {self}; give a Belief or weights")
        return scale.place(self.mean), self.sd / scale.length

    def nodes(self, scale: Scale) -> FloatArray:
        """Return evenly spaced places, and more of them where the density changes."""
        mean, sd = self._normal(scale)
        return _finer(mean, sd)

    def below(self, scale: Scale, places: FloatArray) -> FloatArray:
        """Return the normal distribution function."""
        return _normal_below(*self._normal(scale), places)


@dataclass(frozen=True, eq=False, repr=False)
class BetaPrior(Prior):
    """A beta distribution from `low` to `high`, on the parameter's scale.

    Args:
        a: The first shape, positive; above 1 the density vanishes at `low`.
        b: The second shape, positive; above 1 the density vanishes at `high`.

    Raises:
        SpaceError: A shape is not positive; or, once given to a parameter, its values have no order.
    """

    a: float
    b: float

    def __post_init__(self) -> None:
        if not (_is_number(self.a) and _is_number(self.b) and self.a > 0 and self.b > 0):
            raise SpaceError(f"BetaPrior: a and b must be positive numbers, got {shown(self.a)}, {shown(self.b)}")

    def below(self, scale: Scale, places: FloatArray) -> FloatArray:
        """Return the beta distribution function."""
        from scipy.special import betainc  # here, because importing autohpo must stay light

        if scale.place is None:
            rule = "prior must not be a BetaPrior where values have no order"
            raise SpaceError(f"{scale.name}: {rule}, got {self}; give a Belief or weights")
        below: FloatArray = betainc(self.a, self.b, places)
        return below


@dataclass(frozen=True, eq=False, repr=False)
class WeightedPrior(Prior):
    """A weight for each value; or, for floats without a step, for each of as many equal parts of the scale.

    Args:
        weights: Numbers of at least 0, not all 0.

    Raises:
        SpaceError: A weight is negative or all are 0; or, once given to a parameter, they are too few or too many.
    """

    weights: tuple[float, ...]

    def __init__(self, weights: Sequence[float]) -> None:
        if not _is_list(weights):
            raise SpaceError(f"WeightedPrior: weights must be a list of numbers, got {shown(weights)}")
        self._set(weights=tuple(float(weight) for weight in weights if _is_number(weight)))
        if len(self.weights) != len(weights) or not self.weights or min(self.weights) < 0 or not sum(self.weights) > 0:
            raise SpaceError(f"WeightedPrior: weights must be numbers of at least 0, not all 0, got {shown(weights)}")

    def nodes(self, scale: Scale) -> FloatArray:
        """Return the ends of the parts."""
        return np.linspace(0.0, 1.0, len(self.weights) + 1)

    def below(self, scale: Scale, places: FloatArray) -> FloatArray:
        """Return the sum of the weights of the parts below."""
        n = scale.n_values
        if n is not None and n != len(self.weights):
            raise SpaceError(f"{scale.name}: prior must have a weight for each of {n} values, got {len(self.weights)}")
        return np.cumsum([0.0, *self.weights])


@dataclass(frozen=True, eq=False, repr=False)
class Belief(Prior):
    """A user's guess at the best value: "I believe lr is about 1e-3".

    On a scale it is a normal distribution around the guess, with a standard deviation of 25 % ("low"), 15 % ("medium")
    or 8 % ("high") of the scale's length, and a fifth of it is uniform, so that a wrong guess costs little. Of values
    in no order the guess gets a weight of 30, 50 or 70 % beside its equal share of the rest.

    Args:
        value: A legal value of the parameter.
        confidence: "low", "medium" or "high".

    Raises:
        SpaceError: `confidence` is something else; or, once given to a parameter, `value` is illegal.

    Example:
        >>> from autohpo import LogRangeHP
        >>> lr = LogRangeHP("lr", 1e-5, 1e-1, prior=Belief(1e-3))
        >>> draws = lr.decode(np.random.default_rng(0).random((1000, 1)))
        >>> bool(np.mean([1e-4 < value < 1e-2 for value in draws]) > 0.7)  # half of the scale
        True
    """

    uniform_share: ClassVar[float] = 0.2

    value: Any
    confidence: Literal["low", "medium", "high"] = "medium"

    def __post_init__(self) -> None:
        if not isinstance(self.confidence, str) or self.confidence not in ("low", "medium", "high"):
            raise SpaceError(f"Belief: confidence must be 'low', 'medium' or 'high', got {shown(self.confidence)}")

    @property
    def _sd(self) -> float:
        return {"low": 0.25, "medium": 0.15, "high": 0.08}[self.confidence]

    def nodes(self, scale: Scale) -> FloatArray:
        """Return the ends of the parts of values in no order; else places that are dense around the guess."""
        if scale.place is None:
            return np.linspace(0.0, 1.0, (scale.n_values or 1) + 1)
        place = scale.place(self.value)
        if not 0.0 <= place <= 1.0:
            raise SpaceError(f"{scale.name}: value of the Belief must lie from low to high, got {shown(self.value)}")
        return _finer(place, self._sd)

    def below(self, scale: Scale, places: FloatArray) -> FloatArray:
        """Return the normal distribution function, or the sum of the weights."""
        if scale.place is not None:
            return _normal_below(scale.place(self.value), self._sd, places)
        index = -1 if scale.index_of is None else scale.index_of(self.value)
        if index < 0:
            raise SpaceError(f"{scale.name}: value of the Belief must be one of the values, got {shown(self.value)}")
        share = {"low": 0.3, "medium": 0.5, "high": 0.7}[self.confidence]
        weights = np.full(scale.n_values or 1, (1 - share) / (scale.n_values or 1))
        weights[index] += share
        return np.cumsum([0.0, *weights])

    def warp(self, scale: Scale) -> Warp:
        """Return the map that makes the prior uniform; weights of values in no order have a uniform part already."""
        if scale.place is not None:
            return super().warp(scale)
        places = self.nodes(scale)
        below = self.below(scale, places)
        return Warp(places, below / below[-1])


def as_prior(name: str, prior: Any) -> Prior | None:
    """Return a prior, or the weights that a list stands for.

    Raises:
        SpaceError: The prior is neither.
    """
    if not isinstance(prior, str) and _is_list(prior):
        return WeightedPrior(list(prior))
    if prior is not None and not isinstance(prior, Prior):
        raise SpaceError(f"{name}: prior must be a Prior such as Belief, or a list of weights, got {shown(prior)}")
    return prior


def _normal_below(mean: float, sd: float, places: FloatArray) -> FloatArray:
    from scipy.special import ndtr  # here, because importing autohpo must stay light

    side = 1.0 if mean > 0.5 else -1.0  # of the two tails the one that is small there: the other is all rounding
    below: FloatArray = side * ndtr(side * (places - mean) / sd)
    return below


def _finer(mean: float, sd: float) -> FloatArray:
    """Return evenly spaced places, and as many again within eight standard deviations."""
    near = mean + sd * np.linspace(-8.0, 8.0, N_NODES)
    return np.unique(np.concatenate([np.linspace(0.0, 1.0, N_NODES), near[(near > 0) & (near < 1)]]))


def _is_list(value: object) -> bool:
    """Whether a value is a sequence, or an array of one dimension or more."""
    return isinstance(value, Sequence) or (isinstance(value, np.ndarray) and value.ndim > 0)


def _is_number(value: object) -> bool:
    number = plain(value)
    return type(number) in (int, float) and abs(number) <= sys.float_info.max
