"""Expressions over parameters, such as "layers * width <= 512": read once, never executed as Python."""

from __future__ import annotations

import ast
import keyword
import math
import operator
import re
import sys
from collections.abc import Callable, Sequence
from typing import Any

from autohpo.errors import SpaceError, shown
from autohpo.spaces.rounding import COMPARE, Act, Node, Size, Values, floor_divide, modulo, own_size, size_of, truncate
from autohpo.spaces.tagged import Described

MOST_EXPONENT = 64
"""The largest exponent of a power: with more, and with numbers beyond the largest float, a formula might never end."""

_BINARY: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Pow: operator.pow,
}
_WHOLE: dict[type[ast.operator], Callable[..., Any]] = {ast.FloorDiv: floor_divide, ast.Mod: modulo}
"""What asks how large the numbers were that both sides were computed from."""
_CALLS: dict[str, Callable[..., Any]] = {
    "abs": abs,
    "len": len,
    "max": max,
    "min": min,
    "round": round,
    "sum": sum,
    "log": math.log,
    "sqrt": math.sqrt,
}


def parse(text: str) -> ast.expr:
    """Return the syntax tree of a formula, in which a name in backticks is a plain name.

    Raises:
        SpaceError: The string is not an expression of Python's.
    """
    stem = "_"
    while stem in text:  # until no name and no string of the formula can hold a stand-in
        stem += "_"
    names = {f"{stem}{i}_": name for i, name in enumerate(re.findall(r"`([^`]+)`", text))}
    stand_ins = iter(names)
    plain = re.sub(r"`[^`]+`", lambda _: next(stand_ins), text)
    try:
        tree = ast.parse(plain.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise SpaceError(f"expression {shown(text, 200)}: cannot be read: {error}{_hint(plain)}") from None
    for node in ast.walk(tree) if names else ():
        if isinstance(node, ast.Name):
            node.id = names.get(node.id, node.id)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):  # backticks in a string are only that
            for stand_in, name in names.items():
                node.value = node.value.replace(stand_in, f"`{name}`")
    return tree


_UNDERSTOOD = {"and", "or", "not", "in", "is", "True", "False", "None"}


def _hint(text: str) -> str:
    """Return what a user may have meant by a formula that cannot be read: a name that is a word of Python's."""
    words = [word for word in re.findall(r"[^\W\d]\w*", text) if keyword.iskeyword(word) and word not in _UNDERSTOOD]
    if words:
        return f"; put a parameter's name that is a word of Python's in backticks: `{words[0]}`"
    return "; put a name that is not one in Python in backticks, such as `trainer:lr`" if ":" in text else ""


class Expression(Described):
    """A formula over the values of a configuration.

    Names are those of parameters; what is not a name in Python stands in backticks: "`trainer:lr` < 0.1". There are
    numbers, strings, lists, ``+ - * / // % **``, comparisons with ``in``, ``and or not``, indices as in ``hidden[0]``,
    and the functions abs, int, len, max, min, round, sum, log, sqrt. Nothing else is understood, nothing is executed.
    Numbers that differ by rounding are equal: ``0.1 + 0.2 <= 0.3`` is true.

    Args:
        text: The formula.

    Attributes:
        names: The names of the parameters in the formula, in the order of their first mention.

    Raises:
        SpaceError: The string is not such a formula.

    Example:
        >>> is_small = Expression("layers * width <= 512 and act in ['relu', 'elu']")
        >>> is_small({"layers": 2, "width": 64, "act": "elu"})
        True
        >>> is_small.names
        ('layers', 'width', 'act')
    """

    def __init__(self, text: str) -> None:
        if not isinstance(text, str):
            raise SpaceError(f"expression: must be a string, got {type(text).__name__}")
        self.text = text
        self._names: dict[str, None] = {}
        try:
            self._tree = parse(text)
            self._run = self._build(self._tree)
        except RecursionError as error:
            raise SpaceError(f"expression {shown(text, 200)}: cannot be read: {error}") from None

    @property
    def tree(self) -> ast.expr:
        """The syntax tree, of nothing but what is understood."""
        return self._tree

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the parameters in the formula, in the order of their first mention."""
        return tuple(self._names)

    def __call__(self, hp: Values) -> Any:
        """Return the value of the formula for a configuration that holds its names.

        Raises:
            SpaceError: The value cannot be computed: a division by zero, a string in place of a number.
        """
        try:
            return self._run(hp)
        except Exception as error:  # comparing the user's own values may raise anything
            reason = f"{type(error).__name__}: {error}"
            raise SpaceError(
                f"expression {self.text!r}: cannot be computed for {shown(dict(hp), 1000)}: {reason}"
            ) from None

    def __reduce__(self) -> tuple[type[Expression], tuple[str]]:
        """Pickle the text of the formula: what was built from it are functions."""
        return type(self), (self.text,)

    def _build(self, node: ast.expr) -> Node:
        """Return the function that computes a part of the formula.

        Raises:
            SpaceError: The part is of a kind that is not understood.
        """
        match node:
            case ast.Constant(value=value) if isinstance(value, (bool, int, float, str, type(None))):
                return lambda _: value
            case ast.Name(id=name):
                self._names.setdefault(name)
                return lambda hp: hp[name]
            case ast.List(elts=items) | ast.Tuple(elts=items):
                parts = [self._build(item) for item in items]
                return lambda hp: [part(hp) for part in parts]
            case ast.BinOp(left=left, op=op, right=right) if type(op) in _BINARY:
                return _arithmetic(_BINARY[type(op)], self._build(left), self._build(right))
            case ast.BinOp(left=left, op=op, right=right) if type(op) in _WHOLE:
                both = own_size(left, self._build), own_size(right, self._build)
                return _arithmetic(_WHOLE[type(op)], self._build(left), self._build(right), both)
            case ast.Call(func=ast.Name(id="int"), args=[arg], keywords=[]):
                inner, size = self._build(arg), own_size(arg, self._build)
                return lambda hp: truncate(inner(hp), lambda: size(hp))
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                inner = self._build(operand)
                return lambda hp: -inner(hp)
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                inner = self._build(operand)
                return lambda hp: not inner(hp)
            case ast.BoolOp(op=op, values=values):
                return _boolean(isinstance(op, ast.And), [self._build(value) for value in values])
            case ast.Compare(left=left, ops=ops, comparators=others) if all(type(op) in COMPARE for op in ops):
                sides = [left, *others]
                sizes = [size_of(side, self._build) for side in sides]
                return _comparison([COMPARE[type(op)] for op in ops], [self._build(side) for side in sides], sizes)
            case ast.Subscript(value=value, slice=index):
                outer, place = self._build(value), self._build(index)
                return lambda hp: outer(hp)[place(hp)]
            case ast.Call(func=ast.Name(id=name), args=args, keywords=[]) if name in _CALLS:
                call, given = _CALLS[name], [self._build(arg) for arg in args]
                return lambda hp: call(*(arg(hp) for arg in given))
        hint = _hint(self.text) if isinstance(node, (ast.Lambda, ast.Yield, ast.YieldFrom, ast.Await)) else ""
        raise SpaceError(f"expression {self.text!r}: {type(node).__name__} is not understood{hint}")


def _arithmetic(act: Callable[..., Any], left: Node, right: Node, sizes: tuple[Node, Node] | None = None) -> Node:
    def run(hp: Values) -> Any:
        a, b = left(hp), right(hp)
        if not (isinstance(a, (int, float)) and isinstance(b, (int, float))):  # "a" * 10**9 would fill the memory
            raise TypeError(f"numbers are needed, got {shown(a)} and {shown(b, 40)}")
        if act is operator.pow and abs(b) > MOST_EXPONENT:
            raise ValueError(f"exponents must lie within {MOST_EXPONENT}, got {b}")
        if abs(a) > sys.float_info.max or abs(b) > sys.float_info.max:
            raise ValueError("numbers must lie within the largest float")
        return act(a, b) if sizes is None else act(a, b, lambda: (sizes[0](hp), sizes[1](hp)))

    return run


def _boolean(is_and: bool, parts: Sequence[Node]) -> Node:
    def run(hp: Values) -> bool:
        return all(part(hp) for part in parts) if is_and else any(part(hp) for part in parts)

    return run


def _comparison(acts: Sequence[Act], parts: Sequence[Node], sizes: Sequence[Size]) -> Node:
    def run(hp: Values) -> bool:
        values = [part(hp) for part in parts]
        pairs = zip(acts, values[:-1], values[1:], sizes[:-1], sizes[1:], strict=True)
        return all(act(a, b, _both(size_a, size_b, hp)) for act, a, b, size_a, size_b in pairs)

    return run


def _both(a: Size, b: Size, hp: Values) -> Callable[[], float] | None:
    """Return what computes the sizes of both sides together, which is seldom needed; None where nothing is computed."""
    if a is None and b is None:
        return None
    return lambda: (0.0 if a is None else a(hp)) + (0.0 if b is None else b(hp))
