"""Rungs: the levels of fidelity at which trials are compared, by a rule or as a list; one place for all schedulers."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

from autohpo.errors import OptionError, shown
from autohpo.trial import whole

SLACK = 1e-9  # powers and quotients of floats miss an integer by far less, other fractions by far more

MOST_RUNGS = 1000
"""The largest number of rungs: a scheduler looks at each of them at each decision."""
_LARGEST_RATIO = 1e15  # of the full fidelity to the least: nobody has so many configurations to begin with

_NEAR = 0.9  # of the least fidelity: a count that comes so near to it counts as equal


@dataclass(frozen=True)
class Rungs:
    """The fidelities at which trials are compared, and how many go on from one to the next.

    Attributes:
        fidelities: The fidelity of each rung, rising; the last is the full one. An int where it is whole.
        eta: 1 / `eta` of the results at a rung go on; None is as many as the fidelity of the rung is to the next one's,
            so that each rung costs as much as any other where every trial starts from scratch.

    Example:
        >>> rungs = Rungs((1, 2, 8))
        >>> rungs.n_going_on(5, 0), rungs.n_going_on(5, 1)
        (2, 1)
    """

    fidelities: tuple[float, ...]
    eta: float | None = None

    @cached_property
    def widths(self) -> tuple[float, ...]:
        """How many configurations a rung has for one that is trained in full; 1 at the last."""
        if self.eta is not None:
            return tuple(self.eta**k for k in reversed(range(len(self.fidelities))))
        return tuple(self.fidelities[-1] / fidelity for fidelity in self.fidelities)

    def share(self, level: int) -> float:
        """Return the share of the results at a rung that go on to the next one.

        Args:
            level: The place of the rung, from 0; not the last.
        """
        return self.widths[level + 1] / self.widths[level]

    def n_going_on(self, n: int, level: int) -> int:
        """Return how many of n results at a rung go on: the whole part of their share.

        Args:
            n: How many results there are.
            level: The place of the rung, from 0; not the last.
        """
        return int(n / (self.widths[level] / self.widths[level + 1]) + SLACK)

    @property
    def n_trials(self) -> int:
        """How many trainings one round of Hyperband's brackets over these rungs has; a promotion counts as one."""
        n = len(self.fidelities)
        starts = (math.ceil(n * self.widths[k] / (n - k) - SLACK) for k in range(n))
        return sum(
            max(1, int(start / (self.widths[first] / width) + SLACK))
            for first, start in enumerate(starts)
            for width in self.widths[first:]
        )


def rungs_of(
    min_fidelity: float,
    max_fidelity: float,
    eta: float = 3.0,
    *,
    levels: Sequence[float] | None = None,
    increment: float | None = None,
    is_whole: bool | None = None,
) -> Rungs:
    """Return the rungs from the least fidelity to the full one.

    They are ``max_fidelity / eta^k`` as far as these are no lower than `min_fidelity`; or, with an increment,
    `min_fidelity` and every increment above it; or those of a list. The last is always `max_fidelity`.

    Where both ends are integers and the full fidelity is above 1 the fidelity counts something, such as epochs: then
    the rungs of a factor are rounded to integers, and still rise; one that is at most 10 % below `min_fidelity` is the
    lowest, and equal to it.

    Args:
        min_fidelity: The least fidelity; not used with a list.
        max_fidelity: The full one.
        eta: The factor between two rungs, and 1 / `eta` of the results at one go on; with a list or an increment as
            many go on as the fidelity of a rung is to that of the next one.
        levels: The rungs as a list, rising; `max_fidelity` is added where it is not the last.
        increment: The distance between two rungs.
        is_whole: Whether rungs are rounded; None decides by the two ends.

    Raises:
        OptionError: An argument breaks a rule.

    Example:
        >>> rungs_of(1, 100).fidelities
        (1, 4, 11, 33, 100)
        >>> rungs_of(2, 52).fidelities
        (2, 6, 17, 52)
        >>> rungs_of(0.05, 1, 2).fidelities
        (0.0625, 0.125, 0.25, 0.5, 1)
        >>> rungs_of(1, 10, levels=[2, 5]).fidelities
        (2, 5, 10)
        >>> rungs_of(1, 7, increment=2).fidelities
        (1, 3, 5, 7)
    """
    _check_ends(min_fidelity, max_fidelity, eta)
    if levels is not None and increment is not None:
        raise OptionError("rung_increment: cannot be given together with rung_levels, which say every rung")
    if levels is not None:
        return Rungs(_listed(levels, max_fidelity))
    can_be_whole = is_count(min_fidelity, max_fidelity)
    if is_whole and not can_be_whole:
        rule = "must be False or None unless min_fidelity and max_fidelity are integers, and max_fidelity is above 1"
        raise OptionError(f"whole_fidelity: {rule}, got True for {min_fidelity:g} to {max_fidelity:g}")
    if increment is not None:
        return Rungs(_linear(min_fidelity, max_fidelity, increment))
    is_rounded = can_be_whole if is_whole is None else is_whole
    found = _geometric(min_fidelity, max_fidelity, eta, _NEAR if is_rounded else 1.0 - SLACK)
    return Rungs(tuple(math.floor(rung + 0.5) for rung in found) if is_rounded else found, eta)


def is_count(min_fidelity: float, max_fidelity: float) -> bool:
    """Return whether a fidelity between two ends counts something, such as epochs: both are integers, one is above 1.

    Args:
        min_fidelity: The least fidelity.
        max_fidelity: The full one.
    """
    return max_fidelity > 1 and all(float(end).is_integer() for end in (min_fidelity, max_fidelity))


def _check_ends(min_fidelity: float, max_fidelity: float, eta: float) -> None:
    if not 0 < min_fidelity < math.inf:
        raise OptionError(f"min_fidelity: must be positive and finite, got {min_fidelity}")
    if not min_fidelity <= max_fidelity < math.inf:
        raise OptionError(f"max_fidelity: must be finite and at least min_fidelity, {min_fidelity}, got {max_fidelity}")
    if max_fidelity / min_fidelity > _LARGEST_RATIO:  # Python's floats overflow to infinity here
        rule = f"must be at most {_LARGEST_RATIO:g} times min_fidelity, {min_fidelity}"
        raise OptionError(f"max_fidelity: {rule}, got {max_fidelity}")
    if not eta >= 2:
        raise OptionError(f"eta: must be at least 2, got {eta}")


def _geometric(min_fidelity: float, max_fidelity: float, eta: float, near: float) -> tuple[float, ...]:
    n_rungs, lowest = 1, min_fidelity * near
    while max_fidelity / eta**n_rungs >= lowest:  # int(log(243) / log(3)) would lose a rung
        n_rungs += 1
    found = [max_fidelity / eta**k for k in reversed(range(n_rungs))]
    return tuple(whole(float(rung)) for rung in (max(found[0], min_fidelity), *found[1:]))


def _linear(min_fidelity: float, max_fidelity: float, increment: float) -> tuple[float, ...]:
    if not 0 < increment < math.inf:
        raise OptionError(f"rung_increment: must be positive and finite, got {increment}")
    steps = (max_fidelity - min_fidelity) / increment
    if steps > MOST_RUNGS:
        raise OptionError(f"rung_increment: must leave at most {MOST_RUNGS} rungs, got {increment}")
    n = math.ceil(steps - SLACK)
    return (*(whole(float(min_fidelity + k * increment)) for k in range(n)), whole(float(max_fidelity)))


def _listed(levels: object, max_fidelity: float) -> tuple[float, ...]:
    found = checked_levels(levels)
    if found[-1] > max_fidelity:
        raise OptionError(f"rung_levels: must be at most max_fidelity, {max_fidelity:g}, got {shown(levels)}")
    return found if found[-1] == max_fidelity else (*found, whole(float(max_fidelity)))


def checked_levels(levels: object) -> tuple[float, ...]:
    """Return rungs that are given as a list, as plain numbers: an int where one is whole.

    Args:
        levels: The list.

    Raises:
        OptionError: It is no list of positive numbers that rise.
    """
    is_list = isinstance(levels, Iterable) and not isinstance(levels, (str, bytes))
    try:  # an array without an axis is iterable by its type alone
        found = tuple(whole(float(level)) for level in levels) if isinstance(levels, Iterable) and is_list else ()
    except Exception:  # a list or a number of the user's own may raise anything
        found = ()
    is_rising = all(low < high for low, high in zip((0.0, *found), found, strict=False))
    if not found or not is_rising or found[-1] == math.inf:
        raise OptionError(f"rung_levels: must be a list of positive numbers that rise, got {shown(levels)}")
    return found
