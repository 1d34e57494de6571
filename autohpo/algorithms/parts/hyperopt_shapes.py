"""Three functions of hyperopt that return their arrays in shape, where hyperopt's own set the shape of an array.

numpy 2.5 deprecates that, and will remove it. The numbers are hyperopt's to the last digit, and drawn in its order.

Source: ``hyperopt/tpe.py`` and ``hyperopt/pyll/stochastic.py`` 0.3.0 (the same in 0.2.7), BSD 3-clause licence.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from autohpo.algorithms.parts.arrays import FloatArray

REPLACED: dict[str, Any] = {}
"""hyperopt's own functions by their names, once others stand in their places."""


@lru_cache(maxsize=1)
def adapt_to_numpy() -> None:
    """Put these functions in the place of hyperopt's, once, if this numpy does not let it set shapes quietly."""
    if not can_set_shapes():
        use_reshaped()


def use_reshaped() -> None:
    """Put these functions in the place of hyperopt's: in its table, and in the modules that import them."""
    from hyperopt import anneal, tpe
    from hyperopt.pyll import scope, stochastic

    for function in (GMM1_lpdf, LGMM1_lpdf, categorical):
        REPLACED.setdefault(function.__name__, scope._impls[function.__name__])
        scope._impls[function.__name__] = function
        for module in (anneal, tpe, stochastic):
            if hasattr(module, function.__name__):
                setattr(module, function.__name__, function)


def can_set_shapes() -> bool:
    """Return whether the shape of an array can be set without a warning."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            np.zeros(1).shape = (1, 1)
        except (DeprecationWarning, AttributeError):
            return False
    return True


# The names of functions and arguments are hyperopt's: it looks them up.


def categorical(p: Any, rng: Any = None, size: Any = ()) -> Any:
    """Return draws of indices with the probabilities `p`: the same for all draws, or a row for each."""
    if len(p) == 1 and isinstance(p[0], np.ndarray):
        p = p[0]
    p = np.asarray(p)
    size = (1,) if size == () else (size,) if isinstance(size, (int, np.number)) else tuple(size)
    if size == (0,):
        return np.asarray([])
    if p.ndim == 1:
        sample = rng.multinomial(n=1, pvals=p, size=int(np.prod(size)))
        return np.dot(sample, np.arange(len(p))).reshape(size)
    return np.asarray([np.where(rng.multinomial(pvals=row, n=1))[0][0] for row in p]).reshape(size)


def GMM1_lpdf(  # noqa: N802, PLR0917 - hyperopt's own name and order
    samples: Any, weights: Any, mus: Any, sigmas: Any, low: Any = None, high: Any = None, q: Any = None
) -> Any:
    """Return the log density of samples under a mixture of normals, cut at `low` and `high`, in steps of `q`."""
    from hyperopt.tpe import EPS, logsum_rows, normal_cdf

    samples, weights, mus, sigmas = map(np.asarray, (samples, weights, mus, sigmas))
    if samples.size == 0:
        return np.asarray([])
    flat, p_accept = samples.flatten(), _accepted(normal_cdf, weights, mus, sigmas, low, high)
    if q is None:
        mahal = ((flat[:, None] - mus) / np.maximum(sigmas, EPS)) ** 2
        coef = weights / np.sqrt(2 * np.pi * sigmas**2) / p_accept
        return logsum_rows(-0.5 * mahal + np.log(coef)).reshape(samples.shape)
    lower = flat - q / 2 if low is None else np.maximum(flat - q / 2, low)
    upper = flat + q / 2 if high is None else np.minimum(flat + q / 2, high)
    return _stepped(normal_cdf, (lower, upper), (weights, mus, sigmas), p_accept).reshape(samples.shape)


def LGMM1_lpdf(  # noqa: N802, PLR0917 - hyperopt's own name and order
    samples: Any, weights: Any, mus: Any, sigmas: Any, low: Any = None, high: Any = None, q: Any = None
) -> Any:
    """Return the log density of samples under a mixture of log-normals; `low` and `high` are logarithms."""
    from hyperopt.tpe import lognormal_cdf, lognormal_lpdf, logsum_rows, normal_cdf

    samples, weights, mus, sigmas = map(np.asarray, (samples, weights, mus, sigmas))
    flat, p_accept = samples.flatten(), _accepted(normal_cdf, weights, mus, sigmas, low, high)
    if q is None:  # as hyperopt, without p_accept
        return logsum_rows(lognormal_lpdf(flat[:, None], mus, sigmas) + np.log(weights)).reshape(samples.shape)
    lower = flat - q / 2 if low is None else np.maximum(flat - q / 2, np.exp(low))
    upper = flat + q / 2 if high is None else np.minimum(flat + q / 2, np.exp(high))
    ends = np.maximum(0, lower), upper
    return _stepped(lognormal_cdf, ends, (weights, mus, sigmas), p_accept).reshape(samples.shape)


def _accepted(cdf: Callable[..., Any], weights: Any, mus: Any, sigmas: Any, low: Any, high: Any) -> Any:  # noqa: PLR0917
    """Return the probability of a mixture between two ends."""
    if low is None and high is None:
        return 1
    return np.sum(weights * (cdf(high, mus, sigmas) - cdf(low, mus, sigmas)))


def _stepped(cdf: Callable[..., Any], ends: Sequence[Any], mixture: Sequence[Any], p_accept: Any) -> FloatArray:
    """Return the log probability of the steps between two ends."""
    prob = np.zeros(ends[0].shape, dtype="float64")
    for w, mu, sigma in zip(*mixture, strict=True):
        inc_amt = w * cdf(ends[1], mu, sigma)
        inc_amt -= w * cdf(ends[0], mu, sigma)
        prob += inc_amt
    stepped: FloatArray = np.log(prob) - np.log(p_accept)
    return stepped
