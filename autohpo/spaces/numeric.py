"""RangeHP and LogRangeHP: numbers between two ends, on a linear or a logarithmic scale."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import numpy as np
from numpy.typing import NDArray

from autohpo.errors import SpaceError
from autohpo.spaces.base import HPSpace, checked_name

MOST_VALUES = 2**50
"""Of values that can be counted: (k + 1/2) / n * n is within k 2**-52 of k + 1/2, far less than 1/2 up to here."""

LARGEST_LOG_INT = 2**40
"""exp(log v) is off by a few v 2**-53 log(v), so at 2**40 by less than 0.01: it rounds to v."""


@dataclass(frozen=True, eq=False)
class RangeHP(HPSpace):
    """Numbers from `low` to `high`, both included, on a linear scale.

    Whole numbers, all equally likely, where both ends are ints; floats otherwise.

    Args:
        name: Of the parameter.
        low: Smallest value.
        high: Largest value.
        step: Distance of neighbouring values; must lead from `low` to `high` exactly.

    Raises:
        SpaceError: The ends are reversed, equal, not finite or no numbers, or `step` does not fit them; or there are
            too many values to tell apart.

    Example:
        >>> RangeHP("hops", 1, 8).decode(np.array([[0.0], [0.5], [1.0]]))
        [1, 5, 8]
        >>> RangeHP("dropout", 0.0, 0.6, step=0.2).grid(9)
        [0.0, 0.2, 0.4, 0.6]
    """

    name: str
    low: float
    high: float
    step: float | None = None

    def __post_init__(self) -> None:
        checked_name(self.name)
        _set_ends(self, self.low, self.high)
        if self.step is not None:
            step = _plain(self, "step", self.step)
            object.__setattr__(self, "step", step if self.is_int else float(step))
            self._check_step()

    def _check_step(self) -> None:
        """A step that is positive, whole where the ends are, and reaches `high`."""
        step: Any = self.step
        if step <= 0 or (self.is_int and type(step) is not int):
            raise SpaceError(f"{self.name}: step must be positive, and whole for whole ends, got {step}")
        if (self.high - self.low) / step >= MOST_VALUES:
            raise SpaceError(f"{self.name}: step must make fewer than 2**50 values, got {step}")
        reach = self.low + (self._n_steps - 1) * step
        if not self._is_near(reach, self.high):
            raise SpaceError(f"{self.name}: step must lead from low to high exactly, got {step}: it ends at {reach}")

    @property
    def is_int(self) -> bool:
        """Whether the values are whole numbers."""
        return type(self.low) is int

    @property
    def _n_steps(self) -> int:
        """How many values there are; only where they can be counted."""
        return round((self.high - self.low) / (1 if self.step is None else self.step)) + 1

    def _is_near(self, a: float, b: float) -> bool:
        """Whether two values on steps are one: rounding may part them by a few of the ends' last binary digits."""
        step: Any = self.step
        return bool(abs(a - b) <= 1e-9 * step + 4 * math.ulp(max(abs(self.low), abs(self.high))))

    @property
    def n_values(self) -> int | None:
        """How many values there are, or None for floats without a step."""
        return self._n_steps if self.is_int or self.step is not None else None

    def decode(self, units: NDArray[np.float64]) -> list[Any]:
        """The n values of ``(n, 1)`` points: a value's cell is as long as any other's."""
        column = units[:, 0]
        n = self.n_values
        if n is None:
            values = self.low * (1.0 - column) + self.high * column  # ends exactly at both ends
            return _listed(_clipped(values, self.low, self.high))
        k = np.minimum((column * n).astype(np.int64), n - 1)
        values = self.low + k * (1 if self.step is None else self.step)
        if self.is_int:
            return _listed(values)
        digits = max(-_exponent(self.low), -_exponent(self.step), 0)  # 0.1 + 2 * 0.1 is 0.3, as it was written
        return [min(max(round(v, digits), self.low), self.high) for v in values.tolist()]

    def encode(self, values: Sequence[Any]) -> NDArray[np.float64]:
        """``(n, 1)`` points: the middle of a value's cell where values can be counted."""
        column: NDArray[np.float64] = np.asarray(values, dtype=float) - self.low
        n = self.n_values
        if n is None:
            return (column / (self.high - self.low))[:, None]
        return ((np.round(column / (1 if self.step is None else self.step)) + 0.5) / n)[:, None]

    def contains(self, value: Any) -> bool:
        """Whether `value` is an int (for whole ends) or a float, within the ends and on a step."""
        if not _is_number(value, self.is_int) or not self.low <= value <= self.high:
            return False
        if self.step is None:
            return True
        k = round((value - self.low) / self.step)
        return self._is_near(self.low + k * self.step, value)


@dataclass(frozen=True, eq=False)
class LogRangeHP(HPSpace):
    """Numbers from `low` to `high`, both included, on a logarithmic scale.

    Whole numbers where both ends are ints, floats otherwise.

    Args:
        name: Of the parameter.
        low: Smallest value, above 0.
        high: Largest value.

    Raises:
        SpaceError: The ends are reversed, equal, not positive, not finite, too far apart or no numbers.

    Example:
        >>> LogRangeHP("hidden", 8, 128).decode(np.array([[0.0], [0.5], [1.0]]))
        [8, 31, 128]
    """

    name: str
    low: float
    high: float

    def __post_init__(self) -> None:
        checked_name(self.name)
        _set_ends(self, self.low, self.high)
        if self.low <= 0:
            raise SpaceError(f"{self.name}: low must be above 0 on a logarithmic scale, got {self.low}")
        if self.is_int and self.high > LARGEST_LOG_INT:
            raise SpaceError(f"{self.name}: whole ends must lie within 2**40 on a logarithmic scale, got {self.high}")
        low, high = self._log_ends
        if not low < high:
            raise SpaceError(f"{self.name}: low and high have the same logarithm, got {self.low}, {self.high}")

    @property
    def is_int(self) -> bool:
        """Whether the values are whole numbers."""
        return type(self.low) is int

    @property
    def n_values(self) -> int | None:
        """How many values there are, or None for floats."""
        return int(self.high - self.low) + 1 if self.is_int else None

    @property
    def _log_ends(self) -> tuple[float, float]:
        """Ends of the scale: a whole number's cell reaches half a step to both sides."""
        margin = 0.5 if self.is_int else 0.0
        return math.log(self.low - margin), math.log(self.high + margin)

    def decode(self, units: NDArray[np.float64]) -> list[Any]:
        """The n values of ``(n, 1)`` points."""
        low, high = self._log_ends
        column = units[:, 0]
        values = np.exp(np.minimum(low + column * (high - low), high))
        if self.is_int:
            return _listed(_clipped(np.rint(values), self.low, self.high).astype(np.int64))
        values = np.where(column == 0.0, self.low, np.where(column == 1.0, self.high, values))  # exp(log x) is not x
        return _listed(_clipped(values, self.low, self.high))

    def encode(self, values: Sequence[Any]) -> NDArray[np.float64]:
        """``(n, 1)`` points at the logarithms of the values."""
        low, high = self._log_ends
        logs = np.log(np.asarray(values, dtype=float))[:, None]
        units: NDArray[np.float64] = (logs - low) / (high - low)
        return np.clip(units, 0.0, 1.0)  # numpy's logarithm and Python's may differ in the last digit

    def grid(self, steps: int) -> list[Any]:
        """At most `steps` values, evenly spaced in the logarithm from end to end; all of them where they are few."""
        if self.is_int and self.high - self.low < steps:  # their cells differ in length, so even points miss some
            return list(range(int(self.low), int(self.high) + 1))
        return super().grid(steps)

    def contains(self, value: Any) -> bool:
        """Whether `value` is an int (for whole ends) or a float, within the ends."""
        return _is_number(value, self.is_int) and bool(self.low <= value <= self.high)


def _clipped(values: NDArray[np.float64], low: float, high: float) -> NDArray[np.float64]:
    """``np.clip`` at a tenth of its cost for a few values: every suggestion passes here."""
    return np.minimum(np.maximum(values, low), high)


def _listed(values: NDArray[Any]) -> list[Any]:
    """Plain Python numbers."""
    plain: list[Any] = values.tolist()
    return plain


def _set_ends(hp: HPSpace, low: Any, high: Any) -> None:
    """Makes both ends plain ints, or both plain floats.

    Raises:
        SpaceError: They are no range.
    """
    low, high = _plain(hp, "low", low), _plain(hp, "high", high)
    if not (type(low) is int and type(high) is int):
        low, high = float(low), float(high)
    if not low < high:
        raise SpaceError(f"{hp.name}: low must be below high, got low={low}, high={high}")
    if not math.isfinite(high - low):
        raise SpaceError(f"{hp.name}: high - low must be a finite float, got low={low}, high={high}")
    if type(low) is int and max(abs(low), abs(high)) > MOST_VALUES // 2:
        raise SpaceError(f"{hp.name}: whole ends must lie within 2**49, got low={low}, high={high}")
    object.__setattr__(hp, "low", low)  # frozen: this is still part of making it
    object.__setattr__(hp, "high", high)


def _plain(hp: HPSpace, field: str, value: Any) -> int | float:
    """A finite int or float as Python's own type."""
    if isinstance(value, np.generic):
        value = value.item()
    if type(value) not in (int, float):
        raise SpaceError(f"{hp.name}: {field} must be an int or a float, got {value!r}")
    try:
        is_finite = math.isfinite(value)
    except OverflowError:  # an int beyond the largest float
        is_finite = False
    if not is_finite:
        raise SpaceError(f"{hp.name}: {field} must be finite, got {value!r:.50}")
    return value  # type: ignore[no-any-return]


def _is_number(value: Any, is_int: bool) -> bool:
    """Whether a value has the range's type; an int may stand for a float."""
    return type(value) is int or (not is_int and type(value) is float)


def _exponent(value: float | None) -> int:
    """Of the last decimal digit that `value` is written with: -2 for 0.25."""
    return int(Decimal(repr(value)).normalize().as_tuple().exponent)
