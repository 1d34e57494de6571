"""Formulas over boxes of values, by interval arithmetic: which boxes surely hold nothing that is allowed."""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

BoolArray = NDArray[np.bool_]

SLACK = 4e-9
"""What is taken off the gap between two intervals: more than formulas and linear constraints take for rounding."""

Box = tuple[Any, Any]
"""``(m,)`` the least and the largest value of a parameter in each of m boxes."""


@dataclass
class _Interval:
    """``(m,)`` bounds of a number, and of the size of what it is computed from."""

    low: Any
    high: Any
    size: Any


@dataclass
class _Maybe:
    """``(m,)`` whether something can be true, and whether it can be false."""

    true: Any
    false: Any


_Part = _Interval | _Maybe | list[Any] | None
_UNKNOWN = _Maybe(true=True, false=True)


def possible(tree: ast.expr, boxes: Mapping[str, Box]) -> tuple[Any, Any]:
    """Return ``(m,)`` whether a formula can be true somewhere in each box, and whether it can be false somewhere.

    Args:
        tree: The syntax tree of the formula.
        boxes: The bounds of each parameter; one that is missing may have any value.
    """
    with np.errstate(all="ignore"):
        found = _maybe(_of(tree, boxes))
    return found.true, found.false


def possible_sum(weights: Mapping[str, float], low: float | None, high: float | None, boxes: Mapping[str, Box]) -> Any:
    """Return the same as :func:`possible` for a sum of weighted parameters between two bounds."""
    total = _Interval(0.0, 0.0, 0.0)
    for name, weight in weights.items():
        if name not in boxes:
            return True, True
        total = _added(total, _times(_Interval(weight, weight, 0.0), _bounded(*boxes[name])))
    parts = [_compared(ast.LtE(), total, _constant(high))] if high is not None else []
    parts += [_compared(ast.GtE(), total, _constant(low))] if low is not None else []
    found = _all(parts)
    return found.true, found.false


def _constant(value: float) -> _Interval:
    number = np.float64(value)  # which divides by 0, and grows beyond all floats, without raising
    return _Interval(number, number, abs(number))


def _bounded(low: Any, high: Any) -> _Interval:
    spread = 1e-12 * np.maximum(np.abs(low), np.abs(high))  # what rounding may add to the ends
    return _Interval(low - spread, high + spread, np.maximum(np.abs(low), np.abs(high)))


def _of(node: ast.expr, boxes: Mapping[str, Box]) -> _Part:
    match node:
        case ast.Constant(value=bool() | int() | float() as value) if abs(value) < 1e300:
            return _constant(float(value))
        case ast.Name(id=name) if name in boxes:
            return _bounded(*boxes[name])
        case ast.List(elts=items) | ast.Tuple(elts=items):
            return [_of(item, boxes) for item in items]
        case ast.BinOp(left=left, op=op, right=right):
            return _computed(op, _of(left, boxes), _of(right, boxes))
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            inner = _of(operand, boxes)
            return _Interval(-inner.high, -inner.low, inner.size) if isinstance(inner, _Interval) else None
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            found = _maybe(_of(operand, boxes))
            return _Maybe(found.false, found.true)
        case ast.BoolOp(op=op, values=parts):
            maybes = [_maybe(_of(part, boxes)) for part in parts]
            return _all(maybes) if isinstance(op, ast.And) else _any(maybes)
        case ast.Compare(left=left, ops=ops, comparators=others):
            sides = [_of(side, boxes) for side in (left, *others)]
            return _all([_compared(op, *sides[i : i + 2]) for i, op in enumerate(ops)])
        case ast.Call(func=ast.Name(id=name), args=args):
            return _called(name, [_of(arg, boxes) for arg in args])
    return None


def _known(interval: _Interval) -> _Interval:
    """Return an interval whose bounds are no numbers as one without bounds."""
    low = np.where(np.isnan(interval.low), -np.inf, interval.low)
    high = np.where(np.isnan(interval.high), np.inf, interval.high)
    return _Interval(low, high, np.where(np.isnan(interval.size), np.inf, interval.size))


def _added(a: _Interval, b: _Interval) -> _Interval:
    return _known(_Interval(a.low + b.low, a.high + b.high, a.size + b.size))


def _times(a: _Interval, b: _Interval) -> _Interval:
    ends = [x * y for x in (a.low, a.high) for y in (b.low, b.high)]
    low, high = np.minimum.reduce(np.broadcast_arrays(*ends)), np.maximum.reduce(np.broadcast_arrays(*ends))
    return _known(_Interval(low, high, np.maximum(a.size, 1e-300) * np.maximum(b.size, 1e-300)))


def _computed(op: ast.operator, a: _Part, b: _Part) -> _Part:
    if not (isinstance(a, _Interval) and isinstance(b, _Interval)):
        return None
    match op:
        case ast.Add():
            return _added(a, b)
        case ast.Sub():
            return _added(a, _Interval(-b.high, -b.low, b.size))
        case ast.Mult():
            return _times(a, b)
        case ast.Div():
            is_apart = (np.asarray(b.low) > 0) | (np.asarray(b.high) < 0)
            low, high = np.where(is_apart, 1 / b.high, -np.inf), np.where(is_apart, 1 / b.low, np.inf)
            nearest = np.minimum(np.abs(b.low), np.abs(b.high))
            size = np.where(is_apart, b.size / nearest**2, np.inf)
            return _times(a, _Interval(low, high, size))
        case ast.Pow():
            return _power(a, b)
    return None


def _power(a: _Interval, b: _Interval) -> _Part:
    """Return an interval to the power of a small integer of at least 1, or of any number where it is positive."""
    exponent = float(np.ravel(b.low)[0])
    if np.any(b.low != exponent) or np.any(b.high != exponent) or not 0 < exponent <= 64:
        return None
    ends = a.low**exponent, a.high**exponent
    if exponent % 1 or np.all(a.low >= 0):
        return _known(_Interval(*ends, a.size**exponent))
    low, high = np.minimum(*ends), np.maximum(*ends)
    if exponent % 2 == 0:
        low = np.where((a.low <= 0) & (a.high >= 0), 0.0, low)
    return _known(_Interval(low, high, a.size**exponent))


def _called(name: str, args: Sequence[_Part]) -> _Part:
    is_list = len(args) == 1 and isinstance(args[0], list)
    given = args[0] if len(args) == 1 and isinstance(args[0], list) else args
    items = [item for item in given if isinstance(item, _Interval)]
    if not items or len(items) < len(given):
        return None
    match name:
        case "sum" if is_list:
            total = items[0]
            for item in items[1:]:
                total = _added(total, item)
            return total
        case "max" | "min" if len(items) > 1:
            fold = np.maximum if name == "max" else np.minimum
            low, high, size = items[0].low, items[0].high, items[0].size
            for item in items[1:]:
                low, high, size = fold(low, item.low), fold(high, item.high), size + item.size
            return _Interval(low, high, size)
        case "abs" if len(items) == 1:
            a = items[0]
            low = np.where((a.low <= 0) & (a.high >= 0), 0.0, np.minimum(np.abs(a.low), np.abs(a.high)))
            return _Interval(low, np.maximum(np.abs(a.low), np.abs(a.high)), a.size)
        case "log" | "sqrt" if len(items) == 1:
            a = items[0]
            act = np.log if name == "log" else np.sqrt
            low, high = act(np.maximum(a.low, 0.0)), act(np.maximum(a.high, 0.0))
            return _known(_Interval(low, high, np.maximum(np.abs(high), 1.0)))
    return None


def _maybe(part: _Part) -> _Maybe:
    return part if isinstance(part, _Maybe) else _UNKNOWN


def _all(parts: Sequence[_Maybe]) -> _Maybe:
    true, false = parts[0].true, parts[0].false
    for part in parts[1:]:
        true, false = np.logical_and(true, part.true), np.logical_or(false, part.false)
    return _Maybe(true, false)


def _any(parts: Sequence[_Maybe]) -> _Maybe:
    true, false = parts[0].true, parts[0].false
    for part in parts[1:]:
        true, false = np.logical_or(true, part.true), np.logical_and(false, part.false)
    return _Maybe(true, false)


def _compared(op: ast.cmpop, a: _Part, b: _Part) -> _Maybe:
    if isinstance(op, (ast.In, ast.NotIn)) and isinstance(b, list) and b:
        found = _any([_compared(ast.Eq(), a, item) for item in b])
        return found if isinstance(op, ast.In) else _Maybe(found.false, found.true)
    if not (isinstance(a, _Interval) and isinstance(b, _Interval)):
        return _UNKNOWN
    slack = SLACK * (a.size + b.size)
    slack = np.where(np.isfinite(slack), slack, np.inf)
    can_be_below, can_be_above = a.low <= b.high + slack, a.high >= b.low - slack
    match op:
        case ast.Lt() | ast.LtE():
            return _Maybe(can_be_below, can_be_above)
        case ast.Gt() | ast.GtE():
            return _Maybe(can_be_above, can_be_below)
        case ast.Eq():
            return _Maybe(np.logical_and(can_be_below, can_be_above), false=True)
        case ast.NotEq():
            return _Maybe(true=True, false=np.logical_and(can_be_below, can_be_above))
    return _UNKNOWN
