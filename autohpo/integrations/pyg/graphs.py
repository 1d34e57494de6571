"""One graph whose nodes are classified: its features, matrices, labels and split, prepared once for all trainings."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from autohpo.errors import OptionError, short
from autohpo.integrations.pyg.needs import need
from autohpo.integrations.pyg.sparse import Sparse, Tensor

SPARSE_BELOW = 0.1
"""Features are kept as a sparse matrix where at most this share of them is not 0."""

PARTS = ("train", "valid", "test")
"""The parts of the nodes; PyTorch Geometric calls the masks of the second ``val_mask``."""


@dataclass(eq=False)
class Graph:
    """A graph on a device.

    Attributes:
        x: ``(n, d)`` features of the nodes, sparse or dense.
        edge_index: ``(2, m)`` from which node to which.
        edge_weight: ``(m,)`` weights of the edges; None where there are none. Only `gcn` and `appnp` look at them.
        y: ``(n,)`` classes, from 0; below 0 where unknown.
        nodes: The numbers of the nodes of each part.
        n_classes: The number of classes.
    """

    x: Tensor | Sparse
    edge_index: Tensor
    edge_weight: Tensor | None
    y: Tensor
    nodes: dict[str, Tensor]
    n_classes: int

    @property
    def n_nodes(self) -> int:
        """The number of nodes."""
        return int(self.x.shape[0])

    @cached_property
    def normalised(self) -> Sparse:
        """``D^-1/2 (A + I) D^-1/2``, with a row for each target."""
        norm = need("torch_geometric.nn.conv.gcn_conv").gcn_norm
        edges, weights = norm(self.edge_index, self.edge_weight, self.n_nodes, dtype=need("torch").float32)
        return self._matrix(edges, weights)

    @cached_property
    def sum(self) -> Sparse:
        """The number of edges, with a row for each target."""
        return self._matrix(self.edge_index, need("torch").ones(self.edge_index.shape[1], device=self.y.device))

    @cached_property
    def mean(self) -> Sparse:
        """One over the number of edges into a target, with a row for each target."""
        torch = need("torch")
        targets = self.edge_index[1]
        degrees = torch.bincount(targets, minlength=self.n_nodes)
        return self._matrix(self.edge_index, 1 / degrees[targets].float())

    @cached_property
    def with_loops(self) -> Tensor:
        """``(2, m)`` edges with exactly one loop at each node."""
        utils = need("torch_geometric.utils")
        without, _ = utils.remove_self_loops(self.edge_index)
        return utils.add_self_loops(without, num_nodes=self.n_nodes)[0]

    def _matrix(self, edges: Tensor, weights: Tensor) -> Sparse:
        return Sparse.of(edges[1], edges[0], weights, (self.n_nodes, self.n_nodes))


def graph_of(dataset: Any, device: Any, *, split: int, normalize: bool | None, sparse: bool | None) -> Graph:
    """Return the graph of a data set, ready on a device.

    Args:
        dataset: A ``torch_geometric.data.Data``, or a data set of one.
        device: The device.
        split: Which column of the masks, where they have several.
        normalize: Whether each row of the features is divided by its sum; None where none is negative.
        sparse: Whether features are kept as a sparse matrix; None where few of them are not 0.

    Raises:
        OptionError: It is no such data set, or something is missing in it.
    """
    torch = need("torch")
    data = _data_of(dataset)
    x, y = data.x, data.y.reshape(-1)
    if x.layout is not torch.strided:
        x = x.to_dense()
    x = x.float()
    if not bool(torch.isfinite(x).all()):
        wrong = int((~torch.isfinite(x)).sum())
        raise OptionError(f"dataset: x must have finite numbers, got {wrong} that are none")
    if y.is_floating_point() or len(y) != len(x):
        raise OptionError(f"dataset: y must have a class, an integer, for each of {len(x)} nodes, got {short(data.y)}")
    if normalize or (normalize is None and bool((x >= 0).all())):
        x = x / x.sum(1, keepdim=True).clamp(min=1e-12)
    _check(data, y, nodes := {part: _nodes(data, part, split) for part in PARTS})
    is_sparse = bool((x != 0).float().mean() <= SPARSE_BELOW) if sparse is None else sparse
    weight = getattr(data, "edge_weight", None)
    return Graph(
        (Sparse.of_dense(x) if is_sparse else x).to(device),
        data.edge_index.to(device),
        None if weight is None else weight.float().to(device),
        y.to(device),
        {part: found.to(device) for part, found in nodes.items()},
        int(y.max()) + 1,
    )


def _data_of(dataset: Any) -> Any:
    """The graph of a data set.

    Raises:
        OptionError: It has none or several, or something is missing in it.
    """
    data = dataset
    if not isinstance(dataset, need("torch_geometric.data").Data):
        n = len(dataset) if hasattr(dataset, "__len__") and hasattr(dataset, "__getitem__") else 0
        if n != 1:
            hint = "; GraphTrainer classifies graphs" if n > 1 else ""
            raise OptionError(f"dataset: must be one graph of PyTorch Geometric, got {short(dataset)}{hint}")
        data = dataset[0]
    missing = [name for name in ("x", "edge_index", "y") if getattr(data, name, None) is None]
    if missing:
        raise OptionError(f"dataset: the graph must have x, edge_index and y, got none for {', '.join(missing)}")
    return data


def _check(data: Any, y: Tensor, nodes: dict[str, Tensor]) -> None:
    """Check that edges lie between nodes, and that nodes which are learned from or judged by have a class.

    Raises:
        OptionError: One does not.
    """
    edges = data.edge_index
    if edges.numel() and not 0 <= int(edges.min()) <= int(edges.max()) < len(y):
        raise OptionError(f"dataset: edge_index must name nodes from 0 to {len(y) - 1}, got {int(edges.max())}")
    for part, chosen in nodes.items():
        if len(chosen) and int(y[chosen].min()) < 0:
            raise OptionError(f"dataset: y must be at least 0 for each {part} node, got {int(y[chosen].min())}")


def _nodes(data: Any, part: str, split: int) -> Tensor:
    """The numbers of the nodes of a part; none where there is no test mask.

    Raises:
        OptionError: There is no such mask, or no such split.
    """
    torch = need("torch")
    names = ("val_mask", "valid_mask") if part == "valid" else (f"{part}_mask",)
    mask = next((getattr(data, name) for name in names if getattr(data, name, None) is not None), None)
    if mask is None and part == "test":
        return torch.empty(0, dtype=torch.int64)
    if mask is None:
        hint = "torch_geometric.transforms.RandomNodeSplit() makes one"
        raise OptionError(f"dataset: the graph must have a {names[0]}; {hint}")
    if mask.dim() == 2:
        if not 0 <= split < mask.shape[1]:
            raise OptionError(f"split: must be one of the {mask.shape[1]} splits of the masks, from 0, got {split}")
        mask = mask[:, split]
    nodes = _numbers(names[0], mask, data.y.reshape(-1).shape[0])
    if part != "test" and not len(nodes):
        raise OptionError(f"dataset: {names[0]} must have a node, got none")
    return nodes


def _numbers(name: str, mask: Tensor, n: int) -> Tensor:
    """The numbers of the nodes that a mask chooses of n: True or 1 for each, or the numbers themselves.

    Raises:
        OptionError: It is neither.
    """
    torch = need("torch")
    is_number = not mask.is_floating_point() and not mask.is_complex()
    is_mask = is_number and len(mask) == n and bool(((mask == 0) | (mask == 1)).all())
    if mask.dtype == torch.bool and not is_mask:
        raise OptionError(f"dataset: {name} must say of each of {n} nodes whether it is in, got {len(mask)}")
    if is_mask:
        return mask.nonzero().reshape(-1)
    if not is_number or (len(mask) and not 0 <= int(mask.min()) <= int(mask.max()) < n):
        raise OptionError(f"dataset: {name} must be a mask, or numbers of nodes from 0 to {n - 1}, got {short(mask)}")
    return mask.long()
