"""Given points: the configurations that a user wants tried first, completed from the middle of the space."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from autohpo.algorithms.parts.arrays import FloatArray
from autohpo.errors import OptionError, SpaceError, short
from autohpo.spaces import SearchSpace


def middle_point(space: SearchSpace) -> FloatArray:
    """``(d,)`` the middle of the unit cube: the arithmetic mean, the geometric one of log ranges, the first category.

    Args:
        space: The space of the unit cube.
    """
    middle = np.full(space.n_columns, 0.5)
    for j, (n_levels, edges) in enumerate(zip(space.levels, space.edges, strict=True)):
        if n_levels:
            middle[j] = 0.5 / n_levels if edges is None else (edges[0] + edges[1]) / 2
    return middle


def given_points(option: object, space: SearchSpace) -> list[dict[str, Any]]:
    """Return the configurations of the option `points_to_evaluate`, without those that are there twice.

    Args:
        option: A list of configurations, in which parameters may be missing; None is the middle of the space, as far
            as the constraints allow it.
        space: The space of the configurations.

    Raises:
        OptionError: It is no list of configurations.
        SpaceError: A configuration is illegal; the text says which.
    """
    if option is None:
        middle = space.decode(middle_point(space)[None])[0] if space.n_columns else {}
        return [middle] if middle and space.is_allowed(middle) else []
    if isinstance(option, (str, Mapping)) or not isinstance(option, Sequence):
        raise OptionError(f"points_to_evaluate: must be a list of configurations, or None, got {short(option)}")
    found: dict[str, dict[str, Any]] = {}
    for i, given in enumerate(option):
        if not isinstance(given, Mapping):
            raise OptionError(f"points_to_evaluate[{i}]: must be a configuration, a dict, got {short(given)}")
        try:
            hp = space.checked(completed(given, space))
        except SpaceError as error:
            raise SpaceError(f"points_to_evaluate[{i}]: {error}") from None
        found.setdefault(space.key(hp), hp)
    return list(found.values())


def completed(given: Mapping[str, Any], space: SearchSpace) -> dict[str, Any]:
    """Return a configuration in which what is missing, and active, is taken from the middle of the space.

    Args:
        given: Some parameters with their values.
        space: The space of the configuration.
    """
    if all(hp.name in given for hp in space):
        return dict(given)
    point = middle_point(space)
    ends = np.cumsum([0, *(hp.width for hp in space)]).tolist()
    for hp, (start, end) in zip(space, pairwise(ends), strict=True):
        value = hp.canonical(given[hp.name]) if hp.name in given else None
        if hp.name in given and hp.width and hp.contains(value):  # what is illegal, the space says
            point[start:end] = hp.encode([value])[0]
    return {**space.decode(point[None])[0], **given}


def restricted(option: object, space: SearchSpace) -> list[dict[str, Any]] | None:
    """Return the configurations of the option `restrict_configurations`, without those that are there twice.

    Args:
        option: A list of whole configurations; None where all are allowed.
        space: The space of the configurations.

    Raises:
        OptionError: It is no list of configurations, or an empty one.
        SpaceError: A configuration is illegal; the text says which.
    """
    if option is None:
        return None
    if isinstance(option, (str, Mapping)) or not isinstance(option, Sequence) or not option:
        raise OptionError(f"restrict_configurations: must be a list of configurations, or None, got {short(option)}")
    found: dict[str, dict[str, Any]] = {}
    for i, given in enumerate(option):
        try:
            hp = space.checked(given)
        except SpaceError as error:
            raise SpaceError(f"restrict_configurations[{i}]: {error}") from None
        found.setdefault(space.key(hp), hp)
    return list(found.values())
