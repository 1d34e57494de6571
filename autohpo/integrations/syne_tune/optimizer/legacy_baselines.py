"""The baselines under the name of the module that Syne Tune 0.14 has them in."""

from __future__ import annotations

from typing import Any

from autohpo.integrations.syne_tune.optimizer import baselines
from autohpo.integrations.syne_tune.optimizer.baselines import *  # noqa: F403 - the same names, whatever they are

__all__ = list(baselines.__all__)


def __getattr__(name: str) -> Any:
    """Return what the other module has, or raise its error."""
    return getattr(baselines, name)
