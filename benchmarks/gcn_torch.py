"""A two-layer graph convolutional network in plain PyTorch, trained on Cora: the untuned default is the paper's.

Source: Kipf, Welling 2017, ICLR, Semi-Supervised Classification with Graph Convolutional Networks.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from functools import cache
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from autohpo import HPSpace, LogRangeHP, RangeHP
from autohpo.demo.cora import load_cora

DEFAULT: Mapping[str, Any] = {"lr": 1e-2, "weight_decay": 5e-4, "hidden": 16, "dropout": 0.5}
"""What the paper uses for Cora, with 200 epochs."""


def space() -> list[HPSpace]:
    """What is searched."""
    return [
        LogRangeHP("lr", 1e-3, 1e-1),
        LogRangeHP("weight_decay", 1e-5, 1e-2),
        LogRangeHP("hidden", 8, 64),
        RangeHP("dropout", 0.0, 0.9),
    ]


@cache
def _graph() -> dict[str, Any]:
    """The graph as tensors. The loss of the training nodes needs their neighbours in two steps and no more."""
    data = load_cora()
    near = np.unique(data.adjacency[data.train].indices)
    far = np.unique(data.adjacency[near].indices)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PyTorch calls its sparse rows a beta
        whole = data.adjacency
        rows = [torch.as_tensor(array.astype(np.int64)) for array in (whole.indptr, whole.indices)]
        adjacency = torch.sparse_csr_tensor(*rows, torch.as_tensor(whole.data), whole.shape)
    return {
        "data": data,
        "labels": torch.as_tensor(data.labels),
        "outer": torch.as_tensor(data.adjacency[data.train][:, near].toarray()),
        "inner": torch.as_tensor(data.adjacency[near][:, far].toarray()),
        "far": _words(data.features[far]),
        "all": _words(data.features),
        "adjacency": adjacency,
    }


def _words(features: Any) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Which words the papers contain, where each paper begins, and the weights."""
    indices, starts = features.indices.astype(np.int64), features.indptr[:-1].astype(np.int64)
    return torch.as_tensor(indices), torch.as_tensor(starts), torch.as_tensor(features.data)


def train_gcn(hps: Mapping[str, Any], seed: int, epochs: int = 200) -> tuple[float, float]:
    """Train from a seed, and return the accuracies on the validation and on the test nodes of the public split."""
    graph, dropout = _graph(), float(hps["dropout"])
    data = graph["data"]
    torch.manual_seed(seed)
    sizes = data.n_features, int(hps["hidden"]), data.n_classes
    first, second = (
        torch.nn.init.xavier_uniform_(torch.empty(*pair)).requires_grad_() for pair in (sizes[:2], sizes[1:])
    )
    biases = [torch.zeros(size, requires_grad=True) for size in sizes[1:]]
    decayed = {"params": [first, biases[0]], "weight_decay": hps["weight_decay"]}  # as in the paper
    optimizer = torch.optim.Adam([decayed, {"params": [second, biases[1]]}], lr=hps["lr"])
    indices, starts, weights = graph["far"]
    targets = graph["labels"][data.train]
    for _ in range(epochs):
        optimizer.zero_grad()
        kept = functional.dropout(weights, dropout)
        words = functional.embedding_bag(indices, first, starts, mode="sum", per_sample_weights=kept)
        hidden = functional.dropout(torch.relu(graph["inner"] @ words + biases[0]), dropout)
        loss = functional.cross_entropy(graph["outer"] @ (hidden @ second) + biases[1], targets)
        loss.backward()
        optimizer.step()
    indices, starts, weights = graph["all"]
    with torch.no_grad():
        words = functional.embedding_bag(indices, first, starts, mode="sum", per_sample_weights=weights)
        hidden = torch.relu(graph["adjacency"] @ words + biases[0])
        is_right = (graph["adjacency"] @ (hidden @ second) + biases[1]).argmax(1) == graph["labels"]
    shares = is_right.double()
    return float(shares[data.validation].mean()), float(shares[data.test].mean())
