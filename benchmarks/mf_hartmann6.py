"""Hartmann 6 with learning curves: what is found for 10 and for 30 full trainings of 81 epochs, 4 workers.

    python benchmarks/mf_hartmann6.py                              # asha, bohb, hyperband: 20 seeds
    python benchmarks/mf_hartmann6.py mobster asha:sampler=tpe     # others, with options parted by commas

A curve falls to the true value as f(x, r) = H6(x) + A(x) (r^-1/2 - 81^-1/2), A = 1 + cos 2 pi (x0 + x1 + x2) +
(x3 + x4 + x5) / 2, so that short trainings mislead. Told are medians of the true value H6 of the trial with the lowest
value seen, at any fidelity and at full fidelity; the optimum is -3.322.
"""

from __future__ import annotations

import os

os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", MKL_NUM_THREADS="1")  # numpy reads them when imported

import argparse
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))

from suite.fidelity.catalogue import make_task
from suite.fidelity.incumbent import BestSeen, Incumbent
from suite.fidelity.players import make_player
from suite.fidelity.simulator import Setting, simulate

N_WORKERS = 4
MOMENTS = {10: (405, 810), 30: (364, 729, 1215, 1822, 2430)}
"""Epochs at which others were measured, by full trainings of the budget."""
PUBLISHED = {
    10: {"Syne Tune HyperTune": (-1.83, -2.55), "Syne Tune ASHA": (-1.67, -2.47), "Syne Tune MOBSTER": (-1.80, -2.23)},
    30: {
        "Syne Tune MOBSTER, promotion": (-1.81, -2.55, -2.99, -3.09, -3.12),
        "Syne Tune ASHA, promotion": (-1.67, -2.30, -2.47, -2.47, -2.53),
    },
}
"""Medians of three seeds."""


class InFull(Incumbent):
    """The trial with the best value at full fidelity."""

    def see(self, share: float, trial: Any, hp: Mapping[str, Any], fidelity: float, value: float) -> None:
        """What a trial shows; before the end it does not count."""
        if fidelity >= 81:
            self._take(share, trial, hp, (0.0, value))


def search(name: str, options: Mapping[str, Any], seed: int, trainings: int) -> tuple[list[list[float]], list[float]]:
    """True values of both incumbents at each moment, and what the search did: trials, full ones, CPU ms a decision."""
    task, setting = make_task("mf_hartmann6_toy"), Setting(N_WORKERS, trainings)
    seen, full = BestSeen(task), InFull(task)
    record = simulate(make_player(name, task, seed, setting, options), task, setting, [seen, full])
    shares = [epochs / (81 * trainings) for epochs in MOMENTS[trainings]]
    values = [[-value if (value := one.at(share)) is not None else 0.0 for share in shares] for one in (seen, full)]
    n_full = sum(reached >= 81 for reached in record.trials.values())
    return values, [len(record.trials), n_full, 1e3 * record.cpu_seconds / record.n_asks]


def print_table(rows: list[str], n_seeds: int, trainings: int) -> None:
    """One table: a line for each row, with what is published below."""
    moments = MOMENTS[trainings]
    print(f"\n| {81 * trainings} epochs, {N_WORKERS} workers | " + " | ".join(f"@{n}" for n in moments), end=" | ")
    print("in full, at the end | quartiles | trials | full | CPU ms |\n|---|" + "--:|" * (len(moments) + 5))
    for row in rows:
        name, _, text = row.partition(":")
        options = dict(map(_option, text.split(","))) if text else {}
        runs = [search(name, options, seed, trainings) for seed in range(n_seeds)]
        values, counts = np.array([v for v, _ in runs]), np.mean([c for _, c in runs], axis=0)
        seen = " | ".join(f"{value:.2f}" for value in np.median(values[:, 0], axis=0))
        low, middle, high = np.quantile(values[:, 1, -1], [0.25, 0.5, 0.75])
        rest = f"{counts[0]:.0f} | {counts[1]:.1f} | {counts[2]:.2g}"
        print(f"| {row} ({n_seeds}) | {seen} | {middle:.2f} | {low:.2f} to {high:.2f} | {rest} |", flush=True)
    for name, known in PUBLISHED[trainings].items():
        print(f"| {name} (published) | " + " | ".join(f"{value:.2f}" for value in known) + " | | | | | |")


def _option(text: str) -> tuple[str, Any]:
    """``name=value``, where the value is JSON or else a text."""
    name, _, value = text.partition("=")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value


def main(argv: list[str] | None = None) -> None:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "rows", nargs="*", default=["asha", "bohb", "hyperband"], help="names, with options after a colon"
    )
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--trainings", type=int, nargs="+", choices=tuple(MOMENTS), default=list(MOMENTS))
    arguments = parser.parse_args(argv)
    for trainings in arguments.trainings:
        print_table(arguments.rows, arguments.seeds, trainings)


if __name__ == "__main__":
    main()
