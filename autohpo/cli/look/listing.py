"""The stores of a folder: what each is and how it stands, without reading the whole of long ones."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from autohpo.cli.look.reading import Opened, opened
from autohpo.cli.look.telling import perf_text
from autohpo.control import driver_of
from autohpo.errors import AutoHPOError, NoResultError, SpaceError, StoreCorruptError, StoreError
from autohpo.store import SQLiteStore
from autohpo.store.opening import beside
from autohpo.store.rows import APPLICATION_ID

TRIALS_READ = 50_000
"""How many trials are read to tell what is best, all stores together; those that changed last come first."""

_EMPTY: dict[str, Any] = {"state": "empty", "trials": 0}
_MAGIC = b"SQLite format 3\0"


def stores_in(folder: Path, *, is_deep: bool) -> list[Path]:
    """Return the stores in a folder, told by what is in the files and not by their names.

    Args:
        folder: The folder.
        is_deep: Whether folders in it are searched, too; links to folders are not followed.
    """
    return sorted(path for path in _files(folder, is_deep=is_deep) if _is_store(path))


def _files(folder: Path, *, is_deep: bool) -> Iterator[Path]:
    for where, folders, names in os.walk(folder):
        folders[:] = sorted(n for n in folders if is_deep and not n.endswith(".files") and not n.startswith("."))
        yield from (Path(where) / name for name in names)


def _is_store(path: Path) -> bool:
    """Whether a file is a store, or was one before it was damaged."""
    if path.name.endswith(("-wal", "-shm", "-journal", ".lock")):
        return False
    try:
        if not path.is_file():
            return False
        with path.open("rb") as file:
            head = file.read(100)
    except OSError:
        return False
    if head[:16] == _MAGIC:
        is_ours = head[68:72] == APPLICATION_ID.to_bytes(4, "big")
        return is_ours or (head[68:72] == bytes(4) and beside(path, ".lock").is_file())
    return path.suffix == ".db" and beside(path, ".lock").is_file()


def listed(paths: list[Path], folder: Path, *, is_all: bool = False) -> list[dict[str, Any]]:
    """Return what each store is and how it stands, in the order of `paths`.

    Args:
        paths: The stores.
        folder: The folder that they are named from.
        is_all: Whether the best of each is told, whatever its size.
    """
    return with_best({str(path): _row(path, folder) for path in paths}, is_all=is_all)


def with_best(rows: dict[str, dict[str, Any]], *, is_all: bool) -> list[dict[str, Any]]:
    """Return rows with what is best in each store, of those that changed last as many as are worth the time.

    Args:
        rows: What is known of each store, by its path or URL.
        is_all: Whether the best of each is told, whatever its size.
    """
    left = float("inf") if is_all else float(TRIALS_READ)
    for url in sorted(rows, key=lambda url: -(rows[url]["changed"] or 0.0)):
        n = rows[url]["trials"]
        if n and n <= left:
            left -= n
            rows[url] |= _best(url)
    return list(rows.values())


def changed(path: Path) -> float | None:
    """Return when a store last changed, in Unix seconds."""
    found = [p.stat().st_mtime for p in (path, beside(path, "-wal")) if p.exists()]
    return max(found, default=None)


def _row(path: Path, folder: Path) -> dict[str, Any]:
    """Return what is known of a store without reading its log."""
    row: dict[str, Any] = {
        "store": str(path.relative_to(folder)) if path.is_relative_to(folder) else str(path),
        **dict.fromkeys(("name", "algorithm", "trials", "best")),
        "state": "idle",
        "changed": None,
    }
    try:
        row["changed"] = changed(path)
        store = SQLiteStore(path, read_only=True)
    except (AutoHPOError, OSError) as error:
        return row | _fault(error)
    try:
        header = store.header
        if header is None:
            return row | _EMPTY
        row |= {"name": header.get("name", ""), "algorithm": header.get("algorithm", "")}
        with store._faults():
            found = store._db.execute("SELECT count(*) FROM events WHERE kind = 'ask' AND trial >= 0").fetchone()
        row["trials"] = found[0]
        if driver_of(path) is not None:
            row["state"] = "running"
    except (AutoHPOError, OSError) as error:
        row |= _fault(error)
    finally:
        store.close()
    return row


def _fault(error: Exception) -> dict[str, Any]:
    if isinstance(error, StoreCorruptError):
        return {"state": "damaged", "error": str(error)}
    if type(error) is StoreError and "holds no run yet" in str(error):
        return _EMPTY
    return {"state": "unreadable", "error": str(error)}


def _best(url: str) -> dict[str, Any]:
    try:
        with opened(url) as run:
            return {"best": best_text(run)}
    except NoResultError:
        return {}
    except (SpaceError, StoreError, OSError) as error:
        return _fault(error)


def best_text(run: Opened) -> str:
    """Return the best of a run in a few letters.

    Raises:
        NoResultError: No trial has a result.
    """
    result = run.leading()
    if result.objectives.n > 1:
        return f"{len(result.pareto)} on the front" if result.pareto else "no trial meets the constraints"
    winner = result.winner
    if winner is not None and winner.mean is not None:
        return f"mean {winner.mean:.6g}"
    return perf_text(result, result.best).removeprefix("perf ").replace(" at fidelity ", " at ")
