"""The best trial where results are noisy: the one of which a model of all results expects most."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import numpy as np

from autohpo.algorithms.parts.arrays import FloatArray
from autohpo.algorithms.parts.encoding import Encoder
from autohpo.history import History
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

_SPACING = 1.9  # reports of one trial are that factor of the fidelity apart, or more


def best_under_noise(history: History, space: SearchSpace, best: Trial) -> Trial:
    """Return the trial of which most is expected among those that may be the best, whatever luck it had itself.

    These are the trials that were trained as long as the luckiest one: none with less is ever named, however high its
    result is. Results at lower fidelities say something of them, as the model knows how they go together.

    Args:
        history: The history of the search.
        space: The space of the configurations.
        best: The trial with the highest result, of those with the most training that meet their constraints.
    """
    rivals = [t for t in history.trials if t.perf is not None and t.reached == best.reached]
    rivals = [trial for trial in rivals if not trial.violation] or rivals
    if best.reached < math.inf and len(rivals) > 1:
        lower = _lower_results(history, best.reached)
        if lower and len(rivals) + len(lower) >= LEAST:
            return best_of_fidelities(space, rivals, lower, history.root)
    return best_by_posterior_mean(space, rivals) if len(rivals) >= LEAST else best


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

    trials = _best_first(trials)[:MOST]
    encoder = Encoder(space)
    points, mask = encoder.of_hps([trial.hp for trial in trials])
    process = mixed_process(encoder.embedding.showing(points), noise=Prior(math.log(NOISE), 1.0, 1e-6, 5.0))
    data = Data(points, mask, warp_targets(np.array([trial.scores[0] for trial in trials])).values)
    theta = process.fit(data, [process.start], MOST_STEPS)
    means, _ = process.posterior(theta, data).predict(points, mask)
    return _first(trials, means)


class Result(NamedTuple):
    """A result below the highest fidelity.

    Attributes:
        trial: The trial that had it.
        fidelity: Where it had it.
        score: The result, higher is better.
    """

    trial: Trial
    fidelity: float
    score: float


@one_blas_thread("scipy")
def best_of_fidelities(
    space: SearchSpace, trials: Sequence[Trial], lower: Sequence[Result], root: Callable[[int], int]
) -> Trial:
    """Return the trial with the highest expected result by a model of results at all fidelities.

    Each configuration has a curve over the logarithm of the fidelity, and all share one; see
    :func:`autohpo.surrogates.multi_fidelity.multi_fidelity_process`. What is compared is its mean at the highest
    fidelity, without the noise.

    Args:
        space: The space of the configurations.
        trials: Trials with results, all of the same fidelity, the highest.
        lower: Results below it, of these or other trials.
        root: Returns the first trial of a chain, by the number of a trial: what tells trainings apart.
    """
    from autohpo.surrogates.gp import Data
    from autohpo.surrogates.multi_fidelity import multi_fidelity_process
    from autohpo.surrogates.priors import Prior
    from autohpo.surrogates.warping import warp_targets

    full = float(trials[0].reached)
    trials = _best_first(trials)[: MOST // 2]
    chains = {root(trial.number) for trial in trials}
    order = sorted(lower, key=lambda r: (root(r.trial.number) not in chains, -r.fidelity, -r.score, r.trial.number))
    rows = [*(Result(trial, full, trial.scores[0]) for trial in trials), *order[: MOST - len(trials)]]
    encoder = Encoder(space)
    points, mask = encoder.of_hps([row.trial.hp for row in rows])
    more = np.array([[row.fidelity, root(row.trial.number)] for row in rows], dtype=float)
    points = np.concatenate([points, more], axis=1)
    lowest = min(float(more[:, 0].min()), full)
    process = multi_fidelity_process(
        encoder.embedding.showing(points),
        max_fidelity=full,
        min_fidelity=lowest,
        noise=Prior(math.log(NOISE), 1.0, 1e-6, 5.0),
        own=(Prior(math.log(0.03), 1.0, 1e-6, 5.0), Prior(math.log(6.0), 0.5, 2.0, 200.0)),  # smooth: else it is noise
    )
    data = Data(points, mask, warp_targets(np.array([row.score for row in rows])).values)
    theta = process.fit(data, [process.start], MOST_STEPS)
    n = len(trials)
    means, _ = process.posterior(theta, data).predict(points[:n], mask[:n])
    return _first(trials, means)


def _best_first(trials: Iterable[Trial]) -> list[Trial]:
    return sorted(trials, key=lambda t: (-t.scores[0], t.number))


def _first(trials: Sequence[Trial], means: FloatArray) -> Trial:
    """The trial with the highest mean; of equals the first."""
    return trials[max(range(len(trials)), key=lambda i: (round(float(means[i]), 12), -i))]


def _lower_results(history: History, full: float) -> list[Result]:
    """The results below a fidelity, those that were reported on the way there included, if they are not too close."""
    found = []
    for trial in history.trials:
        above = full
        if trial.score is not None and 0 < trial.reached < full:
            found.append(Result(trial, trial.reached, trial.score))
            above = trial.reached
        for fidelity, score in reversed(trial.curve):
            if 0 < fidelity * _SPACING <= above:
                found.append(Result(trial, fidelity, score))
                above = fidelity
    return found
