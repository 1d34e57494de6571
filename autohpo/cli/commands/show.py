"""``autohpo show``: what a run is and how it stands, or all that is known of one trial."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from autohpo.cli.arguments import UsageError, add_store, store_of

if TYPE_CHECKING:
    from autohpo.cli.output import Output

EPILOG = """\
examples:
  autohpo show run.db
  autohpo show run.db --trial 17
  autohpo show run.db --trial 17 --output | less
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    add_store(parser)
    parser.add_argument("--trial", type=int, metavar="N", help="the number of a trial, to show all that is known of it")
    parser.add_argument("--output", action="store_true", help="print what the trial printed, in its last attempt")


def run(args: argparse.Namespace, output: Output) -> None:
    """Print the facts.

    Raises:
        UsageError: There is no such trial, or none was named.
    """
    import shutil

    from autohpo.cli.look.facts import run_facts, run_lines
    from autohpo.cli.look.reading import opened
    from autohpo.cli.look.trial import trial_facts, trial_lines

    if args.output and args.trial is None:
        raise UsageError("--output: needs --trial N, the number of the trial whose output it is")
    with opened(store_of(args)) as run:
        state = run.state()
        if args.trial is None:
            facts = run_facts(run, state)
            lines = run_lines
        else:
            if not -len(state.confirming()) <= args.trial < state.n_asked:
                known = f"0 to {state.n_asked - 1}" if state.n_asked else "none yet"
                raise UsageError(f"trial: there is no trial {args.trial} in {run.path}; there are {known}")
            if args.output:
                _print_output(run.result(state).output(args.trial), args.trial, output)
                return
            facts = trial_facts(run, state, args.trial)
            lines = trial_lines
    if output.is_json:
        output.value({name: value for name, value in facts.items() if not name.startswith("_")})
        return
    width = shutil.get_terminal_size().columns if output.is_terminal else 120
    for line in lines(facts, width):
        output.line(line)


def _print_output(text: str, number: int, output: Output) -> None:
    """Print what a trial printed, as it is; on a terminal without what would change its state."""
    if output.is_json:
        output.value({"number": number, "output": text})
    elif not text:
        output.note(f"trial {number} printed nothing that was kept")
    else:
        if output.is_terminal:
            text = "".join(letter for letter in text if letter.isprintable() or letter in "\n\t")
        output.line(text.removesuffix("\n"))
