"""Threads: how many each library may start in a worker, said before it is imported."""

from __future__ import annotations

import os
from collections.abc import Mapping

THREADS = (
    "OMP_NUM_THREADS",  # OpenMP: torch, scikit-learn, xgboost, lightgbm
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "BLIS_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",  # the linear algebra of macOS
    "NUMEXPR_NUM_THREADS",
)
"""The variables that libraries read their number of threads from; torch reads the first two."""


def thread_variables(environment: Mapping[str, str], n_slots: int, n_threads: int | None = None) -> dict[str, str]:
    """Return the variables to add to the environment of a worker.

    Args:
        environment: The environment it would have.
        n_slots: How many workers share the cores.
        n_threads: The number that is said whatever the environment says; None is the share of the cores, and leaves
            alone what is said already. Where that is OpenMP's, the other libraries take it from there.
    """
    if n_threads is not None:
        return dict.fromkeys(THREADS, str(n_threads))
    if THREADS[0] in environment:
        return {}
    share = str(max(1, n_cores() // n_slots))
    return {name: share for name in THREADS if name not in environment}


def n_cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
