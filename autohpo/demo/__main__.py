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

from autohpo.algorithms.base import BaseHPOptimizer
from autohpo.algorithms.registry import build_hpo_from_name
from autohpo.demo.cora import DEFAULTS, Cora, Floats, cora_space, evaluate, load_cora, train_appnp
from autohpo.errors import AutoHPOError
from autohpo.report import write_html
from autohpo.result import Result
from autohpo.spaces import SearchSpace

MIN_EPOCHS, MAX_EPOCHS = 9, 81  # rungs at 9, 27 and 81 epochs
DEFAULT_EPOCHS = 200  # what a newcomer trains for: Kipf & Welling 2017, ICLR
FINAL_SEEDS = range(1000, 1005)  # none of them was seen by the search
N_FINALISTS = 5


def objective(hps: dict[str, Any], dataset: Cora, seed: int) -> Iterator[float]:
    """Trains one model; each epoch yields the accuracy on the validation nodes. Test nodes are never looked at."""
    yield from train_appnp(hps, dataset, seed, max_epochs=MAX_EPOCHS)


@dataclass(frozen=True)
class Row:
    """A configuration and what it reaches when it is trained anew.

    Attributes:
        name: Who chose it.
        hp: The configuration.
        number: Of its trial in the search; -1 where there is none.
        validation: ``(n,)`` accuracies, one for each seed.
        test: ``(n,)`` accuracies, one for each seed.
    """

    name: str
    hp: Mapping[str, Any]
    validation: Floats
    test: Floats
    number: int = -1

    @classmethod
    def of_best(cls, name: str, result: Result, data: Cora) -> Row:
        """The best of a search's finalists by their mean **validation** accuracy over the final seeds.

        One seed's best is half luck; the test accuracies of the finalists play no part.
        """
        finalists = [
            cls(name, trial.hp, *evaluate(trial.hp, MAX_EPOCHS, FINAL_SEEDS, data), trial.number)
            for trial in result.top(N_FINALISTS)
        ]
        return max(finalists, key=lambda row: float(row.validation.mean()))

    def cells(self) -> tuple[str, str, str]:
        """Name and both accuracies as text."""
        return self.name, _text(self.validation), _text(self.test)


def _text(accuracies: Floats) -> str:
    return f"{accuracies.mean():.3f} +- {accuracies.std(ddof=1):.3f}"


def epochs_trained(result: Result) -> int:
    """Epochs of all trainings together: a resumed trial counts only what it added."""
    return sum(int(curve[-1][0]) for curve in result.curves().values() if curve)


def search(name: str, max_evals: int, folder: Path, options: Mapping[str, Any], how: Mapping[str, Any]) -> Result:
    """Runs, or resumes, one search on the validation nodes."""
    hpo: BaseHPOptimizer = build_hpo_from_name(name, cora_space(), objective, max_evals=max_evals, seed=0, **options)
    hpo.optimize(dataset=load_cora(), store=folder / f"{name}.db", **how)
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

    print(f"The {N_FINALISTS} best of each are trained with {len(FINAL_SEEDS)} new seeds ...")
    best, untuned = Row.of_best("BOHB", bohb, data), f"untuned, {DEFAULT_EPOCHS} epochs"
    rows = [
        Row(untuned, DEFAULTS, *evaluate(DEFAULTS, DEFAULT_EPOCHS, FINAL_SEEDS, data)),
        Row.of_best("random search", random, data),
        best,
    ]
    notes = [(row.name, f"validation {row.cells()[1]}, test {row.cells()[2]}") for row in rows]
    notes.append(("epochs", f"{n_epochs:,} by BOHB in {len(bohb.curves())} trainings, as many by random search"))
    notes.append(("chosen", f"trial {best.number}, the best of BOHB's first {N_FINALISTS} over the new seeds"))
    space = SearchSpace(cora_space())
    page = write_html(bohb, folder / "report.html", title="BOHB tunes APPNP on Cora", notes=notes, space=space)
    _show(best, rows)
    print(f"\nStore:  {folder / 'bohb.db'}\nReport: {page}")


def _show(best: Row, rows: Sequence[Row]) -> None:
    """Prints the chosen configuration, and what each of the rows reaches."""
    print(f"\nBest configuration, trial {best.number} of BOHB:")
    for name, value in best.hp.items():
        print(f"  {name:<14}{value:.4g}" if isinstance(value, float) else f"  {name:<14}{value}")
    print(f"\nAccuracy after {MAX_EPOCHS} epochs, mean and spread over {len(FINAL_SEEDS)} new seeds:\n")
    for cells in [("", "validation", "test"), *(row.cells() for row in rows)]:
        print("  " + "".join(f"{cell:<22}" for cell in cells).rstrip())


if __name__ == "__main__":
    raise SystemExit(main())
