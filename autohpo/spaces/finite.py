"""Walking and counting the configurations of a space whose parameters have countable values, or a grid over it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from autohpo.spaces.base import HPSpace
    from autohpo.spaces.search_space import SearchSpace

MOST_LISTED = 20_000
"""Combinations that are listed in order to count a space; with more it counts as infinite."""

Digits = dict[str, list[int]]
"""For each parameter in force the places of its values on its axes."""


def walk(space: SearchSpace, steps: int | None, after: Digits | None = None) -> Iterator[tuple[Digits, dict[str, Any]]]:
    """Every combination of the axes' values, and its digits, from the one after `after` on.

    A parameter changes faster than those that decide about it; of others the first one fastest. Nothing is listed in
    advance: the digits of a combination lead to the next one.

    Args:
        space: What to walk; constraints are left to the caller.
        steps: Values of each range at most; None takes all, which must be countable.
        after: Digits of the combination before the first; None starts at the beginning.
    """
    odometer = _Odometer(space, list(space.parameters), steps)
    digits: Digits | None = odometer.filled({}) if after is None else odometer.following(after)
    while digits is not None:
        yield digits, odometer.values(digits)
        digits = odometer.following(digits)


def count(space: SearchSpace) -> int | None:
    """How many configurations there are; None where they cannot be counted, or only by listing very many.

    What decides about nothing counts as a factor; only the parameters that decide about others, or that a constraint
    binds, are listed.
    """
    numbers = [hp.n_values for hp in space.parameters]
    if None in numbers:
        return None
    if not space.is_conditional and not space.constraints:
        return math.prod(n for n in numbers if n is not None)
    listed = _listed(space)
    if math.prod(hp.n_values or 1 for hp in space.parameters if hp.name in listed) > MOST_LISTED:
        return None
    odometer = _Odometer(space, [hp for hp in space.parameters if hp.name in listed], None)
    total = 0
    digits: Digits | None = odometer.filled({})
    while digits is not None:
        values = odometer.values(digits)
        if space.is_allowed(values):
            free = [hp for hp in space.parameters if hp.name not in listed and space.is_active(hp.name, values)]
            total += math.prod(hp.n_values_in(values) or 1 for hp in free)
        digits = odometer.following(digits)
    return total


def _listed(space: SearchSpace) -> set[str]:
    """Names of the parameters that must be listed to count: deciders, what constraints bind, and their deciders."""
    names: set[str] = set()
    for constraint in space.constraints:
        names.update(space.names if constraint.names is None else constraint.names)
    for hp in space.parameters:
        names.update(space.deciders(hp.name))
    for hp in reversed(space.parameters):  # those that decide stand before what they decide about
        if hp.name in names:
            names.update(space.deciders(hp.name))
    return names


def _n_axes(hp: HPSpace, n: int, values: Mapping[str, Any]) -> int:
    """How many of n axes are in force where the others have these values."""
    return len(hp.cut([None] * n, values)) if n and hp.refers_to else n


class _Odometer:
    """Digits over the axes of some parameters: which come next, and what values they stand for."""

    def __init__(self, space: SearchSpace, parameters: Sequence[HPSpace], steps: int | None) -> None:
        self._space, self._parameters = space, parameters
        self._axes = {hp.name: hp.axes(steps) for hp in parameters}
        depths: dict[str, int] = {}
        for hp in space.parameters:
            depths[hp.name] = 1 + max((depths[name] for name in space.deciders(hp.name)), default=0)
        self._fastest = sorted(parameters, key=lambda hp: -depths[hp.name])  # stable: of equals the first one listed

    def values(self, digits: Digits) -> dict[str, Any]:
        """The configuration that digits stand for, as far as these parameters go."""
        found: dict[str, Any] = {}
        for hp in self._parameters:
            if hp.name in digits:
                found[hp.name] = self._value(hp, digits[hp.name], found)
        return found

    def _value(self, hp: HPSpace, digits: list[int], known: Mapping[str, Any]) -> Any:
        """What the digits of a parameter stand for where those that decide about it have known values."""
        value = hp.join([axis[d] for axis, d in zip(self._axes[hp.name], digits, strict=False)])
        return hp.cut(value, known) if hp.refers_to else value

    def filled(self, kept: Digits) -> Digits:
        """The digits that are kept, and 0 for every other that is in force then."""
        digits: Digits = {}
        values: dict[str, Any] = {}
        for hp in self._parameters:
            if not self._space.is_active(hp.name, values):
                continue
            n = _n_axes(hp, len(self._axes[hp.name]), values)
            digits[hp.name] = (kept.get(hp.name, []) + [0] * n)[:n]
            values[hp.name] = self._value(hp, digits[hp.name], values)
        return digits

    def following(self, digits: Digits) -> Digits | None:
        """The next digits; None after the last."""
        slower = dict(digits)
        for hp in self._fastest:
            if hp.name not in digits:
                continue
            own = list(digits[hp.name])
            for place, axis in zip(range(len(own)), self._axes[hp.name], strict=False):
                if own[place] + 1 < len(axis):
                    own[place] += 1
                    slower[hp.name] = own
                    return self.filled(slower)
                own[place] = 0
            del slower[hp.name]  # all its digits start again
        return None
