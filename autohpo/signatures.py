"""Signatures: what kind of callable an objective is, and which names its code uses."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any


def is_generator(f: Callable[..., Any]) -> bool:
    """Whether calling `f` makes a generator: also through partial, decorators that wrap, and ``__call__``."""
    return is_any(f, inspect.isgeneratorfunction)


def is_any(f: Callable[..., Any], *kinds: Callable[[Any], bool]) -> bool:
    """Whether a function, what it wraps, or its ``__call__`` is of one of some kinds."""
    inner = getattr(f, "func", f)  # functools.partial
    return any(kind(g) for g in (inspect.unwrap(inner), type(inner).__call__) for kind in kinds)


def names_in(f: Callable[..., Any]) -> set[str]:
    """The names of attributes, globals and outer variables that a function uses, inner functions included."""
    inner = inspect.unwrap(getattr(f, "func", f))  # functools.partial
    codes = [getattr(inner, "__code__", None) or getattr(type(inner).__call__, "__code__", None)]
    names: set[str] = set()
    while codes:
        code = codes.pop()
        if code is not None:
            names |= {*code.co_names, *code.co_freevars}
            codes += [constant for constant in code.co_consts if hasattr(constant, "co_names")]
    return names
