"""ProjectedProcess: a Gaussian process of what configurations are expected to have at full fidelity."""

from __future__ import annotations

import math
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from autohpo.algorithms.parts.acquisition_search import AcquisitionSearch
from autohpo.algorithms.parts.arrays import BoolArray, FloatArray, IntArray
from autohpo.algorithms.parts.bayes_model import fitted_at
from autohpo.algorithms.parts.chain_values import ChainValues
from autohpo.algorithms.parts.encoding import Encoder
from autohpo.surrogates.promoted import last_levels, one_sided, projected

if TYPE_CHECKING:
    from autohpo.surrogates.gp import Data, GaussianProcess, Posterior
    from autohpo.surrogates.priors import Prior

_FEW = 12  # configurations: where fewer were promoted, the best of the lowest level are taken, too
_MOST = 160  # configurations that a process is made of: the best
_FIRST_STEPS, _STEPS = 40, 12  # of a fit from scratch, and of one that goes on from another
_N_CENTRES = 5
_N_DRAWS, _N_NEAR, _N_STARTS = 200, 150, 2
_DEVIATION = 1.2  # of the logarithm of the noise of projected values
_NOISE = (1e-3, 0.0375, 0.075, 0.15, 0.3, 0.3)
"""The variances of projected values around the truth that are expected before anything was seen, by how many levels,
in threes, lie above their own."""


class ProjectedProcess:
    """Suggests where the improvement at full fidelity is expected to be largest.

    Each configuration has one value: its last one, taken to the highest level by lines that promoted configurations
    have shown. It is taken for a noisy observation of the truth, the noise being that of its level: so a level that
    says nothing of the next one weighs nothing. Configurations that were never promoted are left out, but for the best,
    as long as few were: the model is for telling good ones apart.

    What it gives follows from the values in the order told alone: parameters are fitted to the first m of them, for an
    m that follows from their number, beginning where the fit to the largest power of two below m ended.

    Args:
        encoder: The encoder of the space.
        seed: The seed of draws that all suggestions share, where constraints leave few.

    Source: Rasmussen & Williams 2006; Ament et al. 2023, arXiv 2310.20708, the acquisition function; Desautels et al.
        2014, JMLR 15, running trials. Lines between levels stand for the linear steps of Kennedy & O'Hagan 2000,
        Biometrika 87(1).
    """

    def __init__(self, encoder: Encoder, seed: int) -> None:
        self._encoder = encoder
        self._search = AcquisitionSearch(encoder, n_draws=_N_DRAWS, n_near=_N_NEAR, n_starts=_N_STARTS, seed=seed)
        self._fits: dict[int, FloatArray] = {}  # by the number of values
        self._key: tuple[float, ...] = ()
        self._kept: GaussianProcess | None = None  # the one that was made last

    def candidates(self, chains: ChainValues, rng: np.random.Generator) -> FloatArray:
        """``(m, d)`` points, the best first.

        Args:
            chains: The configurations; some must have values.
            rng: The generator of the candidates.
        """
        from autohpo.surrogates.acquisition import log_ei

        posterior, data = self._posterior(chains)
        d = chains.points.shape[1]
        means, _ = posterior.predict(self._at_full(data.points[:, :d]), data.mask)
        best = float(means.max())
        centres = data.points[np.argsort(-means, kind="stable")[:_N_CENTRES], :d]

        def score(points: FloatArray, mask: BoolArray) -> FloatArray:
            return log_ei(*posterior.predict(self._at_full(points), mask), best)[0]

        def with_gradient(points: FloatArray, mask: BoolArray) -> tuple[FloatArray, FloatArray]:
            mean, sd, pull_back = posterior.predict_with_gradient(self._at_full(points), mask)
            value, by_mean, by_sd = log_ei(mean, sd, best)
            return value, pull_back(by_mean, by_sd)[:, :d]

        return self._search.maximize(score, with_gradient, centres, posterior.lengths, rng)[0]

    @staticmethod
    def _at_full(points: FloatArray) -> FloatArray:
        return np.column_stack([points, np.zeros(len(points))])

    def _posterior(self, chains: ChainValues) -> tuple[Posterior, Data]:
        """The process after all values, with running trainings, and what it was made of."""
        if chains.levels != self._key:  # the values have another scale
            self._fits, self._key = {}, chains.levels
        theta = self._fit(chains, fitted_at(len(chains.scores)))
        data = self._data(chains, chains.values)
        running = np.flatnonzero(chains.is_running)
        pending = None
        if len(running):
            below = self._groups(chains.distances(chains.heading[running]))
            pending = np.column_stack([chains.points[running], below]), chains.mask[running]
        process = self._process(data.points, *([] if pending is None else pending[:1]))
        return process.posterior(theta, data, pending), data

    def _fit(self, chains: ChainValues, m: int) -> FloatArray:
        """The parameters that were fitted to the first m values."""
        if m not in self._fits:
            data = self._data(chains, chains.first_values(m))
            process = self._process(data.points)
            before = 1 << (m - 1).bit_length() - 1 if m > 1 else 0  # the largest power of two below m
            is_first, is_round = before < 8, m & (m - 1) == 0
            starts = [process.start] if is_first else [self._fit(chains, before)]
            if is_round and not is_first:
                starts.append(process.start)  # so that no bad fit is handed down for ever
            fitted = process.fit(data, starts, _FIRST_STEPS if is_first or is_round else _STEPS)
            self._fits = {k: fit for k, fit in self._fits.items() if k & (k - 1) == 0} | {m: fitted}
        return self._fits[m]

    def _data(self, chains: ChainValues, values: FloatArray) -> Data:
        """What a process of some values is made of: ``(m, d + 1)`` points, the last column being the noise's group."""
        from autohpo.surrogates.gp import Data

        truths, levels = projected(one_sided(values)), last_levels(values)
        rows = _chosen(truths, levels)
        targets = truths[rows]
        spread = float(targets.std())
        targets = (targets - targets.mean()) / (spread if spread > 0.0 else 1.0)
        below = self._groups(chains.distances(np.array(chains.levels)[levels[rows]]))
        return Data(np.column_stack([chains.points[rows], below]), chains.mask[rows], targets)

    @staticmethod
    def _groups(below: IntArray) -> IntArray:
        return np.minimum(below, len(_NOISE) - 1)

    def _process(self, *points: FloatArray) -> GaussianProcess:
        """The process of this space, for some data."""
        from autohpo.surrogates.gp import mixed_process

        embedding = self._encoder.embedding.showing(*points)
        if self._kept is None or self._kept.embedding is not embedding:
            self._kept = mixed_process(embedding, self._noises)
        return self._kept

    @cached_property
    def _noises(self) -> list[Prior]:
        """The prior of the noise of each level."""
        from autohpo.surrogates.priors import Prior

        top = Prior(math.log(_NOISE[0]), 0.7, 1e-5, 0.05)  # a full result is hardly to be explained away
        return [top, *(Prior(math.log(variance), _DEVIATION, 1e-5, 10.0) for variance in _NOISE[1:])]


def _chosen(truths: FloatArray, levels: IntArray) -> IntArray:
    """The rows that a process is made of, rising: those that were promoted, the best of them where they are many."""
    known = np.flatnonzero(np.isfinite(truths))
    if not len(known):
        return known
    rows = known[levels[known] > levels[known].min()] if len(known) > _FEW else known
    if len(rows) < _FEW:
        others = np.setdiff1d(known, rows)
        rows = np.concatenate([rows, others[np.argsort(-truths[others], kind="stable")]])[:_FEW]
    if len(rows) > _MOST:
        rows = rows[np.argsort(-truths[rows], kind="stable")[:_MOST]]
    return np.sort(rows)
