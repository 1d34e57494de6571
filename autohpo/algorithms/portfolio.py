"""Portfolio: random draws, Parzen estimators and a Gaussian process over all fidelities, each as often as it earns."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from autohpo.algorithms.base import BaseHPOptimizer
from autohpo.algorithms.parts.arrays import FloatArray
from autohpo.algorithms.parts.chain_values import ChainValues
from autohpo.algorithms.parts.encoding import Encoder
from autohpo.algorithms.parts.projected_process import ProjectedProcess
from autohpo.algorithms.parts.ranked_parzen import RankedParzen
from autohpo.algorithms.parts.seen import SeenSet
from autohpo.algorithms.registry import register_hpo
from autohpo.errors import OptionError
from autohpo.schedulers.rungs import checked_levels
from autohpo.surrogates.blas import LinearAlgebra
from autohpo.surrogates.promoted import rank_scores
from autohpo.surrogates.rung_order import honest_from, lie_chances
from autohpo.trial import Suggestion

ARMS = ("random", "parzen", "process")
"""Where a suggestion may come from, as its notes say."""

_N_CANDIDATES = 24  # draws of the Parzen estimator, as in ``tpe``
_N_LOOKED_AT = 64  # candidates that may be suggested, where the best were suggested before
_TOP_SHARE = 0.15  # of all configurations: those that an arm is praised for
_N_JUDGED = 40  # an arm is judged by its latest configurations
_HITS, _TRIES = 1.5, 6.0  # that every arm is credited with
_LEAST_RANDOM = 0.08


@register_hpo("portfolio")
@dataclass(eq=False, kw_only=True)
class Portfolio(BaseHPOptimizer):
    """Suggests by random draws, by Parzen estimators or by a Gaussian process, and learns which of them to trust.

    It is a sampler for schedulers that compare trials at rungs: it reads the values at all fidelities. Every
    configuration has one score: its rank among those at the lowest fidelity, corrected by who beats whom at higher
    ones. The Parzen estimators model good and bad configurations by that score; they need little and are hard to
    deceive. The process models what configurations are expected to have at full fidelity; it is the best where there
    are full results, and is asked the more, the more there are. Random draws are the insurance against both.

    How often each is asked follows from how many of its latest configurations are among the best 15 % by now.

    Args:
        n_startup: The number of configurations drawn from the prior before there is a model.
        random_fraction: The share of random draws that is planned; at least 8 % are made in any case.
        most_process: The largest share of the rest that the process may be given before its record counts.
        n_full: The number of full results from which on it has that share.
        max_fidelity: The fidelity of a full evaluation; a scheduler says it.
        rung_levels: The fidelities at which trials are compared; a scheduler says them. None takes those at which
            trials ended.
        weighs_rungs: Whether the lowest rungs are left out of the score, as often as it is likely that one of them says
            nothing of the next.

    Raises:
        OptionError: An option breaks a rule.

    Source: Bergstra et al. 2011, NeurIPS 24, the Parzen estimators; Rasmussen & Williams 2006, the process; the choice
        among them is ours, a probability matching as in Thompson 1933 with counts in the place of draws.

    Example:
        >>> from autohpo import RangeHP
        >>> hpo = Portfolio([RangeHP("x", 0.0, 1.0)], seed=0, mode="min")
        >>> for _ in range(40):
        ...     suggestion = hpo.ask()
        ...     hpo.tell(suggestion, (suggestion["x"] - 0.3) ** 2)
        >>> abs(hpo.best()[0]["x"] - 0.3) < 0.02
        True
    """

    ends_with_space: ClassVar[bool] = True
    reads_fidelity: ClassVar[bool] = True
    supports: ClassVar[frozenset[str]] = frozenset({"constraints", "outcome_constraints"})
    linear_algebra: ClassVar[LinearAlgebra] = "scipy"

    n_startup: int = 10
    random_fraction: float = 0.2
    most_process: float = 0.67
    n_full: int = 10
    max_fidelity: float | None = None
    rung_levels: Sequence[float] | None = None
    weighs_rungs: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        full = self.max_fidelity
        rules = [
            ("n_startup", self.n_startup >= 1, "at least 1"),
            ("random_fraction", 0 <= self.random_fraction <= 1, "from 0 to 1"),
            ("most_process", 0 <= self.most_process <= 1, "from 0 to 1"),
            ("n_full", self.n_full >= 1, "at least 1"),
            ("max_fidelity", full is None or 0 < full < math.inf, "positive and finite, or None"),
        ]
        for name, is_kept, rule in rules:
            if not is_kept:
                raise OptionError(f"{name}: must be {rule}, got {getattr(self, name)}")
        if self.rung_levels is not None:
            self.rung_levels = list(checked_levels(self.rung_levels))

    def _set_up(self, num_workers: int, time_limit: float | None, memory_limit: int | None) -> None:
        encoder = Encoder(self.space)
        full = 1.0 if self.max_fidelity is None else float(self.max_fidelity)
        self._full = full
        self._seen = SeenSet(self.history)
        self._chains = ChainValues(self.history, encoder, full, self.rung_levels)
        self._parzen = RankedParzen(self.space)
        self._process = ProjectedProcess(encoder, self.seed or 0)

    def _get_suggestion(self, pid: int) -> Mapping[str, Any]:
        self._seen.update()
        self._chains.update()
        chains, rng = self._chains, self.rng
        scores = rank_scores(chains.values[:, self._lowest_rung() :])
        n_known = int(np.isfinite(scores).sum())
        if len(chains) < self.n_startup or 2 * n_known < self.n_startup or not self.space.n_columns:
            return Suggestion(self._seen.draw(rng), info={"arm": "random"})
        arm = ARMS[int(rng.choice(len(ARMS), p=self._chances(scores)))]
        if arm == "parzen":
            points = self._parzen.candidates(chains, scores, _N_CANDIDATES, rng)
        elif arm == "process":
            points = self._process.candidates(chains, rng)[:_N_LOOKED_AT]
        else:
            points = np.empty((0, self.space.n_columns))
        for part in (slice(0, 1), slice(1, None)):  # the best alone will mostly do, and to decode the others takes time
            hps = self.space.decode(points[part])
            place = self._seen.first(hps)
            if place is not None:
                return Suggestion(hps[place], info={"arm": arm})
        return Suggestion(self._seen.draw(rng), info={"arm": "random"})

    def _lowest_rung(self) -> int:
        """The lowest rung whose values count: a draw by how likely each is the lowest that is to be believed."""
        values = self._chains.values
        if not self.weighs_rungs or values.shape[1] < 2:
            return 0
        enough = np.flatnonzero(np.isfinite(values).sum(axis=0) >= self.n_startup)
        drawn = int(self.rng.choice(values.shape[1], p=honest_from(lie_chances(values))))
        return min(drawn, int(enough.max(initial=0)))

    def _chances(self, scores: FloatArray) -> FloatArray:
        """``(3,)`` how likely each of `ARMS` makes the next suggestion.

        Args:
            scores: ``(c,)`` the score of each configuration; NaN where nothing is known.
        """
        chains = self._chains
        n_full = sum(abs(level - self._full) <= 1e-9 * self._full for level in chains.levels[-1:])
        n_full = int(np.isfinite(chains.values[:, -1]).sum()) if n_full else 0
        process = self.most_process * min(n_full / self.n_full, 1.0)
        rest = 1.0 - self.random_fraction
        planned = np.array([self.random_fraction, rest * (1.0 - process), rest * process])
        known = np.flatnonzero(np.isfinite(scores))
        is_top = scores > np.quantile(scores[known], 1.0 - _TOP_SHARE)
        makers, earned = np.array(chains.makers, dtype=object)[known], np.empty(len(ARMS))
        for place, arm in enumerate(ARMS):
            own = known[makers == arm][-_N_JUDGED:]
            earned[place] = (float(is_top[own].sum()) + _HITS) / (len(own) + _TRIES)
        chances = planned * earned
        chances /= chances.sum()
        chances[0] = max(chances[0], _LEAST_RANDOM)
        normalised: FloatArray = chances / chances.sum()
        return normalised
