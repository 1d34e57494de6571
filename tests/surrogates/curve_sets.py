"""Learning curves for the tests of processes over configurations and fidelities."""

from __future__ import annotations

import numpy as np
from scipy import stats

from autohpo.surrogates.embedding import Embedding
from autohpo.surrogates.gp import Data
from autohpo.surrogates.multi_fidelity import KERNELS, multi_fidelity_process
from autohpo.surrogates.parzen_columns import Columns

# Two ranges, one that is not always active, three categories.
MIXED = Embedding(Columns(np.array([0, 0, 0, 3]), [None] * 4), np.array([False, False, True, False]))
RUNGS = np.array([1.0, 3.0, 9.0, 27.0])
TOP = 27.0


def process_of(name, embedding=MIXED, **options):
    """The process of a kernel for fidelities from 1 to 27."""
    return multi_fidelity_process(embedding, name, max_fidelity=TOP, min_fidelity=1.0, **options)


def curves(n_configurations=12, n=25, seed=0):
    """Random results of n rows of some random configurations, in no order."""
    rng = np.random.default_rng(seed)
    x, mask = rng.random((n_configurations, 4)), np.ones((n_configurations, 4), bool)
    mask[::3, 2] = False
    numbers = np.repeat(np.arange(n_configurations), 4)
    chosen = rng.permutation(4 * n_configurations)[:n]
    numbers, r = numbers[chosen], np.tile(RUNGS, n_configurations)[chosen]
    return Data(np.column_stack([x[numbers], r, 7.0 * numbers]), mask[numbers], rng.standard_normal(n))


def new_points(m=6, seed=1, fidelity=TOP):
    """Points and mask of new configurations at one fidelity."""
    rng = np.random.default_rng(seed)
    points = np.column_stack([0.1 + 0.8 * rng.random((m, 4)), np.full(m, fidelity), 1e4 + np.arange(m)])
    mask = np.ones((m, 4), bool)
    mask[0, 2] = False
    return points, mask


def some_theta(process, seed=1):
    """Parameters near the start, none of them like another."""
    theta = process.start + 0.3 * np.random.default_rng(seed).standard_normal(len(process.start))
    theta[:3] += 1.0
    return theta


def asha_curves(seed=0, n_configurations=36):
    """Standardised results of curves that rise to different heights, as successive halving sees them."""
    rng = np.random.default_rng(seed)
    x = rng.random((n_configurations, 4))
    end, gain = np.sin(4 * x[:, 0]) + x[:, 1], 0.6 + x[:, 2] + 0.2 * rng.standard_normal(n_configurations)
    seen, rows = np.arange(n_configurations), []
    for r in RUNGS:
        values = end[seen] - gain[seen] * r**-0.5 + 0.03 * rng.standard_normal(len(seen))
        rows += [(i, r, value) for i, value in zip(seen, values, strict=True)]
        seen = seen[np.argsort(-values)][: len(seen) // 3 + 1]
    numbers, fidelities, values = (np.array(column) for column in zip(*rows, strict=True))
    points = np.column_stack([x[numbers], fidelities, numbers])
    return Data(points, np.ones((len(points), 4), bool), stats.zscore(values))


__all__ = [
    "KERNELS",
    "MIXED",
    "RUNGS",
    "TOP",
    "asha_curves",
    "curves",
    "new_points",
    "process_of",
    "some_theta",
]
