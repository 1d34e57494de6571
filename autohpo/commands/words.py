"""Values as words of a command line, and configurations as JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from decimal import Decimal
from enum import Enum
from pathlib import PurePath
from typing import Any

from autohpo.errors import OptionError, short


def word_of(name: str, value: object) -> str:
    """Return a value as one word of a command line.

    Strings stay as they are, numbers are written so that they read back as the same number, booleans and None as
    Python writes them, lists and dicts as JSON. A negative number has no exponent: parsers of options would take
    ``-1e-05`` for one.

    Args:
        name: The parameter, for the text of an error.
        value: The value.

    Raises:
        OptionError: A value of this kind has no such form, or it has a NUL character.

    Example:
        >>> word_of("lr", -0.00001), word_of("units", [64, 32]), word_of("nesterov", True)
        ('-0.00001', '[64, 32]', 'True')
    """
    plain = _plain(value)
    if isinstance(plain, str):
        if "\0" in plain:
            raise OptionError(f"{name}: a word of a command line must have no NUL character, got {short(plain)}")
        return plain
    if plain is None or isinstance(plain, (bool, int)):
        return str(plain)
    if isinstance(plain, float):
        text = repr(plain)
        return format(Decimal(text), "f") if plain < 0 and "e" in text else text
    return json_of({name: plain}, only=name)


def json_of(hp: Mapping[str, Any], only: str | None = None) -> str:
    """Return a configuration as JSON, in one line.

    Args:
        hp: The configuration.
        only: The one parameter whose value is wanted.

    Raises:
        OptionError: A value has no form in JSON; the text names its parameter.
    """
    try:
        return json.dumps(hp if only is None else hp[only], default=_plain_or_raise, ensure_ascii=False)
    except (TypeError, ValueError):
        for name, value in hp.items():
            try:
                json.dumps(value, default=_plain_or_raise)
            except (TypeError, ValueError):  # noqa: PERF203 - the error names the parameter
                raise _unwritable(name, value) from None
        raise


def check_value(name: str, value: object) -> None:
    """Check that a value can be written.

    Raises:
        OptionError: It cannot.
    """
    word_of(name, value)


def _plain(value: object) -> Any:
    """Return a value in Python's own types, as far as it has one: of numpy's numbers, enumerations and paths."""
    if isinstance(value, Enum):
        value = value.value
    if isinstance(value, PurePath):
        return str(value)
    if getattr(value, "ndim", None) == 0 and hasattr(value, "item"):
        return value.item()
    return value


def _plain_or_raise(value: object) -> Any:
    plain = _plain(value)
    if plain is value:
        raise TypeError
    return plain


def _unwritable(name: str, value: object) -> OptionError:
    return OptionError(
        f"{name}: must be a string, a number, a boolean, None, or a list or dict of these to stand in a command, got "
        f"{short(value)}; give the choice names, and have the command look up what they mean"
    )
