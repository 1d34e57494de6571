"""Spaces for libraries that take ConfigSpace's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import ConfigSpace

from suite.space import Configuration, Parameter, Space


def config_space(space: Space, seed: int) -> Any:
    """The space; choices and ordinals by place: ConfigSpace takes no values that are lists, and compares True to 1."""
    made = ConfigSpace.ConfigurationSpace(seed=seed)
    by_name = {p.name: _translated(p) for p in space.parameters}
    made.add(*by_name.values())
    for p in space.parameters:
        if p.parent is not None:
            parent = next(other for other in space.parameters if other.name == p.parent)
            places = [parent.values.index(value) for value in p.when]
            made.add(ConfigSpace.InCondition(by_name[p.name], by_name[p.parent], places))
    return made


def configuration(space: Space, found: Mapping[str, Any]) -> Configuration:
    """The values of a configuration of ConfigSpace, which has active parameters only."""
    places = dict(found)
    hp: Configuration = {}
    for p in space.parameters:
        if p.name in places:
            hp[p.name] = p.values[int(places[p.name])] if p.is_list else _plain(places[p.name])
    return hp


def _translated(p: Parameter) -> Any:
    if p.kind == "choice":
        return ConfigSpace.CategoricalHyperparameter(p.name, list(range(len(p.values))))
    if p.kind == "ordinal":
        return ConfigSpace.OrdinalHyperparameter(p.name, list(range(len(p.values))))
    if p.kind == "whole":
        return ConfigSpace.UniformIntegerHyperparameter(p.name, int(p.low), int(p.high), log=p.is_log)
    return ConfigSpace.UniformFloatHyperparameter(p.name, p.low, p.high, log=p.is_log)


def _plain(value: Any) -> Any:
    return value.item() if hasattr(value, "item") else value
