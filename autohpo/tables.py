"""Tables of trials: records as a data frame or a CSV file, in which None, missing values and integers stay apart."""

from __future__ import annotations

import ast
import csv
import math
import os
import warnings
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, TextIO

from autohpo.arguments import checked_file, path_errors
from autohpo.errors import MissingExtraError, text_of

if TYPE_CHECKING:
    import pandas as pd

Record = Mapping[str, Any]

_MISSING = object()
_NATIVE = {bool: "bool", int: "int64", float: "float64"}  # types with a column type of their own in numpy
_LARGEST = 2**63
_TEXTS = ("state", "error")


def to_frame(records: Sequence[Record]) -> pd.DataFrame:
    """Return a data frame with a row for each record.

    ====================================  ============================================================
    column                                what it holds
    ====================================  ============================================================
    of one type of number, or bool        that type, as numpy has it
    floats, some missing                  float, NaN where missing
    strings, some missing                 pandas' own string type, NaN where missing
    anything else                         the very values (dtype object), NaN where missing
    ====================================  ============================================================

    So a configuration's None stays None, an integer an integer, and a parameter that is not active is NaN. Of the
    other columns None is "missing", too.

    Raises:
        MissingExtraError: pandas is not installed.
    """
    try:
        import pandas as pd
    except ImportError as error:
        raise MissingExtraError("pandas is not installed: pip install 'autohpo[pandas]'") from error
    columns, strings = {}, pd.Series(["text"]).dtype  # what this version of pandas has for strings
    for name in columns_of(records):
        values = _values(records, name)
        dtype: Any = "str" if name in _TEXTS else _dtype(values, is_hp=name.startswith("hp."))
        filled = [math.nan if value is _MISSING else value for value in values]
        columns[name] = pd.Series(filled, dtype=strings if dtype == "str" else dtype)
    return pd.DataFrame(columns)


def write_csv(records: Sequence[Record], path: str | os.PathLike[str]) -> None:
    """Write records to a CSV file; :func:`read_csv` gives them back.

    An empty cell is a missing value. A string stands as it is, unless it could be taken for something else: then it is
    quoted as Python quotes it, as all other values are written as Python writes them (None, True, 3, 0.5, [8, 16]).

    Args:
        records: The records.
        path: The path of the file, which is overwritten.

    Raises:
        PathError: The file cannot be written.
    """
    place = checked_file(path)
    with path_errors(path), place.open("w", newline="", encoding="utf-8", errors="backslashreplace") as file:
        print_csv(records, file)


def print_csv(records: Sequence[Record], file: TextIO, columns: Sequence[str] | None = None) -> None:
    """Write records to an open text file as :func:`write_csv` does.

    Args:
        records: The records.
        file: The file, opened with ``newline=""``.
        columns: The names of the columns; None takes all.
    """
    names = columns_of(records) if columns is None else columns
    writer = csv.writer(file)
    writer.writerow(names)
    for record in records:
        writer.writerow([_text(record[name], name) if name in record else "" for name in names])


def read_csv(path: str | os.PathLike[str]) -> list[dict[str, Any]]:
    """Return the records of a CSV file that :func:`write_csv` wrote.

    A value that is no plain Python value (a function, an object) comes back as its text.

    Raises:
        PathError: The file cannot be read.
    """
    place = checked_file(path)
    with path_errors(path), place.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    return [
        {
            name: text if name in _TEXTS else _value(text)
            for name, text in row.items()
            if text or not name.startswith(_OPTIONAL)
        }
        for row in rows
    ]


_OPTIONAL = ("hp.", "metric.", "constraint.", "perf.")
"""Columns that a record has only where it has a value there."""


def columns_of(records: Sequence[Record]) -> list[str]:
    """Return the names of all columns of some records, in the order in which they come."""
    return list(dict.fromkeys(name for record in records for name in record))


def _values(records: Sequence[Record], name: str) -> list[Any]:
    """Return a column; `_MISSING` where a record has no value."""
    values = [record.get(name, _MISSING) for record in records]
    return values if name.startswith("hp.") else [_MISSING if value is None else value for value in values]


def _dtype(values: Sequence[Any], *, is_hp: bool) -> str:
    """Return the type of a column that keeps all its values as they are."""
    types = {type(value) for value in values if value is not _MISSING}
    if not is_hp and types == {int, float}:
        types = {float}  # of a measured number the kind says nothing
    is_full = not any(value is _MISSING for value in values)
    if types <= {float}:
        return "float64"
    if types == {str}:
        return "str"
    if len(types) == 1 and is_full:
        (only,) = types
        is_small = only is not int or all(-_LARGEST <= value < _LARGEST for value in values)
        return _NATIVE.get(only, "object") if is_small else "object"
    return "object"


def _text(value: Any, name: str) -> str:
    """Return the cell of a value."""
    if name in _TEXTS:
        return str(value)
    if value is None and not name.startswith("hp."):
        return ""
    if isinstance(value, str):
        is_plain = value.replace("\n", "").replace("\t", "").isprintable() and _value(value) == value
        return value if value and is_plain else repr(value)
    if getattr(value, "ndim", None) == 0:  # a numpy scalar
        value = value.item()
    return value.__name__ if callable(value) and hasattr(value, "__name__") else text_of(value)


def _value(text: str) -> Any:
    """Return the value of a cell."""
    if not text:
        return None
    if text in ("nan", "inf", "-inf"):
        return float(text)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of escapes in a text that only looks like Python's
        try:
            return ast.literal_eval(text)
        except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
            return text
