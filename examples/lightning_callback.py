"""Lightning: BOHB tunes a module; trials that are promoted go on from their checkpoint."""

import logging
import warnings
from typing import Any

import lightning
import torch
from torch.utils.data import DataLoader, TensorDataset

from autohpo import LogRangeHP, RangeHP, build_hpo_from_name
from autohpo.integrations.lightning import ReportCallback
from autohpo.trial_handle import TrialHandle

logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
warnings.filterwarnings("ignore", module="lightning|torch")

x = torch.randn(600, 8, generator=torch.Generator().manual_seed(0))
y = (x[:, 0] * x[:, 1] > 0).long()
train_set, valid_set = TensorDataset(x[:400], y[:400]), TensorDataset(x[400:], y[400:])


class Net(lightning.LightningModule):
    """A hidden layer."""

    def __init__(self, lr: float, units: int) -> None:
        super().__init__()
        self.lr = lr
        self.layers = torch.nn.Sequential(torch.nn.Linear(8, units), torch.nn.ReLU(), torch.nn.Linear(units, 2))

    def training_step(self, batch: Any, index: int) -> torch.Tensor:
        """Return the loss."""
        return torch.nn.functional.cross_entropy(self.layers(batch[0]), batch[1])

    def validation_step(self, batch: Any, index: int) -> None:
        """Log what the search is told."""
        self.log("val_acc", (self.layers(batch[0]).argmax(1) == batch[1]).float().mean())

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Return the optimizer."""
        return torch.optim.Adam(self.parameters(), self.lr)


def train(hps: dict[str, Any], trial: TrialHandle) -> None:
    """Train as long as the search says."""
    lightning.seed_everything(trial.seed, verbose=False)
    report = ReportCallback(trial, "val_acc")
    trainer = lightning.Trainer(
        max_epochs=9,
        callbacks=[report],
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(
        Net(hps["lr"], hps["units"]),
        DataLoader(train_set, batch_size=50, shuffle=True),
        DataLoader(valid_set, batch_size=200),
        ckpt_path=report.ckpt_path,
    )


if __name__ == "__main__":
    space = [LogRangeHP("lr", 1e-3, 1e-1), RangeHP("units", 4, 32)]
    hpo = build_hpo_from_name("bohb", space, train, max_fidelity=9, max_evals=9, seed=0)
    best_hp, best_accuracy = hpo.optimize(progress=False)
    print("best", best_hp, "validation accuracy", round(best_accuracy, 3))
