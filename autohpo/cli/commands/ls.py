"""``autohpo ls``: the stores of a folder, or the studies of a database, and how each run stands."""

from __future__ import annotations

import argparse
import os
from typing import TYPE_CHECKING, Any

from autohpo.cli.arguments import VARIABLE, NoStoreError

if TYPE_CHECKING:
    from autohpo.cli.output import Output

EPILOG = """\
examples:
  autohpo ls
  autohpo ls runs --recursive
  autohpo ls postgresql://host/lab
"""

MOST = 240
"""Letters of an error that stand below the table, in one line; JSON has all of it."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.add_argument(
        "folder",
        nargs="?",
        metavar="FOLDER",
        help=f"a folder, or the URL of a database; by default that of ${VARIABLE}, else the current folder",
    )
    parser.add_argument("-r", "--recursive", action="store_true", help="also the folders in it")
    parser.add_argument(
        "--best", action="store_true", help="tell the best of every run, also of very long ones, which takes longer"
    )


def run(args: argparse.Namespace, output: Output) -> None:
    """Print the stores.

    Raises:
        NoStoreError: There is no such folder.
    """
    from autohpo.store.postgres_url import is_postgres

    named = os.environ.get(VARIABLE, "")
    if is_postgres(args.folder or named):
        from autohpo.cli.look.studies import database_of, listed_studies

        url = args.folder or named
        _print(listed_studies(url, is_all=args.best), database_of(url), args, output)
        return
    from pathlib import Path

    from autohpo.cli.look.listing import listed, stores_in
    from autohpo.control import store_path

    folder = Path(args.folder) if args.folder else store_path(named).parent if named else Path()
    if not folder.is_dir():
        raise NoStoreError(f"folder: there is no folder {folder}")
    _print(listed(stores_in(folder, is_deep=args.recursive), folder, is_all=args.best), str(folder), args, output)


def _print(rows: list[dict[str, Any]], where: str, args: argparse.Namespace, output: Output) -> None:
    import time

    from autohpo.cli.look.listing import TRIALS_READ
    from autohpo.cli.look.tables import print_fitting
    from autohpo.cli.look.words import ago, brief

    if output.is_json:
        output.value(rows)
        return
    if not rows:
        output.note(f"there is no store in {where}")
        return
    now = time.time()
    ages = [None if row["changed"] is None else ago(now - row["changed"]).removesuffix(" ago") for row in rows]
    shown = [row | {"changed": age} for row, age in zip(rows, ages, strict=True)]
    names = ["store", "name", "algorithm", "trials", "best", "state", "changed"]
    names = [name for name in names if name != "name" or any(row["name"] for row in rows)]
    print_fitting(output, shown, names, "--json has all", spared=("name", "algorithm"))
    for row in rows:
        if "error" in row:
            output.note(brief(" ".join(row["error"].split()), MOST))
    n_trials = sum(row["trials"] or 0 for row in rows)
    if n_trials > TRIALS_READ and any(row["best"] is None for row in rows) and not args.best:
        output.note("the best of the longest runs is left out; --best tells of all")
