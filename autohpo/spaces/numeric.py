"""RangeHP and LogRangeHP: numbers between two ends, on a linear or a logarithmic scale."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from autohpo.errors import SpaceError
from autohpo.spaces.base import HPSpace, Listing, checked_name
from autohpo.spaces.priors import Prior, Scale, Warp, WeightedPrior, as_prior
from autohpo.spaces.tagged import Described

MOST_VALUES = 2**50
"""Of values that can be counted: (k + 1/2) / n * n is within k 2**-52 of k + 1/2, far less than 1/2 up to here."""

MOST_EDGES = 1024
"""Values of a parameter that says where their cells end: of more, none is wide enough to matter."""

MOST_BELIEVED = 2**32
"""Of values that can be counted and have a prior: its table is off by 2**-53, which its uniform share of 1e-3 magnifies
to 2**-43 on the scale, and a logarithmic scale by another 2**5: far less than half a cell up to here."""

LARGEST_LOG_INT = 2**40
"""exp(log v) is off by a few v 2**-53 log(v), so at 2**40 by less than 0.01: it rounds to v."""


@dataclass(frozen=True, eq=False, repr=False)
class RangeHP(HPSpace):
    """Numbers from `low` to `high`, both included, on a linear scale.

    Whole numbers, all equally likely, where both ends are ints; floats otherwise.

    Args:
        name: Of the parameter.
        low: Smallest value.
        high: Largest value.
        step: Distance of neighbouring values; must lead from `low` to `high` exactly.
        prior: Where good values are believed to lie; see :mod:`autohpo.spaces.priors`.

    Raises:
        SpaceError: The ends are reversed, equal, not finite or no numbers, or `step` does not fit them; there are too
            many values to tell apart; or the prior does not suit them.

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
    prior: Prior | None = None

    def __post_init__(self) -> None:
        checked_name(self.name)
        _set_ends(self, self.low, self.high)
        _set_step(self)
        _set_prior(self)

    @property
    def is_int(self) -> bool:
        """Whether the values are whole numbers."""
        return type(self.low) is int

    @property
    def n_values(self) -> int | None:
        """How many values there are, or None for floats without a step."""
        return self._n

    @cached_property
    def _n(self) -> int | None:
        return _n_steps(self) if self.is_int or self.step is not None else None

    @property
    def edges(self) -> NDArray[np.float64] | None:
        """``(V + 1,)`` ends of the values' cells: as long as each other, but for the prior."""
        return self._edges

    @cached_property
    def _edges(self) -> NDArray[np.float64] | None:
        n = self.n_values
        return None if n is None or n > MOST_EDGES else self._to_units(np.arange(n + 1) / n)

    def _place(self, value: Any) -> float:
        """Where a value stands on the scale, from 0 to 1: in the middle of its cell, if it has one."""
        n, part = self.n_values, (_plain(self, "prior", value) - self.low) / (self.high - self.low)
        return part if n is None else (part * (n - 1) + 0.5) / n

    @cached_property
    def _warp(self) -> Warp | None:
        length = (self.high - self.low) * (1.0 if self.n_values is None else self.n_values / (self.n_values - 1))
        return None if self.prior is None else self.prior.warp(Scale(self.name, self._place, length, self.n_values))

    def _to_units(self, places: NDArray[np.float64]) -> NDArray[np.float64]:
        return places if self._warp is None else self._warp.to_units(places)

    def decode(self, units: NDArray[np.float64]) -> list[Any]:
        """The n values of ``(n, 1)`` points."""
        column = units[:, 0] if self._warp is None else self._warp.to_places(units[:, 0])
        n = self.n_values
        if n is None:
            values = self.low * (1.0 - column) + self.high * column  # ends exactly at both ends
            return _listed(_clipped(values, self.low, self.high))
        k = np.minimum((column * n).astype(np.int64), n - 1)
        return _on_steps(self, k)

    def encode(self, values: Sequence[Any]) -> NDArray[np.float64]:
        """``(n, 1)`` points: the middle of a value's cell where values can be counted."""
        column: NDArray[np.float64] = np.asarray(values, dtype=float) - self.low
        n = self.n_values
        if n is None:
            return self._to_units(column / (self.high - self.low))[:, None]
        k = np.round(column / (1 if self.step is None else self.step))
        if self._warp is None:
            return ((k + 0.5) / n)[:, None]
        return ((self._to_units(k / n) + self._to_units((k + 1) / n)) / 2)[:, None]

    def axes(self, steps: int | None) -> list[Sequence[Any]]:
        """The values a grid takes, or all of them."""
        return _axes(self, steps)

    def grid(self, steps: int) -> list[Any]:
        """At most `steps` values, evenly spaced in the unit interval from end to end; all where they are few."""
        return _all_of_few(self, steps) or super().grid(steps)

    def contains(self, value: Any) -> bool:
        """Whether `value` is an int (for whole ends) or a float, within the ends and on a step."""
        return _is_on_scale(self, value)


@dataclass(frozen=True, eq=False, repr=False)
class LogRangeHP(HPSpace):
    """Numbers from `low` to `high`, both included, on a logarithmic scale.

    Whole numbers where both ends are ints, floats otherwise.

    Args:
        name: Of the parameter.
        low: Smallest value, above 0.
        high: Largest value.
        step: Distance of neighbouring values; must lead from `low` to `high` exactly. None means 1 for whole ends.
        prior: Where good values are believed to lie; see :mod:`autohpo.spaces.priors`.

    Raises:
        SpaceError: The ends are reversed, equal, not positive, not finite, too far apart or no numbers, or `step` or
            the prior does not suit them.

    Example:
        >>> LogRangeHP("hidden", 8, 128).decode(np.array([[0.0], [0.5], [1.0]]))
        [8, 31, 128]
        >>> LogRangeHP("width", 32, 256, step=32).decode(np.array([[0.0], [0.5], [1.0]]))
        [32, 64, 256]
    """

    _unsaid: ClassVar[dict[str, Any]] = {**Described._unsaid, "step": None}  # it came later than the first stores

    name: str
    low: float
    high: float
    step: float | None = None
    prior: Prior | None = None

    def __post_init__(self) -> None:
        checked_name(self.name)
        _set_ends(self, self.low, self.high)
        if self.low <= 0:
            raise SpaceError(f"{self.name}: low must be above 0 on a logarithmic scale, got {self.low}")
        if self.is_int and self.high > LARGEST_LOG_INT:
            raise SpaceError(f"{self.name}: whole ends must lie within 2**40 on a logarithmic scale, got {self.high}")
        _set_step(self)
        low, high = self._log_ends
        if not low < high:
            raise SpaceError(f"{self.name}: low and high have the same logarithm, got {self.low}, {self.high}")
        _set_prior(self)

    @property
    def is_int(self) -> bool:
        """Whether the values are whole numbers."""
        return type(self.low) is int

    @property
    def n_values(self) -> int | None:
        """How many values there are, or None for floats without a step."""
        return self._n

    @cached_property
    def _n(self) -> int | None:
        return _n_steps(self) if self.is_int or self.step is not None else None

    @property
    def edges(self) -> NDArray[np.float64] | None:
        """``(V + 1,)`` ends of the values' cells, which reach halfway to the neighbouring values."""
        return self._edges

    @cached_property
    def _edges(self) -> NDArray[np.float64] | None:
        n = self.n_values
        return None if n is None or n > MOST_EDGES else self._to_units(self._cell_ends(np.arange(n + 1.0)))

    @cached_property
    def _middles(self) -> NDArray[np.float64] | None:
        return None if self._edges is None else (self._edges[:-1] + self._edges[1:]) / 2

    @cached_property
    def _log_ends(self) -> tuple[float, float]:
        """Ends of the scale: the cell of a value reaches half a step to both sides."""
        if self.n_values is None:
            return math.log(self.low), math.log(self.high)
        half = 0.5 * (1 if self.step is None else self.step)
        below = self.low - half if self.low > half else self.low**2 / (self.low + half)  # as far in the logarithm
        return math.log(below), math.log(self.high + half)

    def _cell_ends(self, k: NDArray[np.float64]) -> NDArray[np.float64]:
        """Places on the scale of the lower ends of the cells of the k-th values, from 0."""
        low, high = self._log_ends
        values = self.low + (k - 0.5) * (1 if self.step is None else self.step)
        ends = np.where(k == 0, low, np.log(np.where(k == 0, 1.0, values)))
        places: NDArray[np.float64] = np.clip((ends - low) / (high - low), 0.0, 1.0)
        return places

    def _place(self, value: Any) -> float:
        """Where a value stands on the scale, from 0 to 1."""
        number = _plain(self, "prior", value)
        if not number > 0:
            raise SpaceError(f"{self.name}: prior must speak of values above 0 on a logarithmic scale, got {value}")
        low, high = self._log_ends
        return (math.log(number) - low) / (high - low)

    @cached_property
    def _warp(self) -> Warp | None:
        low, high = self._log_ends
        if self.prior is None:
            return None
        warp = self.prior.warp(Scale(self.name, self._place, high - low, self.n_values))
        if isinstance(self.prior, WeightedPrior) and self.n_values is not None:  # weights are of values, not of parts
            return Warp(self._cell_ends(np.arange(self.n_values + 1.0)), warp.units)
        return warp

    def _to_units(self, places: NDArray[np.float64]) -> NDArray[np.float64]:
        return places if self._warp is None else self._warp.to_units(places)

    def decode(self, units: NDArray[np.float64]) -> list[Any]:
        """The n values of ``(n, 1)`` points."""
        low, high = self._log_ends
        column = units[:, 0] if self._warp is None else self._warp.to_places(units[:, 0])
        values = np.exp(np.minimum(low + column * (high - low), high))
        n = self.n_values
        if n is not None:
            k = np.rint((values - self.low) / (1 if self.step is None else self.step))
            return _on_steps(self, _clipped(k, 0, n - 1).astype(np.int64))
        values = np.where(column == 0.0, self.low, np.where(column == 1.0, self.high, values))  # exp(log x) is not x
        return _listed(_clipped(values, self.low, self.high))

    def encode(self, values: Sequence[Any]) -> NDArray[np.float64]:
        """``(n, 1)`` points: the middle of a value's cell where values can be counted, else its logarithm."""
        low, high = self._log_ends
        numbers = np.asarray(values, dtype=float)
        if self.n_values is not None:
            k = np.rint((numbers - self.low) / (1 if self.step is None else self.step))
            if self._middles is not None:  # a third of the cost
                return self._middles[k.astype(np.int64), None]
            ends = self._to_units(self._cell_ends(np.stack([k, k + 1])))
            middles: NDArray[np.float64] = (ends[0] + ends[1]) / 2
            return middles[:, None]
        units: NDArray[np.float64] = (np.log(numbers)[:, None] - low) / (high - low)
        return self._to_units(np.clip(units, 0.0, 1.0))  # numpy's logarithm and Python's may differ in the last digit

    def axes(self, steps: int | None) -> list[Sequence[Any]]:
        """The values a grid takes, or all of them."""
        return _axes(self, steps)

    def grid(self, steps: int) -> list[Any]:
        """At most `steps` values, evenly spaced in the logarithm from end to end; all of them where they are few."""
        return _all_of_few(self, steps) or super().grid(steps)

    def contains(self, value: Any) -> bool:
        """Whether `value` is an int (for whole ends) or a float, within the ends and on a step."""
        return _is_on_scale(self, value)


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


def _set_step(hp: RangeHP | LogRangeHP) -> None:
    """Makes the step a plain number: positive, whole where the ends are, and leading to `high`.

    Raises:
        SpaceError: It is no such step.
    """
    if hp.step is None:
        return
    step = _plain(hp, "step", hp.step)
    if step <= 0 or (hp.is_int and type(step) is not int):
        raise SpaceError(f"{hp.name}: step must be positive, and whole for whole ends, got {step}")
    if (hp.high - hp.low) / step >= MOST_VALUES:
        raise SpaceError(f"{hp.name}: step must make fewer than 2**50 values, got {step}")
    object.__setattr__(hp, "step", step if hp.is_int else float(step))
    reach = hp.low + (_n_steps(hp) - 1) * step
    if not _is_near(hp, reach, hp.high):
        raise SpaceError(f"{hp.name}: step must lead from low to high exactly, got {step}: it ends at {reach}")


def _set_prior(hp: RangeHP | LogRangeHP) -> None:
    """Makes the prior an object, and its table, so that a bad one shows at once.

    Raises:
        SpaceError: It is no prior, does not suit the values, or there are too many of them.
    """
    object.__setattr__(hp, "prior", as_prior(hp.name, hp.prior))
    if hp.prior is not None and (hp.n_values or 0) > MOST_BELIEVED:
        raise SpaceError(f"{hp.name}: prior must be of at most 2**32 values, got {hp.n_values}")
    hp._warp  # noqa: B018 - made here for its errors


def _all_of_few(hp: RangeHP | LogRangeHP, steps: int) -> list[Any]:
    """All values where there are at most `steps`, else none: even points miss those whose cells are short."""
    n = hp.n_values
    return _on_steps(hp, np.arange(n)) if n is not None and n <= steps else []


def _axes(hp: RangeHP | LogRangeHP, steps: int | None) -> list[Sequence[Any]]:
    """The values a grid takes; all of them, made as they are asked for, where `steps` is None."""
    n = hp.n_values
    if steps is not None or n is None:
        return HPSpace.axes(hp, steps)
    return [Listing(n, lambda k: _on_steps(hp, np.array([k]))[0])]


def _n_steps(hp: RangeHP | LogRangeHP) -> int:
    """How many values there are; only where they can be counted."""
    return round((hp.high - hp.low) / (1 if hp.step is None else hp.step)) + 1


def _is_near(hp: RangeHP | LogRangeHP, a: float, b: float) -> bool:
    """Whether two values on steps are one: rounding may part them by a few of the ends' last binary digits."""
    step: Any = hp.step
    return bool(abs(a - b) <= 1e-9 * step + 4 * math.ulp(max(abs(hp.low), abs(hp.high))))


def _on_steps(hp: RangeHP | LogRangeHP, k: NDArray[np.int64]) -> list[Any]:
    """The k-th values, counted from 0, as plain numbers."""
    values = hp.low + k * (1 if hp.step is None else hp.step)
    if hp.is_int:
        return _listed(values)
    digits = max(-_exponent(hp.low), -_exponent(hp.step), 0)  # 0.1 + 2 * 0.1 is 0.3, as it was written
    return [min(max(round(v, digits), hp.low), hp.high) for v in values.tolist()]


def _is_on_scale(hp: RangeHP | LogRangeHP, value: Any) -> bool:
    """Whether `value` has the right type, and lies within the ends and on a step."""
    kind = type(value)  # an int may stand for a float
    if not (kind is int or (kind is float and type(hp.low) is float)) or not hp.low <= value <= hp.high:
        return False
    return hp.step is None or _is_near(hp, hp.low + round((value - hp.low) / hp.step) * hp.step, value)


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


def _exponent(value: float | None) -> int:
    """Of the last decimal digit that `value` is written with: -2 for 0.25."""
    return int(Decimal(repr(value)).normalize().as_tuple().exponent)
