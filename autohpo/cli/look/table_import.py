"""A table of known results as a new run: its rows become known results, and any algorithm can go on from there."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from autohpo.algorithms.registry import build_hpo_from_name
from autohpo.algorithms.session import session_of
from autohpo.arguments import path_errors
from autohpo.cli.arguments import UsageError
from autohpo.cli.config.plan import space_at
from autohpo.errors import AutoHPOError, SpaceError, shown
from autohpo.search import Search
from autohpo.spaces import SearchSpace
from autohpo.tables import read_csv

Row = Mapping[str, Any]


def import_table(
    source: Path, made: Path | str, space_file: str, *, perf: str, mode: str, algorithm: str, name: str
) -> tuple[int, int]:
    """Write a new run with the results of a table; return how many there are, and how many rows have none.

    Args:
        source: A CSV file, or a JSON file with a list of objects.
        made: The path or URL of the new store.
        space_file: A file with the space, as that of ``autohpo run``.
        perf: The name of the column with the results; several objectives have commas between.
        mode: Which way is better; a word for each of several objectives.
        algorithm: The registered name of the algorithm of the run.
        name: The name of the run.

    Raises:
        UsageError: A row is no result of this space, or a column is missing; the text names it.
    """
    space = space_at("space", space_file)
    columns, ways = _columns(perf, mode)
    rows = _rows(source)
    points, n_without = [], 0
    for place, row in enumerate(rows, start=1):
        result = _result(row, columns, source, place)
        if result is None:
            n_without += 1
        else:
            points.append((_configuration(row, space, source, place), result))
    if not points:
        raise UsageError(f"file: {source} has no row with a result in the column {columns[0]}")
    way: Any = ways[0] if len(ways) == 1 else dict(zip(columns, ways, strict=True))
    hpo = build_hpo_from_name(algorithm, space, points=points, mode=way)
    with Search(hpo, made, name=name or source.stem) as search:
        hpo.set_up()
        session_of(hpo)._take_known()  # as an ask does, but without a suggestion
        search._log_known(0)
        search.save()
    return len(points), n_without


def _columns(perf: str, mode: str) -> tuple[list[str], list[str]]:
    columns, ways = ([word.strip() for word in text.split(",")] for text in (perf, mode))
    if len(ways) == 1:
        ways *= len(columns)
    if len(ways) != len(columns):
        raise UsageError(f"mode: must be one word, or one for each column of --perf, got {mode} for {perf}")
    wrong = next((way for way in ways if way not in ("max", "min")), None)
    if wrong is not None:
        raise UsageError(f"mode: must be max or min, got {wrong!r}")
    return columns, ways


def _rows(source: Path) -> Sequence[Row]:
    """Return the rows of a table.

    Raises:
        UsageError: The file holds no table.
    """
    if source.suffix == ".csv":
        try:
            return read_csv(source)
        except (UnicodeDecodeError, ValueError) as error:
            raise UsageError(f"file: {source} is no CSV file: {error}") from None
    with path_errors(source):
        try:
            data = json.loads(source.read_text(encoding="utf-8"))
        except (ValueError, RecursionError) as error:
            raise UsageError(f"file: {source} is no JSON: {error}") from None
    if not isinstance(data, list) or not all(isinstance(row, dict) for row in data):
        raise UsageError(f"file: {source} must hold a list of objects, one for each result")
    return data


def _result(row: Row, columns: Sequence[str], source: Path, place: int) -> Any:
    """Return the result of a row; None where it has none."""
    found = []
    for column in columns:
        key = next((one for one in (column, f"perf.{column}") if one in row), None)
        if key is None:
            raise UsageError(f"file: {source}, row {place} has no column {column!r}, only {shown(list(row), 200)}")
        found.append(row[key])
    if any(value is None for value in found):
        return None
    wrong = next((v for v in found if isinstance(v, bool) or not isinstance(v, (int, float)) or v - v != 0), None)
    if wrong is not None:
        raise UsageError(f"file: {source}, row {place}: a result must be a finite number, got {shown(wrong)}")
    return float(found[0]) if len(columns) == 1 else {c: float(v) for c, v in zip(columns, found, strict=True)}


def _configuration(row: Row, space: SearchSpace, source: Path, place: int) -> dict[str, Any]:
    """Return the configuration of a row.

    Raises:
        UsageError: It is none of the space.
    """
    nested = row.get("hp")
    held: dict[str, Any] = nested if isinstance(nested, dict) else {}
    given = {}
    for name in space.names:
        key = f"hp.{name}" if f"hp.{name}" in row else name
        if key in row or name in held:
            value = row[key] if key in row else held[name]
            if value is not None or space[name].contains(None):
                given[name] = value
    try:
        return space.checked({n: v for n, v in given.items() if n in space.active(given)})
    except (SpaceError, LookupError, TypeError) as error:
        text = str(error) if isinstance(error, AutoHPOError) else f"it lacks {error}"
        raise UsageError(f"file: {source}, row {place} is no configuration of the space: {text}") from None
