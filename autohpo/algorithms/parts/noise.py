"""Which trial is best where results are noisy: the one that a model of all of them expects most of."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from autohpo.algorithms.parts.encoding import Encoder
from autohpo.spaces import SearchSpace
from autohpo.trial import Trial

LEAST = 10
"""Results from which on a model is worth asking."""
MOST = 300
"""Results that a model is made of at most, the best ones: a fit takes a second at 300."""
NOISE = 0.1
"""Share of the results' variance that noise is expected to make; the fit finds its own."""
MOST_STEPS = 60
"""Of the fit."""


def best_by_posterior_mean(space: SearchSpace, trials: Sequence[Trial]) -> Trial:
    """The trial with the highest expected result, whatever luck it had itself.

    The largest of many noisy results is mostly a lucky one. A Gaussian process, fitted to all of them with their
    noise, takes the luck out: trials that are alike are read together, and repeated ones as one.

    Args:
        space: Of the configurations.
        trials: With results, all of the same fidelity; higher is better.

    Source: Rasmussen & Williams 2006, section 2.2 (the posterior mean at the points of the data).
    """
    from autohpo.surrogates.gp import Data, Model, Normal, Priors
    from autohpo.surrogates.gp_forecast import Forecaster
    from autohpo.surrogates.kernels import Embedding
    from autohpo.surrogates.warping import warp_targets

    trials = sorted(trials, key=lambda t: (-t.scores[0], t.number))[:MOST]
    standing = Encoder(space)
    points, mask = standing.of_hps([trial.hp for trial in trials])
    optional = np.array([bool(space.deciders(hp.name)) for hp in space for _ in range(hp.width)], dtype=bool)
    priors = Priors(noise=Normal(math.log(NOISE), 1.0, 1e-6, 5.0))
    model = Model(Embedding(standing.columns, optional), np.empty(0, dtype=np.int64), priors)
    data = Data(points, mask, warp_targets(np.array([trial.scores[0] for trial in trials])).values)
    fitted = model.fit(data, [model.start], MOST_STEPS)
    forecaster = Forecaster.after(model, fitted, data, (points[:0], mask[:0]), priors.mean_precision)
    means, _ = forecaster.forecast(points, mask)
    best = max(range(len(trials)), key=lambda i: (round(float(means[i]), 12), -i))
    return trials[best]
