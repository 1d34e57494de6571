"""Objectives that use PyTorch: its scalars are results, and its models train in the slots."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from autohpo import InvalidPerfError, RangeHP, TrialState, build_hpo_from_name
from autohpo.objectives import as_perf

torch = pytest.importorskip("torch", reason="PyTorch is not installed; `make test-torch` installs it")
pytestmark = pytest.mark.torch


def test_a_tensor_of_no_dimension_is_a_result_and_any_other_is_not():
    """As numpy's scalars and arrays."""
    assert as_perf(torch.tensor(0.5)) == 0.5
    assert as_perf(torch.tensor(2, dtype=torch.int64)) == 2.0
    for value in (torch.ones(1), torch.tensor(float("nan")), torch.tensor(1j)):
        with pytest.raises(InvalidPerfError):
            as_perf(value)


def train(hps, seed):
    """Fits a line by gradient descent; each epoch yields minus the loss, as a tensor."""
    torch.manual_seed(seed)
    x = torch.linspace(-1, 1, 32)
    weight = torch.zeros((), requires_grad=True)
    optimizer = torch.optim.SGD([weight], lr=hps["lr"])
    for _ in range(9):
        loss = ((weight * x - 2 * x) ** 2).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        yield -loss.detach()


def test_a_model_trains_in_two_workers_and_is_paused_and_promoted():
    """The best learning rate learns the slope; every trial is complete."""
    hpo = build_hpo_from_name(
        "bohb", [RangeHP("lr", 0.01, 1.5)], train, min_fidelity=1, max_fidelity=9, max_evals=20, seed=0
    )
    _, best_perf = hpo.optimize(num_workers=2, progress=False)
    assert {trial.state for trial in hpo.result.trials} == {TrialState.COMPLETE}
    assert best_perf > -0.1


def test_the_best_graph_networks_and_the_default_are_confirmed_with_the_same_new_seeds(monkeypatch):
    """The network of ``benchmarks/confirm.py``, for a few epochs on Cora; the answer is not below the default."""
    monkeypatch.syspath_prepend(str(Path(__file__).parents[1] / "benchmarks"))
    from gcn_torch import DEFAULT, space, train_gcn

    def objective(hps, seed):
        return train_gcn(hps, seed, epochs=12)[0]

    hpo = build_hpo_from_name("random", space(), objective, max_evals=4, seed=0, points=[dict(DEFAULT)])
    _, mean = hpo.optimize(confirm={"k": 2, "seeds": 3}, progress=False)
    default = next(one for one in hpo.result.confirmed if one.is_default)
    assert mean >= default.mean
    assert len({len(one.perfs) for one in hpo.result.confirmed}) == 1
    first = hpo.result.repeats[0]
    assert objective(dict(first.hp), first.seed) == first.perf
    sys.modules.pop("gcn_torch")
