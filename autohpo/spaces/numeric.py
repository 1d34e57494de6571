"""RangeHP and LogRangeHP: numbers between two ends, on a linear or a logarithmic scale."""

from __future__ import annotations

import math
import sys
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from autohpo.errors import SpaceError, shown
from autohpo.spaces.base import HPSpace, Listing, checked_name
from autohpo.spaces.index import plain
from autohpo.spaces.priors import Prior, Scale, Warp, WeightedPrior, as_prior
from autohpo.spaces.scales import LinearScale, LogScale, NumberScale
from autohpo.spaces.tagged import Described

MOST_VALUES = 2**50
"""The most values that can be counted: (k + 1/2) / n * n is within k 2**-52 of k + 1/2, here far less than 1/2."""

MOST_EDGES = 1024
"""The most values of a parameter with edges: of more, none has a cell that is wide enough to matter."""

MOST_BELIEVED = 2**32
"""The most values of a parameter with a prior: its table is off by 2**-53, which its uniform share of 1e-3 magnifies to
2**-43 on the scale, and a logarithmic scale by another 2**5: here far less than half a cell."""

LARGEST_LOG_INT = 2**40
"""The largest integer on a logarithmic scale: exp(log v) is off by a few v 2**-53 log(v), here by less than 0.01."""


@dataclass(frozen=True, eq=False, repr=False)
class _Numbers(HPSpace):
    """What ranges have in common, whatever their scale: ends, steps, the prior, and the encoding."""

    name: str
    low: float
    high: float
    step: float | None = None
    prior: Prior | None = None
    _scale: NumberScale = field(init=False)
    _warp: Warp | None = field(init=False)

    def __post_init__(self) -> None:
        self._set(name=checked_name(self.name))
        self._set_ends()
        if self.step is not None:
            self._set_step(self.step)
        n = self._n_steps() if self.is_int or self.step is not None else 0
        self._set(_scale=self._scale_of(1 if self.step is None else self.step, n))
        self._set(prior=as_prior(self.name, self.prior))
        if self.prior is not None and n > MOST_BELIEVED:
            raise SpaceError(f"{self.name}: prior must be of at most 2**32 values, got {n} values")
        self._set(_warp=None if self.prior is None else self._warp_of(self.prior))

    def _set_ends(self) -> None:
        """Make both ends plain ints, or both plain floats.

        Raises:
            SpaceError: They do not make a range.
        """
        low, high = self._plain("low", self.low), self._plain("high", self.high)
        if not (type(low) is int and type(high) is int):
            low, high = float(low), float(high)
        if not low < high:
            advice = f"; FixedHP({self.name!r}, {low!r}) is a value that is not searched" if low == high else ""
            raise SpaceError(f"{self.name}: low must be below high, got low={low}, high={high}{advice}")
        if not high - low <= sys.float_info.max:
            raise SpaceError(f"{self.name}: high - low must be a finite float, got low={low}, high={high}")
        if type(low) is int and max(abs(low), abs(high)) > MOST_VALUES // 2:
            raise SpaceError(f"{self.name}: integer ends must lie within 2**49, got low={low}, high={high}")
        self._set(low=low, high=high)

    def _set_step(self, step: float) -> None:
        """Make the step a plain number: positive, an integer where the ends are, and leading to `high`.

        Raises:
            SpaceError: The step is not such a number.
        """
        step = self._plain("step", step)
        if step <= 0 or (self.is_int and type(step) is not int):
            raise SpaceError(f"{self.name}: step must be positive, and an integer for integer ends, got {step}")
        if step > (self.high - self.low) * (1 + 1e-9):
            rule = "step must lead from low to high exactly"
            raise SpaceError(f"{self.name}: {rule}, got {step}: it leads beyond high, {self.high}")
        if (self.high - self.low) / step >= MOST_VALUES:
            raise SpaceError(f"{self.name}: step must make fewer than 2**50 values, got {step}")
        self._set(step=step if self.is_int else float(step))
        reach = self.low + (self._n_steps() - 1) * step
        if not self._is_near(reach, self.high):
            raise SpaceError(f"{self.name}: step must lead from low to high exactly, got {step}: it ends at {reach}")

    def _n_steps(self) -> int:
        """Return the number of values, where they can be counted."""
        return round((self.high - self.low) / (1 if self.step is None else self.step)) + 1

    def _is_near(self, a: float, b: float) -> bool:
        """Return whether two values on steps are the same: rounding may part them by a few last digits of the ends."""
        step = self.step or 0.0
        return abs(a - b) <= 1e-9 * step + 4 * math.ulp(max(abs(self.low), abs(self.high)))

    def _plain(self, argument: str, value: Any) -> int | float:
        """Return a finite int or float as Python's own type.

        Raises:
            SpaceError: The value is neither.
        """
        value = plain(value)
        if type(value) not in (int, float):
            raise SpaceError(f"{self.name}: {argument} must be an int or a float, got {shown(value)}")
        if not abs(value) <= sys.float_info.max:
            raise SpaceError(f"{self.name}: {argument} must be finite, got {shown(value)}")
        return value  # type: ignore[no-any-return]

    @abstractmethod
    def _scale_of(self, step: float, n: int) -> NumberScale:
        """Return the scale of the checked ends."""

    def _place(self, value: Any) -> float:
        """Return the place of a value that the prior is about on the scale, from 0 to 1."""
        return self._scale.place(self._plain("prior", value))

    def _warp_of(self, prior: Prior) -> Warp:
        """Return the map that makes the prior uniform."""
        return prior.warp(Scale(self.name, self._place, self._scale.length, self.n_values))

    @property
    def is_int(self) -> bool:
        """Whether the values are integers."""
        return type(self.low) is int

    @property
    def n_values(self) -> int | None:
        """The number of values; None for floats without a step."""
        return self._scale.n or None

    @property
    def edges(self) -> NDArray[np.float64] | None:
        """``(V + 1,)`` ends of the values' cells in the unit interval; None without cells, or with very many."""
        return self._edges

    @cached_property
    def _edges(self) -> NDArray[np.float64] | None:
        n = self._scale.n
        return self._to_units(self._scale.cell_starts(np.arange(n + 1.0))) if 0 < n <= MOST_EDGES else None

    @cached_property
    def _few_middles(self) -> NDArray[np.float64] | None:
        """The middles of all cells, where they are few: to look one up is a third of the cost."""
        return None if self._edges is None else self._middles(np.arange(float(self._scale.n)))

    def _middles(self, k: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the middles of the cells of the values with indices k in the unit interval."""
        if self._warp is None:
            return self._scale.middles(k)
        ends = self._warp.to_units(self._scale.cell_starts(np.stack([k, k + 1])))
        middles: NDArray[np.float64] = (ends[0] + ends[1]) / 2
        return middles

    def _to_units(self, places: NDArray[np.float64]) -> NDArray[np.float64]:
        return places if self._warp is None else self._warp.to_units(places)

    def decode(self, units: NDArray[np.float64]) -> list[Any]:
        """Return the n values of ``(n, 1)`` points."""
        places = units[:, 0] if self._warp is None else self._warp.to_places(units[:, 0])
        if self._scale.n:
            return self._values_at(self._scale.indices(places))
        values: list[Any] = self._scale.numbers(places).tolist()
        return values

    def column(self, units: NDArray[np.float64]) -> NDArray[Any]:
        """Return ``(n,)`` the values of ``(n, 1)`` points: what :meth:`decode` returns, as an array."""
        if type(self).decode is not _Numbers.decode:  # a kind that builds on this one has its own values
            return super().column(units)
        places = units[:, 0] if self._warp is None else self._warp.to_places(units[:, 0])
        if not self._scale.n:
            return self._scale.numbers(places)
        k = self._scale.indices(places)
        if self.is_int:
            return self.low + k * self._scale.step
        return self._few_column[k] if self._scale.n <= MOST_EDGES else np.array(self._computed(k), dtype=float)

    @cached_property
    def _few_column(self) -> NDArray[np.float64]:
        return np.array(self._few_values)

    @property
    def has_bounds(self) -> bool:
        """Whether larger points of the unit interval are larger numbers; True, but for kinds that decode otherwise."""
        return type(self).decode is _Numbers.decode

    def bounds(
        self, lows: NDArray[np.float64], highs: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return ``(m,)`` the least and the largest number between each of m pairs of points of the unit interval."""
        low, high = (self.column(ends[:, None]).astype(float) for ends in (lows, highs))
        return low, high

    def encode(self, values: Sequence[Any]) -> NDArray[np.float64]:
        """Return ``(n, 1)`` points: the middle of a value's cell where values can be counted."""
        numbers: NDArray[np.float64] = np.asarray(values, dtype=float)
        if not self._scale.n:
            return self._to_units(self._scale.places(numbers))[:, None]
        k = np.rint((numbers - self.low) / self._scale.step)
        if self._few_middles is not None:
            return self._few_middles[k.astype(np.int64), None]
        return self._middles(k)[:, None]

    def axes(self, steps: int | None) -> list[Sequence[Any]]:
        """Return the values of a grid; all of them, made as they are asked for, where `steps` is None."""
        n = self._scale.n
        if steps is not None or not n:
            return super().axes(steps)
        return [Listing(n, lambda k: self._values_at(np.array([k]))[0])]

    def grid(self, steps: int) -> list[Any]:
        """Return at most `steps` values, evenly spaced on the scale from end to end; all of them where they are few."""
        n = self._scale.n  # even points would miss values whose cells are short
        return self._values_at(np.arange(n)) if 0 < n <= steps else super().grid(steps)

    def _values_at(self, k: NDArray[np.int64]) -> list[Any]:
        """Return the values with indices k as plain numbers."""
        if self._scale.n <= MOST_EDGES and not self.is_int:
            return [self._few_values[i] for i in k.tolist()]
        return self._computed(k)

    @cached_property
    def _few_values(self) -> list[Any]:
        """All values, where they are few: rounding in decimals is slow."""
        return self._computed(np.arange(self._scale.n))

    def _computed(self, k: NDArray[np.int64]) -> list[Any]:
        values: list[Any] = (self.low + k * self._scale.step).tolist()
        if self.is_int:
            return values
        exponents = [Decimal(repr(number)).normalize().as_tuple().exponent for number in (self.low, self._scale.step)]
        digits = max(*(-int(exponent) for exponent in exponents), 0)  # 0.1 + 2 * 0.1 is 0.3, as it was written
        return [min(max(round(value, digits), self.low), self.high) for value in values]

    def canonical(self, value: Any) -> Any:
        """Return the number of the range that `value` means: 0 may mean 0.0, 2.0 may mean 2, and 0.1 + 0.2 0.3.

        A value that means none is returned as it is: with steps, one that lies off them by more than rounding.
        """
        if self.step is None and type(value) is type(self.low) and self.low <= value <= self.high:  # the usual case
            return value + 0  # 0.0 for -0.0
        number = plain(value)
        if type(number) not in (int, float) or not abs(number) <= sys.float_info.max:
            return value
        found = self._meant(number)
        if found is None and isinstance(value, np.floating):  # 0.1 of float32 is 0.10000000149
            found = self._meant(float(str(value)))
        return value if found is None else found

    def _meant(self, number: float) -> int | float | None:
        """Return the number of the range that is the same but for rounding."""
        inside = min(max(number, self.low), self.high)
        if self._scale.n:
            k = min(round((inside - self.low) / self._scale.step), self._scale.n - 1)
            few = self._scale.n <= MOST_EDGES and not self.is_int
            value: int | float = self._few_values[k] if few else self._computed(np.array([k]))[0]
        else:
            value = float(inside)
        return value if self._is_near(value, number) else None

    def contains(self, value: Any) -> bool:
        """Return whether `value` is an int (for integer ends) or a float, within the ends and on a step."""
        kind = type(value)  # an int may stand for a float
        if not (kind is int or (kind is float and not self.is_int)) or not self.low <= value <= self.high:
            return False
        return self.step is None or self._is_near(self.low + round((value - self.low) / self.step) * self.step, value)


@dataclass(frozen=True, eq=False, repr=False)
class RangeHP(_Numbers):
    """A number from `low` to `high`, both included, on a linear scale.

    The values are integers, all equally likely, where both ends are ints; floats otherwise.

    Args:
        name: The name of the parameter.
        low: The smallest value.
        high: The largest value.
        step: The distance of neighbouring values; must lead from `low` to `high` exactly.
        prior: Where good values are believed to lie; see :mod:`autohpo.spaces.priors`.

    Raises:
        SpaceError: The ends are reversed, equal, not finite or not numbers, or `step` does not fit them; there are too
            many values to tell apart; or the prior does not suit them.

    Example:
        >>> RangeHP("hops", 1, 8).decode(np.array([[0.0], [0.5], [1.0]]))
        [1, 5, 8]
        >>> RangeHP("dropout", 0.0, 0.6, step=0.2).grid(9)
        [0.0, 0.2, 0.4, 0.6]
    """

    def _scale_of(self, step: float, n: int) -> NumberScale:
        return LinearScale(self.low, self.high, step, n)


@dataclass(frozen=True, eq=False, repr=False)
class LogRangeHP(_Numbers):
    """A number from `low` to `high`, both included, on a logarithmic scale.

    The values are integers where both ends are ints, floats otherwise.

    Args:
        name: The name of the parameter.
        low: The smallest value, above 0.
        high: The largest value.
        step: The distance of neighbouring values; must lead from `low` to `high` exactly. None is 1 for integer ends.
        prior: Where good values are believed to lie; see :mod:`autohpo.spaces.priors`.

    Raises:
        SpaceError: The ends are reversed, equal, not positive, not finite, too far apart or not numbers, or `step` or
            the prior does not suit them.

    Example:
        >>> LogRangeHP("hidden", 8, 128).decode(np.array([[0.0], [0.5], [1.0]]))
        [8, 31, 128]
        >>> LogRangeHP("width", 32, 256, step=32).decode(np.array([[0.0], [0.5], [1.0]]))
        [32, 64, 256]
    """

    _omitted: ClassVar[dict[str, Any]] = {**Described._omitted, "step": None}  # it came later than the first stores

    def _set_ends(self) -> None:
        super()._set_ends()
        if self.low <= 0:
            raise SpaceError(f"{self.name}: low must be above 0 on a logarithmic scale, got {self.low}")
        if self.is_int and self.high > LARGEST_LOG_INT:
            raise SpaceError(f"{self.name}: integer ends must lie within 2**40 on a logarithmic scale, got {self.high}")

    def _scale_of(self, step: float, n: int) -> NumberScale:
        scale = LogScale(self.low, self.high, step, n)
        if not scale.length > 0:
            raise SpaceError(f"{self.name}: low and high must differ in their logarithms, got {self.low}, {self.high}")
        return scale

    def _place(self, value: Any) -> float:
        if not self._plain("prior", value) > 0:
            raise SpaceError(f"{self.name}: prior must be about values above 0 on a logarithmic scale, got {value}")
        return super()._place(value)

    def _warp_of(self, prior: Prior) -> Warp:
        warp, n = super()._warp_of(prior), self._scale.n
        if isinstance(prior, WeightedPrior) and n:  # a weight is of a value, whose cell may be of any length
            return Warp(self._scale.cell_starts(np.arange(n + 1.0)), warp.units)
        return warp
