"""The best trial where results are noisy: the one of which a model of all results expects most."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from autohpo.algorithms.parts.encoding import Encoder
from autohpo.spaces import SearchSpace
from autohpo.surrogates.blas import one_blas_thread
from autohpo.trial import Trial

LEAST = 10
"""The number of results from which on a model is worth asking."""
MOST = 300
"""The largest number of results that a model is made of, the best ones: a fit takes a second at 300."""
NOISE = 0.1
"""The share of the results' variance that noise is expected to make; the fit finds its own."""
MOST_STEPS = 60
"""The largest number of steps of the fit."""


@one_blas_thread("scipy")
def best_by_posterior_mean(space: SearchSpace, trials: Sequence[Trial]) -> Trial:
    """Return the trial with the highest expected result, whatever luck it had itself.

    The largest of many noisy results is mostly a lucky one. A Gaussian process, fitted to all of them with their
    noise, takes the luck out: trials that are alike are read together, and repeated ones as one.

    Args:
        space: The space of the configurations.
        trials: Trials with results, all of the same fidelity.

    Source: Rasmussen & Williams 2006, section 2.2 (the posterior mean at the points of the data).
    """
    from autohpo.surrogates.gp import Data, mixed_process
    from autohpo.surrogates.priors import Prior
    from autohpo.surrogates.warping import warp_targets

    trials = sorted(trials, key=lambda t: (-t.scores[0], t.number))[:MOST]
    encoder = Encoder(space)
    points, mask = encoder.of_hps([trial.hp for trial in trials])
    process = mixed_process(encoder.embedding.showing(points), noise=Prior(math.log(NOISE), 1.0, 1e-6, 5.0))
    data = Data(points, mask, warp_targets(np.array([trial.scores[0] for trial in trials])).values)
    theta = process.fit(data, [process.start], MOST_STEPS)
    means, _ = process.posterior(theta, data).predict(points, mask)
    best = max(range(len(trials)), key=lambda i: (round(float(means[i]), 12), -i))
    return trials[best]
