"""The model that the demo tunes: APPNP on the Cora citation graph, in numpy and scipy.sparse."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from autohpo.errors import OptionError
from autohpo.spaces import ChoiceHP, HPSpace, LogRangeHP, RangeHP

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

Floats = npt.NDArray[np.floating[Any]]
Integers = npt.NDArray[np.integer[Any]]

DEFAULTS: Mapping[str, Any] = {
    "lr": 1e-2,
    "weight_decay": 5e-4,
    "hidden": 16,
    "dropout": 0.5,
    "alpha": 0.5,
    "hops": 2,
    "activation": "relu",
}
"""A newcomer's first guess: what Kipf and Welling (2017, ICLR) use for their two-layer GCN on this graph; and
alpha, which a GCN does not have, in the middle."""

PUBLISHED: Mapping[str, Any] = {
    "lr": 1e-2,
    "weight_decay": 5e-3,
    "hidden": 64,
    "dropout": 0.5,
    "alpha": 0.1,
    "hops": 10,
    "activation": "relu",
}
"""What the authors of APPNP use for their citation graphs (Klicpera et al. 2019), for comparison."""


def cora_space() -> list[HPSpace]:
    """The seven parameters of `train_appnp`, in ranges wide enough to get it badly wrong."""
    return [
        LogRangeHP("lr", 1e-4, 1.0),
        LogRangeHP("weight_decay", 1e-6, 1e-1),
        LogRangeHP("hidden", 8, 128),
        RangeHP("dropout", 0.0, 0.9),
        LogRangeHP("alpha", 0.01, 0.9),
        RangeHP("hops", 1, 20),
        ChoiceHP("activation", ["relu", "tanh", "elu"]),
    ]


@dataclass(frozen=True, eq=False)
class Cora:
    """The citation graph: 2,708 papers as bags of words, 5,278 citations between them, seven topics.

    Attributes:
        features: ``(n, d)`` word indicators, each row divided by its sum.
        adjacency: ``(n, n)`` the graph with self loops, ``D^-1/2 (A + I) D^-1/2``; symmetric.
        labels: ``(n,)`` topics, 0 to `n_classes` - 1.
        train: ``(140,)`` node numbers that are trained on, 20 for each topic.
        validation: ``(500,)`` node numbers that a tuner may look at.
        test: ``(1000,)`` node numbers for the final report only.
        n_classes: number of topics.
    """

    features: csr_matrix
    adjacency: csr_matrix
    labels: Integers
    train: Integers
    validation: Integers
    test: Integers
    n_classes: int

    @property
    def n_nodes(self) -> int:
        """The number of papers."""
        return int(self.labels.shape[0])

    @property
    def n_features(self) -> int:
        """The number of words that a paper may contain."""
        return int(self.features.shape[1])


def load_cora() -> Cora:
    """The graph that is shipped with the package, in float32, with the public Planetoid split.

    Source: Yang, Cohen, Salakhutdinov 2016, ICML, Revisiting Semi-Supervised Learning with Graph Embeddings.
    """
    from scipy.sparse import csr_matrix  # here, so that to import this module stays cheap

    with (files("autohpo.demo") / "data" / "cora.npz").open("rb") as file, np.load(file) as archive:
        arrays = {name: archive[name] for name in archive.files}
    n_nodes, n_features = (int(size) for size in arrays["shape"])
    indices, indptr = arrays["x_indices"].astype(np.int32), arrays["x_indptr"].astype(np.int32)
    n_words = np.diff(indptr)
    shares = np.repeat(1 / n_words, n_words).astype(np.float32)  # every paper has a word
    labels = arrays["y"].astype(np.int64)
    return Cora(
        features=csr_matrix((shares, indices, indptr), shape=(n_nodes, n_features)),
        adjacency=_normalised_adjacency(arrays["edges"].astype(np.int32), n_nodes),
        labels=labels,
        train=arrays["train"].astype(np.int64),
        validation=arrays["val"].astype(np.int64),
        test=arrays["test"].astype(np.int64),
        n_classes=int(labels.max()) + 1,
    )


def _normalised_adjacency(edges: Integers, n_nodes: int) -> csr_matrix:
    """``D^-1/2 (A + I) D^-1/2`` of ``(2, m)`` undirected edges, each given once and without loops."""
    from scipy.sparse import csr_matrix

    nodes = np.arange(n_nodes)
    rows = np.concatenate([edges[0], edges[1], nodes])
    columns = np.concatenate([edges[1], edges[0], nodes])
    degrees = np.bincount(rows, minlength=n_nodes)
    weights = 1 / np.sqrt(degrees[rows] * degrees[columns])
    return csr_matrix((weights.astype(np.float32), (rows, columns)), shape=(n_nodes, n_nodes))


def propagate(adjacency: csr_matrix, scores: Floats, alpha: float, hops: int) -> Floats:
    """``(n, k)`` scores, spread over the graph by personalised PageRank, `hops` steps of it.

    Source: Klicpera, Bojchevski, Günnemann 2019, ICLR, Predict then Propagate, equation 4.
    """
    spread = scores
    for _ in range(hops):
        spread = (1 - alpha) * (adjacency @ spread) + alpha * scores  # eq. 4, no softmax: it is in the loss
    return spread


# Each function with its derivative, the latter in terms of the function's own value.
_ACTIVATIONS: Mapping[str, tuple[Callable[[Floats], Floats], Callable[[Floats], Floats]]] = {
    "relu": (lambda z: np.maximum(z, 0), lambda a: (a > 0).astype(a.dtype)),
    "tanh": (np.tanh, lambda a: 1 - a * a),
    # exp(z) - 1, not expm1: 5 times as fast, and what it rounds away is below the noise of training.
    "elu": (lambda z: np.maximum(z, 0) + (np.exp(np.minimum(z, 0)) - 1), lambda a: np.minimum(a, 0) + 1),
}


class APPNP:
    """A two-layer perceptron whose class scores are spread over the graph, trained on all of it at once.

    It computes in the type of the data: float32 as loaded, float64 where the data was converted. As in the
    paper, there are no biases and only the first layer is regularised. The paper also drops edges while it
    propagates; here they stay, so that propagation to the training nodes is one small matrix, computed once.

        >>> data = load_cora()
        >>> model = APPNP(PUBLISHED, data, seed=0)
        >>> for _ in range(80):
        ...     loss = model.train_epoch()
        >>> model.accuracy(data.validation) > 0.7
        True

    Source: Klicpera, Bojchevski, Günnemann 2019, ICLR; optimiser: Kingma, Ba 2015, ICLR, Algorithm 1.
    """

    def __init__(self, hp: Mapping[str, Any], data: Cora, seed: int) -> None:
        """Draws the first weights (Glorot and Bengio 2010, equation 16).

        Args:
            hp: a value for each parameter of `cora_space`; others are ignored.
            data: the graph.
            seed: what weights and dropout are drawn from.

        Raises:
            OptionError: a parameter is missing or not usable.
        """
        _check(hp)
        self._hp, self._data = dict(hp), data
        self._rng = np.random.default_rng(seed)
        self._activate, self._slope = _ACTIVATIONS[hp["activation"]]
        sizes = [data.n_features, int(hp["hidden"]), data.n_classes]
        dtype = data.features.dtype
        self.weights: list[Floats] = []
        for n_in, n_out in pairwise(sizes):
            bound = np.sqrt(6 / (n_in + n_out))
            self.weights.append(self._rng.uniform(-bound, bound, (n_in, n_out)).astype(dtype))
        self._adam = _Adam(self.weights, float(hp["lr"]))
        # A polynomial of a symmetric matrix is symmetric: its rows for the training nodes are its columns.
        starts = np.zeros((data.n_nodes, data.train.size), dtype)
        starts[data.train, np.arange(data.train.size)] = 1
        self._to_train = self._propagate(starts).T.copy()  # (140, n)
        self._targets = np.eye(data.n_classes, dtype=dtype)[data.labels[data.train]]

    def train_epoch(self) -> float:
        """Take one step of Adam on the loss of all training nodes; the loss before it."""
        loss, gradients = self.loss_and_gradients(*self.draw_dropout())
        self._adam.step(gradients)
        return loss

    def accuracy(self, nodes: Integers) -> float:
        """The share of the ``(k,)`` nodes whose topic is predicted right, without dropout."""
        hidden = self._activate(self._data.features @ self.weights[0])
        predicted = self._propagate(hidden @ self.weights[1])[nodes].argmax(axis=1)
        return float(np.mean(predicted == self._data.labels[nodes]))

    def draw_dropout(self) -> tuple[csr_matrix, Floats]:
        """The ``(n, d)`` features that survive dropout, and the ``(n, hidden)`` mask of the hidden layer.

        Survivors are scaled by ``1 / (1 - dropout)``, so that nothing is to be scaled without dropout.
        """
        from scipy.sparse import csr_matrix

        full, rate = self._data.features, float(self._hp["dropout"])
        kept = self._rng.random(full.nnz, dtype=np.float32) >= rate
        # Dropped words leave the matrix: the product's cost goes with the entries that are stored.
        indptr = np.concatenate([[0], np.cumsum(kept)])[full.indptr].astype(full.indptr.dtype)
        scale = full.dtype.type(1 / (1 - rate))
        features = csr_matrix((full.data[kept] * scale, full.indices[kept], indptr), shape=full.shape)
        mask = self._rng.random((full.shape[0], self.weights[0].shape[1]), dtype=np.float32) >= rate
        return features, mask * scale

    def loss_and_gradients(self, features: csr_matrix, mask: Floats) -> tuple[float, list[Floats]]:
        """The regularised cross-entropy of the training nodes, and its gradient for each weight matrix.

        Args:
            features: ``(n, d)`` features, after dropout.
            mask: ``(n, hidden)`` factors of the hidden units: 0 where dropped.
        """
        first, second = self.weights
        decay = float(self._hp["weight_decay"])
        active = self._activate(features @ first)
        hidden = active * mask
        logits = self._to_train @ (hidden @ second)  # (140, n_classes)
        logits -= logits.max(axis=1, keepdims=True)
        log_shares = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
        n_train = self._data.train.size
        loss = -np.sum(self._targets * log_shares) / n_train + decay / 2 * np.sum(first * first)

        d_scores = self._to_train.T @ ((np.exp(log_shares) - self._targets) / n_train)  # (n, n_classes)
        d_hidden = (d_scores @ second.T) * mask * self._slope(active)
        return float(loss), [features.T @ d_hidden + decay * first, hidden.T @ d_scores]

    def _propagate(self, scores: Floats) -> Floats:
        return propagate(self._data.adjacency, scores, float(self._hp["alpha"]), int(self._hp["hops"]))


class _Adam:
    """Adam with its usual constants; changes the weights in place."""

    def __init__(self, weights: Sequence[Floats], rate: float) -> None:
        self._weights, self._rate, self._n_steps = weights, rate, 0
        self._means = [np.zeros_like(weight) for weight in weights]
        self._squares = [np.zeros_like(weight) for weight in weights]

    def step(self, gradients: Sequence[Floats]) -> None:
        """Take one step against the gradients."""
        self._n_steps += 1
        beta1, beta2, epsilon = 0.9, 0.999, 1e-8
        rate = self._rate / (1 - beta1**self._n_steps)  # corrects the mean
        correction = 1 - beta2**self._n_steps
        for weight, gradient, mean, square in zip(self._weights, gradients, self._means, self._squares, strict=True):
            mean += (1 - beta1) * (gradient - mean)
            square += (1 - beta2) * (gradient * gradient - square)
            weight -= rate * mean / (np.sqrt(square / correction) + epsilon)


def train_appnp(
    hp: Mapping[str, Any], data: Cora, seed: int, max_epochs: int | None = None
) -> Generator[float, None, None]:
    """Train, and yield the accuracy on the validation nodes after each epoch; test labels stay unread.

    Args:
        hp: a value for each parameter of `cora_space`.
        data: the graph.
        seed: what weights and dropout are drawn from; equal seeds give equal curves.
        max_epochs: where to end; None trains for as long as the caller asks for more.

    Raises:
        OptionError: a parameter is missing or not usable; raised when the first value is asked for.
    """
    model = APPNP(hp, data, seed)
    n_epochs = 0
    while max_epochs is None or n_epochs < max_epochs:
        model.train_epoch()
        n_epochs += 1
        yield model.accuracy(data.validation)


def evaluate(hp: Mapping[str, Any], epochs: int, seeds: Sequence[int], data: Cora) -> tuple[Floats, Floats]:
    """The validation and the test accuracies after `epochs`, ``(len(seeds),)`` each.

    For the final report on a configuration that is already chosen: a tuner that sees the second has cheated.

    Raises:
        OptionError: a parameter is missing or not usable.
    """
    accuracies = np.empty((2, len(seeds)))
    for column, seed in enumerate(seeds):
        model = APPNP(hp, data, seed)
        for _ in range(epochs):
            model.train_epoch()
        accuracies[:, column] = model.accuracy(data.validation), model.accuracy(data.test)
    return accuracies[0], accuracies[1]


def _check(hp: Mapping[str, Any]) -> None:
    """Raise OptionError where a parameter would break the training, or change it without a word."""
    missing = [name for name in DEFAULTS if name not in hp]
    if missing:
        raise OptionError(f"hp: must hold {', '.join(DEFAULTS)}; got none for {', '.join(missing)}")
    rules: list[tuple[str, bool, str]] = [
        ("lr", 0 < hp["lr"] < np.inf, "positive and finite"),
        ("weight_decay", 0 <= hp["weight_decay"] < np.inf, "at least 0 and finite"),
        ("hidden", hp["hidden"] >= 1 and hp["hidden"] % 1 == 0, "an integer, at least 1"),
        ("dropout", 0 <= hp["dropout"] < 1, "in [0, 1)"),
        ("alpha", 0 < hp["alpha"] <= 1, "in (0, 1]"),
        ("hops", hp["hops"] >= 0 and hp["hops"] % 1 == 0, "an integer, at least 0"),
        ("activation", hp["activation"] in _ACTIVATIONS, f"one of {', '.join(_ACTIVATIONS)}"),
    ]
    for name, is_met, rule in rules:
        if not is_met:
            raise OptionError(f"{name}: must be {rule}, got {hp[name]!r}")
