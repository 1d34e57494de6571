"""TPE: tree-structured Parzen estimator, which draws where good trials are denser than bad ones."""

from __future__ import annotations

import math
from bisect import insort
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from autohpo.algorithms.base import BaseHPOptimizer
from autohpo.algorithms.registry import register_hpo
from autohpo.errors import OptimizationComplete, OptionError
from autohpo.spaces import HPSpace
from autohpo.surrogates.parzen import Columns, Kernels, ParzenEstimator, even_bandwidths, spread_bandwidths

FloatArray = NDArray[np.float64]

Model = tuple[ParzenEstimator, ParzenEstimator]  # of good trials, of bad ones

LONGEST_TABLE = 32
"""Values of an ordered parameter that get a table; with more, a cell is seldom wider than a kernel."""
LONGEST_LIST = 4096
"""Configurations of a space that are listed when draws meet no new one; of more, there is always one to be drawn."""

_PRIOR_BATCHES = 8
_PRIOR_BATCHES_OF_MANY = 10_000  # about a second: a parameter that counts more values than it has must not hang us


@register_hpo("tpe")
@dataclass(eq=False, kw_only=True)
class TPE(BaseHPOptimizer):
    """Models good and bad trials by a density each, and suggests where their ratio is highest.

    All parameters are modelled together, by one product kernel for each trial, so what is good together stays
    together. Running trials count as bad, which keeps parallel suggestions apart; so do failed ones. No configuration
    is suggested twice; in a finite space the search ends when all were.

    It departs from the sources in the widths. Kernels of good trials follow the spread of the good trials in each
    parameter, so that the search narrows where results agree. Those of bad trials follow from their number alone, in
    steps, so that most of the work can be kept from one suggestion to the next.

    Args:
        n_startup: Trials drawn from the prior before there is a model; failed ones count.
        n_candidates: Draws from the density of good trials, the best of which is suggested.
        gamma: Share of the trials that are good, above 0 and below 1.
        max_good: Good trials at most.
        prior_weight: Of the uniform density beside the trials; the best trial has 1.

    Source: Bergstra et al. 2011, NeurIPS 24, section 4; Watanabe 2023, arXiv 2304.11127, section 3.

    Example:
        >>> from autohpo import RangeHP
        >>> hpo = TPE([RangeHP("x", 0.0, 1.0)], seed=0, mode="min")
        >>> for _ in range(40):
        ...     suggestion = hpo.ask()
        ...     hpo.tell(suggestion, (suggestion["x"] - 0.3) ** 2)
        >>> abs(hpo.best()[0]["x"] - 0.3) < 0.05
        True
    """

    n_startup: int = 10
    n_candidates: int = 24
    gamma: float = 0.15
    max_good: int = 25
    prior_weight: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("n_startup", "n_candidates", "max_good"):
            if getattr(self, name) < 1:
                raise OptionError(f"{name}: must be at least 1, got {getattr(self, name)}")
        if not 0 < self.gamma < 1:
            raise OptionError(f"gamma: must be above 0 and below 1, got {self.gamma}")
        if not 0 < self.prior_weight < math.inf:
            raise OptionError(f"prior_weight: must be above 0 and finite, got {self.prior_weight}")

    @property
    def is_finite(self) -> bool:
        """Whether it ends by itself: where the configurations can be counted."""
        return self.space.n_configurations is not None

    def _set_up(self, num_workers: int, time_limit: float | None, memory_limit: int | None) -> None:
        grids = [_short_grid(hp) for hp in self.space for _ in range(hp.width)]
        self._rows = _Rows(Columns(self.space.levels, grids))
        self._order: list[tuple[float, int]] = []  # (-perf, number): the best first, of equals the older
        self._n_told = 0  # trials taken in
        self._seen: set[bytes] = set()  # coded configurations

    def _get_suggestion(self, pid: int) -> Mapping[str, Any]:
        self._take_in()
        n = self.space.n_configurations
        if n is not None and len(self._seen) >= n:
            raise OptimizationComplete(f"all {n} configurations were suggested")
        model = self._estimators() if self._n_told >= self.n_startup and self._order else None
        hps: list[dict[str, Any]] = []
        for points in self._batches(model):
            hps = self.space.decode(points)
            points = self.space.encode(hps)  # where they will stand once they are trials
            for i in _best_first(points, model):
                if points[i].tobytes() not in self._seen:
                    return hps[i]
        if n is not None:
            raise OptimizationComplete(f"every configuration that can be found was suggested: {len(self._seen)} of {n}")
        return hps[0]  # floats so few that all were seen, in a range of next to no length

    def _take_in(self) -> None:
        """Learns what was asked and told since the last suggestion: each configuration is coded once.

        Numbers have no gaps, and what is not told is running, so row i of the caches is trial i; they are the same
        whatever the order of the results.
        """
        told = self.trials[self._n_told :]
        new = {t.number: t.hp for t in told if t.number >= len(self._rows)}
        new |= {s.number: s for s in self.running if s.number >= len(self._rows)}
        if new:
            points = self.space.encode([new[number] for number in range(len(self._rows), self.number)])
            self._rows.extend(points)
            self._seen.update(point.tobytes() for point in points)
        for trial in told:
            if trial.perf is not None:
                insort(self._order, (-trial.perf, trial.number))
        self._n_told += len(told)

    def _batches(self, model: Model | None) -> Iterator[FloatArray]:
        """``(m, d)`` candidates, batch after batch until one is new: of the model, of the prior, and all there are."""
        if model is not None:
            yield model[0].sample(self.n_candidates, self.rng)
        n = self.space.n_configurations
        is_long = n is not None and n > LONGEST_LIST
        for _ in range(_PRIOR_BATCHES_OF_MANY if is_long else _PRIOR_BATCHES):
            yield self.rng.random((self.n_candidates, self.space.n_columns))
        if n is not None and not is_long:
            rows = [hp.encode(_every_value(hp)) for hp in self.space]
            yield np.array([np.concatenate(parts) for parts in product(*rows)])

    def _estimators(self) -> Model:
        """The densities of good and of bad trials; there must be a trial with a perf."""
        rows = self._rows
        n_good = min(math.ceil(self.gamma * len(self._order)), self.max_good)
        numbers = [number for _, number in self._order[:n_good]]
        points = rows.points[numbers]
        weights = 1.0 - np.arange(n_good) / n_good  # by rank: 1, 1 - 1/n, ..., 1/n
        kernels = Kernels(rows.columns, spread_bandwidths(rows.columns, points, weights))
        good = ParzenEstimator(kernels, points, weights, self.prior_weight)
        rest = np.ones(len(rows))
        rest[numbers] = 0.0
        return good, rows.estimator(rest, self.prior_weight)


class _Rows:
    """One row for each trial, in the order of their numbers, and what a density over them needs; it only grows.

    Attributes:
        columns: What the columns of a row mean.
    """

    def __init__(self, columns: Columns) -> None:
        self.columns = columns
        self._n = 0
        self._points = np.empty((0, len(columns.levels)))
        self._features = np.empty((0, columns.starts[-1]))
        self._constants = np.empty(0)
        self._kernels: Kernels | None = None
        self._n_step = 0

    def __len__(self) -> int:
        return self._n

    @property
    def points(self) -> FloatArray:
        """``(n, d)`` the rows."""
        return self._points[: self._n]

    def extend(self, points: FloatArray) -> None:
        """Adds rows, at a cost that does not depend on how many there are."""
        n = self._n + len(points)
        for name in ("_points", "_features", "_constants"):
            kept = getattr(self, name)
            if n > len(kept):  # to twice the size: all the copies together cost no more than two
                larger = np.empty((max(2 * len(kept), n, 64), *kept.shape[1:]))
                larger[: self._n] = kept[: self._n]
                setattr(self, name, larger)
        self._points[self._n : n] = points
        self._features[self._n : n] = self.columns.features(points)
        if self._kernels is not None:
            self._constants[self._n : n] = self._kernels.constants(points)
        self._n = n

    def estimator(self, weights: FloatArray, prior_weight: float) -> ParzenEstimator:
        """The density of all rows with ``(n,)`` weights, under bandwidths of their number.

        The number is rounded down to four binary digits, so that the bandwidths and what follows from them hold for
        a while: its steps are 6 to 12 %, those of a bandwidth of 10 columns less than 1 %.
        """
        shift = max(self._n.bit_length() - 4, 0)
        n_step = self._n >> shift << shift
        if self._kernels is None or n_step != self._n_step:
            self._kernels, self._n_step = Kernels(self.columns, even_bandwidths(self.columns, n_step)), n_step
            self._constants[: self._n] = self._kernels.constants(self.points)
        return ParzenEstimator(
            self._kernels, self.points, weights, prior_weight, self._features[: self._n], self._constants[: self._n]
        )


def _best_first(points: FloatArray, model: Model | None) -> Iterable[int]:
    """The order of candidates: by the ratio of the densities; without a model as they are."""
    if model is None:
        return range(len(points))
    good, bad = model
    order: list[int] = np.argsort(bad.log_density(points) - good.log_density(points), kind="stable").tolist()
    return order


def _short_grid(hp: HPSpace) -> FloatArray | None:
    """``(V,)`` points of the values of an ordered parameter that has but a few; else None."""
    if hp.width != 1 or hp.levels or hp.n_values is None or hp.n_values > LONGEST_TABLE:
        return None
    return np.unique(hp.encode(_every_value(hp)))


def _every_value(hp: HPSpace) -> list[Any]:
    """The values of a parameter whose values can be counted."""
    return hp.grid(hp.n_values or 1)
