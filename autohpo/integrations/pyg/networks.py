"""A model of a configuration: its modules, and the scores that it gives nodes or graphs."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

from autohpo.integrations.pyg.graphs import Graph
from autohpo.integrations.pyg.layers import apply, make_layer, propagate, width_of
from autohpo.integrations.pyg.needs import need
from autohpo.integrations.pyg.sparse import Sparse, Tensor, drop

FIRST_ONLY = ("gcn", "appnp")
"""Models in whose papers only the first layer has weight decay, when they classify nodes."""


class Network:
    """The modules of PyTorch Geometric that a configuration names, and how they are put together.

    Args:
        hp: A whole configuration.
        n_in: The number of features of a node.
        n_classes: The number of classes.
        is_graph: Whether whole graphs are classified: then the nodes of each become one vector, by ``pooling``.

    Attributes:
        module: The ``torch.nn.ModuleDict`` of all layers.
    """

    def __init__(self, hp: Mapping[str, Any], n_in: int, n_classes: int, *, is_graph: bool = False) -> None:
        torch, nn = need("torch"), need("torch_geometric.nn")
        self._hp, self._is_graph = hp, is_graph
        widths = [width_of(hp, width) for width in hp["hidden"]]
        sizes = [n_in, *widths, *([] if is_graph else [n_classes])]
        last = len(sizes) - 2
        layers = [
            make_layer(hp, a, b, is_output=i == last and not is_graph) for i, (a, b) in enumerate(pairwise(sizes))
        ]
        self.module = torch.nn.ModuleDict({"layers": torch.nn.ModuleList(layers)})
        if is_graph:
            self.module["norms"] = torch.nn.ModuleList([nn.BatchNorm(width) for width in widths])
            self.module["output"] = torch.nn.Linear(widths[-1], n_classes)
            self._pool = _pooling(hp)
        if hp["model"] == "appnp":
            self.module["spread"] = nn.APPNP(hp["hops"], hp["alpha"])
        self._activate = torch.nn.functional.elu if hp["model"] == "gat" else torch.relu

    def groups(self) -> list[dict[str, Any]]:
        """Return the parameters as an optimizer takes them, with the weight decay of each group."""
        decay = self._hp["weight_decay"]
        if self._is_graph or self._hp["model"] not in FIRST_ONLY:
            return [{"params": list(self.module.parameters()), "weight_decay": decay}]
        first, *rest = self.module["layers"]
        others = [parameter for layer in rest for parameter in layer.parameters()]
        groups = [{"params": list(first.parameters()), "weight_decay": decay}]
        return groups + ([{"params": others, "weight_decay": 0.0}] if others else [])

    def scores(self, graph: Graph) -> Tensor:
        """Return the ``(n, n_classes)`` scores of the nodes of one graph; with dropout while the module trains."""
        x: Any = graph.x
        layers = self.module["layers"]
        for i, layer in enumerate(layers):
            x = apply(self._hp["model"], layer, self._dropped(x), graph)
            if i < len(layers) - 1:
                x = self._activate(x)
        if "spread" in self.module:
            x = propagate(x, graph, self._hp["alpha"], self._hp["hops"])
        return x

    def graph_scores(self, batch: Any) -> Tensor:
        """Return the ``(n, n_classes)`` scores of n graphs in a batch of PyTorch Geometric."""
        x = batch.x
        for layer, norm in zip(self.module["layers"], self.module["norms"], strict=True):
            x = layer(x) if self._hp["model"] == "appnp" else layer(x, batch.edge_index)
            x = self._activate(norm(x))
        if "spread" in self.module:
            x = self.module["spread"](x, batch.edge_index)
        pooled = self._pool(x, batch.batch, batch.num_graphs)
        return self.module["output"](self._dropped(pooled))

    def _dropped(self, x: Tensor | Sparse) -> Tensor | Sparse:
        rate = self._hp["dropout"]
        if not self.module.training or not rate:
            return x
        return x.dropped(rate) if isinstance(x, Sparse) else drop(x, rate)


def _pooling(hp: Mapping[str, Any]) -> Any:
    """The function that makes one vector of the nodes of each graph."""
    if hp["pooling"] == "softmax":
        weighed = need("torch_geometric.nn").SoftmaxAggregation(t=hp.get("temperature", 1.0))
        return lambda x, index, n: weighed(x, index, dim_size=n)
    pool = getattr(
        need("torch_geometric.nn"), {"sum": "global_add_pool"}.get(hp["pooling"], f"global_{hp['pooling']}_pool")
    )
    return lambda x, index, n: pool(x, index, size=n)
