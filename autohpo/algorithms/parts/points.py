"""Points: configurations that a user wants tried first, or whose results are known already."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from autohpo.errors import InvalidPerfError, OptionError, SpaceError, short
from autohpo.objectives import Objectives
from autohpo.spaces import SearchSpace
from autohpo.trial import Outcome, whole

FidelitySpec = float | Literal["full"] | None
"""How much training a result stands for: a fidelity, "full", or None where nothing is said."""


@dataclass(frozen=True)
class Point:
    """A configuration for ``points=``: to be tried first, or with its result, which is known already.

    Args:
        hp: A configuration of the space.
        result: What the objective returned for it; None where it is to be tried.
        fidelity: The fidelity that the result was measured at; None and "full" mean the full one. Where there is no
            result, "full" runs the configuration in full as well as at the fidelity where new ones start.

    Example:
        >>> from autohpo import RangeHP, build_hpo_from_name
        >>> points = [Point({"x": 0.2}, fidelity="full"), Point({"x": 0.9}, -0.4, fidelity=3)]
        >>> space = [RangeHP("x", 0.0, 1.0)]
        >>> hpo = build_hpo_from_name("bohb", space, min_fidelity=1, max_fidelity=9, points=points, seed=0)
        >>> [(s["x"], s.fidelity) for s in (hpo.ask(), hpo.ask())]
        [(0.2, 1), (0.2, 9)]
    """

    hp: Mapping[str, Any]
    result: Any = None
    fidelity: FidelitySpec = None


@dataclass(frozen=True)
class CheckedPoint:
    """A point that a search can use.

    Attributes:
        hp: A configuration of the space.
        outcome: The user's own values; None where the configuration is to be tried.
        fidelity: What the outcome was measured at, or whether the configuration is to be run in full, too.
    """

    hp: dict[str, Any]
    outcome: Outcome | None = None
    fidelity: FidelitySpec = None


MOST_POINTS = 1_000_000
"""How many points there may be: all of them are in memory, and in the store."""


def plain_points(points: Any) -> Any:
    """Return the points of an option with every :class:`Point` as a tuple or a configuration, as a store keeps them.

    Raises:
        OptionError: There are too many.
    """
    if isinstance(points, (str, Mapping)) or not isinstance(points, Sequence):
        return points
    if len(points) > MOST_POINTS:
        raise OptionError(f"points: must be at most {MOST_POINTS}, got {len(points)}")
    found = [_plain(item) for item in points]
    return tuple(found) if isinstance(points, tuple) else found


def _plain(item: object) -> object:
    if not isinstance(item, Point):
        return item
    hp = dict(item.hp) if isinstance(item.hp, Mapping) else item.hp
    if item.fidelity is not None:
        return (hp, item.result, item.fidelity)
    return hp if item.result is None else (hp, item.result)


def checked_points(points: object, space: SearchSpace, objectives: Objectives) -> list[CheckedPoint]:
    """Return the points of an option: each a configuration, or a tuple of one, its result, and the fidelity of that.

    Raises:
        OptionError: They are no list of these, a result is none, or a fidelity is none.
        SpaceError: A configuration is illegal; the text says which.
    """
    if isinstance(points, (str, Mapping)) or not isinstance(points, Sequence):
        raise OptionError(f"points: must be a list of configurations or (configuration, result), got {short(points)}")
    checked = []
    for i, item in enumerate(map(_plain, points)):
        n = len(item) if isinstance(item, (tuple, list)) and len(item) in (2, 3) else 1
        hp, result, fidelity = (*item, None)[:3] if n > 1 else (item, None, None)  # type: ignore[misc]
        try:
            hp = space.checked(hp)
            is_known = result is not None or n == 2
            outcome = objectives.measure(result) if is_known else None
            checked.append(CheckedPoint(hp, outcome, _checked_fidelity(fidelity, is_known=is_known)))
        except SpaceError as error:
            raise SpaceError(f"points[{i}]: {error}") from None
        except (InvalidPerfError, OptionError) as error:
            raise OptionError(f"points[{i}]: {error}") from None
    return checked


def _checked_fidelity(fidelity: Any, *, is_known: bool) -> FidelitySpec:
    """The fidelity of a point: of a known result "full" where nothing is said.

    Raises:
        OptionError: It is none.
    """
    if fidelity is None:
        return "full" if is_known else None
    if isinstance(fidelity, str) and fidelity == "full":
        return "full"
    if not is_known:
        rule = "without a result the fidelity must be 'full' (to run the point in full, too) or None"
        raise OptionError(f"{rule}, got {short(fidelity)}")
    number = fidelity.item() if getattr(fidelity, "ndim", None) == 0 else fidelity
    is_number = isinstance(number, (int, float)) and not isinstance(number, bool)
    if not is_number or not 0 < number < math.inf:
        raise OptionError(f"fidelity must be a positive finite number or 'full', got {short(fidelity)}")
    return whole(number)


def check_fidelities(points: Sequence[CheckedPoint], full: float | None) -> None:
    """Check that a search can place the results that it knows.

    Args:
        points: The points of the search.
        full: The fidelity of its full evaluations; None where every trial is one.

    Raises:
        OptionError: A result was measured at less than all, and every trial of this search is run in full; or at more
            than this search gives.
    """
    for i, point in enumerate(points):
        if point.outcome is None or isinstance(point.fidelity, (str, type(None))):
            continue
        if full is None:
            raise OptionError(
                f"points[{i}]: fidelity must be 'full', as this search runs every trial in full, got "
                f"{point.fidelity:g}; leave the result out, or take an algorithm such as bohb and an objective with "
                "fidelities"
            )
        if point.fidelity > full * (1 + 1e-9):
            raise OptionError(f"points[{i}]: fidelity must be at most max_fidelity, {full:g}, got {point.fidelity:g}")
