"""The package ``ray``: whether it is installed, and new enough."""

from __future__ import annotations

import re
from typing import Any

from autohpo.errors import MissingExtraError, OptionError

__all__ = ["LEAST", "load_ray"]

LEAST = (2, 54)
"""The first version without the hole CVE-2026-27482; tokens that guard a cluster came with 2.52."""


def load_ray() -> Any:
    """Return the module ``ray``.

    Raises:
        MissingExtraError: It is not installed.
        OptionError: It is too old.
    """
    try:
        import ray
    except ImportError as fault:
        raise MissingExtraError("ray is not installed: pip install 'autohpo[ray]'") from fault
    version = str(getattr(ray, "__version__", ""))  # a folder of that name has none
    numbers = re.match(r"(\d+)\.(\d+)", version)
    if numbers is None or (int(numbers[1]), int(numbers[2])) < LEAST:
        least = ".".join(map(str, LEAST))
        where = getattr(ray, "__file__", None) or "a folder"
        raise OptionError(
            f"executor: Ray must be at least {least}, got {version or 'no version'} of {where}: "
            "pip install 'autohpo[ray]'"
        )
    return ray
