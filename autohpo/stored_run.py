"""A stored run: its optimizer, built from what the header of the store says."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any

from autohpo.algorithms.base import BaseHPOptimizer
from autohpo.algorithms.registry import UNLISTED, available_hpos, build_hpo_from_name, canonical_name
from autohpo.errors import NoRunError, OptionError, RegistryError, SpaceError, StoreCorruptError
from autohpo.spaces import SearchSpace
from autohpo.spaces.tagged import from_json
from autohpo.store import MemoryStore, Store, open_store
from autohpo.store.described import mode_of, space_of


def optimizer_of(
    url: Store | str | os.PathLike[str],
    f: Callable[..., Any] | None = None,
    space: Any = None,
    options: Mapping[str, Any] | None = None,
) -> BaseHPOptimizer:
    """Return a new optimizer for the run in a store: its algorithm, options, space and mode are those of the run.

    Args:
        url: The path or URL of the store, or the store itself.
        f: The objective.
        space: The space of the run, where it has values that only a program knows; None reads it from the store.
        options: Options that are to be others than in the store. The budget is that of the first call.

    Raises:
        NoRunError: There is no such store, or it holds no run yet.
        StoreCorruptError: It is damaged.
        SpaceError: Its space has values that only the program that made it knows.
        RegistryError: Its algorithm is not installed here.
        OptionError: An option of it cannot be read back, is unknown here or breaks a rule.
    """
    header, where = _header_of(url)
    name = header.get("algorithm")
    if not isinstance(name, str):
        raise StoreCorruptError(f"store: {where} is damaged, or was not written by autohpo: it names no algorithm")
    _check_name(name, where)
    more = dict(options or {})
    kept = {**header.get("budget", {}), **header.get("options", {})}
    given = {option: _read(option, value, where) for option, value in kept.items() if option not in more}
    if "mode" not in more:
        given["mode"] = mode_of(header, where)
    if space is None:
        try:
            space = space_of(header, where)
        except SpaceError as error:
            what = "has values that only the program that made it knows"
            raise SpaceError(f"space: that of {where} {what}; {error}") from None
    return build_hpo_from_name(name, SearchSpace(space), f, **{**given, **more})


def _header_of(url: Store | str | os.PathLike[str]) -> tuple[Mapping[str, Any], str]:
    """Return the header of a store, and where that is."""
    store = url if isinstance(url, Store) else open_store(url, read_only=True)
    where = str(getattr(store, "path", "the log"))
    try:
        if isinstance(store, MemoryStore) and store is not url:
            raise NoRunError("store: 'memory:' is of one process, so it holds no run to load")
        header = store.header
    finally:
        if store is not url:
            store.close()
    if header is None:
        raise NoRunError(f"store: {where} holds no run yet")
    return header, where


def _check_name(name: str, where: str) -> None:
    """Raise RegistryError unless an algorithm is known here."""
    known = available_hpos()
    if canonical_name(name) in known or name in UNLISTED:
        return
    what = (
        f"is of a class that is not registered, {name}: build it in code, and give it as Search(hpo, store)"
        if "." in name
        else f"was made by the algorithm {name!r}, which is not installed here: install the package that has it"
    )
    raise RegistryError(f"algorithm: {where} {what}. Algorithms: {', '.join(known)}")


def _read(option: str, value: Any, where: str) -> Any:
    """Return the value of an option.

    Raises:
        OptionError: It is such that only the program that made the store knows it.
    """
    try:
        return from_json(value)
    except SpaceError:
        what = value.get("opaque", value) if isinstance(value, dict) else value
        advice = f"give {option}= as it was, or build the optimizer in code"
        raise OptionError(f"{option}: {where} was made with {what}, which cannot be read back; {advice}") from None
