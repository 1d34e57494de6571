"""``autohpo export``: a run as a file of another format, for spreadsheets, other programs, or another machine."""

from __future__ import annotations

import argparse
import math
from typing import TYPE_CHECKING, Any

from autohpo.cli.arguments import UsageError, add_store, store_of

if TYPE_CHECKING:
    from pathlib import Path
    from typing import TextIO

    from autohpo.cli.look.reading import Opened
    from autohpo.cli.output import Output

FORMATS = {"csv": ".csv", "json": ".json", "jsonl": ".jsonl", "parquet": ".parquet", "optuna": ".journal"}
"""The formats, and the ending of a file name that stands for each."""

EPILOG = """\
formats:
  csv, json, parquet   a row or an object for each trial
  jsonl                the whole event log without loss, for `autohpo import`
  optuna               a study in a journal file of Optuna, or in a database:
                       sqlite:///study.db, or any other URL of SQLAlchemy

examples:
  autohpo export run.db --to run.csv
  autohpo export run.db --to run.jsonl
  autohpo export run.db --to - --format json
  autohpo export run.db --to run.journal
  autohpo export run.db --to sqlite:///study.db --study cora
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    add_store(parser)
    parser.add_argument("--to", metavar="FILE", required=True, help="the file to write; - is standard output")
    parser.add_argument("--format", choices=tuple(FORMATS), help="the format; by default that of the file's ending")
    parser.add_argument("--force", action="store_true", help="overwrite a file that is there")
    parser.add_argument("--study", metavar="NAME", help="of optuna: the name of the new study; by default the run's")


def run(args: argparse.Namespace, output: Output) -> None:
    """Write the file.

    Raises:
        UsageError: The format is not known, or the file is there already.
        PathError: The file cannot be written.
        MissingExtraError: Parquet needs pandas and pyarrow, which are not installed.
    """
    from pathlib import Path

    from autohpo.cli.look.files import check_free
    from autohpo.cli.look.reading import opened

    url = store_of(args)
    kind = args.format or _format_of(args.to)
    if args.study is not None and kind != "optuna":
        raise UsageError(f"study: is for the format optuna, got {args.study!r} for {kind}")
    if kind == "optuna":
        _export_study(url, args, output)
        return
    is_stream = args.to == "-"
    if is_stream and kind == "parquet":
        raise UsageError("to: parquet goes to a file, got -")
    place = Path(args.to)
    if not is_stream:
        check_free(place, is_forced=args.force)
    with opened(url) as run:
        path = run.path
        if not is_stream and isinstance(path, Path) and place.exists() and path.exists() and place.samefile(path):
            raise UsageError(f"to: {place} is the store itself")
        n = _write_stream(run, kind, output.stream) if is_stream else _write(run, kind, place)
    if output.is_json and not is_stream:
        output.value({"path": str(place), "format": kind, "n": n})
    else:
        output.note(f"{'standard output' if is_stream else place}: {n:,} {'events' if kind == 'jsonl' else 'trials'}")


def _export_study(url: str, args: argparse.Namespace, output: Output) -> None:
    """Write the run as a study of Optuna."""
    from autohpo.cli.look.reading import opened
    from autohpo.integrations.optuna import to_optuna_storage
    from autohpo.integrations.optuna.storages import quiet
    from autohpo.store import redacted

    if args.to == "-":
        raise UsageError("to: a study goes to a file or into a database, got -")
    if args.force:
        raise UsageError("force: a study is never overwritten; name another one with --study")
    with opened(url) as run, quiet():
        n = to_optuna_storage(run.store, args.to, args.study)
    if output.is_json:
        output.value({"path": redacted(args.to), "format": "optuna", "n": n})
    else:
        output.note(f"{redacted(args.to)}: {n:,} trials")


def _format_of(name: str) -> str:
    if "://" in name:
        return "optuna"
    found = [kind for kind, ending in FORMATS.items() if name.lower().endswith(ending)]
    if not found:
        raise UsageError(f"to: must end with one of {', '.join(FORMATS.values())}, or give --format, got {name!r}")
    return found[0]


def _write(run: Opened, kind: str, place: Path) -> int:
    """Write a file, and return how many trials or events it has."""
    from autohpo.cli.look.files import written

    if kind == "parquet":
        return _write_parquet(run, place)
    with written(place, newline="" if kind == "csv" else None) as file:
        return _write_stream(run, kind, file)


def _write_stream(run: Opened, kind: str, file: TextIO) -> int:
    if kind == "jsonl":
        from autohpo.cli.look.event_log import write_log

        return write_log(file, run.header, run.store.events())
    records = run.result().to_records()
    if kind == "csv":
        from autohpo.tables import print_csv

        print_csv(records, file)
        return len(records)
    _print_json(records, file)
    return len(records)


def _print_json(records: list[dict[str, Any]], file: TextIO) -> None:
    """Write a list of objects, one on each line."""
    import json

    from autohpo.cli.output import as_json

    lines = [json.dumps(as_json(record), ensure_ascii=False) for record in records]
    file.write("[\n" + ",\n".join(lines) + "\n]\n" if lines else "[]\n")


def _is_nan(value: Any) -> bool:
    return isinstance(value, float) and math.isnan(value)


def _write_parquet(run: Opened, place: Path) -> int:
    import importlib.util

    from autohpo.arguments import checked_file, path_errors
    from autohpo.cli.output import as_json
    from autohpo.errors import MissingExtraError
    from autohpo.tables import to_frame

    records = run.result().to_records()
    if importlib.util.find_spec("pyarrow") is None:  # pandas writes with it
        raise MissingExtraError("pyarrow is not installed: pip install 'autohpo[pandas]' pyarrow")
    frame = to_frame(records)
    for name in frame.columns:
        values = frame[name]
        if values.dtype == object:  # a column of parquet has one type
            types = {type(value) for value in values if value is not None and not _is_nan(value)}
            if not types <= {bool} and not types <= {int, float} and not types <= {str}:
                frame[name] = [value if _is_nan(value) else str(as_json(value)) for value in values]
    made = checked_file(place)
    with path_errors(place):
        part = made.with_name(f".{made.name}.part")
        try:
            frame.to_parquet(part, index=False)
            part.replace(made)
        finally:
            part.unlink(missing_ok=True)
    return len(records)
