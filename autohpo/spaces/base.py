"""HPSpace: what every kind of parameter offers, and how to make your own kind."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from autohpo.errors import SpaceError, shown
from autohpo.spaces import tagged
from autohpo.spaces.arguments import check_arguments
from autohpo.spaces.formula_rows import as_column
from autohpo.spaces.index import first_places, plain
from autohpo.spaces.tagged import KINDS, Described

if TYPE_CHECKING:
    from typing_extensions import Self  # in typing from Python 3.11 on

__all__ = ["KINDS", "HPSpace", "Listing", "checked_name"]


@dataclass(frozen=True)
class Listing(Sequence[Any]):
    """The values of a parameter as a sequence that makes them as they are asked for: there may be very many.

    Attributes:
        n: The number of values.
        value_at: A function that returns the value with an index, from 0.
    """

    n: int
    value_at: Callable[[int], Any]

    def __len__(self) -> int:
        return self.n

    def __getitem__(self, index: Any) -> Any:
        if not 0 <= index < self.n:
            raise IndexError(f"index: must be from 0 to {self.n - 1}, got {index}")
        return self.value_at(index)


class HPSpace(Described, ABC):
    """A parameter: a name, its legal values, and their encoding in the unit cube.

    A kind of your own needs :meth:`decode`, :meth:`encode` and :meth:`contains`. Equal steps in the unit interval
    mean equal prior probability: sampling a parameter is decoding uniform numbers.

    Example:
        >>> class OddHP(HPSpace):
        ...     '''Odd integers from low to high, for instance kernel sizes.'''
        ...     def __init__(self, name, low, high):
        ...         super().__init__(name)
        ...         self.low, self.high = low, high
        ...     @property
        ...     def n_values(self):
        ...         return (self.high - self.low) // 2 + 1
        ...     def decode(self, units):
        ...         return [self.low + 2 * min(int(u * self.n_values), self.n_values - 1) for u in units[:, 0]]
        ...     def encode(self, values):
        ...         return np.array([[((v - self.low) // 2 + 0.5) / self.n_values] for v in values])
        ...     def contains(self, value):
        ...         return type(value) is int and value % 2 == 1 and self.low <= value <= self.high
        >>> OddHP("kernel", 1, 7).decode(np.array([[0.0], [0.6], [1.0]]))
        [1, 5, 7]
    """

    name: str

    def __new__(cls, *_: Any, **options: Any) -> Self:
        """Make a parameter, unless an argument has the name that another library gives it."""
        check_arguments(cls, options)
        return super().__new__(cls)

    def __init__(self, name: str) -> None:
        self._set(name=checked_name(name))  # a kind may be a frozen dataclass

    @property
    def width(self) -> int:
        """The number of columns of the unit cube that the parameter takes; 0 where there is nothing to search."""
        return 1

    @property
    def levels(self) -> int:
        """The number of values where their order means nothing; 0 where it means something."""
        return 0

    @property
    def n_values(self) -> int | None:
        """The number of legal values; None where they cannot be counted."""
        return None

    @property
    def edges(self) -> NDArray[np.float64] | None:
        """``(V + 1,)`` ends of the values' cells in the unit interval, rising from 0 to 1.

        They are the same for each column; None where values cannot be counted, or are very many. A value is encoded as
        the middle of its cell, and every point of the cell stands for it.
        """
        return None

    @property
    def column_edges(self) -> list[NDArray[np.float64] | None]:
        """The edges of each column."""
        return [self.edges] * self.width

    @property
    def refers_to(self) -> tuple[str, ...]:
        """The names of the parameters that decide how many columns of this one are active; see :meth:`n_active`."""
        return ()

    def n_active(self, hp: Mapping[str, Any]) -> int:
        """Return how many of the columns, from the first on, are active in a configuration."""
        return self.width

    def cut(self, value: Any, hp: Mapping[str, Any]) -> Any:
        """Return what a decoded value becomes in a configuration that holds the parameters it refers to."""
        return value

    def fits(self, value: Any, hp: Mapping[str, Any]) -> bool:
        """Return whether a legal value suits a configuration that holds the parameters it refers to."""
        return True

    def n_values_in(self, hp: Mapping[str, Any]) -> int | None:
        """Return the number of values in a configuration that holds the parameters it refers to."""
        return self.n_values

    def axes(self, steps: int | None) -> list[Sequence[Any]]:
        """Return the values of a grid for each part of the parameter that is walked by itself; None takes all."""
        return [self.grid((self.n_values or 1) if steps is None else steps)]

    def join(self, parts: Sequence[Any]) -> Any:
        """Return the value that is made of a value of each axis."""
        return parts[0]

    @abstractmethod
    def decode(self, units: NDArray[np.float64]) -> list[Any]:
        """Return the n values, plain Python types, of ``(n, width)`` points in the unit cube, both ends included."""

    def column(self, units: NDArray[np.float64]) -> NDArray[Any]:
        """Return ``(n,)`` what :meth:`decode` returns, as an array of numbers where all are of one type of numbers."""
        return as_column(self.decode(units))

    @property
    def has_bounds(self) -> bool:
        """Whether the values are numbers in one column, with bounds for each part of it; see :meth:`bounds`."""
        return False

    def bounds(
        self, lows: NDArray[np.float64], highs: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return ``(m,)`` the least and the largest number between each of m pairs of points of the unit interval."""
        raise SpaceError(f"{self.name}: must have numbers for values, got {self}")

    @abstractmethod
    def encode(self, values: Sequence[Any]) -> NDArray[np.float64]:
        """Return ``(n, width)`` points in the unit cube that decode to n legal values."""

    @abstractmethod
    def contains(self, value: Any) -> bool:
        """Return whether a value is legal: of the right type and inside the bounds."""

    def canonical(self, value: Any) -> Any:
        """Return the parameter's own form of a value that users or algorithms hand over: numpy's numbers as Python's.

        A value that means none of the legal ones is returned as it is; :meth:`contains` judges the result.
        """
        return value if self.contains(value) else plain(value)

    def grid(self, steps: int) -> list[Any]:
        """Return at most `steps` values, evenly spaced in the unit interval from end to end, none twice.

        These are all values where there are no more than `steps`, or where their order means nothing.
        """
        n = self.n_values if self.levels or (self.n_values or steps + 1) <= steps else None
        units = np.linspace(0.0, 1.0, steps) if n is None else (np.arange(n) + 0.5) / n
        values = self.decode(np.repeat(units[:, None], self.width, axis=1))
        return [values[i] for i in first_places(values)]

    def to_json(self, value: Any) -> Any:
        """Return what the log holds for a legal value; by default the value itself, which must be of a JSON type."""
        return tagged.to_json(value)

    def from_json(self, data: Any) -> Any:
        """Return the value that :meth:`to_json` gave `data` for."""
        return tagged.from_json(data)

    def __hash__(self) -> int:
        return hash((type(self), self.name))


def checked_name(name: object) -> str:
    """Return the name of a parameter.

    Raises:
        SpaceError: The name is not a string, or is empty.
    """
    if not isinstance(name, str) or not name:
        raise SpaceError(f"name: must be a string that is not empty, got {shown(name)}")
    return name if type(name) is str else str.__str__(name)  # a class of the user's may compare as it likes
