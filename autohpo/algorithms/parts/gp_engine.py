"""GPEngine: from evidence to suggestions, by the multi-fidelity Gaussian process that the options name."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from autohpo.algorithms.parts.acquisition_search import AcquisitionSearch
from autohpo.algorithms.parts.arrays import BoolArray, FloatArray
from autohpo.algorithms.parts.bayes_model import default_startup
from autohpo.algorithms.parts.cost_model import CostModel
from autohpo.algorithms.parts.encoding import Encoder
from autohpo.algorithms.parts.evidence import Evidence, Rows
from autohpo.algorithms.parts.gp_options import CURVE_MODELS, GPOptions
from autohpo.algorithms.parts.improvement import Improvement
from autohpo.algorithms.parts.parameter_fits import ParameterFits
from autohpo.algorithms.parts.resource_models import Belief, ResourceModel, belief_at
from autohpo.algorithms.parts.rung_trust import RungTrust, mixture_of

_N_CENTRES, _N_NEAR, _N_STARTS = 5, 150, 4  # configurations near which candidates lie, candidates, local searches
_ASCENT = {"maxiter": 15, "maxfun": 20, "ftol": 1e-5}  # of a local search
_MOST_RIVALS = 64  # configurations of which the best is looked for, by the joint draws
_N_LOOKED_AT = 64  # candidates that may be suggested, where the best were suggested before
_STEP = 1e-5  # of the unit cube, in a gradient by differences

_log = logging.getLogger("autohpo")


@dataclass(frozen=True, eq=False)
class Aim:
    """What the next configuration is to improve on.

    Attributes:
        fidelity: The fidelity at which.
        belief: What the model says.
        improvement: The acquisition function there.
        best: ``(s,)`` the best predicted mean there of what was tried, under each draw of what is pending.
        centres: ``(k, d)`` the configurations that are predicted best there.
    """

    fidelity: float
    belief: Belief
    improvement: Improvement
    best: FloatArray
    centres: FloatArray


class GPEngine:
    """Suggests configurations, by the model and the acquisition function that the options name.

    What it returns follows from its arguments alone: it keeps the fits of parameters, which follow from the evidence.

    Args:
        encoder: The encoder of the space.
        options: The options of the process.
        seed: The seed of everything that is random and not of one suggestion.
        full: The fidelity of a full evaluation.
    """

    def __init__(self, encoder: Encoder, options: GPOptions, seed: int, full: float) -> None:
        self._encoder, self._options = encoder, options
        self._model = ResourceModel(encoder, options, full)
        self.fits = ParameterFits(options, self._model, seed)
        self._trust = RungTrust(options, self._model, self.fits, seed)
        self._search = AcquisitionSearch(
            encoder,
            n_draws=options.num_init_candidates,
            n_near=_N_NEAR,
            n_starts=0 if options.skip_local_optimization else _N_STARTS,
            seed=seed,
            ascent=_ASCENT,
        )
        self.n_startup = options.num_init_random or default_startup(encoder.space.n_columns)

    def is_ready(self, evidence: Evidence) -> bool:
        """Whether the evidence is enough for a model."""
        return evidence.n_ended >= self.n_startup and len(evidence.rows) > 0

    def belief(self, evidence: Evidence, rng: np.random.Generator, fidelity: float | None = None) -> Belief:
        """Return what the model says after some evidence.

        Args:
            evidence: At least one value.
            rng: The generator of the draws of what is pending.
            fidelity: The only fidelity at which it will be asked; None where it is asked at several.
        """
        waited, pending = evidence.pending, None
        if len(waited) and not self._options.no_fantasizing:
            pending = self._model.extended(waited.points, waited.fidelity, waited.number), waited.mask
        trust = self.trust(evidence) if self._options.rung_mixture else None
        if trust is not None:
            posterior, data = self.fits.posterior(evidence, pending)
            return Belief(mixture_of(posterior, self.fits.levels, trust, data))
        draws = rng, self._options.num_fantasy_samples
        if self._options.model in CURVE_MODELS:
            return Belief(self.fits.posterior(evidence, pending, draws)[0])
        if self._options.model == "gp_independent" and fidelity is None:
            return Belief(self.fits.posterior(evidence, pending)[0])
        return belief_at(self.fits.posterior(evidence, None)[0], fidelity, pending, draws)

    def trust(self, evidence: Evidence) -> FloatArray | None:
        """``(K,)`` how often each rung orders the results of the highest best; None where there are too few.

        The rungs are ``fits.levels``.

        Args:
            evidence: At least one value.
        """
        return self._trust.of(evidence)

    def acquisition_fidelity(self, evidence: Evidence) -> float:
        """Return the fidelity at which improvement is expected."""
        fidelity, options = evidence.rows.fidelity, self._options
        seen = np.unique(fidelity)
        if options.model in CURVE_MODELS or options.resource_acq == "final":
            wanted = evidence.full
        elif options.resource_acq == "first":
            wanted = min([*evidence.levels, *seen])
        else:
            counts = [(level, int((fidelity == level).sum())) for level in seen]
            rich = [level for level, n in counts if n >= options.resource_acq_bohb_threshold]
            wanted = max(rich, default=min(seen))
        if not self._model.knows_all_fidelities and wanted not in seen:
            below = seen[seen <= wanted]
            wanted = below.max() if len(below) else seen.min()
        return float(wanted)

    def aim(
        self,
        evidence: Evidence,
        rng: np.random.Generator,
        *,
        fidelity: float | None = None,
        belief: Belief | None = None,
        cost: CostModel | None = None,
    ) -> Aim:
        """Return what the next configuration is to improve on.

        Args:
            evidence: At least one value.
            rng: The generator of the draws of what is pending.
            fidelity: The fidelity at which improvement is expected; None chooses it as the options say.
            belief: What the model says after the evidence, where that is known.
            cost: What trainings cost; None where that does not count.
        """
        from autohpo.surrogates.acquisition import log_mean_ei, mean_ucb

        at = self.acquisition_fidelity(evidence) if fidelity is None else fidelity
        found = self.belief(evidence, rng, at) if belief is None else belief
        best, centres = self._rivals(evidence, found, at)
        is_ei, kappa = self._options.acq_function == "ei", self._options.lcb_kappa
        function = partial(log_mean_ei, best=best) if is_ei else partial(mean_ucb, kappa=kappa)
        penalty = None if cost is None else partial(self._penalty, cost, at)
        improvement = Improvement(found, partial(self._model.extended, fidelity=at), function, penalty)
        return Aim(at, found, improvement, best, centres)

    def candidates(self, aim: Aim, rng: np.random.Generator) -> FloatArray:
        """``(n, d)`` points where configurations lie, those with the largest improvement first.

        Args:
            aim: What is to be improved on.
            rng: The generator of the candidates.
        """
        function = aim.improvement
        is_drawn = self._options.initial_scoring == "thompson_indep"
        first = partial(_thompson, function, rng) if is_drawn else None
        points, scores = self._search.maximize(
            function.score, function.with_gradient, aim.centres, aim.belief.lengths, rng, first=first
        )
        if self._options.debug_log:
            found = len(scores), float(scores[0]), aim.fidelity
            _log.info("%s: the best of %d candidates has %.4g at fidelity %g", self._options.model, *found)
        return points[:_N_LOOKED_AT]

    def _penalty(
        self, cost: CostModel, fidelity: float, points: FloatArray, mask: BoolArray
    ) -> tuple[FloatArray, FloatArray]:
        """What a cost takes off the log of an improvement, and the ``(m, d)`` gradient of that, by differences."""
        m, d = points.shape
        moved = np.repeat(points, d + 1, axis=0).reshape(m, d + 1, d)
        steps = np.where(points > 0.5, -_STEP, _STEP)  # towards the middle: never out of the cube
        moved[:, np.arange(d), np.arange(d)] += steps
        masks = np.repeat(mask, d + 1, axis=0)
        log_costs = cost.predict(moved.reshape(-1, d), masks, 0.0, fidelity).log_cost.reshape(m, d + 1)
        log_costs *= self._options.exponent_cost
        return log_costs[:, d], (log_costs[:, :d] - log_costs[:, d:]) / steps

    def _rivals(self, evidence: Evidence, belief: Belief, fidelity: float) -> tuple[FloatArray, FloatArray]:
        """``(s,)`` the best predicted means of what was tried, under each draw, and ``(k, d)`` the best of them."""
        tried = tried_rows(evidence, is_with_pending=not self._options.no_fantasizing)
        rows, mask = self._model.extended(tried.points, fidelity, tried.number), tried.mask
        if len(rows) > _MOST_RIVALS:
            means = belief.means(rows, mask).mean(axis=1)
            kept = np.sort(np.argsort(-means, kind="stable")[:_MOST_RIVALS])
            rows, mask = rows[kept], mask[kept]
        means, _ = belief.predict(rows, mask)
        order = np.argsort(-means.mean(axis=1), kind="stable")[:_N_CENTRES]
        return means.max(axis=0), rows[order, : self._encoder.space.n_columns]

    def rows_of(
        self, hps: Sequence[Mapping[str, Any]], fidelity: FloatArray, numbers: Sequence[int]
    ) -> tuple[FloatArray, BoolArray]:
        """``(n, d + 2)`` rows of the model, and ``(n, d)`` their mask, for configurations at fidelities.

        Args:
            hps: The configurations.
            fidelity: ``(n,)`` the fidelities.
            numbers: The numbers of the configurations in the evidence.
        """
        points, mask = self._encoder.of_hps(hps)
        return self._model.extended(points, fidelity, np.array(numbers, dtype=np.int64)), mask

    def describe(self, evidence: Evidence) -> dict[str, Any]:
        """Return the model after some evidence, and the values of its parameters, in JSON types."""
        return self.fits.describe(self.fits.parameters(evidence))


def _thompson(improvement: Improvement, rng: np.random.Generator, points: FloatArray, mask: BoolArray) -> FloatArray:
    """``(m,)`` independent draws from the posterior at ``(m, d)`` points."""
    means, deviations = improvement.predict(points, mask)
    drawn: FloatArray = means.mean(axis=1) + deviations * rng.standard_normal(len(points))
    return drawn


def tried_rows(evidence: Evidence, *, is_with_pending: bool) -> Rows:
    """Return one row for each configuration that has a value, or waits for one.

    Args:
        evidence: The evidence.
        is_with_pending: Whether those count that only wait.
    """
    parts = [evidence.rows, evidence.pending] if is_with_pending else [evidence.rows]
    joined = Rows(*(np.concatenate([getattr(part, name) for part in parts]) for name in vars(evidence.rows)))
    _, first = np.unique(joined.number, return_index=True)
    return joined.take(np.sort(first))
