"""Sets of curves: which of them share a chain, and what each row of the arrays holds."""

from __future__ import annotations

import numpy as np

from autohpo.surrogates.curve_sets import arrange


def set_of(paths, numbers=None):
    """Curves with results 10 i + position, reported in falling order."""
    rows = [(i, position) for i, path in enumerate(paths) for position in reversed(path)]
    owner, at = np.array(rows, dtype=float).T
    numbers = owner if numbers is None else np.asarray(numbers)[owner.astype(int)]
    return arrange(owner[:, None] / 10, np.ones((len(rows), 1), bool), at, numbers, (10 * owner + at)[:, None])


def test_contiguous_curves_are_beginnings_of_one_chain():
    """So that one factorization serves all of them."""
    curves = set_of([(1, 2), (1, 2, 3, 4), (1,), (1, 2, 3)])
    assert curves.positions.tolist() == [[1, 2, 3, 4]]
    assert curves.chain.tolist() == [0, 0, 0, 0]
    assert curves.counts.tolist() == [2, 4, 1, 3]
    assert curves.uses.tolist() == [[4, 3, 2, 1]]


def test_gaps_make_chains_and_each_curve_is_the_beginning_of_its_own():
    """Random sets of curves: none of the chains begins another, and every curve is a beginning of its chain."""
    rng = np.random.default_rng(0)
    for _ in range(50):
        paths = [tuple(np.flatnonzero(rng.random(4) < 0.7).tolist()) or (0,) for _ in range(8)]
        curves = set_of(paths)
        chains = [tuple(row[:size]) for row, size in zip(curves.positions.tolist(), curves.sizes, strict=True)]
        assert len(set(chains)) == len(chains)
        assert not any(a != b and b[: len(a)] == a for a in chains for b in chains)
        for i, path in enumerate(paths):
            assert chains[curves.chain[i]][: curves.counts[i]] == path
            assert curves.results[i, : len(path), 0].tolist() == [10 * i + position for position in path]
            assert (curves.results[i, len(path) :] == 0).all()


def test_configurations_are_found_by_their_numbers():
    """Negative numbers, and those of no configuration, are found nowhere: each such row is one of its own."""
    curves = set_of([(1, 2), (1,), (2,)], numbers=[7.0, -1.0, 3.0])
    assert curves.find(np.array([3.0, 7.0, -1.0, -2.0, 8.0])).tolist() == [2, 0, -1, -1, -1]
    two = set_of([(1,), (1,)], numbers=[-1.0, -1.0])
    assert two.counts.tolist() == [1, 1]
