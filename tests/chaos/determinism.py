"""Determinism at length: every registered algorithm on other versions of Python, and killed deterministic searches.

    python tests/chaos/determinism.py --python /usr/bin/python3.10 --python /usr/bin/python3.13 --kills 50

Each Python gets a virtual environment of its own below ``--folder`` (kept, if one is given), with this checkout and the
newest versions of what it needs; ``--with numpy==1.24.4`` asks for others. Prints a JSON line of counts for each, and
ends with 1 where one is not as it should be.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
SMALL = 1e-9
"""How far floats of two versions of numerical libraries may lie apart, relative to their size where that is above 1."""


def sequences(python: str, hash_seed: str = "0") -> dict[str, Any]:
    """Return what :mod:`sequences` prints in a process of its own."""
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [python, str(HERE / "sequences.py")], env=environment, capture_output=True, text=True, timeout=600, check=True
    )
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def is_near(mine: Any, other: Any) -> bool:
    """Whether two values of JSON are the same, but for the last digits of floats."""
    if isinstance(mine, float) and isinstance(other, float):
        return math.isclose(mine, other, rel_tol=SMALL, abs_tol=SMALL)
    if isinstance(mine, list) and isinstance(other, list):
        return len(mine) == len(other) and all(map(is_near, mine, other))
    if isinstance(mine, dict) and isinstance(other, dict):
        return mine.keys() == other.keys() and all(is_near(mine[key], other[key]) for key in mine)
    return type(mine) is type(other) and bool(mine == other)


def compared(mine: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    """Return the names that are equal in every bit, those that are near, and where the others part."""
    found: dict[str, Any] = {"equal": 0, "near": [], "different": {}}
    for name, sequence in mine.items():
        theirs = other.get(name, [])
        if sequence == theirs:
            found["equal"] += 1
        elif is_near(sequence, theirs):
            found["near"].append(name)
        else:
            pairs = enumerate(zip(sequence, theirs, strict=False))
            found["different"][name] = next((i for i, pair in pairs if not is_near(*pair)), len(theirs))
    return found


def environment_of(python: str, folder: Path, more: list[str]) -> str:
    """Return the Python of a virtual environment that has this checkout."""
    version = subprocess.run([python, "-V"], capture_output=True, text=True, check=True).stdout.split()[1]
    room = folder / "-".join([version, *more])
    made = room / "bin" / "python"
    if not (room / "done").exists():
        subprocess.run([python, "-m", "venv", str(room)], check=True)
        wanted = [f"{ROOT}[cmaes,optuna]", *more]
        subprocess.run([str(made), "-m", "pip", "install", "-q", *wanted], check=True, stdout=sys.stderr)
        (room / "done").touch()
    return str(made)


def kills(n: int, folder: Path) -> dict[str, Any]:
    """Kill deterministic searches with four workers at random moments; each must equal one that nobody disturbed."""
    sys.path[:0] = [str(HERE), str(ROOT)]
    from program import training_of
    from scenarios import Search, kill_driver

    counts: dict[str, Any] = {}
    for name in ("random", "tpe", "bayes", "bohb", "asha", "pbt"):
        search = Search(
            folder / name, name, training_of(name), max_evals=60, workers=4, pause=0.01, schedule="deterministic"
        )
        for what, count in kill_driver(search, n, 1.0).items():
            counts[what] = counts.get(what, 0) + count
    return counts


def main() -> int:
    """Run all, and print a line of counts for each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--python", action="append", default=[], help="another Python")
    parser.add_argument("--with", dest="more", action="append", default=[], help="a version of a package")
    parser.add_argument("--folder", type=Path, help="where virtual environments are kept")
    parser.add_argument("--kills", type=int, default=0, help="for each of six algorithms")
    arguments = parser.parse_args()
    mine, bad = sequences(sys.executable, "1"), 0
    with tempfile.TemporaryDirectory() as scratch:
        folder = (arguments.folder or Path(scratch)).resolve()
        for python in [sys.executable, *arguments.python]:
            made = python if python == sys.executable else environment_of(python, folder, arguments.more)
            other = sequences(made, "2")
            found = compared(mine["sequences"], other["sequences"])
            bad += len(found["different"])
            print(json.dumps({"row": "R22", **other["versions"], **found}), flush=True)
        if arguments.kills:
            counts = kills(arguments.kills, Path(scratch))
            bad += counts["different"] + counts["lost"]
            print(json.dumps({"row": "R3", **counts}), flush=True)
    return int(bad > 0)


if __name__ == "__main__":
    sys.exit(main())
