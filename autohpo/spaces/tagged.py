"""Python values as JSON and back, with tags where JSON has no type of its own; nothing is ever executed."""

from __future__ import annotations

import math
from collections.abc import Iterator
from inspect import isabstract
from typing import TYPE_CHECKING, Any, ClassVar

from autohpo.errors import SpaceError

if TYPE_CHECKING:
    from typing_extensions import Self  # in typing from Python 3.11 on

KINDS: dict[str, type[Described]] = {}
"""Every class of described objects by its name, to read a saved space back; filled as classes are defined."""


class Described:
    """The base of what a space is made of: an object that describes its class and its attributes in JSON types.

    Attributes whose names begin with an underscore are caches, and no part of the description.
    """

    _omitted: ClassVar[dict[str, Any]] = {"prior": None, "children": ()}  # left out where they have these values

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        known = KINDS.get(cls.__name__)
        if known is not None and known.__module__.startswith("autohpo.") and known.__module__ != cls.__module__:
            raise SpaceError(f"kind: must not have the name of a built-in kind, got {cls.__name__}; choose another")
        KINDS[cls.__name__] = cls

    def _set(self, **values: Any) -> None:
        """Set attributes while the object is being made: afterwards it may be frozen."""
        for name, value in values.items():
            object.__setattr__(self, name, value)

    def to_dict(self) -> dict[str, Any]:
        """Return the object as JSON types: its kind and its attributes."""
        return {"kind": type(self).__name__} | {name: to_json(value) for name, value in self._described()}

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
        fields = dict(data)
        kind = fields.pop("kind", None)
        known = sorted(name for name, made in KINDS.items() if issubclass(made, cls) and not isabstract(made))
        if not isinstance(kind, str) or kind not in known:
            raise SpaceError(f"kind: must be one of {known}, got {kind!r}; import the module that defines it")
        try:
            made = KINDS[kind](**{k: from_json(v) for k, v in fields.items()})
        except TypeError as error:
            raise SpaceError(f"{kind}: cannot be made from {sorted(fields)}: {error}") from None
        assert isinstance(made, cls)  # for the type checker: it is one of `known`
        return made

    def __repr__(self) -> str:
        fields = ", ".join(f"{name}={value!r}" for name, value in self._described() if value is not None)
        return f"{type(self).__name__}({fields})"

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and is_same(self.to_dict(), other.to_dict())  # 0 and 0.0 differ

    def __hash__(self) -> int:
        return hash(type(self))


def to_json(value: Any) -> Any:
    """Return the JSON types that stand for a value.

    None, bool, int, finite float and str stand for themselves; tuple, dict, non-finite floats and what a space is
    made of get a tag. Anything else becomes ``{"opaque": name}``, which can be compared but not read back.
    """
    if value is None or type(value) in (bool, int, str):
        return value
    if type(value) is float:
        return value if math.isfinite(value) else {"float": repr(value)}
    if type(value) is list:
        return [to_json(v) for v in value]
    if type(value) is tuple:
        return {"tuple": [to_json(v) for v in value]}
    if type(value) is dict:
        return {"dict": [[to_json(k), to_json(v)] for k, v in value.items()]}
    if isinstance(value, Described):
        return {"described": value.to_dict()}
    return {"opaque": _name_of(value)}


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
        case {"float": "nan" | "inf" | "-inf" as text}:
            return float(text)
        case {"tuple": list(items)}:
            return tuple(from_json(v) for v in items)
        case {"dict": list(items)} if all(isinstance(item, list) and len(item) == 2 for item in items):
            try:
                return {from_json(k): from_json(v) for k, v in items}
            except TypeError:
                raise SpaceError(f"value: keys of a dict must be hashable, got {data!r:.80}") from None
        case {"described": dict(made)}:
            return Described.from_dict(made)
        case {"opaque": name}:
            raise SpaceError(f"value: {name} cannot be read back from JSON; build the space in code")
    raise SpaceError(f"value: tag must be float, tuple, dict or described, got {data!r:.80}")


def is_same(a: Any, b: Any) -> bool:
    """Return whether two values are the same choice: one object, or equal and of the same types all the way down.

    So ``True`` is not ``1``, ``(1,)`` is not ``(True,)``, and NaN is NaN.
    """
    if a is b:
        return True
    if type(a) is not type(b):
        return False
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(map(is_same, a, b))
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(is_same(a[k], b[k]) for k in a)
    if isinstance(a, float) and math.isnan(a):
        return math.isnan(b)
    try:
        return bool(a == b)
    except Exception:  # an array's == is no truth value, and a user's may raise anything
        return False


def _name_of(value: Any) -> str:
    """Return a name that is equal in every process: no memory address."""
    if hasattr(value, "__qualname__"):
        return f"{value.__module__}.{value.__qualname__}"
    text, kind = repr(value), type(value)
    if isinstance(value, (set, frozenset)):  # their order is another one in each process
        text = ", ".join(sorted(map(repr, value)))
    return f"{kind.__module__}.{kind.__qualname__}" + ("" if " at 0x" in text else f" {text}")
