"""``autohpo report``: the result of a run as one HTML page."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from autohpo.cli.arguments import UsageError, add_store, store_of

if TYPE_CHECKING:
    from pathlib import Path

    from autohpo.cli.output import Output

EPILOG = """\
examples:
  autohpo report run.db
  autohpo report run.db --to page.html --title "Learning rates"
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    add_store(parser)
    parser.add_argument("--to", metavar="FILE.html", help="where the page goes; by default beside the store")
    parser.add_argument("--title", help="the title of the page; by default the name of the run")
    parser.add_argument("--force", action="store_true", help="overwrite a file that is no HTML page")


def run(args: argparse.Namespace, output: Output) -> None:
    """Write the page.

    Raises:
        UsageError: The file is there, and is no page.
        PathError: The file cannot be written.
    """
    from pathlib import Path

    from autohpo.cli.look.reading import opened
    from autohpo.report import write_html
    from autohpo.report.html import TITLE
    from autohpo.report.origin import origin_of

    with opened(store_of(args)) as run:
        beside = run.path.with_suffix(".html") if isinstance(run.path, Path) else Path(f"{run.path.name}.html")
        place = beside if args.to is None else Path(args.to)
        if not args.force:
            _check_free(place)
        title = args.title or run.header.get("name") or TITLE
        write_html(run.result(), place, title=title, space=run.space, origin=origin_of(run.header))
    if output.is_json:
        output.value({"path": str(place)})
    else:
        output.line(str(place))


def _check_free(place: Path) -> None:
    """Raise UsageError where a file would be lost that is no page: an earlier page may be written over."""
    if place.is_file() and place.stat().st_size:
        with place.open("rb") as file:
            is_page = file.read(15).lower() == b"<!doctype html>"
        if not is_page:
            raise UsageError(f"to: {place} is there and is no HTML page; give --force to overwrite it")
