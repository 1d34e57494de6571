"""`autohpo repair`: what is whole of a damaged store, in a new one."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from autohpo.cli.arguments import add_store, store_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from autohpo.cli.output import Output
    from autohpo.store import Repaired

EPILOG = """\
examples:
  autohpo repair run.db                     makes run.repaired.db
  autohpo repair run.db --to saved.db
  autohpo repair postgresql://host/lab/run --to saved.db

The damaged store stays as it is. Checkpoints and logs (run.db.files) are not copied."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    add_store(parser)
    parser.add_argument(
        "--to", metavar="NEW", help="path of the new store; by default beside, with .repaired in its name"
    )


def run(args: argparse.Namespace, output: Output) -> None:
    """Write the new store, and say what is in it."""
    from autohpo.cli.arguments import UsageError
    from autohpo.cli.commands.doctor import path_of
    from autohpo.store import repair
    from autohpo.store.postgres_salvage import repair_study
    from autohpo.store.postgres_url import is_postgres

    url = store_of(args, must_exist=False)
    if is_postgres(url):
        if args.to is None:
            raise UsageError("to: must name a new file where a study of a database is repaired, as in --to saved.db")
        made = repair_study(url, args.to)
    else:
        made = repair(path_of(url), args.to)
    if output.is_json:
        output.value(_dict(made))
        return
    for sentence in _sentences(made):
        output.line(sentence)


def _dict(made: Repaired) -> dict[str, Any]:
    """What was repaired, in JSON types."""
    names = ("n_found", "n_lost", "lost", "n_written", "dropped", "has_header", "is_renumbered")
    return {"path": str(made.path), "to": str(made.to), **{name: getattr(made, name) for name in names}}


def _sentences(made: Repaired) -> Iterator[str]:
    """Yield what was repaired, a sentence each."""
    yield f"In {made.path}, {made.n_found} events are whole."
    if made.n_lost:
        places = [f"{a}" if a == b else f"{a} to {b}" for a, b in made.lost[:10]]
        more = " and more" if len(made.lost) > 10 else ""
        yield f"Lost: {made.n_lost}, in the log at {', '.join(places)}{more}."
    else:
        yield "No other event is missing, as far as is known."
    for why, n in made.dropped.items():
        yield f"Of those found, {n} cannot be used: {why}."
    yield f"The new store, {made.to}, has {made.n_written} events."
    if not made.has_header:
        yield "Which run it was is lost: use the new store with the space, the algorithm and the options it had."
    if made.is_renumbered:
        yield "Trials behind a lost one have new numbers, so checkpoints of the old store do not fit them."
    if made.n_written and made.has_header:
        yield f"Go on with it in place of the old one: autohpo show {made.to}"
