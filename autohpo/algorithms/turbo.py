"""TuRBO: Bayesian optimization inside boxes around the best points, for many parameters and many trials."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from autohpo.algorithms.base import BaseHPOptimizer
from autohpo.algorithms.parts.arrays import FloatArray
from autohpo.algorithms.parts.encoding import EncodedTrials, Encoder
from autohpo.algorithms.parts.seen import SeenSet
from autohpo.algorithms.parts.start import SobolStart
from autohpo.algorithms.parts.trust_region import Region, best_of
from autohpo.algorithms.registry import register_hpo
from autohpo.errors import OptionError, shown
from autohpo.surrogates.blas import LinearAlgebra
from autohpo.trial import Suggestion, Trial

if TYPE_CHECKING:
    from autohpo.surrogates.gp import GaussianProcess, Posterior

MOST_SEEN = 400
"""The number of results that the process of a region is made of: those nearest to the best one."""
MOST_FITTED = 200
"""The number of results that its parameters are fitted to: the time grows with the third power."""
MOST_CANDIDATES = 2048
"""The number of points of a box that are compared."""

_N_MOVED = 20  # columns in which a candidate differs from the centre, on average
_MOST_STEPS = 40  # of the fit
_N_KEPT = 64  # candidates that may be suggested
_FAILED = -1.0  # in deviations; a failed trial is no better than that, even where all others are alike


MOST_REGIONS = 1_000
"""How many regions there may be: each has a model of its own."""


@register_hpo("turbo")
@dataclass(eq=False, kw_only=True)
class TuRBO(BaseHPOptimizer):
    """Searches in a box around the best point, by functions drawn from a Gaussian process of the results there.

    Where one process for the whole space would have to explore far too much of it, a box stays small: three results in
    a row that are better double it, as many as there are columns that are not halve it, and when it has become tiny
    another one begins elsewhere. Its sides are long where the process says that little changes. Each candidate differs
    from the centre in about 20 columns; suggested is the best for a function drawn from the process, so that workers
    get different ones. Integers and ordered values always have their neighbours in the box, and an unordered value
    is drawn anew among all. No configuration is suggested twice in a finite space.

    It departs from the paper: each result counts by itself, so that no worker waits for a batch; functions are drawn
    as random waves corrected to the data, for 2,048 candidates at most; results far below the median count as if they
    lay nearer, failed trials as bad ones; of one region 400 trials are used at most. Boxes grow and shrink with each
    result as it comes, so that its suggestions depend on the order of results.

    Args:
        n_regions: The number of boxes side by side. Several explore more, and need more trials: some hundred each.
        n_startup: The number of evenly spread trials with which each box begins, at least 2; None is twice the number
            of columns.

    Source: Eriksson et al. 2019, NeurIPS 32, arXiv 1910.01739, Algorithm 1 and section 2.

    Example:
        >>> from autohpo import RangeHP
        >>> hpo = TuRBO([RangeHP("x", 0.0, 1.0), RangeHP("y", 0.0, 1.0)], seed=0, mode="min")
        >>> for _ in range(30):
        ...     suggestion = hpo.ask()
        ...     hpo.tell(suggestion, (suggestion["x"] - 0.3) ** 2 + suggestion["y"] ** 2)
        >>> hpo.best()[1] < 0.01
        True
    """

    ends_with_space: ClassVar[bool] = True
    supports: ClassVar[frozenset[str]] = frozenset({"constraints"})
    linear_algebra: ClassVar[LinearAlgebra] = "scipy"

    n_regions: int = 1
    n_startup: int | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 1 <= self.n_regions <= MOST_REGIONS:
            raise OptionError(f"n_regions: must be from 1 to {MOST_REGIONS}, got {shown(self.n_regions)}")
        if self.n_startup is not None and self.n_startup < 2:
            raise OptionError(f"n_startup: must be at least 2, got {self.n_startup}")

    def _set_up(self, num_workers: int, time_limit: float | None, memory_limit: int | None) -> None:
        space, d = self.space, self.space.n_columns
        self._encoder = Encoder(space)
        self._seen, self._encoded = SeenSet(self.history), EncodedTrials(self.history, self._encoder)
        n_startup = self.n_startup or max(2 * d, 2)
        self._regions = [Region(d, n_startup) for _ in range(self.n_regions)]
        self._starts: dict[tuple[int, int], SobolStart] = {}  # by region and run
        self._fits: dict[int, tuple[int, int, FloatArray]] = {}  # by region: run, results, parameters
        reach = [0.0 if edges is None or levels else float(np.diff(edges).max()) for edges, levels in
                 zip(space.edges, space.levels, strict=True)]  # fmt: skip
        self._reach = 1.01 * np.array(reach)  # of the centre of a cell to those of its neighbours

    def _get_suggestion(self, pid: int) -> Suggestion:
        self._seen.update()
        for trial in self._encoded.update():
            index, run = self._place_of(trial)
            self._regions[index].add(trial, run)
        if not self.space.n_columns:
            return Suggestion(self._seen.draw(self.rng))
        pending = [self._place_of(running) for running in self.running]
        for index, region in enumerate(self._regions):
            n = len(region.trials) + pending.count((index, region.run))
            if n < region.n_startup or len(region.results) < 2:
                return self._spread(index, n)
        return self._best_drawn()

    def _place_of(self, trial: Trial | Suggestion) -> tuple[int, int]:
        """Number of the region that a trial belongs to, and of its run: what others suggested is for the first."""
        index = trial.info.get("region")
        return (0, self._regions[0].run) if index is None else (index, trial.info["run"])

    def _spread(self, index: int, n: int) -> Suggestion:
        """The n-th of the evenly spread trials of a region's run."""
        region = self._regions[index]
        key = index, region.run
        if key not in self._starts:
            self._starts = {key: SobolStart(self.space.n_columns, (self.seed or 0, *key), region.n_startup)}
        hp, _ = self._seen.first_or_draw(self.space.decode(self._starts[key].point(n)), self.rng)
        return Suggestion(hp, info={"region": index, "run": region.run})

    def _best_drawn(self) -> Suggestion:
        """The best new candidate of all regions, each judged by a function drawn from its process."""
        from autohpo.surrogates.gp_paths import draw_path  # here, because scipy.linalg takes long to load

        found = list[tuple[FloatArray, FloatArray, int]]()
        largest = max(abs(trial.score or 0.0) for region in self._regions for trial in region.results) or 1.0
        for index, region in enumerate(self._regions):
            posterior, centre, (middle, spread) = self._posterior(index, region, largest)
            candidates = self._candidates(centre, region.length, posterior.lengths)
            values = draw_path(posterior, self.rng)(*self._encoder.of_points(candidates))
            best = np.argsort(-values, kind="stable")[:_N_KEPT]
            found.append((candidates[best], middle + spread * values[best], index))
        points, values = (np.concatenate([part[k] for part in found]) for k in (0, 1))
        owners = np.repeat([part[2] for part in found], [len(part[1]) for part in found])
        order = np.argsort(-values, kind="stable")
        hp, place = self._seen.first_or_draw(self.space.decode(points[order]), self.rng)
        index = int(owners[order[place or 0]])
        return Suggestion(hp, info={"region": index, "run": self._regions[index].run})

    def _candidates(self, centre: FloatArray, length: float, scales: FloatArray) -> FloatArray:
        """``(m, d)`` points of the box around ``(d,)`` a centre, whose sides go with the ``(d,)`` length-scales."""
        from scipy.stats import qmc

        rng, d = self.rng, len(centre)
        n = min(100 * d, MOST_CANDIDATES)
        half = np.maximum(scales / np.exp(np.log(scales).mean()) * length / 2.0, self._reach)  # section 2
        low, high = np.clip(centre - half, 0.0, 1.0), np.clip(centre + half, 0.0, 1.0)
        is_category = self.space.levels > 0
        low, high = np.where(is_category, 0.0, low), np.where(is_category, 1.0, high)
        spread = qmc.Sobol(d, rng=rng).random_base2((n - 1).bit_length())[:n]
        is_moved = rng.random((n, d)) < min(_N_MOVED / d, 1.0)
        is_moved[np.arange(n), rng.integers(d, size=n)] = True
        points: FloatArray = np.where(is_moved, low + (high - low) * spread, centre)
        return points

    def _posterior(
        self, index: int, region: Region, largest: float
    ) -> tuple[Posterior, FloatArray, tuple[float, float]]:
        """A region's process, its ``(d,)`` centre, and median and spread of its results.

        Args:
            index: The number of the region.
            region: The region, with two results or more.
            largest: The size of the largest of all results, which they are divided by.
        """
        from autohpo.surrogates.gp import Data

        trials = region.trials
        theta = self._fitted(index, region, trials)
        values = np.array([trial.score for trial in trials], dtype=float) / largest  # NaN where a trial failed
        centre = self._encoded.of([best_of(region.results)])[0][0]
        points, mask = self._encoded.of(trials)
        near = np.sort(np.argsort(np.abs(points - centre).max(axis=1), kind="stable")[:MOST_SEEN])
        targets, middle, spread = standardised(values[near])
        pending = self._encoder.of_hps(self.running) if self.running else None
        process = self._process(points[near], *([] if pending is None else pending[:1]))
        posterior = process.posterior(theta, Data(points[near], mask[near], targets), pending)
        return posterior, centre, (middle, spread)

    def _fitted(self, index: int, region: Region, trials: list[Trial]) -> FloatArray:
        """``(P,)`` parameters, fitted to the first n trials of a run, where n has four binary digits that count.

        So they are fitted anew after each result up to 16, and after each 16th at 200; and the history says when.
        """
        from autohpo.surrogates.gp import Data

        n = len(trials)
        n -= n % (1 << max(n.bit_length() - 4, 0))
        kept = self._fits.get(index)
        if kept is None or kept[:2] != (region.run, n):
            some = trials[:n][-MOST_FITTED:]
            values = np.array([trial.score for trial in some], dtype=float)
            targets, _, _ = standardised(values / (np.nanmax(np.abs(values), initial=0.0) or 1.0))
            data = Data(*self._encoded.of(some), targets)
            process = self._process(data.points)
            kept = region.run, n, process.fit(data, [process.start], _MOST_STEPS)
            self._fits[index] = kept
        return kept[2]

    def _process(self, *points: FloatArray) -> GaussianProcess:
        """What is assumed of every region, for some data: ``(n, d)`` points in one array or several."""
        from autohpo.surrogates.gp import mixed_process

        return mixed_process(self._encoder.embedding.showing(*points))


def standardised(values: FloatArray) -> tuple[FloatArray, float, float]:
    """Return ``(n,)`` results with a median of 0 and a variance of 1; and their median and spread.

    What lies further below the median than three times as far as the best lies above it counts as if it lay there: how
    bad a bad one is tells little of where good ones are. A failed trial counts as bad: as a result that lies a
    deviation below the median, or as the worst one where that is worse.

    Args:
        values: ``(n,)`` results; higher is better; no more than 1 in size, so that no difference overflows; NaN where a
            trial failed.
    """
    is_known = np.isfinite(values)
    if not is_known.any():
        return np.full(len(values), _FAILED), 0.0, 0.0
    middle = float(np.median(values[is_known]))
    above = values[is_known] - middle
    above = np.maximum(above, -3.0 * above.max())
    spread = float(above.std())
    found = above / spread if spread > 0 else np.zeros(len(above))
    targets = np.full(len(values), min(_FAILED, float(found.min())))
    targets[is_known] = found
    return targets, middle, spread
