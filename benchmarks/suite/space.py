"""Parameters and spaces in terms of this benchmark alone: each rival translates them into its own."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

Configuration = dict[str, Any]


@dataclass(frozen=True)
class Parameter:
    """One parameter; made by `real`, `whole`, `ordinal` or `choice`.

    Attributes:
        kind: "real" and "whole" lie between two ends; "ordinal" and "choice" are lists of values.
        low: Smallest value.
        high: Largest value, included.
        values: In rising order for an ordinal.
        is_log: Whether the scale is logarithmic.
        parent: The choice that this one hangs on, if any.
        when: The parent's values with which this one is in force.
    """

    name: str
    kind: Literal["real", "whole", "ordinal", "choice"]
    low: float = 0.0
    high: float = 1.0
    values: tuple[Any, ...] = ()
    is_log: bool = False
    parent: str | None = None
    when: tuple[Any, ...] = ()

    def under(self, parent: str, *values: Any) -> Parameter:
        """The same, in force only where `parent` has one of the values."""
        return replace(self, parent=parent, when=values)

    @property
    def is_list(self) -> bool:
        """Whether it is a list of values."""
        return self.kind in ("ordinal", "choice")

    def draw(self, rng: np.random.Generator) -> Any:
        """One value of the prior."""
        if self.is_list:
            return self.values[rng.integers(len(self.values))]
        return self.at(rng.random())

    def at(self, unit: float) -> float:
        """The number at a place of the unit interval; a whole number's cell reaches half a step to both sides."""
        margin = 0.5 if self.kind == "whole" else 0.0
        low, high = self.low - margin, self.high + margin
        value = math.exp(math.log(low) + unit * math.log(high / low)) if self.is_log else low + unit * (high - low)
        if self.kind == "whole":
            value = round(value)
        return min(max(value, self.low), self.high)


def real(name: str, low: float, high: float, *, log: bool = False) -> Parameter:
    """A float between two ends."""
    return Parameter(name, "real", float(low), float(high), is_log=log)


def whole(name: str, low: int, high: int, *, log: bool = False) -> Parameter:
    """An int between two ends, both included."""
    return Parameter(name, "whole", int(low), int(high), is_log=log)


def ordinal(name: str, values: Sequence[float]) -> Parameter:
    """One of a few numbers, in rising order."""
    return Parameter(name, "ordinal", values=tuple(values))


def choice(name: str, values: Sequence[Any]) -> Parameter:
    """One of a few values without an order."""
    return Parameter(name, "choice", values=tuple(values))


@dataclass(frozen=True)
class Space:
    """Parameters, parents before children."""

    parameters: tuple[Parameter, ...]

    @property
    def is_conditional(self) -> bool:
        """Whether some parameter is not always in force."""
        return any(p.parent is not None for p in self.parameters)

    def is_active(self, parameter: Parameter, configuration: Mapping[str, Any]) -> bool:
        """Whether a parameter is in force, given the values of those before it."""
        if parameter.parent is None:
            return True
        return parameter.parent in configuration and configuration[parameter.parent] in parameter.when

    def sample(self, rng: np.random.Generator) -> Configuration:
        """A random configuration: active parameters only."""
        configuration: Configuration = {}
        for parameter in self.parameters:
            if self.is_active(parameter, configuration):
                configuration[parameter.name] = parameter.draw(rng)
        return configuration

    def stripped(self, configuration: Mapping[str, Any]) -> Configuration:
        """A configuration of all parameters without those that are not in force."""
        kept: Configuration = {}
        for parameter in self.parameters:
            if self.is_active(parameter, kept):
                kept[parameter.name] = configuration[parameter.name]
        return kept
