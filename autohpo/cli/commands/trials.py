"""``autohpo trials``: the trials of a run as a table, for people or for other programs."""

from __future__ import annotations

import argparse
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from autohpo.cli.arguments import UsageError, add_store, store_of

if TYPE_CHECKING:
    from autohpo.cli.output import Output

STATES = ["RUNNING", "COMPLETE", "STOPPED", "FAILED", "INVALID", "CRASHED", "TIMEOUT", "MEMORY", "CANCELLED", "LOST"]
FORMATS = ("table", "csv", "json", "jsonl")
LESS = ("fidelity", "seconds", "resume", "fork", "cost", "attempt", "pid", "started", "error")
"""Columns that follow the configuration in a table; the first two come before it."""

EPILOG = """\
examples:
  autohpo trials run.db --sort perf --limit 10
  autohpo trials run.db --state FAILED --columns number,error
  autohpo trials run.db --format csv > run.csv
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    add_store(parser)
    parser.add_argument(
        "--state",
        action="append",
        metavar="S",
        help=f"only trials in this state, of {', '.join(STATES)}; may be given twice",
    )
    parser.add_argument(
        "--sort", metavar="COLUMN", help="sort by a column: perf from the best on, others from the lowest on"
    )
    parser.add_argument("--reverse", action="store_true", help="the other way round")
    parser.add_argument("--limit", type=int, metavar="N", help="only the first N, after sorting")
    parser.add_argument("--columns", metavar="A,B", help="the columns to print; a parameter is lr or hp.lr")
    parser.add_argument("--format", choices=FORMATS, default="table", help="how to print (default table)")


def run(args: argparse.Namespace, output: Output) -> None:
    """Print the trials.

    Raises:
        UsageError: There is no such state or column, or the limit is below 0.
    """
    from autohpo.cli.look.reading import opened
    from autohpo.tables import columns_of, print_csv

    states = _states(args.state)
    if args.limit is not None and args.limit < 0:
        raise UsageError(f"limit: must be at least 0, got {args.limit}")
    with opened(store_of(args)) as run:
        result = run.result()
    records = result.to_records()
    known = [*columns_of(records)] or ["number", "state", "perf"]
    columns = None if args.columns is None else [column_of(word, known) for word in args.columns.split(",")]
    if states:
        records = [record for record in records if record["state"] in states]
    if args.sort is not None:
        is_max = result.sign > 0
        records = in_order(records, column_of(args.sort, known, "sort"), is_max=is_max, is_reverse=args.reverse)
    elif args.reverse:
        records.reverse()
    records = records[: args.limit]
    kind = "json" if output.is_json and args.format == "table" else args.format
    shown = known if columns is None else columns
    if kind == "csv":
        print_csv(records, output.stream, shown)
    elif kind == "json":
        output.value([_of(record, columns) for record in records])
    elif kind == "jsonl":
        _print_lines(output, records, columns)
    else:
        print_trials(output, records, shown, is_chosen=columns is not None)


def _states(words: Sequence[str] | None) -> set[str]:
    found = {state.upper() for word in words or () for state in word.split(",")}
    unknown = sorted(found - set(STATES))
    if unknown:
        raise UsageError(f"state: must be one of {', '.join(STATES)}, got {unknown[0]!r}")
    return found


def column_of(word: str, known: Sequence[str], option: str = "columns") -> str:
    """Return the column that a word names: as in a file, or without ``hp.``, ``metric.`` and the like.

    Raises:
        UsageError: There is none.
    """
    import difflib

    name = word.strip()
    if name in known:
        return name
    found = [column for column in known if column.partition(".")[2] == name]
    if found:
        return found[0]
    short = [column.removeprefix("hp.") for column in known]
    near = difflib.get_close_matches(name, short, 1)
    hint = f"; did you mean {near[0]!r}?" if near else "."
    raise UsageError(f"{option}: there is no column {name!r}{hint} Columns: {', '.join(known)}")


def in_order(
    records: Sequence[dict[str, Any]], column: str, *, is_max: bool, is_reverse: bool = False
) -> list[dict[str, Any]]:
    """Return records sorted by a column; those without a value there come last, numbers before texts.

    Args:
        records: The records.
        column: The name of the column.
        is_max: Whether a higher perf is better.
        is_reverse: Whether the order is turned round.
    """
    with_value = [record for record in records if record.get(column) is not None]
    others = [record for record in records if record.get(column) is None]
    is_falling = (column == "perf" and is_max) is not is_reverse
    return sorted(with_value, key=lambda record: _key(record[column]), reverse=is_falling) + others


def _key(value: Any) -> tuple[bool, float, str]:
    is_number = isinstance(value, (int, float)) and not math.isnan(value)
    return (False, float(value), "") if is_number else (True, 0.0, str(value))


def _of(record: Mapping[str, Any], columns: Sequence[str] | None) -> Mapping[str, Any]:
    return record if columns is None else {name: record[name] for name in columns if name in record}


def _print_lines(output: Output, records: Sequence[Mapping[str, Any]], columns: Sequence[str] | None) -> None:
    import json

    from autohpo.cli.output import as_json

    for record in records:
        output.line(json.dumps(as_json(_of(record, columns)), ensure_ascii=False))


def print_trials(
    output: Output, records: Sequence[Mapping[str, Any]], columns: Sequence[str], *, is_chosen: bool
) -> None:
    """Print records as a table, for people: what is the same everywhere, or empty, is left out unless it was chosen.

    Args:
        output: Where to print.
        records: The records.
        columns: The names of the columns.
        is_chosen: Whether the user named them.
    """
    from autohpo.cli.look.tables import print_fitting
    from autohpo.cli.look.words import error_line, moment

    def shown(name: str, value: Any) -> Any:
        if name == "error":
            return error_line(value) or None
        if not output.is_terminal:
            return repr(value) if isinstance(value, float) else value
        return moment(value) if name == "started" else value

    rows = [{_short(name): shown(name, record.get(name)) for name in columns} for record in records]
    names = [_short(name) for name in columns]
    if not is_chosen and output.is_terminal:
        metrics = [name for name in names if name.startswith("metric.")]
        first = [name for name in names if name not in (*LESS, *metrics)]
        first[3:3] = [name for name in LESS[:2] if name in names]
        names = [*first, *metrics, *(name for name in LESS[2:] if name in names and name != "started")]
        plain = {"fork": None, "resume": None, "attempt": 1, "pid": 0}
        names = [n for n in names if any(row[n] not in (None, "", plain.get(n)) for row in rows)] or names[:3]
    if not rows:
        output.note("no trial")
        return
    print_fitting(output, rows, names, "--columns A,B chooses, --format csv has all")


def _short(name: str) -> str:
    return name.removeprefix("hp.")
