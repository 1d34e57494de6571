"""Python values as JSON and back, with tags where JSON has no type of its own; nothing is ever executed."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Collection, Iterator
from functools import cache, cached_property
from inspect import isabstract
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from autohpo.errors import SpaceError, shown, text_of
from autohpo.spaces.digest import can_import, digest_of
from autohpo.untrusted import reading

if TYPE_CHECKING:
    from typing_extensions import Self  # in typing from Python 3.11 on

KINDS: dict[str, type[Described]] = {}
"""Every class of described objects, to read a saved space back; filled as classes are defined.

Built-in classes stand there by their names, others by module and name: two programs may have kinds of one name.
"""


LONGEST_INTEGER = 14_000
"""Bits of an integer that JSON holds as it is: Python does not write much longer ones."""


class Described:
    """The base of what a space is made of: an object that describes its class and its attributes in JSON types.

    Attributes whose names begin with an underscore are caches, and no part of the description.
    """

    _omitted: ClassVar[dict[str, Any]] = {
        "prior": None,
        "children": (),
        "names": (),
    }  # left out where they have these values

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        known = KINDS.get(cls.__name__)
        if known is not None and known.__module__ != cls.__module__ and can_import(known):
            raise SpaceError(f"kind: must not have the name of a built-in kind, got {cls.__name__}; choose another")
        KINDS[class_name(cls)] = cls

    def _set(self, **values: Any) -> None:
        """Set attributes while the object is being made: afterwards it may be frozen."""
        for name, value in values.items():
            object.__setattr__(self, name, value)

    def __getstate__(self) -> Any:
        """Pickle no caches: using an object does not change what it pickles to."""
        return without_caches(self)

    def to_dict(self) -> dict[str, Any]:
        """Return the object as JSON types: its kind and its attributes, and the class where it is not built in."""
        kind, name = type(self).__name__, class_name(type(self))
        head = {"kind": kind} if name == kind else {"kind": kind, "class": name}
        return head | {name: to_json(value) for name, value in self._described()}

    def _described(self) -> Iterator[tuple[str, Any]]:
        """Yield the names and values of the attributes that the description holds."""
        for name, value in vars(self).items():
            is_omitted = name in self._omitted and is_same(value, self._omitted[name])
            if not (name.startswith("_") or is_omitted):
                yield name, value

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Self:
        """Return the object that :meth:`to_dict` described.

        Raises:
            SpaceError: The kind is not known here or is no subclass of this class, or JSON cannot hold its values.
        """
        with reading(cls.__name__):
            return cls._from_dict(data)

    @classmethod
    def _from_dict(cls, data: dict[str, Any]) -> Self:
        if not isinstance(data, dict) or not all(isinstance(name, str) for name in data):
            raise SpaceError(f"{cls.__name__}: must be made from a dict such as to_dict() returns, got {shown(data)}")
        fields = dict(data)
        kind, name = fields.pop("kind", None), fields.pop("class", None)
        made_by = _kind_of(cls, kind, name)
        try:
            made = made_by(**{k: from_json(v) for k, v in fields.items()})
        except TypeError as error:
            raise SpaceError(f"{kind}: cannot be made from {sorted(fields)}: {error}") from None
        assert isinstance(made, cls)  # for the type checker
        return made

    def __repr__(self) -> str:
        fields = ", ".join(f"{name}={text_of(value)}" for name, value in self._described() if value is not None)
        return f"{type(self).__name__}({fields})"

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and is_same(self.to_dict(), other.to_dict())  # 0 and 0.0 differ

    def __hash__(self) -> int:
        return hash(type(self))


def without_caches(made: object) -> dict[str, Any] | tuple[dict[str, Any], dict[str, Any]]:
    """Return what an object is pickled by, without what ``cached_property`` keeps in it."""
    caches, slots = _caches_of(type(made).__mro__)
    state = {name: value for name, value in vars(made).items() if name not in caches}
    held = {name: getattr(made, name) for name in slots if hasattr(made, name)}
    return (state, held) if held else state


@cache
def _caches_of(classes: tuple[type, ...]) -> tuple[frozenset[str], tuple[str, ...]]:
    """Return the names of the cached properties of a class and its bases, and of their slots."""
    bodies = [vars(base) for base in classes]
    caches = frozenset(n for body in bodies for n, item in body.items() if isinstance(item, cached_property))
    slots = [body.get("__slots__", ()) for body in bodies]
    names = [n for slot in slots for n in ([slot] if isinstance(slot, str) else slot)]
    return caches, tuple(n for n in names if n not in ("__dict__", "__weakref__"))


def class_name(cls: type) -> str:
    """Return the name of a built-in class, the module and the name of another."""
    return cls.__name__ if cls.__module__.startswith("autohpo.") else f"{cls.__module__}.{cls.__qualname__}"


def _kind_of(base: type[Described], kind: Any, name: Any) -> type[Described]:
    """Return the class of a kind.

    Raises:
        SpaceError: It is not known here or is no subclass of `base`, or there are several of this name.
    """
    classes = {n: made for n, made in KINDS.items() if issubclass(made, base) and not isabstract(made)}
    known = sorted({made.__name__ for made in classes.values()})
    if not isinstance(kind, str) or kind not in known:
        raise SpaceError(f"kind: must be one of {known}, got {shown(kind)}; import the module that defines it")
    of_name = {n: made for n, made in classes.items() if made.__name__ == kind}
    key = name if isinstance(name, str) and name in of_name else kind if kind in of_name else None
    if key is None and len(of_name) > 1:
        raise SpaceError(f"kind: {kind!r} must be the name of one class, got {sorted(of_name)}; rename one of them")
    return of_name[key] if key is not None else next(iter(of_name.values()))


def to_json(value: Any) -> Any:
    """Return the JSON types that stand for a value.

    None, bool, int, finite float and str stand for themselves; tuple, dict, non-finite floats, huge integers and what
    a space is made of get a tag. Anything else becomes ``{"opaque": name}``, which can be compared but not read back.
    Where the name may be that of several values, a ``digest`` of code or value stands beside it: None if there is
    none.
    """
    if value is None or type(value) in (bool, str):
        return value
    if type(value) is int:
        return value if value.bit_length() <= LONGEST_INTEGER else {"int": hex(value)}
    if type(value) is float:
        return value if math.isfinite(value) else {"float": repr(value)}
    if type(value) is list:
        return _listed(value)
    if type(value) is tuple:
        return {"tuple": _listed(value)}
    if type(value) is dict:
        return {"dict": [[k, v] for k, v in zip(_listed(value), _listed(value.values()), strict=True)]}
    if isinstance(value, Described):
        return {"described": value.to_dict()}
    return opaque(value)


def opaque(value: Any, *, with_state: bool = True) -> dict[str, Any]:
    """Return what stands for a value that JSON cannot hold.

    Args:
        value: The value.
        with_state: Whether lists and attributes count that change as a program runs.
    """
    name = _name_of(value)
    if name is not None and (not hasattr(value, "__qualname__") or can_import(value)):
        return {"opaque": name}
    kind = type(value)
    digest = digest_of(value, by_name=True, with_state=with_state)
    return {"opaque": name or f"{kind.__module__}.{kind.__qualname__}", "digest": digest}


def opaque_function(function: Any) -> dict[str, Any]:
    """Return what stands for a function of the user's: its name, and a digest where there is one and it says more."""
    data = opaque(function, with_state=False)
    return data if data.get("digest", "") is not None else {"opaque": data["opaque"]}


def _listed(values: Collection[Any]) -> list[Any]:
    """Return the JSON types of several values; of those with one name, each has a digest."""
    data = [to_json(value) for value in values]
    names = Counter(item["opaque"] for item in data if type(item) is dict and "opaque" in item)
    for item, value in zip(data, values, strict=True) if names and max(names.values()) > 1 else ():
        if type(item) is dict and names.get(item.get("opaque"), 0) > 1:
            item.setdefault("digest", digest_of(value, by_name=True))
    return data


def from_json(data: Any) -> Any:
    """Return the value that :func:`to_json` gave `data` for.

    Raises:
        SpaceError: `data` has an unknown tag, or stands for a value that JSON cannot hold.
    """
    if isinstance(data, list):
        return [from_json(v) for v in data]
    if not isinstance(data, dict):
        return data
    match data:
        case {"int": str() as text} if re.fullmatch("-?0x[0-9a-f]+", text):
            return int(text, 16)
        case {"float": "nan" | "inf" | "-inf" as text}:
            return float(text)
        case {"tuple": list(items)}:
            return tuple(from_json(v) for v in items)
        case {"dict": list(items)} if all(isinstance(item, list) and len(item) == 2 for item in items):
            try:
                return {from_json(k): from_json(v) for k, v in items}
            except TypeError:
                raise SpaceError(f"value: keys of a dict must be hashable, got {shown(data)}") from None
        case {"described": dict(made)}:
            return Described.from_dict(made)
        case {"opaque": name}:
            way = "build the space in code, and give it as space="
            raise SpaceError(f"value: {name} cannot be read back from JSON; {way}")
    raise SpaceError(f"value: tag must be float, int, tuple, dict or described, got {shown(data)}")


def is_same(a: Any, b: Any) -> bool:
    """Return whether two values are the same choice: one object, or equal and of the same types all the way down.

    So ``True`` is not ``1``, ``(1,)`` is not ``(True,)``, and NaN is NaN.
    """
    if a is b:
        return True
    if type(a) is not type(b):
        return False
    try:
        if isinstance(a, (list, tuple)):
            return len(a) == len(b) and all(map(is_same, a, b))
        if isinstance(a, dict):
            return a.keys() == b.keys() and all(is_same(a[k], b[k]) for k in a)
        if isinstance(a, float) and math.isnan(a):
            return math.isnan(b)
        return bool(a == b)
    except Exception:  # an array's == is no truth value, and a user's may raise anything
        return False


def _name_of(value: Any) -> str | None:
    """Return a name that is equal in every process; None where there is only one with a memory address."""
    kind = type(value)
    try:
        if hasattr(value, "__qualname__"):  # a method of a built-in class has no module
            return f"{getattr(value, '__module__', None) or kind.__module__}.{value.__qualname__}"
        text = repr(value)
        if isinstance(value, (set, frozenset)):  # their order is another one in each process
            text = ", ".join(sorted(map(repr, value)))
    except Exception:  # a user's __repr__ may raise anything
        return None
    is_cut = isinstance(value, np.ndarray) and "..." in text
    return None if " at 0x" in text or is_cut else f"{kind.__module__}.{kind.__qualname__} {text}"
