"""Sparse matrices: products, gradients and dropout are those of dense matrices."""

from __future__ import annotations

import pytest

from autohpo.integrations.pyg.graphs import graph_of
from autohpo.integrations.pyg.networks import Network
from autohpo.integrations.pyg.node import NodeTrainer
from autohpo.integrations.pyg.sparse import Sparse, drop

torch = pytest.importorskip("torch", reason="PyTorch is not installed; `make test-extras` installs it")
pytest.importorskip("torch_geometric", reason="PyTorch Geometric is not installed; `make test-extras` installs it")
pytestmark = pytest.mark.torch


def make(seed=0):
    """A dense (7, 5) matrix of few numbers, and the same one as a sparse one."""
    generator = torch.Generator().manual_seed(seed)
    dense = torch.randn(7, 5, generator=generator) * (torch.rand(7, 5, generator=generator) < 0.3)
    return dense, Sparse.of_dense(dense)


def test_a_product_and_its_gradient_are_those_of_the_dense_matrix():
    """To the rounding of a few additions."""
    dense, sparse = make()
    ours, theirs = (torch.randn(5, 3, generator=torch.Generator().manual_seed(1)).requires_grad_() for _ in range(2))
    weights = torch.randn(7, 3)
    (sparse.times(ours) * weights).sum().backward()
    ((dense @ theirs) * weights).sum().backward()
    torch.testing.assert_close(sparse.times(ours), dense @ theirs)
    torch.testing.assert_close(ours.grad, theirs.grad)
    assert torch.equal(sparse.dense(), dense)


def test_equal_places_are_added_up():
    """As an edge that is given twice counts twice."""
    rows, columns = torch.tensor([1, 0, 1]), torch.tensor([2, 0, 2])
    sparse = Sparse.of(rows, columns, torch.tensor([1.0, 5.0, 2.0]), (2, 3))
    assert sparse.dense().tolist() == [[5.0, 0.0, 0.0], [0.0, 0.0, 3.0]]


def test_dropout_leaves_or_scales_what_is_stored_in_the_matrix_and_in_its_transpose():
    """At rate 3/4 a quarter stays, four times as large; over 20,000 values the share is off by less than five sigma."""
    dense = torch.ones(200, 100)
    dropped = Sparse.of_dense(dense).dropped(0.75)
    values = dropped.dense()
    assert set(values.unique().tolist()) == {0.0, 4.0}
    assert abs(float(values.mean()) - 1) < 5 * (3 / 20_000) ** 0.5
    assert torch.equal(dropped.transpose.to_dense(), values.t())
    assert drop(dense, 0.0) is dense


MODELS = [
    {"model": "gcn"},
    {"model": "gcn", "layers": 3},
    {"model": "gat", "heads": 2},
    {"model": "sage"},
    {"model": "sage", "aggregation": "sum"},
    {"model": "sage", "aggregation": "max"},
    {"model": "gin", "mlp_layers": 3, "train_eps": True},
    {"model": "appnp", "hops": 4},
]


def theirs(network, hp, data):
    """What the modules of PyTorch Geometric make of dense features and edges, without a line of ours."""
    import torch_geometric.nn as nn

    layers = network.module["layers"]
    x = data.x / data.x.sum(1, keepdim=True)
    for i, layer in enumerate(layers):
        x = layer(x) if hp["model"] == "appnp" else layer(x, data.edge_index)
        if i < len(layers) - 1:
            x = torch.nn.functional.elu(x) if hp["model"] == "gat" else x.relu()
    return nn.APPNP(hp["hops"], hp["alpha"])(x, data.edge_index) if hp["model"] == "appnp" else x


@pytest.mark.parametrize("sparse", [True, False])
@pytest.mark.parametrize("given", MODELS, ids=lambda given: "-".join(map(str, given.values())))
def test_a_model_is_that_of_pytorch_geometric(communities, given, sparse):
    """Scores and gradients, on sparse and on dense features, and with edges in one direction alone."""
    directed = communities.clone()
    source, target = communities.edge_index
    directed.edge_index = communities.edge_index[:, (source + 2 * target) % 5 > 0]
    assert not directed.is_undirected()
    hp = NodeTrainer(**given).hp | {"dropout": 0.0}
    for data in (communities, directed):
        graph = graph_of(data, "cpu", split=0, normalize=True, sparse=sparse)
        torch.manual_seed(0)
        network = Network(hp, 60, 3)
        grads = []
        found = [network.scores(graph), theirs(network, hp, data)]
        torch.testing.assert_close(*found)
        for scores in found:
            network.module.zero_grad()
            (scores**2).sum().backward()
            grads.append([p.grad.clone() for p in network.module.parameters() if p.grad is not None])
        torch.testing.assert_close(*grads, atol=1e-4, rtol=1e-4)


def test_weights_of_edges_are_those_of_a_gcn(communities):
    """As GCNConv takes them."""
    data = communities.clone()
    data.edge_weight = torch.rand(data.num_edges, generator=torch.Generator().manual_seed(0))
    graph = graph_of(data, "cpu", split=0, normalize=False, sparse=True)
    network = Network(NodeTrainer("gcn").hp, 60, 3)
    network.module.eval()
    first, second = network.module["layers"]
    hidden = first(data.x, data.edge_index, data.edge_weight).relu()
    torch.testing.assert_close(network.scores(graph), second(hidden, data.edge_index, data.edge_weight))


def test_a_training_on_sparse_features_is_that_on_dense_ones(communities):
    """To rounding, without dropout: the loss after each of 20 epochs."""
    losses = []
    for sparse in (True, False):
        training, _ = NodeTrainer("gcn", sparse_features=sparse, dropout=0.0, max_epoch=20).begin(communities, 3)
        losses.append([])
        while not training.is_over:
            training.step()
            losses[-1].append(training.metrics["loss"])
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)
