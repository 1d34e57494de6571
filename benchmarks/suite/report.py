"""The tables of the report: mean regret, rank, families, tasks and CPU time, as Markdown, one split after the other.

Intervals hold 95 % of bootstrap means: seeds are drawn anew within each task, and the tasks stay as they are. So an
interval tells how well these means are known on these tasks, and nothing about others.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from suite.catalogue import SPLIT, Split, make_task, names_of
from suite.race import CHECKPOINTS, Run
from suite.results import Key
from suite.task import Task

N_BOOTSTRAP = 2000
SHARE = 0.95

FloatArray = NDArray[np.float64]
Runs = Mapping[Key, Run]


@dataclass(frozen=True)
class Regrets:
    """What some optimizers reached on the runs that all of them have.

    Attributes:
        names: The optimizers.
        tasks: ``(r,)`` the task of each run.
        values: ``(optimizers, r, checkpoints)`` regret.
        cpu_seconds: ``(optimizers, r)`` for asks and tells.
    """

    names: tuple[str, ...]
    tasks: NDArray[np.str_]
    values: FloatArray
    cpu_seconds: FloatArray

    @property
    def ranks(self) -> FloatArray:
        """``(optimizers, r, checkpoints)`` place within each run, 1 the best; equals share the mean of theirs."""
        below = (self.values[None] < self.values[:, None]).sum(axis=1)
        same = (self.values[None] == self.values[:, None]).sum(axis=1)
        return np.asarray(below + (same + 1) / 2)

    def of(self, tasks: Iterable[str]) -> FloatArray:
        """``(optimizers, checkpoints)`` mean regret on some tasks, each with the same weight."""
        means = [self.values[:, self.tasks == task].mean(axis=1) for task in tasks]
        return np.array(np.mean(means, axis=0))


def interval(values: FloatArray, tasks: NDArray[np.str_], rng: np.random.Generator) -> tuple[FloatArray, FloatArray]:
    """Ends of the bootstrap interval of the mean, of which every task has the same weight.

    Args:
        values: ``(optimizers, r, checkpoints)``.
        tasks: ``(r,)`` the task of each run; its runs are drawn anew, the same for all optimizers.
        rng: For the draws.

    Returns:
        Two arrays ``(optimizers, checkpoints)``.
    """
    total = np.zeros((N_BOOTSTRAP, values.shape[0], values.shape[2]))
    names = np.unique(tasks)
    for name in names:
        at = np.flatnonzero(tasks == name)
        counts = rng.multinomial(len(at), np.full(len(at), 1 / len(at)), size=N_BOOTSTRAP)  # (bootstraps, runs)
        total += np.einsum("br,orc->boc", counts / len(at), values[:, at])
    low, high = np.quantile(total / len(names), [(1 - SHARE) / 2, (1 + SHARE) / 2], axis=0)
    return low, high


def regrets_of(runs: Mapping[str, Runs], tasks: Mapping[str, Task]) -> Regrets:
    """The regrets of the runs that all optimizers have.

    A better value of any run in hand takes the place of the best known one.
    """
    shared = sorted(set.intersection(*map(set, runs.values())))
    best: dict[str, float] = {}
    for run in (run for one in runs.values() for run in one.values()):
        best[run.task] = max(run.values[-1], best.get(run.task, -np.inf))
    values = [[_regrets(one[key], tasks[key[0]], best[key[0]]) for key in shared] for one in runs.values()]
    seconds = [[one[key].cpu_seconds for key in shared] for one in runs.values()]
    shape = (len(runs), len(shared), len(CHECKPOINTS))
    names = np.array([key[0] for key in shared])
    return Regrets(tuple(runs), names, np.array(values).reshape(shape), np.array(seconds).reshape(shape[:2]))


def _complete(runs: Runs, tasks: Mapping[str, Task], shown: Shown) -> dict[Key, Run]:
    """The runs to be shown that went to the last checkpoint."""
    return {
        key: run
        for key, run in runs.items()
        if run.task in tasks
        and run.seed < shown.n_seeds
        and run.in_flight == shown.in_flight
        and len(run.values) == len(CHECKPOINTS)
    }


def _regrets(run: Run, task: Task, best: float) -> list[float]:
    return [task.regret(value, best) for value in run.values]


@dataclass(frozen=True)
class Shown:
    """What of the results is to be shown.

    Attributes:
        tasks: As in `names_of`.
        n_seeds: Runs with seeds below this.
        in_flight: Runs with this many open asks.
        against: The optimizer that all are compared with, if any.
    """

    tasks: str
    n_seeds: int
    in_flight: int
    against: str | None


def print_report(runs: Mapping[str, Runs], shown: Shown) -> None:
    """Prints every table of each split: of the optimizers with all runs, then of each other one on its runs.

    Args:
        runs: Of each optimizer.
        shown: What of them.

    Raises:
        ValueError: There is nothing to show, or `against` has no runs.
    """
    if shown.against is not None and shown.against not in runs:
        raise ValueError(f"--against: must be one of {', '.join(runs)}, got {shown.against!r}")
    splits: tuple[Split, ...] = ("dev", "report")
    for split in splits:
        with_runs = {run.task for one in runs.values() for run in one.values()}
        names = [name for name in names_of(shown.tasks) if SPLIT[name] == split and name in with_runs]
        tasks = {name: make_task(name) for name in names}
        there = {name: _complete(one, tasks, shown) for name, one in runs.items()}
        there = {name: one for name, one in there.items() if one}
        if not there:
            print(f"\n## Split {split}: no runs of {CHECKPOINTS[-1]} evaluations with {shown.in_flight} in flight")
            continue
        most = max(map(len, there.values()))
        whole = {name: one for name, one in there.items() if len(one) == most}
        regrets = regrets_of(whole, tasks)
        n_tasks = len(tasks_of(regrets))
        print(f"\n## Split {split}, {shown.in_flight} in flight: {n_tasks} tasks, {len(regrets.tasks)} runs each")
        _print_means(regrets)
        for name, one in whole.items():
            print(f"\n- {name}: {', '.join(sorted({run.version for run in one.values()}))}", end="")
        print()
        _print_families(regrets, tasks)
        _print_tasks(regrets, tasks)
        if shown.against in whole:
            _print_differences(regrets, shown.against)
        for name, one in there.items():
            if name not in whole:
                _print_partial(name, regrets_of({**whole, name: one}, tasks))
        if shown.in_flight > 1:
            sequential = {name: _complete(runs[name], tasks, replace(shown, in_flight=1)) for name in there}
            _print_loss(sequential, there, tasks)


def _order(values: FloatArray) -> list[int]:
    """Best first at the last checkpoint."""
    return [int(k) for k in np.argsort(values[:, -1], kind="stable")]


def _print_means(regrets: Regrets) -> None:
    """Mean regret and mean rank with their intervals, and CPU seconds a run."""
    rng = np.random.default_rng(0)
    means, ranks = regrets.of(np.unique(regrets.tasks)), regrets.ranks
    low, high = interval(regrets.values, regrets.tasks, rng)
    low_rank, high_rank = interval(ranks, regrets.tasks, rng)
    heads = ["optimizer", *(f"@{n}" for n in CHECKPOINTS), f"rank @{CHECKPOINTS[-1]}", "CPU s a run"]
    rows = []
    for k in _order(means):
        cells = [_spread(means[k, c], low[k, c], high[k, c], 3) for c in range(len(CHECKPOINTS))]
        rank = _spread(ranks[k, :, -1].mean(), low_rank[k, -1], high_rank[k, -1], 2)
        rows.append([regrets.names[k], *cells, rank, f"{regrets.cpu_seconds[k].mean():.2f}"])
    print_table(f"Mean regret, mean rank (of {len(regrets.names)}) and CPU time of all asks and tells", heads, rows)


def _print_families(regrets: Regrets, tasks: Mapping[str, Task]) -> None:
    """Mean regret by the kind of task, at the last checkpoint."""
    by_family: dict[str, list[str]] = {}
    for name in np.unique(regrets.tasks):
        by_family.setdefault(tasks[str(name)].family, []).append(str(name))
    means = np.array([regrets.of(members)[:, -1] for members in by_family.values()]).T
    heads = ["optimizer", *(f"{family} ({len(members)})" for family, members in by_family.items())]
    rows = [[regrets.names[k], *(f"{value:.3f}" for value in means[k])] for k in _order(regrets.of(tasks_of(regrets)))]
    print_table(f"Mean regret @{CHECKPOINTS[-1]} by family (number of tasks)", heads, rows)


def _print_tasks(regrets: Regrets, tasks: Mapping[str, Task]) -> None:
    """Who is the best on each task, and how the others do there."""
    heads = ["task", *regrets.names]
    rows = []
    for name in tasks_of(regrets):
        means = regrets.of([name])[:, -1]
        cells = [f"**{value:.3f}**" if value == means.min() else f"{value:.3f}" for value in means]
        rows.append([name + ("" if tasks[name].is_exact else " (best known)"), *cells])
    print_table(f"Mean regret @{CHECKPOINTS[-1]} by task, the least in bold", heads, rows)


def _print_differences(regrets: Regrets, against: str) -> None:
    """Regret minus that of one optimizer, run by run."""
    base = regrets.names.index(against)
    differences = regrets.values - regrets.values[base]
    low, high = interval(differences, regrets.tasks, np.random.default_rng(0))
    means = np.mean([differences[:, regrets.tasks == name].mean(axis=1) for name in tasks_of(regrets)], axis=0)
    heads = ["optimizer", *(f"@{n}" for n in CHECKPOINTS)]
    rows = [
        [regrets.names[k], *(_spread(means[k, c], low[k, c], high[k, c], 3) for c in range(len(CHECKPOINTS)))]
        for k in _order(means)
        if k != base
    ]
    print_table(f"Regret minus that of {against}, run by run: below 0 is better than it", heads, rows)


def _print_partial(name: str, regrets: Regrets) -> None:
    """An optimizer that was not run everywhere, beside the others on its runs alone."""
    if not len(regrets.tasks):
        return
    means = regrets.of(tasks_of(regrets))
    low, high = interval(regrets.values, regrets.tasks, np.random.default_rng(0))
    heads = ["optimizer", *(f"@{n}" for n in CHECKPOINTS), "CPU s a run"]
    rows = [
        [
            regrets.names[k],
            *(_spread(means[k, c], low[k, c], high[k, c], 3) for c in range(len(CHECKPOINTS))),
            f"{regrets.cpu_seconds[k].mean():.2f}",
        ]
        for k in _order(means)
    ]
    print_table(f"On the {len(regrets.tasks)} runs of {name} ({len(tasks_of(regrets))} tasks)", heads, rows)


def _print_loss(sequential: Mapping[str, Runs], parallel: Mapping[str, Runs], tasks: Mapping[str, Task]) -> None:
    """What having several asks open costs each optimizer, on its runs with the same tasks and seeds."""
    rows = []
    for name in sequential:
        pair = [{(run.task, run.seed, 0): run for run in side[name].values()} for side in (sequential, parallel)]
        regrets = regrets_of(dict(zip(("one", "several"), pair, strict=True)), tasks)
        if len(regrets.tasks):
            one, several = regrets.of(tasks_of(regrets))[:, -1]
            change = f"{several / one - 1:+.0%}" if one > 0 else ""
            rows.append([name, str(len(regrets.tasks)), f"{one:.3f}", f"{several:.3f}", change])
    title = f"Mean regret @{CHECKPOINTS[-1]} with one ask open and with several, on the same tasks and seeds"
    print_table(title, ["optimizer", "runs", "one open", "several open", "change"], rows)


def tasks_of(regrets: Regrets) -> list[str]:
    """The names of the tasks, each once."""
    return [str(name) for name in np.unique(regrets.tasks)]


def _spread(mean: float, low: float, high: float, digits: int) -> str:
    return f"{mean:.{digits}f} [{low:.{digits}f}, {high:.{digits}f}]"


def print_table(title: str, heads: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """A Markdown table under a title; all columns but the first to the right."""
    print(f"\n{title}:\n")
    print(f"| {' | '.join(heads)} |")
    print("|---|" + "--:|" * (len(heads) - 1))
    for row in rows:
        print(f"| {' | '.join(row)} |")
