"""Sets of curves: which of them share a chain, and what each row of the arrays holds."""

from __future__ import annotations

import numpy as np

from autohpo.surrogates.curve_sets import arrange, thin


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


def test_few_positions_are_all_kept():
    """Up to the number that is allowed."""
    assert thin(np.array([1.0, 2.0, 3.0, 1.0]), np.zeros(4), 3).all()


def test_of_many_positions_the_ends_of_curves_and_evenly_spaced_ones_are_kept():
    """Curves of 1,000 reports, ended at 10, 100 and 1,000: 20 positions, no two neighbours further than a factor of 2.

    Ten positions evenly spaced in the logarithm of 1 to 1,000 are a factor of 2.2 apart; the ends lie in between.
    """
    ends = [10] * 9 + [100] * 3 + [1000]
    positions = np.concatenate([np.arange(1.0, end + 1) for end in ends])
    numbers = np.repeat(np.arange(13.0), ends)
    order = np.random.default_rng(0).permutation(len(positions))
    keep = thin(positions[order], numbers[order], 20)
    kept = np.unique(positions[order][keep])
    assert len(kept) <= 20
    assert {1.0, 10.0, 100.0, 1000.0} <= set(kept)
    assert (kept[1:] / kept[:-1]).max() <= 2.0
    for number in range(13):
        own = positions[order][keep & (numbers[order] == number)]
        assert set(own) == {k for k in kept if k <= ends[number]}


def test_a_curve_without_a_kept_position_keeps_its_last_result():
    """Its only one, at 777, where no other curve has one."""
    positions, numbers = np.append(np.arange(1.0, 1001.0), 777.5), np.append(np.zeros(1000), 1.0)
    keep = thin(positions, numbers, 5)
    assert keep[-1]
    many = np.concatenate([np.arange(1.0, 1001.0), [777.5], np.repeat(1000.0, 9)])
    assert thin(many, np.concatenate([np.zeros(1000), np.arange(1.0, 11.0)]), 2)[1000]
