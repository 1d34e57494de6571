"""Conditions of the parameterspace library, which are Python functions, as children of choices and as formulas."""

from __future__ import annotations

import ast
import itertools
import math
import types
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import parameterspace as ps

from autohpo.errors import SpaceError, shown
from autohpo.spaces import ChoiceHP, FixedHP, HPSpace, OrdinalHP
from autohpo.spaces.expression import Expression

__all__ = ["read_conditions"]

MOST_LISTED = 4096
"""The most combinations of values that are tried one by one."""

N_TRIED = 1000
"""The draws at which a formula is compared with the function that it was read from, where there are more values."""

Children = Mapping[str, list[list[str]]]


def read_conditions(space: ps.ParameterSpace, plain: Mapping[str, HPSpace]) -> tuple[Children, dict[str, str]]:
    """Return the conditions of a space: the children of choices, and formulas.

    Args:
        space: The space.
        plain: The parameters and fixed values of the space as parameters of ours, by name.

    Returns:
        For each choice with children a list for each of its values with the names of the parameters that are active
        there; and a formula by the name of the parameter.

    Raises:
        SpaceError: A condition cannot be expressed; the error names the parameter.
    """
    children: dict[str, list[list[str]]] = {}
    formulas: dict[str, str] = {}
    for name in space.get_parameter_names():
        clauses = _clauses(space, name, plain)
        parent = clauses[0].names[0] if len(clauses) == 1 and len(clauses[0].names) == 1 else ""
        choice = plain.get(parent)
        if isinstance(choice, ChoiceHP):
            active = [clauses[0].holds({parent: value}) for value in choice.choices]
            if any(active):
                under = children.setdefault(parent, [[] for _ in choice.choices])
                for names, is_active in zip(under, active, strict=True):
                    names += [name] * is_active
                continue
        if clauses:
            texts = [clause.formula() for clause in clauses]
            formulas[name] = texts[0] if len(texts) == 1 else " and ".join(f"({text})" for text in texts)
    return children, formulas


@dataclass(frozen=True)
class _Clause:
    """A function that says whether a parameter is active.

    Attributes:
        owner: The name of the parameter.
        names: The names of the parameters that it is called with.
        function: The function.
        text: Its source, as parameterspace found it: that of another function where several stand on one line.
        plain: The parameters that it is called with.
    """

    owner: str
    names: Sequence[str]
    function: Callable[..., Any]
    text: str
    plain: Sequence[HPSpace]

    def holds(self, hp: Mapping[str, Any]) -> bool:
        """Return whether the parameter is active; a value None says that it is not.

        Raises:
            SpaceError: The function raised.
        """
        values = [hp[name] for name in self.names]
        if any(value is None for value in values):
            return False
        try:
            return bool(self.function(*values))
        except Exception as error:  # the user's own function may raise anything
            reason = f"{type(error).__name__}: {error}"
            raise SpaceError(f"{self.owner}: condition {self.text!r} raised {reason} for {shown(dict(hp))}") from error

    def formula(self) -> str:
        """Return a formula that says the same.

        Raises:
            SpaceError: There is none.
        """
        tries = list(self._tries())
        is_finite = self._n_values is not None and self._n_values <= MOST_LISTED
        wanted = [self.holds(hp) for hp in tries]
        text = self._body
        texts = [self._guarded(_plain_text(text))] if text and (is_finite or self._is_code_of(text)) else []
        if is_finite:
            texts.append(self._listed([hp for hp, is_active in zip(tries, wanted, strict=True) if is_active]))
        for text in texts:
            if text and self._says(text, tries, wanted):
                return text
        rule = "condition must be a formula such as \"opti == 'sgd'\", or be about few values"
        raise SpaceError(f"{self.owner}: {rule}, got {self.text!r} of {', '.join(self.names)}")

    @property
    def _n_values(self) -> int | None:
        """The number of combinations of values that it is called with; None where they cannot be counted."""
        counts = [one.n_values for one in self.plain]
        return None if None in counts else math.prod(count for count in counts if count is not None)

    def _tries(self) -> Iterator[dict[str, Any]]:
        """Combinations of values: all of them where they are few, else draws, which lie on no threshold."""
        rng = np.random.default_rng(0)
        if self._n_values is not None and self._n_values <= MOST_LISTED:
            axes = [one.grid(MOST_LISTED) for one in self.plain]
            rows: Iterator[Sequence[Any]] = itertools.product(*axes)
        else:
            rows = zip(*(one.decode(rng.random((N_TRIED, one.width))) for one in self.plain), strict=True)
        return (dict(zip(self.names, row, strict=True)) for row in rows)

    @property
    def _body(self) -> str:
        """The expression that the text begins with: further arguments of a call may stand behind it."""
        try:
            tree = ast.parse(self._lambda(self.text), mode="eval").body
        except (SyntaxError, ValueError):
            return ""
        if isinstance(tree, ast.Tuple) and isinstance(tree.elts[0], ast.Lambda):
            return ast.unparse(tree.elts[0].body)
        return self.text if isinstance(tree, ast.Lambda) else ""

    def _lambda(self, body: str) -> str:
        return f"lambda {', '.join(self.names)}: {body}"

    def _is_code_of(self, body: str) -> bool:
        """Whether an expression has the constants and the names of the function; that it says the same is tried."""
        made = compile(self._lambda(body), "<condition>", "eval")
        code = next((one for one in made.co_consts if isinstance(one, types.CodeType)), None)
        own = getattr(self.function, "__code__", None)
        parts = ("co_consts", "co_names", "co_varnames", "co_freevars")  # co_code is another one below `import math`
        return code is not None and own is not None and all(getattr(code, p) == getattr(own, p) for p in parts)

    def _guarded(self, text: str) -> str:
        """A formula that is false where a value is None."""
        may_be_none = [name for name, one in zip(self.names, self.plain, strict=True) if None in _listed_values(one)]
        guards = [f"{name} is not None" for name in may_be_none]
        return " and ".join([*guards, f"({text})"]) if guards and text else text

    def _listed(self, active: Sequence[Mapping[str, Any]]) -> str:
        """A formula that lists the values where the parameter is active; empty where they cannot be written."""
        rows = [[hp[name] for name in self.names] for hp in active]
        if not all(type(value) in (bool, int, float, str) for row in rows for value in row):
            return ""
        if len(self.names) == 1:
            return f"{self.names[0]} in {_written([row[0] for row in rows])}"
        return f"[{', '.join(self.names)}] in {_written(rows)}"

    def _says(self, text: str, tries: Sequence[Mapping[str, Any]], wanted: Sequence[bool]) -> bool:
        """Whether a string is a formula over the same names that says what the function says."""
        try:
            formula = Expression(text)
            is_known = set(formula.names) <= set(self.names)
            return is_known and [bool(formula(hp)) for hp in tries] == list(wanted)
        except SpaceError:
            return False


def _clauses(space: ps.ParameterSpace, name: str, plain: Mapping[str, HPSpace]) -> list[_Clause]:
    """The functions that decide about a parameter, without those that decide about its deciders already."""
    condition = space[name]["condition"]
    if not condition.all_varnames:
        return []
    inherited = {
        id(function)
        for names in condition.varnames
        for decider in names
        if decider in space.get_parameter_names()
        for function in space[decider]["condition"].functions
    }
    found = []
    for names, function, text in zip(condition.varnames, condition.functions, condition.function_texts, strict=True):
        unknown = [decider for decider in names if decider not in plain]
        if unknown:
            raise SpaceError(f"{name}: condition must be of parameters of the space, got {text!r} of {unknown}")
        if id(function) not in inherited:
            found.append(_Clause(name, names, function, text, [plain[decider] for decider in names]))
    return found


def _listed_values(parameter: HPSpace) -> Sequence[Any]:
    match parameter:
        case ChoiceHP():
            return parameter.choices
        case OrdinalHP():
            return parameter.values
        case FixedHP():
            return [parameter.value]
    return ()


class _WithoutMath(ast.NodeTransformer):
    """Replaces ``math.log`` by ``log``."""

    def visit_Attribute(self, node: ast.Attribute) -> ast.expr:
        """Return the name of a function of the module math, or the attribute as it is."""
        is_math = isinstance(node.value, ast.Name) and node.value.id == "math"
        return ast.Name(node.attr, ast.Load()) if is_math else node


def _plain_text(text: str) -> str:
    """Return an expression of Python's as a formula may have it."""
    return ast.unparse(_WithoutMath().visit(ast.parse(text, mode="eval"))) if "math." in text else text


def _written(values: Sequence[Any]) -> str:
    """Return values as a formula has them, in which backticks stand for names."""
    return repr(values).replace("`", r"\x60")
