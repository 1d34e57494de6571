"""Search spaces of other libraries that are given in place of ours: the error names what converts them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Any

from autohpo.errors import SpaceError, short

MOST_LOOKS = 100
"""How many values of a dict or list are looked at."""

_CONVERTERS = {
    "hyperopt": "hyperopt import from_hyperopt",
    "ray": "raytune import from_ray_tune",
    "ax": "ax import from_ax",
    "ConfigSpace": "configspace import from_configspace",
    "optuna": "optuna import from_optuna",
}


def check_not_foreign(given: Any) -> None:
    """Check that what is given as a search space is not one of another library.

    Raises:
        SpaceError: It is; the error names what converts it.
    """
    found = next((library for value in _values(given, 3) if (library := _library_of(value))), None)
    if found is not None:
        way = f"from autohpo.integrations.{_CONVERTERS[found]}"
        raise SpaceError(f"space: must be a list of parameters, got {short(given)} of {found}; convert it: {way}")


def _library_of(value: Any) -> str | None:
    """Return the library that a value is of, where there is a converter."""
    library = type(value).__module__.partition(".")[0]
    if library in _CONVERTERS:
        return library
    if isinstance(value, Mapping):
        if set(value) == {"grid_search"}:
            return "ray"
        kind = value.get("type")
        is_ax = "name" in value and isinstance(kind, str) and kind in ("range", "choice", "fixed")
        return "ax" if is_ax else None
    return None


def _values(given: Any, depth: int) -> Iterator[Any]:
    """Yield a value, and those in its dicts and lists."""
    yield given
    if depth and isinstance(given, (Mapping, list, tuple)) and _library_of(given) is None:
        items: Iterable[Any] = given.values() if isinstance(given, Mapping) else given
        for item in islice(items, MOST_LOOKS):
            yield from _values(item, depth - 1)
