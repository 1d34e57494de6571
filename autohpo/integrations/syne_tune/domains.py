"""Domains: Syne Tune's parameters, which have no name of their own, and what each is among parameters of ours."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import Any

import numpy as np

from autohpo.spaces import HPSpace

__all__ = ["Domain", "half_way"]


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


def half_way(lower: float, upper: float, is_log: bool) -> float:
    """Return the middle of a scale: the geometric mean of its ends where it is logarithmic."""
    return math.exp(0.5 * (math.log(lower) + math.log(upper))) if is_log else 0.5 * (float(lower) + float(upper))
