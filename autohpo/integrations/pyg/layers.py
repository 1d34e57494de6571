"""The convolutions: PyTorch Geometric's own modules, and how they are computed on one graph that never changes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from autohpo.integrations.pyg.graphs import Graph
from autohpo.integrations.pyg.needs import need
from autohpo.integrations.pyg.sparse import Sparse, Tensor, drop


def make_layer(hp: Mapping[str, Any], n_in: int, n_out: int, *, is_output: bool) -> Any:
    """Return a module of PyTorch Geometric for one layer of a model.

    Args:
        hp: The configuration.
        n_in: The width of what comes in.
        n_out: The width of what goes out; of several heads together, rounded down to a multiple of their number.
        is_output: Whether it computes class scores: then heads are not concatenated, and there is only one.
    """
    torch, nn = need("torch"), need("torch_geometric.nn")
    match hp["model"]:
        case "gcn":
            return nn.GCNConv(n_in, n_out)
        case "gat":
            heads = 1 if is_output else hp["heads"]
            return nn.GATConv(n_in, max(1, n_out // heads), heads, concat=not is_output, dropout=hp["dropout"])
        case "sage":
            return nn.SAGEConv(n_in, n_out, aggr=hp["aggregation"])
        case "gin":
            parts = [torch.nn.Linear(n_in, n_out)]
            for _ in range(hp["mlp_layers"] - 1):
                parts += [torch.nn.ReLU(), torch.nn.Linear(n_out, n_out)]
            return nn.GINConv(torch.nn.Sequential(*parts), train_eps=hp["train_eps"])
    return nn.Linear(n_in, n_out, weight_initializer="glorot", bias_initializer="zeros")  # appnp propagates at the end


def width_of(hp: Mapping[str, Any], width: int) -> int:
    """Return the width that a hidden layer really has: a multiple of the number of heads."""
    return max(1, width // hp["heads"]) * hp["heads"] if hp["model"] == "gat" else width


def apply(model: str, layer: Any, x: Tensor | Sparse, graph: Graph) -> Tensor:
    """Return what a layer makes of the nodes' ``(n, n_in)`` features on a graph: the same as the module itself.

    It is computed as products with matrices that are prepared once. The weights come first, so that it is
    cheap where features are many and sparse.
    """
    match model:
        case "gcn":
            return graph.normalised.times(_times(x, layer.lin.weight)) + layer.bias
        case "gat":
            return _attend(layer, x, graph) if isinstance(x, Sparse) else layer(x, graph.edge_index)
        case "sage" if layer.aggr in ("mean", "sum"):
            near = graph.mean if layer.aggr == "mean" else graph.sum
            return near.times(_times(x, layer.lin_l.weight)) + layer.lin_l.bias + _times(x, layer.lin_r.weight)
        case "sage":
            return layer(x.dense() if isinstance(x, Sparse) else x, graph.edge_index)
        case "gin":
            first, *rest = layer.nn
            scores = _times(x, first.weight)  # linear, so it may come before the sum over neighbours
            hidden = (1 + layer.eps) * scores + graph.sum.times(scores) + first.bias
            for part in rest:
                hidden = part(hidden)
            return hidden
    return _times(x, layer.weight) + layer.bias


def propagate(x: Tensor, graph: Graph, alpha: float, hops: int) -> Tensor:
    """Return ``(n, k)`` scores spread by personalised PageRank.

    Source: Klicpera et al. 2019, ICLR, Predict then Propagate, equation 4.
    """
    spread = x
    for _ in range(hops):
        spread = (1 - alpha) * graph.normalised.times(spread) + alpha * x  # eq. 4
    return spread


def _times(x: Tensor | Sparse, weight: Tensor) -> Tensor:
    """``(n, n_out)`` features times the ``(n_out, n_in)`` weights of a linear module."""
    return x.times(weight.t()) if isinstance(x, Sparse) else x @ weight.t()


def _attend(layer: Any, x: Sparse, graph: Graph) -> Tensor:
    """What a ``GATConv`` makes of sparse features, which it does not take itself.

    Source: Veličković et al. 2018, ICLR, Graph Attention Networks, equations 3 to 6.
    """
    torch, utils = need("torch"), need("torch_geometric.utils")
    source, target = graph.with_loops
    nodes = _times(x, layer.lin.weight).view(-1, layer.heads, layer.out_channels)
    from_source, from_target = (nodes * layer.att_src).sum(-1), (nodes * layer.att_dst).sum(-1)
    energies = torch.nn.functional.leaky_relu(from_source[source] + from_target[target], layer.negative_slope)
    shares = utils.softmax(energies, target, num_nodes=len(nodes))  # eq. 3
    if layer.training:
        shares = drop(shares, layer.dropout)
    messages = nodes[source] * shares[:, :, None]
    heads = torch.zeros_like(nodes).index_add_(0, target, messages)  # eq. 4
    found = heads.flatten(1) if layer.concat else heads.mean(1)  # eq. 5 and 6
    return found + layer.bias
