"""A trainer with AutoGL's contract under BOHB: its epochs are the fidelity, and it comes back trained."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cloudpickle
import numpy as np

from autohpo import LogRangeHP, RangeHP, build_hpo_from_name
from autohpo.demo.cora import APPNP, DEFAULTS, Cora, load_cora


class NodeTrainer:
    """Trains APPNP for node classification."""

    def __init__(self, hp: dict[str, Any] | None = None) -> None:
        self.hp = hp or {}
        self.model: APPNP | None = None
        self.n_epochs = 0
        self.valid_score = 0.0

    def duplicate_from_hyper_parameter(self, hp: dict[str, dict[str, Any]]) -> NodeTrainer:
        """Return a new trainer with these hyper-parameters, nested as AutoGL has them."""
        return NodeTrainer({**hp["encoder"], **hp["trainer"]})

    def train(self, dataset: Cora, keep_valid_result: bool = True, checkpoint_dir: Path | None = None) -> None:
        """Train to the epoch `max_epoch`, from where an earlier rung of this training ended."""
        saved = None if checkpoint_dir is None else checkpoint_dir / "model.pkl"
        if saved is not None and saved.exists():
            self.model, self.n_epochs = cloudpickle.loads(saved.read_bytes())
        if self.model is None:
            self.model = APPNP({**DEFAULTS, **self.hp}, dataset, seed=0)
        while self.n_epochs < self.hp["max_epoch"]:
            self.model.train_epoch()
            self.n_epochs += 1
        self.valid_score = self.model.accuracy(dataset.validation)
        if saved is not None:
            saved.write_bytes(cloudpickle.dumps((self.model, self.n_epochs)))

    def get_valid_score(self, return_major: bool = True) -> tuple[float, bool]:
        """Return the validation accuracy, and that higher is better."""
        return self.valid_score, True

    def predict_accuracy(self, dataset: Cora, nodes: np.ndarray[Any, Any]) -> float:
        """Return the accuracy on some nodes."""
        return 0.0 if self.model is None else self.model.accuracy(nodes)


def main(max_evals: int = 60, max_epoch: int = 81) -> None:
    """Tune the trainer, and use the one that comes back."""
    space = [
        LogRangeHP("trainer:lr", 1e-3, 1e-1),
        LogRangeHP("trainer:weight_decay", 1e-5, 1e-1),
        RangeHP("encoder:dropout", 0.0, 0.9),
        LogRangeHP("encoder:alpha", 0.02, 0.5),
        RangeHP("encoder:hops", 1, 15),
    ]
    data = load_cora()
    least = max(1, max_epoch // 9)
    hpo = build_hpo_from_name("bohb", space, max_evals=max_evals, min_fidelity=least, max_fidelity=max_epoch, seed=0)
    best_trainer, best_hp = hpo.optimize(NodeTrainer(), data, fidelity="trainer:max_epoch", num_workers=2)
    print(best_hp)
    print(f"trained for {best_trainer.n_epochs} epochs")
    print(f"validation accuracy {best_trainer.get_valid_score()[0]:.3f}")
    print(f"test accuracy {best_trainer.predict_accuracy(data, data.test):.3f}")


if __name__ == "__main__":
    main()
