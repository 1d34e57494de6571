"""GraphTrainer: the classes of whole graphs, in mini-batches."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from autohpo.errors import OptionError, short, shown
from autohpo.integrations.pyg.configuration import GRAPH_DEFAULTS
from autohpo.integrations.pyg.needs import need
from autohpo.integrations.pyg.networks import Network
from autohpo.integrations.pyg.spaces import Task as TaskName
from autohpo.integrations.pyg.sparse import Tensor
from autohpo.integrations.pyg.trainer import Trainer

LARGEST_BATCH = 256
"""The most graphs that are scored at once."""


class GraphTask:
    """Graphs that are classified.

    Args:
        parts: The graphs of each part.
        device: The device.
    """

    is_graph = True

    def __init__(self, parts: Mapping[str, Sequence[Any]], device: Any) -> None:
        torch = need("torch")
        self.device = device
        self._parts = {name: [_usable(data) for data in graphs] for name, graphs in parts.items()}
        self._ready: dict[str, list[Any]] = {}
        labels = {name: [int(data.y.reshape(-1)[0]) for data in graphs] for name, graphs in self._parts.items()}
        self._labels = {name: torch.tensor(found, device=device) for name, found in labels.items()}
        self.n_features = int(self._parts["train"][0].x.shape[1])
        self.n_classes = 1 + max(max(found, default=0) for found in labels.values())

    def train_epoch(self, network: Network, optimizer: Any, batch_size: int | None) -> float:
        """Take a step for each batch of training graphs, in an order of chance; return the mean loss."""
        cross_entropy, total = need("torch").nn.functional.cross_entropy, 0.0
        for batch in self._batches("train", batch_size or 32, shuffle=True):
            optimizer.zero_grad()
            loss = cross_entropy(network.graph_scores(batch), batch.y.reshape(-1))
            loss.backward()
            optimizer.step()
            total += float(loss.detach()) * batch.num_graphs
        return total / len(self._parts["train"])

    def scores(self, network: Network, part: str) -> Tensor:
        """Return the scores of the graphs of a part."""
        return need("torch").cat([network.graph_scores(batch) for batch in self._scored(part)])

    def labels(self, part: str) -> Tensor:
        """Return the classes of the graphs of a part."""
        return self._labels[part]

    def _batches(self, part: str, size: int, *, shuffle: bool = False) -> Iterator[Any]:
        own = None if shuffle else need("torch").Generator()  # a loader draws a number even where it has no use for it
        loader = need("torch_geometric.loader").DataLoader(
            self._parts[part], batch_size=size, shuffle=shuffle, generator=own
        )
        return (batch.to(self.device) for batch in loader)

    def _scored(self, part: str) -> list[Any]:
        """The graphs of a part in large batches, which are made once."""
        if part not in self._ready:
            self._ready[part] = list(self._batches(part, LARGEST_BATCH))
        return self._ready[part]


def _usable(data: Any) -> Any:
    """A graph with what is read of it alone; one feature, a 1, where nodes have none.

    Raises:
        OptionError: It has no edges or no class, or features that are not finite.
    """
    torch = need("torch")
    y = getattr(data, "y", None)
    if getattr(data, "edge_index", None) is None or y is None or y.numel() != 1 or y.is_floating_point():
        raise OptionError(f"dataset: each graph must have edge_index and y, one integer, got {short(data)}")
    x = getattr(data, "x", None)
    x = torch.ones(data.num_nodes, 1) if x is None else x.float()
    if not bool(torch.isfinite(x).all()):
        raise OptionError(f"dataset: x must have finite numbers, got others in {short(data)}")
    return need("torch_geometric.data").Data(x=x, edge_index=data.edge_index, y=y.reshape(1))


def _is_list(dataset: Any) -> bool:
    """Whether something is a list or a data set of graphs, and neither one graph nor a dict."""
    is_one = isinstance(dataset, (need("torch_geometric.data").Data, Mapping, str))
    return hasattr(dataset, "__len__") and hasattr(dataset, "__getitem__") and not is_one


class GraphTrainer(Trainer):
    """Trains a model to classify graphs, in mini-batches.

    The nodes of a graph become one vector by ``pooling``: sum, mean, max, or a softmax with a ``temperature``. Nodes
    without features get a single 1.

    Args:
        model: One of ``gcn, gat, sage, gin, appnp``; or a list of some of them, to search for the best one.
        device: "auto" is ``cuda`` where torch sees a GPU in the slot that trains, else ``cpu``; or the name of one.
        split: The shares of training, validation and test graphs, where the data set is not split already.
        split_seed: What the split is drawn from: the same one for all trials.
        **hp: Hyper-parameters that differ from the default: those of :class:`NodeTrainer`, with a width in ``hidden``
            for each layer, and ``batch_size``, ``pooling`` and ``temperature``.

    Raises:
        OptionError: The model or an argument is unknown.
        SpaceError: A hyper-parameter is unknown, or breaks its rule.

    Example:
        >>> GraphTrainer("gin", pooling="mean").default["pooling"]
        'mean'
    """

    task: ClassVar[TaskName] = "graph"
    n_widths: ClassVar[int] = 0
    defaults: ClassVar[Mapping[str, Mapping[str, Any]]] = GRAPH_DEFAULTS

    def __init__(
        self,
        model: str | Sequence[str] = "gin",
        *,
        device: str = "auto",
        split: tuple[float, float, float] = (0.8, 0.1, 0.1),
        split_seed: int = 0,
        **hp: Any,
    ) -> None:
        super().__init__(model, device, hp)
        is_list = isinstance(split, (tuple, list)) and len(split) == 3
        if not is_list or not all(isinstance(s, (int, float)) and s >= 0 for s in split) or abs(sum(split) - 1) > 1e-6:
            raise OptionError(f"split: must be three shares that add up to 1, got {shown(split)}")
        self._split, self._split_seed = split, split_seed

    def _prepare(self, dataset: Any, device: Any) -> GraphTask:
        return GraphTask(self.parts(dataset), device)

    def parts(self, dataset: Any) -> dict[str, list[Any]]:
        """Return the graphs of the parts "train", "valid" and "test".

        Args:
            dataset: A list or a data set of graphs, which is split with the same share of each class in all parts; or
                a dict of three of these, or a tuple of them in this order.

        Raises:
            OptionError: It is none of these, or a part has no graph.
        """
        if isinstance(dataset, tuple) and len(dataset) == 3:
            dataset = dict(zip(("train", "valid", "test"), dataset, strict=True))
        if isinstance(dataset, Mapping) and set(dataset) <= {"train", "valid", "test"}:
            found = {name: list(dataset.get(name, ())) for name in ("train", "valid", "test")}
        elif _is_list(dataset):
            found = self._drawn([dataset[i] for i in range(len(dataset))])
        else:
            raise OptionError(
                f"dataset: must be a list of graphs, or a dict of train, valid and test, got {short(dataset)}"
            )
        empty = [name for name in ("train", "valid") if not found[name]]
        if empty:
            raise OptionError(f"dataset: there must be a graph in each part, got none in {', '.join(empty)}")
        return found

    def _drawn(self, graphs: list[Any]) -> dict[str, list[Any]]:
        """Split graphs; each class by the same shares."""
        rng = np.random.default_rng(self._split_seed)
        classes: dict[int, list[int]] = {}
        for i in rng.permutation(len(graphs)).tolist():
            y = getattr(graphs[i], "y", None)
            classes.setdefault(-1 if y is None else int(y.reshape(-1)[0]), []).append(i)
        found: dict[str, list[Any]] = {"train": [], "valid": [], "test": []}
        ends = np.cumsum(self._split)
        for _, members in sorted(classes.items()):
            first, second = (round(len(members) * end) for end in ends[:2])
            places = {"train": members[:first], "valid": members[first:second], "test": members[second:]}
            for name, chosen in places.items():
                found[name] += [graphs[i] for i in sorted(chosen)]
        return found
