"""KDE: two kernel densities, of good and of bad configurations; BOHB's model, as a sampler of its own."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np

from autohpo.algorithms.base import BaseHPOptimizer
from autohpo.algorithms.parts.encoding import Encoder
from autohpo.algorithms.parts.kde_model import FloatArray, Model, Observations
from autohpo.algorithms.parts.seen import SeenSet
from autohpo.algorithms.registry import register_hpo
from autohpo.errors import OptionError
from autohpo.schedulers.chains import informative_fidelity
from autohpo.surrogates.blas import LinearAlgebra
from autohpo.surrogates.kde import MixedKDE, cv_ml_bandwidths, normal_reference
from autohpo.trial import Suggestion


@register_hpo("kde")
@dataclass(eq=False, kw_only=True)
class KDE(BaseHPOptimizer):
    """Draws around good configurations, and suggests where they are densest beside the bad ones.

    Most new configurations are drawn around good ones, `num_samples` at a time, and the one with the largest ratio of
    good to bad density is suggested. The rest come from the prior, so that no region is given up. Alone it is a search
    with full evaluations; in a scheduler, as in ``bohb``, it tells the fidelities apart by itself.

    Source: Bergstra et al. 2011, NeurIPS 24, section 4; Falkner, Klein and Hutter 2018, ICML, Algorithm 2. Where they
    are silent, or fail:

    * The model learns at the largest fidelity with enough results (the paper's N_min + 2), if they are half as many as
      at any lower one, or four times enough: nine full evaluations say less than fifty short ones.
    * Where trials are stopped early, those that passed count there too, with what they reported.
    * Both densities of a choice have the bandwidth of the good one, so that a level nobody has seen is neither good nor
      bad.
    * Failed trials are bad ones, and count neither as results nor towards the share of the good.
    * In a space that can be counted no configuration is drawn twice; after the last one the search is over.
    * A candidate is judged by its active parameters alone. Where one is inactive, the densities have the values of
      configurations in which it is active, in turn.

    Args:
        top_n_percent: Share of the results that counts as good, in percent from 1 to 99.
        num_samples: Candidates of which the best is suggested.
        random_fraction: Chance that a new configuration is drawn from the prior.
        bandwidth_factor: Widens the kernels that candidates are drawn from.
        min_bandwidth: Floor of every kernel's bandwidth, in the unit cube.
        min_samples_in_model: Least number of good and of bad points (N_min); None is the number of searched columns
            plus 1.
        bandwidth: "normal_reference" is a rule of thumb; "cv_ml" searches for the likeliest, which takes seconds, and
            keeps to the rule of thumb where the likelihood has no maximum.
        max_fidelity: The fidelity that full evaluations count at, in a search that has fidelities; None keeps them
            apart.

    Example:
        >>> from autohpo import RangeHP
        >>> hpo = KDE([RangeHP("x", 0.0, 1.0)], seed=0)
        >>> for _ in range(40):
        ...     suggestion = hpo.ask()
        ...     hpo.tell(suggestion, -abs(suggestion["x"] - 0.3))
        >>> abs(hpo.best()[0]["x"] - 0.3) < 0.05
        True
    """

    ends_with_space: ClassVar[bool] = True
    reads_fidelity: ClassVar[bool] = True
    option_aliases: ClassVar[Mapping[str, str]] = {"min_points_in_model": "min_samples_in_model"}
    supports: ClassVar[frozenset[str]] = frozenset({"constraints"})
    linear_algebra: ClassVar[LinearAlgebra] = "numpy"

    top_n_percent: float = 15
    num_samples: int = 64
    random_fraction: float = 1 / 3
    bandwidth_factor: float = 3.0
    min_bandwidth: float = 1e-3
    min_samples_in_model: int | None = None
    bandwidth: Literal["normal_reference", "cv_ml"] = "normal_reference"
    max_fidelity: float | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check_options()
        self._n_min = n_least(self.space.n_columns, self.min_samples_in_model)

    def _check_options(self) -> None:
        n_min, full = self.min_samples_in_model, self.max_fidelity
        rules = [
            ("top_n_percent", 1 <= self.top_n_percent <= 99, "a percentage from 1 to 99"),
            ("num_samples", self.num_samples >= 1, "at least 1"),
            ("random_fraction", 0 <= self.random_fraction <= 1, "from 0 to 1"),
            ("bandwidth_factor", 0 < self.bandwidth_factor < math.inf, "positive and finite"),
            ("min_bandwidth", 0 < self.min_bandwidth <= 1, "above 0 and at most 1"),
            ("min_samples_in_model", n_min is None or n_min >= 2, "at least 2, or None"),
            ("max_fidelity", full is None or full > 0, "positive, or None"),
        ]
        for name, is_kept, rule in rules:
            if not is_kept:
                raise OptionError(f"{name}: must be {rule}, got {getattr(self, name)}")

    def _set_up(self, num_workers: int, time_limit: float | None, memory_limit: int | None) -> None:
        self._seen, self._encoder = SeenSet(self.history), Encoder(self.space)
        self._observations = Observations(self.history, math.inf if self.max_fidelity is None else self.max_fidelity)
        self._model: tuple[tuple[float, int], Model] | None = None  # with its fidelity and number of results

    def _get_suggestion(self, pid: int) -> Suggestion:  # Falkner et al. 2018, Algorithm 2
        self._seen.update()
        self._observations.update()
        model = self._current_model()
        if model is None or self.rng.random() < self.random_fraction:  # lines 1 and 3
            return Suggestion(self._seen.draw(self.rng), info={"model": False})
        return Suggestion(self._best_candidate(model), info={"model": True})

    def _best_candidate(self, model: Model) -> dict[str, Any]:
        """Of configurations near good ones, new and allowed, that with the largest density ratio.

        Where none of them is new and allowed, they come from the prior.
        """
        cells = self._observations.cells
        points = model.good.sample(self.num_samples, self.rng, self.bandwidth_factor)  # line 5: from l'
        if not (self._seen.is_finite or self.space.constraints or self.space.is_conditional):
            points = points[[model.best(points)]]  # line 6: the largest l / g
            return self.space.decode(cells.stretched(points))[0]
        points = cells.stretched(points)
        placed, mask = self._encoder.of_points(points)
        about, error = model.about(cells.evened(placed), mask)
        best = self._first_new(points, about)
        if best is None:
            return self._best_of(model, self._seen.some(self.rng, self.num_samples))
        is_close = about >= about[best] - error  # it is the best but for the error: these are judged exactly
        is_close &= (placed != placed[best]).any(axis=1)
        if not is_close.any():
            return self.space.decode(points[[best]])[0]
        is_close[best] = True
        return self._best_of(model, [hp for hp in self.space.decode(points[is_close]) if self._seen.is_new(hp)])

    def _first_new(self, points: FloatArray, values: FloatArray) -> int | None:
        """The place of that of ``(m, d)`` points with the largest of ``(m,)`` values that is new and allowed."""
        order = np.argsort(-values, kind="stable")
        for part in (order[:1], order[1:]):  # the best alone will mostly do, and to decode the others takes time
            place = self._seen.first(self.space.decode(points[part]))
            if place is not None:
                return int(part[place])
        return None

    def _best_of(self, model: Model, hps: list[dict[str, Any]]) -> dict[str, Any]:
        """The first of some configurations with the largest density ratio."""
        points = self._observations.cells.evened(self.space.encode(hps))
        return hps[int(np.argmax(model.log_ratio(points, self.space.mask(hps))))]

    def _current_model(self) -> Model | None:
        """The model of the results so far; None while they are too few."""
        seen, N_min = self._observations, self._n_min
        fidelity = informative_fidelity(seen.n_results, N_min + 2)  # line 2: the largest b with |D_b| >= N_min + 2
        if fidelity is None or not self.space.n_columns:
            return None
        ranked = seen.ranked[fidelity]
        key = (fidelity, len(ranked))
        if self._model is None or self._model[0] != key:
            numbers = seen.numbers(fidelity)
            N_l = max(N_min, int(self.top_n_percent * seen.n_results[fidelity] // 100))  # eq. 3
            N_g = max(N_min, len(numbers) - N_l)  # eq. 3: the two overlap while there are few
            self._model = key, self._fit(seen.points(numbers[:N_l]), seen.points(numbers[-N_g:]))
        return self._model[1]

    def _fit(self, good: FloatArray, bad: FloatArray) -> Model:
        """The densities l of ``(n, d)`` good and g of ``(m, d)`` bad points."""
        levels = self.space.levels
        good_widths, bad_widths = self._bandwidths(good), self._bandwidths(bad)
        # Fewer points make for wider kernels, under which a level that neither side has seen would look good.
        bad_widths = np.where(levels > 0, good_widths, bad_widths)
        return Model(MixedKDE(good, levels, good_widths), MixedKDE(bad, levels, bad_widths))  # eq. 2

    def _bandwidths(self, points: FloatArray) -> FloatArray:
        """``(d,)`` bandwidths for ``(n, d)`` points, by the chosen rule."""
        if self.bandwidth == "cv_ml":
            with contextlib.suppress(ValueError):  # no maximum: too few points, or a level seen once
                return cv_ml_bandwidths(points, self.space.levels, self.min_bandwidth)
        return normal_reference(points, self.space.levels, self.min_bandwidth)


def n_least(n_columns: int, min_samples_in_model: int | None) -> int:
    """Return the least number of good and of bad points that a model is made of: the paper's N_min.

    Args:
        n_columns: The number of searched columns.
        min_samples_in_model: What the user wants; None is one more than there are columns.
    """
    return n_columns + 1 if min_samples_in_model is None else min_samples_in_model
