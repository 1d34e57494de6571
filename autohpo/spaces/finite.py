"""Walking and counting the configurations of a space whose parameters have countable values, or a grid over it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from autohpo.spaces.sequences import ListHP

if TYPE_CHECKING:
    from autohpo.spaces.base import HPSpace
    from autohpo.spaces.search_space import SearchSpace

MOST_LISTED = 20_000
"""The most combinations that are listed in order to count a space; with more it counts as infinite."""

Digits = dict[str, list[int]]
"""The indices of the values of each active parameter on its axes."""


def walk(space: SearchSpace, steps: int | None, after: Digits | None = None) -> Iterator[tuple[Digits, dict[str, Any]]]:
    """Yield every combination of the axes' values, and its digits, from the combination after `after` on.

    A parameter changes faster than those that decide about it; of others the first one fastest. Nothing is listed in
    advance: the digits of a combination lead to the next one.

    Args:
        space: The space to walk; constraints are left to the caller.
        steps: The most values of each range; None takes all, which must be countable.
        after: The digits of the combination before the first; None starts at the beginning.
    """
    odometer = _Odometer(space, list(space.parameters), steps)
    digits: Digits | None = odometer.filled({}) if after is None else odometer.following(after)
    while digits is not None:
        yield digits, odometer.values(digits)
        digits = odometer.following(digits)


def count(space: SearchSpace) -> int | None:
    """Return the number of configurations; None where they cannot be counted, or only by listing very many.

    A parameter that decides about nothing counts as a factor; only parameters that decide about others, or that a
    constraint binds, are listed.
    """
    numbers = [parameter.n_values for parameter in space.parameters]
    if None in numbers:
        return None
    if not space.is_conditional and not space.constraints:
        return math.prod(n for n in numbers if n is not None)
    names = _listed(space)
    listed = [parameter for parameter in space.parameters if parameter.name in names]
    others = [parameter for parameter in space.parameters if parameter.name not in names]
    if math.prod(parameter.n_values or 1 for parameter in listed) > MOST_LISTED:
        return None
    odometer = _Odometer(space, listed, None)
    total = 0
    digits: Digits | None = odometer.filled({})
    while digits is not None:
        values = odometer.values(digits)
        if space.is_allowed(values):
            free = [parameter for parameter in others if space.is_active(parameter.name, values)]
            total += math.prod(parameter.n_values_in(values) or 1 for parameter in free)
        digits = odometer.following(digits)
    return total


def _listed(space: SearchSpace) -> set[str]:
    """Return the names of the parameters that must be listed to count: deciders, what constraints bind, theirs too."""
    names: set[str] = set()
    for constraint in space.constraints:
        names.update(space.names if constraint.names is None else constraint.names)
    for name in space.names:
        names.update(space.deciders(name))
    for name in reversed(space.names):  # those that decide stand before what they decide about
        if name in names:
            names.update(space.deciders(name))
    return names


class _Odometer:
    """An odometer over the axes of some parameters: which digits come next, and what values they stand for."""

    def __init__(self, space: SearchSpace, parameters: Sequence[HPSpace], steps: int | None) -> None:
        self._space, self._parameters = space, parameters
        self._axes = {parameter.name: parameter.axes(steps) for parameter in parameters}
        depths: dict[str, int] = {}
        for name in space.names:
            depths[name] = 1 + max((depths[decider] for decider in space.deciders(name)), default=0)
        self._fastest = sorted(self._axes, key=lambda name: -depths[name])  # stable: of equals the first listed

    def values(self, digits: Digits) -> dict[str, Any]:
        """Return the configuration that digits stand for, as far as these parameters go."""
        hp: dict[str, Any] = {}
        for parameter in self._parameters:
            if parameter.name in digits:
                hp[parameter.name] = self._value(parameter, digits[parameter.name], hp)
        return hp

    def _value(self, parameter: HPSpace, digits: list[int], hp: Mapping[str, Any]) -> Any:
        """Return what the digits of a parameter stand for in a configuration that holds those that decide about it."""
        value = parameter.join([axis[d] for axis, d in zip(self._axes[parameter.name], digits, strict=False)])
        return parameter.cut(value, hp) if parameter.refers_to else value

    def filled(self, kept: Digits) -> Digits:
        """Return the digits that are kept, and 0 for every other that is active then."""
        digits: Digits = {}
        hp: dict[str, Any] = {}
        for parameter in self._parameters:
            name = parameter.name
            if not self._space.is_active(name, hp):
                continue
            n = parameter.length_in(hp) if isinstance(parameter, ListHP) else len(self._axes[name])
            digits[name] = (kept.get(name, []) + [0] * n)[:n]
            hp[name] = self._value(parameter, digits[name], hp)
        return digits

    def following(self, digits: Digits) -> Digits | None:
        """Return the next digits; None after the last."""
        slower = dict(digits)
        for name in self._fastest:
            if name not in digits:
                continue
            own = list(digits[name])
            for i, axis in zip(range(len(own)), self._axes[name], strict=False):
                if own[i] + 1 < len(axis):
                    own[i] += 1
                    slower[name] = own
                    return self.filled(slower)
                own[i] = 0
            del slower[name]  # all its digits start again
        return None
