"""OpenHP: a dict of values whose names nobody knows before an objective asks for them."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
from numpy.typing import NDArray

from autohpo.spaces.base import HPSpace, checked_name

__all__ = ["OpenHP"]

_PLAIN = (type(None), bool, int, float, str)


class OpenHP(HPSpace):
    """A dict from string to None, bool, int, float or string, of which no algorithm knows more.

    It has no columns in the unit cube, so only an algorithm that fills it by itself searches it: `define_by_run`.

    Args:
        name: The name of the parameter.

    Example:
        >>> OpenHP("params").contains({"lr": 0.1})
        True
    """

    def __init__(self, name: str) -> None:
        self._set(name=checked_name(name))

    @property
    def width(self) -> int:
        """The number of columns: 0."""
        return 0

    def decode(self, units: NDArray[np.float64]) -> list[Any]:
        """Return n empty dicts."""
        return [{} for _ in units]

    def encode(self, values: Any) -> NDArray[np.float64]:
        """Return ``(n, 0)`` points."""
        return np.empty((len(values), 0))

    def contains(self, value: Any) -> bool:
        """Return whether `value` is a dict of such values."""
        return type(value) is dict and all(
            type(name) is str and type(one) in _PLAIN and (type(one) is not float or one - one == 0)
            for name, one in value.items()
        )

    def to_json(self, value: Any) -> Any:
        """Return the dict with its names in order."""
        return dict(sorted(value.items()))

    def from_json(self, data: Any) -> Any:
        """Return the dict."""
        return json.loads(json.dumps(data))
