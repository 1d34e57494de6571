"""TuRBO: Bayesian optimization inside boxes around the best points, for many parameters and many trials."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import NDArray

from autohpo.algorithms.base import BaseHPOptimizer
from autohpo.algorithms.parts.encoding import Encoder
from autohpo.algorithms.parts.seen import SeenSet
from autohpo.algorithms.parts.trust_region import Region, best_of
from autohpo.algorithms.registry import register_hpo
from autohpo.errors import OptionError
from autohpo.trial import Suggestion, Trial

if TYPE_CHECKING:
    from autohpo.surrogates.gp import Model
    from autohpo.surrogates.gp_forecast import Forecaster

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

MOST_SEEN = 400
"""Results of a region that its process is made of: those nearest to the best one."""
MOST_FITTED = 200
"""Of these, that its parameters are fitted to: the time grows with the third power."""
MOST_CANDIDATES = 2048

_N_MOVED = 20  # columns in which a candidate differs from the centre, on average
_MOST_STEPS = 40  # of the fit
_N_KEPT = 64  # candidates that may be suggested


@register_hpo("turbo")
@dataclass(eq=False, kw_only=True)
class TuRBO(BaseHPOptimizer):
    """Searches in a box around the best point, by functions drawn from a Gaussian process of the results there.

    Where one process for the whole space would have to explore far too much of it, a box stays small: three results in
    a row that are better double it, as many as there are columns that are not halve it, and when it has become tiny
    another one begins elsewhere. Its sides are long where the process says that little changes. Each candidate differs
    from the centre in about 20 columns; suggested is the best for a function drawn from the process, so that workers
    get different ones. Whole numbers and ordered values always have their neighbours in the box, and an unordered value
    is drawn anew among all. No configuration is suggested twice in a finite space.

    It departs from the paper: each result counts by itself, so that no worker waits for a batch; functions are drawn
    as random waves corrected to the data, for 2,048 candidates at most; results far below the median count as if they
    lay nearer; and of one region 400 results are used at most.

    Args:
        n_regions: Boxes side by side. Several explore more, and need more trials: some hundred each.
        n_startup: Evenly spread trials with which each box begins, at least 2; None is twice the number of columns.

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

    n_regions: int = 1
    n_startup: int | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.n_regions < 1:
            raise OptionError(f"n_regions: must be at least 1, got {self.n_regions}")
        if self.n_startup is not None and self.n_startup < 2:
            raise OptionError(f"n_startup: must be at least 2, got {self.n_startup}")

    def _set_up(self, num_workers: int, time_limit: float | None, memory_limit: int | None) -> None:
        space, d = self.space, self.space.n_columns
        self._seen, self._standing = SeenSet(self.history), Encoder(space)
        n_startup = self.n_startup or max(2 * d, 2)
        self._regions = [Region(d, n_startup) for _ in range(self.n_regions)]
        self._designs: dict[tuple[int, int], FloatArray] = {}  # by region and run
        self._fits: dict[int, tuple[int, int, FloatArray]] = {}  # by region: run, results, parameters
        self._n_told = 0
        reach = [0.0 if edges is None or levels else float(np.diff(edges).max()) for edges, levels in
                 zip(space.edges, space.levels, strict=True)]  # fmt: skip
        self._reach = 1.01 * np.array(reach)  # of the centre of a cell to those of its neighbours
        self._model: Model | None = None

    def _get_suggestion(self, pid: int) -> Suggestion:
        self._seen.update()
        for trial in self.trials[self._n_told :]:
            index, run = self._place_of(trial)
            self._regions[index].take(trial, run)
        self._n_told = len(self.trials)
        if not self.space.n_columns:
            return Suggestion(self._seen.draw(self.rng))
        pending = [self._place_of(one) for one in self.running]
        for index, region in enumerate(self._regions):
            n = len(region.trials) + pending.count((index, region.run))
            if n < region.n_startup or len(region.results) < 2:
                return self._spread(index, n)
        return self._promising()

    def _place_of(self, one: Trial | Suggestion) -> tuple[int, int]:
        """Number of the region that a trial belongs to, and of its run: what others suggested is for the first."""
        index = one.info.get("region")
        return (0, self._regions[0].run) if index is None else (index, one.info["run"])

    def _spread(self, index: int, n: int) -> Suggestion:
        """The n-th of the evenly spread trials of a region's run."""
        region = self._regions[index]
        key = index, region.run
        if key not in self._designs:
            from scipy.stats import qmc  # here, because it takes half a second to load

            sobol = qmc.Sobol(self.space.n_columns, rng=np.random.default_rng((self.seed or 0, *key)))
            self._designs = {key: sobol.random_base2((region.n_startup - 1).bit_length())}
        hps = self.space.decode(self._designs[key][n : n + 1])
        hp = self._seen.draw(self.rng) if self._seen.first(hps) is None else hps[0]
        return Suggestion(hp, info={"region": index, "run": region.run})

    def _promising(self) -> Suggestion:
        """The best new candidate of all regions, each judged by a function drawn from its process."""
        from autohpo.surrogates.gp_paths import draw_path  # here, because scipy.linalg takes long to load

        rng, found = self.rng, list[tuple[FloatArray, FloatArray, int]]()
        largest = max(abs(trial.score or 0.0) for region in self._regions for trial in region.results) or 1.0
        for index, region in enumerate(self._regions):
            process, centre, (middle, spread) = self._process(index, region, largest)
            candidates = self._candidates(centre, region.length, process.lengths)
            points, mask = self._standing.of_points(candidates)
            values = draw_path(process, rng)(points, mask)
            best = np.argsort(-values, kind="stable")[:_N_KEPT]
            found.append((candidates[best], middle + spread * values[best], index))
        values = np.concatenate([one[1] for one in found])
        owners = np.repeat([one[2] for one in found], [len(one[1]) for one in found])
        order = np.argsort(-values, kind="stable")
        hps = self.space.decode(np.concatenate([one[0] for one in found])[order])
        place = self._seen.first(hps)
        index = int(owners[order[place or 0]])
        hp = self._seen.draw(rng) if place is None else hps[place]
        return Suggestion(hp, info={"region": index, "run": self._regions[index].run})

    def _candidates(self, centre: FloatArray, length: float, scales: FloatArray) -> FloatArray:
        """``(m, d)`` points of the box around ``(d,)`` a centre, whose sides go with the ``(d,)`` length-scales."""
        from scipy.stats import qmc

        rng, d = self.rng, len(centre)
        n = min(100 * d, MOST_CANDIDATES)
        half = np.maximum(scales / np.exp(np.log(scales).mean()) * length / 2.0, self._reach)
        low, high = np.clip(centre - half, 0.0, 1.0), np.clip(centre + half, 0.0, 1.0)
        is_category = self.space.levels > 0
        low, high = np.where(is_category, 0.0, low), np.where(is_category, 1.0, high)
        spread = qmc.Sobol(d, rng=rng).random_base2((n - 1).bit_length())[:n]
        is_moved = rng.random((n, d)) < min(_N_MOVED / d, 1.0)
        is_moved[np.arange(n), rng.integers(d, size=n)] = True
        points: FloatArray = np.where(is_moved, low + (high - low) * spread, centre)
        return points

    def _process(
        self, index: int, region: Region, largest: float
    ) -> tuple[Forecaster, FloatArray, tuple[float, float]]:
        """A region's process, its ``(d,)`` centre, and median and spread of its results.

        Args:
            index: Of the region.
            region: With two results or more.
            largest: Size of the largest of all results, which they are divided by.
        """
        from autohpo.surrogates.gp import Data
        from autohpo.surrogates.gp_forecast import Forecaster

        trials = region.results
        vector = self._fitted(index, region, trials)
        values = np.array([trial.score for trial in trials], dtype=float) / largest
        centre = self._standing.of_hps([best_of(trials).hp])[0][0]
        points, mask = self._standing.of_hps([trial.hp for trial in trials])
        near = np.sort(np.argsort(np.abs(points - centre).max(axis=1), kind="stable")[:MOST_SEEN])
        targets, middle, spread = standardised(values[near])
        model = self._kernel()
        running = self._standing.of_hps(self.running) if self.running else (points[:0], mask[:0])
        data = Data(points[near], mask[near], targets)
        process = Forecaster.after(model, vector, data, running, model.priors.mean_precision)
        return process, centre, (middle, spread)

    def _fitted(self, index: int, region: Region, trials: list[Trial]) -> FloatArray:
        """``(P,)`` parameters, fitted to the first n results of a run, where n has four binary digits that count.

        So they are fitted anew after each result up to 16, and after each 16th at 200; and the history says when.
        """
        from autohpo.surrogates.gp import Data

        n = len(trials)
        n -= n % (1 << max(n.bit_length() - 4, 0))
        kept = self._fits.get(index)
        if kept is None or kept[:2] != (region.run, n):
            some = trials[:n][-MOST_FITTED:]
            points, mask = self._standing.of_hps([trial.hp for trial in some])
            values = np.array([trial.score for trial in some], dtype=float)
            targets, _, _ = standardised(values / (np.abs(values).max() or 1.0))
            model = self._kernel()
            kept = region.run, n, model.fit(Data(points, mask, targets), [model.start], _MOST_STEPS)
            self._fits[index] = kept
        return kept[2]

    def _kernel(self) -> Model:
        """What is assumed of every region."""
        from autohpo.surrogates.gp import Model
        from autohpo.surrogates.kernels import Embedding

        if self._model is None:
            space = self.space
            optional = np.array([bool(space.deciders(one.name)) for one in space for _ in range(one.width)], dtype=bool)
            self._model = Model(Embedding(self._standing.columns, optional), np.zeros(0, dtype=np.int64))
        return self._model


def standardised(values: FloatArray) -> tuple[FloatArray, float, float]:
    """``(n,)`` results with a median of 0 and a variance of 1; and their median and spread.

    What lies further below the median than three times as far as the best lies above it counts as if it lay there: how
    bad a bad one is tells little of where good ones are.

    Args:
        values: ``(n,)`` higher is better; of no more than 1 in size, so that no difference overflows.
    """
    middle = float(np.median(values))
    above = values - middle
    above = np.maximum(above, -3.0 * above.max())
    spread = float(above.std())
    return (above / spread if spread > 0 else np.zeros(len(values))), middle, spread
