"""CMA-ES: a normal distribution that learns where to go, how far, and which parameters go together."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from autohpo.algorithms.base import BaseHPOptimizer
from autohpo.algorithms.parts.cma_runs import Runs, Settings
from autohpo.algorithms.parts.seen import SeenSet
from autohpo.algorithms.registry import register_hpo
from autohpo.errors import MissingExtraError, OptionError
from autohpo.surrogates.blas import LinearAlgebra
from autohpo.trial import Suggestion

_BATCHES = (1, 9, 90)


MOST_RESULTS = 100_000
"""The largest population: the library keeps a weight for each of its members."""


@register_hpo("cmaes")
@dataclass(eq=False, kw_only=True)
class CMAES(BaseHPOptimizer):
    """Draws generations from a distribution that follows the better half of each; starts anew where it is stuck.

    The distribution is the ``cmaes`` library's CatCMA with margin: normal for numbers, with a margin that keeps
    integers from getting stuck, and categorical for choices. Results count by rank. While some trials of a generation
    run, other workers get further draws of it, and late results count in the next one. No configuration is suggested
    twice in a finite space: a draw that was seen is skipped, and a run that finds nothing new starts anew.

    Needs ``pip install 'autohpo[cmaes]'``.

    Args:
        population_size: Results that make a generation, at least 4; None is ``4 + 3 ln d`` for d columns. With many
            workers at least their number.
        sigma: First standard deviation, as a share of each range, above 0.
        restarts: "ipop" doubles the population with each run, "bipop" also has runs with small ones in turn.

    Raises:
        MissingExtraError: The library is not installed.

    Source: Hamano et al. 2025, GECCO, arXiv 2504.07884 (CatCMA with margin); Auger & Hansen 2005, CEC (IPOP); Hansen
        2009, GECCO (BIPOP); Nomura et al. 2021, AAAI 35 (start from known results).

    Example:
        >>> from autohpo import RangeHP
        >>> hpo = CMAES([RangeHP("x", 0.0, 1.0), RangeHP("y", 0.0, 1.0)], seed=0, mode="min")
        >>> for _ in range(100):
        ...     suggestion = hpo.ask()
        ...     hpo.tell(suggestion, (suggestion["x"] - 0.3) ** 2 + (suggestion["y"] - suggestion["x"]) ** 2)
        >>> abs(hpo.best()[0]["y"] - 0.3) < 0.02
        True
    """

    ends_with_space: ClassVar[bool] = True
    supports: ClassVar[frozenset[str]] = frozenset({"constraints"})
    linear_algebra: ClassVar[LinearAlgebra] = "numpy"

    population_size: int | None = None
    sigma: float = 0.15
    restarts: Literal["ipop", "bipop"] = "bipop"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.population_size is not None and not 4 <= self.population_size <= MOST_RESULTS:
            rule = f"must be at least 4 and at most {MOST_RESULTS}"
            raise OptionError(f"population_size: {rule}, got {self.population_size}")
        if not 0 < self.sigma < math.inf:
            raise OptionError(f"sigma: must be above 0 and finite, got {self.sigma}")
        try:
            import cmaes  # noqa: F401
        except ImportError as error:
            raise MissingExtraError("cmaes is not installed: pip install 'autohpo[cmaes]'") from error

    def _set_up(self, num_workers: int, time_limit: float | None, memory_limit: int | None) -> None:
        d = max(self.space.n_columns, 1)
        size = self.population_size or 4 + int(3 * math.log(d))  # Hansen 2016, arXiv 1604.00772, eq. 48
        self._seen = SeenSet(self.history)
        self._runs = Runs(self.history, Settings(self.seed or 0, size, self.sigma, self.restarts))

    def _get_suggestion(self, pid: int) -> Mapping[str, Any]:
        self._seen.update()
        if not self.space.n_columns:
            return self._seen.draw(self.rng)
        runs = self._runs
        runs.update()
        for _ in range(2):
            hps: list[dict[str, Any]] = []
            for n in _BATCHES:
                hps += self.space.decode(runs.points(len(hps) + n)[len(hps) :])
                i = self._seen.first(hps)
                if i is not None:
                    return Suggestion(hps[i], info={**runs.note, "draw": runs.n_draws + i})
            runs.restart()  # it only finds what was seen
        return Suggestion(self._seen.draw(self.rng), info={**runs.note, "draw": None})
