"""BOHB tunes a graph neural network on the Cora citation graph: the training loop is a generator."""

import argparse
from collections.abc import Iterator
from typing import Any

from autohpo import ChoiceHP, LogRangeHP, RangeHP, build_hpo_from_name
from autohpo.demo.cora import Cora, evaluate, load_cora, train_appnp

SPACE = [
    LogRangeHP("lr", 1e-4, 1.0),
    LogRangeHP("weight_decay", 1e-6, 1e-1),
    LogRangeHP("hidden", 8, 128),
    RangeHP("dropout", 0.0, 0.9),
    LogRangeHP("alpha", 0.01, 0.9),
    RangeHP("hops", 1, 20),
    ChoiceHP("activation", ["relu", "tanh", "elu"]),
]
EPOCHS = 81


def objective(hps: dict[str, Any], dataset: Cora, seed: int) -> Iterator[float]:
    """Each yield is one epoch: BOHB pauses here, and continues what it promotes."""
    yield from train_appnp(hps, dataset, seed, max_epochs=EPOCHS)


def main() -> None:
    """Tunes on the validation nodes, and looks at the test nodes once, at the end."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--max-evals", type=int, default=360)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--store", default=None, help="file that makes the run resumable")
    given = parser.parse_args()

    data = load_cora()
    hpo = build_hpo_from_name(
        "bohb", SPACE, objective, max_evals=given.max_evals, seed=0, min_fidelity=9, max_fidelity=EPOCHS
    )
    best_hp, best_perf = hpo.optimize(dataset=data, num_workers=given.workers, store=given.store)
    _, test = evaluate(best_hp, EPOCHS, range(3), data)
    print(best_hp)
    print(f"validation accuracy {best_perf:.3f}, test accuracy {test.mean():.3f}")


if __name__ == "__main__":
    main()
