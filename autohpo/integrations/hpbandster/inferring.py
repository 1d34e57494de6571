"""A search space told from configurations: what a log says of its space, where nobody has it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from autohpo.errors import SpaceError
from autohpo.spaces import ChoiceHP, FixedHP, HPSpace, RangeHP, SearchSpace

__all__ = ["inferred_space"]


def inferred_space(configs: Sequence[Mapping[str, Any]]) -> SearchSpace:
    """Return a space that has some configurations: ranges from the least number to the largest, else choices.

    A parameter that some configurations lack is made the child of a choice whose values decide about it.

    Args:
        configs: The configurations.

    Raises:
        SpaceError: There are none, or nothing decides about a parameter.
    """
    names = list(dict.fromkeys(name for config in configs for name in config))
    if not names:
        raise SpaceError("configspace: must be given, as the configurations have no parameter")
    values = {name: [config[name] for config in configs if name in config] for name in names}
    made = {name: _parameter(name, values[name]) for name in names}
    parents = {name: _parent(name, configs, made, values) for name in names if len(values[name]) < len(configs)}

    def with_children(name: str) -> HPSpace:
        parameter = made[name]
        below = [child for child, (parent, _) in parents.items() if parent == name]
        if not below or not isinstance(parameter, ChoiceHP):
            return parameter
        under = [
            [with_children(child) for child in below if _place(choice) in parents[child][1]]
            for choice in parameter.choices
        ]
        return ChoiceHP(name, parameter.choices, under)

    return SearchSpace([with_children(name) for name in names if name not in parents])


def _parameter(name: str, values: Sequence[Any]) -> HPSpace:
    is_number = all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in values)
    if is_number and min(values) < max(values):
        if all(isinstance(value, int) for value in values):
            return RangeHP(name, min(values), max(values))
        return RangeHP(name, float(min(values)), float(max(values)))
    distinct = list({_place(value): value for value in values}.values())
    return ChoiceHP(name, distinct) if len(distinct) > 1 else FixedHP(name, distinct[0])


def _place(value: Any) -> str:
    """A key under which equal values of JSON are found, True and 1 apart."""
    return f"{type(value).__name__} {value!r}"


def _parent(
    name: str, configs: Sequence[Mapping[str, Any]], made: Mapping[str, HPSpace], values: Mapping[str, Sequence[Any]]
) -> tuple[str, set[str]]:
    """The choice that decides whether a parameter is active, and its values for which it is.

    Raises:
        SpaceError: There is none.
    """
    for parent, parameter in made.items():
        if isinstance(parameter, ChoiceHP) and len(values[parent]) > len(values[name]):
            active = {_place(config[parent]) for config in configs if name in config and parent in config}
            if all((name in c) == (parent in c and _place(c[parent]) in active) for c in configs):
                return parent, active
    rule = "must be given, as nothing says when it is active in the configurations"
    raise SpaceError(f"configspace: {rule} of {name}")
