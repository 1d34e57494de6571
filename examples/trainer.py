"""A trainer with AutoGL's contract: it is tuned, and comes back trained."""

from __future__ import annotations

from typing import Any

import numpy as np

from autohpo import FixedHP, LogRangeHP, RangeHP, build_hpo_from_name
from autohpo.demo.cora import APPNP, DEFAULTS, Cora, load_cora


class NodeTrainer:
    """Trains APPNP for node classification."""

    def __init__(self, hp: dict[str, Any] | None = None) -> None:
        self.hp = hp or {}
        self.model: APPNP | None = None
        self.valid_score = 0.0

    def duplicate_from_hyper_parameter(self, hp: dict[str, dict[str, Any]]) -> NodeTrainer:
        """A new trainer with these hyper-parameters, nested as AutoGL has them."""
        return NodeTrainer({**hp["encoder"], **hp["trainer"]})

    def train(self, dataset: Cora, keep_valid_result: bool = True) -> None:
        """Trains for `max_epoch` epochs."""
        self.model = APPNP({**DEFAULTS, **self.hp}, dataset, seed=0)
        for _ in range(self.hp["max_epoch"]):
            self.model.train_epoch()
        self.valid_score = self.model.accuracy(dataset.validation)

    def get_valid_score(self, return_major: bool = True) -> tuple[float, bool]:
        """Validation accuracy, and that higher is better."""
        return self.valid_score, True

    def predict_accuracy(self, dataset: Cora, nodes: np.ndarray[Any, Any]) -> float:
        """Accuracy on some nodes."""
        return 0.0 if self.model is None else self.model.accuracy(nodes)


def main(max_evals: int = 20, max_epoch: int = 60) -> None:
    """Tunes the trainer and uses the one that comes back."""
    space = [
        LogRangeHP("trainer:lr", 1e-3, 1e-1),
        LogRangeHP("trainer:weight_decay", 1e-5, 1e-1),
        FixedHP("trainer:max_epoch", max_epoch),
        RangeHP("encoder:dropout", 0.0, 0.9),
        LogRangeHP("encoder:alpha", 0.02, 0.5),
        RangeHP("encoder:hops", 1, 15),
    ]
    data = load_cora()
    hpo = build_hpo_from_name("tpe", space, max_evals=max_evals, seed=0)
    best_trainer, best_hp = hpo.optimize(NodeTrainer(), data, num_workers=2)
    print(best_hp)
    print(f"validation accuracy {best_trainer.get_valid_score()[0]:.3f}")
    print(f"test accuracy {best_trainer.predict_accuracy(data, data.test):.3f}")


if __name__ == "__main__":
    main()
