"""ParameterFits: when the parameters of a multi-fidelity model are fitted anew, to which values, and from where."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from autohpo.algorithms.parts.arrays import BoolArray, FloatArray, IntArray
from autohpo.algorithms.parts.evidence import Evidence, Rows
from autohpo.algorithms.parts.gp_options import GPOptions
from autohpo.algorithms.parts.subsample import last_of_doublings, top_rung_first
from autohpo.surrogates.boxcox import boxcox_targets
from autohpo.surrogates.warping import Targets, warp_targets

if TYPE_CHECKING:
    from autohpo.algorithms.parts.resource_models import ResourceModel
    from autohpo.surrogates.gp import Data

MOST_FITTED = 256
"""Parameters are fitted to no more values: more hardly change them, and a fit takes time in the cube of them."""

_OPEN_SHARE = 0.25  # of all values; where more come from running trials, the parameters are fitted to them, too
_JITTER = 1.0  # deviation of the logarithms of further starts


def _grain(n: int) -> int:
    """The number of values whose fit serves n values: all up to 15, then n less 6 to 12 %."""
    shift = max(n.bit_length() - 4, 0)
    return n >> shift << shift


class ParameterFits:
    """The parameters of a model after some evidence, and what the model is made of.

    They follow from the evidence alone, whatever was asked before: they are fitted to the values of the first m trials
    in the order told, for an m that follows from the options, and a fit goes on from that to the largest power of two
    below m, which went on from the one before. So a search that is resumed repeats a few fits.

    Args:
        options: The options of the process.
        model: The model.
        seed: The seed of draws: of further starts, and of the values that are kept where there are too many.

    Attributes:
        levels: The fidelities of the model that was asked for last.
    """

    def __init__(self, options: GPOptions, model: ResourceModel, seed: int) -> None:
        self._options, self._model, self._seed = options, model, seed
        self._fits: dict[int, FloatArray] = {}  # by the number of values
        self._last_open: tuple[bytes, FloatArray] | None = None
        self.levels: tuple[float, ...] = ()

    def restart(self) -> None:
        """Forget all fits: the evidence has lost a value."""
        self._fits, self._last_open = {}, None

    def parameters(self, evidence: Evidence) -> FloatArray:
        """``(P,)`` the parameters after some evidence."""
        levels, rows, n = self._model.levels(evidence), evidence.rows, evidence.n_settled
        if levels != self.levels:  # a model may have parameters for each of them
            self.restart()
            self.levels = levels
        m = self.fitted_size(rows.fidelity[:n], evidence.full)
        if len(rows) - n > _OPEN_SHARE * len(rows):
            return self._with_open(rows, m)
        return self._fit(rows, max(m, 1))

    def fitted_size(self, fidelity: FloatArray, full: float) -> int:
        """Return the number of values whose fit serves all, by the ``(n,)`` fidelities of the settled ones.

        Args:
            fidelity: The fidelities.
            full: The fidelity of a full evaluation.
        """
        n, first, period = len(fidelity), self._options.opt_skip_init_length, self._options.opt_skip_period
        if n > first:
            n = first + (n - first) // period * period
            if self._options.opt_skip_num_max_resource:
                at_full = np.flatnonzero(fidelity[:n] >= full)
                n = max(min(first, n), int(at_full[-1]) + 1 if len(at_full) else 0)
        return _grain(n)

    def _with_open(self, rows: Rows, m: int) -> FloatArray:
        """The parameters where running trials have a large share of the values: fitted to all of them."""
        key = b"".join(part.tobytes() for part in (rows.fidelity, rows.number, rows.score))
        if self._last_open is None or self._last_open[0] != key:
            starts = [self._fit(rows, m)] if m >= 2 else self._starts(len(rows))
            self._last_open = key, self._fitted(rows, len(rows), starts, self._options.opt_maxiter)
        return self._last_open[1]

    def _fit(self, rows: Rows, m: int) -> FloatArray:
        """The parameters that were fitted to the first m values."""
        if m not in self._fits:
            before = 1 << (m - 1).bit_length() - 1 if m > 1 else 0  # the largest power of two below m
            is_first = before < 4 or not self._options.opt_warmstart
            is_round = m & (m - 1) == 0
            starts = self._starts(m) if is_first else [self._fit(rows, before)]
            if is_round and not is_first:
                starts += self._starts(m)  # so that no bad fit is handed down for ever
            share = 1 if is_first else 2 if is_round else 4  # a fit that goes on has less to go
            fitted = self._fitted(rows, m, starts, max(self._options.opt_maxiter // share, 1))
            self._fits = {k: fit for k, fit in self._fits.items() if k & (k - 1) == 0} | {m: fitted}
        return self._fits[m]

    def _starts(self, m: int) -> list[FloatArray]:
        """Where a fit from scratch begins: at the highest prior density, and at points drawn around it."""
        rng, start = np.random.default_rng((self._seed, m, 1)), self._model.process(self.levels).start
        others = [start + _JITTER * rng.standard_normal(len(start)) for _ in range(self._options.opt_nstarts - 1)]
        return [start, *others]

    def _fitted(self, rows: Rows, m: int, starts: list[FloatArray], n_steps: int) -> FloatArray:
        first = rows.take(slice(0, m))
        data = self.data(first, MOST_FITTED)
        fitted: FloatArray = self._model.process(self.levels, data.points).fit(data, starts, n_steps)
        return fitted

    def posterior(
        self,
        evidence: Evidence,
        pending: tuple[FloatArray, BoolArray] | None,
        draws: tuple[np.random.Generator, int] | None = None,
    ) -> tuple[Any, Data]:
        """Return the model after some evidence, and what it is made of.

        Args:
            evidence: The evidence.
            pending: ``(q, d + 2)`` points and ``(q, d)`` mask of what is pending, as far as it counts here.
            draws: A generator and the number of joint draws of what is pending, of a model of curves; None leaves it
                at what is predicted.
        """
        theta = self.parameters(evidence)
        data = self.data(evidence.rows)
        points = [data.points] if pending is None else [data.points, pending[0]]
        process = self._model.process(self.levels, *points)
        if draws is not None and pending is not None:
            return process.with_fantasies(theta, data, pending, *draws), data
        return process.posterior(theta, data, pending), data

    def data(self, rows: Rows, n_most: int | None = None) -> Data:
        """Return what a model of some values is made of.

        Args:
            rows: The values.
            n_most: How many are kept at most, if fewer than the options say.
        """
        targets = self.targets(rows.score)
        kept = self._kept(rows, n_most)
        return self._model.data(rows.take(kept), targets.values[kept])

    def _kept(self, rows: Rows, n_most: int | None) -> IntArray:
        most = self._options.max_size_data_for_model
        sizes = [n for n in (most, n_most) if n is not None]
        if not sizes or not self._model.can_subsample or self._options.searcher_data == "all":
            return np.arange(len(rows))
        rng, most, kept = np.random.default_rng((self._seed, len(rows), 2)), min(sizes), np.arange(len(rows))
        if self._options.one_per_doubling and len(rows) > most:
            kept = last_of_doublings(rows.fidelity, rows.number)
        return kept[top_rung_first(rows.fidelity[kept], rows.number[kept], most, rng)]

    def targets(self, scores: FloatArray) -> Targets:
        """Return results as the model sees them.

        Args:
            scores: ``(n,)`` higher is better.
        """
        if not self._options.normalize_targets:
            return Targets(scores, 1.0)
        return boxcox_targets(scores) if self._options.boxcox_transform else warp_targets(scores, is_warped=False)

    def describe(self, theta: FloatArray) -> dict[str, Any]:
        """Return the model, and its parameters, in JSON types."""
        return {"model": self._options.model, **self._model.process(self.levels).describe(theta)}
