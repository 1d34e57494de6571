"""ChoiceHP, OrdinalHP and FixedHP: one of several values of any kind, and a value that is not searched."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from autohpo.errors import SpaceError
from autohpo.spaces import tagged
from autohpo.spaces.base import HPSpace, checked_name
from autohpo.spaces.priors import Prior, Scale, as_prior


class _Values(HPSpace):
    """What parameters have in common that list their values: those come back as the very objects that were given."""

    @property
    def _listed(self) -> tuple[Any, ...]:
        raise NotImplementedError

    @property
    def width(self) -> int:
        """One column; none where there is only one value."""
        return 1 if len(self._listed) > 1 else 0

    @property
    def n_values(self) -> int:
        """How many values there are."""
        return len(self._listed)

    @cached_property
    def _edges(self) -> NDArray[np.float64]:
        n, prior = len(self._listed), getattr(self, "prior", None)
        places = np.arange(n + 1) / n
        return places if prior is None else prior.warp(self._scale).to_units(places)

    @property
    def _scale(self) -> Scale:
        raise NotImplementedError

    @property
    def edges(self) -> NDArray[np.float64]:
        """``(V + 1,)`` ends of the values' cells: as long as each other, but for the prior."""
        return self._edges

    @cached_property
    def _places(self) -> dict[Any, int]:
        """Where values stand that have a hash: by type too, for ``True`` is not ``1``."""
        places: dict[Any, int] = {}
        for i, value in enumerate(self._listed):
            if type(value) in (str, int, bool, float, type(None)) and value == value:  # noqa: PLR0124 - NaN is not
                places.setdefault((type(value), value), i)
        return places

    def index_of(self, value: Any) -> int:
        """Place of a value among the others, from 0; -1 if it is none of them."""
        if type(value) in (str, int, bool, float, type(None)) and value == value:  # noqa: PLR0124
            return self._places.get((type(value), value), -1)
        for i, one in enumerate(self._listed):
            if one is value:
                return i
        return next((i for i, one in enumerate(self._listed) if tagged.is_same(one, value)), -1)

    def decode(self, units: NDArray[np.float64]) -> list[Any]:
        """The n values of ``(n, 1)`` points."""
        if not self.width:
            return [self._listed[0]] * len(units)
        n = len(self._listed)
        if getattr(self, "prior", None) is None:
            return [self._listed[i] for i in np.minimum((units[:, 0] * n).astype(int), n - 1).tolist()]
        return [self._listed[i] for i in np.searchsorted(self._edges[1:-1], units[:, 0], side="right").tolist()]

    def encode(self, values: Sequence[Any]) -> NDArray[np.float64]:
        """``(n, 1)`` points in the middle of the values' cells."""
        if not self.width:
            return np.empty((len(values), 0))
        k = np.array([self.index_of(v) for v in values], dtype=np.int64)
        if getattr(self, "prior", None) is None:
            return ((k + 0.5) / len(self._listed))[:, None]
        return ((self._edges[k] + self._edges[k + 1]) / 2)[:, None]

    def contains(self, value: Any) -> bool:
        """Whether `value` is one of the values."""
        return self.index_of(value) >= 0

    def grid(self, steps: int) -> list[Any]:
        """All values where they have no order, else at most `steps`, evenly spaced from end to end."""
        n = len(self._listed)
        if self.levels or n <= steps:
            return list(self._listed)
        return [self._listed[i] for i in np.unique(np.rint(np.linspace(0, n - 1, steps)).astype(int))]

    def to_json(self, value: Any) -> int:
        """The place of a value among the others: the values themselves stand in the saved space."""
        return self.index_of(value)

    def from_json(self, data: Any) -> Any:
        """The value at a place."""
        return self._listed[data]


@dataclass(frozen=True, eq=False, repr=False)
class ChoiceHP(_Values):
    """One of several values, in no order.

    The values may be of any kind, and come back as the very objects that were given: ``True`` stays apart from ``1``.

    Args:
        name: Of the parameter.
        choices: The values, none twice.
        children: Parameters that are only in force for some of the choices: a dict from choice to parameters, or a
            list with an item for each choice. The same parameter may stand under several of them; children may have
            children.
        prior: Weights of the choices, or a belief in one of them; see :mod:`autohpo.spaces.priors`.

    Raises:
        SpaceError: There are no choices, one stands there twice, `choices` is no sequence, or the children or the
            prior do not suit them.

    Example:
        >>> ChoiceHP("norm", [None, "batch", (1, 2)]).decode(np.array([[0.1], [0.5], [1.0]]))
        [None, 'batch', (1, 2)]
    """

    name: str
    choices: tuple[Any, ...]
    children: tuple[tuple[HPSpace, ...], ...] = ()
    prior: Prior | None = None

    def __init__(
        self,
        name: str,
        choices: Iterable[Any],
        children: Mapping[Any, Sequence[HPSpace]] | Sequence[Sequence[HPSpace] | None] = (),
        prior: Prior | Sequence[float] | None = None,
    ) -> None:
        object.__setattr__(self, "name", checked_name(name))
        object.__setattr__(self, "choices", checked_values(name, "choices", choices))
        object.__setattr__(self, "children", _checked_children(self, children))
        object.__setattr__(self, "prior", as_prior(name, prior))
        self._edges  # noqa: B018 - made here for the prior's errors

    @property
    def _listed(self) -> tuple[Any, ...]:
        return self.choices

    @property
    def _scale(self) -> Scale:
        return Scale(self.name, n_values=len(self.choices), index_of=self.index_of)

    @property
    def levels(self) -> int:
        """How many choices there are."""
        return len(self.choices)


@dataclass(frozen=True, eq=False, repr=False)
class OrdinalHP(_Values):
    """One of several values that have an order, for instance batch sizes 8, 16, 64, 512: neighbours are alike.

    Args:
        name: Of the parameter.
        values: From first to last, none twice; of any kind.
        prior: Weights of the values, or where good ones are believed to lie; see :mod:`autohpo.spaces.priors`.

    Raises:
        SpaceError: There are no values, one stands there twice, or the prior does not suit them.

    Example:
        >>> OrdinalHP("batch", [8, 16, 64, 512]).decode(np.array([[0.0], [0.6], [1.0]]))
        [8, 64, 512]
    """

    name: str
    values: tuple[Any, ...]
    prior: Prior | None = None

    def __init__(self, name: str, values: Iterable[Any], prior: Prior | Sequence[float] | None = None) -> None:
        object.__setattr__(self, "name", checked_name(name))
        object.__setattr__(self, "values", checked_values(name, "values", values))
        object.__setattr__(self, "prior", as_prior(name, prior))
        self._edges  # noqa: B018 - made here for the prior's errors

    @property
    def _listed(self) -> tuple[Any, ...]:
        return self.values

    def _place(self, value: Any) -> float:
        index = self.index_of(value)
        if index < 0:
            raise SpaceError(f"{self.name}: prior must speak of one of the values, got {value!r:.80}")
        return (index + 0.5) / len(self.values)

    @property
    def _scale(self) -> Scale:
        return Scale(self.name, self._place, None, len(self.values), self.index_of)


@dataclass(frozen=True, eq=False, repr=False)
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


def checked_values(name: str, field: str, values: Any) -> tuple[Any, ...]:
    """Values to choose from.

    Raises:
        SpaceError: They are no sequence, there are none, or one stands there twice.
    """
    if isinstance(values, np.ndarray):
        values = values.tolist()
    if isinstance(values, (str, bytes, Mapping, AbstractSet)) or not isinstance(values, Iterable):
        raise SpaceError(f"{name}: {field} must be a list of values, got {type(values).__name__}")
    listed = tuple(values)
    if not listed:
        raise SpaceError(f"{name}: {field} must hold at least one value, got none")
    seen: set[Any] = set()
    others: list[Any] = []
    for value in listed:
        if type(value) in (str, int, bool):  # thousands of these must not cost millions of comparisons
            is_twice = (type(value), value) in seen
            seen.add((type(value), value))
        else:
            is_twice = any(tagged.is_same(value, other) for other in others)
            others.append(value)
        if is_twice:
            raise SpaceError(f"{name}: {field} must differ, got {value!r} twice")
    return listed


def _checked_children(hp: ChoiceHP, children: Any) -> tuple[tuple[HPSpace, ...], ...]:
    """The parameters under each choice; nothing where no choice has any.

    Raises:
        SpaceError: They stand under something that is no choice, or are no parameters.
    """
    under: list[tuple[HPSpace, ...]] = [()] * len(hp.choices)
    if isinstance(children, Mapping):
        places = [(hp.index_of(choice), choice, items) for choice, items in children.items()]
    elif isinstance(children, Sequence) and len(children) in (0, len(hp.choices)):
        places = [(i, hp.choices[i], items) for i, items in enumerate(children)]
    else:
        raise SpaceError(f"{hp.name}: children must be a dict, or have an item for each of {len(hp.choices)} choices")
    for index, choice, items in places:
        if index < 0:
            raise SpaceError(f"{hp.name}: children must stand under one of the choices, got {choice!r:.80}")
        if isinstance(items, HPSpace) or not isinstance(items, (Sequence, type(None))):
            raise SpaceError(f"{hp.name}: children of {choice!r:.80} must be a list of parameters, got {items!r:.80}")
        for item in items or ():
            if not isinstance(item, HPSpace):
                raise SpaceError(f"{hp.name}: children must be parameters such as RangeHP, got {item!r:.80}")
        under[index] = tuple(items or ())
    return tuple(under) if any(under) else ()
