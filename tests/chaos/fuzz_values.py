"""Odd values: what a user, another library, or a file may hand to a function, and nobody expects."""

from __future__ import annotations

import copy
import datetime as dt
import decimal
import enum
import fractions
import math
from collections import OrderedDict, UserDict, UserList, deque, namedtuple
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from fuzz_draws import Draws


class Silent:
    """An object that answers nothing."""

    def _no(self, *_: object) -> Any:
        raise RuntimeError("no answer")

    __repr__ = __bool__ = __len__ = __iter__ = __float__ = __int__ = __index__ = __eq__ = __lt__ = __reduce__ = _no
    __hash__ = None  # type: ignore[assignment]
    __getitem__ = __contains__ = __str__ = __copy__ = __deepcopy__ = _no


class Fickle(dict[str, Any]):
    """A dict that raises when it is read."""

    def __getitem__(self, key: object) -> Any:
        raise RuntimeError("not today")

    def items(self) -> Any:
        raise OSError("not today")

    __iter__ = keys = values = items  # type: ignore[assignment]


class Shy:
    """An object whose every attribute raises what getattr does not expect."""

    def __getattribute__(self, name: str) -> Any:
        if name == "__class__":  # without that Python's own isinstance raises
            return object.__getattribute__(self, name)
        raise ValueError(name)


class Text(str):
    """A string whose methods lie."""

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        raise TypeError("no comparison")

    __hash__ = str.__hash__


class Number(float):
    """A float that is none of ours."""

    def __repr__(self) -> str:
        raise RuntimeError("no text")


class Mood(enum.Enum):
    """An enumeration."""

    GOOD = 1
    BAD = "bad"


class Whole(enum.IntEnum):
    """One of integers."""

    ONE = 1


Pair = namedtuple("Pair", "a b")  # noqa: PYI024 - such as users have


def cyclic() -> list[Any]:
    """A list that holds itself."""
    made: list[Any] = [1]
    made.append(made)
    return made


def deep(n: int = 3000) -> list[Any]:
    """Lists in lists."""
    made: list[Any] = []
    for _ in range(n):
        made = [made]
    return made


def deep_dict(n: int = 1500) -> dict[str, Any]:
    """Dicts in dicts."""
    made: dict[str, Any] = {}
    for _ in range(n):
        made = {"x": made}
    return made


def endless() -> Iterator[int]:
    """A generator that is not asked for much, one hopes."""
    yield from range(100)
    raise RuntimeError("an iterator that breaks")


PLAIN: list[Any] = [
    *(0, 1, 2, 0.5, 1.0, "x", "a", None, True, False, -1, 3, 7, 10, 0.1, 1e-3, 100, 1e3, "", "1", "0.5", "adam"),
    *([], {}, [1, 2], ["a", "b"], {"x": 0.5}, (0.0, 1.0), (1, 2)),
]
"""What is usual somewhere."""

NUMBERS: list[Any] = [
    *(0.0, -0.0, 1e-320, 5e-324, 1e308, -1e308, 1.7976931348623157e308, math.nan, math.inf, -math.inf, 2**31, 2**53),
    *(2**63, -(2**63), 2**64, 10**30, -(10**30), 10**400, -(10**400), 10**5000, 0.1 + 0.2, 1 - 1e-16, 1e16 + 1, 1j),
    *(decimal.Decimal("0.3"), decimal.Decimal("NaN"), decimal.Decimal("sNaN"), decimal.Decimal("Infinity")),
    *(fractions.Fraction(1, 3), fractions.Fraction(10**400, 3), Number(0.5), Whole.ONE),
    *(np.float64(0.5), np.float32(0.1), np.float16(65504), np.longdouble(1) / 3, np.int64(3), np.int8(-128)),
    *(np.uint64(2**64 - 1), np.bool_(True), np.nan, np.float64("inf"), np.complex128(1), np.datetime64("2020")),
    *(np.timedelta64(1, "s"), np.array(1.0), np.array([1.0]), np.array([[1.0, 2.0]]), np.array([]), np.ma.masked),
]
TEXTS: list[Any] = [
    *("nan", "NaN", "inf", "-1", "1e999", "9" * 5000, "x" * 3000, " ", "\n", "\0", "a\0b", "\ud800", "\udcff", "é"),
    *("\u202eabc", "\x1b[31m", "`", "'", '"', "${x}", "{x}", "{{}}", "%s", "%(x)s", "{0.__class__}", "lambda", "None"),
    *(
        "__import__('os').system('true')",
        "../../x",
        "/",
        "a b",
        "x.y",
        "x[0]",
        "True",
        "0x10",
        "1_000",
        "<b>",
        Text("x"),
    ),
    *(b"x", b"\xff\xfe", bytearray(b"x"), memoryview(b"x"), np.str_("x"), np.bytes_(b"x"), Path("x"), "hp.x", "x0"),
]
OBJECTS: list[Any] = [
    *(Silent(), Shy(), object(), int, len, type, print, Ellipsis, NotImplemented, Exception("x"), ValueError),
    *(
        lambda *_: 1.0,
        lambda: None,
        range(3),
        range(10**12),
        slice(1),
        Mood.GOOD,
        Mood,
        Pair(1, 2),
        SimpleNamespace(x=1),
    ),
    *(
        dt.datetime(2020, 1, 1, tzinfo=dt.timezone.utc),
        dt.timedelta(seconds=3),
        dt.date(2020, 1, 1),
        {1, 2},
        frozenset(),
    ),
    *(
        OrderedDict(x=1),
        UserDict(x=1),
        UserList([1]),
        deque([1]),
        Fickle(x=1),
        {1: 2},
        {None: None},
        {(1,): 2},
        {"": 1},
    ),
    *(np.arange(3), np.zeros((2, 2)), np.array(["a"], dtype=object), np.array([{"x": 1}]), np.zeros(0, dtype="f4,i4")),
    *(math, np, Draws, str.upper, [].append, "".join, property(), classmethod(len), staticmethod(len), super),
]
MADE = [cyclic, deep, deep_dict, endless, lambda: iter([1]), lambda: [Silent()], lambda: {"x": Silent()}]
"""Functions that make a value anew, as it is used up or could be changed."""

ALL: list[Any] = [*PLAIN, *NUMBERS, *TEXTS, *OBJECTS]


def odd(d: Draws, depth: int = 0) -> Any:
    """A value of any kind."""
    kind = d.index(10)
    if kind < 4:
        return _fresh(d.of_all(PLAIN))
    if kind < 7:
        return _fresh(d.of_all(ALL))
    if kind < 8:
        return d.of_all(MADE)()
    if depth > 2:
        return d.index(5)
    if kind < 9:
        return [odd(d, depth + 1) for _ in range(d.index(4))]
    return {d.of_all(["x", "x0", "lr", "perf", "name", 1, None]): odd(d, depth + 1) for _ in range(d.index(3))}


def number(d: Draws) -> Any:
    """A value that is mostly a number."""
    return odd(d) if d.chance(12) else d.of_all([0.0, 1.0, 1, 2, 5, 0.5, 0.1, -1, 1e-3, 10, 0.25, *NUMBERS])


def _fresh(value: Any) -> Any:
    """A container that no other case has changed."""
    return copy.copy(value) if type(value) in (list, dict, set) else value
