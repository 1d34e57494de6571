"""`autohpo tell`: the result of a configuration, or a report on the way to it."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from autohpo.cli import exits
from autohpo.cli.arguments import UsageError, add_store
from autohpo.cli.asking import add_client, add_number, number_of, numbers_of, opened, perf_of, stored_search

if TYPE_CHECKING:
    from autohpo.cli.output import Output
    from autohpo.search import Search
    from autohpo.trial import Trial

EPILOG = """\
examples:
  autohpo tell run.db --number 3 --perf 0.91
  autohpo tell run.db --number 3 --perf acc=0.91 --perf ms=12 --metric epochs=30
  autohpo tell run.db --number 3 --report --fidelity 4 --perf 0.83 || echo stop

exit code 9 after --report: the trial should end now; then tell it with --stopped."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    add_store(parser)
    add_number(parser)
    parser.add_argument(
        "--perf",
        action="append",
        metavar="X",
        help="the result; once for each of several objectives, NAME=X where they have names",
    )
    parser.add_argument("--metric", action="append", metavar="NAME=X", help="a further number; may be repeated")
    parser.add_argument(
        "--constraint", action="append", metavar="NAME=X", help="a measured constraint, at most 0 where it is met"
    )
    parser.add_argument("--cost", type=float, metavar="X", help="what the evaluation cost, as seconds")
    parser.add_argument("--report", action="store_true", help="tell how good a running trial is so far")
    parser.add_argument("--fidelity", type=float, metavar="X", help="with --report: how much training was done")
    parser.add_argument(
        "--stopped",
        action="store_true",
        help="the trial ended early, as a report said; without --perf its last report is its result",
    )
    add_client(parser)


def run(args: argparse.Namespace, output: Output) -> int:
    """Take a result or a report."""
    _check(args)
    with opened(stored_search(args), args.wait, output) as search:
        number = number_of(search, args)
        if args.report:
            return _report(search, number, args, output)
        trial = _tell(search, number, args)
        best = search.state.best
    is_best = best is not None and best.number == trial.number
    if output.is_json:
        output.value({**said_of(trial), "is_best": is_best})
    else:
        perf = trial.perf if len(trial.perfs) == 1 else list(trial.perfs)
        output.line(f"trial {trial.number}: {perf}{', the best so far' if is_best else ''}")
    return exits.OK


def said_of(trial: Trial) -> dict[str, Any]:
    """Return what is printed of a trial that has ended."""
    perfs = trial.perfs
    return {
        "number": trial.number,
        "state": trial.state,
        "perf": None if not perfs else perfs[0] if len(perfs) == 1 else list(perfs),
        "metrics": dict(trial.metrics),
        "constraints": dict(trial.constraints),
        "cost": trial.cost,
        "error": trial.error,
    }


def _check(args: argparse.Namespace) -> None:
    """Raise UsageError unless the arguments fit each other."""
    if args.perf is None and not args.stopped:
        raise UsageError("perf: must be given; for a trial without a result use `autohpo fail`")
    if args.report and args.fidelity is None:
        raise UsageError("fidelity: must be given with --report: how much training was done")
    if args.fidelity is not None and not args.report:
        raise UsageError("fidelity: must be given with --report alone; a result is one of the fidelity that was asked")
    for name in ("stopped", "metric", "constraint", "cost"):
        if args.report and getattr(args, name) not in (None, False):
            raise UsageError(f"{name}: must not be given with --report")


def _report(search: Search, number: int, args: argparse.Namespace, output: Output) -> int:
    """Take a report, and print whether the trial goes on."""
    goes_on = search.report(number, args.fidelity, perf_of(args.perf), client_id=args.client_id)
    if output.is_json:
        output.value({"number": number, "fidelity": args.fidelity, "goes_on": goes_on})
    else:
        output.line("go on" if goes_on else "stop")
    return exits.OK if goes_on else exits.STOP


def _tell(search: Search, number: int, args: argparse.Namespace) -> Trial:
    """Take a result."""
    if args.perf is not None:
        perf = perf_of(args.perf)
    else:
        state = search.state
        reports = state[number].reports if 0 <= number < state.n_asked else ()
        if not reports:
            raise UsageError(f"perf: must be given, as trial {number} has reported nothing")
        perf = reports[-1][1]
    return search.tell(
        number,
        perf,
        constraints=numbers_of(args.constraint, "constraint"),
        metrics=numbers_of(args.metric, "metric"),
        cost=args.cost,
        is_stopped=args.stopped,
        client_id=args.client_id,
    )
