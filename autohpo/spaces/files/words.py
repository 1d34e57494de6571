"""Words of files that stand for numbers and booleans."""

from __future__ import annotations

from typing import Any

from autohpo.spaces.files.documents import plain_scalar


def as_number(value: Any) -> Any:
    """Return the number that a string stands for; anything else as it is."""
    if not isinstance(value, str):
        return value
    try:
        found = plain_scalar(value.strip().replace("_", ""))
    except ValueError:
        return value
    return found if type(found) in (int, float) else value


_FLAGS = {"yes": True, "on": True, "true": True, "no": False, "off": False, "false": False}


def as_flag(value: Any) -> Any:
    """Return the boolean that a word such as yes, no, on or off stands for; anything else as it is."""
    return _FLAGS.get(value.strip().lower(), value) if isinstance(value, str) else value
