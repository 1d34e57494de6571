"""Formulas over many configurations at once: the same answers as one by one, a hundred times as fast."""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from autohpo.spaces.rounding import SLACK

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]
Column = NDArray[Any]
"""``(n,)`` the values of a parameter: int64 or float64 where all are numbers or truths, else objects."""

MOST_EXACT = 2.0**53
"""The largest integer up to which floats hold every one."""
MOST_EXPONENT = 64.0


class NotInRows(Exception):  # noqa: N818 - a way to say it, caught at once
    """A formula has a part that is only computed for one configuration at a time."""


def as_column(values: Sequence[Any]) -> Column:
    """Return values as a column of the narrowest kind that holds them."""
    kinds = set(map(type, values))
    if kinds <= {int, bool, float}:
        with suppress(OverflowError):  # of an integer beyond 64 bits
            return np.array(values, dtype=np.float64 if float in kinds else np.int64)
    column = np.empty(len(values), dtype=object)
    column[:] = values
    return column


@dataclass
class _Numbers:
    """Numbers, one for each row.

    Attributes:
        values: ``(n,)`` or a single one.
        size: How large the numbers are that they were computed from; None where nothing was computed.
        is_int: Whether all are integers, which have no rounding.
        failed: Which rows could not be computed so.
    """

    values: Any
    size: Any = None
    is_int: bool = False
    failed: Any = False

    @property
    def own_size(self) -> Any:
        return np.abs(self.values) if self.size is None else self.size


@dataclass
class _Truths:
    values: Any
    failed: Any = False


_Part = _Numbers | _Truths | list[Any] | Column | str | None


def evaluate(tree: ast.expr, columns: Mapping[str, Column], n: int) -> tuple[BoolArray, BoolArray]:
    """Return ``(n,)`` whether a formula is true in each of n configurations, and ``(n,)`` where that is not known.

    What is not known, such as a division by zero, is left to the formula itself, one by one.

    Args:
        tree: The syntax tree of the formula.
        columns: The column of each of its names.
        n: The number of configurations.

    Raises:
        NotInRows: The formula has a part, such as an index, that is not computed in rows.
    """
    with np.errstate(all="ignore"):
        found = _truth(_Rows(columns).of(tree))
    shape = np.zeros(n, dtype=bool)
    return shape | found.values, shape | found.failed


class _Rows:
    """A walk over the tree of a formula."""

    def __init__(self, columns: Mapping[str, Column]) -> None:
        self._columns = columns

    def of(self, node: ast.expr) -> _Part:
        match node:
            case ast.Constant(value=bool() | int() | float() as value):
                if abs(value) > MOST_EXACT:
                    raise NotInRows
                return _Numbers(float(value), is_int=not isinstance(value, float))
            case ast.Constant(value=value):
                return value  # type: ignore[return-value]
            case ast.Name(id=name):
                return self._column(name)
            case ast.List(elts=items) | ast.Tuple(elts=items):
                return [self.of(item) for item in items]
            case ast.BinOp(left=left, op=op, right=right):
                return _computed(op, self._numbers(left), self._numbers(right))
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                inner = self._numbers(operand)
                return _Numbers(-inner.values, inner.size, inner.is_int, inner.failed)
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                truth = _truth(self.of(operand))
                return _Truths(np.logical_not(truth.values), truth.failed)
            case ast.BoolOp(op=op, values=parts):
                return _together([_truth(self.of(part)) for part in parts], is_and=isinstance(op, ast.And))
            case ast.Compare(left=left, ops=ops, comparators=others):
                sides = [self.of(side) for side in (left, *others)]
                found = _together([_compared(op, *sides[i : i + 2]) for i, op in enumerate(ops)])
                return _Truths(found.values, found.failed | _any_failed(sides))  # all sides are computed first
            case ast.Call(func=ast.Name(id=name), args=args):
                return self._called(name, args)
        raise NotInRows

    def _column(self, name: str) -> _Part:
        column = self._columns[name]
        if column.dtype == object:
            return column
        is_int = column.dtype != np.float64
        numbers = column.astype(np.float64)
        if is_int and len(column) and np.abs(numbers).max() > MOST_EXACT:
            raise NotInRows
        return _Numbers(numbers, is_int=is_int)

    def _numbers(self, node: ast.expr) -> _Numbers:
        part = self.of(node)
        if isinstance(part, _Truths):
            return _Numbers(np.asarray(part.values, dtype=np.float64), is_int=True, failed=part.failed)
        if not isinstance(part, _Numbers):
            raise NotInRows
        return part

    def _called(self, name: str, args: Sequence[ast.expr]) -> _Numbers:
        if name in ("max", "min", "sum"):
            items = args[0].elts if len(args) == 1 and isinstance(args[0], (ast.List, ast.Tuple)) else args
            if (name == "sum" and items is args) or len(items) < (1 if name == "sum" else 2):
                raise NotInRows
            return _folded(name, [self._numbers(item) for item in items])
        if len(args) != 1 or name not in _CALLS:
            raise NotInRows
        return _CALLS[name](self._numbers(args[0]))


def _checked(values: Any, size: Any, *failed: Any, is_int: bool = False) -> _Numbers:
    """Return computed numbers, of which those that floats do not hold have failed."""
    bad = ~np.isfinite(values)
    if is_int:
        bad = bad | (np.abs(values) > MOST_EXACT)
    for one in failed:
        bad = bad | one
    return _Numbers(values, size, is_int, bad)


def _computed(op: ast.operator, a: _Numbers, b: _Numbers) -> _Numbers:
    x, y, is_int = a.values, b.values, a.is_int and b.is_int
    size_x, size_y = a.own_size, b.own_size
    values: Any
    odd: Any = ~(np.isfinite(x) & np.isfinite(y))
    match op:
        case ast.Add():
            values, size = x + y, size_x + size_y
        case ast.Sub():
            values, size = x - y, size_x + size_y
        case ast.Mult():
            values, size = x * y, size_x * size_y
        case ast.Div():
            values, is_int, odd = np.divide(x, y), False, odd | (y == 0)
            size = (size_x + np.abs(values) * size_y) / np.abs(y)
        case ast.FloorDiv():
            values, size, odd = np.floor_divide(x, y), None, odd | (y == 0)
            values = values if is_int else np.where(*_whole(x, y, size_x, size_y), values)
        case ast.Mod():
            values, size, odd = np.mod(x, y), size_x + size_y, odd | (y == 0)
            values = values if is_int else np.where(_whole(x, y, size_x, size_y)[0], 0.0, values)
        case ast.Pow():
            values, size = np.power(x, y), None
            odd = odd | (np.abs(y) > MOST_EXPONENT) | ((x == 0) & (y < 0)) | ((x < 0) & (y != np.floor(y)))
            odd = odd | (y < 0) if is_int else odd
        case _:
            raise NotInRows
    return _checked(values, size, odd, a.failed, b.failed, is_int=is_int)


def _whole(x: Any, y: Any, size_x: Any, size_y: Any) -> tuple[Any, Any]:
    """Return where quotients are integers but for rounding, and the nearest integers; see ``whole_quotient``."""
    exact = np.divide(x, y)
    near = np.rint(exact)
    slack = SLACK * (size_x + np.abs(near) * size_y)
    return (np.abs(exact) < 2.0**53) & (np.abs(x - near * y) <= slack) & (slack < np.abs(y) / 4), near


def _truncated(a: _Numbers) -> _Numbers:
    values = np.where(*_whole(a.values, 1.0, a.own_size, 0.0), np.trunc(a.values))
    return _checked(a.values if a.is_int else values, None, a.failed, is_int=True)


def _folded(name: str, items: Sequence[_Numbers]) -> _Numbers:
    values, size = items[0].values, items[0].own_size
    for item in items[1:]:
        size = size + item.own_size
        if name == "sum":
            values = values + item.values
        else:
            values = np.maximum(values, item.values) if name == "max" else np.minimum(values, item.values)
    return _checked(values, size, *(item.failed for item in items), is_int=all(item.is_int for item in items))


_CALLS: dict[str, Callable[[_Numbers], _Numbers]] = {
    "abs": lambda a: _Numbers(np.abs(a.values), a.own_size, a.is_int, a.failed),
    "int": _truncated,
    "round": lambda a: _checked(np.rint(a.values), None, a.failed, is_int=True),
    "log": lambda a: _checked(np.log(a.values), np.ones(1), np.asarray(a.values) <= 0, a.failed),
    "sqrt": lambda a: _checked(np.sqrt(a.values), None, np.asarray(a.values) < 0, a.failed),
}


def _truth(part: _Part) -> _Truths:
    """Return whether a value counts as true."""
    if isinstance(part, _Truths):
        return part
    if isinstance(part, _Numbers):
        return _Truths(part.values != 0, part.failed)
    if isinstance(part, np.ndarray):
        raise NotInRows
    return _Truths(bool(part))


def _together(parts: Sequence[_Truths], *, is_and: bool = True) -> _Truths:
    """Return whether all are true, or any: a part counts only where those before it do not settle the answer."""
    values, failed = parts[0].values, parts[0].failed
    for part in parts[1:]:
        is_open = values if is_and else np.logical_not(values)
        failed = failed | (is_open & part.failed)
        values = values & part.values if is_and else values | part.values
    return _Truths(values, failed)


def _any_failed(sides: Sequence[_Part]) -> Any:
    failed: Any = False
    for side in sides:
        for part in side if isinstance(side, list) else [side]:
            if isinstance(part, (_Numbers, _Truths)):
                failed = failed | part.failed
    return failed


def _compared(op: ast.cmpop, a: _Part, b: _Part) -> _Truths:
    if isinstance(op, (ast.In, ast.NotIn)):
        if not isinstance(b, list) or isinstance(a, list):
            raise NotInRows
        values: Any = False
        for item in b:
            values = values | _equal(a, item).values
        return _Truths(np.logical_not(values) if isinstance(op, ast.NotIn) else values)
    if isinstance(op, (ast.Eq, ast.NotEq)):
        found = _equal(a, b)
        return _Truths(np.logical_not(found.values)) if isinstance(op, ast.NotEq) else found
    a, b = _as_numbers(a), _as_numbers(b)
    if not (isinstance(a, _Numbers) and isinstance(b, _Numbers)):
        raise NotInRows
    same, x, y = _equal(a, b).values, a.values, b.values
    match op:
        case ast.Lt():
            return _Truths((x < y) & ~same)
        case ast.LtE():
            return _Truths((x <= y) | same)
        case ast.Gt():
            return _Truths((x > y) & ~same)
        case ast.GtE():
            return _Truths((x >= y) | same)
    raise NotInRows


def _as_numbers(part: _Part) -> _Part:
    if isinstance(part, _Truths):
        return _Numbers(np.asarray(part.values, dtype=np.float64), is_int=True, failed=part.failed)
    return part


def _equal(a: _Part, b: _Part) -> _Truths:
    a, b = _as_numbers(a), _as_numbers(b)
    if isinstance(a, list) or isinstance(b, list):
        raise NotInRows
    if isinstance(a, _Numbers) and isinstance(b, _Numbers):
        if a.is_int and b.is_int:
            return _Truths(np.equal(a.values, b.values))
        size = np.maximum(_slack_of(a, b), np.abs(a.values) + np.abs(b.values))
        gap = np.abs(a.values - b.values)
        return _Truths(np.equal(a.values, b.values) | ((gap <= SLACK * size) & (gap < np.inf)))
    if isinstance(a, _Numbers) or isinstance(b, _Numbers):
        numbers, other = (a, b) if isinstance(a, _Numbers) else (b, a)
        if isinstance(other, np.ndarray) and not set(map(type, other.tolist())) <= {str, type(None)}:
            raise NotInRows  # it may hold numbers among its objects
        return _Truths(np.zeros(np.shape(numbers.values), dtype=bool))  # type: ignore[union-attr]
    return _Truths(_objects_equal(a, b))


def _slack_of(a: _Numbers, b: _Numbers) -> Any:
    size: Any = sum(part.size for part in (a, b) if part.size is not None)
    return np.where(np.isfinite(size), size, 0.0)


def _objects_equal(a: Any, b: Any) -> Any:
    """Return where strings and None are equal, objects of any other type are compared one by one elsewhere."""
    for side in (a, b):
        if isinstance(side, np.ndarray) and not set(map(type, side.tolist())) <= {str, type(None), bool}:
            raise NotInRows
    return np.equal(a, b) if isinstance(a, np.ndarray) or isinstance(b, np.ndarray) else np.bool_(a == b)
