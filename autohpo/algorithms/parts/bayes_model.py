"""The model of a Bayesian search: which results it is fitted to, and when it is fitted anew."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from autohpo.algorithms.parts.encoding import Encoder
from autohpo.spaces import SearchSpace
from autohpo.trial import Trial

if TYPE_CHECKING:
    from autohpo.surrogates.gp import Data, Model
    from autohpo.surrogates.gp_forecast import Forecaster
    from autohpo.surrogates.warping import Targets

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]
IntArray = NDArray[np.int64]

MOST_WARPED = 4
"""A column with no more values is not warped: its values can hardly be told to lie closer on one side."""

_FIRST_STEPS, _STEPS = 60, 25  # of a fit from scratch, and of one that goes on from another
_FAILED = -1.0  # in deviations; a failed trial is no better than that, even where all others are alike
_SURE = 1e9  # the precision of a mean that is 0 for sure


def fitted_at(n: int) -> int:
    """The number of results whose fit serves n results: all up to 31, then n less 3 to 6 %.

    Example:
        >>> [fitted_at(n) for n in (7, 31, 33, 100, 103, 104)]
        [7, 31, 32, 100, 100, 104]
    """
    shift = max(n.bit_length() - 5, 0)
    return n >> shift << shift


class SearchModel:
    """The finished trials of a search, and Gaussian processes of them.

    What it gives follows from the trials in the order told alone, whatever was asked of it before: parameters are
    fitted to the first m trials, for an m that follows from their number, beginning where the fit to the largest power
    of two below m ended, which began at that to the one before. So a search that is resumed repeats a few fits.

    Args:
        space: What is searched.
        standing: Of the space.
        is_input_warped: Whether columns of the unit cube are warped.
        is_output_warped: Whether results are.
        max_results: That a model is made of: the best half of them, and of the others the latest.
    """

    def __init__(
        self, space: SearchSpace, standing: Encoder, *, is_input_warped: bool, is_output_warped: bool, max_results: int
    ) -> None:
        self._space, self._standing = space, standing
        self._is_input_warped, self._is_output_warped = is_input_warped, is_output_warped
        self._max_results = max_results
        self._points = np.empty((0, space.n_columns))
        self._mask = np.empty((0, space.n_columns), dtype=bool)
        self._perfs = np.empty(0)  # NaN where a trial failed
        self._fits: dict[int, FloatArray] = {}  # by the number of trials
        self._kernel: Model | None = None

    def __len__(self) -> int:
        """How many trials were taken in."""
        return len(self._perfs)

    @property
    def has_results(self) -> bool:
        """Whether some trial has a performance."""
        return bool(np.isfinite(self._perfs).any())

    def take_in(self, trials: Sequence[Trial]) -> None:
        """Learns of the trials that were told since the last call.

        Args:
            trials: All finished ones.
        """
        told = trials[len(self._perfs) :]
        if told:
            points, mask = self._standing.of_hps([trial.hp for trial in told])
            perfs = [math.nan if trial.score is None else trial.score for trial in told]
            self._points, self._mask = np.concatenate([self._points, points]), np.concatenate([self._mask, mask])
            self._perfs = np.concatenate([self._perfs, perfs])

    def forecaster(
        self, running: Sequence[Mapping[str, Any]], *, is_mean_free: bool
    ) -> tuple[Forecaster, Data, Targets]:
        """The Gaussian process after all results, what it was made of, and the warped results.

        Args:
            running: Configurations whose results are not known yet.
            is_mean_free: Whether the results say what the mean is where nothing was tried; else it is their average.
        """
        from autohpo.surrogates.gp_forecast import Forecaster

        n = len(self._perfs)
        model, data, targets = self._model(), *self._data(n)
        precision = model.priors.mean_precision if is_mean_free else _SURE
        waiting = self._standing.of_hps(running) if running else (self._points[:0], self._mask[:0])
        return Forecaster.after(model, self._fit(fitted_at(n)), data, waiting, precision), data, targets

    def _model(self) -> Model:
        """The kernel of this space."""
        if self._kernel is None:
            from autohpo.surrogates.gp import Model
            from autohpo.surrogates.kernels import Embedding

            edges, levels = self._space.edges, self._space.levels
            is_long = [not n and (e is None or len(e) > MOST_WARPED + 1) for n, e in zip(levels, edges, strict=True)]
            warped = np.flatnonzero(is_long) if self._is_input_warped else np.empty(0, dtype=np.int64)
            optional = np.array(
                [bool(self._space.deciders(hp.name)) for hp in self._space for _ in range(hp.width)], dtype=bool
            )
            self._kernel = Model(Embedding(self._standing.columns, optional), warped)
        return self._kernel

    def _data(self, n: int) -> tuple[Data, Targets]:
        """What a model of the first n trials is made of."""
        from autohpo.surrogates.gp import Data
        from autohpo.surrogates.warping import warp_targets

        rows = self._rows(n)
        perfs = self._perfs[rows]
        is_known = np.isfinite(perfs)
        targets = warp_targets(perfs[is_known], self._is_output_warped)
        values = np.full(len(rows), min(_FAILED, float(targets.values.min(initial=0.0))))
        values[is_known] = targets.values
        return Data(self._points[rows], self._mask[rows], values), targets

    def _rows(self, n: int) -> IntArray:
        """``(m,)`` which of the first n trials a model is made of, in the order told."""
        if n <= self._max_results:
            return np.arange(n)
        order = np.argsort(-np.nan_to_num(self._perfs[:n], nan=-math.inf), kind="stable")
        half = self._max_results // 2
        latest = np.sort(order[half:])[-(self._max_results - half) :]
        return np.sort(np.concatenate([order[:half], latest]))

    def _fit(self, n: int) -> FloatArray:
        """The parameters that were fitted to the first n trials."""
        if n not in self._fits:
            model, (data, _) = self._model(), self._data(n)
            before = 1 << (n - 1).bit_length() - 1 if n > 1 else 0  # the largest power of two below n
            is_first = before < 4
            starts = [model.start] if is_first else [self._fit(before)]
            if n & (n - 1) == 0 and not is_first:
                starts.append(model.start)  # so that no bad fit is handed down for ever
            fitted = model.fit(data, starts, _FIRST_STEPS if n & (n - 1) == 0 or is_first else _STEPS)
            self._fits = {m: fit for m, fit in self._fits.items() if m & (m - 1) == 0} | {n: fitted}
        return self._fits[n]
