"""How a study is made, and how the one in a storage is found again."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from autohpo.algorithms.base import BaseHPOptimizer
from autohpo.algorithms.registry import build_hpo_from_name, get_hpo
from autohpo.define_by_run.exceptions import DuplicatedStudyError, NoTrialError
from autohpo.define_by_run.objective import PARAMS
from autohpo.define_by_run.pruners import NopPruner, Pruner
from autohpo.define_by_run.samplers import Sampler
from autohpo.define_by_run.study import Study
from autohpo.errors import OptionError, shown
from autohpo.spaces import OpenHP
from autohpo.store import MemoryStore, Store, open_store

__all__ = ["create_study", "load_study"]

_WAYS = {"minimize": "min", "maximize": "max"}


def create_study(
    *,
    storage: Store | str | os.PathLike[str] | None = None,
    sampler: Sampler | str | Sequence[Any] | BaseHPOptimizer | None = None,
    pruner: Pruner | str | Sequence[Any] | None = None,
    study_name: str | None = None,
    direction: str | None = None,
    directions: Sequence[str] | None = None,
    load_if_exists: bool = False,
) -> Study:
    """Return a new study; or the one in the storage, which goes on where it ended.

    Args:
        storage: The path or URL of a store of this library (``"sqlite:///run.db"`` is ``"run.db"``), or a Store; None
            keeps the study in memory. A file holds one study.
        sampler: An algorithm without fidelities: its name, ``(name, options)``, an optimizer, or one of
            :mod:`autohpo.define_by_run.samplers`; None is "tpe".
        pruner: An algorithm with fidelities: its name, ``(name, options)``, or one of
            :mod:`autohpo.define_by_run.pruners`; None prunes nothing.
        study_name: The name of the study.
        direction: "minimize", which is the default, or "maximize".
        directions: One for each objective, where there are several.
        load_if_exists: Whether the storage may hold the study already; it must have been made with the same arguments.

    Raises:
        DuplicatedStudyError: The storage holds a study.
        OptionError: An argument is wrong.
        RegistryError: The sampler or the pruner is unknown.
        StoreMismatchError: The study in the storage was made with other arguments.
    """
    if direction is not None and directions is not None:
        raise OptionError("direction: must not be given together with directions")
    ways = [direction or "minimize"] if directions is None else list(directions)
    if not ways or any(way not in _WAYS for way in ways):
        name, given = ("directions", ways) if directions is not None else ("direction", direction)
        raise OptionError(f"{name}: must be 'minimize' or 'maximize', got {shown(given)}")
    store = _store_of(storage)
    if not load_if_exists and _holds_run(store):
        raise DuplicatedStudyError(f"storage: {storage} holds a study; give load_if_exists=True to go on with it")
    wanted = sampler if isinstance(sampler, Sampler) else Sampler("tpe" if sampler is None else sampler)  # type: ignore[arg-type]
    ended_by = pruner if isinstance(pruner, Pruner) else _pruner_of(pruner)
    if ended_by.name is not None and not get_hpo(ended_by.name).is_multi_fidelity:
        raise OptionError(f"pruner: must be an algorithm with fidelities, got {ended_by.name!r}")
    names = [f"values_{i}" for i in range(len(ways))] if len(ways) > 1 else ["perf"]
    mode: Any = {n: _WAYS[way] for n, way in zip(names, ways, strict=True)} if len(ways) > 1 else _WAYS[ways[0]]

    def build(**more: Any) -> BaseHPOptimizer:
        space, common = [OpenHP(PARAMS)], {"mode": mode, "seed": wanted.seed, **more}
        f = common.pop("f")
        if ended_by.name is None:
            return build_hpo_from_name("define_by_run", space, f, sampler=wanted.spec, **common)
        inner = ["define_by_run", {"sampler": wanted.spec}]
        return build_hpo_from_name(ended_by.name, space, f, sampler=inner, **ended_by.options, **common)

    checked = build(f=None, max_evals=1)
    return Study(build, store, name=study_name or "", most=checked.full_fidelity, names=names)


def load_study(*, storage: Store | str | os.PathLike[str], study_name: str | None = None, **arguments: Any) -> Study:
    """Return the study in a storage; its arguments must be those that it was made with.

    Args:
        storage: The path or URL of its store.
        study_name: The name of the study; only there for scripts that give one.
        arguments: Further arguments of :func:`create_study`.

    Raises:
        NoTrialError: There is none.
        StoreMismatchError: It was made with other arguments.
    """
    store = _store_of(storage)
    if not _holds_run(store):
        raise NoTrialError(f"storage: {storage} holds no study")
    return create_study(storage=store, study_name=study_name, load_if_exists=True, **arguments)


def _pruner_of(pruner: str | Sequence[Any] | None) -> Pruner:
    if pruner is None:
        return NopPruner()
    if isinstance(pruner, str):
        return Pruner(pruner)
    if isinstance(pruner, (list, tuple)) and len(pruner) == 2 and isinstance(pruner[1], Mapping):
        return Pruner(pruner[0], **pruner[1])
    raise OptionError(f"pruner: must be a name, (name, options) or a Pruner, got {shown(pruner)}")


def _store_of(storage: Store | str | os.PathLike[str] | None) -> Store:
    if storage is None:
        return MemoryStore()
    if isinstance(storage, str) and storage.startswith("sqlite:///"):
        storage = storage[len("sqlite:///") :]
    return storage if isinstance(storage, Store) else open_store(storage)


def _holds_run(store: Store) -> bool:
    path = getattr(store, "path", None)
    if isinstance(path, Path) and not path.exists():
        return False  # to open it would make it
    store.open()
    try:
        return store.header is not None
    finally:
        store.close()
