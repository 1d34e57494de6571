"""RungTrust: how far each rung is to be trusted, judged by the order of the results at the highest one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from autohpo.algorithms.parts.arrays import FloatArray
from autohpo.algorithms.parts.evidence import Evidence
from autohpo.algorithms.parts.gp_options import GPOptions
from autohpo.algorithms.parts.parameter_fits import ParameterFits
from autohpo.algorithms.parts.resource_models import ResourceModel

if TYPE_CHECKING:
    from autohpo.surrogates.gp import Data
    from autohpo.surrogates.rung_weights import Mixture

MOST_JUDGED = 200
"""The number of values by which rungs are judged, at most: the judgement refits the model five times."""


class RungTrust:
    """The weights of rungs after some evidence; they follow from it alone, and change when parameters are fitted.

    Args:
        options: The options of the process.
        model: The model.
        fits: The parameters of the model.
        seed: The seed of the draws.

    Source: Li, Y. et al. 2022, arXiv 2201.06834, section 4.2.
    """

    def __init__(self, options: GPOptions, model: ResourceModel, fits: ParameterFits, seed: int) -> None:
        self._options, self._model, self._fits, self._seed = options, model, fits, seed
        self._kept: tuple[object, FloatArray | None] | None = None

    def of(self, evidence: Evidence) -> FloatArray | None:
        """``(K,)`` the weights of ``fits.levels``, which sum to 1; None where there are too few results.

        Args:
            evidence: The evidence.
        """
        from autohpo.surrogates.rung_weights import rung_precisions

        rows = evidence.rows.take(slice(0, evidence.n_settled))
        if not len(rows):
            return None
        theta = self._fits.parameters(evidence)
        m = max(self._fits.fitted_size(rows.fidelity, evidence.full), 1)
        key = (m, theta.tobytes(), rows.score[:m].tobytes())
        if self._kept is None or self._kept[0] != key:
            data, levels = self._fits.data(rows.take(slice(0, m)), MOST_JUDGED), self._fits.levels
            rng, n = np.random.default_rng((self._seed, m, 3)), self._options.hypertune_distribution_num_samples
            process = self._model.process(levels, data.points)
            self._kept = key, rung_precisions(process, theta, data, levels, rng, n_samples=n)
        return self._kept[1]


def mixture_of(posterior: Any, levels: Sequence[float], trust: FloatArray, data: Data) -> Mixture:
    """Return the mixture of what a model predicts at all rungs, brought to the height of the highest that is trusted.

    Args:
        posterior: The model after its data.
        levels: The rungs.
        trust: ``(K,)`` their weights.
        data: The data.
    """
    from autohpo.surrogates.rung_weights import Mixture, level_shifts

    top = int(np.flatnonzero(trust)[-1])
    fidelity = data.points[:, data.mask.shape[1]]
    while top and not (fidelity == levels[top]).any():  # only where what the model is made of has lost a rung
        top -= 1
    return Mixture(posterior, levels, trust, level_shifts(posterior, levels, data, top))
