"""Bracket weights: how often new configurations start at each rung, by learned trust in what the rung says."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from autohpo.errors import OptionError
from autohpo.history import History

__all__ = ["BracketWeights", "learned_weights"]

FloatArray = NDArray[np.float64]

BracketWeights = Callable[[History], Sequence[float] | None]
"""A function of the history that returns the trust in each rung, from the lowest, at least 0.

Trust is how likely the order of a rung is that of the full fidelity: Hyper-Tune's theta is the share of draws from the
posterior in which the rung ranks the results at a higher one best. The list may be shorter than the rungs, whose rest
is not trusted; None says that too little is known yet.
"""


def learned_weights(rungs: Sequence[float], static: FloatArray, trust: Sequence[float] | None) -> FloatArray:
    """Return ``(n,)`` chances of the brackets: the trust in the rung where one starts, by what a trial costs there.

    A rung that is trusted three times as much as another one, but costs three times as much, is drawn as often.

    Args:
        rungs: The fidelities, rising; bracket s starts at rung s.
        static: ``(n,)`` the chances where no trust is known, or none is in a rung where a bracket starts.
        trust: The trust in each rung, at least 0; see :data:`BracketWeights`.

    Raises:
        OptionError: The trust in some rung is negative, infinite or no number.

    Source: Li et al. 2022, PVLDB 15(6), Hyper-Tune, section 4.1 (bracket selection).

    Example:
        >>> learned_weights([1, 3, 9], np.full(3, 1 / 3), [0.25, 0.75, 0.0]).tolist()
        [0.5, 0.5, 0.0]
    """
    theta = [] if trust is None else [float(one) for one in trust]
    if not all(0 <= one < math.inf for one in theta):
        raise OptionError(f"weights: must be finite numbers of at least 0, got {theta}")
    n = len(static)
    w = np.array((theta + [0.0] * n)[:n]) / np.asarray(rungs[:n], dtype=float)  # theta_i / r_i
    total = float(w.sum())
    return w / total if total > 0 else static
