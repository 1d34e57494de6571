"""Points: configurations that a user wants tried first, or whose results are known already."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from autohpo.errors import InvalidPerfError, OptionError, SpaceError, short
from autohpo.objectives import Objectives
from autohpo.spaces import SearchSpace
from autohpo.trial import Outcome


@dataclass(frozen=True)
class Point:
    """A configuration, and its result where that is known.

    Attributes:
        hp: A configuration of the space.
        outcome: The user's own values; None where the configuration is to be tried.
    """

    hp: dict[str, Any]
    outcome: Outcome | None = None


def checked_points(points: object, space: SearchSpace, objectives: Objectives) -> list[Point]:
    """Return the points of an option: each a configuration, or a pair of one and its result.

    Raises:
        OptionError: They are no list of these, or a result is none.
        SpaceError: A configuration is illegal; the text says which.
    """
    if isinstance(points, (str, Mapping)) or not isinstance(points, Sequence):
        raise OptionError(f"points: must be a list of configurations or (configuration, result), got {short(points)}")
    checked = []
    for i, item in enumerate(points):
        is_pair = isinstance(item, (tuple, list)) and len(item) == 2
        hp, result = item if is_pair else (item, None)
        try:
            checked.append(Point(space.checked(hp), objectives.measure(result) if is_pair else None))
        except SpaceError as error:
            raise SpaceError(f"points[{i}]: {error}") from None
        except InvalidPerfError as error:
            raise OptionError(f"points[{i}]: {error}") from None
    return checked
