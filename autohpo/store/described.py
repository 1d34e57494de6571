"""What a header says of its run, read back: its space and its objectives."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from autohpo.errors import OptionError, SpaceError, StoreCorruptError
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


def readable_space(header: Mapping[str, Any], where: object) -> SearchSpace:
    """Return the space of a run with a string in place of every value that only the program knows which made it.

    Constraints that are functions are left out, as nobody needs to check what the log has.

    Raises:
        SpaceError: It has parameters of a kind that is not known here.
        StoreCorruptError: It is none that autohpo writes.
    """
    try:
        return space_of(header, where)
    except SpaceError:
        named = _named(header["space"], {})
        given = named.get("constraints", []) if isinstance(named, dict) else []
        if not isinstance(given, list) or not all(isinstance(one, dict) for one in given):
            raise
        constraints = [one for one in given if one.get("kind") != "PredicateConstraint"]
        return space_of({**header, "space": {**named, "constraints": constraints}}, where)


def _named(data: Any, seen: dict[str, Any]) -> Any:
    """Return JSON in which the names of values stand for them; a name that two values have is numbered."""
    if isinstance(data, list):
        return [_named(item, seen) for item in data]
    if not isinstance(data, dict):
        return data
    if "opaque" not in data:
        return {name: _named(item, seen) for name, item in data.items()}
    name = str(data["opaque"])
    short = name if " " in name else name.rpartition(".")[2] or name
    text, n = short, 1
    while seen.setdefault(text, data) != data:
        n += 1
        text = f"{short} ({n})"
    return text


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
