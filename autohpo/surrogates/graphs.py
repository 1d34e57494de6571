"""Graphs: sub-graphs by random walks, and signatures that tell how alike two graphs of any sizes are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from autohpo.surrogates.arrays import FloatArray, IntArray

if TYPE_CHECKING:
    from scipy.sparse import csr_array

N_TIMES = 64
"""The number of times at which a signature looks: from .01, where a node has seen itself alone, to 100, where it has
seen all."""
MOST_EXACT = 1000
"""The number of nodes up to which all eigenvalues are computed: .2 s there, and growing with the third power."""

_N_STARTS = 20  # nodes of the highest degree
_WALK_LENGTH = 100
_N_PROBES = 12  # each adds 1 / sqrt(n nodes) of noise or less
_N_STEPS = 30  # of the Lanczos method: its error at time 100 is below that of the probes


def adjacency_of(edges: Any, n_nodes: int) -> csr_array:
    """Return the ``(n, n)`` adjacency of an undirected graph: ones, symmetric, without loops.

    Args:
        edges: ``(2, m)`` node numbers, each edge in one direction or in both.
        n_nodes: How many nodes there are.

    Raises:
        ValueError: The edges have another shape, or name nodes that there are not.
    """
    from scipy.sparse import csr_array

    pairs = np.asarray(edges, dtype=np.int64)
    if pairs.ndim != 2 or pairs.shape[0] != 2:
        raise ValueError(f"edges: must have shape (2, m), got {pairs.shape}")
    if pairs.size and not (pairs.min() >= 0 and pairs.max() < n_nodes):
        raise ValueError(f"edges: must name nodes from 0 to {n_nodes - 1}, got {pairs.min()} to {pairs.max()}")
    rows, columns = np.concatenate([pairs, pairs[::-1]], axis=1)
    is_loop = rows == columns
    codes = np.unique(rows[~is_loop] * n_nodes + columns[~is_loop])
    places = codes // max(n_nodes, 1), codes % max(n_nodes, 1)
    return csr_array((np.ones(len(codes)), places), shape=(n_nodes, n_nodes))


def sample_nodes(edges: Any, n_nodes: int, share: float, *, keep: Sequence[int] = (), seed: int = 0) -> IntArray:
    """``(k,)`` node numbers, rising, of a sub-graph with `share` of the nodes; for equal arguments the same ones.

    Random walks start from what is kept, or else from the nodes of the highest degree, until they have seen enough
    nodes. Keep the nodes that labels are known of: the rest of the sub-graph is then what is around them.

    Args:
        edges: ``(2, m)`` node numbers, each edge in one direction or in both.
        n_nodes: How many nodes the graph has.
        share: The share of the nodes, above 0 and at most 1; at least those that are kept.
        keep: Nodes that the sub-graph must hold.
        seed: The seed of the walks.

    Raises:
        ValueError: An argument breaks a rule.

    Source: Tu et al. 2019, KDD, section 4.2 (walks from several nodes of high degree).
    """
    if not 0 < share <= 1:
        raise ValueError(f"share: must be above 0 and at most 1, got {share}")
    adjacency = adjacency_of(edges, n_nodes)
    wanted, rng = max(1, round(share * n_nodes)), np.random.default_rng(seed)
    is_seen = np.zeros(n_nodes, dtype=bool)
    kept = np.asarray(keep, dtype=np.int64)
    is_seen[kept] = True
    n_seen = int(is_seen.sum())
    degrees = np.diff(adjacency.indptr)
    starts = kept if len(kept) else np.argsort(-degrees, kind="stable")[:_N_STARTS]
    n_vain = 0
    while n_seen < wanted:
        before, node = n_seen, int(starts[rng.integers(len(starts))])
        if n_vain >= _N_STARTS:  # all around is seen: the graph has other parts
            node = int(rng.choice(np.flatnonzero(~is_seen)))
        for _ in range(_WALK_LENGTH):
            n_seen += not is_seen[node]
            is_seen[node] = True
            if n_seen >= wanted or not degrees[node]:
                break
            node = int(adjacency.indices[adjacency.indptr[node] + rng.integers(degrees[node])])
        n_vain = n_vain + 1 if n_seen == before else 0
    return np.flatnonzero(is_seen)


def induced_edges(edges: Any, nodes: IntArray, n_nodes: int) -> IntArray:
    """``(2, k)`` edges between some nodes, named by their places among these.

    Args:
        edges: ``(2, m)`` node numbers.
        nodes: ``(k,)`` node numbers.
        n_nodes: How many nodes the graph has.
    """
    places = np.full(n_nodes, -1)
    places[nodes] = np.arange(len(nodes))
    renamed: IntArray = places[np.asarray(edges, dtype=np.int64)]
    return renamed[:, (renamed >= 0).all(axis=0)]


def graph_signature(edges: Any, n_nodes: int, *, seed: int = 0) -> FloatArray:
    """``(N_TIMES,)`` how much heat stays where it is, as the mean over the nodes, at times from .01 to 100.

    These are the means of ``exp(-t lambda)`` over the eigenvalues of the normalised Laplacian: whatever the size of a
    graph and the order of its nodes, graphs of one kind have nearly one curve. Up to 1,000 nodes they are exact; above,
    they are estimated from random probes, in time that grows with the edges.

    Args:
        edges: ``(2, m)`` node numbers, each edge in one direction or in both.
        n_nodes: How many nodes the graph has.
        seed: The seed of the probes.

    Raises:
        ValueError: The edges break a rule.

    Source: Tsitsulin et al. 2018, KDD (NetLSD, the heat trace); Ubaru, Chen & Saad 2017, SIAM J. Matrix Analysis 38
        (traces by Lanczos quadrature).

    Example:
        >>> triangle = np.array([[0, 1, 2], [1, 2, 0]])
        >>> graph_signature(triangle, 3)[[0, -1]].round(3).tolist()
        [0.99, 0.333]
    """
    times = np.logspace(-2, 2, N_TIMES)
    walk = _normalised(edges, n_nodes)
    if n_nodes <= MOST_EXACT:
        values, weights = 1.0 - np.linalg.eigvalsh(walk.toarray()), np.full(n_nodes, 1.0 / n_nodes)
    else:
        values, weights = _spectrum(walk, np.random.default_rng(seed))
    traces: FloatArray = np.exp(-times[:, None] * np.maximum(values, 0.0)) @ weights
    return traces


def _normalised(edges: Any, n_nodes: int) -> csr_array:
    """``D^-1/2 A D^-1/2``: 1 less the normalised Laplacian, with a 1 for each node without edges."""
    from scipy.sparse import diags_array

    adjacency = adjacency_of(edges, n_nodes)
    degrees = np.diff(adjacency.indptr)
    scale = diags_array(1.0 / np.sqrt(np.maximum(degrees, 1)))
    return (scale @ adjacency @ scale + diags_array((degrees == 0).astype(float))).tocsr()


def _spectrum(walk: csr_array, rng: np.random.Generator) -> tuple[FloatArray, FloatArray]:
    """Values and weights whose weighted sums estimate means over the eigenvalues of ``I - walk``.

    Each probe's Lanczos matrix is tridiagonal: its eigenvalues, and the squared first entries of its eigenvectors, are
    a Gauss quadrature of what the probe sees of the spectrum.
    """
    n = walk.shape[0]
    probe = rng.choice([-1.0, 1.0], size=(n, _N_PROBES)) / np.sqrt(n)
    basis = [probe]
    diagonal, beside = np.zeros((_N_PROBES, _N_STEPS)), np.zeros((_N_PROBES, _N_STEPS))
    for k in range(_N_STEPS):
        new = walk @ basis[k]
        diagonal[:, k] = (new * basis[k]).sum(axis=0)
        for earlier in basis:  # orthogonal to all of them, which rounding would undo
            new -= earlier * (earlier * new).sum(axis=0)
        beside[:, k] = np.sqrt((new * new).sum(axis=0))
        basis.append(new / np.maximum(beside[:, k], 1e-12))
    matrices = np.zeros((_N_PROBES, _N_STEPS, _N_STEPS))
    steps = np.arange(_N_STEPS)
    matrices[:, steps, steps] = diagonal
    matrices[:, steps[1:], steps[:-1]] = beside[:, :-1]
    values, vectors = np.linalg.eigh(matrices)  # reads the lower triangle
    return 1.0 - values.ravel(), (vectors[:, 0, :] ** 2).ravel() / _N_PROBES
