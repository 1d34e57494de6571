"""Values of users as JSON holds them: numpy's numbers and arrays, tuples and sets become numbers and lists."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from autohpo.errors import short

__all__ = ["as_json"]

_DEEPEST = 50


def as_json(value: Any, replaced: list[str] | None = None, where: str = "", depth: int = 0) -> Any:
    """Return a value in JSON types.

    What JSON has no form for becomes the text that describes it.

    Args:
        value: The value.
        replaced: A list that gets the place of each part that has become a text.
        where: The place of the value, for that list.
        depth: The number of lists and dicts around it.
    """
    if value is None or type(value) in (str, bool, int, float):
        return value
    if isinstance(value, Mapping) and depth < _DEEPEST:
        return {_key(key): as_json(item, replaced, f"{where}[{key!r}]", depth + 1) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)) and depth < _DEEPEST:
        return [as_json(item, replaced, f"{where}[{place}]", depth + 1) for place, item in enumerate(value)]
    if hasattr(value, "tolist") and depth < _DEEPEST:  # numpy's and torch's numbers and arrays
        return as_json(value.tolist(), replaced, where, depth + 1)
    if isinstance(value, str):  # a subclass, such as an enumeration
        return "".join(value)
    if isinstance(value, (int, float)):
        return int(value) if isinstance(value, int) else float(value)
    if replaced is not None:
        replaced.append(where)
    return short(value)


def _key(key: Any) -> str:
    return key if isinstance(key, str) else str(key)
