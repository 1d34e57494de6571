"""ListHP and PermutationHP: several values in one parameter, and the order of given things."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import permutations, product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from autohpo.errors import SpaceError
from autohpo.spaces.base import HPSpace, Listing, checked_name
from autohpo.spaces.choice import checked_values
from autohpo.spaces.expression import Expression
from autohpo.spaces.tagged import Described, is_same

LONGEST_PERMUTATION = 170
"""Things to be ordered at most: the factorial of more is no float."""


@dataclass(frozen=True, eq=False, repr=False)
class Cut(Described):
    """The length of a list as a function of other parameters: AutoGL's cutPara and cutFunc.

    Args:
        names: Of the parameters.
        function: Gets the list of their values and returns a whole number; JSON only holds its name.
    """

    names: tuple[str, ...]
    function: Callable[[list[Any]], int]

    def __post_init__(self) -> None:
        names: Any = self.names
        object.__setattr__(self, "names", (names,) if isinstance(names, str) else tuple(names))
        if not callable(self.function) or not self.names:
            raise SpaceError(f"Cut: must have names and a function, got {self.names!r}, {self.function!r}")

    def __call__(self, hp: Mapping[str, Any]) -> Any:
        """The length in a configuration.

        Raises:
            SpaceError: The function raised.
        """
        try:
            return self.function([hp[name] for name in self.names])
        except Exception as error:  # it is the user's, and may raise anything
            raise SpaceError(f"{self}: raised {type(error).__name__}: {error} for {dict(hp)}") from error


@dataclass(frozen=True, eq=False, repr=False)
class ListHP(HPSpace):
    """A list of values, whose length may follow from other parameters.

    Entries beyond the length are no part of the configuration, and no algorithm learns from them.

    Args:
        name: Of the parameter.
        item: A parameter that every entry is a value of, or a list with one for each entry; their names do not matter.
        length: A whole number; or a formula over other parameters, such as "num_layers - 1" (see :class:`Expression`);
            or a :class:`Cut`.
        max_length: Entries at most, where `length` is no number and `item` no list.

    Raises:
        SpaceError: An argument is of another kind, the entries are partly in order and partly not, are lists or have
            children, or `max_length` is missing.

    Example:
        >>> from autohpo import RangeHP
        >>> from autohpo.spaces import SearchSpace
        >>> hidden = ListHP("hidden", RangeHP("units", 1, 4), length="num_layers - 1", max_length=2)
        >>> space = SearchSpace([RangeHP("num_layers", 2, 3), hidden])
        >>> space.decode(np.array([[0.0, 0.0, 0.9], [0.9, 0.0, 0.9]]))
        [{'num_layers': 2, 'hidden': [1]}, {'num_layers': 3, 'hidden': [1, 4]}]
    """

    name: str
    item: HPSpace | Sequence[HPSpace]
    length: int | str | Cut
    max_length: int | None = None

    def __post_init__(self) -> None:
        checked_name(self.name)
        if not isinstance(self.item, HPSpace):
            if not isinstance(self.item, Iterable):
                raise SpaceError(f"{self.name}: item must be a parameter, or a list of them, got {self.item!r:.80}")
            object.__setattr__(self, "item", tuple(self.item))
        is_number = isinstance(self.length, int) and not isinstance(self.length, bool)
        if not (is_number or isinstance(self.length, (str, Cut))):
            raise SpaceError(f"{self.name}: length must be a whole number, a formula or a Cut, got {self.length!r:.80}")
        if isinstance(self.item, HPSpace) and not is_number and self.max_length is None:
            raise SpaceError(f"{self.name}: max_length must be given, as length is {self.length!r:.80}")
        n = self.max_length if self.max_length is not None else self.length if is_number else len(self._given)
        if not isinstance(n, int) or n < 1 or (is_number and self.length != n):
            raise SpaceError(f"{self.name}: max_length must be at least 1, and no other number than length, got {n!r}")
        items = (self.item,) * n if isinstance(self.item, HPSpace) else self._given
        if len(items) != n or not all(isinstance(item, HPSpace) for item in items):
            raise SpaceError(f"{self.name}: item must be a parameter, or {n} of them, got {items!r:.80}")
        if len({item.levels for item in items if item.width}) > 1:
            raise SpaceError(f"{self.name}: items must be alike: all in order, or of the same number of choices")
        if any(item.refers_to or isinstance(item, ListHP) or getattr(item, "children", ()) for item in items):
            raise SpaceError(f"{self.name}: items must be no lists, and have no children")
        object.__setattr__(self, "_items", items)
        self._rule  # noqa: B018 - made here for its errors

    @property
    def _given(self) -> tuple[HPSpace, ...]:
        return (self.item,) if isinstance(self.item, HPSpace) else tuple(self.item)

    @property
    def items(self) -> tuple[HPSpace, ...]:
        """The parameter of each entry."""
        items: tuple[HPSpace, ...] = vars(self)["_items"]
        return items

    @cached_property
    def _rule(self) -> Expression | Cut | None:
        if isinstance(self.length, int):
            return None
        return Expression(self.length) if isinstance(self.length, str) else self.length

    @property
    def refers_to(self) -> tuple[str, ...]:
        """Names of the parameters that decide the length."""
        return () if self._rule is None else tuple(self._rule.names)

    def length_in(self, hp: Mapping[str, Any]) -> int:
        """How many entries it has in a configuration.

        Raises:
            SpaceError: The rule gives no whole number from 0 to the most there are.
        """
        if self._rule is None:
            return len(self.items)
        n = self._rule(hp)
        if isinstance(n, np.generic):
            n = n.item()
        if isinstance(n, float) and n.is_integer():
            n = int(n)
        if type(n) is not int or not 0 <= n <= len(self.items):
            raise SpaceError(f"{self.name}: length must be a whole number from 0 to {len(self.items)}, got {n!r:.80}")
        return n

    @property
    def width(self) -> int:
        """Those of all entries."""
        return sum(item.width for item in self.items)

    @property
    def levels(self) -> int:
        """That of the entries."""
        return next((item.levels for item in self.items if item.width), 0)

    @property
    def n_values(self) -> int | None:
        """How many lists of full length there are."""
        counts = [item.n_values for item in self.items]
        return None if None in counts else math.prod(n for n in counts if n is not None)

    @property
    def column_edges(self) -> list[NDArray[np.float64] | None]:
        """Those of the entries."""
        return [edges for item in self.items for edges in item.column_edges]

    def n_active(self, hp: Mapping[str, Any]) -> int:
        """The columns of the entries that the list has in a configuration."""
        return sum(item.width for item in self.items[: self.length_in(hp)])

    def cut(self, value: Any, hp: Mapping[str, Any]) -> Any:
        """The first entries of a full list."""
        return value[: self.length_in(hp)] if isinstance(value, list) else value

    def fits(self, value: Any, hp: Mapping[str, Any]) -> bool:
        """Whether a list has the length that the configuration says."""
        return len(value) == self.length_in(hp)

    def n_values_in(self, hp: Mapping[str, Any]) -> int | None:
        """How many lists there are of the length that the configuration says."""
        counts = [item.n_values for item in self.items[: self.length_in(hp)]]
        return None if None in counts else math.prod(n for n in counts if n is not None)

    def decode(self, units: NDArray[np.float64]) -> list[Any]:
        """The n lists, of full length, of ``(n, width)`` points."""
        columns, start = [], 0
        for item in self.items:
            columns.append(item.decode(units[:, start : start + item.width]))
            start += item.width
        return [list(row) for row in zip(*columns, strict=True)]

    def encode(self, values: Sequence[Any]) -> NDArray[np.float64]:
        """``(n, width)`` points; columns of entries that a list does not have hold .5."""
        units, start = np.full((len(values), self.width), 0.5), 0
        for i, item in enumerate(self.items):
            rows = [row for row, value in enumerate(values) if len(value) > i]
            if item.width and rows:
                units[rows, start : start + item.width] = item.encode([values[row][i] for row in rows])
            start += item.width
        return units

    def contains(self, value: Any) -> bool:
        """Whether `value` is a list of at most the full length whose entries are legal."""
        if type(value) is not list or len(value) > len(self.items):
            return False
        if self._rule is None and len(value) != len(self.items):
            return False
        return all(item.contains(entry) for item, entry in zip(self.items, value, strict=False))

    def grid(self, steps: int) -> list[Any]:
        """Lists of full length: all where there are few or their entries have no order, else along the diagonal."""
        n = self.n_values
        if n is not None and (self.levels or n <= steps):
            return [list(row) for row in product(*(item.grid(item.n_values or 1) for item in self.items))]
        return super().grid(steps)

    def axes(self, steps: int | None) -> list[Sequence[Any]]:
        """The values of each entry: they are walked one by one."""
        return [axis for item in self.items for axis in item.axes(steps)]

    def join(self, parts: Sequence[Any]) -> Any:
        """A list of as many entries as there are parts."""
        return list(parts)

    def to_json(self, value: Any) -> Any:
        """The entries, each as its parameter writes it."""
        return [item.to_json(entry) for item, entry in zip(self.items, value, strict=False)]

    def from_json(self, data: Any) -> Any:
        """The list that :meth:`to_json` wrote."""
        return [item.from_json(entry) for item, entry in zip(self.items, data, strict=False)]


@dataclass(frozen=True, eq=False, repr=False)
class PermutationHP(HPSpace):
    """An order of given things, as a list of them.

    Every thing has a column of the unit cube, and they stand in the order of their numbers there: orders that differ
    by a swap of neighbours are near each other.

    Args:
        name: Of the parameter.
        items: The things, none twice; they come back as the very objects that were given.

    Raises:
        SpaceError: There are no items, or more than 170, or one stands there twice.

    Source: Bean 1994, ORSA Journal on Computing 6(2) (random keys).

    Example:
        >>> PermutationHP("order", ["norm", "act", "drop"]).decode(np.array([[0.9, 0.1, 0.5]]))
        [['act', 'drop', 'norm']]
    """

    name: str
    items: Sequence[Any]

    def __post_init__(self) -> None:
        checked_name(self.name)
        object.__setattr__(self, "items", checked_values(self.name, "items", self.items))
        if len(self.items) > LONGEST_PERMUTATION:
            raise SpaceError(f"{self.name}: items must be at most {LONGEST_PERMUTATION}, got {len(self.items)}")

    @property
    def width(self) -> int:
        """One column for each thing; none where there is only one."""
        return len(self.items) if len(self.items) > 1 else 0

    @property
    def n_values(self) -> int:
        """How many orders there are."""
        return math.factorial(len(self.items))

    def _places(self, value: Any) -> list[int]:
        """For each entry of an order the place of its thing among the items; -1 for a stranger."""
        return [next((i for i, item in enumerate(self.items) if is_same(item, entry)), -1) for entry in value]

    def decode(self, units: NDArray[np.float64]) -> list[Any]:
        """The n orders of ``(n, width)`` points; of equal numbers the earlier item comes first."""
        if not self.width:
            return [list(self.items) for _ in units]
        return [[self.items[i] for i in row] for row in np.argsort(units, axis=1, kind="stable").tolist()]

    def encode(self, values: Sequence[Any]) -> NDArray[np.float64]:
        """``(n, width)`` points: a thing's place in the order, in the middle of as many cells as there are things."""
        n = len(self.items)
        units = np.empty((len(values), self.width))
        if self.width:
            places = np.array([self._places(value) for value in values], dtype=np.int64).reshape(len(values), n)
            np.put_along_axis(units, places, (np.arange(n) + 0.5)[None, :] / n, axis=1)
        return units

    def contains(self, value: Any) -> bool:
        """Whether `value` is a list of all the items, in some order."""
        return type(value) is list and sorted(self._places(value)) == list(range(len(self.items)))

    def grid(self, steps: int) -> list[Any]:
        """All orders where there are no more than `steps`; else that many, evenly spaced in the dictionary's order."""
        if self.n_values <= steps:
            return [list(order) for order in permutations(self.items)]
        last = self.n_values - 1
        return [self._order(k * last // max(steps - 1, 1)) for k in range(steps)]

    def axes(self, steps: int | None) -> list[Sequence[Any]]:
        """The orders a grid takes, or all of them, made as they are asked for."""
        return super().axes(steps) if steps is not None else [Listing(self.n_values, self._order)]

    def _order(self, rank: int) -> list[Any]:
        """The order with this number in the dictionary of all of them."""
        left, order = list(self.items), []
        for n in range(len(left), 0, -1):
            place, rank = divmod(rank, math.factorial(n - 1))
            order.append(left.pop(place))
        return order

    def to_json(self, value: Any) -> list[int]:
        """The places of the things among the items."""
        return self._places(value)

    def from_json(self, data: Any) -> list[Any]:
        """The order of the things at these places."""
        return [self.items[i] for i in data]
