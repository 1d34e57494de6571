"""Formulas that only compare parameters with values or with each other: the part that other libraries have too."""

from __future__ import annotations

import ast
import keyword
import math
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any

from autohpo.errors import SpaceError, shown
from autohpo.spaces.expression import parse

OPPOSITE = {"==": "!=", "!=": "==", "<": ">=", ">=": "<", ">": "<=", "<=": ">", "in": "not in", "not in": "in"}
MIRRORED = {"==": "==", "!=": "!=", "<": ">", ">": "<", "<=": ">=", ">=": "<="}
_SIGNS: dict[type[ast.cmpop], str] = {
    ast.Eq: "==",
    ast.NotEq: "!=",
    ast.Lt: "<",
    ast.LtE: "<=",
    ast.Gt: ">",
    ast.GtE: ">=",
    ast.In: "in",
    ast.NotIn: "not in",
}


@dataclass(frozen=True)
class Comparison:
    """A comparison of a parameter with a value, a list of values, or another parameter.

    Attributes:
        name: The name of the parameter on the left.
        sign: The sign, a key of `OPPOSITE`.
        value: The value on the right; a list for "in" and "not in".
        other: The name of the parameter on the right, in place of a value.
    """

    name: str
    sign: str
    value: Any = None
    other: str | None = None

    @property
    def names(self) -> frozenset[str]:
        """The names of the parameters in the formula."""
        return frozenset({self.name} if self.other is None else {self.name, self.other})


@dataclass(frozen=True)
class Junction:
    """A formula of several, of which all, or any, must be true."""

    is_and: bool
    parts: tuple[Formula, ...]

    @property
    def names(self) -> frozenset[str]:
        """The names of the parameters in the formula."""
        return frozenset(name for part in self.parts for name in part.names)


Formula = Comparison | Junction


def joined(parts: Collection[Formula], *, is_and: bool) -> Formula:
    """Return formulas joined by "and" or "or"; parts that are joined alike are taken apart first."""
    flat: list[Formula] = []
    for part in parts:
        flat.extend(part.parts if isinstance(part, Junction) and part.is_and is is_and else [part])
    return flat[0] if len(flat) == 1 else Junction(is_and, tuple(flat))


def negated(formula: Formula) -> Formula:
    """Return the formula that is true where a formula is false, without a "not"."""
    if isinstance(formula, Comparison):
        return Comparison(formula.name, OPPOSITE[formula.sign], formula.value, formula.other)
    return joined([negated(part) for part in formula.parts], is_and=not formula.is_and)


def ways(formula: Formula) -> Iterator[Junction]:
    """Yield every "or" in a formula."""
    if isinstance(formula, Junction):
        if not formula.is_and:
            yield formula
        for part in formula.parts:
            yield from ways(part)


def check_ways(where: str, formula: Formula, conditional: Collection[str]) -> None:
    """Raise SpaceError unless a formula means the same in both libraries where parameters are inactive.

    Here a formula with an inactive parameter does not count at all; elsewhere an "or" may hold by its other part.

    Raises:
        SpaceError: Part of an "or" has a parameter that is not always active, and another part does not have it.
    """
    for way in ways(formula):
        common = frozenset.intersection(*(part.names for part in way.parts))
        optional = sorted((way.names - common) & set(conditional))
        if optional:
            rule = f"all parts of an 'or' must have the parameters that are not always active, {optional}"
            raise SpaceError(f"{where}: {rule}, got {shown(text_of(way))}")


def text_of(formula: Formula) -> str:
    """Return a formula as a string that :class:`autohpo.spaces.expression.Expression` reads.

    Raises:
        SpaceError: A value cannot be written in a formula.
    """
    if isinstance(formula, Junction):
        word = " and " if formula.is_and else " or "
        return word.join(f"({text_of(p)})" if isinstance(p, Junction) else text_of(p) for p in formula.parts)
    right = _quoted(formula.other) if formula.other is not None else _literal(formula.name, formula.value)
    return f"{_quoted(formula.name)} {formula.sign} {right}"


def _quoted(name: str) -> str:
    return name if name.isidentifier() and not keyword.iskeyword(name) else f"`{name}`"


def _literal(name: str, value: Any) -> str:
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(_literal(name, item) for item in value)}]"
    if type(value) in (bool, int, str, type(None)) or (type(value) is float and math.isfinite(value)):
        return repr(value).replace("`", "\\x60")  # a backtick would begin the name of a parameter
    rule = "values in a formula must be numbers, strings, True, False or None"
    raise SpaceError(f"{name}: {rule}, got {shown(value)}")


def parsed(where: str, text: str) -> Formula:
    """Return the comparisons of a formula.

    Raises:
        SpaceError: The formula computes something, or calls a function.
    """
    try:
        return _formula(parse(text))
    except (SpaceError, ValueError) as error:
        raise SpaceError(f"{where}: formula must only compare parameters, got {shown(text)}: {error}") from None


def _formula(node: ast.expr) -> Formula:
    match node:
        case ast.BoolOp(op=op, values=values):
            return joined([_formula(value) for value in values], is_and=isinstance(op, ast.And))
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            return negated(_formula(operand))
        case ast.Compare(left=left, ops=ops, comparators=others) if all(type(op) in _SIGNS for op in ops):
            sides = [left, *others]
            pairs = zip(sides[:-1], ops, sides[1:], strict=True)
            return joined([_comparison(a, _SIGNS[type(op)], b) for a, op, b in pairs], is_and=True)
    raise SpaceError(f"{ast.unparse(node)!r} is not a comparison")


def _comparison(left: ast.expr, sign: str, right: ast.expr) -> Comparison:
    if not isinstance(left, ast.Name) and isinstance(right, ast.Name) and sign in MIRRORED:
        left, sign, right = right, MIRRORED[sign], left
    if not isinstance(left, ast.Name):
        raise SpaceError(f"{ast.unparse(left)!r} is not a parameter")
    if isinstance(right, ast.Name):
        return Comparison(left.id, sign, other=right.id)
    value = ast.literal_eval(right)
    return Comparison(left.id, sign, list(value) if isinstance(value, (tuple, list)) else value)
