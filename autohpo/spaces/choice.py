"""ChoiceHP and FixedHP: one of several values of any kind, and a value that is not searched."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from autohpo.errors import SpaceError
from autohpo.spaces import tagged
from autohpo.spaces.base import HPSpace, checked_name


@dataclass(frozen=True, eq=False)
class ChoiceHP(HPSpace):
    """One of several values, in no order.

    The values may be of any kind, and come back as the very objects that were given: ``True`` stays apart from ``1``.

    Args:
        name: Of the parameter.
        choices: The values, none twice.

    Raises:
        SpaceError: There are no choices, one stands there twice, or `choices` is no sequence.

    Example:
        >>> ChoiceHP("norm", [None, "batch", (1, 2)]).decode(np.array([[0.1], [0.5], [1.0]]))
        [None, 'batch', (1, 2)]
    """

    name: str
    choices: tuple[Any, ...]

    def __init__(self, name: str, choices: Iterable[Any]) -> None:
        object.__setattr__(self, "name", checked_name(name))
        if isinstance(choices, np.ndarray):
            choices = choices.tolist()
        if isinstance(choices, (str, bytes, Mapping, AbstractSet)) or not isinstance(choices, Iterable):
            raise SpaceError(f"{name}: choices must be a list of values, got {type(choices).__name__}")
        object.__setattr__(self, "choices", tuple(choices))
        if not self.choices:
            raise SpaceError(f"{name}: choices must hold at least one value, got none")
        for i, value in enumerate(self.choices):
            if any(tagged.is_same(value, other) for other in self.choices[:i]):
                raise SpaceError(f"{name}: choices must differ, got {value!r} twice")

    @property
    def width(self) -> int:
        """One column; none where there is only one choice."""
        return 1 if len(self.choices) > 1 else 0

    @property
    def levels(self) -> int:
        """How many choices there are."""
        return len(self.choices)

    @property
    def n_values(self) -> int:
        """How many choices there are."""
        return len(self.choices)

    def index_of(self, value: Any) -> int:
        """Place of a value among the choices, from 0; -1 if it is none of them."""
        for i, choice in enumerate(self.choices):
            if choice is value:
                return i
        return next((i for i, choice in enumerate(self.choices) if tagged.is_same(choice, value)), -1)

    def decode(self, units: NDArray[np.float64]) -> list[Any]:
        """The n values of ``(n, 1)`` points: every choice has a cell of the same length."""
        if not self.width:
            return [self.choices[0]] * len(units)
        n = len(self.choices)
        return [self.choices[i] for i in np.minimum((units[:, 0] * n).astype(int), n - 1).tolist()]

    def encode(self, values: Sequence[Any]) -> NDArray[np.float64]:
        """``(n, 1)`` points in the middle of the choices' cells."""
        if not self.width:
            return np.empty((len(values), 0))
        return ((np.array([self.index_of(v) for v in values], dtype=float) + 0.5) / len(self.choices))[:, None]

    def contains(self, value: Any) -> bool:
        """Whether `value` is one of the choices."""
        return self.index_of(value) >= 0

    def to_json(self, value: Any) -> int:
        """The place of a value among the choices: the values themselves stand in the saved space."""
        return self.index_of(value)

    def from_json(self, data: Any) -> Any:
        """The choice at a place."""
        return self.choices[data]


@dataclass(frozen=True, eq=False)
class FixedHP(HPSpace):
    """A value that every configuration holds and no algorithm sees.

    Args:
        name: Of the parameter.
        value: Of any kind.
    """

    name: str
    value: Any

    def __post_init__(self) -> None:
        checked_name(self.name)

    @property
    def width(self) -> int:
        """No column: there is nothing to search."""
        return 0

    @property
    def n_values(self) -> int:
        """One."""
        return 1

    def decode(self, units: NDArray[np.float64]) -> list[Any]:
        """The value, n times."""
        return [self.value] * len(units)

    def encode(self, values: Sequence[Any]) -> NDArray[np.float64]:
        """``(n, 0)`` points."""
        return np.empty((len(values), 0))

    def contains(self, value: Any) -> bool:
        """Whether `value` is the fixed one."""
        return tagged.is_same(self.value, value)

    def grid(self, steps: int) -> list[Any]:
        """The value."""
        return [self.value]

    def to_json(self, value: Any) -> None:
        """Nothing: the value stands in the saved space."""

    def from_json(self, data: Any) -> Any:
        """The value."""
        return self.value
