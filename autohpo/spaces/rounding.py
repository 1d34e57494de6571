"""Comparisons and quotients of formulas: numbers that differ by no more than rounding are equal."""

from __future__ import annotations

import ast
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

Values = Mapping[str, Any]
Node = Callable[[Values], Any]
"""What computes a part of a formula."""
Size = Callable[[Values], float] | None
"""What computes how large the numbers are that a part is computed from; None where nothing is computed."""
Sizes = Callable[[], float] | None
Act = Callable[[Any, Any, Sizes], bool]

SLACK = 2.0**-44
"""Numbers that differ by less than this share of what they were computed from are equal: some 500 roundings."""


def is_equal(a: Any, b: Any, size: Sizes = None) -> bool:
    """Return whether two values are equal but for rounding.

    Args:
        a: A value.
        b: Another value.
        size: A function that returns how large the numbers were that both were computed from.
    """
    if isinstance(a, float) or isinstance(b, float):
        if not (isinstance(a, (int, float)) and isinstance(b, (int, float))):
            return bool(a == b)
        if a == b:
            return True
        gap = abs(a - b)
        if not gap < math.inf:
            return False
        return gap <= SLACK * (abs(a) + abs(b)) or (size is not None and gap <= SLACK * _finite(size()))
    if type(a) is list and type(b) is list:
        return len(a) == len(b) and all(is_equal(x, y, size) for x, y in zip(a, b, strict=True))
    return bool(a == b)


def _finite(size: float) -> float:
    return size if size < math.inf else 0.0


def _is_in(a: Any, b: Any, size: Sizes) -> bool:
    return any(is_equal(a, item, size) for item in b) if isinstance(b, (list, tuple)) else a in b


COMPARE: dict[type[ast.cmpop], Act] = {
    ast.Eq: is_equal,
    ast.NotEq: lambda a, b, size: not is_equal(a, b, size),
    ast.Lt: lambda a, b, size: bool(a < b) and not is_equal(a, b, size),
    ast.LtE: lambda a, b, size: bool(a <= b) or is_equal(a, b, size),
    ast.Gt: lambda a, b, size: bool(a > b) and not is_equal(a, b, size),
    ast.GtE: lambda a, b, size: bool(a >= b) or is_equal(a, b, size),
    ast.In: _is_in,
    ast.NotIn: lambda a, b, size: not _is_in(a, b, size),
    ast.Is: lambda a, b, _: a is b,
    ast.IsNot: lambda a, b, _: a is not b,
}
"""Each comparison, as a function of both values and of their size."""


def whole_quotient(a: float, b: float, size_a: float, size_b: float) -> int | None:
    """Return the quotient of two numbers where it is an integer but for rounding; None where it is none.

    So 0.6 is a multiple of 0.2, though Python says that ``0.6 % 0.2`` is nearly 0.2.

    Args:
        a: The dividend.
        b: The divisor.
        size_a: How large the numbers are that `a` is computed from.
        size_b: How large the numbers are that `b` is computed from.
    """
    exact = a / b if b else math.nan
    if not abs(exact) < 2.0**53:
        return None
    near = round(exact)
    slack = SLACK * (size_a + abs(near) * size_b)
    return near if abs(a - near * b) <= slack < abs(b) / 4 else None


def floor_divide(a: Any, b: Any, sizes: Callable[[], tuple[float, float]]) -> Any:
    """Return ``a // b``, where rounding does not take a quotient below the integer that it is."""
    if isinstance(a, int) and isinstance(b, int):
        return a // b
    whole = whole_quotient(a, b, *sizes())
    return a // b if whole is None else float(whole)


def modulo(a: Any, b: Any, sizes: Callable[[], tuple[float, float]]) -> Any:
    """Return ``a % b``, which is 0 where `a` is a multiple of `b` but for rounding."""
    if isinstance(a, int) and isinstance(b, int):
        return a % b
    return a % b if whole_quotient(a, b, *sizes()) is None else 0.0


def truncate(a: Any, size: Callable[[], float]) -> int:
    """Return ``int(a)``, where rounding does not take a number from the integer that it is."""
    whole = whole_quotient(a, 1.0, size(), 0.0) if isinstance(a, float) else None
    return int(a) if whole is None else whole


def size_of(node: ast.expr, build: Callable[[ast.expr], Node]) -> Size:
    """Return the function that computes how large the numbers are that a part of a formula is computed from.

    Rounding is a share of them: what is left of a difference may be all rounding. None where nothing is computed.

    Args:
        node: The part.
        build: A function that returns what computes the value of a part.
    """
    match node:
        case ast.BinOp(left=left, op=ast.Add() | ast.Sub() | ast.Mod(), right=right):
            return _sum_of([left, right], build)
        case ast.BinOp(left=left, op=ast.Mult(), right=right):
            a, b = own_size(left, build), own_size(right, build)
            return lambda hp: a(hp) * b(hp)
        case ast.BinOp(left=left, op=ast.Div(), right=right):
            return _quotient(build(left), own_size(left, build), build(right), own_size(right, build))
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return size_of(operand, build)
        case ast.Call(func=ast.Name(id="abs" | "max" | "min" | "sum"), args=args):
            return _sum_of(args, build)
        case ast.Call(func=ast.Name(id="log")):
            return lambda _: 1.0
        case ast.List(elts=items) | ast.Tuple(elts=items) if items:
            return _sum_of(items, build)
    return None


def _quotient(top: Node, size_of_top: Node, bottom: Node, size_of_bottom: Node) -> Size:
    def size(hp: Values) -> float:
        a, b = abs(float(top(hp))), abs(float(bottom(hp)))
        return float((size_of_top(hp) + a / b * size_of_bottom(hp)) / b)

    return size


def own_size(node: ast.expr, build: Callable[[ast.expr], Node]) -> Callable[[Values], float]:
    """Return the size of a part that others are computed from: at least that of its value."""
    size, run = size_of(node, build), build(node)
    return size if size is not None else lambda hp: _size_of_value(run(hp))


def _size_of_value(value: Any) -> float:
    if isinstance(value, (list, tuple)):
        return sum(map(_size_of_value, value))
    return abs(float(value)) if isinstance(value, (int, float)) else 0.0


def _sum_of(nodes: Sequence[ast.expr], build: Callable[[ast.expr], Node]) -> Callable[[Values], float]:
    sizes = [own_size(node, build) for node in nodes]
    return lambda hp: sum(size(hp) for size in sizes)
