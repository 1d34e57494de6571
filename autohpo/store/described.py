"""What a header says of its run, read back: its space and its objectives."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from autohpo.errors import OptionError, StoreCorruptError
from autohpo.objectives import Objectives
from autohpo.spaces import SearchSpace
from autohpo.spaces.tagged import from_json

_FAULTS = (LookupError, TypeError, AttributeError, ArithmeticError, RecursionError, UnicodeError)


def space_of(header: Mapping[str, Any], where: object) -> SearchSpace:
    """Return the space of a run.

    Args:
        header: The header of its store.
        where: Where the store is, for errors.

    Raises:
        SpaceError: It has values that only the program that made it knows.
        StoreCorruptError: It is none that autohpo writes.
    """
    try:
        if not isinstance(header["space"], Mapping):
            raise TypeError(f"it must be a dict, got {type(header['space']).__name__}")
        return SearchSpace.from_dict(header["space"])
    except _FAULTS as error:
        raise _bad(where, "space", error) from None


def mode_of(header: Mapping[str, Any], where: object) -> Any:
    """Return which way each objective of a run is better.

    Args:
        header: The header of its store.
        where: Where the store is, for errors.

    Raises:
        StoreCorruptError: It is none that autohpo writes.
    """
    try:
        mode = from_json(header["options"]["mode"])
        Objectives.of(mode)
    except (OptionError, ValueError, *_FAULTS) as error:
        raise _bad(where, "mode", error) from None
    return mode


def _bad(where: object, what: str, error: Exception) -> StoreCorruptError:
    return StoreCorruptError(
        f"store: {where} is damaged, or was not written by autohpo: its header has no {what} that can be read "
        f"({type(error).__name__}: {error!s:.200})"
    )
