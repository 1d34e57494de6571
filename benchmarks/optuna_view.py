"""The view of a run as an Optuna study: what it costs to read 10,000 trials, and to draw each of Optuna's plots.

Prints the CPU seconds of the first reading, of a refresh, of a copy of all trials, and of every plot (the median of
three; the first use, which imports plotly and more, is not counted), and of Optuna's own storage in memory with the
same trials beside them: what a plot costs is nearly all Optuna's own work. Four plots draw a line for each trial,
or a point for each pair of values, and are drawn of a view with fewer of these alone. Run with
``python benchmarks/optuna_view.py [--trials N] [--pictures FOLDER]``; needs ``autohpo[dashboard]``, and matplotlib for
pictures.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
from optuna import visualization

from autohpo import ChoiceHP, LogRangeHP, RangeHP, build_hpo_from_name
from autohpo.integrations.optuna import StorageView, study

SINGLE = (
    "optimization_history",
    "slice",
    "edf",
    "timeline",
    "param_importances",
)
HEAVY = ("contour", "parallel_coordinate", "intermediate_values", "rank")
LEVELS, MOST = 50, 300
SEVERAL = ("pareto_front", "hypervolume_history")


def space() -> list[Any]:
    return [
        LogRangeHP("lr", 1e-4, 1e-1),
        RangeHP("dropout", 0.0, 0.9),
        RangeHP("layers", 1, 8),
        ChoiceHP("act", ["relu", "elu", "tanh"]),
        ChoiceHP("opti", ["adam", "sgd"], children={"sgd": [RangeHP("momentum", 0.0, 0.99)]}),
    ]


def loss(hps: Any, trial: Any) -> float:
    end = (hps["dropout"] - 0.3) ** 2 + abs(hps["layers"] - 3) / 9 + hps.get("momentum", 0.1) / 5
    for step in range(1, 6):
        trial.report(end + 1 / step, step)
    return end + 0.2


def two(hps: Any) -> tuple[float, float]:
    return hps["dropout"] ** 2 + hps["layers"], (hps["dropout"] - 1) ** 2 + 8 / hps["layers"]


def made(folder: Path, name: str, f: Any, n: int, mode: Any, algorithm: str) -> Path:
    """Write a run of n trials into a file."""
    path = folder / f"{name}.db"
    hpo = build_hpo_from_name(algorithm, space(), f, mode=mode, max_evals=n, seed=0)
    hpo.optimize(store=path, progress=False)
    return path


def cpu(call: Callable[[], object], repeats: int = 3) -> float:
    """The median CPU seconds of a call."""
    times = []
    for _ in range(repeats):
        began = time.process_time()
        call()
        times.append(time.process_time() - began)
    return statistics.median(times)


def copied(there: Any) -> Any:
    """The same trials in Optuna's own storage in memory."""
    made = optuna.create_study(directions=[way.name.lower() for way in there.directions])
    for trial in there.get_trials(deepcopy=False):
        made.add_trial(trial)
    return made


def plots(there: Any, names: tuple[str, ...], folder: Path | None) -> dict[str, float]:
    """The CPU seconds of each plot."""
    own = copied(there)
    found = {}
    print(f"{'plot':24}{'view':>9}{'memory':>9}   CPU s")
    for name in names:
        more = {"reference_point": [100.0, 100.0]} if name == "hypervolume_history" else {}
        draw = getattr(visualization, f"plot_{name}")
        figure = draw(there, **more)  # imports what it needs
        found[name] = cpu(lambda draw=draw, more=more: draw(there, **more))
        beside = cpu(lambda draw=draw, more=more: draw(own, **more), 1)
        print(f"{name:24}{found[name]:9.3f}{beside:9.3f}")
        if folder is not None:
            figure.write_html(folder / f"{name}.html", include_plotlyjs=True)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=10_000)
    parser.add_argument("--pictures", type=Path, help="a folder for the figures as pages")
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        path = made(folder, "single", loss, args.trials, "min", "random")
        view = StorageView(path)
        print(f"{args.trials} trials, 5 reports each")
        print(f"first reading       {cpu(lambda: view.get_all_trials(0, deepcopy=False), 1):8.3f} CPU s")
        print(f"refresh, no news    {cpu(lambda: view.get_all_trials(0, deepcopy=False)):8.4f}")
        print(f"a copy of all       {cpu(lambda: view.get_all_trials(0)):8.3f}")
        there = study(path)
        print(f"trials_dataframe    {cpu(there.trials_dataframe):8.3f}")
        plots(there, SINGLE, None)
        print(f"rounded to {LEVELS} levels, at most {MOST} trials")
        plots(study(path, levels=LEVELS, most_trials=MOST), (*SINGLE, *HEAVY), args.pictures)
        n = min(args.trials, 2_000)
        print(f"two objectives, {n} trials")
        plots(study(made(folder, "several", two, n, ["min", "min"], "nsga2")), SEVERAL, args.pictures)


if __name__ == "__main__":
    main()
