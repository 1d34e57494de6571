"""Domains: Syne Tune's parameters, which have no name of their own, and what each is among parameters of ours."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from autohpo.errors import SpaceError, shown
from autohpo.spaces import ChoiceHP, FixedHP, HPSpace, LogRangeHP, OrdinalHP, RangeHP
from autohpo.spaces.base import checked_name

__all__ = [
    "Categorical",
    "Domain",
    "FiniteRange",
    "Float",
    "Integer",
    "Ordinal",
    "OrdinalNearestNeighbor",
    "ReverseLogHP",
]

Spacing = Literal["linear", "log", "reverse"]


class Domain(ABC):
    """The values of a parameter, without its name.

    Attributes:
        lower: The smallest value, where values are numbers.
        upper: The largest value, where values are numbers.
    """

    lower: Any
    upper: Any

    @abstractmethod
    def parameter(self, name: str) -> HPSpace:
        """Return the parameter of these values that has a name.

        Raises:
            SpaceError: The values make no parameter.
        """

    @abstractmethod
    def middle(self) -> Any:
        """Return the value that is tried first: half-way on the scale of numbers, the first of a choice."""

    @abstractmethod
    def cast(self, value: Any) -> Any:
        """Return a value as one of the domain's: of its type, and where values are listed the nearest."""

    @property
    @abstractmethod
    def value_type(self) -> type:
        """The type of the values."""

    def is_valid(self, value: Any) -> bool:
        """Return whether a value is in the domain."""
        return self.parameter("value").contains(value)

    def sample(self, spec: Any = None, size: int = 1, random_state: Any = None) -> Any:
        """Return a value drawn from the domain, or a list of several.

        Args:
            spec: Not used.
            size: How many values to draw.
            random_state: A generator of numpy, of the old kind or the new one; None makes one.
        """
        parameter = self.parameter("value")
        generator = np.random.default_rng() if random_state is None else random_state
        units = np.asarray(generator.uniform(size=(size, parameter.width)))
        values = parameter.decode(units)
        return values[0] if size == 1 else values

    def __len__(self) -> int:
        return self.parameter("value").n_values or 0

    def __bool__(self) -> bool:
        return True  # also where the values cannot be counted


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
        return float(np.clip(self.cast(_middle(self.lower, self.upper, self.spacing == "log")), self.lower, self.upper))

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
        return int(min(max(self.cast(_middle(self.lower, self.upper, self.spacing == "log")), self.lower), self.upper))

    def cast(self, value: Any) -> int:
        """Return the nearest integer, on a step where there are steps."""
        step = self.step or 1
        return int(self.lower) + round((float(value) - self.lower) / step) * step if step > 1 else round(float(value))


@dataclass(frozen=True)
class Categorical(Domain):
    """Values that have no order.

    Attributes:
        categories: The values.
    """

    categories: Sequence[Any]

    @property
    def value_type(self) -> type:
        """The type of the values."""
        return type(self.categories[0])

    def parameter(self, name: str) -> HPSpace:
        """Return the choice that has a name."""
        return ChoiceHP(name, self.categories) if len(self.categories) != 1 else FixedHP(name, self.categories[0])

    def middle(self) -> Any:
        """Return the first value."""
        return self.categories[0]

    def cast(self, value: Any) -> Any:
        """Return the category that a value or its string stands for, of numbers the nearest float.

        Raises:
            SpaceError: It stands for none.
        """
        for found in self.categories:
            if type(found) is type(value) and found == value:
                return found
        for found in self.categories:
            if found == value or str(found) == str(value):
                return found
        if self.value_type is float and isinstance(value, (int, float)):
            return min(self.categories, key=lambda one: abs(one - value))
        raise SpaceError(f"categories: must hold {shown(value)}, got {shown(list(self.categories), 200)}")


@dataclass(frozen=True)
class Ordinal(Categorical):
    """Values that have an order, all equally far apart."""

    def parameter(self, name: str) -> HPSpace:
        """Return the ordinal parameter that has a name."""
        return OrdinalHP(name, self.categories) if len(self.categories) != 1 else FixedHP(name, self.categories[0])

    def middle(self) -> Any:
        """Return the value in the middle, of two the upper one."""
        return self.categories[len(self.categories) // 2]


@dataclass(frozen=True)
class OrdinalNearestNeighbor(Ordinal):
    """Rising numbers, each of which stands for the part of a scale that is nearest to it.

    Attributes:
        categories: The numbers.
        log_scale: Whether the scale is logarithmic.
    """

    log_scale: bool = False

    @property
    def lower(self) -> Any:  # type: ignore[override]
        """The smallest number."""
        return self.categories[0]

    @property
    def upper(self) -> Any:  # type: ignore[override]
        """The largest number."""
        return self.categories[-1]

    def parameter(self, name: str) -> HPSpace:
        """Return the ordinal parameter in which each number has a cell as long as its part of the scale.

        Raises:
            SpaceError: The numbers do not rise, or are not positive on a logarithmic scale.
        """
        places = self._places(name)
        if len(places) == 1:
            return FixedHP(name, self.categories[0])
        middles = (places[:-1] + places[1:]) / 2
        half = np.mean(np.diff(places)) / 2  # so far the scale reaches beyond the first and the last
        cells = np.diff([places[0] - half, *middles, places[-1] + half])
        is_even = np.allclose(cells, cells[0], rtol=1e-9)
        return OrdinalHP(name, self.categories, prior=None if is_even else cells.tolist())

    def middle(self) -> Any:
        """Return the number nearest to the middle of the scale."""
        return self.cast(_middle(self.lower, self.upper, self.log_scale))

    def cast(self, value: Any) -> Any:
        """Return the number nearest to a value on the scale."""
        places = self._places("value")
        place = math.log(float(value)) if self.log_scale else float(value)
        return self.categories[int(np.argmin(np.abs(places - place)))]

    def _places(self, name: str) -> NDArray[np.float64]:
        numbers = [float(one) for one in self.categories]
        if any(a >= b for a, b in zip(numbers, numbers[1:], strict=False)):
            raise SpaceError(
                f"{name}: numbers must rise, got {shown(list(self.categories))}; kind='equal' takes any order"
            )
        if self.log_scale and numbers[0] <= 0:
            raise SpaceError(f"{name}: numbers must be positive on a logarithmic scale, got {numbers[0]}")
        return np.log(numbers) if self.log_scale else np.array(numbers)


@dataclass(frozen=True)
class FiniteRange(Domain):
    """Numbers from one end to the other, both included, equally far apart.

    Attributes:
        lower: The first number.
        upper: The last number.
        size: How many numbers there are.
        log_scale: Whether they are equally far apart in the logarithm.
        cast_int: Whether they are rounded to integers.
    """

    lower: float
    upper: float
    size: int
    log_scale: bool = False
    cast_int: bool = False

    def __post_init__(self) -> None:
        if type(self.size) is not int or self.size < 1:
            raise SpaceError(f"size: must be an integer of at least 1, got {shown(self.size)}")
        if self.lower > self.upper or (self.log_scale and self.lower <= 0):
            rule = "lower must be positive and at most upper" if self.log_scale else "lower must be at most upper"
            raise SpaceError(f"finrange: {rule}, got {self.lower}, {self.upper}")

    @property
    def value_type(self) -> type:
        """The type of the values."""
        return int if self.cast_int else float

    @property
    def values(self) -> list[Any]:
        """The numbers in order; rounded, some may stand there twice."""
        low, high = (math.log(self.lower), math.log(self.upper)) if self.log_scale else (self.lower, self.upper)
        step = (high - low) / (self.size - 1) if self.size > 1 else 0.0
        places = [low + k * step for k in range(self.size)]
        numbers = [math.exp(place) if self.log_scale else place for place in places]
        inside = [float(min(max(number, self.lower), self.upper)) for number in numbers]
        return [round(number) for number in inside] if self.cast_int else inside

    def parameter(self, name: str) -> HPSpace:
        """Return the ordinal parameter that has a name; a number that stands there twice is as likely as two."""
        counts: dict[Any, int] = {}
        for number in self.values:
            counts[number] = counts.get(number, 0) + 1
        if len(counts) == 1:
            return FixedHP(name, next(iter(counts)))
        is_even = len(counts) == self.size
        return OrdinalHP(name, list(counts), prior=None if is_even else [float(n) for n in counts.values()])

    def middle(self) -> Any:
        """Return the number nearest to the middle of the scale."""
        return self.cast(_middle(self.lower, self.upper, self.log_scale))

    def cast(self, value: Any) -> Any:
        """Return the number nearest to a value on the scale."""
        inside = min(max(float(value), self.lower), self.upper)
        if self.size == 1 or self.lower == self.upper:
            return self.values[0]
        low, high = (math.log(self.lower), math.log(self.upper)) if self.log_scale else (self.lower, self.upper)
        place = math.log(inside) if self.log_scale else inside
        return self.values[round((place - low) / (high - low) * (self.size - 1))]


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
        checked_name(self.name)
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


def _middle(lower: float, upper: float, is_log: bool) -> float:
    """The middle of a scale: the geometric mean of its ends where it is logarithmic."""
    return math.exp(0.5 * (math.log(lower) + math.log(upper))) if is_log else 0.5 * (float(lower) + float(upper))
