"""The leading trials of a store as a result, also of a very long log; what the command line and lists of runs show."""

from __future__ import annotations

import os
from dataclasses import replace

from autohpo.arguments import checked_index
from autohpo.objectives import Objectives
from autohpo.result import Result
from autohpo.spaces import SearchSpace
from autohpo.store import SQLiteStore, Store, open_store
from autohpo.store.described import mode_of, space_of
from autohpo.store.leading import read_leading
from autohpo.trial_files import files_of


def load_leading(url: str | os.PathLike[str], k: int = 1, space: SearchSpace | None = None) -> Result:
    """Return a result with the leading trials of a store alone: its best, its front, the k best, what confirms them.

    ``best``, ``pareto``, ``top`` up to `k`, ``confirmed`` and ``winner`` are those of ``Result.load(url)``, for a
    fraction of the time; the other trials are missing, and the counts are of those that are there. Rows that the
    answer does not rest on are not checked.

    Args:
        url: The path or URL of the store.
        k: How many of the best trainings are wanted.
        space: The space of the run; None reads it from the store.

    Raises:
        StoreError: There is no such store, or it holds no run yet.
        StoreCorruptError: It is damaged.
        SpaceError: Its space has values that only the program that made it knows.

    Example:
        >>> import tempfile
        >>> from autohpo import RangeHP, build_hpo_from_name
        >>> path = tempfile.mkdtemp() + "/run.db"
        >>> hpo = build_hpo_from_name("random", [RangeHP("x", 0.0, 1.0)], lambda hp: hp["x"], max_evals=9, seed=0)
        >>> _ = hpo.optimize(store=path, progress=False)
        >>> load_leading(path).best == hpo.result.best
        True
    """
    store = open_store(url, read_only=True)
    try:
        return read_leading_result(store, k, space)
    finally:
        store.close()


def read_leading_result(store: Store, k: int = 1, space: SearchSpace | None = None) -> Result:
    """Return what :func:`load_leading` does, of a store that is open."""
    k = checked_index("k", k)
    header = store.header
    if header is None or not isinstance(store, SQLiteStore):
        return Result.read(store, space)
    mode = mode_of(header, store.path)
    space = space_of(header, store.path) if space is None else SearchSpace(space)
    state = read_leading(store, space, Objectives.of(mode), k)
    if state is None:
        return Result.read(store, space)
    result = Result.of(state, mode, algorithm=header.get("algorithm", ""), name=header.get("name", ""))
    return replace(result, **files_of(store))
