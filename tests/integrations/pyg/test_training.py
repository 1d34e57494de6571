"""A training: resumed it is the same, it ends early, and it keeps its best weights."""

from __future__ import annotations

import math

import pytest

from autohpo.errors import CheckpointError
from autohpo.integrations.pyg import GraphTrainer, NodeTrainer
from autohpo.integrations.pyg.training import load, measured, save

torch = pytest.importorskip("torch", reason="PyTorch is not installed; `make test-extras` installs it")
pytest.importorskip("torch_geometric", reason="PyTorch Geometric is not installed; `make test-extras` installs it")
pytestmark = pytest.mark.torch


KINDS = ["gcn", "gat", "graph"]


def begun(kind, communities, rings_and_stars, **hp):
    """A trainer of one kind, and its training with seed 5."""
    trainer, data = (
        (GraphTrainer("gin", **hp), rings_and_stars) if kind == "graph" else (NodeTrainer(kind, **hp), communities)
    )
    return trainer, data, trainer.begin(data, 5)[0]


def steps(training, n):
    """What n epochs measure."""
    found = []
    for _ in range(n):
        training.step()
        found.append(training.metrics)
    return found


def is_same(a, b):
    """Whether two states are equal, bit for bit."""
    if isinstance(a, torch.Tensor):
        return torch.equal(a, b)
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(is_same(a[key], b[key]) for key in a)
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(map(is_same, a, b))
    return a == b


@pytest.mark.parametrize("kind", KINDS)
def test_a_resumed_training_is_the_uninterrupted_one_bit_for_bit(tmp_path, communities, rings_and_stars, kind):
    """With dropout and shuffled batches: metrics, weights, optimizer, best weights."""
    _, _, whole = begun(kind, communities, rings_and_stars)
    expected = steps(whole, 9)
    trainer, data, first = begun(kind, communities, rings_and_stars)
    found = steps(first, 4)
    save(first.state(), tmp_path / "training.pt")
    second, device = trainer.begin(data, 99)  # the seed is that of the checkpoint
    second.load(load(tmp_path / "training.pt", device))
    assert found + steps(second, 5) == expected
    assert is_same(second.state(), whole.state())
    assert [path.name for path in tmp_path.iterdir()] == ["training.pt"]


@pytest.mark.parametrize("kind", KINDS)
def test_trainings_that_take_turns_do_not_disturb_each_other(communities, rings_and_stars, kind):
    """Nor does what the user draws in between; and the user's own generator is left where it was."""
    _, _, alone = begun(kind, communities, rings_and_stars)
    expected = steps(alone, 4)
    torch.manual_seed(1)
    before = torch.get_rng_state()
    _, _, one = begun(kind, communities, rings_and_stars)
    other, _ = NodeTrainer("gcn", max_epoch=9).begin(communities, 6)
    found = []
    for _ in range(4):
        found += steps(one, 1)
        other.step()
    assert torch.equal(torch.get_rng_state(), before)
    assert found == expected


def test_every_epoch_of_every_seed_draws_anew(communities):
    """The first numbers of nine epochs of two seeds all differ."""
    trainer, first = NodeTrainer("gcn"), set()
    for seed in (0, 1):
        training, _ = trainer.begin(communities, seed)
        for epoch in range(9):
            with training._seeded(epoch):
                first.add(float(torch.rand(())))
    assert len(first) == 18


def test_training_ends_when_it_was_not_better_for_as_long_as_its_patience(communities):
    """And the weights that come back are those of the best epoch of the whole curve."""
    trainer = NodeTrainer("gcn", patience=6, max_epoch=500, lr=0.05)
    task = trainer._task(communities)
    for seed in range(3):
        training, _ = trainer.begin(communities, seed)
        curve, kept = [], []
        while not training.is_over:
            training.step()
            curve.append((training.metrics["accuracy"], -training.metrics["loss"]))
            kept.append({name: value.clone() for name, value in training.network.module.state_dict().items()})
        best = max(range(len(curve)), key=curve.__getitem__)
        assert len(curve) == best + 1 + 6 < 500
        training.restore()
        assert is_same(dict(training.network.module.state_dict()), kept[best])
        assert training.score == curve[best][0] == measured(task, training.network, "valid")[0]
        assert training.best_epoch == best + 1


def test_of_equally_accurate_epochs_the_one_with_the_least_loss_is_the_best(communities, monkeypatch):
    """Whether it comes before others or after them."""
    curve = iter([(0.4, 0.1), (0.5, 1.0), (0.5, 0.9), (0.5, 1.2), (0.3, 0.2)])
    monkeypatch.setattr("autohpo.integrations.pyg.training.measured", lambda *_: next(curve))
    training, _ = NodeTrainer("gcn").begin(communities, 0)
    steps(training, 5)
    assert (training.score, training.best_epoch) == (0.5, 3)


def test_a_training_that_diverges_ends_and_keeps_what_it_had(communities):
    """Infinite weights after three epochs."""
    training, _ = NodeTrainer("gcn", max_epoch=50).begin(communities, 0)
    assert math.isnan(training.score)
    steps(training, 3)
    score = training.score
    with torch.no_grad():
        for parameter in training.network.module.parameters():
            parameter.fill_(math.inf)
    training.step()
    assert training.is_over
    assert (training.epoch, training.score, training.metrics) == (4, score, {})


def test_only_the_first_layer_of_a_gcn_decays(communities):
    """As in its paper; of a GAT all do."""
    decays = {}
    for model in ("gcn", "gat", "appnp"):
        training, _ = NodeTrainer(model).begin(communities, 0)
        decays[model] = [group["weight_decay"] for group in training.network.groups()]
    assert decays == {"gcn": [5e-4, 0.0], "gat": [5e-4], "appnp": [5e-3, 0.0]}


def test_a_checkpoint_goes_on_with_another_learning_rate(communities):
    """As population based training has it."""
    first, _ = NodeTrainer("gcn").begin(communities, 0)
    steps(first, 2)
    second, _ = NodeTrainer("gcn", lr=0.5, weight_decay=0.0).begin(communities, 0)
    second.load(first.state())
    assert [(group["lr"], group["weight_decay"]) for group in second._optimizer.param_groups] == [(0.5, 0.0)] * 2
    assert second.epoch == 2


def test_a_checkpoint_of_another_model_or_a_damaged_one_is_refused(tmp_path, communities):
    """With an error that says so."""
    training, _ = NodeTrainer("gcn").begin(communities, 0)
    other, _ = NodeTrainer("gcn", hidden=8).begin(communities, 0)
    with pytest.raises(CheckpointError, match="same model and widths"):
        training.load(other.state())
    path = tmp_path / "training.pt"
    path.write_bytes(b"PK\x03\x04 nothing")
    with pytest.raises(CheckpointError, match=r"training\.pt cannot be read"):
        load(path, "cpu")


def test_everything_moves_with_a_paused_training(communities):
    """To the device "meta", as there may be no GPU here: weights, optimizer, best weights."""
    training, _ = NodeTrainer("gcn").begin(communities, 0)
    steps(training, 2)
    training.move("meta")
    held = [value for state in training._optimizer.state.values() for name, value in state.items() if name != "step"]
    everything = [*training.network.module.state_dict().values(), *held, *training._best_weights.values()]
    assert {value.device.type for value in everything} == {"meta"}
