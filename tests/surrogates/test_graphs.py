"""Graphs: sub-graphs by random walks, and signatures against spectra that are known in closed form."""

from __future__ import annotations

import numpy as np
import pytest

from autohpo.surrogates import graphs
from autohpo.surrogates.graphs import N_TIMES, adjacency_of, graph_signature, induced_edges, sample_nodes

TIMES = np.logspace(-2, 2, N_TIMES)


def ring(n):
    """The edges of a ring of n nodes."""
    return np.stack([np.arange(n), (np.arange(n) + 1) % n])


def random_graph(n, m, seed=0):
    """A graph with loops and repeated edges."""
    return np.random.default_rng(seed).integers(n, size=(2, m))


def test_adjacency_is_symmetric_without_loops_or_repeats():
    """Against a matrix that is filled edge by edge."""
    edges = random_graph(30, 120)
    plain = np.zeros((30, 30))
    for a, b in edges.T:
        plain[a, b] = plain[b, a] = a != b
    assert (adjacency_of(edges, 30).toarray() == plain).all()


@pytest.mark.parametrize(
    ("edges", "text"),
    [
        (np.zeros((3, 2)), r"edges: must have shape \(2, m\), got \(3, 2\)"),
        ([[0, 1], [1, 7]], "edges: must name nodes from 0 to 6, got 0 to 7"),
        ([[0, -1], [1, 0]], "edges: must name nodes from 0 to 6, got -1 to 1"),
    ],
)
def test_wrong_edges_are_named(edges, text):
    """With rule and value."""
    with pytest.raises(ValueError, match=text):
        adjacency_of(edges, 7)


def test_a_complete_graph_has_its_closed_form():
    """The eigenvalues are 0, and n / (n - 1) for n - 1 times; to 1e-12, a few roundings."""
    n = 12
    expected = (1 + (n - 1) * np.exp(-TIMES * n / (n - 1))) / n
    edges = np.array([(a, b) for a in range(n) for b in range(a)]).T
    np.testing.assert_allclose(graph_signature(edges, n), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize(("n", "tolerance"), [(300, 1e-12), (2000, 5e-3)])
def test_a_ring_has_its_closed_form(n, tolerance):
    """The eigenvalues are 1 - cos(2 pi k / n): exact for few nodes, estimated for many.

    The estimate of a trace by p probes of n signs is off by sqrt(2 / (n p)) at most: .0065 here, .005 of it where half
    of the heat is left; and 30 steps do not reach around the ring, which is worth less than 1e-3.
    """
    eigenvalues = 1 - np.cos(2 * np.pi * np.arange(n) / n)
    expected = np.exp(-TIMES[:, None] * eigenvalues).mean(axis=1)
    np.testing.assert_allclose(graph_signature(ring(n), n), expected, rtol=0, atol=tolerance)


def test_the_estimate_is_near_the_exact_signature(monkeypatch):
    """On a graph without structure, with nodes that have no edge: within 5 sqrt(2 / (n p)) of the eigenvalues' mean."""
    n, edges = 400, random_graph(400, 700)
    exact = graph_signature(edges, n)
    monkeypatch.setattr(graphs, "MOST_EXACT", 10)
    estimate = graph_signature(edges, n)
    assert (estimate == graph_signature(edges, n)).all()
    assert (estimate != exact).any()
    np.testing.assert_allclose(estimate, exact, rtol=0, atol=5 * (2 / (n * 12)) ** 0.5)


def test_no_edges_keep_all_heat(monkeypatch):
    """Every eigenvalue is 0, by either way of computing, although the probes' chains end at once."""
    nothing = np.zeros((2, 0), dtype=int)
    np.testing.assert_allclose(graph_signature(nothing, 20), 1.0, rtol=0, atol=1e-12)
    monkeypatch.setattr(graphs, "MOST_EXACT", 10)
    np.testing.assert_allclose(graph_signature(nothing, 20), 1.0, rtol=0, atol=1e-9)


def test_the_order_of_nodes_and_the_size_hardly_matter():
    """Renamed nodes have the same curve; two rings of other sizes are nearer than a ring and a complete graph."""
    edges, order = random_graph(60, 150), np.random.default_rng(1).permutation(60)
    np.testing.assert_allclose(graph_signature(order[edges], 60), graph_signature(edges, 60), rtol=0, atol=1e-12)
    complete = np.array([(a, b) for a in range(20) for b in range(a)]).T
    small, large = graph_signature(ring(100), 100), graph_signature(ring(200), 200)
    other = graph_signature(complete, 20)
    assert np.abs(small - large).max() < 0.01 < 0.1 < np.abs(small - other).max()


@pytest.mark.parametrize("share", [0.1, 0.35, 1.0])
def test_sub_graphs_have_the_share_asked_for(share):
    """Also in a graph of many parts, and the same nodes each time, other ones with another seed."""
    edges = random_graph(300, 200)  # most nodes stand alone or in pairs
    nodes = sample_nodes(edges, 300, share)
    assert len(nodes) == round(share * 300)
    assert (np.diff(nodes) > 0).all()
    assert (nodes == sample_nodes(edges, 300, share)).all()
    if share < 1:
        assert set(nodes) != set(sample_nodes(edges, 300, share, seed=1))


def test_what_is_to_be_kept_is_kept_and_the_rest_is_near():
    """On a ring walks cannot leave where they start: what is found lies within a walk's 100 steps of what is kept."""
    keep = [5, 900]
    nodes = sample_nodes(ring(2000), 2000, 0.03, keep=keep)
    assert len(nodes) == 60
    assert set(keep) <= set(nodes.tolist())
    assert all(min(abs(node - k) for k in (5, 900, 2005)) <= 100 for node in nodes.tolist())
    assert len(sample_nodes(ring(2000), 2000, 0.001, keep=range(40))) == 40


def test_walks_start_at_the_nodes_of_the_highest_degree():
    """A star beside many pairs: from its centre or its leaves a walk stays in the star, from elsewhere in a pair.

    All but the centre have one edge, and the pairs come first in number: of twenty starts nineteen are in pairs.
    """
    star = np.stack([np.full(50, 450), np.arange(400, 450)])
    nodes = sample_nodes(np.concatenate([np.arange(400).reshape(200, 2).T, star], axis=1), 451, 24 / 451)
    assert len(nodes) == 24
    assert 450 in nodes


def test_a_share_of_nothing_is_refused():
    """With rule and value."""
    for share in (0.0, 1.01, float("nan")):
        with pytest.raises(ValueError, match="share: must be above 0 and at most 1, got"):
            sample_nodes(ring(5), 5, share)


def test_induced_edges_are_those_inside():
    """Node 7 is the third of three, and the edge to node 9 is gone."""
    assert induced_edges([[2, 7, 9], [7, 2, 7]], np.array([2, 5, 7]), 10).tolist() == [[0, 2], [2, 0]]
