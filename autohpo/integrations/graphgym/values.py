"""Values of a row of a grid file: Python's literals and ranges, read without executing anything."""

from __future__ import annotations

import ast
import math
from typing import Any

from autohpo.errors import SpaceError, shown
from autohpo.spaces.tagged import is_same

MOST_VALUES = 10_000
"""The most values of a row."""


def values_of(where: str, text: str) -> list[Any]:
    """Return the values of a row, each once; nothing is executed.

    Args:
        where: What an error begins with: the line and the key.
        text: The row behind its alias.

    Raises:
        SpaceError: It is no list of values, or one of them has no form in YAML.
    """
    rule = "must be a list of values such as [1,2,3] or ['relu','prelu'], or a range"
    try:
        node = ast.parse(text, mode="eval").body
        found = _range(node) if isinstance(node, ast.Call) else ast.literal_eval(node)
    except (SyntaxError, ValueError, TypeError, RecursionError, MemoryError) as error:
        raise SpaceError(f"{where}: {rule}, got {shown(text)}: {error}") from None
    if not isinstance(found, (list, tuple, range)):
        raise SpaceError(f"{where}: {rule}, got {shown(text)}")
    if not 1 <= len(found) <= MOST_VALUES:
        raise SpaceError(f"{where}: must have from 1 to {MOST_VALUES} values, got {len(found)}")
    values: list[Any] = []
    for value in map(_plain, found):
        if value is NotImplemented:
            raise SpaceError(
                f"{where}: values must be finite numbers, strings, booleans, None, or lists, got {shown(text)}"
            )
        if not any(is_same(value, other) for other in values):
            values.append(value)
    return values


def _range(node: ast.Call) -> Any:
    """Return the range that ``range(...)`` or ``list(range(...))`` stands for."""
    name = node.func.id if isinstance(node.func, ast.Name) else ""
    if name == "list" and len(node.args) == 1 and isinstance(node.args[0], ast.Call) and not node.keywords:
        return _range(node.args[0])
    if name != "range" or node.keywords:
        raise ValueError("only range() may be called")
    made = range(*(ast.literal_eval(argument) for argument in node.args))
    if len(made[: MOST_VALUES + 1]) > MOST_VALUES:
        raise ValueError(f"a range of more than {MOST_VALUES} values")
    return made


def _plain(value: Any) -> Any:
    """Return a value as YAML has it, tuples as lists; NotImplemented where YAML has none."""
    if isinstance(value, (list, tuple)):
        items = [_plain(item) for item in value]
        return NotImplemented if any(item is NotImplemented for item in items) else items
    is_plain = value is None or type(value) in (bool, int, str) or (type(value) is float and math.isfinite(value))
    return value if is_plain else NotImplemented
