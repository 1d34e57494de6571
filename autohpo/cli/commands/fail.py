"""`autohpo fail`: a configuration that has no result."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from autohpo.cli.arguments import add_store
from autohpo.cli.asking import add_client, add_number, number_of, opened, stored_search

if TYPE_CHECKING:
    from autohpo.cli.output import Output

EPILOG = """\
examples:
  autohpo fail run.db --number 3 --reason "CUDA out of memory" --state MEMORY
  autohpo fail run.db --number 3 --reason "its machine is gone"

The algorithm learns that the configuration failed, and goes on without it."""

STATES = ("FAILED", "INVALID", "CRASHED", "TIMEOUT", "MEMORY")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    add_store(parser)
    add_number(parser)
    parser.add_argument("--reason", required=True, metavar="TEXT", help="why there is no result; kept with the trial")
    parser.add_argument(
        "--state",
        type=str.upper,
        choices=STATES,
        default="FAILED",
        help="how the trial ended (default FAILED: it raised an error)",
    )
    add_client(parser)


def run(args: argparse.Namespace, output: Output) -> None:
    """Take the end of a trial without a result."""
    from autohpo.cli.commands.tell import said_of
    from autohpo.trial import TrialState

    with opened(stored_search(args), args.wait, output) as search:
        number = number_of(search, args)
        trial = search.fail(number, args.reason, TrialState(args.state), client_id=args.client_id)
    if output.is_json:
        output.value(said_of(trial))
    else:
        output.line(f"trial {trial.number}: {trial.state}")
