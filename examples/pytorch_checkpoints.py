"""Plain PyTorch: a training with checkpoints, and a generator whose models leave the GPU while they are paused."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import nn

from autohpo import LogRangeHP, RangeHP, build_hpo_from_name
from autohpo.integrations.torch import Checkpoint, off_device_while_paused
from autohpo.trial_handle import TrialHandle

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
x = torch.randn(600, 8, generator=torch.Generator().manual_seed(0)).to(DEVICE)
y = (x[:, 0] * x[:, 1] > 0).long()


def build(hps: dict[str, Any]) -> tuple[nn.Module, torch.optim.Optimizer]:
    """Return a model and its optimizer."""
    model = nn.Sequential(nn.Linear(8, hps["units"]), nn.ReLU(), nn.Linear(hps["units"], 2)).to(DEVICE)
    return model, torch.optim.Adam(model.parameters(), hps["lr"])


def train_epoch(model: nn.Module, optimizer: torch.optim.Optimizer) -> torch.Tensor:
    """Train for an epoch, and return the validation accuracy."""
    for batch in torch.randperm(400).split(50):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(x[batch]), y[batch]).backward()
        optimizer.step()
    with torch.no_grad():
        return (model(x[400:]).argmax(1) == y[400:]).float().mean()


def with_checkpoints(hps: dict[str, Any], trial: TrialHandle) -> None:
    """Go on from the checkpoint, where there is one; it survives a crash."""
    torch.manual_seed(trial.seed)
    model, optimizer = build(hps)
    checkpoint = Checkpoint(trial, model=model, optimizer=optimizer)
    for epoch in range(checkpoint.start_epoch, 9):
        accuracy = train_epoch(model, optimizer)
        checkpoint.save(epoch + 1)
        if not trial.report(accuracy):
            return


def as_generator(hps: dict[str, Any], trial: TrialHandle) -> Iterator[Any]:
    """Pause in memory, and off the GPU."""
    torch.manual_seed(trial.seed)
    model, optimizer = build(hps)
    off_device_while_paused(trial, model, optimizer)
    for _ in range(9):
        yield train_epoch(model, optimizer)


if __name__ == "__main__":
    space = [LogRangeHP("lr", 1e-3, 1e-1), RangeHP("units", 4, 32)]
    for train in (with_checkpoints, as_generator):
        hpo = build_hpo_from_name("bohb", space, train, max_fidelity=9, max_evals=12, seed=0)
        best_hp, best_accuracy = hpo.optimize(progress=False)
        print(train.__name__, best_hp, "validation accuracy", round(best_accuracy, 3))
