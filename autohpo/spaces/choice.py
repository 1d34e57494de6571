"""ChoiceHP, OrdinalHP and FixedHP: one of several values of any kind, and a value that is not searched."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from autohpo.errors import SpaceError, shown
from autohpo.spaces.base import HPSpace, checked_name
from autohpo.spaces.formula_rows import as_column
from autohpo.spaces.index import Index, first_places
from autohpo.spaces.priors import Prior, Scale, as_prior
from autohpo.spaces.tagged import is_same
from autohpo.untrusted import as_tuple, check_depth

MOST_BOUNDED = 256
"""The most values that have bounds: each part of the unit interval compares all of them."""


class _Values(HPSpace):
    """What parameters that list their values have in common: these come back as the very objects that were given."""

    prior: Prior | None
    _edges: NDArray[np.float64]

    @property
    @abstractmethod
    def _listed(self) -> tuple[Any, ...]:
        """The values, in order."""

    @property
    @abstractmethod
    def _scale(self) -> Scale:
        """What a prior must know of the values."""

    def _set_prior(self, prior: Any) -> None:
        """Set the prior, and the edges of the cells that follow from it."""
        self._set(prior=as_prior(self.name, prior))
        places = np.arange(self.n_values + 1) / self.n_values
        self._set(_edges=places if self.prior is None else self.prior.warp(self._scale).to_units(places))

    @property
    def width(self) -> int:
        """The number of columns: 1, or 0 where there is a single value."""
        return 1 if len(self._listed) > 1 else 0

    @property
    def n_values(self) -> int:
        """The number of values."""
        return len(self._listed)

    @property
    def edges(self) -> NDArray[np.float64]:
        """``(V + 1,)`` ends of the values' cells: equally long without a prior."""
        return self._edges

    @cached_property
    def _index(self) -> Index:
        return Index(self._listed)

    def index_of(self, value: Any) -> int:
        """Return the index of a value among the others, from 0; -1 if it is none of them."""
        return self._index.of(value)

    def canonical(self, value: Any) -> Any:
        """Return the very object among the values that `value` means: 1.0 may mean 1; the value itself if none."""
        place = self._index.meant(value)
        return value if place < 0 else self._listed[place]

    def decode(self, units: NDArray[np.float64]) -> list[Any]:
        """Return the n values of ``(n, 1)`` points."""
        return [self._listed[i] for i in self._indices(units).tolist()]

    def _indices(self, units: NDArray[np.float64]) -> NDArray[np.int64]:
        """Return the n indices of the values of ``(n, 1)`` points."""
        n = len(self._listed)
        if not self.width:
            return np.zeros(len(units), dtype=np.int64)
        if self.prior is None:
            return np.minimum((units[:, 0] * n).astype(np.int64), n - 1)
        return np.searchsorted(self._edges[1:-1], units[:, 0], side="right")

    def column(self, units: NDArray[np.float64]) -> NDArray[Any]:
        """Return ``(n,)`` the values of ``(n, 1)`` points: what :meth:`decode` returns, as an array."""
        if type(self).decode is not _Values.decode:  # a kind that builds on this one has its own values
            return super().column(units)
        return self._column[self._indices(units)]

    @cached_property
    def _column(self) -> NDArray[Any]:
        return as_column(self._listed)

    @property
    def has_bounds(self) -> bool:
        """Whether all values are numbers, and there are not very many."""
        is_few = 1 < len(self._listed) <= MOST_BOUNDED and type(self).decode is _Values.decode
        return is_few and self._column.dtype != object

    def bounds(
        self, lows: NDArray[np.float64], highs: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return ``(m,)`` the least and the largest number between each of m pairs of points of the unit interval."""
        numbers, n = self._column.astype(float), len(self._listed)
        first, last = self._indices(lows[:, None]), self._indices(highs[:, None])
        among = (np.arange(n) >= first[:, None]) & (np.arange(n) <= last[:, None])
        return np.where(among, numbers, np.inf).min(axis=1), np.where(among, numbers, -np.inf).max(axis=1)

    def encode(self, values: Sequence[Any]) -> NDArray[np.float64]:
        """Return ``(n, 1)`` points in the middle of the values' cells."""
        if not self.width:
            return np.empty((len(values), 0))
        k = np.array([self.index_of(v) for v in values], dtype=np.int64)
        if len(k) and k.min() < 0:
            raise SpaceError(f"{self.name}: must be a value of {self}, got {shown(values[int(k.argmin())])}")
        if self.prior is None:
            return ((k + 0.5) / len(self._listed))[:, None]
        return ((self._edges[k] + self._edges[k + 1]) / 2)[:, None]

    def contains(self, value: Any) -> bool:
        """Return whether `value` is one of the values."""
        return self.index_of(value) >= 0

    def grid(self, steps: int) -> list[Any]:
        """Return all values where they have no order, else at most `steps`, evenly spaced from end to end."""
        n = len(self._listed)
        if self.levels or n <= steps:
            return list(self._listed)
        return [self._listed[i] for i in np.unique(np.rint(np.linspace(0, n - 1, steps)).astype(int))]

    def to_json(self, value: Any) -> int:
        """Return the index of a value: the values themselves stand in the saved space."""
        place = self.index_of(value)
        if place < 0:
            raise SpaceError(f"{self.name}: must be a value of {self}, got {shown(value)}")
        return place

    def from_json(self, data: Any) -> Any:
        """Return the value with an index."""
        if type(data) is not int or data < 0:
            raise SpaceError(f"{self.name}: must be a place among {len(self._listed)} values, got {shown(data)}")
        return self._listed[data]


@dataclass(frozen=True, eq=False, repr=False)
class ChoiceHP(_Values):
    """A choice among several values that have no order.

    The values may be of any kind, and come back as the very objects that were given: ``True`` stays apart from ``1``.

    Args:
        name: The name of the parameter.
        choices: The values, none twice.
        children: Parameters that are only active for some of the choices: a dict from choice to parameters, or a
            list with an item for each choice. The same parameter may stand under several of them; children may have
            children.
        prior: Weights of the choices, or a belief in one of them; see :mod:`autohpo.spaces.priors`.
        names: A name for each choice, where a store cannot tell them apart otherwise: objects without a repr of their
            own that hold a lock or an open file. Choices that JSON can hold keep their own values there.

    Raises:
        SpaceError: There are no choices, two are the same, `choices` is not a list, or the children, the prior or the
            names do not suit them.

    Example:
        >>> ChoiceHP("norm", [None, "batch", (1, 2)]).decode(np.array([[0.1], [0.5], [1.0]]))
        [None, 'batch', (1, 2)]
    """

    name: str
    choices: tuple[Any, ...]
    children: tuple[tuple[HPSpace, ...], ...] = ()
    prior: Prior | None = None
    names: tuple[str, ...] = ()

    def __init__(
        self,
        name: str,
        choices: Iterable[Any],
        children: Mapping[Any, Sequence[HPSpace]] | Sequence[Sequence[HPSpace] | None] = (),
        prior: Prior | Sequence[float] | None = None,
        *,
        names: Sequence[str] = (),
    ) -> None:
        self._set(name=checked_name(name), choices=checked_values(name, "choices", choices))
        self._set(names=checked_names(name, names, len(self.choices)))
        self._set(children=_checked_children(self, children))
        self._set_prior(prior)

    @property
    def _listed(self) -> tuple[Any, ...]:
        return self.choices

    def to_dict(self) -> dict[str, Any]:
        """Return the parameter as JSON types; choices that JSON cannot hold by their names."""
        return with_names(super().to_dict(), "choices", self.names)

    @property
    def _scale(self) -> Scale:
        return Scale(self.name, n_values=len(self.choices), index_of=self._index.meant)

    @property
    def levels(self) -> int:
        """The number of choices."""
        return len(self.choices)


@dataclass(frozen=True, eq=False, repr=False)
class OrdinalHP(_Values):
    """A choice among several values that have an order, such as batch sizes 8, 16, 64, 512: neighbours are alike.

    Args:
        name: The name of the parameter.
        values: The values from first to last, none twice; of any kind.
        prior: Weights of the values, or where good values are believed to lie; see :mod:`autohpo.spaces.priors`.
        names: A name for each value, where a store cannot tell them apart otherwise; see :class:`ChoiceHP`.

    Raises:
        SpaceError: There are no values, two are the same, or the prior or the names do not suit them.

    Example:
        >>> OrdinalHP("batch", [8, 16, 64, 512]).decode(np.array([[0.0], [0.6], [1.0]]))
        [8, 64, 512]
    """

    name: str
    values: tuple[Any, ...]
    prior: Prior | None = None
    names: tuple[str, ...] = ()

    def __init__(
        self,
        name: str,
        values: Iterable[Any],
        prior: Prior | Sequence[float] | None = None,
        *,
        names: Sequence[str] = (),
    ) -> None:
        self._set(name=checked_name(name), values=checked_values(name, "values", values))
        self._set(names=checked_names(name, names, len(self.values)))
        self._set_prior(prior)

    @property
    def _listed(self) -> tuple[Any, ...]:
        return self.values

    def to_dict(self) -> dict[str, Any]:
        """Return the parameter as JSON types; values that JSON cannot hold by their names."""
        return with_names(super().to_dict(), "values", self.names)

    def _place(self, value: Any) -> float:
        index = self._index.meant(value)
        if index < 0:
            raise SpaceError(f"{self.name}: prior must be about one of the values, got {shown(value)}")
        return (index + 0.5) / len(self.values)

    @property
    def _scale(self) -> Scale:
        return Scale(self.name, self._place, None, len(self.values), self._index.meant)


@dataclass(frozen=True, eq=False, repr=False)
class FixedHP(HPSpace):
    """A value that every configuration holds and no algorithm sees.

    Args:
        name: The name of the parameter.
        value: The value, of any kind.
    """

    name: str
    value: Any

    def __post_init__(self) -> None:
        self._set(name=checked_name(self.name))
        check_depth(self.name, [self.value])

    @property
    def width(self) -> int:
        """The number of columns: 0, as there is nothing to search."""
        return 0

    @property
    def n_values(self) -> int:
        """The number of values: 1."""
        return 1

    def decode(self, units: NDArray[np.float64]) -> list[Any]:
        """Return the value, n times."""
        return [self.value] * len(units)

    def encode(self, values: Sequence[Any]) -> NDArray[np.float64]:
        """Return ``(n, 0)`` points."""
        return np.empty((len(values), 0))

    def canonical(self, value: Any) -> Any:
        """Return the fixed value, if `value` means it."""
        return self.value if Index([self.value]).meant(value) == 0 else value

    def contains(self, value: Any) -> bool:
        """Return whether `value` is the fixed value."""
        return is_same(self.value, value)

    def grid(self, steps: int) -> list[Any]:
        """Return the value alone."""
        return [self.value]

    def to_json(self, value: Any) -> None:
        """Return None: the value stands in the saved space."""

    def from_json(self, data: Any) -> Any:
        """Return the value."""
        return self.value


def checked_values(name: str, field: str, values: Any) -> tuple[Any, ...]:
    """Return values to choose from as a tuple.

    Raises:
        SpaceError: They are not a list, there are none, or two are the same.
    """
    if isinstance(values, np.ndarray):
        values = values.tolist()
    if isinstance(values, (str, bytes, Mapping, AbstractSet)) or not isinstance(values, Iterable):
        raise SpaceError(f"{name}: {field} must be a list of values, got {type(values).__name__}")
    listed = as_tuple(name, f"{field} must be a list of values", values)
    check_depth(name, listed)
    if not listed:
        raise SpaceError(f"{name}: {field} must hold at least one value, got none")
    places = first_places(listed)
    if len(places) < len(listed):
        twice = next((i for i, place in enumerate(places) if i != place), len(places))
        raise SpaceError(f"{name}: {field} must differ, got {shown(listed[twice])} twice")
    return listed


def checked_names(name: str, names: Any, n: int) -> tuple[str, ...]:
    """Return the names of n values as a tuple; an empty one where none were given.

    Raises:
        SpaceError: They are not n different strings.
    """
    is_list = isinstance(names, (list, tuple)) and all(isinstance(one, str) and one for one in names)
    if not is_list or (names and (len(names) != n or len(set(names)) != n)):
        raise SpaceError(f"{name}: names must be {n} different strings, got {shown(names)}")
    return tuple(names)


def with_names(data: dict[str, Any], field: str, names: Sequence[str]) -> dict[str, Any]:
    """Return the description of a parameter in which values that JSON cannot hold go by names, if it has these."""
    values = [
        {"opaque": name} if isinstance(value, dict) and "opaque" in value else value
        for value, name in zip(data[field]["tuple"] if names else (), names, strict=True)
    ]
    return data | {field: {"tuple": values}} if names else data


def _checked_children(parameter: ChoiceHP, children: Any) -> tuple[tuple[HPSpace, ...], ...]:
    """Return the parameters under each choice; an empty tuple where no choice has any.

    Raises:
        SpaceError: They stand under something that is not a choice, or are not parameters.
    """
    under: list[tuple[HPSpace, ...]] = [()] * len(parameter.choices)
    if isinstance(children, Mapping):
        places = [(parameter._index.meant(choice), choice, items) for choice, items in children.items()]
    elif isinstance(children, Sequence) and len(children) in (0, len(parameter.choices)):
        places = [(i, parameter.choices[i], items) for i, items in enumerate(children)]
    else:
        rule = f"be a dict, or a list with an item for each of {len(parameter.choices)} choices"
        raise SpaceError(f"{parameter.name}: children must {rule}, got {shown(children)}")
    for index, choice, items in places:
        if index < 0:
            raise SpaceError(f"{parameter.name}: children must stand under one of the choices, got {shown(choice)}")
        if isinstance(items, HPSpace) or not isinstance(items, (Sequence, type(None))):
            rule = f"children of {shown(choice)} must be a list of parameters"
            raise SpaceError(f"{parameter.name}: {rule}, got {shown(items)}")
        for item in items or ():
            if not isinstance(item, HPSpace):
                raise SpaceError(f"{parameter.name}: children must be parameters such as RangeHP, got {shown(item)}")
        under[index] = tuple(items or ())
    return tuple(under) if any(under) else ()
