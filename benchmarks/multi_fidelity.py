"""How good searches are that train a little first: a simulated clock, and the regret of the incumbent on the way.

    python benchmarks/multi_fidelity.py run --optimizer asha --tasks dev                    # an algorithm of autohpo
    python benchmarks/multi_fidelity.py run --optimizer asha --option sampler=tpe --label asha-tpe --seeds 5
    python benchmarks/multi_fidelity.py run --optimizer plain-asha --tasks lies --workers 16 --trainings 120
    python benchmarks/multi_fidelity.py report --against asha                               # tables, as Markdown

Time is what the tables say alone, however long an optimizer thinks; its CPU time is told apart. Results are appended to
``results/fidelity/LABEL.jsonl``; runs that are there are not made again. The same seed means the same pair in a report.
"""

from __future__ import annotations

import os

os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", MKL_NUM_THREADS="1")  # numpy reads them when imported

import argparse
import json
import sys
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))  # for runs from elsewhere, and by path from a test

from suite.fidelity.catalogue import make_task, names_of
from suite.fidelity.players import PLAYERS
from suite.fidelity.race import race
from suite.fidelity.results import Run, append, place_of, read
from suite.fidelity.simulator import Setting

RESULTS = Path(__file__).parent / "results" / "fidelity"


def run(arguments: argparse.Namespace) -> int:
    """Makes the runs that are missing in the file of a label."""
    options = dict(map(_option, arguments.option))
    if options and not arguments.label:
        raise ValueError("--label: must name the results of a run with options")
    path = arguments.results / f"{arguments.label or arguments.optimizer}.jsonl"
    setting = _setting(arguments)
    done = set() if arguments.again else {one.key for one in read(path)}
    seeds = range(arguments.first_seed, arguments.first_seed + arguments.seeds)
    wanted = [(task, seed) for seed in seeds for task in names_of(arguments.tasks)]
    jobs = [
        (arguments.optimizer, task, seed, setting, options)
        for task, seed in wanted
        if (*place_of(setting), task, seed) not in done
    ]
    if arguments.jobs == 1:
        for job in jobs:
            _keep(path, _race(job))
    else:
        with ProcessPoolExecutor(arguments.jobs, mp_context=get_context("spawn")) as pool:
            for found in pool.map(_race, jobs):
                _keep(path, found)
    return 0


def _race(job: tuple[str, str, int, Setting, dict[str, Any]]) -> Run:
    name, task, seed, setting, options = job
    return race(name, make_task(task), seed, setting, options)


def _keep(path: Path, found: Run) -> None:
    append(path, found)
    regrets = " ".join(f"{regret:.3f}" for regret in found.regrets)
    rest = (
        f"trials {found.n_trials}  full {found.n_full}  CPU {found.cpu_seconds:.2f} s, {found.cpu_ms:.2f} ms a decision"
    )
    print(f"{found.task:22s} seed {found.seed:<3d} regret {regrets}  {rest}", flush=True)


def _option(text: str) -> tuple[str, Any]:
    """``name=value``, where the value is JSON or else a text."""
    name, _, value = text.partition("=")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value


def _setting(arguments: argparse.Namespace) -> Setting:
    one = arguments
    return Setting(one.workers, one.trainings, one.clock, getattr(one, "reports", "all"), not one.from_scratch)


def report(arguments: argparse.Namespace) -> int:
    """Prints the tables of all labels, or of those named."""
    from suite.fidelity.report import Shown, print_report

    paths = sorted(arguments.results.glob("*.jsonl"))
    if arguments.labels:
        paths = [arguments.results / f"{label}.jsonl" for label in arguments.labels.split(",")]
        missing = [path.stem for path in paths if not path.exists()]
        if missing:
            raise ValueError(f"--labels: must have a file of results each, got none for {missing}")
    shown = Shown(names_of(arguments.tasks), arguments.seeds, place_of(_setting(arguments)), arguments.against)
    print_report({path.stem: read(path) for path in paths}, shown)
    return 0


def reference(_: argparse.Namespace) -> int:
    """Measures the mean cost of full trainings anew."""
    from suite.fidelity.refer import write_reference

    write_reference()
    return 0


def main(argv: list[str] | None = None) -> int:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    one = commands.add_parser("run", help="make the runs that are missing")
    one.set_defaults(command=run)
    one.add_argument("--optimizer", required=True, help=f"{', '.join(PLAYERS)}; or an algorithm of autohpo")
    one.add_argument("--label", help="name of the results (default: the optimizer's)")
    one.add_argument("--option", action="append", default=[], metavar="NAME=JSON", help="handed to the optimizer")
    one.add_argument("--first-seed", type=int, default=0)
    one.add_argument("--again", action="store_true", help="also make runs that are there; the later one counts")
    one.add_argument("--jobs", type=int, default=1, help="processes (default: 1)")
    one.add_argument("--reports", choices=("all", "rungs", "none"), default="all", help="what is reported on the way")
    table = commands.add_parser("report", help="print the tables")
    table.set_defaults(command=report)
    table.add_argument("--labels", help="parted by commas (default: all there are)")
    table.add_argument("--against", help="print each one's difference to this one, run by run")
    for command in (one, table):
        command.add_argument("--tasks", default="dev", help="dev, lies, all, or names parted by commas (default: dev)")
        command.add_argument("--seeds", type=int, default=10, help="how many, from 0 or --first-seed (default: 10)")
        command.add_argument("--workers", type=int, default=4)
        command.add_argument("--trainings", type=float, default=30, help="the budget, in full trainings (default: 30)")
        command.add_argument("--clock", choices=("epochs", "seconds"), default="epochs")
        command.add_argument("--from-scratch", action="store_true", help="promoted trials begin anew")
        command.add_argument("--results", type=Path, default=RESULTS, help="folder of the files")
    known = commands.add_parser("reference", help="measure what full trainings cost in the mean")
    known.set_defaults(command=reference)
    arguments = parser.parse_args(argv)
    try:
        code: int = arguments.command(arguments)
    except ValueError as error:
        parser.error(str(error))
    return code


if __name__ == "__main__":
    sys.exit(main())
