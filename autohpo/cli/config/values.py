"""Values of command lines and files: durations, strings where numbers are wanted, and pairs of a name and a value."""

from __future__ import annotations

import re
import types
from collections.abc import Mapping
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from autohpo.cli.arguments import UsageError
from autohpo.errors import OptionError, shown
from autohpo.spaces.files.documents import ConfigError, parse_yaml
from autohpo.spaces.files.words import as_flag, as_number

DURATIONS = ("time_limit", "trial_time_limit", "cost_limit", "grace_seconds")
"""The arguments of ``optimize`` that are durations."""

_SECONDS = {"": 1.0, "ms": 1e-3, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
_PART = re.compile(r"(\d{1,12}(?:\.\d{1,9})?)\s*(ms|min|[smhdw]?)\s*", re.ASCII)


def seconds(name: str, value: Any) -> Any:
    """Return the seconds of a duration such as ``90``, ``30m``, ``2h``, ``1h30m`` or ``1d``; numbers stay as they are.

    Args:
        name: The argument, for the error.
        value: The duration.

    Raises:
        OptionError: It is a string that is no duration.
    """
    if not isinstance(value, str):
        return value
    text, total, at, n_parts = value.strip().lower(), 0.0, 0, 0
    while at < len(text):
        found = _PART.match(text, at)
        if found is None or (n_parts and not found[2]):
            break
        total, at, n_parts = total + float(found[1]) * _SECONDS[found[2]], found.end(), n_parts + 1
    if not text or at < len(text):
        raise OptionError(f"{name}: must be a duration such as 90, 30m, 2h or 1d, got {shown(value)}")
    return total


def as_wanted(value: Any, hint: Any) -> Any:
    """Return a string as the number or the boolean that it stands for, where that is wanted and a string is not.

    So ``1e3`` is 1000 where an integer is wanted, also where the file's reader made a float of it.

    Args:
        value: The value.
        hint: The annotation of what it is for.
    """
    kinds = get_args(hint) if get_origin(hint) in (Union, types.UnionType) else (hint,)
    if type(value) is float and int in kinds and float not in kinds and value.is_integer():
        return int(value)
    is_literal = any(get_origin(kind) is Literal and value in get_args(kind) for kind in kinds)
    if not isinstance(value, str) or str in kinds or is_literal:
        return value
    if int in kinds or float in kinds:
        number = as_number(value)
        if not isinstance(number, str):
            return int(number) if float not in kinds and number == number // 1 else number
    if bool in kinds:
        return as_flag(value)
    return None if type(None) in kinds and value.lower() in ("none", "null") else value


def hints_of(owner: Any) -> Mapping[str, Any]:
    """Return the annotations of a class; none where only a type checker can read them."""
    try:
        return get_type_hints(owner)
    except (NameError, TypeError):
        return {}


def pair(flag: str, text: str) -> tuple[str, str]:
    """Return name and value of ``NAME=VALUE``.

    Args:
        flag: The option of the command line, for the error.
        text: The pair.

    Raises:
        UsageError: It is none.
    """
    name, equals, value = text.partition("=")
    if not equals or not name.strip():
        raise UsageError(f"{flag}: must be NAME=VALUE, got {shown(text)}")
    return name.strip(), value.strip()


def flow_value(flag: str, text: str) -> Any:
    """Return a value that is written as in YAML, on one line.

    Args:
        flag: The option of the command line, for the error.
        text: The value.

    Raises:
        UsageError: It is no YAML.
    """
    try:
        return parse_yaml(text)
    except ConfigError as error:
        raise UsageError(
            f"{flag}: must be a value such as 0.1, adam, [a, b] or {{low: 0, high: 1}}, got {shown(text)}: {error}"
        ) from None
