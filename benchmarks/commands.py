"""What a trial by a command costs beyond the command itself: CPU time of the driver and of its workers.

    python benchmarks/commands.py              # 300 trials
    python benchmarks/commands.py --trials 100

Each trial runs ``echo`` with one line of JSON. The rival is ``subprocess.run`` of the same in a loop, with its output
read as JSON: what anybody would write. The CPU time is that of the process itself, without its children, so that the
command does not count; of a search with workers it is that of the driver and of all workers. What it costs to begin is
left out: a cost is the difference of a long and a short run, divided by that of their
numbers of trials. All rows take turns; medians are printed. The last column is the time of the helper process that ends
commands when their worker is killed, also of one trial.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median

from autohpo import CommandObjective, RangeHP, build_hpo_from_name

SHORT = 10  # times shorter is the short run
LINE = '{"epoch": 1, "acc": 0.5}'
TICKS = os.sysconf("SC_CLK_TCK")


def own_seconds():
    """The CPU time of this process, without its children."""
    used = os.times()
    return used.user + used.system


def helper_seconds():
    """The CPU time of the helper process; 0 where there is none, or no /proc."""
    from autohpo.commands.keeper import shared  # it belongs to a process, and is not carried to others

    keeper = shared._keeper
    try:
        fields = Path(f"/proc/{keeper.guardian._popen.pid}/stat").read_text().rsplit(")", 1)[1].split()
    except (AttributeError, OSError):
        return 0.0
    return (int(fields[11]) + int(fields[12])) / TICKS


class Measured:
    """A command that notes the CPU time of its process at each trial, in a file for each process."""

    def __init__(self, folder):
        self.folder = folder
        self.f = CommandObjective(["echo", '{{"epoch": 1, "acc": {x}}}'], metric="acc")

    def __call__(self, hps, trial):
        """Run the command."""
        result = self.f(hps, trial)
        with open(f"{self.folder}/{os.getpid()}", "w") as file:
            json.dump([own_seconds(), helper_seconds()], file)
        return result

    def total(self):
        """The seconds of all processes but this one, and those of their helpers."""
        found = [json.loads(path.read_text()) for path in Path(self.folder).iterdir()]
        return sum(own for own, _ in found), sum(helper for _, helper in found)


def search(n, num_workers):
    """The seconds of a search, and those of the helpers."""
    with tempfile.TemporaryDirectory() as folder:
        f = Measured(folder)
        began = own_seconds()
        hpo = build_hpo_from_name("random", [RangeHP("x", 0.0, 1.0)], f, max_evals=n, seed=0)
        hpo.optimize(num_workers=num_workers, progress=False)
        own = own_seconds() - began
        of_workers, of_helpers = f.total()
        return own + (of_workers if num_workers > 1 else 0.0), of_helpers


def loop(n, _):
    """The seconds of the loop that anybody would write."""
    began = own_seconds()
    for _ in range(n):
        done = subprocess.run(["echo", LINE], capture_output=True, text=True, check=True)
        json.loads(done.stdout)
    return own_seconds() - began, 0.0


ROWS = {"subprocess.run": (loop, 1), "autohpo, serial": (search, 1), "autohpo, 2 workers": (search, 2)}


def one(name, n):
    """Run a row in a process of its own, and return its seconds."""
    words = [sys.executable, __file__, "--row", name, "--trials", str(n)]
    return json.loads(subprocess.run(words, capture_output=True, text=True, check=True).stdout)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--trials", type=int, default=300)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--row", choices=ROWS)
    given = parser.parse_args()
    if given.row:
        run, num_workers = ROWS[given.row]
        print(json.dumps(run(given.trials, num_workers)))
        return
    n, few = given.trials, max(1, given.trials // SHORT)
    costs = {name: [] for name in ROWS}
    for _ in range(given.repeats):
        for name in ROWS:
            long, short = one(name, n), one(name, few)
            costs[name].append([1000 * (a - b) / (n - few) for a, b in zip(long, short, strict=True)])
    base = median(own for own, _ in costs["subprocess.run"])
    print(f"{'':20s} CPU ms a trial   beyond subprocess.run   helper")
    for name, found in costs.items():
        own, helper = median(own for own, _ in found), median(helper for _, helper in found)
        print(f"{name:20s} {own:14.2f} {own - base:21.2f} {helper:10.2f}")


if __name__ == "__main__":
    main()
