"""The model of a Bayesian search: which results it is fitted to, and when it is fitted anew."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from autohpo.algorithms.parts.arrays import FloatArray, IntArray
from autohpo.algorithms.parts.encoding import EncodedTrials, Encoder
from autohpo.errors import OptionError
from autohpo.trial import Trial

if TYPE_CHECKING:
    from autohpo.surrogates.embedding import Embedding
    from autohpo.surrogates.gp import Data, GaussianProcess, Posterior
    from autohpo.surrogates.warping import Targets

MOST_WARPED = 4
"""A column with no more values is not warped: its values can hardly be told to lie closer on one side."""

_FIRST_STEPS, _STEPS = 60, 25  # of a fit from scratch, and of one that goes on from another
_FAILED = -1.0  # in deviations; a failed trial is no better than that, even where all others are alike
_SURE = 1e9  # the precision of a mean that is 0 for sure


def check_model_options(n_startup: int | None, max_results: int) -> None:
    """Raise OptionError unless the trials before a model, and the results that it is made of, are enough."""
    if n_startup is not None and n_startup < 1:
        raise OptionError(f"n_startup: must be at least 1, or None, got {n_startup}")
    if max_results < 10:
        raise OptionError(f"max_results: must be at least 10, got {max_results}")


def default_startup(n_columns: int) -> int:
    """Return the number of trials before there is a model: one more than there are columns, but from 5 to 11."""
    return max(5, min(n_columns, 10) + 1)


def fitted_at(n: int) -> int:
    """Return the number of results whose fit serves n results: all up to 31, then n less 3 to 6 %.

    Example:
        >>> [fitted_at(n) for n in (7, 31, 33, 100, 103, 104)]
        [7, 31, 32, 100, 100, 104]
    """
    shift = max(n.bit_length() - 5, 0)
    return n >> shift << shift


def embedding_of(encoder: Encoder, *, is_input_warped: bool) -> Embedding:
    """Return the coordinates of a space.

    Args:
        encoder: The encoder of the space.
        is_input_warped: Whether columns with more than `MOST_WARPED` values, and an order, are warped.
    """
    embedding = encoder.embedding
    if not is_input_warped:
        return embedding
    edges, levels = embedding.columns.edges, embedding.columns.levels
    is_long = [not n and (e is None or len(e) > MOST_WARPED + 1) for n, e in zip(levels, edges, strict=True)]
    return dataclasses.replace(embedding, warped=np.flatnonzero(is_long))


class SearchModel:
    """Gaussian processes of the finished trials of a search.

    What it gives follows from the trials in the order told alone, whatever was asked of it before: parameters are
    fitted to the first m trials, for an m that follows from their number, beginning where the fit to the largest power
    of two below m ended, which began at that to the one before. So a search that is resumed repeats a few fits.

    Args:
        encoded: The finished trials.
        value: What is modelled of a trial, where it has that: higher is better. None is its score.
        is_input_warped: Whether columns of the unit cube are warped.
        is_output_warped: Whether results are.
        max_results: How many results a model is made of: the best half of them, and of the others the latest.
    """

    def __init__(
        self,
        encoded: EncodedTrials,
        value: Callable[[Trial], float | None] | None = None,
        *,
        is_input_warped: bool,
        is_output_warped: bool,
        max_results: int,
    ) -> None:
        self._encoded, self._value = encoded, value
        self._is_input_warped, self._is_output_warped = is_input_warped, is_output_warped
        self._max_results = max_results
        self._fits: dict[int, FloatArray] = {}  # by the number of trials
        self._kept: GaussianProcess | None = None  # the one that was made last

    @property
    def values(self) -> FloatArray:
        """``(n,)`` what is modelled of each trial; NaN where it failed."""
        if self._value is None:
            return self._encoded.scores
        values = [self._value(trial) for trial in self._encoded.trials]
        return np.array([math.nan if value is None else value for value in values])

    def posterior(self, running: Sequence[Mapping[str, Any]], *, is_mean_free: bool) -> tuple[Posterior, Data, Targets]:
        """Return the process after all results, what it was made of, and the warped results.

        Args:
            running: Configurations whose results are not known yet.
            is_mean_free: Whether the results say what the mean is where nothing was tried; else it is their average.
        """
        values = self.values
        data, targets = self._data(values)
        theta = self._fit(values[: fitted_at(len(values))])
        pending = self._encoded.encoder.of_hps(running) if running else None
        process = self._process(data.points, *([] if pending is None else pending[:1]))
        precision = process.mean_precision if is_mean_free else _SURE
        return process.posterior(theta, data, pending, precision), data, targets

    def _process(self, *points: FloatArray) -> GaussianProcess:
        """The process of this space, for some data: ``(n, d)`` points in one array or several."""
        from autohpo.surrogates.gp import mixed_process

        embedding = self._embedding.showing(*points)
        if self._kept is None or self._kept.embedding is not embedding:
            self._kept = mixed_process(embedding)
        return self._kept

    @cached_property
    def _embedding(self) -> Embedding:
        """The coordinates of this space."""
        return embedding_of(self._encoded.encoder, is_input_warped=self._is_input_warped)

    def _data(self, values: FloatArray) -> tuple[Data, Targets]:
        """What a model of the first trials is made of, by their ``(n,)`` values."""
        from autohpo.surrogates.gp import Data
        from autohpo.surrogates.warping import warp_targets

        rows = self._rows(values)
        is_known = np.isfinite(values[rows])
        targets = warp_targets(values[rows][is_known], self._is_output_warped)
        filled = np.full(len(rows), min(_FAILED, float(targets.values.min(initial=0.0))))
        filled[is_known] = targets.values
        return Data(self._encoded.points[rows], self._encoded.mask[rows], filled), targets

    def _rows(self, values: FloatArray) -> IntArray:
        """``(m,)`` which of the first trials a model is made of, in the order told."""
        n = len(values)
        if n <= self._max_results:
            return np.arange(n)
        order = np.argsort(-np.nan_to_num(values, nan=-math.inf), kind="stable")
        half = self._max_results // 2
        latest = np.sort(order[half:])[-(self._max_results - half) :]
        return np.sort(np.concatenate([order[:half], latest]))

    def _fit(self, values: FloatArray) -> FloatArray:
        """The parameters that were fitted to the first trials, by their ``(n,)`` values."""
        n = len(values)
        if n not in self._fits:
            data, _ = self._data(values)
            process = self._process(data.points)
            before = 1 << (n - 1).bit_length() - 1 if n > 1 else 0  # the largest power of two below n
            is_first = before < 4
            starts = [process.start] if is_first else [self._fit(values[:before])]
            if n & (n - 1) == 0 and not is_first:
                starts.append(process.start)  # so that no bad fit is handed down for ever
            fitted = process.fit(data, starts, _FIRST_STEPS if n & (n - 1) == 0 or is_first else _STEPS)
            self._fits = {m: fit for m, fit in self._fits.items() if m & (m - 1) == 0} | {n: fitted}
        return self._fits[n]
