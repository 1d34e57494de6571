"""Distributions: what ``trial.suggest_*`` asks for, drawn from a seed without any model, and written to a log."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Union

from autohpo.errors import SpaceError, shown

if TYPE_CHECKING:
    from autohpo.spaces import HPSpace

__all__ = ["CategoricalDistribution", "Distribution", "FloatDistribution", "IntDistribution", "from_json"]

_PLAIN = (type(None), bool, int, float, str)


def _check_ends(name: str, low: float, high: float, step: float | None, *, log: bool) -> None:
    rules = [
        (all(type(one) in (int, float) and math.isfinite(one) for one in (low, high)), "low, high: must be numbers"),
        (low <= high, "low: must be at most high"),
        (not log or low > 0, "low: must be positive with log"),
        (step is None or step > 0, "step: must be positive"),
        (not log or step is None, "step: must not be given with log"),
    ]
    for is_kept, rule in rules:
        if not is_kept:
            raise SpaceError(f"{name}: {rule}, got low={shown(low)}, high={shown(high)}, step={shown(step)}")


@dataclass(frozen=True)
class FloatDistribution:
    """A number from low to high.

    Attributes:
        low: The least value.
        high: The largest value.
        log: Whether it is searched on a logarithmic scale.
        step: The distance between values; None has them all.
    """

    low: float
    high: float
    log: bool = False
    step: float | None = None

    def check(self, name: str) -> None:
        """Raise SpaceError unless the ends and the step make sense."""
        _check_ends(name, self.low, self.high, self.step, log=self.log)

    def draw(self, rng: random.Random) -> float:
        """Return a value."""
        if self.step is not None:
            return self._at(rng.randrange(self._n))
        if self.log:
            return min(max(math.exp(rng.uniform(math.log(self.low), math.log(self.high))), self.low), self.high)
        return self.low + rng.random() * (self.high - self.low)

    @property
    def _n(self) -> int:
        return math.floor((self.high - self.low) / (self.step or 1) + 1e-9) + 1

    def _at(self, place: int) -> float:
        return min(float(f"{self.low + place * (self.step or 0):.12g}"), self.high)

    def contains(self, value: Any) -> bool:
        """Return whether a value is one of these."""
        return type(value) in (int, float) and self.low <= value <= self.high

    def parameter(self, name: str) -> HPSpace | None:
        """Return the parameter for a model; None where there is a single value."""
        from autohpo.spaces import LogRangeHP, RangeHP

        low, high = float(self.low), float(self.high)
        if low == high or (self.step is not None and self._n == 1):
            return None
        if self.log:
            return LogRangeHP(name, low, high)
        return RangeHP(name, low, high if self.step is None else self._at(self._n - 1), self.step)

    def to_json(self) -> list[Any]:
        """Return it in JSON types."""
        return ["float", self.low, self.high, self.log, self.step]


@dataclass(frozen=True)
class IntDistribution:
    """An integer from low to high.

    Attributes:
        low: The least value.
        high: The largest value.
        log: Whether it is searched on a logarithmic scale.
        step: The distance between values.
    """

    low: int
    high: int
    log: bool = False
    step: int = 1

    def check(self, name: str) -> None:
        """Raise SpaceError unless the ends and the step make sense."""
        if any(type(one) is not int for one in (self.low, self.high, self.step)):
            raise SpaceError(f"{name}: low, high, step: must be integers, got {self}")
        _check_ends(name, self.low, self.high, None if self.step == 1 else self.step, log=self.log)

    def draw(self, rng: random.Random) -> int:
        """Return a value."""
        if self.log:
            value = math.exp(rng.uniform(math.log(self.low - 0.5), math.log(self.high + 0.5)))
            return min(max(round(value), self.low), self.high)
        return self.low + self.step * rng.randrange((self.high - self.low) // self.step + 1)

    def contains(self, value: Any) -> bool:
        """Return whether a value is one of these."""
        return type(value) is int and self.low <= value <= self.high and (value - self.low) % self.step == 0

    def parameter(self, name: str) -> HPSpace | None:
        """Return the parameter for a model; None where there is a single value."""
        from autohpo.spaces import LogRangeHP, RangeHP

        high = self.low + (self.high - self.low) // self.step * self.step
        if self.low == high:
            return None
        if self.log:
            return LogRangeHP(name, self.low, high)
        return RangeHP(name, self.low, high, None if self.step == 1 else self.step)

    def to_json(self) -> list[Any]:
        """Return it in JSON types."""
        return ["int", self.low, self.high, self.log, self.step]


@dataclass(frozen=True)
class CategoricalDistribution:
    """One of several values.

    Attributes:
        choices: None, bools, numbers and strings.
    """

    choices: Sequence[Any]

    def check(self, name: str) -> None:
        """Raise SpaceError unless there are choices that a log can hold."""
        if not self.choices or any(type(one) not in _PLAIN for one in self.choices):
            rule = "choices: must be None, bools, numbers or strings, and at least one; choose a key of a dict"
            raise SpaceError(f"{name}: {rule}, got {shown(list(self.choices))}")

    def draw(self, rng: random.Random) -> Any:
        """Return a value."""
        return self.choices[rng.randrange(len(self.choices))]

    def place(self, value: Any) -> int:
        """Return the place of a value; -1 where it is none of them."""
        return next((i for i, one in enumerate(self.choices) if type(one) is type(value) and one == value), -1)

    def contains(self, value: Any) -> bool:
        """Return whether a value is one of these."""
        return self.place(value) >= 0

    def parameter(self, name: str) -> HPSpace | None:
        """Return the parameter for a model, the place of a value; None where there is a single value."""
        from autohpo.spaces import ChoiceHP

        return ChoiceHP(name, range(len(self.choices))) if len(self.choices) > 1 else None

    def to_json(self) -> list[Any]:
        """Return it in JSON types."""
        return ["categorical", list(self.choices)]


Distribution = Union[FloatDistribution, IntDistribution, CategoricalDistribution]  # noqa: UP007 - read at run time


def from_json(data: Sequence[Any]) -> Distribution:
    """Return the distribution that ``to_json`` wrote."""
    if data[0] == "categorical":
        return CategoricalDistribution(tuple(data[1]))
    return FloatDistribution(*data[1:]) if data[0] == "float" else IntDistribution(*data[1:])


def as_number(theirs: Distribution, value: Any) -> float:
    """Return a value as a number: that of a choice is its place."""
    return float(theirs.place(value) if isinstance(theirs, CategoricalDistribution) else value)


def as_value(theirs: Distribution, number: float) -> Any:
    """Return the value that :func:`as_number` gave a number for."""
    if isinstance(theirs, CategoricalDistribution):
        return theirs.choices[int(number)]
    return int(number) if isinstance(theirs, IntDistribution) else number
