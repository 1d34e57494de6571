"""The parameters of a controller: ours, those of `autohpo.integrations.clearml`, or of ClearML's own classes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from autohpo.errors import SpaceError, shown
from autohpo.integrations import clearml
from autohpo.spaces import HPSpace, SearchSpace

_MADE: Mapping[str, Callable[[Any, str], HPSpace]] = {
    "UniformParameterRange": lambda p, name: clearml.UniformParameterRange(
        name, p("min_value"), p("max_value"), p("step_size"), p("include_max")
    ),
    "LogUniformParameterRange": lambda p, name: clearml.LogUniformParameterRange(
        name, p("min_value"), p("max_value"), p("base"), p("step_size"), p("include_max")
    ),
    "UniformIntegerParameterRange": lambda p, name: clearml.UniformIntegerParameterRange(
        name, _whole(p("min_value")), _whole(p("max_value")), _whole(p("step_size")), p("include_max")
    ),
    "DiscreteParameterRange": lambda p, name: clearml.DiscreteParameterRange(name, p("values")),
    "ParameterSet": lambda p, name: clearml.ParameterSet([_combination(c) for c in p("values")], name),
}
"""How each of ClearML's classes becomes a parameter of ours, by its own name: a log range is no linear one."""

_DEFAULTS = {"step_size": None, "include_max": True, "base": 10}
_SET = "ParameterSet"


def space_of(hyper_parameters: object) -> SearchSpace:
    """Return the space that parameters make; ClearML itself is not imported.

    Args:
        hyper_parameters: A search space, AutoGL's dict form, or a list of parameters: ours, objects of ClearML's
            classes, or the dicts that their ``to_dict`` returns. Names such as "General/lr" stay as they are.

    Raises:
        SpaceError: Something is no parameter, or they do not make a space.
    """
    if isinstance(hyper_parameters, (SearchSpace, Mapping)):
        return SearchSpace(hyper_parameters)
    if isinstance(hyper_parameters, (str, bytes)) or not isinstance(hyper_parameters, Sequence):
        raise SpaceError(f"hyper_parameters: must be a list of parameters, got {shown(hyper_parameters)}")
    found: list[HPSpace] = []
    n_sets = 0
    for item in hyper_parameters:
        n_sets += _class_of(item) == _SET
        found.append(parameter_of(item, f"parameter_set_{n_sets}" if n_sets > 1 else "parameter_set"))
    return SearchSpace(found)


def parameter_of(item: object, set_name: str = "parameter_set") -> HPSpace:
    """Return the parameter of ours that something stands for.

    Args:
        item: A parameter of ours, an object of a class of ClearML, or the dict that its ``to_dict`` returns.
        set_name: The name of a set without one.

    Raises:
        SpaceError: It is none of these, or breaks a rule of its kind.
    """
    if isinstance(item, HPSpace):
        return item
    kind = _class_of(item)
    if kind is None:
        known = ", ".join(_MADE)
        raise SpaceError(
            f"hyper_parameters: must be parameters of autohpo, or of ClearML's classes {known}, got {shown(item)}"
        )

    def value(name: str) -> Any:
        found = item.get(name) if isinstance(item, Mapping) else getattr(item, name, None)
        return _DEFAULTS.get(name) if found is None else found

    name = value("name")
    return _MADE[kind](value, set_name if name is None and kind == _SET else name)


def _class_of(item: object) -> str | None:
    """Return which of ClearML's classes an object is of, the nearest one first; None where it is of none."""
    if isinstance(item, Mapping):
        kind = item.get("type")
        return kind if isinstance(kind, str) and kind in _MADE else None
    if isinstance(item, HPSpace):
        return None
    return next((cls.__name__ for cls in type(item).__mro__ if cls.__name__ in _MADE), None)


def _combination(values: object) -> dict[str, Any]:
    """Return a combination of a set with its parameters made ours."""
    if not isinstance(values, Mapping):
        raise SpaceError(f"hyper_parameters: the combinations of a ParameterSet must be dicts, got {shown(values)}")
    return {str(name): value if _class_of(value) is None else parameter_of(value) for name, value in values.items()}


def _whole(value: Any) -> Any:
    """Return an end of an integer range as an integer, where it is one."""
    return int(value) if isinstance(value, float) and value.is_integer() else value
