"""What a search space is given: its parameters and conditions, checked before anything is built on them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from autohpo.errors import SpaceError, short, shown
from autohpo.spaces.autogl_form import must_be_parameters
from autohpo.spaces.base import HPSpace
from autohpo.spaces.foreign import check_not_foreign
from autohpo.untrusted import as_tuple


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
    if not isinstance(given, HPSpace):
        check_not_foreign(given)
    if isinstance(given, (str, bytes, Mapping, HPSpace)) or not isinstance(given, Iterable):
        raise SpaceError(f"space: {must_be_parameters(given)}")
    parameters = as_tuple("space", "parameters must be a list", given)
    if not parameters:
        raise SpaceError("space: must hold at least one parameter, got none")
    return parameters


def as_units(units: Any, n_columns: int) -> NDArray[np.float64]:
    """Return ``(n, d)`` points as an array.

    Raises:
        SpaceError: They are no numbers, or have another width.
    """
    try:
        found = np.asarray(units, dtype=float)
    except Exception:  # an object of the user's may raise anything, and a range may be as long as it likes
        raise SpaceError(f"units: must be an array of numbers, got {short(units)}") from None
    if found.ndim != 2 or found.shape[1] != n_columns:
        raise SpaceError(f"units: must have shape (n, {n_columns}), got {found.shape}")
    return found


def count_of(hps: Any) -> int:
    """Return how many configurations a list has.

    Raises:
        SpaceError: It is no list of dicts.
    """
    if not isinstance(hps, Sequence) or (len(hps) and not isinstance(hps[0], Mapping)):
        raise SpaceError(f"hps: must be a list of configurations, got {short(hps)}")
    return len(hps)


def checked_count(n: Any) -> int:
    """Return how many configurations are wanted.

    Raises:
        SpaceError: It is no integer of at least 0.
    """
    is_count = isinstance(n, (int, np.integer)) and not isinstance(n, (bool, np.timedelta64))
    if not is_count or not 0 <= n < 2**31:
        raise SpaceError(f"n: must be an integer of at least 0, got {shown(n)}")
    return int(n)


def as_dict(data: Any) -> Mapping[str, Any]:
    """Return what a space or a part of it was described with.

    Raises:
        SpaceError: It is no dict.
    """
    if not isinstance(data, Mapping):
        raise SpaceError(f"data: must be a dict such as to_dict() returns, got {short(data)}")
    return data


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
