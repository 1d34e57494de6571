"""How likely the order at a rung says nothing of the order at the next, and from which rung on all tell the truth."""

from __future__ import annotations

import math

import numpy as np

from autohpo.surrogates.arrays import FloatArray
from autohpo.surrogates.promoted import normal_scores

LIE = 0.05
"""How likely it is, before anything was seen, that a rung says nothing of the next one."""

_HONEST = 0.6  # the least correlation, among all configurations, that a rung which tells the truth has with the next
_LEAST_PAIRS = 5  # results at both rungs, to judge by


def lie_chances(values: FloatArray, prior: float = LIE) -> FloatArray:
    """``(L - 1,)`` how likely it is that the order at each level but the highest says nothing of that at the next.

    Two guesses are compared by the rank correlation of the configurations that have a value at both levels: that it is
    none, or at least .6. Those that have both were mostly promoted for the lower value, which lies in a narrow range:
    the correlation that is expected of them is smaller, as the spread of these values is to that of all.

    Args:
        values: ``(n, L)`` values at L levels of fidelity, rising; NaN where there is none.
        prior: The chance before anything was seen.

    Returns:
        0 where fewer than five have both values: levels are believed until there is something to judge them by.

    Source: Fisher 1921, Metron 1, the distribution of correlations; Pearson 1903, Phil. Trans. A 200, selection by one
        of two variables.
    """
    from scipy.special import expit, logit

    found = np.zeros(max(values.shape[1] - 1, 0))
    for level in range(len(found)):
        low, high = values[:, level], values[:, level + 1]
        is_low = np.isfinite(low)
        has_both = is_low & np.isfinite(high)
        n = int(has_both.sum())
        if n < _LEAST_PAIRS:
            continue
        everyone = np.full(len(low), np.nan)
        everyone[is_low] = _scores(low[is_low])
        x, y = everyone[has_both], _scores(high[has_both])
        spreads = float(x.std()), float(y.std())
        if min(spreads) <= 0.0:
            continue
        r = float(np.mean((x - x.mean()) * (y - y.mean()))) / (spreads[0] * spreads[1])
        share = spreads[0] / float(everyone[is_low].std())  # of the spread, that selection has left
        expected = share * _HONEST / math.sqrt(1.0 - _HONEST**2 * (1.0 - share**2))  # Pearson, for the narrow range
        z, honest = math.atanh(min(max(r, -0.999), 0.999)), math.atanh(min(expected, 0.999))
        log_ratio = 0.5 * (n - 3) * (z**2 - min(z - honest, 0.0) ** 2)  # of the likelihoods: honest over lie
        found[level] = expit(logit(prior) - log_ratio)
    return found


def _scores(values: FloatArray) -> FloatArray:
    """Normal scores of the ranks; equal values have the mean of theirs."""
    from scipy.stats import rankdata

    ranks = rankdata(values)
    scores: FloatArray = np.interp(ranks, np.arange(1, len(values) + 1), normal_scores(len(values)))
    return scores


def honest_from(chances: FloatArray) -> FloatArray:
    """``(L,)`` how likely each level is the lowest from which on every level tells the truth of the next.

    Args:
        chances: ``(L - 1,)`` how likely each level but the highest says nothing of the next, apart from the others.

    Example:
        >>> honest_from(np.array([0.0, 0.5])).tolist()
        [0.5, 0.0, 0.5]
    """
    is_true = np.append(np.cumprod((1.0 - chances)[::-1])[::-1], 1.0)  # from each level on
    shares: FloatArray = is_true * np.append(1.0, chances)
    return shares
