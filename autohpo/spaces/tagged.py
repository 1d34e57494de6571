"""Python values as JSON and back, with tags where JSON has no type of its own; nothing is ever executed."""

from __future__ import annotations

import math
from typing import Any

from autohpo.errors import SpaceError


def to_json(value: Any) -> Any:
    """JSON types that stand for a value.

    None, bool, int, finite float and text stand for themselves; tuple, dict and non-finite floats get a tag. Anything
    else becomes ``{"opaque": name}``, which can be compared but not read back.
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
    return {"opaque": _name_of(value)}


def from_json(data: Any) -> Any:
    """The value that :func:`to_json` gave `data` for.

    Raises:
        SpaceError: `data` has an unknown tag, or stands for a value that JSON cannot carry.
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
                raise SpaceError(f"value: a key has no hash in {data!r}") from None
        case {"opaque": name}:
            raise SpaceError(f"value: {name} cannot be read back from JSON; build the space in code")
    raise SpaceError(f"value: unknown tag in {data!r}")


def is_same(a: Any, b: Any) -> bool:
    """Whether two values are the same choice: one object, or equal and of the same types all the way down.

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
    """A name that is equal in every process: no memory address."""
    if hasattr(value, "__qualname__"):
        return f"{value.__module__}.{value.__qualname__}"
    text, kind = repr(value), type(value)
    if isinstance(value, (set, frozenset)):  # their order is another one in each process
        text = ", ".join(sorted(map(repr, value)))
    return f"{kind.__module__}.{kind.__qualname__}" + ("" if " at 0x" in text else f" {text}")
