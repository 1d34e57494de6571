"""The demo: tunes a graph model on the Cora citation graph, and shows what the tuning was worth.

``python -m autohpo.demo`` leaves a store and an HTML page in ``./cora-demo``; stopped with Ctrl-C, it goes on
where it was when it is started again.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from autohpo.algorithms.base import BaseHPOptimizer
from autohpo.algorithms.registry import build_hpo_from_name
from autohpo.confirm import Confirm, Confirmed
from autohpo.demo.cora import DEFAULTS, Cora, Floats, cora_space, evaluate, load_cora, train_appnp
from autohpo.errors import AutoHPOError
from autohpo.report import write_html_from_store
from autohpo.report.origin import command, machine
from autohpo.result import Result
from autohpo.spaces import SearchSpace

MIN_EPOCHS, MAX_EPOCHS = 9, 81  # rungs at 9, 27 and 81 epochs
DEFAULT_EPOCHS = 200  # what a newcomer trains for: Kipf & Welling 2017, ICLR
FINAL_SEEDS = range(1000, 1005)  # none of them was seen by the search
CONFIRM = Confirm(k=3, seeds=5)


def objective(hps: dict[str, Any], dataset: Cora, seed: int) -> Iterator[float]:
    """Trains one model; each epoch yields the accuracy on the validation nodes. Test nodes are never looked at."""
    yield from train_appnp(hps, dataset, seed, max_epochs=MAX_EPOCHS)


@dataclass(frozen=True)
class Row:
    """A configuration and what it reaches in the final trainings.

    Attributes:
        name: Who chose it.
        hp: The configuration.
        epochs: How long it is trained.
        validation: ``(n,)`` accuracies, one for each seed.
        test: ``(n,)`` accuracies, one for each seed.
    """

    name: str
    hp: Mapping[str, Any]
    epochs: int
    validation: Floats
    test: Floats

    def cells(self) -> tuple[str, ...]:
        """Name, epochs and both accuracies as text."""
        return self.name, str(self.epochs), _text(self.validation), _text(self.test)


class Trainings:
    """The final trainings, whose test accuracies nobody has chosen by; says how far they are.

    Args:
        data: The graph.
        n: How many rows there will be.
        is_quiet: Whether nothing is said.
    """

    def __init__(self, data: Cora, n: int, *, is_quiet: bool) -> None:
        self._data, self._n = data, n * len(FINAL_SEEDS)
        self._stream = None if is_quiet or sys.stderr is None else sys.stderr
        self._done = 0

    def row(self, name: str, hp: Mapping[str, Any], epochs: int) -> Row:
        """Trains a configuration with each of the final seeds."""
        found = []
        for seed in FINAL_SEEDS:
            found.append(evaluate(hp, epochs, [seed], self._data))
            self._done += 1
            self._say()
        validation, test = (np.concatenate(values) for values in zip(*found, strict=True))
        return Row(name, hp, epochs, validation, test)

    def _say(self) -> None:
        """Keeps one line of a terminal up to date; elsewhere a line for each row."""
        text = f"autohpo: final training {self._done} of {self._n}"
        if self._stream is None:
            return
        is_last = self._done == self._n
        if self._stream.isatty():
            print(f"\r{text}", end="\n" if is_last else "", file=self._stream, flush=True)
        elif self._done % len(FINAL_SEEDS) == 0:
            print(text, file=self._stream, flush=True)


def _text(accuracies: Floats) -> str:
    return f"{accuracies.mean():.3f} +- {accuracies.std(ddof=1):.3f}"


def epochs_trained(result: Result) -> int:
    """Epochs of all trainings together: a resumed trial counts only what it added."""
    return sum(int(curve[-1][0]) for curve in result.curves().values() if curve)


def search(name: str, max_evals: int, folder: Path, options: Mapping[str, Any], how: Mapping[str, Any]) -> Result:
    """Runs, or resumes, one search on the validation nodes, and confirms its best with new seeds."""
    hpo: BaseHPOptimizer = build_hpo_from_name(
        name, cora_space(), objective, max_evals=max_evals, seed=0, points=[dict(DEFAULTS)], **options
    )
    hpo.optimize(dataset=load_cora(), store=folder / f"{name}.db", confirm=CONFIRM, **how)
    return hpo.result


def main(arguments: list[str] | None = None) -> int:
    """Runs the demo; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m autohpo.demo", description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, default=Path("cora-demo"), help="for the stores and the page")
    parser.add_argument("--max-evals", type=int, default=360, help="trials of BOHB, promotions counted")
    parser.add_argument("--workers", type=int, default=2, help="trials at once")
    parser.add_argument("--quiet", action="store_true", help="no progress line")
    given = parser.parse_args(arguments)
    given.folder.mkdir(parents=True, exist_ok=True)
    how = {"num_workers": given.workers, "progress": not given.quiet}
    try:
        _run(given.folder, given.max_evals, how)
    except KeyboardInterrupt:
        print("\nStopped. Start the demo again, and it goes on from here.", file=sys.stderr)
        return 130
    except AutoHPOError as error:
        print(f"autohpo: {error}", file=sys.stderr)
        return 1
    return 0


def _run(folder: Path, max_evals: int, how: Mapping[str, Any]) -> None:
    data = load_cora()
    print(f"Cora: {data.n_nodes} papers, {len(data.train)} of them labelled for training. The model: APPNP.")
    print("BOHB tunes seven hyper-parameters on the validation papers ...")
    bohb = search("bohb", max_evals, folder, {"min_fidelity": MIN_EPOCHS, "max_fidelity": MAX_EPOCHS}, how)
    n_epochs = epochs_trained(bohb)
    print(f"Random search gets as many epochs, {n_epochs:,} ...")
    random = search("random", max(1, n_epochs // MAX_EPOCHS), folder, {}, how)

    print("What each has chosen is trained with new seeds, and the test papers are looked at ...")
    trainings = Trainings(data, 3, is_quiet=not how["progress"])
    rows = [
        trainings.row("untuned", DEFAULTS, DEFAULT_EPOCHS),
        trainings.row("random search", random.best.hp, MAX_EPOCHS),
        trainings.row("BOHB", bohb.best.hp, MAX_EPOCHS),
    ]
    notes = [
        (f"{row.name}, {row.epochs} epochs", f"validation {_text(row.validation)}, test {_text(row.test)}")
        for row in rows
    ]
    notes.append(("accuracies", f"mean and standard deviation over {len(FINAL_SEEDS)} seeds that no search has seen"))
    notes.append(("epochs", f"{n_epochs:,} by BOHB in {len(bohb.curves())} trainings, as many by random search"))
    page = write_html_from_store(
        folder / "bohb.db",
        folder / "report.html",
        title="BOHB tunes APPNP on Cora",
        notes=notes,
        space=SearchSpace(cora_space()),
        origin=[*machine(), *command()],
    )
    _show(bohb, rows)
    print(f"\nStore:  {folder / 'bohb.db'}\nReport: {page}")


def _show(result: Result, rows: Sequence[Row]) -> None:
    """Prints the chosen configuration, and what each of the rows reaches."""
    print(f"\nBest configuration, {_chosen(result, result.winner)}:")
    for name, value in result.best.hp.items():
        print(f"  {name:<14}{value:.4g}" if isinstance(value, float) else f"  {name:<14}{value}")
    print(f"\nAccuracy, mean and standard deviation over {len(FINAL_SEEDS)} seeds that no search has seen:\n")
    for name, epochs, *accuracies in [("", "epochs", "validation", "test"), *(row.cells() for row in rows)]:
        print("  " + f"{name:<16}{epochs:<10}" + "".join(f"{cell:<18}" for cell in accuracies).rstrip())


def _chosen(result: Result, winner: Confirmed | None) -> str:
    """Says which one was chosen, and by what."""
    name = f"trial {result.best.number} of BOHB"
    if winner is None or winner.mean is None or winner.interval is None:
        return name
    low, high = winner.interval
    means = f"validation accuracy {winner.mean:.3f} ({low:.3f} to {high:.3f}) over {len(winner.perfs)} new seeds"
    return ("the untuned one" if winner.is_default else name) + f", {means}"


if __name__ == "__main__":
    raise SystemExit(main())
