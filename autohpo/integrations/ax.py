"""Search spaces of Ax: its parameter configurations, its dicts, and its parameter constraints."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from autohpo.errors import SpaceError, shown
from autohpo.integrations._children import with_children
from autohpo.spaces import ChoiceHP, FixedHP, HPSpace, LinearConstraint, LogRangeHP, OrdinalHP, RangeHP, SearchSpace
from autohpo.spaces.expression import parse
from autohpo.untrusted import as_tuple, reading

__all__ = ["from_ax"]

_KEYS = {
    "range": {"bounds", "log_scale", "step_size", "digits"},
    "choice": {"values", "is_ordered", "sort_values", "dependents"},
    "fixed": {"value", "dependents"},
}
_COMMON = {"name", "type", "value_type", "is_fidelity", "is_task", "target_value"}


def from_ax(parameters: Iterable[Any], parameter_constraints: Iterable[str] = ()) -> SearchSpace:
    """Return the search space of Ax's parameters.

    Ranges become ranges, ordered choices ordinals, other choices choices with their dependents as children, and
    constraints linear constraints. A choice of numbers or of two values has an order where nothing is said, as in Ax.

    Args:
        parameters: ``RangeParameterConfig`` and ``ChoiceParameterConfig`` of Ax 1, the dicts of its service interface
            with ``name`` and ``type``, or both. Ax itself is not needed for dicts.
        parameter_constraints: Linear inequalities such as "x1 + 2*x2 <= 1".

    Raises:
        SpaceError: Something breaks a rule, or is a derived parameter; the error names the parameter.

    Example:
        >>> from_ax([{"name": "lr", "type": "range", "bounds": [1e-4, 0.1], "log_scale": True}])
        SearchSpace([LogRangeHP(name='lr', low=0.0001, high=0.1)])
    """
    with reading("space"):
        if isinstance(parameters, (str, Mapping)) or not isinstance(parameters, Iterable):
            raise SpaceError(f"space: must be a list of parameters of Ax, got {shown(parameters)}")
        given = as_tuple("space", "must be a list of parameters of Ax", parameters)
        read = [_read(item) for item in given]
        if not given:
            raise SpaceError("space: must hold at least one parameter, got none")
        plain = {one.parameter.name: one.parameter for one in read}
        if len(plain) < len(read):
            raise SpaceError(f"space: names must differ, got {[one.parameter.name for one in read]}")
        children = {one.parameter.name: _below(one, plain) for one in read if one.dependents}
        formulas = [parameter_constraints] if isinstance(parameter_constraints, str) else parameter_constraints
        constraints = [_constraint(formula) for formula in as_tuple("constraints", "must be a list", formulas)]
        space = SearchSpace(with_children(plain, children), constraints=constraints)
        lost = sorted(set(plain) - set(space.names))
        if lost:
            raise SpaceError(f"space: dependents must not lead back to their parameter, got {lost}")
        return space


@dataclass(frozen=True)
class _Read:
    """A parameter without its children, and the names of these by value."""

    parameter: HPSpace
    dependents: Mapping[Any, Sequence[str]]


def _read(item: Any) -> _Read:
    """Return a parameter of Ax.

    Raises:
        SpaceError: It is of an unknown kind, or breaks a rule.
    """
    if not isinstance(item, Mapping):
        item = _as_dict(item)
    name, kind = item.get("name"), item.get("type")
    if kind not in _KEYS:
        raise SpaceError(f"{shown(name)}: type must be range, choice or fixed, got {shown(kind)}")
    unknown = sorted(map(str, set(item) - _COMMON - _KEYS[kind]))
    if unknown:
        raise SpaceError(f"{shown(name)}: keys of {kind} must be of {sorted(_COMMON | _KEYS[kind])}, got {unknown}")
    dependents = item.get("dependents") or {}
    if not isinstance(dependents, Mapping):
        raise SpaceError(f"{name}: dependents must be a dict from value to names, got {shown(dependents)}")
    if kind == "range":
        return _Read(_range(item), {})
    if kind == "fixed":
        return _Read(FixedHP(item["name"], item.get("value")), {})  # what depends on it is always active
    return _Read(_choice(item, is_parent=bool(dependents)), dependents)


def _as_dict(item: Any) -> dict[str, Any]:
    """Return a parameter configuration of Ax 1 in the form of the dicts."""
    kind = type(item).__name__
    if not type(item).__module__.startswith("ax.") or kind not in ("RangeParameterConfig", "ChoiceParameterConfig"):
        wanted = "a RangeParameterConfig or a ChoiceParameterConfig of Ax, or a dict with name and type"
        raise SpaceError(f"{shown(getattr(item, 'name', 'space'))}: must be {wanted}, got {shown(item)}")
    found: dict[str, Any] = {"name": item.name, "value_type": item.parameter_type}
    if kind == "ChoiceParameterConfig":
        return found | {
            "type": "choice",
            "values": item.values,
            "is_ordered": item.is_ordered,
            "dependents": item.dependent_parameters,
        }
    if item.scaling not in (None, "linear", "log"):
        raise SpaceError(f"{item.name}: scaling must be linear or log, got {shown(item.scaling)}")
    bounds, is_log = item.bounds, item.scaling == "log"
    return found | {"type": "range", "bounds": bounds, "log_scale": is_log, "step_size": item.step_size}


def _range(item: Mapping[str, Any]) -> HPSpace:
    name, bounds = item["name"], item.get("bounds")
    kind = _value_type(item)
    is_pair = isinstance(bounds, (list, tuple)) and len(bounds) == 2
    if not is_pair or not all(type(end) in (int, float) for end in bounds):  # type: ignore[union-attr]
        raise SpaceError(f"{name}: bounds must be two numbers, got {shown(bounds)}")
    step, digits = item.get("step_size"), item.get("digits")
    if digits is not None:
        if type(digits) is not int or not 0 <= digits < 300 or step is not None:
            raise SpaceError(f"{name}: digits must be an integer of at least 0, without step_size, got {shown(digits)}")
        step = float(f"1e-{digits}")
    low, high = bounds  # type: ignore[misc]
    is_int = kind == "int" or (kind is None and type(low) is int and type(high) is int)
    if is_int:
        for value in (low, high, step):
            if value is not None and value != int(value):
                raise SpaceError(f"{name}: bounds and step_size of integers must be integers, got {value}")
        low, high, step = int(low), int(high), None if step in (None, 1) else int(step)
    else:
        low, high = float(low), float(high)
    return (LogRangeHP if item.get("log_scale") else RangeHP)(name, low, high, step)


def _value_type(item: Mapping[str, Any]) -> str | None:
    kind = item.get("value_type")
    if kind not in (None, "int", "float", "str", "bool"):
        raise SpaceError(f"{item['name']}: value_type must be int, float, str or bool, got {shown(kind)}")
    return kind


def _choice(item: Mapping[str, Any], *, is_parent: bool) -> HPSpace:
    name, values = item["name"], item.get("values")
    if not isinstance(values, (list, tuple)):
        raise SpaceError(f"{name}: values must be a list, got {shown(values)}")
    casts: dict[str | None, Any] = {"int": int, "float": float}
    kind = _value_type(item)
    if kind in casts and all(type(value) in (int, float) for value in values):
        values = [casts[kind](value) for value in values]
    are_numbers = all(type(value) in (int, float) for value in values)
    ordered = item.get("is_ordered")
    if ordered is None:
        ordered = are_numbers or len(values) == 2
    if is_parent or not ordered or isinstance(values[0] if values else None, bool):
        return ChoiceHP(name, values)
    return OrdinalHP(name, sorted(values) if are_numbers else values)


def _below(one: _Read, plain: Mapping[str, HPSpace]) -> list[list[str]]:
    """Return the names below each choice.

    Raises:
        SpaceError: A value is none of the choices, or a name is that of no parameter.
    """
    parameter = one.parameter
    assert isinstance(parameter, ChoiceHP)  # for the type checker: it has dependents
    below: list[list[str]] = [[] for _ in parameter.choices]
    for value, names in one.dependents.items():
        place = parameter.index_of(parameter.canonical(value))
        if place < 0:
            raise SpaceError(f"{parameter.name}: dependents must stand under one of the values, got {shown(value)}")
        if isinstance(names, str) or not isinstance(names, Iterable) or not set(names) <= set(plain):
            rule = f"dependents of {shown(value)} must be names of parameters"
            raise SpaceError(f"{parameter.name}: {rule}, got {shown(names)}")
        below[place] += names
    return below


def _constraint(formula: Any) -> LinearConstraint:
    """Return a linear inequality.

    Raises:
        SpaceError: It is none.
    """
    rule = "constraints: must be linear inequalities such as 'x1 + 2*x2 <= 1'"
    if not isinstance(formula, str):
        raise SpaceError(f"{rule}, got {shown(formula)}")
    tree = parse(formula)
    if not isinstance(tree, ast.Compare) or len(tree.ops) != 1 or not isinstance(tree.ops[0], (ast.LtE, ast.GtE)):
        raise SpaceError(f"{rule}, got {shown(formula)}")
    try:
        left, right = _linear(tree.left), _linear(tree.comparators[0])
    except SpaceError as error:
        raise SpaceError(f"{rule}, got {shown(formula)}: {error}") from None
    weights = {name: left.get(name, 0.0) - right.get(name, 0.0) for name in dict.fromkeys([*left, *right]) if name}
    bound = right.get("", 0.0) - left.get("", 0.0)
    is_upper = isinstance(tree.ops[0], ast.LtE)
    return LinearConstraint(weights, upper=bound if is_upper else None, lower=None if is_upper else bound)


def _linear(node: ast.expr) -> dict[str, float]:
    """Return the weight of each name in a sum, and under the empty name the constant."""
    match node:
        case ast.Constant(value=int() | float() as value) if not isinstance(value, bool):
            return {"": float(value)}
        case ast.Name(id=name):
            return {name: 1.0}
        case ast.UnaryOp(op=ast.USub() | ast.UAdd() as op, operand=operand):
            return _scaled(_linear(operand), -1.0 if isinstance(op, ast.USub) else 1.0)
        case ast.BinOp(left=left, op=ast.Add() | ast.Sub() as op, right=right):
            first, second = _linear(left), _scaled(_linear(right), -1.0 if isinstance(op, ast.Sub) else 1.0)
            return {name: first.get(name, 0.0) + second.get(name, 0.0) for name in {**first, **second}}
        case ast.BinOp(left=left, op=ast.Mult(), right=right):
            first, second = _linear(left), _linear(right)
            if set(first) <= {""}:
                return _scaled(second, first[""])
            if set(second) <= {""}:
                return _scaled(first, second[""])
        case ast.BinOp(left=left, op=ast.Div(), right=ast.Constant(value=int() | float() as value)) if value:
            return _scaled(_linear(left), 1.0 / value)
    raise SpaceError(f"{ast.unparse(node)!r} is not linear")


def _scaled(terms: Mapping[str, float], factor: float) -> dict[str, float]:
    return {name: weight * factor for name, weight in terms.items()}
