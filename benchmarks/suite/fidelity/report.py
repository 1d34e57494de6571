"""The tables: mean regrets with bootstrap intervals, when others' ends are reached, and paired differences."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from suite.fidelity.results import SHARES, Run

N_BOOTSTRAPS = 2000
FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Shown:
    """What is printed.

    Attributes:
        tasks: Names.
        seeds: How many, from 0.
        place: Workers, trainings, clock and whether trials go on.
        against: The row that the others' differences are to; None for none.
    """

    tasks: Sequence[str]
    seeds: int
    place: tuple[object, ...]
    against: str | None = None


Row = Mapping[tuple[str, int], Run]
"""The runs of a player by task and seed."""


def row_of(runs: Sequence[Run], shown: Shown) -> Row:
    """The runs that are shown."""
    wanted = set(shown.tasks)
    kept = [run for run in runs if run.place == shown.place and run.task in wanted and run.seed < shown.seeds]
    return {(run.task, run.seed): run for run in kept}


def interval(groups: Sequence[FloatArray]) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Mean over tasks of means over seeds, and the ends of its 95 % interval; nan where some task has one seed alone.

    Args:
        groups: For each task ``(seeds, n)`` numbers; seeds are drawn anew within each task.
    """
    rng, mean = np.random.default_rng(0), np.mean([g.mean(axis=0) for g in groups], axis=0)
    if min(map(len, groups)) < 2:
        return mean, np.full_like(mean, np.nan), np.full_like(mean, np.nan)
    draws = [g[rng.integers(len(g), size=(N_BOOTSTRAPS, len(g)))].mean(axis=1) for g in groups]
    low, high = np.quantile(np.mean(draws, axis=0), [0.025, 0.975], axis=0)
    return mean, low, high


def grouped(numbers: Mapping[tuple[str, int], Sequence[float]]) -> list[FloatArray]:
    """For each task ``(seeds, n)`` numbers."""
    found: dict[str, list[Sequence[float]]] = defaultdict(list)
    for (task, _), one in sorted(numbers.items()):
        found[task].append(one)
    return [np.array(rows, dtype=float) for rows in found.values()]


def ends_of(row: Row) -> dict[str, float]:
    """The mean final regret on each task."""
    found: dict[str, list[float]] = defaultdict(list)
    for (task, _), run in row.items():
        found[task].append(run.regrets[-1])
    return {task: float(np.mean(regrets)) for task, regrets in found.items()}


def reached(row: Row, ends: Mapping[str, float]) -> tuple[float, float]:
    """The mean share of the budget at which ends are reached, and how many runs reach them; a run that does not has 1.

    Args:
        row: The runs.
        ends: A regret for each task.
    """
    when = {key: run.reaches(ends[key[0]]) for key, run in row.items() if key[0] in ends}
    if not when:
        return np.nan, np.nan
    shares = {key: [1.0 if one is None else one, float(one is not None)] for key, one in when.items()}
    mean = np.mean([group.mean(axis=0) for group in grouped(shares)], axis=0)
    return float(mean[0]), float(mean[1])


def print_report(runs: Mapping[str, Sequence[Run]], shown: Shown) -> None:
    """Prints the tables, as Markdown.

    Args:
        runs: By player.
        shown: What is printed.
    """
    rows = {name: row for name, found in runs.items() if (row := row_of(found, shown))}
    if not rows:
        print("no runs of these tasks in this setting")
        return
    complete = {name: row for name, row in rows.items() if {task for task, _ in row} == set(shown.tasks)}
    ends = {name: ends_of(row) for name, row in complete.items()}
    random = next((ends[name] for name in ("random", "plain-random") if name in ends), {})
    asha = next((ends[name] for name in ("asha", "plain-asha") if name in ends), {})
    at = " | ".join(f"@{share:.0%}" for share in SHARES)
    print(f"| player (runs) | {at} | sd of seeds | random's end at | asha's end at | trials | full | busy | CPU ms |")
    print("|---|" + "--:|" * (len(SHARES) + 7))
    for name in sorted(complete, key=lambda name: np.mean(list(ends[name].values()))):
        print(_line(name, complete[name], random, asha))
    for name in sorted(set(rows) - set(complete)):
        print(f"\n{name}: has no run of {', '.join(sorted(set(shown.tasks) - {task for task, _ in rows[name]}))}")
    _print_tasks(complete, shown.tasks)
    if shown.against in rows:
        _print_paired(rows, shown.against)


def _line(name: str, row: Row, random: Mapping[str, float], asha: Mapping[str, float]) -> str:
    groups = grouped({key: run.regrets for key, run in row.items()})
    cells = [_cell(_short, *numbers) for numbers in zip(*interval(groups), strict=True)]
    spread = float(np.mean([group[:, -1].std(ddof=1) if len(group) > 1 else np.nan for group in groups]))
    met = [f"{_short(share)} ({n:.0%})" for share, n in (reached(row, random), reached(row, asha))]
    of = lambda what: float(np.mean([getattr(run, what) for run in row.values()]))  # noqa: E731
    counts = [f"{of('n_trials'):.0f}", f"{of('n_full'):.1f}", f"{of('busy'):.0%}", f"{of('cpu_ms'):.2g}"]
    return f"| {name} ({len(row)}) | " + " | ".join([*cells, _short(spread), *met, *counts]) + " |"


def _cell(text: Callable[[float], str], mean: float, low: float, high: float) -> str:
    """A mean with its interval, if it has one."""
    return text(mean) if np.isnan(low) else f"{text(mean)} [{text(low)}, {text(high)}]"


def _short(number: float) -> str:
    """Three digits, without the nought before the point."""
    return f"{number:.3f}".replace("0.", ".", 1) if abs(number) < 1 else f"{number:.3f}"


def _print_tasks(rows: Mapping[str, Row], tasks: Sequence[str]) -> None:
    """The final regret of each player on each task."""
    print("\n| final regret | " + " | ".join(tasks) + " |\n|---|" + "--:|" * len(tasks))
    for name, row in rows.items():
        ends = ends_of(row)
        print(f"| {name} | " + " | ".join(_short(ends[task]) for task in tasks) + " |")


def _print_paired(rows: Mapping[str, Row], against: str) -> None:
    """Differences run by run, and in how many the end is better."""
    base = rows[against]
    print(f"\n| less {against} (pairs) | " + " | ".join(f"@{share:.0%}" for share in SHARES) + " | better at the end |")
    print("|---|" + "--:|" * (len(SHARES) + 1))
    for name, row in rows.items():
        pairs = sorted(set(row) & set(base))
        if name == against or not pairs:
            continue
        gaps = {key: np.subtract(row[key].regrets, base[key].regrets) for key in pairs}
        cells = [_cell("{:+.3f}".format, *numbers) for numbers in zip(*interval(grouped(gaps)), strict=True)]
        wins = np.mean([gap[-1] < 0 for gap in gaps.values()])
        print(f"| {name} ({len(pairs)}) | " + " | ".join(cells) + f" | {wins:.0%} |")
