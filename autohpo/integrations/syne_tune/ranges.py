"""Ranges among the domains: floats and integers between two ends."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from autohpo.errors import SpaceError, shown
from autohpo.integrations.syne_tune.domains import Domain, half_way
from autohpo.spaces import FixedHP, HPSpace, LogRangeHP, RangeHP
from autohpo.spaces.base import checked_name

__all__ = ["Float", "Integer", "ReverseLogHP"]

Spacing = Literal["linear", "log", "reverse"]


@dataclass(frozen=True)
class Float(Domain):
    """Floats between two ends, both included.

    Attributes:
        lower: The smallest value.
        upper: The largest value.
        spacing: The scale: "linear", "log", or "reverse" for the logarithm of the distance to 1.
        step: The distance of neighbouring values; None for all floats.
    """

    lower: float
    upper: float
    spacing: Spacing = "linear"
    step: float | None = None

    @property
    def value_type(self) -> type:
        """The type of the values."""
        return float

    def parameter(self, name: str) -> HPSpace:
        """Return the range that has a name."""
        low, high = _ends(name, self, float)
        if low == high:
            return FixedHP(name, low)
        if self.spacing == "reverse":
            return ReverseLogHP(name, low, high)
        kind = LogRangeHP if self.spacing == "log" else RangeHP
        return kind(name, low, high, None if self.step is None else float(self.step))

    def middle(self) -> float:
        """Return the arithmetic mean of the ends, on a logarithmic scale the geometric one."""
        return min(max(self.cast(half_way(self.lower, self.upper, self.spacing == "log")), self.lower), self.upper)

    def cast(self, value: Any) -> float:
        """Return a number as a float, on a step where there are steps."""
        if self.step is None:
            return float(value)
        return float(self.lower) + round((float(value) - self.lower) / self.step) * self.step


@dataclass(frozen=True)
class Integer(Domain):
    """Integers between two ends, both included.

    Attributes:
        lower: The smallest value.
        upper: The largest value.
        spacing: The scale: "linear" or "log".
        step: The distance of neighbouring values; None is 1.
    """

    lower: int
    upper: int
    spacing: Spacing = "linear"
    step: int | None = None

    @property
    def value_type(self) -> type:
        """The type of the values."""
        return int

    def parameter(self, name: str) -> HPSpace:
        """Return the range that has a name."""
        low, high = _ends(name, self, int)
        if low == high:
            return FixedHP(name, low)
        return (LogRangeHP if self.spacing == "log" else RangeHP)(name, low, high, self.step)

    def middle(self) -> int:
        """Return the mean of the ends, rounded; on a logarithmic scale the geometric one."""
        return int(min(max(self.cast(half_way(self.lower, self.upper, self.spacing == "log")), self.lower), self.upper))

    def cast(self, value: Any) -> int:
        """Return the nearest integer, on a step where there are steps."""
        step = self.step or 1
        return int(self.lower) + round((float(value) - self.lower) / step) * step if step > 1 else round(float(value))


@dataclass(frozen=True, eq=False, repr=False)
class ReverseLogHP(HPSpace):
    """A float between two ends below 1, evenly spread in the logarithm of its distance to 1: 0.9, 0.99, 0.999.

    Args:
        name: The name of the parameter.
        low: The smallest value, at least 0.
        high: The largest value, below 1.

    Raises:
        SpaceError: The ends do not make such a range.

    Example:
        >>> [round(value, 6) for value in ReverseLogHP("momentum", 0.9, 0.999).grid(3)]
        [0.9, 0.99, 0.999]
    """

    name: str
    low: float
    high: float

    def __post_init__(self) -> None:
        self._set(name=checked_name(self.name))
        if not 0 <= self.low < self.high < 1:
            raise SpaceError(f"{self.name}: ends must be rising, from 0 on and below 1, got {self.low}, {self.high}")

    @property
    def _ends(self) -> tuple[float, float]:
        return -math.log1p(-self.low), -math.log1p(-self.high)

    def decode(self, units: NDArray[np.float64]) -> list[Any]:
        """Return the n floats of ``(n, 1)`` points, exactly the ends at 0 and 1."""
        low, high = self._ends
        values = -np.expm1(-(low + units[:, 0] * (high - low)))
        values = np.where(units[:, 0] == 0, self.low, np.where(units[:, 0] == 1, self.high, values))
        found: list[Any] = np.clip(values, self.low, self.high).tolist()
        return found

    def encode(self, values: Sequence[Any]) -> NDArray[np.float64]:
        """Return ``(n, 1)`` points in the unit interval."""
        low, high = self._ends
        places: NDArray[np.float64] = -np.log1p(-np.asarray(values, dtype=float))
        return np.clip((places - low) / (high - low), 0.0, 1.0)[:, None]

    def contains(self, value: Any) -> bool:
        """Return whether a value is a float between the ends."""
        return type(value) is float and self.low <= value <= self.high


def _ends(name: str, domain: Float | Integer, kind: type) -> tuple[Any, Any]:
    """Both ends as numbers of one type, where they are in order."""
    ends = []
    for argument in ("lower", "upper"):
        value = getattr(domain, argument)
        value = value.item() if isinstance(value, np.generic) else value
        is_number = isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
        if not is_number or (kind is int and value != int(value)):
            rule = "an integer" if kind is int else "a finite number"
            raise SpaceError(f"{name}: {argument} must be {rule}, got {shown(value)}")
        ends.append(kind(value))
    if ends[0] > ends[1]:
        raise SpaceError(f"{name}: lower must be at most upper, got {ends[0]}, {ends[1]}")
    return ends[0], ends[1]
