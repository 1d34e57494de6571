"""NodeTrainer: the classes of the nodes of one graph."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from autohpo.errors import OptionError, shown
from autohpo.integrations.pyg.configuration import NODE_DEFAULTS
from autohpo.integrations.pyg.graphs import Graph, graph_of
from autohpo.integrations.pyg.needs import need
from autohpo.integrations.pyg.networks import Network
from autohpo.integrations.pyg.spaces import Task as TaskName
from autohpo.integrations.pyg.sparse import Tensor
from autohpo.integrations.pyg.trainer import Trainer


class NodeTask:
    """A graph whose nodes are classified; each epoch is one step on all training nodes."""

    is_graph = False

    def __init__(self, graph: Graph, device: Any) -> None:
        self.graph, self.device = graph, device
        self.n_features, self.n_classes = int(graph.x.shape[1]), graph.n_classes

    def train_epoch(self, network: Network, optimizer: Any, batch_size: int | None) -> float:
        """Take one step on all training nodes; return the loss before it."""
        optimizer.zero_grad()
        loss = need("torch").nn.functional.cross_entropy(self.scores(network, "train"), self.labels("train"))
        loss.backward()
        optimizer.step()
        return float(loss.detach())

    def scores(self, network: Network, part: str) -> Tensor:
        """Return the scores of the nodes of a part."""
        return network.scores(self.graph)[self.graph.nodes[part]]

    def labels(self, part: str) -> Tensor:
        """Return the classes of the nodes of a part."""
        return self.graph.y[self.graph.nodes[part]]


class NodeTrainer(Trainer):
    """Trains a model to classify the nodes of one graph, on all of it at once.

    Args:
        model: One of ``gcn, gat, sage, gin, appnp``; or a list of some of them, to search for the best one.
        device: "auto" is ``cuda`` where torch sees a GPU in the slot that trains, else ``cpu``; or the name of one.
        split: Which column of the masks, where the graph has several splits.
        normalize_features: Whether each row of the features is divided by its sum; None where none is negative.
        sparse_features: Whether features are kept as a sparse matrix; None where at most a tenth of them is not 0.
        **hp: Hyper-parameters that differ from the default: ``lr``, ``weight_decay``, ``max_epoch``, ``patience``
            (epochs without a better validation result after which training ends; None never ends it), ``layers``,
            ``hidden`` (a width, or one for each layer but the last), ``dropout``; ``heads`` of ``gat``, ``aggregation``
            of ``sage``, ``mlp_layers`` and ``train_eps`` of ``gin``, ``alpha`` and ``hops`` of ``appnp``.

    Raises:
        OptionError: The model or an argument is unknown.
        SpaceError: A hyper-parameter is unknown, or breaks its rule.

    Example:
        >>> trainer = NodeTrainer("gcn", max_epoch=100)
        >>> trainer.default
        {'lr': 0.01, 'weight_decay': 0.0005, 'dropout': 0.5, 'layers': 2, 'hidden': [16]}
    """

    task: ClassVar[TaskName] = "node"
    n_widths: ClassVar[int] = 1
    defaults: ClassVar[Mapping[str, Mapping[str, Any]]] = NODE_DEFAULTS

    def __init__(
        self,
        model: str | Sequence[str] = "gcn",
        *,
        device: str = "auto",
        split: int = 0,
        normalize_features: bool | None = None,
        sparse_features: bool | None = None,
        **hp: Any,
    ) -> None:
        super().__init__(model, device, hp)
        if not isinstance(split, int) or isinstance(split, bool) or split < 0:
            raise OptionError(f"split: must be an integer of at least 0, got {shown(split)}")
        self._split, self._normalize, self._sparse = split, normalize_features, sparse_features

    def _prepare(self, dataset: Any, device: Any) -> NodeTask:
        how: dict[str, Any] = {"split": self._split, "normalize": self._normalize, "sparse": self._sparse}
        return NodeTask(graph_of(dataset, device, **how), device)
