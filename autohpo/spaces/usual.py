"""Usual: whether a configuration is one of its space as it stands, found out in a few comparisons."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from autohpo.spaces.base import HPSpace
from autohpo.spaces.numeric import LogRangeHP, RangeHP
from autohpo.spaces.search_space import SearchSpace


class Usual:
    """Tells configurations that need no second look: legal ones, with every value in its parameter's own form.

    Every suggestion passes here, and nearly all are drawn from the space itself, so there is nothing to put right.

    Args:
        space: The space.
    """

    def __init__(self, space: SearchSpace) -> None:
        self._is_plain = not (space.is_conditional or space.constraints)
        self._n = len(space.parameters)
        self._ranges: list[tuple[str, Any, float, float]] = []
        self._others: list[tuple[str, HPSpace]] = []
        for one in space.parameters:
            if isinstance(one, (RangeHP, LogRangeHP)) and type(one) in (RangeHP, LogRangeHP) and one.step is None:
                self._ranges.append((one.name, type(one.low), one.low, one.high))
            else:
                self._others.append((one.name, one))

    def has(self, hp: Mapping[str, Any]) -> bool:
        """Return whether ``space.checked(hp)`` would return the same; False also where that takes a closer look."""
        if not self._is_plain or len(hp) != self._n:
            return False
        try:
            for name, kind, low, high in self._ranges:
                value: Any = hp[name]
                if type(value) is not kind or not low <= value <= high or not (value or kind is int):  # it may be -0.0
                    return False
            for name, parameter in self._others:
                value = hp[name]
                if parameter.canonical(value) is not value or not parameter.contains(value):
                    return False
        except KeyError:
            return False
        return True
