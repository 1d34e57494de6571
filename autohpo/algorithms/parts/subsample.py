"""Subsample: which values a model is made of, where there are too many: those of the farthest configurations first."""

from __future__ import annotations

import numpy as np

from autohpo.algorithms.parts.arrays import FloatArray, IntArray


def top_rung_first(fidelity: FloatArray, number: IntArray, n_most: int | None, rng: np.random.Generator) -> IntArray:
    """``(m,)`` the rows that are kept, rising; all where there are no more than `n_most`.

    From the highest fidelity down, all rows are taken of the configurations that came there and no farther. Those of
    the first group that is too large lose their rows at the lowest fidelities, until the rest fits; of the fidelity
    that overflows, some rows drawn at random fill the place that is left.

    Args:
        fidelity: ``(n,)`` how much training a value stands for.
        number: ``(n,)`` which configuration it is of.
        n_most: How many are kept at most; None keeps all.
        rng: The generator of the draw.

    Source: Syne Tune's rule for `max_size_data_for_model`.

    Example:
        >>> fidelity, number = np.array([1.0, 1.0, 1.0, 3.0]), np.array([0, 1, 2, 1])
        >>> top_rung_first(fidelity, number, 2, np.random.default_rng(0)).tolist()
        [1, 3]
    """
    n = len(fidelity)
    if n_most is None or n <= n_most:
        return np.arange(n)
    _, owner = np.unique(number, return_inverse=True)
    farthest = np.full(owner.max() + 1, -np.inf)
    np.maximum.at(farthest, owner, fidelity)
    reached = farthest[owner]  # how far the configuration of each row came
    kept: list[IntArray] = []
    n_left = n_most
    for level in np.unique(reached)[::-1]:
        group = np.flatnonzero(reached == level)
        if len(group) <= n_left:
            kept.append(group)
            n_left -= len(group)
            continue
        for here in np.unique(fidelity[group])[::-1]:
            rows = group[fidelity[group] == here]
            if len(rows) > n_left:
                kept.append(rng.choice(rows, n_left, replace=False))
                break
            kept.append(rows)
            n_left -= len(rows)
        break
    return np.sort(np.concatenate(kept))


def last_of_doublings(fidelity: FloatArray, number: IntArray) -> IntArray:
    """``(m,)`` the rows, rising, that are the last of their configuration in a doubling of the fidelity.

    Args:
        fidelity: ``(n,)`` how much training a value stands for.
        number: ``(n,)`` which configuration it is of.

    Source: Syne Tune's rule for its DyHPO: one value for each trial and geometric bucket.

    Example:
        >>> last_of_doublings(np.array([1.0, 2.0, 3.0, 4.0, 3.0]), np.array([0, 0, 0, 0, 1])).tolist()
        [0, 2, 3, 4]
    """
    bucket = np.floor(np.log2(fidelity) + 1e-9)
    order = np.lexsort((fidelity, bucket, number))
    is_last = np.ones(len(order), dtype=bool)
    is_last[:-1] = (np.diff(number[order]) != 0) | (np.diff(bucket[order]) != 0)
    return np.sort(order[is_last])
