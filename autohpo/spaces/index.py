"""Index: where a value stands among others, and which of them a value in another form means."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from functools import cached_property
from typing import Any

import numpy as np

from autohpo.spaces.tagged import is_same

_PLAIN = (str, int, bool, float, type(None), bytes)


class Index:
    """The places of values, found without comparing each with each.

    Args:
        values: The values, none twice.

    Example:
        >>> index = Index([1, True, (1, 2), 0.3])
        >>> index.of(True), index.of(1.0), index.meant(1.0), index.meant(np.array([1, 2])), index.meant(0.1 + 0.2)
        (1, -1, 0, 2, 3)
    """

    def __init__(self, values: Sequence[Any]) -> None:
        self._values = values
        self._places: dict[Any, int] = {}
        self._by_id: dict[int, int] = {}
        self._others: list[int] = []
        for i, value in enumerate(values):
            key = _key(value)
            if key is None:
                self._by_id.setdefault(id(value), i)
                self._others.append(i)
            else:
                self._places.setdefault(key, i)
        self._meant: dict[tuple[str, Any], int] | None = None

    def of(self, value: Any) -> int:
        """Return the place of a value, from 0; -1 where it is none of them, as :func:`is_same` says."""
        kind = type(value)
        if kind is str or kind is int or kind is bool:
            return self._places.get((kind, value), -1)
        try:
            key = _key(value)
            if key is not None:
                return self._places.get(key, -1)
            place = self._by_id.get(id(value), -1)
            if place >= 0:
                return place
            return next((i for i in self._others if is_same(self._values[i], value)), -1)
        except RecursionError:  # deeper than a value may be
            return -1

    def all_of(self, values: Sequence[Any]) -> list[int]:
        """Return the place of each of several values; -1 for what is none of them."""
        places = list(map(self._by_identity.get, map(id, values)))  # most are the very objects
        if None in places:
            return [self.of(v) if place is None else place for v, place in zip(values, places, strict=True)]
        return places  # type: ignore[return-value]

    @cached_property
    def _by_identity(self) -> dict[int, int]:
        """The place of each value by the number of its object, which lives as long as this index."""
        return {id(value): i for i, value in reversed(list(enumerate(self._values)))}

    def meant(self, value: Any) -> int:
        """Return the place of a value that may have another form; -1 where none, or more than one, is meant.

        An integer may stand for a float and a whole float for an integer, numpy's numbers for Python's, a tuple or an
        array for a list, and a float for one that rounding parts from it. ``True`` is not 1.
        """
        place = self.of(value)
        if place >= 0:
            return place
        try:
            key = _loose(value)
        except RecursionError:  # deeper than a value may be
            return -1
        if key is None:
            return -1
        if self._meant is None:
            self._meant = self._by_meaning()
        if key in self._meant or key[0] != "number" or key[1] == "nan":
            return self._meant.get(key, -1)
        numbers = [known for kind, known in self._meant if kind == "number" and known != "nan"]
        near = [known for known in numbers if _is_near(known, key[1])]
        return self._meant["number", near[0]] if len(near) == 1 else -1

    def _by_meaning(self) -> dict[tuple[str, Any], int]:
        """Return the place of each value by what all its forms share; -1 for those of several values."""
        places: dict[tuple[str, Any], int] = {}
        for i, value in enumerate(self._values):
            key = _loose(value)
            if key is not None:
                known = places.setdefault(key, i)
                places[key] = known if known >= 0 and is_same(self._values[known], value) else -1
        return places


def _is_near(a: float, b: float) -> bool:
    """Return whether two numbers differ by rounding; integers beyond all floats have none."""
    return max(abs(a), abs(b)) <= sys.float_info.max and math.isclose(a, b, rel_tol=1e-12)


def plain(value: Any) -> Any:
    """Return numpy's scalars, and arrays of a single one without a shape, as Python's own types; others as they are."""
    if isinstance(value, np.generic) or (isinstance(value, np.ndarray) and value.ndim == 0):
        return value.item()
    return value


def as_list(value: Any) -> list[Any] | None:
    """Return a list, a tuple or an array as a list; None for anything else."""
    if isinstance(value, np.ndarray) and value.ndim:
        return list(value.tolist())
    return list(value) if isinstance(value, (list, tuple)) else None


def _key(value: Any) -> Any:
    """Return what two values share only where :func:`is_same` says so; None for values that are not plain."""
    kind = type(value)
    if kind in _PLAIN:
        return (kind, value) if value == value else (kind, "nan")  # noqa: PLR0124 - NaN is not
    if kind is tuple or kind is list:
        keys = tuple(map(_key, value))
        return None if None in keys else (kind, keys)
    if kind is frozenset or kind is set:
        return (kind, frozenset(value))
    if kind is dict:
        keys = tuple(map(_key, value.values()))
        return None if None in keys else (kind, frozenset(zip(value, keys, strict=True)))
    return None


def first_places(values: Sequence[Any]) -> list[int]:
    """Return the places of the values that do not stand among those before them, as :func:`is_same` says.

    Only values of equal hashes are compared, so that thousands of tuples, lists or objects do not cost millions of
    comparisons.
    """
    kinds = set(map(type, values))
    if kinds in ({int}, {str}) or (kinds == {float} and not any(map(math.isnan, values))):  # a grid may have millions
        return sorted(dict(zip(reversed(values), range(len(values) - 1, -1, -1), strict=True)).values())
    seen: dict[Any, list[Any]] = {}
    places = []
    for i, value in enumerate(values):
        among = seen.setdefault(_bucket(value), [])
        if not any(is_same(value, other) for other in among):
            among.append(value)
            places.append(i)
    return places


def _bucket(value: Any) -> Any:
    """Return what two values share where :func:`is_same` says that they are the same, and few others."""
    key = _key(value)
    if key is not None:
        return key
    kind = type(value)
    if kind is np.ndarray:
        return (kind, value.shape, None if value.dtype.hasobject else value.tobytes())
    if kind is tuple or kind is list:
        return (kind, tuple(map(_bucket, value)))
    if kind is dict:
        return (kind, frozenset((k, _bucket(v)) for k, v in value.items()))
    try:
        return (kind, hash(value))
    except Exception:  # a user's __hash__ may raise anything
        return (kind, None)


def _loose(value: Any) -> tuple[str, Any] | None:
    """Return what all forms of a value share; None for values that are not plain."""
    if isinstance(value, np.ndarray):
        value = value.tolist()
    value = plain(value)  # numpy's dates become Python's
    kind = type(value)
    if kind in (date, datetime, timedelta):
        return (kind.__name__, value)
    if kind is int or kind is float:
        return ("number", value if value == value else "nan")  # noqa: PLR0124
    if kind in (str, bool, type(None)):
        return (kind.__name__, value)
    if kind is tuple or kind is list:
        keys = tuple(map(_loose, value))
        return None if None in keys else ("list", keys)
    return None
