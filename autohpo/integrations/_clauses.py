"""ConfigSpace's conditions and forbidden clauses, converted from and to children, formulas and constraints."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from autohpo.errors import SpaceError, shown
from autohpo.integrations._logic import (
    Comparison,
    Formula,
    Junction,
    check_ways,
    joined,
    negated,
    parsed,
    text_of,
)
from autohpo.spaces import ChoiceHP, HPSpace, OrdinalHP, SearchSpace
from autohpo.spaces.constraints import ExpressionConstraint
from autohpo.spaces.tagged import is_same

if TYPE_CHECKING:
    from ConfigSpace import ConfigurationSpace

Children = dict[str, list[list[str]]]
"""The names of the parameters under each choice of a category, by the name of the category."""

_RELATIONS = {"<": "LessThan", "<=": "LessThanEquals", ">": "GreaterThan", ">=": "GreaterThanEquals", "==": "Equals"}
"""The middle of the names of ConfigSpace's classes, such as ForbiddenLessThanClause, by sign."""

MOST_LISTED = 1000
"""The most values of a parameter that are listed to forbid all but some of them."""


# Reading.


def read_conditions(space: ConfigurationSpace) -> tuple[Children, dict[str, str]]:
    """Return the parameters under each choice, and a formula for each other parameter with a condition.

    Raises:
        SpaceError: A condition cannot be expressed here.
    """
    import ConfigSpace

    children: Children = {}
    formulas: dict[str, str] = {}
    conditional = set(space.conditional_hyperparameters)
    conditions: list[Any] = list(space.conditions)
    ways: list[Any]
    for condition in conditions:
        name = condition.child.name
        ways = list(condition.components) if isinstance(condition, ConfigSpace.OrConjunction) else [condition]
        places = [_places(way) for way in ways]
        if all(place is not None for place in places):  # to be active, one of its parents is enough
            for way, chosen in zip(ways, places, strict=True):
                parent = way.parent
                under = children.setdefault(parent.name, [[] for _ in parent.choices])
                for place in chosen or ():
                    if name not in under[place]:
                        under[place].append(name)
        else:
            formula = _condition(condition)
            check_ways(name, formula, conditional)
            formulas[name] = text_of(formula)
    return children, formulas


def _places(condition: Any) -> list[int] | None:
    """Return the indices of the choices for which a condition on a category holds; None for other conditions."""
    import ConfigSpace

    parent = getattr(condition, "parent", None)
    if not isinstance(parent, ConfigSpace.CategoricalHyperparameter):
        return None
    choices = list(parent.choices)
    wanted = condition.values if isinstance(condition, ConfigSpace.InCondition) else [condition.value]
    found = [i for i, choice in enumerate(choices) if any(choice is value or choice == value for value in wanted)]
    if isinstance(condition, ConfigSpace.NotEqualsCondition):
        return [i for i in range(len(choices)) if i not in found]
    return found


def _condition(condition: Any) -> Formula:
    """Return a condition as a formula."""
    import ConfigSpace

    if isinstance(condition, (ConfigSpace.AndConjunction, ConfigSpace.OrConjunction)):
        is_and = isinstance(condition, ConfigSpace.AndConjunction)
        return joined([_condition(part) for part in condition.components], is_and=is_and)
    if isinstance(condition, ConfigSpace.InCondition):
        return Comparison(condition.parent.name, "in", list(condition.values))
    signs = {
        ConfigSpace.EqualsCondition: "==",
        ConfigSpace.NotEqualsCondition: "!=",
        ConfigSpace.LessThanCondition: "<",
        ConfigSpace.GreaterThanCondition: ">",
    }
    return _compared(condition.parent, signs[type(condition)], condition.value)


def _compared(theirs: Any, sign: str, value: Any) -> Comparison:
    """Return a comparison; an ordinal in an order that is not rising is compared with a list of values."""
    import ConfigSpace

    if not isinstance(theirs, ConfigSpace.OrdinalHyperparameter) or sign in ("==", "!="):
        return Comparison(theirs.name, sign, value)
    place, values = theirs.get_order(value), list(theirs.sequence)
    if _is_rising(values):
        return Comparison(theirs.name, sign, value)
    rising = {"<": values[:place], "<=": values[: place + 1], ">": values[place + 1 :], ">=": values[place:]}
    return Comparison(theirs.name, "in", rising[sign])


def _is_rising(values: Any) -> bool:
    """Return whether values are rising numbers."""
    is_number = all(type(value) in (int, float) for value in values)
    return is_number and all(a < b for a, b in pairwise(values))


def read_forbidden(space: ConfigurationSpace) -> list[str]:
    """Return a constraint for each forbidden clause.

    Raises:
        SpaceError: A clause cannot be expressed here.
    """
    texts = []
    for clause in space.forbidden_clauses:
        formula = _forbidden(clause)
        ways = formula.parts if isinstance(formula, Junction) and not formula.is_and else (formula,)
        for way in ways:  # each forbids by itself, also where parameters of the others are inactive
            check_ways("constraints", way, space.conditional_hyperparameters)
            texts.append(text_of(negated(way)))
    return texts


def _forbidden(clause: Any) -> Formula:
    """Return a forbidden clause as the formula of what it forbids."""
    import ConfigSpace.forbidden as library

    if isinstance(clause, library.ForbiddenConjunction):
        is_and = isinstance(clause, library.ForbiddenAndConjunction)
        return joined([_forbidden(part) for part in clause.components], is_and=is_and)
    if isinstance(clause, library.ForbiddenInClause):
        return Comparison(clause.hyperparameter.name, "in", list(clause.values))
    for sign, word in _RELATIONS.items():
        if type(clause).__name__ == f"Forbidden{word}Relation":
            return Comparison(clause.left.name, sign, other=clause.right.name)
        if type(clause).__name__ == f"Forbidden{word}Clause":
            return _compared(clause.hyperparameter, sign, clause.value)
    raise SpaceError(f"constraints: {type(clause).__name__} of ConfigSpace cannot be converted")


# Writing.


def written_conditions(space: SearchSpace, made: ConfigurationSpace) -> Iterator[tuple[str, Callable[[], Any]]]:
    """Yield the name of each parameter that is not always active, and a function that makes its condition.

    Raises:
        SpaceError: ConfigSpace has no such condition.
    """
    parents: dict[str, dict[str, list[int]]] = {}
    for parameter in space:
        for place, children in enumerate(parameter.children if isinstance(parameter, ChoiceHP) else ()):
            for child in children:
                parents.setdefault(child.name, {}).setdefault(parameter.name, []).append(place)
    formulas = space.formulas
    conditional = {*parents, *formulas}
    for name in space.names:
        formula = None
        if name in formulas:
            formula = parsed(name, formulas[name])
            check_ways(name, formula, conditional)
        if name in formulas or name in parents:
            yield name, partial(_made_condition, name, parents.get(name, {}), formula, space, made)


def _made_condition(
    name: str,
    parents: dict[str, list[int]],
    formula: Formula | None,
    space: SearchSpace,
    made: ConfigurationSpace,
) -> Any:
    """Return the condition of a parameter under some choices, or with a formula, or both."""
    parts = [_on_formula(name, formula, space, made)] if formula is not None else []
    if parents:
        parts.append(_any_of([_on_choices(name, space[above], places, made) for above, places in parents.items()]))
    return _all_of(parts)


def _on_choices(name: str, parent: HPSpace, places: list[int], made: ConfigurationSpace) -> Any:
    import ConfigSpace

    assert isinstance(parent, ChoiceHP)  # for the type checker: it has children
    values = [parent.choices[place] for place in places]
    if len(values) == 1:
        return ConfigSpace.EqualsCondition(made[name], made[parent.name], values[0])
    return ConfigSpace.InCondition(made[name], made[parent.name], values)


def _all_of(parts: list[Any]) -> Any:
    import ConfigSpace

    return parts[0] if len(parts) == 1 else ConfigSpace.AndConjunction(*parts)


def _any_of(parts: list[Any]) -> Any:
    import ConfigSpace

    return parts[0] if len(parts) == 1 else ConfigSpace.OrConjunction(*parts)


def _on_formula(name: str, formula: Formula, space: SearchSpace, made: ConfigurationSpace) -> Any:
    """Return the condition that a formula stands for."""
    import ConfigSpace

    if isinstance(formula, Junction):
        parts = [_on_formula(name, part, space, made) for part in formula.parts]
        return _all_of(parts) if formula.is_and else _any_of(parts)
    if formula.other is not None:
        raise SpaceError(f"{name}: condition must compare with values for ConfigSpace, got {shown(text_of(formula))}")
    child, parent = made[name], made[formula.name]
    value = _value(space[formula.name], formula)
    match formula.sign:
        case "==":
            return ConfigSpace.EqualsCondition(child, parent, value)
        case "!=":
            return ConfigSpace.NotEqualsCondition(child, parent, value)
        case "<":
            return ConfigSpace.LessThanCondition(child, parent, value)
        case ">":
            return ConfigSpace.GreaterThanCondition(child, parent, value)
        case "in":
            return ConfigSpace.InCondition(child, parent, value)
        case "not in":
            return _all_of([ConfigSpace.NotEqualsCondition(child, parent, item) for item in value])
    strict = Comparison(formula.name, formula.sign[0], formula.value)  # <= and >=
    return _any_of(
        [
            _on_formula(name, strict, space, made),
            ConfigSpace.EqualsCondition(child, parent, value),
        ]
    )


def _value(parameter: HPSpace, formula: Comparison) -> Any:
    """Return the right side of a comparison that ConfigSpace makes as we do.

    Raises:
        SpaceError: ConfigSpace would compare the places of an ordinal's values, or the values are not a list.
    """
    if formula.sign in ("in", "not in"):
        if not isinstance(formula.value, list) or not formula.value:
            raise SpaceError(f"{parameter.name}: must be compared with a list of values, got {shown(text_of(formula))}")
    elif formula.sign not in ("==", "!=") and isinstance(parameter, OrdinalHP) and not _is_rising(parameter.values):
        rule = "values must be rising numbers to be compared in ConfigSpace"
        raise SpaceError(f"{parameter.name}: {rule}, got {shown(text_of(formula))}")
    return formula.value


def written_forbidden(space: SearchSpace, made: ConfigurationSpace) -> Iterator[tuple[str, Callable[[], Any]]]:
    """Yield each constraint, as a string, and a function that makes each of its forbidden clauses.

    Raises:
        SpaceError: ConfigSpace has no such clause.
    """
    conditional = {name for name in space.names if space.deciders(name)}
    for constraint in space.constraints:
        if not isinstance(constraint, ExpressionConstraint):
            raise SpaceError(f"constraints: must be formulas for ConfigSpace, got {constraint}")
        where = f"constraint {constraint.formula!r}"
        formula = negated(parsed(where, constraint.formula))
        check_ways(where, formula, conditional)
        ways = formula.parts if isinstance(formula, Junction) and not formula.is_and else (formula,)
        for way in ways:
            yield where, partial(_clause, way, space, made)


def _clause(formula: Formula, space: SearchSpace, made: ConfigurationSpace) -> Any:
    """Return the clause that forbids what a formula says."""
    import ConfigSpace.forbidden as library

    if isinstance(formula, Junction):
        parts = [_clause(part, space, made) for part in formula.parts]
        return (library.ForbiddenAndConjunction if formula.is_and else library.ForbiddenOrConjunction)(*parts)
    parameter, name = space[formula.name], formula.name
    value: Any = None if formula.other is not None else _value(parameter, formula)
    if formula.sign == "in":
        return library.ForbiddenInClause(made[name], value)
    if formula.sign in ("!=", "not in") and formula.other is None and (parameter.n_values or MOST_LISTED) < MOST_LISTED:
        out = value if formula.sign == "not in" else [value]
        rest = [item for item in parameter.grid(MOST_LISTED) if not any(is_same(item, other) for other in out)]
        return library.ForbiddenInClause(made[name], rest)
    if formula.sign in ("!=", "<=", ">="):  # ConfigSpace 1.2.2 draws from what its own clause for <= forbids
        signs = ("<", ">") if formula.sign == "!=" else (formula.sign[0], "==")
        return library.ForbiddenOrConjunction(
            *(_clause(Comparison(name, sign, value, formula.other), space, made) for sign in signs)
        )
    if formula.sign == "not in":
        raise SpaceError(f"{name}: values must be few to be forbidden in ConfigSpace, got {shown(text_of(formula))}")
    if formula.other is not None:
        return getattr(library, f"Forbidden{_RELATIONS[formula.sign]}Relation")(made[name], made[formula.other])
    return getattr(library, f"Forbidden{_RELATIONS[formula.sign]}Clause")(made[name], value)
