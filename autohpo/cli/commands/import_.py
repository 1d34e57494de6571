"""``autohpo import``: a store from a file that another program, or another machine, wrote."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from autohpo.cli.arguments import UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from autohpo.cli.output import Output
    from autohpo.store import Store

KNOWN = (
    "the event log that `autohpo export --format jsonl` writes, a store that goes into a database or comes from one, a "
    "folder of HpBandSter with configs.json and results.json, a study of Optuna in a database or a journal file, or a "
    "table of results (.csv or .json) with --space"
)

EPILOG = """\
formats:
  the event log that `autohpo export` writes as .jsonl, back without loss
  a store: a file that goes into a PostgreSQL database, or a study from there
  a folder of HpBandSter, with configs.json and results.json
  a study of Optuna, in an SQLite file, any database or a journal file
  a table of known results, .csv or .json, with --space; they become known
  results of a new run

examples:
  autohpo import run.jsonl --to run.db
  autohpo import run.db --to postgresql://host/lab/run
  autohpo import postgresql://host/lab/run --to run.db
  autohpo import bohb_logs/ --to run.db
  autohpo import sqlite:///study.db --to run.db
  autohpo import results.csv --space space.yaml --mode min --to run.db
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.add_argument("file", metavar="FILE", help="the file or folder to read, or the URL of a store")
    parser.add_argument("--to", metavar="NEW.db", required=True, help="path or URL of the store to write")
    parser.add_argument("--force", action="store_true", help="overwrite a store that is there")
    parser.add_argument("--name", default="", help="a name of the run, where the file has none")
    parser.add_argument("--space", metavar="FILE", help="of a table: a YAML or TOML file with the space")
    parser.add_argument("--mode", metavar="WAY", help="of a table: max or min, which way is better (default max)")
    parser.add_argument(
        "--perf",
        metavar="COLUMN",
        help="of a table: the column with the results (default perf); a,b for two objectives",
    )
    parser.add_argument("--algorithm", metavar="NAME", help="of a table: who goes on with the run (default auto)")
    parser.add_argument("--study", metavar="NAME", help="of Optuna: the name of the study, where there are several")


def run(args: argparse.Namespace, output: Output) -> None:
    """Write the store.

    Raises:
        UsageError: The file is of no format that is known, is damaged, or there is a store already.
        StoreError: The store cannot be written.
    """
    from pathlib import Path

    from autohpo.cli.look.target import target_of
    from autohpo.store.postgres_url import is_postgres, redacted

    source = Path(redacted(args.file))
    is_study = is_postgres(args.file)
    is_database = "://" in args.file and not is_study
    kind = "store" if is_study else "optuna" if is_database else _kind_of(source, is_copied=is_postgres(args.to))
    if kind != "optuna" and args.study is not None:
        raise UsageError(f"study: is for studies of Optuna; {source} is none")
    if kind != "table":
        given = [name for name in ("space", "mode", "perf", "algorithm") if getattr(args, name) is not None]
        if given:
            raise UsageError(f"{given[0]}: is for tables of results; {source} says itself what it is")
    with target_of(args.to, is_forced=args.force) as target:
        if kind == "store":
            n, what = _copied(args.file, target.made, args, output), "events"
        elif kind == "optuna":
            n, what = _import_study(args, target.made), "trials"
        else:
            n, what = _written(kind, source, target.made, args)
        target.take_place()
    if output.is_json:
        output.value({"path": str(target.place), "from": kind, "n": n})
    else:
        output.note(f"{target.place}: {n:,} {what}")


def _import_study(args: argparse.Namespace, made: Path | str) -> int:
    """Write a study of Optuna as a run, and return how many trials it has."""
    from pathlib import Path

    from autohpo.integrations.optuna import from_optuna_storage
    from autohpo.integrations.optuna.storages import quiet

    is_file = "://" not in args.file
    source = args.file
    if is_file:
        with Path(source).open("rb") as file:
            if file.read(6) == b"SQLite":
                source = f"sqlite:///{Path(source).resolve()}"
    with quiet():
        return len(from_optuna_storage(source, made, args.study, name=args.name))


def _has_studies(source: Path) -> bool:
    """Return whether an SQLite file has the tables of Optuna."""
    import sqlite3
    from contextlib import closing

    try:
        with closing(sqlite3.connect(f"{source.resolve().as_uri()}?mode=ro", uri=True)) as db:
            found = db.execute("SELECT count(*) FROM sqlite_master WHERE name IN ('studies', 'trials')").fetchone()
    except sqlite3.Error:
        return False
    return bool(found[0] == 2)


def _kind_of(source: Path, *, is_copied: bool) -> str:
    """Return what a file or folder is.

    Args:
        source: Its path.
        is_copied: Whether a store is to be copied.

    Raises:
        UsageError: It is nothing that can be read; the text says what can.
    """
    if not source.exists():
        raise UsageError(f"file: there is no {source}")
    if source.is_dir():
        if (source / "configs.json").is_file() and (source / "results.json").is_file():
            return "hpbandster"
        raise UsageError(f"file: {source} is a folder without configs.json and results.json; known are {KNOWN}")
    from autohpo.store.rows import APPLICATION_ID

    try:
        with source.open("rb") as file:
            head = file.read(100)
    except OSError as error:
        raise UsageError(f"file: {source} cannot be read: {error}") from None
    if head.startswith(b"SQLite format 3\0"):
        if head[68:72] != APPLICATION_ID.to_bytes(4, "big") and _has_studies(source):
            return "optuna"
        if is_copied:
            return "store"
        raise UsageError(f"file: {source} is a store already; autohpo reads it as it is")
    if head.startswith(b'{"op_code"'):
        return "optuna"
    if head.lstrip().startswith(b'{"autohpo"') or source.suffix == ".jsonl":
        return "jsonl"
    if source.suffix in (".csv", ".json"):
        return "table"
    raise UsageError(f"file: the format of {source} is not known; known are {KNOWN}")


def _copied(url: str, made: Path | str, args: argparse.Namespace, output: Output) -> int:
    """Copy a run from one kind of store into another, and return how many events it has."""
    from autohpo.cli.look.reading import opened
    from autohpo.control import driver_of
    from autohpo.store import copy_run, open_store

    with opened(url) as run:
        holder = driver_of(url)
        if holder is not None:
            output.note(f"autohpo: {run.path} is in use by {holder}; what is copied is the run as it is now")
        if args.name:
            output.note("autohpo: a run that is copied keeps the name that it has")
        target: Store = open_store(made)
        target.open()
        try:
            n = copy_run(run.store, target)
        finally:
            target.close()
        if run.store.files.is_dir():
            output.note(f"autohpo: checkpoints and logs are not copied: {run.store.files}")
    return n


def _written(kind: str, source: Path, made: Path | str, args: argparse.Namespace) -> tuple[int, str]:
    """Write a store, and return how many events or trials it has, and which of these."""
    if kind == "jsonl":
        return _import_log(source, made, args.name), "events"
    if kind == "hpbandster":
        from autohpo.integrations.hpbandster import import_results

        return len(import_results(str(source), made, name=args.name)), "trials"
    from autohpo.cli.look.table_import import import_table

    if args.space is None:
        raise UsageError(f"space: must be given for a table of results, as a YAML or TOML file; {source} is one")
    n, n_without = import_table(
        source,
        made,
        args.space,
        perf=args.perf or "perf",
        mode=args.mode or "max",
        algorithm=args.algorithm or "auto",
        name=args.name,
    )
    return n, "known results" + f"; {n_without:,} rows have none and are left out" * (n_without > 0)


def _import_log(source: Path, made: Path | str, name: str) -> int:
    from autohpo.arguments import path_errors
    from autohpo.cli.look.event_log import read_log
    from autohpo.store import open_store

    with path_errors(source), source.open(encoding="utf-8") as file:
        try:
            header, events = read_log(file, str(source))
        except UnicodeDecodeError as error:
            raise UsageError(f"file: {source} is no text: {error}") from None
    if name and not header.get("name"):
        header["name"] = name
    store = open_store(made)
    store.open()
    try:
        store.begin(header)
        for start in range(0, len(events), 10_000):
            store.append(events[start : start + 10_000], sync=False)
        store.append([])
    finally:
        store.close()
    return len(events)
