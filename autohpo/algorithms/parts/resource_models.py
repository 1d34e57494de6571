"""The models of values at several fidelities: which process the options name, and the rows that it takes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from autohpo.algorithms.parts.arrays import BoolArray, FloatArray, IntArray
from autohpo.algorithms.parts.bayes_model import embedding_of
from autohpo.algorithms.parts.encoding import Encoder
from autohpo.algorithms.parts.evidence import Evidence, Rows
from autohpo.algorithms.parts.gp_options import CURVE_MODELS, GPOptions

if TYPE_CHECKING:
    from autohpo.surrogates.embedding import Embedding
    from autohpo.surrogates.gp import Data, GaussianProcess
    from autohpo.surrogates.gp_posterior import Posterior, PullBack

_MOST_STEPS = 1000  # epochs that a curve may have a step at, each
_FIRST_NEW = 1e9  # the numbers of configurations that were never tried, each with one of its own, begin here


class ResourceModel:
    """A model of values at several fidelities over one space.

    It makes rows of points of the unit cube, their fidelity and the number of their configuration, which is what the
    processes of `surrogates` take.

    Args:
        encoder: The encoder of the space.
        options: The options of the process.
        full: The fidelity of a full evaluation.
    """

    def __init__(self, encoder: Encoder, options: GPOptions, full: float) -> None:
        self._encoder, self._options, self._full = encoder, options, float(full)
        self._kept: tuple[object, Any] | None = None  # the process that was made last, and what it was made of

    @property
    def can_subsample(self) -> bool:
        """Whether the model may be made of a part of the values."""
        return self._options.model not in CURVE_MODELS

    @property
    def knows_all_fidelities(self) -> bool:
        """Whether it predicts where there are no values."""
        return self._options.model != "gp_independent"

    @cached_property
    def _embedding(self) -> Embedding:
        return embedding_of(self._encoder, is_input_warped=self._options.input_warping)

    def process(self, levels: Sequence[float], *points: FloatArray) -> Any:
        """Return the process for some data.

        Args:
            levels: The rungs, rising, with all fidelities of the data.
            points: ``(n, d)`` points of the data, in one array or several.
        """
        embedding = self._embedding.showing(*points)
        made_of = (embedding, tuple(levels))
        if self._kept is None or self._kept[0] != made_of:
            self._kept = made_of, self._made(embedding, levels)
        return self._kept[1]

    def _made(self, embedding: Embedding, levels: Sequence[float]) -> Any:
        options = self._options
        if options.model == "gp_independent":
            from autohpo.surrogates.rung_processes import RungProcesses

            return RungProcesses(embedding, levels, is_noise_shared=not options.separate_noise_variances)
        if options.model in CURVE_MODELS:
            from autohpo.surrogates.curve_models import expdecay_process, issm_process

            if options.model == "gp_issm":
                return issm_process(embedding, levels, gamma_one=options.issm_gamma_one)
            return expdecay_process(embedding, self._full, normalize_inputs=options.expdecay_normalize_inputs)
        from autohpo.surrogates.multi_fidelity import multi_fidelity_process

        lowest = min(levels[0], self._full / 2)
        made = multi_fidelity_process(
            embedding, options.gp_resource_kernel, max_fidelity=self._full, min_fidelity=lowest
        )
        return _with_noises(made, levels) if options.separate_noise_variances else made

    def data(self, rows: Rows, targets: FloatArray) -> Data:
        """Return values as the processes take them, with ``(n,)`` targets."""
        from autohpo.surrogates.gp import Data

        return Data(self.extended(rows.points, rows.fidelity, rows.number), rows.mask, targets)

    @staticmethod
    def extended(points: FloatArray, fidelity: FloatArray | float, number: IntArray | None = None) -> FloatArray:
        """``(n, d + 2)`` points with their fidelity and the number of their configuration.

        Args:
            points: ``(n, d)`` points of the unit cube.
            fidelity: ``(n,)`` fidelities, or one for all.
            number: ``(n,)`` the numbers; None where they are all new.
        """
        n = len(points)
        numbers = _FIRST_NEW + np.arange(n) if number is None else number
        return np.column_stack([points, np.broadcast_to(fidelity, n), numbers])

    def levels(self, evidence: Evidence) -> tuple[float, ...]:
        """Return all fidelities that the model may meet, rising: the rungs, those of the values, and the full one."""
        seen = {*evidence.rows.fidelity.tolist(), *evidence.pending.fidelity.tolist()}
        found = {*map(float, evidence.levels), *seen, self._full}
        is_count = all(level == int(level) for level in found) and self._full <= _MOST_STEPS
        if self._options.model == "gp_issm" and is_count:
            found |= set(map(float, range(1, int(self._full) + 1)))  # a curve steps with each epoch
        return tuple(sorted(found))


def _with_noises(process: GaussianProcess, levels: Sequence[float]) -> GaussianProcess:
    """The same process with noise of a variance of its own at each level; levels below 1 share one."""
    from autohpo.surrogates.effects import Noise
    from autohpo.surrogates.gp import NOISE
    from autohpo.surrogates.kernels import Sum

    whole = np.floor(levels)
    starts = np.unique(whole)
    groups = np.maximum(np.searchsorted(starts, np.arange(int(whole[-1]) + 1), side="right") - 1, 0)
    kernel = process.kernel
    parts = [part for part in kernel.parts if not part.has_noise] if isinstance(kernel, Sum) else [kernel]
    noise = Noise([NOISE] * len(starts), -2, groups.tolist())
    return replace(process, kernel=Sum((*parts, noise)))


@dataclass(frozen=True, eq=False)
class Belief:
    """What a model says: means under each of s joint draws of what is pending, and deviations.

    Attributes:
        posterior: A posterior, whose means have a column for each draw, or one for all.
        width: The number of columns of the points that it takes; None is all.
    """

    posterior: Any
    width: int | None = None

    @property
    def lengths(self) -> FloatArray:
        """``(d,)`` length-scales of the columns of the unit cube."""
        lengths: FloatArray = self.posterior.lengths
        return lengths

    def means(self, points: FloatArray, mask: BoolArray) -> FloatArray:
        """``(m, s)`` means at ``(m, d + 2)`` points with ``(m, d)`` mask; of one process in time m n, not m n^2."""
        quick = getattr(self.posterior, "means", None)
        return self.predict(points, mask)[0] if quick is None else _columns(quick(points[:, : self.width], mask))

    def predict(self, points: FloatArray, mask: BoolArray) -> tuple[FloatArray, FloatArray]:
        """``(m, s)`` means and ``(m,)`` deviations at ``(m, d + 2)`` points with ``(m, d)`` mask."""
        means, deviations = self.posterior.predict(points[:, : self.width], mask)
        return _columns(means), deviations

    def predict_with_gradient(self, points: FloatArray, mask: BoolArray) -> tuple[FloatArray, FloatArray, PullBack]:
        """Return means and deviations as :meth:`predict`, and a function that pulls gradients back to the points."""
        means, deviations, pull_back = self.posterior.predict_with_gradient(points[:, : self.width], mask)
        if means.ndim == 2:
            return means, deviations, pull_back
        return _columns(means), deviations, lambda by_means, by_deviation: pull_back(by_means[:, 0], by_deviation)


def _columns(means: FloatArray) -> FloatArray:
    """Means as a matrix with a column for each draw."""
    return means[:, None] if means.ndim == 1 else means


def belief_at(
    posterior: Any,
    fidelity: float | None,
    pending: tuple[FloatArray, BoolArray] | None,
    draws: tuple[np.random.Generator, int],
) -> Belief:
    """Return what a process says, of independent ones that at one fidelity, with joint draws of what is pending.

    Args:
        posterior: The process, or processes, after the data.
        fidelity: The fidelity at which it will be asked; only one process may be asked at several.
        pending: ``(q, d + 2)`` points and ``(q, d)`` mask of what is pending.
        draws: The generator, and the number, of the draws.
    """
    from autohpo.surrogates.gp import Posterior
    from autohpo.surrogates.gp_growth import with_fantasies
    from autohpo.surrogates.rung_processes import RungPosteriors

    if isinstance(posterior, RungPosteriors):
        d = len(posterior.model.embedding.optional)
        rung = int(posterior.model.rungs_of(np.array([[0.0] * d + [fidelity, 0.0]]))[0])
        if rung not in posterior.rungs:
            return Belief(posterior)
        here: Posterior = posterior.rungs[rung]
        own = np.zeros(0, dtype=bool) if pending is None else posterior.model.rungs_of(pending[0]) == rung
        if pending is not None and own.any():
            here = with_fantasies(here, pending[0][own, :d], pending[1][own], *draws)
        return Belief(here, d)
    if pending is not None and isinstance(posterior, Posterior):
        return Belief(with_fantasies(posterior, *pending, *draws))
    return Belief(posterior)
