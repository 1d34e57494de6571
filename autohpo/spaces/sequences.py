"""ListHP and PermutationHP: several values in one parameter, and the order of given things."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import permutations, product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from autohpo.errors import SpaceError, shown
from autohpo.spaces.base import HPSpace, Listing, checked_name
from autohpo.spaces.choice import checked_names, checked_values, with_names
from autohpo.spaces.expression import Expression
from autohpo.spaces.index import Index, as_list, plain
from autohpo.spaces.tagged import Described, opaque_function
from autohpo.untrusted import as_tuple

LONGEST_LIST = 100_000
"""The most entries of a list: each is a parameter of its own."""

LONGEST_PERMUTATION = 170
"""The most items of a permutation: the factorial of more is beyond the largest float."""


@dataclass(frozen=True, eq=False, repr=False)
class Cut(Described):
    """The length of a list as a function of other parameters: AutoGL's cutPara and cutFunc.

    Args:
        names: The names of the parameters, or the name of the only one.
        function: A function of the list of their values that returns an integer; JSON only holds its name, and a
            digest of its code.
    """

    names: tuple[str, ...]
    function: Callable[[list[Any]], int]

    def __post_init__(self) -> None:
        names: Any = self.names
        if not isinstance(names, (str, list, tuple)) or not all(isinstance(name, str) for name in names):
            raise SpaceError(f"Cut: names must be names of parameters, got {shown(names)}")
        self._set(names=(names,) if isinstance(names, str) else tuple(names))
        if not callable(self.function) or not self.names:
            raise SpaceError(f"Cut: must have names and a function, got {shown(self.names)}, {shown(self.function)}")

    def to_dict(self) -> dict[str, Any]:
        """Return the names, and the name of the function with the digest of its code where the name is no name."""
        return super().to_dict() | {"function": opaque_function(self.function)}

    def __call__(self, hp: Mapping[str, Any]) -> Any:
        """Return the length in a configuration.

        Raises:
            SpaceError: The function raised.
        """
        try:
            return self.function([hp[name] for name in self.names])
        except Exception as error:  # the user's function may raise anything
            raise SpaceError(f"{self}: raised {type(error).__name__}: {error} for {dict(hp)}") from error


@dataclass(frozen=True, eq=False, repr=False)
class ListHP(HPSpace):
    """A list of values, whose length may follow from other parameters.

    Entries beyond the length are no part of the configuration, and no algorithm learns from them.

    Args:
        name: The name of the parameter.
        item: A parameter that every entry is a value of, or a list with a parameter for each entry; their names do not
            matter.
        length: An integer; or a formula over other parameters, such as "num_layers - 1" (see :class:`Expression`); or
            a :class:`Cut`.
        max_length: The most entries; needed where `length` is not an integer and `item` not a list.

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
    _items: tuple[HPSpace, ...] = field(init=False)
    _rule: Expression | Cut | None = field(init=False)

    def __post_init__(self) -> None:
        self._set(name=checked_name(self.name))
        if not isinstance(self.item, HPSpace):
            if not isinstance(self.item, Iterable):
                raise SpaceError(f"{self.name}: item must be a parameter, or a list of them, got {shown(self.item)}")
            self._set(item=as_tuple(self.name, "item must be a parameter, or a list of them", self.item))
        self._set(length=plain(self.length), max_length=plain(self.max_length))
        if isinstance(self.length, bool) or not isinstance(self.length, (int, str, Cut)):
            raise SpaceError(f"{self.name}: length must be an integer, a formula or a Cut, got {shown(self.length)}")
        n = self._checked_max_length()
        items = (self.item,) * n if isinstance(self.item, HPSpace) else tuple(self.item)
        if len(items) != n or not all(isinstance(item, HPSpace) for item in items):
            raise SpaceError(f"{self.name}: item must be a parameter, or {n} of them, got {shown(items)}")
        if len({item.levels for item in items if item.width}) > 1:
            alike = "all have an order, or the same number of choices"
            raise SpaceError(f"{self.name}: items must {alike}, got {shown(items)}")
        for item in items:
            if item.refers_to or isinstance(item, ListHP) or getattr(item, "children", ()):
                raise SpaceError(f"{self.name}: items must not be lists or have children, got {shown(item)}")
        rule = Expression(self.length) if isinstance(self.length, str) else self.length
        self._set(_items=items, _rule=None if isinstance(rule, int) else rule)
        if isinstance(rule, Expression) and not rule.names:  # it is a number, whatever the configuration
            self._set(_items=items[: self.length_in({})], _rule=None)

    def _checked_max_length(self) -> int:
        """Return the most entries.

        Raises:
            SpaceError: The number is missing, below 1, or another number than the length.
        """
        n: Any = self.max_length
        if n is None and isinstance(self.length, int):
            n = self.length
        if n is None and not isinstance(self.item, HPSpace):
            n = len(self.item)
        if n is None:
            raise SpaceError(f"{self.name}: max_length must be given where length is not an integer, got None")
        if type(n) is not int or n < 1 or (isinstance(self.length, int) and self.length != n):
            raise SpaceError(
                f"{self.name}: max_length must be at least 1, and equal to an integer length, got {shown(n)}"
            )
        if n > LONGEST_LIST:
            raise SpaceError(f"{self.name}: max_length must be at most {LONGEST_LIST}, got {shown(n)}")
        return n

    @property
    def items(self) -> tuple[HPSpace, ...]:
        """The parameter of each entry."""
        return self._items

    @property
    def refers_to(self) -> tuple[str, ...]:
        """The names of the parameters that decide the length."""
        return () if self._rule is None else tuple(self._rule.names)

    def length_in(self, hp: Mapping[str, Any]) -> int:
        """Return the number of entries in a configuration.

        Raises:
            SpaceError: The rule does not give an integer from 0 to the most entries.
        """
        if self._rule is None:
            return len(self.items)
        n = plain(self._rule(hp))
        if isinstance(n, float) and math.isfinite(n) and abs(n - round(n)) <= 1e-9 * max(abs(n), 1.0):
            n = round(n)  # 0.3 / 0.1 is not 3
        if type(n) is not int or not 0 <= n <= len(self.items):
            raise SpaceError(f"{self.name}: length must be an integer from 0 to {len(self.items)}, got {shown(n)}")
        return n

    @property
    def width(self) -> int:
        """The number of columns of all entries."""
        return sum(item.width for item in self.items)

    @property
    def levels(self) -> int:
        """The number of values of an entry where their order means nothing; 0 where it means something."""
        return next((item.levels for item in self.items if item.width), 0)

    @property
    def n_values(self) -> int | None:
        """The number of lists of full length; None where they cannot be counted."""
        return _product(self.items)

    @property
    def column_edges(self) -> list[NDArray[np.float64] | None]:
        """The edges of the columns of all entries."""
        return [edges for item in self.items for edges in item.column_edges]

    def n_active(self, hp: Mapping[str, Any]) -> int:
        """Return the number of columns of the entries that the list has in a configuration."""
        return sum(item.width for item in self.items[: self.length_in(hp)])

    def cut(self, value: Any, hp: Mapping[str, Any]) -> Any:
        """Return the entries of a full list that the list has in a configuration."""
        return value[: self.length_in(hp)] if isinstance(value, list) else value

    def fits(self, value: Any, hp: Mapping[str, Any]) -> bool:
        """Return whether a list has its length in a configuration."""
        return len(value) == self.length_in(hp)

    def n_values_in(self, hp: Mapping[str, Any]) -> int | None:
        """Return the number of lists of the length in a configuration; None where they cannot be counted."""
        return _product(self.items[: self.length_in(hp)])

    def decode(self, units: NDArray[np.float64]) -> list[Any]:
        """Return the n lists, of full length, of ``(n, width)`` points."""
        columns, start = [], 0
        for item in self.items:
            columns.append(item.decode(units[:, start : start + item.width]))
            start += item.width
        return [list(row) for row in zip(*columns, strict=True)] if columns else [[] for _ in units]

    def encode(self, values: Sequence[Any]) -> NDArray[np.float64]:
        """Return ``(n, width)`` points; columns of entries that a list does not have hold .5."""
        units, start = np.full((len(values), self.width), 0.5), 0
        for i, item in enumerate(self.items):
            rows = [row for row, value in enumerate(values) if len(value) > i]
            if item.width and rows:
                units[rows, start : start + item.width] = item.encode([values[row][i] for row in rows])
            start += item.width
        return units

    def canonical(self, value: Any) -> Any:
        """Return a list, tuple or array as a list of entries in their parameters' own form; others as they are."""
        entries = as_list(value)
        if entries is None or len(entries) > len(self.items):
            return value
        return [item.canonical(entry) for item, entry in zip(self.items, entries, strict=False)]

    def contains(self, value: Any) -> bool:
        """Return whether `value` is a list of at most the full length whose entries are legal."""
        if type(value) is not list or len(value) > len(self.items):
            return False
        if self._rule is None and len(value) != len(self.items):
            return False
        return all(item.contains(entry) for item, entry in zip(self.items, value, strict=False))

    def grid(self, steps: int) -> list[Any]:
        """Return lists of full length: all of few, or of entries in no order; else lists along the diagonal."""
        n = self.n_values
        if n is not None and (self.levels or n <= steps):
            return [list(row) for row in product(*(item.grid(item.n_values or 1) for item in self.items))]
        return super().grid(steps)

    def axes(self, steps: int | None) -> list[Sequence[Any]]:
        """Return the values of a grid for each entry: they are walked one by one."""
        return [axis for item in self.items for axis in item.axes(steps)]

    def join(self, parts: Sequence[Any]) -> Any:
        """Return a list of as many entries as there are parts."""
        return list(parts)

    def to_json(self, value: Any) -> Any:
        """Return the entries, each as its parameter writes it."""
        return [item.to_json(entry) for item, entry in zip(self.items, value, strict=False)]

    def from_json(self, data: Any) -> Any:
        """Return the list that :meth:`to_json` wrote."""
        return [item.from_json(entry) for item, entry in zip(self.items, data, strict=False)]


def _product(items: Sequence[HPSpace]) -> int | None:
    """Return the number of combinations of the items' values; None where they cannot be counted."""
    counts = [item.n_values for item in items]
    return None if None in counts else math.prod(n for n in counts if n is not None)


@dataclass(frozen=True, eq=False, repr=False)
class PermutationHP(HPSpace):
    """An order of given items, as a list of them.

    Every item has a column of the unit cube, and they stand in the order of their numbers there: orders that differ
    by a swap of neighbours are near each other.

    Args:
        name: The name of the parameter.
        items: The items, none twice; they come back as the very objects that were given.
        names: A name for each item, where a store cannot tell them apart otherwise.

    Raises:
        SpaceError: There are no items, or more than 170, or two are the same; or the names are not as many strings.

    Source: Bean 1994, ORSA Journal on Computing 6(2) (random keys).

    Example:
        >>> PermutationHP("order", ["norm", "act", "drop"]).decode(np.array([[0.9, 0.1, 0.5]]))
        [['act', 'drop', 'norm']]
    """

    name: str
    items: Sequence[Any]
    names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        self._set(name=checked_name(self.name))
        self._set(items=checked_values(self.name, "items", self.items))
        self._set(names=checked_names(self.name, self.names, len(self.items)))
        if len(self.items) > LONGEST_PERMUTATION:
            raise SpaceError(f"{self.name}: items must be at most {LONGEST_PERMUTATION}, got {len(self.items)}")

    @property
    def width(self) -> int:
        """The number of columns: as many as items, or 0 where there is a single item."""
        return len(self.items) if len(self.items) > 1 else 0

    @property
    def n_values(self) -> int:
        """The number of orders."""
        return math.factorial(len(self.items))

    def _places(self, value: Any) -> list[int]:
        """Return for each entry of an order its index among the items; -1 for anything else."""
        return self._index.all_of(value)

    @cached_property
    def _index(self) -> Index:
        return Index(self.items)

    def to_dict(self) -> dict[str, Any]:
        """Return the parameter as JSON types; items that JSON cannot hold by their names."""
        return with_names(super().to_dict(), "items", self.names)

    def decode(self, units: NDArray[np.float64]) -> list[Any]:
        """Return the n orders of ``(n, width)`` points; of equal numbers the earlier item comes first."""
        if not self.width:
            return [list(self.items) for _ in units]
        return [[self.items[i] for i in row] for row in np.argsort(units, axis=1, kind="stable").tolist()]

    def encode(self, values: Sequence[Any]) -> NDArray[np.float64]:
        """Return ``(n, width)`` points: an item's place in the order, in the middle of as many cells as items."""
        n = len(self.items)
        units = np.empty((len(values), self.width))
        if self.width:
            places = np.array([self._places(value) for value in values], dtype=np.int64).reshape(len(values), n)
            np.put_along_axis(units, places, (np.arange(n) + 0.5)[None, :] / n, axis=1)
        return units

    def canonical(self, value: Any) -> Any:
        """Return a list, tuple or array as a list of the very items that its entries mean; others as they are."""
        entries = as_list(value)
        if entries is None:
            return value
        places = [self._index.meant(entry) for entry in entries]
        return value if -1 in places else [self.items[i] for i in places]

    def contains(self, value: Any) -> bool:
        """Return whether `value` is a list of all the items, in some order."""
        return type(value) is list and sorted(self._places(value)) == list(range(len(self.items)))

    def grid(self, steps: int) -> list[Any]:
        """Return all orders where there are no more than `steps`; else `steps` of them, evenly spaced by their rank."""
        if self.n_values <= steps:
            return [list(order) for order in permutations(self.items)]
        last = self.n_values - 1
        return [self._order(k * last // max(steps - 1, 1)) for k in range(steps)]

    def axes(self, steps: int | None) -> list[Sequence[Any]]:
        """Return the orders of a grid, or all of them, made as they are asked for."""
        return super().axes(steps) if steps is not None else [Listing(self.n_values, self._order)]

    def _order(self, rank: int) -> list[Any]:
        """Return the order of a rank, from 0, in the lexicographic order of all."""
        left, order = list(self.items), []
        for n in range(len(left), 0, -1):
            place, rank = divmod(rank, math.factorial(n - 1))
            order.append(left.pop(place))
        return order

    def to_json(self, value: Any) -> list[int]:
        """Return the index of each entry among the items."""
        return self._places(value)

    def from_json(self, data: Any) -> list[Any]:
        """Return the order of the items with these indices."""
        return [self.items[i] for i in data]
