"""AutoGL's dict form of a search space, which SearchSpace takes as it takes parameters: from dicts to parameters."""

from __future__ import annotations

import ast
import math
import sys
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice, pairwise, product
from typing import Any, NamedTuple, TypeGuard

import numpy as np

from autohpo.errors import SpaceError, shown
from autohpo.spaces.base import HPSpace
from autohpo.spaces.choice import ChoiceHP, FixedHP, OrdinalHP
from autohpo.spaces.expression import Expression
from autohpo.spaces.foreign import check_not_foreign
from autohpo.spaces.numeric import LogRangeHP, RangeHP
from autohpo.spaces.sequences import Cut, ListHP

Item = Mapping[str, Any]
AutoGLForm = Mapping[str, Sequence[Item]] | Sequence[Item]

MOST_LENGTHS = 1000
"""The most combinations of the values of a list's cutPara that are tried when it is read."""

NEEDED = {
    "DOUBLE": ("minValue", "maxValue", "scalingType"),
    "INTEGER": ("minValue", "maxValue", "scalingType"),
    "DISCRETE": ("feasiblePoints",),
    "CATEGORICAL": ("feasiblePoints",),
    "NUMERICAL_LIST": ("numericalType", "length", "minValue", "maxValue", "scalingType"),
    "CATEGORICAL_LIST": ("length", "feasiblePoints"),
    "FIXED": ("value",),
}
"""The keys that each type must have, besides parameterName and type."""

KNOWN = {"parameterName", "type", "cutPara", "cutFunc"} | {key for keys in NEEDED.values() for key in keys}

CUT_RULE = "cutFunc must be a function, or a string such as 'lambda x: x[0] - 1'"


@dataclass(frozen=True)
class FormulaCut:
    """A formula over parameters as the cutFunc that AutoGL calls with the list of their values.

    Attributes:
        formula: The formula; see :class:`Expression`.
        names: The names of its parameters, in the order of their values.
    """

    formula: str
    names: tuple[str, ...]

    def __call__(self, values: Sequence[Any]) -> Any:
        """Return the length of the list."""
        return Expression(self.formula)(dict(zip(self.names, values, strict=True)))


class ReadForm(NamedTuple):
    """The content of a form.

    Attributes:
        parameters: The parameters in the order of the form.
        modules: The names of the modules, also of those without a parameter; none where the form is a plain list.
        items: A copy of the dict of each parameter, by the full name.
    """

    parameters: list[HPSpace]
    modules: tuple[str, ...]
    items: Mapping[str, Item]


def is_autogl_form(given: Any) -> TypeGuard[AutoGLForm]:
    """Return whether something looks like AutoGL's dict form: a list of dicts, or a dict without parameters."""
    if isinstance(given, Mapping):
        return bool(given) and not any(isinstance(value, HPSpace) for value in given.values())
    return isinstance(given, (list, tuple)) and any(isinstance(item, Mapping) for item in given)


def must_be_parameters(given: object) -> str:
    """Return the text of the error about something that is given as a search space and is none."""
    text = f"must be a list of parameters, got {type(given).__name__}"
    if isinstance(given, Mapping) and given and all(isinstance(value, HPSpace) for value in given.values()):
        return f"{text}; each parameter has its name, so give list(space.values())"
    if isinstance(given, str) and (":" in given or given.lower().endswith((".yaml", ".yml", ".toml", ".json"))):
        return f"{text}; autohpo.spaces.read_space reads one from a file or from YAML"
    return f"{text}; write [RangeHP('x', 0.0, 1.0), ChoiceHP('y', ['a', 'b'])]"


def read_form(form: AutoGLForm) -> ReadForm:
    """Return the parameters that AutoGL's dict form describes.

    Args:
        form: The dicts, which are not changed.

    Raises:
        SpaceError: A parameter breaks a rule; the error names both.
    """
    modules: Mapping[Any, Any] = form if isinstance(form, Mapping) else {None: form}
    check_not_foreign(form)
    if not any(_has_dicts(items) for items in modules.values()):
        raise SpaceError(f"space: {must_be_parameters(form)}")
    found = _items(modules)
    names = [name for name, _, _ in found]
    parameters = [read_item(item, module, names) for _, module, item in found]
    by_name = {parameter.name: parameter for parameter in parameters}
    for parameter in parameters:
        if isinstance(parameter, ListHP):
            _check_lengths(parameter, by_name)
    items = {name: copied(item) for name, _, item in found}
    return ReadForm(parameters, tuple(module for module in modules if module is not None), items)


MOST_LOOKS = 10_000
"""How many items of a list are looked at to see whether it is a module: a range may have very many."""


def _has_dicts(items: object) -> bool:
    """Return whether something is meant as a module of AutoGL's form: a dict, a list of dicts, or an empty list."""
    if isinstance(items, Mapping):
        return True
    if isinstance(items, str) or not isinstance(items, Sequence):
        return False
    return not items or any(isinstance(item, Mapping) for item in islice(items, MOST_LOOKS))


def _items(modules: Mapping[str | None, Any]) -> list[tuple[str, str | None, Item]]:
    """Return the full name, the module and the dict of each parameter."""
    found: list[tuple[str, str | None, Item]] = []
    for module, items in modules.items():
        if module is not None and (not isinstance(module, str) or not module or ":" in module):
            raise SpaceError(f"space: names of modules must be strings without a colon, got {shown(module)}")
        if isinstance(items, (str, Mapping)) or not isinstance(items, Sequence):
            raise SpaceError(f"space: {module or 'it'} must be a list of parameters, got {shown(items)}{_way(module)}")
        for item in items:
            name = item.get("parameterName") if isinstance(item, Mapping) else None
            if not isinstance(name, str) or not name:
                rule = "every parameter must be a dict with a 'parameterName'"
                raise SpaceError(f"space: {rule}, got {shown(item)}{_way(module)}")
            found.append((name if module is None else f"{module}:{name}", module, item))
    return found


def _way(module: str | None) -> str:
    """Return how a space is written in no form of AutoGL's."""
    name = module or "x"
    return f"; without AutoGL's form write [RangeHP({name!r}, 0.0, 1.0)] or [ChoiceHP({name!r}, [...])]"


def _check_lengths(parameter: ListHP, parameters: Mapping[str, HPSpace]) -> None:
    """Try the cutFunc on all values of its parameters, where they are few: a wrong function shows before the search.

    Raises:
        SpaceError: The cutFunc raised, or did not give an integer from 0 to the list's length.
    """
    deciders = [parameters[name] for name in parameter.refers_to]
    counts = [decider.n_values for decider in deciders]
    if not counts or None in counts or math.prod(n or 1 for n in counts) > MOST_LENGTHS:
        return
    for values in product(*(decider.grid(decider.n_values or 1) for decider in deciders)):
        hp = dict(zip(parameter.refers_to, values, strict=True))
        try:
            parameter.length_in(hp)
        except SpaceError as error:
            rule = f"cutFunc must give an integer from 0 to {len(parameter.items)}"
            raise SpaceError(f"{parameter.name}: {rule} for {hp}: {error}") from error


def copied(item: Item) -> dict[str, Any]:
    """Return a copy of a dict and its lists; the values that a user handed in stay the very objects."""
    return {key: list(v) if type(v) is list and key != "value" else v for key, v in item.items()}


def read_item(item: Item, module: str | None, names: Collection[str]) -> HPSpace:
    """Return the parameter that a dict describes, in a module of a space with these full names.

    Raises:
        SpaceError: The dict breaks a rule.
    """
    name = item["parameterName"] if module is None else f"{module}:{item['parameterName']}"
    kind = item.get("type")
    if not isinstance(kind, str) or kind not in NEEDED:
        raise SpaceError(f"{name}: type must be one of {', '.join(NEEDED)}, got {shown(kind)}")
    for key in NEEDED[kind]:
        if key not in item:
            raise SpaceError(f"{name}: {kind} must have {key!r}, got {sorted(map(str, item))}")
    unknown = sorted(str(key) for key in item if key not in KNOWN)
    if unknown:
        raise SpaceError(f"{name}: keys must be of AutoGL's form ({', '.join(sorted(KNOWN))}), got {unknown}")
    match kind:
        case "DOUBLE" | "INTEGER":
            return _range(name, kind, item, item["minValue"], item["maxValue"])
        case "DISCRETE":
            return _discrete(name, item["feasiblePoints"])
        case "CATEGORICAL":
            return ChoiceHP(name, _points(name, item["feasiblePoints"]))
        case "FIXED":
            return FixedHP(name, item["value"])
    return _list(name, kind, item, module, names)


def _range(name: str, kind: str, item: Item, low: Any, high: Any) -> HPSpace:
    """Return the range between two ends, or the fixed value where they are equal."""
    low, high = _number(name, "minValue", low), _number(name, "maxValue", high)
    scaling = item["scalingType"]
    if not isinstance(scaling, str) or scaling not in ("LINEAR", "LOG"):
        raise SpaceError(f"{name}: scalingType must be 'LINEAR' or 'LOG', got {shown(scaling)}")
    if kind == "INTEGER" and not (low == int(low) and high == int(high)):
        raise SpaceError(f"{name}: minValue and maxValue of INTEGER must be integers, got {low}, {high}")
    low, high = (int(low), int(high)) if kind == "INTEGER" else (float(low), float(high))
    if scaling == "LOG" and low <= 0:
        advice = "raise minValue (to 1, or to the smallest value worth a trial), or make scalingType LINEAR"
        raise SpaceError(f"{name}: minValue must be above 0 where scalingType is LOG, got {low}: {advice}")
    if low == high:
        return FixedHP(name, low)
    return (LogRangeHP if scaling == "LOG" else RangeHP)(name, low, high)


def _number(name: str, key: str, value: Any) -> float:
    value = value.item() if isinstance(value, np.generic) else value
    if type(value) not in (int, float) or not abs(value) <= sys.float_info.max:
        hint = "; YAML takes 1e-4 for a string and 1.0e-4 for a number" if isinstance(value, str) else ""
        raise SpaceError(f"{name}: {key} must be a finite number, got {shown(value)}{hint}")
    return value  # type: ignore[no-any-return]


def _discrete(name: str, text: Any) -> HPSpace:
    """Return the choice among the points of a string such as "2,3,4": in order where they are rising numbers."""
    if not isinstance(text, str):
        raise SpaceError(f"{name}: feasiblePoints of DISCRETE must be a string such as '2,3,4', got {shown(text)}")
    points = [_point(name, token.strip()) for token in text.split(",")]
    is_number = all(type(point) in (int, float) for point in points)
    if is_number and all(a < b for a, b in pairwise(points)):
        return OrdinalHP(name, points)
    return ChoiceHP(name, points)


def _point(name: str, text: str) -> Any:
    """Return the value of a point, which AutoGL executes; what is not a formula of plain values stays a string."""
    if not text:
        raise SpaceError(f"{name}: feasiblePoints must have a value between two commas, got none")
    try:
        formula = Expression(text)
        value = None if formula.names else formula({})
    except SpaceError:
        return text
    is_plain = type(value) in (int, bool, str) or (type(value) is float and math.isfinite(value))
    return value if is_plain or text == "None" else text


def _points(name: str, points: Any) -> list[Any]:
    if isinstance(points, (str, Mapping)) or not isinstance(points, (Sequence, np.ndarray)):
        raise SpaceError(f"{name}: feasiblePoints must be a list, got {shown(points)}")
    return list(points)


def _list(name: str, kind: str, item: Item, module: str | None, names: Collection[str]) -> ListHP:
    """Return a list of numbers or of choices, cut by other parameters."""
    n = item["length"]
    if type(n) is not int or n < 1:
        raise SpaceError(f"{name}: length must be an integer of at least 1, got {shown(n)}")
    length = _length(name, item, module, names)
    entries: HPSpace | tuple[HPSpace, ...]
    if kind == "CATEGORICAL_LIST":
        entries = ChoiceHP(name, _points(name, item["feasiblePoints"]))
    else:
        if item["numericalType"] not in ("INTEGER", "DOUBLE"):
            raise SpaceError(f"{name}: numericalType must be INTEGER or DOUBLE, got {shown(item['numericalType'])}")
        ends = [item["minValue"], item["maxValue"]]
        are_lists = [isinstance(end, (list, tuple)) for end in ends]
        for end, is_list in zip(ends, are_lists, strict=True):
            if is_list and len(end) != n:
                raise SpaceError(f"{name}: minValue and maxValue must be numbers, or lists of {n}, got {shown(end)}")
        if any(are_lists):
            lows, highs = (end if is_list else [end] * n for end, is_list in zip(ends, are_lists, strict=True))
            pairs = zip(lows, highs, strict=True)
            entries = tuple(_range(name, item["numericalType"], item, low, high) for low, high in pairs)
        else:
            entries = _range(name, item["numericalType"], item, *ends)
    return ListHP(name, entries, n if length is None else length, max_length=n)


def _length(name: str, item: Item, module: str | None, names: Collection[str]) -> str | Cut | None:
    """Return the rule by which the length follows from other parameters; None where it is fixed."""
    paras, function = item.get("cutPara"), item.get("cutFunc")
    if not paras and function is None:
        return None
    paras = [paras] if isinstance(paras, str) else paras
    if not paras or function is None or not isinstance(paras, (list, tuple)):
        raise SpaceError(f"{name}: cutPara must be a name or names, with a cutFunc beside it, got {shown(paras)}")
    found = tuple(_resolved(name, para, module, names) for para in paras)
    if isinstance(function, str):
        return _formula(name, function, found)
    if isinstance(function, FormulaCut) and function.names == found:
        return function.formula
    if not callable(function):
        raise SpaceError(f"{name}: {CUT_RULE}, got {shown(function)}")
    return Cut(found, function)


def _resolved(name: str, para: Any, module: str | None, names: Collection[str]) -> str:
    """Return the full name of a parameter: of the same module first, else of the only other module that has it."""
    if f"{module}:{para}" in names:
        return f"{module}:{para}"
    if para in names:
        return str(para)
    others = [full for full in names if module is not None and full.partition(":")[2] == para]
    if len(others) != 1:
        known = f"of only one of the modules in {others}" if others else f"one of {sorted(names)}"
        raise SpaceError(f"{name}: cutPara must be {known}, got {shown(para)}")
    return others[0]


def _formula(name: str, text: str, names: tuple[str, ...]) -> str:
    """Return a cutFunc such as "lambda x: x[0] - 1" as a formula over the parameters themselves."""
    try:
        tree = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError):
        tree = None
    if not isinstance(tree, ast.Lambda) or ast.unparse(tree.args) != "".join(arg.arg for arg in tree.args.args[:1]):
        raise SpaceError(f"{name}: {CUT_RULE}, got {shown(text)}")
    try:
        formula = ast.unparse(_Named(tree.args.args[0].arg if tree.args.args else "", names).visit(tree.body))
        Expression(formula)
    except SpaceError as error:
        raise SpaceError(f"{name}: cutFunc {shown(text)} cannot be read: {error}") from None
    return formula


class _Named(ast.NodeTransformer):
    """A transformer that puts names of parameters in the place of ``x[0]``, and the list of them in that of ``x``."""

    def __init__(self, argument: str, names: tuple[str, ...]) -> None:
        self._argument = argument
        self._nodes = [ast.Name(name if name.isidentifier() else f"`{name}`") for name in names]

    def visit_Call(self, node: ast.Call) -> ast.AST:  # the name of the function is kept
        return ast.Call(node.func, [self.visit(arg) for arg in node.args], node.keywords)

    def visit_Subscript(self, node: ast.Subscript) -> ast.AST:
        is_argument = isinstance(node.value, ast.Name) and node.value.id == self._argument
        if is_argument and isinstance(node.slice, ast.Constant) and type(node.slice.value) is int:
            if node.slice.value >= len(self._nodes):
                raise SpaceError(f"{ast.unparse(node)} is beyond the {len(self._nodes)} cutPara")
            return self._nodes[node.slice.value]
        return self.generic_visit(node)

    def visit_Name(self, node: ast.Name) -> ast.AST:
        if node.id != self._argument:
            raise SpaceError(f"{node.id!r} is not its argument")
        return ast.List(list(self._nodes))
