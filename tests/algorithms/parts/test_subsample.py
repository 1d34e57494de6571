"""Which values a model keeps where there are too many."""

from __future__ import annotations

import numpy as np
import pytest

from autohpo.algorithms.parts.subsample import last_of_doublings, top_rung_first


def grid(counts):
    """Rows of configurations, of which the k-th count came as far as rung 3^k, with all rungs below."""
    rows = [(3.0**level, (top, i)) for top, n in enumerate(counts) for i in range(n) for level in range(top + 1)]
    numbers = {name: i for i, name in enumerate(dict.fromkeys(name for _, name in rows))}
    return np.array([r for r, _ in rows]), np.array([numbers[name] for _, name in rows])


@pytest.mark.parametrize("n_most", [1, 2, 3, 5, 8, 9, 12, 17, 20, 22, 23, 24, None])
def test_rows_are_kept_by_the_rule_from_the_top_rung_down(n_most):
    """Written out for 2 configurations that came to 9, 4 that came to 3, and 8 that stayed at 1."""
    fidelity, number = grid([8, 4, 2])
    kept = top_rung_first(fidelity, number, n_most, np.random.default_rng(0))
    top = {int(i): float(fidelity[number == i].max()) for i in set(number.tolist())}
    of = {key: set() for key in ((9.0, 9.0), (9.0, 3.0), (9.0, 1.0), (3.0, 3.0), (3.0, 1.0), (1.0, 1.0))}
    for row in range(len(fidelity)):
        of[top[int(number[row])], float(fidelity[row])].add(row)
    wanted = len(fidelity) if n_most is None else min(n_most, len(fidelity))
    assert len(kept) == wanted
    assert (np.diff(kept) > 0).all()
    left, found = wanted, set(kept.tolist())
    for group in of.values():  # in the order in which they are taken, the overflowing one in part
        taken = min(left, len(group))
        assert len(found & group) == taken
        left -= taken


def test_the_draw_is_that_of_the_generator():
    """Equal generators draw alike, and others differ."""
    fidelity, number = np.ones(50), np.arange(50)
    drawn = [top_rung_first(fidelity, number, 20, np.random.default_rng(seed)).tolist() for seed in (0, 0, 1)]
    assert drawn[0] == drawn[1] != drawn[2]


def test_of_each_doubling_the_last_value_is_kept():
    """By brute force over configurations and doublings."""
    rng = np.random.default_rng(0)
    pairs = sorted({(int(rng.integers(5)), float(rng.integers(1, 40))) for _ in range(60)}, key=lambda _: rng.random())
    number, fidelity = np.array([i for i, _ in pairs]), np.array([r for _, r in pairs])
    expected = []
    for i in range(5):
        for k in range(6):
            rows = [j for j in range(len(pairs)) if number[j] == i and 2**k <= fidelity[j] < 2 ** (k + 1)]
            expected += [max(rows, key=lambda j: fidelity[j])] if rows else []
    assert last_of_doublings(fidelity, number).tolist() == sorted(expected)
