"""Values of configurations that are copied on their way: blackboxopt copies them deeply, and loops write JSON."""

from __future__ import annotations

import json
from typing import Any

from autohpo.spaces.tagged import is_same

__all__ = ["is_copy"]


def is_copy(value: Any, given: Any) -> bool:
    """Return whether a value may be a copy of another one, perhaps read back from JSON.

    Of an object whose class defines no equality, every object of the class may be one.

    Args:
        value: The value.
        given: What may be its copy.
    """
    if is_same(value, given):
        return True
    if type(value) is type(given) and getattr(type(value), "__eq__", None) is object.__eq__:
        return True
    try:
        return json.dumps(value) == json.dumps(given) or bool(value == given)
    except Exception:  # what JSON cannot hold, and a user's own ==
        return False
