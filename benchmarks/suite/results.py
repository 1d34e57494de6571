"""Results on the disk: one CSV file for each optimizer, one row for each run, appended as they end."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from suite.race import CHECKPOINTS, Run

COLUMNS = ("task", "seed", "in_flight", "evaluations", *(f"value_{n}" for n in CHECKPOINTS), "cpu_seconds", "version")

Key = tuple[str, int, int]
"""Task, seed and asks in flight: what a run is known by."""


@dataclass(frozen=True)
class ResultFile:
    """The runs of one optimizer.

    Attributes:
        path: Its stem is the optimizer's name in the report.
    """

    path: Path

    def read(self) -> dict[Key, Run]:
        """Every run; of two with one key the longer, and of two as long the later.

        Raises:
            ValueError: The file has other columns.
        """
        runs: dict[Key, Run] = {}
        if self.path.exists():
            with self.path.open(encoding="utf-8", newline="") as file:
                reader = csv.DictReader(file)
                if tuple(reader.fieldnames or ()) != COLUMNS:
                    raise ValueError(f"{self.path}: columns must be {','.join(COLUMNS)}, got {reader.fieldnames}")
                for row in reader:
                    run = _run(row)
                    key = (run.task, run.seed, run.in_flight)
                    if key not in runs or runs[key].evaluations <= run.evaluations:
                        runs[key] = run
        return runs

    def append(self, run: Run) -> None:
        """Adds one run, and the head of the file before the first."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        is_new = not self.path.exists() or self.path.stat().st_size == 0
        with self.path.open("a", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            if is_new:
                writer.writerow(COLUMNS)
            writer.writerow(_row(run))

    def forget(self, keys: Iterable[Key]) -> None:
        """Takes runs out of the file, which are to be made again."""
        gone = set(keys)
        kept = [run for key, run in self.read().items() if key not in gone]
        with self.path.open("w", encoding="utf-8", newline="") as file:
            csv.writer(file, lineterminator="\n").writerows([COLUMNS, *map(_row, kept)])


def _row(run: Run) -> list[str]:
    values = [f"{value:.9g}" for value in run.values] + [""] * (len(CHECKPOINTS) - len(run.values))
    head = [run.task, str(run.seed), str(run.in_flight), str(run.evaluations)]
    return [*head, *values, f"{run.cpu_seconds:.4f}", run.version]


def _run(row: dict[str, str]) -> Run:
    values = tuple(float(row[f"value_{n}"]) for n in CHECKPOINTS if row[f"value_{n}"])
    return Run(
        row["task"],
        int(row["seed"]),
        int(row["in_flight"]),
        int(row["evaluations"]),
        values,
        float(row["cpu_seconds"]),
        row["version"],
    )
