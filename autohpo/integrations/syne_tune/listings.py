"""Listings among the domains: values without an order, with one, and numbers in even steps."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from autohpo.errors import SpaceError, shown
from autohpo.integrations.syne_tune.domains import Domain, half_way
from autohpo.spaces import ChoiceHP, FixedHP, HPSpace, OrdinalHP

__all__ = ["Categorical", "FiniteRange", "Ordinal", "OrdinalNearestNeighbor"]


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
    def lower(self) -> Any:
        """The smallest number."""
        return self.categories[0]

    @property
    def upper(self) -> Any:
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
        return self.cast(half_way(self.lower, self.upper, self.log_scale))

    def cast(self, value: Any) -> Any:
        """Return the number nearest to a value on the scale."""
        places = self._places("value")
        place = math.log(float(value)) if self.log_scale else float(value)
        return self.categories[int(np.argmin(np.abs(places - place)))]

    def _places(self, name: str) -> NDArray[np.float64]:
        numbers = [float(one) for one in self.categories]
        if any(a >= b for a, b in pairwise(numbers)):
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
        return self.cast(half_way(self.lower, self.upper, self.log_scale))

    def cast(self, value: Any) -> Any:
        """Return the number nearest to a value on the scale."""
        inside = min(max(float(value), self.lower), self.upper)
        if self.size == 1 or self.lower == self.upper:
            return self.values[0]
        low, high = (math.log(self.lower), math.log(self.upper)) if self.log_scale else (self.lower, self.upper)
        place = math.log(inside) if self.log_scale else inside
        return self.values[round((place - low) / (high - low) * (self.size - 1))]
