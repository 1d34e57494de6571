"""PyTorch Geometric: trainers for node and graph classification; needs ``autohpo[pyg]``.

The training loop of five models (GCN, GAT, GraphSAGE, GIN, APPNP), their search spaces, and the configurations that are
well known for them. A trainer is tuned as a generator, ``trainer.objective(dataset)``, or itself, by AutoGL's contract.
Importing this package loads neither torch nor torch_geometric; training does.
"""

from autohpo.integrations.pyg.configuration import GRAPH_DEFAULTS, MODELS, NODE_DEFAULTS
from autohpo.integrations.pyg.graph import GraphTrainer
from autohpo.integrations.pyg.node import NodeTrainer
from autohpo.integrations.pyg.spaces import space_of

__all__ = ["GRAPH_DEFAULTS", "MODELS", "NODE_DEFAULTS", "GraphTrainer", "NodeTrainer", "space_of"]
