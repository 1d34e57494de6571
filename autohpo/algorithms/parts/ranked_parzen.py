"""RankedParzen: Parzen estimators of good and of other configurations, ranked by what all fidelities say of them."""

from __future__ import annotations

import math

import numpy as np

from autohpo.algorithms.parts.arrays import FloatArray
from autohpo.algorithms.parts.chain_values import ChainValues
from autohpo.algorithms.parts.parzen_search import BAD_FACTOR, rank_weights
from autohpo.spaces import SearchSpace
from autohpo.surrogates.parzen import ParzenEstimator, closeness, spread_bandwidths
from autohpo.surrogates.parzen_columns import Columns, Encoded
from autohpo.surrogates.parzen_rows import GrowingParzen

_GOOD_SHARE, _MOST_GOOD = 0.15, 25  # the good configurations, as in ``tpe``
_PRIOR_WEIGHT = 1.0
_LARGEST_CLOSENESS = 1.0 - 1e-9


class RankedParzen:
    """Draws configurations where good ones are dense, and orders them by how much denser good ones are than others.

    It is what ``tpe`` does, over one score for each configuration that was started.

    Args:
        space: The space.

    Source: Bergstra et al. 2011, NeurIPS 24, section 4; see :class:`autohpo.algorithms.tpe.TPE`.
    """

    def __init__(self, space: SearchSpace) -> None:
        self._space, self._columns = space, Columns(space.levels, space.edges)
        self._rows = GrowingParzen(self._columns, space.optional, BAD_FACTOR)

    def candidates(self, chains: ChainValues, scores: FloatArray, n: int, rng: np.random.Generator) -> FloatArray:
        """``(n, d)`` points, the best first.

        Args:
            chains: The configurations that were started.
            scores: ``(c,)`` what they are ranked by, higher is better; NaN where nothing is known. One has a score.
            n: How many are drawn.
            rng: The generator of the draws.
        """
        self._follow(chains)
        ranked = np.argsort(np.where(np.isfinite(scores), -scores, np.inf), kind="stable")
        n_known = int(np.isfinite(scores).sum())
        good = ranked[: min(math.ceil(_GOOD_SHARE * n_known), _MOST_GOOD)].tolist()
        centres, weights = self._rows[good], rank_weights(len(good))
        bandwidths = spread_bandwidths(self._columns, centres, weights)
        ell = ParzenEstimator(self._columns, centres, weights, bandwidths, _PRIOR_WEIGHT)
        drawn = self._encoded(ell.sample(n, rng))
        log_ratio = ell.log_density(drawn) - self._rows.log_density(drawn, good, _PRIOR_WEIGHT)
        waiting = np.flatnonzero(chains.is_running & ~np.isfinite(scores))
        if len(waiting):
            near = closeness(self._columns, bandwidths, drawn, self._rows[waiting])
            log_ratio += np.log1p(-np.minimum(near.max(axis=1), _LARGEST_CLOSENESS))
        return drawn.points[np.argsort(-log_ratio, kind="stable")]

    def _follow(self, chains: ChainValues) -> None:
        """Add the configurations that are new; all of them where some were lost."""
        if len(self._rows) > len(chains):
            self._rows = GrowingParzen(self._columns, self._space.optional, BAD_FACTOR)
        n = len(self._rows)
        if n < len(chains):
            mask = chains.mask[n:] if self._space.is_conditional else None
            self._rows.extend(self._columns.encoded(chains.points[n:], mask))

    def _encoded(self, drawn: Encoded) -> Encoded:
        """Draws as they will lie once they are configurations."""
        if not self._space.is_conditional and not self._space.constraints:
            return drawn
        hps = self._space.decode(drawn.points)
        mask = self._space.mask(hps) if self._space.is_conditional else None
        return self._columns.encoded(self._space.encode(hps), mask)
