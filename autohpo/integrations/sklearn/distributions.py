"""DistributionHP: a parameter whose prior is a distribution of scipy.stats; and which parameter stands for which."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from autohpo.errors import SpaceError, shown
from autohpo.spaces import FixedHP, HPSpace, LogRangeHP, RangeHP
from autohpo.spaces.base import checked_name
from autohpo.spaces.index import plain

EDGE = 1e-9
"""The share of a distribution beyond which no value is drawn at either end: an end may be infinite."""


@dataclass(frozen=True, eq=False, repr=False)
class DistributionHP(HPSpace):
    """A number with a distribution of scipy.stats as its prior: equal parts of the unit interval are equally likely.

    Args:
        name: The name of the parameter.
        family: The name of the distribution in ``scipy.stats``.
        arguments: What the distribution is called with by position.
        keywords: What it is called with by name.

    Raises:
        SpaceError: scipy.stats has no such distribution, or it does not take the arguments.

    Example:
        >>> DistributionHP("alpha", "expon").decode(np.array([[0.5]]))  # log(2)
        [0.6931471805599453]
    """

    name: str
    family: str
    arguments: tuple[float, ...] = ()
    keywords: Mapping[str, float] = field(default_factory=dict)
    _made: Any = field(init=False)
    _low: float = field(init=False)
    _high: float = field(init=False)

    def __post_init__(self) -> None:
        import scipy.stats

        self._set(name=checked_name(self.name))
        self._set(arguments=tuple(plain(value) for value in self.arguments))
        self._set(keywords={key: plain(value) for key, value in dict(self.keywords).items()})
        kind = getattr(scipy.stats, self.family, None) if isinstance(self.family, str) else None
        if not isinstance(kind, (scipy.stats.rv_continuous, scipy.stats.rv_discrete)):
            rule = "family must be the name of a distribution of one variable in scipy.stats"
            raise SpaceError(f"{self.name}: {rule}, got {shown(self.family)}")
        try:
            made = kind(*self.arguments, **self.keywords)
            low, high = made.support()
        except (TypeError, ValueError) as error:
            raise SpaceError(f"{self.name}: {self.family} of scipy.stats raised {error}") from error
        if not low < high:
            raise SpaceError(f"{self.name}: {self.family} must have more than one value, got {low} to {high}")
        self._set(_made=made, _low=float(low), _high=float(high))

    @property
    def is_int(self) -> bool:
        """Whether the values are integers."""
        import scipy.stats

        return isinstance(self._made.dist, scipy.stats.rv_discrete)

    def decode(self, units: NDArray[np.float64]) -> list[Any]:
        """Return the n quantiles of ``(n, 1)`` points."""
        found = self._made.ppf(np.clip(units[:, 0], EDGE, 1 - EDGE))
        values: list[Any] = np.rint(found).astype(np.int64).tolist() if self.is_int else found.tolist()
        return values

    def encode(self, values: Sequence[Any]) -> NDArray[np.float64]:
        """Return ``(n, 1)`` probabilities of lying below; of integers the middle of each one's own share."""
        numbers = np.asarray(values, dtype=float)
        below = self._made.cdf(numbers)
        if self.is_int:
            below = (below + self._made.cdf(numbers - 1)) / 2
        units: NDArray[np.float64] = np.clip(below, EDGE, 1 - EDGE)[:, None]
        return units

    def contains(self, value: Any) -> bool:
        """Return whether `value` is an int (for a discrete distribution) or a float that may be drawn."""
        kind = type(value)  # an int may stand for a float
        if not (kind is int or (kind is float and not self.is_int)):
            return False
        is_possible = self._low <= value <= self._high and math.isfinite(value)
        return is_possible and not (self.is_int and self._made.pmf(value) <= 0)


def parameter_of(name: str, distribution: Any) -> HPSpace:
    """Return the parameter that a frozen distribution of scipy.stats stands for.

    ``uniform`` and ``randint`` become a RangeHP, ``loguniform`` a LogRangeHP, which are searched and stored without
    scipy.stats; any other one becomes a :class:`DistributionHP`.

    Args:
        name: The name of the parameter.
        distribution: What ``scipy.stats.norm(0, 1)`` returns, for instance.

    Raises:
        SpaceError: It is no frozen distribution of one variable from scipy.stats.
    """
    kind, (low, high) = _checked(name, distribution)
    if kind == "uniform":
        return RangeHP(name, float(low), float(high))
    if kind == "randint":
        return RangeHP(name, int(low), int(high)) if low < high else FixedHP(name, int(low))
    is_log = kind == "loguniform" and math.isclose(distribution.ppf(0.5), math.sqrt(low * high), rel_tol=1e-9)
    if is_log:  # not where it was shifted by ``loc``
        return LogRangeHP(name, float(low), float(high))
    return DistributionHP(name, kind, tuple(distribution.args), dict(distribution.kwds))


def _checked(name: str, distribution: Any) -> tuple[str, tuple[float, float]]:
    """Return the name of a distribution in scipy.stats, and its two ends.

    Raises:
        SpaceError: It has no ends or no name there.
    """
    import scipy.stats

    made = getattr(distribution, "dist", None) if hasattr(distribution, "args") else None
    kind = getattr(made, "name", None)
    if made is None or type(getattr(scipy.stats, str(kind), None)) is not type(made):
        rule = (
            "must be a parameter such as RangeHP, a list of values, or a frozen distribution of one variable from "
            "scipy.stats such as scipy.stats.loguniform(1e-4, 1)"
        )
        raise SpaceError(f"{name}: {rule}, got {shown(distribution)}")
    low, high = distribution.support()
    if not low <= high:
        raise SpaceError(f"{name}: scipy.stats.{kind} has no values for {distribution.args} {distribution.kwds}")
    return ("loguniform" if kind == "reciprocal" else str(kind)), (float(low), float(high))
