"""The budget of a run as its last driver had it, which the header of its store does not tell."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from autohpo.errors import StoreError
from autohpo.service import Launch
from autohpo.store.costs import Costs

NAMES = ("max_evals", "budget", "cost_limit")


def budget_of(header: Mapping[str, Any], url: str | os.PathLike[str]) -> dict[str, float]:
    """Return ``max_evals``, ``budget`` and ``cost_limit`` of a run, where they are limited.

    The header of a store has those of the first call; the record of how its driver was started has those of the last
    one, where that was ``autohpo run`` or ``autohpo resume``.

    Args:
        header: The header of the store.
        url: The path or URL of the store.
    """
    try:
        launch = Launch.read(url)
    except StoreError:  # a record that cannot be read, or is not to be trusted
        launch = None
    last = launch.budget if launch is not None and isinstance(launch.budget, dict) else {}
    found = {**header.get("budget", {}), **last}
    return {name: found[name] for name in NAMES if _is_positive(found.get(name))}


def _is_positive(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and value > 0


def trials_text(n: int, most: float) -> str:
    """Return how many of the trials that a budget allows there are: ``20 of 60 trials``."""
    if n > most:  # a later call allowed more, and left no record
        return f"{n:,} trials, of which the first call allowed {most:,g}"
    return f"{n:,} of {most:,g} trials"


def cost_text(costs: Costs, limit: float) -> str:
    """Return how much of a cost limit is spent: ``12.5 of 30 s spent``."""
    return f"{costs.spent:,.4g} of {limit:,g}{' s' * costs.is_in_seconds} spent"
