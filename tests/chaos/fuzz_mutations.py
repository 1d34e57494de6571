"""Mutations of what is valid: of structures, of texts and of bytes."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable, Sequence
from typing import Any

from fuzz_draws import Draws
from fuzz_values import odd

JSON_VALUES: list[Any] = [
    *(None, True, False, 0, -1, 1, 7, 2**31, 2**63, -(2**70), 10**400, 0.5, -0.0, 1e308, 1e-320, "", "x", "NaN", "1"),
    *(
        [],
        {},
        [1],
        ["x", None],
        {"x": 1},
        {"": {}},
        [[[]]],
        {"float": "nan"},
        {"opaque": "f"},
        {"tuple": 3},
        {"dict": 1},
    ),
    *("\0", "\x1b[31m", "../../x", "x" * 5000, list(range(300)), {"kind": "RangeHP"}, {"kind": []}, "COMPLETE", "LOST"),
    *("\ud800", {"float": 1}, {"tuple": []}, {"int": "9" * 5000}, {"class": "os.system"}, {"opaque": "f", "digest": 1}),
]
"""What JSON can hold."""

MOST_DEPTH = 12

TOKENS = [
    *(" ", "\n", "0", "1", "-", "e", ".", ",", ":", "'", '"', "[", "]", "{", "}", "(", ")", "null", "NaN", "1e999"),
    *("`", "x", "lr", "and", "not", "in", "==", "<=", "**", "//", "%", "\0", "\ud800", "é", "!!python/object:x", "&a"),
    *(
        "*a",
        "<<",
        "- ",
        "  ",
        "\t",
        "#",
        "---",
        "lambda",
        "\\",
        "$",
        "|",
        ">",
        "?",
        "@",
        "9" * 400,
        "[" * 200,
        "(" * 200,
    ),
]
"""What may stand anywhere in a text."""


def paths_of(data: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The paths to all values in lists and dicts."""
    found = [path] if path else []
    if len(path) > MOST_DEPTH:  # a list may hold itself
        return found
    items = data.items() if type(data) is dict else enumerate(data) if type(data) is list else ()
    for key, value in items:
        found += paths_of(value, (*path, key))
    return found


def at(data: Any, path: Sequence[Any]) -> Any:
    """The value at a path."""
    for key in path:
        data = data[key]
    return data


def mutated(d: Draws, data: Any, value: Callable[[Draws], Any] = odd, most: int = 2) -> Any:
    """Lists and dicts in which a few values are others, missing, doubled, swapped, or wrapped."""
    data = _copied(data)
    for _ in range(1 + d.index(most)):
        paths = paths_of(data)
        if not paths or d.chance(3):
            data = value(d)
            continue
        *before, last = d.of_all(paths)
        there, kind = at(data, before), d.index(8)
        if kind < 3:
            there[last] = value(d)
        elif kind == 3:
            del there[last]
        elif kind == 4:
            there[last] = [there[last]] if d.chance(50) else {"x": there[last]}
        elif kind == 5:
            there[last] = at(data, d.of_all(paths))
        elif kind == 6 and type(there) is dict:
            there[d.of_all(["x", "", 1, None, "kind", "name", "\0", "hp"])] = there.pop(last)
        elif kind == 6:
            there.append(there[last])
        else:
            there[last] = nudged(d, there[last])
    return data


def _copied(value: Any) -> Any:
    """A copy of lists and dicts, of which the leaves are the same objects."""
    if type(value) is dict:
        return {key: _copied(item) for key, item in value.items()}
    return [*map(_copied, value)] if type(value) is list else value


def nudged(d: Draws, value: Any) -> Any:
    """A value near another one."""
    if isinstance(value, bool) or value is None:
        return not value
    if isinstance(value, (int, float)):
        return d.of_all([-value, value + 1, value * 2, value / 2 if abs(value) < 1e300 else 0, str(value), [value]])
    if isinstance(value, str):
        return d.of_all(
            [value + "x", value[:-1], value.upper(), value * 2, value.encode(errors="replace"), " " + value]
        )
    return value


def json_value(d: Draws) -> Any:
    """A value that JSON can hold, sometimes a deep one."""
    if d.chance(4):
        deep: Any = 1
        for _ in range(400):
            deep = [deep]
        return deep
    return copy.deepcopy(d.of_all(JSON_VALUES))


def mutated_text(d: Draws, text: str, others: Sequence[str] = ()) -> str:
    """A text in which pieces are missing, doubled, replaced, or taken from another one."""
    for _ in range(1 + d.index(3)):
        pieces = re.findall(r"\w+|\s+|.", text) or [""]
        place, kind = d.index(len(pieces)), d.index(6)
        if kind == 0:
            del pieces[place]
        elif kind == 1:
            pieces.insert(place, d.of_all(TOKENS))
        elif kind == 2:
            pieces[place] = d.of_all(TOKENS)
        elif kind == 3:
            pieces.insert(place, pieces[d.index(len(pieces))])
        elif kind == 4:
            pieces = pieces[: place + 1]
        elif others:
            other = d.of_all(others)
            pieces[place:] = [other[d.index(len(other) + 1) :]]
        text = "".join(pieces)
    return text


def mutated_bytes(d: Draws, data: bytes) -> bytes:
    """Bytes of which some are flipped, missing, doubled, or zero."""
    changed = bytearray(data)
    for _ in range(1 + d.index(4)):
        if not changed:
            break
        place, kind = d.index(len(changed)), d.index(6)
        if kind < 3:
            changed[place] ^= 1 << d.index(8)
        elif kind == 3:
            changed[place : place + d.index(64)] = b""
        elif kind == 4:
            n = 1 + d.index(512)
            changed[place : place + n] = bytes(len(changed[place : place + n]))
        else:
            n, other = 1 + d.index(64), d.index(len(changed))
            changed[place : place + n] = changed[other : other + n]
    return bytes(changed)


def as_json(data: Any) -> str:
    """JSON, of what may not be."""
    try:
        return json.dumps(data)
    except (TypeError, ValueError, RecursionError):
        return "{}"
