"""TiedHP: a value that follows from the choice of another parameter."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from autohpo.errors import SpaceError, shown
from autohpo.spaces.base import HPSpace, checked_name
from autohpo.spaces.index import Index
from autohpo.spaces.tagged import is_same
from autohpo.untrusted import check_depth


@dataclass(frozen=True, eq=False, repr=False)
class TiedHP(HPSpace):
    """A value that follows from the choice of another parameter: values that are only good together.

    Args:
        name: The name of the parameter.
        to: The name of the other parameter, whose choices are the keys of `values`.
        values: The value by the other parameter's choice; of any kind.

    Raises:
        SpaceError: `to` is not a name, or there are no values.

    Example:
        >>> from autohpo import ChoiceHP, SearchSpace
        >>> lr = TiedHP("lr", "preset", {"small": 0.1, "large": 0.02})
        >>> space = SearchSpace([ChoiceHP("preset", ["small", "large"]), lr])
        >>> space.decode(np.array([[0.2], [0.8]]))
        [{'preset': 'small', 'lr': 0.1}, {'preset': 'large', 'lr': 0.02}]
    """

    name: str
    to: str
    values: Mapping[Any, Any]

    def __post_init__(self) -> None:
        self._set(name=checked_name(self.name))
        self._set(to=checked_name(self.to))
        if not isinstance(self.values, Mapping) or not self.values:
            raise SpaceError(f"{self.name}: values must be a dict that is not empty, got {shown(self.values)}")
        check_depth(self.name, self.values.values())
        self._set(values=dict(self.values))

    @property
    def width(self) -> int:
        """The number of columns: 0, as there is nothing to search."""
        return 0

    @property
    def n_values(self) -> int:
        """The number of values: 1, as soon as the other parameter has its value."""
        return 1

    @property
    def refers_to(self) -> tuple[str, ...]:
        """The name of the other parameter, alone."""
        return (self.to,)

    def cut(self, value: Any, hp: Mapping[str, Any]) -> Any:
        """Return the value in a configuration that holds the other parameter.

        Raises:
            SpaceError: The other parameter has a value that is not a key of `values`.
        """
        place = self._keys.meant(hp[self.to])
        if place < 0:
            raise SpaceError(f"{self.name}: must have a value for {self.to} = {shown(hp[self.to])}")
        return self._listed[place]

    @cached_property
    def _keys(self) -> Index:
        return Index(list(self.values))

    @cached_property
    def _listed(self) -> list[Any]:
        return list(self.values.values())

    def canonical(self, value: Any) -> Any:
        """Return the very object among the values that `value` means; the value itself if none."""
        place = Index(self._listed).meant(value)
        return value if place < 0 else self._listed[place]

    def fits(self, value: Any, hp: Mapping[str, Any]) -> bool:
        """Return whether a value is the right one in a configuration that holds the other parameter."""
        return is_same(value, self.cut(value, hp))

    def decode(self, units: NDArray[np.float64]) -> list[Any]:
        """Return the first value, n times: :meth:`cut` puts the right value into a configuration."""
        return [self.join(())] * len(units)

    def encode(self, values: Sequence[Any]) -> NDArray[np.float64]:
        """Return ``(n, 0)`` points."""
        return np.empty((len(values), 0))

    def contains(self, value: Any) -> bool:
        """Return whether `value` is one of the values."""
        return any(is_same(value, known) for known in self.values.values())

    def grid(self, steps: int) -> list[Any]:
        """Return the first value alone."""
        return [self.join(())]

    def axes(self, steps: int | None) -> list[Sequence[Any]]:
        """Return an empty list: there is nothing to walk."""
        return []

    def join(self, parts: Sequence[Any]) -> Any:
        """Return the first value: :meth:`cut` puts the right value into a configuration."""
        return next(iter(self.values.values()))

    def to_json(self, value: Any) -> int:
        """Return the index of a value: the values themselves stand in the saved space."""
        return next((i for i, known in enumerate(self.values.values()) if is_same(value, known)), -1)

    def from_json(self, data: Any) -> Any:
        """Return the value with an index."""
        return list(self.values.values())[data]
