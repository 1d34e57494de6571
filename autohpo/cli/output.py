"""What commands print: text for people, tab-separated columns for pipes, and JSON for programs."""

from __future__ import annotations

import contextlib
import json
import math
import sys
from collections.abc import Mapping, Sequence
from typing import Any, TextIO

__all__ = ["Output", "as_json", "cell"]


class Output:
    """Where a command prints, and in which form.

    Args:
        is_json: Whether everything is JSON: one value on standard output, errors as an object on standard error.
        stream: The stream of results; None is standard output.
        errors: The stream of everything else; None is standard error.
    """

    def __init__(self, *, is_json: bool = False, stream: TextIO | None = None, errors: TextIO | None = None) -> None:
        self.is_json = is_json
        self.stream = sys.stdout if stream is None else stream
        self.errors = sys.stderr if errors is None else errors

    @property
    def is_terminal(self) -> bool:
        """Whether results go to a terminal."""
        try:
            return self.stream.isatty()
        except (AttributeError, ValueError):
            return False

    def value(self, value: Any) -> None:
        """Print a value as JSON, on lines of its own."""
        print(_json_for(self.stream, as_json(value), indent=2 if self.is_terminal else None), file=self.stream)

    def flush(self) -> None:
        """Hand on what was printed so far; a standard output that is closed has nothing."""
        if self.stream is not None:
            self.stream.flush()

    def line(self, text: str = "") -> None:
        """Print a line of a result."""
        print(text, file=self.stream)

    def note(self, text: str) -> None:
        """Print a remark, which is no result, to standard error; nothing where everything is JSON."""
        if not self.is_json:
            self._say(text)

    def error(self, fault: BaseException) -> None:
        """Print an error to standard error."""
        text = str(fault) or type(fault).__name__
        if self.is_json:
            said = {"error": {"type": type(fault).__name__, "message": text}}
            self._say(_json_for(self.errors, said))
        else:
            self._say(f"autohpo: {text}")

    def _say(self, text: str) -> None:
        """Print to standard error; where it is closed, or full, the exit code has to be enough."""
        if self.errors is not None:  # `print` would take standard output
            with contextlib.suppress(OSError):
                print(text, file=self.errors)

    def table(self, rows: Sequence[Mapping[str, Any]], columns: Sequence[str] | None = None) -> None:
        """Print rows: as JSON, as a table on a terminal, or tab-separated with a header elsewhere.

        Args:
            rows: The rows, a mapping each.
            columns: The names of the columns; None takes all that occur, in the order in which they come.
        """
        if self.is_json:
            self.value([dict(row) for row in rows])
            return
        names = list(dict.fromkeys(name for row in rows for name in row)) if columns is None else list(columns)
        if not names:
            return
        if self.is_terminal:
            self._rich_table(rows, names)
            return
        self.line("\t".join(names))
        for row in rows:
            self.line("\t".join(_flat(cell(row.get(name))) for name in names))

    def _rich_table(self, rows: Sequence[Mapping[str, Any]], names: Sequence[str]) -> None:
        from rich import box
        from rich.console import Console
        from rich.table import Table
        from rich.text import Text

        table = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="bold")
        for name in names:
            is_number = any(isinstance(row.get(name), (int, float)) for row in rows)
            table.add_column(Text(name), justify="right" if is_number else "left", overflow="ellipsis", no_wrap=True)
        for row in rows:
            table.add_row(*(Text(_flat(cell(row.get(name)))) for name in names))
        Console(file=self.stream).print(table)


def cell(value: Any) -> str:
    """Return a value as a cell of a table shows it; the empty string for None."""
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, Mapping):
        return ", ".join(f"{name}={cell(item)}" for name, item in value.items())
    return ", ".join(map(cell, value)) if isinstance(value, (list, tuple)) else str(value)


def _json_for(stream: TextIO, value: Any, *, indent: int | None = None) -> str:
    """Return JSON that a stream can hold: with escapes where its encoding lacks a character, as for odd paths."""
    text = json.dumps(value, indent=indent, ensure_ascii=False, allow_nan=False)
    try:
        text.encode(getattr(stream, "encoding", None) or "utf-8")
    except UnicodeEncodeError:
        return json.dumps(value, indent=indent, allow_nan=False)
    return text


def _flat(text: str) -> str:
    """Return a text without what would end a cell or a row."""
    return text.replace("\t", " ").replace("\r", " ").replace("\n", " ")


def as_json(value: Any) -> Any:
    """Return a value in JSON types: a number that JSON cannot hold, and whatever else, as its text."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return str(getattr(value, "value", value))  # the member of an enumeration is its value
    if isinstance(value, Mapping):
        return {str(as_json(name)): as_json(item) for name, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [as_json(item) for item in value]
    item = getattr(value, "item", None)
    if item is not None and getattr(value, "ndim", None) == 0:
        return as_json(item())
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else str(value)
    return value.__name__ if callable(value) and hasattr(value, "__name__") else str(value)
