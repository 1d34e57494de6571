"""The chaos suite: every fault of the register, one line of counts for each.

    python tests/chaos/run.py                     # the short form, some minutes
    python tests/chaos/run.py --long              # the long form, some hours
    python tests/chaos/run.py --rows R1,R5 --long --json
    python tests/chaos/run.py --break R5          # with a fault in it: R5 must turn red
    python tests/chaos/run.py --break all         # every fault must be found

The exit code is 1 where a number is missed, and with ``--break all`` where a fault is not found. AUTOHPO_BREAK=R5 is
the same as ``--break R5``. Needs Linux.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).parents[2]))
sys.path.insert(0, str(Path(__file__).parent))

from counts import Counts
from planted import VARIABLE, planted
from rooms import Room
from row import Row
from rows import ROWS


def measured(
    row: Row, folder: Path, *, n: int = 0, is_long: bool = False, plant: str = "", **how: Any
) -> tuple[Counts, Counts]:
    """Run a row, and return its counts, and those of them that are not as promised.

    Args:
        row: The row.
        folder: An empty folder.
        n: How often it is to happen, if not as often as the form has it.
        is_long: Whether to run the long form.
        plant: The fault to run it with.
        how: Other attributes of the room.
    """
    n = n or (row.long if is_long else row.short)
    assert row.run is not None
    try:
        with planted(plant), warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)
            counts = row.run(Room(folder, n, is_long, plant, **how))
    except Exception as error:
        counts = {"errors": 1, "which": f"{type(error).__name__}: {error}"[:400]}
    return counts, row.missed(counts, n, is_long=is_long)


def line(row: Row, counts: Counts, wrong: Counts, seconds: float) -> str:
    """Return what is said of a row."""
    figures = ", ".join(f"{name} {value}" for name, value in counts.items() if not isinstance(value, (list, str)))
    verdict = "ok " if not wrong else "RED"
    missed = f"  << {', '.join(f'{name} {value}' for name, value in wrong.items())} {counts.get('which', '')}"
    return f"{row.name:4}{verdict} {seconds:6.0f} s  {row.fault}: {figures}{missed if wrong else ''}"


def run_rows(rows: Sequence[Row], options: argparse.Namespace) -> int:
    """Run rows, and return how many missed a number."""
    n_red = 0
    algorithms = tuple(filter(None, options.algorithms.split(",")))
    for row in rows:
        if row.run is None:
            print(json.dumps({"row": row.name, "note": row.note}) if options.json else f"{row.name:4}--  {row.note}")
            continue
        began = time.monotonic()
        with tempfile.TemporaryDirectory(prefix=f"chaos-{row.name}-", ignore_cleanup_errors=True) as folder:
            plant = row.plant if row.name in options.broken else ""
            counts, wrong = measured(
                row,
                Path(folder),
                n=options.n,
                is_long=options.long,
                plant=plant,
                algorithms=algorithms,
                lateness=options.lateness,
            )
        n_red += bool(wrong)
        seconds = time.monotonic() - began
        said = json.dumps({"row": row.name, "seconds": round(seconds), "missed": wrong, **counts}, default=str)
        print(said if options.json else line(row, counts, wrong, seconds), flush=True)
    return n_red


def break_all(rows: Sequence[Row]) -> int:
    """Run every row with its fault in a process of its own, and return how many do not find it."""
    n_green = 0
    for row in [row for row in rows if row.plant]:
        command = [sys.executable, __file__, "--rows", row.name, "--break", row.name]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        is_found = done.returncode == 1 and "RED" in done.stdout
        n_green += not is_found
        verdict = "found" if is_found else "NOT FOUND"
        print(f"{row.name:4}{row.plant}: {verdict}  {done.stdout.strip()[-300:] or done.stderr[-300:]}", flush=True)
    return n_green


def main() -> int:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", default="", metavar="R1,R5", help="these rows alone")
    parser.add_argument("--long", action="store_true", help="the long form")
    parser.add_argument("--json", action="store_true", help="print JSON lines")
    parser.add_argument("--break", dest="broken", default=os.environ.get(VARIABLE, ""), metavar="R5", help="or all")
    parser.add_argument("--algorithms", default="", metavar="NAMES", help="for R1 to R4 and R20")
    parser.add_argument("--n", type=int, default=0, help="how often it is to happen, in place of the form's number")
    parser.add_argument("--lateness", type=float, default=1.0, help="seconds that a busy machine may add to a limit")
    options = parser.parse_args()
    names = [name for name in options.rows.split(",") if name]
    unknown = {*names, *filter(None, options.broken.split(","))} - {row.name for row in ROWS} - {"all"}
    if unknown:
        parser.error(f"no such rows: {', '.join(sorted(unknown))}")
    logging.getLogger("autohpo").setLevel(logging.ERROR)
    options.broken = [name for name in options.broken.split(",") if name]
    rows = [row for row in ROWS if not names or row.name in names]
    if options.broken == ["all"]:
        return int(break_all(rows) > 0)
    if options.broken and not names:
        rows = [row for row in ROWS if row.name in options.broken]
    return int(run_rows(rows, options) > 0)


if __name__ == "__main__":
    sys.exit(main())
