"""What a search space is given: its parameters and conditions, checked before anything is built on them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from autohpo.errors import SpaceError, shown
from autohpo.spaces.autogl_form import must_be_parameters
from autohpo.spaces.base import HPSpace


def as_formulas(conditions: Any) -> dict[str, str]:
    """Return the conditions of a space.

    Raises:
        SpaceError: They are no dict.
    """
    if conditions is None:
        return {}
    if not isinstance(conditions, Mapping):
        raise SpaceError(f"space: conditions must be a dict of formulas, got {shown(conditions)}")
    return dict(conditions)


def as_parameters(given: Any) -> tuple[HPSpace, ...]:
    """Return the parameters of a space.

    Raises:
        SpaceError: They are no list, or there are none.
    """
    if isinstance(given, (str, bytes, Mapping, HPSpace)) or not isinstance(given, Iterable):
        raise SpaceError(f"space: {must_be_parameters(given)}")
    parameters = tuple(given)
    if not parameters:
        raise SpaceError("space: must hold at least one parameter, got none")
    return parameters


def check_counts(parameters: Iterable[HPSpace]) -> None:
    """Check the counts on which the columns of the unit cube are built: a kind of the user's own may give anything.

    Raises:
        SpaceError: A width or a number of levels is no integer of at least 0, or a number of values none of at least 1.
    """
    for parameter in parameters:
        for attribute in ("width", "levels"):
            count = getattr(parameter, attribute)
            if type(count) is not int or count < 0:
                rule = f"{attribute} of {type(parameter).__name__} must be an int of at least 0"
                raise SpaceError(f"{parameter.name}: {rule}, got {shown(count)}")
        n = parameter.n_values
        if n is not None and (type(n) is not int or n < 1):
            rule = f"n_values of {type(parameter).__name__} must be an int of at least 1, or None"
            raise SpaceError(f"{parameter.name}: {rule}, got {shown(n)}")
