"""How good suggestions are: normalised regret of many optimizers, ours and others', on many tasks.

    python benchmarks/regret.py run --optimizer tpe --tasks dev              # an algorithm of autohpo
    python benchmarks/regret.py run --optimizer optuna-tpe --tasks all       # a rival: needs numpy and the rival only
    python benchmarks/regret.py run --optimizer tpe --option n_startup=20 --label tpe-20 --results /tmp/mine
    python benchmarks/regret.py report                                       # the tables, as Markdown

Regret is 0 at the best known value and 1 at the median of random configurations, clipped to [0, 2]. Every optimizer has
a CSV file of results; `run` appends what is missing there, `--again` makes the rows anew. Choose settings on the tasks
of `dev` only: those of `report` are there to be reported.
"""

from __future__ import annotations

import os

os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", MKL_NUM_THREADS="1")  # numpy reads them when imported

import argparse
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))  # for runs from elsewhere, and by path from a test

from suite.catalogue import make_task, names_of
from suite.race import CHECKPOINTS, race
from suite.results import ResultFile
from suite.rivals import RIVALS, Setting, make_optimizer, version_of

RESULTS = Path(__file__).parent / "results"


def run(arguments: argparse.Namespace) -> int:
    """Runs what is missing in the file of one optimizer, and says which tasks cannot be run here."""
    name, budget, in_flight = arguments.optimizer, arguments.budget, arguments.in_flight
    options = dict(map(_option, arguments.option))
    if options and not arguments.label:
        raise ValueError("--label: must name the results of a run with options")
    results = ResultFile(arguments.results / f"{arguments.label or name}.csv")
    seeds = range(arguments.first_seed, arguments.first_seed + arguments.seeds)
    wanted = [(task, seed, in_flight) for task in names_of(arguments.tasks) for seed in seeds]
    if arguments.again:
        results.forget(wanted)
    done = {key for key, one in results.read().items() if one.evaluations >= budget}
    version, without = version_of(name), set()
    for key in wanted:
        if key in done or key[0] in without:
            continue
        try:
            task = make_task(key[0])
        except ImportError as error:
            print(f"{key[0]}: not run here: {error}", flush=True)
            without.add(key[0])
            continue
        optimizer = make_optimizer(name, Setting(task.space, key[1], budget, in_flight, options))
        found = race(optimizer, task, key[1], budget, in_flight)
        results.append(replace(found, version=version))
        regrets = " ".join(f"{task.regret(value):6.4f}" for value in found.values)
        print(f"{key[0]:24s} seed {key[1]}  regret {regrets}  CPU {found.cpu_seconds:.2f} s", flush=True)
    return 1 if without else 0


def _option(text: str) -> tuple[str, Any]:
    """``name=value``, where the value is JSON or else a text."""
    name, _, value = text.partition("=")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value


def report(arguments: argparse.Namespace) -> int:
    """Prints the tables of everything in the folder of results, or of the optimizers named."""
    from suite.report import Shown, print_report

    paths = sorted(arguments.results.glob("*.csv"))
    if arguments.optimizers:
        paths = [arguments.results / f"{name}.csv" for name in arguments.optimizers.split(",")]
        missing = [path.name for path in paths if not path.exists()]
        if missing:
            raise ValueError(f"--optimizers: must have a file of results each, got none for {missing}")
    runs = {path.stem: ResultFile(path).read() for path in paths}
    print_report(runs, Shown(arguments.tasks, arguments.seeds, arguments.in_flight, arguments.against))
    return 0


def refer(arguments: argparse.Namespace) -> int:
    """Finds reference values anew."""
    from suite.refer import write_reference

    write_reference(arguments.tasks, arguments.evaluations)
    return 0


def main(argv: list[str] | None = None) -> int:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    one = commands.add_parser("run", help="run one optimizer where its results are missing")
    one.set_defaults(command=run)
    one.add_argument("--optimizer", required=True, help=f"{', '.join(RIVALS)}; or an algorithm of autohpo")
    one.add_argument("--label", help="name of the results (default: the optimizer's)")
    one.add_argument("--option", action="append", default=[], metavar="NAME=JSON", help="handed to the optimizer")
    one.add_argument("--first-seed", type=int, default=0)
    one.add_argument("--budget", type=int, default=100, choices=CHECKPOINTS)
    one.add_argument("--again", action="store_true", help="forget the results there are for these tasks and seeds")
    table = commands.add_parser("report", help="print the tables")
    table.set_defaults(command=report)
    table.add_argument("--optimizers", help="names of result files, parted by commas (default: all there are)")
    table.add_argument("--against", help="print each one's difference to this one, run by run")
    for command in (one, table):
        command.add_argument("--tasks", default="all", help="all, dev, report, or names parted by commas")
        command.add_argument("--seeds", type=int, default=5, help="how many, from 0 or --first-seed (default: 5)")
        command.add_argument("--in-flight", type=int, default=1, help="asks open at once (default: 1)")
        command.add_argument("--results", type=Path, default=RESULTS, help="folder of the CSV files")
    known = commands.add_parser("reference", help="search for better best values, and measure medians")
    known.set_defaults(command=refer)
    known.add_argument("--tasks", default="all")
    known.add_argument("--evaluations", type=int, default=20_000, help="for each task's search")
    arguments = parser.parse_args(argv)
    try:
        code: int = arguments.command(arguments)
    except ValueError as error:
        parser.error(str(error))
    return code


if __name__ == "__main__":
    sys.exit(main())
