"""The numbers in what a trial reports: the metric, the resource, and the others."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from autohpo.errors import OptionError, shown

__all__ = ["numbers_of", "resource_of", "value_of"]


def value_of(result: Mapping[str, Any], name: str, argument: str) -> float:
    """Return a number that was reported.

    Args:
        result: What was reported.
        name: The name of the number.
        argument: The argument of the scheduler that has the name.

    Raises:
        OptionError: It was not reported, or is no number.
    """
    if name not in result:
        got = ", ".join(key for key in result if not key.startswith("st_"))
        raise OptionError(f"{argument}: {name} must be among the reported values, got {got or 'none'}")
    value = result[name]
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise OptionError(f"{argument}: {name} must be reported as a number, got {shown(value)}")
    return value


def resource_of(result: Mapping[str, Any], name: str) -> float:
    """Return the resource that was reported.

    Raises:
        OptionError: It was not reported, or is not above 0.
    """
    value = value_of(result, name, "resource_attr")
    if not value > 0:
        raise OptionError(f"resource_attr: {name} must be above 0, counted from 1 on, got {value}")
    return value


def numbers_of(result: Mapping[str, Any], but: tuple[str | None, ...]) -> dict[str, float]:
    """Return the finite numbers that were reported, flags as 0 and 1; what else was reported is left out.

    Args:
        result: What was reported.
        but: The names to leave out.
    """
    return {
        name: value
        for name, value in result.items()
        if name not in but and isinstance(value, (int, float)) and math.isfinite(value)
    }
