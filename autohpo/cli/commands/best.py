"""``autohpo best``: the best configuration of a run, in a form that a program, a shell or a person reads."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from autohpo.cli.arguments import UsageError, add_store, store_of

if TYPE_CHECKING:
    from autohpo.cli.output import Output
    from autohpo.result import Result
    from autohpo.trial import Trial

EPILOG = """\
examples:
  autohpo best run.db
  autohpo best run.db --top 5
  python train.py $(autohpo best run.db --format args)
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    add_store(parser)
    parser.add_argument(
        "--top",
        type=int,
        metavar="K",
        help="print the K best trainings; of several objectives the first K of the front",
    )
    parser.add_argument(
        "--format",
        choices=("table", "json", "yaml", "args"),
        default="table",
        help="table for people, json, yaml, or args: --name value for a command line (default table)",
    )


def run(args: argparse.Namespace, output: Output) -> None:
    """Print the best configuration.

    Raises:
        UsageError: K is below 1.
        NoResultError: No trial has a result.
    """
    from autohpo.cli.look.reading import opened
    from autohpo.cli.look.telling import describe, lines_of

    if args.top is not None and args.top < 1:
        raise UsageError(f"top: must be at least 1, got {args.top}")
    with opened(store_of(args)) as run:
        result = run.leading(args.top or 1)
    kind = "json" if output.is_json else args.format
    is_many = args.top is not None or result.objectives.n > 1
    best = result.best
    trials = [best] if args.top is None else result.top(args.top)
    if result.objectives.n > 1:
        trials = result.pareto or [best]
        trials = trials if args.top is None else trials[: args.top]
    said = [describe(result, trial) for trial in trials]
    if kind == "json":
        output.value(said if is_many else said[0])
    elif kind == "yaml":
        output.line(_yaml(said if is_many else said[0]))
    elif kind == "args":
        from autohpo.cli.look.words import as_arguments

        for trial in trials if args.top is not None else [best]:
            output.line(as_arguments(trial.hp))
    elif is_many:
        _print_table(output, result, trials)
    else:
        for line in lines_of(result, best):
            output.line(line)


def _print_table(output: Output, result: Result, trials: list[Trial]) -> None:
    from autohpo.cli.look.tables import print_fitting

    names = [name or ("perf" if result.objectives.n == 1 else str(k)) for k, name in enumerate(result.objectives.names)]
    rows = []
    for trial in trials:
        row: dict[str, Any] = {"trial": trial.number, **dict(zip(names, trial.perfs, strict=False))}
        if trial.fidelity is not None:
            row["fidelity"] = trial.reached
        confirmed = next((one for one in result.confirmed if one.trial.number == trial.number), None)
        if confirmed is not None and confirmed.mean is not None:
            row["mean"] = confirmed.mean
        rows.append(row | dict(trial.hp))
    columns = list(dict.fromkeys(name for row in rows for name in row))
    print_fitting(output, rows, columns, "--format yaml has all")


def _yaml(value: Any) -> str:
    import yaml

    from autohpo.cli.output import as_json

    return str(yaml.safe_dump(as_json(value), sort_keys=False, allow_unicode=True)).rstrip()
