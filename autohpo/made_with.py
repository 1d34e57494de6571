"""What a run was made with: the objective, the dataset and the libraries, so that a resume can say what has changed."""

from __future__ import annotations

import functools
import sys
import types
import weakref
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np

from autohpo.spaces.digest import PLAIN, are_comparable, digest_of
from autohpo.version import __version__

MOST_BYTES = 16 * 2**20
"""The largest values that are looked at: a few hundredths of a second."""

MOST_VALUES = 20_000
LIBRARIES = ("numpy", "scipy")

_FIRST: weakref.WeakKeyDictionary[Any, str | None] = weakref.WeakKeyDictionary()
"""The digests of objectives as this process first saw them: the values they close over may change as they run."""


def made_with(f: object = None, dataset: object = None) -> dict[str, Any]:
    """Return what a run is made with, for the header of its store.

    Args:
        f: The objective, or the trainer.
        dataset: What it is trained on.
    """
    found: dict[str, Any] = {"python": f"{sys.version_info[0]}.{sys.version_info[1]}", "autohpo": __version__}
    found |= {name: _version_of(name) for name in LIBRARIES}
    if f is not None:
        found["f"] = _digest_of_objective(f)
    if dataset is not None:
        found["dataset"] = _digest(dataset, is_code=False)
    return {name: value for name, value in found.items() if value is not None}


def changes(kept: Mapping[str, Any], given: Mapping[str, Any]) -> list[str]:
    """Return what is another thing than a run was begun with, a phrase each; what is not known in both is left out."""
    found = []
    for name in ("f", "dataset"):
        before, now = kept.get(name), given.get(name)
        if isinstance(before, str) and isinstance(now, str) and _are_comparable(before, now) and before != now:
            what = "its code, its command, or a value it closes over" if name == "f" else "its values"
            found.append(f"{name} ({what}) has changed")
    names = [name for name in ("autohpo", *LIBRARIES, "python") if name in kept and name in given]
    return found + [f"{n} was {kept[n]!s:.40} and is {given[n]}" for n in names if kept[n] != given[n]]


def _are_comparable(a: str, b: str) -> bool:
    """Whether two digests are of the same parts of a thing, and of the same language."""
    kinds = [digest.partition(":") for digest in (a, b)]
    return kinds[0][0] == kinds[1][0] and are_comparable(kinds[0][2], kinds[1][2])


def _digest_of_objective(f: object) -> str | None:
    try:
        if f not in _FIRST:
            _FIRST[f] = _digest(f, is_code=True)
        return _FIRST[f]
    except TypeError:  # it cannot be hashed, or has no weak references
        return _digest(f, is_code=True)


def _digest(value: object, *, is_code: bool) -> str | None:
    """Return a digest of a value, where that is cheap and the same in every process; of code also without values."""
    if _is_simple(value):
        found = digest_of(value)
        return None if found is None else f"all:{found}"
    found = digest_of(value, with_state=False) if is_code else None
    return None if found is None else f"code:{found}"


def _is_simple(value: object) -> bool:
    """Whether a value is small, and made of parts that read the same in every process: no handles, no tensors."""
    level, seen, n_bytes = [value], set[int](), 0
    while level:
        below: list[Any] = []
        for item in level:
            if type(item) in PLAIN:
                n_bytes += len(item) if isinstance(item, (str, bytes)) else 8
                continue
            if id(item) in seen:
                continue
            seen.add(id(item))
            if isinstance(item, np.ndarray) and not item.dtype.hasobject:
                n_bytes += item.nbytes
                continue
            parts = _parts_of(item)
            if parts is None:
                return False
            below += parts
        if len(seen) + len(below) > MOST_VALUES or n_bytes > MOST_BYTES:
            return False
        level = below
    return True


def _parts_of(item: Any) -> list[Any] | None:
    """Return what a value is made of; None where that is not known."""
    if isinstance(item, (type, types.ModuleType, types.BuiltinFunctionType, np.generic)):
        return []
    if isinstance(item, types.FunctionType):
        cells = [_content(cell) for cell in item.__closure__ or ()]
        return [*cells, *(item.__defaults__ or ()), *(item.__kwdefaults__ or {}).values()]
    if isinstance(item, types.MethodType):
        return [item.__func__, item.__self__]
    if isinstance(item, functools.partial):
        return [item.func, *item.args, *item.keywords.values()]
    if type(item) in (list, tuple, set, frozenset):
        return list(item)
    if type(item) is dict:
        return [*item, *item.values()]
    kind: Any = type(item)
    usual: Any = object
    is_usual = kind.__reduce_ex__ is usual.__reduce_ex__ and kind.__reduce__ is usual.__reduce__
    if not is_usual or kind.__module__.split(".")[0] in ("torch", "builtins"):
        return None
    try:
        return list(vars(item).values())
    except Exception:  # it has none, or its class raises where it is asked
        return None


def _content(cell: types.CellType) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # not filled yet
        return None


def _version_of(package: str) -> str | None:
    """Return the version of an installed package, without importing it."""
    module = sys.modules.get(package)
    if module is not None and isinstance(getattr(module, "__version__", None), str):
        return str(module.__version__)
    try:
        return version(package)
    except PackageNotFoundError:
        return None
